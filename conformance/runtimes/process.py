"""A process of a runtime under test: started apart from us, watched, and always ended with all that it left behind.

It leads a session of its own, so that its children can be killed with it, those that it left as well as those that
outlive a crash.  One that takes another session is found by a mark in its environment when the runtime is closed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from pybpftime.errors import HostError

OUTPUT_LIMIT = 1 << 20
"""Bytes that a process may write to one stream in answer to one case, beside what it was asked for."""
MARK = "PYBPFTIME_RUNTIME"
TAIL = 200
"""Characters of an output that a message quotes."""
CHUNK = 1 << 16
_LOOK = 0.05  # seconds between two looks at whether a process has ended whose children hold its pipes
_GRACE = 5.0  # seconds that the kernel gets to end what was killed


@dataclass(frozen=True, slots=True)
class Command:
    """What is started, in `folder` if that is given.

    `words` begins with the path of the program; `memory_limit` is in bytes of address space.
    """

    words: tuple[str, ...]
    memory_limit: int | None = None
    folder: Path | None = None


def find_program(name: str, folder: Path | None = None) -> str:
    """The path of a program: as it is given (relative to `folder`), or by PATH for a bare name.

    HostError in one sentence when it is not there or cannot be started.
    """
    path = (folder or Path()) / name
    if os.sep not in name and not os.path.exists(path):
        found = shutil.which(name)
        if found is None:
            raise HostError("there is no such program", file=name)
        path = Path(found)
    if os.path.isdir(path):
        raise HostError("is a folder, not a program", file=name)
    if not os.path.exists(path):  # which takes a name that is too long for one that is not there
        raise HostError("there is no such program", file=name)
    if not os.access(path, os.X_OK):
        raise HostError("is not executable", file=name)
    with contextlib.suppress(PermissionError), path.open("rb") as file:  # one that cannot be read is no text
        head = file.read(CHUNK)
        if not head or (not head.startswith(b"#!") and b"\0" not in head):
            raise HostError("is no program: a text file needs a first line that begins with #!", file=name)
    return str(path.absolute())


class Talk(Enum):
    """How an exchange with a process came to its end."""

    ENOUGH = auto()  # the answer is there
    ENDED = auto()  # the process is gone
    CLOSED = auto()  # it lives, and has closed its standard output
    SILENT = auto()  # time is up
    FLOOD = auto()  # more output than anybody reads


class Child:
    """One process with three pipes.  OSError from the constructor when it cannot be started.

    `out` and `err` hold what it wrote and nobody has taken yet: little more than is allowed, whatever it does.
    """

    def __init__(self, command: Command, mark: str) -> None:
        self.out = bytearray()
        self.err = bytearray()
        self._process = subprocess.Popen(
            command.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            start_new_session=True, cwd=command.folder, env={**os.environ, MARK: mark},
        )  # fmt: skip
        _limit(self._process.pid, command.memory_limit)
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._stdin = self._process.stdin
        self._sources = {self._process.stdout: self.out, self._process.stderr: self.err}
        self._selector = selectors.DefaultSelector()
        self._pending = memoryview(b"")  # of the request
        self._last = False  # whether the input ends with it
        for pipe in (self._stdin, *self._sources):
            os.set_blocking(pipe.fileno(), False)
        for pipe in self._sources:
            self._selector.register(pipe, selectors.EVENT_READ)

    def talk(
        self, request: bytes, seconds: float, enough: Callable[[bytearray], bool] | None, limit: int = OUTPUT_LIMIT
    ) -> Talk:
        """Send `request`, and read until the answer is there, or the process ends or misbehaves.

        `enough` looks at `out`; when it is None, all that the process writes is the answer, and its input ends with
        the request.  A process that does not read its input is no error.
        """
        deadline = time.monotonic() + seconds
        self._begin_sending(request, last=enough is None)
        try:
            while not (enough and enough(self.out)):
                left = deadline - time.monotonic()
                if left <= 0:
                    return Talk.SILENT
                ended = self._process.poll() is not None
                self._move(0 if ended else min(left, _LOOK), limit)
                if max(len(self.out), len(self.err)) > limit:
                    return Talk.FLOOD
                if enough and enough(self.out):
                    break
                if ended:
                    return Talk.ENDED
                if enough and self._process.stdout not in self._sources:
                    return Talk.CLOSED
            return Talk.ENOUGH
        finally:
            self._stop_sending()

    @property
    def unsent(self) -> bool:
        """Whether the last talk was over before all of its request was read: what is sent next would be cut."""
        return bool(self._pending)

    def _begin_sending(self, request: bytes, *, last: bool) -> None:
        self._pending = memoryview(request)
        self._last = last
        if request:
            self._selector.register(self._stdin, selectors.EVENT_WRITE)
        else:
            self._stop_sending()

    def _stop_sending(self) -> None:
        with contextlib.suppress(KeyError, ValueError):  # not registered, or closed
            self._selector.unregister(self._stdin)
        if self._last:
            self._stdin.close()

    def _move(self, seconds: float, limit: int) -> None:
        """Wait for at least one pipe, and move what can be moved; without pipes wait for the end."""
        if not self._selector.get_map():
            self.wait(seconds)
            return
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._stdin:
                self._send(key.fd)
            else:
                self._receive(key.fileobj, limit)

    def _send(self, descriptor: int) -> None:
        try:
            self._pending = self._pending[os.write(descriptor, self._pending[:CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:  # nobody reads it
            self._pending = memoryview(b"")
        if not self._pending:
            self._stop_sending()

    def _receive(self, pipe: Any, limit: int) -> None:
        sink = self._sources[pipe]
        while len(sink) <= limit:
            try:
                content = os.read(pipe.fileno(), CHUNK)
            except BlockingIOError:
                return
            if not content:
                self._selector.unregister(pipe)
                del self._sources[pipe]
                return
            sink += content

    def wait(self, seconds: float) -> bool:
        """Whether it ends within that time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def exit_code(self) -> int | None:
        """What it ended with; a negative number is a signal."""
        return self._process.poll()

    def close(self) -> None:
        """Kill it with its group, ended or not: others of the group may live.  Doing so twice does nothing."""
        if self._process.stdout is None or self._process.stdout.closed:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.wait(_GRACE)
        self._selector.close()
        for pipe in (self._stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def _limit(pid: int, memory_limit: int | None) -> None:
    """Set the limits of a process that has just begun; it may be over already."""
    with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        if memory_limit is not None:
            resource.prlimit(pid, resource.RLIMIT_AS, (memory_limit, memory_limit))


def new_mark() -> str:
    """A word that no other runtime's processes have in their environment."""
    return secrets.token_hex(8)


def end_marked(mark: str) -> None:
    """Kill the processes that have the mark: those that a runtime left in sessions of their own."""
    word = f"{MARK}={mark}".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if word in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)


def ending(exit_code: int) -> str:
    """`ended by SIGSEGV`, `ended with exit code 3`."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"ended by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"ended by signal {-exit_code}"


def quoted(output: bytes) -> str:
    """What a process wrote, on one line and not too long."""
    text = " ".join(output[: 4 * TAIL].decode("utf-8", "replace").split())
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= TAIL else text[: TAIL - 3] + "..."
