"""Bitwise operations, shifts, sign extension and byte swaps of sets of numbers (RFC 9669 sections 4.1 and 4.2).

As in `arithmetic`: words in, a word with every result out.
"""

from __future__ import annotations

from pybpftime.verifier.domain.words import (
    Width,
    Word,
    as_signed,
    constant_word,
    from_bits,
    from_signed,
    from_unsigned,
    lowest_bit,
    smear,
    width_of,
)


def bitwise_not(w: Width, a: Word) -> Word:
    """~a: every order is reversed."""
    return Word(w.ones ^ a.value ^ a.mask, a.mask, w.ones - a.umax, w.ones - a.umin, -1 - a.smax, -1 - a.smin)


def bitwise_and(w: Width, a: Word, b: Word) -> Word:
    """a & b.

    Unsigned, no result exceeds an operand, leading ones of both stay, and a & b = a + b - (a | b).  Signed, leading
    ones of both stay too; a result is non-negative when an operand is, and then does not exceed that one; of negative
    operands it exceeds neither.  An operand that is 0 or -1 (a sign shifted down) chooses between 0 and the other one.
    """
    value = a.value & b.value
    umin = max(w.ones - smear(w.ones - min(a.umin, b.umin)), a.umin + b.umin - w.ones)
    umax = min(a.umax, b.umax)
    smin = 0 if a.smin >= 0 or b.smin >= 0 else -1 - smear(-1 - min(a.smin, b.smin))
    smax = max(a.smax, b.smax)
    if a.smin >= 0:
        smax = min(smax, a.smax)
    if b.smin >= 0:
        smax = min(smax, b.smax)
    if a.smax < 0 and b.smax < 0:
        smax = min(a.smax, b.smax)
    if a.smin >= -1 and a.smax <= 0:
        smin, smax = max(smin, min(b.smin, 0)), min(smax, max(b.smax, 0))
    if b.smin >= -1 and b.smax <= 0:
        smin, smax = max(smin, min(a.smin, 0)), min(smax, max(a.smax, 0))
    return Word(value, (a.value | a.mask) & (b.value | b.mask) & ~value, umin, umax, smin, smax)


def bitwise_or(w: Width, a: Word, b: Word) -> Word:
    """a | b, which is ~(~a & ~b)."""
    return bitwise_not(w, bitwise_and(w, bitwise_not(w, a), bitwise_not(w, b)))


def bitwise_xor(w: Width, a: Word, b: Word) -> Word:
    """a ^ b, which does not exceed a + b.  Leading bits that are zeros, or copies of the sign, in both stay so."""
    if a.value == w.ones:
        return bitwise_not(w, b)
    if b.value == w.ones:
        return bitwise_not(w, a)
    mask = a.mask | b.mask
    furthest = smear(max(a.smax, b.smax, -1 - a.smin, -1 - b.smin))
    umax = min(smear(max(a.umax, b.umax)), a.umax + b.umax)
    return Word((a.value ^ b.value) & ~mask, mask, 0, umax, -1 - furthest, furthest)


def amounts(w: Width, b: Word) -> tuple[int, int]:
    """The least and the greatest distance of a shift by `b`, of which the low bits count."""
    if b.umax < w.bits:
        return b.umin, b.umax
    low = w.bits - 1
    return b.value & low, (b.value | b.mask) & low


def shift_left(w: Width, a: Word, b: Word) -> Word:
    """a << (b modulo width).  Bounds stay bounds where no member loses a bit (or, signed, its sign)."""
    least, most = amounts(w, b)
    if least == most:
        bits = from_bits(w, a.value << least & w.ones, a.mask << least & w.ones)
    else:
        bits = from_bits(w, 0, w.ones & ~((lowest_bit(w, a.value | a.mask) << least) - 1))
    umin, umax, smin, smax = bits[2:]
    if a.umax << most <= w.ones:
        umin, umax = a.umin << least, a.umax << most
    if -w.sign <= a.smin << most and a.smax << most < w.sign:
        smin, smax = min(a.smin << least, a.smin << most), max(a.smax << least, a.smax << most)
    return Word(bits.value, bits.mask, umin, umax, smin, smax)


def shift_right_by(w: Width, a: Word, amount: int) -> Word:
    """a >> amount for one distance below the width."""
    return from_unsigned(w, a.umin >> amount, a.umax >> amount)._replace(value=a.value >> amount, mask=a.mask >> amount)


def shift_right(w: Width, a: Word, b: Word) -> Word:
    """a >> (b modulo width), filling with zeros."""
    least, most = amounts(w, b)
    if least == most:
        return shift_right_by(w, a, least)
    return from_unsigned(w, a.umin >> most, a.umax >> least)


def shift_right_signed(w: Width, a: Word, b: Word) -> Word:
    """a >> (b modulo width), filling with the sign.  The bits of a tnum shift as a signed number does."""
    least, most = amounts(w, b)
    smin, smax = min(a.smin >> least, a.smin >> most), max(a.smax >> least, a.smax >> most)
    if least < most:
        return from_signed(w, smin, smax)
    value, mask = as_signed(w, a.value) >> least & w.ones, as_signed(w, a.mask) >> least & w.ones
    return Word(value, mask, 0, w.ones, smin, smax)


def low_bits(w: Width, a: Word, bits: int) -> Word:
    """The low `bits` of a."""
    return bitwise_and(w, a, constant_word(w, (1 << bits) - 1)) if bits < w.bits else a


def sign_extend(w: Width, a: Word, bits: int) -> Word:
    """The low `bits` of a, extended by their sign to the width.

    Bounds of a stay bounds where all members have the same upper bits and sign.
    """
    if bits == w.bits:
        return a
    from_width = width_of(bits)
    value = as_signed(from_width, a.value) & w.ones
    mask = as_signed(from_width, a.mask) & w.ones
    smin, smax = -from_width.sign, from_width.sign - 1
    if (a.smin + from_width.sign) >> bits == (a.smax + from_width.sign) >> bits:
        smin, smax = as_signed(from_width, a.smin), as_signed(from_width, a.smax)
    return Word(value, mask, 0, w.ones, smin, smax)


def byte_swap(w: Width, a: Word, bits: int) -> Word:
    """The low `bits` of a with their bytes reversed, the others zero: the known bits move."""
    return from_bits(w, swapped(a.value, bits), swapped(a.mask, bits))


def swapped(number: int, bits: int) -> int:
    """The low `bits` of a number with their bytes reversed."""
    return sum((number >> at & 0xFF) << (bits - 8 - at) for at in range(0, bits, 8))
