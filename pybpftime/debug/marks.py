"""Which source line every pc belongs to, as numbers: stepping compares two of them at each instruction.

A *line* is a line of a file in a function, an inlined copy of a function being a function of its own.  Without debug
information every instruction is a line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pybpftime.debug.symbols import ProgramSymbols
from pybpftime.engines.reference import ReferenceExecutable
from pybpftime.program.spec import ProgramSpec

SymbolsOf = Callable[[ProgramSpec], ProgramSymbols]
NO_LINE = 0


@dataclass(frozen=True, slots=True)
class Marks:
    """By pc of a code space: the number of the line, NO_LINE for code of no line; how deep it is inlined."""

    lines: tuple[int, ...]
    inlined: tuple[int, ...]


class MarkTable:
    """Makes Marks, and keeps them."""

    def __init__(self, symbols_of: SymbolsOf) -> None:
        self._symbols_of = symbols_of
        self._numbers: dict[object, int] = {}
        self._marks: dict[int, Marks] = {}

    def of(self, executable: ReferenceExecutable) -> Marks:
        """The marks of all programs that are bound there now."""
        known = self._marks.get(id(executable))
        if known is None or len(known.lines) != len(executable.steps):
            known = self._marks[id(executable)] = self._make(executable)
        return known

    def _make(self, executable: ReferenceExecutable) -> Marks:
        lines: list[int] = []
        inlined: list[int] = []
        for code in executable.machine.code:
            spec: ProgramSpec = code.program.spec
            symbols = self._symbols_of(spec)
            has_lines = any(symbols.line_at(slot) is not None for slot in range(len(spec.instructions)))
            for slot in range(code.end - code.start):
                line, depth = self._mark(spec, symbols, slot) if has_lines else (self._number((id(spec), slot)), 0)
                lines.append(line)
                inlined.append(depth)
        return Marks(tuple(lines), tuple(inlined))

    def _mark(self, spec: ProgramSpec, symbols: ProgramSymbols, slot: int) -> tuple[int, int]:
        place = symbols.line_at(slot) if slot < len(spec.instructions) else None
        if place is None:
            return NO_LINE, 0
        scopes = symbols.scopes_at(slot)
        chain = tuple((scope.name, scope.call_file, scope.call_line) for scope in scopes)
        return self._number((id(spec), chain, place.file, place.line)), sum(scope.is_inlined for scope in scopes)

    def _number(self, key: object) -> int:
        return self._numbers.setdefault(key, len(self._numbers) + 1)
