"""What the client sent and nobody handled yet; the only thing that two threads share.

The reader thread puts, the session thread takes, in order.  What cannot wait for the session thread (a pause, a cancel,
the end) interrupts what the session thread does just now.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pybpftime.debug.dap.framing import Problem
from pybpftime.debug.dap.requests import REQUESTS, DuringRun


@dataclass(slots=True, eq=False)
class Incoming:
    """A request as it came; `arguments` were not looked at."""

    seq: int
    command: str
    arguments: Any
    cancelled: bool = False

    @property
    def during_run(self) -> DuringRun:
        """As the table says; what will be answered by an error does not wait."""
        row = REQUESTS.get(self.command)
        return DuringRun.SERVED if self.cancelled or row is None or row.why_not else row.during_run

    def cancels(self, seq: int, progress_id: str | None) -> bool:
        """Whether this is a `cancel` of the request or of the progress."""
        if self.command != "cancel" or type(self.arguments) is not dict:
            return False
        by_progress = progress_id is not None and self.arguments.get("progressId") == progress_id
        return by_progress or self.arguments.get("requestId") == seq


@dataclass(frozen=True, slots=True)
class Gone:
    """The client sends no more."""


Item = Incoming | Problem | Gone


@dataclass(frozen=True, slots=True)
class RunEnds:
    """Something that ends the run waits to be taken; what came before it goes first."""


@dataclass(slots=True)
class _Activity:
    seq: int
    is_run: bool
    progress_id: str | None = None

    def ended_by(self, item: Item) -> bool:
        if isinstance(item, Gone):
            return True
        return isinstance(item, Incoming) and item.during_run is DuringRun.ENDS_RUN

    def disturbed_by(self, item: Item) -> bool:
        """Whether `item` wants that this is interrupted."""
        if self.ended_by(item):
            return True
        if isinstance(item, Incoming) and item.cancels(self.seq, self.progress_id):
            return True
        return self.is_run and (not isinstance(item, Incoming) or item.during_run is DuringRun.SERVED)


class Inbox:
    """A queue that knows what the session thread is doing.  `interrupt` and `rearm` are those of the backend.

    The queue has no limit: with one, a client that sends much could not be heard when it asks for a pause.
    """

    def __init__(self, interrupt: Callable[[], None], rearm: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._rearm = rearm
        self._changed = threading.Condition()
        self._waiting: deque[Item] = deque()
        self._activity: _Activity | None = None

    def put(self, item: Item) -> None:
        with self._changed:
            if isinstance(item, Incoming) and item.command == "cancel":
                self._cancel_waiting(item)
            self._waiting.append(item)
            if self._activity is not None and self._activity.disturbed_by(item):
                self._interrupt()
            self._changed.notify()

    def _cancel_waiting(self, cancel: Incoming) -> None:
        for item in self._waiting:
            if isinstance(item, Incoming) and item.during_run is DuringRun.WAITS and cancel.cancels(item.seq, None):
                item.cancelled = True

    def take(self) -> Item:
        """The next in order; waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            return self._waiting.popleft()

    def take_during_run(self, seq: int, progress_id: str | None) -> Item | RunEnds | None:
        """The next that is handled while request `seq` has the program running; None if there is none."""
        run = _Activity(seq, is_run=True, progress_id=progress_id)
        with self._changed:
            for item in self._waiting:
                if run.ended_by(item):
                    return RunEnds()
                if run.disturbed_by(item):
                    self._waiting.remove(item)
                    return item
        return None

    @contextmanager
    def handling(self, seq: int) -> Iterator[None]:
        """While the handler of request `seq` works."""
        with self._activity_of(_Activity(seq, is_run=False)):
            yield

    @contextmanager
    def running(self, seq: int, progress_id: str | None) -> Iterator[bool]:
        """While request `seq` has the program running.  False: it must not run now, something else goes first."""
        with self._activity_of(_Activity(seq, is_run=True, progress_id=progress_id)) as undisturbed:
            yield undisturbed

    def shows_progress(self, progress_id: str | None) -> None:
        """The current activity has a progress bar, by which it can be cancelled."""
        with self._changed:
            if self._activity is not None:
                self._activity.progress_id = progress_id

    @contextmanager
    def _activity_of(self, activity: _Activity) -> Iterator[bool]:
        with self._changed:
            self._rearm()
            self._activity = activity
            undisturbed = not any(activity.disturbed_by(item) for item in self._waiting)
            if not undisturbed:
                self._interrupt()
        try:
            yield undisturbed
        finally:
            with self._changed:
                self._activity = None
