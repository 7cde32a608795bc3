"""Expressions: in the console, in watches, under the mouse; and what may be typed next."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pybpftime.debug.dap.backend.commands import INSTEAD, MOVES, CommandLine, command_of
from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.backend.maps import map_row
from pybpftime.debug.dap.backend.rows import Row, Style, value_row
from pybpftime.debug.dap.backend.running import Runner
from pybpftime.debug.dap.backend.variables import VariableHandlers
from pybpftime.debug.dap.bodies import CompletionItem, CompletionsBody, EvaluateBody
from pybpftime.debug.dap.client import Client
from pybpftime.debug.dap.handling import Body, Run, request
from pybpftime.debug.dap.protocol import CompletionsArguments, EvaluateArguments
from pybpftime.debug.expression import MapValue, compile_expression, render_error
from pybpftime.debug.frames import Frame
from pybpftime.debug.repl.table import COMMANDS
from pybpftime.debug.values import TypedValue
from pybpftime.errors import InputError

REPL = "repl"
CLIPBOARD = "clipboard"
WHOLE = 1 << 16
"""Elements of an array that go to the clipboard."""
MOST_COMPLETIONS = 200
PLACES = ("break", "tbreak", "until", "advance", "list", "disassemble")
"""Commands behind which a place stands."""
REGISTERS = tuple(f"$r{number}" for number in range(11))
SPECIALS = (*REGISTERS, "$pc", "$step", "$invocation")


class EvaluationHandlers:
    """Handlers of requests about expressions."""

    def __init__(self, debuggee: Debuggee, variables: VariableHandlers, runner: Runner) -> None:
        self._debuggee = debuggee
        self._variables = variables
        self._runner = runner
        self._line: CommandLine | None = None

    @request("evaluate")
    def evaluate(self, client: Client, arguments: EvaluateArguments) -> EvaluateBody | Run:
        """The value of a C expression; in the console it may assign, and the commands of `pybpftime debug` work."""
        session, text = self._debuggee.session, arguments["expression"].strip()
        context = arguments.get("context", "")
        frame = self._debuggee.frame(arguments.get("frameId"))
        if not text:
            return {"result": "", "variablesReference": 0}
        if context == REPL and (found := command_of(session, text, frame)) is not None:
            return self._command(client, text, *found, frame)
        style = Style(
            hex=arguments.get("format", {}).get("hex", False), limit=WHOLE if context == CLIPBOARD else Style().limit
        )
        row = self._row(client, text, frame, style, may_change=context == REPL)
        return self._body(client, row)

    def _command(self, client: Client, text: str, name: str, rest: str, frame: Frame | None) -> EvaluateBody | Run:
        """A command of the command line."""
        session = self._debuggee.session
        if not session.world.has_begun:
            raise InputError("nothing has begun yet")
        if name in MOVES and not rest:
            body: Body = {"result": f"{name} ...", "variablesReference": 0}
            back = name.startswith("reverse")
            return self._runner.run(
                client, MOVES[name](session), body=body, announced=False, back=back, resumes="continue" in name
            )
        if self._line is None or self._line.session is not session:
            self._line = CommandLine(session, self._debuggee.sources.texts)
        before = session.stop
        with self._debuggee.editing(client):
            answer = self._line.execute(text, frame)
        done: EvaluateBody = {"result": answer, "variablesReference": 0}
        if session.stop is before:
            return done
        return self._runner.run(client, lambda: session.stop, body=done, announced=False)

    def _row(self, client: Client, text: str, frame: Frame | None, style: Style, *, may_change: bool) -> Row:
        session = self._debuggee.session
        try:
            expression = compile_expression(text, session.scope(frame), allow_assignment=may_change)
            with self._debuggee.editing(client):
                value = expression.value()
        except InputError as error:
            if may_change and error.column is not None:
                raise InputError(render_error(text, error)) from None
            raise
        if isinstance(value, MapValue):
            return map_row(session, frame, session.object.maps[value.name])
        return value_row(text, value, style, frame)

    def _body(self, client: Client, row: Row) -> EvaluateBody:
        full = self._variables.body(client, row)
        body: EvaluateBody = {"result": full["value"], "variablesReference": full["variablesReference"]}
        if "type" in full:
            body["type"] = full["type"]
        if "presentationHint" in full:
            body["presentationHint"] = full["presentationHint"]
        if "indexedVariables" in full:
            body["indexedVariables"] = full["indexedVariables"]
        if "memoryReference" in full:
            body["memoryReference"] = full["memoryReference"]
        return body

    # -- completions ---------------------------------------------------------------------------------------------------

    @request("completions")
    def completions(self, client: Client, arguments: CompletionsArguments) -> CompletionsBody:
        """Names that fit what was typed: variables, maps, constants, members, registers, commands."""
        lines = arguments["text"].split("\n")
        line = min(max(arguments.get("line", 1), 1), len(lines))
        typed = lines[line - 1].encode("utf-16-le")[: 2 * max(arguments["column"] - 1, 0)].decode("utf-16-le", "ignore")
        found = re.search(r"(\$?\w*|[a-z]+-[a-z-]*)$", typed)
        word = found[0] if found else ""
        before = typed[: len(typed) - len(word)]
        start = len(before.encode("utf-16-le")) // 2 + 1
        frame = self._debuggee.frame(arguments.get("frameId"))
        items: list[CompletionItem] = []
        for name, kind in self._candidates(before, word, frame):
            if name.startswith(word) and not any(item["label"] == name for item in items):
                items.append({"label": name, "type": kind, "start": start, "length": len(word)})
        return {"targets": items[:MOST_COMPLETIONS]}

    def _candidates(self, before: str, word: str, frame: Frame | None) -> Iterator[tuple[str, str]]:
        session = self._debuggee.session
        member = re.search(r"(.*?)(\.|->)\s*$", before)
        if member:
            for name in self._members(operand_at_end(member[1]), frame):
                yield name, "field"
            return
        if word.startswith("$"):
            for name in (*SPECIALS, *(f"${one}" for one in session.kept)):
                yield name, "value"
            return
        for name in sorted(set(session.scope(frame).names())):
            yield name, "module" if name in session.object.maps else "variable"
        if session.scope(frame).packet() is not None:
            yield "packet", "variable"
        if not before.strip():
            yield from ((name, "keyword") for name in COMMANDS.names() if name not in INSTEAD)
        if before.strip() in PLACES:
            yield from ((name, "function") for name in session.places.functions())

    def _members(self, text: str, frame: Frame | None) -> list[str]:
        try:
            value = self._debuggee.session.value(text, frame)
        except InputError:
            return []
        return [] if not isinstance(value, TypedValue) else list(member_names(value))


def member_names(value: TypedValue) -> Iterator[str]:
    """The names of members, also of anonymous ones."""
    try:
        children = value.children(0, MOST_COMPLETIONS)
    except InputError:
        return
    for child in children:
        if child.anonymous:
            yield from member_names(child.value)
        elif child.name.isidentifier():
            yield child.name


def operand_at_end(text: str) -> str:
    """The operand that a text ends with: `flow->source` of `1 + flow->source`."""
    depth, at = 0, len(text)
    while at > 0:
        char = text[at - 1]
        if char in ")]":
            depth += 1
        elif char in "([":
            if depth == 0:
                break
            depth -= 1
        elif depth == 0 and not (char.isalnum() or char in "_.$" or (char == ">" and text[at - 2 : at - 1] == "-")
                                 or (char == "-" and text[at : at + 1] == ">")):  # fmt: skip
            break
        at -= 1
    return text[at:]
