"""Lines that are visited forwards are visited backwards, in every program, and the states coincide."""

from __future__ import annotations

from pathlib import Path

from debug.debug_support import every_object, everything, session_of

from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason
from pybpftime.debug.symbols import ProgramSymbols

MOST_LINES = 120


@every_object
def test_every_line_forwards_then_backwards(path: Path) -> None:
    session = session_of(path)
    session.world.timeline.interval = 200
    session.start()
    forwards = [(session.world.step, everything(session.world))]
    while len(forwards) < MOST_LINES and session.step_line().reason is not Reason.END:
        forwards.append((session.world.step, everything(session.world)))
    session.goto(forwards[-1][0])
    for step, state in reversed(forwards[:-1]):
        session.step_line(back=True)
        assert session.world.step == step
        assert everything(session.world) == state
    assert session.step_line(back=True).reason is Reason.START


@every_object
def test_stepping_comes_to_every_line_that_is_executed(path: Path) -> None:
    """The lines of the instructions that are executed, against those at which stepping by line stops."""
    by_instruction = session_of(path)
    by_instruction.start()
    executed: set[tuple[str, int]] = set()
    while by_instruction.world.step < 1500:
        executed |= _line(by_instruction)
        if by_instruction.step_instruction().reason is Reason.END:
            break
    by_line = session_of(path)
    by_line.start()
    stepped: set[tuple[str, int]] = set()
    while by_line.world.step <= by_instruction.world.step:
        stepped |= _line(by_line)
        if by_line.step_line().reason is Reason.END:
            break
    assert executed <= stepped


def _line(session: Session) -> set[tuple[str, int]]:
    """The line at which the session stands, if there is one."""
    world = session.world
    if world.ending is not None:
        return set()
    code, slot = world.machine.locate(world.pc)
    symbols: ProgramSymbols = session.symbols_of(code.program.spec)
    place = symbols.line_at(slot)
    return set() if place is None else {(place.file, place.line)}
