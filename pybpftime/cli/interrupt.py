"""Ctrl-C: a long run ends early, and what was printed of it is whole."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

INTERRUPTED = 130
"""Exit code after Ctrl-C: what a shell reports for SIGINT."""


class Interrupts:
    """While this is entered, SIGINT raises KeyboardInterrupt at once, but within `held` when that ends.

    The second SIGINT always raises at once, so that nothing can keep a process from ending.  Where somebody else
    handles or ignores SIGINT, and outside of the main thread, nothing changes.
    """

    def __init__(self) -> None:
        self._held = 0
        self._seen = False
        self._pending = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            try:
                self._before = signal.signal(signal.SIGINT, self._interrupt)
            except ValueError:  # not the main thread
                self._before = None
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is done here is done as a whole."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._pending and not self._held:
            self._pending = False
            raise KeyboardInterrupt

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._held and not self._seen:
            self._seen = self._pending = True
            return
        self._seen = True
        raise KeyboardInterrupt
