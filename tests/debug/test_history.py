"""A session on what comes from a live process: hits are waited for, and only the last ones are kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from debug.debug_support import TESTS, everything, session_of

from pybpftime.debug import world as world_module
from pybpftime.debug.recording.write import session_lines
from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason
from pybpftime.debug.timeline import Change, Invocation
from pybpftime.errors import InputError

PROGRAM = TESTS / "programs" / "malloc.O0.bpf.o"
KEPT, AT_ONCE = 8, 4


class Hits:
    """A source of `count` hits, each with its number as the size that is asked for."""

    programs = ("malloc_entry",)

    def __init__(self, count: int) -> None:
        self._numbers = iter(range(1, count + 1))
        self.is_done = False
        self.is_closed = False

    def next(self, is_interrupted: Callable[[], bool]) -> Invocation | None:
        number = next(self._numbers, None)
        self.is_done = number is None
        return None if number is None else hit(number)

    def close(self) -> None:
        self.is_closed = True


class Never:
    """A source of hits that never come."""

    is_done = False
    programs = ("malloc_entry",)

    def next(self, is_interrupted: Callable[[], bool]) -> Invocation | None:
        while not is_interrupted():
            time.sleep(0.005)
        return None

    def close(self) -> None:
        """Nothing is open."""


def hit(number: int) -> Invocation:
    registers = bytearray(168)
    registers[112:120] = number.to_bytes(8, "little")  # rdi
    return Invocation("malloc_entry", ctx=bytes(registers), fields={"pid": number % 3, "tid": 7}, label=f"hit {number}")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short history."""
    monkeypatch.setattr(world_module, "INVOCATIONS_KEPT", KEPT)
    monkeypatch.setattr(world_module, "DROPPED_AT_ONCE", AT_ONCE)


def run(session: Session) -> Iterator[int]:
    """Go on to the beginning of each hit; the steps."""
    while session.next_invocation().reason is Reason.ENTRY:
        yield session.world.step


def test_hits_are_taken_as_they_come() -> None:
    session = session_of(PROGRAM, [], source=Hits(3))
    assert session.is_open
    assert session.start().reason is Reason.ENTRY and session.world.invocation.label == "hit 1"
    session.break_at("malloc_entry", condition="ctx->rdi == 3")
    assert session.resume().reason is Reason.BREAKPOINT and session.world.invocation.label == "hit 3"
    assert session.goto(1 << 40).reason is Reason.END and session.is_open  # what did not happen yet is not waited for
    assert session.resume().reason is Reason.END and not session.is_open
    assert session.resume(back=True).reason is Reason.BREAKPOINT


def test_waiting_for_a_hit_is_interrupted() -> None:
    session = session_of(PROGRAM, [], source=Never())
    for move in (session.start, session.resume, session.step_line, session.next_invocation, session.step_instruction):
        timer = threading.Timer(0.05, session.interrupt)
        timer.start()
        stop = move()
        timer.join()
        assert stop.reason is Reason.PAUSED
        assert not session.world.paused and not session.world.has_begun


def test_without_hits_it_ends() -> None:
    session = session_of(PROGRAM, [], source=Hits(0))
    assert session.start().reason is Reason.END and not session.world.has_begun


@pytest.mark.usefixtures("short")
def test_the_last_hits_are_kept_as_they_were() -> None:
    session = session_of(PROGRAM, [], source=Hits(30))
    world, states = session.world, []
    session.start()
    states.append(everything(world))
    while session.step_instruction().reason is not Reason.END:
        states.append(everything(world))
    first = world.timeline.first
    kept = 30 - world.first
    assert KEPT <= kept <= KEPT + 2 * AT_ONCE and first == world.timeline.starts[world.first] > 0
    for step in reversed(range(first, len(states))):
        session.goto(step)
        assert everything(world) == states[step]
    assert [one.label for one in world.invocations[: world.first]] == ["not kept"] * world.first
    assert min(world.timeline.endings) == world.first and min(one.step for one in world.timeline.checkpoints) == first


@pytest.mark.usefixtures("short")
def test_what_is_said_at_the_beginning_of_what_is_kept() -> None:
    said: list[str] = []
    session = session_of(PROGRAM, [], source=Hits(30), output=lambda kind, text: said.append(text))
    session.start()
    for _ in run(session):
        pass
    first, label = session.world.timeline.first, session.world.invocations[session.world.first].label
    for back in (
        lambda: session.resume(back=True), lambda: session.step_instruction(1 << 30, back=True),
        lambda: session.restart() and session.step_line(back=True), lambda: session.step_out(back=True),
        lambda: session.next_invocation(back=True),
    ):  # fmt: skip
        said.clear()
        stop = back()
        assert (stop.reason, stop.step) == (Reason.START, first)
        assert said == [f"history begins with {label}: what was before is not kept any more"]
    with pytest.raises(InputError, match=f"step 3 is not kept any more: the history begins with {label}, at step"):
        session.goto(3)
    assert session.world.step == first
    assert session.restart().step == first


@pytest.mark.usefixtures("short")
def test_lines_are_the_same_in_both_directions() -> None:
    session = session_of(PROGRAM, [], source=Hits(30))
    session.start()
    for _ in run(session):
        pass
    steps = [session.restart().step]
    while session.step_line().reason is not Reason.END:
        steps.append(session.world.step)
    back = [session.world.step]
    while session.step_line(back=True).reason is not Reason.START:
        back.append(session.world.step)
    assert back[::-1] == sorted(set(steps))


@pytest.mark.usefixtures("short")
def test_time_lines_of_what_is_not_kept_go_with_it() -> None:
    session = session_of(PROGRAM, [], source=Hits(60))
    session.start()
    for _ in range(5):
        session.next_invocation()
    session.goto(3)
    assert session.change(Change.REGISTER, 1, 5)
    for _ in run(session):
        pass
    assert session.world.first and len(session.world.timelines) == 2
    with pytest.raises(InputError, match="time line 1 is not kept any more"):
        session.switch(1)


@pytest.mark.usefixtures("short")
def test_what_is_not_kept_cannot_be_recorded() -> None:
    session = session_of(PROGRAM, [], source=Hits(30))
    session.start()
    for _ in run(session):
        pass
    with pytest.raises(InputError, match="a recording begins with the first run"):
        list(session_lines(session, []))
