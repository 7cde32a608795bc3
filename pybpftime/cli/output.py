"""How commands print: rich tables and colours on a terminal, plain text when piped, JSON for machines."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from pybpftime.cli.failure import printable

UNLIMITED = 100_000
"""Width of output that is no terminal, so that nothing is cut or folded."""


class _Console(Console):
    """A console that passes on no control characters of what it prints: names in files are anybody's."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Any:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """The reader went away: `main` knows what to do."""
        raise BrokenPipeError


class _Plain:
    """Standard output without the spaces that fill up the last column of a table."""

    def __init__(self, target: TextIO) -> None:
        self._target = target

    def write(self, text: str) -> int:
        self._target.write("\n".join(line.rstrip(" ") for line in text.split("\n")))
        return len(text)

    def flush(self) -> None:
        self._target.flush()

    def isatty(self) -> bool:
        return False


def console() -> Console:
    """Standard output; as wide as a table wants to be when it is no terminal."""
    if sys.stdout.isatty():
        return _Console(file=sys.stdout, highlight=False, emoji=False)
    file: Any = _Plain(sys.stdout)
    return _Console(file=file, highlight=False, emoji=False, soft_wrap=True, width=UNLIMITED)


def print_json(data: Any) -> None:
    """One JSON document."""
    json.dump(data, sys.stdout, indent=2, default=plain)
    sys.stdout.write("\n")


def plain(value: Any) -> Any:
    """What json does not know: bytes as hex, values of classes and mappings as objects, other iterables as lists."""
    if isinstance(value, bytes | bytearray | memoryview):
        return value.hex()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Iterable) else str(value)


class _Table(Table):
    """A table whose cells are plain text, without markup and control characters."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        shown = [Text(printable(cell)) if isinstance(cell, str) else cell for cell in cells]
        super().add_row(*shown, **options)


def table(*columns: str | tuple[str, str], title: str | None = None) -> Table:
    """A table in the house style; a column is a name, or a name and `right`."""
    grid = _Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for column in columns:
        name, justify = (column, "left") if isinstance(column, str) else column
        grid.add_column(Text(name), justify="right" if justify == "right" else "left", overflow="fold")
    return grid


_VERDICT_COLOURS = {
    "green": ("PASS", "_OK", "ACCEPT", "accept", "allow"),
    "red": ("DROP", "SHOT", "ABORTED", "fault", "limit", "drop", "deny"),
    "yellow": ("TX", "REDIRECT", "STOLEN"),
}


def verdict_style(name: str) -> str:
    """The colour of a verdict: let through, dropped or failed, sent elsewhere; "" for others."""
    matches = (colour for colour, words in _VERDICT_COLOURS.items() if any(word in name for word in words))
    return next(matches, "")


def verdict_text(name: str) -> Text:
    """A verdict in its colour."""
    return Text(name, style=verdict_style(name))


def number(value: int) -> str:
    """Digits in groups of three."""
    return f"{value:,}"


def count_of(count: int, noun: str) -> str:
    """`1 packet`, `2,000 packets`, `3 entries`."""
    if count != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number(count)} {noun}"


def bytes_text(content: bytes, limit: int = 64) -> str:
    """Hex in groups, cut after `limit` bytes."""
    text = content[:limit].hex(" ")
    return f"{text} ... ({len(content)} bytes)" if len(content) > limit else text
