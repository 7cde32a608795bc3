"""Contents of maps in a recording: what differs from the maps of a fresh object, exactly.

Where an element lies in its map shows in addresses, and in the order of iteration.  So the memory of a map is recorded
as it is, page by page, and is judged before a program meets it: a file can hold anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from pybpftime.debug.recording.file import Line, Record, text_of
from pybpftime.debug.recording.slabs import check_slab
from pybpftime.debug.state import MapState, capture_maps
from pybpftime.debug.world import World
from pybpftime.errors import InputError
from pybpftime.isa.encoding import MASK64
from pybpftime.maps import Map, MapError, ProgramArray
from pybpftime.maps.layout import HEADER_SIZE
from pybpftime.maps.perf_event_array import PerfBuffer, PerfEventArray, PerfRecord, Records
from pybpftime.maps.ringbuf import RingBuffer
from pybpftime.runtime import MapView, Object
from pybpftime.uapi import PAGE_SIZE

PAGES_IN_A_LINE = 128
RECORDS_IN_A_LINE = 1024

BufferState = tuple[int, PerfBuffer, Records, int, int]
"""Index, buffer, records, bytes of them, how many were lost: what a perf event array keeps beside its slab."""


# --- writing ----------------------------------------------------------------------------------------------------------


def map_lines(world: World, fresh: Object) -> Iterator[Line]:
    """The records of the maps that were not as those of a `fresh` object before the first step."""
    fresh_maps = [view.raw for view in fresh.maps.values()]
    for view, held, before in zip(
        world.object.maps.values(), world.initial_maps, capture_maps(fresh_maps), strict=True
    ):
        raw = view.raw
        if isinstance(raw, ProgramArray):
            other = cast("ProgramArray", fresh.maps[raw.name].raw)
            yield from _program_lines(raw, world.object, _names(other, fresh))
        elif isinstance(raw, PerfEventArray):
            yield from _buffer_lines(raw.name, held, before)
        else:
            yield from _page_lines(raw.name, held, before)
            if isinstance(raw, RingBuffer) and held.beside != before.beside:
                yield {"record": "map", "name": raw.name, "wakeups": cast("tuple[Any, int]", held.beside)[1]}


def _page_lines(name: str, held: MapState, before: MapState) -> Iterator[Line]:
    changed = [
        [number, text_of(page)]
        for number, (page, old) in enumerate(zip(held.slab, before.slab, strict=True))
        if page is not old and page != old
    ]
    for start in range(0, len(changed), PAGES_IN_A_LINE):
        yield {"record": "map", "name": name, "pages": changed[start : start + PAGES_IN_A_LINE]}


def _program_lines(array: ProgramArray, owner: Object, before: list[list[Any]]) -> Iterator[Line]:
    programs = _names(array, owner)
    if programs != before:
        yield {"record": "map", "name": array.name, "programs": programs}


def _names(array: ProgramArray, owner: Object) -> list[list[Any]]:
    """Index and name of each program, in the order in which they were first put in."""
    names = {id(program.loaded): program.name for program in owner}
    found: list[list[Any]] = []
    for index, program in sorted(array.programs(), key=lambda one: (array.handle(one[0]), one[0])):
        if id(program) not in names:
            raise InputError(f"map {array.name} holds a program of another object, which cannot be recorded")
        found.append([index, names[id(program)]])
    return found


def _buffer_lines(name: str, held: MapState, before: MapState) -> Iterator[Line]:
    """The open buffers, and then what is in them."""
    buffers = cast("tuple[BufferState, ...]", held.beside)
    if [_plain(one) for one in buffers] == [_plain(one) for one in cast("tuple[BufferState, ...]", before.beside)]:
        return
    opened = [[index, buffer.cpu, buffer.capacity, lost] for index, buffer, _, _, lost in buffers]
    yield {"record": "map", "name": name, "buffers": opened}
    for index, _, records, _, _ in buffers:
        for start in range(0, len(records), RECORDS_IN_A_LINE):
            contents = [text_of(record.data) for record in records[start : start + RECORDS_IN_A_LINE]]
            yield {"record": "map", "name": name, "buffer": index, "contents": contents}


def _plain(state: BufferState) -> tuple[Any, ...]:
    index, buffer, records, used, lost = state
    return index, buffer.cpu, buffer.capacity, records, used, lost


# --- reading ----------------------------------------------------------------------------------------------------------


class MapReader:
    """Makes the maps of a fresh object what records say; `finish` judges the whole."""

    def __init__(self, object: Object) -> None:
        self._maps: Mapping[str, MapView] = object.maps
        self._object = object
        self._headers: dict[str, bytes] = {}
        self._last: dict[str, Record] = {}

    def read(self, record: Record) -> None:
        """Take one record.  InputError when it does not fit the map."""
        name = record.text("name")
        if name not in self._maps:
            record.refuse(f"the object has no map {name[:100]!r}")
        raw = self._maps[name].raw
        if name not in self._headers:
            self._headers[name] = bytes(raw.slab.data[:HEADER_SIZE])
        self._last[name] = record
        if isinstance(raw, ProgramArray):
            self._read_programs(raw, record)
        elif isinstance(raw, PerfEventArray):
            _read_buffers(raw, record)
        else:
            _read_pages(raw, record)

    def finish(self) -> None:
        """InputError when a map that was read is damaged."""
        for name, record in self._last.items():
            reason = check_slab(self._maps[name].raw, self._headers[name])
            if reason is not None:
                record.refuse(f"map {name} is damaged: {reason}")

    def _read_programs(self, array: ProgramArray, record: Record) -> None:
        for index, _ in array.programs():
            array.delete_element(index.to_bytes(4, "little"))
        for index, name in _pairs("programs", record):
            if not isinstance(name, str) or name not in self._object:
                record.refuse("programs is a list of an index and a program of the object each")
            key = record.checked_number("the index of a program", index, 0, array.max_entries - 1)
            try:
                array.update(key.to_bytes(4, "little"), self._object[name].loaded)
            except MapError as error:
                record.refuse(f"map {array.name}: {error.reason}")


def _pairs(name: str, record: Record) -> Iterator[tuple[Any, Any]]:
    """The pairs of an optional list."""
    for entry in record.items(name, optional=True):
        if not isinstance(entry, list) or len(entry) != 2:
            record.refuse(f"{name} is a list of pairs")
        yield entry[0], entry[1]


def _read_pages(raw: Map, record: Record) -> None:
    data = raw.slab.data
    last = (len(data) - 1) // PAGE_SIZE
    for number, text in _pairs("pages", record):
        start = PAGE_SIZE * record.checked_number("the number of a page", number, 0, last)
        page = record.decoded("a page", text)
        if len(page) != min(PAGE_SIZE, len(data) - start):
            record.refuse(f"a page has {PAGE_SIZE} bytes, unless it is the last of a map")
        data[start : start + len(page)] = page
    if isinstance(raw, RingBuffer):
        raw.wakeups = record.number("wakeups", default=raw.wakeups)


def _read_buffers(array: PerfEventArray, record: Record) -> None:
    if "buffers" in record.data:
        for index in range(array.max_entries):
            if array.handle(index):
                array.delete_element(index.to_bytes(4, "little"))
        for entry in record.items("buffers"):
            if not isinstance(entry, list) or len(entry) != 4:
                record.refuse("buffers is a list of index, cpu, capacity and lost records each")
            index = record.checked_number("the index of a buffer", entry[0], 0, array.max_entries - 1)
            cpu = record.checked_number("the cpu of a buffer", entry[1], 0, array.cpu_count - 1)
            capacity = record.checked_number("the capacity of a buffer", entry[2], 0, 1 << 40)
            lost = record.checked_number("the number of lost records", entry[3], 0, MASK64)
            try:
                array.update(index.to_bytes(4, "little"), PerfBuffer(cpu, capacity, lost=lost))
            except MapError as error:
                record.refuse(f"map {array.name}: {error.reason}")
        return
    opened = array.buffer(record.number("buffer"))
    if opened is None:
        record.refuse("no buffer is open there")
    for text in record.items("contents"):
        if not opened.put(PerfRecord(opened.cpu, record.decoded("a record", text))):
            record.refuse("the buffer has no room for its records")
