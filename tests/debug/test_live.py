"""Debugging a program at a probe: the process is frozen in the function that was called, and goes on unharmed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from attach.build import build_target
from attach.processes import Running, running
from attach.tracing import can_trace

from pybpftime.attach.environment import LiveEnvironment
from pybpftime.attach.target import parse_target
from pybpftime.debug.answers import AnswerBook
from pybpftime.debug.live import LiveDebug
from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason, Stop
from pybpftime.debug.symbols import DebugFile
from pybpftime.debug.values import TypedValue
from pybpftime.runtime import Object
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


def debugged(target: Running, interact: Callable[[LiveDebug, Stop], bool], break_at: str) -> LiveDebug:
    """Debug malloc_entry in the process until it ends; `interact` is called at each stop."""
    from pybpftime.attach.session import BreakpointSession

    spec = read_object(PROGRAM)
    session = Session(Object(spec, environment=AnswerBook(LiveEnvironment())), debug=DebugFile(PROGRAM))
    with BreakpointSession.attach(target.pid) as attachment:
        live = LiveDebug(session, attachment, lambda stop: interact(live, stop))
        live.attach(session.object["malloc_entry"], parse_target(spec.programs["malloc_entry"]))
        session.break_at(break_at, condition="size > 1000000 && size < 4000000")
        live.stop_at_hits = False
        assert target.process.stdin is not None
        target.process.stdin.write("\n\n")
        target.process.stdin.close()
        live.serve()
    return live


def test_the_process_is_frozen_while_its_program_is_stopped() -> None:
    seen: list[tuple[int, str, str]] = []

    def interact(live: LiveDebug, stop: Stop) -> bool:
        session = live.session
        assert stop.reason is Reason.BREAKPOINT
        frame = session.selected
        assert frame is not None
        seen.append((number(session, "size"), state_of(session.object.environment.pid), frame.name))
        assert number(session, "ctx->rdi") == number(session, "size")
        code = session.value("*(unsigned char *)ctx->rip")
        assert isinstance(code, TypedValue) and code.snapshot() is not None
        while session.resume().reason is not Reason.END:
            pass
        return True

    with running(sys.executable, "-c", WORK) as target:
        live = debugged(target, interact, "malloc.bpf.c:47")
        assert target.process.wait() == 0
        assert target.process.stdout is not None
        assert target.process.stdout.read() == "done\n"
    assert [size for size, _, _ in seen if size in SIZES] == SIZES
    assert {(state, name) for _, state, name in seen} == {("t", "malloc_entry")}
    assert len(live.session.world.invocations) > len(SIZES)


def test_earlier_hits_can_be_gone_back_to_while_the_process_waits() -> None:
    stops = 0

    def interact(live: LiveDebug, stop: Stop) -> bool:
        nonlocal stops
        session, world = live.session, live.session.world
        stops += 1
        if stops < 3:
            while session.resume().reason is not Reason.END:
                pass
            return True
        here, size = world.step, number(session, "size")
        while session.resume(back=True).reason is Reason.BREAKPOINT and number(session, "size") != SIZES[0]:
            pass
        assert number(session, "size") == SIZES[0]
        assert world.step < here
        session.goto(here)
        assert number(session, "size") == size
        return False

    with running(sys.executable, "-c", WORK) as target:
        live = debugged(target, interact, "malloc.bpf.c:47")
        assert target.process.wait() == 0
    assert stops == 3
    (seen,) = live.session.object.maps["allocations"].values()
    assert seen["calls"] == len(live.session.world.invocations)
