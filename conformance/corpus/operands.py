"""Operands: the values at which implementations of an operation part.

Classes are 0, 1, -1, the least and the greatest number, the sign boundaries of 8, 16 and 32 bits, numbers that fill
one half only, and numbers drawn with a fixed seed.  A pair is (dst, src).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from pybpftime.conformance.corpus.bits import signed, unsigned

Pair = tuple[int, int]

MAX = {32: 0x7FFF_FFFF, 64: 0x7FFF_FFFF_FFFF_FFFF}
MIN = {32: 0x8000_0000, 64: 0x8000_0000_0000_0000}
ALL = {32: 0xFFFF_FFFF, 64: 0xFFFF_FFFF_FFFF_FFFF}

UPPER_HALVES = (0xDEAD_BEEF, 0x0000_0001, 0xFFFF_FFFF, 0x8000_0000, 0x7FFF_FFFF)
"""What stands in the upper half of a register whose lower half alone may matter."""


def drawn(seed: str, count: int, width: int) -> list[int]:
    """`count` numbers of `width` bits; the same ones for the same seed, always."""
    source = random.Random(seed)
    return [source.getrandbits(width) for _ in range(count)]


def arithmetic_pairs(name: str, width: int) -> list[Pair]:
    """Pairs for operations that are no shifts."""
    least, most, ones = MIN[width], MAX[width], ALL[width]
    first, second, third, fourth = drawn(f"{name}{width}", 4, width)
    pairs = [
        (0, 0), (0, 1), (1, 0), (ones, 0), (1, ones), (ones, ones),
        (most, 1), (least, 1), (least, ones), (least, least), (most, least), (ones, 2),
        (unsigned(-7, width), 2), (7, unsigned(-2, width)), (unsigned(-7, width), unsigned(-3, width)),
        (first, second), (third, fourth >> width // 2),
    ]  # fmt: skip
    half = [(0x1_0000_0000, 1), (0xFFFF_FFFF, 1), (0xFFFF_FFFF_0000_0000, 0xFFFF_FFFF)] if width == 64 else []
    return pairs + half


def shift_pairs(name: str, width: int) -> list[Pair]:
    """Pairs whose src is a distance: every boundary, and what the mask takes away."""
    first, second = drawn(f"{name}{width}", 2, width)
    alternating = 0x8123_4567_89AB_CDEF if width == 64 else 0x8123_4567
    distances = [0, 1, 8, width // 2 - 1, width // 2, width - 2, width - 1]
    pairs = [(alternating, distance) for distance in distances]
    pairs += [(MAX[width], width - 1), (MIN[width], width - 1), (1, width - 1), (0, 1)]
    beyond = [width, width + 1, 2 * width - 1, 2 * width, 0x100, ALL[width], unsigned(-width, width), MIN[width]]
    return pairs + [(alternating, distance) for distance in beyond] + [(first, second)]


def pairs_for(name: str, width: int) -> list[Pair]:
    """The pairs for an operation of section 4.1."""
    return shift_pairs(name, width) if name in SHIFTS else arithmetic_pairs(name, width)


SHIFTS = ("lsh", "rsh", "arsh")


def immediate_pairs(name: str, width: int) -> list[Pair]:
    """Pairs (dst, imm), imm signed: those that no loader refuses."""
    dst = drawn(f"{name}{width} immediate", 2, width)
    if name in SHIFTS:
        distances = [0, 1, 7, width // 2 - 1, width // 2, width - 1]
        return [(MIN[width] + 0x1234_567, distance) for distance in distances] + [(MAX[width], width - 1), (dst[0], 5)]
    least, most = signed(MIN[32], 32), MAX[32]
    pairs = [
        (0, 1), (1, -1), (ALL[width], -1), (ALL[width], 1), (MIN[width], -1), (MAX[width], 1), (MAX[width], most),
        (MIN[width], least), (ALL[width], least), (dst[0], most), (dst[1], least), (dst[0], -3), (dst[1], 0x5A5A5A5A),
    ]  # fmt: skip
    if width == 64:
        pairs += [(0xFFFF_FFFF, -1), (0x8000_0000, least), (0x1_0000_0000, 2)]
    return pairs if name in DIVISIONS else [*pairs, (dst[0], 0)]


DIVISIONS = ("div", "sdiv", "mod", "smod")


def values(name: str, width: int) -> list[int]:
    """Operands of an operation on one register, or of one on the same register twice."""
    return [0, 1, ALL[width], MAX[width], MIN[width], MIN[width] + 1, *drawn(f"{name}{width} alone", 2, width)]


def with_garbage(numbers: Sequence[int]) -> Iterator[int]:
    """32-bit numbers with an upper half that must not matter, another one for each."""
    for index, value in enumerate(numbers):
        yield UPPER_HALVES[index % len(UPPER_HALVES)] * 2**32 + value


def pairs_with_garbage(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """The same for pairs; the two upper halves differ."""
    for index, (dst, src) in enumerate(pairs):
        yield (
            UPPER_HALVES[index % len(UPPER_HALVES)] * 2**32 + dst,
            UPPER_HALVES[(index + 1) % len(UPPER_HALVES)] * 2**32 + src,
        )


def crossed(name: str, width: int) -> tuple[list[int], list[int]]:
    """Eight values of dst and eight of src, for programs that go through all pairs of them."""
    first, second, third = drawn(f"{name}{width} crossed", 3, width)
    dst = [0, 1, ALL[width], MAX[width], MIN[width], 0xFF80, first, second]
    if name in SHIFTS:
        return dst, [0, 1, 7, width // 2 + 1, width - 1, width, 0x8A, third]
    return dst, [0, 1, ALL[width], MAX[width], MIN[width], 0x8000, 7, third]


def crossed_immediates(name: str, width: int) -> list[int]:
    """Eight immediates that no loader refuses."""
    if name in SHIFTS:
        return [0, 1, 3, 8, width // 2 - 1, width // 2, width - 2, width - 1]
    return [1, -1, 2, 7, MAX[32], signed(MIN[32], 32), -0x8000, 0x1234_5678]


# --- comparisons ---


def compared_pairs(width: int) -> list[Pair]:
    """Pairs for conditions: equal, one apart, across the signs, apart in one half only."""
    least, most, ones = MIN[width], MAX[width], ALL[width]
    pairs = [
        (0, 0), (0, 1), (1, 0), (ones, ones), (0, ones), (ones, 0), (most, least), (least, most), (least, least),
        (ones, ones - 1), (least + 1, least), (0x5555_5555, 0x2AAA_AAAA), (0x5555_5555, 0x5555_5555),
    ]  # fmt: skip
    if width == 64:
        pairs += [
            (0x1_0000_0005, 0x2_0000_0005), (0x2_0000_0005, 0x1_0000_0005),  # apart in the upper half only
            (0x8000_0000_0000_0005, 0x5), (0x7_8000_0000, 0x7_7FFF_FFFF),  # the latter in the lower half only
            (0x1_0000_0000, 0xFFFF_FFFF), (0x8000_0000, 0x7FFF_FFFF), (0xFFFF_FFFF_8000_0000, 0x8000_0000),
        ]  # fmt: skip
    return pairs


def compared_with_immediate(width: int) -> list[Pair]:
    """Pairs (dst, imm), imm signed."""
    ones = ALL[width]
    pairs = [
        (0, 0), (1, 0), (0, 1), (ones, -1), (ones, 1), (1, -1), (0, -1), (MAX[32], MAX[32]), (MIN[width], -1),
        (MAX[width], -1), (MIN[width], 1), (MAX[32], signed(MIN[32], 32)), (0x5555_5555, 0x2AAA_AAAA),
    ]  # fmt: skip
    if width == 64:
        pairs += [
            (0xFFFF_FFFF, -1), (0xFFFF_FFFF_8000_0000, signed(MIN[32], 32)), (0x8000_0000, signed(MIN[32], 32)),
            (0x1_0000_0005, 5), (0xFFFF_FFFF_0000_0000, -1), (0xFFFF_FFFF_7FFF_FFFF, signed(MIN[32], 32)),
        ]  # fmt: skip
    return pairs


def compared_crossed(width: int) -> tuple[list[int], list[int]]:
    """Eight values of dst and eight of src, for programs that compare all pairs of them."""
    least, most, ones = MIN[width], MAX[width], ALL[width]
    if width == 32:
        return [0, 1, ones, most, least, ones - 1, 0x8000, 0xFF], [0, 1, ones, most, least, least + 1, 0x7FFF, 0xFF]
    return (
        [0, 1, ones, most, least, 0xFFFF_FFFF, 0x8000_0000, 0x1_0000_0000],
        [0, 1, ones, most, least, 0xFFFF_FFFF_8000_0000, 0x7FFF_FFFF, 0x2_0000_0001],
    )


def compared_immediates() -> list[int]:
    """Eight immediates."""
    return [0, 1, -1, MAX[32], signed(MIN[32], 32), 0xFF, -2, 0x8000]
