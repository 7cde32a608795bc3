"""Plain Python values -> bytes of a BTF type: the way back from `values.decode`, and from what people type.

Besides what `decode` gives, a value may be:
- for integers and pointers, text that Python reads as a number (`"0x10"`); for `_Bool` nothing but 0 and 1, though
  `decode` tells of a byte that is neither;
- for enumerations, the name of a value;
- for arrays, fewer elements than there are: the rest is zero, as in a C initialiser;
- for `char` arrays, text with room for its NUL, or bytes, which need none;
- for any array, struct or union, its bytes, or (`char` arrays apart) their hexadecimal text, where `0x`, spaces
  and colons are allowed: `"02:00:00:00:00:01"`;
- for structs, unions and sections, a dict without some of the fields: they are zero.

Several views of a union may be given, as `decode` does, as long as they agree.
"""

from __future__ import annotations

import math
import re
import reprlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pybpftime.errors import InputError, InternalError
from pybpftime.program.btf.btf import Btf
from pybpftime.program.btf.declarator import type_name
from pybpftime.program.btf.layout import Budget, check_depth
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
from pybpftime.program.btf.values import (
    FLOAT_CODES,
    Value,
    bit_shift,
    byte_order_code,
    integer_extent,
    plain_integer_code,
    section_variables,
)

MAX_SIZE = 1 << 26
"""Longest value in bytes that is made."""


def encode(btf: Btf, type_id: int, value: Value | bytes, path: str = "") -> bytes:
    """The bytes of `value` as the type, in the byte order of the BTF; padding and what is left out are zero.

    InputError names the place: `flow.saddr[3]: 300 does not fit __u8`.  `path` is what the place begins with, and
    the type's name if left out.
    """
    size = btf.size_of(type_id)
    if size > MAX_SIZE:
        raise InputError(f"{type_name(btf, type_id)} takes {size} bytes, more than the limit of {MAX_SIZE}")
    encoder = _Encoder(btf, size)
    encoder.put(_Place(type_id, 0, path or btf[type_id].name or type_name(btf, type_id)), value)
    return bytes(encoder.data)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value goes: its type, the byte it begins at, what messages call it."""

    type: int
    offset: int
    path: str
    depth: int = 0

    def inner(self, type_id: int, offset: int, step: str = "") -> _Place:
        """A place within this one, `offset` bytes on."""
        return _Place(type_id, self.offset + offset, self.path + step, self.depth + 1)


class _Encoder:
    def __init__(self, btf: Btf, size: int) -> None:
        self.btf = btf
        self.data = bytearray(size)
        self.written = bytearray(size)  # bits that some value has set, to notice views of a union that disagree
        self.budget = Budget(16 * size + 100_000, "the value")

    def put(self, place: _Place, value: Any) -> None:
        """Write a value; all bytes of the type lie inside."""
        check_depth(place.depth, place.type)
        self.budget.spend()
        match self.btf[self.btf.resolve(place.type)]:
            case Int() | Enum() | Enum64() as record:
                self._integer(place, record, *integer_extent(record, 8 * place.offset), value)
            case Ptr():
                bits = 8 * self.btf.pointer_size
                number = _in_range(_number(value, place.path), bits, False, "a pointer", place.path)
                self._set(8 * place.offset, bits, number, place.path)
            case Float() as record:
                self._float(place, record, value)
            case Struct() | Union():
                if not self._raw(place, value):
                    self._fields(place, value)
            case Array() as record:
                self._array(place, record, value)
            case Var() as record:
                self.put(place.inner(record.type, 0), value)
            case DataSec() as record:
                if not self._raw(place, value):
                    self._section(place, record, value)
            case record:
                raise InternalError(f"{record.kind.name} has no values, and should have had no size")

    # Scalars

    def _integer(self, place: _Place, record: Int | Enum | Enum64, bit_offset: int, bits: int, value: Any) -> None:
        if isinstance(record, Enum | Enum64):
            number = _enumerator(record, value, place.path)
        else:
            number = _number(value, place.path)
        label = type_name(self.btf, place.type)
        if isinstance(record, Int) and record.encoding is IntEncoding.BOOL and number not in (0, 1):
            raise InputError(f"{place.path}: {_show(number)} is no {label}: it is 0 or 1")
        if bits != 8 * record.size:
            label += f" of {bits} bits"
        self._set(bit_offset, bits, _in_range(number, bits, record.signed, label, place.path), place.path)

    def _float(self, place: _Place, record: Float, value: Any) -> None:
        if record.size not in FLOAT_CODES:
            self._set_bytes(place, _exact_bytes(value, record.size, place.path))
            return
        number = _real(value, place.path)
        try:
            raw = struct.pack(byte_order_code(self.btf) + FLOAT_CODES[record.size], number)
        except OverflowError:
            raise InputError(f"{place.path}: {_show(value)} does not fit {record.name or 'a float'}") from None
        if not math.isnan(number):
            self._set_bytes(place, raw)
            return
        # Which of the NaNs it was does not survive Python, so other views of a union know better.
        where = slice(place.offset, place.offset + record.size)
        if not any(self.written[where]):
            self.data[where] = raw

    # Aggregates

    def _fields(self, place: _Place, value: Any) -> None:
        fields = self.btf.fields(place.type)
        _check_keys(value, [field.name for field in fields], type_name(self.btf, place.type), place.path)
        for field in fields:
            if field.name not in value:
                continue
            inner = place.inner(field.type, field.offset, f".{field.name}")
            if field.bit_size:
                record = self.btf[self.btf.resolve(field.type)]
                assert isinstance(record, Int | Enum | Enum64)
                bit_offset = 8 * place.offset + field.bit_offset
                self._integer(inner, record, bit_offset, field.bit_size, value[field.name])
            else:
                self.put(inner, value[field.name])

    def _section(self, place: _Place, record: DataSec, value: Any) -> None:
        variables = section_variables(self.btf, record)
        _check_keys(value, [name for name, _, _ in variables], record.name, place.path)
        for name, type_id, offset in variables:
            if name in value:
                self.put(place.inner(type_id, offset, f".{name}"), value[name])

    def _array(self, place: _Place, record: Array, value: Any) -> None:
        element = self.btf[self.btf.resolve(record.element)]
        if isinstance(element, Int) and element.is_char and isinstance(value, str | bytes | bytearray):
            self._set_bytes(place, _char_bytes(value, record.count, place.path))
            return
        if self._raw(place, value):
            return
        if not isinstance(value, Sequence):
            raise InputError(f"{place.path}: {_show(value)} is not a list, as {type_name(self.btf, place.type)} needs")
        if len(value) > record.count:
            reason = f"{len(value)} elements are too many for {type_name(self.btf, place.type)}"
            raise InputError(f"{place.path}: {reason}")
        packed = _pack_integers(plain_integer_code(element), byte_order_code(self.btf), value)
        if packed is not None:
            self._set_bytes(place, packed)
            return
        size = self.btf.size_of(record.element)
        for index, item in enumerate(value):
            self.put(place.inner(record.element, size * index, f"[{index}]"), item)

    def _raw(self, place: _Place, value: Any) -> bool:
        """Write a value that is given as its bytes; False if it is not."""
        if not isinstance(value, str | bytes | bytearray):
            return False
        self._set_bytes(place, _exact_bytes(value, self.btf.size_of(place.type), place.path))
        return True

    # Bits

    def _set_bytes(self, place: _Place, raw: bytes) -> None:
        self._set(8 * place.offset, 8 * len(raw), int.from_bytes(raw, self.btf.byteorder), place.path)

    def _set(self, bit_offset: int, bits: int, number: int, path: str) -> None:
        """Write an unsigned number; InputError if another value has set any of the bits differently."""
        order = self.btf.byteorder
        where = slice(bit_offset // 8, (bit_offset + bits + 7) // 8)
        length = where.stop - where.start
        shift = bit_shift(bit_offset, bits, order)
        mask, wanted = (1 << bits) - 1 << shift, number << shift
        present = int.from_bytes(self.data[where], order)
        written = int.from_bytes(self.written[where], order)
        if (present ^ wanted) & mask & written:
            raise InputError(f"{path}: disagrees with another field that shares its bytes; give one of them")
        self.data[where] = (present & ~mask | wanted).to_bytes(length, order)
        self.written[where] = (written | mask).to_bytes(length, order)


def _pack_integers(code: str | None, order: str, value: Sequence[Any]) -> bytes | None:
    """A list of ordinary integers at once; None if it holds anything else, so that the path can say which."""
    if code is None:
        return None
    try:
        return struct.pack(f"{order}{len(value)}{code}", *value)
    except struct.error:
        return None


def _real(value: Any, path: str) -> float:
    if isinstance(value, str | int | float):
        try:
            return float(value)
        except ValueError:
            pass
        except OverflowError:
            raise InputError(f"{path}: {_show(value)} does not fit a float") from None
    raise InputError(f"{path}: {_show(value)} is not a number")


def _number(value: Any, path: str) -> int:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            pass
    raise InputError(f"{path}: {_show(value)} is not an integer")


def _in_range(number: int, bits: int, signed: bool, label: str, path: str) -> int:
    """The number as `bits` unsigned bits."""
    lowest = -(1 << bits - 1) if signed and bits else 0
    if not lowest <= number < lowest + (1 << bits):
        raise InputError(f"{path}: {_show(number)} does not fit {label}")
    return number & (1 << bits) - 1


def _enumerator(record: Enum | Enum64, value: Any, path: str) -> int:
    if isinstance(value, str):
        for item in record.values:
            if item.name == value:
                return item.value
        if not re.match(r"\s*[-+]?[0-9]", value):
            known = ", ".join(item.name for item in record.values[:8]) + (", ..." if len(record.values) > 8 else "")
            raise InputError(f"{path}: {_show(value)} is none of {known}")
    return _number(value, path)


def _check_keys(value: Any, names: list[str], label: str, path: str) -> None:
    if not isinstance(value, Mapping):
        raise InputError(f"{path}: {_show(value)} is not a dict, as {label} needs")
    known = set(names)
    for key in value:
        if key not in known:
            listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
            raise InputError(f"{path}: {label} has no {_show(key)}, it has {listed or 'no fields'}")


def _char_bytes(value: str | bytes | bytearray, count: int, path: str) -> bytes:
    if not isinstance(value, str):
        if len(value) > count:
            raise InputError(f"{path}: {len(value)} bytes are too many for char[{count}]")
        return bytes(value)
    raw = value.encode("utf-8", "surrogatepass")
    if 0 in raw:
        raise InputError(f"{path}: text for char[{count}] cannot contain NUL; give bytes instead")
    if count == 0 and not raw:
        return b""
    if len(raw) >= count:
        raise InputError(f"{path}: {len(raw)} bytes of text and a NUL do not fit char[{count}]; bytes need no NUL")
    return raw + b"\0"


def _exact_bytes(value: Any, size: int, path: str) -> bytes:
    if isinstance(value, str):
        digits = re.sub(r"[\s:]", "", value)
        digits = digits[2:] if digits[:2].lower() == "0x" else digits
        try:
            value = bytes.fromhex(digits)
        except ValueError:
            raise InputError(f"{path}: {_show(value)} is not hexadecimal text") from None
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        try:
            value = bytes(value)
        except (TypeError, ValueError):
            raise InputError(f"{path}: {_show(value)} is not a list of bytes") from None
    if not isinstance(value, bytes | bytearray):
        raise InputError(f"{path}: {_show(value)} is not bytes")
    if len(value) != size:
        raise InputError(f"{path}: {len(value)} bytes were given where there are {size}")
    return bytes(value)


def _show(value: Any) -> str:
    """A value for a message: short, and without turning a million digits into text."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    return str(int(value)) if type(value) is not bool and isinstance(value, int) else _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
