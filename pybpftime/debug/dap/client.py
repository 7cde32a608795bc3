"""The client as handlers see it: what it can do, and the events that it is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from pybpftime.debug.dap.bodies import EVENTS
from pybpftime.debug.dap.framing import Message
from pybpftime.debug.dap.protocol import InitializeArguments
from pybpftime.debug.dap.shapes import Conventions, convert
from pybpftime.errors import InputError

# Events that a client gets only if it said in `initialize` that it knows them.
_ONLY_FOR = {
    "progressStart": "supportsProgressReporting",
    "progressUpdate": "supportsProgressReporting",
    "progressEnd": "supportsProgressReporting",
    "invalidated": "supportsInvalidatedEvent",
    "memory": "supportsMemoryEvent",
}

PROGRESS_AFTER = 0.3
"""Seconds after which an operation is worth a progress bar."""
PROGRESS_EVERY = 0.2
"""Seconds between two updates of it: more often than a person reads, less than would slow the operation."""


class Client:
    """Whoever is at the other end.  Used on the session thread alone."""

    def __init__(self, send: Callable[[Message], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.arguments: InitializeArguments = {"adapterID": ""}
        self.conventions = Conventions()
        self.clock = clock
        self._send = send
        self.on_progress: Callable[[str | None], None] = lambda progress_id: None
        self._progresses = 0
        self._shown_progress: Progress | None = None

    def introduce(self, arguments: InitializeArguments) -> None:
        """Take what the client said of itself in `initialize`."""
        self.arguments = arguments
        self.conventions = Conventions.of(arguments)

    def supports(self, capability: str) -> bool:
        """Whether the client announced a capability, such as supportsVariableType."""
        return self.arguments.get(capability) is True

    def event(self, name: str, body: Mapping[str, object] | None = None) -> None:
        """Send an event with our lines, columns and paths.  One that the client does not know is not sent."""
        if name in _ONLY_FOR and not self.supports(_ONLY_FOR[name]):
            return
        message: dict[str, Any] = {"type": "event", "event": name}
        if body is not None:
            try:
                message["body"] = convert(body, EVENTS[name], self.conventions.write, name)
            except InputError as error:
                raise TypeError(str(error)) from None  # whoever made the body is wrong, not the client
        self._send(message)

    def output(self, text: str, category: str = "console") -> None:
        """Print a line: `console` of the debugger, `stdout` of the program, `important` for what must be seen."""
        self.event("output", {"category": category, "output": text if text.endswith("\n") else text + "\n"})

    def progress(self, title: str, request_seq: int | None = None) -> Progress:
        """Report the progress of something that may take long: `with client.progress("Loading") as progress`."""
        self._progresses += 1
        return Progress(self, f"progress-{self._progresses}", title, request_seq)

    def end_progress(self) -> None:
        """Take away the progress bar that is shown, if one is."""
        if self._shown_progress is not None:
            self._shown_progress.end()

    def show_progress(self, progress: Progress | None) -> None:
        """For Progress: this bar is shown now."""
        self._shown_progress = progress
        self.on_progress(progress.id if progress else None)


class Progress:
    """A progress bar, shown when the operation takes longer than PROGRESS_AFTER seconds."""

    def __init__(self, client: Client, progress_id: str, title: str, request_seq: int | None) -> None:
        self._client = client
        self.id = progress_id
        self._title = title
        self._request_seq = request_seq
        self._next = client.clock() + PROGRESS_AFTER
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def update(self, message: str | None = None, percentage: float | None = None) -> None:
        """Say how far it is; cheap enough to be called often.  `percentage` is 0 to 100, None when nobody knows."""
        now = self._client.clock()
        if now < self._next:
            return
        self._next = now + PROGRESS_EVERY
        said = {"progressId": self.id, "message": message, "percentage": percentage}
        if self._shown:
            self._client.event("progressUpdate", said)
            return
        self._shown = True
        self._client.show_progress(self)
        self._client.event(
            "progressStart", {**said, "title": self._title, "requestId": self._request_seq, "cancellable": True}
        )

    def end(self, message: str | None = None) -> None:
        """Take the bar away, if there is one."""
        if self._shown:
            self._shown = False
            self._client.show_progress(None)
            self._client.event("progressEnd", {"progressId": self.id, "message": message})
