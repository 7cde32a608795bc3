"""The screen in tests: started without a terminal, and looked at when all is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from debug.debug_support import MIXED, TESTS, session_of

from pybpftime.debug.session import Session
from pybpftime.debug.timeline import Invocation
from pybpftime.program.packets import read_packets

pytest.importorskip("textual", reason="needs the package textual")

from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from pybpftime.debug.tui.app import DebuggerApp
from pybpftime.debug.tui.arrangement import Pane, in_front
from pybpftime.debug.tui.widgets import LineView

PARSER = TESTS / "programs" / "xdp_parser.O0.bpf.o"
SMALL, LARGE = (80, 24), (200, 60)
FOREVER = "r0 = 0\nagain: r0 += 1\ngoto again\nexit"
PATIENCE = 120.0
"""Seconds after which a test gives up on a screen that does nothing."""

CHARACTERS = {
    "space": " ", "left_square_bracket": "[", "right_square_bracket": "]", "slash": "/", "colon": ":",
    "question_mark": "?",
}  # fmt: skip

Play = Callable[[DebuggerApp, Pilot[None]], Awaitable[None]]


def parser(count: int = 8, path: Path = PARSER) -> Session:
    """A session on the parser and the first packets of the capture."""
    frames = [packet.data for packet in read_packets(str(MIXED))][:count]
    runs = [Invocation("parse", packet=data, label=f"packet {number}") for number, data in enumerate(frames, 1)]
    return session_of(path, runs)


def play(session: Session, steps: Play, size: tuple[int, int] = SMALL) -> None:
    """Start the screen, let `steps` use it, and end it; raises what went wrong in it."""

    async def run() -> DebuggerApp:
        app = DebuggerApp(session)
        async with app.run_test(size=size) as pilot:
            try:
                await settled(app)
                await steps(app, pilot)
            finally:
                app.worker.close()
                app.bench.leave()
        return app

    app = asyncio.run(run())
    if app.failure is not None:
        raise app.failure


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so.  (`Pilot.pause` waits for a process that does nothing: here a program may run.)"""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "nothing happens"
        await asyncio.sleep(0.002)


async def settled(app: DebuggerApp) -> None:
    """Wait until all is done that was asked for, and shown."""
    for _ in range(2):
        await until(
            lambda: app.worker.is_idle and app.view is app.bench.shown and not _waits(app) and _is_laid_out(app)
        )


def _is_laid_out(app: DebuggerApp) -> bool:
    """Whether every pane has the size that it is to have."""
    front = in_front(app.desk.areas, app.desk.chosen)
    return all(tuple(app.pane(pane).size) == (area.width, area.height) for pane, area in front.items())


def _waits(app: DebuggerApp) -> bool:
    """Whether a widget has messages that it has not seen."""
    return any(one.message_queue_size for one in (app, *app.screen_stack, *app.screen.walk_children()))


def tap(app: DebuggerApp, *keys: str) -> None:
    """Press keys, and wait for nothing."""
    for key in keys:
        app.post_message(events.Key(key, CHARACTERS.get(key, key if len(key) == 1 else None)))


async def press(app: DebuggerApp, *keys: str) -> None:
    """Press keys one after the other, each when the one before is dealt with."""
    for key in keys:
        tap(app, key)
        await settled(app)


async def enter(app: DebuggerApp, key: str, text: str) -> None:
    """Open a prompt, fill it and press Enter."""
    await press(app, key)
    app.query_one("#text", Input).value = text
    await press(app, "enter")


def lines(app: DebuggerApp, pane: Pane) -> list[str]:
    """What a pane shows, the line of the titles first."""
    widget = app.pane(pane)
    widget.render_lines(widget.size.region)
    return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]


def status(app: DebuggerApp) -> str:
    """The first line of the screen."""
    return app.query_one("#status", LineView).text


def output(app: DebuggerApp) -> list[str]:
    """All that was said."""
    return [line.text for line in app.bench.log.lines()]
