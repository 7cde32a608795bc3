"""The time line as a line of characters, and the step that a column of it stands for."""

from __future__ import annotations

from pybpftime.debug.tui.rows import Role
from pybpftime.debug.tui.view_time import TimeView

LINE, START, FORK, HERE = "─", "┬", "┴", "●"


def title(time: TimeView) -> str:
    """`step 592 of 34502, packet 4 (4 of 76), time line 2 of 2`."""
    text = f"step {time.step} of {time.end}"
    if time.count > 1:
        text += f", {time.label} ({time.index + 1} of {time.count})"
    if time.lines > 1:
        text += f", time line {time.number} of {time.lines}"
    return text


def bar(time: TimeView, width: int) -> list[tuple[str, Role]]:
    """A character for each column: where invocations begin, where time lines fork, where the program stands."""
    cells = [(LINE, Role.DIM)] * max(width, 0)
    if not cells:
        return cells
    for start in time.starts:
        cells[column_of(time, start, width)] = (START, Role.NUMBER)
    for step, _ in time.forks:
        if step <= time.end:
            cells[column_of(time, step, width)] = (FORK, Role.BREAKPOINT)
    cells[column_of(time, time.step, width)] = (HERE, Role.HERE)
    return cells


def column_of(time: TimeView, step: int, width: int) -> int:
    """The column of a step."""
    return min(step * (width - 1) // max(time.end, 1), width - 1)


def step_at(time: TimeView, column: int, width: int) -> int:
    """The step to go to for a click on a column: the beginning of an invocation that is marked there, else any."""
    column = min(max(column, 0), width - 1)
    marked = [start for start in time.starts if column_of(time, start, width) == column]
    if marked:
        return marked[0]
    return min(-(-column * time.end // max(width - 1, 1)), time.end)
