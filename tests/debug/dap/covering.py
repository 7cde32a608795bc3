"""Tests say which requests they cover, and are held to it: docs/reference/dap.md lists them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

ANSWERED: Counter[str] = Counter()
"""Command -> how often a client of this process got a response that is not about the request being unknown."""

_Test = TypeVar("_Test", bound=Callable[..., Any])


def note(response: dict[str, Any]) -> None:
    """A client got a response."""
    if response.get("message") not in ("unsupported", "outOfPlace", "internalError"):
        ANSWERED[response["command"]] += 1


def covers(*commands: str) -> Callable[[_Test], _Test]:
    """The test covers these requests: it fails unless each of them was answered in it."""

    def mark(test: _Test) -> _Test:
        @functools.wraps(test)
        def checked(*arguments: Any, **named: Any) -> None:
            before = Counter(ANSWERED)
            test(*arguments, **named)
            silent = [command for command in commands if ANSWERED[command] == before[command]]
            assert not silent, f"{test.__name__} says that it covers {', '.join(silent)}"

        return checked  # type: ignore[return-value]

    return mark
