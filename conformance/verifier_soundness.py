"""Is the verifier right?  Programs that it calls safe are run, and held against the states that it published.

Each run is on a random input at the level `linux`.  It must end without a fault and within its budget, and before each
instruction the machine must lie in a state that the verifier published there (`pybpftime.verifier.published`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pybpftime.conformance.generator import edge_value
from pybpftime.conformance.verifier_draft import MAPS, NAME, GeneratedProgram
from pybpftime.errors import BpfError
from pybpftime.isa.disassembler import disassemble
from pybpftime.machine import Environment, Limits, Machine, Observer
from pybpftime.maps import RingBuffer
from pybpftime.program.spec import MapReference, ObjectSpec
from pybpftime.program.types import PROGRAM_TYPES, ContextKind, FieldKind
from pybpftime.runtime.moments import Moments
from pybpftime.runtime.objects import Object
from pybpftime.runtime.replay import WitnessContext
from pybpftime.uapi import MapFlag, MapType
from pybpftime.verifier.published import Mismatch, Published
from pybpftime.verifier.report import Witness

RUN_BUDGET = 200_000
"""Instructions of a run: a program that is safe and takes more is a finding.  Generated programs take fewer by far."""
LOOPS = 64
"""Rounds of a may_goto in a run: Linux gives 8 million, which are as good as these and take longer."""
SHOWN_STATES = 4
USED_CONTEXT = 264
"""Bytes at the start of a plain context that generated programs load."""


class Outside(Exception):
    """A run was in no published state."""

    def __init__(self, pc: int, mismatches: Sequence[Mismatch]) -> None:
        super().__init__(pc)
        self.pc = pc
        self.mismatches = mismatches

    def __str__(self) -> str:
        shown = "".join(f"\n    {one}" for one in self.mismatches[:SHOWN_STATES])
        states = f"the {len(self.mismatches)} states published there" if self.mismatches else "no state: never reached"
        return f"instruction {self.pc}: the run is in none of {states}{shown}"


@dataclass(frozen=True, slots=True)
class Violation:
    """A safe program that is not what the verifier says: the run on `input` ended with `error`."""

    program: GeneratedProgram
    input: Witness
    seed: int
    error: BpfError | Outside

    def __str__(self) -> str:
        text = disassemble(self.program.instructions)
        return f"{self.program.type.name}\n{text}\ninput {self.input}, environment {self.seed}\n{self.error}"


# --- inputs -----------------------------------------------------------------------------------------------------------


def random_input(program: GeneratedProgram, source: random.Random) -> Witness:
    """Something that the program may be run on: context, packet, elements of maps."""
    info = PROGRAM_TYPES[program.type]
    packet = metadata = None
    if info.takes_packet:
        packet = _bytes(source, source.choice((0, 1, 2, 13, 14, 15, 20, 34, 54, 60, 64, 100, 300)))
        metadata = source.randbytes(source.choice((0, 0, 4, 32)))
    used = {one.name for one in program.references.values() if isinstance(one, MapReference)}
    maps = {name: tuple(_elements(name, source)) for name in sorted(used)}
    return Witness(program.type, 0, None, _context(program, source), packet, metadata or b"", maps, ())


def _bytes(source: random.Random, length: int) -> bytes:
    """Bytes among which are many small ones, and numbers where ranges begin and end."""
    words = (edge_value(source).to_bytes(8, "little") for _ in range(length // 8 + 1))
    return b"".join(words)[:length]


def _context(program: GeneratedProgram, source: random.Random) -> Mapping[int, bytes]:
    info = PROGRAM_TYPES[program.type]
    layout = info.layout
    assert layout is not None
    if info.context in (ContextKind.XDP, ContextKind.SKB):
        return {
            field.offset: _bytes(source, field.width or field.size)
            for field in layout.fields
            if field.kind is FieldKind.SCALAR and field.name != "len"
        }
    return {0: _bytes(source, min(USED_CONTEXT, layout.size))}


def _elements(name: str, source: random.Random) -> Iterator[tuple[bytes, bytes]]:
    spec = MAPS[name]
    if spec.type in (MapType.BPF_MAP_TYPE_RINGBUF, MapType.BPF_MAP_TYPE_PROG_ARRAY) or spec.contents is not None:
        return
    keys = range(min(spec.max_entries, 6))
    for key in source.sample(keys, source.randint(0, len(keys))):
        yield key.to_bytes(spec.key_size, "little"), _bytes(source, spec.value_size)


# --- the machine, as the published states are asked about it ----------------------------------------------------------


class StateCheck(Observer):
    """Raises Outside when a run is in no published state.  `every`: look at one instruction of so many."""

    def __init__(self, published: Published, every: int = 1) -> None:
        self._published = published
        self._every = every
        self._count = 0
        self._moments: Moments | None = None

    def started(self, machine: Machine, pc: int) -> None:
        self._moments = Moments(machine, machine.registers[1] or 0)

    def before(self, machine: Machine, pc: int) -> None:
        """A tail call leaves the program: from then on it is another run."""
        self._count += 1
        if machine.tail_calls or self._count % self._every:
            return
        assert self._moments is not None
        moment = self._moments.at(pc)
        if not self._published.contains(moment):
            raise Outside(pc, list(self._published.mismatches(moment)))


# --- runs -------------------------------------------------------------------------------------------------------------


class Runs:
    """Runs of one program, which share its maps as runs do."""

    def __init__(self, program: GeneratedProgram, published: Published, every: int = 1) -> None:
        self._program = program
        self._spec = program.spec()
        used = {one.name for one in program.references.values() if isinstance(one, MapReference)}
        maps = {name: MAPS[name] for name in sorted(used)}
        if "jumps" in maps:
            maps["jumps"] = replace(maps["jumps"], values=((0, NAME),))
        self._environment = Environment()
        self._live = Object(
            ObjectSpec(None, {NAME: self._spec}, maps), environment=self._environment,
            observers=(StateCheck(published, every),), limits=Limits(loops=LOOPS),
        )  # fmt: skip
        self._executable = self._live.programs[NAME].executable
        self._executable.machine.observers = self._live.observers

    def run(self, input: Witness, seed: int) -> Violation | None:
        """Run on an input, with what `seed` makes of the rest of the world."""
        self._set_world(input, random.Random(seed))
        try:
            self._executable.run(WitnessContext(self._spec, input), budget=RUN_BUDGET)
        except (BpfError, Outside) as error:
            return Violation(self._program, input, seed, error)
        return None

    def _set_world(self, input: Witness, source: random.Random) -> None:
        environment = self._environment
        environment.random = source
        environment.time_ns = edge_value(source, 63)
        environment.pid, environment.tid = edge_value(source, 32), edge_value(source, 32)
        answers = source.random() < 0.7
        environment.user_memory = lambda address, length: source.randbytes(length) if answers else None
        for name, elements in input.maps.items():
            map = self._live.maps[name].raw
            if isinstance(map, RingBuffer) and source.random() < 0.5:
                map.drain()
            if map.type is MapType.BPF_MAP_TYPE_HASH and source.random() < 0.5:
                for key in map.keys():  # noqa: SIM118  # a Map is no dict
                    map.delete_element(key)
            for key, value in elements:
                if not map.spec.flags & MapFlag.BPF_F_RDONLY_PROG:
                    map.update_element(key, value)
