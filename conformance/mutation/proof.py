"""Whether any input tells a computed mutant from the right semantics: z3 proves that none does, or an input is found.

Both are run over the same algebra: first over integers at values where arithmetic goes wrong, which is quick, then over
z3's bit vectors for all values.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from pybpftime.conformance.mutation.meaning import meaning
from pybpftime.conformance.mutation.mutant import REGISTER_FORMS, Compute, Computed, Mutant
from pybpftime.isa import Form, IntAlgebra, Row

PATIENCE = 60_000
"""Milliseconds that z3 may take for a question."""
MOST_TRIALS = 60_000
"""Integers are tried in that many combinations at most."""


@dataclass(frozen=True, slots=True)
class Same:
    """No input tells them apart: z3 has proved it."""


@dataclass(frozen=True, slots=True)
class Different:
    """An input that does, and the two results."""

    inputs: Mapping[str, int]
    right: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Undecided:
    """Nothing was found, nothing was proved."""

    reason: str


Answer = Same | Different | Undecided


@dataclass(frozen=True, slots=True)
class _Question:
    """Two functions over an algebra of `width` bits; `bits` are those of each input, which `signed` extends by sign."""

    right: Compute
    wrong: Compute
    width: int
    bits: Mapping[str, int]
    signed: frozenset[str] = frozenset()

    def values(self, m: Any, inputs: Mapping[str, Any]) -> tuple[Any, Any]:
        """Both results, of inputs that are already as wide as the algebra."""
        return self.right(m, *inputs.values()), self.wrong(m, *inputs.values())


def compare(mutant: Mutant) -> Answer:
    """For a mutant that is `Computed`."""
    assert isinstance(mutant.change, Computed)
    question = _question(mutant.row, mutant.change.compute)
    return _tried(question) or _proved(question)


def _question(row: Row, wrong: Compute) -> _Question:
    right = row.compute
    assert right is not None
    if row.form is Form.LOAD:
        return _Question(right, wrong, 64, {"value": 8 * row.size})
    if row.form is Form.ATOMIC:
        return _Question(right, wrong, row.width, dict.fromkeys(("old", "src", "r0"), row.width))
    assert row.form in REGISTER_FORMS
    if row.operand == "imm":
        return _Question(meaning(row), wrong, 64, {"dst": 64, "imm": 32}, frozenset({"imm"}))
    return _Question(meaning(row), wrong, 64, {"dst": 64, "src": 64})


def _tried(question: _Question) -> Different | None:
    m = IntAlgebra(question.width)
    choices = [[(name, value) for value in _edges(bits)] for name, bits in question.bits.items()]
    while _size(choices) > MOST_TRIALS:
        choices = [choice[::2] for choice in choices]
    for combination in product(*choices):
        inputs = dict(combination)
        right, wrong = question.values(m, {name: _extended(question, m, name, value) for name, value in inputs.items()})
        if right != wrong:
            return Different(inputs, int(right), int(wrong))
    return None


def _size(choices: list[list[tuple[str, int]]]) -> int:
    size = 1
    for choice in choices:
        size *= len(choice)
    return size


def _extended(question: _Question, m: IntAlgebra, name: str, value: int) -> int:
    return m.sign_extend(value, question.bits[name]) if name in question.signed else value


def _edges(bits: int) -> list[int]:
    """Values around 0, the sign, each shorter width and the shift distances, and some without a pattern."""
    top = 1 << bits
    near = {0, 3, 7, 10, 32, 33, 63, 64, top - 2, top - 3, top - 7, top // 2, top // 2 - 1, top // 2 + 1}
    near |= {(1 << at) + step for at in (1, 4, 7, 8, 15, 16, 31, 32, 33, 48, 63) for step in (-1, 0, 1)}
    source = random.Random(bits)
    near |= {source.getrandbits(bits) for _ in range(12)} | {0x1234_5678_9ABC_DEF0, 0xFFFF_FFFF_0000_0000}
    return sorted({value % top for value in near} | {top - 1})


def _proved(question: _Question) -> Answer:
    try:
        from pybpftime.verifier import terms
    except ImportError:
        return Undecided("a proof needs z3: pip install 'pybpftime[verify]'")
    m, wide = terms.Z3Algebra(question.width), {}
    variables = {name: terms.variable(name, bits) for name, bits in question.bits.items()}
    for name, variable in variables.items():
        extend = terms.resized if name in question.signed else terms.zero_extended
        wide[name] = extend(variable, question.width)
    right, wrong = question.values(m, wide)
    solver = terms.fresh_solver(PATIENCE)
    solver.add(terms.negation(right == wrong))
    answer = str(solver.check())
    if answer == "unsat":
        return Same()
    if answer != "sat":
        return Undecided(f"z3 did not answer within {PATIENCE // 1000} seconds")
    model = terms.Model(solver.model())
    inputs = {name: model.number(variable) for name, variable in variables.items()}
    integers = IntAlgebra(question.width)
    extended = {name: _extended(question, integers, name, value) for name, value in inputs.items()}
    results = question.values(integers, extended)
    return Different(inputs, int(results[0]), int(results[1]))
