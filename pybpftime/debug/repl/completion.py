"""What may stand where the cursor is: commands, places, names, members, maps, files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable

from pybpftime.debug.expression import MapValue
from pybpftime.debug.repl.interpreter import Interpreter
from pybpftime.debug.repl.show import short_file
from pybpftime.debug.repl.table import COMMANDS, INFO
from pybpftime.debug.values import CType
from pybpftime.errors import BpfError

MOST = 200
_WORD = re.compile(r"[A-Za-z][\w-]*")
_MEMBER = re.compile(r"((?:[\w$]|->|\.|\[[^\]]*\])+)(->|\.)(\w*)$")
_NAME = re.compile(r"[$\w]*$")


def complete(repl: Interpreter, text: str) -> tuple[int, list[str]]:
    """Where the word before the cursor begins, and what it may become; nothing for what is not known."""
    try:
        start, words = _complete(repl, text)
    except (BpfError, RecursionError):
        return len(text), []
    part = text[start:]
    return start, sorted({word for word in words if word.startswith(part)})[:MOST]


def _complete(repl: Interpreter, text: str) -> tuple[int, Iterable[str]]:
    stripped = text.lstrip()
    begin = len(text) - len(stripped)
    match = _WORD.match(stripped)
    if match is None or match.end() == len(stripped):
        return begin, [*COMMANDS.names(), *repl.macros]
    kind = COMMANDS.find(match[0]).arguments
    rest = stripped[match.end() :]
    if kind == "info":
        return _after_space(text), INFO.names()
    if kind == "location":
        if " if " in rest:
            return _expression(repl, text)
        return _after_space(text), _locations(repl)
    if kind == "expression":
        return _expression(repl, text)
    return _after_space(text), SIMPLE[kind](repl, text[_after_space(text) :]) if kind in SIMPLE else ()


def _after_space(text: str) -> int:
    return max(text.rfind(" "), text.rfind("\t")) + 1


def _locations(repl: Interpreter) -> Iterable[str]:
    places = repl.session.places
    return [
        *places.functions(),
        *(f"{short_file(file)}:" for file in places.files()),
        *(f"{program.name}+" for program in repl.session.object),
    ]


def _expression(repl: Interpreter, text: str) -> tuple[int, Iterable[str]]:
    member = _MEMBER.search(text)
    if member is not None:
        found = repl.session.value(member[1])
        if isinstance(found, MapValue):
            return len(text), ()
        kind: CType | None = found.type.pointee if member[2] == "->" else found.type
        names = [] if kind is None or not kind.is_aggregate else [one.name for one in kind.types.fields(kind.id)]
        return len(text) - len(member[3]), [name for name in names if name]
    name = _NAME.search(text)
    assert name is not None
    registers = [f"$r{number}" for number in range(11)]
    kept = [f"${one}" for one in repl.session.kept]
    known = [*repl.session.scope().names(), "packet", "sizeof", "$pc", "$step", "$invocation", *registers, *kept]
    return name.start(), known


def _paths(repl: Interpreter, part: str) -> Iterable[str]:
    folder, _ = os.path.split(part)
    try:
        entries = sorted(os.listdir(folder or "."))[: 10 * MOST]
    except (OSError, ValueError):
        return ()
    paths = (os.path.join(folder, entry) for entry in entries)
    return [f"{path}/" if os.path.isdir(path) else path for path in paths]


def _breakpoints(repl: Interpreter, part: str) -> Iterable[str]:
    return map(str, (*repl.session.breakpoints.all, *repl.session.watchpoints))


SIMPLE: dict[str, Callable[[Interpreter, str], Iterable[str]]] = {
    "map": lambda repl, part: repl.session.object.maps,
    "helper": lambda repl, part: [helper.declaration.name for helper in repl.session.object.helpers],
    "command": lambda repl, part: COMMANDS.names(),
    "path": _paths,
    "breakpoint": _breakpoints,
}
