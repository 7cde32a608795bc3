"""What a row of a register form does, as one function of 64-bit values: what mutants of such rows are made from.

    meaning(row)(m, dst, operand)

`m` is a 64-bit algebra, `dst` the register, `operand` the other register or the sign-extended immediate.  The value is
what dst becomes, zero-extended where the row says so; for a conditional jump it is the condition.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pybpftime.conformance.mutation.mutant import Compute
from pybpftime.isa import Form, Row


def at(m: Any, width: int) -> Any:
    """The algebra of the same kind at another width."""
    return m if m.width == width else type(m)(width)


def meaning(row: Row) -> Compute:
    """The function above; the row's own form says how `compute` is called."""
    compute, width, form = row.compute, row.width, row.form
    assert compute is not None

    def whole(m: Any, dst: Any, operand: Any) -> Any:
        n = at(m, width)
        dst, operand = n.narrow(dst), n.narrow(operand)
        if form is Form.JUMP_IF:
            return compute(n, dst, operand)
        if form is Form.UNARY:
            return n.widen(compute(n, dst if row.operand == "dst_reg" else operand))
        return n.widen(compute(n, dst, operand))

    return whole


def computing(row: Row, compute: Compute, width: int | None = None) -> Compute:
    """The meaning that the row would have with another function, or at another width."""
    return meaning(replace(row, compute=compute, width=width or row.width))


def with_operands(row: Row, change: Compute) -> Compute:
    """The meaning, of other operands: `change(m, dst, operand)` gives both."""
    whole = meaning(row)
    return lambda m, dst, operand: whole(m, *change(m, dst, operand))


def with_result(row: Row, change: Compute) -> Compute:
    """The meaning, its result changed by `change(m, result, dst)`."""
    whole = meaning(row)
    return lambda m, dst, operand: change(m, whole(m, dst, operand), dst)


def is_zero(m: Any, value: Any) -> Any:
    """Whether a value is 0."""
    return m.equal(value, m.const(0))


def is_negative(m: Any, value: Any) -> Any:
    """Whether the sign of a value is set."""
    return m.signed_less(value, m.const(0))


def upper(m: Any, value: Any) -> Any:
    """The upper half of a 64-bit value, the lower half 0."""
    return m.bitwise_and(value, m.const(-1 << 32))


def absolute(m: Any, value: Any) -> Any:
    """A number without its sign; MIN stays."""
    return m.select(is_negative(m, value), m.sub(m.const(0), value), value)
