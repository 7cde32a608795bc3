"""What is shown after each stop: why, where, the source, the instruction, and the registers that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pybpftime.debug.breakpoints import Breakpoint
from pybpftime.debug.frames import Frame
from pybpftime.debug.repl.advice import level_advice
from pybpftime.debug.repl.instructions import place_text, shown_instruction
from pybpftime.debug.stops import Reason, Stop
from pybpftime.debug.world import World
from pybpftime.errors import Fault

if TYPE_CHECKING:
    from pybpftime.debug.repl.interpreter import Interpreter

NUMBER_WIDTH = 5
STYLES = {Reason.FAULT: "bold red", Reason.BREAKPOINT: "bold", Reason.WATCHPOINT: "bold"}


class StopView:
    """Shows stops, and remembers the registers of the last one."""

    def __init__(self, repl: Interpreter) -> None:
        self._repl = repl
        self._registers: tuple[int | None, ...] = ()

    def show(self, stop: Stop) -> None:
        """Everything about a stop."""
        repl = self._repl
        session = repl.session
        text = self._reason(stop)
        frame = session.selected
        if frame is None:
            repl.say(f"{text} ({where_text(session.world)})" if session.world.has_begun else text)
        else:
            place = f"{frame_place(frame)} ({where_text(session.world)})"
            if text and not (stop.reason is Reason.BREAKPOINT and not stop.text):
                repl.say(text, STYLES.get(stop.reason, ""))
                text = ""
            repl.say(f"{text}, {place}" if text else place, "cyan")
            show_source(repl, frame)
            show_instruction(repl, frame)
        self._show_registers()
        if stop.reason is Reason.FAULT:
            advice = level_advice(session)
            if advice:
                repl.say(advice, "yellow")
        self._show_displays()

    def remember(self) -> None:
        """The registers as they are, without showing any."""
        world = self._repl.session.world
        if world.has_begun:
            self._registers = tuple(world.machine.registers)

    def _reason(self, stop: Stop) -> str:
        session = self._repl.session
        ending = session.world.ending
        match stop.reason:
            case Reason.BREAKPOINT:
                named = ", ".join(self._breakpoint(number) for number in stop.breakpoints)
                return f"{named}: {stop.text}" if stop.text else named
            case Reason.WATCHPOINT:
                return f"watchpoint {', '.join(map(str, stop.breakpoints))}: {stop.text}"
            case Reason.FAULT if ending is not None and ending.error is not None:
                kind = f"{ending.error.kind} fault" if isinstance(ending.error, Fault) else "stopped by a limit"
                return f"{kind}: {ending.error.reason}"
            case Reason.START:
                return "this is the beginning: nothing is before it"
            case Reason.PAUSED:
                return "interrupted"
            case Reason.END:
                if session.is_open:
                    return (
                        f"{result_text(session.world)}; `continue` waits for the next hit"
                        if session.world.has_begun
                        else ""
                    )
                return f"{result_text(session.world)}; there is nothing more to run on"
        return result_text(session.world) if ending is not None and ending.error is None else ""

    def _breakpoint(self, number: int) -> str:
        one: Breakpoint | None = self._repl.session.breakpoints.all.get(number)
        return f"breakpoint {number}" if one is None or not one.log else f"log point {number}"

    def _show_registers(self) -> None:
        world = self._repl.session.world
        if not world.has_begun:
            return
        before, self._registers = self._registers, tuple(world.machine.registers)
        changed = [number for number, value in enumerate(self._registers) if not before or before[number] != value]
        values = [(number, self._registers[number]) for number in changed]
        texts = [f"r{number} = {register_text(world, value)}" for number, value in values if value is not None]
        unset = [f"r{number}" for number, value in values if value is None] if before else []
        if unset:
            texts.append(f"{', '.join(unset)} not set")
        if texts and world.ending is None:
            self._repl.say("  " + "  ".join(texts), "green")

    def _show_displays(self) -> None:
        from pybpftime.debug.repl.data import display_line

        for one in self._repl.displays:
            if one.enabled:
                self._repl.say(display_line(self._repl, one))


def where_text(world: World) -> str:
    """`packet 3 of 76, step 1234`"""
    step = f"step {world.step}"
    if world.timeline.number != 1:
        step += f", time line {world.timeline.number}"
    return f"{invocation_text(world)}, {step}"


def invocation_text(world: World) -> str:
    """`packet 3 of 76`"""
    label = world.invocation.label or f"run {world.index + 1}"
    is_numbered = label.rpartition(" ")[2].isdecimal()
    return f"{label} of {len(world.invocations)}" if len(world.invocations) > 1 and is_numbered else label


def result_text(world: World) -> str:
    """How the invocation ended."""
    ending = world.ending
    if ending is None:
        return "it is not over"
    if ending.result is None:
        return str(ending.error)
    result = ending.result
    verdict = str(result.verdict)
    shown = verdict if verdict == str(result.r0) else f"{verdict} ({result.r0})"
    return f"{world.program.name} returned {shown} after {result.instructions} instructions"


def register_text(world: World, value: int | None) -> str:
    """A register's value, and what it points to."""
    if value is None:
        return "(not set)"
    if world.machine.is_pointer(value):
        return f"{value:#x} <{world.machine.memory.describe(value)}>"
    return f"{value:#x}" if value > 9 else str(value)


def frame_place(frame: Frame) -> str:
    """`parse_ipv4 at xdp_parser.bpf.c:157`"""
    if frame.line is None:
        return f"{frame.name} at {place_text(frame.spec, frame.slot)}"
    return f"{frame.name} at {short_file(frame.line.file)}:{frame.line.line}"


def short_file(file: str) -> str:
    """The last part of a path."""
    return file.replace("\\", "/").rpartition("/")[2] or file


def show_source(repl: Interpreter, frame: Frame) -> None:
    """The source around a frame's line; nothing where there is none."""
    if frame.line is None:
        return
    around = repl.settings.context
    first = max(frame.line.line - around // 2, 1)
    show_lines(repl, frame.line.file, range(first, first + around), frame.line.line)


def show_lines(repl: Interpreter, file: str, lines: range, current: int | None = None) -> int:
    """Lines of a file that are there; the answer is how many there were."""
    source = repl.sources.text(file)
    if source is None:
        return 0
    shown = 0
    for number in lines:
        text = source.line(number)
        if text is None or (not text and source.is_reconstructed):
            continue
        shown += 1
        mark, style = (">", "bold") if number == current else (" ", "")
        row = Text(f"{mark}{number:>{NUMBER_WIDTH}}  ", style=style or "dim")
        row.append(text.expandtabs(4).rstrip(), style=style or "default")
        repl.console.print(row)
    return shown


def show_instruction(repl: Interpreter, frame: Frame) -> None:
    """The instruction that is next in a frame."""
    row = Text(f"  {place_text(frame.spec, frame.slot)}: ", style="dim")
    row.append(shown_instruction(frame.spec, frame.slot, repl.session.object.helpers), style="yellow")
    repl.console.print(row)
