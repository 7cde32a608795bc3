"""Moving through a time line by source lines and functions, in both directions.

A line begins where the line of a step differs from that of the step before, or is the same in another call of the
function.  The end of an invocation counts as a line.  Going back one line is going to the last such step before.  So
the lines that are visited backwards are those that were visited forwards.
"""

from __future__ import annotations

from collections.abc import Callable

from pybpftime.debug.marks import NO_LINE, MarkTable
from pybpftime.debug.trail import Trail, depth, record
from pybpftime.debug.world import ENDED, Until, World


class Moves:
    """Says where lines and functions begin and end in the time line of a world."""

    def __init__(self, world: World, marks: MarkTable) -> None:
        self._world = world
        self._marks = marks

    # -- forward: whether the world has come to where it was to go, asked at every step -------------------------------

    def at_next_line(self, *, over: bool) -> Until:
        """The next line; `over`: not in functions that this one calls."""
        world = self._world
        here, deepest = self._here(), self._depth()
        frames, marks = world.machine.frames, self._marks.of(world.executable)

        def begins(pc: int) -> bool:
            if pc == ENDED:
                return True
            line = marks.lines[pc]
            if line == NO_LINE:
                return False
            at = depth(len(frames), marks.inlined[pc])
            return (line, at) != here and not (over and at > deepest)

        return begins

    def at_next_instruction(self, *, over: bool) -> Until:
        """The next instruction; `over`: not in functions that this one calls."""
        frames, deepest = self._world.machine.frames, len(self._world.machine.frames)
        return lambda pc: pc == ENDED or not over or len(frames) <= deepest

    def outside(self) -> Until:
        """The function, or the inlined copy of one, is left."""
        world, at = self._world, self._depth()
        frames, marks = world.machine.frames, self._marks.of(world.executable)
        return lambda pc: pc == ENDED or depth(len(frames), marks.inlined[pc]) < at

    def begin_next(self) -> bool:
        """To the first line of the next invocation; False when there is none."""
        world = self._world
        if not world.begin_next():
            return False
        lines = self._marks.of(world.executable).lines
        return lines[world.pc] != NO_LINE or world.advance(until=lambda pc: pc == ENDED or lines[pc] != NO_LINE)

    # -- backward: the step to go to, None when there is none before -----------------------------------------------

    def line_before(self, *, over: bool) -> int | None:
        """The last step before this one at which a line begins; `over`: not inside functions that this line calls."""
        deepest = self._depth() if over else None
        beginning = self._world.timeline.first
        return self._search(lambda trail: _last(trail.starts(deepest), is_all=trail.first == beginning))

    def out_before(self) -> int | None:
        """The step that called the function, or came into the inlined copy."""
        at = self._depth()

        def find(trail: Trail) -> int | None:
            behind = len(trail.depths)
            found = next((step for step in reversed(range(behind)) if trail.depths[step] < at), None)
            return None if found is None else trail.first + found

        return self._search(find)

    def _search(self, find: Callable[[Trail], int | None]) -> int | None:
        """What `find` finds in the trail before this step, which reaches back further until it does."""
        world, here = self._world, self._world.step
        first = here
        while first > world.timeline.first and not world.paused:
            kept = world.timeline.checkpoint_before(first - 1)
            assert kept is not None
            first = kept.step
            found = find(record(world, self._marks, first, here))
            if found is not None:
                return found
        return None

    # -- where it stands -----------------------------------------------------------------------------------------------

    def _depth(self) -> int:
        world = self._world
        if world.ending is not None:
            return depth(0, 0)
        return depth(len(world.machine.frames), self._marks.of(world.executable).inlined[world.pc])

    def _here(self) -> tuple[int, int]:
        """Line and depth; the line that led to code of no line counts as that of the code."""
        world = self._world
        return self._marks.of(world.executable).lines[world.pc], self._depth()


def _last(starts: list[int], *, is_all: bool) -> int | None:
    """The last of the starts.  The first one does not count, unless the trail reaches back to the first step of all."""
    return starts[-1] if len(starts) > 1 or (starts and is_all) else None
