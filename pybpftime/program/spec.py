"""What a loader produces: programs and objects as values, before anything runs.

The names follow cilium/ebpf: a *spec* is the description found in a file; the live thing (with map contents, a
machine) is made from it elsewhere.  All positions are slot indices from the start of the program, after its
subprograms were linked behind it, as libbpf does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pybpftime.isa import Program
from pybpftime.isa.encoding import SLOT_BYTES
from pybpftime.uapi import AttachType, ProgramType

if TYPE_CHECKING:  # a program without maps and BTF runs without loading what reads them
    from pybpftime.maps.spec import MapSpec
    from pybpftime.program.btf import Btf


@dataclass(frozen=True, slots=True)
class MapReference:
    """The wide instruction refers to the map `name`: its handle, or with `offset` an address inside its value."""

    name: str
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Extern:
    """The instruction refers to a symbol that the object does not define.

    `kind` is `kfunc`, `ksym` or `kconfig`; a weak extern that nobody supplies is 0.
    """

    name: str
    kind: str
    weak: bool = False
    type_id: int = 0


@dataclass(frozen=True, slots=True)
class Trap:
    """The instruction cannot be served, for this reason; executing it is a Fault that says so."""

    reason: str


Reference = MapReference | Extern | Trap


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the program: slots [start, end).  `type_id` is its BTF FUNC, 0 without BTF.

    `section` (as the ELF file spells it) and `offset` (bytes) say where its code begins in the object file; a program
    that came from no object has no section.
    """

    name: str
    start: int
    end: int
    type_id: int = 0
    is_global: bool = False
    section: str | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class SourceLine:
    """From slot `start` on, until the next entry, the code comes from this line (BTF.ext line_info)."""

    start: int
    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        name = self.file.replace("\\", "/").rpartition("/")[2]
        return f"{name}:{self.line}: {self.text.strip()}" if self.text.strip() else f"{name}:{self.line}"


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """A program: its instructions and everything the object file says about them.

    `instructions` holds the entry function first, then the subprograms that it reaches; local calls and code
    addresses are resolved.  `references` maps the slot of an instruction to what its immediate stands for.
    `attach_to` is the part of the section name behind the type (`libc.so.6:malloc`), None where it has none.
    `flags` are words of `sections` (sleepable, frags, manual); `notes` are sentences about what libbpf or the kernel
    would not take as it is taken here.
    """

    name: str
    instructions: Program
    type: ProgramType = ProgramType.BPF_PROG_TYPE_UNSPEC
    section: str = ""
    attach_type: AttachType | None = None
    attach_to: str | None = None
    license: str = "GPL"
    flags: frozenset[str] = frozenset()
    references: Mapping[int, Reference] = field(default_factory=dict)
    functions: tuple[Function, ...] = ()
    lines: tuple[SourceLine, ...] = ()
    btf: Btf | None = None
    file: str | None = None
    notes: tuple[str, ...] = ()

    def line_at(self, pc: int) -> SourceLine | None:
        """The source line of slot `pc`, or None without line information."""
        index = bisect_right(self.lines, pc, key=lambda line: line.start) - 1
        return self.lines[index] if index >= 0 else None

    def function_at(self, pc: int) -> Function | None:
        """The function that slot `pc` belongs to."""
        return next((function for function in self.functions if function.start <= pc < function.end), None)

    def origin_of(self, pc: int) -> tuple[str, int] | None:
        """ELF section and byte offset that slot `pc` came from; None if the program came from no object file."""
        function = self.function_at(pc)
        if function is None or function.section is None:
            return None
        return function.section, function.offset + SLOT_BYTES * (pc - function.start)

    def slot_from(self, section: str, offset: int) -> int | None:
        """The slot that came from byte `offset` of an ELF section; None if it is not part of this program."""
        for function in self.functions:
            slot = function.start + (offset - function.offset) // SLOT_BYTES
            if function.section == section and function.start <= slot < function.end:
                return slot
        return None


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """A whole object file: programs in the order of the file, maps (global data included) by name."""

    file: str | None
    programs: Mapping[str, ProgramSpec]
    maps: Mapping[str, MapSpec]
    btf: Btf | None = None
    license: str = ""
    version: int | None = None
