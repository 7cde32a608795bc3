"""Where the program stands in time."""

from __future__ import annotations

from dataclasses import dataclass

from pybpftime.debug.session import Session

MOST_STARTS = 2000


@dataclass(frozen=True, slots=True)
class TimeView:
    """The time line: `step` of `end`, invocation `index` of `count`, which is called `label`.

    `starts` are the steps at which invocations begin, of very many only some.  `forks` are the steps at which other
    time lines part from this one or this one from another, with the number of the other.
    """

    step: int
    end: int
    index: int
    count: int
    label: str
    starts: tuple[int, ...]
    forks: tuple[tuple[int, int], ...]
    number: int
    lines: int


def time_view(session: Session) -> TimeView:
    """The time line that the world is in."""
    world, line = session.world, session.world.timeline
    forks = [(one.forked_at, one.number) for one in world.timelines if one.parent is line]
    if line.parent is not None:
        forks.append((line.forked_at, line.parent.number))
    every = len(line.starts) // MOST_STARTS + 1
    return TimeView(
        world.step, line.end, max(world.index, 0), len(world.invocations),
        world.invocation.label if world.has_begun else "",
        tuple(line.starts[::every]), tuple(sorted(forks)), line.number, len(world.timelines),
    )  # fmt: skip
