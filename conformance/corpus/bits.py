"""The operations of RFC 9669 a second time, on purpose by other means than `pybpftime.isa`.

Integers wrap as C's do (ctypes), quotients are exact fractions that are rounded, and logic, shifts, extensions and
comparisons work on strings of binary digits, the most significant first.  Every operand and result is an unsigned
number of `width` bits.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping
from fractions import Fraction

_UNSIGNED = {8: ctypes.c_uint8, 16: ctypes.c_uint16, 32: ctypes.c_uint32, 64: ctypes.c_uint64}
_SIGNED = {8: ctypes.c_int8, 16: ctypes.c_int16, 32: ctypes.c_int32, 64: ctypes.c_int64}

Binary = Callable[[int, int, int], int]
Condition = Callable[[int, int, int], bool]


def unsigned(value: int, width: int) -> int:
    """`value` as C converts it to an unsigned integer of `width` bits."""
    return _UNSIGNED[width](value).value


def signed(value: int, width: int) -> int:
    """`value` as C converts it to a signed integer of `width` bits."""
    return _SIGNED[width](value).value


def digits(value: int, width: int) -> str:
    """The binary digits of `value`, `width` of them."""
    return format(unsigned(value, width), f"0{width}b")


def number(text: str) -> int:
    """The number that binary digits write."""
    return int(text, 2)


def _quotient(dst: int, src: int, rounded: Callable[[Fraction], int]) -> int:
    return rounded(Fraction(dst, src)) if src else 0


def add(dst: int, src: int, width: int) -> int:
    """RFC 9669 section 4.1: dst += src; "underflow and overflow are allowed ... the value will wrap"."""
    return unsigned(dst + src, width)


def sub(dst: int, src: int, width: int) -> int:
    """dst -= src: dst plus the two's complement of src."""
    inverted = number(digits(src, width).translate(str.maketrans("01", "10")))
    return unsigned(dst + inverted + 1, width)


def mul(dst: int, src: int, width: int) -> int:
    """dst *= src: a shifted copy of dst for every digit of src that is 1."""
    rows = [dst * 2**place for place, digit in enumerate(reversed(digits(src, width))) if digit == "1"]
    return unsigned(sum(rows), width)


def div(dst: int, src: int, width: int) -> int:
    """dst = (src != 0) ? (dst / src) : 0."""
    return unsigned(_quotient(dst, src, math.floor), width)


def sdiv(dst: int, src: int, width: int) -> int:
    """dst = (src == 0) ? 0 : ((src == -1 && dst == LLONG_MIN) ? LLONG_MIN : (dst s/ src)), truncated."""
    return unsigned(_quotient(signed(dst, width), signed(src, width), math.trunc), width)


def mod(dst: int, src: int, width: int) -> int:
    """dst = (src != 0) ? (dst % src) : dst."""
    return unsigned(dst - src * _quotient(dst, src, math.floor), width)


def smod(dst: int, src: int, width: int) -> int:
    """dst = (src == 0) ? dst : (dst s% src), where a % n = a - n * trunc(a / n)."""
    a, n = signed(dst, width), signed(src, width)
    return unsigned(a - n * _quotient(a, n, math.trunc), width)


def _digit_by_digit(table: Mapping[tuple[str, str], str]) -> Binary:
    def operation(dst: int, src: int, width: int) -> int:
        pairs = zip(digits(dst, width), digits(src, width), strict=True)
        return number("".join(table[pair] for pair in pairs))

    return operation


bitwise_or = _digit_by_digit({("0", "0"): "0", ("0", "1"): "1", ("1", "0"): "1", ("1", "1"): "1"})
bitwise_and = _digit_by_digit({("0", "0"): "0", ("0", "1"): "0", ("1", "0"): "0", ("1", "1"): "1"})
bitwise_xor = _digit_by_digit({("0", "0"): "0", ("0", "1"): "1", ("1", "0"): "1", ("1", "1"): "0"})


def _distance(src: int, width: int) -> int:
    """src & 63 or src & 31: the last six or five digits."""
    return number(digits(src, width)[-6 if width == 64 else -5 :])


def lsh(dst: int, src: int, width: int) -> int:
    """dst <<= (src & mask)."""
    distance = _distance(src, width)
    return number((digits(dst, width) + "0" * distance)[-width:])


def rsh(dst: int, src: int, width: int) -> int:
    """dst >>= (src & mask)."""
    return number(("0" * _distance(src, width) + digits(dst, width))[:width])


def arsh(dst: int, src: int, width: int) -> int:
    """dst s>>= (src & mask): copies of the sign come in."""
    text = digits(dst, width)
    return number((text[0] * _distance(src, width) + text)[:width])


def negative(value: int, width: int) -> int:
    """dst = -dst."""
    return unsigned(-value, width)


def extended(value: int, bits: int, width: int) -> int:
    """The low `bits` of `value` as a signed number of `width` bits: MOVSX, MEMSX, and 32-bit immediates."""
    text = digits(value, 64)[-bits:]
    return number(text.rjust(width, text[0]))


def low(value: int, bits: int) -> int:
    """The low `bits` of `value`; htole on a little-endian host (section 4.2)."""
    return number(digits(value, 64)[-bits:])


def swapped(value: int, bits: int) -> int:
    """The low `bits` of `value` in the other byte order; htobe on a little-endian host, and bswap (section 4.2)."""
    return int.from_bytes(low(value, bits).to_bytes(bits // 8, "little"), "big")


BINARY: Mapping[str, Binary] = {
    "add": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "sdiv": sdiv,
    "or": bitwise_or,
    "and": bitwise_and,
    "lsh": lsh,
    "rsh": rsh,
    "mod": mod,
    "smod": smod,
    "xor": bitwise_xor,
    "arsh": arsh,
}
"""RFC 9669 section 4.1 by mnemonic."""


def _compared(holds: Callable[[int, int], bool]) -> Condition:
    return lambda dst, src, width: holds(signed(dst, width), signed(src, width))


def _in_order(holds: Callable[[str, str], bool]) -> Condition:
    """Digits of the same length are ordered as the unsigned numbers are."""
    return lambda dst, src, width: holds(digits(dst, width), digits(src, width))


CONDITIONS: Mapping[str, Condition] = {
    "jeq": _in_order(lambda dst, src: dst == src),
    "jgt": _in_order(lambda dst, src: dst > src),
    "jge": _in_order(lambda dst, src: dst >= src),
    "jset": lambda dst, src, width: "1" in digits(bitwise_and(dst, src, width), width),
    "jne": _in_order(lambda dst, src: dst != src),
    "jsgt": _compared(lambda dst, src: dst > src),
    "jsge": _compared(lambda dst, src: dst >= src),
    "jlt": _in_order(lambda dst, src: dst < src),
    "jle": _in_order(lambda dst, src: dst <= src),
    "jslt": _compared(lambda dst, src: dst < src),
    "jsle": _compared(lambda dst, src: dst <= src),
}
"""RFC 9669 section 4.3 by mnemonic."""
