"""Maps of an object: definitions through BTF, legacy definitions, sections of global data."""

from __future__ import annotations

import struct

import pytest
from program.elf_support import (
    ALLOC,
    EXIT,
    GLOBAL,
    LOCAL,
    MOV,
    NOBITS,
    NOTYPE,
    OBJECT,
    RELA,
    WRITE,
    ElfWriter,
    MapTypes,
)

from pybpftime.errors import InputError
from pybpftime.maps.spec import MapSpec
from pybpftime.program import load_object
from pybpftime.program.btf import (
    Array,
    BtfBuilder,
    DataSec,
    Enum,
    Enum64,
    Enumerator,
    Func,
    FuncProto,
    Int,
    Member,
    Placement,
    Struct,
    Typedef,
    Var,
)
from pybpftime.program.btf.types import Linkage
from pybpftime.uapi import MapFlag, MapType


def _load(types: MapTypes) -> dict[str, MapSpec]:
    elf = ElfWriter()
    types.write(elf)
    return dict(load_object(elf.build()).maps)


def _one(types: MapTypes, definition: int) -> MapSpec:
    types.map("m", definition)
    return _load(types)["m"]


def _hash(types: MapTypes, **more: int) -> dict[str, int]:
    return {"type": types.number(1), "key_size": types.number(4), "value_size": types.number(8)} | more


# --- definitions through BTF ------------------------------------------------------------------------------------------


def test_every_attribute() -> None:
    types = MapTypes()
    value = types.builder.add(Struct("value", 24, (Member("a", types.int, 0),)))
    extra = types.builder.add(Enum64("", 8, (Enumerator("E", 1 << 40),)))
    definition = types.struct(
        type=types.number(1),
        key=types.pointer(types.int),
        value=types.pointer(value),
        max_entries=types.number(77),
        map_flags=types.number(5),
        numa_node=types.number(1),
        map_extra=extra,
        pinning=types.number(1),
    )
    typedef = types.builder.add(Typedef("definition_t", definition))
    spec = _one(types, typedef)
    assert spec == MapSpec(
        "m",
        MapType.BPF_MAP_TYPE_HASH,
        key_size=4,
        value_size=24,
        max_entries=77,
        flags=MapFlag.BPF_F_NO_PREALLOC | MapFlag.BPF_F_NUMA_NODE,
        key_type_id=types.int,
        value_type_id=value,
        pinned=True,
        extra=1 << 40,
        numa_node=1,
    )


def test_sizes_may_be_given_twice_if_they_agree() -> None:
    types = MapTypes()
    spec = _one(types, types.struct(type=types.number(2), key_size=types.number(4), key=types.pointer(types.int)))
    assert (spec.key_size, spec.key_type_id) == (4, types.int)
    types = MapTypes()
    types.map("m", types.struct(type=types.number(2), key_size=types.number(8), key=types.pointer(types.int)))
    with pytest.raises(InputError, match=r"map m: key: key_size would be both 8 and 4"):
        _load(types)


def test_small_values_of_map_extra() -> None:
    types = MapTypes()
    assert _one(types, types.struct(**_hash(types, map_extra=types.number(3)))).extra == 3
    types = MapTypes()
    negative = types.builder.add(Enum("", 4, (Enumerator("E", -1),), signed=True))
    assert _one(types, types.struct(**_hash(types, map_extra=negative))).extra == (1 << 64) - 1


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        ("surprise", "map m: surprise: there is no such attribute"),
        ("values", "map m: values: only maps of maps and arrays of programs can have it"),
    ],
)
def test_attributes_that_are_refused(attribute: str, reason: str) -> None:
    types = MapTypes()
    types.map("m", types.struct(**_hash(types), **{attribute: types.number(1)}))
    with pytest.raises(InputError, match=reason):
        _load(types)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "map m: its definition says no type"),
        ({"type": 0}, "map m: its definition says no type"),
        ({"type": 1000}, "map m: there is no map type 1000"),
        ({"type": 1, "pinning": 7}, "pinning: 7 is neither 0 nor LIBBPF_PIN_BY_NAME"),
    ],
)
def test_numbers_that_are_refused(members: dict[str, int], reason: str) -> None:
    types = MapTypes()
    types.map("m", types.struct(**{name: types.number(value) for name, value in members.items()}))
    with pytest.raises(InputError, match=reason):
        _load(types)


def test_members_of_wrong_types_are_refused() -> None:
    for name, reason in (("type", "a pointer is needed, not INT"), ("key", "a pointer is needed, not INT")):
        types = MapTypes()
        types.map("m", types.struct(**{name: types.int}))
        with pytest.raises(InputError, match=f"map m: {name}: {reason}"):
            _load(types)
    types = MapTypes()
    types.map("m", types.struct(type=types.pointer(types.int)))
    with pytest.raises(InputError, match="type: a pointer to an array is needed, not to INT"):
        _load(types)
    types = MapTypes()
    types.map("m", types.struct(type=types.number(1), value=types.pointer(0)))
    with pytest.raises(InputError, match=r"map m: value: .*has no size"):
        _load(types)
    types = MapTypes()
    two = types.builder.add(Enum("", 4, (Enumerator("A", 1), Enumerator("B", 2))))
    types.map("m", types.struct(**_hash(types, map_extra=two)))
    with pytest.raises(InputError, match="map_extra: an enumeration with a single value"):
        _load(types)


def test_variables_that_are_no_maps() -> None:
    types = MapTypes()
    types.map("m", types.int)
    with pytest.raises(InputError, match="map m: its definition is no struct but INT"):
        _load(types)
    types = MapTypes()
    types.map("m", types.struct(**_hash(types)), linkage=Linkage.STATIC)
    with pytest.raises(InputError, match=r"section .maps: map m is static, and maps must be global"):
        _load(types)
    types = MapTypes()
    types.map("m", types.struct(**_hash(types)), size=16)
    with pytest.raises(InputError, match="map m: its definition is larger than the variable"):
        _load(types)
    types = MapTypes()
    types.map("m", types.struct(**_hash(types)))
    types.map("m", types.struct(**_hash(types)))
    with pytest.raises(InputError, match="two maps named m"):
        _load(types)
    types = MapTypes()
    proto = types.builder.add(FuncProto(types.int))
    types.places.append(Placement(types.builder.add(Func("f", proto)), 0, 8))
    with pytest.raises(InputError, match="lists something that is no variable"):
        _load(types)


def test_a_map_outside_its_section() -> None:
    types = MapTypes()
    types.map("m", types.struct(**_hash(types)))
    elf = ElfWriter()
    elf.sections[types.write(elf)][4] = 32
    with pytest.raises(InputError, match="map m does not lie inside the section"):
        load_object(elf.build())


def test_the_same_attribute_twice() -> None:
    types = MapTypes()
    number = types.number(1)
    definition = types.builder.add(Struct("", 16, (Member("type", number, 0), Member("type", number, 64))))
    types.map("m", definition)
    with pytest.raises(InputError, match="map m: its definition says something twice"):
        _load(types)


def test_maps_without_types() -> None:
    elf = ElfWriter()
    elf.add(".maps", bytes(32), flags=ALLOC | WRITE)
    with pytest.raises(InputError, match=r"section .maps: the maps are defined through BTF, and the object has none"):
        load_object(elf.build())
    elf.add(".BTF", BtfBuilder().to_bytes())
    with pytest.raises(InputError, match=r"section .maps: the BTF does not describe the maps"):
        load_object(elf.build())


# --- maps of maps and arrays of programs ------------------------------------------------------------------------------


def _inner(types: MapTypes, **members: int) -> int:
    """The type of `values`: an array without length of pointers to a struct with these members."""
    struct = types.struct(**(members or _hash(types)))
    return types.builder.add(Array(types.pointer(struct), types.int, 0))


def _map_of_maps(types: MapTypes, kind: int = 12, key_size: int = 4) -> None:
    members = {"type": types.number(kind), "key_size": types.number(key_size), "max_entries": types.number(4)}
    types.map("outer", types.struct(**members, values=_inner(types)))
    types.map("one", types.struct(**_hash(types)))


def test_map_of_maps_with_values() -> None:
    types = MapTypes()
    _map_of_maps(types)
    elf = ElfWriter()
    section = types.write(elf)
    one = elf.symbol("one", section, 64, 64, type=OBJECT)
    elf.relocate(section, (24 + 8, 2, one), (24 + 24, 1, one))
    outer = load_object(elf.build()).maps["outer"]
    assert outer.values == ((1, "one"), (3, "one"))
    assert outer.value_size == 4
    assert outer.inner is not None
    assert (outer.inner.name, outer.inner.key_size, outer.inner.value_size) == ("outer.inner", 4, 8)


@pytest.mark.parametrize(
    ("kind", "key_size", "offset", "target", "reason"),
    [
        (12, 4, 20, 64, "no element of the attribute values"),
        (12, 4, 28, 64, "no element of the attribute values"),
        (12, 4, 0, 64, "no element of the attribute values"),
        (12, 4, 60, 64, "belongs to no map"),
        (12, 4, 24, 65, "map outer: the initial value 'one' is no map of the object"),
        (13, 8, 24, 64, "map outer can have initial values only with keys of 4 bytes"),
        (12, 4, 64, 64, "a map without the attribute values"),
    ],
)
def test_values_that_are_refused(kind: int, key_size: int, offset: int, target: int, reason: str) -> None:
    types = MapTypes()
    _map_of_maps(types, kind, key_size)
    elf = ElfWriter()
    section = types.write(elf)
    elf.relocate(section, (offset, 2, elf.symbol("one", section, target, 64, type=OBJECT)))
    with pytest.raises(InputError, match=reason) as raised:
        load_object(elf.build())
    assert (raised.value.section, raised.value.offset) == (".maps", offset)


def test_array_of_programs_with_values() -> None:
    types = MapTypes()
    proto = types.builder.add(FuncProto(types.int))
    values = types.builder.add(Array(types.pointer(proto), types.int, 0))
    members = {"type": types.number(3), "key_size": types.number(4), "max_entries": types.number(2)}
    types.map("m", types.struct(**members, values=values))
    elf = ElfWriter()
    section = types.write(elf)
    code = elf.program("xdp", "prog", MOV, EXIT)
    elf.relocate(section, (24 + 8, 2, elf.symbol("prog", code, 0, 16)))
    assert load_object(elf.build()).maps["m"].values == ((1, "prog"),)
    elf.relocate(section, (24, 2, elf.symbol("inside", code, 8, 8)))
    elf.sections.pop(-2)
    with pytest.raises(InputError, match="share bytes"):
        load_object(elf.build())


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        ("pinning", "pinning: inner maps cannot be pinned"),
        ("values", "values: an inner map cannot hold maps itself"),
        ("type", "map outer.inner: its definition says no type"),
    ],
)
def test_inner_maps_that_are_refused(attribute: str, reason: str) -> None:
    types = MapTypes()
    inner = _hash(types) | {attribute: types.number(0)}
    types.map("outer", types.struct(type=types.number(12), values=_inner(types, **inner)))
    with pytest.raises(InputError, match=f"map outer: values: .*{reason}"):
        _load(types)


def test_values_of_wrong_types() -> None:
    types = MapTypes()
    types.map("m", types.struct(type=types.number(12), values=types.number(0)))
    with pytest.raises(InputError, match="values: it must be an array without a length"):
        _load(types)
    types = MapTypes()
    types.map("m", types.struct(type=types.number(3), values=_inner(types)))
    with pytest.raises(InputError, match="values: it must be an array of pointers to functions"):
        _load(types)
    types = MapTypes()
    types.map("m", types.struct(type=types.number(12), values=_inner(types), max_entries=types.number(1)))
    with pytest.raises(InputError, match="map m: values must be the last member"):
        _load(types)


def test_relocations_with_addends_are_refused() -> None:
    types = MapTypes()
    _map_of_maps(types)
    elf = ElfWriter()
    section = types.write(elf)
    elf.relocate(section, (24, 2, elf.symbol("one", section, 64, 64, type=OBJECT)), type=RELA, entry_size=24)
    with pytest.raises(InputError, match="not in the format that BPF uses"):
        load_object(elf.build())


# --- spin locks -------------------------------------------------------------------------------------------------------


def _lock(types: MapTypes) -> int:
    return types.builder.add(Struct("bpf_spin_lock", 4, (Member("val", types.int, 0),)))


def _value(types: MapTypes, *members: int) -> MapSpec:
    size = 16 * len(members)
    fields = tuple(Member(f"f{index}", type, 128 * index) for index, type in enumerate(members))
    value = types.builder.add(Struct("value", size, fields))
    return _one(types, types.struct(type=types.number(2), value=types.pointer(value)))


def test_spin_lock_at_any_depth() -> None:
    types = MapTypes()
    assert _value(types, types.int, _lock(types)).spin_lock_offset == 16
    types = MapTypes()
    nested = types.builder.add(Struct("nested", 8, (Member("a", types.int, 0), Member("lock", _lock(types), 32))))
    assert _value(types, types.int, types.int, nested).spin_lock_offset == 36
    types = MapTypes()
    assert _value(types, types.int, types.builder.add(Array(_lock(types), types.int, 1))).spin_lock_offset == 16


def test_spin_lock_behind_a_typedef_is_none_to_the_kernel() -> None:
    types = MapTypes()
    assert _value(types, types.builder.add(Typedef("lock_t", _lock(types)))).spin_lock_offset is None


@pytest.mark.parametrize("count", [2, 1000])
def test_several_spin_locks_are_refused(count: int) -> None:
    types = MapTypes()
    with pytest.raises(InputError, match="map m: the value has more than one bpf_spin_lock"):
        _value(types, types.builder.add(Array(_lock(types), types.int, count)))
    types = MapTypes()
    with pytest.raises(InputError, match="more than one bpf_spin_lock"):
        _value(types, *[_lock(types)] * count)


# --- legacy definitions -----------------------------------------------------------------------------------------------


def _legacy(data: bytes, *symbols: tuple[str, int], type: int = OBJECT, binding: int = GLOBAL) -> ElfWriter:
    elf = ElfWriter()
    section = elf.add("maps", data, flags=ALLOC | WRITE)
    for name, value in symbols:
        elf.symbol(name, section, value, type=type, binding=binding)
    return elf


def test_legacy_definitions_extend_to_the_next_one() -> None:
    data = struct.pack("<7I", 2, 4, 8, 16, 0, 0, 0) + struct.pack("<4I", 1, 2, 3, 4)
    maps = load_object(_legacy(data, ("second", 28), ("first", 0), type=NOTYPE).build()).maps
    assert list(maps) == ["first", "second"]
    assert maps["first"] == MapSpec("first", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 16)
    assert maps["second"] == MapSpec("second", MapType.BPF_MAP_TYPE_HASH, 2, 3, 4)


def test_legacy_definition_with_types() -> None:
    types = MapTypes()
    container = Struct("____btf_map_m", 8, (Member("key", types.int, 0), Member("value", types.int, 32)))
    types.builder.add(container)
    elf = _legacy(struct.pack("<5I", 2, 4, 4, 16, 0), ("m", 0))
    elf.add(".BTF", types.builder.to_bytes())
    spec = load_object(elf.build()).maps["m"]
    assert (spec.key_type_id, spec.value_type_id) == (types.int, types.int)
    elf = _legacy(struct.pack("<5I", 2, 4, 8, 16, 0), ("m", 0))
    elf.add(".BTF", types.builder.to_bytes())
    with pytest.raises(InputError, match="struct ____btf_map_m do not have the sizes"):
        load_object(elf.build())
    types = MapTypes()
    types.builder.add(Struct("____btf_map_m", 4, (Member("key", types.int, 0),)))
    elf = _legacy(struct.pack("<5I", 2, 4, 8, 16, 0), ("m", 0))
    elf.add(".BTF", types.builder.to_bytes())
    with pytest.raises(InputError, match="does not have exactly the members key and value"):
        load_object(elf.build())


@pytest.mark.parametrize(
    ("elf", "reason"),
    [
        (_legacy(bytes(20)), "no symbol names the maps"),
        (_legacy(bytes(20), ("local", 0), binding=LOCAL), "no symbol names the maps"),
        (_legacy(bytes(8), ("m", 0)), "map m: 8 bytes are too few"),
        (_legacy(bytes(20), ("m", 24)), "map 'm' at byte 24 has no name or lies outside"),
        (_legacy(bytes(20), ("", 0)), "map '' at byte 0 has no name or lies outside"),
        (_legacy(struct.pack("<6I", 2, 4, 8, 16, 0, 9), ("m", 0)), "map m: its definition goes on after map_flags"),
        (_legacy(struct.pack("<5I", 99, 4, 8, 16, 0), ("m", 0)), "map m: there is no map type 99"),
    ],
)
def test_legacy_definitions_that_are_refused(elf: ElfWriter, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        load_object(elf.build())


# --- global data ------------------------------------------------------------------------------------------------------


def test_data_sections_become_maps_in_file_order() -> None:
    elf = ElfWriter()
    elf.add(".rodata.cst16", b"0123456789abcdef", flags=ALLOC)
    elf.add(".bss", b"", type=NOBITS, size=1 << 20, flags=ALLOC | WRITE)
    elf.add(".data", b"", flags=ALLOC | WRITE)
    elf.add(".data.mine", b"\1\2", flags=ALLOC | WRITE)
    elf.add(".database", b"other", flags=ALLOC | WRITE)
    elf.add(".debug_info", b"other")
    maps = load_object(elf.build()).maps
    assert list(maps) == [".rodata.cst16", ".bss", ".data.mine"]
    assert maps[".bss"].value_size == 1 << 20
    assert maps[".data.mine"].contents == b"\1\2"
    assert [map.flags for map in maps.values()] == [MapFlag.BPF_F_RDONLY_PROG, MapFlag(0), MapFlag(0)]


def _with_variables(linkage: Linkage, visibility: int = 0, offset: int = 0) -> ElfWriter:
    builder = BtfBuilder()
    number = builder.add(Int("int", 4, 32))
    variable = builder.add(Var("v", number, linkage))
    builder.add(DataSec(".data", 0, (Placement(variable, offset, 4),)))
    elf = ElfWriter()
    section = elf.add(".data", bytes(16), flags=ALLOC | WRITE)
    binding = LOCAL if linkage is Linkage.STATIC else GLOBAL
    elf.symbol("v", section, 8, 4, type=OBJECT, binding=binding, visibility=visibility)
    elf.add(".BTF", builder.to_bytes())
    return elf


@pytest.mark.parametrize(
    ("linkage", "visibility", "offset", "mappable"),
    [(Linkage.GLOBAL, 0, 8, True), (Linkage.GLOBAL, 2, 8, False), (Linkage.STATIC, 0, 4, False)],
)
def test_places_of_variables(linkage: Linkage, visibility: int, offset: int, mappable: bool) -> None:
    spec = load_object(_with_variables(linkage, visibility, offset=4).build())
    map = spec.maps[".data"]
    assert bool(map.flags & MapFlag.BPF_F_MMAPABLE) == mappable
    assert spec.btf is not None
    section = spec.btf[map.value_type_id]
    assert isinstance(section, DataSec)
    assert (section.size, section.variables[0].offset) == (16, offset)


def test_variables_outside_their_section() -> None:
    with pytest.raises(InputError, match="variable v at byte 14 does not lie in its section"):
        load_object(_with_variables(Linkage.STATIC, offset=14).build())


def test_too_much_global_data() -> None:
    elf = ElfWriter()
    elf.add(".bss", b"", type=NOBITS, size=1 << 40, flags=ALLOC | WRITE)
    with pytest.raises(InputError, match=r"section .bss: 1099511627776 bytes of global data are too many"):
        load_object(elf.build())


def test_two_sections_of_one_name() -> None:
    elf = ElfWriter()
    elf.add(".data", b"1", flags=ALLOC | WRITE)
    elf.add(".data", b"2", flags=ALLOC | WRITE)
    with pytest.raises(InputError, match=r"two maps named .data"):
        load_object(elf.build())
