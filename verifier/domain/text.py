"""Ranges as a person reads them."""

from __future__ import annotations

from pybpftime.verifier.domain.words import W32, W64, smear

READABLE = 1 << 16
"""Numbers beyond this are written in hexadecimal, unless they are easier to read as -1 or the like."""


def number(value: int) -> str:
    """A number, in decimal while that is readable."""
    return str(value) if abs(value) < READABLE else f"{value:#x}"


def describe(
    value: int,
    mask: int,
    umin: int,
    umax: int,
    smin: int,
    smax: int,
    low_umin: int,
    low_umax: int,
    low_smin: int,
    low_smax: int,
) -> str:
    """A few words for the views of a `Range`: `5`, `0..255`, `-4..10`, `0..60 in steps of 4`, `any number`.

    The interval is the shorter of the unsigned and the signed one.  What the bits and the low half know beyond it is
    added.
    """
    if umin == umax:
        return number(umin if umin < W64.sign or smin < -READABLE else smin)
    low, high = (smin, smax) if smax - smin < umax - umin else (umin, umax)
    parts = []
    if high - low < W64.ones:
        parts.append(f"{number(low)}..{number(high)}")
    parts += bits_beyond(value, mask, low ^ high if low >= 0 else W64.ones)
    if high - low > W32.ones and min(low_umax - low_umin, low_smax - low_smin) < W32.sign:
        signed = low_smax - low_smin < low_umax - low_umin
        low, high = (low_smin, low_smax) if signed else (low_umin, low_umax)
        parts.append(f"low half {number(low)}..{number(high)}")
    return " ".join(parts[:1]) + "".join(f", {part}" for part in parts[1:]) if parts else "any number"


def bits_beyond(value: int, mask: int, differ: int) -> list[str]:
    """What a tnum knows about the bits in which the ends of an interval differ."""
    known = smear(differ) & ~mask
    step = mask & -mask
    if known == 0:
        return []
    if value & known == 0 and known == step - 1:
        return [f"in steps of {number(step)}"]
    return [f"bits {known:#x} are {value & known:#x}"]
