"""The commands of the debugger, as a table: a function with a decorator is a command.

    @command("continue", "c", usage="continue [N]", example="continue 3", moves=True)
    def continue_(repl: Interpreter, text: str) -> None:
        \"\"\"Run until something stops the program.\"\"\"

The function's docstring is its help.  `text` is what stands behind the name, stripped.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pybpftime.errors import InputError
from pybpftime.runtime.names import hint

if TYPE_CHECKING:
    from pybpftime.debug.repl.interpreter import Interpreter

Handler = Callable[["Interpreter", str], None]


@dataclass(frozen=True, slots=True)
class Command:
    """A command.  `moves`: an empty line does it again; then `again` is what is typed, None for the same."""

    name: str
    aliases: tuple[str, ...]
    usage: str
    example: str
    handler: Handler
    moves: bool = False
    arguments: str = ""
    """What its argument is, for completion: one of `completion.KINDS`, or "" for nothing known."""

    @property
    def takes_argument(self) -> bool:
        """Whether anything may stand behind its name."""
        return self.usage.removeprefix("info ") != self.name

    @property
    def help(self) -> str:
        """All of its help, the first line being a summary."""
        return inspect.getdoc(self.handler) or ""

    @property
    def summary(self) -> str:
        """What it does, in a line."""
        return self.help.partition("\n")[0]


class CommandTable:
    """Commands by name.  `what` is the word for them in messages."""

    def __init__(self, what: str = "command") -> None:
        self._what = what
        self._by_name: dict[str, Command] = {}
        self._by_word: dict[str, Command] = {}

    def command(
        self, name: str, *aliases: str, usage: str, example: str, moves: bool = False, arguments: str = ""
    ) -> Callable[[Handler], Handler]:
        """A decorator: the function becomes a command."""

        def add(handler: Handler) -> Handler:
            one = Command(name, aliases, usage, example, handler, moves, arguments)
            self._by_name[name] = one
            self._by_word.update(dict.fromkeys((name, *aliases), one))
            return handler

        return add

    def __iter__(self) -> Iterator[Command]:
        return iter(self._by_name.values())

    def names(self) -> list[str]:
        """The full names, sorted."""
        return sorted(self._by_name)

    def find(self, word: str) -> Command:
        """The command that a word means: a name, an alias, or the beginning of one name; InputError else."""
        if word in self._by_word:
            return self._by_word[word]
        found = sorted(name for name in self._by_name if name.startswith(word))
        if len(found) == 1:
            return self._by_name[found[0]]
        if found:
            raise InputError(f"{word} may be {' or '.join(found[:8])}{', ...' if len(found) > 8 else ''}")
        raise InputError(f"there is no {self._what} named {word[:40]}; {hint(word, self._by_name)}")


COMMANDS = CommandTable()
INFO = CommandTable("subject of info")
command = COMMANDS.command
info = INFO.command
