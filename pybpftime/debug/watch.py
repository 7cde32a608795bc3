"""Watchpoints: stop where a value changes.

Values are compared after every instruction, so whatever changes one is seen: stores, atomic operations, helpers, the
user.  A store of the same value is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pybpftime.debug.values import TypedValue
from pybpftime.debug.world import ENDED


@dataclass
class Watchpoint:
    """`read` gives the bytes that are watched, None where they are not there; `show` turns bytes into text."""

    number: int
    text: str
    read: Callable[[], bytes | None]
    show: Callable[[bytes | None], str]
    enabled: bool = True
    hits: int = 0


@dataclass(frozen=True, slots=True)
class Changed:
    """A watched value was `old` and is `new`."""

    watchpoint: Watchpoint
    old: bytes | None
    new: bytes | None

    def __str__(self) -> str:
        one = self.watchpoint
        return f"{one.text}: {one.show(self.old)} -> {one.show(self.new)}"


class Watching:
    """Compares the values of some watchpoints from one step to the next."""

    def __init__(self, watchpoints: list[Watchpoint]) -> None:
        self._watchpoints = watchpoints
        self._values = [one.read() for one in watchpoints]
        self.changes: list[Changed] = []
        """Of the last step."""

    def look(self, pc: int) -> bool:
        """Whether anything changed since the last look."""
        values = [one.read() for one in self._watchpoints]
        if values == self._values:
            return False
        pairs = zip(self._watchpoints, self._values, values, strict=True)
        self.changes = [Changed(one, old, new) for one, old, new in pairs if old != new]
        self._values = values
        return pc != ENDED or bool(self.changes)


def shown(value: TypedValue, content: bytes | None) -> str:
    """Bytes as a value of the type of `value`."""
    from pybpftime.debug.values import Constant

    if content is None:
        return "(not there)"
    return value.at(Constant(content)).text()
