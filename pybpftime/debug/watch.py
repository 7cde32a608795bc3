"""Watchpoints: stop where a value changes, is read, or is accessed in any way.

Values are compared after every instruction, so whatever changes one is seen: stores, atomic operations, helpers, the
user.  A store of the same value is no change, but it is an access.  Accesses are those that `accesses` notes, of
instructions and of helpers; while none is asked for, nothing is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from pybpftime.debug.accesses import RegisterNotes, canonical, noting
from pybpftime.debug.values import Constant, Memory, Place, TypedValue, laid_out
from pybpftime.debug.world import StepsOf, World
from pybpftime.machine import Memory as AddressSpace


class Access(StrEnum):
    """What a watchpoint stops for."""

    CHANGE = "change"
    READ = "read"
    ANY = "access"  # it is read or written, or changes otherwise


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a value lies: address and size of each part in memory, the packet in PACKET_SLOT; registers."""

    memory: tuple[tuple[int, int], ...] = ()
    registers: frozenset[int] = frozenset()

    def touches(self, address: int, size: int) -> bool:
        """Whether an access of memory is one of it."""
        return any(address < start + length and start < address + size for start, length in self.memory)


def extent_of(place: Place, size: int, memory: AddressSpace) -> Extent:
    """Where a value lies now; InputError for what lies nowhere."""
    parts = laid_out(place, size)
    ranges = [(canonical(memory, part.location), length) for part, length in parts if isinstance(part, Memory)]
    return Extent(tuple(ranges), frozenset(part.number for part, _ in parts if not isinstance(part, Memory)))


@dataclass
class Watchpoint:
    """`read` gives the bytes that are watched, None where they are not there; `show` turns bytes into text."""

    number: int
    text: str
    read: Callable[[], bytes | None]
    show: Callable[[bytes | None], str]
    extent: Extent
    access: Access = Access.CHANGE
    enabled: bool = True
    hits: int = 0


@dataclass(slots=True)
class Touched:
    """Whether one step has read, and written, a watched value."""

    read: bool = False
    written: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What a watchpoint stops for: its value was `old` and is `new`; how the step accessed it, as far as is asked."""

    watchpoint: Watchpoint
    old: bytes | None
    new: bytes | None
    touched: Touched

    @property
    def counts(self) -> bool:
        """Whether the watchpoint asks for that."""
        match self.watchpoint.access:
            case Access.READ:
                return self.touched.read
            case Access.ANY:
                return self.touched.read or self.touched.written or self.old != self.new
        return self.old != self.new

    def __str__(self) -> str:
        one = self.watchpoint
        if one.access is Access.READ:
            return f"{one.text} is {one.show(self.old)}, read"
        if self.old != self.new:
            return f"{one.text}: {one.show(self.old)} -> {one.show(self.new)}"
        words = [word for word, was in (("read", self.touched.read), ("written", self.touched.written)) if was]
        return f"{one.text} is {one.show(self.new)}, {' and '.join(words)}"


class Watching:
    """Compares the values of some watchpoints from one step to the next, and sees accesses while `looking`."""

    def __init__(self, watchpoints: list[Watchpoint], world: World) -> None:
        self._watchpoints = watchpoints
        self._world = world
        self._accessed = [one for one in watchpoints if one.access is not Access.CHANGE]
        self._values = [one.read() for one in watchpoints]
        self._touched: dict[int, Touched] = {}
        """By number, of the step that is under way."""
        self.seen: list[Seen] = []
        """Of the last step."""

    @contextmanager
    def looking(self) -> Iterator[StepsOf | None]:
        """While this lasts accesses are seen, by the step functions that it gives; None for the machine's own."""
        if not self._accessed:
            yield None
            return
        numbers = frozenset(number for one in self._accessed for number in one.extent.registers)
        registers = RegisterNotes(numbers, self._note_register) if numbers else None
        with noting(self._world, self._note_memory, lambda call: None, registers) as steps:
            yield steps.of

    def look(self) -> bool:
        """Whether there is anything to stop for since the last look."""
        values = [one.read() for one in self._watchpoints]
        if values == self._values and not self._touched:
            return False
        pairs = zip(self._watchpoints, self._values, values, strict=True)
        all = [Seen(one, old, new, self._touched.get(one.number, Touched())) for one, old, new in pairs]
        self.seen = [one for one in all if one.counts]
        self._values = values
        self._touched.clear()
        return bool(self.seen)

    def _note_memory(self, is_write: bool, address: int, size: int) -> None:
        place = canonical(self._world.object.memory, address)
        for one in self._accessed:
            if one.extent.touches(place, size):
                self._touch(one, is_write)

    def _note_register(self, is_write: bool, number: int) -> None:
        if not is_write and self._world.machine.registers[number] is None:
            return  # a function returns without a result
        for one in self._accessed:
            if number in one.extent.registers:
                self._touch(one, is_write)

    def _touch(self, one: Watchpoint, is_write: bool) -> None:
        touched = self._touched.setdefault(one.number, Touched())
        if is_write:
            touched.written = True
        else:
            touched.read = True


def shown(value: TypedValue, content: bytes | None) -> str:
    """Bytes as a value of the type of `value`."""
    if content is None:
        return "(not there)"
    return value.at(Constant(content)).text()
