"""What a debugger gives the server: handlers of requests, and runs that may take long.

A handler is a method that is marked with the command it handles:

    @request("scopes")
    def scopes(self, client: Client, arguments: FrameArguments) -> ScopesBody: ...

It gets arguments that were checked, and returns the body of the response, None for no body, or a Run.  A BpfError
becomes an error response with its sentence, `CancelledError` one that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pybpftime.debug.dap.bodies import ExceptionBreakpointsFilter, StoppedEvent
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.requests import REQUESTS

Body = Mapping[str, object]


class CancelledError(Exception):
    """Raised by a handler that ended early because `Backend.interrupt` was called."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The program ended for good."""

    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """Execution that a handler asks for; it begins when the response with `body` was sent.

    `advance` runs until the program stops (and says how, which becomes the event `stopped`), ends, or was held up by
    `Backend.interrupt`: then it returns None, and is called again to go on.  Between two calls other requests are
    handled.  `pause` is called instead when the client wants the program to stop where it is; no `advance` follows.
    """

    advance: Callable[[], StoppedEvent | Ended | None]
    pause: Callable[[], StoppedEvent]
    body: Body | None = None


Handler = Callable[[Client, Any], Body | Run | None]
_Method = TypeVar("_Method", bound=Callable[..., Any])
_MARK = "dap_command"


class Backend(Protocol):
    """The debugger behind a server: an object with marked methods and these.

    All methods but `interrupt` are called on one thread.
    """

    @property
    def exception_filters(self) -> Sequence[ExceptionBreakpointsFilter]: ...

    @property
    def completion_triggers(self) -> Sequence[str]: ...

    def interrupt(self) -> None:
        """What runs now, or begins next, ends soon.  Called from another thread, at any time, any number of times."""

    def rearm(self) -> None:
        """Forget interrupts that came up to now."""

    def close(self) -> None:
        """The client is gone or says goodbye: let go of everything.  Called once, and nothing else after it."""


def request(command: str) -> Callable[[_Method], _Method]:
    """Mark a method as the handler of a command."""
    row = REQUESTS.get(command)
    if row is None or row.why_not:
        raise ValueError(f"{command} is no request that the server serves")

    def mark(method: _Method) -> _Method:
        setattr(method, _MARK, command)
        return method

    return mark


def handlers_of(owner: object) -> dict[str, Handler]:
    """Command -> the bound method that is marked with it: of `owner`, or of one of the objects in its `parts`."""
    found: dict[str, Handler] = {}
    for part in (owner, *getattr(owner, "parts", ())):
        for name in dir(type(part)):
            command = getattr(getattr(type(part), name), _MARK, None)
            if command is None:
                continue
            if command in found:
                raise ValueError(f"{type(owner).__name__} has two handlers of {command}")
            found[command] = getattr(part, name)
    return found
