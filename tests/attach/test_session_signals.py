"""Signals of the target keep their meaning: SIGTRAP's action, stops, system calls that wait."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from attach.build import BuildTarget
from attach.processes import Running, running
from attach.state import wait_until
from attach.workload import attached, detach, places, runs

from pybpftime.attach import proc
from tools.process_state import SIGTRAP_BIT, state

pytestmark = pytest.mark.usefixtures("can_trace")


@pytest.fixture
def program(build_target: BuildTarget) -> Path:
    return build_target("signals")


def ask(target: Running) -> tuple[int, int]:
    """Let the target make ten calls: how many it has made by now, and how many SIGTRAPs its handler has seen."""
    assert target.process.stdin is not None
    assert target.process.stdout is not None
    target.process.stdin.write("go\n")
    target.process.stdin.flush()
    words = target.process.stdout.readline().split()
    assert words[::2] == ["called", "trapped"], words
    return int(words[1]), int(words[3])


@pytest.mark.parametrize("action", ["plain", "info"])
def test_a_handler_for_sigtrap_sees_what_is_sent(program: Path, action: str) -> None:
    """To the process with a tracer, after the tracer was killed, and after all was cleaned up."""
    with running(program, action) as target:
        before = state(target.pid)
        assert before.caught
        with attached(target, *places(program, "probed")) as tracer:
            assert ask(target) == (10, 0)
            os.kill(target.pid, signal.SIGTRAP)
            assert ask(target) == (20, 1)
            tracer.process.kill()
            tracer.finish()
        assert ask(target) == (30, 1)
        os.kill(target.pid, signal.SIGTRAP)
        assert ask(target) == (40, 2)
        detach(target.pid)
        assert state(target.pid) == before
        os.kill(target.pid, signal.SIGTRAP)
        assert ask(target) == (50, 3)


def test_sigtrap_that_is_ignored(program: Path) -> None:
    with running(program, "ignore") as target:
        before = state(target.pid)
        assert before.ignored
        with attached(target, *places(program, "probed")) as tracer:
            assert ask(target) == (10, 0)
            os.kill(target.pid, signal.SIGTRAP)
            assert ask(target) == (20, 0)
            tracer.process.kill()
            tracer.finish()
        os.kill(target.pid, signal.SIGTRAP)
        assert ask(target) == (30, 0)
        detach(target.pid)
        assert state(target.pid) == before
        os.kill(target.pid, signal.SIGTRAP)
        assert ask(target) == (40, 0)


@pytest.mark.parametrize("killed", [False, True], ids=["traced", "tracer was killed"])
def test_sigtrap_ends_a_process_that_has_no_handler(program: Path, killed: bool) -> None:
    with running(program, "default") as target, attached(target, *places(program, "probed")) as tracer:
        assert ask(target) == (10, 0)
        if killed:
            tracer.process.kill()
            tracer.finish()
        os.kill(target.pid, signal.SIGTRAP)
        assert target.process.wait(20) == -signal.SIGTRAP
        if not killed:
            assert tracer.event()["signal"] == signal.SIGTRAP


def test_threads_that_block_sigtrap(program: Path) -> None:
    with running(program, "blocked") as target:
        before = state(target.pid)
        with attached(target, *places(program, "probed")) as tracer:
            assert ask(target) == (10, 0)
            tracer.process.terminate()
            assert runs(tracer.event()) == (10, 10)
            tracer.finish()
        assert state(target.pid) == before
        with attached(target, *places(program, "probed")) as tracer:
            tracer.process.kill()
            tracer.finish()
        assert ask(target) == (20, 0), "it would die here if SIGTRAP were blocked"
        detach(target.pid)
        assert state(target.pid).areas == ()


def test_the_action_that_a_hit_resets_is_set_again(build_target: BuildTarget) -> None:
    """A thread blocks SIGTRAP after the probes were set; the kernel resets the action at its first hit."""
    program = build_target("workload", "-O2")
    with running(program, "blocked", "2", "100") as target:
        with attached(target, *places(program, "probed")) as tracer:
            assert target.process.stdin is not None
            assert target.process.stdout is not None
            target.process.stdin.write("go\n")
            target.process.stdin.flush()
            assert target.process.stdout.readline() == "called 200\n"
            assert target.process.stdout.readline() == "right\n"
            wait_until(lambda: bool(proc.read_status(target.pid).caught & SIGTRAP_BIT))
            tracer.process.terminate()
            assert runs(tracer.event()) == (200, 200)
            tracer.finish()
        assert not state(target.pid).caught


def is_stopped(pid: int) -> bool:
    return all(proc.read_status(pid, tid).state == "T" for tid in proc.threads(pid))


def test_a_process_that_is_stopped_stays_stopped(program: Path) -> None:
    with running(program, "plain") as target:
        os.kill(target.pid, signal.SIGSTOP)
        wait_until(lambda: is_stopped(target.pid))
        with attached(target, *places(program, "probed")) as tracer:
            tracer.process.terminate()
            tracer.finish()
        wait_until(lambda: is_stopped(target.pid))
        time.sleep(0.02)
        assert is_stopped(target.pid)
        os.kill(target.pid, signal.SIGCONT)
        assert ask(target) == (10, 0)


def test_stop_and_continue_while_traced(program: Path) -> None:
    with running(program, "plain") as target:
        with attached(target, *places(program, "probed")) as tracer:
            assert ask(target) == (10, 0)
            for _ in range(3):
                os.kill(target.pid, signal.SIGSTOP)
                wait_until(lambda: proc.read_status(target.pid).state in "tT")
                assert target.process.stdin is not None
                os.kill(target.pid, signal.SIGCONT)
            assert ask(target) == (20, 0)
            os.kill(target.pid, signal.SIGSTOP)
            wait_until(lambda: proc.read_status(target.pid).state in "tT")
            tracer.process.terminate()
            assert runs(tracer.event()) == (20, 20)
            tracer.finish()
        wait_until(lambda: is_stopped(target.pid))
        os.kill(target.pid, signal.SIGCONT)
        assert ask(target) == (30, 0)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("sleep", "0 Success whole\n"),
        ("futex", "-1 Connection timed out whole\n"),
        ("read", "1 Success whole\n"),
    ],
)
def test_a_system_call_that_waits_is_not_cut_short(program: Path, call: str, expected: str) -> None:
    with running(program, call) as target, attached(target, *places(program, "probed")) as tracer:
        assert target.process.stdin is not None
        assert target.process.stdout is not None
        tracer.process.terminate()
        tracer.finish()
        if call == "read":
            target.process.stdin.write("x")
            target.process.stdin.flush()
        assert target.process.stdout.readline() == expected


def test_a_waiting_system_call_survives_tracers_that_are_killed(program: Path) -> None:
    with running(program, "read") as target:
        for _ in range(3):
            with attached(target, *places(program, "probed")) as tracer:
                tracer.process.kill()
                tracer.finish()
            detach(target.pid)
        assert target.process.stdin is not None
        assert target.process.stdout is not None
        target.process.stdin.write("x")
        target.process.stdin.flush()
        assert target.process.stdout.readline() == "1 Success whole\n"
