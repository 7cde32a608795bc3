"""One client served from its first byte to its last: requests in, responses and events out.

A reader thread turns bytes into messages and puts them into the inbox; everything else happens on the thread that
called `serve`, one request at a time and in order.  While a program runs, the requests that the table marks are handled
in between, and the run goes on.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pybpftime.debug.dap import protocol
from pybpftime.debug.dap.bodies import StoppedEvent
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.framing import Decoder, Message, Problem, encode
from pybpftime.debug.dap.handling import Backend, Body, CancelledError, Ended, Handler, Run, handlers_of, request
from pybpftime.debug.dap.inbox import Gone, Inbox, Incoming, Item, RunEnds
from pybpftime.debug.dap.requests import REQUESTS, State, capabilities
from pybpftime.debug.dap.shapes import convert
from pybpftime.debug.dap.transport import Channel
from pybpftime.errors import BpfError, InputError

ERROR_IDS = {"unsupported": 1, "outOfPlace": 2, "badArguments": 3, "cancelled": 4, "internalError": 5}
"""Short name of an error (the response's `message`) -> the number that the protocol wants beside it."""
EXPECTED_ERROR_ID = 10
"""The number of every BpfError; its short name is its class."""

# Where an error is nobody's answer to a click: the client should show it by itself.
_SHOWN_TO_USER = ("launch", "attach", "restart", "configurationDone")


class _ClientLeftError(Exception):
    """Nobody reads what is written."""


@dataclass(frozen=True, slots=True)
class _Current:
    """The run that a request began."""

    run: Run
    seq: int
    command: str


def log_to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Server:
    """Serves one client; `serve` returns when the client is gone or was told goodbye.

    `backend` brings the handlers.  `log` takes one line about each problem that is the client's or ours.
    """

    def __init__(self, backend: Backend, channel: Channel, log: Callable[[str], None] = log_to_stderr) -> None:
        self.client = Client(self._send)
        self.client.on_progress = self._show_progress
        self._backend = backend
        self._channel = channel
        self._log = log
        self._inbox = Inbox(backend.interrupt, backend.rearm)
        own, others = handlers_of(self), handlers_of(backend)
        if both := own.keys() & others.keys():
            raise ValueError(f"the server itself handles {', '.join(sorted(both))}")
        self._handlers: dict[str, Handler] = {**own, **others}
        self._state = State.NEW
        self._current: _Current | None = None
        self._progress_id: str | None = None
        self._sent = 0
        self._closed = False
        self._over = False
        self._orderly = False

    def serve(self) -> bool:
        """Serve until the end; True if the client said goodbye, or never began."""
        reader = threading.Thread(target=self._read, name="dap-reader", daemon=True)
        reader.start()
        try:
            while not self._over:
                self._turn()
        except _ClientLeftError:
            pass
        finally:
            self._close_backend()
            self._channel.finish_writing()
            reader.join(self._channel.farewell)
            self._channel.close()
        return self._orderly

    def _close_backend(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._backend.close()
        except Exception as error:  # the client, who is leaving, can do nothing about it
            self._internal_error("the end", error)

    # --- bytes ------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """The reader thread."""
        decoder = Decoder()
        try:
            while data := self._channel.read():
                for message in decoder.feed(data):
                    self._receive(message)
        except OSError:
            pass  # as good as the end of the input
        if problem := decoder.finish():
            self._inbox.put(problem)
        self._inbox.put(Gone())

    def _receive(self, message: Message | Problem) -> None:
        if isinstance(message, Problem):
            self._inbox.put(message)
            return
        seq, kind, command = message.get("seq"), message.get("type"), message.get("command")
        if kind in ("event", "response"):
            return  # clients send no events, and we ask them nothing
        if type(seq) is not int or kind != "request" or type(command) is not str:
            self._inbox.put(Problem("a message is no request: it needs seq, type and command"))
            return
        self._inbox.put(Incoming(seq, command, message.get("arguments")))

    def _send(self, message: Message) -> None:
        self._sent += 1
        try:
            self._channel.write(encode({"seq": self._sent, **message}))
        except OSError as error:
            raise _ClientLeftError from error

    # --- turns ------------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Handle one item, or let the program run for a while."""
        item: Item | RunEnds | None
        if self._current is None:
            item = self._inbox.take()
        else:
            item = self._inbox.take_during_run(self._current.seq, self._progress_id)
        if item is None:
            self._advance()
        elif isinstance(item, RunEnds):
            self._forget_run()
        elif isinstance(item, Incoming):
            self._answer(item)
        elif isinstance(item, Problem):
            self._complain(item)
        else:
            self._over = True
            self._orderly = self._orderly or self._state in (State.NEW, State.ENDED)

    def _complain(self, problem: Problem) -> None:
        self._log(f"client: {problem.reason}")
        self._over = self._over or problem.fatal
        self.client.output(f"The debugger did not understand the editor: {problem.reason}.", "important")

    def _answer(self, incoming: Incoming) -> None:
        """Handle a request and send its response; whatever it sets going begins after that."""
        try:
            handler, arguments = self._checked(incoming)
            with self._inbox.handling(incoming.seq):
                result = handler(self.client, arguments)
            run, body = (result, result.body) if isinstance(result, Run) else (None, result)
            response = self._response(incoming, body)
        except CancelledError:
            self._refuse(incoming, "cancelled", f"{incoming.command} was cancelled")
        except _RefusedError as refusal:
            self._refuse(incoming, refusal.name, refusal.reason)
        except BpfError as error:
            self._refuse(incoming, type(error).__name__, str(error))
        except _ClientLeftError:
            raise
        except Exception as error:  # one broken handler must not end the session
            self._refuse(incoming, "internalError", self._internal_error(incoming.command, error))
        else:
            self._send(response)
            self._follow_up(incoming.command)
            if run is not None:
                self._current = _Current(run, incoming.seq, incoming.command)

    def _checked(self, incoming: Incoming) -> tuple[Handler, Any]:
        row, handler = REQUESTS.get(incoming.command), self._handlers.get(incoming.command)
        if row is None or handler is None:
            why = row.why_not if row and row.why_not else "there is no such request here"
            raise _RefusedError("unsupported", f"{incoming.command} is not supported: {why}")
        if incoming.cancelled:
            raise CancelledError
        if self._state not in row.states:
            raise _RefusedError("outOfPlace", f"{incoming.command} is out of place: {self._state.value}")
        given = {} if incoming.arguments is None else incoming.arguments
        try:
            if incoming.command == "initialize":  # says how to read the rest, and has no line or path itself
                return handler, convert(given, row.arguments, lambda kind, value: value)
            return handler, convert(given, row.arguments, self.client.conventions.read)
        except InputError as error:
            raise _RefusedError("badArguments", str(error)) from None

    def _follow_up(self, command: str) -> None:
        """What comes after the successful response to a request."""
        if command == "initialize":
            self._state = State.INITIALIZED
        elif command in ("launch", "attach"):
            # Only now: breakpoints can be judged when there is a program.
            self._state = State.CONFIGURING
            self.client.event("initialized")
        elif command == "configurationDone":
            self._state = State.ACTIVE
        elif command == "terminate" and self._state is not State.ENDED:
            self._state = State.ENDED
            self.client.event("terminated")
        elif command == "disconnect":
            self._over = self._orderly = True

    # --- runs -------------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        current = self._current
        assert current is not None
        outcome: StoppedEvent | Ended | None = None
        try:
            with self._inbox.running(current.seq, self._progress_id) as undisturbed:
                if undisturbed:
                    outcome = current.run.advance()
            self._tell(outcome)
        except _ClientLeftError:
            raise
        except BpfError as error:
            self.client.output(f"The run ended early: {error}", "important")
            self._pause()
        except Exception as error:  # the client still wants to know where the program is
            self.client.output(self._internal_error(current.command, error), "important")
            self._pause()

    def _forget_run(self) -> None:
        self._current = None
        self.client.end_progress()

    def _tell(self, outcome: StoppedEvent | Ended | None) -> None:
        if outcome is None:
            return
        self._forget_run()
        if isinstance(outcome, Ended):
            self._state = State.ENDED
            self.client.event("exited", {"exitCode": outcome.exit_code})
            self.client.event("terminated")
        else:
            self.client.event("stopped", outcome)

    def _pause(self) -> None:
        """The run ends where it is."""
        current, self._current = self._current, None
        if current is None:
            return
        try:
            self._tell(current.run.pause())
        except _ClientLeftError:
            raise
        except Exception as error:  # nothing is left to stop at
            self.client.output(self._internal_error("pause", error), "important")
            self._tell(Ended(1))

    def _show_progress(self, progress_id: str | None) -> None:
        self._progress_id = progress_id
        self._inbox.shows_progress(progress_id)

    # --- requests that concern the server itself ----------------------------------------------------------------------

    @request("initialize")
    def _initialize(self, client: Client, arguments: protocol.InitializeArguments) -> Body:
        """The client says how it counts lines and names files; the answer announces what the server can do."""
        client.introduce(arguments)
        return capabilities(self._handlers, self._backend.exception_filters, self._backend.completion_triggers)

    @request("pause")
    def _pause_requested(self, client: Client, arguments: protocol.ThreadArguments) -> Run | None:
        """The program that runs stops where it is, soon; of one that stands nothing changes."""
        return self._run_that_pauses()

    @request("cancel")
    def _cancel(self, client: Client, arguments: protocol.CancelArguments) -> Run | None:
        """A request that waits is not handled, one that is slow ends early, a run stops.

        What the inbox could cancel it has cancelled; what is left is the run.
        """
        current = self._current
        if current is None:
            return None
        by_progress = self._progress_id is not None and arguments.get("progressId") == self._progress_id
        return self._run_that_pauses() if by_progress or arguments.get("requestId") == current.seq else None

    def _run_that_pauses(self) -> Run | None:
        """In place of the current run one that ends at once, so that the response goes before the event."""
        if self._current is None:
            return None
        return Run(advance=self._current.run.pause, pause=self._current.run.pause)

    @request("terminate")
    def _terminate(self, client: Client, arguments: protocol.TerminateArguments) -> None:
        """Debugging ends; the server waits for `disconnect`."""

    @request("disconnect")
    def _disconnect(self, client: Client, arguments: protocol.DisconnectArguments) -> None:
        """The end; the response comes when everything is let go of."""
        self._close_backend()  # before the response: many clients kill the debugger when it comes

    # --- responses ----------------------------------------------------------------------------------------------------

    def _response(self, incoming: Incoming, body: Body | None) -> Message:
        response: Message = {
            "type": "response",
            "request_seq": incoming.seq,
            "success": True,
            "command": incoming.command,
        }
        if incoming.command == "initialize":
            response["body"] = body
        elif body is not None:
            shape = REQUESTS[incoming.command].body
            try:
                response["body"] = convert(body, shape, self.client.conventions.write, "body")
            except InputError as error:
                raise TypeError(str(error)) from None  # the handler is wrong, not the client
        return response

    def _refuse(self, incoming: Incoming, name: str, reason: str) -> None:
        error = {
            "id": ERROR_IDS.get(name, EXPECTED_ERROR_ID),
            "format": reason,
            "showUser": name == "internalError" or incoming.command in _SHOWN_TO_USER,
        }
        self._send(
            {
                "type": "response",
                "request_seq": incoming.seq,
                "success": False,
                "command": incoming.command,
                "message": name,
                "body": {"error": error},
            }
        )

    def _internal_error(self, command: str, error: Exception) -> str:
        """One line for the log, one sentence for the client."""
        place = traceback.extract_tb(error.__traceback__)[-1:]
        where = f" ({place[0].filename}:{place[0].lineno})" if place else ""
        what = f"{type(error).__name__}: {error}".replace("\n", " ")
        self._log(f"internal error in {command}: {what}{where}")
        return f"internal error in {command}: {what}"


class _RefusedError(Exception):
    """The request is not handled: `name` in short, `reason` as a sentence."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name
        self.reason = reason
