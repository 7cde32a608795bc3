"""Moving: by instructions, lines, functions, packets; forward and back."""

from __future__ import annotations

import re
from dataclasses import replace

from pybpftime.debug.repl.arguments import count_argument, number_argument
from pybpftime.debug.repl.interpreter import Interpreter
from pybpftime.debug.repl.table import command
from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason, Stop
from pybpftime.errors import InputError

STOPS = (Reason.BREAKPOINT, Reason.WATCHPOINT)
LAST_STEP = 1 << 62
"""Behind all steps."""


@command("run", "r", "restart", usage="run", example="run")
def run(repl: Interpreter, text: str) -> None:
    """Run from the beginning of the first packet until something stops the program.

    The time line is kept: changes that were made on it are made again at their steps.
    """
    repl.session.restart()
    repl.move(repl.session.resume)


@command("start", usage="start", example="start")
def start(repl: Interpreter, text: str) -> None:
    """Go to the beginning of the first packet."""
    repl.move(repl.session.restart)


@command("continue", "c", "fg", usage="continue [N]", example="continue 3", moves=True)
def continue_(repl: Interpreter, text: str) -> None:
    """Run until a breakpoint, a watchpoint or a fault stops the program.

    Packets that end without one are passed.  With N, stop at the N-th stop from here.
    """
    repl.move(repl.session.resume, count_argument(text), STOPS)


@command("reverse-continue", "rc", usage="reverse-continue [N]", example="reverse-continue", moves=True)
def reverse_continue(repl: Interpreter, text: str) -> None:
    """Go back to the last breakpoint, watchpoint or fault before this step.

    With a watchpoint this answers who wrote a value.
    """
    repl.move(lambda: repl.session.resume(back=True), count_argument(text), STOPS)


@command("step", "s", usage="step [N]", example="step 5", moves=True)
def step(repl: Interpreter, text: str) -> None:
    """Go on to the next source line, into functions that are called; N times."""
    repl.move(repl.session.step_line, count_argument(text))


@command("next", "n", usage="next [N]", example="next", moves=True)
def next_(repl: Interpreter, text: str) -> None:
    """Go on to the next source line, over functions that are called; N times."""
    repl.move(lambda: repl.session.step_line(over=True), count_argument(text))


@command("finish", "fin", usage="finish", example="finish", moves=True)
def finish(repl: Interpreter, text: str) -> None:
    """Run until the function, or the inlined copy of one, is left."""
    repl.move(repl.session.step_out)


@command("stepi", "si", usage="stepi [N]", example="stepi 10", moves=True)
def stepi(repl: Interpreter, text: str) -> None:
    """Execute one instruction, or N.  The end of a packet counts as one."""
    count = count_argument(text)
    repl.move(lambda: repl.session.step_instruction(count))


@command("nexti", "ni", usage="nexti [N]", example="nexti", moves=True)
def nexti(repl: Interpreter, text: str) -> None:
    """Execute one instruction, or N; a call of a function counts as one."""
    repl.move(lambda: repl.session.plan_instruction(over=True).go_on(), count_argument(text))


@command("reverse-step", "rs", usage="reverse-step [N]", example="reverse-step", moves=True)
def reverse_step(repl: Interpreter, text: str) -> None:
    """Go back to the source line before, into functions that were called; N times."""
    repl.move(lambda: repl.session.step_line(back=True), count_argument(text))


@command("reverse-next", "rn", usage="reverse-next [N]", example="reverse-next 2", moves=True)
def reverse_next(repl: Interpreter, text: str) -> None:
    """Go back to the source line before, over functions that were called; N times."""
    repl.move(lambda: repl.session.step_line(over=True, back=True), count_argument(text))


@command("reverse-stepi", "rsi", usage="reverse-stepi [N]", example="reverse-stepi 10", moves=True)
def reverse_stepi(repl: Interpreter, text: str) -> None:
    """Go back by one instruction, or N."""
    count = count_argument(text)
    repl.move(lambda: repl.session.step_instruction(count, back=True))


@command("reverse-nexti", "rni", usage="reverse-nexti [N]", example="reverse-nexti", moves=True)
def reverse_nexti(repl: Interpreter, text: str) -> None:
    """Go back by one instruction, or N; a call of a function counts as one."""
    repl.move(lambda: _back_over(repl.session), count_argument(text))


@command("reverse-finish", "rfin", usage="reverse-finish", example="reverse-finish", moves=True)
def reverse_finish(repl: Interpreter, text: str) -> None:
    """Go back to where the function was called."""
    repl.move(lambda: repl.session.step_out(back=True))


@command("until", "u", usage="until [LOCATION]", example="until 180", moves=True, arguments="location")
def until(repl: Interpreter, text: str) -> None:
    """Go on to a place; without one to a line further down, so that loops are run through."""
    if text:
        advance(repl, text)
        return
    session, frame = repl.session, repl.session.selected
    line = 0 if frame is None or frame.line is None else frame.line.line
    level = (None, None) if frame is None else (frame.level, frame.name)

    def further() -> Stop:
        while True:
            stop = session.step_line(over=True)
            now = session.selected
            if stop.reason is not Reason.STEP or now is None or repl.interrupted:
                return stop
            if (now.level, now.name) != level or now.line is None or now.line.line > line:
                return stop

    repl.move(further)


@command("advance", usage="advance LOCATION", example="advance parse_transport", moves=True, arguments="location")
def advance(repl: Interpreter, text: str) -> None:
    """Run until a place is reached, or something else stops the program before."""
    if not text:
        raise InputError("where to? advance takes a place: a function, FILE:LINE, a line, PROGRAM+SLOT")

    def run_there() -> Stop:
        known = set(repl.session.breakpoints.all)
        stop = repl.session.run_to(text, file=repl.session.current_file)
        if stop.reason is Reason.BREAKPOINT and not known & set(stop.breakpoints):
            return replace(stop, reason=Reason.STEP, breakpoints=())
        return stop

    repl.move(run_there)


@command("next-packet", "np", usage="next-packet [N]", example="next-packet", moves=True)
def next_packet(repl: Interpreter, text: str) -> None:
    """Go to the beginning of the next packet or probe hit; N times.  Breakpoints on the way do not stop."""
    repl.move(repl.session.next_invocation, count_argument(text), (Reason.ENTRY,))


@command("previous-packet", "pp", usage="previous-packet [N]", example="previous-packet", moves=True)
def previous_packet(repl: Interpreter, text: str) -> None:
    """Go back to the beginning of this packet, or from there to that of the one before; N times."""
    repl.move(lambda: repl.session.next_invocation(back=True), count_argument(text))


@command("goto", "jump", usage="goto STEP | start | end | packet N", example="goto packet 3", moves=False)
def goto(repl: Interpreter, text: str) -> None:
    """Go to any step of the time line, in either direction.

    `goto start` is step 0, `goto end` the end of the last packet, `goto packet 3` the beginning of that packet.
    Breakpoints on the way do not stop.
    """
    session = repl.session
    match = re.fullmatch(r"(?:packet|run|invocation|hit)\s+(\w+)", text)
    if match is not None:
        index = _invocation_index(session, number_argument(match[1], "a number of a packet"))
        repl.move(lambda: _to_invocation(repl, index))
    elif text == "start":
        repl.move(session.restart)
    elif text == "end":
        repl.move(lambda: session.goto(LAST_STEP))
    else:
        sign = text[:1] if text[:1] in ("+", "-") else ""
        number = number_argument(text.removeprefix(sign).strip(), "a step, start, end or packet N")
        target = session.world.step + int(f"{sign}{number}") if sign else number
        repl.move(lambda: session.goto(target))


# --- parts ------------------------------------------------------------------------------------------------------------


def _back_over(session: Session) -> Stop:
    """One instruction back; what runs in deeper functions is passed."""
    world = session.world
    index, ended, depth = world.index, world.ending is not None, len(world.machine.frames)
    stop = session.step_instruction(back=True)
    while not ended and stop.reason is Reason.STEP and world.index == index and len(world.machine.frames) > depth:
        before = world.step
        stop = session.step_out(back=True)
        if world.step >= before:
            break
    return stop


def _invocation_index(session: Session, number: int) -> int:
    """The invocation that is called so: by its label, else counted from 1."""
    invocations = session.world.invocations
    labels = [one.label for one in invocations]
    if f"packet {number}" in labels:
        return labels.index(f"packet {number}")
    if not 1 <= number <= len(invocations):
        raise InputError(f"there is no packet {number}; there are 1 to {len(invocations)}")
    return number - 1


def _to_invocation(repl: Interpreter, index: int) -> Stop:
    session = repl.session
    starts = session.world.timeline.starts
    if index < len(starts):
        session.goto(starts[index])
        return session.stop
    session.goto(starts[-1])
    while session.world.index < index and not repl.interrupted:
        stop = session.next_invocation()
        if stop.reason is not Reason.ENTRY:
            return stop
    return session.stop
