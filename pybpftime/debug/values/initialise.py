"""Python values, or values of other expressions, -> bytes of a C type, as C initialises an object of it.

Stricter than C where C is silent: a number that does not fit is refused.  A negative number fits an unsigned type
if it fits the signed type of the same width, since C programs write -1 for "all ones".  Other than `btf.encode`,
structs may be given by position and values may come from a target.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pybpftime.debug.values.types import CType, Scalar, ScalarKind
from pybpftime.errors import InputError
from pybpftime.program.btf import Array, Enum, Enum64, Field, Struct, Union
from pybpftime.program.btf.values import FLOAT_CODES, bit_shift, byte_order_code
from pybpftime.runtime.names import no_such

MAX_SIZE = 1 << 20
"""Longest value in bytes that is made."""
MAX_DEPTH = 32


class HasBytes(Protocol):
    """A value of some C type, as `TypedValue` is one."""

    @property
    def type(self) -> CType: ...

    def read(self) -> bytes:
        """All its bytes; InputError if they cannot be had."""

    def number(self) -> int | float:
        """A scalar as a number; InputError if it is none."""


@dataclass(frozen=True, slots=True)
class Designated:
    """An item of a brace list that says where it goes: a member's name or an array index."""

    where: str | int
    value: Any


def initialise(target: CType, value: Any, path: str = "") -> bytes:
    """The bytes of `value` as the type, in the type's byte order; what is left out is zero.

    `value` is a number, the name of an enumerator, text for a `char` array, bytes for any array or struct of that
    size, a value of the same type, a sequence (by position; items may be `Designated`), or a mapping by member.
    InputError names the place after `path`: `flow.saddr[3]: 300 does not fit __u8`.
    """
    size = target.size
    if size > MAX_SIZE:
        raise InputError(f"{target.text} takes {size} bytes, more than the limit of {MAX_SIZE}")
    writer = _Writer(bytearray(size))
    writer.put(target, 0, value, path or target.text, 0)
    return bytes(writer.data)


def check_range(scalar: Scalar, number: int, path: str, text: str) -> int:
    """The number as unsigned bits of the type; InputError if it does not fit."""
    lowest = min(scalar.lowest, -(1 << scalar.bits - 1)) if scalar.kind is not ScalarKind.BOOL else 0
    if not lowest <= number <= scalar.highest:
        raise InputError(f"{path}: {shown(number)} does not fit {text}")
    return number & (1 << scalar.bits) - 1


def shown(number: int) -> str:
    """A number for a message, without a million digits."""
    return str(number) if number.bit_length() <= 256 else f"a number of {number.bit_length()} bits"


class _Writer:
    def __init__(self, data: bytearray) -> None:
        self.data = data

    def put(self, target: CType, offset: int, value: Any, path: str, depth: int) -> None:
        """Write a value whose bytes all lie inside."""
        if depth > MAX_DEPTH:
            raise InputError(f"{path}: nested more than {MAX_DEPTH} deep")
        scalar = target.scalar()
        if scalar is not None:
            raw = scalar_bytes(target, scalar, value, path)
        elif self._is_list(target, value):
            self._put_items(target, offset, value, path, depth)
            return
        else:
            raw = _aggregate_bytes(target, value, path)
        self.data[offset : offset + len(raw)] = raw

    @staticmethod
    def _is_list(target: CType, value: Any) -> bool:
        if isinstance(value, str | bytes | bytearray):
            return False
        return isinstance(value, Mapping | Sequence) and isinstance(target.record, Struct | Union | Array)

    def _put_items(self, target: CType, offset: int, value: Any, path: str, depth: int) -> None:
        items = [Designated(key, item) for key, item in value.items()] if isinstance(value, Mapping) else list(value)
        if isinstance(target.record, Array):
            self._put_elements(target, target.record, offset, items, path, depth)
        else:
            self._put_members(target, offset, items, path, depth)

    def _put_elements(self, target: CType, record: Array, offset: int, items: list[Any], path: str, depth: int) -> None:
        element = CType(target.types, record.element)
        size, index = element.size, 0
        for item in items:
            value = item
            if isinstance(item, Designated):
                if not isinstance(item.where, int):
                    raise InputError(f"{path}: {target.text} has no member {item.where}")
                index, value = item.where, item.value
            if not 0 <= index < record.count:
                raise InputError(f"{path}: element {index} lies outside of {target.text}")
            self.put(element, offset + size * index, value, f"{path}[{index}]", depth + 1)
            index += 1

    def _put_members(self, target: CType, offset: int, items: list[Any], path: str, depth: int) -> None:
        members = [field for field in target.types.placed_members(target.types.resolve(target.id)) if _is_data(field)]
        if isinstance(target.record, Union):
            members = members[:1]  # by position a union is its first member
        positions: Iterator[Field] = iter(members)
        for item in items:
            if isinstance(item, Designated):
                field, value = _member(target, item.where, path), item.value
                positions = _after(members, field)
            else:
                found = next(positions, None)
                if found is None:
                    raise InputError(f"{path}: {len(items)} items are too many for {target.text}")
                field, value = found, item
            inner = f"{path}.{field.name}" if field.name else path
            member = CType(target.types, field.type)
            if field.bit_size:
                self._put_bits(member, 8 * offset + field.bit_offset, field.bit_size, value, inner)
            else:
                self.put(member, offset + field.offset, value, inner, depth + 1)

    def _put_bits(self, member: CType, bit_offset: int, bit_size: int, value: Any, path: str) -> None:
        number = bit_field_number(member, bit_size, value, path)
        order = member.types.byteorder
        where = slice(bit_offset // 8, (bit_offset + bit_size + 7) // 8)
        shift = bit_shift(bit_offset, bit_size, order)
        old = int.from_bytes(self.data[where], order)
        new = old & ~((1 << bit_size) - 1 << shift) | number << shift
        self.data[where] = new.to_bytes(where.stop - where.start, order)


def scalar_bytes(target: CType, scalar: Scalar, value: Any, path: str) -> bytes:
    """The bytes of a scalar; InputError if the value is none or does not fit."""
    number = _number(target, value, path)
    order = target.types.byteorder
    if scalar.kind is ScalarKind.FLOAT:
        try:
            return struct.pack(byte_order_code(target.types) + FLOAT_CODES[scalar.bits // 8], number)
        except OverflowError:
            raise InputError(f"{path}: the number does not fit {target.text}") from None
    if isinstance(number, float):
        raise InputError(f"{path}: {number!r} is not an integer, as {target.text} needs")
    return check_range(scalar, number, path, target.text).to_bytes(scalar.bits // 8, order)


def bit_field_number(member: CType, bit_size: int, value: Any, path: str) -> int:
    """The unsigned bits of a value for a bit field; InputError if it does not fit."""
    scalar = member.scalar()
    number = _number(member, value, path)
    if scalar is None or isinstance(number, float):
        raise InputError(f"{path}: {value!r:.40} is not an integer")
    width = f"{member.text} of {bit_size} bits"
    return check_range(Scalar(scalar.kind, bit_size, scalar.signed), number, path, width)


def _number(target: CType, value: Any, path: str) -> int | float:
    if isinstance(value, int | float):
        return value if isinstance(value, float) else int(value)
    if isinstance(value, str):
        return _named_number(target, value, path)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray) and len(value) == 1:
        return _number(target, value[0], path)  # C allows braces around a scalar
    if hasattr(value, "number"):
        typed: HasBytes = value
        return typed.number()
    raise InputError(f"{path}: {target.text} needs a number")


def _named_number(target: CType, text: str, path: str) -> int:
    record = target.record
    if isinstance(record, Enum | Enum64):
        for item in record.values:
            if item.name == text:
                return item.value
    try:
        return int(text, 0)
    except ValueError:
        if isinstance(record, Enum | Enum64):
            raise no_such("enumerator", text, [item.name for item in record.values]) from None
        raise InputError(f"{path}: {text[:60]!r} is not a number") from None


def _aggregate_bytes(target: CType, value: Any, path: str) -> bytes:
    """The bytes of a whole array or struct."""
    size = target.size
    if isinstance(value, str):
        return _text_bytes(target, value.encode("utf-8", "surrogateescape"), path)
    if hasattr(value, "read"):
        source: HasBytes = value
        value = source.read()
    if not isinstance(value, bytes | bytearray):
        raise InputError(f"{path}: {target.text} needs a list in braces or a value of its type")
    if len(value) != size:
        raise InputError(f"{path}: {len(value)} bytes were given where {target.text} has {size}")
    return bytes(value)


def _text_bytes(target: CType, raw: bytes, path: str) -> bytes:
    """Text for an array of bytes: with its NUL if there is room, as C does it."""
    element, size = target.element, target.size
    if element is None or element.size != 1:
        raise InputError(f"{path}: {target.text} cannot be set from text")
    if len(raw) > size:
        raise InputError(f"{path}: {len(raw)} bytes of text do not fit {target.text}")
    return raw.ljust(size, b"\0")


def _member(target: CType, name: str | int, path: str) -> Field:
    fields = target.types.fields(target.id)
    for field in fields:
        if field.name == name:
            return field
    if isinstance(name, int):
        raise InputError(f"{path}: {target.text} is no array and has no element {name}")
    raise no_such(f"member of {target.text}", name, [field.name for field in fields])


def _after(members: list[Field], field: Field) -> Iterator[Field]:
    """Where a list goes on by position behind a designated member."""
    return iter([other for other in members if other.bit_offset > field.bit_offset])


def _is_data(field: Field) -> bool:
    """C leaves unnamed bit fields out of initialisation."""
    return bool(field.name) or not field.bit_size
