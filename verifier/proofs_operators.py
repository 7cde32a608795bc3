"""What the abstract operators promise: every result that the ISA's own `compute` has over z3 terms.

Division, modulo and multiplication are proved at a small width, where z3 tries every value: at 64 bits it does not
end.  Their source has no constant that depends on the width, and tests sample them at 32 and 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pybpftime.isa import TABLE, Form, Row
from pybpftime.verifier import terms
from pybpftime.verifier.domain.operators import BINARY, EXTENDS_SIGN, EXTENDS_ZERO, UNARY, base_name
from pybpftime.verifier.proofs_setting import Contract, Formulas, Setting
from pybpftime.verifier.proofs_symbols import Symbol
from pybpftime.verifier.terms import Term, Z3Algebra

Arguments = tuple[Any, ...]
Numbers = tuple[Symbol, ...]

SMALL = {"mul": (5,), "div": (8,), "mod": (8,), "sdiv": (8,), "smod": (8,)}
"""Operations that are not proved at 64 bits."""
WORD_WIDTHS = (64, 32)

ROWS = {(base_name(row), row.width): row for row in TABLE if row.form in (Form.BINARY, Form.UNARY, Form.JUMP_IF)}
"""One row of each operation and width; the others differ in where their operands come from."""


def _result(row: Row, bits: int, numbers: Numbers) -> Term:
    """What the row's own semantics makes of numbers of the width."""
    assert row.compute is not None
    return row.compute(Z3Algebra(bits), *(number.low_bits(bits) for number in numbers))


def _unsigned(s: Setting, term: Term) -> Symbol:
    return Symbol(s.paths, terms.zero_extended(term, term.size() + 1), 0, (1 << term.size()) - 1)


def _word_operator(
    name: str, function: str, operands: int, widths: tuple[int, ...], bits: int | None = None
) -> Contract:
    """The contract of an operator on words."""
    row = next(row for (base, _), row in ROWS.items() if base == name)

    def promises(s: Setting, a: Arguments, n: Numbers, result: Any) -> Formulas:
        width = a[0].bits
        row = ROWS.get((name, width)) or ROWS[name, 64]
        return s.in_word(a[0], _unsigned(s, _result(row, width, n)), result)

    def known(s: Setting, a: Arguments) -> list[Numbers]:
        numbers = s.tracked[:operands]
        return [tuple(numbers) if a[0].bits == s.w.bits else tuple(number & s.h.ones for number in numbers)]

    extra = () if bits is None else (bits,)
    assert row.compute is not None
    return Contract(
        function,
        inputs=lambda s: (s.w, *(s.word(s.w) for _ in range(operands)), *extra),
        numbers=lambda s, a: tuple(s.number(a[0]) for _ in range(operands)),
        facts=lambda s, a, n: [
            f for number, word in zip(n, a[1:], strict=False) for f in s.in_word(a[0], number, word)
        ],
        promises=promises,
        output=lambda s, a: s.word(s.w if a[0].bits == s.w.bits else s.h),
        known=known,
        case=name,
        widths=widths,
    )


def _function(operator: Any) -> str:
    """module.function of an operator of the domain."""
    operator = getattr(operator, "func", operator)
    return f"{operator.__module__.rpartition('.')[2]}.{operator.__name__}"


def _unary_widths(name: str) -> tuple[int, ...]:
    """The widths at which the frame applies an operator."""
    if name in EXTENDS_SIGN | EXTENDS_ZERO:
        return (32,)
    return (64,) if name.endswith("64") else WORD_WIDTHS


def _word_operators() -> Iterator[Contract]:
    for name, binary in BINARY.items():
        yield _word_operator(name, _function(binary), 2, SMALL.get(name, WORD_WIDTHS))
    for name, unary in UNARY.items():
        bits = getattr(unary, "keywords", {}).get("bits")
        yield _word_operator(name, _function(unary), 1, _unary_widths(name), bits)


def _frame(row: Row, name: str, operator: Contract) -> Contract:
    """The contract of the frame around an operator: the whole of a row."""
    operands = 2 if row.form is Form.BINARY else 1

    def numbers(s: Setting, a: Arguments) -> Numbers:
        """The operands; what the caller of `canonical` is about is the result."""
        made = tuple(s.number(s.w) for _ in range(operands))
        s.tracked.append(_unsigned(s, Z3Algebra(row.width).widen(_result(row, row.width, made))))
        return made

    def promises(s: Setting, a: Arguments, n: Numbers, result: Any) -> Formulas:
        return s.in_range(s.tracked[-1], result)

    return Contract(
        "operators.binary" if operands == 2 else "operators.unary",
        inputs=lambda s: (name, row.width, *(s.range() for _ in range(operands))),
        numbers=numbers,
        facts=lambda s, a, n: [f for number, range_ in zip(n, a[2:], strict=True) for f in s.in_range(number, range_)],
        promises=promises,
        uses=("ranges.canonical", f"{operator.function} {operator.case}"),
        case=f"{name} {row.width}",
    )


def _condition(row: Row, numbers: Numbers) -> Any:
    return _result(row, row.width, numbers)


def _refined(name: str, row: Row, taken: bool) -> Contract:
    """The contract of `refined` for one condition, width and outcome."""
    return Contract(
        "operators.refined",
        inputs=lambda s: (name, row.width, s.range(), s.range(), taken),
        numbers=lambda s, a: (s.number(s.w), s.number(s.w)),
        facts=_refined_facts,
        promises=lambda s, a, n, r: [*s.in_range(n[0], r[0]), *s.in_range(n[1], r[1])],
        output=lambda s, a: (s.range(), s.range()),
        known=lambda s, a: [(s.tracked[0], s.tracked[1])],
        uses=("ranges.canonical", "ranges.meet"),
        may_be_none=True,
        case=f"{name} {row.width} {'taken' if taken else 'not taken'}",
    )


def _refined_facts(s: Setting, a: Arguments, n: Numbers) -> Formulas:
    name, width, left, right, taken = a
    condition = _condition(ROWS[name, width], n)
    outcome = condition if taken else terms.negation(condition)
    return [*s.in_range(n[0], left), *s.in_range(n[1], right), outcome]


def _decided(name: str, row: Row, refined: Contract) -> Contract:
    """The contract of `decided` for one condition and width; that of `refined` covers both outcomes."""

    def promises(s: Setting, a: Arguments, n: Numbers, result: bool | None) -> Formulas:
        return [] if result is None else [_condition(row, n) == terms.truth(result)]

    return Contract(
        "operators.decided",
        inputs=lambda s: (name, row.width, s.range(), s.range()),
        numbers=lambda s, a: (s.number(s.w), s.number(s.w)),
        facts=lambda s, a, n: [*s.in_range(n[0], a[2]), *s.in_range(n[1], a[3])],
        promises=promises,
        uses=(f"{refined.function} {refined.case}",),
        none_is_a_result=True,
        case=f"{name} {row.width}",
    )


def contracts() -> Iterator[Contract]:
    """The contracts of all operators and of the frames around them."""
    operators = {contract.case: contract for contract in _word_operators()}
    yield from operators.values()
    for (name, _), row in ROWS.items():
        if row.form is not Form.JUMP_IF:
            yield _frame(row, name, operators[name])
            continue
        taken, not_taken = (_refined(name, row, taken) for taken in (True, False))
        yield from (taken, not_taken, _decided(name, row, taken))


CONTRACTS = tuple(contracts())
