"""Widening: an upper bound of two ranges that a loop reaches after few steps."""

from __future__ import annotations

from pybpftime.verifier.domain.ranges import Range
from pybpftime.verifier.domain.words import smear


def widen(old: Range, new: Range) -> Range:
    """A range with all members of both, such that any sequence of old = widen(old, new) becomes constant.

    A bound that `new` exceeds moves to the next threshold, a bit that differs becomes unknown.  The result is left as
    it is and not made canonical: views that tightened each other again could creep on one by one.
    """
    mask = old.mask | new.mask | (old.value ^ new.value)
    return Range(
        old.value & ~mask,
        mask,
        lower(old.umin, new.umin),
        upper(old.umax, new.umax),
        lower(old.smin, new.smin),
        upper(old.smax, new.smax),
        lower(old.low_umin, new.low_umin),
        upper(old.low_umax, new.low_umax),
        lower(old.low_smin, new.low_smin),
        upper(old.low_smax, new.low_smax),
    )


def lower(old: int, new: int) -> int:
    """`old`, or the threshold at or below a smaller `new`: a power of two, 0, or -2**n."""
    if new >= old:
        return old
    if new < 0:
        return -1 - smear(-1 - new)
    return (smear(new) + 1) >> 1


def upper(old: int, new: int) -> int:
    """`old`, or the threshold at or above a greater `new`: 2**n - 1, or the like below 0."""
    return -1 - lower(-1 - old, -1 - new)
