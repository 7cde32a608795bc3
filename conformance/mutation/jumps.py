"""Bugs in jumps, calls and exit (RFC 9669 section 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from pybpftime.conformance.mutation import operands
from pybpftime.conformance.mutation.binding import (
    after,
    around,
    as_instruction,
    before,
    changing,
    exchanged,
    numbered,
    register_below,
    skipped,
    with_fields,
)
from pybpftime.conformance.mutation.meaning import computing, is_negative, meaning
from pybpftime.conformance.mutation.mutant import Bound, Compute, Computed, Kind, Pure, Seed
from pybpftime.engines.reference.steps import Binder, Exited, Step
from pybpftime.isa import BY_NAME, Form, Instruction, Row, sign_extend
from pybpftime.isa.encoding import MASK64, SLOT_BYTES
from pybpftime.isa.row import jump_field
from pybpftime.machine import Machine

CONDITIONS: Mapping[str, tuple[str, ...]] = {
    "jeq": ("jne", "jsge", "jge", "jset"),
    "jne": ("jeq", "jgt", "jlt", "jset"),
    "jset": ("jeq", "jne"),
    "jgt": ("jge", "jsgt", "jlt", "jle", "jne"),
    "jge": ("jgt", "jsge", "jlt", "jle", "jeq"),
    "jlt": ("jle", "jslt", "jgt", "jge", "jne"),
    "jle": ("jlt", "jsle", "jgt", "jge", "jeq"),
    "jsgt": ("jsge", "jgt", "jslt", "jsle", "jne"),
    "jsge": ("jsgt", "jge", "jslt", "jsle", "jeq"),
    "jslt": ("jsle", "jlt", "jsgt", "jsge", "jne"),
    "jsle": ("jslt", "jle", "jsgt", "jsge", "jeq"),
}
"""Conditions that one is easily taken for: its opposite, the one beside it, of the other sign, of swapped operands."""
CALLEE_SAVED = range(6, 10)
ARGUMENTS = range(1, 6)


def seeds(row: Row) -> Iterator[Seed]:
    """The bugs of one row of this chapter.  How often may_goto falls through is nowhere said."""
    if row.form is Form.JUMP_IF:
        for kind, name, sentence, compute in (*_conditions(row), *_widths(row), *operands.pure(row)):
            yield kind, name, sentence, Computed(compute)
        yield from operands.seeds(row)
    if row.jumps:
        yield Kind.NOTHING, "nothing", "it never jumps", skipped()
        yield from _targets(row)
    match row.form:
        case Form.JUMP_REGISTER:
            yield from _of_addresses()
        case Form.CALL_LOCAL:
            yield Kind.NOTHING, "nothing", "it goes on with the next instruction", skipped()
            yield from _targets(row)
            yield from _calls()
        case Form.CALL_REGISTER:
            yield from _of_addresses()
            yield from _calls()
        case Form.CALL_HELPER:
            yield from _helper_calls()
        case Form.EXIT:
            yield from _exits()


# --- conditions -------------------------------------------------------------------------------------------------------


def _conditions(row: Row) -> Iterator[Pure]:
    name, _, source = row.name.partition("_")
    condition, narrow = name.removesuffix("32"), "32" if row.width == 32 else ""
    for other in CONDITIONS[condition]:
        signs = condition.replace("js", "j") == other.replace("js", "j")
        kind = Kind.SIGN if signs and condition != "jset" else Kind.CONDITION
        yield kind, other, f"it jumps as {other} does", meaning(BY_NAME[f"{other}{narrow}_{source}"])
    yield Kind.CONDITION, "always", "it always jumps", lambda m, dst, operand: m.equal(m.const(0), m.const(0))
    whole = meaning(row)
    yield Kind.SWAPPED, "swapped", "dst and the operand change places", lambda m, dst, operand: whole(m, operand, dst)
    if condition == "jset":
        every = computing(row, lambda n, d, s: n.equal(n.bitwise_and(d, s), s))
        yield Kind.CONDITION, "all-bits", "it wants all bits of the operand to be set", every
        lowest = computing(row, lambda n, d, s: n.not_equal(n.low(n.bitwise_and(d, s), 1), n.const(0)))
        yield Kind.CONDITION, "lowest-bit", "it looks at the lowest bit only", lowest
    if condition in ("jslt", "jsgt", "jsle", "jsge", "jlt", "jgt", "jle", "jge"):
        sentence = "the sign of the difference is taken for the comparison, which may overflow"
        yield Kind.CARRY, "difference", sentence, computing(row, partial(_by_difference, condition[-2:]))


def _by_difference(condition: str, n: Any, dst: Any, operand: Any) -> Any:
    """A comparison by subtracting: right as long as nothing overflows."""
    difference = n.sub(operand, dst) if condition in ("gt", "le") else n.sub(dst, operand)
    below = is_negative(n, difference)
    return below if condition in ("lt", "gt") else n.not_equal(n.select(below, n.const(1), n.const(0)), n.const(1))


def _widths(row: Row) -> Iterator[Pure]:
    assert row.compute is not None

    right, wide = meaning(row), computing(row, row.compute, 64)

    def low(bits: int) -> Compute:
        return lambda m, value: m.low(value, bits)

    top = row.width - 1
    yield Kind.WIDTH, "top-bit", f"bit {top} is not compared", _of(right, low(top), low(top))
    if row.width == 64:
        yield Kind.WIDTH, "low-half", "only the low halves are compared", computing(row, row.compute, 32)
        yield Kind.WIDTH, "high-half", "only the upper halves are compared", _of(right, _high, _high)
        yield Kind.WIDTH, "low-dst", "only the low half of dst is compared", _of(right, low(32), _all)
        if row.operand == "imm":
            yield Kind.IMMEDIATE, "imm-zero-extended", "the immediate is zero-extended", _of(right, _all, low(32))
        else:
            yield Kind.WIDTH, "low-operand", "only the low half of src is compared", _of(right, _all, low(32))
        return
    yield Kind.WIDTH, "computes-64", "all 64 bits are compared", wide
    yield Kind.WIDTH, "wide-dst", "all 64 bits of dst are compared", _of(wide, _all, low(32))
    yield Kind.WIDTH, "wide-operand", "all 64 bits of the operand are compared", _of(wide, low(32), _all)
    yield Kind.WIDTH, "low-16", "only 16 bits are compared", _of(right, low(16), low(16))


def _of(whole: Compute, dst: Compute, operand: Compute) -> Compute:
    return lambda m, d, s: whole(m, dst(m, d), operand(m, s))


def _all(m: Any, value: Any) -> Any:
    return value


def _high(m: Any, value: Any) -> Any:
    return m.shift_right(value, m.const(32))


# --- targets ----------------------------------------------------------------------------------------------------------


def _targets(row: Row) -> Iterator[Seed]:
    field = jump_field(row)
    other, bits = ("imm", 0xFFFF) if field == "offset" else ("offset", 0xFFFF_FFFF)

    def to(distance: Callable[[Instruction], int]) -> Bound:
        return as_instruction(with_fields(**{field: distance}))

    def right(one: Instruction) -> int:
        distance: int = getattr(one, field)
        return distance

    edits: tuple[tuple[str, str, Callable[[Instruction], int]], ...] = (
        ("plus-one", "the target is one slot too far", lambda one: right(one) + 1),
        ("minus-one", "the distance is counted from the instruction itself", lambda one: right(one) - 1),
        (f"{other}-for-{field}", f"the distance is read from {other}", lambda one: getattr(one, other)),
        ("unsigned", "the distance is never negative", lambda one: right(one) & bits),
        ("8-bits", "only 8 bits of the distance are read", lambda one: sign_extend(right(one), 8)),
        ("bytes", "the distance is taken for bytes", lambda one: right(one) // SLOT_BYTES),
    )
    for name, sentence, edit in edits:
        yield Kind.TARGET, name, sentence, to(edit)


def _of_addresses() -> Iterator[Seed]:
    yield Kind.NOTHING, "nothing", "it goes on with the next instruction", skipped()
    far = around(lambda binder, one, row, step: lambda: step() + 1)
    yield Kind.TARGET, "plus-one", "the target is one slot too far", far
    yield Kind.REGISTER, "src-for-dst", "the address is read from src", as_instruction(exchanged)
    below = register_below("dst_reg")
    yield Kind.REGISTER, "dst-below", "the register below dst is read (r0 for r0)", below


# --- calls and exit ---------------------------------------------------------------------------------------------------


def _calls() -> Iterator[Seed]:
    def returning(distance: int) -> Callable[[Machine, Instruction], None]:
        def hook(machine: Machine, instruction: Instruction) -> None:
            frame = machine.frames[-1]
            assert frame.return_pc is not None
            frame.return_pc += distance

        return hook

    yield Kind.CALL, "returns-later", "the function returns to the instruction after the next", after(returning(1))
    yield Kind.CALL, "returns-to-call", "the function returns to the call itself", after(returning(-1))
    yield Kind.CALL, "shared-frame", "the function works in its caller's frame", after(_share_frame)
    yield Kind.CALL, "no-return", "exit in the function ends the program", after(_forget_caller)
    for register in ARGUMENTS:
        lost = after(partial(_set, register, 0))
        yield Kind.CALL, f"loses-r{register}", f"the argument r{register} is lost", lost
    for register in CALLEE_SAVED:
        yield Kind.CALL, f"saves-no-r{register}", f"r{register} is not saved", after(partial(_save_zero, register))


def _set(register: int, value: int, machine: Machine, instruction: Instruction) -> None:
    machine.registers[register] = value


def _save_zero(register: int, machine: Machine, instruction: Instruction) -> None:
    frame = machine.frames[-1]
    frame.saved = tuple(0 if at == register else value for at, value in enumerate(frame.saved, CALLEE_SAVED[0]))


def _share_frame(machine: Machine, instruction: Instruction) -> None:
    machine.registers[10] = machine.frames[-1].saved[-1]


def _forget_caller(machine: Machine, instruction: Instruction) -> None:
    machine.frames[-1].return_pc = None


def _helper_calls() -> Iterator[Seed]:
    yield Kind.NOTHING, "nothing", "the helper is not called", skipped()
    yield (
        Kind.CALL,
        "loses-result",
        "r0 is not what the helper returned",
        changing(numbered(0), lambda before, after: 0),
    )
    yield (
        Kind.WIDTH,
        "low-result",
        "the upper half of the helper's result is lost",
        changing(numbered(0), lambda before, after: after & 0xFFFF_FFFF),
    )
    yield (
        Kind.CALL,
        "next-helper",
        "the helper after the one named is called",
        as_instruction(with_fields(imm=lambda one: one.imm + 1)),
    )
    for register in CALLEE_SAVED:
        sentence = f"r{register} does not outlive the call"
        yield Kind.CALL, f"clobbers-r{register}", sentence, changing(numbered(register), lambda b, a: 0)
    for register in ARGUMENTS:
        lost = before(partial(_set, register, 0))
        yield Kind.CALL, f"loses-r{register}", f"the argument r{register} is lost", lost


def _exits() -> Iterator[Seed]:
    def result(change: Callable[[int], int]) -> Bound:
        def hook(machine: Machine, instruction: Instruction) -> None:
            machine.registers[0] = change(machine.registers[0] or 0) & MASK64

        return before(hook)

    yield Kind.NOTHING, "nothing", "it goes on with the next instruction", skipped()
    yield Kind.RESULT, "zero", "0 is returned", result(lambda r0: 0)
    yield Kind.OFF_BY_ONE, "plus-one", "the result is one too high", result(lambda r0: r0 + 1)
    yield Kind.WIDTH, "low-half", "the upper half of the result is lost", result(lambda r0: r0 & 0xFFFF_FFFF)
    yield (
        Kind.WIDTH,
        "low-half-signed",
        "the low half of the result is sign-extended",
        result(lambda r0: sign_extend(r0, 32)),
    )
    yield Kind.REGISTER, "r1", "r1 is returned", before(_return_r1)
    yield Kind.RESULT, "ends", "it ends the program in a function too", around(_ending)
    for register in (*CALLEE_SAVED, 10):
        sentence = f"the caller's r{register} is not put back"
        yield Kind.CALL, f"restores-no-r{register}", sentence, before(partial(_keep, register))
    yield Kind.CALL, "restores-none", "none of the caller's r6 to r9 is put back", before(_keep_all)


def _return_r1(machine: Machine, instruction: Instruction) -> None:
    machine.registers[0] = machine.registers[1]


def _ending(binder: Binder, instruction: Instruction, row: Row, step: Step) -> Step:
    def ends() -> int:
        step()
        raise Exited

    return ends


def _keep(register: int, machine: Machine, instruction: Instruction) -> None:
    frame, registers = machine.frames[-1], machine.registers
    frame.saved = tuple(
        registers[at] if at == register else value for at, value in enumerate(frame.saved, CALLEE_SAVED[0])
    )


def _keep_all(machine: Machine, instruction: Instruction) -> None:
    for register in CALLEE_SAVED:
        _keep(register, machine, instruction)
