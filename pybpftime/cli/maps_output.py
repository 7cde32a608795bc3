"""How map contents are printed: a column for each field that BTF names, global data as variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.text import Text

from pybpftime.cli.failure import printable
from pybpftime.cli.output import UNLIMITED, bytes_text, count_of, number, table
from pybpftime.maps import ProgramArray
from pybpftime.program.btf import Array, Btf, DataSec, Int, Struct, Var, decode, format_value, type_name
from pybpftime.runtime import MapView
from pybpftime.uapi import MapType

MOST_ROWS = 100
MOST_FIELDS = 12
MOST_ELEMENTS = 16
MAC_LENGTH = 6
IPV6_LENGTH = 16
INDENT = "  "
PADDING = re.compile(r"_*(?:pad|padding|reserved|unused)_?\d*_*")
ARRAYS = (MapType.BPF_MAP_TYPE_ARRAY, MapType.BPF_MAP_TYPE_PERCPU_ARRAY)
ADDRESS = re.compile(r".*addr.*|.*ip6|(?:src|dst|source|destination)(?:_ip)?")
"""Names that say that 16 bytes are an IPv6 address."""
STREAMS = (MapType.BPF_MAP_TYPE_RINGBUF, MapType.BPF_MAP_TYPE_PERF_EVENT_ARRAY)


def short_type(view: MapView) -> str:
    """`hash` for BPF_MAP_TYPE_HASH."""
    return view.type.name.removeprefix("BPF_MAP_TYPE_").lower()


# --- text -------------------------------------------------------------------------------------------------------------


def print_maps(console: Console, views: Iterable[MapView], btf: Btf | None) -> None:
    """A section for every map."""
    for view in views:
        console.print()
        section = None if btf is None or not view.spec.value_type_id else btf[view.spec.value_type_id]
        if view.type in STREAMS:
            _print_records(console, view)
        elif isinstance(view.raw, ProgramArray):
            _print_programs(console, view)
        elif btf is not None and isinstance(section, DataSec):
            _print_variables(console, view, btf, section)
        else:
            _print_entries(console, view, btf)


def _title(console: Console, view: MapView, *notes: str) -> None:
    console.print(Text.assemble((view.name, "bold"), ("  " + ", ".join([short_type(view), *notes]), "dim")))


def _print_records(console: Console, view: MapView) -> None:
    records = view.drain()
    _title(console, view, count_of(len(records), "record"))
    for record in records[:MOST_ROWS]:
        data = getattr(record, "data", record)
        prefix = f"cpu {record.cpu}: " if data is not record else ""
        console.print(Text(f"  {prefix}{bytes_text(data) if isinstance(data, bytes) else data}"))
    _print_rest(console, len(records))


def _print_programs(console: Console, view: MapView) -> None:
    entries = view.items()
    _title(console, view, f"{number(len(entries))} of {count_of(view.spec.max_entries, 'entry')}")
    for index, name in entries[:MOST_ROWS]:
        console.print(Text(f"  {index}: {name}"))
    _print_rest(console, len(entries))


def _print_variables(console: Console, view: MapView, btf: Btf, section: DataSec) -> None:
    _title(console, view, "global variables")
    content = view.raw.lookup(bytes(4))
    assert isinstance(content, bytes)
    rows = table("  name", "type", "value")
    for place in section.variables:
        variable = btf[place.type]
        if isinstance(variable, Var):
            value = decode(btf, variable.type, content[place.offset : place.offset + place.size])
            text = _text(btf, variable.type, value)
            rows.add_row("  " + variable.name, type_name(btf, variable.type), text)
    console.print(rows)


def _print_rest(console: Console, count: int) -> None:
    if count > MOST_ROWS:
        console.print(f"  ... and {number(count - MOST_ROWS)} more (--json shows all)", style="dim")


@dataclass(frozen=True, slots=True)
class _Column:
    """A leaf of a key or value type: where its value is in the decoded value, and its type (0: none)."""

    name: str
    path: tuple[str, ...]
    type_id: int

    def value(self, decoded: Any) -> Any:
        for name in self.path:
            decoded = decoded[name]
        return decoded


def _print_entries(console: Console, view: MapView, btf: Btf | None) -> None:
    entries = view.items()
    shown = [(key, value) for key, value in entries if len(entries) == 1 or view.type not in ARRAYS or _any(value)]
    zeros = len(entries) - len(shown)
    notes = [f"{number(len(entries))} of {count_of(view.spec.max_entries, 'entry')}"]
    if zeros:
        notes.append(f"{number(zeros)} of zeros not shown")
    _title(console, view, *notes)
    if not shown:
        return
    if view.type not in ARRAYS:
        shown = _sorted(shown)
    keys = _columns(btf, view.spec.key_type_id, "key")
    values = _columns(btf, view.spec.value_type_id, "value")
    per_cpu = view.raw.kind.per_cpu and view.raw.cpu_count > 1
    columns = [*keys, *([_Column("cpu", (), 0)] if per_cpu else []), *values]
    rows = [
        [
            *("" if index else _cell(btf, column, key) for column in keys),
            *([str(cpu)] if per_cpu else []),
            *(_cell(btf, column, one) for column in values),
        ]
        for key, value in shown[:MOST_ROWS]
        for index, (cpu, one) in enumerate(_cpus(view, value))
    ]
    keep = [index for index, column in enumerate(columns) if not _is_padding(column, [row[index] for row in rows])]
    _print_rows(console, [columns[index].name for index in keep], [[row[index] for index in keep] for row in rows])
    _print_rest(console, len(shown))


def _print_rows(console: Console, names: list[str], rows: list[list[str]]) -> None:
    """A table; where the terminal is too narrow for it, lines of names and values."""
    grid = table()
    for position, name in enumerate(names):
        numeric = position > 0 and all(_NUMBER.fullmatch(row[position]) for row in rows)
        grid.add_column(Text(printable(INDENT * (not position) + name)), justify="right" if numeric else "left")
    for row in rows:
        grid.add_row(*(INDENT * (not position) + cell for position, cell in enumerate(row)))
    if Measurement.get(console, console.options.update(max_width=UNLIMITED), grid).maximum <= console.width:
        console.print(grid)
        return
    for row in rows:
        line = Text(INDENT)
        for name, cell in zip(names, row, strict=True):
            line.append(f"{name}=", style="dim").append(f"{cell} ")
        console.print(line)


_NUMBER = re.compile(r"-?\d*")


def _columns(btf: Btf | None, type_id: int, name: str) -> list[_Column]:
    """One column for each field of a struct, of the structs in it too; one for anything else, or too many fields."""
    whole = [_Column(name, (), type_id)]
    if btf is None or not type_id or not isinstance(btf[btf.resolve(type_id)], Struct):
        return whole
    found: list[_Column] = []
    pending: list[tuple[tuple[str, ...], int]] = [
        ((field.name,), field.type) for field in reversed(btf.fields(type_id))
    ]
    while pending and len(found) <= MOST_FIELDS:
        path, target = pending.pop()
        if isinstance(btf[btf.resolve(target)], Struct):
            pending += [((*path, field.name), field.type) for field in reversed(btf.fields(target))]
        else:
            found.append(_Column(".".join(path), path, target))
    return whole if pending or not found or len(found) > MOST_FIELDS else found


def _is_padding(column: _Column, cells: Sequence[str]) -> bool:
    return bool(column.path) and PADDING.fullmatch(column.path[-1]) is not None and not any(map(_any_digit, cells))


def _any_digit(cell: str) -> bool:
    return any(character in "123456789abcdef" for character in cell)


def _cpus(view: MapView, value: Any) -> list[tuple[int, Any]]:
    """The value of every cpu that has anything but zeros; of the first one when none has."""
    if not view.raw.kind.per_cpu:
        return [(0, value)]
    values = list(enumerate(value))
    return [(cpu, one) for cpu, one in values if _any(one)] or values[:1]


def _any(value: Any) -> bool:
    """Whether a decoded value holds anything but zeros."""
    if isinstance(value, Mapping):
        return any(map(_any, value.values()))
    if isinstance(value, bytes | list | tuple):
        return any(map(_any, value))
    return bool(value)


def _sorted(entries: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """In the order of keys where they can be compared."""
    try:
        return sorted(entries, key=lambda entry: _comparable(entry[0]))
    except TypeError:
        return entries


def _comparable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [_comparable(item) for item in value.values()]
    return [_comparable(item) for item in value] if isinstance(value, list) else value


def _cell(btf: Btf | None, column: _Column, decoded: Any) -> str:
    return _text(btf, column.type_id, column.value(decoded), column.path[-1] if column.path else "")


def _text(btf: Btf | None, type_id: int, value: Any, name: str = "") -> str:
    """One decoded value on one line: byte arrays as hex, or as the addresses that their length and name suggest."""
    if btf is None or not type_id:
        return show(value)
    record = btf[btf.resolve(type_id)]
    if isinstance(record, Array) and isinstance(value, list):
        element = btf[btf.resolve(record.element)]
        if isinstance(element, Int) and element.size == 1:
            content = bytes(item & 0xFF for item in value)
            if len(content) == IPV6_LENGTH and ADDRESS.fullmatch(name):
                mapped = IPv6Address(content).ipv4_mapped
                return str(IPv6Address(content)) if mapped is None else f"::ffff:{mapped}"
            return content.hex(":") if len(content) == MAC_LENGTH else bytes_text(content, limit=32)
    return format_value(btf, type_id, value, limit=MOST_ELEMENTS)


def show(value: Any) -> str:
    """A value without a type: bytes as hex, addresses of a stack in hex."""
    if isinstance(value, bytes):
        return bytes_text(value)
    if isinstance(value, list):
        return " ".join(f"{item:#x}" if isinstance(item, int) else show(item) for item in value)
    return str(value)


# --- data -------------------------------------------------------------------------------------------------------------


def map_data(view: MapView) -> dict[str, Any]:
    """A map with its contents as plain data."""
    data: dict[str, Any] = {"name": view.name, "type": short_type(view), "max_entries": view.spec.max_entries}
    if view.type in STREAMS:
        return data | {"records": view.drain()}
    return data | {"entries": [{"key": key, "value": value} for key, value in view.items()]}


def maps_data(views: Iterable[MapView]) -> dict[str, Any]:
    """All maps by name."""
    return {view.name: map_data(view) for view in views}
