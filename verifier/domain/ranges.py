"""`Range`: what is known about a 64-bit number, and the lattice of ranges.

A set of numbers is seen in five ways at once, as Linux's verifier sees it: which bits are known, the interval of the
number read as unsigned and as signed, and both intervals of its low half.  The set is what all views allow; each view
alone is a superset.  `canonical` tightens every view by the others.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from pybpftime.errors import InternalError
from pybpftime.verifier.domain.deduction import (
    Intervals,
    agree,
    bits_from_bounds,
    bounds_from_bits,
    low_interval,
    next_member,
    previous_member,
    within_low,
)
from pybpftime.verifier.domain.text import describe
from pybpftime.verifier.domain.words import (
    W32,
    W64,
    Width,
    Word,
    as_signed,
    constant_word,
    from_signed,
    from_unsigned,
)

ROUNDS = 4
"""How often the views are tightened by each other at most; the second round rarely finds anything."""


class Range(NamedTuple):
    """A set of 64-bit numbers.  Equal ranges have equal views; a canonical one (`canonical`) is not empty.

    `value` and `mask` are a tnum: bits of `mask` are unknown, the others are those of `value`.  `umin` and `umax` bound
    the number read as unsigned, `smin` and `smax` as signed; `low_umin` to `low_smax` do so for its low 32 bits.

    A named tuple and no dataclass: the verifier makes millions, and tuples are made, compared and hashed in C.
    """

    value: int
    mask: int
    umin: int
    umax: int
    smin: int
    smax: int
    low_umin: int
    low_umax: int
    low_smin: int
    low_smax: int

    @property
    def is_constant(self) -> bool:
        """Whether it has one member only."""
        return self.umin == self.umax

    @property
    def constant(self) -> int:
        """The only member, unsigned; to be asked when `is_constant`."""
        if self.umin != self.umax:
            raise InternalError(f"{self} is not one number")
        return self.umin

    def contains(self, value: int) -> bool:
        """Whether `value`, unsigned or signed, is a member: whether all views have it."""
        return has(W64, W32, self, value & W64.ones)

    def includes(self, other: Range) -> bool:
        """Whether every member of `other` is one of this range, judged view by view.

        Never true wrongly; it may be false for two ranges that are not canonical.
        """
        return includes(self, other)

    def __str__(self) -> str:
        return describe(*self)


UNKNOWN = Range(0, W64.ones, 0, W64.ones, -W64.sign, W64.sign - 1, 0, W32.ones, -W32.sign, W32.sign - 1)
"""Every number."""


@lru_cache(maxsize=1 << 12)
def constant(value: int) -> Range:
    """The one number `value`, modulo 2**64."""
    value &= W64.ones
    return Range(*constant_word(W64, value), *constant_word(W32, value & W32.ones)[2:])


@lru_cache(maxsize=1 << 12)
def unsigned(low: int, high: int) -> Range:
    """The numbers from `low` to `high`, which are in order and below 2**64."""
    return not_empty(canonical(with_whole(UNKNOWN, from_unsigned(W64, low, high))))


@lru_cache(maxsize=1 << 12)
def signed(low: int, high: int) -> Range:
    """The signed numbers from `low` to `high`, which are in order and from -2**63 to 2**63 - 1."""
    return not_empty(canonical(with_whole(UNKNOWN, from_signed(W64, low, high))))


def not_empty(range_: Range | None) -> Range:
    """A range that has members, whatever was found."""
    if range_ is None:
        raise InternalError("a set of numbers that cannot be empty was found to be")
    return range_


def of_size(size: int) -> Range:
    """What a load of 1, 2, 4 or 8 bytes can leave: zero-extended."""
    return unsigned(0, (1 << 8 * size) - 1)


def signed_of_size(size: int) -> Range:
    """What a sign-extending load of 1, 2, 4 or 8 bytes can leave."""
    return signed(-(1 << (8 * size - 1)), (1 << (8 * size - 1)) - 1)


def has(w: Width, h: Width, range_: Range, value: int) -> bool:
    """Whether the unsigned number `value` is in every view."""
    low = value & h.ones
    return (
        value & ~range_.mask == range_.value
        and range_.umin <= value <= range_.umax
        and range_.smin <= as_signed(w, value) <= range_.smax
        and range_.low_umin <= low <= range_.low_umax
        and range_.low_smin <= as_signed(h, low) <= range_.low_smax
    )


def includes(a: Range, b: Range) -> bool:
    """Whether each view of `a` includes that of `b`."""
    return (
        a.umin <= b.umin
        and b.umax <= a.umax
        and a.smin <= b.smin
        and b.smax <= a.smax
        and a.low_umin <= b.low_umin
        and b.low_umax <= a.low_umax
        and a.low_smin <= b.low_smin
        and b.low_smax <= a.low_smax
        and not (b.mask | (a.value ^ b.value)) & ~a.mask
    )


def canonical(range_: Range, w: Width = W64, h: Width = W32) -> Range | None:
    """The same set with every view tightened by the others, or None when it is empty."""
    if range_.umax < h.sign:
        return small(w, range_)
    for _ in range(ROUNDS):
        tighter = tighten(w, h, range_)
        if tighter is None or tighter == range_:
            return tighter
        range_ = tighter
    return range_


def small(w: Width, range_: Range) -> Range | None:
    """`canonical` for numbers of which the four views are the same: below the sign bit of the low half."""
    value, mask, umin, umax, smin, smax, low_umin, low_umax, low_smin, low_smax = range_
    umin, umax = max(umin, smin, low_umin, low_smin), min(umax, smax, low_umax, low_smax)
    for _ in range(ROUNDS):
        bits = bits_from_bounds(w, value, mask, umin, umax) if umin <= umax else None
        if bits is None:
            return None
        value, mask = bits
        low, high = next_member(w, umin, value, mask), previous_member(w, umax, value, mask)
        if low == umin and high == umax:
            break
        umin, umax = low, high
    if umin > umax:
        return None
    return Range(value, mask, umin, umax, umin, umax, umin, umax, umin, umax)


def tighten(w: Width, h: Width, range_: Range) -> Range | None:
    """One round of `canonical`: None when the set is found empty."""
    value, mask, umin, umax, smin, smax, low_umin, low_umax, low_smin, low_smax = range_
    umin, umax, smin, smax = agree(w, umin, umax, smin, smax)
    if umin > umax:
        return None
    low = narrowed(h, umin, umax, (low_umin, low_umax, low_smin, low_smax))
    low = narrowed(h, smin, smax, low)
    low = bounds_from_bits(h, agree(h, *low), value & h.ones, mask & h.ones)
    if low[0] > low[1] or low[2] > low[3]:
        return None
    intervals = widened(h, (umin, umax, smin, smax), low)
    if intervals[0] > intervals[1] or intervals[2] > intervals[3]:
        return None
    intervals = bounds_from_bits(w, intervals, value, mask)
    if intervals[0] > intervals[1] or intervals[2] > intervals[3]:
        return None
    bits = bits_from_bounds(w, value, mask, intervals[0], intervals[1])
    if bits is None:
        return None
    bits = bits_from_bounds_of_low(h, *bits, low[0], low[1])
    return None if bits is None else Range(*bits, *intervals, *low)


def narrowed(h: Width, low: int, high: int, half: Intervals) -> Intervals:
    """The bounds of the low half, tightened by the bounds `low` to `high` of the whole."""
    umin, umax, smin, smax = low_interval(h, low, high)
    return max(umin, half[0]), min(umax, half[1]), max(smin, half[2]), min(smax, half[3])


def widened(h: Width, whole: Intervals, half: Intervals) -> Intervals:
    """The bounds of the whole, tightened by those of its low half."""
    umin, umax = within_low(h, *within_low(h, whole[0], whole[1], half[0], half[1]), half[2], half[3])
    smin, smax = within_low(h, *within_low(h, whole[2], whole[3], half[0], half[1]), half[2], half[3])
    return umin, umax, smin, smax


def bits_from_bounds_of_low(h: Width, value: int, mask: int, umin: int, umax: int) -> tuple[int, int] | None:
    """`bits_from_bounds` for the low half of a tnum."""
    bits = bits_from_bounds(h, value & h.ones, mask & h.ones, umin, umax)
    return None if bits is None else (value & ~h.ones | bits[0], mask & ~h.ones | bits[1])


def whole(range_: Range) -> Word:
    """The views of all 64 bits."""
    return Word(*range_[:6])


def low_half(range_: Range, h: Width = W32) -> Word:
    """The views of the low half, as a word of its own."""
    return Word(range_.value & h.ones, range_.mask & h.ones, *range_[6:])


def zero_extended(word: Word, h: Width = W32) -> Range:
    """A word of half the width as a range: the upper half is zero."""
    return Range(word.value, word.mask, word.umin, word.umax, 0, h.ones, *word[2:])


def sign_extended(word: Word, h: Width = W32, w: Width = W64) -> Range:
    """A word of half the width as a range: the upper half is copies of the sign."""
    value, mask = as_signed(h, word.value) & w.ones, as_signed(h, word.mask) & w.ones
    return Range(value, mask, 0, w.ones, word.smin, word.smax, *word[2:])


def with_whole(range_: Range, word: Word) -> Range:
    """`range_` with other views of all its bits."""
    return Range(*word, *range_[6:])


def with_low_half(range_: Range, word: Word, h: Width = W32) -> Range:
    """`range_` with other views of its low half."""
    value, mask = range_.value & ~h.ones | word.value, range_.mask & ~h.ones | word.mask
    return Range(value, mask, *range_[2:6], *word[2:])


def intersection(a: Range, b: Range) -> Range | None:
    """What both have, not yet canonical; None when their known bits contradict each other."""
    if (a.value ^ b.value) & ~(a.mask | b.mask):
        return None
    return Range(
        a.value | b.value,
        a.mask & b.mask,
        max(a.umin, b.umin),
        min(a.umax, b.umax),
        max(a.smin, b.smin),
        min(a.smax, b.smax),
        max(a.low_umin, b.low_umin),
        min(a.low_umax, b.low_umax),
        max(a.low_smin, b.low_smin),
        min(a.low_smax, b.low_smax),
    )


@lru_cache(maxsize=1 << 14)
def meet(a: Range, b: Range) -> Range | None:
    """The members of both; None when there are none."""
    both = intersection(a, b)
    return None if both is None else canonical(both)


@lru_cache(maxsize=1 << 14)
def join(a: Range, b: Range) -> Range:
    """The least range, view by view, with all members of both."""
    both = union(a, b)
    return canonical(both) or both


def union(a: Range, b: Range) -> Range:
    """`join` without tightening the views by each other."""
    mask = a.mask | b.mask | (a.value ^ b.value)
    return Range(
        a.value & ~mask,
        mask,
        min(a.umin, b.umin),
        max(a.umax, b.umax),
        min(a.smin, b.smin),
        max(a.smax, b.smax),
        min(a.low_umin, b.low_umin),
        max(a.low_umax, b.low_umax),
        min(a.low_smin, b.low_smin),
        max(a.low_smax, b.low_smax),
    )
