"""What an object holds and needs, found without running it: which helpers, maps and symbols its programs refer to,
and what of it cannot be served here.

Reasons are those that loading or running gives, from the functions that give them there; only a verifier could say
whether the code is ever reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from pybpftime.engines.reference.link import called_helper, why_not_linked
from pybpftime.errors import Fault, InputError
from pybpftime.helpers import HelperTable, default_helpers
from pybpftime.helpers.marshal import why_not_callable
from pybpftime.isa import Form, Instruction, Row, lookup, validate
from pybpftime.machine import LINUX, Strictness
from pybpftime.maps import like_libbpf
from pybpftime.maps.kinds import check
from pybpftime.program.spec import Extern, MapReference, ObjectSpec, ProgramSpec, Reference, Trap
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.uapi import MapType


@dataclass(frozen=True, slots=True)
class HelperUse:
    """A helper that a program calls by its number, and how often that stands in the code."""

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
class Relocation:
    """What the instruction at `slot` refers to and only a run has an address for.

    `kind` is `map`, `map value` (then `offset` says where in it), `kfunc`, `ksym`, `kconfig`, or `failed` for a
    relocation that could not be made and has no `name`.  Those of functions and fields (CO-RE) are made at load.
    """

    slot: int
    kind: str
    name: str | None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class ProgramFacts:
    """What the instructions of one program refer to.  `maps` and `symbols` count references by name."""

    helpers: tuple[HelperUse, ...]
    maps: dict[str, int] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    relocations: tuple[Relocation, ...] = ()
    instructions: int = 0


def program_facts(spec: ProgramSpec, helpers: HelperTable | None = None) -> ProgramFacts:
    """The facts of one program; `helpers` names helpers, those of Linux if left out."""
    table = default_helpers() if helpers is None else helpers
    calls = Counter(instruction.imm for _, instruction, row in _rows(spec) if row.form is Form.CALL_HELPER)
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
        relocations=tuple(_relocation(slot, reference) for slot, reference in sorted(spec.references.items())),
        instructions=sum(instruction is not None for instruction in spec.instructions),
    )


def _relocation(slot: int, reference: Reference) -> Relocation:
    match reference:
        case MapReference(name, offset):
            return Relocation(slot, "map" if offset is None else "map value", name, offset)
        case Extern(name, kind):
            return Relocation(slot, kind, name)
        case Trap():
            return Relocation(slot, "failed", None)


def problems(spec: ObjectSpec, helpers: HelperTable | None = None, level: Strictness = LINUX) -> list[Problem]:
    """Everything in an object that cannot be served at `level`, maps first, then programs in their order."""
    table = default_helpers() if helpers is None else helpers
    found = [*_map_problems(spec)]
    for program in spec.programs.values():
        found += _program_problems(program, table, level)
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


def _program_problems(spec: ProgramSpec, table: HelperTable, level: Strictness) -> Iterator[Problem]:
    info = PROGRAM_TYPES[spec.type]
    if info.context is None:
        yield Problem(f"programs of type {info.name} cannot be run: {info.not_served}", spec.name)
    try:
        validate(spec.instructions, refuse_constants=level.refused_constants)
    except InputError as error:
        yield Problem(f"the program is not well formed: {error}", spec.name)
        return
    slots: dict[str, list[int]] = {}
    for slot, instruction, row in _rows(spec):
        fault = _why_not_served(spec, slot, instruction, row, table, level)
        if fault is not None:
            slots.setdefault(fault.reason, []).append(slot)
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


def _why_not_served(
    spec: ProgramSpec, slot: int, instruction: Instruction, row: Row, table: HelperTable, level: Strictness
) -> Fault | None:
    """The Fault that executing the instruction at `slot` is whatever the state; None when there is none."""
    reference = spec.references.get(slot)
    fault = why_not_linked(instruction, row, reference, table)
    helper_id = called_helper(instruction, row, reference, table)
    if fault is not None or helper_id is None:
        return fault
    return why_not_callable(helper_id, table, spec.type, spec.license, level)
