"""Bugs in division and modulo (RFC 9669 section 4.1): zero, overflow, rounding, signs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pybpftime.conformance.mutation.meaning import absolute, computing, is_negative, is_zero, meaning
from pybpftime.conformance.mutation.mutant import Bound, Compute, Kind, Pure
from pybpftime.engines.reference.steps import Binder, Step
from pybpftime.errors import Fault, FaultKind
from pybpftime.isa import Instruction, Row


def pure(row: Row) -> Iterator[Pure]:
    """The bugs of one row that divides."""
    operation = row.name.partition("_")[0]
    compute = row.compute
    assert compute is not None

    def on(condition: Compute, value: Compute) -> Compute:
        return computing(row, lambda n, d, s: n.select(condition(n, d, s), value(n, d, s), compute(n, d, s)))

    def by_zero(n: Any, dst: Any, operand: Any) -> Any:
        return is_zero(n, operand)

    is_quotient = "div" in operation
    yield Kind.LIMIT, "zero-ones", "a divisor of 0 gives all ones", on(by_zero, lambda n, d, s: n.const(-1))
    if is_quotient:
        yield Kind.LIMIT, "zero-dst", "a divisor of 0 leaves dst", on(by_zero, lambda n, d, s: d)
    else:
        yield Kind.LIMIT, "zero-zero", "a divisor of 0 gives 0", on(by_zero, lambda n, d, s: n.const(0))
    if row.width == 32:
        yield from _of_zero_in_one_half(row)
    if operation.startswith("s"):
        yield from _of_signed_division(row, is_quotient, on)


def _of_zero_in_one_half(row: Row) -> Iterator[Pure]:
    whole = meaning(row)

    def untouched(m: Any, dst: Any, operand: Any) -> Any:
        return m.select(is_zero(m, m.low(operand, 32)), dst, whole(m, dst, operand))

    def unguarded(m: Any, dst: Any, operand: Any) -> Any:
        missed = m.select(is_zero(m, operand), whole(m, dst, operand), m.const(0xFFFF_FFFF))
        return m.select(is_zero(m, m.low(operand, 32)), missed, whole(m, dst, operand))

    yield Kind.ZERO_EXTENSION, "zero-untouched", "a divisor of 0 leaves all 64 bits of dst", untouched
    if row.operand != "imm":
        yield Kind.LIMIT, "zero-test-64", "a divisor counts as 0 only when its upper half is 0 too", unguarded


def _of_signed_division(row: Row, is_quotient: bool, on: Any) -> Iterator[Pure]:
    def overflows(n: Any, dst: Any, operand: Any) -> Any:
        is_least = n.equal(dst, n.const(1 << (row.width - 1)))
        return n.equal(n.select(is_least, operand, n.const(0)), n.const(-1))

    if is_quotient:
        yield Kind.LIMIT, "overflow-zero", "MIN / -1 is 0", on(overflows, lambda n, d, s: n.const(0))
        largest = (1 << (row.width - 1)) - 1
        yield Kind.LIMIT, "overflow-max", "MIN / -1 is MAX", on(overflows, lambda n, d, s: n.const(largest))
        yield Kind.LIMIT, "overflow-ones", "MIN / -1 is -1", on(overflows, lambda n, d, s: n.const(-1))
    else:
        yield Kind.LIMIT, "overflow-min", "MIN % -1 is MIN", on(overflows, lambda n, d, s: d)
        yield Kind.LIMIT, "overflow-ones", "MIN % -1 is -1", on(overflows, lambda n, d, s: n.const(-1))

    def differs(n: Any, dst: Any, operand: Any) -> Any:
        """Whether truncation and flooring differ: a remainder, and operands of different signs."""
        rest = n.select(is_zero(n, operand), n.const(0), n.smod(dst, operand))
        return is_negative(n, n.select(is_zero(n, rest), n.const(0), n.bitwise_xor(rest, operand)))

    def floored(n: Any, dst: Any, operand: Any) -> Any:
        if is_quotient:
            return n.sub(n.sdiv(dst, operand), n.const(1))
        return n.add(n.smod(dst, operand), operand)

    yield Kind.LIMIT, "floored", "it rounds down, not toward zero", on(differs, floored)

    def magnitude(n: Any, dst: Any, operand: Any) -> Any:
        a, b = absolute(n, dst), absolute(n, operand)
        return n.udiv(a, b) if is_quotient else n.umod(a, b)

    yield Kind.SIGN, "magnitude", "the sign of the result is lost", computing(row, magnitude)


def trapping_on_zero() -> Bound:
    """A divisor of 0 is a fault."""

    def bind(binder: Binder, slot: int, instruction: Instruction, row: Row) -> Step:
        step, registers, m = binder.bind(slot, instruction, row), binder.machine.registers, binder.algebras[row.width]

        def guarded() -> int:
            divisor = instruction.imm if row.operand == "imm" else registers[instruction.src_reg]
            if m.narrow(divisor or 0) == 0:
                raise Fault(FaultKind.INSTRUCTION, "division by zero")
            return step()

        return guarded

    return Bound(bind)
