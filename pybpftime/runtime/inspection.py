"""What an object holds and needs, found without running it: which helpers, maps and symbols its programs refer to,
and what of it cannot be served here.

Reasons are those that loading or running would give; only a verifier could say whether the code is ever reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from pybpftime.errors import InputError
from pybpftime.helpers import HelperTable, default_helpers
from pybpftime.isa import Form, Immediate, Instruction, Row, lookup, validate
from pybpftime.maps import like_libbpf
from pybpftime.maps.kinds import check
from pybpftime.program.spec import Extern, MapReference, ObjectSpec, ProgramSpec, Trap
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.uapi import MapType


@dataclass(frozen=True, slots=True)
class HelperUse:
    """A helper that a program calls, and how often its number stands in the code."""

    id: int
    name: str | None
    calls: int

    def __str__(self) -> str:
        return f"{self.name or 'unknown'}#{self.id}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that cannot be served: in which program, from which slots, at which source line of the first one.

    `program` is None for a problem of a map, or of the object.
    """

    reason: str
    program: str | None = None
    slots: tuple[int, ...] = ()
    source: str | None = None


@dataclass(frozen=True, slots=True)
class ProgramFacts:
    """What the instructions of one program refer to.  `maps` and `symbols` count references by name."""

    helpers: tuple[HelperUse, ...]
    maps: dict[str, int] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    instructions: int = 0


def program_facts(spec: ProgramSpec, helpers: HelperTable | None = None) -> ProgramFacts:
    """The facts of one program; `helpers` names helpers, those of Linux if left out."""
    table = default_helpers() if helpers is None else helpers
    calls = Counter(
        instruction.imm & 0xFFFF_FFFF for _, instruction, row in _rows(spec) if row.form is Form.CALL_HELPER
    )
    maps: Counter[str] = Counter()
    symbols: Counter[str] = Counter()
    for reference in spec.references.values():
        if isinstance(reference, MapReference):
            maps[reference.name] += 1
        elif isinstance(reference, Extern):
            symbols[f"{reference.kind} {reference.name}{' (weak)' if reference.weak else ''}"] += 1
    return ProgramFacts(
        helpers=tuple(HelperUse(number, table.name_of(number), count) for number, count in sorted(calls.items())),
        maps=dict(maps),
        symbols=dict(symbols),
        instructions=sum(instruction is not None for instruction in spec.instructions),
    )


def problems(spec: ObjectSpec, helpers: HelperTable | None = None) -> list[Problem]:
    """Everything in an object that cannot be served, maps first, then programs in their order."""
    table = default_helpers() if helpers is None else helpers
    found = [*_map_problems(spec)]
    for program in spec.programs.values():
        found += _program_problems(program, table)
    return found


def _map_problems(spec: ObjectSpec) -> Iterator[Problem]:
    for map_spec in spec.maps.values():
        try:
            check(like_libbpf(map_spec, 1))
        except InputError as error:
            yield Problem(error.reason)
            continue
        for index, target in map_spec.values:
            if map_spec.type != MapType.BPF_MAP_TYPE_PROG_ARRAY or target not in spec.programs:
                yield Problem(f"map {map_spec.name}: entry {index} names {target}, which is no program of the object")


def _program_problems(spec: ProgramSpec, table: HelperTable) -> Iterator[Problem]:
    info = PROGRAM_TYPES[spec.type]
    if info.context is None:
        yield Problem(f"programs of type {info.name} cannot be run: {info.not_served}", spec.name)
    try:
        validate(spec.instructions)
    except InputError as error:
        yield Problem(f"the program is not well formed: {error}", spec.name)
        return
    slots: dict[str, list[int]] = {}
    for slot, instruction, row in _rows(spec):
        reason = _reason(spec, slot, instruction, row, table)
        if reason is not None:
            slots.setdefault(reason, []).append(slot)
    for reason, places in slots.items():
        line = spec.line_at(places[0])
        yield Problem(reason, spec.name, tuple(places), None if line is None else str(line))


def _rows(spec: ProgramSpec) -> Iterator[tuple[int, Instruction, Row]]:
    for slot, instruction in enumerate(spec.instructions):
        if instruction is None:
            continue
        try:
            yield slot, instruction, lookup(instruction)
        except InputError:
            continue  # `validate` tells


def _reason(spec: ProgramSpec, slot: int, instruction: Instruction, row: Row, table: HelperTable) -> str | None:
    """Why executing the instruction at `slot` would be a Fault whatever the state; None when it would not."""
    reference = spec.references.get(slot)
    if isinstance(reference, Trap):
        return reference.reason
    if isinstance(reference, Extern):
        if reference.weak and reference.kind != "kfunc":
            return None
        return f"{reference.kind} {reference.name} is defined neither by the object nor by this runtime"
    if row.form is Form.CALL_HELPER:
        return _helper_reason(spec, instruction.imm & 0xFFFF_FFFF, table)
    if row.form is Form.CALL_BTF:
        return f"the kernel function with BTF id {instruction.imm} is not known here"
    if row.form is Form.CAST:
        return "addr_space_cast needs an arena map, which this version does not have"
    if row.form is Form.IMMEDIATE and reference is None and row.immediate not in (Immediate.VALUE, Immediate.CODE):
        return f"{row.meaning}: nothing is known by the number {instruction.imm} here"
    return None


def _helper_reason(spec: ProgramSpec, number: int, table: HelperTable) -> str | None:
    helper = table.get(number)
    if helper is None:
        name = table.name_of(number)
        return f"there is no helper with the number {number}" if name is None else f"{name}#{number} is not implemented"
    declaration = helper.declaration
    if not declaration.allows(spec.type):
        return f"{declaration.name}#{number} cannot be called by programs of type {PROGRAM_TYPES[spec.type].name}"
    return f"{declaration.name}#{number} is not implemented" if helper.function is None else None
