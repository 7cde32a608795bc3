"""Lines of text without comments, and which lines of a `.case` file belong to which case and field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pybpftime.errors import InputError

NAME = re.compile(r"[\w-][\w.-]*(?:/[\w-][\w.-]*)*", re.ASCII)
"""The name of a case, or a part of it."""
NAME_RULE = "letters, digits, _ - and . (not in front) make a name, / divides it"

T = TypeVar("T")

_HEADING = re.compile(r"case(?:\s+(?P<name>[^\s:]+))?\s*(?::(?P<about>.*))?", re.ASCII)
_FIELD = re.compile(r"(?P<key>[a-z]+):", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its comment, as it is indented, so that columns count as in the file."""

    number: int
    text: str


def lines_of(text: str) -> Iterator[Line]:
    """The lines that say something: a comment begins with `#`, wherever it stands."""
    for number, line in enumerate(text.split("\n"), start=1):
        content = line.partition("#")[0].rstrip()
        if content:
            yield Line(number, content)


def each(lines: Iterable[Line], read: Callable[[str], T]) -> Iterator[T]:
    """What `read` makes of every line; its InputError gets the line."""
    for line in lines:
        try:
            yield read(line.text.strip())
        except InputError as error:
            raise error.at(line=line.number) from None


@dataclass(slots=True)
class Field:
    """The lines of one field; of `key: value` the one line, with blanks in the place of the key."""

    line: int
    lines: list[Line]
    is_block: bool


@dataclass(slots=True)
class Entry:
    """What stands under one `case`."""

    line: int
    name: str
    about: str
    indent: int = 0
    fields: dict[str, Field] = field(default_factory=dict)


def read_entries(text: str, keys: Sequence[str]) -> tuple[str, list[Entry]]:
    """The citation at the top of a file, and its entries; InputError with a line for what is no such file."""
    cite: str | None = None
    entries: list[Entry] = []
    for line in lines_of(text):
        try:
            indent = _indent(line.text)
            if indent:
                _add(entries, line, indent, keys)
            elif line.text.startswith("cite:"):
                if entries or cite is not None:
                    raise InputError("`cite:` for a whole file stands once, before its cases")
                cite = line.text.removeprefix("cite:").strip()
            else:
                entries.append(_heading(line))
        except InputError as error:
            raise error.at(line=line.number) from None
    return cite or "", entries


def _indent(text: str) -> int:
    indent = len(text) - len(text.lstrip(" "))
    if text[indent].isspace():
        raise InputError("the line is indented with something else than spaces")
    return indent


def _heading(line: Line) -> Entry:
    match = _HEADING.fullmatch(line.text)
    if match is None:
        raise InputError("expected `case NAME: what it is about`, or an indented field")
    name = match["name"] or ""
    if name and not NAME.fullmatch(name):
        raise InputError(f"{_shown(name)} is no name of a case: {NAME_RULE}")
    return Entry(line.number, name, (match["about"] or "").strip())


def _add(entries: list[Entry], line: Line, indent: int, keys: Sequence[str]) -> None:
    """Put an indented line where it belongs."""
    if not entries:
        raise InputError("an indented line before the first `case`")
    entry = entries[-1]
    entry.indent = entry.indent or indent
    if indent == entry.indent:
        _open(entry, line, keys)
    elif indent < entry.indent:
        raise InputError(f"the fields of a case are indented alike, here by {entry.indent} spaces")
    else:
        key, opened = list(entry.fields.items())[-1]
        if not opened.is_block:
            raise InputError(f"`{key}:` has its value behind it, so nothing can stand below it")
        opened.lines.append(line)


def _open(entry: Entry, line: Line, keys: Sequence[str]) -> None:
    match = _FIELD.match(line.text, entry.indent)
    if match is None:
        raise InputError(f"expected a field, `key: value`, found {_shown(line.text.strip())}")
    key = match["key"]
    if key not in keys:
        raise InputError(
            f"there is no field {_shown(key)}, there are {', '.join(keys)}; a line of a field is indented deeper"
        )
    if key in entry.fields:
        raise InputError(f"`{key}:` stands already in line {entry.fields[key].line}")
    value = Line(line.number, " " * match.end() + line.text[match.end() :])
    is_block = not value.text.strip()
    entry.fields[key] = Field(line.number, [] if is_block else [value], is_block)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
