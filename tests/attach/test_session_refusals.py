"""What cannot be attached to is refused in one sentence, and comes to no harm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from attach.build import BuildTarget
from attach.processes import running
from attach.tracing import COMMAND, PATIENCE, PROGRAMS, ROOT, trace
from attach.workload import OBJECT, attached, begin, detach, end, places, runs

from tools.process_state import state

pytestmark = pytest.mark.usefixtures("can_trace")

NOBODY = 65534


@pytest.fixture
def confined(build_target: BuildTarget) -> Path:
    return build_target("confined")


def refusal(*arguments: object) -> str:
    """The one sentence with which a trace is refused."""
    result = trace(*arguments)
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_no_such_function(confined: Path) -> None:
    with running(confined) as target:
        before = state(target.pid)
        message = refusal("-p", "malloc_entry", f"--at={confined}:probedd", "--pid", target.pid, OBJECT)
        assert "probedd" in message
        assert "did you mean probed?" in message
        assert state(target.pid) == before
        assert begin(target) == (100, True)
        assert end(target) == 0


def test_the_second_probe_is_refused_and_the_first_taken_out(confined: Path) -> None:
    with running(confined) as target:
        before = state(target.pid)
        wanted = (f"--at=malloc_entry={confined}:probed", f"--at=malloc_return={confined}:absent")
        assert "absent" in refusal(*wanted, "--pid", target.pid, OBJECT)
        assert state(target.pid) == before


def test_inside_an_instruction(confined: Path) -> None:
    """probed+1 may be an instruction; some byte of the function is not."""
    with running(confined) as target:
        before = state(target.pid)
        messages = [
            trace(
                "-p",
                "malloc_entry",
                f"--at={confined}:probed+{byte}",
                "--duration",
                "0.01",
                "--pid",
                target.pid,
                OBJECT,
            )
            for byte in (1, 2, 3, 5, 6)
        ]
        refused = [one.stderr for one in messages if one.returncode]
        assert refused
        assert all("inside an instruction" in one for one in refused)
        assert state(target.pid) == before
        assert begin(target) == (100, True)


def test_already_traced(confined: Path) -> None:
    with running(confined) as target, attached(target, *places(confined, "probed")):
        assert "it is traced already, by process" in refusal("--pid", target.pid, OBJECT)
        assert begin(target) == (100, True)
        again = detach(target.pid)
        assert again.returncode == 1
        assert "it is traced already" in again.stderr


def test_not_permitted(confined: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to be somebody else")
    script = """
import os, sys
from pybpftime.attach.session import BreakpointSession
from pybpftime.errors import HostError
nobody, pid = map(int, sys.argv[1:])
BreakpointSession.attach(pid).close()
os.setgroups([])
os.setgid(nobody)
os.setuid(nobody)
try:
    BreakpointSession.attach(pid)
except HostError as error:
    print(error)
"""
    with running(confined) as target:
        before = state(target.pid)
        command = [sys.executable, "-c", script, str(NOBODY), str(target.pid)]
        run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=PATIENCE)
        assert run.stderr == ""
        assert run.stdout.startswith(f"process {target.pid}: ")
        assert "not permitted" in run.stdout
        assert state(target.pid) == before
        assert begin(target) == (100, True)


def test_what_is_no_process_and_what_is_no_probe() -> None:
    assert "it has ended, or never was" in refusal("--pid", 4194305, OBJECT)
    assert "it is this process" not in refusal("--pid", 2**31 - 1, OBJECT)
    assert "which the kernel runs, not a process" in refusal("--pid", os.getpid(), PROGRAMS / "xdp_parser.bpf.o")
    assert "cannot be run" in refusal(OBJECT, "--", "/no/such/program")


def test_a_filter_that_kills_it_for_our_system_calls(confined: Path) -> None:
    """As root it is suspended while they are made."""
    with running(confined, "seccomp") as target:
        before = state(target.pid)
        command = [*COMMAND, "trace", "--json", *places(confined, "probed"), "--pid", str(target.pid), str(OBJECT)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as tracer:
            assert tracer.stdout is not None
            assert tracer.stderr is not None
            if not tracer.stdout.readline():
                assert "seccomp" in tracer.stderr.read()
            assert begin(target) == (100, True)
            tracer.terminate()
        assert state(target.pid) == before
        assert end(target) == 0


def test_no_room_for_an_area(confined: Path) -> None:
    with running(confined, "memory") as target:
        before = state(target.pid)
        message = refusal(*places(confined, "probed"), "--pid", target.pid, OBJECT)
        assert "--unsafe-attach" in message
        assert "Cannot allocate memory" in message
        assert state(target.pid) == before
        with attached(target, "--unsafe-attach", *places(confined, "probed")) as tracer:
            assert state(target.pid).areas == ()
            assert begin(target) == (100, True)
            tracer.process.terminate()
            assert runs(tracer.event()) == (100, 100)
            assert tracer.finish() == 0
        assert state(target.pid) == before
        assert end(target) == 0
