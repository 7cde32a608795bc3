"""Reads lines and gives them to the interpreter, until the user leaves."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Protocol

from pybpftime.debug.repl.interpreter import Interpreter

Complete = Callable[[str], tuple[int, list[str]]]
"""For the text before the cursor: where the word begins that is to be completed, and what it may become."""
READ_AT_ONCE = 1 << 20
"""Bytes of a line; of one that is longer, which is no command, the rest is passed over."""


class Lines(Protocol):
    """Where lines come from."""

    is_interactive: bool

    def read(self, prompt: str) -> str | None:
        """The next line, without its end; None when there is none.  Ctrl-C raises KeyboardInterrupt."""


class PlainLines:
    """The lines of a file or pipe, without prompt."""

    is_interactive = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, prompt: str) -> str | None:
        line = rest = self._stream.readline(READ_AT_ONCE)
        while len(rest) == READ_AT_ONCE and not rest.endswith(b"\n"):
            rest = self._stream.readline(READ_AT_ONCE)
        return line.decode("utf-8", "replace").rstrip("\r\n") if line else None


class TerminalLines:
    """A terminal without prompt_toolkit: what `input` does, with readline where Python has it."""

    is_interactive = True

    def __init__(self, complete: Complete) -> None:
        with suppress(ImportError):
            import readline

            readline.set_completer_delims("")
            readline.set_completer(_readline_completer(complete))
            readline.parse_and_bind("tab: complete")

    def read(self, prompt: str) -> str | None:
        try:
            return input(prompt)
        except EOFError:
            print()
            return None
        except UnicodeDecodeError:
            return ""


def _readline_completer(complete: Complete) -> Callable[[str, int], str | None]:
    def find(text: str, state: int) -> str | None:
        start, words = complete(text)
        return text[:start] + words[state] if state < len(words) else None

    return find


def terminal_lines(complete: Complete, note: Callable[[str], None]) -> Lines:
    """The best there is for a terminal; `note` is told what is missing."""
    try:
        from pybpftime.debug.repl.prompt import PromptLines
    except ImportError:
        note("without prompt_toolkit there are no colours and no history: pip install 'pybpftime[debug]'")
        return TerminalLines(complete)
    return PromptLines(complete, history_file())


def history_file() -> Path | None:
    """Where the history of commands is kept; None if there is no place for it."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    else:
        base = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state") / "pybpftime"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder / "debug_history"


def run_shell(repl: Interpreter, lines: Lines) -> None:
    """Execute lines until there are no more, or `quit`."""
    while not repl.finished:
        try:
            line = lines.read(repl.prompt)
            if line is None:
                repl.end_of_input()
                return
            with interrupting(repl):
                repl.execute(line, repeats=lines.is_interactive)
        except KeyboardInterrupt:
            repl.say("left out" if repl.abandon() else "quit leaves the debugger")


@contextmanager
def interrupting(repl: Interpreter) -> Iterator[None]:
    """Meanwhile Ctrl-C stops the program that is debugged; the second one gives up whatever is under way."""
    seen = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        if seen:
            raise KeyboardInterrupt
        seen = True
        repl.interrupt()

    before = None
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with suppress(ValueError):  # not the main thread
            before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
