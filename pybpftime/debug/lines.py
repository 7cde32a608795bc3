"""Which source line each slot of a program belongs to, and where a line or a function can be stopped at."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from pybpftime.debug.flow import control_flow, first_reached
from pybpftime.isa.encoding import SLOT_BYTES
from pybpftime.program.debug_info import DebugInfo, LineRow
from pybpftime.program.spec import Function, ProgramSpec


class LinePlace(NamedTuple):
    """A place in the source.  `is_statement`: the code of a statement of this line begins exactly here."""

    file: str
    line: int
    column: int
    is_statement: bool


class LineSlots(NamedTuple):
    """Where to stop for a line: `slots` of `line`, which is the one that was asked for or the next that has code."""

    file: str
    line: int
    slots: tuple[int, ...]


class InlinedCall(NamedTuple):
    """At `slot` a copy of a function begins that is called at `file`:`line` by `caller` (see `LineTable`)."""

    slot: int
    file: str
    line: int
    caller: Hashable


class LineTable:
    """The lines of one program, by slot: from DWARF where it has rows for a function, else from BTF.

    `instance` says which function, or which inlined copy of one, a slot belongs to.
    """

    def __init__(
        self,
        spec: ProgramSpec,
        info: DebugInfo | None,
        calls: Iterable[InlinedCall],
        instance: Callable[[int], Hashable],
    ) -> None:
        self._spec = spec
        self._info = info
        self._calls = calls
        self._instance = instance

    @cached_property
    def places(self) -> tuple[LinePlace | None, ...]:
        """By slot.  None for code that comes from no line of its own, and where nothing is known."""
        found: list[LinePlace | None] = [None] * len(self._spec.instructions)
        for function in self._spec.functions:
            slots = range(function.start, function.end)
            found[function.start : function.end] = [self._from_row(function, slot) for slot in slots]
            if not any(found[function.start : function.end]):
                found[function.start : function.end] = [self._from_btf(slot, function.start) for slot in slots]
        if not self._spec.functions:
            found = [self._from_btf(slot, 0) for slot in range(len(found))]
        return tuple(found)

    def _row(self, function: Function, slot: int) -> tuple[LineRow, bool] | None:
        """The row of a slot, and whether it begins there; None without one."""
        if self._info is None or function.section is None:
            return None
        offset = function.offset + SLOT_BYTES * (slot - function.start)
        row = self._info.row_at(function.section, offset)
        return None if row is None else (row, row.offset == offset)

    def _from_row(self, function: Function, slot: int) -> LinePlace | None:
        found = self._row(function, slot)
        if found is None or found[0].line == 0:
            return None
        row, begins = found
        return LinePlace(row.file, row.line, row.column, row.statement and begins)

    def _from_btf(self, slot: int, function_start: int) -> LinePlace | None:
        line = self._spec.line_at(slot)
        if line is None or line.line == 0 or line.start < function_start:
            return None
        return LinePlace(posixpath.normpath(line.file), line.line, line.column, line.start == slot)

    # --- files and lines ---

    @cached_property
    def _lines(self) -> dict[str, dict[int, list[tuple[int, Hashable]]]]:
        """By file and line the slots where its code begins, each with the function or copy that the line is in.

        Code begins at statements, and where there is none, anywhere.  The code of an inlined copy is that of the line
        that calls it, too: often such a line has no other.
        """
        found: dict[str, dict[int, list[tuple[int, Hashable]]]] = {}
        for call in self._calls:
            found.setdefault(call.file, {}).setdefault(call.line, []).append((call.slot, call.caller))
        others: list[tuple[str, int, int]] = []
        before: tuple[str, int] | None = None
        for slot, place in enumerate(self.places):
            if place is not None and place.is_statement:
                starts = found.setdefault(place.file, {}).setdefault(place.line, [])
                starts.append((slot, self._instance(slot)))
            elif place is not None and (place.file, place.line) != before:
                others.append((place.file, place.line, slot))
            before = None if place is None else (place.file, place.line)
        for file, line, slot in others:
            if line not in found.get(file, {}):
                found.setdefault(file, {})[line] = [(slot, self._instance(slot))]
        return found

    def files(self) -> tuple[str, ...]:
        """The source files that code of the program comes from, sorted."""
        return tuple(sorted(self._lines))

    def find_file(self, name: str) -> tuple[str, ...]:
        """The files that a user may mean: of that name, or whose path ends in it."""
        wanted = posixpath.normpath(name)
        if wanted in self._lines:
            return (wanted,)
        return tuple(file for file in self.files() if file.endswith("/" + wanted) or wanted.endswith("/" + file))

    def lines_of_file(self, file: str) -> tuple[int, ...]:
        """The lines of a file that have code, ascending; lines that call an inlined function have its code."""
        return tuple(sorted({line for name in self.find_file(file) for line in self._lines[name]}))

    def slots_of_line(self, file: str, line: int) -> LineSlots | None:
        """Where to stop for a line; None if neither it nor one behind it has code.

        Of each function and inlined copy there are the slots at which code of the line is first reached, whichever
        way control comes.
        """
        candidates = [(found, name) for name in self.find_file(file) for found in self._lines[name] if found >= line]
        if not candidates:
            return None
        nearest, name = min(candidates)
        copies: dict[Hashable, set[int]] = {}
        for slot, instance in self._lines[name][nearest]:
            copies.setdefault((self._function_start(slot), instance), set()).add(slot)
        slots = {self._behind_prologue(stop) for starts in copies.values() for stop in self._first_reached(starts)}
        return LineSlots(name, nearest, tuple(sorted(slots)))

    def _first_reached(self, starts: set[int]) -> Iterable[int]:
        function = self._spec.function_at(min(starts))
        return starts if function is None else first_reached(self._flow, function, starts)

    @cached_property
    def _flow(self) -> tuple[tuple[int, ...], ...]:
        return control_flow(self._spec.instructions)

    def _function_start(self, slot: int) -> int:
        function = self._spec.function_at(slot)
        return 0 if function is None else function.start

    def _behind_prologue(self, slot: int) -> int:
        return self.behind_prologue(slot) if slot == self._function_start(slot) else slot

    # --- functions ---

    def behind_prologue(self, start: int) -> int:
        """The slot at which the function that begins at `start` has saved its parameters.

        The compiler marks it; where it does not, it is where the code of the second line begins.
        """
        function = self._spec.function_at(start)
        if function is None:
            return start
        slots = range(function.start, function.end)
        for slot in slots:
            found = self._row(function, slot)
            if found is not None and found[0].behind_prologue and found[1]:
                return slot
        return start if self._row(function, start) is None else next(self._second_line(slots), start)

    def _second_line(self, slots: Iterable[int]) -> Iterator[int]:
        statements = [slot for slot in slots if (place := self.places[slot]) is not None and place.is_statement]
        first = self.places[statements[0]] if statements else None
        for slot in statements:
            place = self.places[slot]
            if place is not None and first is not None and place.line != first.line:
                yield slot
