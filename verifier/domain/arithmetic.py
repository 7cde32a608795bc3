"""Addition, multiplication and division of sets of numbers (RFC 9669 section 4.1).

Each function takes the width and one word for each operand and returns a word with every result that members of them
have.  It says what it can see; that the views then tighten each other is left to `ranges.canonical`.
"""

from __future__ import annotations

from pybpftime.verifier.domain.bitwise import bitwise_and, shift_right_by
from pybpftime.verifier.domain.words import (
    Width,
    Word,
    constant_word,
    from_bits,
    from_signed,
    from_unsigned,
    lowest_bit,
    unknown,
    wrapped,
)


def add(w: Width, a: Word, b: Word) -> Word:
    """a + b.  A bit of the sum is known when it is known in both and no unknown carry reaches it."""
    least = a.value + b.value
    mask = (least ^ (least + a.mask + b.mask)) | a.mask | b.mask
    bits = from_bits(w, least & ~mask & w.ones, mask & w.ones)
    return wrapped(w, bits, a.umin + b.umin, a.umax + b.umax, a.smin + b.smin, a.smax + b.smax)


def subtract(w: Width, a: Word, b: Word) -> Word:
    """a - b.  A bit of the difference is known when it is known in both and no unknown borrow reaches it."""
    difference = a.value - b.value
    mask = ((difference + a.mask) ^ (difference - b.mask)) | a.mask | b.mask
    bits = from_bits(w, difference & ~mask & w.ones, mask & w.ones)
    return wrapped(w, bits, a.umin - b.umax, a.umax - b.umin, a.smin - b.smax, a.smax - b.smin)


def negate(w: Width, a: Word) -> Word:
    """-a."""
    return subtract(w, constant_word(w, 0), a)


def multiply(w: Width, a: Word, b: Word) -> Word:
    """a * b.

    x * y = u * v + (x - u) * y + u * (y - v), where u and v are the known bits below the lowest unknown one of x and
    y.  The low bits of the product that the last two terms leave alone are those of u * v.
    """
    known = min(
        lowest_bit(w, a.mask) * lowest_bit(w, b.value | b.mask),
        lowest_bit(w, b.mask) * lowest_bit(w, a.value | a.mask),
        w.size,
    )
    low = known - 1
    bits = from_bits(w, a.value * b.value & low & w.ones, w.ones & ~low)
    corners = (a.smin * b.smin, a.smin * b.smax, a.smax * b.smin, a.smax * b.smax)
    return wrapped(w, bits, a.umin * b.umin, a.umax * b.umax, min(corners), max(corners))


def divide(w: Width, a: Word, b: Word) -> Word:
    """a / b, unsigned; 0 for b = 0.  A power of two is a shift, of which every bit is known."""
    if b.umax == 0:
        return constant_word(w, 0)
    if b.umin == b.umax and b.umin & (b.umin - 1) == 0:
        return shift_right_by(w, a, b.umin.bit_length() - 1)
    least = 0 if b.umin == 0 else a.umin // b.umax
    return from_unsigned(w, least, a.umax // max(b.umin, 1))


def modulo(w: Width, a: Word, b: Word) -> Word:
    """a % b, unsigned; a for b = 0."""
    if a.umax < b.umin or b.umax == 0:
        return a
    if b.umin == b.umax:
        if b.umin & (b.umin - 1) == 0:
            return bitwise_and(w, a, constant_word(w, b.umin - 1))
        if a.umin // b.umin == a.umax // b.umin:
            return from_unsigned(w, a.umin % b.umin, a.umax % b.umin)
    return from_unsigned(w, 0, a.umax if b.umin == 0 else min(a.umax, b.umax - 1))


def truncated(a: int, b: int) -> int:
    """a / b, rounded toward zero."""
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def signed_divide(w: Width, a: Word, b: Word) -> Word:
    """a / b, truncated toward zero; 0 for b = 0, MIN for MIN / -1.

    For divisors of one sign the quotient is monotone in the dividend and, for each dividend, in the divisor, so its
    extremes are at the corners.  MIN / -1 wraps: nothing is known when it can happen beside other results.
    """
    if a.smin == -w.sign and b.smin <= -1 <= b.smax:
        return a if b.smin == b.smax and a.smax == a.smin else unknown(w)
    divisors: tuple[int, ...] = ()
    if b.smin < 0:
        divisors += (b.smin, min(b.smax, -1))
    if b.smax > 0:
        divisors += (max(b.smin, 1), b.smax)
    quotients = [truncated(dividend, divisor) for dividend in (a.smin, a.smax) for divisor in divisors]
    if b.smin <= 0 <= b.smax:
        quotients.append(0)
    return from_signed(w, min(quotients), max(quotients))


def signed_modulo(w: Width, a: Word, b: Word) -> Word:
    """a % b with the sign of a; a for b = 0, 0 for MIN % -1.

    The remainder is no further from 0 than the dividend, and nearer than the divisor.  While the quotient stays the
    same it follows the dividend.
    """
    if b.smin == b.smax:
        if b.smin == 0:
            return a
        quotient = truncated(a.smin, b.smin)
        if quotient == truncated(a.smax, b.smin):
            return from_signed(w, a.smin - quotient * b.smin, a.smax - quotient * b.smin)
    nearest = max(b.smin, -b.smax, 0)
    if -nearest < a.smin and a.smax < nearest:
        return a
    low, high = min(a.smin, 0), max(a.smax, 0)
    if b.smin > 0 or b.smax < 0:
        furthest = max(-b.smin, b.smax)
        low, high = max(low, 1 - furthest), min(high, furthest - 1)
    return from_signed(w, low, high)
