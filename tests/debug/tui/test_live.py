"""Live processes on the screen."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attach.tracing import PROGRAMS, can_trace
from debug.debug_support import session_of
from debug.test_history import PROGRAM, Hits, Never
from debug.tui.test_terminal import Terminal
from debug.tui.tui_support import lines, output, play, press, status, tap, until
from textual.pilot import Pilot

from pybpftime.debug.stops import Reason
from pybpftime.debug.tui.app import DebuggerApp
from pybpftime.debug.tui.arrangement import Pane

__all__ = ["can_trace"]

WORK = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
for size in (1111111, 2222222):
    libc.malloc(size)
print("what it writes", flush=True)
"""


def test_breakpoints_are_set_before_the_first_hit() -> None:
    session = session_of(PROGRAM, [], source=Hits(3))

    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        assert not session.world.has_begun and "The process waits" in output(app)[-1]
        assert any("▷" in row for row in lines(app, Pane.SOURCE))
        await press(app, "down", "down", "b", "c")
        assert session.stop.reason is Reason.BREAKPOINT and "(thread" not in status(app)
        assert "breakpoint 1" in status(app) and session.world.invocation.label == "hit 1"
        await press(app, "space")
        assert session.world.invocation.label == "hit 2"
        await press(app, "c", "c", "c")
        assert session.stop.reason is Reason.END and session.world.invocation.label == "hit 3"

    play(session, steps)


def test_the_wait_for_a_hit_ends_with_escape() -> None:
    session = session_of(PROGRAM, [], source=Never())

    async def steps(app: DebuggerApp, pilot: Pilot[None]) -> None:
        tap(app, "c")
        await until(lambda: "RUNNING continue" in status(app))
        await press(app, "escape")
        assert session.stop.reason is Reason.PAUSED and "paused" in output(app)[-1]

    play(session, steps)


@pytest.fixture
def terminal(tmp_path: Path, can_trace: None) -> Iterator[Terminal]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    (tmp_path / "work.py").write_text(WORK)
    start = "from pybpftime.cli.main import main; main()"
    one = Terminal(
        tmp_path / "tmux", sys.executable, "-c", start, "debug", str(PROGRAMS / "malloc.O0.bpf.o"), "-p",
        "malloc_entry", "--tui", "--", sys.executable, str(tmp_path / "work.py"),
    )  # fmt: skip
    with one:
        yield one


def test_a_process_in_tmux(terminal: Terminal) -> None:
    terminal.wait_for("The process waits until the first c")
    terminal.keys("-l", ":break malloc.bpf.c:47 if size > 1000000")
    terminal.keys("Enter")
    terminal.wait_for("breakpoint 1 at")
    terminal.keys("c")
    terminal.wait_for("size = 1111111")
    terminal.keys("c")
    terminal.wait_for("size = 2222222")
    terminal.keys("C")
    terminal.wait_for("size = 1111111")
    terminal.keys("-l", ":delete")
    terminal.keys("Enter")
    terminal.wait_for("(bpf) delete")
    terminal.keys("c")
    terminal.wait_for("what it writes")
    terminal.keys("q")
    terminal.wait_for("left with 0")
