"""The maps of an object file: those that it defines, and one for each section of global data."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pybpftime.errors import InputError
from pybpftime.maps.spec import MapSpec
from pybpftime.program.btf import Btf, DataSec, Kind, Linkage, Struct, Var
from pybpftime.program.elf_file import FUNC, LOCAL, NOTYPE, OBJECT, ElfFile, Section, Symbol
from pybpftime.program.elf_map_definitions import (
    MAPS_OF_MAPS,
    SpinLocks,
    find_lock,
    read_btf_map,
    read_legacy_map,
)
from pybpftime.uapi import MapFlag, MapType

BTF_MAPS, LEGACY_MAPS = ".maps", "maps"
DATA_SECTIONS = (".data", ".rodata", ".bss")
POINTER_SIZE = 8
MAX_DATA = 0xFFFF_FFFF

Place = tuple[int, int]
"""Index of a section and a byte offset in it."""


@dataclass(slots=True)
class MapTable:
    """Maps by name; `places` says where definitions are, `data` which sections of global data became which map."""

    specs: dict[str, MapSpec] = field(default_factory=dict)
    places: dict[Place, str] = field(default_factory=dict)
    data: dict[int, str] = field(default_factory=dict)

    def add(self, spec: MapSpec) -> None:
        if spec.name in self.specs:
            raise InputError(f"the object has two maps named {spec.name}")
        self.specs[spec.name] = spec


def read_maps(elf: ElfFile, btf: Btf | None, programs: Mapping[Place, str]) -> MapTable:
    """Every map of the object, in the order of libbpf: defined maps, then data sections in file order.

    `btf` is laid out (see `elf.place_variables`); `programs` are the entry functions by place, which arrays of
    programs may name.
    """
    table = MapTable()
    locks = None if btf is None else SpinLocks(btf)
    section = elf.find(BTF_MAPS)
    if section is not None:
        if btf is None or locks is None:
            raise InputError("the maps are defined through BTF, and the object has none", section=BTF_MAPS)
        _BtfMaps(elf, btf, locks, section, table, programs).read()
    section = elf.find(LEGACY_MAPS)
    if section is not None:
        _read_legacy_maps(elf, btf, locks, section, table)
    hidden = {symbol.name for symbol in elf.symbols if symbol.is_hidden and symbol.type == OBJECT}
    for section in elf.sections:
        if is_global_data(section):
            table.add(_data_map(section, btf, locks, hidden))
            table.data[section.index] = section.name
    return table


def is_global_data(section: Section) -> bool:
    """Whether a section is `.data`, `.rodata`, `.bss` or a variant of one (`.data.percpu`), and not empty."""
    return (
        section.type in ("SHT_PROGBITS", "SHT_NOBITS")
        and section.size > 0
        and not section.is_code
        and any(section.name == name or section.name.startswith(name + ".") for name in DATA_SECTIONS)
    )


def _data_map(section: Section, btf: Btf | None, locks: SpinLocks | None, hidden: set[str]) -> MapSpec:
    """An array of one element, as libbpf makes it (`bpf_object__init_internal_map`).

    It is frozen once it is filled where programs cannot write it, and can be mapped by user space if any variable
    in it is global.  The contents of `.bss` are given as no bytes: all of it is zero.
    """
    if section.size > MAX_DATA:
        raise InputError(f"{section.size} bytes of global data are too many", section=section.name)
    value_type = 0 if btf is None else btf.find(section.name, Kind.DATASEC) or 0
    flags = MapFlag.BPF_F_RDONLY_PROG if section.name.startswith(".rodata") else MapFlag(0)
    if btf is not None and value_type and _has_global_variable(btf, value_type, hidden):
        flags |= MapFlag.BPF_F_MMAPABLE
    return MapSpec(
        section.name, MapType.BPF_MAP_TYPE_ARRAY, key_size=4, value_size=section.size, max_entries=1, flags=flags,
        value_type_id=value_type, contents=bytes(section.data),
        spin_lock_offset=find_lock(locks, section.name, value_type),
    )  # fmt: skip


def _has_global_variable(btf: Btf, type_id: int, hidden: set[str]) -> bool:
    section = btf[type_id]
    assert isinstance(section, DataSec)
    variables = (btf[place.type] for place in section.variables)
    return any(
        isinstance(variable, Var) and variable.linkage is not Linkage.STATIC and variable.name not in hidden
        for variable in variables
    )


class _PlacedMap(NamedTuple):
    """The struct `definition` describes map `name` and lies in bytes [start, end) of the section."""

    start: int
    end: int
    name: str
    definition: int


class _BtfMaps:
    """Reader of section `.maps`."""

    def __init__(
        self,
        elf: ElfFile,
        btf: Btf,
        locks: SpinLocks,
        section: Section,
        table: MapTable,
        programs: Mapping[Place, str],
    ) -> None:
        self._elf = elf
        self._btf = btf
        self._locks = locks
        self._section = section
        self._table = table
        self._programs = programs
        self._placed: list[_PlacedMap] = []

    def read(self) -> None:
        type_id = self._btf.find(BTF_MAPS, Kind.DATASEC)
        if type_id is None:
            raise InputError("the BTF does not describe the maps", section=BTF_MAPS)
        section = self._btf[type_id]
        assert isinstance(section, DataSec)
        for place in section.variables:
            self._read_map(self._btf[place.type], place.offset, place.offset + place.size)
        self._placed.sort(key=lambda placed: placed.start)
        self._read_values()

    def _read_map(self, variable: object, start: int, end: int) -> None:
        if not isinstance(variable, Var) or not variable.name:
            raise InputError("the BTF lists something that is no variable", section=BTF_MAPS)
        name, definition = variable.name, self._btf.resolve(variable.type)
        if variable.linkage is not Linkage.GLOBAL:
            raise InputError(
                f"map {name} is {variable.linkage.name.lower()}, and maps must be global", section=BTF_MAPS
            )
        if end > self._section.size:
            raise InputError(f"map {name} does not lie inside the section", section=BTF_MAPS)
        spec = read_btf_map(self._btf, self._locks, name, definition)
        if self._btf.size_of(definition) > end - start:
            raise InputError(f"map {name}: its definition is larger than the variable", section=BTF_MAPS)
        self._table.add(spec)
        self._table.places[self._section.index, start] = name
        self._placed.append(_PlacedMap(start, end, name, definition))

    def _read_values(self) -> None:
        """Relocations of the section fill `values` of maps of maps and arrays of programs."""
        values: dict[str, dict[int, str]] = {}
        for offset, _, symbol in self._elf.relocations(self._section):
            try:
                placed = self._map_at(offset)
                index = self._index(placed.definition, offset - placed.start)
                values.setdefault(placed.name, {})[index] = self._target(self._table.specs[placed.name], symbol)
            except InputError as error:
                raise error.at(section=BTF_MAPS, offset=offset) from None
        for name, entries in values.items():
            spec = self._table.specs[name]
            self._table.specs[name] = replace(spec, values=tuple(sorted(entries.items())))

    def _map_at(self, offset: int) -> _PlacedMap:
        index = bisect_right(self._placed, offset, key=lambda placed: placed.start) - 1
        if index < 0 or offset + POINTER_SIZE > self._placed[index].end:
            raise InputError("an initial value belongs to no map")
        return self._placed[index]

    def _index(self, definition: int, offset: int) -> int:
        record = self._btf[definition]
        assert isinstance(record, Struct)
        member = record.members[-1] if record.members else None
        if member is None or member.name != "values":
            raise InputError("an initial value belongs to a map without the attribute values")
        index, rest = divmod(offset - member.bit_offset // 8, POINTER_SIZE)
        if index < 0 or rest:
            raise InputError("an initial value is no element of the attribute values")
        return index

    def _target(self, spec: MapSpec, symbol: Symbol) -> str:
        if spec.type in MAPS_OF_MAPS:
            if spec.type is MapType.BPF_MAP_TYPE_HASH_OF_MAPS and spec.key_size != 4:
                raise InputError(f"map {spec.name} can have initial values only with keys of 4 bytes")
            name, what = self._table.places.get((symbol.section, symbol.value)), "map"
        else:
            name, what = self._programs.get((symbol.section, symbol.value)), "program"
        if name is None:
            raise InputError(f"map {spec.name}: the initial value {symbol.name!r} is no {what} of the object")
        return name


def _read_legacy_maps(
    elf: ElfFile, btf: Btf | None, locks: SpinLocks | None, section: Section, table: MapTable
) -> None:
    """Section `maps`: a symbol for each definition, which extends to the next one."""
    symbols = {
        symbol.value: symbol
        for symbol in elf.symbols
        if symbol.section == section.index and symbol.type in (NOTYPE, OBJECT, FUNC) and symbol.binding != LOCAL
    }
    starts = sorted(symbols)
    if not starts:
        raise InputError("no symbol names the maps", section=section.name)
    for start, end in zip(starts, [*starts[1:], section.size], strict=True):
        name = symbols[start].name
        if not name or start >= section.size:
            raise InputError(f"map {name!r} at byte {start} has no name or lies outside", section=section.name)
        table.add(read_legacy_map(btf, locks, name, bytes(section.data[start:end])))
        table.places[section.index, start] = name
