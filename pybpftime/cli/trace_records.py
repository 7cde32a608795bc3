"""Records that programs put out through ring buffers and perf event arrays: typed by `--record`, else as bytes.

Nothing in an object says of which type the records of a map are, so the user does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pybpftime.cli.maps_output import STREAMS
from pybpftime.errors import InputError
from pybpftime.maps import MapSpec
from pybpftime.program.btf import Btf, Kind, Value, decode, format_value, type_name
from pybpftime.program.spec import ObjectSpec
from pybpftime.runtime.names import hint, no_such

TAGS = {"struct": (Kind.STRUCT,), "union": (Kind.UNION,), "enum": (Kind.ENUM, Kind.ENUM64)}
WITHOUT_TAG = (Kind.STRUCT, Kind.UNION, Kind.TYPEDEF, Kind.ENUM, Kind.ENUM64, Kind.INT)
MOST_ELEMENTS = 16
MOST_NAMES = 3
ROW = 16
LONGEST_DUMP = 256


@dataclass(frozen=True, slots=True)
class RecordType:
    """The type of the records of a map."""

    btf: Btf
    type_id: int
    size: int

    def decode(self, data: bytes) -> Value:
        """A record of `size` bytes as a value."""
        return decode(self.btf, self.type_id, data)

    def text(self, value: Value) -> str:
        """A value on one line."""
        return format_value(self.btf, self.type_id, value, limit=MOST_ELEMENTS)

    def __str__(self) -> str:
        return type_name(self.btf, self.type_id)


def record_types(spec: ObjectSpec, given: Iterable[str]) -> dict[str, RecordType]:
    """The types that `--record MAP=TYPE` names, by map.  InputError, with near names, for what is not there."""
    found = {}
    for text in given:
        name, equals, wanted = (part.strip() for part in text.partition("="))
        if not equals or not name or not wanted:
            raise InputError(f"--record takes MAP=TYPE, such as events='struct event', not {text!r}")
        if name not in spec.maps:
            streams = [one for one, map in spec.maps.items() if map.type in STREAMS]
            raise InputError(f"--record: {no_such('map', name, streams or spec.maps).reason}", file=spec.file)
        if spec.maps[name].type not in STREAMS:
            kind = spec.maps[name].type.name.removeprefix("BPF_MAP_TYPE_").lower()
            reason = f"--record: map {name} is a {kind}; only ring buffers and perf event arrays have records"
            raise InputError(reason, file=spec.file)
        found[name] = find_type(spec, wanted)
    return found


def find_type(spec: ObjectSpec, text: str) -> RecordType:
    """A type of the object's BTF: `struct line`, `union u`, `enum e`, or a name alone."""
    if spec.btf is None:
        raise InputError("--record: the object has no BTF, so its types are not known", file=spec.file)
    btf = spec.btf
    tag, space, name = text.partition(" ")
    if tag not in TAGS or not space:
        tag, name = "", text
    kinds = TAGS.get(tag, WITHOUT_TAG)
    name = name.strip()
    type_id = next((one for kind in kinds for one in btf.find_all(name, kind)), None)
    if type_id is None:
        names = sorted({record.name for record in btf if record.kind in kinds and record.name})
        reason = f"--record: the object's BTF has no {tag or 'type'} {name[:60]}; {hint(name, names)}"
        raise InputError(f"{reason} (clang leaves out the types that only local variables have)", file=spec.file)
    try:
        return RecordType(btf, type_id, btf.size_of(type_id))
    except InputError as error:
        raise InputError(f"--record: {text}: {error.reason}", file=spec.file) from None


class Records:
    """Decodes the records of an object's maps; `notes` says, once for each map, what could not be."""

    def __init__(self, spec: ObjectSpec, types: dict[str, RecordType]) -> None:
        self._spec = spec
        self._types = types
        self._notes: dict[str, str] = {}

    @property
    def notes(self) -> list[str]:
        """Sentences for people."""
        return list(self._notes.values())

    def decode(self, map: MapSpec, data: bytes) -> tuple[RecordType, Value] | None:
        """A record with its type; None where that is not known or has another size."""
        type = self._types.get(map.name)
        if type is not None and type.size == len(data):
            return type, type.decode(data)
        if map.name not in self._notes:
            self._notes[map.name] = self._why_bytes(map.name, type, len(data))
        return None

    def _why_bytes(self, name: str, type: RecordType | None, size: int) -> str:
        if type is not None:
            return f"{name}: a record has {size} bytes and {type} {type.size}: it is shown as bytes"
        near = self._structures_of(size)
        suggestion = f"{near[0]!r}" if near else "TYPE"
        more = f"; of {size} bytes there is {' and '.join(near)}" if len(near) > 1 else ""
        return (
            f"{name}: records are shown as bytes; --record {name}={suggestion} shows them by a type of the object{more}"
        )

    def _structures_of(self, size: int) -> list[str]:
        btf = self._spec.btf
        if btf is None:
            return []
        ids = [one for one in btf.own_ids if btf.kind(one) is Kind.STRUCT and btf[one].name]
        return [type_name(btf, one) for one in ids if btf.size_of(one) == size][:MOST_NAMES]


def hex_dump(data: bytes) -> list[str]:
    """Lines of offset, bytes and characters; `*` stands for lines like the one before, the rest of long data is
    counted."""
    lines: list[str] = []
    last = b""
    for start in range(0, min(len(data), LONGEST_DUMP), ROW):
        row = data[start : start + ROW]
        if row == last and start + ROW < len(data):
            if lines[-1] != "*":
                lines.append("*")
            continue
        last = row
        characters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"{start:04x}  {row.hex(' '):<{3 * ROW - 1}}  |{characters}|")
    if len(data) > LONGEST_DUMP:
        lines.append(f"... {len(data) - LONGEST_DUMP} more bytes (--json shows all)")
    return lines
