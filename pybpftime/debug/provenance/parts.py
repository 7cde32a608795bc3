"""What looking for the origin of a value works on: what is still wanted, what was found.

Places are registers, bytes of memory, elements of maps.  A register has a number that tells functions apart: r0 to r5,
which pass from one to the other, and r6 to r10 of each frame.  An address is an integer; packets are in PACKET_SLOT.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from pybpftime.debug.call_effects import Element
from pybpftime.debug.provenance.flow import ALL_LANES
from pybpftime.machine.memory import OFFSET_MASK, SLOT_SHIFT

SHARED_REGISTERS = 6
HELD = 1 << 20
"""What a helper that calls back holds of its arguments counts as registers of the frame that it calls."""
ROOT = -1


def register_of(number: int, depth: int) -> int:
    """A register of the function at a depth, 1 being the entry function."""
    return number if number < SHARED_REGISTERS else depth << 4 | number


def held_argument(number: int, depth: int) -> int:
    """Argument `number` of the helper that calls back the function at a depth."""
    return HELD | depth << 4 | number


class NodeKind(StrEnum):
    """What made a value."""

    INSTRUCTION = "instruction"
    CALL = "call"  # of a helper
    COPY = "copy"  # a run of loads and stores
    BRANCH = "branch"  # a conditional jump, which decided that something was executed
    EDIT = "edit"  # the user changed it
    PACKET = "packet"  # it came with the packet
    CONTEXT = "context"  # it came with the context
    ARGUMENT = "argument"  # it was handed to the program
    INITIAL = "initial"  # it was there before the first step
    UNWRITTEN = "unwritten"  # a fresh stack or register, which nobody wrote


class UseKind(StrEnum):
    """What for something is read."""

    VALUE = "value"
    ADDRESS = "address"  # where to read or write
    ARGUMENT = "argument"  # of a helper
    KEY = "key"
    ELEMENT = "element"  # whether there is one
    BRANCH = "branch"


@dataclass(slots=True)
class RawUse:
    """Something that a node reads, a register or bytes or an element; `sources` are the nodes that wrote it.

    `cut`: some of it was not followed.
    """

    number: int
    node: int
    kind: UseKind
    register: int | None = None
    lanes: int = ALL_LANES
    ranges: list[tuple[int, int]] = field(default_factory=list)
    element: Element | None = None
    sources: list[int] = field(default_factory=list)
    cut: bool = False
    is_held: bool = False
    """The register is that of an earlier call of the helper that calls back."""


@dataclass(slots=True)
class RawNode:
    """Something that happened at `step` and wrote what was wanted: `registers` (with lanes), `memory`, `elements`.

    Of nodes that are no instruction, `step` is the first one at which what they say was so.
    """

    number: int
    kind: NodeKind
    step: int
    registers: dict[int, int] = field(default_factory=dict)
    memory: list[tuple[int, int]] = field(default_factory=list)
    elements: set[Element] = field(default_factory=set)
    uses: list[int] = field(default_factory=list)
    last_step: int = 0
    """Of a COPY: the step of its last store."""
    helper: str = ""
    """Of a CALL: which one."""
    is_quiet: bool = False
    """No input has a part in it by itself: a pointer to the packet, a look-up that always finds something."""


@dataclass(slots=True)
class Taken:
    """What one writer wrote of what was wanted."""

    uses: set[int] = field(default_factory=set)
    registers: dict[int, int] = field(default_factory=dict)
    bytes: set[int] = field(default_factory=set)
    elements: set[Element] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.uses)

    def runs(self) -> list[tuple[int, int]]:
        """The bytes as address and size."""
        return runs(self.bytes)


class Wanted:
    """Places whose writers are looked for, and which uses want them."""

    def __init__(self) -> None:
        self.registers: dict[int, dict[int, int]] = {}
        self.memory: dict[int, dict[int, set[int]]] = {}
        """Slot, offset, uses."""
        self.elements: dict[Element, set[int]] = {}

    @property
    def is_empty(self) -> bool:
        return not (self.registers or self.memory or self.elements)

    def uses(self) -> Iterator[int]:
        """All that want something still."""
        for lanes in self.registers.values():
            yield from lanes
        for offsets in self.memory.values():
            for users in offsets.values():
                yield from users
        for users in self.elements.values():
            yield from users

    def want(self, use: RawUse) -> None:
        """Look for what a use reads."""
        if use.register is not None and use.lanes:
            lanes = self.registers.setdefault(use.register, {})
            lanes[use.number] = lanes.get(use.number, 0) | use.lanes
        for address, size in use.ranges:
            offsets = self.memory.setdefault(address >> SLOT_SHIFT, {})
            for offset in range(address & OFFSET_MASK, (address & OFFSET_MASK) + size):
                offsets.setdefault(offset, set()).add(use.number)
        if use.element is not None:
            self.elements.setdefault(use.element, set()).add(use.number)

    def touches(self, address: int, size: int) -> bool:
        """Whether any of the bytes is wanted."""
        offsets = self.memory.get(address >> SLOT_SHIFT)
        if not offsets:
            return False
        start = address & OFFSET_MASK
        if size > len(offsets):
            return any(start <= offset < start + size for offset in offsets)
        return any(offset in offsets for offset in range(start, start + size))

    def take_register(self, register: int, taken: Taken) -> None:
        """A register is written."""
        lanes = self.registers.pop(register, None)
        if lanes is not None:
            taken.uses.update(lanes)
            for mask in lanes.values():
                taken.registers[register] = taken.registers.get(register, 0) | mask

    def take_memory(self, address: int, size: int, taken: Taken) -> None:
        """Bytes are written."""
        slot, start = address >> SLOT_SHIFT, address & OFFSET_MASK
        offsets = self.memory.get(slot)
        if not offsets:
            return
        found = range(start, start + size) if size <= len(offsets) else sorted(offsets)
        for offset in found:
            if start <= offset < start + size and offset in offsets:
                taken.uses |= offsets.pop(offset)
                taken.bytes.add((slot << SLOT_SHIFT) + offset)
        if not offsets:
            del self.memory[slot]

    def take_element(self, element: Element, taken: Taken) -> None:
        """An element is made or deleted."""
        users = self.elements.pop(element, None)
        if users is not None:
            taken.uses |= users
            taken.elements.add(element)

    def groups(self, slot: int) -> list[tuple[int, int]]:
        """Address and size of runs of wanted bytes of a slot, all bytes of a run being wanted by the same uses."""
        found: list[tuple[int, int]] = []
        offsets = self.memory.get(slot, {})
        before: set[int] | None = None
        for offset in sorted(offsets):
            address = (slot << SLOT_SHIFT) + offset
            if found and before == offsets[offset] and sum(found[-1]) == address:
                found[-1] = (found[-1][0], found[-1][1] + 1)
            else:
                found.append((address, 1))
            before = offsets[offset]
        return found


def runs(addresses: set[int]) -> list[tuple[int, int]]:
    """Address and size of each run of bytes."""
    found: list[tuple[int, int]] = []
    for address in sorted(addresses):
        if found and sum(found[-1]) == address:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((address, 1))
    return found
