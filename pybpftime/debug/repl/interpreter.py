"""The command interpreter: takes lines, does what they say to a session, prints to a console.

    interpreter = Interpreter(session, console, print_maps=print_maps)
    interpreter.begin()                     # shows where the program stands
    interpreter.execute("break parse if $r1 == 0")
    interpreter.execute("continue")

It knows no terminal: whoever reads lines calls `execute`, and `interrupt` from a signal handler.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from pybpftime.debug.breakpoints import Breakpoint
from pybpftime.debug.repl.arguments import MemoryFormat, printable
from pybpftime.debug.repl.show import StopView
from pybpftime.debug.repl.table import COMMANDS, Command
from pybpftime.debug.session import Session
from pybpftime.debug.sources import Sources
from pybpftime.debug.stops import Reason, Stop
from pybpftime.errors import BpfError, InputError
from pybpftime.program.btf import Btf
from pybpftime.runtime import MapView

if TYPE_CHECKING:  # most sessions never ask the verifier
    from pybpftime.debug.belief import Beliefs

PROMPT = "(bpf) "
BLOCK_PROMPT = "> "
DEEPEST = 50
"""Macros and scripts within each other."""
MOST_ARGUMENTS = 10
LONGEST_LINE = 1 << 16
"""Characters of a command."""
_WORD = re.compile(r"[A-Za-z][\w-]*")

PrintMaps = Callable[[Console, Iterable[MapView], Btf | None], None]


class NestedTooDeeplyError(InputError):
    """Macros or scripts call each other without end."""


@dataclass
class Settings:
    """What `set` changes of the interpreter: lines of `list`, lines shown at a stop, whether commands are echoed."""

    listsize: int = 10
    context: int = 3
    trace_commands: bool = False


@dataclass
class Block:
    """Lines up to `end` that belong to a command; `done` gets them."""

    opening: str
    done: Callable[[list[str]], None]
    lines: list[str] = field(default_factory=list)
    depth: int = 0


@dataclass
class Display:
    """An expression that is shown at every stop."""

    number: int
    format: str
    text: str
    enabled: bool = True


class Interpreter:
    """Executes commands on a session.  `failures` counts commands that failed; `finished` says that `quit` was."""

    def __init__(
        self,
        session: Session,
        console: Console,
        *,
        print_maps: PrintMaps,
        directories: Sequence[str] = (),
    ) -> None:
        """`print_maps` prints typed tables of maps; `directories` are searched for source files."""
        self.session = session
        self.console = console
        self.print_maps = print_maps
        self.settings = Settings()
        self.sources = Sources((program.spec for program in session.object), session.debug, directories=directories)
        self.displays: list[Display] = []
        self.actions: dict[int, list[str]] = {}
        """The commands of breakpoints and watchpoints, by number."""
        self.macros: dict[str, list[str]] = {}
        self.failures = 0
        self.finished = False
        self.exit_code: int | None = None
        self.interrupted = False
        self.listed: tuple[str, int] | None = None
        """File and last line of the last `list`."""
        self.beliefs: Beliefs | None = None
        """The verifier's side, once it was asked for."""
        self.memory_format = MemoryFormat()
        self.memory_at: int | None = None
        self.view = StopView(self)
        self._block: Block | None = None
        self._again = ""
        self._pending: deque[str] = deque()
        self._draining = False
        self._depth = 0
        session.output = self._output

    # -- for who reads lines -------------------------------------------------------------------------------------------

    @property
    def prompt(self) -> str:
        """What stands before the next line."""
        return PROMPT if self._block is None else BLOCK_PROMPT

    @property
    def faulted(self) -> bool:
        """Whether a run ended by a fault or a limit, on any time line."""
        lines = self.session.world.timelines
        return any(ending.error is not None for line in lines for ending in line.endings.values())

    def begin(self) -> None:
        """Begin the first invocation, unless it has begun, and show where the program stands."""
        try:
            self.show(self.session.start())
        except BpfError as error:
            self.fail(error)

    def execute(self, line: str, *, repeats: bool = False) -> None:
        """Do what a line says; what goes wrong is printed.  With `repeats` an empty line moves again."""
        self.interrupted = False
        self.session.world.paused = False
        text = line.strip()
        if not text and repeats and self._block is None:
            text = self._again
        try:
            self.feed(text)
        except KeyboardInterrupt:
            self.interrupted = True
            self.show(self.session.stopped(Reason.PAUSED))
            self._pending.clear()
        except (BpfError, RecursionError, MemoryError) as error:
            self._pending.clear()
            self.fail(error)

    def interrupt(self) -> None:
        """Stop what is under way soon.  May be called from a signal handler and from another thread."""
        self.interrupted = True
        self.session.interrupt()

    def abandon(self) -> bool:
        """Forget the lines up to `end` that were begun; whether there were any."""
        had, self._block = self._block is not None, None
        return had

    def end_of_input(self) -> None:
        """There are no more lines."""
        if self._block is not None:
            self.fail(InputError(f"'end' is missing: {self._block.opening} has begun and not ended"))
            self._block = None

    # -- executing -----------------------------------------------------------------------------------------------------

    def feed(self, line: str) -> None:
        """Do what a line says; raises what goes wrong."""
        if self.settings.trace_commands and line.strip():
            self.say(f"{self.prompt}{line}", "bold")
        if self._block is not None:
            self._collect(self._block, line)
            return
        text = line.strip()
        if not text or text.startswith("#"):
            return
        if len(text) > LONGEST_LINE:
            raise InputError(f"a line of more than {LONGEST_LINE} characters is no command")
        self._run(text)
        self._drain()

    def run_lines(self, lines: Iterable[str], name: str) -> None:
        """Execute a script; InputError with its name and line for the first command that fails."""
        with_depth = self._depth + 1
        if with_depth > DEEPEST:
            raise NestedTooDeeplyError(f"{name}: macros and scripts are nested more than {DEEPEST} deep")
        self._depth = with_depth
        try:
            for number, line in enumerate(lines, 1):
                if self.finished or self.interrupted:
                    return
                try:
                    self.feed(line)
                except NestedTooDeeplyError:  # at the same line of the same macro, over and over
                    raise
                except (BpfError, RecursionError, MemoryError) as error:
                    raise InputError(sentence(error), file=name, line=number) from None
            if self._block is not None:
                opening, self._block = self._block.opening, None
                raise InputError(f"'end' is missing: {opening} has begun and not ended", file=name)
        finally:
            self._depth -= 1

    def collect(self, opening: str, done: Callable[[list[str]], None]) -> None:
        """The next lines, up to `end`, go to `done`."""
        self._block = Block(opening, done)

    def _collect(self, block: Block, line: str) -> None:
        word = line.split(maxsplit=1)[0] if line.split() else ""
        if word == "end" and not block.depth:
            self._block = None
            block.done(block.lines)
            return
        if word in ("commands", "define"):
            block.depth += 1
        elif word == "end":
            block.depth -= 1
        block.lines.append(line)

    def _run(self, text: str) -> None:
        match = _WORD.match(text)
        if match is None:
            raise InputError(f"{text[:40]!r} is no command; help lists them")
        word, rest = match[0], text[match.end() :].strip()
        if word in self.macros:
            self._again = ""
            self._run_macro(word, rest)
            return
        found = COMMANDS.find(word)
        self._again = text if found.moves else ""
        self.run_command(found, rest)

    @staticmethod
    def command_modules() -> tuple[ModuleType, ...]:
        """The modules that have the commands, in the order in which help lists them."""
        from pybpftime.debug.repl import COMMAND_MODULES  # which import this one

        return COMMAND_MODULES

    def run_command(self, one: Command, text: str) -> None:
        """Execute a command with its argument; InputError for one that takes none."""
        if text and not one.takes_argument:
            raise InputError(f"{one.usage} takes no argument, and here is {text[:40]!r}")
        one.handler(self, text)

    def _run_macro(self, name: str, text: str) -> None:
        given = text.split(maxsplit=MOST_ARGUMENTS - 1)
        values = {f"arg{index}": value for index, value in enumerate(given)} | {"argc": str(len(given))}

        def replaced(match: re.Match[str]) -> str:
            if match[1] not in values:
                raise InputError(f"{name} uses ${match[1]}, and has {len(given)} argument{'s' * (len(given) != 1)}")
            return values[match[1]]

        lines = [re.sub(r"\$(argc|arg\d)\b", replaced, line) for line in self.macros[name]]
        self.run_lines(lines, name)

    def _drain(self) -> None:
        """Execute the commands of breakpoints that were hit."""
        if self._draining:
            return
        self._draining = True
        try:
            while self._pending and not self.finished and not self.interrupted:
                self.feed(self._pending.popleft())
        finally:
            self._draining = False
            self._pending.clear()

    # -- stops ---------------------------------------------------------------------------------------------------------

    def move(
        self,
        action: Callable[[], Stop],
        count: int = 1,
        passes: Iterable[Reason] = (Reason.STEP, Reason.RETURNED, Reason.ENTRY),
    ) -> None:
        """Move `count` times, as long as it stops for one of the reasons `passes`, and show where it stopped."""
        going = tuple(passes)
        stop = action()
        for _ in range(count - 1):
            if self.interrupted or stop.reason not in going:
                break
            stop = action()
        self.show(stop)

    def show(self, stop: Stop) -> None:
        """Show a stop; the commands of its breakpoints come next."""
        commands = [line for number in stop.breakpoints for line in self.actions.get(number, ())]
        self.listed = None
        if not commands or commands[0].strip() != "silent":
            self.view.show(stop)
        else:
            self.view.remember()
            commands = commands[1:]
        self._pending.clear()
        self._pending.extend(commands)

    # -- output --------------------------------------------------------------------------------------------------------

    def say(self, text: str, style: str = "") -> None:
        """Print a line of plain text."""
        self.console.print(Text(printable(text), style=style))

    def fail(self, error: BaseException) -> None:
        """Print an error, and count it."""
        self.failures += 1
        self.console.print(Text.assemble(("error", "bold red"), f": {printable(sentence(error))}"))

    def tell(self, one: Breakpoint) -> None:
        """Say what a breakpoint is."""
        from pybpftime.debug.repl.describe import breakpoint_text

        self.say(f"{breakpoint_text(one)}")

    def _output(self, kind: str, text: str) -> None:
        label = f"{kind}: " if kind != "log" else ""
        self.say(f"{label}{text}", "magenta")


def sentence(error: BaseException) -> str:
    """An error as one sentence."""
    if isinstance(error, InputError) and error.line is None and error.file is None:
        is_first = error.column is None or error.column <= 1
        return error.reason if is_first else f"{error.reason} (at character {error.column})"
    if isinstance(error, BpfError):
        return str(error)
    return "that is nested too deeply" if isinstance(error, RecursionError) else "there is not enough memory for that"
