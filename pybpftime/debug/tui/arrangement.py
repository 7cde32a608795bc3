"""Which pane stands where, for a screen of any size: areas of the screen, each with one pane or several as tabs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Pane(StrEnum):
    """The panes.  The value is the title."""

    SOURCE = "Source"
    CODE = "Code"
    VARIABLES = "Vars"
    REGISTERS = "Regs"
    STACK = "Stack"
    MEMORY = "Mem"
    MAPS = "Maps"
    PACKET = "Packet"
    OUTPUT = "Output"
    PROOF = "Proof"


@dataclass(frozen=True, slots=True)
class Split:
    """Parts side by side, or one above the other, which share the room by their weights."""

    is_row: bool
    parts: tuple[tuple[int, Split | tuple[Pane, ...]], ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """An area of the screen in cells, and the panes that share it."""

    x: int
    y: int
    width: int
    height: int
    panes: tuple[Pane, ...]


REST = (Pane.VARIABLES, Pane.REGISTERS, Pane.STACK, Pane.MEMORY, Pane.MAPS, Pane.PACKET, Pane.PROOF)


def rows(*parts: tuple[int, Split | tuple[Pane, ...]]) -> Split:
    """One above the other."""
    return Split(False, parts)


def beside(*parts: tuple[int, Split | tuple[Pane, ...]]) -> Split:
    """Side by side."""
    return Split(True, parts)


TINY = rows((1, (Pane.SOURCE, Pane.CODE, *REST, Pane.OUTPUT)))
SMALL = rows((15, beside((42, (Pane.SOURCE, Pane.CODE)), (38, REST))), (6, (Pane.OUTPUT,)))
MIDDLE = rows(
    (
        30,
        beside(
            (64, rows((3, (Pane.SOURCE,)), (2, (Pane.CODE,)))),
            (
                56,
                rows(
                    (13, (Pane.REGISTERS, Pane.STACK)), (12, (Pane.VARIABLES, Pane.MAPS, Pane.PROOF)),
                    (9, (Pane.MEMORY, Pane.PACKET)),
                ),
            ),
        ),
    ),
    (7, (Pane.OUTPUT,)),
)  # fmt: skip
LARGE = beside(
    (68, rows((41, (Pane.SOURCE,)), (15, (Pane.OUTPUT,)))),
    (56, rows((30, (Pane.CODE,)), (13, (Pane.MEMORY,)), (13, (Pane.PACKET,)))),
    (
        76,
        rows(
            (12, (Pane.REGISTERS,)), (12, (Pane.PROOF,)), (13, (Pane.VARIABLES,)), (6, (Pane.STACK,)),
            (13, (Pane.MAPS,)),
        ),
    ),
)  # fmt: skip
SIZES = ((160, 50, LARGE), (110, 34, MIDDLE), (60, 16, SMALL), (0, 0, TINY))
"""The least width and height of each arrangement."""


def arrange(width: int, height: int) -> tuple[Placed, ...]:
    """The areas that fill a rectangle."""
    split = next(split for least_width, least_height, split in SIZES if width >= least_width and height >= least_height)
    return tuple(_place(split, 0, 0, width, height))


def in_front(areas: tuple[Placed, ...], chosen: Mapping[tuple[Pane, ...], Pane]) -> dict[Pane, Placed]:
    """The panes that can be seen: of each area the one that was chosen, else the first."""
    return {chosen.get(area.panes, area.panes[0]): area for area in areas}


def _place(part: Split | tuple[Pane, ...], x: int, y: int, width: int, height: int) -> Iterator[Placed]:
    if not isinstance(part, Split):
        yield Placed(x, y, width, height, part)
        return
    room, total, used, begin = width if part.is_row else height, sum(weight for weight, _ in part.parts), 0, 0
    for weight, inner in part.parts:
        used += weight
        end = room * used // total
        if part.is_row:
            yield from _place(inner, x + begin, y, end - begin, height)
        else:
            yield from _place(inner, x, y + begin, width, end - begin)
        begin = end
