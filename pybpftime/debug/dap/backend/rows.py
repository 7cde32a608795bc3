"""Lists of variables: what an editor shows as a tree, a level at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pybpftime.debug.frames import Frame
from pybpftime.debug.values import TypedValue, ViewFormat, text_as
from pybpftime.errors import InputError
from pybpftime.program.btf import Array, Ptr

MOST_ROWS = 10_000
"""Rows of a list that are given to a client that asks for all at once."""


@dataclass(frozen=True, slots=True)
class Style:
    """How values are written: numbers as hexadecimal ones, how many elements of an array."""

    hex: bool = False
    limit: int = 64

    def text(self, value: TypedValue) -> str:
        """A value in one line."""
        return text_as(value, ViewFormat("x"), limit=self.limit) if self.hex else value.text(limit=self.limit)

    def number(self, number: int) -> str:
        """A number of our own."""
        return f"{number:#x}" if self.hex else str(number)


@dataclass(frozen=True, slots=True)
class Row:
    """One variable.

    `path` is what to type to get at it, "" if there is no such text; whatever has a path can be changed by assigning
    to that, unless `assign` does it.  `value` is what it is, where it is a value of C.
    """

    name: str
    text: str
    type: str = ""
    path: str = ""
    container: Container | None = None
    value: TypedValue | None = None
    address: int | None = None
    declared: tuple[str, int] | None = None
    assign: Callable[[str], None] | None = None
    read_only: bool = False


class Container(Protocol):
    """What has variables in it: a scope, a structure, an array, a map."""

    frame: Frame | None

    @property
    def indexed(self) -> int:
        """How many elements it has, where these are numbered; else 0: it has names."""

    def rows(self, style: Style, start: int = 0, count: int | None = None) -> list[Row]:
        """The variables, `count` of them from `start` on."""


class Named:
    """Rows that are made when they are asked for."""

    indexed = 0

    def __init__(self, frame: Frame | None, make: Callable[[Style], Sequence[Row]]) -> None:
        self.frame = frame
        self._make = make

    def rows(self, style: Style, start: int = 0, count: int | None = None) -> list[Row]:
        return list(self._make(style))[start : None if count is None else start + count]


class Indexed:
    """The same for rows with numbers; `make` gives those from one to another."""

    def __init__(self, frame: Frame | None, length: int, make: Callable[[Style, range], Sequence[Row]]) -> None:
        self.frame = frame
        self._length = length
        self._make = make

    @property
    def indexed(self) -> int:
        return self._length

    def rows(self, style: Style, start: int = 0, count: int | None = None) -> list[Row]:
        first = min(max(start, 0), self._length)
        behind = self._length if count is None else min(self._length, first + max(count, 0))
        return list(self._make(style, range(first, behind)))


class Parts:
    """The members of a structure, the elements of an array, what a pointer points to."""

    def __init__(self, frame: Frame | None, value: TypedValue) -> None:
        self.frame = frame
        self._value = value

    @property
    def indexed(self) -> int:
        return self._value.child_count if isinstance(self._value.type.record, Array) else 0

    def rows(self, style: Style, start: int = 0, count: int | None = None) -> list[Row]:
        children = self._value.children(max(start, 0), MOST_ROWS if count is None else max(count, 0))
        # An anonymous member has no expression of its own: its members have.
        return [
            value_row(child.name, child.value, style, self.frame, path="" if child.anonymous else None)
            for child in children
        ]


def value_row(
    name: str,
    value: TypedValue,
    style: Style,
    frame: Frame | None,
    *,
    declared: tuple[str, int] | None = None,
    path: str | None = None,
) -> Row:
    """The row of a value."""
    return Row(
        name,
        style.text(value),
        value.type_text,
        value.expression if path is None else path,
        parts_of(value, frame),
        value,
        _address(value),
        declared,
    )


def parts_of(value: TypedValue, frame: Frame | None) -> Container | None:
    """Its parts, if it has some that can be looked at."""
    try:
        return Parts(frame, value) if value.child_count else None
    except InputError:
        return None


def _address(value: TypedValue) -> int | None:
    """Where its bytes are, for a view of memory; of a pointer, where it points."""
    try:
        return int(value.number()) or None if isinstance(value.type.record, Ptr) else value.address
    except InputError:
        return None


def find_row(container: Container, name: str, style: Style) -> Row:
    """The variable of that name; InputError if there is none."""
    index = re.fullmatch(r"\[(\d{1,9})\]", name)
    some = container.rows(style, int(index[1]), 1) if index and container.indexed else []
    for row in some or container.rows(style, 0, MOST_ROWS):
        if row.name == name:
            return row
    raise InputError(f"there is no variable named {name[:60]} here")
