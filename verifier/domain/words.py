"""Sets of numbers of one width, as the operators of the domain see them: a tnum and two intervals.

Everything here and in the operators is plain arithmetic on integers, comparisons and `if`, and takes the width as an
argument: that is what lets `verifier.proofs` run the same source on symbols, at 64 bits and at widths where z3 tries
every value.  `min` and `max` are used instead of `if` where both read well, since they cost the proof no path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Width:
    """A number of bits and what follows from it; make it with `width_of`."""

    bits: int
    ones: int
    """2**bits - 1, the greatest unsigned number."""
    sign: int
    """2**(bits - 1), the sign bit; -sign is the least signed number, sign - 1 the greatest."""
    size: int
    """2**bits."""


def width_of(bits: int) -> Width:
    """The width of `bits` bits, at least 2."""
    return Width(bits, (1 << bits) - 1, 1 << (bits - 1), 1 << bits)


W64 = width_of(64)
W32 = width_of(32)


class Word(NamedTuple):
    """The numbers of one width that agree with `mask` and `value` and lie in both intervals.

    Bits of `mask` are unknown, the others are those of `value` (a tnum, as Linux's kernel/bpf/tnum.c has it).  `umin`
    and `umax` bound the number read as unsigned, `smin` and `smax` as signed.  The views may know different things; a
    word that says too much in one view describes the empty set.

    A named tuple and no dataclass: the verifier makes millions, and tuples are made, compared and hashed in C.
    """

    value: int
    mask: int
    umin: int
    umax: int
    smin: int
    smax: int


def unknown(w: Width) -> Word:
    """Every number of the width."""
    return Word(0, w.ones, 0, w.ones, -w.sign, w.sign - 1)


def constant_word(w: Width, value: int) -> Word:
    """The one number `value`, unsigned."""
    signed = value if value < w.sign else value - w.size
    return Word(value, 0, value, value, signed, signed)


def from_bits(w: Width, value: int, mask: int) -> Word:
    """The numbers of a tnum; what its bits say about the intervals is found by `canonical`."""
    return Word(value, mask, 0, w.ones, -w.sign, w.sign - 1)


def from_unsigned(w: Width, low: int, high: int) -> Word:
    """The unsigned numbers from `low` to `high`, both below 2**bits."""
    return Word(0, w.ones, low, high, -w.sign, w.sign - 1)


def from_signed(w: Width, low: int, high: int) -> Word:
    """The signed numbers from `low` to `high`, both within the width."""
    return Word(0, w.ones, 0, w.ones, low, high)


def wrapped(w: Width, word: Word, umin: int, umax: int, smin: int, smax: int) -> Word:
    """`word` with the bounds of an exact result that wraps at the width.

    An interval survives when all of it wraps equally often; otherwise the result crosses the end of its view, and that
    view knows nothing.
    """
    if umin >> w.bits == umax >> w.bits:
        word = word._replace(umin=umin & w.ones, umax=umax & w.ones)
    if (smin + w.sign) >> w.bits == (smax + w.sign) >> w.bits:
        word = word._replace(smin=as_signed(w, smin), smax=as_signed(w, smax))
    return word


def as_signed(w: Width, number: int) -> int:
    """Any integer wrapped to a signed number of the width."""
    return ((number + w.sign) & w.ones) - w.sign


def smear(number: int) -> int:
    """2**n - 1, the least such number that is not below `number` (which is not negative)."""
    return (1 << number.bit_length()) - 1


def lowest_bit(w: Width, number: int) -> int:
    """The lowest bit that is set in `number`, as a power of two; 2**bits for 0."""
    return (number | w.size) & -(number | w.size)
