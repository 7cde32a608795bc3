"""All state of a run as a value: what a checkpoint keeps, and how it is put back.

The state of a run is its pc and its machine (docs/decisions/0060): registers, frames, memory, context, maps.  `capture`
copies it, `restore` makes the machine what it was.  Objects keep their identity, since step functions hold on to them;
only what is in them is put back.  What did not change since an earlier capture is shared with it, page by page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pybpftime.machine import Effects, Frame, Machine, Region, Rounds
from pybpftime.machine.memory import SLOT_STEP, TRANSIENT_SLOT
from pybpftime.machine.stack import TrackedStack
from pybpftime.maps import Map
from pybpftime.uapi import PAGE_SIZE

Pages = tuple[bytes, ...]
Attributes = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class RegionState:
    """A region that a run changes: a stack frame, or one that is there for a run only."""

    region: Region
    start: int
    end: int
    data: bytes | None
    content: bytes | None


@dataclass(frozen=True, slots=True)
class MapState:
    """A map: its slab, and what is not in it."""

    slab: Pages
    beside: object


@dataclass(frozen=True, slots=True)
class State:
    """A machine with the maps that it reaches."""

    registers: tuple[int | None, ...]
    frames: tuple[tuple[Frame, Attributes], ...]
    counters: tuple[int, int | None, int]
    references: tuple[tuple[int, str], ...]
    effects: Effects
    context: Any
    context_attributes: Attributes
    slots: Mapping[int, Region]
    next_slots: tuple[int, int]
    stacks: tuple[Region, ...]
    regions: tuple[RegionState, ...]
    maps: tuple[MapState, ...]

    def size(self, before: State | None) -> int:
        """About how many bytes of memory this takes that `before` does not."""
        known = set() if before is None else {id(page) for map in before.maps for page in map.slab}
        pages = sum(PAGE_SIZE for map in self.maps for page in map.slab if id(page) not in known)
        listed = sum(8 * len(map.slab) for map in self.maps)
        regions = sum(len(one.data or b"") + len(one.content or b"") for one in self.regions)
        held = sum(len(value.content) for _, value in self.context_attributes if isinstance(value, _Bytes))
        return pages + listed + regions + held + 100 * (len(self.regions) + len(self.slots)) + 2000


@dataclass(frozen=True, slots=True)
class _Bytes:
    """A bytearray (or a view of one) that stays, and what was in it."""

    owner: bytearray | memoryview
    content: bytes


@dataclass(frozen=True, slots=True)
class _Inner:
    """An object whose attributes are a part of the state of the one that refers to it."""

    owner: object
    attributes: Attributes


def capture(machine: Machine, maps: Iterable[Map], before: State | None = None) -> State:
    """The state now; `before` is an earlier one of the same machine and maps, with which equal parts are shared."""
    memory = machine.memory
    return State(
        registers=tuple(machine.registers),
        frames=tuple((replace(frame), _attributes(frame.rounds)) for frame in machine.frames),
        counters=(machine.tail_calls, machine.held_lock, machine.loop_budget),
        references=tuple(machine.references.items()),
        effects=_copied(machine.effects),
        context=machine.context,
        context_attributes=_attributes(machine.context),
        slots=dict(memory.slots),
        next_slots=memory.next_slots,
        stacks=machine.stack.regions,
        regions=tuple(_regions(machine)),
        maps=capture_maps(maps, () if before is None else before.maps),
    )


def capture_maps(maps: Iterable[Map], before: Iterable[MapState] = ()) -> tuple[MapState, ...]:
    """The contents of maps now; `before` are earlier ones, with which equal pages are shared."""
    earlier = iter(before)
    return tuple(MapState(_pages(map.slab.data, next(earlier, None)), map.beside_slab()) for map in maps)


def restore_maps(states: Iterable[MapState], maps: Iterable[Map]) -> None:
    """Make the contents of maps what they were."""
    for map, held in zip(maps, states, strict=True):
        _put_pages(map.slab.data, held.slab)
        map.set_beside_slab(held.beside)


def restore(state: State, machine: Machine, maps: Iterable[Map]) -> None:
    """Make machine and maps what they were."""
    machine.registers[:] = state.registers
    machine.frames[:] = [replace(frame) for frame, _ in state.frames]
    for frame, rounds in state.frames:
        _set_attributes(frame.rounds, rounds)
    machine.tail_calls, machine.held_lock, machine.loop_budget = state.counters
    machine.references.clear()
    machine.references.update(state.references)
    machine.effects = _copied(state.effects)
    machine.context = state.context
    _set_attributes(state.context, state.context_attributes)
    machine.memory.slots.clear()
    machine.memory.slots.update(state.slots)
    machine.memory.next_slots = state.next_slots
    machine.stack.regions = state.stacks
    for kept in state.regions:
        kept.region.start, kept.region.end = kept.start, kept.end
        if kept.data is not None:
            kept.region.data[:] = kept.data
        if isinstance(kept.region, TrackedStack) and kept.content is not None:
            kept.region.content[:] = kept.content
    restore_maps(state.maps, maps)


# --- parts ------------------------------------------------------------------------------------------------------------


def _regions(machine: Machine) -> Iterator[RegionState]:
    """The regions that belong to the run: the stack of its machine, and what is mapped for the run."""
    yield from map(_region, machine.stack.regions)
    slots = machine.memory.slots
    for slot in range(TRANSIENT_SLOT, machine.memory.next_slots[1], SLOT_STEP):
        if slot in slots:
            yield _region(slots[slot])


def _region(region: Region) -> RegionState:
    """What is in a frame whose function has returned does not count: no byte of it may be accessed."""
    if region.start == region.end:
        return RegionState(region, region.start, region.end, None, None)
    data = bytes(region.data) if isinstance(region.data, bytearray) else None
    content = bytes(region.content) if isinstance(region, TrackedStack) else None
    return RegionState(region, region.start, region.end, data, content)


def _copied(effects: Effects) -> Effects:
    records = {name: list(value) if isinstance(value, list) else value for name, value in effects.records.items()}
    return Effects(list(effects.printk), effects.redirect, records)


def _attributes(owner: object) -> Attributes:
    """The attributes of an object, of which those that change in place are copied."""
    return tuple((name, _kept(getattr(owner, name))) for name in _names(owner) if hasattr(owner, name))


def _names(owner: object) -> Iterator[str]:
    yield from getattr(owner, "__dict__", ())
    for kind in type(owner).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots


def _kept(value: Any) -> Any:
    match value:
        case bytearray():
            return _Bytes(value, bytes(value))
        case memoryview() if not value.readonly:
            return _Bytes(value, value.tobytes())
        case dict() | list():
            return value.copy()
        case Rounds():
            return _Inner(value, _attributes(value))
    return value


def _set_attributes(owner: object, attributes: Attributes) -> None:
    for name, value in attributes:
        setattr(owner, name, _put_back(value))


def _put_back(kept: Any) -> Any:
    """The value that was kept, its content as it was."""
    match kept:
        case _Bytes(owner, content):
            owner[:] = content
            return owner
        case _Inner(inner, attributes):
            _set_attributes(inner, attributes)
            return inner
        case dict() | list():
            return kept.copy()
    return kept


# --- slabs ------------------------------------------------------------------------------------------------------------


def _pages(data: memoryview, before: MapState | None) -> Pages:
    """The bytes, of which pages that are equal to the ones `before` are those."""
    old = () if before is None else before.slab
    pages = []
    for number, start in enumerate(range(0, len(data), PAGE_SIZE)):
        page = data[start : start + PAGE_SIZE].tobytes()
        same = old[number] if number < len(old) else ZERO_PAGE
        pages.append(same if page == same else page)
    return tuple(pages)


def _put_pages(data: memoryview, pages: Pages) -> None:
    for start, page in zip(range(0, len(data), PAGE_SIZE), pages, strict=True):
        if data[start : start + PAGE_SIZE].tobytes() != page:
            data[start : start + PAGE_SIZE] = page


ZERO_PAGE = bytes(PAGE_SIZE)
