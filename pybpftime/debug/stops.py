"""Why a program stopped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """What made the program stop."""

    ENTRY = "entry"  # an invocation begins
    STEP = "step"
    BREAKPOINT = "breakpoint"
    WATCHPOINT = "watchpoint"
    RETURNED = "returned"  # the program is at its end: there is a result
    FAULT = "fault"  # the program did something undefined, or met a limit
    START = "start"  # going back, there is nothing before
    END = "end"  # going forward, there is nothing behind
    PAUSED = "paused"
    GOTO = "goto"


@dataclass(frozen=True, slots=True)
class Stop:
    """Where and why: `breakpoints` are the numbers of those that were hit; `text` says more, if there is more."""

    reason: Reason
    step: int
    breakpoints: tuple[int, ...] = ()
    text: str = ""
