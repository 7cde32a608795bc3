"""A client of the protocol that believes nothing: each message of either side is checked against the schema, and the
server's sequence numbers and responses against what was asked."""

from __future__ import annotations

import json
import queue
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from debug.dap import covering, schema
from debug.dap.fake_backend import FakeBackend

from pybpftime.debug.dap.backend import SessionBackend
from pybpftime.debug.dap.server import Server
from pybpftime.debug.dap.transport import SocketChannel

PATIENCE = 60
"""Seconds after which a server that says nothing is said to hang."""
FAKE = Path(__file__).with_name("fake_backend.py")

Message = dict[str, Any]


class DapClient:
    """Talks through two binary files.  `validate` judges each message."""

    def __init__(
        self, reading: BinaryIO, writing: BinaryIO, validate: Callable[[Message], None] = schema.check
    ) -> None:
        self.transcript: list[Message] = []
        self.events: list[Message] = []
        self.responses: dict[int, Message] = {}
        self.thread = 1
        """Which thread the program stopped in, for tests that keep it."""
        self._asked: dict[int, str] = {}
        self._reading, self._writing = reading, writing
        self._validate = validate
        self._seq = 0
        self._received = 0
        self._arrived: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    # --- sending ----------------------------------------------------------------------------------------------------

    def send(self, command: str, arguments: Any = None, *, valid: bool = True) -> int:
        """Send a request and return its number.  With `valid=False` it may be against the schema."""
        self._seq += 1
        message: Message = {"seq": self._seq, "type": "request", "command": command}
        if arguments is not None:
            message["arguments"] = arguments
        if valid:
            self._validate(message)
        self._asked[self._seq] = command
        self.transcript.append(message)
        self.send_bytes(framed(message))
        return self._seq

    def send_bytes(self, data: bytes) -> None:
        self._writing.write(data)
        self._writing.flush()

    def request(self, command: str, arguments: Any = None, *, valid: bool = True) -> Message:
        """Send a request and wait for its response, which may be an error."""
        return self.response(self.send(command, arguments, valid=valid))

    def body(self, command: str, arguments: Any = None) -> Any:
        """The body of the response to a request that must succeed."""
        response = self.request(command, arguments)
        assert response["success"], response
        return response.get("body")

    def error(self, command: str, arguments: Any = None, *, valid: bool = True) -> str:
        """The sentence of the response to a request that must fail."""
        response = self.request(command, arguments, valid=valid)
        assert not response["success"], response
        sentence: str = response["body"]["error"]["format"]
        return sentence

    # --- receiving --------------------------------------------------------------------------------------------------

    def response(self, seq: int) -> Message:
        self._wait(lambda: seq in self.responses, f"a response to {self._asked[seq]} ({seq})")
        return self.responses[seq]

    def event(self, name: str) -> Message:
        """Wait for an event; the first of that name that was not taken yet."""
        self._wait(lambda: any(event["event"] == name for event in self.events), f"the event {name}")
        event = next(event for event in self.events if event["event"] == name)
        self.events.remove(event)
        return event

    def end(self) -> None:
        """Wait until the server has said all it will say."""
        with suppress(EOFError):
            self._wait(lambda: False, "the end")

    def join(self) -> None:
        """Wait for the reader thread, once the connection is closed."""
        self._reader.join(PATIENCE)
        assert not self._reader.is_alive()

    def _wait(self, there: Callable[[], bool], what: str) -> None:
        while not there():
            try:
                message = self._arrived.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"no sign of {what}; so far: {self.transcript}") from None
            if message is None:
                self._arrived.put(None)
                raise EOFError(f"the server ended before {what}; so far: {self.transcript}")
            self._take(message)

    def _take(self, message: Message) -> None:
        self.transcript.append(message)
        self._validate(message)
        self._received += 1
        assert message["seq"] == self._received, message
        if message["type"] == "event":
            self.events.append(message)
            return
        assert message["type"] == "response", message
        seq = message["request_seq"]
        assert self._asked.get(seq) == message["command"], message
        assert seq not in self.responses, f"two responses to {seq}"
        self.responses[seq] = message
        covering.note(message)

    def _read(self) -> None:
        try:
            while (header := self._reading.readline()) not in (b"", b"\r\n"):
                length = re.fullmatch(rb"Content-Length: (\d+)\r\n", header)
                assert length, header
                assert self._reading.readline() == b"\r\n"
                content = self._reading.read(int(length[1]))
                self._arrived.put(json.loads(content))
        except (OSError, ValueError):
            pass
        self._arrived.put(None)

    # --- the beginning of a session ---------------------------------------------------------------------------------

    def initialize(self, **more: Any) -> Message:
        capabilities: Message = self.body("initialize", {"adapterID": "pybpftime", **more})
        return capabilities

    def launch(self, **more: Any) -> None:
        """Everything up to the first stop."""
        self.configure(**more)
        self.body("configurationDone")
        assert self.event("stopped")["body"]["reason"] == "entry"

    def configure(self, **more: Any) -> None:
        """Everything up to where breakpoints are set."""
        self.initialize()
        self.body("launch", {"object": "/toy/program.bpf.c", **more})
        self.event("initialized")


def framed(message: Any) -> bytes:
    """A message as any client would write it, not by the code that is tested."""
    content = message if isinstance(message, bytes) else json.dumps(message, ensure_ascii=False).encode()
    return f"Content-Length: {len(content)}\r\n\r\n".encode() + content


class Serving:
    """A server on a thread of this process, at the other end of a socket pair."""

    def __init__(self, backend: FakeBackend | SessionBackend | None = None) -> None:
        self.backend = backend or FakeBackend()
        self.log: list[str] = []
        self.orderly: bool | None = None
        self.failure: BaseException | None = None
        self.socket, there = socket.socketpair()
        self.socket.settimeout(PATIENCE)
        self._server = Server(self.backend, SocketChannel(there), self.log.append)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self.orderly = self._server.serve()
        except BaseException as error:
            self.failure = error

    def join(self) -> None:
        """The server has ended, with what it was given closed and no exception."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the server hangs"
        assert self.failure is None, self.failure
        assert self.backend.closed


@contextmanager
def served(backend: FakeBackend | SessionBackend | None = None) -> Iterator[tuple[DapClient, Serving]]:
    """A client and the server that it talks to; at the end the client goes, and the server must follow."""
    serving = Serving(backend)
    with serving.socket, serving.socket.makefile("rb") as reading, serving.socket.makefile("wb") as writing:
        client = DapClient(reading, writing)
        try:
            yield client, serving
        finally:
            serving.socket.shutdown(socket.SHUT_RDWR)
            serving.join()
            client.join()


def start_fake(*arguments: str) -> subprocess.Popen[bytes]:
    """The fake debugger as a process."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, str(FAKE), *arguments], stdin=pipe, stdout=pipe, stderr=pipe)
