"""What a compiled sub-expression is: a number that is computed, a thing that lies somewhere, bytes in a row, a map.

Types are known when an expression is compiled; what is left are closures without arguments.  Errors that only an
evaluation can find begin with the text of the sub-expression.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from pybpftime.debug.expression.nodes import Node
from pybpftime.debug.expression.scope import MapScope
from pybpftime.debug.expression.unparse import unparse
from pybpftime.debug.values import Bits, CType, Memory, Place, Register, Scalar, ScalarKind, Target, TypedValue
from pybpftime.debug.values.places import bit_field, no_value, unreadable
from pybpftime.errors import InputError, InternalError
from pybpftime.isa.encoding import MASK64
from pybpftime.program.btf import Array, Field, FuncProto, Ptr
from pybpftime.program.btf.values import FLOAT_CODES, bit_shift, byte_order_code

Number: TypeAlias = Callable[[], "int | float"]
Address: TypeAlias = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Computed:
    """A scalar that lies nowhere.  `get` computes it anew; `constant` is its value if that never changes."""

    node: Node
    type: CType
    get: Number
    constant: int | float | None = None

    @property
    def scalar(self) -> Scalar:
        """The arithmetic of its type."""
        found = self.type.scalar()
        if found is None:
            raise InternalError(f"{self.type.text} is no scalar")
        return found


@dataclass(frozen=True, slots=True)
class BitRange:
    """Where a bit field lies in the `size` bytes around it."""

    size: int
    bit_offset: int
    bit_size: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Located:
    """An lvalue of C, or an aggregate.  `find` gives its place.

    `address` is the faster way to one in memory: of the thing, or of the bytes around a bit field; None if it may
    lie elsewhere.  A constant place is in `fixed`.
    """

    node: Node
    type: CType
    find: Callable[[], Place]
    address: Address | None = None
    bits: BitRange | None = None
    fixed: Place | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Elements in a row, whose number only an evaluation knows: the packet, a slice.  `span` gives place and count."""

    node: Node
    element: CType
    span: Callable[[], tuple[Place, int]]


@dataclass(frozen=True, slots=True)
class MapOperand:
    """A map by its name."""

    node: Node
    name: str
    map: MapScope


Operand: TypeAlias = Computed | Located | Run | MapOperand


def failure(node: Node, reason: str) -> InputError:
    """The error of a sub-expression that has no value."""
    text = unparse(node)
    return InputError(f"{text if len(text) <= 80 else text[:77] + '...'}: {reason}", column=node.column or None)


def constant(node: Node, kind: CType, number: float) -> Computed:
    """A number that never changes."""
    return Computed(node, kind, lambda: number, number)


def in_memory(node: Node, kind: CType, address: Address) -> Located:
    """What lies at an address."""
    return Located(node, kind, lambda: Memory(address()), address)


def of_value(node: Node, value: TypedValue) -> Located:
    """A value as an operand."""
    place = value.place
    kind = value.type
    if isinstance(place, Memory):
        location = place.location
        return Located(node, kind, lambda: place, lambda: location, fixed=place)
    return Located(node, kind, lambda: place, fixed=place)


def member_of(node: Node, owner: Located, field: Field) -> Located:
    """A member of a struct or union."""
    kind = CType(owner.type.types, field.type)
    offset, bits = field.offset, None
    size = kind.types.size_of(kind.id)
    if field.bit_size:
        scalar = kind.scalar()
        signed = scalar is not None and scalar.signed
        size = (field.bit_offset % 8 + field.bit_size + 7) // 8
        bits = BitRange(size, field.bit_offset % 8, field.bit_size, signed)
    if owner.address is not None:
        base = owner.address
        address = base if offset == 0 else (lambda: base() + offset & MASK64)
        if bits is None:
            return in_memory(node, kind, address)
        extent = bits
        return Located(
            node,
            kind,
            lambda: Bits(Memory(address()), extent.size, extent.bit_offset, extent.bit_size, extent.signed),
            address,
            bits,
        )
    find = owner.find
    if bits is not None:
        signed = bits.signed
        return Located(
            node, kind, lambda: bit_field(find(), field.bit_offset, field.bit_size, signed=signed), bits=bits
        )
    return Located(node, kind, lambda: find().part(offset, size))


def rvalue(target: Target, operand: Operand) -> Computed:
    """The operand as a number; arrays become pointers to their first element.  InputError if it is no number."""
    match operand:
        case Computed():
            return operand
        case Run():
            return Computed(operand.node, operand.element.pointer(), run_address(operand))
        case MapOperand():
            raise failure(operand.node, "it is a map; an element is named with a key in brackets")
    element = operand.type.element
    if element is not None:
        return Computed(operand.node, element.pointer(), address_of(operand))
    if operand.type.scalar() is None:
        raise failure(operand.node, f"it is of type {operand.type.text} and has no number")
    return Computed(operand.node, operand.type, loader(target, operand))


def run_address(operand: Run) -> Address:
    """Where the elements begin."""
    node, span = operand.node, operand.span

    def get() -> int:
        address = span()[0].address()
        if address is None:
            raise failure(node, "it does not lie in memory and has no address")
        return address

    return get


def address_of(operand: Located) -> Address:
    """Where it lies; the closure raises InputError if that is not in memory."""
    node, find = operand.node, operand.find
    if operand.bits is not None or isinstance(operand.fixed, Bits):
        raise failure(node, "it is a bit field and has no address")
    if operand.address is not None:
        return operand.address

    def get() -> int:
        address = find().address()
        if address is None:
            raise failure(node, "it does not lie in memory and has no address")
        return address

    return get


def loader(target: Target, operand: Located) -> Number:
    """Reads a scalar; the fastest way for its kind of place."""
    scalar = operand.type.scalar()
    if scalar is None:
        raise InternalError(f"{operand.type.text} is no scalar")
    if operand.address is not None and scalar.kind is not ScalarKind.FLOAT:
        if operand.bits is not None:
            return _bits_loader(target, operand, operand.address, operand.bits)
        return _memory_loader(target, operand, operand.address, scalar)
    if isinstance(operand.fixed, Register) and operand.fixed.offset == 0 and scalar.kind is not ScalarKind.FLOAT:
        return _register_loader(target, operand.node, operand.fixed.number, scalar)
    return _place_loader(target, operand, scalar)


def _memory_loader(target: Target, operand: Located, address: Address, scalar: Scalar) -> Number:
    node, size, signed, order = operand.node, scalar.bits // 8, scalar.signed, operand.type.types.byteorder
    read, from_bytes = target.read, int.from_bytes
    fixed = operand.fixed

    def lost(location: int) -> InputError:
        return failure(node, unreadable(location, size).reason)

    if isinstance(fixed, Memory):
        location = fixed.location

        def get_fixed() -> int:
            data = read(location, size)
            if data is None:
                raise lost(location)
            return from_bytes(data, order, signed=signed)

        return get_fixed

    def get() -> int:
        location = address()
        data = read(location, size)
        if data is None:
            raise lost(location)
        return from_bytes(data, order, signed=signed)

    return get


def _bits_loader(target: Target, operand: Located, address: Address, bits: BitRange) -> Number:
    node, size, order = operand.node, bits.size, operand.type.types.byteorder
    shift, mask = bit_shift(bits.bit_offset, bits.bit_size, order), (1 << bits.bit_size) - 1
    half = 1 << bits.bit_size - 1 if bits.signed else 0
    read, from_bytes = target.read, int.from_bytes

    def get() -> int:
        location = address()
        data = read(location, size)
        if data is None:
            raise failure(node, unreadable(location, size).reason)
        return ((from_bytes(data, order) >> shift & mask) ^ half) - half

    return get


def _register_loader(target: Target, node: Node, number: int, scalar: Scalar) -> Number:
    register = target.register
    mask, half = (1 << scalar.bits) - 1, 1 << scalar.bits - 1 if scalar.signed else 0

    def get() -> int:
        value = register(number)
        if value is None:
            raise failure(node, no_value(number).reason)
        return ((value & mask) ^ half) - half

    return get


def _place_loader(target: Target, operand: Located, scalar: Scalar) -> Number:
    node, find, size, order = operand.node, operand.find, scalar.bits // 8, operand.type.types.byteorder
    real = scalar.kind is ScalarKind.FLOAT
    unpack = struct.Struct(byte_order_code(operand.type.types) + FLOAT_CODES[size]).unpack if real else None
    signed = scalar.signed

    def get() -> int | float:
        try:
            data = find().read(target, size)
        except InputError as error:
            raise placed(node, error) from None
        if unpack is not None:
            return float(unpack(data)[0])
        return int.from_bytes(data, order, signed=signed)

    return get


def placed(node: Node, error: InputError) -> InputError:
    """The error of a place, with the sub-expression; errors of inner sub-expressions say theirs already."""
    return error if error.column is not None else failure(node, error.reason)


def read_bytes(target: Target, operand: Located) -> Callable[[], bytes]:
    """Reads all bytes of a thing of any type."""
    node, find, size = operand.node, operand.find, operand.type.size

    def get() -> bytes:
        try:
            return find().read(target, size)
        except InputError as error:
            raise placed(node, error) from None

    return get


def stride(node: Node, pointer: CType) -> int:
    """Bytes by which a pointer moves for 1: the size of what it points to; 1 for void and functions, as in GNU C."""
    record = pointer.record
    if not isinstance(record, Ptr):
        raise InternalError(f"{pointer.text} is no pointer")
    pointee = CType(pointer.types, record.type)
    if pointee.is_void or isinstance(pointee.record, FuncProto):
        return 1
    try:
        return pointee.size
    except InputError as error:
        raise failure(node, error.reason) from None


def count_of(kind: CType) -> int:
    """Number of elements of an array."""
    record = kind.record
    return record.count if isinstance(record, Array) else 0
