"""The session as the screen uses it: jobs that do something with it, and the view that follows."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from rich.console import Console

from pybpftime.debug.belief import Beliefs
from pybpftime.debug.repl import Interpreter
from pybpftime.debug.repl.advice import level_advice
from pybpftime.debug.repl.data import display_line
from pybpftime.debug.repl.interpreter import sentence
from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason, Stop
from pybpftime.debug.tui.library import Library
from pybpftime.debug.tui.output import OutputLog
from pybpftime.debug.tui.view import Asked, Look, View, headline, view, where
from pybpftime.errors import BpfError
from pybpftime.program.btf import Btf
from pybpftime.runtime import MapView

WIDTH = 200
"""Of the lines that commands print."""


class Bench:
    """All that belongs to the thread that works with the session.  Only `log` is read from elsewhere.

    `interpreter` executes the commands of the prompt `:`; one is made if there is none.
    """

    def __init__(self, session: Session, library: Library, interpreter: Interpreter | None = None) -> None:
        self.session = session
        self.library = library
        self.look = Look()
        self.log = OutputLog()
        self._text = io.StringIO()
        output = session.output
        console = Console(file=self._text, width=WIDTH, color_system=None)
        if interpreter is None:
            interpreter = Interpreter(session, console, print_maps=_print_counts)
            interpreter.settings.context = 0
        self.interpreter = interpreter
        if interpreter.beliefs is None:
            interpreter.beliefs = Beliefs(session)
        self._beliefs = interpreter.beliefs
        self.on_known: Callable[[], None] = lambda: None
        """Called by another thread when a view would show more than the last one."""
        self._before_us = interpreter.console, output
        interpreter.console = console
        session.output = self.put
        self.shown: View | None = None
        """What `view` gave last."""
        self._before: View | None = None

    def leave(self) -> None:
        """Give the output back to who had it, and end what works for the views."""
        self._beliefs.close()
        self.interpreter.console, self.session.output = self._before_us

    def put(self, kind: str, text: str) -> None:
        """What the program says while it runs; an Output of the session."""
        world = self.session.world
        self.log.add(kind, text, max(world.current_step, 0) if world.has_begun else 0)

    def say(self, kind: str, text: str) -> None:
        """What the debugger says."""
        self.log.add(kind, text, self.session.world.step)

    def do(self, job: Job) -> None:
        """Do it; a failure is said, not raised.  What changes by it is marked in the views that follow."""
        state = self._state()
        try:
            job.act(self)
        except (BpfError, RecursionError, MemoryError) as error:
            self.say("error", sentence(error))
        if self._state() != state:
            self._before = self.shown

    def _state(self) -> tuple[object, ...]:
        """What tells whether registers, memory and maps may be others."""
        world = self.session.world
        return world.has_begun, world.step, world.timeline.number, len(world.timeline.edits)

    def view(self) -> View | None:
        """What there is to see now."""
        try:
            asked = Asked(self._beliefs, self.on_known)
            self.shown = view(self.session, self.library, self.look, self._before, asked)
        except BpfError as error:
            self.say("error", str(error))
        return self.shown

    def stopped(self, stop: Stop) -> None:
        """Say why it stopped, and where; do what the user wants done at stops."""
        world = self.session.world
        label = world.invocation.label if world.has_begun else ""
        kind = "error" if stop.reason is Reason.FAULT else "stop"
        self.say(kind, f"{headline(stop, label)}: {where(self.session)}")
        advice = level_advice(self.session) if stop.reason is Reason.FAULT else ""
        if advice:
            self.say("result", advice)
        for one in self.interpreter.displays:
            if one.enabled:
                self.say("result", display_line(self.interpreter, one))
        for line in [line for number in stop.breakpoints for line in self.interpreter.actions.get(number, ())]:
            if line.strip() != "silent":
                self.execute(line)

    def open(self, key: str) -> None:
        """Open a variable, or close it."""
        self.look = replace(self.look, opened=self.look.opened ^ {key})

    def execute(self, text: str) -> None:
        """Execute a command of the interpreter; what it prints goes to the log."""
        self.say("input", f"{self.interpreter.prompt}{text}")
        failures = self.interpreter.failures
        self._text.seek(0)
        self._text.truncate()
        self.interpreter.execute(text)
        printed = self._text.getvalue().rstrip()
        if printed:
            self.say("result" if self.interpreter.failures == failures else "error", printed)

    def interrupt(self) -> None:
        """Stop what is under way soon.  May be called from any thread."""
        self.interpreter.interrupt()


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do with the session.  `name` is shown while it is under way."""

    name: str
    act: Callable[[Bench], None]


def _print_counts(console: Console, views: Iterable[MapView], btf: Btf | None) -> None:
    """Of maps, how full they are: the pane of the maps shows what is in them."""
    for one in views:
        console.print(f"{one.name}: see the pane of the maps", markup=False)
