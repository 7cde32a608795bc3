"""Assembly text as tokens: the same lexical rules for both syntaxes.

Comments begin with `;`, `//` or `#`; a `#` between a name and a digit is part of a call (`bpf_ktime_get_ns#5`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    REGISTER = "register"
    NUMBER = "number"
    NAME = "name"
    SYMBOL = "symbol"
    END = "end"  # of the line
    UNKNOWN = "unknown"


class Token(NamedTuple):  # made so often that the time of a frozen dataclass counts
    """`column` counts characters from 1."""

    kind: Kind
    text: str
    column: int

    def __str__(self) -> str:
        shown = self.text if len(self.text) <= 40 else self.text[:37] + "..."
        return "the end of the line" if self.kind is Kind.END else repr(shown)


NAME = r"[A-Za-z_.$][\w.$]*"
REGISTER = re.compile(r"%?[rw][0-9]+", re.ASCII)

_COMMENT = re.compile(r";|//|(?<!\w)#|#(?![0-9])", re.ASCII)
_TOKEN = re.compile(
    rf"""
    (?P<symbol> <<= | s?>>= | s?<= | s?>= | == | != | \+= | -= | \*= | s?/= | s?%= | \|= | &= | \^=
              | s?< | s?> | [-+*=&()\[\],:\#] )
  | (?P<register> {REGISTER.pattern} (?![\w.$]) )
  | (?P<name> {NAME} )
  | (?P<number> [0-9]\w* )
  | (?P<unknown> \S )
    """,
    re.ASCII | re.VERBOSE,
)


_KINDS: Mapping[str | None, Kind] = {kind.value: kind for kind in Kind}


def without_comment(line: str) -> str:
    """The part of a line before its comment, without white space at its end."""
    comment = _COMMENT.search(line)
    return (line[: comment.start()] if comment else line).rstrip()


def tokenize(line: str, start: int = 0) -> list[Token]:
    """The tokens of `line` from index `start` on, an END token last."""
    tokens = [
        Token(_KINDS[match.lastgroup], match.group(), match.start() + 1) for match in _TOKEN.finditer(line, start)
    ]
    return [*tokens, Token(Kind.END, "", len(line) + 1)]
