"""Bugs in shifts (RFC 9669 section 4.1): masks of the distance, and what comes in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pybpftime.conformance.mutation.meaning import computing, is_zero
from pybpftime.conformance.mutation.mutant import Compute, Kind, Pure
from pybpftime.isa import Row

SHIFTS = {"lsh": "shift_left", "rsh": "shift_right", "arsh": "shift_right_signed"}
"""Operation -> the operation of the algebra that does it."""


def pure(row: Row) -> Iterator[Pure]:
    """The bugs of one row that shifts."""
    operation, width = row.name.partition("_")[0].removesuffix("32"), row.width

    def shifted(n: Any, dst: Any, amount: Any) -> Any:
        return getattr(n, SHIFTS[operation])(dst, amount)

    def masked(bits: int) -> Compute:
        return computing(row, lambda n, d, s: shifted(n, d, n.bitwise_and(s, n.const(bits))))

    yield Kind.MASK, "unmasked", f"distances of {width} and more shift everything out", computing(row, shifted)
    for mask in (width * 2 - 1, width // 2 - 1, 7, 0xFF):
        yield Kind.MASK, f"mask-{mask}", f"the distance is masked with {mask}, not {width - 1}", masked(mask)
    sentence = "a distance that is not below the width counts as 0"
    in_range = computing(row, lambda n, d, s: n.select(n.less(s, n.const(width)), shifted(n, d, s), d))
    yield Kind.MASK, "ignored", sentence, in_range
    sentence = "a distance that is not below the width shifts by the width less 1"
    saturated = computing(
        row, lambda n, d, s: shifted(n, d, n.select(n.less(s, n.const(width)), s, n.const(width - 1)))
    )
    yield Kind.MASK, "saturated", sentence, saturated
    sentence = "the distance is one too high"
    longer = computing(row, lambda n, d, s: shifted(n, d, n.bitwise_and(n.add(s, n.const(1)), n.const(width - 1))))
    yield Kind.OFF_BY_ONE, "distance-plus-one", sentence, longer

    def from_zero(n: Any, dst: Any, amount: Any) -> Any:
        distance = n.bitwise_and(amount, n.const(width - 1))
        return n.select(is_zero(n, distance), n.const(0), shifted(n, dst, distance))

    yield Kind.LIMIT, "distance-zero", "a distance of 0 gives 0", computing(row, from_zero)
    back = "shift_right" if operation == "lsh" else "shift_left"

    def rotated(n: Any, dst: Any, amount: Any) -> Any:
        distance = n.bitwise_and(amount, n.const(width - 1))
        return n.bitwise_or(shifted(n, dst, distance), getattr(n, back)(dst, n.sub(n.const(width), distance)))

    yield Kind.OPERATION, "rotates", "bits that leave at one end come back at the other", computing(row, rotated)
