"""Operand values at which arithmetic goes wrong."""

from __future__ import annotations


def edges(width: int) -> tuple[int, ...]:
    """Unsigned values of `width` bits: around 0, around the sign, around every shorter width and the shift counts."""
    top = 1 << width
    near = [0, width, top // 2, top]
    near += [1 << bits for bits in (1, 3, 4, 5, 6, 7, 8, 15, 16, 31, 32) if bits < width]
    patterns = [0x1234_5678_9ABC_DEF0, 0x8877_6655_4433_2211, 0xAAAA_AAAA_5555_5555, 0xFFFF_FFFF_0000_0000]
    values = {value + step for value in near for step in (-1, 0, 1)} | set(patterns) | {3, 7, 10, -2, -3, -7, -10}
    return tuple(sorted({value % top for value in values}))
