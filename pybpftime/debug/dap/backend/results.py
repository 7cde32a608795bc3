"""What became of the runs, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pybpftime.debug.timeline import Ending, Timeline
from pybpftime.debug.world import World

MOST_FAULTS = 10


def ending_text(ending: Ending) -> str:
    """How a run ended, in one line."""
    result = ending.result
    if result is None:
        return f"failed: {ending.error}"
    redirect = f", redirected to {result.redirect[0]} {result.redirect[1]}" if result.redirect else ""
    packet = f", packet of {len(result.packet)} bytes" if result.packet is not None else ""
    return f"returned {result.verdict} (r0 = {result.r0:#x}) after {result.instructions} instructions{packet}{redirect}"


def summary(world: World) -> Iterator[str]:
    """The lines that are put out when the last run is over."""
    endings = world.timeline.endings
    if len(endings) == 1:
        (ending,) = endings.values()
        yield f"{world.invocations[0].label or 'The run'} {ending_text(ending)}."
        return
    counts = Counter(str(ending.result.verdict) if ending.result else "fault" for ending in endings.values())
    which = f"The last {len(endings)} of {len(world.invocations)} runs" if world.first else f"{len(endings)} runs"
    yield f"{which}: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()) + "."
    failed = [(index, ending) for index, ending in sorted(endings.items()) if ending.error is not None]
    for index, ending in failed[:MOST_FAULTS]:
        yield f"{world.invocations[index].label or f'run {index + 1}'} {ending_text(ending)}"
    if len(failed) > MOST_FAULTS:
        yield f"... and {len(failed) - MOST_FAULTS} more"


def exit_code(timeline: Timeline) -> int:
    """0, or 1 if a run failed."""
    return int(any(ending.error is not None for ending in timeline.endings.values()))
