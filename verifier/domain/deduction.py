"""What one view of a set of numbers tells another: the steps of canonicalisation.

Each step takes bounds of some views and returns them tightened, never dropping a member.  A step that finds the set
empty returns bounds of which the lower exceeds the upper.  Together they do what reg_bounds_sync of Linux's
kernel/bpf/verifier.c does, each as an exact intersection instead of a list of cases.
"""

from __future__ import annotations

from pybpftime.verifier.domain.words import Width, smear

Bounds = tuple[int, int]
Intervals = tuple[int, int, int, int]
"""umin, umax, smin, smax"""


def agree(w: Width, umin: int, umax: int, smin: int, smax: int) -> Intervals:
    """The numbers that lie in both intervals, each interval as tight as they allow.

    The signed interval is two unsigned ones, that of the numbers without and that of the numbers with the sign bit;
    each is intersected with the unsigned interval by itself.
    """
    low, high = max(umin, smin), min(umax, smax)
    negative_low, negative_high = max(umin - w.size, smin), min(umax - w.size, smax)
    if low > high:
        return negative_low + w.size, negative_high + w.size, negative_low, negative_high
    if negative_low > negative_high:
        return low, high, low, high
    return low, negative_high + w.size, negative_low, high


def low_interval(h: Width, low: int, high: int) -> Intervals:
    """What numbers from `low` to `high` (any integers) have in their low half, read as unsigned and as signed.

    Fewer than 2**bits successive numbers have low halves that go round once at most; where they do not pass the end of
    a view, they are an interval of it.
    """
    umin, umax, smin, smax = 0, h.ones, -h.sign, h.sign - 1
    if high - low < h.size:
        if low & h.ones <= high & h.ones:
            umin, umax = low & h.ones, high & h.ones
        if (low + h.sign) & h.ones <= (high + h.sign) & h.ones:
            smin, smax = ((low + h.sign) & h.ones) - h.sign, ((high + h.sign) & h.ones) - h.sign
    return umin, umax, smin, smax


def within_low(h: Width, low: int, high: int, half_low: int, half_high: int) -> Bounds:
    """`low` to `high` without the ends whose low half is not in `half_low` to `half_high`.

    The half's bounds may be unsigned or signed, those of the whole too: distances are taken modulo the half's size.
    """
    beyond = (low - half_low) & h.ones
    if beyond > half_high - half_low:
        low += h.size - beyond
    beyond = (half_high - high) & h.ones
    if beyond > half_high - half_low:
        high -= h.size - beyond
    return low, high


def next_member(w: Width, number: int, value: int, mask: int) -> int:
    """The least number of a tnum that is not below `number`, or 2**bits when there is none.

    Where the highest known bit that differs from `number` is a one, `number` is raised to the tnum at that bit.  Where
    it is a zero, the unknown bits above it are counted up, the known ones passing the carry on.
    """
    wrong = (number ^ value) & ~mask & w.ones
    if wrong == 0:
        return number
    below = smear(wrong)
    if value & (below ^ (below >> 1)):
        return value | (number & mask & ~below)
    counted = (number | below | (w.ones ^ mask)) + 1
    if counted > w.ones:
        return w.size
    return value | (counted & mask)


def previous_member(w: Width, number: int, value: int, mask: int) -> int:
    """The greatest number of a tnum that is not above `number`, or -1 when there is none."""
    return w.ones - next_member(w, w.ones - number, w.ones ^ value ^ mask, mask)


def bounds_from_bits(w: Width, intervals: Intervals, value: int, mask: int) -> Intervals:
    """The intervals without the ends that the tnum does not have.

    Flipping the sign bit puts the signed numbers in unsigned order.
    """
    if mask == w.ones:
        return intervals
    umin, umax, smin, smax = intervals
    flipped = value ^ (w.sign & ~mask)
    return (
        next_member(w, umin, value, mask),
        previous_member(w, umax, value, mask),
        next_member(w, smin + w.sign, flipped, mask) - w.sign,
        previous_member(w, smax + w.sign, flipped, mask) - w.sign,
    )


def bits_from_bounds(w: Width, value: int, mask: int, umin: int, umax: int) -> tuple[int, int] | None:
    """The tnum with the leading bits that all numbers from `umin` to `umax` share; None when it has others."""
    shared = w.ones ^ smear(umin ^ umax)
    if (value ^ umin) & shared & ~mask:
        return None
    return value | (umin & mask & shared), mask & ~shared
