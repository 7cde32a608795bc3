"""Registers and variables of the selected frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pybpftime.debug.session import Session
from pybpftime.debug.values import Child, TypedValue
from pybpftime.errors import InputError

PAGE = 64
"""Elements of an array that are shown at first, and that are added when more are asked for."""
LONGEST = 16
"""Elements in the text of an array."""
MOST_ROWS = 2000
GLOBALS = "globals"


@dataclass(frozen=True, slots=True)
class RegisterView:
    """A register: `value` is None where it is not set; `note` says what it points to, or the number in decimal."""

    name: str
    value: int | None
    note: str
    changed: bool


@dataclass(frozen=True, slots=True)
class VariableView:
    """A row of the tree.  `key` is what opens it (`Look.opened`); `depth` how far in it stands.

    `expression` is what to type to get at it, "" where there is no such text.
    """

    key: str
    depth: int
    name: str
    type: str
    text: str
    can_open: bool
    is_open: bool
    changed: bool
    expression: str = ""


def register_views(session: Session, before: Iterable[RegisterView] | None) -> tuple[RegisterView, ...]:
    """r0 to r10 of the selected frame; `changed` is against `before`."""
    frame, world = session.selected, session.world
    if frame is not None:
        values = frame.registers
    elif world.has_begun:
        values = tuple(world.machine.registers)
    else:
        return ()
    known = None if before is None else {one.name: one.value for one in before}
    found = []
    for number, value in enumerate(values):
        name = f"r{number}"
        changed = known is not None and known.get(name) != value
        found.append(RegisterView(name, value, _note(session, value), changed))
    return tuple(found)


def _note(session: Session, value: int | None) -> str:
    if value is None:
        return ""
    memory = session.world.machine.memory
    if memory.find(value) is not None:
        return memory.describe(value)
    signed = value - (1 << 64) if value >> 63 else value
    return str(signed) if abs(signed) < 1 << 48 else ""


def variable_views(
    session: Session, opened: frozenset[str], before: Iterable[VariableView] | None
) -> tuple[VariableView, ...]:
    """The variables of the selected frame and, as a part that can be opened, those of the object."""
    known = None if before is None else {one.key: one.text for one in before}
    frame, scope = session.selected, session.scope()
    tree = _Tree(opened, known)
    name = "" if frame is None else frame.name
    tree.add_all(((one.expression, one) for one in scope.locals()), name, 0)
    rows = tree.rows
    shared = list(scope.globals())
    if shared:
        is_open = GLOBALS in opened
        rows.append(VariableView(GLOBALS, 0, "global variables", "", "", can_open=True, is_open=is_open, changed=False))
        if is_open:
            tree.add_all(((one.expression, one) for one in shared), GLOBALS, 1)
    return tuple(rows[:MOST_ROWS])


class _Tree:
    """Makes rows of values and of what is in them, as far as it is open."""

    def __init__(self, opened: frozenset[str], before: Mapping[str, str] | None) -> None:
        self.rows: list[VariableView] = []
        self._opened = opened
        self._before = before

    def add_all(self, values: Iterable[tuple[str, TypedValue]], path: str, depth: int) -> None:
        for name, value in values:
            self._add(name, value, f"{path}/{name}", depth)

    def _add(self, name: str, value: TypedValue, key: str, depth: int) -> None:
        if len(self.rows) > MOST_ROWS:
            return
        text, count = value.text(limit=LONGEST), _child_count(value)
        is_open = count > 0 and key in self._opened
        changed = self._before is not None and key in self._before and self._before[key] != text
        row = VariableView(key, depth, name, value.type_text, text, count > 0, is_open, changed, value.expression)
        self.rows.append(row)
        if not is_open:
            return
        shown = PAGE
        while shown < count and f"{key}/+{shown}" in self._opened:
            shown += PAGE
        self.add_all(((child.name, child.value) for child in _children(value, shown)), key, depth + 1)
        if shown < count:
            more = f"{count - shown} more"
            rest = VariableView(f"{key}/+{shown}", depth + 1, more, "", "", can_open=True, is_open=False, changed=False)
            self.rows.append(rest)


def _child_count(value: TypedValue) -> int:
    try:
        return value.child_count
    except InputError:
        return 0


def _children(value: TypedValue, count: int) -> Iterator[Child]:
    try:
        yield from value.children(0, count)
    except InputError:
        return
