"""Bugs in legacy packet access (RFC 9669 section 5.5)."""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.conformance.mutation.accesses import in_network_order
from pybpftime.conformance.mutation.binding import (
    as_instruction,
    as_row,
    changing,
    numbered,
    register_below,
    skipped,
    with_fields,
)
from pybpftime.conformance.mutation.mutant import Bound, Kind, Seed
from pybpftime.engines.reference.steps import Binder, Step
from pybpftime.isa import Instruction, Row, sign_extend

SIZES = (1, 2, 4)


def seeds(row: Row) -> Iterator[Seed]:
    """The bugs of one row of this chapter."""
    yield Kind.NOTHING, "nothing", "it does nothing", skipped()
    r0, bits = numbered(0), 8 * row.size
    for size in SIZES:
        if size != row.size:
            yield Kind.SIZE, f"of-{size}", f"it reads {size} bytes, not {row.size}", as_row(size=size)
    if row.size > 1:
        turned = changing(r0, lambda before, after: in_network_order(row.size, after))
        yield Kind.BYTE_ORDER, "host-order", "the bytes are read in the order of the host", turned
    signed = changing(r0, lambda before, after: sign_extend(after, bits))
    yield Kind.SIGN, "sign-extends", "the sign is extended", signed
    yield Kind.OFF_BY_ONE, "value-plus-one", "the value is one too high", changing(r0, lambda before, after: after + 1)
    next_byte = as_instruction(with_fields(imm=lambda one: one.imm + 1))
    yield Kind.ADDRESS, "plus-one", "the byte behind the one meant is read", next_byte
    yield Kind.ADDRESS, "no-imm", "the immediate is ignored", as_instruction(with_fields(imm=lambda one: 0))
    if row.operand == "src_reg":
        yield Kind.ADDRESS, "no-register", "the register is ignored", as_row(operand="imm")
        yield Kind.REGISTER, "register-below", "the register below src is read (r0 for r0)", register_below("src_reg")
    yield Kind.BOUNDS, "goes-on", "outside the packet r0 is 0, and the program goes on", Bound(_going_on)
    for register in range(6, 10):
        cleared = changing(numbered(register), lambda before, after: 0)
        yield Kind.CALL, f"clobbers-r{register}", f"r{register} becomes 0", cleared


def _going_on(binder: Binder, slot: int, instruction: Instruction, row: Row) -> Step:
    machine, step, next_pc = binder.machine, binder.bind(slot, instruction, row), binder.base + slot + 1

    def goes_on() -> int:
        index = machine.registers[instruction.src_reg] if row.operand == "src_reg" else 0
        if machine.context.load_legacy((instruction.imm + (index or 0)) & 0xFFFF_FFFF, row.size) is not None:
            return step()
        machine.registers[0] = 0
        return next_pc

    return goes_on
