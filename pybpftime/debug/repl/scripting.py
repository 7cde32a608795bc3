"""Scripts, macros, help, and the way out."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable

from rich.text import Text

from pybpftime.debug.breakpoints import interpolate
from pybpftime.debug.expression import MapValue
from pybpftime.debug.repl.arguments import number_argument
from pybpftime.debug.repl.interpreter import Interpreter
from pybpftime.debug.repl.table import COMMANDS, INFO, Command, command
from pybpftime.errors import InputError

LARGEST_SCRIPT = 4 << 20
"""In bytes."""
LONGEST_NAME = 4096
_NAME = re.compile(r"[A-Za-z][\w-]*")


@command("source", usage="source FILE", example="source session.bpfdbg", arguments="path")
def source(repl: Interpreter, text: str) -> None:
    """Execute the commands in a file, up to the first that fails."""
    if not text:
        raise InputError("source takes the name of a file")
    run_script(repl, text)


@command("define", usage="define NAME ... end", example="define where-now")
def define(repl: Interpreter, text: str) -> None:
    """Make a command of the lines that follow, up to `end`; $arg0, $arg1, ... are its arguments, $argc their number."""
    if not _NAME.fullmatch(text):
        raise InputError(f"{text[:40]!r} is no name for a command")
    known = {word for one in COMMANDS for word in (one.name, *one.aliases)}
    if text in known:
        raise InputError(f"{text} is a command already")

    def done(lines: list[str]) -> None:
        repl.macros[text] = lines

    repl.collect(f"define {text}", done)


@command("echo", usage="echo TEXT", example="echo ttl is {iph->ttl}")
def echo(repl: Interpreter, text: str) -> None:
    """Print a text; expressions in braces are replaced by their values, {{ is a brace."""

    def value(expression: str) -> str:
        found = repl.session.value(expression)
        return f"(map {found.name})" if isinstance(found, MapValue) else found.text()

    repl.say(interpolate(text.replace("\\n", "\n"), value))


@command("help", "h", usage="help [COMMAND]", example="help break", arguments="command")
def help_(repl: Interpreter, text: str) -> None:
    """List the commands, or tell about one, with an example."""
    if not text:
        _list(repl, COMMANDS)
        if repl.macros:
            repl.say(f"your own: {', '.join(sorted(repl.macros))}")
        repl.say("A beginning of a name that fits one command only is enough.  help COMMAND tells more.")
        return
    word, _, rest = text.partition(" ")
    if word in repl.macros:
        repl.say("\n".join([f"define {word}", *repl.macros[word], "end"]))
        return
    one = COMMANDS.find(word)
    if one.name == "info" and rest.strip():
        one = INFO.find(rest.strip())
    repl.console.print(Text(one.usage, style="bold"))
    repl.say(one.help)
    if one.aliases:
        repl.say(f"short: {', '.join(one.aliases)}")
    repl.say(f"example: {one.example}")
    if one.name == "info":
        _list(repl, INFO)


@command("quit", "q", "exit", usage="quit [CODE]", example="quit")
def quit_(repl: Interpreter, text: str) -> None:
    """Leave the debugger, with an exit code."""
    repl.exit_code = number_argument(text, "an exit code") & 0xFF if text else None
    repl.finished = True


def run_script(repl: Interpreter, file: str) -> None:
    """Execute a file; InputError if it cannot be read, or for the first command that fails."""
    if len(file) > LONGEST_NAME:
        raise InputError(f"a file has no name of more than {LONGEST_NAME} characters")
    try:
        if os.path.getsize(file) > LARGEST_SCRIPT:
            raise InputError(f"is larger than {LARGEST_SCRIPT} bytes and no script", file=file)
        with open(file, encoding="utf-8-sig") as stream:
            lines = stream.read(LARGEST_SCRIPT + 1).splitlines()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=file) from None
    except (UnicodeDecodeError, ValueError):
        raise InputError("is no text in UTF-8", file=file) from None
    repl.run_lines(lines, file)


def _list(repl: Interpreter, commands: Iterable[Command]) -> None:
    """Commands with their summaries, by the modules that have them; a module's docstring is the heading."""
    groups: dict[str, list[Command]] = {}
    for one in commands:
        groups.setdefault(one.handler.__module__, []).append(one)
    order = [module.__name__ for module in repl.command_modules()]
    for name in sorted(groups, key=lambda name: order.index(name) if name in order else len(order)):
        if len(groups) > 1:
            heading = (sys.modules[name].__doc__ or name).partition("\n")[0]
            repl.say(heading, "bold")
        for one in groups[name]:
            repl.say(f"  {one.usage.partition(' ... ')[0]:<36}  {one.summary}")
