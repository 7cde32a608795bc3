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


def console(target: TextIO | None = None) -> Console:
    """Standard output, or `target`; as wide as a table wants to be when it is no terminal."""
    stream = sys.stdout if target is None else target
    if stream.isatty():
        return _Console(file=stream, highlight=False, emoji=False)
    file: Any = _Plain(stream)
    return _Console(file=file, highlight=False, emoji=False, soft_wrap=True, width=UNLIMITED)


def print_json(data: Any) -> None:
    """One JSON document."""
    json.dump(data, sys.stdout, indent=2, default=plain)
    sys.stdout.write("\n")


class JsonWriter:
    """Writes one JSON document to standard output part by part, laid out as `print_json` does, and keeps none of it.

    `depth` is how many objects and lists are open.
    """

    def __init__(self) -> None:
        self._open: list[tuple[str, bool]] = []  # what closes it, and whether something is in it

    @property
    def depth(self) -> int:
        return len(self._open)

    def begin(self, bracket: str, name: str | None = None) -> None:
        """Open an object (`{`) or a list (`[`), as the member `name` if it stands in an object."""
        self._write(bracket, name)
        self._open.append(("}" if bracket == "{" else "]", False))

    def add(self, value: Any, name: str | None = None) -> None:
        """A whole value."""
        self._write(json.dumps(value, indent=2, default=plain), name)

    def end(self, to: int) -> None:
        """Close what is open, the innermost first, until `to` are; the document ends with 0."""
        while len(self._open) > to:
            closing, filled = self._open.pop()
            sys.stdout.write(f"\n{'  ' * len(self._open)}{closing}" if filled else closing)
            if not self._open:
                sys.stdout.write("\n")

    def _write(self, text: str, name: str | None) -> None:
        before = ""
        if self._open:
            closing, filled = self._open[-1]
            self._open[-1] = closing, True
            before = f"{',' if filled else ''}\n{'  ' * len(self._open)}"
        key = "" if name is None else f"{json.dumps(name)}: "
        # Line feeds are layout only: those of strings are escaped.
        sys.stdout.write(before + key + text.replace("\n", "\n" + "  " * len(self._open)))


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
