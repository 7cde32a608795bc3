"""Bugs in arithmetic, moves and byte swaps (RFC 9669 sections 4.1 and 4.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pybpftime.conformance.mutation import division, moves, operands, shifts
from pybpftime.conformance.mutation.binding import exchanged
from pybpftime.conformance.mutation.meaning import (
    at,
    computing,
    meaning,
    upper,
    with_operands,
    with_result,
)
from pybpftime.conformance.mutation.moves import operation_of
from pybpftime.conformance.mutation.mutant import Bound, Compute, Computed, Kind, Pure, Seed, row_computing
from pybpftime.isa import BY_NAME, Form, Row

# Operation -> those that it is easily taken for: name and kind of mistake.
NEIGHBOURS: Mapping[str, tuple[tuple[str, Kind], ...]] = {
    "add": (("sub", Kind.OPERATION), ("or", Kind.OPERATION), ("xor", Kind.OPERATION)),
    "sub": (("add", Kind.OPERATION), ("xor", Kind.OPERATION)),
    "mul": (("add", Kind.OPERATION), ("and", Kind.OPERATION)),
    "div": (("sdiv", Kind.SIGN), ("mod", Kind.OPERATION), ("rsh", Kind.OPERATION)),
    "sdiv": (("div", Kind.SIGN), ("smod", Kind.OPERATION)),
    "or": (("xor", Kind.OPERATION), ("and", Kind.OPERATION), ("add", Kind.OPERATION)),
    "and": (("or", Kind.OPERATION), ("xor", Kind.OPERATION)),
    "lsh": (("rsh", Kind.OPERATION), ("mul", Kind.OPERATION)),
    "rsh": (("arsh", Kind.SIGN), ("lsh", Kind.OPERATION)),
    "mod": (("smod", Kind.SIGN), ("div", Kind.OPERATION)),
    "smod": (("mod", Kind.SIGN), ("sdiv", Kind.OPERATION)),
    "xor": (("or", Kind.OPERATION), ("and", Kind.OPERATION), ("add", Kind.OPERATION)),
    "arsh": (("rsh", Kind.SIGN), ("lsh", Kind.OPERATION)),
}
BYTE_SWAPS = "4.2"
"""The section of RFC 9669 whose rows have the bits that they work on in imm."""
DIVISIONS = ("div", "mod", "sdiv", "smod")


def seeds(row: Row) -> Iterator[Seed]:
    """The bugs of one row of these chapters."""
    operation = operation_of(row)
    pure = [*_anywhere(row), *operands.pure(row)]
    if row.width == 32:
        pure += [*_of_32_bits(row)]
    elif _bits(row) == 64:
        pure += [*_of_64_bits(row)]
    pure += [*_of_two(row, operation)] if row.form is Form.BINARY else [*moves.pure(row)]
    if operation in shifts.SHIFTS:
        pure += [*shifts.pure(row)]
    elif operation in DIVISIONS:
        pure += [*division.pure(row)]
        yield Kind.LIMIT, "zero-traps", "a divisor of 0 is a trap", division.trapping_on_zero()
    for kind, name, sentence, compute in pure:
        yield kind, name, sentence, Computed(compute)
    yield from operands.seeds(row)
    if row.operand == "src_reg":
        whole = meaning(row)
        turned = row_computing(row, lambda m, dst, operand: whole(m, operand, dst))
        change = Bound(lambda binder, slot, one, _: binder.bind(slot, exchanged(one), turned))
        yield Kind.REGISTER, "result-in-src", "the result goes to src", change


def _anywhere(row: Row) -> Iterator[Pure]:
    yield Kind.NOTHING, "nothing", "dst stays as it is", lambda m, dst, operand: dst
    next_one = _then(row, lambda m, value: m.add(value, m.const(1)))
    yield Kind.OFF_BY_ONE, "plus-one", "the result is one too high", next_one
    top = _bits(row) - 1
    yield Kind.WIDTH, "top-bit", f"bit {top} of the result is lost", _then(row, lambda m, value: m.low(value, top))
    if row.operand != "dst_reg":
        twice = with_operands(row, lambda m, dst, operand: (dst, dst))
        yield Kind.REGISTER, "dst-for-operand", "dst is read for the operand", twice


def _bits(row: Row) -> int:
    """The bits of a result that are not always 0."""
    return row.fixed["imm"] if row.section == BYTE_SWAPS else row.width


def _then(row: Row, change: Compute) -> Compute:
    """The meaning, its result changed at the row's width, before it is zero-extended."""
    whole, width = meaning(row), row.width

    def changed(m: Any, dst: Any, operand: Any) -> Any:
        n = at(m, width)
        return n.widen(change(n, n.narrow(whole(m, dst, operand))))

    return changed


def _of_64_bits(row: Row) -> Iterator[Pure]:
    low = with_result(row, lambda m, result, dst: m.low(result, 32))
    yield Kind.WIDTH, "low-half", "only the low half of the result is kept", low
    signed = with_result(row, lambda m, result, dst: m.sign_extend(result, 32))
    yield Kind.WIDTH, "low-half-signed", "the low half of the result is sign-extended", signed
    half = with_result(row, lambda m, result, dst: m.bitwise_or(upper(m, dst), m.low(result, 32)))
    yield Kind.WIDTH, "half-write", "only the low half of dst is replaced", half
    if row.operand != "dst_reg":
        low_operand = with_operands(row, lambda m, dst, operand: (dst, m.low(operand, 32)))
        yield Kind.WIDTH, "low-operand", "only the low half of the operand is read", low_operand
    if row.form is Form.BINARY:
        low_dst = with_operands(row, lambda m, dst, operand: (m.low(dst, 32), operand))
        yield Kind.WIDTH, "low-dst", "only the low half of dst is read", low_dst


def _of_32_bits(row: Row) -> Iterator[Pure]:
    assert row.compute is not None
    kept = with_result(row, lambda m, result, dst: m.bitwise_or(upper(m, dst), result))
    yield Kind.ZERO_EXTENSION, "keeps-upper-half", "the upper half of dst is kept", kept
    signed = with_result(row, lambda m, result, dst: m.sign_extend(result, 32))
    yield Kind.ZERO_EXTENSION, "sign-extends", "the result is sign-extended to 64 bits", signed
    ones = with_result(row, lambda m, result, dst: m.bitwise_or(result, m.const(-1 << 32)))
    yield Kind.ZERO_EXTENSION, "ones-extends", "the upper half of the result is all ones", ones
    wide = computing(row, row.compute, 64)
    yield Kind.WIDTH, "computes-64", "all 64 bits of the operands are computed with", wide
    if operation_of(row) in (*DIVISIONS, "rsh", "arsh"):
        yield from _of_unequal_widths(operation_of(row), wide)


def _of_unequal_widths(operation: str, wide: Compute) -> Iterator[Pure]:
    """A 32-bit operation whose upper bits reach the lower ones, done in 64 bits on operands that were not narrowed.

    One that is done on operands extended as the operation reads them is right, and no mutant.
    """

    def of(dst: Compute, operand: Compute) -> Compute:
        return lambda m, d, s: m.low(wide(m, dst(m, d), operand(m, s)), 32)

    def whole(m: Any, value: Any) -> Any:
        return value

    def low(m: Any, value: Any) -> Any:
        return m.low(value, 32)

    def signed(m: Any, value: Any) -> Any:
        return m.sign_extend(value, 32)

    yield Kind.WIDTH, "wide-dst", "all 64 bits of dst are read, 32 of the operand", of(whole, low)
    yield Kind.WIDTH, "wide-operand", "all 64 bits of the operand are read, 32 of dst", of(low, whole)
    yield Kind.WIDTH, "wide-both", "all 64 bits of both operands are read", of(whole, whole)
    yield Kind.SIGN, "signed-dst", "dst is sign-extended to 64 bits, the operand zero-extended", of(signed, low)
    yield Kind.SIGN, "signed-operand", "the operand is sign-extended to 64 bits, dst zero-extended", of(low, signed)
    if operation in ("sdiv", "smod", "arsh"):
        yield Kind.SIGN, "unsigned-both", "both operands are zero-extended to 64 bits", of(low, low)
    else:
        yield Kind.SIGN, "signed-both", "both operands are sign-extended to 64 bits", of(signed, signed)


def _of_two(row: Row, operation: str) -> Iterator[Pure]:
    whole = meaning(row)
    yield Kind.SWAPPED, "swapped", "dst and the operand change places", lambda m, dst, operand: whole(m, operand, dst)
    yield Kind.OPERATION, "mov", "the operand is moved", computing(row, lambda n, dst, operand: operand)
    suffix = row.name.partition("_")[2]
    narrow = "32" if row.width == 32 else ""
    for other, kind in NEIGHBOURS[operation]:
        yield kind, other, f"it is done as {other}", meaning(BY_NAME[f"{other}{narrow}_{suffix}"])
    for half in sorted({row.width // 2, 16, 8}) if operation in ("add", "sub") else ():
        yield Kind.CARRY, f"carry-{half}", f"no carry passes from bit {half - 1}", _without_carry(row, half)
    if operation == "mul":
        half = row.width // 2
        sentence = f"only the low {half} bits of the operands are multiplied"
        yield Kind.WIDTH, "low-parts", sentence, with_operands(row, lambda m, d, s: (m.low(d, half), m.low(s, half)))


def _without_carry(row: Row, bits: int) -> Compute:
    """The low `bits` and those above are computed each for itself."""
    compute = row.compute
    assert compute is not None

    def parts(n: Any, dst: Any, operand: Any) -> Any:
        mask = n.const(-1 << bits)
        above = compute(n, n.bitwise_and(dst, mask), n.bitwise_and(operand, mask))
        below = compute(n, n.low(dst, bits), n.low(operand, bits))
        return n.bitwise_or(n.bitwise_and(above, mask), n.low(below, bits))

    return computing(row, parts)
