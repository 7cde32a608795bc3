"""What a program and the debugger say, in the order in which they said it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MOST_LINES = 2000


@dataclass(frozen=True, slots=True)
class OutputLine:
    """A line.  `kind` is "printk", "log", "stop", "input", "result" or "error"; `step` is when it was said."""

    kind: str
    text: str
    step: int


class OutputLog:
    """The last lines.  One thread writes, others may read."""

    def __init__(self) -> None:
        self._lines: deque[OutputLine] = deque(maxlen=MOST_LINES)
        self.count = 0
        """How many lines there ever were."""

    def add(self, kind: str, text: str, step: int) -> None:
        """Say something; a text of several lines becomes several lines."""
        for part in text.splitlines() or [""]:
            self._lines.append(OutputLine(kind, part, step))
            self.count += 1

    def lines(self) -> tuple[OutputLine, ...]:
        """The lines that are kept; a copy."""
        while True:
            try:
                return tuple(self._lines)
            except RuntimeError:  # one was added meanwhile
                continue
