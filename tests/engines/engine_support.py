"""One small program on a machine, with the maps, helpers and context that a test of engines needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pybpftime.engines import DEFAULT_BUDGET, Context, Outcome
from pybpftime.engines.reference import ReferenceEngine, ReferenceExecutable
from pybpftime.helpers import Helper, HelperTable, default_helpers, helper
from pybpftime.helpers.declarations.kinds import Anything, Integer, Mem, Size, UninitMem
from pybpftime.isa import Immediate, Program, lookup
from pybpftime.isa.assembler import assemble
from pybpftime.isa.encoding import MASK64
from pybpftime.machine import LINUX, Environment, Limits, Machine, Observer, Rounds, Strictness
from pybpftime.maps import Map, MapSpec, ProgramArray, create_map
from pybpftime.program.contexts.memory import MemoryContext
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import MapReference, ProgramSpec, Reference, SourceLine
from pybpftime.uapi import MapType

VALUE = MapSpec("value", MapType.BPF_MAP_TYPE_ARRAY, 4, 64, 1)
PROGRAMS = MapSpec("programs", MapType.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4)
PROBE, READER, WRITER = 0x10001, 0x10002, 0x10003
NAMES = {"probe": PROBE, "reader": READER, "writer": WRITER, "bpf_tail_call": 12, "bpf_loop": 181}


@helper(PROBE)
def probe(first: Anything, second: Anything) -> Integer:
    """What the test says; without `on_probe` the sum."""


@helper(READER)
def reader(memory: Mem, size: Size) -> Integer:
    """The sum of the bytes."""


@helper(WRITER)
def writer(memory: UninitMem, size: Size) -> Integer:
    """Fills the memory with 7."""


class Calls(Rounds):
    """Calls of a function with the arguments of each round; the result is the sum of what they return."""

    def __init__(self, function: int, *rounds: Sequence[int]) -> None:
        super().__init__(function)
        self.rounds = rounds
        self.count = 0
        self.sum = 0

    def arguments(self, machine: Machine) -> Sequence[int] | None:
        return self.rounds[self.count] if self.count < len(self.rounds) else None

    def returned(self, machine: Machine, value: int) -> None:
        self.count += 1
        self.sum += value

    @property
    def result(self) -> int:
        return self.sum


OnProbe = Callable[[Machine, int, int], int | Rounds | None]


def helper_table(on_probe: OnProbe | None = None) -> HelperTable:
    """Linux's helpers and the three above."""

    def add(machine: Machine, first: int, second: int) -> int:
        return first + second & MASK64

    def read(machine: Machine, memory: bytes) -> int:
        return sum(memory)

    def write(machine: Machine, memory: Any) -> int:
        memory.write(b"\7" * memory.size)
        return 0

    return default_helpers().extended(
        Helper(PROBE, probe, on_probe or add), Helper(READER, reader, read), Helper(WRITER, writer, write)
    )


@dataclass
class Rig:
    """A compiled program with all that belongs to it."""

    machine: Machine
    executable: ReferenceExecutable
    context: Context
    maps: dict[str, Map]

    def run(self, budget: int = DEFAULT_BUDGET) -> Outcome:
        return self.executable.run(self.context, budget=budget)

    @property
    def value(self) -> bytes:
        """The content of the map `value`."""
        content = self.maps["value"].lookup(bytes(4))
        assert isinstance(content, bytes)
        return content


def rig(
    program: str | Program,
    *,
    level: Strictness = LINUX,
    context: Context | None = None,
    data: bytes = b"",
    on_probe: OnProbe | None = None,
    helpers: HelperTable | None = None,
    references: dict[int, Reference] | None = None,
    lines: Sequence[SourceLine] = (),
    name: str = "main",
    license: str = "GPL",
    targets: Sequence[str | None] = (),
    observers: Sequence[Observer] = (),
    environment: Environment | None = None,
    max_depth: int = 8,
    frame_size: int = 512,
) -> Rig:
    """Compile `program` (assembly text).

    r1 and r2 are address and length of `data` unless there is a `context`.  `map_by_fd(0)` is a prog array with
    the programs `targets` (called target0, target1..., None for the program itself), `map_by_fd(1)` and
    `map_val(map_by_fd(1))` an array of one value of 64 bytes.  `call probe` calls `on_probe`.
    """
    limits = Limits(max_depth=max_depth, frame_size=frame_size)
    machine = Machine(strictness=level, environment=environment, limits=limits)
    machine.observers = tuple(observers)
    maps = {spec.name: create_map(spec) for spec in (VALUE, PROGRAMS)}
    for map in maps.values():
        map.attach(machine.memory, level)
    loaded = load(program, maps, name=name, license=license, references=references, lines=lines)
    array = maps["programs"]
    assert isinstance(array, ProgramArray)
    for index, text in enumerate(targets):
        target = loaded if text is None else load(text, maps, name=f"target{index}")
        array.update(index.to_bytes(4, "little"), target)
    table = helper_table(on_probe) if helpers is None else helpers
    executable = ReferenceEngine().compile(loaded, machine, table)
    return Rig(machine, executable, MemoryContext(data) if context is None else context, maps)


def load(
    program: str | Program,
    maps: dict[str, Map],
    *,
    name: str = "main",
    license: str = "GPL",
    references: dict[int, Reference] | None = None,
    lines: Sequence[SourceLine] = (),
) -> LoadedProgram:
    """The program with its references to `maps`."""
    instructions = assemble(program, helpers=NAMES) if isinstance(program, str) else program
    found: dict[int, Reference] = {}
    for slot, instruction in enumerate(instructions):
        if instruction is None or instruction.next_imm is None:
            continue
        row = lookup(instruction)
        if row.immediate is Immediate.MAP_VALUE_BY_FD:
            found[slot] = MapReference("value", instruction.next_imm)
        elif row.immediate is Immediate.MAP_BY_FD:
            found[slot] = MapReference("value" if instruction.imm else "programs")
    spec = ProgramSpec(name, instructions, license=license, references=found | (references or {}), lines=tuple(lines))
    return LoadedProgram(spec, maps)
