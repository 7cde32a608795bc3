"""Code and the stack."""

from __future__ import annotations

import re

from rich.text import Text

from pybpftime.debug.frames import Frame
from pybpftime.debug.places import CodePlace
from pybpftime.debug.repl.arguments import count_argument, number_argument, split_format
from pybpftime.debug.repl.instructions import place_text, shown_instruction
from pybpftime.debug.repl.interpreter import Interpreter
from pybpftime.debug.repl.show import (
    frame_place,
    invocation_text,
    result_text,
    short_file,
    show_instruction,
    show_lines,
    show_source,
)
from pybpftime.debug.repl.table import command
from pybpftime.errors import InputError
from pybpftime.program.spec import Function, ProgramSpec


@command("list", "l", usage="list [LOCATION | FIRST,LAST]", example="list parse_ipv4", moves=True, arguments="location")
def list_(repl: Interpreter, text: str) -> None:
    """Show source lines: around a place, a range of lines, or those behind what was shown."""
    frame, size = repl.session.selected, repl.settings.listsize
    current = None if frame is None or frame.line is None else frame.line
    span = re.fullmatch(r"(\d{1,9})\s*,\s*(\d{1,9})", text)
    if span is not None or (not text and repl.listed is None):
        if current is None:
            raise InputError("no source line belongs to where the program stands: list FILE:LINE")
        first = int(span[1]) if span else max(current.line - size // 2, 1)
        file, last = current.file, int(span[2]) if span else first + size - 1
    elif text:
        found = _line_of(repl, text)
        file, first = found[0], max(found[1] - size // 2, 1)
        last = first + size - 1
    else:
        assert repl.listed is not None
        file, first = repl.listed[0], repl.listed[1] + 1
        last = first + size - 1
    marked = current.line if current is not None and current.file == file else None
    if not show_lines(repl, file, range(first, min(last, first + 100_000) + 1), marked):
        source = repl.sources.text(file)
        reason = "is not there, and BTF has none of its lines" if source is None else f"has no line {first}"
        raise InputError(f"{short_file(file)} {reason}")
    repl.listed = (file, last)


@command("disassemble", "disas", usage="disassemble[/s] [LOCATION]", example="disassemble/s parse_ipv4",
         arguments="location")  # fmt: skip
def disassemble(repl: Interpreter, text: str) -> None:
    """Show the instructions of the function at a place, or where the program stands; with /s between source lines."""
    how, where = split_format(text)
    if how not in ("", "s", "m"):
        raise InputError(f"/{how} is no format of disassemble: /s shows source lines")
    frame = repl.session.selected
    if where:
        place = repl.session.places.find(where, file=repl.session.current_file).places[0]
    elif frame is not None:
        place = CodePlace(frame.spec, frame.slot)
    else:
        raise InputError("the program stands nowhere: disassemble LOCATION")
    spec = place.spec
    function = spec.function_at(place.slot) or Function(spec.name, 0, len(spec.instructions))
    _listing(repl, spec, function, with_source=bool(how))


@command("backtrace", "bt", usage="backtrace [N]", example="backtrace 3")
def backtrace(repl: Interpreter, text: str) -> None:
    """Show the functions that are active, the innermost first; inlined ones are marked.  With N, the first N."""
    frames = repl.session.frames()
    if not frames:
        raise InputError(_nowhere(repl))
    selected = repl.session.selected
    for one in frames[: count_argument(text, default=len(frames))]:
        mark = ">" if selected is not None and one.number == selected.number else " "
        repl.say(f"{mark}#{one.number}  {frame_place(one)}{_how(one)}  {place_text(one.spec, one.slot)}")


@command("frame", "f", usage="frame [N]", example="frame 1")
def frame(repl: Interpreter, text: str) -> None:
    """Select a frame, in which names are looked up; without a number show the selected one."""
    if text:
        repl.session.select(number_argument(text, "the number of a frame"))
    _show_selected(repl)


@command("up", usage="up [N]", example="up")
def up(repl: Interpreter, text: str) -> None:
    """Select the frame that called this one."""
    _select_by(repl, count_argument(text))


@command("down", usage="down [N]", example="down")
def down(repl: Interpreter, text: str) -> None:
    """Select the frame that this one called."""
    _select_by(repl, -count_argument(text))


# --- parts ------------------------------------------------------------------------------------------------------------


def _nowhere(repl: Interpreter) -> str:
    world = repl.session.world
    if not world.has_begun:
        return "the program has not begun"
    return f"no function is active: {result_text(world)} ({invocation_text(world)})"


def _how(frame: Frame) -> str:
    return "  (inlined)" if frame.scope.is_inlined else ""


def _select_by(repl: Interpreter, distance: int) -> None:
    selected, frames = repl.session.selected, repl.session.frames()
    if selected is None:
        raise InputError(_nowhere(repl))
    number = selected.number + distance
    if not 0 <= number < len(frames):
        raise InputError("this is the outermost frame" if distance > 0 else "this is the innermost frame")
    repl.session.select(number)
    _show_selected(repl)


def _show_selected(repl: Interpreter) -> None:
    one = repl.session.selected
    if one is None:
        raise InputError(_nowhere(repl))
    repl.say(f"#{one.number}  {frame_place(one)}{_how(one)}", "cyan")
    show_source(repl, one)
    show_instruction(repl, one)


def _line_of(repl: Interpreter, text: str) -> tuple[str, int]:
    """File and line of a place."""
    session = repl.session
    match = re.fullmatch(r"(?:(.+):)?(\d{1,9})", text)
    if match is not None:  # a line need not have code to be shown
        names = session.places.files() if match[1] else []
        file = next((name for name in names if name == match[1] or name.endswith(f"/{match[1]}")), None)
        if not match[1]:
            file = repl.session.current_file
        if file is not None:
            return file, int(match[2])
    place = session.places.find(text).places[0]
    line = session.symbols_of(place.spec).line_at(place.slot)
    if line is None:
        raise InputError(f"no source line belongs to {text}")
    return line.file, line.line


def _listing(repl: Interpreter, spec: ProgramSpec, function: Function, *, with_source: bool) -> None:
    frame, symbols = repl.session.selected, repl.session.symbols_of(spec)
    repl.say(f"{function.name}:", "bold")
    before: tuple[str, int] | None = None
    for slot in range(function.start, function.end):
        if spec.instructions[slot] is None:
            continue
        line = symbols.line_at(slot) if with_source else None
        if line is not None and (line.file, line.line) != before:
            before = (line.file, line.line)
            if not show_lines(repl, line.file, range(line.line, line.line + 1)):
                repl.say(f" {short_file(line.file)}:{line.line}")
        is_current = frame is not None and frame.spec is spec and frame.slot == slot
        row = Text(f"{'>' if is_current else ' '} {place_text(spec, slot)}: ", style="bold" if is_current else "dim")
        repl.console.print(row.append(shown_instruction(spec, slot, repl.session.object.helpers), style="yellow"))
