"""What the debug information of an object file says, as plain data.  `elf_dwarf.read_debug_info` makes it.

Sections of a relocatable object all begin at address 0, so no address occurs here: a *place* is the name of an ELF
section and a byte offset in it.  Types are ids in one `Btf` that holds the C types of every compilation unit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from pybpftime.program.btf import Btf
from pybpftime.program.dwarf_expression import UnitTables


class CodeRange(NamedTuple):
    """Bytes [start, end) of an ELF section."""

    section: str
    start: int
    end: int

    def covers(self, section: str, offset: int) -> bool:
        """Whether the byte lies in the range."""
        return self.section == section and self.start <= offset < self.end


class LineRow(NamedTuple):
    """From byte `offset` on, until the next row of its section, the code comes from this line (`.debug_line`).

    `line` is 0 for code that comes from no line.  `end` marks the first byte behind a sequence: the row says nothing
    else.  `statement`: a debugger may stop here for the line.  `behind_prologue`: here the function's own code begins.
    """

    section: str
    offset: int
    file: str
    line: int
    column: int
    statement: bool
    behind_prologue: bool
    end: bool


class LocatedExpression(NamedTuple):
    """The variable is where `expression` says while the pc is in `range`; None stands for its whole scope."""

    range: CodeRange | None
    expression: bytes


@dataclass(frozen=True, slots=True)
class Variable:
    """A local variable or parameter, declared at `file`:`line`.

    `locations` may overlap nowhere and leave gaps: there the variable was optimised out.
    """

    name: str
    type_id: int
    is_parameter: bool
    file: str
    line: int
    locations: tuple[LocatedExpression, ...]
    tables: UnitTables

    def expression_at(self, section: str, offset: int) -> bytes | None:
        """The DWARF expression that says where it is when the pc is at this place; None if it is nowhere."""
        for range, expression in self.locations:
            if range is None or range.covers(section, offset):
                return expression or None
        return None


class ScopeKind(Enum):
    """What made a scope."""

    FUNCTION = "function"
    INLINED = "inlined"
    BLOCK = "block"


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A function, a copy of a function that was inlined, or a block of one; `children` are scopes inside.

    `name` is "" for blocks.  `entry` is the offset, in the section of the first range, where the code is entered.
    An inlined copy knows the line that calls it (`call_file`, `call_line`; 0 if unknown).  `type_id` is a
    FUNC_PROTO, 0 for blocks.
    """

    kind: ScopeKind
    name: str
    ranges: tuple[CodeRange, ...]
    entry: int
    file: str
    line: int
    variables: tuple[Variable, ...]
    children: tuple[Scope, ...]
    call_file: str = ""
    call_line: int = 0
    call_column: int = 0
    type_id: int = 0
    is_external: bool = False

    def covers(self, section: str, offset: int) -> bool:
        """Whether the code at this place belongs to the scope."""
        return any(range.covers(section, offset) for range in self.ranges)

    def walk(self) -> Iterator[Scope]:
        """This scope and all inside it, outer before inner."""
        pending = [self]
        while pending:
            scope = pending.pop()
            yield scope
            pending += reversed(scope.children)

    def path_to(self, section: str, offset: int) -> list[Scope]:
        """The scopes that the place is in, this one first; empty if it is not in this one."""
        path: list[Scope] = []
        scope: Scope | None = self if self.covers(section, offset) else None
        while scope is not None:
            path.append(scope)
            scope = next((child for child in scope.children if child.covers(section, offset)), None)
        return path


class GlobalVariable(NamedTuple):
    """A variable with a place of its own: global, or static in a file or (`function`) in a function."""

    name: str
    type_id: int
    section: str
    offset: int
    file: str
    line: int
    function: str = ""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A source file that the compiler read.  `md5` is "" where the compiler gave none."""

    name: str
    directory: str
    md5: str = ""


@dataclass(frozen=True, slots=True)
class DebugInfo:
    """`rows` by section, in order of offsets; `files` by name; `functions` that have code.

    File names are as the compiler was given them, relative to its directory if that is relative, without `.` and
    `..`.  `producers` name the compilers.
    """

    rows: Mapping[str, tuple[LineRow, ...]]
    functions: tuple[Scope, ...]
    variables: tuple[GlobalVariable, ...]
    types: Btf
    files: Mapping[str, SourceFile] = field(default_factory=dict)
    producers: tuple[str, ...] = ()

    def row_at(self, section: str, offset: int) -> LineRow | None:
        """The row that the byte belongs to; None where no row says anything."""
        rows = self.rows.get(section, ())
        index = bisect_right(rows, offset, key=lambda row: row.offset) - 1
        return rows[index] if index >= 0 and not rows[index].end else None

    def function_at(self, section: str, offset: int) -> Scope | None:
        """The function that the code at this place belongs to."""
        return next((function for function in self.functions if function.covers(section, offset)), None)
