"""What a helper lends is given back before the program ends or goes on in another one."""

import pytest

from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import Fault, FaultKind
from pybpftime.helpers import default_helpers
from pybpftime.isa.assembler import assemble
from pybpftime.machine import LEVELS, Machine, Strictness
from pybpftime.maps import MapSpec, create_map
from pybpftime.program.contexts.memory import SyscallContext
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import MapReference, ProgramSpec
from pybpftime.uapi import MapType, ProgramType

SYSCALL = ProgramType.BPF_PROG_TYPE_SYSCALL
SPECS = (
    MapSpec("events", MapType.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096),
    MapSpec("programs", MapType.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1),
)
RESERVE = """
    r6 = r1
    r1 = map_by_fd(0)
    r2 = 8
    r3 = 0
    call 131
    if r0 == 0 goto out
"""
SUBMIT = "r1 = r0\nr2 = 0\ncall 132\n"
TAIL_CALL = "r1 = r6\nr2 = map_by_fd(1)\nr3 = 0\ncall 12\n"
OUT = "out:\nr0 = 7\nexit\n"


def run(text: str, level: Strictness) -> int:
    """r0 of the program; its first wide instruction refers to the ring, the second to the prog array."""
    machine = Machine(strictness=level)
    maps = {spec.name: create_map(spec) for spec in SPECS}
    for map in maps.values():
        map.attach(machine.memory, level)
    maps["programs"].update(bytes(4), LoadedProgram(ProgramSpec("next", assemble("r0 = 9\nexit"), SYSCALL), {}))
    program = assemble(text)
    wide = [slot for slot, one in enumerate(program) if one is not None and one.next_imm is not None]
    references = {slot: MapReference(spec.name) for slot, spec in zip(wide, SPECS, strict=False)}
    loaded = LoadedProgram(ProgramSpec("borrower", program, SYSCALL, references=references), maps)
    executable = ReferenceEngine().compile(loaded, machine, default_helpers())
    for _ in range(2):  # nothing of a run is left for the next
        outcome = executable.run(SyscallContext(bytes(8)))
    return outcome.r0


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_a_record_that_is_submitted_is_given_back(level: Strictness) -> None:
    assert run(RESERVE + SUBMIT + OUT, level) == 7
    assert run(RESERVE + SUBMIT + TAIL_CALL + OUT, level) == 9


@pytest.mark.parametrize("level", [level for level in LEVELS.values() if level.unreleased], ids=str)
@pytest.mark.parametrize(("text", "doing"), [(RESERVE + OUT, "exit"), (RESERVE + TAIL_CALL + OUT, "tail call")])
def test_a_record_that_is_kept_is_a_fault(level: Strictness, text: str, doing: str) -> None:
    with pytest.raises(Fault, match=f"{doing} without giving back what bpf_ringbuf_reserve gave") as caught:
        run(text, level)
    assert (caught.value.kind, caught.value.program) == (FaultKind.HELPER, "borrower")


def test_the_lenient_level_does_not_mind() -> None:
    assert run(RESERVE + OUT, LEVELS["lenient"]) == 7
    assert run(RESERVE + TAIL_CALL + OUT, LEVELS["lenient"]) == 9
