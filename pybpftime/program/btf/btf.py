"""`Btf`: the types of one object file or of a kernel, by id and by name."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Self

from pybpftime.errors import InputError
from pybpftime.program.btf import layout
from pybpftime.program.btf.layout import Budget, Field, StructRule
from pybpftime.program.btf.records import HEAD, MAX_COUNT, unpack
from pybpftime.program.btf.section import (
    HEADER_LENGTH,
    MAGIC,
    ByteOrder,
    RecordChecker,
    index_records,
    read_header,
    read_words,
)
from pybpftime.program.btf.strings import StringTable
from pybpftime.program.btf.types import BtfType, DeclTag, Kind, Struct, Union, Void

MAX_NAME_LENGTH = 1024
"""Longest name of a type, member or the like; the kernel's limit is half of it (`KSYM_NAME_LEN`)."""
LONG_WORDS = {"long", "int", "unsigned", "signed"}


class Btf:
    """Types by id: `btf[7]`, `len(btf)`, iteration.  Id 0 is `Void()`.

    Made by `Btf.parse`.  Types are built when they are asked for and kept, so that the BTF of a whole kernel costs
    what is used of it.  Nothing changes once it is made.

    A split BTF (a module's, or an object on top of a kernel's) continues the ids of its `base`; asking for a lower
    id asks the base.  Ids that do not exist, types without a size, loops and the like are InputErrors.
    """

    def __init__(
        self,
        words: array[int],
        starts: array[int],
        strings: StringTable,
        *,
        byteorder: ByteOrder,
        base: Btf | None,
        pointer_size: int | None,
    ) -> None:
        """For `parse`; everything has been checked."""
        self.byteorder = byteorder
        self.base = base
        self.first_id = len(base) if base else 1
        self.strings = strings
        self._words = words
        self._starts = starts
        self._pointer_size = pointer_size
        self._types: dict[int, BtfType] = {}
        self._placed: dict[int, tuple[Field, ...]] = {}
        self._fields: dict[int, tuple[Field, ...]] = {}
        self._struct_rules: dict[int, StructRule] = {}
        self._field_budget = Budget.of(self, "the list of fields")

    @classmethod
    def parse(cls, data: bytes, *, base: Btf | None = None, pointer_size: int | None = None) -> Self:
        """Read the bytes of a `.BTF` section (or of `/sys/kernel/btf/NAME`), of either byte order.

        With `base` the data is a split BTF on top of it.  `pointer_size` is 4 or 8; left out, it is the base's, or
        the size of the type `long`, or 8.  InputError if anything is malformed.
        """
        if base is not None and pointer_size is None:
            pointer_size = base.pointer_size
        header = read_header(data)
        if base is not None and base.byteorder != header.byteorder:
            raise InputError(f"a {header.byteorder}-endian BTF cannot extend a {base.byteorder}-endian base")
        string_bytes = data[header.string_offset : header.string_offset + header.string_length]
        strings = StringTable(bytes(string_bytes), base.strings if base else None)
        type_bytes = data[header.type_offset : header.type_offset + header.type_length]
        words = read_words(bytes(type_bytes), header.byteorder)
        starts = index_records(words, len(base) if base else 1)
        btf = cls(words, starts, strings, byteorder=header.byteorder, base=base, pointer_size=pointer_size)
        RecordChecker(words, strings, len(btf), btf.kind).check(starts, btf.first_id)
        return btf

    def to_bytes(self) -> bytes:
        """The `.BTF` section again: header, types, strings.  Of a split BTF only its own part."""
        words = self._words[:]
        if self.byteorder != sys.byteorder:
            words.byteswap()
        types = words.tobytes()
        return encode_section(types, self.strings.data, self.byteorder)

    # Types by id

    def __len__(self) -> int:
        """Number of ids, void and the base's included: valid ids are below it."""
        return self.first_id + len(self._starts)

    def __getitem__(self, type_id: int) -> BtfType:
        """The type with this id; InputError if there is none."""
        found = self._types.get(type_id)
        if found is not None:
            return found
        if type_id == 0:
            return Void()
        if self.base and type_id < self.first_id:
            return self.base[type_id]
        found = unpack(self._words, self._start(type_id), self._name_at)
        self._types[type_id] = found
        return found

    def __iter__(self) -> Iterator[BtfType]:
        return (self[type_id] for type_id in range(len(self)))

    def _name_at(self, offset: int) -> str:
        name = self.strings[offset]
        if len(name) > MAX_NAME_LENGTH:
            raise InputError(f"a BTF name has {len(name)} characters, more than {MAX_NAME_LENGTH}: {name[:40]}...")
        return name

    @property
    def word_count(self) -> int:
        """32-bit words that describe types, the base's included: how much there is to work on."""
        return len(self._words) + (self.base.word_count if self.base else 0)

    @property
    def own_ids(self) -> range:
        """The ids that are described here and not in the base."""
        return range(self.first_id, len(self))

    def kind(self, type_id: int) -> Kind:
        """The kind of a type, without building it."""
        if self.base and type_id < self.first_id:
            return self.base.kind(type_id)
        return Kind(self._words[self._start(type_id) + 1] >> 24 & 0x1F) if type_id else Kind.VOID

    def _start(self, type_id: int) -> int:
        if not self.first_id <= type_id < len(self):
            raise InputError(f"BTF type {type_id} does not exist, the last is {len(self) - 1}")
        return self._starts[type_id - self.first_id]

    # Types by name

    def find(self, name: str, kind: Kind | None = None) -> int | None:
        """The lowest id with this name, and this kind where one is given; None if there is none.

        C keeps tags apart from other names (`struct stat`, function `stat`), so give the kind where you know it.
        """
        return next(iter(self.find_all(name, kind)), None)

    def find_all(self, name: str, kind: Kind | None = None) -> list[int]:
        """Every id with this name, ascending."""
        ids = self.base.find_all(name) if self.base else []
        ids = ids + self._ids_by_name.get(name, [])
        return [type_id for type_id in ids if kind is None or self.kind(type_id) is kind]

    def require(self, name: str, kind: Kind | None = None) -> int:
        """`find` for names that a user gave: InputError if there is none."""
        type_id = self.find(name, kind)
        if type_id is None:
            what = "type" if kind is None else kind.name.lower()
            raise InputError(f"the BTF has no {what} {name!r}")
        return type_id

    @cached_property
    def _ids_by_name(self) -> dict[str, list[int]]:
        words, strings = self._words, self.strings
        index: dict[str, list[int]] = {}
        for type_id, at in enumerate(self._starts, self.first_id):
            if words[at]:
                index.setdefault(strings[words[at]], []).append(type_id)
        return index

    def decl_tags(self, type_id: int) -> tuple[DeclTag, ...]:
        """The declaration tags on a struct, union, typedef, variable or function, its members or parameters."""
        mine = tuple(self._tags.get(type_id, ()))
        return self.base.decl_tags(type_id) + mine if self.base else mine

    @cached_property
    def _tags(self) -> dict[int, list[DeclTag]]:
        tags: dict[int, list[DeclTag]] = {}
        for type_id in self.own_ids:
            if self.kind(type_id) is Kind.DECL_TAG:
                tag = self[type_id]
                assert isinstance(tag, DeclTag)
                tags.setdefault(tag.type, []).append(tag)
        return tags

    # Layout

    @property
    def pointer_size(self) -> int:
        """Bytes of a pointer: as given to `parse`, else as the type `long` says, else 8."""
        if self._pointer_size is None:
            self._pointer_size = self._size_of_long() or 8
        return self._pointer_size

    def _size_of_long(self) -> int | None:
        for type_id, at in enumerate(self._starts, self.first_id):
            if self._words[at + 2] in (4, 8) and self.kind(type_id) is Kind.INT:
                parts = self.strings[self._words[at]].split()
                if parts.count("long") == 1 and set(parts) <= LONG_WORDS:
                    return self._words[at + 2]
        return None

    def resolve(self, type_id: int) -> int:
        """The id behind typedefs, const, volatile, restrict and type tags: see `layout.resolve`."""
        return layout.resolve(self, type_id)

    def size_of(self, type_id: int) -> int:
        """Bytes that a value takes: see `layout.size_of`."""
        return layout.size_of(self, type_id)

    def alignment_of(self, type_id: int) -> int:
        """Alignment in bytes, a power of two: see `layout.alignment_of`."""
        return layout.alignment_of(self, type_id, self._struct_rules)

    def is_packed(self, type_id: int) -> bool:
        """True if the members of this struct or union lie as only `__attribute__((packed))` puts them."""
        record = self[type_id]
        if not isinstance(record, Struct | Union):
            return False
        return layout.struct_rule(self, type_id, record, self._struct_rules).packed

    def fields(self, type_id: int) -> tuple[Field, ...]:
        """The named fields of a struct or union, those of anonymous members included: see `layout.fields`."""
        return layout.fields(self, self.resolve(type_id), self._fields, self._field_budget)

    def placed_members(self, type_id: int) -> tuple[Field, ...]:
        """The members of a struct or union, anonymous ones as such: see `layout.placed_members`."""
        found = self._placed.get(type_id)
        if found is None:
            found = self._placed[type_id] = layout.placed_members(self, type_id)
        return found

    def with_section_layout(self, sections: Mapping[str, tuple[int, Mapping[str, int]]]) -> Btf:
        """A copy in which DATASECs say where variables lie, as libbpf does before it loads an object's BTF.

        `sections` maps a section name to its size and to the offset of each variable by name, in bytes; sections
        and variables that are not named stay as they are.  The variables of a named section come out sorted by
        offset, as the kernel wants them.
        """
        words = self._words[:]
        for type_id in self.own_ids:
            at = self._start(type_id)
            if self.kind(type_id) is Kind.DATASEC and self.strings[words[at]] in sections:
                size, offsets = sections[self.strings[words[at]]]
                self._place(words, at, size, offsets)
        return Btf(
            words,
            self._starts,
            self.strings,
            byteorder=self.byteorder,
            base=self.base,
            pointer_size=self._pointer_size,
        )

    def _place(self, words: array[int], at: int, size: int, offsets: Mapping[str, int]) -> None:
        first, last = at + HEAD, at + HEAD + 3 * (words[at + 1] & MAX_COUNT)
        rows = [list(words[row : row + 3]) for row in range(first, last, 3)]
        for row in rows:
            name = self[row[0]].name
            row[1] = offsets.get(name, row[1])
            if not 0 <= row[1] <= row[1] + row[2] <= size <= 0xFFFF_FFFF:
                raise InputError(f"variable {name} at byte {row[1]} does not lie in its section of {size} bytes")
        rows.sort(key=lambda row: row[1])
        words[at + 2] = size
        words[first:last] = array("I", [word for row in rows for word in row])


def encode_section(types: bytes, strings: bytes, byteorder: ByteOrder) -> bytes:
    """Header, type section and string section as one `.BTF`."""
    fields = [HEADER_LENGTH, 0, len(types), len(types), len(strings)]
    header = MAGIC.to_bytes(2, byteorder) + b"\1\0" + b"".join(field.to_bytes(4, byteorder) for field in fields)
    return header + types + strings
