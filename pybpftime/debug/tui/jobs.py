"""What the keys and prompts of the screen do, as jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from pybpftime.debug.expression import MapValue
from pybpftime.debug.places import Places
from pybpftime.debug.session import Session
from pybpftime.debug.stops import Stop
from pybpftime.debug.tui.bench import Bench, Job
from pybpftime.errors import InputError

MOVES: Mapping[str, Callable[[Session], Stop]] = {
    "step": lambda session: session.step_line(),
    "next": lambda session: session.step_line(over=True),
    "finish": lambda session: session.step_out(),
    "continue": lambda session: session.resume(),
    "instruction": lambda session: session.step_instruction(),
    "next invocation": lambda session: session.next_invocation(),
    "step back": lambda session: session.step_line(back=True),
    "next back": lambda session: session.step_line(over=True, back=True),
    "finish back": lambda session: session.step_out(back=True),
    "continue back": lambda session: session.resume(back=True),
    "instruction back": lambda session: session.step_instruction(back=True),
    "previous invocation": lambda session: session.next_invocation(back=True),
}
"""The moves, by what is said while they are under way."""
LONGEST_INPUT = 2000


def move(name: str) -> Job:
    """One of MOVES."""
    return _move(name, MOVES[name])


def start() -> Job:
    """Begin, unless that was done.  A live process waits: the user may want to set breakpoints first."""

    def act(bench: Bench) -> None:
        world = bench.session.world
        if not world.has_begun and world.source is None:
            bench.stopped(bench.session.start())
        elif not world.has_begun:
            bench.say("stop", "The process waits until the first c: set breakpoints before.")

    return Job("start", act)


def to_step(step: int) -> Job:
    """To any step."""
    return _move(f"go to step {step}", lambda session: session.goto(step))


def go_to(text: str) -> Job:
    """To what a user types: a step, `+N` or `-N` steps on or back, or a place to run to (`:120` is a line)."""
    text = text.strip()
    sign, digits = text[:1], text.lstrip("+-")
    if digits.isascii() and digits.isdigit() and len(text) <= 19:
        number = int(digits)

        def go(session: Session) -> Stop:
            step = session.world.step
            return session.goto(step + number if sign == "+" else max(step - number, 0) if sign == "-" else number)

        return _move(f"go to step {text}", go)
    return _move(f"run to {text}", lambda session: session.run_to(_place(text), file=_file(session)))


def run_to_line(file: str, line: int) -> Job:
    """Run until a line is reached."""
    return _move(f"run to line {line}", lambda session: session.run_to(str(line), file=file))


def next_timeline() -> Job:
    """The next time line, at the last step that both have in common."""

    def act(session: Session) -> Stop:
        world = session.world
        if len(world.timelines) == 1:
            raise InputError("there is one time line: changing something in the past makes another")
        return session.switch(world.timeline.number % len(world.timelines) + 1)

    return _move("next time line", act)


def command(text: str) -> Job:
    """A command of the command line."""
    return Job(text, lambda bench: bench.execute(_checked(text)))


def toggle_line(file: str, line: int, condition: str = "") -> Job:
    """Set a breakpoint at a line, or remove those that are there; with a condition, set one."""
    return Job("breakpoint", lambda bench: _toggle(bench, bench.session.places.line(file, line), condition))


def toggle_slot(program: str, slot: int, condition: str = "") -> Job:
    """The same at an instruction."""
    return Job("breakpoint", lambda bench: _toggle(bench, bench.session.places.instruction(program, slot), condition))


def select(frame: int) -> Job:
    """Look at another frame."""
    return Job("frame", lambda bench: _nothing(bench.session.select(frame)))


def open_variable(key: str) -> Job:
    """Open a variable, or close it."""
    return Job("open", lambda bench: bench.open(key))


def look_at_memory(text: str) -> Job:
    """Show the memory that an expression points to; the stack for an empty text."""

    def act(bench: Bench) -> None:
        if text.strip():
            bench.session.value(_checked(text))  # says now what is wrong with it
        bench.look = replace(bench.look, memory=text.strip())

    return Job("memory", act)


def show_proof() -> Job:
    """Show from now on what the verifier knows."""

    def act(bench: Bench) -> None:
        bench.look = replace(bench.look, proof=True)

    return Job("proof", act)


def show_value(text: str) -> Job:
    """Say what an expression is."""

    def act(bench: Bench) -> None:
        bench.say("input", text)
        value = bench.session.value(_checked(text))
        if isinstance(value, MapValue):
            bench.say("result", f"map {value.name} with {value.map.length()} entries")
        else:
            bench.say("result", f"{value.text()}  ({value.type_text})")

    return Job("expression", act)


def _move(name: str, act: Callable[[Session], Stop]) -> Job:
    return Job(name, lambda bench: bench.stopped(act(bench.session)))


def _checked(text: str) -> str:
    if len(text) > LONGEST_INPUT:
        raise InputError(f"an expression has at most {LONGEST_INPUT} characters")
    return text


def _place(text: str) -> str:
    return text.removeprefix(":")


def _file(session: Session) -> str | None:
    frame = session.selected
    return None if frame is None or frame.line is None else frame.line.file


def _toggle(bench: Bench, places: Places, condition: str) -> None:
    session, here = bench.session, {(id(one.spec), one.slot) for one in places.places}
    found = [
        one
        for one in session.breakpoints.all.values()
        if isinstance(one.where, Places) and here & {(id(place.spec), place.slot) for place in one.where.places}
    ]
    if condition or not found:
        one = session.break_at_places(places, condition=_checked(condition))
        bench.say("stop", f"breakpoint {one.number} at {one.text}" + (f" if {condition}" if condition else ""))
        if not condition:
            return
    for one in found:
        session.remove(one.number)
        bench.say("stop", f"breakpoint {one.number} removed")


def _nothing(_: object) -> None:
    """For a job that gives nothing."""
