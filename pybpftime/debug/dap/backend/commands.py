"""What may be typed in the editor's console besides expressions: the commands of the debugger on the command line.

Moves are runs here, so that the editor can pause them.  All other commands are executed by the interpreter of
`pybpftime debug`, and their output is the answer.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping

from rich.console import Console

from pybpftime.debug.dap.backend.maps import map_row
from pybpftime.debug.dap.backend.rows import Style
from pybpftime.debug.expression import compile_expression
from pybpftime.debug.frames import Frame
from pybpftime.debug.repl import Interpreter
from pybpftime.debug.repl.table import COMMANDS
from pybpftime.debug.session import Session
from pybpftime.debug.sources import Sources
from pybpftime.debug.stops import Stop
from pybpftime.errors import InputError
from pybpftime.program.btf import Btf
from pybpftime.runtime import MapView

Go = Callable[[], Stop]
WIDTH = 100
MOST_ELEMENTS = 100

MOVES: Mapping[str, Callable[[Session], Go]] = {
    "continue": lambda session: session.plan_resume().go_on,
    "step": lambda session: session.plan_line().go_on,
    "next": lambda session: session.plan_line(over=True).go_on,
    "stepi": lambda session: session.plan_instruction().go_on,
    "nexti": lambda session: session.plan_instruction(over=True).go_on,
    "finish": lambda session: session.plan_out().go_on,
    "reverse-continue": lambda session: lambda: session.resume(back=True),
    "reverse-step": lambda session: lambda: session.step_line(back=True),
    "reverse-next": lambda session: lambda: session.step_line(over=True, back=True),
    "reverse-stepi": lambda session: lambda: session.step_instruction(back=True),
    "reverse-finish": lambda session: lambda: session.step_out(back=True),
}
"""Commands that, without an argument, let the program run."""

INSTEAD = {
    "quit": "end the session in the editor",
    "run": "use restart in the editor, or start",
    "frame": "choose the frame in the call stack",
    "up": "choose the frame in the call stack",
    "down": "choose the frame in the call stack",
    "commands": "use a log point",
    "define": "a console takes single lines",
    "display": "use a watch expression",
    "undisplay": "use a watch expression",
}
"""Commands that mean nothing in an editor -> what to do there."""


def command_of(session: Session, text: str, frame: Frame | None) -> tuple[str, str] | None:
    """The full name of the command that a text is, and its argument; None if it is an expression.

    What begins with a name that the program has is an expression, if it can be one.
    """
    match = re.match(r"[A-Za-z][\w-]*", text)
    if match is None:
        return None
    word = match[0]
    known = next((one.name for one in COMMANDS if word in (one.name, *one.aliases)), None)
    if known is None:
        return None
    scope = session.scope(frame)
    if word == "packet" or word in scope.names():
        try:
            compile_expression(text, scope, allow_assignment=True)
        except InputError:
            pass
        else:
            return None
    if known in INSTEAD:
        raise InputError(f"{known} is for the command line: {INSTEAD[known]}")
    return known, text[match.end() :].strip()


class CommandLine:
    """The interpreter of the command line, for one session; what it prints is an answer."""

    def __init__(self, session: Session, sources: Sources) -> None:
        self.session = session
        self._written = io.StringIO()
        console = Console(file=self._written, width=WIDTH, color_system=None, highlight=False, soft_wrap=True)
        output = session.output
        self._interpreter = Interpreter(session, console, print_maps=self._print_maps)
        self._interpreter.sources = sources
        session.output = output  # lines that the program prints go to the client, as always

    def execute(self, text: str, frame: Frame | None) -> str:
        """Do what a command says, with names looked up in a frame; what it printed.  Raises what goes wrong."""
        self._written.seek(0)
        self._written.truncate()
        if frame is not None:
            self.session.select(frame.number)
        try:
            self._interpreter.interrupted = False
            self._interpreter.feed(text)
        except RecursionError:
            raise InputError("that is nested too deeply") from None
        return self._written.getvalue().rstrip("\n")

    def _print_maps(self, console: Console, views: Iterable[MapView], btf: Btf | None) -> None:
        for view in views:
            row = map_row(self.session, None, view)
            console.print(f"{row.name}: {row.text}", markup=False)
            rows = row.container.rows(Style(), 0, MOST_ELEMENTS) if row.container is not None else []
            for one in rows:
                console.print(f"  {one.name} = {one.text}", markup=False)
            if row.container is not None and row.container.indexed > len(rows):
                console.print(f"  ... {row.container.indexed - len(rows)} more", markup=False)
