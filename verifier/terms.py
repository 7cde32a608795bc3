"""z3: the one module that knows it.

`Z3Algebra` gives the ISA's rows their exact meaning over terms; the rest is the small part of z3 that the proofs and
the judge are written in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import z3

Term: TypeAlias = Any
"""A z3 bit vector."""
Formula: TypeAlias = Any
"""A z3 truth value."""


class Z3Algebra:
    """z3 bit vectors of `width` bits: an `Algebra` (see `pybpftime.isa.algebra`).

    SMT-LIB gives division by zero and shifts beyond the width other values than RFC 9669 does; `select` puts those of
    the RFC in their place.  MIN / -1 is MIN in SMT-LIB too, and its remainder 0.
    """

    __slots__ = ("width", "zero")

    def __init__(self, width: int) -> None:
        self.width = width
        self.zero = z3.BitVecVal(0, width)

    def const(self, value: int) -> Term:
        return z3.BitVecVal(value, self.width)

    def narrow(self, value: Term) -> Term:
        return value if self.width == value.size() else z3.Extract(self.width - 1, 0, value)

    def widen(self, value: Term) -> Term:
        return value if self.width == 64 else z3.ZeroExt(64 - self.width, value)

    def add(self, a: Term, b: Term) -> Term:
        return a + b

    def sub(self, a: Term, b: Term) -> Term:
        return a - b

    def mul(self, a: Term, b: Term) -> Term:
        return a * b

    def udiv(self, a: Term, b: Term) -> Term:
        return self.select(b == self.zero, self.zero, z3.UDiv(a, b))

    def umod(self, a: Term, b: Term) -> Term:
        return self.select(b == self.zero, a, z3.URem(a, b))

    def sdiv(self, a: Term, b: Term) -> Term:
        return self.select(b == self.zero, self.zero, a / b)

    def smod(self, a: Term, b: Term) -> Term:
        return self.select(b == self.zero, a, z3.SRem(a, b))

    def bitwise_and(self, a: Term, b: Term) -> Term:
        return a & b

    def bitwise_or(self, a: Term, b: Term) -> Term:
        return a | b

    def bitwise_xor(self, a: Term, b: Term) -> Term:
        return a ^ b

    def shift_left(self, a: Term, amount: Term) -> Term:
        return a << amount

    def shift_right(self, a: Term, amount: Term) -> Term:
        return z3.LShR(a, amount)

    def shift_right_signed(self, a: Term, amount: Term) -> Term:
        return a >> amount

    def low(self, a: Term, bits: int) -> Term:
        return a if bits == self.width else z3.ZeroExt(self.width - bits, z3.Extract(bits - 1, 0, a))

    def sign_extend(self, a: Term, bits: int) -> Term:
        return a if bits == self.width else z3.SignExt(self.width - bits, z3.Extract(bits - 1, 0, a))

    def byte_swap(self, a: Term, bits: int) -> Term:
        reversed_bytes = z3.Concat(*(z3.Extract(at + 7, at, a) for at in range(0, bits, 8)))
        return reversed_bytes if bits == self.width else z3.ZeroExt(self.width - bits, reversed_bytes)

    def equal(self, a: Term, b: Term) -> Formula:
        return a == b

    def not_equal(self, a: Term, b: Term) -> Formula:
        return a != b

    def less(self, a: Term, b: Term) -> Formula:
        return z3.ULT(a, b)

    def less_or_equal(self, a: Term, b: Term) -> Formula:
        return z3.ULE(a, b)

    def signed_less(self, a: Term, b: Term) -> Formula:
        return a < b

    def signed_less_or_equal(self, a: Term, b: Term) -> Formula:
        return a <= b

    def select(self, condition: Formula, a: Term, b: Term) -> Term:
        return z3.If(condition, a, b)


def variable(name: str, bits: int) -> Term:
    """An unknown bit vector."""
    return z3.BitVec(name, bits)


def number(value: int, bits: int) -> Term:
    """`value` modulo 2**bits."""
    return z3.BitVecVal(value, bits)


def value_of(term: Term) -> int | bool:
    """The number (unsigned) or truth value that a term without variables is."""
    term = z3.simplify(term)
    return bool(z3.is_true(term)) if z3.is_bool(term) else int(term.as_long())


def resized(term: Term, bits: int) -> Term:
    """A signed bit vector with more bits, or with fewer of which the dropped ones were copies of the sign."""
    size = term.size()
    if size == bits:
        return term
    return z3.SignExt(bits - size, term) if size < bits else z3.Extract(bits - 1, 0, term)


def zero_extended(term: Term, bits: int) -> Term:
    """An unsigned bit vector with more bits."""
    return z3.ZeroExt(bits - term.size(), term)


def low(term: Term, bits: int) -> Term:
    """The low bits."""
    return z3.Extract(bits - 1, 0, term)


def bit(term: Term, at: int) -> Formula:
    """Whether a bit is set."""
    return z3.Extract(at, at, term) == 1


def quotient(a: Term, b: Term) -> Term:
    """a / b of non-negative numbers of one size, b not 0."""
    return z3.UDiv(a, b)


def choose(condition: Formula, a: Term, b: Term) -> Term:
    """a if condition else b."""
    return z3.If(condition, a, b)


def all_of(formulas: Sequence[Formula]) -> Formula:
    """Whether all hold."""
    return z3.And(*formulas)


def implied(facts: Sequence[Formula], promises: Sequence[Formula]) -> Formula:
    """Whether all promises hold if all facts do."""
    return z3.Implies(z3.And(*facts), z3.And(*promises))


def truth(value: bool) -> Formula:
    """A truth value that is known."""
    return z3.BoolVal(value)


def any_of(formulas: Sequence[Formula]) -> Formula:
    """Whether one of them holds."""
    return z3.Or(*formulas)


def unsigned_at_most(a: Term, b: Term) -> Formula:
    """a <= b, unsigned."""
    return z3.ULE(a, b)


def refuted(
    solver: Any, formulas: Sequence[Formula], assumptions: Sequence[Formula], patience: int = 0
) -> list[int] | None:
    """Indices of assumptions that cannot all hold together with `formulas`; None if they can, or nobody knows.

    What the solver gives up is asked of a fresh one for `patience` milliseconds: slower to begin, it simplifies more.
    That one cannot say which assumptions it used (its core is empty whatever it used), so then it is all of them.
    """
    labels = [z3.Bool(f"fact{index}") for index in range(len(assumptions))]
    solver.push()
    try:
        solver.add(*formulas)
        for label, assumption in zip(labels, assumptions, strict=True):
            solver.add(z3.Implies(label, assumption))
        answer = solver.check(*labels)
        core = {str(label) for label in solver.unsat_core()} if answer == z3.unsat else set()
    finally:
        solver.pop()
    if answer == z3.unsat:
        return [index for index, label in enumerate(labels) if str(label) in core]
    if answer == z3.unknown and patience:
        fresh = fresh_solver(patience)
        fresh.add(*formulas, *assumptions)
        if fresh.check() == z3.unsat:
            return list(range(len(assumptions)))
    return None


def either(a: Formula, b: Formula) -> Formula:
    """Whether one of two holds."""
    return z3.Or(a, b)


def unsigned_less(a: Term, bound: int) -> Formula:
    """a < bound, unsigned."""
    return z3.ULT(a, bound)


def part(term: Term, first: int, end: int) -> Term:
    """Bytes [first, end) of a little-endian number."""
    return z3.Extract(8 * end - 1, 8 * first, term)


class Model:
    """Numbers for the variables of formulas that can hold together."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def number(self, term: Term) -> int:
        """The unsigned number that a term is; 0 for variables that do not matter."""
        return int(self._model.eval(term, model_completion=True).as_long())


def model_of(formulas: Sequence[Formula], milliseconds: int) -> Model | None:
    """A model in which all hold; None when there is none, or none was found in time."""
    solver = new_solver(milliseconds)
    solver.add(*formulas)
    return Model(solver.model()) if solver.check() == z3.sat else None


def negation(formula: Formula) -> Formula:
    """Whether it does not hold."""
    return z3.Not(formula)


def new_solver(milliseconds: int = 0) -> Any:
    """A solver that answers `unknown` after that time; 0 for never."""
    solver = z3.SimpleSolver()
    if milliseconds:
        solver.set("timeout", milliseconds)
    return solver


def fresh_solver(milliseconds: int) -> Any:
    """A solver for one hard question about bit vectors."""
    steps = ("simplify", "propagate-values", "solve-eqs", "simplify", "bit-blast", "sat")
    solver = z3.Then(*steps).solver()
    solver.set("timeout", milliseconds)
    return solver
