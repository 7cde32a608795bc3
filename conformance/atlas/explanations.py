"""Why runtimes answer otherwise: `explanations.toml`, read once."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

EXPLANATIONS = Path(__file__).parent / "explanations.toml"


class Why(StrEnum):
    """What a difference is."""

    BUG = "bug"  # the runtime means to do what is specified, and does not
    LIMIT = "limit"  # it does not have this, or refuses it on purpose
    UNSPECIFIED = "unspecified"  # nothing says what is right


@dataclass(frozen=True, slots=True)
class Explanation:
    """Shell-style patterns of runtimes and questions, and a sentence."""

    runtime: str
    questions: tuple[str, ...]
    why: Why
    text: str

    def covers(self, runtime: str, question: str) -> bool:
        """Whether it is about this answer."""
        return fnmatchcase(runtime, self.runtime) and any(fnmatchcase(question, one) for one in self.questions)


@cache
def explanations() -> tuple[Explanation, ...]:
    """All of them; the first that covers an answer explains it."""
    content = tomllib.loads(EXPLANATIONS.read_text("utf-8"))
    return tuple(
        Explanation(one["runtime"], tuple(one["questions"]), Why(one["why"]), one["text"])
        for one in content["explanation"]
    )
