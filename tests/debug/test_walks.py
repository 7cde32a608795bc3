"""Any walk through a time line: wherever a session comes to, the state is that of the step."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from debug.debug_support import TESTS, everything, session_of
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason
from pybpftime.debug.timeline import Change

NAMES = ("callbacks.bpf.o", "tail_calls.O0.bpf.o", "xdp_parser.O0.bpf.o", "ringbuf.bpf.o", "multi.bpf.o")
MOST_STEPS = 900

moves = st.one_of(
    st.tuples(st.just("goto"), st.integers(0, MOST_STEPS)),
    st.tuples(st.sampled_from(["step", "next", "finish", "continue", "packet"]), st.booleans()),
    st.tuples(st.just("instructions"), st.integers(-40, 40)),
    st.tuples(st.just("break"), st.integers(0, 30)),
    st.tuples(st.just("watch"), st.integers(0, 9)),
    st.tuples(st.just("delete"), st.just(0)),
)


@cache
def states(path: Path) -> dict[int, tuple[object, ...]]:
    """Everything at each of the first steps, by going there one after the other."""
    world = session_of(path).world
    found = {}
    world.begin_next()
    while not found or (world.step < MOST_STEPS and not world.is_over):
        found[world.step] = everything(world)
        world.advance(world.step + 1)
    found[world.step] = everything(world)
    return found


def move(session: Session, kind: str, argument: int) -> None:
    back = bool(argument)
    match kind:
        case "goto":
            session.goto(argument)
        case "step" | "next":
            session.step_line(over=kind == "next", back=back)
        case "finish":
            session.step_out(back=back)
        case "continue":
            session.resume(back=back)
        case "packet":
            session.next_invocation(back=back)
        case "instructions":
            session.step_instruction(abs(argument), back=argument < 0)
        case "break":
            spec = session.world.program.spec
            if argument < len(spec.instructions) and spec.instructions[argument] is not None:
                session.break_at(f"{spec.name}+{argument}")
        case "watch":
            session.watch(f"$r{argument}")
        case "delete":
            for number in [*session.breakpoints.all, *session.watchpoints]:
                session.remove(number)


@pytest.mark.parametrize("name", NAMES)
@given(walk=st.lists(moves, max_size=12), interval=st.sampled_from([7, 100, 1 << 15]))
@settings(max_examples=15)
def test_the_state_is_that_of_the_step(name: str, walk: list[tuple[str, int]], interval: int) -> None:
    path = TESTS / "programs" / name
    known = states(path)
    session = session_of(path)
    session.world.timeline.interval = interval
    session.start()
    for kind, argument in walk:
        move(session, kind, argument)
        step = session.world.step
        assert session.stop.step == step
        assert session.stop.reason is not Reason.START or step == 0
        if step in known:
            assert everything(session.world) == known[step]
        session.frames()


@given(at=st.integers(0, 600), register=st.integers(6, 9), look=st.lists(st.integers(0, 800), max_size=6))
@settings(max_examples=15)
def test_a_change_that_changes_nothing_gives_the_same_states(at: int, register: int, look: list[int]) -> None:
    """The fork of a time line in which a register is set to what it holds."""
    path = TESTS / "programs" / "xdp_parser.O0.bpf.o"
    known = states(path)
    session = session_of(path)
    session.start()
    end = session.resume().step
    session.goto(at)
    session.change(Change.REGISTER, register, session.world.machine.registers[register])
    assert session.resume().step == end
    for step in look:
        session.goto(step)
        if session.world.step in known:
            assert everything(session.world) == known[session.world.step]
