"""Bugs in 64-bit immediates (RFC 9669 section 5.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pybpftime.conformance.mutation.binding import as_instruction, changing, dst, register_below, skipped, with_fields
from pybpftime.conformance.mutation.mutant import Bound, Kind, Seed
from pybpftime.engines.reference.steps import Binder, Step
from pybpftime.isa import Immediate, Instruction, Row
from pybpftime.isa.encoding import SLOT_BYTES


def seeds(row: Row) -> Iterator[Seed]:
    """The bugs of one row of this chapter; none of rows that mean nothing without Linux."""
    if row.immediate in (Immediate.MAP_BY_FD, Immediate.MAP_VALUE_BY_FD, Immediate.VARIABLE):
        return
    yield Kind.NOTHING, "nothing", "dst stays as it is", skipped()
    yield Kind.REGISTER, "dst-below", "the register below dst is written (r0 for r0)", register_below("dst_reg")
    match row.immediate:
        case Immediate.VALUE:
            yield from _values()
        case Immediate.CODE:
            far = changing(dst, lambda before, after: after + SLOT_BYTES)
            yield Kind.TARGET, "plus-one", "the function begins one slot too late", far
            near = changing(dst, lambda before, after: after - SLOT_BYTES)
            yield Kind.TARGET, "minus-one", "the distance is counted from the instruction itself", near
        case Immediate.MAP_BY_INDEX | Immediate.MAP_VALUE_BY_INDEX:
            low = changing(dst, lambda before, after: after & 0xFFFF_FFFF)
            yield Kind.WIDTH, "low-half", "only the low half of the address is loaded", low
    if row.immediate is Immediate.MAP_VALUE_BY_INDEX:
        one_more = changing(dst, lambda before, after: after + 1)
        yield Kind.ADDRESS, "plus-one", "the address is one too high", one_more


def _values() -> Iterator[Seed]:
    def of(low: Callable[[Instruction], int], high: Callable[[Instruction], int]) -> Bound:
        return as_instruction(with_fields(imm=low, next_imm=high))

    def low(one: Instruction) -> int:
        return one.imm

    def high(one: Instruction) -> int:
        return one.next_imm or 0

    def zero(one: Instruction) -> int:
        return 0

    def sign(one: Instruction) -> int:
        return one.imm >> 31

    yield Kind.SWAPPED, "swapped", "the halves change places", of(high, low)
    yield Kind.WIDTH, "low-half", "the upper half is 0", of(low, zero)
    yield Kind.WIDTH, "low-half-signed", "the lower half is sign-extended, the second slot is not read", of(low, sign)
    yield Kind.WIDTH, "high-half", "the lower half is 0", of(zero, high)
    yield Kind.WIDTH, "low-twice", "the lower half is loaded into both halves", of(low, low)
    sentence = "the lower half is sign-extended before the upper half is or-ed to it"
    yield Kind.SIGN, "or-signed", sentence, of(low, lambda one: high(one) | sign(one))
    sentence = "the lower half is sign-extended before the upper half is added to it"
    yield Kind.SIGN, "added-signed", sentence, of(low, lambda one: high(one) + sign(one))
    yield Kind.SIGN, "top-bit", "bit 63 is lost", of(low, lambda one: high(one) & 0x7FFF_FFFF)
    yield Kind.OFF_BY_ONE, "plus-one", "the value is one too high", changing(dst, lambda before, after: after + 1)
    yield Kind.TARGET, "one-slot", "the second slot is executed as well", Bound(_into_second_slot)


def _into_second_slot(binder: Binder, slot: int, instruction: Instruction, row: Row) -> Step:
    step = binder.bind(slot, instruction, row)
    return lambda: step() - 1
