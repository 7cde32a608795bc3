"""What each step of an interval reads and writes in memory: the interval is executed again, and looked at.

The machine gets another memory object, which works on the same regions and notes every access; step functions that were
bound to it run in place of the usual ones.  So nothing is noted in an ordinary run, and what is noted is what happened.
Registers are looked at where somebody names some: the ISA table says which ones an instruction reads and writes.

Some helpers read and write without the memory object: elements of maps, the packet, the context.  `Call` says what.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pybpftime.debug.call_effects import PACKET_SLOT, Call, CallEffects, Element, Note, context_region, note_key
from pybpftime.debug.calls import HelperCall, helper_calls
from pybpftime.debug.world import ENDED, World
from pybpftime.engines.reference import ReferenceExecutable
from pybpftime.engines.reference.steps import Step
from pybpftime.errors import InputError
from pybpftime.helpers.declarations import Role
from pybpftime.isa import Form, Instruction, Row, lookup
from pybpftime.isa.encoding import MASK32
from pybpftime.isa.row import registers
from pybpftime.machine import Machine, Memory, Region, TailCall
from pybpftime.machine.memory import OFFSET_MASK, SLOT_SHIFT, TRANSIENT_SLOT
from pybpftime.machine.pointers import TrackingMemory
from pybpftime.program.contexts.region import PacketRegion, StructureRegion

CALLS = (Form.CALL_HELPER, Form.CALL_BTF, Form.CALL_LOCAL, Form.CALL_REGISTER)


@dataclass
class Log:
    """The steps from `first` on: the pc of each (ENDED at an end), how many frames there are before it.

    The last entry is the state behind the last step, if there is one.  `accesses` and `calls` are by step: whether it
    is a write, address, size.  What helpers do to the packet is noted in PACKET_SLOT, at offsets in its buffer.
    """

    first: int
    pcs: array[int] = field(default_factory=lambda: array("i"))
    depths: array[int] = field(default_factory=lambda: array("I"))
    accesses: dict[int, list[tuple[bool, int, int]]] = field(default_factory=dict)
    calls: dict[int, Call] = field(default_factory=dict)
    packets: set[tuple[int, int]] = field(default_factory=set)
    """Invocation and slot of every region that shows a packet."""
    contexts: dict[int, StructureRegion] = field(default_factory=dict)
    """The context of each invocation, where it is a structure."""


class Recorder:
    """Executes parts of a world's time line again.  The caller puts the world back to where it was."""

    def __init__(self, world: World) -> None:
        self._world = world

    def record(self, first: int, behind: int) -> Log:
        """Everything in the steps [first, behind), which were executed before.  InputError when it is interrupted."""
        world, log = self._world, Log(first)
        self._go(first)

        def note(is_write: bool, address: int, size: int) -> None:
            log.accesses.setdefault(first + len(log.pcs) - 1, []).append((is_write, address, size))

        def made(call: Call) -> None:
            log.calls[first + len(log.pcs) - 1] = call

        def look(pc: int) -> bool:
            if pc == ENDED and log.pcs and world.step < first + len(log.pcs):
                log.pcs[-1] = ENDED  # out of budget: the step was seen before its end was
                return False
            if not log.pcs or log.pcs[-1] == ENDED:
                _note_packet(world, log)
            log.pcs.append(pc)
            log.depths.append(len(world.machine.frames))
            return False

        with noting(world, note, made) as steps:
            look(ENDED if world.ending is not None else world.pc)

            def called(call: Call) -> None:
                made(call)
                if call.call.declaration.changes_packet:
                    _note_packet(world, log)

            steps.made = called
            world.advance(behind, steps_of=steps.of, until=look)
        if world.step != behind and not world.is_over:
            raise InputError("it was interrupted")
        return log

    def _go(self, step: int) -> None:
        """Go to a step; InputError when it is interrupted, which going there by itself forgets."""
        interrupted = self._world.paused
        self._world.goto(step)
        if interrupted or self._world.step != step:
            raise InputError("it was interrupted")

    def last_write(self, first: int, behind: int, touches: Callable[[int, int], bool], elements: set[Element]) -> int:
        """The last of the steps [first, behind) that writes memory for which `touches` (address, size), or changes one
        of the elements; -1 for none.  Only addresses that stay (maps) are found.  InputError when it is interrupted.
        """
        world, found = self._world, -1

        def note(is_write: bool, address: int, size: int) -> None:
            nonlocal found
            if is_write and touches(address, size):
                found = world.current_step

        def made(call: Call) -> None:
            nonlocal found
            if not elements.isdisjoint(call.changed):
                found = world.current_step

        self._go(first)
        with noting(world, note, made) as steps:
            world.advance(behind, steps_of=steps.of)
        if world.step != behind:
            raise InputError("it was interrupted")
        return found


def packet_slots(machine: Machine) -> Iterator[int]:
    """The slots of the regions that show the packet now."""
    slots = machine.memory.slots
    return (slot for slot, one in slots.items() if slot >= TRANSIENT_SLOT and isinstance(one, PacketRegion))


def canonical(memory: Memory, address: int) -> int:
    """The address as accesses are compared: of bytes of the packet, in PACKET_SLOT."""
    slot = address >> SLOT_SHIFT
    if slot < TRANSIENT_SLOT or not isinstance(memory.slots.get(slot), PacketRegion):
        return address
    return (PACKET_SLOT << SLOT_SHIFT) + (address & OFFSET_MASK)


def _note_packet(world: World, log: Log) -> None:
    log.packets.update((world.index, slot) for slot in packet_slots(world.machine))
    context = context_region(world.machine)
    if context is not None:
        log.contexts[world.index] = context


# --- the memory object ------------------------------------------------------------------------------------------------


class _Noting(Memory):
    """Passes everything on to the memory that it stands for, and notes what was read and written."""

    __slots__ = ("note", "real")
    note: Note
    real: Memory

    def stand_for(self, real: Memory, note: Note) -> None:
        """Work on the regions of `real`."""
        self.real, self.note, self.slots = real, note, real.slots
        self._aligned_atomics = real._aligned_atomics

    def map(self, region: Region, *, transient: bool = False) -> int:
        return self.real.map(region, transient=transient)

    def unmap(self, region: Region) -> None:
        self.real.unmap(region)

    def reset_transient(self) -> None:
        self.real.reset_transient()

    @property
    def next_slots(self) -> tuple[int, int]:
        return self.real.next_slots

    @next_slots.setter
    def next_slots(self, slots: tuple[int, int]) -> None:
        self.real.next_slots = slots

    def load(self, address: int, size: int) -> int:
        value = super().load(address, size)
        self.note(False, address, size)
        return value

    def load_acquire(self, address: int, size: int) -> int:
        value = super().load_acquire(address, size)
        self.note(False, address, size)
        return value

    def store(self, address: int, size: int, value: int) -> None:
        super().store(address, size, value)
        self.note(True, address, size)

    def store_release(self, address: int, size: int, value: int) -> None:
        super().store_release(address, size, value)
        self.note(True, address, size)

    def update(self, address: int, size: int, combine: Callable[[int], int]) -> int:
        old = super().update(address, size, combine)
        self.note(False, address, size)
        self.note(True, address, size)
        return old

    def read(self, address: int, length: int) -> bytes:
        content = super().read(address, length)
        self.note(False, address, length)
        return content

    def read_data(self, address: int, length: int) -> bytes:
        content = super().read_data(address, length)
        self.note(False, address, length)
        return content

    def write(self, address: int, content: bytes) -> None:
        super().write(address, content)
        self.note(True, address, len(content))


class _NotingMemory(_Noting, Memory):
    __slots__ = ()


class _NotingTrackingMemory(_Noting, TrackingMemory):
    __slots__ = ()


@dataclass(frozen=True, slots=True)
class RegisterNotes:
    """Registers that are looked at; `note` takes whether one is written, and its number, before the instruction."""

    numbers: frozenset[int]
    note: Callable[[bool, int], None]


class NotingSteps:
    """Step functions that note: of each executable, bound when it is first met."""

    def __init__(self, note: Note, made: Callable[[Call], None], registers: RegisterNotes | None) -> None:
        self.note = note
        self.made = made
        self._registers = registers
        self._steps: dict[int, list[Step]] = {}

    def of(self, executable: ReferenceExecutable) -> Sequence[Step]:
        """The step functions of an executable whose machine has the noting memory now."""
        steps = self._steps.get(id(executable))
        if steps is None or len(steps) != len(executable.steps):
            steps = executable.bound_again()
            calls = {
                code.start + call.slot: call
                for code in executable.machine.code
                for call in helper_calls(code.program.spec, executable.helpers)
            }
            for pc, call in calls.items():
                steps[pc] = self._looking(steps[pc], call, executable.machine)
            for pc, instruction, row in _instructions(executable):
                if row.form is Form.EXIT:
                    steps[pc] = self._returning(steps[pc], calls, executable.machine)
                elif row.form is Form.PACKET:
                    steps[pc] = self._loading(steps[pc], instruction, row, executable.machine)
                if self._registers is not None:
                    steps[pc] = self._using(steps[pc], _used(instruction, row, calls.get(pc)), self._registers)
            self._steps[id(executable)] = steps
        return steps

    @staticmethod
    def _using(step: Step, used: Sequence[tuple[bool, int]], wanted: RegisterNotes) -> Step:
        """An instruction, of whose registers those that are wanted are noted."""
        noted, note = [one for one in used if one[1] in wanted.numbers], wanted.note
        if not noted:
            return step

        def look() -> int:
            for is_write, number in noted:
                note(is_write, number)
            return step()

        return look

    def _returning(self, step: Step, calls: Mapping[int, HelperCall], machine: Machine) -> Step:
        """A return, of which those to a helper that calls back are noted."""

        def look() -> int:
            frame = machine.frames[-1]
            if frame.rounds is None:
                return step()
            following = step()
            note_key(machine, self.note)
            call = calls.get((frame.return_pc or 0) - 1)
            if call is not None:
                self.made(Call(call, returned=True))
            return following

        return look

    def _loading(self, step: Step, instruction: Instruction, row: Row, machine: Machine) -> Step:
        """A legacy packet access, of which those from the start of the packet are noted."""

        def look() -> int:
            index = machine.registers[instruction.src_reg] if row.operand == "src_reg" else 0
            offset = instruction.imm + (index or 0) & MASK32
            following = step()
            if offset <= MASK32 >> 1:
                self.note(False, (PACKET_SLOT << SLOT_SHIFT) + machine.context.head + offset, row.size)
            return following

        return look

    def _looking(self, step: Step, call: HelperCall, machine: Machine) -> Step:
        """A call whose effects beside the memory object are noted."""

        def look() -> int:
            before = CallEffects(call, machine)
            try:
                following = step()
            except TailCall:
                self.made(Call(call, tail_called=True))
                raise
            before.compare(self.note)
            self.made(before.call())
            return following

        return look


@contextmanager
def noting(
    world: World, note: Note, made: Callable[[Call], None], registers: RegisterNotes | None = None
) -> Iterator[NotingSteps]:
    """While this lasts, all machines of the world have a memory that notes; the steps are those to execute."""
    machines = world.machines
    real = machines[0].memory
    noting: _Noting = _NotingTrackingMemory() if isinstance(real, TrackingMemory) else _NotingMemory()
    noting.stand_for(real, note)
    for machine in machines:
        machine.memory = noting
    try:
        yield NotingSteps(note, made, registers)
    finally:
        noting.note = lambda is_write, address, size: None
        for machine in machines:
            machine.memory = real


def _instructions(executable: ReferenceExecutable) -> Iterator[tuple[int, Instruction, Row]]:
    for code in executable.machine.code:
        for slot, instruction in enumerate(code.program.spec.instructions):
            if instruction is not None:
                yield code.start + slot, instruction, lookup(instruction)


def _used(instruction: Instruction, row: Row, call: HelperCall | None) -> list[tuple[bool, int]]:
    """Whether it is written, and the number, of each register that an instruction, or the helper it calls, works on.

    A function of the program that is called reads its arguments itself; what a call leaves unset is not written.
    """
    names, written = row.reads, row.writes
    if row.form in CALLS:
        names = ("dst",) if row.form is Form.CALL_REGISTER else ()
        written = () if call is None else ("r0",)
    reads = {*registers(names, instruction)}
    if call is not None:
        parameters = enumerate(call.declaration.parameters, 1)
        reads |= {number for number, one in parameters if one.kind.role is not Role.UNCHECKED}
    return [(False, number) for number in sorted(reads)] + [(True, one) for one in registers(written, instruction)]
