"""Bugs that every access to memory may have: the wrong address, a missing trap, a neighbour that is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from pybpftime.conformance.mutation.binding import (
    around,
    as_instruction,
    exchanged,
    no_trap,
    register_below,
    with_fields,
)
from pybpftime.conformance.mutation.mutant import Bound, Kind, Seed
from pybpftime.engines.reference.steps import Binder, Step
from pybpftime.errors import Fault, FaultKind
from pybpftime.isa import Form, Instruction, Row, sign_extend
from pybpftime.isa.encoding import MASK64
from pybpftime.machine.memory import NULL_PAGE

LOADS = (Form.LOAD, Form.LOAD_ACQUIRE)


def addresses(row: Row) -> Iterator[Seed]:
    """Another address than base and offset."""
    base = "src_reg" if row.form in LOADS else "dst_reg"

    def at(offset: Callable[[Instruction], int]) -> Bound:
        return as_instruction(with_fields(offset=offset))

    edits: tuple[tuple[str, str, Callable[[Instruction], int]], ...] = (
        ("no-offset", "the offset is ignored", lambda one: 0),
        ("plus-one", "the address is one too high", lambda one: one.offset + 1),
        ("minus-one", "the address is one too low", lambda one: one.offset - 1),
        ("unsigned-offset", "the offset is never negative", lambda one: one.offset & 0xFFFF),
        ("8-bit-offset", "only 8 bits of the offset are read", lambda one: sign_extend(one.offset, 8)),
        ("scaled-offset", "the offset counts words, not bytes", lambda one: one.offset * max(row.size, 2)),
    )
    for name, sentence, edit in edits:
        yield Kind.ADDRESS, name, sentence, at(edit)
    below = register_below(base)
    yield Kind.REGISTER, "base-below", "the register below the base is read (r0 for r0)", below
    if "src" in row.reads or row.form in LOADS:
        yield Kind.SWAPPED, "swapped", "dst and src change places", as_instruction(exchanged)


def bounds(row: Row) -> Iterator[Seed]:
    """Accesses outside of memory that go on."""

    def result(row: Row, instruction: Instruction) -> int | None:
        return instruction.dst_reg if row.form in LOADS else None

    def null(fault: Fault) -> bool:
        return fault.kind is FaultKind.MEMORY and fault.address is not None and fault.address < NULL_PAGE

    def past(fault: Fault) -> bool:
        return fault.region is not None and fault.distance is not None and (fault.address or 0) % (1 << 32) < (1 << 31)

    def before(fault: Fault) -> bool:
        return fault.region is not None and fault.distance is not None and not past(fault)

    what = "gives 0" if row.form in LOADS else "does nothing"
    for name, where, ignored in (
        ("null", "at a null pointer", null),
        ("past-the-end", "past the end of memory", past),
        ("before-the-start", "before the start of memory", before),
    ):
        change = no_trap(ignored, result)
        yield Kind.BOUNDS, name, f"an access {where} {what}", change


def neighbours(row: Row) -> Iterator[Seed]:
    """Bytes beside those that are meant change too."""

    def clobbering(distance: int) -> Bound:
        def make(binder: Binder, instruction: Instruction, row: Row, step: Step) -> Step:
            def clobbers() -> int:
                address = address_of(binder, instruction)
                pc = step()
                with suppress(Fault):  # there may be no neighbour
                    binder.machine.memory.store((address + distance) & MASK64, 1, 0xA5)
                return pc

            return clobbers

        return around(make)

    yield Kind.NEIGHBOUR, "byte-behind", "the byte behind is overwritten", clobbering(row.size)
    yield Kind.NEIGHBOUR, "byte-before", "the byte before is overwritten", clobbering(-1)


def address_of(binder: Binder, instruction: Instruction) -> int:
    """Where the instruction writes, its base being dst."""
    return ((binder.machine.registers[instruction.dst_reg] or 0) + instruction.offset) & MASK64


def in_network_order(size: int, value: int) -> int:
    """The low `size` bytes, the other way round."""
    return int.from_bytes((value & ((1 << 8 * size) - 1)).to_bytes(size, "little"), "big")
