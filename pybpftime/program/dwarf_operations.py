"""The operations of DWARF expressions and how their operands are written (DWARF 5, section 7.7.1).

Names are those of the standard without `DW_OP_`.  An operation that is not in the table makes a whole expression
unknown, because nobody knows how long its operands are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MAX_EXPRESSION = 1 << 14
"""The longest expression that is read, in bytes; compilers make a few dozen."""
MAX_NUMBER_BYTES = 10  # of a LEB128 number that fits 64 bits


class UnknownExpression(Exception):
    """Malformed, or with an operation that cannot be carried out here."""


class Operation(NamedTuple):
    """`at` and `end` are its byte offsets; operands are int or bytes."""

    name: str
    operands: tuple[Any, ...]
    at: int
    end: int


# u/s: unsigned/signed with so many bytes; U/S: LEB128; B: bytes with a LEB128 length in front; b: with a length of
# one byte in front.
_PLAIN = {
    0x03: ("addr", "u8"), 0x06: ("deref", ""),
    0x08: ("const1u", "u1"), 0x09: ("const1s", "s1"), 0x0A: ("const2u", "u2"), 0x0B: ("const2s", "s2"),
    0x0C: ("const4u", "u4"), 0x0D: ("const4s", "s4"), 0x0E: ("const8u", "u8"), 0x0F: ("const8s", "s8"),
    0x10: ("constu", "U"), 0x11: ("consts", "S"), 0x12: ("dup", ""), 0x13: ("drop", ""), 0x14: ("over", ""),
    0x15: ("pick", "u1"), 0x16: ("swap", ""), 0x17: ("rot", ""), 0x19: ("abs", ""), 0x1A: ("and", ""),
    0x1B: ("div", ""), 0x1C: ("minus", ""), 0x1D: ("mod", ""), 0x1E: ("mul", ""), 0x1F: ("neg", ""),
    0x20: ("not", ""), 0x21: ("or", ""), 0x22: ("plus", ""), 0x23: ("plus_uconst", "U"), 0x24: ("shl", ""),
    0x25: ("shr", ""), 0x26: ("shra", ""), 0x27: ("xor", ""), 0x28: ("bra", "s2"), 0x29: ("eq", ""),
    0x2A: ("ge", ""), 0x2B: ("gt", ""), 0x2C: ("le", ""), 0x2D: ("lt", ""), 0x2E: ("ne", ""), 0x2F: ("skip", "s2"),
    0x90: ("regx", "U"), 0x91: ("fbreg", "S"), 0x92: ("bregx", "US"), 0x93: ("piece", "U"),
    0x94: ("deref_size", "u1"), 0x96: ("nop", ""), 0x9C: ("call_frame_cfa", ""), 0x9D: ("bit_piece", "UU"),
    0x9E: ("implicit_value", "B"), 0x9F: ("stack_value", ""), 0xA0: ("implicit_pointer", "u4S"),
    0xA1: ("addrx", "U"), 0xA2: ("constx", "U"), 0xA3: ("entry_value", "B"), 0xA4: ("const_type", "Ub"),
    0xA5: ("regval_type", "UU"), 0xA6: ("deref_type", "u1U"), 0xA8: ("convert", "U"), 0xA9: ("reinterpret", "U"),
    # What compilers wrote before DWARF 5 had numbers for them.
    0xF3: ("entry_value", "B"), 0xF4: ("const_type", "Ub"), 0xF5: ("regval_type", "UU"), 0xF6: ("deref_type", "u1U"),
    0xF7: ("convert", "U"), 0xF9: ("reinterpret", "U"), 0xFB: ("addrx", "U"), 0xFC: ("constx", "U"),
}  # fmt: skip
OPERATIONS: Mapping[int, tuple[str, str]] = (
    _PLAIN
    | {0x30 + number: (f"lit{number}", "") for number in range(32)}
    | {0x50 + number: (f"reg{number}", "") for number in range(32)}
    | {0x70 + number: (f"breg{number}", "S") for number in range(32)}
)
"""Name and operands by opcode."""


def decode_expression(expression: bytes) -> tuple[Operation, ...]:
    """The operations in order.  UnknownExpression if it is cut off or has an operation that is not in the table."""
    if len(expression) > MAX_EXPRESSION:
        raise UnknownExpression
    return tuple(_operations(expression))


def _operations(expression: bytes) -> Iterator[Operation]:
    cursor = _Cursor(expression)
    while cursor.at < len(expression):
        start = cursor.at
        name, shape = OPERATIONS.get(cursor.number(1), ("", ""))
        if not name:
            raise UnknownExpression
        yield Operation(name, tuple(cursor.operands(shape)), start, cursor.at)


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def operands(self, shape: str) -> Iterator[Any]:
        kinds = iter(shape)
        for kind in kinds:
            match kind:
                case "u" | "s":
                    yield self.number(int(next(kinds)), signed=kind == "s")
                case "U" | "S":
                    yield self._leb128(signed=kind == "S")
                case "B" | "b":
                    yield self._take(self._leb128() if kind == "B" else self.number(1))

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self._take(size), "little", signed=signed)

    def _take(self, size: int) -> bytes:
        self.at += size
        if self.at > len(self._data):
            raise UnknownExpression
        return self._data[self.at - size : self.at]

    def _leb128(self, *, signed: bool = False) -> int:
        value = 0
        for count in range(MAX_NUMBER_BYTES):
            byte = self.number(1)
            value |= (byte & 0x7F) << 7 * count
            if byte < 0x80:
                return value - (1 << 7 * count + 7) if signed and byte & 0x40 else value
        raise UnknownExpression
