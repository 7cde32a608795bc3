"""Rows: what a pane shows, line by line, as text with a meaning.  Which colour a meaning has, the screen decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a piece of text is."""

    PLAIN = "plain"
    DIM = "dim"
    TITLE = "title"
    NUMBER = "number"
    HERE = "here"  # the line that is next
    CALLER = "caller"
    BREAKPOINT = "breakpoint"
    CHANGED = "changed"
    SOURCE = "source"  # lines of source between instructions
    NAME = "name"
    ERROR = "error"


class Kind(StrEnum):
    """What a row stands for, when it is chosen by a click or by Enter."""

    LINE = "line"  # of the source; its number
    SLOT = "slot"  # of the program
    FRAME = "frame"
    OPEN = "open"  # a key of `Look.opened`
    STEP = "step"


@dataclass(frozen=True, slots=True)
class Target:
    """What a row stands for."""

    kind: Kind
    value: int | str


@dataclass(frozen=True, slots=True)
class Row:
    """A line: pieces of text with their roles.  `background` is the role of the line as a whole."""

    pieces: tuple[tuple[str, Role], ...]
    target: Target | None = None
    background: Role = Role.PLAIN

    @property
    def text(self) -> str:
        """Without the roles."""
        return "".join(text for text, _ in self.pieces)


Rows = Sequence[Row]
CHANGED = "*"
TAB = 4

_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), "�")


def clean(text: str) -> str:
    """Text for one line of the screen: tabs as spaces, control characters replaced, since they would act on it."""
    return text.expandtabs(TAB).translate(_CONTROLS)


def row(*pieces: str | tuple[str, Role], target: Target | None = None, background: Role = Role.PLAIN) -> Row:
    """A row; a piece without a role is plain."""
    made = ((one, Role.PLAIN) if isinstance(one, str) else one for one in pieces)
    return Row(tuple((clean(text), role) for text, role in made if text), target, background)


def note(text: str) -> Row:
    """A row with a remark."""
    return row((text, Role.DIM))


def columns(lines: Iterable[Sequence[str]], longest: int) -> list[list[str]]:
    """Cells padded to columns; numbers to the right.  Cells longer than `longest` are cut."""
    cut = [[_cut(clean(cell), longest) for cell in line] for line in lines]
    if not cut:
        return []
    widths = [max(len(line[at]) for line in cut) for at in range(len(cut[0]))]
    return [
        [cell.rjust(width) if _is_number(cell) else cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        for line in cut
    ]


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()
