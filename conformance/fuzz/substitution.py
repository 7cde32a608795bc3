"""What may stand for an instruction whose effect is known: other instructions that do the same.

One run in the reference says what every instruction did.  An instruction that wrote 7 to r3 can be replaced by
`r3 = 7`, a jump that was taken by a `goto`, an atomic addition by stores of its result.  Each alternative is made of
other rows, so that a bug of one row is not in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pybpftime.conformance.fuzz.listing import Line, Lines, assembled, line, slots_of
from pybpftime.conformance.fuzz.reference import Exact, State
from pybpftime.isa import Form, Instruction, registers, sign_extend
from pybpftime.isa.encoding import MASK32

SCRATCH = -256
"""A place in the frame that generated programs do not use."""
FRAME = 10
REGISTER_FORMS = (Form.BINARY, Form.UNARY, Form.LOAD, Form.LOAD_ACQUIRE, Form.IMMEDIATE)
STORE_FORMS = (Form.STORE, Form.STORE_RELEASE, Form.ATOMIC)


@dataclass(frozen=True, slots=True)
class Visit:
    """One execution of a line: when it was complete (steps from 0), the states before and after."""

    step: int
    before: State
    after: State


class Trace:
    """What each line of a program did.  BpfError for a program without an answer."""

    def __init__(self, exact: Exact, lines: Lines, memory: bytes | None) -> None:
        self.lines = lines
        self.slots = slots_of(lines)
        self.states = exact.states(assembled(lines), memory)
        numbers = {slot: number for number, slot in enumerate(self.slots)}
        self.executed = [numbers[state.slot] for state in self.states if state.slot is not None]
        self.visits: dict[int, list[Visit]] = {}
        for step, number in enumerate(self.executed):
            end = self._end(step, number)
            self.visits.setdefault(number, []).append(Visit(end, self.states[step], self.states[end]))

    def _end(self, step: int, number: int) -> int:
        """The first state behind the step: for a call, when it has returned."""
        depth, end = self.states[step].depth, step + 1
        if self.lines[number].row.form is Form.CALL_LOCAL:
            while self.states[end].depth > depth:
                end += 1
        return end

    def in_order(self) -> list[int]:
        """The lines that were executed, by when they were first complete."""
        return sorted(self.visits, key=lambda number: self.visits[number][0].step)

    def substitutes(self, number: int) -> list[tuple[Line, ...]]:
        """What may stand for a line; nothing for one that was not executed, or did different things."""
        visits = self.visits.get(number, [])
        every = [list(self._alternatives(self.lines[number], visit)) for visit in visits]
        return every[0] if every and all(one == every[0] for one in every) else []

    def _alternatives(self, one: Line, visit: Visit) -> Iterator[tuple[Line, ...]]:
        form, instruction = one.row.form, one.instruction
        if form in REGISTER_FORMS or form is Form.CALL_LOCAL:
            register = 0 if form is Form.CALL_LOCAL else instruction.dst_reg
            yield from constants(register, visit.after.registers[register])
            if form is Form.CALL_LOCAL and visit.after.registers[0] is None:
                yield ()  # the function returned nothing
            if one.row.name == "mov_reg":  # of an address, for which there is no constant
                yield (
                    line("stxdw", dst_reg=FRAME, src_reg=instruction.src_reg, offset=SCRATCH),
                    line("ldxdw", dst_reg=register, src_reg=FRAME, offset=SCRATCH),
                )
        elif form in STORE_FORMS:
            yield from _stores(one, visit.after)
        elif form is Form.JUMP:
            yield (line("ja32" if one.row.name == "ja" else "ja", one.target),)
        elif form is Form.JUMP_IF:
            assert one.target is not None
            if visit.after.slot == self.slots[one.target]:
                yield (line("ja", one.target),)
                yield (line("ja32", one.target),)
            else:
                yield ()


def unrolled(trace: Trace, wrong: int) -> Lines | None:
    """The executed instructions one after the other, without a loop; a jump that goes wrong returns `wrong`.

    None for a program that has no loop, or calls functions.
    """
    lines, executed = trace.lines, trace.executed
    if len(set(executed)) == len(executed) or any(state.depth > 1 for state in trace.states):
        return None
    pieces: list[Line] = []
    escape = (line("mov_imm", dst_reg=0, imm=wrong), line("exit"))
    for step, number in enumerate(executed):
        one = lines[number]
        if one.row.form is Form.JUMP_IF:
            assert one.target is not None
            taken = trace.states[step + 1].slot == trace.slots[one.target]
            here = len(pieces)
            if taken:
                pieces += [replace(one, target=here + 3), *escape]
            else:
                pieces += [replace(one, target=here + 2), line("ja", here + 4), *escape]
        elif one.row.form is not Form.JUMP:
            pieces.append(one)
    return tuple(pieces)


def constants(register: int, value: int | None) -> Iterator[tuple[Line, ...]]:
    """Ways to set a register; none for an address."""
    if value is None:
        return
    low, high = sign_extend(value, 32), sign_extend(value >> 32, 32)
    if high == (-1 if low < 0 else 0):
        yield (line("mov_imm", dst_reg=register, imm=low),)
    if value <= MASK32:
        yield (line("mov32_imm", dst_reg=register, imm=low),)
    yield (line("lddw", dst_reg=register, imm=low, next_imm=high),)
    yield (
        line("stw", dst_reg=FRAME, offset=SCRATCH, imm=low),
        line("stw", dst_reg=FRAME, offset=SCRATCH + 4, imm=high),
        line("ldxdw", dst_reg=register, src_reg=FRAME, offset=SCRATCH),
    )


def _stores(one: Line, after: State) -> Iterator[tuple[Line, ...]]:
    """Ways to leave what a store or atomic operation left: memory, and the register that it fetched to."""
    instruction, size = one.instruction, one.row.size
    content = stored(instruction, size, after)
    fetched: Sequence[tuple[Line, ...]] = ((),)
    written = registers(one.row.writes, instruction)
    if written:
        fetched = list(constants(written[0], after.registers[written[0]]))
    for step, name in ((1, "stb"), (2, "sth"), (4, "stw")):
        if step <= size:
            parts = tuple(
                line(
                    name,
                    dst_reg=instruction.dst_reg,
                    offset=instruction.offset + at,
                    imm=int.from_bytes(content[at : at + step], "little", signed=True),
                )
                for at in range(0, size, step)
            )
            yield from (parts + way for way in fetched)


def stored(instruction: Instruction, size: int, state: State) -> bytes:
    """The bytes at the place that a store names.  Its base is the frame, or points to the memory's first byte."""
    if instruction.dst_reg == FRAME:
        stack = state.stacks[-1]
        start = len(stack) + instruction.offset
        return stack[start : start + size]
    return state.memory[instruction.offset : instruction.offset + size]
