"""What an instruction's meaning is written in: total operations on bit vectors of one width.

Every row of the ISA table computes with an `Algebra` of 32 or 64 bits and never sees what a value is.  The
reference interpreter supplies Python integers (`IntAlgebra`); others supply z3 terms, Python source text or
LLVM values.  Three rules make that possible:

* every operation is total.  Division and modulo by zero, MIN / -1 and shifts at or beyond the width have one
  written value each, the one that RFC 9669 section 4.1 gives the instruction, so rows need no guard;
* choosing between values is `select`, never Python's `if`;
* widths are never mixed: a 32-bit operand enters through `narrow` and leaves through `widen`.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

V = TypeVar("V")  # a bit vector
B = TypeVar("B")  # a truth value


class Algebra(Protocol[V, B]):
    """Operations on bit vectors of `width` bits.  Signed operations read them as two's complement."""

    width: int

    def const(self, value: int) -> V:
        """`value` modulo 2**width."""

    def narrow(self, value: V) -> V:
        """The low `width` bits of a 64-bit vector, as a vector of this width."""

    def widen(self, value: V) -> V:
        """A vector of this width, zero-extended to 64 bits."""

    def add(self, a: V, b: V) -> V: ...
    def sub(self, a: V, b: V) -> V: ...
    def mul(self, a: V, b: V) -> V: ...

    def udiv(self, a: V, b: V) -> V:
        """Unsigned quotient; 0 when b is 0."""

    def umod(self, a: V, b: V) -> V:
        """Unsigned remainder; a when b is 0."""

    def sdiv(self, a: V, b: V) -> V:
        """Signed quotient, truncated toward zero; 0 when b is 0; MIN for MIN / -1."""

    def smod(self, a: V, b: V) -> V:
        """Signed remainder with the sign of a; a when b is 0; 0 for MIN % -1."""

    def bitwise_and(self, a: V, b: V) -> V: ...
    def bitwise_or(self, a: V, b: V) -> V: ...
    def bitwise_xor(self, a: V, b: V) -> V: ...

    def shift_left(self, a: V, amount: V) -> V:
        """Zero when amount >= width."""

    def shift_right(self, a: V, amount: V) -> V:
        """Logical; zero when amount >= width."""

    def shift_right_signed(self, a: V, amount: V) -> V:
        """Arithmetic; all sign bits when amount >= width."""

    def low(self, a: V, bits: int) -> V:
        """The low `bits` of a, the others zero."""

    def sign_extend(self, a: V, bits: int) -> V:
        """The low `bits` of a, extended by their sign to the width."""

    def byte_swap(self, a: V, bits: int) -> V:
        """The low `bits` of a (16, 32 or 64) with their bytes reversed, the others zero."""

    def equal(self, a: V, b: V) -> B: ...
    def not_equal(self, a: V, b: V) -> B: ...
    def less(self, a: V, b: V) -> B:
        """Unsigned a < b."""

    def less_or_equal(self, a: V, b: V) -> B:
        """Unsigned a <= b."""

    def signed_less(self, a: V, b: V) -> B: ...
    def signed_less_or_equal(self, a: V, b: V) -> B: ...

    def select(self, condition: B, a: V, b: V) -> V:
        """a if condition else b.  Both are computed."""


class IntAlgebra:
    """Python integers in [0, 2**width): the algebra of the reference interpreter.

    The only place where masks occur, and the only one that divides: Python's // and % floor, the RFC truncates.
    """

    __slots__ = ("mask", "sign", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.mask = (1 << width) - 1
        self.sign = 1 << (width - 1)

    def const(self, value: int) -> int:
        return value & self.mask

    def narrow(self, value: int) -> int:
        return value & self.mask

    def widen(self, value: int) -> int:
        return value

    def add(self, a: int, b: int) -> int:
        return (a + b) & self.mask

    def sub(self, a: int, b: int) -> int:
        return (a - b) & self.mask

    def mul(self, a: int, b: int) -> int:
        return (a * b) & self.mask

    def udiv(self, a: int, b: int) -> int:
        return a // b if b else 0

    def umod(self, a: int, b: int) -> int:
        return a % b if b else a

    def sdiv(self, a: int, b: int) -> int:
        if not b:
            return 0
        dividend, divisor = (a ^ self.sign) - self.sign, (b ^ self.sign) - self.sign
        quotient = abs(dividend) // abs(divisor)
        return (quotient if (dividend < 0) == (divisor < 0) else -quotient) & self.mask

    def smod(self, a: int, b: int) -> int:
        if not b:
            return a
        dividend, divisor = (a ^ self.sign) - self.sign, (b ^ self.sign) - self.sign
        remainder = abs(dividend) % abs(divisor)
        return (-remainder if dividend < 0 else remainder) & self.mask

    def bitwise_and(self, a: int, b: int) -> int:
        return a & b

    def bitwise_or(self, a: int, b: int) -> int:
        return a | b

    def bitwise_xor(self, a: int, b: int) -> int:
        return a ^ b

    def shift_left(self, a: int, amount: int) -> int:
        return (a << amount) & self.mask if amount < self.width else 0

    def shift_right(self, a: int, amount: int) -> int:
        return a >> amount if amount < self.width else 0

    def shift_right_signed(self, a: int, amount: int) -> int:
        return (((a ^ self.sign) - self.sign) >> min(amount, self.width - 1)) & self.mask

    def low(self, a: int, bits: int) -> int:
        return a & ((1 << bits) - 1)

    def sign_extend(self, a: int, bits: int) -> int:
        sign = 1 << (bits - 1)
        return (((a & (2 * sign - 1)) ^ sign) - sign) & self.mask

    def byte_swap(self, a: int, bits: int) -> int:
        size = bits // 8
        return int.from_bytes((a & ((1 << bits) - 1)).to_bytes(size, "little"), "big")

    def equal(self, a: int, b: int) -> bool:
        return a == b

    def not_equal(self, a: int, b: int) -> bool:
        return a != b

    def less(self, a: int, b: int) -> bool:
        return a < b

    def less_or_equal(self, a: int, b: int) -> bool:
        return a <= b

    def signed_less(self, a: int, b: int) -> bool:
        return a ^ self.sign < b ^ self.sign

    def signed_less_or_equal(self, a: int, b: int) -> bool:
        return a ^ self.sign <= b ^ self.sign

    def select(self, condition: bool, a: int, b: int) -> int:
        return a if condition else b
