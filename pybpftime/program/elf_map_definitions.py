"""Map definitions as C programs write them: structs whose types are the numbers (`__uint(max_entries, 16)`).

The conventions are libbpf's (`parse_btf_map_def`): a member `int (*name)[N]` says N, a member `T *key` or
`T *value` gives the type, and `values` at the end describes the inner maps of a map of maps.  Legacy definitions,
which libbpf 1.0 gave up, are structs of numbers (`struct bpf_map_def`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from pybpftime.errors import InputError
from pybpftime.maps.spec import MapSpec
from pybpftime.program.btf import Array, Btf, DataSec, Enum, Enum64, FuncProto, Kind, Member, Ptr, Struct, Var
from pybpftime.program.btf.layout import check_depth
from pybpftime.uapi import MapFlag, MapType

MAPS_OF_MAPS = (MapType.BPF_MAP_TYPE_ARRAY_OF_MAPS, MapType.BPF_MAP_TYPE_HASH_OF_MAPS)
PIN_BY_NAME = 1  # LIBBPF_PIN_BY_NAME
MAX_ATTRIBUTES = 16  # there are 11
LEGACY_FIELDS = ("type", "key_size", "value_size", "max_entries", "map_flags")  # struct bpf_map_def


@dataclass(slots=True)
class _Definition:
    """What has been read of one definition so far."""

    numbers: dict[str, int] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    inner: MapSpec | None = None


def read_btf_map(btf: Btf, locks: SpinLocks, name: str, definition: int, *, is_inner: bool = False) -> MapSpec:
    """The map that the struct `definition` describes.  InputError where libbpf refuses it."""
    record = btf[definition]
    if not isinstance(record, Struct):
        raise InputError(f"map {name}: its definition is no struct but {record.kind.name}")
    if len({member.name for member in record.members[:MAX_ATTRIBUTES]}) != len(record.members):
        raise InputError(f"map {name}: its definition says something twice")
    found = _Definition()
    for index, member in enumerate(record.members):
        if member.name == "values" and index != len(record.members) - 1:
            raise InputError(f"map {name}: values must be the last member")
        try:
            _read_member(btf, locks, name, member, found, is_inner=is_inner)
        except InputError as error:
            raise InputError(f"map {name}: {member.name}: {error}") from None
    return _make_spec(locks, name, found)


def _read_member(btf: Btf, locks: SpinLocks, name: str, member: Member, found: _Definition, *, is_inner: bool) -> None:
    match member.name:
        case "type" | "max_entries" | "map_flags" | "numa_node":
            found.numbers[member.name] = _number(btf, member)
        case "key_size" | "value_size":
            _set_size(found, member.name, _number(btf, member))
        case "key" | "value":
            target = _pointer_target(btf, member.type)
            _set_size(found, member.name + "_size", btf.size_of(target))
            found.types[member.name] = target
        case "map_extra":
            found.numbers["map_extra"] = _long_number(btf, member)
        case "pinning":
            if is_inner:
                raise InputError("inner maps cannot be pinned")
            found.numbers["pinning"] = _number(btf, member)
            if found.numbers["pinning"] not in (0, PIN_BY_NAME):
                raise InputError(f"{found.numbers['pinning']} is neither 0 nor LIBBPF_PIN_BY_NAME (1)")
        case "values":
            if is_inner:
                raise InputError("an inner map cannot hold maps itself")
            _read_values(btf, locks, name, member, found)
        case _:
            raise InputError("there is no such attribute of a map")


def _read_values(btf: Btf, locks: SpinLocks, name: str, member: Member, found: _Definition) -> None:
    type = found.numbers.get("type", 0)
    is_program_array = type == MapType.BPF_MAP_TYPE_PROG_ARRAY
    if type not in MAPS_OF_MAPS and not is_program_array:
        raise InputError("only maps of maps and arrays of programs can have it")
    _set_size(found, "value_size", 4)
    array = btf[member.type]
    if not isinstance(array, Array) or array.count:
        raise InputError("it must be an array without a length")
    target = btf.resolve(_pointer_target(btf, btf.resolve(array.element)))
    if not is_program_array:
        found.inner = read_btf_map(btf, locks, f"{name}.inner", target, is_inner=True)
    elif not isinstance(btf[target], FuncProto):
        raise InputError("it must be an array of pointers to functions")


def _pointer_target(btf: Btf, type_id: int) -> int:
    record = btf[type_id]
    if not isinstance(record, Ptr):
        raise InputError(f"a pointer is needed, not {record.kind.name}")
    return record.type


def _number(btf: Btf, member: Member) -> int:
    """N of a member `int (*name)[N]`, the form of `__uint(name, N)`."""
    array = btf[_pointer_target(btf, btf.resolve(member.type))]
    if not isinstance(array, Array):
        raise InputError(f"a pointer to an array is needed, not to {array.kind.name}")
    return array.count


def _long_number(btf: Btf, member: Member) -> int:
    """The value of a member `enum { value } name`, the form of `__ulong(name, value)`; or as `_number`."""
    record = btf[btf.resolve(member.type)]
    if not isinstance(record, Enum | Enum64):
        return _number(btf, member)
    if len(record.values) != 1:
        raise InputError("an enumeration with a single value is needed")
    return record.values[0].value & 0xFFFF_FFFF_FFFF_FFFF


def _set_size(found: _Definition, what: str, size: int) -> None:
    if found.numbers.get(what, 0) not in (0, size):
        raise InputError(f"{what} would be both {found.numbers[what]} and {size}")
    found.numbers[what] = size


def _make_spec(locks: SpinLocks, name: str, found: _Definition) -> MapSpec:
    numbers, types = found.numbers, found.types
    value_type = types.get("value", 0)
    return MapSpec(
        name, map_type(name, numbers.get("type", 0)),
        key_size=numbers.get("key_size", 0),
        value_size=numbers.get("value_size", 0),
        max_entries=numbers.get("max_entries", 0),
        flags=MapFlag(numbers.get("map_flags", 0)),
        key_type_id=types.get("key", 0),
        value_type_id=value_type,
        inner=found.inner,
        pinned=bool(numbers.get("pinning", 0)),
        extra=numbers.get("map_extra", 0),
        numa_node=numbers.get("numa_node"),
        spin_lock_offset=find_lock(locks, name, value_type),
    )  # fmt: skip


def find_lock(locks: SpinLocks | None, name: str, type_id: int) -> int | None:
    """Where values of map `name` have their lock: see `SpinLocks`."""
    try:
        return None if locks is None else locks.offset(type_id)
    except InputError as error:
        raise InputError(f"map {name}: {error}") from None


def map_type(name: str, number: int) -> MapType:
    """The map type with this number; InputError if it is 0 or unknown."""
    if number == 0:
        raise InputError(f"map {name}: its definition says no type")
    try:
        return MapType(number)
    except ValueError:
        raise InputError(f"map {name}: there is no map type {number}") from None


class SpinLocks:
    """Where values of a type have their `struct bpf_spin_lock`.

    As in the kernel (`btf_find_field`): in a struct, a struct in it or an array of those, or a variable of a section;
    not behind a typedef.  What is known of a type is kept, so that types nested by the thousand cost little.
    """

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._known: dict[int, int | None] = {0: None}

    def offset(self, type_id: int) -> int | None:
        """Byte offset of the lock, None without.  InputError for two locks or for types that contain themselves."""
        return self._offset(type_id, 0)

    def _offset(self, type_id: int, depth: int) -> int | None:
        if type_id not in self._known:
            check_depth(depth, type_id)
            found = list(self._find(type_id, depth + 1))
            if len(found) > 1:
                raise InputError("the value has more than one bpf_spin_lock")
            self._known[type_id] = found[0] if found else None
        return self._known[type_id]

    def _find(self, type_id: int, depth: int) -> Iterator[int]:
        match self._btf[type_id]:
            case Struct(name="bpf_spin_lock"):
                yield 0
            case Struct() as record:
                for member in record.members:
                    yield from self._inside(member.type, member.bit_offset // 8, depth)
            case DataSec() as record:
                for place in record.variables:
                    variable = self._btf[place.type]
                    if isinstance(variable, Var):
                        yield from self._inside(variable.type, place.offset, depth)
            case Array() as record:
                for index in range(min(record.count, 2)):  # two are as wrong as many
                    yield from self._inside(record.element, index, depth)

    def _inside(self, type_id: int, start: int, depth: int) -> Iterator[int]:
        if self._btf.kind(type_id) in (Kind.STRUCT, Kind.ARRAY):
            offset = self._offset(type_id, depth)
            if offset is not None:
                yield start + offset


def read_legacy_map(btf: Btf | None, locks: SpinLocks | None, name: str, data: bytes) -> MapSpec:
    """The map that `struct bpf_map_def` describes; types from `struct ____btf_map_NAME`, if the BTF has it."""
    length = 4 * len(LEGACY_FIELDS)
    if len(data) < length - 4:
        raise InputError(f"map {name}: {len(data)} bytes are too few for struct bpf_map_def")
    if any(data[length:]):
        raise InputError(f"map {name}: its definition goes on after map_flags, and libbpf gives that no meaning")
    fields = dict(zip(LEGACY_FIELDS, struct.unpack("<5I", data[:length].ljust(length, b"\0")), strict=True))
    key_type, value_type = _legacy_types(btf, name, fields["key_size"], fields["value_size"])
    return MapSpec(
        name, map_type(name, fields["type"]),
        key_size=fields["key_size"],
        value_size=fields["value_size"],
        max_entries=fields["max_entries"],
        flags=MapFlag(fields["map_flags"]),
        key_type_id=key_type,
        value_type_id=value_type,
        spin_lock_offset=find_lock(locks, name, value_type),
    )  # fmt: skip


def _legacy_types(btf: Btf | None, name: str, key_size: int, value_size: int) -> tuple[int, int]:
    """What BPF_ANNOTATE_KV_PAIR left: a struct with the members key and value."""
    container = None if btf is None else btf.find(f"____btf_map_{name}", Kind.STRUCT)
    if btf is None or container is None:
        return 0, 0
    record = btf[container]
    assert isinstance(record, Struct)
    if [member.name for member in record.members] != ["key", "value"]:
        raise InputError(f"map {name}: struct ____btf_map_{name} does not have exactly the members key and value")
    key, value = (member.type for member in record.members)
    if (btf.size_of(key), btf.size_of(value)) != (key_size, value_size):
        raise InputError(f"map {name}: the types in struct ____btf_map_{name} do not have the sizes of its definition")
    return key, value
