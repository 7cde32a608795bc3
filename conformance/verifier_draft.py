"""Programs under construction for the verifier: instructions, labels, references to maps; and the maps themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pybpftime.isa import BY_NAME, Instruction, Program
from pybpftime.isa.row import Form, Row, jump_field
from pybpftime.maps.spec import MapSpec
from pybpftime.program.btf.builder import BtfBuilder
from pybpftime.program.btf.types import Array, Func, FuncProto, Int, IntEncoding, Linkage, Member, Struct
from pybpftime.program.spec import Function, MapReference, ProgramSpec, Reference
from pybpftime.uapi import MapFlag, MapType, ProgramType

NAME = "generated"
CONSTANTS = bytes(range(16))
LOCK_SIZE = 4

_BTF = BtfBuilder()
_INT = _BTF.add(Int("int", 4, 32, IntEncoding.SIGNED))
_LOCK = _BTF.add(Struct("bpf_spin_lock", 4, (Member("val", _INT, 0),)))
_NUMBERS = _BTF.add(Array(_INT, _INT, 7))
_LOCKED = _BTF.add(Struct("locked", 32, (Member("lock", _LOCK, 0), Member("numbers", _NUMBERS, 32))))
_FUNCTION = _BTF.add(Func("function", _BTF.add(FuncProto(_INT)), Linkage.STATIC))
TYPES = _BTF.build()
"""What Linux wants to know by its type: values with locks, and functions whose address is taken."""

_ROWS = (
    MapSpec("array", MapType.BPF_MAP_TYPE_ARRAY, 4, 64, 4),
    MapSpec("one", MapType.BPF_MAP_TYPE_ARRAY, 4, 32, 1),
    MapSpec("hash", MapType.BPF_MAP_TYPE_HASH, 8, 48, 16),
    MapSpec("per_cpu", MapType.BPF_MAP_TYPE_PERCPU_ARRAY, 4, 24, 3),
    MapSpec(
        "locked", MapType.BPF_MAP_TYPE_ARRAY, 4, 32, 2, spin_lock_offset=0, key_type_id=_INT, value_type_id=_LOCKED
    ),
    MapSpec("ring", MapType.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096),
    MapSpec("jumps", MapType.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4),
    MapSpec(
        "constants", MapType.BPF_MAP_TYPE_ARRAY, 4, len(CONSTANTS), 1, MapFlag.BPF_F_RDONLY_PROG, contents=CONSTANTS
    ),
)
MAPS: Mapping[str, MapSpec] = {map.name: map for map in _ROWS}
"""What generated programs find: every kind of value that programs reach, small enough that all of it is reached."""


@dataclass(eq=False, slots=True)
class Label:
    """A place in the program; `slot` is known once it was placed, `used` says whether anything leads there."""

    slot: int | None = None
    used: bool = False


@dataclass(frozen=True, slots=True)
class GeneratedProgram:
    """A program for the verifier, which refers to MAPS.  `functions` are their first slots, in order."""

    type: ProgramType
    instructions: Program
    references: Mapping[int, Reference]
    functions: tuple[int, ...] = (0,)

    def spec(self) -> ProgramSpec:
        """The program as a loader gives it."""
        ends = (*self.functions[1:], len(self.instructions))
        functions = tuple(
            Function(f"function_{start}", start, end, _FUNCTION)
            for start, end in zip(self.functions, ends, strict=True)
        )
        return ProgramSpec(
            NAME, self.instructions, self.type, references=self.references, functions=functions, btf=TYPES
        )


class Draft:
    """Instructions one behind the other, with jumps that find their targets at the end."""

    def __init__(self) -> None:
        self._slots: list[Instruction | None] = []
        self._jumps: list[tuple[int, Row, Label]] = []
        self._references: dict[int, Reference] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, row: Row | str, **fields: int) -> None:
        """Append an instruction of a row, by name or itself."""
        row = BY_NAME[row] if isinstance(row, str) else row
        values = {field: value for field, value in row.fixed.items() if field != "next_imm"} | fields
        if row.form is Form.IMMEDIATE:
            values.setdefault("next_imm", 0)
        self._slots.append(Instruction(row.opcode, **values))
        if row.form is Form.IMMEDIATE:
            self._slots.append(None)

    def jump(self, row: Row | str, target: Label, **fields: int) -> None:
        """Append a jump, a local call or the address of a function."""
        row = BY_NAME[row] if isinstance(row, str) else row
        target.used = True
        self._jumps.append((len(self._slots), row, target))
        self.add(row, **fields)

    def map(self, register: int, name: str, offset: int | None = None) -> None:
        """Load the address of a map, or of byte `offset` of its value."""
        self._references[len(self._slots)] = MapReference(name, offset)
        if offset is None:
            self.add("lddw_map_by_fd", dst_reg=register, imm=0)
        else:
            self.add("lddw_map_val_by_fd", dst_reg=register, imm=0, next_imm=offset)

    def place(self, label: Label) -> None:
        """The label means what comes next."""
        label.slot = len(self._slots)

    def finish(self, type: ProgramType) -> GeneratedProgram:
        """The program, when all labels have been placed."""
        for slot, row, target in self._jumps:
            instruction = self._slots[slot]
            assert instruction is not None
            assert target.slot is not None
            self._slots[slot] = replace(instruction, **{jump_field(row): target.slot - slot - 1})
        entries = (target.slot for _, row, target in self._jumps if row.form in (Form.CALL_LOCAL, Form.IMMEDIATE))
        functions = tuple(sorted({0, *(slot for slot in entries if slot is not None)}))
        return GeneratedProgram(type, tuple(self._slots), dict(self._references), functions)
