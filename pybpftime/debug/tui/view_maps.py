"""Maps as tables: a column for each field of a key or a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pybpftime.debug.scope import FrameScope
from pybpftime.debug.session import Session
from pybpftime.debug.values import CType, Target, TypedValue, constant_value
from pybpftime.errors import BpfError, InputError
from pybpftime.maps import Map, MapError, ProgramArray
from pybpftime.maps.perf_event_array import PerfEventArray
from pybpftime.maps.ringbuf import RingBuffer
from pybpftime.program.btf import Int, Struct
from pybpftime.runtime import MapView
from pybpftime.uapi import MapType

MOST_ENTRIES = 200
"""Entries of a map that are shown; of an array so many are looked at."""
MOST_COLUMNS = 8
MOST_RECORDS = 50
LARGEST_RING = 4 << 20
"""Bytes of a ring buffer that is copied to look into it; of a larger one only the number of records is told."""
ARRAYS = (MapType.BPF_MAP_TYPE_ARRAY, MapType.BPF_MAP_TYPE_PERCPU_ARRAY)


@dataclass(frozen=True, slots=True)
class EntryView:
    """A row: `key` tells it from others, `cells` are its columns."""

    key: bytes
    cells: tuple[str, ...]
    changed: bool


@dataclass(frozen=True, slots=True)
class TableView:
    """A map.  `note` says how much of it there is; `values` are the bytes of what is shown, by key and cpu."""

    name: str
    type: str
    note: str
    columns: tuple[str, ...]
    entries: tuple[EntryView, ...]
    values: Mapping[bytes, bytes]


def map_views(session: Session, before: tuple[TableView, ...] | None) -> tuple[TableView, ...]:
    """All maps but those that hold global variables."""
    scope = session.scope()
    known = {} if before is None else {one.name: one for one in before}
    return tuple(
        _table(session, view, scope, known.get(view.name))
        for view in session.object.maps.values()
        if view.spec.contents is None
    )


def _table(session: Session, view: MapView, scope: FrameScope, before: TableView | None) -> TableView:
    raw, kind = view.raw, view.type.name.removeprefix("BPF_MAP_TYPE_").lower()
    try:
        if isinstance(raw, RingBuffer | PerfEventArray):
            return _records(view, kind, before)
        if isinstance(raw, ProgramArray):
            rows = {index.to_bytes(4, "little"): (str(index), str(one.spec.name)) for index, one in raw.programs()}
            note = f"{len(rows)} of {raw.max_entries}"
            return _finish(view.name, kind, note, ("index", "program"), rows, {}, before)
        return _elements(session, view, kind, scope, before)
    except BpfError as error:
        return TableView(view.name, kind, error.reason, (), (), {})


def _elements(session: Session, view: MapView, kind: str, scope: FrameScope, before: TableView | None) -> TableView:
    found = scope.map(view.name)
    if found is None:
        return TableView(view.name, kind, "its elements cannot be shown", (), (), {})
    keys, values = _Columns(found.key_type, "key", scope.target), _Columns(found.value_type, "value", scope.target)
    per_cpu = view.raw.kind.per_cpu
    known = {} if before is None else {entry.key: entry.cells for entry in before.entries}
    rows: dict[bytes, tuple[str, ...]] = {}
    contents: dict[bytes, bytes] = {}
    looked_at = zeros = 0
    for key, content in _first(view.raw):
        looked_at += 1
        parts = [(cpu, one) for cpu, one in enumerate(content) if any(one)] if per_cpu else [(-1, content[0])]
        if not parts or (view.type in ARRAYS and view.raw.max_entries > 1 and not any(parts[0][1])):
            zeros += 1
            continue
        for cpu, one in parts:
            name = key + (cpu.to_bytes(4, "little") if per_cpu else b"")
            contents[name] = one
            if before is not None and before.values.get(name) == one:
                rows[name] = known[name]
            else:
                rows[name] = (*keys.cells(key), *([str(cpu)] if per_cpu else []), *values.cells(one))
    count = view.raw.max_entries if view.type in ARRAYS else view.raw.count
    note = f"{count} of {view.raw.max_entries}"
    note += f", the first {looked_at} looked at" if count > looked_at else ""
    note += f", {zeros} of zeros not shown" if zeros else ""
    columns = (*keys.names, *(["cpu"] if per_cpu else []), *values.names)
    return _finish(view.name, kind, note, columns, rows, contents, before)


def _finish(
    name: str, kind: str, note: str, columns: tuple[str, ...], rows: Mapping[bytes, tuple[str, ...]],
    contents: Mapping[bytes, bytes], before: TableView | None,
) -> TableView:  # fmt: skip
    entries = tuple(
        EntryView(key, cells, before is not None and before.values.get(key, b"") != contents.get(key, b""))
        for key, cells in rows.items()
    )
    gone = 0 if before is None else sum(key not in contents for key in before.values)
    return TableView(name, kind, note + (f", {gone} gone" if gone else ""), columns, entries, contents)


def _first(map: Map) -> Iterator[tuple[bytes, tuple[bytes, ...]]]:
    """The first elements: keys, and values of each cpu."""
    key: bytes | None = None
    for _ in range(MOST_ENTRIES):
        try:
            key = map.next_key(key)
            value = map.lookup(key)
        except MapError:
            return
        if isinstance(value, bytes):
            yield key, (value,)
        elif isinstance(value, tuple):
            yield key, value


class _Columns:
    """The columns of a key or of a value: its fields if it is a structure of few, else the whole of it."""

    def __init__(self, kind: CType, name: str, target: Target) -> None:
        self._kind = kind
        self._target = target
        self.names: tuple[str, ...] = (name,)
        if isinstance(kind.record, Struct):
            names = tuple(child.name for child in self._value(bytes(kind.size)).children())
            if 0 < len(names) <= MOST_COLUMNS:
                self.names = names
                self._is_split = True
                return
        self._is_split = False

    def cells(self, content: bytes) -> tuple[str, ...]:
        value = self._value(content)
        return tuple(_text(child.value) for child in value.children()) if self._is_split else (_text(value),)

    def _value(self, content: bytes) -> TypedValue:
        return constant_value(self._kind, content[: self._kind.size], self._target)


def _text(value: TypedValue) -> str:
    """A value in a cell: addresses and other arrays of bytes as hex."""
    element = value.type.element
    record = None if element is None else element.record
    if isinstance(record, Int) and record.size == 1 and not record.is_char:
        return value.read().hex()
    return value.text()


def _records(view: MapView, kind: str, before: TableView | None) -> TableView:
    """The records that wait to be read; they stay."""
    if isinstance(view.raw, RingBuffer):
        count, records = view.raw.count, [("", data) for data in _peek(view.raw)]
    else:
        assert isinstance(view.raw, PerfEventArray)
        waiting = [one for cpu in range(view.raw.cpu_count) for one in _waiting(view.raw, cpu)]
        count, records = len(waiting), [(str(cpu), data) for cpu, data in waiting]
    rows: dict[bytes, tuple[str, ...]] = {}
    contents: dict[bytes, bytes] = {}
    for number, (cpu, data) in enumerate(records[:MOST_RECORDS]):
        key = number.to_bytes(4, "little")
        rows[key] = (str(number), cpu, str(view.decode_record(data)) if view.spec.value_type_id else data.hex(" "))
        contents[key] = data
    return _finish(view.name, kind, f"{count} records", ("number", "cpu", "record"), rows, contents, before)


def _waiting(map: PerfEventArray, cpu: int) -> list[tuple[int, bytes]]:
    buffer = map.buffer(cpu)
    return [] if buffer is None else [(one.cpu, one.data) for one in buffer.contents()[0]]


def _peek(map: RingBuffer) -> list[bytes]:
    """The finished records, read from a copy, since reading consumes them."""
    if not map.count or map.slab.data.nbytes > LARGEST_RING:
        return []
    try:
        return RingBuffer(map.spec, storage=memoryview(bytearray(map.slab.data))).drain()
    except InputError:
        return []
