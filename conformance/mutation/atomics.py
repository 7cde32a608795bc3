"""Bugs in atomic operations (RFC 9669 section 5.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pybpftime.conformance.mutation.accesses import address_of, addresses, bounds, neighbours
from pybpftime.conformance.mutation.binding import after, around, as_row, changing, numbered, skipped, src
from pybpftime.conformance.mutation.meaning import is_zero
from pybpftime.conformance.mutation.mutant import Bound, Compute, Computed, Kind, Pure, Seed
from pybpftime.engines.reference.steps import Binder, Step
from pybpftime.isa import Instruction, Row, sign_extend
from pybpftime.machine import Machine

OTHERS = {"add": "or", "or": "xor", "and": "or", "xor": "or", "xchg": "or"}
"""Operation -> one that it is taken for."""


def seeds(row: Row) -> Iterator[Seed]:
    """The bugs of one row of this chapter."""
    yield Kind.NOTHING, "nothing", "it does nothing", skipped()
    yield from addresses(row)
    yield from bounds(row)
    yield from neighbours(row)
    for kind, name, sentence, compute in _combined_values(row):
        yield kind, name, sentence, Computed(compute)
    other = 12 - row.size
    yield Kind.SIZE, f"of-{other}", f"it works on {8 * other} bits", as_row(size=other, width=8 * other)
    if row.fetch:
        yield from _fetches(row)
    else:
        yield Kind.FETCH, "fetches", "the old value goes to src", as_row(fetch=True)
        yield Kind.FETCH, "stores-in-src", "the new value goes to src", _fetching_new(src)


# --- what memory becomes ----------------------------------------------------------------------------------------------


def _combined_values(row: Row) -> Iterator[Pure]:
    operation = row.name.removeprefix("lock_").removeprefix("fetch_").removesuffix("32")
    compute, bits = row.compute, row.width
    assert compute is not None
    half = bits // 2
    yield Kind.NOTHING, "unchanged", "memory stays as it is", lambda m, old, src, r0: old
    sentence = "what is stored is one too high"
    yield (
        Kind.OFF_BY_ONE,
        "value-plus-one",
        sentence,
        lambda m, old, src, r0: m.add(compute(m, old, src, r0), m.const(1)),
    )
    sentence = f"only the low {half} bits are changed"

    def halved(m: Any, old: Any, src: Any, r0: Any) -> Any:
        return m.bitwise_or(m.bitwise_and(old, m.const(-1 << half)), m.low(compute(m, old, src, r0), half))

    yield Kind.SIZE, "low-half", sentence, halved
    if operation == "cmpxchg":
        yield from _exchanged_values(half)
        return
    if operation != "xchg":
        yield Kind.OPERATION, "xchg", "the operand is stored", lambda m, old, src, r0: src
        yield Kind.OPERATION, "sub", "the operand is subtracted", lambda m, old, src, r0: m.sub(old, src)
    other = f"bitwise_{OTHERS[operation]}"
    sentence = f"it is done as {OTHERS[operation]}"
    yield Kind.OPERATION, OTHERS[operation], sentence, lambda m, old, src, r0: getattr(m, other)(old, src)


def _exchanged_values(half: int) -> Iterator[Pure]:
    def on(condition: Compute) -> Compute:
        return lambda m, old, src, r0: m.select(condition(m, old, r0), src, old)

    yield Kind.EXCHANGE, "always", "it always stores", lambda m, old, src, r0: src
    yield Kind.EXCHANGE, "unequal", "it stores when they differ", on(lambda m, old, r0: m.not_equal(old, r0))
    sentence = f"only the low {half} bits are compared"
    yield Kind.EXCHANGE, "compares-low", sentence, on(lambda m, old, r0: m.equal(m.low(old, half), m.low(r0, half)))
    sentence = f"only the high {half} bits are compared"
    high = on(lambda m, old, r0: m.equal(m.shift_right(old, m.const(half)), m.shift_right(r0, m.const(half))))
    yield Kind.EXCHANGE, "compares-high", sentence, high
    yield (
        Kind.EXCHANGE,
        "less",
        "it stores when memory is below r0 too",
        on(lambda m, old, r0: m.less_or_equal(old, r0)),
    )
    yield (
        Kind.EXCHANGE,
        "non-zero",
        "it stores nothing when r0 is 0",
        on(lambda m, old, r0: m.equal(m.select(is_zero(m, r0), m.bitwise_xor(old, m.const(-1)), old), r0)),
    )
    yield Kind.REGISTER, "stores-r0", "r0 is stored", lambda m, old, src, r0: m.select(m.equal(old, r0), r0, old)


# --- what registers become -------------------------------------------------------------------------------------------


def _fetches(row: Row) -> Iterator[Seed]:
    name, result = ("r0", numbered(0)) if "r0" in row.reads else ("src", src)
    yield Kind.FETCH, "no-fetch", f"{name} stays as it was", changing(result, lambda before, after: before)
    yield Kind.FETCH, "fetches-new", f"the new value goes to {name}", _fetching_new(result)
    one_more = changing(result, lambda before, after: after + 1)
    yield Kind.OFF_BY_ONE, "fetches-plus-one", f"{name} becomes one too high", one_more
    if row.width == 64:
        low = changing(result, lambda before, after: after & 0xFFFF_FFFF)
        yield Kind.WIDTH, "fetches-low", f"only the low half of the old value goes to {name}", low
    if name == "r0":
        yield from _exchanges(row)
    else:
        yield Kind.REGISTER, "fetches-to-r0", "the old value goes to r0 too", after(_copy_to_r0)


def _exchanges(row: Row) -> Iterator[Seed]:
    yield Kind.REGISTER, "fetches-to-src", "the old value goes to src too", after(_copy_to_src)
    if row.width == 64:
        return
    r0, mask = numbered(0), 0xFFFF_FFFF
    signed = changing(r0, lambda before, after: sign_extend(after, 32))
    yield Kind.ZERO_EXTENSION, "sign-extends", "r0 is sign-extended", signed
    kept = changing(r0, lambda before, after: before & ~mask | after)
    yield Kind.ZERO_EXTENSION, "keeps-upper-half", "the upper half of r0 stays", kept
    equal = changing(r0, lambda before, after: before if before & mask == after else after)
    yield Kind.ZERO_EXTENSION, "keeps-when-equal", "r0 stays as it was when memory equals it", equal
    different = changing(r0, lambda before, after: after if before & mask == after else before)
    yield Kind.FETCH, "keeps-when-different", "r0 stays as it was when memory differs", different
    yield Kind.EXCHANGE, "compares-64", "all 64 bits of r0 are compared", around(_comparing_64)


def _copy_to_r0(machine: Machine, instruction: Instruction) -> None:
    machine.registers[0] = machine.registers[instruction.src_reg]


def _copy_to_src(machine: Machine, instruction: Instruction) -> None:
    machine.registers[instruction.src_reg] = machine.registers[0]


def _fetching_new(result: Callable[[Instruction], int]) -> Bound:
    def make(binder: Binder, instruction: Instruction, row: Row, step: Step) -> Step:
        registers, memory = binder.machine.registers, binder.machine.memory

        def fetches_new() -> int:
            address = address_of(binder, instruction)
            pc = step()
            registers[result(instruction)] = memory.load(address, row.size)
            return pc

        return fetches_new

    return around(make)


def _comparing_64(binder: Binder, instruction: Instruction, row: Row, step: Step) -> Step:
    registers, memory = binder.machine.registers, binder.machine.memory

    def compares() -> int:
        address, is_wide = address_of(binder, instruction), (registers[0] or 0) >> 32
        old = memory.load(address, row.size)
        pc = step()
        if is_wide:
            memory.store(address, row.size, old)
        return pc

    return compares
