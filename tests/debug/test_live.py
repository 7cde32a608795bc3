"""Debugging a program at a probe: the process is frozen in the function that was called, and goes on unharmed."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attach.build import build_target
from attach.processes import Running, running
from attach.tracing import PATIENCE, can_trace

from pybpftime.debug.launch import Launch
from pybpftime.debug.launch_live import LIVE_LEVEL, LiveTarget, open_live
from pybpftime.debug.live import LiveProcess
from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason
from pybpftime.debug.values import TypedValue
from pybpftime.errors import HostError
from pybpftime.runtime.load import read_object

__all__ = ["build_target", "can_trace"]

PROGRAM = Path(__file__).resolve().parents[1] / "programs" / "malloc.O0.bpf.o"
WORK = """
import sys, ctypes
print('ready', flush=True)
sys.stdin.readline()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
blocks = [libc.malloc(size) for size in (1111111, 2222222, 3333333)]
print('done', flush=True)
sys.stdin.readline()
"""
IDLE = """
import time
print('ready', flush=True)
time.sleep(600)
"""
TICKS = """
import ctypes, time
libc = ctypes.CDLL(None)
print('ready', flush=True)
while True:
    time.sleep(0.02)
    libc.malloc(1111111)
"""
SIZES = [1111111, 2222222, 3333333]

pytestmark = pytest.mark.usefixtures("can_trace")


def state_of(pid: int) -> str:
    """The letter of the process's state: t while it is stopped by a tracer."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def number(session: Session, text: str) -> int:
    value = session.value(text)
    assert isinstance(value, TypedValue)
    found = value.number()
    assert isinstance(found, int)
    return found


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"not so: {what}"
        time.sleep(0.01)


@contextmanager
def debugged(target: Running, *break_at: str) -> Iterator[tuple[Session, LiveProcess]]:
    """A session on malloc_entry in the process, which has been told to begin, and waits."""
    launch = Launch(read_object(PROGRAM), PROGRAM.read_bytes(), "malloc_entry", level=LIVE_LEVEL)
    session, process = open_live(launch, LiveTarget(pid=target.pid))
    try:
        for place in break_at:
            session.break_at(place, condition="size > 1000000 && size < 4000000")
        assert target.process.stdin is not None
        target.process.stdin.write("\n\n")
        target.process.stdin.close()
        yield session, process
    finally:
        process.close()
    assert not any(thread.name == "tracer" for thread in threading.enumerate())
    assert signal.SIGCHLD not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def output_of(target: Running) -> str:
    """What the process writes until it ends, as it would without us."""
    assert target.process.stdout is not None
    text = target.process.stdout.read()
    assert target.process.wait(PATIENCE) == 0
    return text


def test_the_process_is_frozen_while_its_program_is_stopped() -> None:
    seen: list[tuple[int, str, str]] = []
    with running(sys.executable, "-c", WORK) as target, debugged(target, "malloc.bpf.c:47") as (session, process):
        assert state_of(target.pid) == "t"  # it waits until it is let go
        while session.resume().reason is Reason.BREAKPOINT:
            frame = session.selected
            assert frame is not None
            seen.append((number(session, "size"), state_of(target.pid), frame.name))
            assert number(session, "ctx->rdi") == number(session, "size")
            code = session.value("*(unsigned char *)ctx->rip")
            assert isinstance(code, TypedValue) and code.snapshot() is not None
        assert session.stop.reason is Reason.END and process.is_done and process.ending.exit_code == 0
        assert output_of(target) == "done\n"
        assert session.resume(back=True).reason is Reason.BREAKPOINT  # what was seen stays
    assert [size for size, _, _ in seen if size in SIZES] == SIZES
    assert {(state, name) for _, state, name in seen} == {("t", "malloc_entry")}
    assert len(session.world.invocations) > len(SIZES)


def test_earlier_hits_can_be_gone_back_to_while_the_process_waits() -> None:
    with running(sys.executable, "-c", WORK) as target:
        with debugged(target, "malloc.bpf.c:47") as (session, _):
            while session.resume().reason is Reason.BREAKPOINT and number(session, "size") != SIZES[-1]:
                pass
            here = session.world.step
            while session.resume(back=True).reason is Reason.BREAKPOINT and number(session, "size") != SIZES[0]:
                pass
            assert number(session, "size") == SIZES[0] and session.world.step < here
            assert state_of(target.pid) == "t"
            session.goto(here)
            assert number(session, "size") == SIZES[-1]
            (seen,) = session.object.maps["allocations"].values()
            assert seen["calls"] == len(session.world.invocations) - 1
        assert output_of(target) == "done\n"  # it was left in the middle of a hit


def test_the_wait_for_a_hit_is_interrupted_and_the_process_goes_on() -> None:
    with running(sys.executable, "-c", IDLE) as target:
        with debugged(target) as (session, process):
            timer = threading.Timer(0.2, session.interrupt)
            timer.start()
            stop = session.resume()
            timer.join()
            assert stop.reason is Reason.PAUSED and not process.is_done
            until(lambda: state_of(target.pid) == "S", "it waits for nobody")
        until(lambda: state_of(target.pid) == "S", "it was left")
        assert target.process.poll() is None


def test_a_hit_that_comes_while_nobody_asks_waits() -> None:
    with running(sys.executable, "-c", TICKS) as target, debugged(target) as (session, _):
        timer = threading.Timer(0.1, session.interrupt)
        timer.start()
        assert session.resume().reason is Reason.PAUSED
        timer.join()
        until(lambda: state_of(target.pid) == "t", "it waits at a hit")
        known = len(session.world.invocations)
        assert session.next_invocation().reason is Reason.ENTRY and len(session.world.invocations) == known + 1


def test_leaving_before_the_first_hit() -> None:
    with running(sys.executable, "-c", WORK) as target:
        with debugged(target) as (session, process):
            process.close()
            assert process.is_done and session.resume().reason is Reason.END
        assert output_of(target) == "done\n"


def test_a_process_that_is_not_there() -> None:
    launch = Launch(read_object(PROGRAM), None, "malloc_entry")
    with pytest.raises(HostError, match="process"):
        open_live(launch, LiveTarget(pid=2**22 + 1))
    with pytest.raises(HostError, match="cannot be run"):
        open_live(launch, LiveTarget(command=["/no/such/file"]))
    assert signal.SIGCHLD not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_command_is_started_with_the_signals_that_it_would_have() -> None:
    launch = Launch(read_object(PROGRAM), None, "malloc_entry")
    blocked = "import re; exit(int(re.search('SigBlk:\\\\s*(\\\\w+)', open('/proc/self/status').read())[1], 16) != 0)"
    session, process = open_live(launch, LiveTarget(command=[sys.executable, "-c", blocked]))
    try:
        while session.resume().reason is not Reason.END:
            pass
    finally:
        process.close()
    assert process.ending.exit_code == 0
