"""Ways to a client: standard input and output, or TCP on the loopback interface."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from pybpftime.errors import HostError

_PIECE = 64 * 1024
LOOPBACK = "127.0.0.1"


class Channel(Protocol):
    """Bytes both ways.  `read` is called on one thread, the rest on another."""

    @property
    def farewell(self) -> float:
        """Seconds that the other end gets, after our output ended, to end its own before it is closed."""

    def read(self) -> bytes:
        """Some bytes, at least one; none at the end.  Raises OSError."""

    def write(self, data: bytes) -> None:
        """Write all of it.  Raises OSError."""

    def finish_writing(self) -> None:
        """Let the other end see the end of our output."""

    def close(self) -> None:
        """Let go of everything."""


class PipeChannel:
    """Two file descriptors, which now belong to the channel."""

    farewell = 0.0  # what is written to a pipe stays there for its reader

    def __init__(self, read_end: int, write_end: int) -> None:
        self._read_end = read_end
        self._write_end: int | None = write_end

    def read(self) -> bytes:
        return os.read(self._read_end, _PIECE)

    def write(self, data: bytes) -> None:
        if self._write_end is None:
            raise BrokenPipeError("the output is closed")
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._write_end, rest) :]

    def finish_writing(self) -> None:
        if self._write_end is not None:
            os.close(self._write_end)
            self._write_end = None

    def close(self) -> None:
        """The read end stays open: the reader thread may be blocked in it, and a number that is free is soon reused."""
        self.finish_writing()


class SocketChannel:
    """A connected stream socket, which now belongs to the channel."""

    farewell = 1.0  # closing with input unread would reset the connection, and could lose the last response

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def read(self) -> bytes:
        return self._connection.recv(_PIECE)

    def write(self, data: bytes) -> None:
        self._connection.sendall(data)

    def finish_writing(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


@contextmanager
def standard_streams() -> Iterator[PipeChannel]:
    """The channel of this process's standard input and output.

    Within, nobody else has them: descriptor 0 is empty, descriptor 1 and `sys.stdout` lead to standard error, so that
    nothing that prints (a library, a child process) gets between the messages.
    """
    sys.stdout.flush()
    channel = PipeChannel(os.dup(0), os.dup(1))
    kept, kept_stdout = (os.dup(0), os.dup(1)), sys.stdout
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield channel
    finally:
        channel.close()
        sys.stdout = kept_stdout
        for number, copy in enumerate(kept):
            os.dup2(copy, number)
            os.close(copy)


def serve_tcp(
    serve: Callable[[Channel], object], port: int, *, once: bool, announce: Callable[[str], None] = print
) -> None:
    """Listen on the loopback interface, and let `serve` have one client after the other; with `once` the first only.

    Port 0 takes a free one.  `announce` gets one line, `Listening on 127.0.0.1:PORT`, when clients may come.  A client
    that comes while another is served waits.  Raises HostError when the port cannot be had.
    """
    with _listener(port) as listener:
        announce(f"Listening on {LOOPBACK}:{listener.getsockname()[1]}")
        while True:
            connection, _ = listener.accept()
            # Messages are small, and each is waited for.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            serve(SocketChannel(connection))
            if once:
                return


def _listener(port: int) -> socket.socket:
    if not 0 <= port <= 0xFFFF:
        raise HostError(f"cannot listen on {LOOPBACK}:{port}: ports are 0 to 65535")
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise HostError(f"cannot listen on {LOOPBACK}:{port}: {error.strerror}", errno=error.errno) from None
