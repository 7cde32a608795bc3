"""The tables of executables and shared libraries as they lie in the file, which is opened for each and never held.

Formats of both classes (32 and 64 bits) and both byte orders, bounded reading, and symbol tables that compare names
without decoding them.  What the tables mean is the business of `elf_symbols`.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pybpftime.errors import InputError
from pybpftime.program.elf_file import FUNC, UNDEFINED

MAX_HEADERS = 1 << 22
"""The most bytes that the program headers, the section headers or the dynamic section may have."""
MAX_SYMBOL_BYTES = 64 << 20
"""The largest symbol table, which is more than two million symbols."""
MAX_STRING_BYTES = 256 << 20
MAX_NAME = 4096
"""Longer names are cut off where they are shown."""
VERSION_INDEX = 0x7FFF  # of an entry of .gnu.version; the bit above says that it is not the default


class FunctionSymbol(NamedTuple):
    """A symbol; `address` is its st_value, `version` is "" for most, `binding` and `type` are STB_ and STT_ numbers."""

    name: str
    version: str
    address: int
    size: int
    binding: int
    type: int
    section: int

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name


class Section(NamedTuple):
    """A section header, its fields in the order that both classes have."""

    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The formats of one class of ELF files, for `struct`.

    The classes order the fields of program headers and symbols differently: `..._order` says where the ones that are
    needed stand.
    """

    header: str
    program_header: str
    program_header_order: tuple[int, ...]  # of type, flags, offset, address, file size, memory size
    section_header: str
    symbol: str
    symbol_order: tuple[int, ...]  # of name, info, section, value, size
    dynamic: str


LAYOUTS = {
    32: Layout("HHIIIIIHHHHHH", "8I", (0, 6, 1, 2, 4, 5), "10I", "IIIBBH", (0, 3, 5, 1, 2), "II"),
    64: Layout("HHIQQQIHHHHHH", "IIQQQQQQ", (0, 1, 2, 3, 5, 6), "IIQQQQIIQQ", "IBBHQQ", (0, 1, 3, 4, 5), "QQ"),
}


class Source:
    """Byte ranges of a file, which is opened for each, so that nothing stays open.  All errors are InputErrors."""

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self.name = name
        try:
            status = os.stat(path)
        except (OSError, ValueError) as error:  # ValueError: a null character in the name
            raise self._unreadable(error) from None
        if not stat.S_ISREG(status.st_mode):
            raise InputError("is no ordinary file", file=name)
        self.size = status.st_size
        self._identity = _identity(status)

    def read(self, offset: int, size: int, what: str, limit: int = MAX_HEADERS) -> bytes:
        """`size` bytes from `offset`; errors call them `what`."""
        if size > limit:
            raise InputError(f"{what} have {size} bytes, more than {limit}", file=self.name)
        if offset + size > self.size:
            raise InputError(f"{what} do not lie inside the file", file=self.name, offset=offset)
        try:
            with open(self.path, "rb") as stream:
                same = _identity(os.fstat(stream.fileno())) == self._identity
                stream.seek(offset)
                data = stream.read(size)
        except OSError as error:
            raise self._unreadable(error) from None
        if not same or len(data) != size:
            raise InputError("was changed while it was read", file=self.name)
        return data

    def _unreadable(self, error: OSError | ValueError) -> InputError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return InputError(f"cannot be read: {reason}", file=self.name)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def printable(name: bytes) -> str:
    """A name as messages show it: what would move the cursor of a terminal comes out as an escape sequence."""
    text = name.decode("utf-8", "surrogateescape")
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


class SymbolTable:
    """A symbol table as it lies in the file.  Names are compared where they lie; only what is found is decoded."""

    def __init__(
        self, layout: Layout, order: str, entries: bytes, strings: bytes, versions: dict[int, str], indices: bytes
    ) -> None:
        self._entry = struct.Struct(order + layout.symbol)
        self._order = layout.symbol_order
        self._entries = entries[: len(entries) - len(entries) % self._entry.size]
        self._strings = strings
        self._versions = versions
        self._indices = [index for (index,) in struct.iter_unpack(f"{order}H", indices[: len(indices) & ~1])]

    def named(self, name: str) -> list[FunctionSymbol]:
        """The symbols called `name`, whatever their version."""
        wanted = name.encode("utf-8", "surrogateescape")
        begins, ends, strings = self._strings.startswith, (b"\0", b"@"), self._strings
        return [
            self._symbol(number, entry)
            for number, entry in enumerate(self._entry.iter_unpack(self._entries))
            if begins(wanted, entry[0]) and strings[(end := entry[0] + len(wanted)) : end + 1] in ends
        ]

    def functions(self) -> Iterator[tuple[int, int, int]]:
        """Address, size and number of each defined function."""
        _, info, section, value, size = self._order
        for number, entry in enumerate(self._entry.iter_unpack(self._entries)):
            if entry[info] & 0xF == FUNC and entry[section] != UNDEFINED:
                yield entry[value], entry[size], number

    def __getitem__(self, number: int) -> FunctionSymbol:
        return self._symbol(number, self._entry.unpack_from(self._entries, number * self._entry.size))

    def _symbol(self, number: int, entry: tuple[int, ...]) -> FunctionSymbol:
        name, info, section, value, size = (entry[index] for index in self._order)
        end = self._strings.find(b"\0", name, name + MAX_NAME)
        text = printable(self._strings[name : end if end >= 0 else name + MAX_NAME])
        text, _, version = text.partition("@")
        if not version and number < len(self._indices):
            version = self._versions.get(self._indices[number] & VERSION_INDEX, "")
        return FunctionSymbol(text, version.lstrip("@"), value, size, info >> 4, info & 0xF, section)
