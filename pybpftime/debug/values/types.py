"""C types as expressions see them: the types of a Btf, C's own, and those that are derived on the way.

A program's BTF has no record of `int *` unless the program uses one, and `&x` needs it.  `ExtendedBtf` adds such
records on top of a Btf; `c_types` is a Btf of what every C program has.  `Scalar` says what arithmetic needs to know
of a type.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from enum import Enum as PythonEnum
from functools import lru_cache
from typing import Literal

from pybpftime.errors import InputError
from pybpftime.program.btf import (
    Array,
    Btf,
    BtfBuilder,
    BtfType,
    Enum,
    Enum64,
    Float,
    Func,
    FuncProto,
    Fwd,
    Int,
    IntEncoding,
    Kind,
    Ptr,
    Struct,
    Typedef,
    Union,
    Void,
    type_name,
)
from pybpftime.program.btf.strings import StringTable

ByteOrder = Literal["little", "big"]

INTEGERS = {
    "char": (1, IntEncoding.SIGNED),
    "signed char": (1, IntEncoding.SIGNED),
    "unsigned char": (1, IntEncoding.NONE),
    "short": (2, IntEncoding.SIGNED),
    "unsigned short": (2, IntEncoding.NONE),
    "int": (4, IntEncoding.SIGNED),
    "unsigned int": (4, IntEncoding.NONE),
    "long": (8, IntEncoding.SIGNED),
    "unsigned long": (8, IntEncoding.NONE),
    "long long": (8, IntEncoding.SIGNED),
    "unsigned long long": (8, IntEncoding.NONE),
    "__int128": (16, IntEncoding.SIGNED),
    "unsigned __int128": (16, IntEncoding.NONE),
    "_Bool": (1, IntEncoding.BOOL),
}
"""C's integer types for BPF (LP64): size in bytes and encoding."""

FLOATS = {"float": 4, "double": 8}

COMMON_TYPEDEFS = {
    "unsigned char": ("__u8", "u8", "uint8_t"),
    "unsigned short": ("__u16", "u16", "uint16_t", "__be16", "__le16", "__sum16"),
    "unsigned int": ("__u32", "u32", "uint32_t", "__be32", "__le32", "__wsum"),
    "unsigned long long": ("__u64", "u64", "__be64", "__le64"),
    "unsigned long": ("size_t", "uint64_t", "uintptr_t"),
    "signed char": ("__s8", "s8", "int8_t"),
    "short": ("__s16", "s16", "int16_t"),
    "int": ("__s32", "s32", "int32_t"),
    "long long": ("__s64", "s64"),
    "long": ("int64_t", "ssize_t", "intptr_t", "ptrdiff_t"),
    "_Bool": ("bool",),
}
"""Typedefs that BPF programs have from headers, for expressions in a program that uses none of them."""

INT_RANK, LONG_RANK, LONG_LONG_RANK, INT128_RANK = 3, 4, 5, 6
RANK_OF_SIZE = {1: 1, 2: 2, 4: INT_RANK, 8: LONG_RANK, 16: INT128_RANK}


class ScalarKind(PythonEnum):
    """What conversions tell apart."""

    INTEGER = "integer"
    BOOL = "bool"
    POINTER = "pointer"
    FLOAT = "float"


@dataclass(frozen=True, slots=True)
class Scalar:
    """What arithmetic needs to know of a type.  `rank` orders integer types as C11 6.3.1.1 does; others have 0."""

    kind: ScalarKind
    bits: int
    signed: bool = False
    rank: int = 0

    @property
    def is_integral(self) -> bool:
        """An integer, an enumeration or `_Bool`."""
        return self.kind in (ScalarKind.INTEGER, ScalarKind.BOOL)

    @property
    def lowest(self) -> int:
        """The least value of an integral type or pointer."""
        return -(1 << self.bits - 1) if self.signed and self.bits else 0

    @property
    def highest(self) -> int:
        """The greatest value of an integral type or pointer."""
        return self.lowest + (1 << self.bits) - 1 if self.kind is not ScalarKind.BOOL else 1


class ExtendedBtf(Btf):
    """A Btf and types that are derived from its types.  It grows, ids stay; `to_bytes` has no derived types."""

    def __init__(self, base: Btf) -> None:
        """The ids of `base` mean the same here."""
        super().__init__(
            array("I"),
            array("I"),
            StringTable(b"", base.strings),
            byteorder=base.byteorder,
            base=base,
            pointer_size=base.pointer_size,
        )
        self._derived: list[BtfType] = []
        self._derived_ids: dict[BtfType, int] = {}

    def derive(self, record: BtfType) -> int:
        """The id of a type; the same for equal records."""
        found = self._derived_ids.get(record)
        if found is None:
            found = self._derived_ids[record] = len(self)
            self._derived.append(record)
        return found

    def __len__(self) -> int:
        return self.first_id + len(self._derived)

    def __getitem__(self, type_id: int) -> BtfType:
        return self._derived[type_id - self.first_id] if self._is_derived(type_id) else super().__getitem__(type_id)

    def kind(self, type_id: int) -> Kind:
        """The kind of a type."""
        return self._derived[type_id - self.first_id].kind if self._is_derived(type_id) else super().kind(type_id)

    def _is_derived(self, type_id: int) -> bool:
        return self.first_id <= type_id < self.first_id + len(self._derived)


@lru_cache(maxsize=32)
def extended(types: Btf) -> ExtendedBtf:
    """The Btf as one that grows."""
    return types if isinstance(types, ExtendedBtf) else ExtendedBtf(types)


@lru_cache(maxsize=2)
def c_types(byteorder: ByteOrder) -> Btf:
    """C's own types and common typedefs, for targets of that byte order."""
    builder = BtfBuilder(byteorder=byteorder)
    ids = {name: builder.add(Int(name, size, 8 * size, encoding)) for name, (size, encoding) in INTEGERS.items()}
    for name, size in FLOATS.items():
        builder.add(Float(name, size))
    for name, typedefs in COMMON_TYPEDEFS.items():
        for typedef in typedefs:
            builder.add(Typedef(typedef, ids[name]))
    return builder.build()


@dataclass(frozen=True, slots=True)
class CType:
    """A type: its Btf and its id there."""

    types: Btf
    id: int

    @property
    def record(self) -> BtfType:
        """What it is behind typedefs and qualifiers."""
        return self.types[self.types.resolve(self.id)]

    @property
    def text(self) -> str:
        """As in a cast: `struct iphdr *`."""
        return type_name(self.types, self.id)

    @property
    def size(self) -> int:
        """Bytes of a value; InputError for incomplete types."""
        if isinstance(self.record, Void | Fwd | Func | FuncProto):
            raise InputError(f"{self.text} is incomplete: its size is not known here")
        return self.types.size_of(self.id)

    @property
    def is_char(self) -> bool:
        """C's `char`."""
        record = self.record
        return isinstance(record, Int) and record.is_char

    @property
    def is_void(self) -> bool:
        return isinstance(self.record, Void)

    @property
    def is_aggregate(self) -> bool:
        """A struct or union."""
        return isinstance(self.record, Struct | Union)

    @property
    def element(self) -> CType | None:
        """The element of an array; None for anything else."""
        record = self.record
        return CType(self.types, record.element) if isinstance(record, Array) else None

    @property
    def pointee(self) -> CType | None:
        """What a pointer points to; None for anything else."""
        record = self.record
        return CType(self.types, record.type) if isinstance(record, Ptr) else None

    def pointer(self) -> CType:
        """A pointer to it."""
        types = extended(self.types)
        return CType(types, types.derive(Ptr(self.id)))

    def array(self, count: int) -> CType:
        """An array of `count` of it."""
        types = extended(self.types)
        return CType(types, types.derive(Array(self.id, 0, count)))

    def scalar(self) -> Scalar | None:
        """Its arithmetic; None for structs, arrays, void, and numbers of a size that C has not."""
        return scalar_of(self.record, self.types.pointer_size)


def c_type(name: str, byteorder: ByteOrder) -> CType:
    """One of C's own types or of the common typedefs by name; InputError if it is none."""
    types = c_types(byteorder)
    return CType(types, types.require(name))


def scalar_of(record: BtfType, pointer_size: int) -> Scalar | None:
    """The arithmetic of a type without typedefs and qualifiers; None if it has none."""
    match record:
        case (Int() | Enum() | Enum64()) as odd if odd.size not in RANK_OF_SIZE:
            return None
        case Int(encoding=IntEncoding.BOOL) as integer:
            return Scalar(ScalarKind.BOOL, 8 * integer.size)
        case Int() as integer:
            rank = LONG_LONG_RANK if integer.size == 8 and "long long" in integer.name else RANK_OF_SIZE[integer.size]
            return Scalar(ScalarKind.INTEGER, 8 * integer.size, integer.signed, rank)
        case Enum() | Enum64() as enumeration:
            return Scalar(ScalarKind.INTEGER, 8 * enumeration.size, enumeration.signed, RANK_OF_SIZE[enumeration.size])
        case Ptr():
            return Scalar(ScalarKind.POINTER, 8 * pointer_size)
        case Float(size=4) | Float(size=8) as real:
            return Scalar(ScalarKind.FLOAT, 8 * real.size, signed=True)
    return None
