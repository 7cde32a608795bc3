"""Bytes of a BTF type -> plain Python values.  `encode` is the way back.

| type | value |
|---|---|
| INT | int; `_Bool` gives bool (a byte that is neither 0 nor 1 gives the number, which encode refuses) |
| ENUM, ENUM64 | `EnumValue`, an int that knows its name |
| PTR | int |
| FLOAT | float for 2, 4 and 8 bytes, else the bytes as a list of int |
| STRUCT, UNION | dict by field name; fields of anonymous members count as the parent's, a union gives all its views |
| ARRAY | list; an array of `char` gives str if it holds a C string, see below |
| VAR | as its type |
| DATASEC | dict by variable name (`name@offset` for the second and later of one name) |

A `char` array holds a C string if it contains a NUL and what stands before the first one is UTF-8 and printable
(tab, newline and carriage return allowed).  What follows the NUL is not part of the value.  Otherwise it is a list
of numbers like any other array.

Typedefs and qualifiers make no difference.  Everything but a NaN goes through JSON.
"""

from __future__ import annotations

import struct
from typing import Any, Literal, Self, TypeAlias

from pybpftime.errors import InputError, InternalError
from pybpftime.program.btf.btf import Btf
from pybpftime.program.btf.declarator import type_name
from pybpftime.program.btf.layout import Budget, Field, check_depth
from pybpftime.program.btf.types import (
    Array,
    DataSec,
    Enum,
    Enum64,
    Float,
    Int,
    IntEncoding,
    Ptr,
    Struct,
    Union,
    Var,
)

Value: TypeAlias = "int | float | str | list[Value] | dict[str, Value]"

FLOAT_CODES = {2: "e", 4: "f", 8: "d"}
INT_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


class EnumValue(int):
    """A value of an enumeration: an int with `name`, which is None for a number that the enumeration lacks."""

    name: str | None

    def __new__(cls, value: int, name: str | None = None) -> Self:
        self = super().__new__(cls, value)
        self.name = name
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (int(self), self.name)

    def __repr__(self) -> str:
        return str(int(self)) if self.name is None else f"<{self.name}: {int(self)}>"

    def __str__(self) -> str:
        return str(int(self)) if self.name is None else self.name


def decode(btf: Btf, type_id: int, data: bytes) -> Value:
    """The value that `data` holds, in the byte order of the BTF.  `data` has exactly the size of the type.

    InputError if the length is wrong or the type has no values (void, functions, incomplete types).
    """
    size = btf.size_of(type_id)
    if len(data) != size:
        raise InputError(f"{type_name(btf, type_id)} takes {size} bytes, but there are {len(data)}")
    return _Decoder(btf, bytes(data)).value(type_id, 0)


class _Decoder:
    def __init__(self, btf: Btf, data: bytes) -> None:
        self.btf = btf
        self.data = data
        # Hostile types can hold the same byte a million times over; honest unions a few times.
        self.budget = Budget(16 * len(data) + 100_000, "the value")
        self._enum_names: dict[int, dict[int, str]] = {}

    def value(self, type_id: int, offset: int, depth: int = 0) -> Value:
        """The value at byte `offset`, which the caller knows to lie inside the data with all its bytes."""
        check_depth(depth, type_id)
        self.budget.spend()
        target = self.btf.resolve(type_id)
        match self.btf[target]:
            case Int() | Enum() | Enum64() | Ptr():
                return self.scalar(target, 8 * offset, 0)
            case Float() as record:
                return self._float(record, offset)
            case Struct() | Union():
                return {field.name: self._field(field, offset, depth) for field in self.btf.fields(target)}
            case Array() as record:
                return self._array(record, offset, depth)
            case Var() as record:
                return self.value(record.type, offset, depth + 1)
            case DataSec() as record:
                return self._section(record, depth)
            case record:
                raise InternalError(f"{record.kind.name} has no values, and should have had no size")

    def _field(self, field: Field, base: int, depth: int) -> Value:
        if field.bit_size:
            self.budget.spend()
            return self.scalar(self.btf.resolve(field.type), 8 * base + field.bit_offset, field.bit_size)
        return self.value(field.type, base + field.offset, depth + 1)

    def scalar(self, target: int, bit_offset: int, bits: int) -> int:
        """An integer, enumeration or pointer; `bits` is 0 for all bits of the type."""
        record = self.btf[target]
        if isinstance(record, Ptr):
            return get_bits(self.data, bit_offset, 8 * self.btf.pointer_size, self.btf.byteorder)
        assert isinstance(record, Int | Enum | Enum64)
        if not bits:
            bit_offset, bits = integer_extent(record, bit_offset)
        number = get_bits(self.data, bit_offset, bits, self.btf.byteorder)
        if record.signed and bits and number >> (bits - 1):
            number -= 1 << bits
        if isinstance(record, Int):
            return bool(number) if record.encoding is IntEncoding.BOOL and number in (0, 1) else number
        names = self._enum_names.get(target)
        if names is None:
            names = self._enum_names[target] = {item.value: item.name for item in reversed(record.values)}
        return EnumValue(number, names.get(number))

    def _float(self, record: Float, offset: int) -> Value:
        raw = self.data[offset : offset + record.size]
        if record.size not in FLOAT_CODES:
            return list(raw)
        (number,) = struct.unpack(byte_order_code(self.btf) + FLOAT_CODES[record.size], raw)
        return float(number)

    def _array(self, record: Array, offset: int, depth: int) -> Value:
        element = self.btf[self.btf.resolve(record.element)]
        if isinstance(element, Int) and element.is_char:
            text = c_string(self.data[offset : offset + record.count])
            if text is not None:
                return text
        code = plain_integer_code(element)
        if code:
            return list(struct.unpack_from(f"{byte_order_code(self.btf)}{record.count}{code}", self.data, offset))
        size = self.btf.size_of(record.element)
        self.budget.spend(record.count if size == 0 else 0)
        return [self.value(record.element, offset + size * index, depth + 1) for index in range(record.count)]

    def _section(self, record: DataSec, depth: int) -> Value:
        found: dict[str, Value] = {}
        for name, type_id, offset in section_variables(self.btf, record):
            found[name] = self.value(type_id, offset, depth + 1)
        return found


def c_string(raw: bytes) -> str | None:
    """The text up to the first NUL if there is one and the text is printable UTF-8; otherwise None."""
    end = raw.find(b"\0")
    if end < 0:
        return None
    try:
        text = raw[:end].decode()
    except UnicodeDecodeError:
        return None
    return text if all(char.isprintable() or char in "\t\n\r" for char in text) else None


def integer_extent(record: Int | Enum | Enum64, bit_offset: int) -> tuple[int, int]:
    """Bit offset and width of the bits that count in an integer which begins at `bit_offset`."""
    if isinstance(record, Int):
        return bit_offset + record.offset, record.bits
    return bit_offset, 8 * record.size


def plain_integer_code(record: object) -> str | None:
    """The `struct` code of an integer that has all its bits and is no `_Bool`; None for anything else."""
    if not isinstance(record, Int) or record.bits != 8 * record.size or record.encoding is IntEncoding.BOOL:
        return None
    code = INT_CODES.get(record.size)
    return code.lower() if code and record.signed else code


def section_variables(btf: Btf, record: DataSec) -> list[tuple[str, int, int]]:
    """Name, type and byte offset of each variable; InputError for one that does not lie in the section."""
    found: list[tuple[str, int, int]] = []
    names: set[str] = set()
    for place in record.variables:
        variable = btf[place.type]
        if not isinstance(variable, Var):
            continue  # an extern function in .ksyms
        name = variable.name if variable.name not in names else f"{variable.name}@{place.offset}"
        names.add(name)
        if place.offset + btf.size_of(variable.type) > record.size:
            reason = f"does not lie in {record.name}, which has {record.size} bytes"
            raise InputError(f"variable {name} at byte {place.offset} {reason}")
        found.append((name, variable.type, place.offset))
    return found


def byte_order_code(btf: Btf) -> Literal["<", ">"]:
    return "<" if btf.byteorder == "little" else ">"


def get_bits(data: bytes, bit_offset: int, bits: int, byteorder: Literal["little", "big"]) -> int:
    """The unsigned number in these bits; bits count up in little-endian data, down from the top in big-endian."""
    first, last = bit_offset // 8, (bit_offset + bits + 7) // 8
    chunk = int.from_bytes(data[first:last], byteorder)
    return chunk >> bit_shift(bit_offset, bits, byteorder) & (1 << bits) - 1


def bit_shift(bit_offset: int, bits: int, byteorder: Literal["little", "big"]) -> int:
    """How far up the bits lie in the number that the bytes around them make."""
    below = bit_offset % 8
    return below if byteorder == "little" else -(below + bits) % 8
