"""Live processes in an editor: frozen while the program is stopped, let go by continue, left by disconnect."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attach.processes import Running, running
from attach.tracing import can_trace
from debug.dap.client import PATIENCE, DapClient
from debug.dap.covering import covers
from debug.dap.real import ABILITIES, connected, frames, move, object_of, scope, stopped, value, variables
from debug.dap.test_command import started

__all__ = ["can_trace"]

pytestmark = pytest.mark.usefixtures("can_trace")

OBJECT = {"object": object_of("malloc.O0"), "program": "malloc_entry"}
LINE = 47
PYTHON = [sys.executable, "-c"]
WORK = """
import ctypes, sys
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
print("ready", flush=True)
sys.stdin.readline()
for size in (1111111, 2222222):
    libc.malloc(size)
print("done", flush=True)
sys.stdin.readline()
"""


@contextmanager
def editor() -> Iterator[DapClient]:
    """A client of `pybpftime dap`, which has ended in order at the end."""
    with started() as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        client = DapClient(process.stdout, process.stdin)
        client.initialize(**ABILITIES)
        yield client
        client.body("disconnect")
        client.end()
        client.join()
        assert process.wait(PATIENCE) == 0


def configure(client: DapClient, request: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Everything up to where the process is let go, with a breakpoint; the event `process`."""
    client.body(request, arguments)
    process: dict[str, Any] = client.event("process")["body"]
    client.event("initialized")
    source = {"path": str(Path(OBJECT["object"]).parent / "malloc.bpf.c")}
    one = {"line": LINE, "condition": "size > 1000000 && size < 3000000"}
    (found,) = client.body("setBreakpoints", {"source": source, "breakpoints": [one]})["breakpoints"]
    assert found["verified"]
    client.body("configurationDone")
    return process


def state_of(pid: int) -> str:
    """The letter of the process's state: t while it is stopped by a tracer."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def go(target: Running) -> None:
    """Let it do its work."""
    assert target.process.stdin is not None
    target.process.stdin.write("\n")
    target.process.stdin.flush()


def both_sizes(client: DapClient, pid: int) -> None:
    """Stop at both, go back to the first, and on."""
    assert stopped(client)["reason"] == "breakpoint"
    assert (value(client, "size"), state_of(pid)) == ("1111111", "t")
    assert client.body("threads")["threads"] == [{"id": pid, "name": f"thread {pid}"}]
    assert client.thread == pid and frames(client)[0]["line"] == LINE
    assert variables(client, scope(client, "Context"))["rdi"]["value"] == "1111111"
    assert move(client, "continue")["reason"] == "breakpoint" and value(client, "size") == "2222222"
    assert move(client, "reverseContinue")["reason"] == "breakpoint" and value(client, "size") == "1111111"
    assert state_of(pid) == "t"
    assert move(client, "continue")["reason"] == "breakpoint" and value(client, "size") == "2222222"


@covers("launch", "continue", "reverseContinue", "disconnect", "threads")
def test_a_process_is_frozen_and_left() -> None:
    with running(*PYTHON, WORK) as target:
        with editor() as client:
            process = configure(client, "launch", {**OBJECT, "pid": target.pid, "stopOnEntry": False})
            assert (process["systemProcessId"], process["startMethod"]) == (target.pid, "attach")
            go(target)
            both_sizes(client, target.pid)
        assert target.process.stdout is not None and target.process.stdout.readline() == "done\n"
        until(lambda: state_of(target.pid) == "S")


@covers("pause", "restart", "configurationDone")
def test_waiting_for_a_hit_is_paused() -> None:
    with running(*PYTHON, WORK) as target, editor() as client:
        configure(client, "launch", {**OBJECT, "pid": target.pid})
        until(lambda: state_of(target.pid) == "S")  # it waits for its input, and nobody for the debugger
        client.body("pause", {"threadId": 1})
        assert stopped(client)["reason"] == "pause"
        assert frames(client)[0]["name"] == "no run has begun"
        go(target)
        until(lambda: state_of(target.pid) == "t")  # the first hit waits
        assert move(client, "next")["reason"] == "entry"
        assert move(client, "continue")["reason"] == "breakpoint"
        assert move(client, "restart")["reason"] == "entry" and value(client, "$step") == "0"


@covers("launch", "continue")
def test_a_command_is_started_and_runs_to_its_end() -> None:
    text = WORK.replace("sys.stdin.readline()", "pass")
    with editor() as client:
        configure(client, "launch", {**OBJECT, "command": [*PYTHON, text], "stopOnEntry": False})
        stopped(client)
        assert move(client, "continue")["reason"] == "breakpoint"
        assert move(client, "continue")["reason"] == "end"
        assert move(client, "stepBack")["reason"] == "step"
        client.body("continue", {"threadId": client.thread})


@covers("attach", "disconnect")
def test_an_editor_attaches_to_a_session_on_a_process() -> None:
    with running(*PYTHON, WORK) as target:
        arguments = [OBJECT["object"], "-p", OBJECT["program"], "--pid", str(target.pid), "--listen", "0"]
        with started(*arguments, command="debug") as process:
            assert process.stdout is not None and process.stderr is not None
            line = next(one for one in process.stdout if one.startswith(b"Listening on "))
            with (
                socket.create_connection(("127.0.0.1", int(line.rpartition(b":")[2])), timeout=PATIENCE) as connection,
                connection.makefile("rb") as reading,
                connection.makefile("wb") as writing,
            ):
                client = DapClient(reading, writing)
                client.initialize(**ABILITIES)
                configure(client, "attach", {"stopOnEntry": False})
                go(target)
                both_sizes(client, target.pid)
                client.body("disconnect")
                client.end()
                client.join()
            assert (process.wait(PATIENCE), process.stderr.read()) == (0, b"")
        assert target.process.stdout is not None and target.process.stdout.readline() == "done\n"


def test_a_debugger_that_is_ended_leaves_the_process() -> None:
    with running(*PYTHON, WORK) as target:
        arguments = [OBJECT["object"], "-p", OBJECT["program"], "--pid", str(target.pid), "--listen", "0"]
        with started(*arguments, command="debug") as process:
            assert process.stdout is not None
            next(one for one in process.stdout if one.startswith(b"Listening on "))
            assert state_of(target.pid) == "t"
            subprocess.run(["kill", str(process.pid)], check=True)
            assert process.wait(PATIENCE) == 128 + 15
        go(target)
        assert target.process.stdout is not None and target.process.stdout.readline() == "done\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({**OBJECT, "pid": 1, "command": ["x"]}, "by its pid, or by the command"),
        ({**OBJECT, "at": ["libc:malloc"]}, "by its pid, or by the command"),
        ({**OBJECT, "command": [""]}, "command is a program and its arguments"),
        ({**OBJECT, "command": ["/no/such/program"]}, "'/no/such/program' cannot be run"),
        ({**OBJECT, "pid": 0}, "0 is no number of a process"),
        ({**OBJECT, "pid": 2**22 + 1}, "process 4194305"),
        ({**OBJECT, "pid": 1, "ctx": {}}, "a live process is what the programs run on: ctx cannot be given"),
        ({**OBJECT, "pid": 1, "at": ["malloc_exit=libc:malloc"]}, "--at: there is no program named malloc_exit"),
    ],
)
def test_what_cannot_be_launched(arguments: dict[str, Any], sentence: str) -> None:
    with connected() as (client, _):
        assert sentence in client.error("launch", arguments)
