"""Trace events: the `format` files of tracefs, and records made by them.

    field:unsigned short common_type;	offset:0;	size:2;	signed:0;
    field:char comm[16];	offset:8;	size:16;	signed:0;
    field:__data_loc char[] filename;	offset:24;	size:4;	signed:0;

A __data_loc field holds the place of data that follows the fixed part: its length in the upper, its offset in the
lower 16 bits; __rel_loc counts from behind the field itself.  Source: Documentation/trace/events.rst.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pybpftime.errors import InputError
from pybpftime.machine.memory import count
from pybpftime.program.contexts.context import octets, refuse_unknown, whole_number

LARGEST_RECORD = 8192  # PERF_MAX_TRACE_SIZE
LONGEST_LINE = 1000


@dataclass(frozen=True, slots=True)
class TraceField:
    """A field of an event.  `count` is the number of elements of an array, 1 otherwise.

    `location` is `data` or `rel` for __data_loc and __rel_loc, empty for a field that holds its value itself;
    `text` says that the elements are characters.
    """

    name: str
    offset: int
    size: int
    count: int = 1
    location: str = ""
    text: bool = False

    def encode(self, value: Any) -> bytes:
        """`value` as the field, or the data that it locates, stores it: a number, a list, text or hex digits."""
        if self.text and isinstance(value, str):
            return value.encode(errors="replace") + (b"\0" if self.location else b"")
        if self.location or (self.count > 1 and isinstance(value, str | bytes)):
            return octets(self.name, value)
        if self.count == 1:
            return whole_number(self.name, value, self.size).to_bytes(self.size, "little")
        if not isinstance(value, list | tuple):
            raise InputError(f"{self.name}: expected a list of up to {self.count} numbers")
        size = self.size // self.count
        numbers = (whole_number(f"{self.name}[{index}]", number, size) for index, number in enumerate(value))
        return b"".join(number.to_bytes(size, "little") for number in numbers)


@dataclass(frozen=True, slots=True)
class TraceFormat:
    """An event's name and fields."""

    name: str
    fields: tuple[TraceField, ...]

    def encode(self, values: Mapping[str, Any]) -> bytes:
        """The record with these values; fields without one are 0.  InputError names a field that cannot be."""
        refuse_unknown(values, tuple(field.name for field in self.fields))
        record = bytearray(max(field.offset + field.size for field in self.fields))
        for field in self.fields:
            if field.name not in values:
                continue
            content = field.encode(values[field.name])
            if field.location:
                where = len(record) - (field.offset + field.size if field.location == "rel" else 0)
                record += content
                if len(record) > LARGEST_RECORD:
                    raise InputError(f"{field.name}: a record has at most {LARGEST_RECORD} bytes")
                content = (len(content) << 16 | where).to_bytes(4, "little")
            if len(content) > field.size:
                raise InputError(f"{field.name}: a value of {count(len(content))} does not fit {field.size}")
            record[field.offset : field.offset + len(content)] = content
        return bytes(record)


_FIELD = re.compile(r"field:(?P<type>[^;]*);\s*offset:(?P<offset>\d{1,5});\s*size:(?P<size>\d{1,5});")
_DECLARATION = re.compile(r"(?P<type>.*?)(?P<name>\w+)\s*(?:\[(?P<count>[^\]]*)\])?\s*$", re.DOTALL)
_LOCATION = re.compile(r"__(?P<location>data|rel)_loc\b")
_CHARACTERS = re.compile(r"\bchar\b(?!\s*\*)")
_NAME = re.compile(r"^name:\s*(\S+)", re.MULTILINE)


def parse_format(text: str) -> TraceFormat:
    """The event that a `format` file describes.  InputError when it describes none."""
    name = _NAME.search(text)
    fields = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip().startswith("field:"):
            continue
        if len(line) > LONGEST_LINE:
            raise InputError(
                f"no field of a trace event: the line has more than {LONGEST_LINE} characters", line=number
            )
        found = _FIELD.match(line.strip())
        declaration = found and _DECLARATION.match(found["type"])
        if not found or not declaration:
            raise InputError(f"no field of a trace event: {line.strip()!r}", line=number)
        if int(found["size"]):  # an array without a length has no place for a value
            fields.append(_field(found, declaration, number))
    if not fields:
        raise InputError("the format of a trace event has lines `field:...; offset:...; size:...;`, and here is none")
    return TraceFormat(name[1] if name else "event", tuple(fields))


def _field(found: re.Match[str], declaration: re.Match[str], line: int) -> TraceField:
    offset, size = int(found["offset"]), int(found["size"])
    location = _LOCATION.search(declaration["type"])
    if offset + size > LARGEST_RECORD or (location and size != 4):
        raise InputError(f"field {declaration['name']} has offset {offset} and size {size}", line=line)
    text = _CHARACTERS.search(declaration["type"]) is not None
    elements = 1
    if declaration["count"] is not None and not location:
        # The count may be an expression of the kernel's source; then elements are bytes.
        elements = int(declaration["count"]) if declaration["count"].isdecimal() else size
        if not 0 < elements <= size or size % elements:
            raise InputError(f"field {declaration['name']} has {count(size)} for {elements} elements", line=line)
    return TraceField(declaration["name"], offset, size, elements, location["location"] if location else "", text)


_COMMON = (
    TraceField("common_type", 0, 2),
    TraceField("common_flags", 2, 1),
    TraceField("common_preempt_count", 3, 1),
    TraceField("common_pid", 4, 4),
)
# raw_syscalls:*; the events of single system calls keep their numbers and arguments in the same places.
SYS_ENTER = TraceFormat("sys_enter", (*_COMMON, TraceField("id", 8, 8), TraceField("args", 16, 48, 6)))
SYS_EXIT = TraceFormat("sys_exit", (*_COMMON, TraceField("id", 8, 8), TraceField("ret", 16, 8)))
