"""`pybpftime dap` as a process, and Microsoft's client (npm: @vscode/debugadapter-testsupport) against it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from debug.dap.client import PATIENCE, DapClient
from debug.dap.node_client import call, expect, play_on
from debug.dap.real import OPTIMISED, PARSER, SOURCE, assembly

COMMAND = Path(sys.executable).with_name("pybpftime")
Play = Callable[..., Any]
FOUR_LINES = {"path": SOURCE["path"], "line": 153}


@contextmanager
def started(*arguments: str, command: str = "dap") -> Iterator[subprocess.Popen[bytes]]:
    """The command as a process, which has ended at the end."""
    pipe = subprocess.PIPE
    command_line = [sys.executable, "-c", "from pybpftime.cli.main import main; main()", command, *arguments]
    with subprocess.Popen(command_line, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def converse(client: DapClient) -> None:
    """A short session, up to the goodbye."""
    client.initialize()
    client.body("launch", PARSER)
    client.event("initialized")
    client.body("configurationDone")
    assert client.event("stopped")["body"]["reason"] == "entry"
    client.body("disconnect")
    client.end()
    client.join()


def test_on_standard_input_and_output() -> None:
    with started() as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        converse(DapClient(process.stdout, process.stdin))
        assert (process.wait(PATIENCE), process.stderr.read()) == (0, b"")


def test_the_end_of_input_without_goodbye_is_an_error() -> None:
    with started() as process:
        assert process.stdin is not None and process.stdout is not None
        client = DapClient(process.stdout, process.stdin)
        client.initialize()
        process.stdin.close()
        assert process.wait(PATIENCE) == 1


def test_on_a_port() -> None:
    with started("--port", "0", "--once") as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(b":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection,
            connection.makefile("rb") as reading,
            connection.makefile("wb") as writing,
        ):
            converse(DapClient(reading, writing))
        assert process.wait(PATIENCE) == 0


def test_attaching_to_a_session_that_waits(tmp_path: Path) -> None:
    """Two editors, one after the other: the second finds the session where the first left it."""
    script = tmp_path / "begin"
    script.write_text("break parse_ipv4\ncontinue\n")
    arguments = [PARSER["object"], "--pcap", PARSER["pcap"], "-x", str(script), "--listen", "0"]
    with started(*arguments, command="debug") as process:
        assert process.stdout is not None
        line = next(one for one in process.stdout if one.startswith(b"Listening on "))
        lines = []
        for _ in range(2):
            with (
                socket.create_connection(("127.0.0.1", int(line.rpartition(b":")[2])), timeout=PATIENCE) as connection,
                connection.makefile("rb") as reading,
                connection.makefile("wb") as writing,
            ):
                client = DapClient(reading, writing)
                client.initialize()
                client.body("attach", {})
                client.event("initialized")
                client.body("configurationDone")
                client.event("stopped")
                frames = client.body("stackTrace", {"threadId": 1})["stackFrames"]
                lines.append((frames[0]["name"], frames[0]["line"]))
                client.body("next", {"threadId": 1})
                client.event("stopped")
                client.body("disconnect")
                client.end()
                client.join()
    assert lines == [("parse_ipv4", 149), ("parse_ipv4", 150)]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--once"], 2, "--once goes with --port"),
        (["--port", "99999"], 1, "ports are 0 to 65535"),
        (["--help"], 0, "pybpftime dap --port 4711"),
    ],
)
def test_what_it_says(arguments: list[str], code: int, text: str) -> None:
    with started(*arguments) as process:
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == code and text in (out + err).decode()


@pytest.fixture(params=["stdio", "tcp"])
def play(request: pytest.FixtureRequest) -> Iterator[Play]:
    """`play(*steps)` against the command, which the client starts, or which waits on a port."""
    if request.param == "stdio":
        if not COMMAND.exists():
            pytest.skip("needs pybpftime to be installed beside this Python")
        yield lambda *steps: play_on({"runtime": str(COMMAND), "argument": "dap"}, *steps)
        return
    with started("--port", "0", "--once") as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(b":")[2])
        yield lambda *steps: play_on({"port": port}, *steps)


def begun(arguments: dict[str, Any]) -> dict[str, Any]:
    """The session begins, and the first stop is waited for."""
    return {"together": [call("configurationSequence"), call("launch", arguments), expect("stopped")]}


def test_a_breakpoint_is_hit(play: Play) -> None:
    """The client's own check: launch, a breakpoint when `initialized` comes, a stop there."""
    report = play(call("hitBreakpoint", {**PARSER, "stopOnEntry": False}, FOUR_LINES))
    frames = report["results"][0][-1]["body"]["stackFrames"]
    assert [(one["name"], one["line"]) for one in frames][:2] == [("parse_ipv4", 153), ("parse_frame", 272)]


def test_both_ways_and_looking(play: Play) -> None:
    thread = {"threadId": 1}
    report = play(
        begun(PARSER),
        call("setBreakpointsRequest", {"source": SOURCE, "breakpoints": [{"line": 153}]}),
        {"together": [call("continueRequest", thread), call("assertStoppedLocation", "breakpoint", FOUR_LINES)]},
        {"together": [call("nextRequest", thread), call("assertStoppedLocation", "step", {"line": 155})]},
        {"together": [call("stepBackRequest", thread), call("assertStoppedLocation", "step", FOUR_LINES)]},
        call("evaluateRequest", {"expression": "ip->ttl", "context": "hover"}),
        call("customRequest", "disassemble", {"memoryReference": "0xc0de00000000", "instructionCount": 3}),
        {"fails": call("evaluateRequest", {"expression": "nothing"})},
        {"together": [call("reverseContinueRequest", thread), expect("stopped")]},
    )
    value, rows, failed = report["results"][5:8]
    assert value["body"]["result"] == "64" and len(rows["body"]["instructions"]) == 3
    assert failed == "InputError"


def test_optimised_code(play: Play) -> None:
    report = play(call("hitBreakpoint", {**OPTIMISED, "stopOnEntry": False}, {"path": SOURCE["path"], "line": 166}))
    frames = report["results"][0][-1]["body"]["stackFrames"]
    assert [one["name"] for one in frames] == ["parse_ipv4 (inlined)", "parse_frame (inlined)", "parse"]


def test_an_endless_program_is_paused_and_terminated(play: Play, tmp_path: Path) -> None:
    arguments = {**assembly(tmp_path, "loop:\nr1 += 1\ngoto loop\n"), "budget": 1 << 40, "stopOnEntry": False}
    report = play(
        {"together": [call("configurationSequence"), call("launch", arguments)]},
        call("threadsRequest"),
        {"together": [call("pauseRequest", {"threadId": 1}), expect("stopped")]},
        call("stackTraceRequest", {"threadId": 1}),
        call("continueRequest", {"threadId": 1}),
        {"together": [call("terminateRequest"), expect("terminated")]},
    )
    assert report["results"][2][1]["body"]["reason"] == "pause"
    name = report["results"][3]["body"]["stackFrames"][0]["name"]
    assert name in ("program", "no run has begun"), "the pause may come before the first instruction"


def test_to_the_end(play: Play) -> None:
    report = play(
        {"together": [call("configurationSequence"), call("launch", {**PARSER, "stopOnEntry": False})]},
        expect("stopped"),
        {"together": [call("continueRequest", {"threadId": 1}), expect("exited"), expect("terminated")]},
    )
    names = [event["event"] for event in report["events"]]
    assert names[-3:] == ["stopped", "exited", "terminated"] and "output" in names
