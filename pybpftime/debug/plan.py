"""Running on until something stops, and finding what would have stopped when going back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpftime.debug.breakpoints import Hit
from pybpftime.debug.stops import Reason, Stop
from pybpftime.debug.watch import Watching
from pybpftime.debug.world import Until

if TYPE_CHECKING:
    from pybpftime.debug.session import Session


class Plan:
    """A move forward that can be held up by `Session.interrupt` and gone on with."""

    def __init__(self, session: Session, until: Until | None, *, to_next: bool = False) -> None:
        """To where `until` says, to the next breakpoint if None; `to_next`: to the next invocation."""
        self._session = session
        self._until = until
        self._to_next = to_next
        self._watched = session.watched()
        self._watching = Watching(self._watched, session.world)
        # A breakpoint where the program stopped does not stop it again; one where an invocation begins has not yet.
        self._leaving = session.stop.reason not in (Reason.ENTRY, Reason.START, Reason.PAUSED)

    def go_on(self) -> Stop:
        """Move; a Stop for the reason PAUSED means that it was interrupted, and may be called again."""
        if self._to_next:
            return self._session.first_line()
        leaving, self._leaving = self._leaving, False
        if (watched := self._session.watched()) != self._watched:  # set or removed while it was held up
            self._watched, self._watching = watched, Watching(watched, self._session.world)
        return self._advance(leaving=leaving)

    def _advance(self, *, leaving: bool) -> Stop:
        """Execute until something stops it."""
        session, world, until, watching = self._session, self._session.world, self._until, self._watching
        before = world.step

        def stops(pc: int) -> bool:
            return watching.look() or (until is not None and until(pc))

        asked = stops if self._watched else until
        try:
            with watching.looking() as own:
                steps_of = session.steps_of(own)
                stopped = world.advance(steps_of=steps_of, until=asked, to_fault=True, leaving=leaving, past=own)
        except Hit as hit:
            return session.stopped(Reason.BREAKPOINT, hit.numbers, hit.text)
        if world.has_failed and world.step > before:
            return session.stopped(Reason.FAULT)
        if watching.seen:
            return session.stopped_by(watching.seen)
        if stopped:
            return session.stopped(Reason.STEP)
        return session.stopped(Reason.END if world.is_over else Reason.PAUSED)


def last_stop(session: Session, first: int, behind: int) -> Stop | None:
    """The last stop in the steps [first, behind), which were executed before; the world is left somewhere in them.

    A watched value stops it before the instruction that changes it, reads it, or whatever it is watched for.
    """
    world = session.world
    found: Stop | None = None
    world.goto(first)
    watched = session.watched()
    watching = Watching(watched, world)

    def note(numbers: tuple[int, ...]) -> None:
        nonlocal found
        found = Stop(Reason.BREAKPOINT, world.current_step, numbers)

    def look(pc: int) -> bool:
        nonlocal found
        if watching.look():
            text = "; ".join(map(str, watching.seen))
            numbers = tuple(one.watchpoint.number for one in watching.seen)
            found = Stop(Reason.WATCHPOINT, max(world.current_step, 0), numbers, text)
        return False

    session.breakpoints.collect = note
    try:
        with watching.looking() as own:
            world.advance(behind, steps_of=session.steps_of(own), until=look if watched else None, pausable=False)
    finally:
        session.breakpoints.collect = None
    return _later(found if found is None or found.step < behind else None, _last_fault(session, first, behind))


def _last_fault(session: Session, first: int, behind: int) -> Stop | None:
    timeline = session.world.timeline
    for index in reversed(timeline.endings):
        step, error = timeline.ends_at(index), timeline.endings[index].error
        if error is not None and first <= step < behind:
            return Stop(Reason.FAULT, step, text=str(error))
    return None


def _later(one: Stop | None, other: Stop | None) -> Stop | None:
    if one is None or other is None:
        return one or other
    return one if one.step >= other.step else other
