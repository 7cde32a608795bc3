"""TypedValue: a value of a C type at a place."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pybpftime.debug.values.initialise import bit_field_number, initialise
from pybpftime.debug.values.places import Bits, Constant, Memory, Moving, Place, Target, bit_field
from pybpftime.debug.values.types import CType, ScalarKind
from pybpftime.errors import InputError
from pybpftime.program.btf import Array, Btf, DataSec, Field, Fwd, Ptr, Struct, Union, Value, Var, decode, type_name
from pybpftime.program.btf.values import FLOAT_CODES, byte_order_code, section_variables
from pybpftime.runtime.names import no_such


@dataclass(frozen=True, slots=True)
class Child:
    """A part of a value, or what it points to.

    `name` is what a tree shows: `ttl`, `[3]`, `*p`; of an anonymous member its type, `union {...}`.
    """

    name: str
    value: TypedValue
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A value of type `type_id` of `types`, at a place of a target; nothing is read before it is asked for.

    `expression` is what a user types to get at it, "" if there is no such text.  It is a primary, postfix or prefix
    expression of C: whoever makes a value from anything else puts parentheses around it.
    """

    types: Btf
    type_id: int
    place: Place
    target: Target
    expression: str = ""

    @property
    def type(self) -> CType:
        """The type; of a variable, its type."""
        record = self.types[self.type_id]
        return CType(self.types, record.type if isinstance(record, Var) else self.type_id)

    @property
    def type_text(self) -> str:
        """The type as in a cast: `struct iphdr *`; of a bit field with its width: `unsigned int : 4`."""
        text = type_name(self.types, self.type.id)
        return f"{text} : {self.place.bit_size}" if isinstance(self.place, Bits) else text

    @property
    def size(self) -> int:
        """Bytes; InputError for incomplete types."""
        return self.type.size

    @property
    def address(self) -> int | None:
        """Where it lies in memory; None if it does not, or if that cannot be told."""
        try:
            return self.place.address()
        except InputError:
            return None

    # Reading

    def read(self) -> bytes:
        """All its bytes, a bit field widened to its type; InputError says why not: `4 bytes at 0x10 cannot be read`."""
        return self.place.read(self.target, self.size)

    def snapshot(self) -> bytes | None:
        """Its bytes to compare with later (`changed_since`); None if they cannot be had."""
        try:
            return self.read()
        except InputError:
            return None

    def changed_since(self, snapshot: bytes | None) -> bool:
        """True if it is not what it was; to become readable or unreadable is a change."""
        return self.snapshot() != snapshot

    def value(self) -> Value:
        """As a plain Python value: see `btf.decode`.  InputError if it cannot be read or its type has no values."""
        return decode(self.types, self.type_id, self.read())

    def number(self) -> int | float:
        """An integer, enumeration, pointer or float as a number; InputError for anything else."""
        scalar = self.type.scalar()
        if scalar is None:
            raise InputError(f"{self.expression or 'the value'} is of type {self.type_text} and no number")
        data = self.read()
        if scalar.kind is ScalarKind.FLOAT:
            (real,) = struct.unpack(byte_order_code(self.types) + FLOAT_CODES[scalar.bits // 8], data)
            return float(real)
        return int.from_bytes(data, self.types.byteorder, signed=scalar.signed)

    def text(self, *, limit: int = 64) -> str:
        """One line as a debugger shows it; of arrays the first `limit` elements.  Never raises for what it finds.

        What cannot be read says so in angle brackets: `<optimised out>`.
        """
        from pybpftime.debug.values.text import value_text

        return value_text(self, limit)

    # Writing

    def assign(self, value: Any) -> None:
        """Set it from a Python value, another TypedValue, or a list as in C's braces: see `initialise`.

        InputError if the value does not fit the type, or if the place cannot be changed; then nothing is changed.
        """
        path = self.expression or self.type_text
        try:
            place = self.place.locate() if isinstance(self.place, Moving) else self.place
            if isinstance(place, Bits):
                number = bit_field_number(self.type, place.bit_size, value, path)
                place.write(self.target, number.to_bytes(self.size, self.types.byteorder))
            else:
                place.write(self.target, initialise(self.type, value, path))
        except InputError as error:
            if error.reason.startswith(path):
                raise
            raise InputError(f"{path}: {error.reason}") from None

    # Parts

    @property
    def child_count(self) -> int:
        """How many children there are; for arrays without looking at any."""
        match self.type.record:
            case Array() as record:
                return record.count
            case Struct() | Union() | DataSec():
                return len(list(self._members()))
            case Ptr():
                pointee = self._pointee()
                if pointee is None:
                    return 0
                return pointee.child_count if pointee.type.is_aggregate else 1
        return 0

    def children(self, start: int = 0, count: int | None = None) -> tuple[Child, ...]:
        """Members of a struct, elements of an array, what a pointer points to; `count` of them from `start` on.

        A pointer to a struct has the members as its children, any other pointer one; NULL, `void *` and pointers
        to functions and incomplete types have none.  Anonymous members are children of their own, and theirs are
        reached with the expression that C has for them.
        """
        record = self.type.record
        if isinstance(record, Array):
            stop = record.count if count is None else min(record.count, start + count)
            return tuple(Child(f"[{index}]", self.element(index)) for index in range(max(start, 0), stop))
        if isinstance(record, Ptr):
            pointee = self._pointee()
            if pointee is None:
                return ()
            found = list(pointee._members()) if pointee.type.is_aggregate else [Child(pointee.expression, pointee)]
        elif isinstance(record, Struct | Union | DataSec):
            found = list(self._members())
        else:
            return ()
        return tuple(found[start : None if count is None else start + count])

    def child(self, name: str) -> TypedValue:
        """A member by name, also of anonymous members; through a pointer as `->`.  InputError if there is none."""
        owner = self
        if isinstance(self.type.record, Ptr):
            owner = self.dereference()
        if not owner.type.is_aggregate:
            raise InputError(f"{self.expression or 'the value'} is of type {self.type_text} and has no members")
        fields = owner.types.fields(owner.type.id)
        for field in fields:
            if field.name == name:
                return owner._member(field)
        raise no_such(f"member of {owner.type_text}", name, [field.name for field in fields])

    def element(self, index: int) -> TypedValue:
        """An element of an array, or counted from where a pointer points; InputError if it is neither.

        In memory there is no check of the bounds, as in C.
        """
        path = f"{self._operand()}[{index}]" if self.expression else ""
        pointee = self.type.pointee
        if pointee is not None:
            return self.dereference()._moved(index * pointee.size, path)
        element = self.type.element
        if element is None:
            raise InputError(f"{self.expression or 'the value'} is of type {self.type_text} and has no elements")
        size = element.size
        return TypedValue(self.types, element.id, self.place.part(index * size, size), self.target, path)

    def dereference(self) -> TypedValue:
        """What a pointer points to; InputError if it is no pointer or cannot be read."""
        pointee = self.type.pointee
        if pointee is None:
            raise InputError(f"{self.expression or 'the value'} is of type {self.type_text} and no pointer")
        place = Memory(int(self.number()))
        return TypedValue(self.types, pointee.id, place, self.target, f"*{self.expression}" if self.expression else "")

    def at(self, place: Place) -> TypedValue:
        """The same at another place."""
        return replace(self, place=place)

    def _moved(self, offset: int, expression: str) -> TypedValue:
        return replace(self, place=self.place.part(offset, 0), expression=expression)

    def _pointee(self) -> TypedValue | None:
        """What is behind a pointer that has children."""
        try:
            found = self.dereference()
            if found.address == 0 or isinstance(found.type.record, Fwd):
                return None
            found.type.size  # noqa: B018  # void and functions have none
        except InputError:
            return None
        return found

    def _operand(self) -> str:
        """The expression as what stands before `.`, `->` and `[`."""
        return f"({self.expression})" if self.expression[:1] in ("*", "&", "-", "!", "~", "+") else self.expression

    def _members(self) -> Iterator[Child]:
        record = self.type.record
        if isinstance(record, DataSec):
            for name, type_id, offset in section_variables(self.types, record):
                place = self.place.part(offset, self.types.size_of(type_id))
                yield Child(name, TypedValue(self.types, type_id, place, self.target, name.partition("@")[0]))
            return
        for field in self.types.placed_members(self.types.resolve(self.type.id)):
            if field.name:
                yield Child(field.name, self._member(field))
            elif not field.bit_size:
                place = self.place.part(field.offset, self.types.size_of(field.type))
                value = TypedValue(self.types, field.type, place, self.target, self.expression)
                yield Child(type_name(self.types, field.type), value, anonymous=True)

    def _member(self, field: Field) -> TypedValue:
        path = ""
        if self.expression.startswith("*"):
            pointer = self.expression[1:]
            path = f"({pointer})->{field.name}" if pointer[:1] in ("*", "&") else f"{pointer}->{field.name}"
        elif self.expression:
            path = f"{self._operand()}.{field.name}"
        if field.bit_size:
            scalar = CType(self.types, field.type).scalar()
            signed = scalar is not None and scalar.signed
            place: Place = bit_field(self.place, field.bit_offset, field.bit_size, signed=signed)
        else:
            place = self.place.part(field.offset, self.types.size_of(field.type))
        return TypedValue(self.types, field.type, place, self.target, path)


def constant_value(kind: CType, data: bytes, target: Target, expression: str = "") -> TypedValue:
    """A value that lies nowhere: the result of an expression."""
    return TypedValue(kind.types, kind.id, Constant(data), target, expression)
