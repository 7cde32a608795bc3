"""What the tables of context structures share: sizes of accesses, and fields that follow one another."""

from __future__ import annotations

from collections.abc import Iterable

from pybpftime.program.types.layout import Field, FieldKind

WHOLE = (4,)
WIDE = (8,)
NARROW = (1, 2, 4)
ANY = (1, 2, 4, 8)


def consecutive(fields: Iterable[tuple[str, int]], *, loads: tuple[int, ...], start: int = 0) -> tuple[Field, ...]:
    """Fields of these names and sizes, one behind the other from offset `start` on."""
    result = []
    for name, size in fields:
        result.append(Field(name, start, size, loads=loads))
        start += size
    return tuple(result)


def address(name: str, offset: int, kind: FieldKind) -> Field:
    """An address of 8 bytes in the structure (`__bpf_md_ptr`), which is loaded whole."""
    return Field(name, offset, 8, kind, loads=WIDE)
