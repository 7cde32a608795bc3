"""How precise the domain is: what programs and Linux's own tests of its bounds rely on.

Names in brackets are the tests of tools/testing/selftests/bpf/progs that rely on the same.
"""

from __future__ import annotations

import pytest

from pybpftime.isa import BY_NAME
from pybpftime.verifier import domain
from pybpftime.verifier.domain import (
    UNKNOWN,
    Range,
    binary,
    constant,
    decided,
    of_size,
    refined,
    signed,
    unary,
    unsigned,
)

S32 = signed(-(2**31), 2**31 - 1)
TOP = 2**64 - 1


def word(low: int, high: int) -> Range:
    """A number of which the low half is known, as unsigned."""
    result = refined("jge", 32, UNKNOWN, constant(low), True)
    assert result is not None
    result = refined("jle", 32, result[0], constant(high), True)
    assert result is not None
    return result[0]


ARITHMETIC = [
    # masks and shifts: what indices into arrays are made with
    ("and", 64, UNKNOWN, constant(15), unsigned(0, 15)),
    ("and", 64, signed(-8, 7), constant(0xFF), unsigned(0, 255)),
    ("and", 64, signed(-8, 7), signed(-8, 7), signed(-8, 7)),
    ("and", 32, UNKNOWN, constant(0xFF00), binary("lsh", 64, of_size(1), constant(8))),
    ("lsh", 64, unsigned(0, 15), constant(3), binary("and", 64, UNKNOWN, constant(0x78))),
    ("rsh", 64, UNKNOWN, constant(60), unsigned(0, 15)),
    ("rsh", 32, UNKNOWN, constant(28), unsigned(0, 15)),
    ("arsh", 64, UNKNOWN, constant(63), signed(-1, 0)),
    ("arsh", 64, signed(-256, 255), constant(4), signed(-16, 15)),
    ("lsh", 64, constant(1), unsigned(0, 5), unsigned(1, 32)),
    ("rsh", 64, unsigned(64, 128), unsigned(1, 3), unsigned(8, 64)),
    # a mask that is a shifted sign chooses between 0 and the other operand (verifier_and)
    ("and", 64, signed(-1, 0), constant(-134), binary("and", 64, signed(-134, 0), constant(-134))),
    # wrapping (verifier_bounds: add overflow, sub underflow)
    ("add", 64, unsigned(TOP - 9, TOP), unsigned(20, 30), unsigned(10, 29)),
    ("add", 32, unsigned(2**32 - 10, 2**32 - 1), unsigned(20, 30), unsigned(10, 29)),
    ("sub", 64, unsigned(0, 5), unsigned(10, 20), signed(-20, -5)),
    ("sub", 64, signed(-5, 5), signed(-5, 5), signed(-10, 10)),
    ("add", 64, signed(-4, 4), constant(4), unsigned(0, 8)),
    # products of all corners
    ("mul", 64, signed(-10, 10), signed(-3, 4), signed(-40, 40)),
    ("mul", 64, unsigned(0, 15), constant(24), binary("lsh", 64, unsigned(0, 45), constant(3))),
    ("mul", 64, signed(-7, -3), signed(-5, -2), unsigned(6, 35)),
    # division and modulo
    ("div", 64, unsigned(0, 1000), constant(10), unsigned(0, 100)),
    ("div", 64, UNKNOWN, constant(2**60), unsigned(0, 15)),
    ("div", 64, unsigned(100, 200), unsigned(0, 5), unsigned(0, 200)),
    ("div", 32, UNKNOWN, constant(2**16), unsigned(0, 2**16 - 1)),
    ("mod", 64, UNKNOWN, constant(10), unsigned(0, 9)),
    ("mod", 64, unsigned(0, 5), constant(10), unsigned(0, 5)),
    ("mod", 64, unsigned(12, 15), constant(10), unsigned(2, 5)),
    ("mod", 64, UNKNOWN, constant(8), unsigned(0, 7)),
    ("mod", 64, UNKNOWN, unsigned(1, 10), unsigned(0, 9)),
    ("sdiv", 64, signed(-100, 100), constant(7), signed(-14, 14)),
    ("sdiv", 64, signed(-100, 100), constant(-7), signed(-14, 14)),
    ("sdiv", 64, signed(-100, 100), signed(-2, 3), signed(-100, 100)),
    ("sdiv", 64, signed(10, 100), signed(2, 5), signed(2, 50)),
    ("smod", 64, UNKNOWN, constant(7), signed(-6, 6)),
    ("smod", 64, signed(0, 100), constant(-7), unsigned(0, 6)),
    ("smod", 64, signed(-3, 3), constant(5), signed(-3, 3)),
    # bits
    ("xor", 64, unsigned(0, 8), constant(3), unsigned(0, 11)),
    ("xor", 64, UNKNOWN, constant(-1), UNKNOWN),
    ("xor", 64, signed(-8, 7), signed(-4, 3), signed(-8, 7)),
    ("or", 64, unsigned(0, 8), constant(16), unsigned(16, 24)),
    ("or", 64, signed(-8, -1), unsigned(0, 7), signed(-8, -1)),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "width", "a", "b", "expected"), ARITHMETIC)
def test_arithmetic(operation: str, width: int, a: Range, b: Range, expected: Range) -> None:
    result = binary(operation, width, a, b)
    assert expected.includes(result), f"{result} is not within {expected}"


def test_a_32_bit_quotient_is_known_in_its_low_half() -> None:
    """[verifier_sdiv] A negative quotient is zero-extended: its bounds are those of the low half."""
    result = binary("sdiv", 32, UNKNOWN, constant(2**16))
    assert (result.low_smin, result.low_smax) == (-(2**15), 2**15 - 1)
    assert unsigned(0, 2**32 - 1).includes(result)


@pytest.mark.parametrize(
    ("operation", "width", "operand", "expected"),
    [
        ("movsx8", 64, UNKNOWN, signed(-128, 127)),
        ("movsx8", 64, unsigned(0, 100), unsigned(0, 100)),
        ("movsx8", 64, unsigned(128, 255), signed(-128, -1)),
        ("movsx16", 64, UNKNOWN, signed(-(2**15), 2**15 - 1)),
        ("movsx32", 64, UNKNOWN, S32),
        ("movsx32", 64, word(5, 10), unsigned(5, 10)),
        ("movsx32", 64, unsigned(2**32 - 4, 2**32 - 1), signed(-4, -1)),
        ("movsx8", 32, unsigned(128, 255), unsigned(2**32 - 128, 2**32 - 1)),
        ("mov", 32, word(3, 9), unsigned(3, 9)),
        ("mov", 32, UNKNOWN, of_size(4)),
        ("neg", 64, signed(-5, 9), signed(-9, 5)),
        ("le16", 64, UNKNOWN, of_size(2)),
        ("be16", 64, UNKNOWN, of_size(2)),
        ("bswap16", 64, unsigned(0, 255), binary("lsh", 64, of_size(1), constant(8))),
        ("be32", 64, UNKNOWN, of_size(4)),
    ],
)
def test_moves_and_swaps(operation: str, width: int, operand: Range, expected: Range) -> None:
    """[verifier_movsx, verifier_subreg]"""
    assert unary(operation, width, operand) == expected


@pytest.mark.parametrize(
    ("condition", "width", "a", "b", "taken", "left", "right"),
    [
        ("jlt", 64, UNKNOWN, constant(16), True, unsigned(0, 15), constant(16)),
        ("jge", 64, UNKNOWN, constant(16), False, unsigned(0, 15), constant(16)),
        ("jsgt", 64, UNKNOWN, constant(-1), True, unsigned(0, 2**63 - 1), constant(-1)),
        ("jslt", 64, unsigned(0, 2**63 - 1), constant(8), True, unsigned(0, 7), constant(8)),
        ("jgt", 64, unsigned(0, 9), unsigned(3, 20), True, unsigned(4, 9), unsigned(3, 8)),
        ("jeq", 64, unsigned(0, 9), unsigned(5, 20), True, unsigned(5, 9), unsigned(5, 9)),
        ("jne", 64, unsigned(0, 9), unsigned(5, 20), False, unsigned(5, 9), unsigned(5, 9)),
        # a bound that is excluded [verifier_bounds: bounds check with JNE]
        ("jne", 64, unsigned(0, 8), constant(0), True, unsigned(1, 8), constant(0)),
        ("jeq", 64, signed(-3, 3), constant(3), False, signed(-3, 2), constant(3)),
        ("jne", 32, of_size(1), constant(255), True, unsigned(0, 254), constant(255)),
        # bits
        ("jset", 64, UNKNOWN, constant(~7 & TOP), False, unsigned(0, 7), constant(~7 & TOP)),
        ("jset", 64, unsigned(0, 7), constant(4), True, unsigned(4, 7), constant(4)),
        ("jset", 64, unsigned(0, 7), constant(4), False, unsigned(0, 3), constant(4)),
        # the low half of what fits into it is the whole
        ("jlt", 32, of_size(4), constant(16), True, unsigned(0, 15), constant(16)),
        ("jslt", 32, S32, constant(0), True, signed(-(2**31), -1), constant(0)),
        ("jsge", 32, S32, constant(0), True, unsigned(0, 2**31 - 1), constant(0)),
    ],
)
def test_refinement(condition: str, width: int, a: Range, b: Range, taken: bool, left: Range, right: Range) -> None:
    assert refined(condition, width, a, b, taken) == (left, right)


def test_a_check_of_the_low_half_holds_after_zero_extension() -> None:
    """[verifier_subreg, verifier_bounds] if w1 < 16; w1 = w1."""
    assert unary("mov", 32, word(0, 15)) == unsigned(0, 15)


def test_the_low_half_moves_the_ends_of_the_whole() -> None:
    """[verifier_bounds: 64 from 32] 0x1_00000000 to 0x3_80000000 with a low half from 1 to 0x7fffffff."""
    both = domain.meet(unsigned(1 << 32, (3 << 32) + 0x8000_0000), word(1, 0x7FFF_FFFF))
    assert both is not None
    assert (both.umin, both.umax) == ((1 << 32) + 1, (3 << 32) + 0x7FFF_FFFF)
    assert domain.meet(unsigned((1 << 32) + 10, (1 << 32) + 20), word(30, 40)) is None


def test_signed_and_unsigned_views_across_the_sign() -> None:
    """[verifier_bounds: bounds deduction across the sign boundary] Only one end of the signed interval is possible."""
    low = domain.meet(unsigned(0, 2**63 + 10), signed(-5, 100))
    assert low == unsigned(0, 100)
    high = domain.meet(unsigned(2**62, TOP), signed(-5, 100))
    assert high == signed(-5, -1)


def test_known_bits_tighten_bounds() -> None:
    steps = binary("and", 64, UNKNOWN, constant(0xF8))
    narrowed = refined("jgt", 64, steps, constant(17), True)
    assert narrowed is not None
    assert (narrowed[0].umin, narrowed[0].umax) == (24, 0xF8)


@pytest.mark.parametrize(
    ("condition", "width", "a", "b", "expected"),
    [
        ("jlt", 64, unsigned(0, 7), constant(8), True),
        ("jgt", 64, unsigned(0, 7), constant(7), False),
        ("jgt", 64, unsigned(0, 7), constant(6), None),
        ("jsgt", 64, signed(-5, -1), constant(0), False),
        ("jeq", 64, binary("and", 64, UNKNOWN, constant(~1 & TOP)), constant(5), False),
        ("jne", 64, unsigned(0, 7), constant(8), True),
        ("jset", 64, binary("or", 64, UNKNOWN, constant(2)), constant(6), True),
        ("jset", 64, unsigned(0, 7), constant(8), False),
        ("jeq", 32, constant(1 << 32), constant(0), True),
        ("jeq", 64, word(1, 5), constant(0), False),
        ("jslt", 32, unsigned(2**31, 2**32 - 1), constant(0), True),
    ],
)
def test_decisions(condition: str, width: int, a: Range, b: Range, expected: bool | None) -> None:
    assert decided(condition, width, a, b) is expected
    assert domain.decide(BY_NAME[f"{condition}{'32' if width == 32 else ''}_reg"], a, b) is expected
