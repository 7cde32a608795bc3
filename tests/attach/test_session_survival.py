"""The target outlives its tracer: told to end, interrupted, or killed at any moment; `pybpftime detach` cleans up."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from attach.build import BuildTarget
from attach.processes import Running, running
from attach.state import is_traced, wait_until
from attach.tracing import COMMAND, PATIENCE, PROGRAMS, ROOT, trace
from attach.workload import OBJECT, attached, begin, detach, end, places, result

from tools.process_state import state

pytestmark = pytest.mark.usefixtures("can_trace")

NOTHING = "there is nothing of a trace in it"


@pytest.fixture
def workload(build_target: BuildTarget) -> Path:
    return build_target("workload", "-O2")


def start_work(target: Running) -> None:
    assert target.process.stdin is not None
    target.process.stdin.write("go\n")
    target.process.stdin.flush()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("seed", range(2))
def test_a_signal_to_the_tracer_detaches_cleanly(workload: Path, number: signal.Signals, seed: int) -> None:
    with running(workload, "calls", "4", "30000") as target:
        before = state(target.pid)
        with attached(target, *places(workload, "probed")) as tracer:
            start_work(target)
            time.sleep(random.Random(f"{number}/{seed}").random() / 5)
            tracer.process.send_signal(number)
            assert tracer.event()["event"] == "ended"
            tracer.finish()
        assert result(target) == (120000, True)
        assert state(target.pid) == before
        assert end(target) == 0


def test_a_tracer_that_is_told_to_end_while_it_attaches(workload: Path) -> None:
    source = random.Random(1)
    with running(workload, "calls", "2", "10") as target:
        before = state(target.pid)
        for number in (signal.SIGINT, signal.SIGTERM) * 3:
            process = start_trace(target, workload)
            time.sleep(0.2 + source.random() / 3)
            process.send_signal(number)
            process.wait(PATIENCE)
            assert state(target.pid) == before
        assert begin(target) == (20, True)
        assert end(target) == 0


def start_trace(target: Running, program: Path) -> subprocess.Popen[bytes]:
    command = [*COMMAND, "trace", *places(program, "probed"), "--pid", str(target.pid), str(OBJECT)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_tracer_leaves_a_target_that_runs_on(workload: Path, seed: int) -> None:
    """`make campaign-survive` does it 50 times."""
    with running(workload, "calls", "4", "30000") as target:
        before = state(target.pid)
        with attached(target, *places(workload, "probed")) as tracer:
            start_work(target)
            time.sleep(random.Random(seed).random() / 5)
            tracer.process.kill()
            tracer.finish()
        assert result(target) == (120000, True)
        assert "took out" in detach(target.pid).stdout
        assert state(target.pid) == before
        assert NOTHING in detach(target.pid).stdout
        assert end(target) == 0


def test_a_tracer_that_is_killed_while_it_attaches(workload: Path) -> None:
    source = random.Random(2)
    with running(workload, "calls", "2", "5000") as target:
        before = state(target.pid)
        for _ in range(6):
            process = start_trace(target, workload)
            wait_until(lambda process=process: is_traced(target.pid) or process.poll() is not None)
            time.sleep(source.random() / 300)
            process.kill()
            process.wait(PATIENCE)
        assert begin(target) == (10000, True)
        detach(target.pid)
        assert state(target.pid) == before
        assert end(target) == 0


def test_detach_that_is_killed_can_be_repeated(workload: Path) -> None:
    source = random.Random(3)
    with running(workload, "calls", "2", "1000000") as target:
        before = state(target.pid)
        with attached(target, *places(workload, "probed")) as tracer:
            start_work(target)
            time.sleep(0.05)
            tracer.process.kill()
            tracer.finish()
        for _ in range(4):
            process = subprocess.Popen([*COMMAND, "detach", str(target.pid)], stdout=subprocess.DEVNULL, cwd=ROOT)
            wait_until(lambda process=process: is_traced(target.pid) or process.poll() is not None)
            time.sleep(source.random() / 500)
            process.kill()
            process.wait(PATIENCE)
        assert detach(target.pid).returncode == 0
        assert state(target.pid) == before
        assert result(target) == (2000000, True)
        assert end(target) == 0


def test_a_reader_of_the_report_that_goes_away(workload: Path) -> None:
    """As `pybpftime trace ... | head -1`."""
    with running(workload, "calls", "1", "10") as target:
        before = state(target.pid)
        with attached(target, *places(workload, "probed")) as tracer:
            assert tracer.process.stdout is not None
            tracer.process.stdout.close()
            assert begin(target) == (10, True)
            tracer.process.terminate()
            tracer.finish()
            assert "Traceback" not in tracer.errors()
        assert state(target.pid) == before
        assert end(target) == 0


def test_nothing_to_detach(workload: Path) -> None:
    with running(workload, "calls") as target:
        assert detach(target.pid).stdout == f"process {target.pid}: {NOTHING}\n"
    gone = detach(target.pid)
    assert gone.returncode == 1
    assert "it has ended, or never was" in gone.stderr


def test_a_program_that_was_started_and_its_exit_code() -> None:
    assert trace(PROGRAMS / "malloc.bpf.o", "--", "sh", "-c", "exit 3").returncode == 3
    killed = trace(PROGRAMS / "malloc.bpf.o", "--", "sh", "-c", "kill -KILL $$")
    assert killed.returncode == 128 + signal.SIGKILL


def test_ctrl_c_at_a_terminal_ends_both() -> None:
    """The signal goes to the process group: the program and its tracer."""
    command = [*COMMAND, "trace", str(OBJECT), "--", "sh", "-c", "echo up; exec sleep 60"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, start_new_session=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == 128 + signal.SIGINT
