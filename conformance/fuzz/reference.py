"""The reference interpreter, kept ready for many small programs: the definition of every right answer.

`Reference` runs the step functions of the reference engine on one machine whose memory stays mapped.  `Exact` is for
edited programs, and refuses those whose answer the specification leaves open: it depends on what was never written, on
misaligned accesses, or on where memory is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pybpftime.engines.reference.execution import Execution
from pybpftime.engines.reference.steps import Binder, Step
from pybpftime.errors import BpfError, Fault, FaultKind, InputError, InternalError
from pybpftime.isa import Immediate, Instruction, Program, Row, validate
from pybpftime.machine import LINUX, Limits, Machine, Region, RegionKind, Rounds, Strictness
from pybpftime.machine.machine import new_memory
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import ProgramSpec

EXACT = replace(LINUX, name="exact", uninitialised_stack=True, unaligned_memory=True)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a machine has its memory: slot of the first region, bytes before the memory in its own, size of a frame."""

    first_slot: int | None = None
    before: int = 0
    frame: int = Limits().frame_size


ELSEWHERE = Layout(0x50, 0x5A38, 1016)
"""Addresses that have another sign and other bits, high and low, than those of the usual layout."""
BUDGET = 5_000
"""Instructions that a program may execute: far more than any that is generated."""
LONGEST = 4096
"""Slots of the longest program."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a run ended: r0 and memory; `steps` is the number of instructions executed."""

    r0: int
    memory: bytes | None
    steps: int


@dataclass(frozen=True, slots=True)
class State:
    """What a program can see: registers, memory, and the stack of each frame, outermost first.

    A register is None when it was never written.

    `slot` is the instruction that comes next, None at the end.
    """

    slot: int | None
    registers: tuple[int | None, ...]
    memory: bytes
    stacks: tuple[bytes, ...]

    @property
    def depth(self) -> int:
        """How many functions are active."""
        return len(self.stacks)


class Reference:
    """Answers programs at one level, one at a time."""

    def __init__(self, level: Strictness = LINUX, layout: Layout = Layout()) -> None:
        memory = new_memory(level)
        if layout.first_slot is not None:
            memory.next_slots = layout.first_slot, memory.next_slots[1]
        self.machine = machine = Machine(memory, level, limits=Limits(frame_size=layout.frame))
        self._before = layout.before
        self._region = Region(RegionKind.MEMORY, "memory", bytearray(), aligned=level.unaligned_memory)
        self._base = machine.memory.map(self._region) + layout.before
        # Where faults are placed: programs come and go, their code space stays.
        machine.add_code(LoadedProgram(ProgramSpec("case", ()), {}), LONGEST, "case")
        self._binder = Binder(machine, 0, _no_helper, _immediate)

    def answer(self, program: Program, memory: bytes | None, rows: Sequence[Row | None] | None = None) -> Answer:
        """Run to the end.  `rows` are those of a program that is known to be valid.

        InputError, Fault or LimitExceeded for a program that has no answer.
        """
        execution = self._begin(program, memory, rows)
        if not execution.advance(BUDGET):
            raise InputError(f"no end after {BUDGET} instructions")
        r0 = self.machine.registers[0]
        assert r0 is not None
        return Answer(r0, None if memory is None else bytes(self._region.data[self._before :]), execution.executed)

    def states(self, program: Program, memory: bytes | None) -> list[State]:
        """The state before every step, and the one at the end.  Errors as `answer`."""
        execution = self._begin(program, memory, None)
        states = [self._state(execution.pc)]
        while not execution.advance(1):
            states.append(self._state(execution.pc))
            if len(states) > BUDGET:
                raise InputError(f"no end after {BUDGET} instructions")
        states.append(self._state(None))
        return states

    def _begin(self, program: Program, memory: bytes | None, rows: Sequence[Row | None] | None) -> Execution:
        machine, region = self.machine, self._region
        if len(program) > LONGEST - 1:
            raise InputError(f"{len(program)} slots are more than the {LONGEST - 1} of a case")
        if rows is None:
            rows = validate(program, refuse_constants=machine.strictness.refused_constants)
        bind = self._binder.bind
        steps: list[Step] = [
            _middle if instruction is None or row is None else bind(slot, instruction, row)
            for slot, (instruction, row) in enumerate(zip(program, rows, strict=True))
        ]
        steps.append(_past_the_end)
        region.data = bytearray(self._before) + (memory or b"")
        region.start, region.end = self._before, len(region.data)
        machine.reset(0, (self._base, len(memory)) if memory else (0, 0))
        return Execution(machine, steps, _no_tail_call, 0)

    def _state(self, slot: int | None) -> State:
        machine = self.machine
        stacks = tuple(bytes(frame.stack.data) for frame in machine.frames)
        return State(slot, tuple(machine.registers), bytes(self._region.data[self._before :]), stacks)


class Exact:
    """Answers programs that have one answer wherever they run."""

    def __init__(self) -> None:
        self._reference = Reference(EXACT)
        self._elsewhere = Reference(EXACT, ELSEWHERE)

    def answer(self, program: Program, memory: bytes | None) -> Answer | None:
        """The one answer; None when there is none, or not one."""
        try:
            answer = self._reference.answer(program, memory)
            return answer if self._elsewhere.answer(program, memory) == answer else None
        except BpfError:
            return None

    def states(self, program: Program, memory: bytes | None) -> list[State]:
        """`Reference.states`, of a program that has one answer: addresses, which vary, are None in the registers."""
        both = zip(self._reference.states(program, memory), self._elsewhere.states(program, memory), strict=True)
        return [replace(one, registers=_common(one.registers, other.registers)) for one, other in both]


def _common(these: tuple[int | None, ...], those: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return tuple(one if one == other else None for one, other in zip(these, those, strict=True))


def _no_helper(number: int) -> Callable[[], Rounds | None]:
    raise InputError(f"helper {number} is not known to generated programs")


def _immediate(slot: int, instruction: Instruction, row: Row) -> int:
    if row.immediate is not Immediate.VALUE:
        raise InputError(f"{row.name} refers to something outside the program", instruction=slot)
    return instruction.imm64


def _no_tail_call(program: object) -> int:
    raise InternalError("a generated program made a tail call")


def _middle() -> int:
    raise Fault(FaultKind.INSTRUCTION, "jump into the middle of a wide instruction")


def _past_the_end() -> int:
    raise Fault(FaultKind.INSTRUCTION, "the program runs past its last instruction")
