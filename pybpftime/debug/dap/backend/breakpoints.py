"""What stops the program: the lists of breakpoints that a client sends, kept in step with those of the session."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count

from pybpftime.debug.breakpoints import parse_hit_condition
from pybpftime.debug.dap.backend.debuggee import Debuggee
from pybpftime.debug.dap.bodies import Breakpoint
from pybpftime.debug.dap.client import Client
from pybpftime.debug.places import Places
from pybpftime.errors import InputError


class Kind(Enum):
    """What a breakpoint is about."""

    SOURCE = auto()
    FUNCTION = auto()
    INSTRUCTION = auto()
    DATA = auto()
    EXCEPTION = auto()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A breakpoint that a client wants: equal ones are the same one.

    `identity` tells it from the others of its list; `condition` and `hit_condition` are those of a data breakpoint,
    which the session does not know.
    """

    kind: Kind
    identity: Hashable
    label: str = ""
    condition: str = ""
    hit_condition: str = ""


Made = tuple[int | None, Breakpoint]
"""Its number in the session, None if it needs none; what the client is told of it."""
Make = Callable[[], Made]


@dataclass
class Kept:
    """A breakpoint that was set, or could not be: then it has no `number`."""

    id: int
    wanted: Wanted
    make: Make
    number: int | None = None
    body: Breakpoint = field(default_factory=lambda: Breakpoint(verified=False))
    hits: int = 0

    @property
    def kind(self) -> Kind:
        """What it is about."""
        return self.wanted.kind

    @property
    def label(self) -> str:
        """What it is called, if it has a name."""
        return self.wanted.label


class Breakpoints:
    """All breakpoints of the client.  Their ids stay when the same list is sent again, and when the session is new."""

    def __init__(self, debuggee: Debuggee) -> None:
        self._debuggee = debuggee
        self._ids = count(1)
        self._lists: dict[Hashable, list[Kept]] = {}
        self.stop_at_faults = True

    def replace(self, group: Hashable, wanted: Sequence[tuple[Wanted, Make]]) -> list[Breakpoint]:
        """From now on the list `group` is this one; the answers to the client, in the same order."""
        old, new = self._lists.get(group, []), []
        for one, make in wanted:
            same = next((kept for kept in old if kept.wanted == one and self._is_set(kept)), None)
            if same is not None:
                old.remove(same)
            new.append(same or Kept(next(self._ids), one, make))
        for kept in old:
            self._remove(kept)
        self._lists[group] = new
        for kept in new:
            if not self._is_set(kept):
                self._set(kept)
        return [kept.body for kept in new]

    def remove_all(self) -> None:
        """The client is gone."""
        for kept in self._all():
            self._remove(kept)
        self._lists.clear()

    def by_number(self, number: int) -> Kept | None:
        """The breakpoint that the session knows by this number."""
        return next((kept for kept in self._all() if kept.number == number), None)

    def set_again(self, client: Client) -> None:
        """Set all of them in a session that is new; the client learns what became different."""
        for kept in self._all():
            before, kept.number, kept.hits = dict(kept.body), None, 0
            self._set(kept)
            if dict(kept.body) != before:
                client.event("breakpoint", {"reason": "changed", "breakpoint": kept.body})

    def counts(self, kept: Kept) -> bool:
        """Whether a hit of a data breakpoint stops: by its condition and by how many there were."""
        wanted = kept.wanted
        if wanted.condition and not self._is_met(wanted.condition):
            return False
        kept.hits += 1
        if not wanted.hit_condition:
            return True
        compare, number = parse_hit_condition(wanted.hit_condition)
        return compare(kept.hits, number)

    def _is_met(self, condition: str) -> bool:
        try:
            return bool(self._debuggee.session.condition(condition))
        except InputError:
            return True  # as for others: a condition without a value stops, so that somebody sees it

    def _all(self) -> list[Kept]:
        return [kept for kept_list in self._lists.values() for kept in kept_list]

    def _set(self, kept: Kept) -> None:
        try:
            if self._debuggee.without_debugging:
                raise InputError("this run is one without debugging")
            if kept.wanted.hit_condition:
                parse_hit_condition(kept.wanted.hit_condition)
            kept.number, body = kept.make()
            kept.body = {**body, "id": kept.id, "verified": True}
        except InputError as error:
            kept.body = {"id": kept.id, "verified": False, "message": str(error), "reason": "failed"}

    def _is_set(self, kept: Kept) -> bool:
        """Whether the session has it; a command in the console may have deleted it."""
        session = self._debuggee.session
        return kept.number in session.breakpoints.all or kept.number in session.watchpoints

    def _remove(self, kept: Kept) -> None:
        if kept.number is not None and self._is_set(kept):
            self._debuggee.session.remove(kept.number)


def where(debuggee: Debuggee, places: Places) -> Breakpoint:
    """What a client is told of the first of some places: its instruction, and its line."""
    place = places.places[0]
    found: Breakpoint = {
        "verified": True,
        "instructionReference": f"{debuggee.code.reference(place.spec, place.slot):#x}",
    }
    line = debuggee.session.symbols_of(place.spec).line_at(place.slot)
    if line is not None:
        found["source"], found["line"] = debuggee.sources.source(line.file), line.line
    return found
