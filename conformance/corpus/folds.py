"""Programs that go through many operands, and fold every result into r0.

The fold is r0 = r0 * 33 + result.  It is a bijection of r0, so one wrong result is always seen in the end, whatever
comes behind it; 33 is written as a shift and an addition, which every conformance group has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pybpftime.conformance.corpus.bits import unsigned

FACTOR = 33


def folded(results: Iterable[int], width: int = 64) -> int:
    """What r0 is in the end."""
    r0 = 0
    for result in results:
        r0 = unsigned(FACTOR * r0 + result, width)
    return r0


def fold(register: int, suffix: str = "", accumulator: int = 0, scratch: int = 5) -> tuple[str, ...]:
    """accumulator = accumulator * 33 + register, with 32-bit instructions when the suffix is 32."""
    return (
        f"mov{suffix} %r{scratch}, %r{accumulator}",
        f"lsh{suffix} %r{scratch}, 5",
        f"add{suffix} %r{accumulator}, %r{scratch}",
        f"add{suffix} %r{accumulator}, %r{register}",
    )


def crossing(operation: str, count: int, size: int) -> tuple[str, ...]:
    """Loads `count` values of dst and as many of src from memory, and does `operation` on all pairs.

    The program's memory has the values of dst first.  With `size` 4, the program is of 32-bit instructions alone.
    """
    load, suffix = ("ldxdw", "") if size == 8 else ("ldxw", "32")
    lines = [f"mov{suffix} %r0, 0"]
    for first in range(count):
        for second in range(count):
            lines += [
                f"{load} %r6, [%r1+{first * size}]",
                f"{load} %r7, [%r1+{(count + second) * size}]",
                f"{operation} %r6, %r7",
                *fold(6, suffix),
            ]
    return (*lines, "exit")


def crossing_immediates(operation: str, count: int, immediates: int, size: int) -> tuple[str, ...]:
    """The same with immediates, which are the placeholders {i0}, {i1}, ..."""
    load, suffix = ("ldxdw", "") if size == 8 else ("ldxw", "32")
    lines = [f"mov{suffix} %r0, 0"]
    for first in range(count):
        for second in range(immediates):
            lines += [f"{load} %r6, [%r1+{first * size}]", f"{operation} %r6, {{i{second}}}", *fold(6, suffix)]
    return (*lines, "exit")


def deciding(condition: str, count: int, size: int) -> tuple[str, ...]:
    """Compares all pairs of `count` values with `count` others; r0 has a bit for each jump, the first one highest.

    A bit is 1 when the jump was taken.  With `size` 4, the program is of 32-bit instructions alone.
    """
    load, suffix = ("ldxdw", "") if size == 8 else ("ldxw", "32")
    lines = [f"mov{suffix} %r0, 0"]
    for first in range(count):
        for second in range(count):
            lines += [
                f"{load} %r6, [%r1+{first * size}]",
                f"{load} %r7, [%r1+{(count + second) * size}]",
                *_decision(f"{condition} %r6, %r7", suffix),
            ]
    return (*lines, "exit")


def deciding_immediates(condition: str, count: int, immediates: int, size: int) -> tuple[str, ...]:
    """The same with immediates, which are the placeholders {i0}, {i1}, ..."""
    load, suffix = ("ldxdw", "") if size == 8 else ("ldxw", "32")
    lines = [f"mov{suffix} %r0, 0"]
    for first in range(count):
        lines.append(f"{load} %r6, [%r1+{first * size}]")
        for second in range(immediates):
            lines += _decision(f"{condition} %r6, {{i{second}}}", suffix)
    return (*lines, "exit")


def _decision(comparison: str, suffix: str) -> tuple[str, ...]:
    return (
        f"add{suffix} %r0, %r0",
        f"add{suffix} %r0, 1",
        f"{comparison}, +1",
        f"sub{suffix} %r0, 1",
    )


def decided(outcomes: Sequence[bool]) -> int:
    """What r0 is in the end."""
    return int("".join("1" if taken else "0" for taken in outcomes), 2)
