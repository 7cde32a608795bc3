"""From what a user types to places in code: `parser.c:120`, `120`, `count_packet`, `/^parse_/`, `xdp_main+12`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pybpftime.debug.symbols import ProgramSymbols
from pybpftime.errors import InputError
from pybpftime.program.spec import ProgramSpec
from pybpftime.runtime.names import hint, no_such

SymbolsOf = Callable[[ProgramSpec], ProgramSymbols]


@dataclass(frozen=True, slots=True, eq=False)
class CodePlace:
    """The instruction at `slot` of a program.

    Several functions may begin there, when one is inlined into the other: `function`, or `line`, says which one is
    meant.
    """

    spec: ProgramSpec
    slot: int
    function: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Places:
    """What a text stands for: the places, one for each program, inlined copy and way to get there; `text` says it.

    `line` is the source line that it became, 0 where it stands for no line.
    """

    text: str
    places: tuple[CodePlace, ...]
    line: int = 0


class PlaceFinder:
    """Finds places in the programs of an object."""

    def __init__(self, specs: Iterable[ProgramSpec], symbols_of: SymbolsOf) -> None:
        self._specs = tuple(specs)
        self._symbols_of = symbols_of

    def find(self, text: str, *, file: str | None = None) -> Places:
        """What the text stands for; a bare number is a line of `file`.  InputError when it is nothing.

        `FILE:LINE`, `LINE`, `FUNCTION`, `/REGEX/` over the names of functions, `PROGRAM+SLOT`, `*SLOT` in the only
        program.  A line without code stands for the next one that has some.
        """
        text = text.strip()
        if len(text) > 2 and text.startswith("/") and text.endswith("/"):
            return self._matching(text[1:-1])
        if match := re.fullmatch(r"\*?(?:([\w.$]+)\s*\+\s*)?(0x[0-9a-fA-F]+|\d+)", text):
            if match[1] is not None or text.startswith("*"):
                return self.instruction(match[1], int(match[2], 0))
            if file is None:
                raise InputError(f"line {text} of which file? say FILE:{text}")
            return self.line(file, int(match[2], 0))
        if match := re.fullmatch(r"(.+):(\d+)", text):
            return self.line(match[1], int(match[2]))
        return self.function(text)

    def line(self, file: str, line: int) -> Places:
        """The places of a line of a file."""
        found = [(spec, self._symbols_of(spec).slots_of_line(file, line)) for spec in self._specs]
        nearest = min((slots.line for _, slots in found if slots is not None), default=None)
        if nearest is None:
            raise InputError(self._why_no_line(file, line))
        places = [
            (slots.file, CodePlace(spec, slot, line=nearest))
            for spec, slots in found
            if slots is not None and slots.line == nearest
            for slot in slots.slots
        ]
        text = f"{places[0][0].rpartition('/')[2]}:{nearest}"
        return Places(text, tuple(place for _, place in places), nearest)

    def function(self, name: str) -> Places:
        """Where a function begins, behind its prologue, and where each inlined copy does."""
        places = [
            CodePlace(spec, slot, name)
            for spec in self._specs
            for slot in self._symbols_of(spec).slots_of_function(name)
        ]
        if not places:
            raise InputError(f"there is no function named {name[:60]}; {hint(name, self.functions())}")
        return Places(name, tuple(places))

    def functions(self) -> list[str]:
        """The names of all functions."""
        return sorted({name for spec in self._specs for name in self._symbols_of(spec).functions()})

    def files(self) -> list[str]:
        """The names of all source files with code."""
        return sorted({name for spec in self._specs for name in self._symbols_of(spec).files()})

    def instruction(self, program: str | None, slot: int) -> Places:
        """An instruction of a program, by its number."""
        specs = [spec for spec in self._specs if program in (None, spec.name)]
        if not specs:
            raise no_such("program", program, [spec.name for spec in self._specs])
        if len(specs) > 1:
            raise InputError(f"instruction {slot} of which program? say PROGRAM+{slot}")
        (spec,) = specs
        if not 0 <= slot < len(spec.instructions) or spec.instructions[slot] is None:
            raise InputError(f"{spec.name} has no instruction {slot}")
        return Places(f"{spec.name}+{slot}", (CodePlace(spec, slot),))

    def _matching(self, pattern: str) -> Places:
        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise InputError(f"/{pattern}/ is no regular expression: {error}") from None
        names = [name for name in self.functions() if expression.search(name)]
        if not names:
            raise InputError(f"no function matches /{pattern}/; there is {', '.join(self.functions()[:12])}")
        places = tuple(place for name in names for place in self.function(name).places)
        return Places(", ".join(names), places)

    def _why_no_line(self, file: str, line: int) -> str:
        lines = [one for spec in self._specs for one in self._symbols_of(spec).lines_of_file(file)]
        if lines:
            return f"{file} has no code at or behind line {line}; its last line with code is {max(lines)}"
        return f"no code comes from a file named {file[:80]}; {hint(file, self.files())}"
