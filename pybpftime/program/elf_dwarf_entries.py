"""The entries (DIEs) of an object's `.debug_info` as trees, and what refers out of them: ranges, locations, lines.

pyelftools reads the bytes.  Before it sees them every debug relocation is applied, with a base of its own for each
section that is loaded: `section index << 32`.  Without it all sections would begin at address 0 and could not be
told apart.  `Place`s are made of such addresses here, and no address leaves this module but in `UnitTables`.

Everything may raise anything on damaged bytes; `elf_dwarf.read_debug_info` makes one InputError of it.  What a
hostile file could make large beyond its own size is counted against a budget.
"""

from __future__ import annotations

import inspect
import io
import posixpath
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pybpftime.errors import HostError, InputError
from pybpftime.program.debug_info import CodeRange, LineRow, LocatedExpression, SourceFile
from pybpftime.program.dwarf_expression import BaseType, UnitTables
from pybpftime.program.elf_file import ALLOC, COMPRESSED, ElfFile, Section

SECTION_SHIFT = 32
RELOCATED_BYTES = {1: 8, 2: 8, 3: 4, 4: 4, 10: 4}
"""Bytes that a relocation of debug sections changes, by R_BPF_* type; before LLVM 13 they shared those of code."""
MAX_ENTRIES = 200_000
MAX_UNITS = 20_000
MAX_LINES = 4 << 20
"""The longest `.debug_line` in bytes; each may make a row."""
MAX_BUDGET = 4_000_000
MAX_NAME = 1024
MAX_ORIGINS = 8
"""Entries that may be followed from a concrete one to the one that has the name: two, in honest files."""
SIGNED_ENCODINGS, FLOAT_ENCODINGS = (0x05, 0x06, 0x0D), (0x03, 0x04)  # DW_ATE_*


@dataclass(slots=True, eq=False)
class Entry:
    """A debugging information entry.  `attributes` by name (`DW_AT_name`), values as pyelftools gives them."""

    offset: int
    tag: str
    attributes: dict[str, Any]
    unit: Unit
    parent: Entry | None = None
    children: list[Entry] = field(default_factory=list)

    def text(self, name: str) -> str:
        """An attribute that is a string; "" if it is absent."""
        value = self._value(name)
        return value[:MAX_NAME].decode("utf-8", "backslashreplace") if isinstance(value, bytes) else ""

    def number(self, name: str) -> int | None:
        """An attribute that is a number; None if it is absent or an expression."""
        value = self._value(name)
        return value if isinstance(value, int) else None

    def flag(self, name: str) -> bool:
        """Whether an attribute is there and true."""
        return bool(self._value(name))

    def is_address(self, name: str) -> bool:
        """Whether an attribute is an address, not an offset from one."""
        return name in self.attributes and str(self.attributes[name].form).startswith("DW_FORM_addr")

    def block(self, name: str) -> bytes | None:
        """An attribute that is bytes: an expression or the value of a constant; None if it is something else."""
        value = self._value(name)
        return bytes(value) if isinstance(value, list) else None

    def reference(self, name: str) -> Entry | None:
        """The entry that an attribute refers to."""
        attribute = self.attributes.get(name)
        if attribute is None or not isinstance(attribute.raw_value, int):
            return None
        base = 0 if attribute.form == "DW_FORM_ref_addr" else self.unit.offset
        return self.unit.reader.entries.get(base + attribute.raw_value)

    def origins(self) -> Iterator[Entry]:
        """This entry, then the abstract or declared one that it completes, and so on."""
        entry: Entry | None = self
        for _ in range(MAX_ORIGINS):
            if entry is None:
                return
            yield entry
            entry = entry.reference("DW_AT_abstract_origin") or entry.reference("DW_AT_specification")

    def _value(self, name: str) -> Any:
        attribute = self.attributes.get(name)
        return None if attribute is None else attribute.value


@dataclass(slots=True, eq=False)
class Unit:
    """A compilation unit: its files by number and what its expressions refer to.  `base` is its DW_AT_low_pc."""

    reader: EntryReader
    compiled: Any
    version: int
    offset: int
    base: int = 0
    files: dict[int, str] = field(default_factory=dict)
    base_types: dict[int, BaseType] = field(default_factory=dict)
    tables: UnitTables = field(default_factory=UnitTables)
    root: Entry | None = None

    def file(self, number: int | None) -> str:
        """The name of a file by the number that entries and lines use; "" if there is none."""
        return self.files.get(number, "") if number is not None else ""


class EntryReader:
    """An object's `units` in file order, `entries` by offset in `.debug_info`, `rows` and `files` of all units."""

    def __init__(self, elf: ElfFile) -> None:
        self._elf = elf
        self._sections = tuple(section.name for section in elf.sections)
        self._loaded = frozenset(section.index for section in elf.sections if section.flags & ALLOC)
        size = sum(section.size for section in elf.sections if section.type == "SHT_PROGBITS")
        self._budget = min(2 * size + 20_000, MAX_BUDGET)
        self._lines_read: set[int] = set()
        self._lists: dict[tuple[str, int], list[Any]] = {}
        self.entries: dict[int, Entry] = {}
        self.units: list[Unit] = []
        self.rows: list[LineRow] = []
        self.files: dict[str, SourceFile] = {}
        self._dwarf = self._open()
        self._read_units()

    # --- sections ---

    def _open(self) -> Any:
        try:
            from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo
        except ImportError:
            raise HostError("reading debug information needs the package pyelftools") from None
        sections: dict[str, Any] = {}
        for parameter in inspect.signature(DWARFInfo.__init__).parameters:
            if parameter.endswith("_sec"):
                section = self._elf.find("." + parameter.removesuffix("_sec"))
                data = None if section is None else self._relocated(section)
                sections[parameter] = data and DebugSectionDescriptor(io.BytesIO(data), parameter, 0, len(data), 0)
        return DWARFInfo(DwarfConfig(little_endian=True, machine_arch="BPF", default_address_size=8), **sections)

    def _relocated(self, section: Section) -> bytes:
        """The bytes of a debug section with its relocations applied."""
        if section.flags & COMPRESSED:
            raise InputError("compressed debug information (-gz) is not supported", section=section.name)
        data = bytearray(section.data)
        for relocation in self._elf.relocations(section):
            size = RELOCATED_BYTES.get(relocation.type, 0)
            place = slice(relocation.offset, relocation.offset + size)
            if not size or place.stop > len(data):
                continue
            symbol = relocation.symbol
            value = int.from_bytes(data[place], "little") + symbol.value
            if size == 8 and symbol.section in self._loaded:
                value += symbol.section << SECTION_SHIFT
            data[place] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        return bytes(data)

    def spend(self, amount: int) -> None:
        """Count something that was read.  InputError if it is more than an honest file of this size has."""
        self._budget -= amount
        if self._budget < 0:
            raise InputError("the debug information refers to the same bytes far more often than any compiler does")

    # --- units and entries ---

    def _read_units(self) -> None:
        tables: set[int] = set()
        for compiled in self._dwarf.iter_CUs():
            if compiled["debug_abbrev_offset"] not in tables:
                tables.add(compiled["debug_abbrev_offset"])
                self.spend(max(0, self._dwarf.debug_abbrev_sec.size - compiled["debug_abbrev_offset"]) // 2)
            if len(self.units) >= MAX_UNITS:
                raise InputError(f"more than {MAX_UNITS} compilation units")
            unit = Unit(self, compiled, compiled["version"], compiled.cu_offset)
            self._read_entries(unit)
            self._finish(unit)
            self.units.append(unit)

    def _read_entries(self, unit: Unit) -> None:
        parents: list[Entry] = []
        for die in unit.compiled.iter_DIEs():
            if die.is_null():
                if parents:
                    parents.pop()
                continue
            entry = Entry(die.offset, str(die.tag), die.attributes, unit, parents[-1] if parents else None)
            self.spend(sum(len(one.value) for one in die.attributes.values() if isinstance(one.value, bytes)) // 4)
            if entry.parent is not None:
                entry.parent.children.append(entry)
            elif unit.root is None:
                unit.root = entry
            self.entries[entry.offset] = entry
            if len(self.entries) > MAX_ENTRIES:
                raise InputError(f"more than {MAX_ENTRIES} entries")
            if die.has_children:
                parents.append(entry)
            if entry.tag == "DW_TAG_base_type":
                self._keep_base_type(unit, entry)

    @staticmethod
    def _keep_base_type(unit: Unit, entry: Entry) -> None:
        size, encoding = entry.number("DW_AT_byte_size"), entry.number("DW_AT_encoding")
        bits = entry.number("DW_AT_bit_size") or 8 * (size or 0)
        if 0 < bits <= 128 and encoding not in FLOAT_ENCODINGS:
            unit.base_types[entry.offset - unit.offset] = BaseType(bits, signed=encoding in SIGNED_ENCODINGS)

    def _finish(self, unit: Unit) -> None:
        root = unit.root
        if root is None:
            return
        unit.base = root.number("DW_AT_low_pc") or 0
        unit.tables = UnitTables(unit.base_types, self._addresses(root), self._sections)
        if self._dwarf.debug_line_sec is None:
            return
        if self._dwarf.debug_line_sec.size > MAX_LINES:
            raise InputError(f"more than {MAX_LINES >> 20} MiB of line numbers", section=".debug_line")
        program = self._dwarf.line_program_for_CU(unit.compiled)
        if program is not None:
            self._read_files(unit, program, root.text("DW_AT_comp_dir"))
            start = root.number("DW_AT_stmt_list") or 0
            if start not in self._lines_read:
                self._lines_read.add(start)
                self.rows += self._rows(unit, program)

    def _addresses(self, root: Entry) -> tuple[int, ...]:
        """The unit's part of `.debug_addr`."""
        base = root.number("DW_AT_addr_base")
        if base is None or base < 8 or self._dwarf.debug_addr_sec is None:
            return ()
        data = self._dwarf.debug_addr_sec.stream.getvalue()
        length = int.from_bytes(data[base - 8 : base - 4], "little") - 4
        data = data[base : base + max(0, length)]
        self.spend(len(data))
        return struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8])

    # --- lines ---

    def _read_files(self, unit: Unit, program: Any, directory: str) -> None:
        if program["version"] >= 5:
            folders = [one["DW_LNCT_path"] for one in program["directories"]]
            files = [
                (one["DW_LNCT_path"], one.get("DW_LNCT_directory_index", 0), bytes(one.get("DW_LNCT_MD5") or ()).hex())
                for one in program["file_names"]
            ]
            first = 0
        else:
            folders = [b"", *program["include_directory"]]
            files = [(one["name"], one["dir_index"], "") for one in program["file_entry"]]
            first = 1
        for number, (name, folder, md5) in enumerate(files, first):
            parts = [directory, _text(folders[folder]) if folder < len(folders) else "", _text(name)]
            path = posixpath.normpath(posixpath.join(*parts))
            unit.files[number] = path
            self.files.setdefault(path, SourceFile(path, directory, md5))
            self.spend(len(path) // 4)

    def _rows(self, unit: Unit, program: Any) -> Iterator[LineRow]:
        for line_entry in program.get_entries():
            state = line_entry.state
            self.spend(1)
            place = None if state is None else unit.tables.place_of(state.address - bool(state.end_sequence))
            if place is not None:
                section, offset = place
                yield LineRow(
                    section, offset + bool(state.end_sequence), unit.file(state.file), max(0, state.line), state.column,
                    bool(state.is_stmt), bool(state.prologue_end), bool(state.end_sequence),
                )  # fmt: skip

    # --- ranges and locations ---

    def ranges(self, entry: Entry) -> tuple[CodeRange, ...]:
        """The code that an entry covers, as it says by DW_AT_ranges or by DW_AT_low_pc and DW_AT_high_pc."""
        unit = entry.unit
        start = entry.number("DW_AT_ranges")
        if start is not None and self._range_lists is not None:
            lists = self._range_lists
            pairs = self._list(unit, "ranges", start, lambda: lists.get_range_list_at_offset(start, unit.compiled))
            found = [self._range(unit, low, high) for low, high, _ in pairs]
            return tuple(range for range in found if range is not None)
        low, high = entry.number("DW_AT_low_pc"), entry.number("DW_AT_high_pc")
        if low is None or high is None:
            return ()
        whole = self._range(unit, low, high if entry.is_address("DW_AT_high_pc") else low + high)
        return (whole,) if whole else ()

    def entry_offset(self, entry: Entry, ranges: tuple[CodeRange, ...]) -> int:
        """Where its code is entered: DW_AT_entry_pc (an address or an offset from the start), else the lowest byte."""
        said, low = entry.number("DW_AT_entry_pc"), entry.number("DW_AT_low_pc")
        lowest = min(range.start for range in ranges)
        if said is None:
            said = low
        elif not entry.is_address("DW_AT_entry_pc"):
            said += low if low is not None else lowest
        offset = lowest if said is None else said & 0xFFFF_FFFF
        return offset if any(range.start <= offset < range.end for range in ranges) else lowest

    def locations(self, entry: Entry) -> tuple[LocatedExpression, ...]:
        """What DW_AT_location says, an expression or a list of them."""
        expression = entry.block("DW_AT_location")
        if expression is not None:
            return (LocatedExpression(None, expression),)
        start, unit = entry.number("DW_AT_location"), entry.unit
        if start is None or self._location_lists is None:
            return ()
        top, lists, found = unit.compiled.get_top_DIE(), self._location_lists, []
        triples = self._list(unit, "locations", start, lambda: lists.get_location_list_at_offset(start, top))
        for low, high, expression in triples:
            range = None if low == high == -1 else self._range(unit, low, high)
            if range is not None or low == -1:
                found.append(LocatedExpression(range, expression))
        return tuple(sorted(found, key=lambda one: one.range is None))

    @cached_property
    def _range_lists(self) -> Any:
        return self._dwarf.range_lists()

    @cached_property
    def _location_lists(self) -> Any:
        return self._dwarf.location_lists()

    def _list(self, unit: Unit, kind: str, start: int, read: Callable[[], list[Any]]) -> list[tuple[int, int, bytes]]:
        """The entries of a list as absolute addresses, the base address entries applied."""
        key = kind, start
        if key not in self._lists:
            self._lists[key] = read()
        self.spend(len(self._lists[key]))
        return list(_absolute(self._lists[key], unit.base))

    def _range(self, unit: Unit, low: int, high: int) -> CodeRange | None:
        place = unit.tables.place_of(low)
        if place is None or not low < high <= (low | 0xFFFF_FFFF):
            return None
        return CodeRange(place[0], place[1], place[1] + high - low)


def _absolute(entries: Iterable[Any], base: int) -> Iterator[tuple[int, int, bytes]]:
    for entry in entries:
        if hasattr(entry, "base_address"):
            base = entry.base_address
        else:
            shift = 0 if entry.is_absolute else base
            expression = bytes(getattr(entry, "loc_expr", ()))
            yield entry.begin_offset + shift, entry.end_offset + shift, expression


def _text(value: Any) -> str:
    return value[:MAX_NAME].decode("utf-8", "backslashreplace") if isinstance(value, bytes) else ""
