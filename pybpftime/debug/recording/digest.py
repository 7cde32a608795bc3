"""Digests of time lines: every step is executed again and goes into a hash, so that two runs can be compared.

Of every step: which program, which slot, and r0 to r10.  Every STATE_INTERVAL steps and at the end also all memory,
maps included.  At the end of each invocation its outcome.  docs/reference/recording-format.md says what exactly.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pybpftime.debug.session import Session
from pybpftime.debug.state import ZERO_PAGE
from pybpftime.debug.timeline import Timeline
from pybpftime.debug.world import ENDED, World
from pybpftime.machine import Region
from pybpftime.machine.machine import REGISTERS
from pybpftime.maps.perf_event_array import PerfEventArray
from pybpftime.maps.prog_array import DescriptorArray
from pybpftime.uapi import PAGE_SIZE

STATE_INTERVAL = 1 << 15
"""Steps between two looks at all memory."""
BUFFERED = 1 << 16
"""Bytes that are hashed together."""

UNSET = int.from_bytes(b"no value", "little")
"""What stands for a register that has none."""

_REGISTERS = struct.Struct(f"<{REGISTERS}Q")


@dataclass(frozen=True, slots=True)
class Checksum:
    """The hash of all steps of a time line up to `step`, where an `invocation` ended or the time line does."""

    timeline: int
    invocation: int
    step: int
    value: str


def checksums(session: Session) -> list[Checksum]:
    """Those of all time lines, which are executed again from their first step; the session stays where it is."""
    world = session.world
    if not world.timeline.starts:
        return []
    here, step, stood = world.timeline, world.step, world.has_begun
    found = [one for timeline in world.timelines for one in _of_timeline(world, timeline)]
    world.switch(here.number, step if stood else 0)
    return found


def digest(session: Session) -> str:
    """One hash over all steps of all time lines: 64 hex digits, equal wherever the session is executed again."""
    return combined(checksums(session))


def combined(found: Iterable[Checksum]) -> str:
    """One hash for all of them."""
    whole = hashlib.sha256()
    for one in found:
        whole.update(f"{one.timeline} {one.invocation} {one.step} {one.value}\n".encode("ascii"))
    return whole.hexdigest()


def first_difference(wanted: Iterable[Checksum], found: Iterable[Checksum]) -> Checksum | None:
    """The first of `wanted` that is not found; None when all are."""
    known = set(found)
    return next((one for one in wanted if one not in known), None)


def _of_timeline(world: World, timeline: Timeline) -> list[Checksum]:
    end = timeline.end
    world.switch(timeline.number, 0)
    hasher = _Hasher(world, timeline.number, end)
    hasher.look(ENDED if world.ending is not None else world.pc)
    while world.step < end and not world.is_over:
        world.advance(end, until=hasher.look)
    hasher.finish()
    return hasher.found


class _Hasher:
    """Looks on at every step of one time line."""

    def __init__(self, world: World, timeline: int, end: int) -> None:
        self.found: list[Checksum] = []
        self._world = world
        self._timeline = timeline
        self._end = end
        self._hash = hashlib.sha256()
        self._buffer = bytearray()
        self._step = -1
        self._names = {id(program.loaded): number for number, program in enumerate(world.object)}
        self._index = -1
        self._places: list[bytes] = []
        self._registers: list[int | None] = []

    def look(self, pc: int) -> bool:
        """Take the step at `pc`."""
        self._step += 1
        if pc == ENDED:
            self._outcome()
        else:
            if self._world.index != self._index or pc >= len(self._places):
                self._locate()
            registers = self._registers
            self._buffer += self._places[pc]
            if None in registers:
                self._buffer += _REGISTERS.pack(*[UNSET if value is None else value for value in registers])
            else:
                self._buffer += _REGISTERS.pack(*registers)
            if len(self._buffer) >= BUFFERED:
                self._flush()
        if self._step % STATE_INTERVAL == STATE_INTERVAL - 1:
            self._state()
        return False

    def finish(self) -> None:
        """The time line ends here."""
        self._state()
        if self.found and self.found[-1].step == self._step:
            del self.found[-1]
        self._add()

    def _locate(self) -> None:
        """Program (its number in the object) and slot, for every pc of the code space of the machine that runs now."""
        machine = self._world.machine
        self._index, self._registers = self._world.index, machine.registers
        self._places = [
            struct.pack("<II", self._names.get(id(code.program), len(self._names)), slot)
            for code in machine.code
            for slot in range(code.end - code.start)
        ]

    def _outcome(self) -> None:
        """An invocation is over."""
        world = self._world
        ending = world.ending
        assert ending is not None
        if ending.result is not None:
            data: dict[str, Any] = ending.result.as_dict()
        else:
            error = ending.error
            data = {
                "error": type(error).__name__,
                "kind": getattr(error, "kind", None),
                "pc": getattr(error, "pc", None),
                "printk": list(world.machine.effects.printk),
            }
        self._buffer += json.dumps(data, sort_keys=True, default=_plain).encode("ascii")
        self._flush()
        self._add()

    def _add(self) -> None:
        self._flush()
        self.found.append(Checksum(self._timeline, self._world.index, self._step, self._hash.hexdigest()))

    def _state(self) -> None:
        """All memory: regions by address, then the maps."""
        world = self._world
        slabs = {id(view.raw.region) for view in world.object.maps.values()}
        for slot, region in sorted(world.object.memory.slots.items()):
            if id(region) not in slabs and region.start < region.end and (region.readable or region.writable):
                self._region(slot, region)
        for view in world.object.maps.values():
            raw = view.raw
            if isinstance(raw, DescriptorArray):
                self._buffer += _described(raw)
            else:
                self._slab(raw.slab.data)
            self._flush()

    def _region(self, slot: int, region: Region) -> None:
        self._buffer += struct.pack("<IQQ", slot, region.start, region.end)
        self._buffer += bytes(region.data[region.start : region.end])
        self._flush()

    def _slab(self, data: memoryview) -> None:
        """The pages of a map that are not all zeros."""
        for number, start in enumerate(range(0, len(data), PAGE_SIZE)):
            page = data[start : start + PAGE_SIZE].tobytes()
            if page != ZERO_PAGE:
                self._buffer += struct.pack("<I", number)
                self._buffer += page
                self._flush()

    def _flush(self) -> None:
        self._hash.update(self._buffer)
        self._buffer.clear()


def _described(array: DescriptorArray) -> bytes:
    """The records of a perf event array; what other arrays of objects hold does not change."""
    if not isinstance(array, PerfEventArray):
        return b""
    parts = []
    for index in range(array.max_entries):
        buffer = array.buffer(index)
        if buffer is not None:
            parts.append(struct.pack("<IIQ", index, len(buffer.records), buffer.lost))
            parts += [struct.pack("<Q", len(record.data)) + record.data for record in buffer.records]
    return b"".join(parts)


def _plain(value: object) -> object:
    """What JSON does not know: bytes as hex, all else as text."""
    return bytes(value).hex() if isinstance(value, bytes | bytearray | memoryview) else str(value)
