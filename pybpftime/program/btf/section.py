"""Bytes of a `.BTF` section -> checked words: header, index of records, and every check that is cheap.

Checks follow `btf_check_all_metas` in the kernel's kernel/bpf/btf.c where a violation would mislead a reader, and
libbpf where objects straight from a compiler differ from what the kernel loads: names need not be identifiers,
members need not be sorted, sections may still be unplaced and functions extern.  Nothing is built and nothing is
followed here, so the cost is linear and small; loops between types are caught by whoever follows references.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pybpftime.errors import InputError
from pybpftime.program.btf.records import FLAG, HEAD, MAX_COUNT, SHAPES, signed32
from pybpftime.program.btf.strings import StringTable
from pybpftime.program.btf.types import IntEncoding, Kind

MAGIC = 0xEB9F
HEADER_LENGTH = 24
MAX_LENGTH = 64 << 20
"""Longest section that is read; the BTF of a whole kernel has about 6 MB."""
MAX_TYPES = 0xF_FFFF
"""`BTF_MAX_TYPE`."""

ENCODINGS = frozenset(IntEncoding)

ByteOrder = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class Header:
    """`struct btf_header` as far as it is of use; offsets count from byte 0 of the section."""

    byteorder: ByteOrder
    type_offset: int
    type_length: int
    string_offset: int
    string_length: int


def read_preamble(data: bytes, section: str) -> tuple[ByteOrder, int]:
    """Check the eight bytes that `.BTF` and `.BTF.ext` begin with; return byte order and header length."""
    if len(data) < 8:
        raise InputError(f"{len(data)} bytes are too few for a header", section=section)
    if len(data) > MAX_LENGTH:
        raise InputError(f"{len(data)} bytes are more than the limit of {MAX_LENGTH}", section=section)
    byteorder: ByteOrder = "big" if data[0] == MAGIC >> 8 else "little"
    magic = int.from_bytes(data[:2], byteorder)
    if magic != MAGIC:
        raise InputError(f"magic number {magic:#06x} is not {MAGIC:#06x}", section=section)
    if data[2] != 1:
        raise InputError(f"version {data[2]} is not supported, only version 1", section=section)
    if data[3] != 0:
        raise InputError(f"flags {data[3]:#x} are not supported", section=section)
    length = int.from_bytes(data[4:8], byteorder)
    if length > len(data):
        raise InputError(f"header length {length} exceeds the {len(data)} bytes there are", section=section)
    return byteorder, length


def read_header(data: bytes) -> Header:
    byteorder, length = read_preamble(data, ".BTF")
    if length < HEADER_LENGTH:
        raise InputError(f"header length {length} is less than {HEADER_LENGTH}", section=".BTF")
    if any(data[HEADER_LENGTH:length]):
        raise InputError("the header has fields that are newer than this reader", section=".BTF")
    type_offset, type_length, string_offset, string_length = (
        int.from_bytes(data[at : at + 4], byteorder) for at in range(8, HEADER_LENGTH, 4)
    )
    if type_offset % 4 or type_length % 4:
        raise InputError("the type section is not made of whole words", section=".BTF")
    if length + type_offset + type_length > len(data):
        raise InputError("the type section does not lie inside the data", section=".BTF")
    if length + string_offset + string_length > len(data):
        raise InputError("the string section does not lie inside the data", section=".BTF")
    return Header(byteorder, length + type_offset, type_length, length + string_offset, string_length)


def read_words(data: bytes, byteorder: ByteOrder) -> array[int]:
    """The 32-bit words of `data` as an array("I")."""
    words = array("I", data)
    if byteorder != sys.byteorder:
        words.byteswap()
    return words


def index_records(words: array[int], first_id: int) -> array[int]:
    """Where each record begins, in words; entry 0 is type `first_id`."""
    lengths = [0] * 32
    per_item = [0] * 32
    for known, shape in SHAPES.items():
        lengths[known], per_item[known] = HEAD + shape.fixed, shape.each
    starts = array("I")
    at, end = 0, len(words)
    while at < end:
        if at + HEAD > end:
            raise _error(at, first_id + len(starts), "the record is cut off")
        info = words[at + 1]
        kind = info >> 24 & 0x1F
        if not lengths[kind]:
            raise _error(at, first_id + len(starts), f"unknown kind {kind}")
        following = at + lengths[kind] + per_item[kind] * (info & MAX_COUNT)
        if following > end:
            raise _error(at, first_id + len(starts), f"the {Kind(kind).name} record is cut off")
        starts.append(at)
        at = following
    if first_id + len(starts) > MAX_TYPES:
        raise InputError(f"{first_id + len(starts)} types are more than {MAX_TYPES}", section=".BTF")
    return starts


def _error(at: int, type_id: int, reason: str) -> InputError:
    return InputError(f"type {type_id}: {reason}", section=".BTF", offset=4 * at)


class RecordChecker:
    """Checks each record by itself: reserved bits, names, ids, sizes.  `check` raises InputError.

    `kind_of` gives the kind of any id below `end_id`.  Offsets in errors count from the start of the type section.
    """

    def __init__(self, words: array[int], strings: StringTable, end_id: int, kind_of: Callable[[int], Kind]) -> None:
        self.words = words
        self.strings = strings
        self.end_id = end_id
        self.kind_of = kind_of
        ref = self._reference
        named_ref = self._named_reference
        self._checks: dict[int, Callable[[int, int], str | None]] = {
            Kind.INT: self._int,
            Kind.PTR: ref,
            Kind.ARRAY: self._array,
            Kind.STRUCT: self._struct,
            Kind.UNION: self._struct,
            Kind.ENUM: self._enum,
            Kind.FWD: self._named,
            Kind.TYPEDEF: named_ref,
            Kind.VOLATILE: ref,
            Kind.CONST: ref,
            Kind.RESTRICT: ref,
            Kind.FUNC: self._func,
            Kind.FUNC_PROTO: self._func_proto,
            Kind.VAR: self._var,
            Kind.DATASEC: self._datasec,
            Kind.FLOAT: self._float,
            Kind.DECL_TAG: self._decl_tag,
            Kind.TYPE_TAG: named_ref,
            Kind.ENUM64: self._enum,
        }
        self._without_count = {kind for kind, shape in SHAPES.items() if not shape.each and kind is not Kind.FUNC}
        self._without_flag = {kind for kind, shape in SHAPES.items() if not shape.may_flag}

    def check(self, starts: array[int], first_id: int) -> None:
        words, string_end, checks = self.words, self.strings.end, self._checks
        for index, at in enumerate(starts):
            info = words[at + 1]
            kind = info >> 24 & 0x1F
            if info & 0x60FF_0000:
                problem: str | None = f"reserved bits are set in info {info:#x}"
            elif info & MAX_COUNT and kind in self._without_count:
                problem = f"the count is {info & MAX_COUNT} where it must be 0"
            elif info & FLAG and kind in self._without_flag:
                problem = "kind_flag is set where it must be 0"
            elif words[at] >= string_end:
                problem = f"name offset {words[at]} is outside the string section"
            else:
                problem = checks[kind](at, info & MAX_COUNT)
            if problem:
                raise _error(at, first_id + index, f"{Kind(kind).name}: {problem}")

    def _reference(self, at: int, count: int) -> str | None:
        target = self.words[at + 2]
        return None if target < self.end_id else f"refers to type {target}, which does not exist"

    def _named(self, at: int, count: int) -> str | None:
        return "has no name" if self.strings.is_empty(self.words[at]) else None

    def _named_reference(self, at: int, count: int) -> str | None:
        return self._named(at, count) or self._reference(at, count)

    def _int(self, at: int, count: int) -> str | None:
        size, data = self.words[at + 2], self.words[at + HEAD]
        bits = (data & 0xFF) + (data >> 16 & 0xFF)
        if data & 0xF000_FF00:
            return f"reserved bits are set in {data:#x}"
        if bits > 128 or bits > 8 * size:
            return f"{bits} bits do not fit {min(size, 16)} bytes"
        if data >> 24 not in ENCODINGS:
            return f"unknown encoding {data >> 24}"
        return None

    def _array(self, at: int, count: int) -> str | None:
        element, index = self.words[at + HEAD], self.words[at + HEAD + 1]
        if element == 0:
            return "the elements are void"
        if max(element, index) >= self.end_id:
            return f"refers to type {max(element, index)}, which does not exist"
        return None

    def _struct(self, at: int, count: int) -> str | None:
        if not count:
            return None
        words = self.words
        body = words[at + HEAD : at + HEAD + 3 * count]
        names, targets, offsets = body[0::3], body[1::3], body[2::3]
        if max(names) >= self.strings.end:
            return f"name offset {max(names)} of a member is outside the string section"
        if max(targets) >= self.end_id:
            return f"a member refers to type {max(targets)}, which does not exist"
        if min(targets) == 0:
            return "a member is void"
        last = max(offset & 0xFF_FFFF for offset in offsets) if words[at + 1] & FLAG else max(offsets)
        if last > 8 * words[at + 2]:
            return f"a member at bit {last} lies outside the {words[at + 2]} bytes"
        return None

    def _enum(self, at: int, count: int) -> str | None:
        size = self.words[at + 2]
        if size not in (1, 2, 4, 8):
            return f"size {size} is none of 1, 2, 4, 8"
        width = 2 if self.words[at + 1] >> 24 & 0x1F == Kind.ENUM else 3
        names = self.words[at + HEAD : at + HEAD + width * count : width]
        if names and max(names) >= self.strings.end:
            return f"name offset {max(names)} of a value is outside the string section"
        return None

    def _func(self, at: int, count: int) -> str | None:
        target = self.words[at + 2]
        if target >= self.end_id or self.kind_of(target) is not Kind.FUNC_PROTO:
            return f"type {target} is not a FUNC_PROTO"
        if count > 2:
            return f"unknown linkage {count}"
        return self._named(at, count)

    def _func_proto(self, at: int, count: int) -> str | None:
        body = self.words[at + HEAD : at + HEAD + 2 * count]
        targets = body[1::2]
        targets.append(self.words[at + 2])
        if max(targets) >= self.end_id:
            return f"refers to type {max(targets)}, which does not exist"
        if count and max(body[0::2]) >= self.strings.end:
            return f"name offset {max(body[0::2])} of a parameter is outside the string section"
        return None

    def _var(self, at: int, count: int) -> str | None:
        if self.words[at + HEAD] > 2:
            return f"unknown linkage {self.words[at + HEAD]}"
        return self._named_reference(at, count)

    def _datasec(self, at: int, count: int) -> str | None:
        for target in self.words[at + HEAD : at + HEAD + 3 * count : 3]:
            if target >= self.end_id or self.kind_of(target) not in (Kind.VAR, Kind.FUNC):
                return f"type {target} is neither VAR nor FUNC"
        return self._named(at, count)

    def _float(self, at: int, count: int) -> str | None:
        size = self.words[at + 2]
        return None if size in (2, 4, 8, 12, 16) else f"size {size} is none of 2, 4, 8, 12, 16"

    def _decl_tag(self, at: int, count: int) -> str | None:
        if signed32(self.words[at + HEAD]) < -1:
            return f"component {signed32(self.words[at + HEAD])} is below -1"
        return self._named_reference(at, count)
