"""Servers as processes: standard input and output that nobody else gets, TCP, clients that come and go."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from debug.dap.client import PATIENCE, DapClient, framed, start_fake

from pybpftime.debug.dap.transport import serve_tcp
from pybpftime.errors import HostError


@contextmanager
def fake(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The fake debugger as a process, which has ended at the end."""
    process = start_fake(*arguments)
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Its exit code and what it said on standard error, once it ended by itself."""
    code = process.wait(PATIENCE)
    assert process.stderr is not None
    return code, process.stderr.read().decode()


def port_of(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    found = re.fullmatch(r"Listening on 127\.0\.0\.1:(\d+)\n", line)
    assert found, line
    return int(found[1])


@contextmanager
def connected(port: int) -> Iterator[DapClient]:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection,
        connection.makefile("rb") as reading,
        connection.makefile("wb") as writing,
    ):
        client = DapClient(reading, writing)
        try:
            yield client
        finally:
            connection.shutdown(socket.SHUT_RDWR)
            client.join()


def test_a_session_on_standard_input_and_output() -> None:
    with fake() as process:
        assert process.stdin is not None and process.stdout is not None
        client = DapClient(process.stdout, process.stdin)
        client.launch()
        client.body("next", {"threadId": 1})
        assert client.event("stopped")["body"]["reason"] == "step"
        client.body("disconnect")
        client.end()
        client.join()
        assert finish(process) == (0, "a line that must not get between the messages\n")


def test_the_end_of_input_without_goodbye_is_told_by_the_exit_code() -> None:
    with fake() as process:
        assert process.stdin is not None and process.stdout is not None
        client = DapClient(process.stdout, process.stdin)
        client.launch()
        process.stdin.close()
        client.end()
        client.join()
        assert finish(process)[0] == 1


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", 0),
        (framed({"seq": 1, "type": "request", "command": "disconnect"}), 0),
        (b"help\n", 1),
        (framed({"seq": 1, "type": "request", "command": "disconnect"})[:-5], 1),
    ],
)
def test_scripted_input(sent: bytes, code: int) -> None:
    with fake() as process:
        out, err = process.communicate(sent, PATIENCE)
    assert process.returncode == code
    assert b"Traceback" not in err
    assert out.count(b"Content-Length") == (1 if sent else 0)


def test_a_reader_that_left_ends_the_server_quietly() -> None:
    with fake() as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.close()
        process.stdin.write(framed({"seq": 1, "type": "request", "command": "threads"}))
        process.stdin.flush()
        code, err = finish(process)
    assert code == 1 and err == "a line that must not get between the messages\n"


def test_tcp_serves_one_client_after_the_other() -> None:
    with fake("--port", "0") as process:
        port = port_of(process)
        for _ in range(2):
            with connected(port) as client:
                client.launch()
                client.body("disconnect", {"restart": False})
                client.end()
        with socket.create_connection(("127.0.0.1", port)):
            pass  # somebody who looks and leaves
        with connected(port) as client:
            client.initialize()
        assert process.poll() is None


def test_tcp_once_ends_with_its_client() -> None:
    with fake("--port", "0", "--once") as process:
        with connected(port_of(process)) as client:
            client.launch()
            client.body("disconnect")
            client.end()
        assert finish(process) == (0, "")


def test_a_connection_that_is_reset_ends_the_session() -> None:
    with fake("--port", "0", "--once") as process:
        connection = socket.create_connection(("127.0.0.1", port_of(process)))
        connection.sendall(framed({"seq": 1, "type": "request", "command": "initialize", "arguments": {}}) * 50)
        # Closing without lingering sends a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        assert finish(process) == (0, "")


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            serve_tcp(lambda channel: None, port, once=True)
    with pytest.raises(HostError, match="ports are 0 to 65535"):
        serve_tcp(lambda channel: None, 70_000, once=True)


def test_children_of_the_server_cannot_write_between_messages() -> None:
    """What a library or a child process writes to descriptor 1 goes to standard error."""
    script = (
        "import os, sys\n"
        "from pybpftime.debug.dap.transport import standard_streams\n"
        "with standard_streams() as channel:\n"
        "    os.write(1, b'child'); print('library')\n"
        "    assert os.read(0, 1) == b''\n"
        "    channel.write(channel.read())\n"
        "os.write(1, b'|after'); assert sys.stdout is sys.__stdout__\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], input=b"ours", capture_output=True, timeout=PATIENCE, check=True
    )
    assert (result.stdout, result.stderr) == (b"ours|after", b"childlibrary\n")


def test_what_a_client_says_cannot_control_a_terminal() -> None:
    with fake() as process:
        request = {"seq": 1, "type": "request", "command": "fly\ud800\x1b[31m"}
        out, err = process.communicate(framed(b"{}") + _ascii_framed(request), PATIENCE)
    assert b"unsupported" in out and b"\x1b" not in out + err


def _ascii_framed(message: object) -> bytes:
    return framed(json.dumps(message).encode())
