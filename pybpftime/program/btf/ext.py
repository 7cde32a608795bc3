"""`.BTF.ext`: which function, source line and CO-RE relocation belongs to which instruction.

Source: `tools/lib/bpf/libbpf_internal.h` (`struct btf_ext_header`, `btf_ext_info_sec`) and
`include/uapi/linux/bpf.h` (`bpf_func_info`, `bpf_line_info`, `bpf_core_relo`).  Offsets in this section are bytes
from the start of the ELF section that holds the code, not the instruction numbers that bpf(2) takes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Self, TypeVar

from pybpftime.errors import InputError
from pybpftime.program.btf.btf import Btf
from pybpftime.program.btf.section import read_preamble
from pybpftime.program.btf.types import Kind

SECTION = ".BTF.ext"
INSTRUCTION_LENGTH = 8
MAX_RECORD_LENGTH = 4096


class CoreKind(IntEnum):
    """`enum bpf_core_relo_kind`, without the prefix BPF_CORE_."""

    FIELD_BYTE_OFFSET = 0
    FIELD_BYTE_SIZE = 1
    FIELD_EXISTS = 2
    FIELD_SIGNED = 3
    FIELD_LSHIFT_U64 = 4
    FIELD_RSHIFT_U64 = 5
    TYPE_ID_LOCAL = 6
    TYPE_ID_TARGET = 7
    TYPE_EXISTS = 8
    TYPE_SIZE = 9
    ENUMVAL_EXISTS = 10
    ENUMVAL_VALUE = 11
    TYPE_MATCHES = 12


@dataclass(frozen=True, slots=True)
class FuncInfo:
    """The function whose first instruction is at byte `offset`; `type` is a FUNC."""

    offset: int
    type: int

    @property
    def instruction(self) -> int:
        return self.offset // INSTRUCTION_LENGTH


@dataclass(frozen=True, slots=True)
class LineInfo:
    """From byte `offset` on, code comes from this line.  `line` and `column` count from 1; 0 is unknown."""

    offset: int
    file: str
    text: str
    line: int
    column: int

    @property
    def instruction(self) -> int:
        return self.offset // INSTRUCTION_LENGTH


@dataclass(frozen=True, slots=True)
class CoreRelocation:
    """The instruction at byte `offset` depends on the type `type` of the target, at the path `access` (`0:1:2`).

    `kind` is a number of `CoreKind`, or a newer one.
    """

    offset: int
    type: int
    access: str
    kind: int

    @property
    def instruction(self) -> int:
        return self.offset // INSTRUCTION_LENGTH


Record = TypeVar("Record", FuncInfo, LineInfo, CoreRelocation)


@dataclass(frozen=True, slots=True)
class BtfExt:
    """The records of each ELF section by its name, in file order, which is by ascending offset from a compiler."""

    functions: Mapping[str, tuple[FuncInfo, ...]]
    lines: Mapping[str, tuple[LineInfo, ...]]
    relocations: Mapping[str, tuple[CoreRelocation, ...]]

    @classmethod
    def parse(cls, data: bytes, btf: Btf) -> Self:
        """Read a `.BTF.ext` section; `btf` is the object's `.BTF`, whose strings and types the records refer to.

        Records longer than known ones are read as far as they are known.  InputError if anything is malformed.
        """
        byteorder, header_length = read_preamble(data, SECTION)
        if header_length < 24:
            raise InputError(f"header length {header_length} is less than 24", section=SECTION)
        order = "<" if byteorder == "little" else ">"
        header = data[8:header_length][:24].ljust(24, b"\0")  # CO-RE came later: 24 header bytes have none
        if header_length < 32:
            header = header[:16].ljust(24, b"\0")
        extents = struct.unpack(f"{order}6I", header)
        reader = _Reader(data, header_length, order, btf)
        return cls(
            functions=reader.table("func_info", extents[0:2], 2, reader.func_info),
            lines=reader.table("line_info", extents[2:4], 4, reader.line_info),
            relocations=reader.table("core_relo", extents[4:6], 4, reader.core_relocation),
        )


class _Reader:
    def __init__(self, data: bytes, header_length: int, order: str, btf: Btf) -> None:
        self.data = data
        self.header_length = header_length
        self.order = order
        self.btf = btf

    def table(
        self, what: str, extent: tuple[int, ...], width: int, make: Callable[..., Record]
    ) -> dict[str, tuple[Record, ...]]:
        """One of the three tables: a record length, then blocks of (section name, count, records)."""
        offset, length = extent
        start, end = self.header_length + offset, self.header_length + offset + length
        if length == 0:
            return {}
        if offset % 4 or end > len(self.data) or length < 4:
            raise InputError(f"{what} does not lie inside the section", section=SECTION, offset=start)
        (record_length,) = self._words(start, 1)
        if record_length < 4 * width or record_length % 4 or record_length > MAX_RECORD_LENGTH:
            raise InputError(f"{what} has records of {record_length} bytes", section=SECTION, offset=start)
        found: dict[str, list[Record]] = {}
        at = start + 4
        while at < end:
            if at + 8 > end:
                raise InputError(f"{what} is cut off", section=SECTION, offset=at)
            name, count = self._words(at, 2)
            at += 8
            if count == 0 or at + count * record_length > end:
                reason = f"{what} has a block of {count} records where {(end - at) // record_length} fit"
                raise InputError(reason, section=SECTION, offset=at - 8)
            rows = self._rows(at, count, record_length, width)
            found.setdefault(self.btf.strings[name], []).extend(make(*row) for row in rows)
            at += count * record_length
        return {section: tuple(records) for section, records in found.items()}

    def _words(self, at: int, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f"{self.order}{count}I", self.data, at)

    def _rows(self, at: int, count: int, record_length: int, width: int) -> Iterator[tuple[int, ...]]:
        layout = struct.Struct(f"{self.order}{width}I{record_length - 4 * width}x")
        return layout.iter_unpack(self.data[at : at + count * record_length])  # bytes: see elf_file

    def func_info(self, offset: int, type_id: int) -> FuncInfo:
        _check_offset(offset)
        if type_id >= len(self.btf) or self.btf.kind(type_id) is not Kind.FUNC:
            raise InputError(f"func_info at byte {offset} refers to type {type_id}, no FUNC", section=SECTION)
        return FuncInfo(offset, type_id)

    def line_info(self, offset: int, file: int, text: int, position: int) -> LineInfo:
        _check_offset(offset)
        strings = self.btf.strings
        return LineInfo(offset, strings[file], strings[text], position >> 10, position & 0x3FF)

    def core_relocation(self, offset: int, type_id: int, access: int, kind: int) -> CoreRelocation:
        _check_offset(offset)
        if type_id >= len(self.btf):
            raise InputError(f"core_relo at byte {offset}: type {type_id} does not exist", section=SECTION)
        return CoreRelocation(offset, type_id, self.btf.strings[access], kind)


def _check_offset(offset: int) -> None:
    if offset % INSTRUCTION_LENGTH:
        raise InputError(f"a record refers to byte {offset}, which begins no instruction", section=SECTION)
