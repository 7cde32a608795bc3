"""The abstract state of a program at one instruction.  Values of these classes never change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from pybpftime.isa import Row
from pybpftime.verifier import domain
from pybpftime.verifier.stack import EMPTY, Slot, Stack
from pybpftime.verifier.values import Input, InputKind, Pointer, Region, RegionKind, Scalar, Value, rely, serials

FRAME_POINTER = 10
STACK_SIZE = 512
CLOBBERED = (None,) * 5
"""r1 to r5 behind a call."""


class Callback(NamedTuple):
    """What a frame that a helper called will do when it returns."""

    helper: str
    pc: int  # of the call of the helper
    again: bool  # the helper may call it once more
    held: int = 0  # how much was to be released when it was called
    highest_result: int = 1


class Frame(NamedTuple):
    """One function that is running.  Registers r0 to r10, None for one that holds nothing that may be read."""

    start: int
    region: Region
    registers: tuple[Value | None, ...]
    stack: Stack = EMPTY
    return_pc: int = -1
    callback: Callback | None = None

    def put(self, number: int, value: Value | None) -> Frame:
        """The frame with another value in register `number`."""
        registers = self.registers
        return Frame(
            self.start,
            self.region,
            (*registers[:number], value, *registers[number + 1 :]),
            self.stack,
            self.return_pc,
            self.callback,
        )

    def with_stack(self, stack: Stack) -> Frame:
        """The frame with other contents of its stack."""
        return Frame(self.start, self.region, self.registers, stack, self.return_pc, self.callback)


class FactKind(StrEnum):
    """What a fact is about."""

    COMPARISON = "comparison"  # `row` of `left` and `right` came out as `holds`
    NULL = "null"  # the pointer `left` was NULL, or was not
    CALL = "call"  # a helper was called, returned `left`, and wrote to the stack at `right`
    ROUND = "round"  # what repeats at `pc`, the callback of a helper or a may_goto, was gone through once


class Fact:
    """Something that the path to a state has shown, in a list that runs back to the start of the program.

    `decided`: no other outcome was possible, so it adds nothing.
    """

    __slots__ = ("decided", "depth", "holds", "kind", "left", "pc", "previous", "right", "row", "serial")

    def __init__(
        self,
        previous: Fact | None,
        pc: int,
        kind: FactKind,
        left: Value | None,
        holds: bool = True,
        *,
        row: Row | None = None,
        right: Value | None = None,
        decided: bool = False,
    ) -> None:
        self.previous = previous
        self.depth: int = 1 if previous is None else previous.depth + 1
        self.pc = pc
        self.kind = kind
        self.row = row
        self.left = left
        self.right = right
        self.holds = holds
        self.decided = decided
        self.serial = next(serials)


def facts_of(fact: Fact | None) -> Iterator[Fact]:
    """The facts of a path, the newest first."""
    while fact is not None:
        yield fact
        fact = fact.previous


class Reach:
    """That `variable + reach` lies within a packet, for the key's packet and variable.

    `basis` is the variable when that was learned: its range shows that the sum does not wrap.  `precise` is a mark.
    """

    __slots__ = ("basis", "precise", "reach")

    def __init__(self, reach: int, basis: Scalar) -> None:
        self.reach = reach
        self.basis = basis
        self.precise = False

    def use(self) -> None:
        """Mark that a proof relies on it."""
        self.precise = True
        rely(self.basis)


class Packet(NamedTuple):
    """The packet of the moment: a helper that changes it makes all pointers into the one before useless."""

    data: Region
    end: Region
    meta: Region


class Contents(NamedTuple):
    """What the context and the packet hold: numbers that nobody knows, others when it may have changed since."""

    context: Scalar
    packet: Scalar


def new_contents() -> Scalar:
    """What memory holds after it was written to, or at the beginning."""
    return Scalar(domain.UNKNOWN, Input(InputKind.LOST, "contents"))


class State(NamedTuple):
    """What is known where `pc` is about to be executed.

    `lengths`: what is known of the length of each packet and of its metadata.  `reaches`: how far behind a variable
    offset (its root) a packet certainly extends.  `held`: what must be released before the program ends.  `lock`: the
    place of the spin lock that is held.  `facts`: how the program came here.  `contents`: loads of the same bytes give
    the same number while it is the same; None if nobody asks.
    """

    pc: int
    frame: Frame
    callers: tuple[Frame, ...] = ()
    lengths: Mapping[Region, Scalar] = {}
    reaches: Mapping[tuple[Region, Scalar], Reach] = {}
    held: tuple[Region, ...] = ()
    lock: Pointer | None = None
    facts: Fact | None = None
    packet: Packet | None = None
    contents: Contents | None = None

    @property
    def registers(self) -> tuple[Value | None, ...]:
        """Those of the running function."""
        return self.frame.registers

    @property
    def frames(self) -> tuple[Frame, ...]:
        """All functions that are running, the outermost first."""
        return (*self.callers, self.frame)

    def at(self, pc: int) -> State:
        """The same state at another instruction."""
        return self.with_frame(self.frame, pc)

    def with_frame(self, frame: Frame, pc: int) -> State:
        """The state at `pc` with another state of the running function."""
        _, _, callers, lengths, reaches, held, lock, facts, packet, contents = self
        return State(
            pc, frame, callers, lengths, reaches, held, lock, facts, packet, contents
        )  # several times as fast as _replace

    def knowing(self, facts: Fact, pc: int) -> State:
        """The state at `pc` with `facts` for those of its path."""
        _, frame, callers, lengths, reaches, held, lock, _, packet, contents = self
        return State(pc, frame, callers, lengths, reaches, held, lock, facts, packet, contents)

    def put(self, number: int, value: Value | None, pc: int) -> State:
        """The state at `pc` with another value in a register."""
        return self.with_frame(self.frame.put(number, value), pc)

    def frame_of(self, region: Region) -> Frame | None:
        """The running function whose stack `region` is; None for one that has returned."""
        if region is self.frame.region:
            return self.frame
        return next((frame for frame in self.callers if frame.region is region), None)

    def with_stack(self, region: Region, stack: Stack) -> State:
        """The state with other contents of the stack that `region` is."""
        if region is self.frame.region:
            return self.with_frame(self.frame.with_stack(stack), self.pc)
        callers = tuple(frame.with_stack(stack) if frame.region is region else frame for frame in self.callers)
        return self._replace(callers=callers)


def new_frame(start: int, depth: int, return_pc: int = -1, callback: Callback | None = None) -> Frame:
    """A function that has just been entered: r10 points behind its stack, nothing else is set."""
    name = "stack" if depth == 0 else f"stack of frame {depth}"
    region = Region(RegionKind.STACK, name, size=STACK_SIZE, depth=depth)
    return Frame(start, region, (None,) * FRAME_POINTER + (Pointer(region),), EMPTY, return_pc, callback)


MAX_PACKET = 0xFFFF_FFFF
"""No packet is as long; offsets below it that are added to an address do not wrap."""


def new_packet() -> tuple[Packet, Mapping[Region, Scalar]]:
    """A packet of which nothing is known, and what is known of its lengths."""
    lengths = domain.unsigned(0, MAX_PACKET), domain.unsigned(0, MAX_PACKET)
    length, meta_length = (Scalar(range, Input(InputKind.LENGTH, "length of the packet")) for range in lengths)
    data = Region(RegionKind.PACKET, "packet", length=length)
    end = Region(RegionKind.PACKET_END, "packet end", of=data)
    meta = Region(RegionKind.PACKET_META, "packet metadata", length=meta_length, of=data)
    return Packet(data, end, meta), {data: length, meta: meta_length}


def refined(state: State, old: Scalar, new: Scalar) -> State:
    """The state with the number `old` known as `new`, in every register, slot and offset that has it."""

    def change(value: Value) -> Value:
        if value is old:
            return new
        if isinstance(value, Pointer) and value.variable is old:
            if new.is_constant:
                return Pointer(value.region, value.offset + new.range.smin, None, value.nullable)
            return Pointer(value.region, value.offset, new, value.nullable)
        return value

    if new.is_constant:
        rely(new)  # offsets take it in
    if old.copied:
        return mapped(state, change)
    return state._replace(frame=_mapped_registers(state.frame, change))


def mapped(state: State, change: Callable[[Value], Value | None]) -> State:
    """The state with `change(value)` for the value of every register and stack slot; None for what is lost."""
    frame = _mapped_slots(_mapped_registers(state.frame, change), change)
    callers = tuple(_mapped_slots(_mapped_registers(caller, change), change) for caller in state.callers)
    return state._replace(frame=frame, callers=callers)


def _mapped_registers(frame: Frame, change: Callable[[Value], Value | None]) -> Frame:
    registers = tuple([None if value is None else change(value) for value in frame.registers])
    same = all(new is old for new, old in zip(registers, frame.registers, strict=True))
    return frame if same else frame._replace(registers=registers)


def _mapped_slots(frame: Frame, change: Callable[[Value], Value | None]) -> Frame:
    changed: dict[int, Slot] | None = None
    for offset, slot in frame.stack.items():
        value = change(slot.value)
        if value is slot.value:
            continue
        if changed is None:
            changed = dict(frame.stack)
        if value is None:
            del changed[offset]
        else:
            changed[offset] = slot.holding(value)
    return frame if changed is None else frame.with_stack(changed)
