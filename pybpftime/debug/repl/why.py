"""Commands that ask for the origin of a value: why, who."""

from __future__ import annotations

import re

from pybpftime.debug.provenance import Node, explain, last_writer, why
from pybpftime.debug.provenance.answer import node_line
from pybpftime.debug.provenance.parts import NodeKind
from pybpftime.debug.repl.arguments import split_format
from pybpftime.debug.repl.interpreter import Interpreter
from pybpftime.debug.repl.table import command
from pybpftime.errors import InputError

MOST_NODES = 10_000


@command("why", usage="why[/abfN] EXPRESSION", example="why flow->source_port", arguments="expression")
def why_(repl: Interpreter, text: str) -> None:
    """Show where a value comes from: who wrote it, what that was made of, back to the packet and the maps.

    A tree, the writers nearest to now first, of at most 64 steps; /200 shows up to 200.  /a also tells where the
    addresses come from at which was read and written, /b the conditional jumps that decided, /f all instructions that
    only pass a value on.  The program stays where it stands.
    """
    how, expression = split_format(text)
    match = re.fullmatch(r"([abf]*)(\d{0,5})", how)
    if match is None or (match[2] and not 1 <= int(match[2]) <= MOST_NODES):
        raise InputError(f"/{how[:20]} is no format of why: letters of a, b and f, and a number up to {MOST_NODES}")
    letters, limit = match[1], int(match[2] or 64)
    if not expression:
        raise InputError("an expression is missing: why EXPRESSION")
    answer = why(
        repl.session, expression, limit=limit, addresses="a" in letters, branches="b" in letters, sources=repl.sources
    )
    for line in explain(answer, fold="f" not in letters):
        repl.say(line)


@command("who", usage="who EXPRESSION", example="who verdicts[2]", arguments="expression")
def who(repl: Interpreter, text: str) -> None:
    """Show what wrote last to a variable, a register, memory or an element of a map."""
    if not text:
        raise InputError("an expression is missing: who EXPRESSION")
    node = last_writer(repl.session, text, sources=repl.sources)
    repl.say(f"nobody has written {text}" if node is None else _told(node))


def _told(node: Node) -> str:
    return f"{node_line(node)}{'' if node.kind is NodeKind.EDIT else f'  (goto {node.step})'}"
