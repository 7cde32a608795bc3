"""Finding the writers of what is wanted, backwards from a step: a dynamic slice.

Stretch by stretch, from one checkpoint to the next, the steps are executed again and noted (`accesses`), then gone
through from the last to the first: an instruction that writes something wanted becomes a node, and what it read is
wanted from there on.  Stretches in which nothing that is wanted can have been written are only looked at for that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pybpftime.debug.accesses import Log, Recorder, packet_slots
from pybpftime.debug.call_effects import PACKET_SLOT, Element, context_region, value_places
from pybpftime.debug.memory import PACKET_POINTERS
from pybpftime.debug.provenance.branches import Branches
from pybpftime.debug.provenance.flow import ALL_LANES
from pybpftime.debug.provenance.parts import (
    ROOT,
    NodeKind,
    RawNode,
    RawUse,
    Taken,
    UseKind,
    Wanted,
    register_of,
)
from pybpftime.debug.provenance.steps import Undo
from pybpftime.debug.timeline import Change, Edit
from pybpftime.debug.world import ENDED, World
from pybpftime.errors import LimitExceeded
from pybpftime.isa import Form, Instruction, Row, lookup
from pybpftime.isa.row import registers
from pybpftime.machine import RegionKind
from pybpftime.machine.memory import OFFSET_MASK, SLOT_SHIFT, TRANSIENT_SLOT
from pybpftime.program.contexts.region import TranslatedRegion

CONTROL = (Form.CALL_HELPER, Form.CALL_BTF, Form.CALL_LOCAL, Form.CALL_REGISTER, Form.EXIT, Form.PACKET)
"""What changes more than its table row says."""
STRETCH = 1 << 16
"""The most steps that are noted at once: what that takes in memory."""


@dataclass(frozen=True, slots=True)
class Code:
    """The instruction at a pc of a code space."""

    instruction: Instruction
    row: Row
    writes: tuple[int, ...]
    program: int
    slot: int


class Slice:
    """The graph that is made: `nodes` and `uses` by their numbers.  `is_complete` unless it has too many nodes."""

    def __init__(self, world: World, *, most: int, branches: bool, addresses: bool) -> None:
        self.world = world
        self.nodes: list[RawNode] = []
        self.uses: list[RawUse] = []
        self.wanted = Wanted()
        self.is_complete = True
        self.log = Log(0)
        self.index = world.index
        self.packets = {(world.index, slot) for slot in packet_slots(world.machine)}
        context = context_region(world.machine)
        self._contexts = {} if context is None else {world.index: context}
        self.branches = Branches(self) if branches else None
        self.addresses = addresses
        self._most = most
        self._undo_step = Undo(self)
        self._recorder = Recorder(world)
        self._codes: dict[tuple[int, int], Code | None] = {}

    # -- making the graph ----------------------------------------------------------------------------------------------

    def use(
        self,
        node: int,
        kind: UseKind,
        *,
        register: int | None = None,
        lanes: int = ALL_LANES,
        ranges: Iterable[tuple[int, int]] = (),
        element: Element | None = None,
    ) -> RawUse:
        """Something that a node (ROOT: the question) reads, and that is looked for from now on."""
        one = RawUse(len(self.uses), node, kind, register, lanes, list(ranges), element)
        self.uses.append(one)
        if node != ROOT:
            self.nodes[node].uses.append(one.number)
        self.wanted.want(one)
        return one

    def node(self, kind: NodeKind, step: int, taken: Taken) -> RawNode:
        """Who wrote what was taken."""
        one = RawNode(len(self.nodes), kind, step, taken.registers, taken.runs(), taken.elements, last_step=step)
        self.nodes.append(one)
        for use in taken.uses:
            self.uses[use].sources.append(one.number)
        return one

    def depth_behind(self, step: int) -> int:
        """How many frames there are behind a step of the log."""
        at = step + 1 - self.log.first
        return self.log.depths[at] if at < len(self.log.depths) else 0

    def canonical(self, address: int) -> int:
        """An address, those in a packet as in PACKET_SLOT."""
        if (self.index, address >> SLOT_SHIFT) in self.packets:
            return (PACKET_SLOT << SLOT_SHIFT) + (address & OFFSET_MASK)
        return address

    def context(self) -> TranslatedRegion | None:
        """The context of the invocation that is looked at, where it is no memory."""
        found = self._contexts.get(self.index)
        return found if isinstance(found, TranslatedRegion) else None

    def code_at(self, pc: int) -> Code | None:
        """The instruction at a pc of the invocation that is looked at; None where there is none."""
        key = (self._executable_of(self.index), pc)
        if key not in self._codes:
            machine = self.world.machine_of(self.index)
            code, slot = machine.locate(pc)
            spec = code.program.spec
            instruction = spec.instructions[slot] if slot < len(spec.instructions) else None
            row = None if instruction is None else lookup(instruction)
            self._codes[key] = (
                None
                if instruction is None or row is None
                else Code(instruction, row, registers(row.writes, instruction), id(spec), slot)
            )
        return self._codes[key]

    def _executable_of(self, index: int) -> int:
        return id(self.world.machine_of(index))

    # -- looking back --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Find what is wanted at the world's step.  InputError when it is interrupted; the world is elsewhere then."""
        world = self.world
        behind = world.step
        self._undo_edits(behind, len(world.machine.frames))
        while behind > world.timeline.first and self._goes_on():
            kept = world.timeline.checkpoint_before(behind - 1)
            assert kept is not None
            first = max(kept.step, behind - STRETCH)
            if self._has_lasting_only():
                behind = self._skip(first, behind)
                if behind == first:
                    continue
            self._look(first, behind)
            behind = first
        if self._goes_on() and not world.timeline.first:
            self._begin(0, 0)
            self._before_all()
        for use in set(self.wanted.uses()):
            self.uses[use].cut = True
            self.is_complete = False

    def _goes_on(self) -> bool:
        is_waiting = self.branches is not None and self.branches.is_waiting
        return (is_waiting or not self.wanted.is_empty) and len(self.nodes) < self._most

    def _look(self, first: int, behind: int) -> None:
        """Go through the steps [first, behind) from the last to the first."""
        log = self.log = self._recorder.record(first, behind)
        timeline = self.world.timeline
        self.packets |= log.packets
        self._contexts |= log.contexts
        self.index = timeline.index_at(behind - 1)
        edited = {edit.step for edit in timeline.edits}
        for step in range(behind - 1, first - 1, -1):
            pc = log.pcs[step - first]
            if pc == ENDED:
                self._begin(timeline.index_at(step) + 1, step + 1)
                self.index = timeline.index_at(step)
            else:
                self._undo(pc, step)
            if step in edited:
                self._undo_edits(step, log.depths[step - first])
            if not self._goes_on():
                return

    def _undo(self, pc: int, step: int) -> None:
        code = self.code_at(pc)
        if code is None:
            return
        depth = self.log.depths[step - self.log.first]
        if code.row.form is Form.JUMP_IF:
            if self.branches is not None:
                self.branches.jump(code, step, depth)
            return
        held = self.wanted.registers
        may_write = (
            code.row.form in CONTROL
            or step in self.log.accesses
            or any(register_of(number, depth) in held for number in code.writes)
        )
        if may_write and not self._has_faulted(step):
            self._undo_step.undo(code, step, depth)

    def _has_faulted(self, step: int) -> bool:
        """Whether the instruction of `step` faulted, and so wrote nothing."""
        at = step + 1 - self.log.first
        if at >= len(self.log.pcs) or self.log.pcs[at] != ENDED:
            return False
        ending = self.world.timeline.endings[self.index]
        out_of_budget = isinstance(ending.error, LimitExceeded) and ending.error.limit == "instructions"
        return ending.error is not None and not out_of_budget

    # -- memory that lasts over invocations ----------------------------------------------------------------------------

    def _has_lasting_only(self) -> bool:
        """Whether only maps are wanted, which an invocation finds as the one before left them."""
        if self.wanted.registers or (self.branches is not None and self.branches.is_waiting):
            return False
        slots = self.world.machine.memory.slots
        return all(slot in slots and slots[slot].kind is RegionKind.MAP_VALUE for slot in self.wanted.memory)

    def _skip(self, first: int, behind: int) -> int:
        """The step behind which, up to `behind`, nothing that is wanted was written; `first` if nothing at all."""
        found = self._recorder.last_write(first, behind, self.wanted.touches, set(self.wanted.elements))
        edits = [edit.step for edit in self.world.timeline.edits if first <= edit.step < behind]
        return max(found + 1, first, *(step + 1 for step in edits))

    # -- what no instruction wrote -------------------------------------------------------------------------------------

    def _undo_edits(self, step: int, depth: int) -> None:
        for edit in reversed(self.world.timeline.edits_at(step)):
            taken = Taken()
            for register, (address, size), element in self._edited(edit, depth):
                if register is not None:
                    self.wanted.take_register(register, taken)
                self.wanted.take_memory(address, size, taken)
                if element is not None:
                    self.wanted.take_element(element, taken)
            if taken:
                self.node(NodeKind.EDIT, step, taken)

    def _edited(self, edit: Edit, depth: int) -> Iterable[tuple[int | None, tuple[int, int], Element | None]]:
        match edit.change:
            case Change.REGISTER:
                yield register_of(edit.target, depth), (0, 0), None
            case Change.MEMORY:
                yield None, (self.canonical(edit.target), len(edit.value)), None
            case Change.ELEMENT:
                name, key = edit.target
                map = self.world.object.maps[name].raw
                yield None, (0, 0), Element(name, key)
                self.world.goto(edit.step)
                for place in value_places(map, key, range(map.cpu_count)):
                    yield None, place, None

    def _begin(self, index: int, step: int) -> None:
        """Invocation `index` begins at `step`: registers, stack, context and packet are new."""
        if self.branches is not None:
            self.branches.clear()
        for register in list(self.wanted.registers):
            taken = Taken()
            self.wanted.take_register(register, taken)
            self.node(NodeKind.ARGUMENT if register in (1, 2) else NodeKind.UNWRITTEN, step, taken)
        context = self._contexts.get(index)
        stacks = {region.base >> SLOT_SHIFT for region in self.world.machine_of(index).stack.regions}
        for slot in list(self.wanted.memory):
            if slot == PACKET_SLOT:
                self._leaves(NodeKind.PACKET, step, slot)
            elif slot in stacks:
                self._leaves(NodeKind.UNWRITTEN, step, slot)
            elif context is not None and slot == context.base >> SLOT_SHIFT:
                for node in self._leaves(NodeKind.CONTEXT, step, slot):
                    one = context.layout.field_at(node.memory[0][0] & OFFSET_MASK)
                    node.is_quiet = one is not None and one.kind in PACKET_POINTERS
            elif slot >= TRANSIENT_SLOT:
                self._leaves(NodeKind.ARGUMENT, step, slot)

    def _before_all(self) -> None:
        """What is left was there before the first step."""
        for slot in list(self.wanted.memory):
            self._leaves(NodeKind.INITIAL, 0, slot)
        for element in list(self.wanted.elements):
            taken = Taken()
            self.wanted.take_element(element, taken)
            self.node(NodeKind.INITIAL, 0, taken)

    def _leaves(self, kind: NodeKind, step: int, slot: int) -> list[RawNode]:
        found = []
        for address, size in self.wanted.groups(slot):
            taken = Taken()
            self.wanted.take_memory(address, size, taken)
            found.append(self.node(kind, step, taken))
        return found
