"""Cases of RFC 9669 section 4.2.

Cases are run on little-endian machines, where htole keeps bytes and htobe turns them; `bswap` turns them
always.  All of them clear what is above the width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pybpftime.conformance.corpus.bits import low, swapped
from pybpftime.conformance.corpus.operands import drawn
from pybpftime.conformance.corpus.text import CaseText, Table, document, shown

OPERATIONS: dict[str, tuple[Callable[[int, int], int], str]] = {
    "le": (low, "to little-endian: a truncation on a little-endian machine"),
    "be": (swapped, "to big-endian: bytes reversed on a little-endian machine"),
    "swap": (swapped, "bytes reversed on every machine"),
}
VALUES = (
    0, 1, 0x0102_0304_0506_0708, 0xFFFF_FFFF_FFFF_FFFF, 0x80, 0x8000, 0x8000_0000, 0x8000_0000_0000_0000, 0xFF00,
    0xFFFF_0000_FFFF_0000, 0x0000_FFFF_0000_0080,
)  # fmt: skip


def files() -> Iterator[tuple[str, str]]:
    """Paths below conformance/cases, and their text."""
    for name, (convert, meaning) in OPERATIONS.items():
        yield f"byte_swaps/{name}.case", document(f"{name}: {meaning}.", "RFC 9669 4.2", list(_cases(name, convert)))


def _cases(name: str, convert: Callable[[int, int], int]) -> Iterator[CaseText]:
    for bits in (16, 32, 64):
        numbers = [*VALUES, *drawn(f"{name}{bits}", 2, 64)]
        yield CaseText(
            f"{name}{bits}",
            f"{bits} bits; what is above them is cleared",
            ("lddw %r6, {dst}", f"{name}{bits} %r6", "mov %r0, %r6", "exit"),
            table=Table(("dst",), ("r0",), tuple((shown(value), shown(convert(value, bits))) for value in numbers)),
        )
    for bits in (16, 32):
        rows = tuple((shown(value), shown(convert(value, bits))) for value in (0, 0x0102_0304, 0x8000_00FF))
        yield CaseText(
            f"base32.{name}{bits}",
            "with 32-bit instructions beside it",
            ("mov32 %r6, {dst}", f"{name}{bits} %r6", "mov32 %r0, %r6", "exit"),
            table=Table(("dst",), ("r0",), rows),
        )
