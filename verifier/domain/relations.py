"""What a condition that held, or did not hold, says about its operands (RFC 9669 section 4.3).

Each relation takes the width and one word for each operand and returns both without members that cannot be in it,
or None when it is found not to hold for any.  All conditions are made of five: a negated condition is another one, and
a greater one is a less one with its operands exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pybpftime.verifier.domain.words import Width, Word, constant_word

Pair = tuple[Word, Word]
Relation = Callable[[Width, Word, Word], Pair | None]


def equal(w: Width, a: Word, b: Word) -> Pair | None:
    """a == b: both are what they have in common."""
    if (a.value ^ b.value) & ~(a.mask | b.mask):
        return None
    both = Word(
        a.value | b.value,
        a.mask & b.mask,
        max(a.umin, b.umin),
        min(a.umax, b.umax),
        max(a.smin, b.smin),
        min(a.smax, b.smax),
    )
    return both, both


def not_equal(w: Width, a: Word, b: Word) -> Pair | None:
    """a != b: one number can be taken off the ends of an interval."""
    if a.umin == a.umax and b.umin == b.umax:
        return None if a.umin == b.umin else (a, b)
    if b.umin == b.umax:
        return without(w, a, b.umin), b
    if a.umin == a.umax:
        return a, without(w, b, a.umin)
    return a, b


def without(w: Width, a: Word, number: int) -> Word:
    """The members of a but for the unsigned `number`, where it is a bound."""
    signed = constant_word(w, number).smin
    return Word(
        a.value,
        a.mask,
        a.umin + 1 if a.umin == number else a.umin,
        a.umax - 1 if a.umax == number else a.umax,
        a.smin + 1 if a.smin == signed else a.smin,
        a.smax - 1 if a.smax == signed else a.smax,
    )


def less(w: Width, a: Word, b: Word) -> Pair | None:
    """a < b, unsigned."""
    if a.umin >= b.umax:
        return None
    return a._replace(umax=min(a.umax, b.umax - 1)), b._replace(umin=max(b.umin, a.umin + 1))


def less_or_equal(w: Width, a: Word, b: Word) -> Pair | None:
    """a <= b, unsigned."""
    if a.umin > b.umax:
        return None
    return a._replace(umax=min(a.umax, b.umax)), b._replace(umin=max(b.umin, a.umin))


def signed_less(w: Width, a: Word, b: Word) -> Pair | None:
    """a < b, signed."""
    if a.smin >= b.smax:
        return None
    return a._replace(smax=min(a.smax, b.smax - 1)), b._replace(smin=max(b.smin, a.smin + 1))


def signed_less_or_equal(w: Width, a: Word, b: Word) -> Pair | None:
    """a <= b, signed."""
    if a.smin > b.smax:
        return None
    return a._replace(smax=min(a.smax, b.smax)), b._replace(smin=max(b.smin, a.smin))


def share_a_bit(w: Width, a: Word, b: Word) -> Pair | None:
    """a & b != 0: neither is 0, and a bit that is the only one they can share is set in both."""
    shared = (a.value | a.mask) & (b.value | b.mask)
    if shared == 0:
        return None
    if shared & (shared - 1) == 0:
        a = a._replace(value=a.value | shared, mask=a.mask & ~shared)
        b = b._replace(value=b.value | shared, mask=b.mask & ~shared)
    return a._replace(umin=max(a.umin, 1)), b._replace(umin=max(b.umin, 1))


def share_no_bit(w: Width, a: Word, b: Word) -> Pair | None:
    """a & b == 0: the known ones of each are zeros of the other."""
    if a.value & b.value:
        return None
    return a._replace(mask=a.mask & ~b.value), b._replace(mask=b.mask & ~a.value)


def exchanged(relation: Relation) -> Relation:
    """The relation with its operands in the other order."""

    def exchange(w: Width, a: Word, b: Word) -> Pair | None:
        pair = relation(w, b, a)
        return None if pair is None else (pair[1], pair[0])

    return exchange


greater = exchanged(less)
greater_or_equal = exchanged(less_or_equal)
signed_greater = exchanged(signed_less)
signed_greater_or_equal = exchanged(signed_less_or_equal)

RELATIONS: Mapping[str, tuple[Relation, Relation]] = {
    "jeq": (equal, not_equal),
    "jne": (not_equal, equal),
    "jset": (share_a_bit, share_no_bit),
    "jlt": (less, greater_or_equal),
    "jle": (less_or_equal, greater),
    "jgt": (greater, less_or_equal),
    "jge": (greater_or_equal, less),
    "jslt": (signed_less, signed_greater_or_equal),
    "jsle": (signed_less_or_equal, signed_greater),
    "jsgt": (signed_greater, signed_less_or_equal),
    "jsge": (signed_greater_or_equal, signed_less),
}
"""Base name of a JUMP_IF row -> what holds when it jumps, and when it does not."""
