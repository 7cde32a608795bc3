"""Fields of map values that belong to the kernel: locks, timers and pointers to kernel objects.

Locks and timers are touched by their helpers only.  A kernel pointer can be loaded whole, and NULL can be stored to one
that is not counted; helpers that take memory may touch none of them.  Source: check_map_access and
check_map_kptr_access of the kernel's verifier.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pybpftime.maps.spec import SPIN_LOCK_SIZE, KernelPointer, MapSpec
from pybpftime.verifier.obligations import Obligation, Within
from pybpftime.verifier.values import Pointer, Region, RegionKind, Scalar, Value, rely

TIMER_SIZE = 16  # struct bpf_timer
POINTER_SIZE = 8


class SpecialField(NamedTuple):
    """`size` bytes at `offset` of a value.  `pointer` describes a kernel pointer; other fields are opaque."""

    name: str
    offset: int
    size: int
    pointer: KernelPointer | None = None


def special_fields(map: MapSpec) -> Iterator[SpecialField]:
    """Those of the map's values."""
    if map.spin_lock_offset is not None:
        yield SpecialField("bpf_spin_lock", map.spin_lock_offset, SPIN_LOCK_SIZE)
    if map.timer_offset is not None:
        yield SpecialField("bpf_timer", map.timer_offset, TIMER_SIZE)
    for pointer in map.kernel_pointers:
        yield SpecialField(f"pointer to {pointer.type_name}", pointer.offset, POINTER_SIZE, pointer)


def _touched(pointer: Pointer, offset: int, size: int) -> Iterator[SpecialField]:
    map = pointer.region.map
    if map is None:
        return
    low, high = pointer.bounds
    for field in special_fields(map):
        if low + offset < field.offset + field.size and high + offset + size > field.offset:
            yield field


def requires(number: int, pointer: Pointer, offset: int, size: int, writes: bool, atomic: bool) -> Iterator[Obligation]:
    """What an instruction that accesses `size` bytes at `pointer + offset` of a map value must not do."""
    for field in _touched(pointer, offset, size):
        rely(pointer.variable)
        if field.pointer is None:
            yield _touching(number, pointer, offset, size, field)
            continue
        place = f"the {field.name} at {field.offset} of the {pointer.region.name}"
        whole = pointer.variable is None and pointer.offset + offset == field.offset and size == POINTER_SIZE
        if not whole or atomic:
            sentence = f"{place} is loaded and stored as a whole, by plain instructions"
            yield Obligation("special-field", sentence, number)
        elif writes and field.pointer.referenced:
            yield Obligation("special-field", f"{place} owns what it points to: bpf_kptr_xchg changes it", number)


def requires_of_stored(number: int, pointer: Pointer, offset: int, value: Value) -> Iterator[Obligation]:
    """What a store of `value` demands where it goes to a kernel pointer: NULL, or a pointer of that type."""
    for field in _touched(pointer, offset, POINTER_SIZE):
        if field.pointer is None:
            continue
        if isinstance(value, Scalar):
            rely(value)
            fits = value.is_constant and value.range.constant == 0
        else:
            region = value.region
            fits = region.kind is RegionKind.OBJECT and region.type_name == field.pointer.type_name
            fits = fits and value.offset == 0 and value.variable is None
        if not fits:
            sentence = (
                f"what is stored to the {field.name} of the {pointer.region.name} is neither NULL nor such a pointer"
            )
            yield Obligation("special-field", sentence, number)


def requires_of_helper(number: int, pointer: Pointer, size: int) -> Iterator[Obligation]:
    """What a helper that is handed `size` bytes at `pointer` must not get."""
    for field in _touched(pointer, 0, size) if pointer.region.kind is RegionKind.MAP_VALUE else ():
        rely(pointer.variable)
        yield _touching(number, pointer, 0, size, field)


def _touching(number: int, pointer: Pointer, offset: int, size: int, field: SpecialField) -> Obligation:
    low, _ = pointer.bounds
    sentence = f"{size} bytes at {low + offset} of the {pointer.region.name} touch its {field.name}"
    before = Within(pointer.variable, pointer.offset + offset, size, 0, field.offset)
    return Obligation("special-field", sentence, number, (before,) if low + offset < field.offset else ())


def load(region: Region, offset: int, pc: int) -> Value | None:
    """What a load of a kernel pointer gives: one to an object that may be gone.  None for other places."""
    map = region.map
    for field in special_fields(map) if map is not None else ():
        if field.pointer is not None and field.offset == offset:
            name = f"{field.pointer.type_name} that the {region.name} points to"
            target = Region(RegionKind.OBJECT, name, pc=pc, type_name=field.pointer.type_name, writable=False)
            return Pointer(target, nullable=True)
    return None
