"""Time lines: which there are, where this one stands."""

from __future__ import annotations

from pybpftime.debug.repl.arguments import number_argument
from pybpftime.debug.repl.instructions import place_text
from pybpftime.debug.repl.interpreter import Interpreter
from pybpftime.debug.repl.show import frame_place, invocation_text, result_text
from pybpftime.debug.repl.table import command
from pybpftime.debug.timeline import Change, Edit


@command("timeline", "tl", usage="timeline [N]", example="timeline 1")
def timeline(repl: Interpreter, text: str) -> None:
    """Go to another time line, to the step where it forked off; without a number list them.

    A time line forks where something is changed that the program went on from already.
    """
    if not text:
        show_timelines(repl)
        return
    number = number_argument(text, "the number of a time line")
    repl.move(lambda: repl.session.switch(number))


@command("history", "where", usage="history", example="history")
def history(repl: Interpreter, text: str) -> None:
    """Show where the program stands: the step, the packet, the instruction; and what was changed on this time line."""
    world = repl.session.world
    line = world.timeline
    repl.say(f"time line {line.number}: step {world.step} of {line.end} so far")
    if not world.has_begun:
        return
    began = line.starts[world.index]
    repl.say(f"{invocation_text(world)} in {world.program.name}, which began at step {began}")
    frame = repl.session.selected
    if frame is not None:
        repl.say(f"{frame_place(frame)}, {place_text(frame.spec, frame.slot)}")
    if world.ending is not None:
        repl.say(result_text(world))
    for edit in line.edits:
        repl.say(f"  at step {edit.step} {_edit_text(repl, edit)}")


def show_timelines(repl: Interpreter) -> None:
    """A line for each time line."""
    world = repl.session.world
    for one in world.timelines:
        mark = ">" if one is world.timeline else " "
        origin = f", forked off {one.parent.number} at step {one.forked_at}" if one.parent is not None else ""
        changed = f", {len(one.edits)} changes" if len(one.edits) != 1 else ", 1 change"
        repl.say(f"{mark}{one.number}: steps 0 to {one.end}{origin}{changed if one.edits else ''}")


def tell_fork(repl: Interpreter, before: int) -> None:
    """Say that a change began a new time line; `before`: how many there were."""
    world = repl.session.world
    if len(world.timelines) > before:
        old, new = world.timeline.parent, world.timeline
        number = old.number if old is not None else 1
        repl.say(
            f"time line {new.number} forks off here, at step {world.step}; "
            f"time line {number} stays as it was (timeline {number} goes back to it)",
            "yellow",
        )


def _edit_text(repl: Interpreter, edit: Edit) -> str:
    match edit.change:
        case Change.REGISTER:
            return f"r{edit.target} was set to {edit.value:#x}"
        case Change.MEMORY:
            memory = repl.session.world.machine.memory
            return f"{memory.describe(edit.target)} was set to {edit.value.hex(' ')}"
    name, key = edit.target
    what = "was deleted" if edit.value is None else f"was set to {edit.value.hex(' ')}"
    return f"{name}[{key.hex(' ')}] {what}"
