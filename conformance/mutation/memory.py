"""Bugs in loads and stores (RFC 9669 sections 5.1 and 5.2), and in those that keep an order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pybpftime.conformance.mutation.accesses import LOADS, address_of, addresses, bounds, in_network_order, neighbours
from pybpftime.conformance.mutation.binding import (
    around,
    as_instruction,
    as_row,
    changing,
    dst,
    register_below,
    skipped,
    with_fields,
)
from pybpftime.conformance.mutation.mutant import Bound, Computed, Kind, Pure, Seed
from pybpftime.engines.reference.steps import Binder, Step
from pybpftime.isa import Form, Instruction, Row, sign_extend
from pybpftime.isa.encoding import MASK64

SIZES = (1, 2, 4, 8)


def seeds(row: Row) -> Iterator[Seed]:
    """The bugs of one row of these chapters."""
    yield Kind.NOTHING, "nothing", "it does nothing", skipped()
    yield from addresses(row)
    yield from bounds(row)
    for size in SIZES:
        if size != row.size:
            yield Kind.SIZE, f"of-{size}", f"it accesses {size} bytes, not {row.size}", as_row(size=size)
    if row.form not in LOADS:
        yield from _stores(row)
    elif row.form is Form.LOAD_ACQUIRE:
        yield from _ordered_loads(row)
    else:
        for kind, name, sentence, compute in _loaded_values(row):
            yield kind, name, sentence, Computed(compute)
    if row.form in LOADS and row.size < 8:
        sentence, mask = "only the bytes that were read are replaced in dst", (1 << 8 * row.size) - 1
        kept = changing(dst, lambda before, after: before & ~mask | after & mask)
        yield Kind.ZERO_EXTENSION, "partial", sentence, kept


# --- loads ------------------------------------------------------------------------------------------------------------


def _loaded_values(row: Row) -> Iterator[Pure]:
    bits, compute = 8 * row.size, row.compute
    assert compute is not None
    is_signed = row.name.startswith("ldxs")
    if bits < 64:
        if is_signed:
            yield Kind.SIGN, "zero-extends", "the sign is not extended", lambda m, value: value
            yield (
                Kind.WIDTH,
                "extends-to-32",
                "the sign reaches bit 31 only",
                lambda m, v: m.low(m.sign_extend(v, bits), 32),
            )
            sentence = "the sign is taken from the bit below"
            yield Kind.OFF_BY_ONE, "sign-of-bit-below", sentence, lambda m, v: m.sign_extend(v, bits - 1)
        else:
            yield Kind.SIGN, "sign-extends", "the sign is extended", lambda m, value: m.sign_extend(value, bits)
            if bits < 32:
                sentence = "the sign is extended to 32 bits"
                yield Kind.SIGN, "sign-extends-to-32", sentence, lambda m, v: m.low(m.sign_extend(v, bits), 32)
    if bits > 8:
        sentence = "the bytes are read in network order"
        yield Kind.BYTE_ORDER, "network-order", sentence, lambda m, value: compute(m, m.byte_swap(value, bits))
    yield Kind.OFF_BY_ONE, "value-plus-one", "the value is one too high", lambda m, v: m.add(compute(m, v), m.const(1))
    yield Kind.WIDTH, "top-bit", f"bit {bits - 1} of the value is lost", lambda m, v: m.low(v, bits - 1)


def _ordered_loads(row: Row) -> Iterator[Seed]:
    if row.size < 8:
        signed = changing(dst, lambda before, after: sign_extend(after, 8 * row.size))
        yield Kind.SIGN, "sign-extends", "the sign is extended", signed
    if row.size > 1:
        swapped = changing(dst, lambda before, after: in_network_order(row.size, after))
        yield Kind.BYTE_ORDER, "network-order", "the bytes are read in network order", swapped
    next_one = changing(dst, lambda before, after: after + 1)
    yield Kind.OFF_BY_ONE, "value-plus-one", "the value is one too high", next_one


# --- stores -----------------------------------------------------------------------------------------------------------


def _stores(row: Row) -> Iterator[Seed]:
    bits = 8 * row.size
    yield from neighbours(row)
    if row.operand == "imm":
        one_more = as_instruction(with_fields(imm=lambda one: one.imm + 1))
        yield Kind.OFF_BY_ONE, "value-plus-one", "the value is one too high", one_more
        register = as_row(operand="src_reg")
        yield Kind.REGISTER, "register-for-imm", "a register is stored for the immediate", register
        if row.size > 1:
            short = as_instruction(with_fields(imm=lambda one: sign_extend(one.imm, bits // 2 if bits < 64 else 16)))
            yield Kind.IMMEDIATE, "short-imm", "only a part of the immediate is stored", short
        if row.size == 8:
            unsigned = as_instruction(with_fields(imm=lambda one: one.imm & 0xFFFF_FFFF))
            yield Kind.IMMEDIATE, "imm-zero-extended", "the immediate is zero-extended", unsigned
    else:
        immediate = as_row(operand="imm", form=Form.STORE)
        yield Kind.REGISTER, "imm-for-register", "the immediate is stored for the register", immediate
        below = register_below("src_reg")
        yield Kind.REGISTER, "register-below", "the register below src is stored (r0 for r0)", below
        yield Kind.OFF_BY_ONE, "value-plus-one", "the value is one too high", _storing(lambda value: value + 1)
        if row.size == 8:
            low = _storing(lambda value: value & 0xFFFF_FFFF)
            yield Kind.WIDTH, "low-half", "only the low half of src is stored, zero-extended", low
            signed = _storing(lambda value: sign_extend(value, 32))
            yield Kind.WIDTH, "low-half-signed", "only the low half of src is stored, sign-extended", signed
    if row.size > 1:
        order = around(_swapping)
        yield Kind.BYTE_ORDER, "network-order", "the bytes are stored in network order", order


def _storing(change: Callable[[int], int]) -> Bound:
    """The source register holds something else during the store; it is not the base in a case that tells."""

    def make(binder: Binder, instruction: Instruction, row: Row, step: Step) -> Step:
        registers, src_reg = binder.machine.registers, instruction.src_reg

        def changed() -> int:
            value = registers[src_reg] or 0
            registers[src_reg] = change(value) & MASK64
            try:
                return step()
            finally:
                registers[src_reg] = value

        return changed

    return around(make)


def _swapping(binder: Binder, instruction: Instruction, row: Row, step: Step) -> Step:
    memory = binder.machine.memory

    def swapped() -> int:
        address = address_of(binder, instruction)
        pc = step()
        memory.store(address, row.size, in_network_order(row.size, memory.load(address, row.size)))
        return pc

    return swapped
