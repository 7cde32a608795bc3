"""DWARF expressions: bytes that say where a variable is, evaluated for one frame of a stopped program.

Source: DWARF 5, sections 2.5 (expressions), 2.6 (locations) and 7.7 (encoding).  What LLVM's BPF backend makes is
here and what is near to it; what needs a caller's state (`DW_OP_entry_value`), threads or other entries of the debug
information is *unknown*, as is every malformed expression.  Nothing raises, and nothing runs for ever.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from pybpftime.program.dwarf_operations import Operation, UnknownExpression, decode_expression

FRAME_POINTER = 10
REGISTERS = 11
MAX_STEPS = 10_000
MAX_STACK = 256
MAX_PIECE = 1 << 20
WORD = 8


@dataclass(frozen=True, slots=True)
class MemoryAt:
    """The value lies in memory, from `address` on."""

    address: int


@dataclass(frozen=True, slots=True)
class InRegister:
    """The value is what register `number` holds; a narrow value is its low bytes."""

    number: int


@dataclass(frozen=True, slots=True)
class Constant:
    """The value lies nowhere but is known: `data`, little-endian.  A computed value has eight bytes (or more)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """`size` bytes of a value that is scattered; `location` is None where they were optimised out."""

    location: MemoryAt | InRegister | Constant | None
    size: int


@dataclass(frozen=True, slots=True)
class Pieces:
    """The parts of the value, from its byte 0 on; bytes behind the last one are unknown."""

    parts: tuple[Piece, ...]


Location = MemoryAt | InRegister | Constant | Pieces


@dataclass(frozen=True, slots=True)
class BaseType:
    """What a number on the expression stack is: its bits, and whether the top one is a sign."""

    bits: int
    signed: bool


@dataclass(frozen=True, slots=True)
class UnitTables:
    """What the expressions of a compilation unit refer to by number.

    `base_types` by offset in the unit.  `addresses` is its part of `.debug_addr`, by index.  An address in them is
    the index of an ELF section (a name in `sections`) times 2^32 plus an offset.
    """

    base_types: Mapping[int, BaseType] = field(default_factory=dict)
    addresses: Sequence[int] = ()
    sections: Sequence[str] = ()

    def place_of(self, address: int) -> tuple[str, int] | None:
        """ELF section and byte offset of an address; None if it lies in no section."""
        index, offset = address >> 32, address & 0xFFFF_FFFF
        return (self.sections[index], offset) if 0 < index < len(self.sections) else None


@dataclass(frozen=True, slots=True)
class Context:
    """The frame that an expression is evaluated in.

    `registers` are r0..r10, None where unknown.  `read` gives the bytes at an address, None where there are none.
    `frame_base` is what `DW_OP_fbreg` counts from; `frame_shift` is added to r10 in `DW_OP_breg10` (see
    `pybpftime.debug.frame_base`).  `address_of` gives the run-time address of a byte of an ELF section.
    """

    registers: Sequence[int | None]
    read: Callable[[int, int], bytes | None]
    frame_base: int | None = None
    frame_shift: int = 0
    tables: UnitTables = UnitTables()
    address_of: Callable[[str, int], int | None] | None = None


class _Value(NamedTuple):
    number: int  # negative in a signed type only
    type: BaseType


GENERIC = BaseType(64, signed=False)
"""The type without a name: of an address, wide as one (section 2.5.1)."""


def evaluate(expression: bytes, context: Context) -> Location | None:
    """Where the value is; None if it was optimised out, or if the expression is malformed or unknown here."""
    try:
        return _Machine(context).run(_decode(expression))
    except UnknownExpression:
        return None


def frame_offsets(expression: bytes) -> tuple[int, ...]:
    """The offsets from the frame that an expression has, of `DW_OP_fbreg` and `DW_OP_breg10`; none if malformed."""
    try:
        return tuple(one.operands[0] for one in _decode(expression) if one.name in ("fbreg", "breg10"))
    except UnknownExpression:
        return ()


def frame_offset(expression: bytes) -> int | None:
    """The offset from the frame at which the whole variable lies, if the expression says just that."""
    try:
        operations = _decode(expression)
    except UnknownExpression:
        return None
    is_alone = len(operations) == 1 and operations[0].name in ("fbreg", "breg10")
    return operations[0].operands[0] if is_alone else None


@lru_cache(maxsize=4096)
def _decode(expression: bytes) -> tuple[Operation, ...]:
    return decode_expression(expression)


class _Machine:
    """One evaluation: a stack, the location that an operation has named, and the pieces so far."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._stack: list[_Value] = []
        self._named: MemoryAt | InRegister | Constant | None = None
        self._pieces: list[Piece] = []

    def run(self, operations: tuple[Operation, ...]) -> Location | None:
        at = steps = 0
        while at < len(operations):
            steps += 1
            if steps > MAX_STEPS or len(self._stack) > MAX_STACK:
                raise UnknownExpression
            operation = operations[at]
            at += 1
            if self._named is not None and operation.name not in ("piece", "bit_piece"):
                raise UnknownExpression  # only a piece may follow what names a location
            if operation.name in ("skip", "bra"):
                if operation.name == "skip" or self._pop().number != 0:
                    at = _index_of(operations, operation.end + operation.operands[0])
            else:
                self._do(operation)
        if self._pieces:
            return Pieces(tuple(self._pieces)) if self._named is None and not self._stack else None
        return self._location()

    def _location(self) -> MemoryAt | InRegister | Constant | None:
        """What the operations since the last piece say; the stack is empty afterwards."""
        named, self._named = self._named, None
        if named is None and self._stack:
            named = MemoryAt(self._bits(self._pop(), 64))
        self._stack.clear()
        return named

    def _do(self, operation: Operation) -> None:
        name, operands = operation.name, operation.operands
        if name in _BINARY:
            right, left = self._pop(), self._pop()
            self._push(_BINARY[name](left, right), left.type)
        elif name in _COMPARE:
            right, left = self._pop(), self._pop()
            self._push(int(_COMPARE[name](_signed(left), _signed(right))))
        elif name in _UNARY:
            value = self._pop()
            self._push(_UNARY[name](value), value.type)
        elif name in _HANDLERS:
            _HANDLERS[name](self, *operands)
        elif name.startswith("lit"):
            self._push(int(name[3:]))
        elif name.startswith("breg"):
            self._bregx(int(name[4:]), operands[0])
        elif name.startswith("reg"):
            self._regx(int(name[3:]))
        elif name.startswith("const"):
            self._push(operands[0])
        else:
            raise UnknownExpression

    # The stack

    def _push(self, number: int, type: BaseType = GENERIC) -> None:
        self._stack.append(_Value(_wrap(number, type), type))

    def _pop(self) -> _Value:
        if not self._stack:
            raise UnknownExpression
        return self._stack.pop()

    @staticmethod
    def _bits(value: _Value, bits: int) -> int:
        return value.number & (1 << bits) - 1

    def _pick(self, depth: int) -> None:
        if depth >= len(self._stack):
            raise UnknownExpression
        self._stack.append(self._stack[-1 - depth])

    def _drop(self) -> None:
        self._pop()

    def _swap(self) -> None:
        one, other = self._pop(), self._pop()
        self._stack += [one, other]

    def _rot(self) -> None:
        first, second, third = self._pop(), self._pop(), self._pop()
        self._stack += [first, third, second]

    def _add(self, amount: int) -> None:
        value = self._pop()
        self._push(value.number + amount, value.type)

    # Registers and memory

    def _register(self, number: int) -> int:
        registers = self._context.registers
        value = registers[number] if 0 <= number < min(REGISTERS, len(registers)) else None
        if value is None:
            raise UnknownExpression
        return value

    def _bregx(self, number: int, offset: int) -> None:
        shift = self._context.frame_shift if number == FRAME_POINTER else 0
        self._push(self._register(number) + offset + shift)

    def _fbreg(self, offset: int) -> None:
        if self._context.frame_base is None:
            raise UnknownExpression
        self._push(self._context.frame_base + offset)

    def _regx(self, number: int) -> None:
        if not 0 <= number < REGISTERS:
            raise UnknownExpression
        self._named = InRegister(number)

    def _deref(self, size: int = WORD, type: BaseType = GENERIC) -> None:
        address = self._bits(self._pop(), 64)
        data = self._context.read(address, size) if 0 < size <= 2 * WORD else None
        if data is None or len(data) != size:
            raise UnknownExpression
        self._push(int.from_bytes(data, "little"), type)

    def _addr(self, address: int) -> None:
        place = self._context.tables.place_of(address)
        found = self._context.address_of(*place) if place and self._context.address_of else None
        if found is None:
            raise UnknownExpression
        self._push(found)

    def _address_at(self, index: int) -> int:
        if index >= len(self._context.tables.addresses):
            raise UnknownExpression
        return self._context.tables.addresses[index]

    # Types

    def _type(self, offset: int) -> BaseType:
        if offset == 0:
            return GENERIC
        found = self._context.tables.base_types.get(offset)
        if found is None or not 0 < found.bits <= 128:
            raise UnknownExpression
        return found

    def _convert(self, offset: int) -> None:
        self._push(self._pop().number, self._type(offset))

    def _const_type(self, offset: int, data: bytes) -> None:
        self._push(int.from_bytes(data, "little"), self._type(offset))

    def _regval_type(self, number: int, offset: int) -> None:
        self._push(self._register(number), self._type(offset))

    # Values and pieces

    def _stack_value(self) -> None:
        value = self._pop()
        size = max(WORD, (value.type.bits + 7) // 8)
        self._named = Constant(self._bits(value, 8 * size).to_bytes(size, "little"))

    def _implicit_value(self, data: bytes) -> None:
        self._named = Constant(data)

    def _piece(self, size: int, skip: int = 0) -> None:
        location = self._location()
        if not 0 < size <= MAX_PIECE:
            raise UnknownExpression
        match location:
            case MemoryAt(address):
                location = MemoryAt(address + skip)
            case Constant(data):
                location = Constant(data[skip : skip + size])
            case InRegister() if skip:
                raise UnknownExpression
        self._pieces.append(Piece(location, size))

    def _bit_piece(self, bits: int, skip: int) -> None:
        if bits % 8 or skip % 8 or skip > 8 * MAX_PIECE:
            raise UnknownExpression
        self._piece(bits // 8, skip // 8)


def _index_of(operations: tuple[Operation, ...], place: int) -> int:
    """The operation that begins at a byte offset; their number for the end."""
    index = bisect_left(operations, place, key=lambda operation: operation.at)
    if (operations[index].at if index < len(operations) else operations[-1].end) != place:
        raise UnknownExpression
    return index


def _wrap(number: int, type: BaseType) -> int:
    number &= (1 << type.bits) - 1
    return number - (1 << type.bits) if type.signed and number >> (type.bits - 1) else number


def _signed(value: _Value) -> int:
    """Numbers of the generic type are compared and divided as signed ones."""
    return _wrap(value.number, BaseType(value.type.bits, signed=True)) if value.type is GENERIC else value.number


def _divide(left: _Value, right: _Value) -> int:
    """Truncated toward zero, as in C."""
    dividend, divisor = _signed(left), _signed(right)
    if divisor == 0:
        raise UnknownExpression
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def _modulo(left: _Value, right: _Value) -> int:
    if right.number == 0:
        raise UnknownExpression
    rest = abs(left.number) % abs(right.number)
    return -rest if left.number < 0 else rest


def _shift_right(value: int, right: _Value) -> int:
    return value >> min(max(right.number, 0), 128)


_BINARY: Mapping[str, Callable[[_Value, _Value], int]] = {
    "and": lambda left, right: left.number & right.number,
    "div": _divide,
    "minus": lambda left, right: left.number - right.number,
    "mod": _modulo,
    "mul": lambda left, right: left.number * right.number,
    "or": lambda left, right: left.number | right.number,
    "plus": lambda left, right: left.number + right.number,
    "shl": lambda left, right: left.number << min(max(right.number, 0), 128),
    "shr": lambda left, right: _shift_right(left.number & (1 << left.type.bits) - 1, right),
    "shra": lambda left, right: _shift_right(_wrap(left.number, BaseType(left.type.bits, signed=True)), right),
    "xor": lambda left, right: left.number ^ right.number,
}
_COMPARE: Mapping[str, Callable[[int, int], bool]] = {
    "eq": lambda left, right: left == right,
    "ge": lambda left, right: left >= right,
    "gt": lambda left, right: left > right,
    "le": lambda left, right: left <= right,
    "lt": lambda left, right: left < right,
    "ne": lambda left, right: left != right,
}
_UNARY: Mapping[str, Callable[[_Value], int]] = {
    "abs": lambda value: abs(_signed(value)),
    "neg": lambda value: -value.number,
    "not": lambda value: ~value.number,
}
_HANDLERS: Mapping[str, Callable[..., None]] = {
    "addr": _Machine._addr,
    "addrx": lambda machine, index: machine._addr(machine._address_at(index)),
    "bit_piece": _Machine._bit_piece,
    "bregx": _Machine._bregx,
    "const_type": _Machine._const_type,
    "constx": lambda machine, index: machine._push(machine._address_at(index)),
    "convert": _Machine._convert,
    "deref": _Machine._deref,
    "deref_size": _Machine._deref,
    "deref_type": lambda machine, size, offset: machine._deref(size, machine._type(offset)),
    "drop": _Machine._drop,
    "dup": lambda machine: machine._pick(0),
    "fbreg": _Machine._fbreg,
    "implicit_value": _Machine._implicit_value,
    "nop": lambda machine: None,
    "over": lambda machine: machine._pick(1),
    "pick": _Machine._pick,
    "piece": _Machine._piece,
    "plus_uconst": lambda machine, amount: machine._add(amount),
    "regval_type": _Machine._regval_type,
    "regx": _Machine._regx,
    "reinterpret": _Machine._convert,
    "rot": _Machine._rot,
    "stack_value": _Machine._stack_value,
    "swap": _Machine._swap,
}
