"""Which proofs an engine accepts: those of the very program, where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pybpftime.engines.proof import why_not_covered
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import InputError
from pybpftime.helpers import Helper, HelperTable, default_helpers, helper
from pybpftime.helpers.declarations.kinds import Integer, Mem, Size, UninitMem
from pybpftime.isa.assembler import assemble
from pybpftime.machine import LENIENT, LINUX, STRICT, Limits, Machine
from pybpftime.machine.machine import new_memory
from pybpftime.maps import Map, MapSpec, create_map
from pybpftime.program.contexts import make_context
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.proof import Proof
from pybpftime.program.spec import MapReference, ProgramSpec
from pybpftime.runtime.verification import declared
from pybpftime.uapi import MapFlag, MapType, ProgramType
from pybpftime.verifier import Verdict, verify

READER, WRITER = 0x10001, 0x10002
NAMES = {"bpf_map_lookup_elem": 1, "bpf_skb_load_bytes": 26, "sum_of": READER, "fill": WRITER}
CONSTANTS = MapSpec(
    ".rodata", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1, flags=MapFlag.BPF_F_RDONLY_PROG, contents=b"\5".ljust(8, b"\0")
)
COUNTS = MapSpec("counts", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 16)

LOOK_UP = """
    r6 = 0 ll
    r1 = 0 ll
    r3 = *(u32 *)(r6 + 0)
    *(u32 *)(r10 - 4) = r3
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    *(u64 *)(r0 + 0) = 7
out:
    r0 = 0
    exit
"""
REFERENCES = {0: MapReference(".rodata", 0), 2: MapReference("counts")}
FILL = "r1 = r10\n r1 += -8\n r2 = 8\n call {}\n r0 = 0\n exit"
READ = "*(u64 *)(r10 - 8) = 1\n" + FILL
LOAD_BYTES = "r2 = 0\n r3 = r10\n r3 += -8\n r4 = 8\n call bpf_skb_load_bytes\n r0 = 0\n exit"


@helper(READER)
def sum_of(memory: Mem, size: Size) -> Integer:
    """The sum of the bytes."""


@helper(WRITER)
def fill(memory: UninitMem, size: Size) -> Integer:
    """Fills the memory with 7."""


def table() -> HelperTable:
    """Linux's helpers and the two above."""

    def read(machine: Machine, memory: bytes) -> int:
        return sum(memory)

    def write(machine: Machine, memory: Any) -> int:
        memory.write(b"\7" * memory.size)
        return 0

    return default_helpers().extended(Helper(READER, sum_of, read), Helper(WRITER, fill, write))


def program(text: str) -> ProgramSpec:
    references = REFERENCES if text is LOOK_UP else {}
    return ProgramSpec(
        "tested", assemble(text, helpers=NAMES), ProgramType.BPF_PROG_TYPE_SCHED_CLS, references=references
    )


def loaded(
    spec: ProgramSpec, machine: Machine, *maps: MapSpec, frozen: bool = True, constants: bytes | None = None
) -> LoadedProgram:
    live: dict[str, Map] = {}
    for one in maps or (CONSTANTS, COUNTS):
        live[one.name] = create_map(one)
        live[one.name].attach(machine.memory, machine.strictness)
    if constants is not None:
        live[".rodata"].update(bytes(4), constants)
    if frozen:
        live[".rodata"].freeze()
    return LoadedProgram(spec, live)


def proof_of(spec: ProgramSpec, helpers: HelperTable | None = None) -> Proof:
    report = verify(spec, {".rodata": CONSTANTS, "counts": COUNTS}, helpers=declared(helpers))
    assert report.verdict is Verdict.SAFE, report.objection
    assert report.proof is not None
    return report.proof


def machine_of(level: Any = LINUX, **limits: int) -> Machine:
    return Machine(new_memory(level), level, limits=Limits(**limits))


def objection(proof: Proof, to: LoadedProgram, machine: Machine, helpers: HelperTable) -> str | None:
    return why_not_covered(proof, to, machine.strictness, machine.limits, helpers)


def test_a_proof_comes_with_the_verdict_safe_and_no_other() -> None:
    assert proof_of(program(LOOK_UP)).program == "tested"
    report = verify(program("r0 = *(u64 *)(r10 - 1000)\n exit"), {})
    assert (report.verdict, report.proof) == (Verdict.NOT_PROVED, None)
    assert verify(program("goto +5\n exit"), {}).proof is None


def test_the_same_program_verified_twice_has_the_same_proof() -> None:
    assert proof_of(program(LOOK_UP)) == proof_of(program(LOOK_UP))


@pytest.mark.parametrize("text", [LOOK_UP, READ.format("sum_of"), LOAD_BYTES], ids=["maps", "reader", "Linux's writer"])
def test_the_reference_engine_compiles_what_a_proof_covers(text: str) -> None:
    machine = machine_of()
    spec = program(text)
    executable = ReferenceEngine().compile(loaded(spec, machine), machine, table(), proof_of(spec, table()))
    assert executable.run(make_context(spec.type, packet=bytes(64), ctx=None, mem=None)).r0 == 0


Refused = tuple[str, Callable[[ProgramSpec, Machine], LoadedProgram]]
DIFFERENT: dict[str, Refused] = {
    "an instruction": ("instructions", lambda spec, at: loaded(_one_bit_changed(spec), at)),
    "a license": ("license", lambda spec, at: loaded(replace(spec, license="MIT"), at)),
    "a type": ("type", lambda spec, at: loaded(replace(spec, type=ProgramType.BPF_PROG_TYPE_XDP), at)),
    "a size": ("maps", lambda spec, at: loaded(spec, at, CONSTANTS, replace(COUNTS, value_size=4))),
    "map flags": (
        "maps", lambda spec, at: loaded(spec, at, CONSTANTS, replace(COUNTS, flags=MapFlag.BPF_F_RDONLY_PROG)),
    ),
    "a constant": ("read-only data", lambda spec, at: loaded(spec, at, constants=b"\6".ljust(8, b"\0"))),
    "data that can be written": (
        "read-only data in map .rodata can still", lambda spec, at: loaded(spec, at, frozen=False),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("part", "make"), DIFFERENT.values(), ids=DIFFERENT)
def test_the_reference_engine_refuses_a_proof_of_something_else(
    part: str, make: Callable[[ProgramSpec, Machine], LoadedProgram]
) -> None:
    machine = machine_of()
    spec = program(LOOK_UP)
    with pytest.raises(InputError, match=rf"proof given for program tested does not cover it: the .*{part}"):
        ReferenceEngine().compile(make(spec, machine), machine, default_helpers(), proof_of(spec))


def _one_bit_changed(spec: ProgramSpec) -> ProgramSpec:
    slot = next(slot for slot, one in enumerate(spec.instructions) if one is not None and one.imm == 7)
    changed = replace(spec.instructions[slot] or pytest.fail("no instruction"), imm=6)
    return replace(spec, instructions=(*spec.instructions[:slot], changed, *spec.instructions[slot + 1 :]))


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (STRICT, "level of strictness"),
        (LENIENT, "level of strictness"),
        (replace(LINUX, uninitialised_register=False), "its level of strictness is not the level linux"),
        (replace(LINUX, name="ours"), "its level of strictness is not the level ours"),
    ],
)
def test_a_proof_holds_for_the_level_linux_alone(level: Any, said: str) -> None:
    machine, spec = machine_of(level), program(LOOK_UP)
    assert said in str(objection(proof_of(spec), loaded(spec, machine), machine, default_helpers()))


def test_smaller_frames_than_those_of_linux_void_a_proof_and_larger_ones_do_not() -> None:
    spec = program(LOOK_UP)
    small, large = machine_of(frame_size=504), machine_of(frame_size=1024)
    assert "504 bytes" in str(objection(proof_of(spec), loaded(spec, small), small, default_helpers()))
    assert objection(proof_of(spec), loaded(spec, large), large, default_helpers()) is None


def test_another_helper_set_voids_a_proof() -> None:
    machine, spec = machine_of(), program(LOOK_UP)
    target = loaded(spec, machine)
    fewer = HelperTable(one for one in default_helpers() if one.id == 1)
    assert objection(proof_of(spec), target, machine, default_helpers()) is None
    assert "the helpers differ" in str(objection(proof_of(spec), target, machine, table()))
    assert "the helpers differ" in str(objection(proof_of(spec), target, machine, fewer))
    assert objection(proof_of(spec, table()), target, machine, table()) is None


def test_a_helper_of_a_user_that_writes_memory_voids_a_proof_of_who_calls_it() -> None:
    machine, spec = machine_of(), program(FILL.format("fill"))
    reason = objection(proof_of(spec, table()), loaded(spec, machine), machine, table())
    assert reason == ("it calls fill, which writes memory or returns an address and is not implemented by this package")


def test_another_implementation_of_a_helper_that_writes_memory_voids_a_proof() -> None:
    machine, spec = machine_of(), program(LOAD_BYTES)
    replaced = default_helpers().replaced("bpf_skb_load_bytes", lambda machine, skb, offset, to: 0)
    assert objection(proof_of(spec), loaded(spec, machine), machine, default_helpers()) is None
    reason = objection(proof_of(spec), loaded(spec, machine), machine, replaced)
    assert "it calls bpf_skb_load_bytes, which writes memory" in str(reason)


def test_another_implementation_of_a_helper_that_returns_an_address_voids_a_proof() -> None:
    machine, spec = machine_of(), program(LOOK_UP)
    astray = default_helpers().replaced("bpf_map_lookup_elem", lambda machine, map, key: 0xDEAD)
    assert "it calls bpf_map_lookup_elem" in str(objection(proof_of(spec), loaded(spec, machine), machine, astray))


def test_a_helper_of_a_user_that_only_reads_or_is_never_called_voids_nothing() -> None:
    machine, other = machine_of(), program(READ.format("sum_of"))
    assert objection(proof_of(other, table()), loaded(other, machine), machine, table()) is None
