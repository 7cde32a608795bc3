"""An ELF file as plain values: sections, symbols, relocations.  The only module that imports pyelftools.

pyelftools reads the file header and the section headers and knows the names of their numbers.  Everything that
they say is checked here before it is used, because nothing stops a file from claiming anything: sections lie
inside the file and do not share bytes, so that what is read in all is never more than the file has.  Tables with
an entry for each symbol or relocation are unpacked here, tens of times faster.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from pybpftime.errors import HostError, InputError

MAGIC = b"\x7fELF"
MAX_FILE = 64 << 20
"""The largest file that is read, in bytes."""
MAX_SECTIONS = 4096
MAX_SYMBOLS = 100_000
HEADER_LENGTH, SECTION_HEADER_LENGTH = 64, 64
SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym: st_name, st_info, st_other, st_shndx, st_value, st_size
RELOCATION = struct.Struct("<QII")  # Elf64_Rel: r_offset and both halves of r_info, type and symbol

WRITE, ALLOC, EXECINSTR, COMPRESSED = 0x1, 0x2, 0x4, 0x800  # SHF_*
UNDEFINED, FIRST_SPECIAL = 0, 0xFF00  # SHN_UNDEF, SHN_LORESERVE
LOCAL, GLOBAL, WEAK = 0, 1, 2  # STB_*
NOTYPE, OBJECT, FUNC, SECTION = 0, 1, 2, 3  # STT_*
HIDDEN_VISIBILITIES = (1, 2)  # STV_INTERNAL, STV_HIDDEN


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """`type` is SHT_PROGBITS and so on; `data` is empty for SHT_NOBITS, which occupy `size` bytes of zeros."""

    index: int
    name: str
    type: str
    flags: int
    size: int
    link: int
    info: int
    entry_size: int
    data: memoryview

    @property
    def is_code(self) -> bool:
        """Whether it holds instructions."""
        return self.type == "SHT_PROGBITS" and bool(self.flags & EXECINSTR) and self.size > 0


class Symbol(NamedTuple):
    """`section` is an index, UNDEFINED, or special from FIRST_SPECIAL on.  `value` is an offset in the section."""

    name: str
    value: int
    size: int
    binding: int
    type: int
    visibility: int
    section: int

    @property
    def is_extern(self) -> bool:
        """Declared and used here, defined elsewhere."""
        return self.section == UNDEFINED and self.type == NOTYPE and self.binding in (GLOBAL, WEAK)

    @property
    def is_hidden(self) -> bool:
        """Not to be seen outside the object, although not static."""
        return self.visibility in HIDDEN_VISIBILITIES


class Relocation(NamedTuple):
    """At byte `offset` of the section that is relocated, something of kind `type` depends on `symbol`."""

    offset: int
    type: int
    symbol: Symbol


class ElfFile:
    """A relocatable BPF object file, 64-bit and little-endian.  `sections` by index; `symbols` in file order."""

    def __init__(self, sections: tuple[Section, ...]) -> None:
        """For `read_elf`."""
        self.sections = sections
        self.symbols = _read_symbols(sections)
        self._relocating: dict[int, list[Section]] = {}
        for section in sections:
            if section.type in ("SHT_REL", "SHT_RELA") and section.size > 0:
                self._relocating.setdefault(section.info, []).append(section)

    def find(self, name: str) -> Section | None:
        """The first section with this name that has bytes of its own."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, Section]:
        found: dict[str, Section] = {}
        for section in self.sections:
            if section.type == "SHT_PROGBITS":
                found.setdefault(section.name, section)
        return found

    def has_relocations(self, section: Section) -> bool:
        """Whether any relocation changes this section."""
        return section.index in self._relocating

    def relocations(self, section: Section) -> Iterator[Relocation]:
        """The relocations that change this section.  InputError for entries that lie outside it or name no symbol."""
        tables = self._relocating.get(section.index, ())
        for table in tables[1:]:
            raise InputError(f"section {section.name} has several tables of relocations", section=table.name)
        for table in tables:
            yield from self._read_relocations(section, table)

    def _read_relocations(self, section: Section, table: Section) -> Iterator[Relocation]:
        if table.type != "SHT_REL" or table.entry_size != RELOCATION.size or table.size % RELOCATION.size:
            reason = f"the relocations of section {section.name} are not in the format that BPF uses (Elf64_Rel)"
            raise InputError(reason, section=table.name)
        # A copy: CPython before 3.13 crashes when an iter_unpack over a memoryview becomes garbage in a cycle.
        for offset, type, symbol in RELOCATION.iter_unpack(bytes(table.data)):
            if offset >= section.size:
                reason = f"a relocation of byte {offset:#x} lies outside section {section.name}"
                raise InputError(reason, section=table.name)
            if symbol >= len(self.symbols):
                raise InputError(
                    f"there is no symbol {symbol}, the last is {len(self.symbols) - 1}", section=table.name
                )
            yield Relocation(offset, type, self.symbols[symbol])

    def section_of(self, symbol: Symbol) -> Section:
        """Where a symbol is defined; InputError for undefined and absolute symbols and for sections not there."""
        if symbol.section == UNDEFINED:
            raise InputError(f"symbol {symbol.name!r} is not defined")
        if symbol.section >= FIRST_SPECIAL:
            raise InputError(f"symbol {symbol.name!r} lies in no section; a global variable without a value perhaps?")
        if symbol.section >= len(self.sections):
            reason = f"symbol {symbol.name!r} lies in section {symbol.section} of {len(self.sections)}"
            raise InputError(reason)
        return self.sections[symbol.section]


def read_elf(data: bytes) -> ElfFile:
    """Read an object file.  InputError, in one sentence, for anything that is no BPF object or is damaged."""
    if len(data) > MAX_FILE:
        raise InputError(f"the file has more than {MAX_FILE >> 20} MiB")
    if not data.startswith(MAGIC):
        raise InputError("the file is no ELF object: it does not begin with the bytes 7f 45 4c 46")
    if len(data) < HEADER_LENGTH:
        raise InputError(f"the file ends after {len(data)} bytes, within the ELF header")
    if data[4] != 2:
        raise InputError("the file is no 64-bit ELF object, as BPF objects are")
    if data[5] == 2:
        raise InputError("big-endian BPF objects (bpfeb) are not supported yet")
    if data[5] != 1:
        raise InputError(f"byte order {data[5]} in the ELF header is neither little-endian nor big-endian")
    return ElfFile(_read_sections(data))


def _read_sections(data: bytes) -> tuple[Section, ...]:
    parse = _Headers(data)
    header = parse.file_header()
    if header["e_machine"] not in ("EM_BPF", "EM_NONE"):  # clang before version 6 left it 0
        raise InputError(f"the file is for another machine ({header['e_machine']}), not for BPF")
    if header["e_type"] != "ET_REL":
        raise InputError(f"the file is no relocatable object (its type is {header['e_type']})")
    count, start, names = header["e_shnum"], header["e_shoff"], header["e_shstrndx"]
    if count == 0:
        raise InputError("the file has no sections")
    if count > MAX_SECTIONS:
        raise InputError(f"the file has {count} sections, more than {MAX_SECTIONS}")
    if header["e_shentsize"] != SECTION_HEADER_LENGTH or start + count * SECTION_HEADER_LENGTH > len(data):
        raise InputError("the section headers do not lie inside the file", offset=start)
    headers = [parse.section_header(start + index * SECTION_HEADER_LENGTH) for index in range(count)]
    if names >= count:
        raise InputError(f"there is no section {names} for the names of sections")
    contents = _contents(data, headers)
    texts = StringTable(contents[names], "the names of sections")
    return tuple(
        Section(
            index, texts[header["sh_name"]], str(header["sh_type"]), header["sh_flags"], header["sh_size"],
            header["sh_link"], header["sh_info"], header["sh_entsize"], contents[index],
        )
        for index, header in enumerate(headers)
    )  # fmt: skip


def _contents(data: bytes, headers: list[Any]) -> list[memoryview]:
    """The bytes of each section.  That they add up to no more than the file bounds everything that is read."""
    view = memoryview(data)
    contents = []
    for index, header in enumerate(headers):
        offset, size = header["sh_offset"], header["sh_size"]
        if header["sh_type"] in ("SHT_NULL", "SHT_NOBITS"):
            contents.append(view[:0])
            continue
        if offset + size > len(data):
            raise InputError(f"section {index} ({size} bytes) does not lie inside the file", offset=offset)
        if header["sh_flags"] & COMPRESSED and header["sh_flags"] & ALLOC:
            raise InputError(f"section {index} is compressed")
        contents.append(view[offset : offset + size])
    if sum(map(len, contents)) > len(data):
        raise InputError("sections overlap: together they have more bytes than the file")
    return contents


class _Headers:
    """pyelftools, for the two kinds of header."""

    def __init__(self, data: bytes) -> None:
        try:
            from elftools.common.utils import struct_parse
            from elftools.elf.structs import ELFStructs
        except ImportError:
            raise HostError("reading object files needs the package pyelftools") from None
        self._parse = struct_parse
        self._stream = io.BytesIO(data)
        self._structs = ELFStructs(little_endian=True, elfclass=64)
        self._structs.create_basic_structs()

    def file_header(self) -> Any:
        header = self._read(self._structs.Elf_Ehdr, 0)
        self._structs.create_advanced_structs(header["e_type"], header["e_machine"], header["e_ident"]["EI_OSABI"])
        return header

    def section_header(self, offset: int) -> Any:
        return self._read(self._structs.Elf_Shdr, offset)

    def _read(self, what: Any, offset: int) -> Any:
        try:
            return self._parse(what, self._stream, offset)
        except Exception as error:  # whatever pyelftools cannot read is malformed
            raise InputError(f"the ELF headers are damaged: {error}", offset=offset) from error


class StringTable:
    """Texts by byte offset.  Bytes that are not UTF-8 come out as backslash escapes.

    A hostile table makes many long texts of the same bytes, so the sum of what is decoded is bounded.
    """

    def __init__(self, data: memoryview, what: str) -> None:
        self._data = bytes(data)
        self._what = what
        self._texts: dict[int, str] = {0: ""} if self._data[:1] in (b"", b"\0") else {}
        self._budget = 8 * len(data) + 65536

    def __getitem__(self, offset: int) -> str:
        """The text at `offset`; InputError if it lies outside or does not end."""
        text = self._texts.get(offset)
        return text if text is not None else self._decode(offset)

    def _decode(self, offset: int) -> str:
        end = self._data.find(b"\0", offset) if offset < len(self._data) else -1
        if end < 0:
            raise InputError(f"{self._what}: byte {offset} of the string table begins no text")
        self._budget -= end - offset
        if self._budget < 0:
            raise InputError(f"{self._what}: the texts overlap far more than any compiler makes them")
        text = self._data[offset:end].decode("utf-8", "backslashreplace")
        self._texts[offset] = text
        return text


def _read_symbols(sections: tuple[Section, ...]) -> tuple[Symbol, ...]:
    tables = [section for section in sections if section.type == "SHT_SYMTAB"]
    if len(tables) != 1:
        number = "no symbol table (was it stripped?)" if not tables else f"{len(tables)} symbol tables"
        raise InputError(f"the file has {number}, and programs are found by their symbols")
    (table,) = tables
    if table.entry_size != SYMBOL.size or table.size % SYMBOL.size:
        raise InputError(f"{table.size} bytes are no table of symbols of {SYMBOL.size} bytes", section=table.name)
    if table.size // SYMBOL.size > MAX_SYMBOLS:
        raise InputError(f"the file has {table.size // SYMBOL.size} symbols, more than {MAX_SYMBOLS}")
    if table.link >= len(sections):
        raise InputError(f"there is no section {table.link} for the names of symbols", section=table.name)
    texts = StringTable(sections[table.link].data, "the names of symbols")
    return tuple(
        Symbol(texts[name], value, size, info >> 4, info & 0xF, other & 0x3, section)
        for name, info, other, section, value, size in SYMBOL.iter_unpack(bytes(table.data))  # a copy: see above
    )
