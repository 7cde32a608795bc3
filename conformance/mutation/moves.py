"""Bugs in moves, negation and byte swaps (RFC 9669 sections 4.1 and 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pybpftime.conformance.mutation.meaning import absolute, computing, is_negative, meaning, with_result
from pybpftime.conformance.mutation.mutant import Compute, Kind, Pure
from pybpftime.isa import BY_NAME, Row

SWAP_BITS = (16, 32, 64)


def pure(row: Row) -> Iterator[Pure]:
    """The bugs of one row with one operand."""
    operation = operation_of(row)
    if operation == "neg":
        yield from _negations(row)
    elif operation == "movsx":
        yield from _sign_extensions(row, row.fixed["offset"])
    elif operation != "mov":
        yield from _swaps(row, operation, row.fixed["imm"])


def operation_of(row: Row) -> str:
    """`mov` of mov32_imm, `bswap` of bswap16, `movsx` of movsx832_reg."""
    return row.name.partition("_")[0].rstrip("0123456789")


def _negations(row: Row) -> Iterator[Pure]:
    complement = computing(row, lambda n, dst: n.sub(n.const(-1), dst))
    yield Kind.OPERATION, "complement", "every bit is turned over", complement
    yield Kind.SIGN, "absolute", "only numbers below 0 change their sign", computing(row, absolute)
    sign_bit = computing(row, lambda n, dst: n.bitwise_xor(dst, n.const(1 << (n.width - 1))))
    yield Kind.SIGN, "sign-bit", "only the sign bit is turned over", sign_bit


def _sign_extensions(row: Row, bits: int) -> Iterator[Pure]:
    def extending(other: int) -> Compute:
        return computing(row, lambda n, src: n.sign_extend(src, other))

    for other in (8, 16, 32):
        if other != bits and other < row.width:
            yield Kind.SIZE, f"from-{other}", f"{other} bits are extended, not {bits}", extending(other)
    yield Kind.OFF_BY_ONE, "sign-of-bit-below", "the sign is taken from the bit below", extending(bits - 1)
    yield Kind.SIGN, "zero-extends", "the sign is not extended", computing(row, lambda n, s: n.low(s, bits))
    yield Kind.NOTHING, "mov", "all bits are moved", computing(row, lambda n, s: s)
    if row.width == 64 and bits < 32:
        sentence = "the sign reaches bit 31 only"
        yield Kind.WIDTH, "to-32", sentence, computing(row, lambda n, s: n.low(n.sign_extend(s, bits), 32))
    if bits > 8:

        def by_byte(n: Any, value: Any) -> Any:
            is_minus = is_negative(n, n.sign_extend(value, 8))
            return n.select(is_minus, n.bitwise_or(value, n.const(-1 << bits)), n.low(value, bits))

        yield Kind.SIGN, "sign-of-byte", "the sign is that of the lowest byte", computing(row, by_byte)


def _swaps(row: Row, operation: str, bits: int) -> Iterator[Pure]:
    for other in SWAP_BITS:
        if other != bits:
            sentence = f"it works on {other} bits, not {bits}"
            yield Kind.SIZE, f"of-{other}", sentence, meaning(BY_NAME[f"{operation}{other}"])
    if operation == "le":
        yield Kind.BYTE_ORDER, "swaps", "the bytes are reversed", lambda m, dst, operand: m.byte_swap(dst, bits)
    else:
        yield Kind.BYTE_ORDER, "no-swap", "the bytes stay in their order", lambda m, dst, operand: m.low(dst, bits)
    if bits > 16:
        sentence = "the bytes of each 16 bits change places"
        yield Kind.BYTE_ORDER, "swaps-pairs", sentence, lambda m, dst, operand: m.low(_pairs(m, dst), bits)
    if bits < 64:
        mask = -1 << bits

        def untruncated(m: Any, value: Any, dst: Any) -> Any:
            return m.bitwise_or(m.bitwise_and(dst, m.const(mask)), value)

        yield Kind.ZERO_EXTENSION, "untruncated", f"bits {bits} and above stay", with_result(row, untruncated)
        sentence = "the result is sign-extended"
        yield Kind.SIGN, "sign-extends", sentence, with_result(row, lambda m, v, d: m.sign_extend(v, bits))


def _pairs(m: Any, value: Any) -> Any:
    """Bytes 0 and 1 change places, 2 and 3, and so on."""
    eight, odd = m.const(8), m.const(0xFF00_FF00_FF00_FF00)
    low = m.shift_right(m.bitwise_and(value, odd), eight)
    return m.bitwise_or(low, m.bitwise_and(m.shift_left(value, eight), odd))
