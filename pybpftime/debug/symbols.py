"""`symbols_of`: lines, functions, scopes and variables of one program, from DWARF or, without it, from BTF.

    debug = DebugFile("xdp.bpf.o")                       # one for all programs of the file; reads when asked
    symbols = symbols_of(spec, debug)
    symbols.line_at(12)                                  # LinePlace("xdp.bpf.c", 31, 5, True)
    symbols.slots_of_line("xdp.bpf.c", 30)               # LineSlots("xdp.bpf.c", 31, (12, 40))
    frame = symbols.scopes_at(12)[0]                     # the innermost function, inlined or real
    frame.variable("count").evaluate(Frame(registers, read))

A pc is a slot of the program.  A variable is a name, a type in `symbols.types`, and a location that depends on the
slot.  No debug information, and damaged debug information, is no error: `note` says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from pybpftime.debug.frame_base import frame_shift
from pybpftime.debug.lines import InlinedCall, LinePlace, LineSlots, LineTable
from pybpftime.errors import BpfError, InputError
from pybpftime.isa.encoding import MASK64
from pybpftime.program.btf import Btf
from pybpftime.program.debug_info import DebugInfo, GlobalVariable, Scope, ScopeKind, Variable
from pybpftime.program.dwarf_expression import FRAME_POINTER, Context, Location, MemoryAt, evaluate, frame_offset
from pybpftime.program.elf_file import MAX_FILE
from pybpftime.program.spec import Function, ProgramSpec


@dataclass(frozen=True, slots=True)
class Frame:
    """The state of a function that runs or waits for a call to return.

    `registers` are r0..r10 as the function has them, None where unknown (r0 to r5 of a caller).  `read` gives the
    bytes at an address or None.  `address_of` gives the run-time address of a byte of an ELF section (`.rodata`).
    """

    registers: Sequence[int | None]
    read: Callable[[int, int], bytes | None]
    address_of: Callable[[str, int], int | None] | None = None


@dataclass(frozen=True, slots=True)
class LocalVariable:
    """A variable as it is visible at `slot`.  `type_id` is in `ProgramSymbols.types`.

    `expression` says where it is while the pc is there; None if it was optimised out.  `depth` counts the blocks
    around it within its function: 0 for parameters and variables of the whole function.  `frame_offset` is where it
    lies, counted from r10, if it lies in the frame as a whole.
    """

    name: str
    type_id: int
    is_parameter: bool
    file: str
    line: int
    depth: int
    slot: int
    expression: bytes | None
    frame_offset: int | None
    frame_shift: int
    declaration: Variable

    def evaluate(self, frame: Frame) -> Location | None:
        """Where it is; None if that is not known: it was optimised out, or needs a register that is not known."""
        if self.expression is None:
            return None
        base = frame.registers[FRAME_POINTER] if len(frame.registers) > FRAME_POINTER else None
        if self.frame_offset is not None:  # by far the most, and conditions are evaluated often
            return None if base is None else MemoryAt(base + self.frame_offset & MASK64)
        context = Context(
            frame.registers, frame.read,
            frame_base=None if base is None else base + self.frame_shift,
            frame_shift=self.frame_shift,
            tables=self.declaration.tables,
            address_of=frame.address_of,
        )  # fmt: skip
        return evaluate(self.expression, context)


@dataclass(frozen=True, slots=True)
class ScopeFrame:
    """A function that the pc is in: the real one, or a copy of a function that was inlined into it.

    `line` is where this function stands: at the pc for the innermost one, at the call of the next inner one for the
    others.  `call_file`, `call_line`: where an inlined copy is called from; `is_entry`: it begins exactly here, so that
    nothing of it has been executed.  `type_id` is its FUNC_PROTO or 0.
    Variables: parameters first, then those of the function, then of blocks, outer before inner.
    """

    name: str
    is_inlined: bool
    line: LinePlace | None
    call_file: str
    call_line: int
    variables: tuple[LocalVariable, ...]
    type_id: int = 0
    is_entry: bool = False

    def variable(self, name: str) -> LocalVariable | None:
        """The variable that the name means here: the innermost one."""
        return next((one for one in reversed(self.variables) if one.name == name), None)


class DebugFile:
    """The debug information of an object file, read when it is asked for, once for all its programs.

    `source` is a path or the bytes of the file.  `note` is a sentence if there is none or it is damaged.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        self._source = source

    @property
    def info(self) -> DebugInfo | None:
        """What DWARF says; None without it."""
        return self._read[0]

    @property
    def note(self) -> str | None:
        """Why `info` is None; None if it is there."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[DebugInfo | None, str | None]:
        try:
            from pybpftime.program.elf_dwarf import read_debug_info

            info = read_debug_info(self.content)
        except BpfError as error:
            return None, f"no variables and no inlined functions are known: {error}"
        if info is None:
            return None, "no variables and no inlined functions are known: the object was compiled without -g"
        return info, None

    @cached_property
    def content(self) -> bytes:
        """The bytes of the file.  InputError when it cannot be read."""
        if isinstance(self._source, bytes):
            return self._source
        try:
            with open(self._source, "rb") as stream:
                return stream.read(MAX_FILE + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise InputError(f"cannot be read: {reason}", file=os.fspath(self._source)) from None


def symbols_of(spec: ProgramSpec, debug: DebugFile | None = None) -> ProgramSymbols:
    """The symbols of a program; `debug` is that of the file that it came from.  Nothing is read yet."""
    return ProgramSymbols(spec, debug)


class ProgramSymbols:
    """What the source knows of one program; made by `symbols_of`.  All slots are the program's."""

    def __init__(self, spec: ProgramSpec, debug: DebugFile | None) -> None:
        self.spec = spec
        self._debug = debug
        self._frames: dict[int, tuple[ScopeFrame, ...]] = {}
        self._shifts: dict[int, int] = {}

    @cached_property
    def info(self) -> DebugInfo | None:
        """The debug information, if it says anything about this program's code."""
        info = None if self._debug is None else self._debug.info
        origins = [(function.section, function.offset) for function in self.spec.functions if function.section]
        known = info is not None and any(info.function_at(str(section), offset) for section, offset in origins)
        return info if known else None

    @property
    def has_dwarf(self) -> bool:
        """Whether variables and inlined functions are known."""
        return self.info is not None

    @property
    def note(self) -> str | None:
        """A sentence that says why they are not; None if they are."""
        if self.info is not None:
            return None
        reason = None if self._debug is None else self._debug.note
        return reason or "no variables and no inlined functions are known: there is no debug information of the code"

    @property
    def types(self) -> Btf | None:
        """The C types of variables and functions; None without DWARF."""
        return None if self.info is None else self.info.types

    # --- lines ---

    @cached_property
    def _lines(self) -> LineTable:
        return LineTable(self.spec, self.info, self._inlined_calls(), self._instance)

    def _inlined_calls(self) -> Iterator[InlinedCall]:
        pending = list(self._scopes.values())
        while pending:
            scope = pending.pop()
            blocks = list(scope.children)
            while blocks:
                child = blocks.pop()
                if child.kind is ScopeKind.BLOCK:
                    blocks += child.children
                    continue
                pending.append(child)
                slot = self._entry(child)
                if slot is not None and child.call_line:
                    yield InlinedCall(slot, child.call_file, child.call_line, id(scope))

    def _entry(self, scope: Scope) -> int | None:
        """The slot where an inlined copy is entered; None if it is not in this program."""
        return self.spec.slot_from(scope.ranges[0].section, scope.entry)

    def line_at(self, slot: int) -> LinePlace | None:
        """The source line of a slot; None for code without a line of its own and for slots outside."""
        places = self._lines.places
        return places[slot] if 0 <= slot < len(places) else None

    def files(self) -> tuple[str, ...]:
        """The source files that code of the program comes from, sorted."""
        return self._lines.files()

    def lines_of_file(self, file: str) -> tuple[int, ...]:
        """The lines that have code, ascending.  `file` is a name of `files` or the end of one."""
        return self._lines.lines_of_file(file)

    def slots_of_line(self, file: str, line: int) -> LineSlots | None:
        """Where to stop for a line, or for the nearest one behind it that has code; None if there is none.

        One slot for each inlined copy, several where control can come to the line by several ways.
        """
        return self._lines.slots_of_line(file, line)

    def _instance(self, slot: int) -> int:
        """Tells the function, or the inlined copy of one, that a slot belongs to."""
        groups = self._path(slot)
        return id(groups[-1][0]) if groups else 0

    # --- functions ---

    def functions(self) -> tuple[str, ...]:
        """The names of functions whose code is in the program, those that were inlined too; sorted."""
        names = {function.name for function in self.spec.functions}
        return tuple(sorted(names | {scope.name for scope in self._copies if scope.name}))

    def slots_of_function(self, name: str) -> tuple[int, ...]:
        """Where to stop for a function: behind the prologue of the real one, at the entry of each inlined copy."""
        slots = {
            self._lines.behind_prologue(function.start) for function in self.spec.functions if function.name == name
        }
        for scope in self._copies:
            slot = self._entry(scope) if scope.name == name else None
            if slot is not None:
                slots.add(slot)
        return tuple(sorted(slots))

    @cached_property
    def _scopes(self) -> dict[int, Scope]:
        """The functions of the program that DWARF knows, by their first slot."""
        info = self.info
        if info is None:
            return {}
        found = {
            function.start: info.function_at(function.section, function.offset)
            for function in self.spec.functions
            if function.section is not None
        }
        return {start: scope for start, scope in found.items() if scope is not None}

    @cached_property
    def _copies(self) -> tuple[Scope, ...]:
        """The functions that were inlined, each copy."""
        within = (scope for function in self._scopes.values() for scope in function.walk())
        return tuple(scope for scope in within if scope.kind is ScopeKind.INLINED)

    # --- scopes and variables ---

    def scopes_at(self, slot: int) -> tuple[ScopeFrame, ...]:
        """The functions that a slot belongs to, the innermost first, the real one last.  Empty outside the program."""
        frames = self._frames.get(slot)
        if frames is None:
            frames = self._frames[slot] = tuple(self._make_frames(slot))
        return frames

    def variables(self) -> tuple[GlobalVariable, ...]:
        """The global and static variables of the object file."""
        return () if self.info is None else self.info.variables

    def _path(self, slot: int) -> list[list[Scope]]:
        """The scopes around a slot as groups, outer before inner: a function or a copy, then its blocks."""
        origin, function = self.spec.origin_of(slot), self.spec.function_at(slot)
        scope = None if function is None else self._scopes.get(function.start)
        if scope is None or origin is None:
            return []
        groups: list[list[Scope]] = []
        for one in scope.path_to(*origin):
            if one.kind is ScopeKind.BLOCK:
                groups[-1].append(one)
            else:
                groups.append([one])
        return groups

    def _make_frames(self, slot: int) -> Iterator[ScopeFrame]:
        function = self.spec.function_at(slot)
        line = self.line_at(slot)
        groups = self._path(slot)
        if function is not None and not groups:
            yield ScopeFrame(function.name, is_inlined=False, line=line, call_file="", call_line=0, variables=())
        for group in reversed(groups):
            scope = group[0]
            is_inlined = scope.kind is ScopeKind.INLINED
            variables = tuple(self._visible(group, slot))
            is_entry = self._entry(scope) == slot
            yield ScopeFrame(
                scope.name, is_inlined, line, scope.call_file, scope.call_line, variables, scope.type_id, is_entry
            )  # fmt: skip
            line = LinePlace(scope.call_file, scope.call_line, scope.call_column, False) if scope.call_line else None

    def _visible(self, group: list[Scope], slot: int) -> Iterator[LocalVariable]:
        origin, function = self.spec.origin_of(slot), self.spec.function_at(slot)
        assert origin is not None and function is not None
        shift = self._shift(function)
        for depth, scope in enumerate(group):
            for one in scope.variables:
                expression = one.expression_at(*origin)
                start = None if expression is None else frame_offset(expression)
                yield LocalVariable(
                    one.name, one.type_id, one.is_parameter, one.file, one.line, depth, slot, expression,
                    None if start is None else start + shift, shift, one,
                )  # fmt: skip

    def _shift(self, function: Function) -> int:
        if function.start not in self._shifts:
            scope, types = self._scopes[function.start], self.types
            self._shifts[function.start] = 0 if types is None else frame_shift(self.spec, function, scope, types)
        return self._shifts[function.start]
