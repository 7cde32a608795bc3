"""The keys of the screen, once: what they do, and what the help says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pybpftime.debug.tui.arrangement import Pane


class Ask(StrEnum):
    """What a prompt asks for.  The value stands before the input."""

    EXPRESSION = "print "
    COMMAND = ":"
    CONDITION = "break if "
    GO_TO = "go to "
    MEMORY = "memory at "


@dataclass(frozen=True, slots=True)
class Key:
    """A key and what it does: a move (`jobs.MOVES`), a prompt, or the name of a method of the screen.

    `back` is the move that the same key does with Shift.
    """

    key: str
    help: str
    move: str = ""
    back: str = ""
    ask: Ask | None = None
    call: str = ""


KEYS = (
    Key("n", "next line, over calls", move="next", back="next back"),
    Key("s", "next line, into calls", move="step", back="step back"),
    Key("f", "until the function returns; back to its call", move="finish", back="finish back"),
    Key("c", "continue to a breakpoint, watchpoint or fault", move="continue", back="continue back"),
    Key("i", "one instruction", move="instruction", back="instruction back"),
    Key("]", "the next packet or hit; Space does the same", move="next invocation"),
    Key("[", "the packet or hit before", move="previous invocation"),
    Key("g", "go to a step (120, +5, -5), run to a place (parse, :120)", ask=Ask.GO_TO),
    Key("u", "run until the line under the cursor", call="run_to_cursor"),
    Key("t", "the next time line", call="next_timeline"),
    Key("b", "breakpoint at the cursor, on or off", call="toggle_breakpoint"),
    Key("B", "breakpoint with a condition", ask=Ask.CONDITION),
    Key("/", "print an expression", ask=Ask.EXPRESSION),
    Key(":", "a command, such as set ip->ttl = 1", ask=Ask.COMMAND),
    Key("m", "show memory at an expression; the stack without one", ask=Ask.MEMORY),
    Key("?", "this help", call="show_help"),
    Key("q", "quit", call="leave"),
)
BY_KEY: Mapping[str, Key] = {
    **{one.key: one for one in KEYS},
    **{one.key.upper(): Key(one.key.upper(), one.help, move=one.back) for one in KEYS if one.back},
    "space": Key("space", "the next packet or hit", move="next invocation"),
}
PANE_KEYS: Mapping[str, Pane] = {str(number % 10): pane for number, pane in enumerate(Pane, 1)}
OTHER_KEYS = (
    ("Esc Ctrl-C", "stop what runs"),
    ("Tab 1 to 9, 0", "another pane"),
    ("Enter click", "line: breakpoint; frame: select; variable: open; output: go"),
)
HINT = " n next  s step  f finish  c go  i insn  NSFCI back  b break  / print  ? help  q"


def help_lines() -> list[str]:
    """The text of the help."""
    shown = [(f"{one.key} {one.key.upper()} back" if one.back else one.key, one.help) for one in KEYS]
    return [f"{key:<13}{text}" for key, text in (*shown, *OTHER_KEYS)]
