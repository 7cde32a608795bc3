"""`IntAlgebra` against formulas of another kind: bit strings, Fractions and C's own integers.

Exhaustive at width 4, all pairs of edge values and random values at 8, 32 and 64.
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.edges import edges

from pybpftime.isa import IntAlgebra

WIDTHS = (8, 32, 64)
Oracle = Callable[[int, int, int], int | bool]


def bits(value: int, width: int) -> str:
    return f"{value:0{width}b}"


def signed(value: int, width: int) -> int:
    """Two's complement: the first digit weighs -2**(width - 1)."""
    first, rest = bits(value, width)[0], bits(value, width)[1:]
    return int(rest or "0", 2) - int(first) * 2 ** (width - 1)


def digitwise(operation: Callable[[bool, bool], bool]) -> Oracle:
    def apply(a: int, b: int, width: int) -> int:
        pairs = zip(bits(a, width), bits(b, width), strict=True)
        return int("".join("1" if operation(x == "1", y == "1") else "0" for x, y in pairs), 2)

    return apply


def quotient(a: int, b: int, width: int) -> int:
    return 0 if b == 0 else math.trunc(Fraction(a, b)) % 2**width


def remainder(a: int, b: int, width: int) -> int:
    return a % 2**width if b == 0 else (a - b * math.trunc(Fraction(a, b))) % 2**width


def shifted(fill: Callable[[str], str], left: bool = False) -> Oracle:
    """Move the digits one place at a time, as often as the count says, at most past the end."""

    def apply(a: int, count: int, width: int) -> int:
        digits = bits(a, width)
        for _ in range(min(count, width)):
            digits = digits[1:] + "0" if left else fill(digits) + digits[:-1]
        return int(digits, 2)

    return apply


BINARY: dict[str, Oracle] = {
    "add": lambda a, b, width: (a + b) % 2**width,
    "sub": lambda a, b, width: (a + 2**width - b) % 2**width,
    "mul": lambda a, b, width: sum(a << i for i, digit in enumerate(bits(b, width)[::-1]) if digit == "1") % 2**width,
    "udiv": quotient,
    "umod": remainder,
    "sdiv": lambda a, b, width: quotient(signed(a, width), signed(b, width), width),
    "smod": lambda a, b, width: remainder(signed(a, width), signed(b, width), width),
    "bitwise_and": digitwise(lambda x, y: x and y),
    "bitwise_or": digitwise(lambda x, y: x or y),
    "bitwise_xor": digitwise(lambda x, y: x != y),
    "shift_left": shifted(lambda digits: "0", left=True),
    "shift_right": shifted(lambda digits: "0"),
    "shift_right_signed": shifted(lambda digits: digits[0]),
    "equal": lambda a, b, width: bits(a, width) == bits(b, width),
    "not_equal": lambda a, b, width: bits(a, width) != bits(b, width),
    "less": lambda a, b, width: bits(a, width) < bits(b, width),  # digits compare as the numbers do
    "less_or_equal": lambda a, b, width: bits(a, width) <= bits(b, width),
    "signed_less": lambda a, b, width: signed(a, width) < signed(b, width),
    "signed_less_or_equal": lambda a, b, width: signed(a, width) <= signed(b, width),
}  # fmt: skip


@pytest.mark.parametrize("name", BINARY)
def test_binary_operations_exhaustively(name: str) -> None:
    operation = getattr(IntAlgebra(4), name)
    for a, b in product(range(16), repeat=2):
        assert operation(a, b) == BINARY[name](a, b, 4), (a, b)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", BINARY)
def test_binary_operations_on_edges(name: str, width: int) -> None:
    operation = getattr(IntAlgebra(width), name)
    for a, b in product(edges(width), repeat=2):
        result = operation(a, b)
        assert result == BINARY[name](a, b, width), (a, b)
        assert 0 <= result < 2**width


@given(st.sampled_from(WIDTHS), st.sampled_from(list(BINARY)), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_binary_operations_anywhere(width: int, name: str, a: int, b: int) -> None:
    a, b = a % 2**width, b % 2**width
    assert getattr(IntAlgebra(width), name)(a, b) == BINARY[name](a, b, width)


@pytest.mark.parametrize("width", [4, *WIDTHS])
def test_values_at_the_limits(width: int) -> None:
    """The values that RFC 9669 section 4.1 gives where arithmetic has none, and C's undefined ones."""
    m = IntAlgebra(width)
    minimum, minus_one, maximum = 2 ** (width - 1), 2**width - 1, 2 ** (width - 1) - 1
    for a in (0, 1, maximum, minimum, minus_one):
        assert m.udiv(a, 0) == 0
        assert m.sdiv(a, 0) == 0
        assert m.umod(a, 0) == a
        assert m.smod(a, 0) == a
        for count in (width, width + 1, minus_one):
            assert m.shift_left(a, count) == 0
            assert m.shift_right(a, count) == 0
            assert m.shift_right_signed(a, count) == (minus_one if a >= minimum else 0)
    assert m.sdiv(minimum, minus_one) == minimum
    assert m.smod(minimum, minus_one) == 0


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_signed_division_is_c_division(a: int, b: int) -> None:
    m = IntAlgebra(64)
    if b == 0 or (a, b) == (-(2**63), -1):
        return
    quotient, remainder = (ctypes.c_int64(f(a % 2**64, b % 2**64)).value for f in (m.sdiv, m.smod))
    assert quotient * b + remainder == a
    assert abs(remainder) < abs(b)
    assert remainder == 0 or (remainder < 0) == (a < 0)


@pytest.mark.parametrize("width", [4, *WIDTHS])
def test_const_is_modulo(width: int) -> None:
    m = IntAlgebra(width)
    assert m.const(-1) == 2**width - 1
    assert m.const(2**width) == 0
    assert m.const(5) == 5


@given(st.integers(0, 2**64 - 1))
def test_narrow_and_widen(value: int) -> None:
    m = IntAlgebra(32)
    assert m.narrow(value) == struct.unpack("<II", struct.pack("<Q", value))[0]
    assert m.widen(m.narrow(value)) == ctypes.c_uint32(value).value
    assert IntAlgebra(64).widen(IntAlgebra(64).narrow(value)) == value


@pytest.mark.parametrize("width", [4, 8])
def test_low_and_sign_extend_exhaustively(width: int) -> None:
    m = IntAlgebra(width)
    for a, kept in product(range(2**width), range(1, width + 1)):
        digits = bits(a, width)[width - kept :]
        assert m.low(a, kept) == int(digits, 2)
        assert m.sign_extend(a, kept) == int(digits[0] * (width - kept) + digits, 2)


@given(st.integers(0, 2**64 - 1))
def test_sign_extend_is_c_conversion(value: int) -> None:
    for kept, type_ in ((8, ctypes.c_int8), (16, ctypes.c_int16), (32, ctypes.c_int32)):
        assert IntAlgebra(64).sign_extend(value, kept) == ctypes.c_uint64(type_(value).value).value
        if kept < 32:
            narrow = ctypes.c_uint32(value).value
            assert IntAlgebra(32).sign_extend(narrow, kept) == ctypes.c_uint32(type_(value).value).value


@given(st.integers(0, 2**64 - 1))
def test_byte_swap_is_struct_in_the_other_order(value: int) -> None:
    m = IntAlgebra(64)
    for kept, code in ((16, "H"), (32, "I"), (64, "Q")):
        assert m.byte_swap(value, kept) == struct.unpack(f">{code}", struct.pack(f"<{code}", value % 2**kept))[0]


def test_select() -> None:
    assert IntAlgebra(32).select(True, 5, 7) == 5
    assert IntAlgebra(32).select(False, 5, 7) == 7
