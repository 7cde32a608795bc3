"""What happened between two steps, step by step: for finding a place when going back."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from pybpftime.debug.marks import NO_LINE, Marks, MarkTable
from pybpftime.debug.world import ENDED, World

END_OF_INVOCATION = -1


@dataclass(frozen=True, slots=True)
class Trail:
    """Steps [first, first + len(lines)): the line of each (`marks`), END_OF_INVOCATION at an end; how deep it is.

    Depth counts function calls, and below them inlined functions: see `depth`.
    """

    first: int
    lines: array[int]
    depths: array[int]
    calls: array[int]

    def starts(self, deepest: int | None = None) -> list[int]:
        """The steps at which a line begins: it is another one than that of the steps before, or in another call.

        Of steps that are deeper than `deepest` nothing is seen.  Of the first one that is found it cannot be told
        whether it is one: that depends on what was before the trail.
        """
        found: list[int] = []
        last: tuple[int, int] | None = None
        for at, line in enumerate(self.lines):
            if line == NO_LINE or (deepest is not None and self.depths[at] > deepest):
                continue
            here = (line, self.depths[at])
            if here != last or line == END_OF_INVOCATION:
                found.append(self.first + at)
                last = here
        return found


def depth(calls: int, inlined: int) -> int:
    """One number for how deep a step is: inlined functions are deeper than their function, calls deeper than those."""
    return calls << 16 | inlined


def record(world: World, marks: MarkTable, first: int, behind: int) -> Trail:
    """The trail of the steps [first, behind), which were executed before; the world is left at the last of them."""
    lines, depths, calls = array("i"), array("I"), array("H")

    def note(pc: int) -> bool:
        if pc == ENDED:
            lines.append(END_OF_INVOCATION)
            depths.append(0)
            calls.append(0)
            return False
        known = table()
        frames = len(world.machine.frames)
        lines.append(known.lines[pc])
        depths.append(depth(frames, known.inlined[pc]))
        calls.append(frames)
        return False

    def table() -> Marks:
        return marks.of(world.executable)

    world.goto(first)
    note(ENDED if world.ending is not None else world.pc)
    world.advance(behind - 1, until=note, pausable=False)
    return Trail(first, lines, depths, calls)
