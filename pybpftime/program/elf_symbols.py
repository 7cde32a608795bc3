"""Executables and shared libraries: at which byte of the file a function begins.

That number, the *file offset*, is how uprobes say where they are (perf_event_attr.config2).  It follows from the
symbol's address through the program header that loads it; the two differ by any amount that the linker liked.

Which symbols count is libbpf's rule (elf_find_func_offset in tools/lib/bpf/elf.c): defined functions of `.dynsym` and
`.symtab`.  Reading is lazy: the headers at once, the symbols when they are asked for, the rest of the file never.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from pybpftime.errors import InputError
from pybpftime.program.elf_file import FUNC, LOCAL, MAGIC, NOTYPE, UNDEFINED, WEAK
from pybpftime.program.elf_tables import (
    LAYOUTS,
    MAX_NAME,
    MAX_STRING_BYTES,
    MAX_SYMBOL_BYTES,
    FunctionSymbol,
    Section,
    Source,
    SymbolTable,
    printable,
)

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
PF_X = 1
SHT_SYMTAB, SHT_DYNSYM, SHT_GNU_VERDEF, SHT_GNU_VERSYM = 2, 11, 0x6FFF_FFFD, 0x6FFF_FFFF
DT_NULL, DT_STRTAB, DT_SONAME, DT_FLAGS_1 = 0, 5, 14, 0x6FFF_FFFB
DF_1_PIE = 0x0800_0000
GNU_IFUNC = 10  # STT_*, beside those of elf_file

MACHINES = {
    3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390", 40: "arm", 62: "x86-64", 183: "arm64", 243: "riscv",
    247: "bpf", 258: "loongarch",
}  # fmt: skip


class BinaryType(StrEnum):
    """What the file is for.  The value is the word that messages print."""

    EXECUTABLE = "executable at a fixed address"
    PIE = "position-independent executable"
    SHARED = "shared library"


@dataclass(frozen=True, slots=True)
class Segment:
    """A PT_LOAD program header: bytes [offset, offset + file_size) of the file are loaded at `address`."""

    offset: int
    address: int
    file_size: int
    executable: bool


class ElfBinary:
    """An executable or a shared library; made by `read_binary`.

    `name` is what messages call it, `bits` 32 or 64, `machine` a word (`x86-64`), `entry` the address where it starts,
    `segments` what is loaded.  An *address* is one of the file's own (st_value, p_vaddr), an *offset* counts the bytes
    of the file.  Methods raise InputErrors that name the file.
    """

    def __init__(self, source: Source) -> None:
        """For `read_binary`."""
        self.path = source.path
        self.name = source.name
        self._source = source
        ident = source.read(0, min(16, source.size), "the first bytes")
        if not ident.startswith(MAGIC) or len(ident) < 16:
            raise InputError("is no ELF file: it does not begin with the bytes 7f 45 4c 46", file=self.name)
        if ident[4] not in (1, 2) or ident[5] not in (1, 2):
            raise InputError("is neither a 32-bit nor a 64-bit ELF file, or of no known byte order", file=self.name)
        self.bits = 32 * ident[4]
        self._layout = LAYOUTS[self.bits]
        self._order = "<" if ident[5] == 1 else ">"
        header = struct.Struct(self._order + self._layout.header)
        fields = header.unpack(source.read(16, header.size, "the ELF header's bytes"))
        type, machine, _, self.entry, programs, self._sections_at = fields[:6]
        self._program_entry, program_count, self._section_entry, self._section_count = fields[8:12]
        if type not in (2, 3):
            kind = {1: "a relocatable object", 4: "a core dump"}.get(type, f"an ELF file of type {type}")
            raise InputError(f"is {kind}, neither an executable nor a shared library", file=self.name)
        self._is_fixed = type == 2
        self.machine = MACHINES.get(machine, f"machine {machine}")
        self._programs = self._read_program_headers(programs, program_count)
        self.segments = tuple(
            Segment(offset, address, file_size, bool(flags & PF_X))
            for type, flags, offset, address, file_size, _ in self._programs
            if type == PT_LOAD
        )

    # --- what it is ---------------------------------------------------------------------------------------------------

    @cached_property
    def type(self) -> BinaryType:
        """Position-independent executables are told from libraries by DF_1_PIE, or by their interpreter."""
        if self._is_fixed:
            return BinaryType.EXECUTABLE
        interpreted = any(program[0] == PT_INTERP for program in self._programs)
        pie = bool(self._dynamic.get(DT_FLAGS_1, 0) & DF_1_PIE) or (interpreted and DT_SONAME not in self._dynamic)
        return BinaryType.PIE if pie else BinaryType.SHARED

    @cached_property
    def soname(self) -> str | None:
        """The name that a shared library has for those that are linked with it: `libc.so.6`."""
        if DT_SONAME not in self._dynamic or DT_STRTAB not in self._dynamic:
            return None
        start = self.offset_of_address(self._dynamic[DT_STRTAB]) + self._dynamic[DT_SONAME]
        size = max(0, min(MAX_NAME, self._source.size - start))
        text = self._source.read(start, size, "the bytes of its soname").partition(b"\0")[0]
        return text.decode("utf-8", "surrogateescape") or None

    @cached_property
    def stripped(self) -> bool:
        """Whether it has only the symbols that the dynamic linker needs, or none."""
        return not any(section.type == SHT_SYMTAB for section in self._sections)

    # --- addresses and offsets ----------------------------------------------------------------------------------------

    def offset_of(self, symbol: str) -> int:
        """The file offset of the function `symbol` (`name`, `name@VERSION` or `name@@VERSION`)."""
        function = self.function(symbol)
        offset = self.offset_of_address(function.address)
        self.require_code(offset)
        return offset

    def offset_of_address(self, address: int) -> int:
        """The file offset of what is loaded at `address`."""
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.file_size:
                return address - segment.address + segment.offset
        raise InputError(f"address {address:#x} is loaded from no part of the file", file=self.name)

    def address_of_offset(self, offset: int) -> int:
        """The address at which byte `offset` of the file is loaded; code comes first where it is loaded twice."""
        for segment in sorted(self.segments, key=lambda segment: not segment.executable):
            if segment.offset <= offset < segment.offset + segment.file_size:
                return offset - segment.offset + segment.address
        raise InputError(f"byte {offset:#x} of the file is not loaded into memory", file=self.name)

    def require_code(self, offset: int) -> None:
        """InputError unless byte `offset` of the file lies in a segment that is loaded to be executed."""
        code = [segment for segment in self.segments if segment.executable]
        if not any(segment.offset <= offset < segment.offset + segment.file_size for segment in code):
            ranges = " and ".join(f"{each.offset:#x} to {each.offset + each.file_size:#x}" for each in code[:4])
            where = f"the code lies at {ranges}" if ranges else "it has no code"
            raise InputError(f"byte {offset:#x} of the file is not code; {where}", file=self.name)

    # --- symbols ------------------------------------------------------------------------------------------------------

    def function(self, symbol: str) -> FunctionSymbol:
        """The one function called `symbol`.

        Of several at different addresses a global one counts before weak ones, and both before local (static) ones;
        if that leaves several, or if there is none, the error says which.
        """
        name, _, version = symbol.partition("@")
        version = version.removeprefix("@")
        named = [found for table in self._tables for found in table.named(name)] if name else []
        if version:
            named = [found for found in named if found.version == version]
        functions = [found for found in named if found.type == FUNC and found.section != UNDEFINED]
        if not functions:
            raise InputError(self._why_none(symbol, named), file=self.name)
        functions = [found for found in functions if found.binding != LOCAL] or functions
        functions = [found for found in functions if found.binding != WEAK] or functions
        if len({found.address for found in functions}) > 1:
            places = {f"{found} at byte {self.offset_of_address(found.address):#x}": None for found in functions}
            say = f"{name}@VERSION" if any(found.version for found in functions) else "its byte in the file"
            reason = f"has several functions named {symbol}: {', '.join(list(places)[:8])}; say which by {say}"
            raise InputError(reason, file=self.name)
        return functions[0]

    def symbol_at(self, offset: int) -> str | None:
        """The function that byte `offset` of the file belongs to: `name`, `name+0x1c`, or None if none is known."""
        try:
            address = self.address_of_offset(offset)
        except InputError:
            return None
        index = bisect_right(self._by_address, address, key=lambda entry: entry[0]) - 1
        if index < 0:
            return None
        start, size, _, _ = self._by_address[index]
        if size and address >= start + size:
            return None
        first = bisect_right(self._by_address, start - 1, key=lambda entry: entry[0])
        aliases = [self._tables[table][number] for _, _, table, number in self._by_address[first : index + 1]]
        name = min(aliases, key=lambda alias: (alias.binding == LOCAL, len(alias.name), alias.name)).name
        return name if address == start else f"{name}+{address - start:#x}"

    def _why_none(self, symbol: str, named: list[FunctionSymbol]) -> str:
        kinds = {found.type for found in named if found.section != UNDEFINED}
        if GNU_IFUNC in kinds:
            return (
                f"{symbol} is an indirect function (STT_GNU_IFUNC): the dynamic linker asks it once which of several "
                "functions to call in its place; name one of those"
            )
        if NOTYPE in kinds:
            return f"{symbol} is a label whose symbol does not say that it is a function; give its offset instead"
        if kinds:
            return f"{symbol} is data, not a function"
        if named:
            return f"{symbol} is used here, but defined in another file, perhaps a shared library"
        stripped = ", but the file is stripped of all names except those for dynamic linking" if self.stripped else ""
        near = self._near(symbol.partition("@")[0])
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return f"there is no function named {symbol[:MAX_NAME]}{stripped}{hint}"

    def _near(self, name: str) -> list[str]:
        """Names that the user may have meant, among those of like length and beginning: comparing all takes seconds."""
        from difflib import get_close_matches  # slow to import, and seldom used

        distance = 2 + len(name) // 4
        known = {table[number].name for table in self._tables for _, _, number in table.functions()}
        alike = [each for each in known if abs(len(each) - len(name)) <= distance]
        alike = [each for each in alike if each.lstrip("_")[:1].lower() == name.lstrip("_")[:1].lower()]
        return get_close_matches(name[:100], sorted(alike)[:20_000], n=3)

    @cached_property
    def _by_address(self) -> list[tuple[int, int, int, int]]:
        """Address, size, table and number of each function."""
        return sorted(
            (address, size, index, number)
            for index, table in enumerate(self._tables)
            for address, size, number in table.functions()
        )

    @cached_property
    def _tables(self) -> tuple[SymbolTable, ...]:
        kinds = (SHT_DYNSYM, SHT_SYMTAB)
        return tuple(self._read_symbols(section) for section in self._sections if section.type in kinds)

    # --- the tables of the file ---------------------------------------------------------------------------------------

    def _read_program_headers(self, offset: int, count: int) -> list[tuple[int, ...]]:
        entry = struct.Struct(self._order + self._layout.program_header)
        if count and self._program_entry != entry.size:
            raise InputError(f"program headers have {self._program_entry} bytes, not {entry.size}", file=self.name)
        data = self._source.read(offset, count * entry.size, "the program headers")
        where = self._layout.program_header_order
        return [tuple(fields[index] for index in where) for fields in entry.iter_unpack(data)]

    @cached_property
    def _sections(self) -> tuple[Section, ...]:
        """Empty without section headers, which is how far a file can be stripped."""
        if self._sections_at == 0:
            return ()
        entry = struct.Struct(self._order + self._layout.section_header)
        if self._section_entry != entry.size:
            raise InputError(f"section headers have {self._section_entry} bytes, not {entry.size}", file=self.name)
        count = self._section_count
        if count == 0:  # it did not fit into 16 bits
            first = Section(*entry.unpack(self._source.read(self._sections_at, entry.size, "the section headers")))
            count = first.size
        data = self._source.read(self._sections_at, count * entry.size, "the section headers")
        return tuple(Section(*fields) for fields in entry.iter_unpack(data))

    def _read_symbols(self, section: Section) -> SymbolTable:
        entries = self._source.read(section.offset, section.size, "the symbols", MAX_SYMBOL_BYTES)
        strings = self._read_strings(section)
        versions: dict[int, str] = {}
        indices = b""
        if section.type == SHT_DYNSYM:
            for other in self._sections:
                if other.type == SHT_GNU_VERSYM:
                    indices = self._source.read(other.offset, other.size, "the versions", MAX_SYMBOL_BYTES)
                elif other.type == SHT_GNU_VERDEF:
                    versions = self._read_versions(other)
        return SymbolTable(self._layout, self._order, entries, strings, versions, indices)

    def _read_strings(self, section: Section) -> bytes:
        if section.link >= len(self._sections):
            raise InputError(f"there is no section {section.link} for the names of symbols", file=self.name)
        names = self._sections[section.link]
        return self._source.read(names.offset, names.size, "the names of symbols", MAX_STRING_BYTES)

    def _read_versions(self, section: Section) -> dict[int, str]:
        """Names of versions by index: Elf_Verdef and its first Elf_Verdaux, the same in both classes."""
        data = self._source.read(section.offset, section.size, "the definitions of versions")
        strings = self._read_strings(section)
        definition, name = struct.Struct(f"{self._order}HHHHIII"), struct.Struct(f"{self._order}II")
        versions: dict[int, str] = {}
        at = 0
        while at + definition.size <= len(data):
            _, _, index, _, _, auxiliary, following = definition.unpack_from(data, at)
            if at + auxiliary + name.size <= len(data):
                start = name.unpack_from(data, at + auxiliary)[0]
                end = strings.find(b"\0", start, start + MAX_NAME)
                versions[index] = printable(strings[start : max(start, end)])
            if following < definition.size:
                break
            at += following
        return versions

    @cached_property
    def _dynamic(self) -> dict[int, int]:
        """The dynamic section, up to DT_NULL; of several entries of a kind the last."""
        entry = struct.Struct(self._order + self._layout.dynamic)
        found: dict[int, int] = {}
        for type, _, offset, _, size, _ in self._programs:
            if type == PT_DYNAMIC:
                data = self._source.read(offset, size - size % entry.size, "the entries of the dynamic section")
                for tag, value in entry.iter_unpack(data):
                    if tag == DT_NULL:
                        break
                    found[tag] = value
        return found


def read_binary(path: str, name: str | None = None) -> ElfBinary:
    """Read the headers of an executable or a shared library, of any machine.

    `name` is what messages call the file where `path` says little (`/proc/1/exe`).  InputError, in one sentence, for
    what cannot be read, is something else, or is damaged; symbols are read, and judged, when they are asked for.
    """
    return ElfBinary(Source(path, path if name is None else name))
