"""The same generated program in the reference interpreter and in the running kernel: every byte must be equal."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from pybpftime.conformance.generator import DATA_BYTES, VALUE_BYTES, Generated, Generator
from pybpftime.conformance.kernel_defects import with_read_results
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import BpfError
from pybpftime.helpers import default_helpers
from pybpftime.isa.disassembler import disassemble
from pybpftime.kernel import ProgramRunner, SharedValue
from pybpftime.machine import LINUX, Machine, Region, RegionKind
from pybpftime.maps import MapSpec, create_map
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import MapReference, ProgramSpec
from pybpftime.uapi import MapType, ProgramType

MAP = MapSpec("value", MapType.BPF_MAP_TYPE_ARRAY, 4, VALUE_BYTES, 1)


class DataContext:
    """A block of memory behind r1."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    def enter(self, machine: Machine) -> tuple[int, ...]:
        """Map the block; r1 is its address."""
        region = Region(RegionKind.CONTEXT, "data", self.data, aligned=True, atomic=False)
        return (machine.memory.map(region, transient=True),)


@dataclass(frozen=True, slots=True)
class Difference:
    """A program on which the two disagree, or that one of them refused."""

    seed: int
    index: int
    ours: str
    kernels: str
    text: str

    def __str__(self) -> str:
        return f"program {self.index} of seed {self.seed}:\n{self.text}\n  ours   {self.ours}\n  kernel {self.kernels}"


@dataclass(slots=True)
class Tally:
    """What a run of the campaign counted."""

    programs: int = 0
    runs: int = 0
    instructions: int = 0
    kernel_defects: int = 0  # differences that a defect of the kernel explains (`kernel_defects`)
    rows: Counter[str] = field(default_factory=Counter)


def run_reference(program: Generated, data: bytes, value: bytes) -> tuple[bytes, bytes, int]:
    """Data block, map value and instruction count after a run in the reference interpreter."""
    machine = Machine(strictness=LINUX)
    map = create_map(MAP)
    map.attach(machine.memory, machine.strictness)
    map.update(bytes(4), value)
    references = dict.fromkeys(program.value_slots, MapReference("value", 0))
    spec = ProgramSpec(
        "generated", program.instructions, ProgramType.BPF_PROG_TYPE_SYSCALL, references=references,
    )  # fmt: skip
    context = DataContext(data)
    executable = ReferenceEngine().compile(LoadedProgram(spec, {"value": map}), machine, default_helpers())
    outcome = executable.run(context)
    content = map.lookup(bytes(4))
    assert isinstance(content, bytes)
    return bytes(context.data), content, outcome.instructions


def compare(seed: int, count: int, tally: Tally, *, inputs: int = 1, first: int = 0) -> Iterator[Difference]:
    """Generate and run programs number `first` to `first + count` of `seed`; yield every difference.

    Program number i depends on seed and i alone.  Needs a kernel that lets us use bpf(2).
    """
    runner = ProgramRunner(data_capacity=DATA_BYTES)
    with SharedValue(VALUE_BYTES) as shared:
        for index in range(first, first + count):
            source = random.Random(f"{seed}/{index}")
            generator = Generator(source, length=source.choice((4, 12, 24, 48)))
            program = generator.program()
            tally.programs += 1
            tally.rows.update(program.rows)
            code = program.encode(shared.map.fileno())
            for _ in range(inputs):
                data, value = generator.data(), source.randbytes(VALUE_BYTES)
                difference = _compare_once(runner, shared, program, code, data, value, tally)
                if difference is not None:
                    if _is_kernels(runner, shared, program, data, value):
                        tally.kernel_defects += 1
                        continue
                    yield Difference(seed, index, *difference, disassemble(program.instructions))
                    break


def _is_kernels(runner: ProgramRunner, shared: SharedValue, program: Generated, data: bytes, value: bytes) -> bool:
    """Whether both agree on the same program written so that it does not meet what the kernel is known to do wrong."""
    other = with_read_results(program)
    if other.instructions == program.instructions:
        return False
    code = other.encode(shared.map.fileno())
    return _compare_once(runner, shared, other, code, data, value, Tally()) is None


def _compare_once(
    runner: ProgramRunner, shared: SharedValue, program: Generated, code: bytes, data: bytes, value: bytes, tally: Tally
) -> tuple[str, str] | None:
    try:
        ours_data, ours_value, instructions = run_reference(program, data, value)
        ours = f"{ours_data.hex()} {ours_value.hex()}"
        tally.instructions += instructions
    except BpfError as error:
        ours = str(error)
    shared.write(value)
    try:
        kernels = f"{runner.run(code, data).data.hex()} {shared.read().hex()}"
    except BpfError as error:
        kernels = str(error)
    tally.runs += 1
    return None if ours == kernels else (ours, kernels)
