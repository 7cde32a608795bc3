"""What a call of a helper does that no memory access shows: to elements of maps, to the packet, to the context."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pybpftime.debug.calls import HelperCall
from pybpftime.debug.memory import PACKET_POINTERS
from pybpftime.helpers.declarations import Role
from pybpftime.helpers.implementations.loops import Walk
from pybpftime.helpers.implementations.skb import HASHED_BYTES
from pybpftime.machine import Machine
from pybpftime.machine.memory import OFFSET_MASK, SLOT_SHIFT
from pybpftime.maps import Map
from pybpftime.maps.array import ArrayMap
from pybpftime.maps.hash import HashTable
from pybpftime.maps.kinds import Operation
from pybpftime.maps.lru import LruHashMap
from pybpftime.program.contexts.packet_context import PacketContext
from pybpftime.program.contexts.region import StructureRegion
from pybpftime.program.contexts.skb import SkbContext

Note = Callable[[bool, int, int], None]
"""Takes whether it is a write, the address, the size in bytes."""
Range = tuple[int, int]
"""An address and a size in bytes."""

PACKET_SLOT = 0xFFF1_0000
"""Stands in addresses for the buffer around the packet, which lies in another slot after each change of its shape."""


@dataclass(frozen=True, slots=True)
class PacketAccess:
    """How a helper reads or writes the packet: at which offset (a register, 0 for none), how much (a register, or
    `bytes`).  `header`: the register that says which header the offset counts from.
    """

    offset: int
    length: int = 0
    bytes: int = 0
    reads: bool = True
    writes: bool = False
    header: int = 0


PACKET_ACCESSES = {
    "bpf_skb_load_bytes": PacketAccess(2, 4),
    "bpf_skb_load_bytes_relative": PacketAccess(2, 4, header=5),
    "bpf_skb_store_bytes": PacketAccess(2, 4, reads=False, writes=True),
    "bpf_xdp_load_bytes": PacketAccess(2, 4),
    "bpf_xdp_store_bytes": PacketAccess(2, 4, reads=False, writes=True),
    "bpf_l3_csum_replace": PacketAccess(2, bytes=2, writes=True),
    "bpf_l4_csum_replace": PacketAccess(2, bytes=2, writes=True),
    "bpf_get_hash_recalc": PacketAccess(0, bytes=HASHED_BYTES),
}


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a map, as something that is there or not; where its value lies is another question."""

    map: str
    key: bytes


@dataclass(slots=True)
class Call:
    """What is to be known of a call of a helper beside its accesses.

    `element` is what it looked for, in a map whose elements come and go; `changed` are those that it made or deleted,
    also to make room.  `key`: where the key was read.  `tail_called`: another program runs in place of this one.
    `returned`: it is no call, but the function that the helper calls back has returned to it.
    """

    call: HelperCall
    element: Element | None = None
    changed: frozenset[Element] = frozenset()
    key: int | None = None
    tail_called: bool = False
    returned: bool = False


class CallEffects:
    """The state before a call of a helper, as far as its effects are not seen by the memory object."""

    def __init__(self, call: HelperCall, machine: Machine) -> None:
        self._call = call
        self._machine = machine
        self._registers = tuple(machine.registers)
        self._map = call.map(machine)
        self._key = call.key(machine)
        self._operation = call.declaration.map_operation
        self._existed = bool(self._places()) if self._operation is Operation.UPDATE else False
        self._gone = self._evicted()
        self._packet = self._packet_of(call, machine)
        self._buffer = None if self._packet is None else bytes(self._packet.buffer)
        self._borders = None if self._packet is None else _borders(self._packet)
        self._context = context_region(machine) if self._packet is not None else None
        self._image = None if self._context is None else bytes(self._context.data)

    def call(self) -> Call:
        """What the call did to elements."""
        map, key = self._map, self._key
        one = Call(self._call)
        if map is None or key is None:
            return one
        one.key = self._registers[self._call.argument(Role.MAP_KEY) or 0]
        if map.layout.bucket_count:
            one.element = Element(map.name, key)
            if self._operation in (Operation.UPDATE, Operation.DELETE) and self._machine.registers[0] == 0:
                one.changed = frozenset({one.element} | self._gone)
        return one

    def _evicted(self) -> set[Element]:
        """The element that a full LRU map gives up when it gets another one."""
        map = self._map
        if self._operation is not Operation.UPDATE or self._existed or not isinstance(map, LruHashMap):
            return set()
        return {Element(map.name, map.key_of(map.slab.get("oldest")))} if map.count >= map.max_entries else set()

    def compare(self, note: Note) -> None:
        """Note what was read and written without the memory object."""
        if self._operation is Operation.UPDATE and self._machine.registers[0] == 0:
            for address, size in self._places(all_cpus=not self._existed):
                note(True, address, size)
        note_key(self._machine, note)
        if self._packet is not None:
            self._compare_packet(note, self._packet)

    # -- maps

    def _places(self, *, all_cpus: bool = False) -> list[Range]:
        """Where the value of the element lies."""
        if self._map is None or self._key is None:
            return []
        cpus = range(self._map.cpu_count) if all_cpus else (self._machine.environment.cpu,)
        return value_places(self._map, self._key, cpus)

    # -- packets and their contexts

    @staticmethod
    def _packet_of(call: HelperCall, machine: Machine) -> PacketContext | None:
        takes_it = call.argument(Role.CONTEXT) is not None or call.declaration.changes_packet
        return machine.context if takes_it and isinstance(machine.context, PacketContext) else None

    def _compare_packet(self, note: Note, packet: PacketContext) -> None:
        name, buffer = self._call.declaration.name, self._buffer
        assert buffer is not None
        if name in PACKET_ACCESSES:
            self._note_access(PACKET_ACCESSES[name], note, packet)
        elif packet.kind == "skb" and packet.buffer != buffer and self._call.declaration.changes_packet:
            note(True, PACKET_SLOT << SLOT_SHIFT, len(packet.buffer))  # bytes have moved
        else:
            for at, size in _changes(buffer, packet.buffer):
                note(True, (PACKET_SLOT << SLOT_SHIFT) + at, size)
        if self._context is not None and self._image is not None:
            before, after, moved = self._image, bytes(self._context.data), _borders(packet) != self._borders
            for one in self._context.layout.fields:
                changed = before[one.offset : one.end] != after[one.offset : one.end]
                if changed or (moved and one.kind in PACKET_POINTERS):
                    note(True, self._context.base + one.offset, one.size)

    def _note_access(self, access: PacketAccess, note: Note, packet: PacketContext) -> None:
        if access.bytes == 0 and self._machine.registers[0] != 0:
            return  # it has failed
        start = packet.head
        if access.header and isinstance(packet, SkbContext):
            start = packet.field("network_header" if self._registers[access.header] else "mac_header")
        start += (self._registers[access.offset] or 0) & OFFSET_MASK if access.offset else 0
        size = min(access.bytes or self._registers[access.length] or 0, packet.end - start)
        if size > 0:
            for is_write in (False,) * access.reads + (True,) * access.writes:
                note(is_write, (PACKET_SLOT << SLOT_SHIFT) + start, size)


def note_key(machine: Machine, note: Note) -> None:
    """A helper that calls back has put a key where the function that it calls finds it."""
    rounds = machine.frames[-1].rounds if machine.frames else None
    if isinstance(rounds, Walk):
        note(True, rounds.key.base, len(rounds.key.data))


def value_places(map: Map, key: bytes, cpus: Sequence[int]) -> list[Range]:
    """Address and size of the value under `key` for each of the cpus; nothing when there is no such element.

    Unlike a look-up it leaves the map as it is.
    """
    if map.region is None:
        return []
    base, cpus = map.region.base, cpus if map.kind.per_cpu else (0,)
    if isinstance(map, HashTable):
        link = map.find(key)
        return [(base + map.value_offset(link, cpu), map.value_size) for cpu in cpus] if link else []
    if isinstance(map, ArrayMap):
        addresses = (map.element_address(key, cpu) for cpu in cpus)
        return [(address, map.value_size) for address in addresses if address]
    return []


def _borders(packet: PacketContext) -> tuple[int, int, int]:
    """Where the packet lies in its buffer."""
    return packet.meta, packet.head, packet.end


def _changes(before: bytes, after: Any) -> Iterator[tuple[int, int]]:
    """Offset and length of each run of bytes that differ; what is new at the end counts."""
    if before == after:
        return
    start: int | None = None
    for at in range(len(after)):
        differs = at >= len(before) or before[at] != after[at]
        if differs and start is None:
            start = at
        elif not differs and start is not None:
            yield start, at - start
            start = None
    if start is not None:
        yield start, len(after) - start


def context_region(machine: Machine) -> StructureRegion | None:
    """The context that the program works on, where it is a structure."""
    return next((one for one in machine.memory.slots.values() if isinstance(one, StructureRegion)), None)
