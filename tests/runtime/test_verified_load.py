"""Objects loaded with `verify=`: refused, or run with proofs that their engine accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pybpftime
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import InputError, VerificationError
from pybpftime.isa.assembler import assemble
from pybpftime.maps.spec import MapSpec
from pybpftime.program.proof import Proof
from pybpftime.program.spec import MapReference, ObjectSpec, ProgramSpec
from pybpftime.runtime.objects import Object
from pybpftime.runtime.verification import require_proved
from pybpftime.uapi import MapFlag, MapType, ProgramType
from pybpftime.verifier import verify

PROGRAMS = Path(__file__).resolve().parent.parent / "programs"
UNSAFE = assemble("r0 = *(u64 *)(r10 - 1000)\n exit")


class Recorder(ReferenceEngine):
    """The reference engine, which remembers the proofs that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.proofs: list[Proof | None] = []

    def compile(self, program: Any, machine: Any, helpers: Any, proof: Proof | None = None) -> Any:
        self.proofs.append(proof)
        return super().compile(program, machine, helpers, proof)


def compiled(loaded: pybpftime.Object) -> list[Proof | None]:
    """What the engine gets when the programs of an object are compiled."""
    loaded.engine = recorder = Recorder()
    for program in loaded:
        program.prepare()
    return recorder.proofs


@pytest.mark.parametrize("name", ["xdp_parser.bpf.o", "ringbuf.bpf.o", "perf_output.bpf.o", "globals.bpf.o"])
def test_an_object_that_is_safe_runs_with_a_proof_of_each_program(name: str) -> None:
    loaded = pybpftime.load(PROGRAMS / name, verify=True)
    proofs = compiled(loaded)
    assert [proof and proof.program for proof in proofs] == [program.name for program in loaded]
    assert None not in proofs


def test_without_verification_there_are_no_proofs() -> None:
    assert set(compiled(pybpftime.load(PROGRAMS / "ringbuf.bpf.o"))) == {None}


def test_a_program_that_is_not_safe_is_refused() -> None:
    with pytest.raises(VerificationError, match="fp-1000") as caught:
        pybpftime.load(UNSAFE, type="xdp", verify=True)
    assert caught.value.instruction == 0


@pytest.mark.parametrize("options", [{}, {"type": "xdp", "level": "lenient"}])
def test_what_linux_has_no_rules_for_is_not_judged(options: dict[str, str]) -> None:
    assert compiled(pybpftime.load(UNSAFE, verify=True, **options)) == [None]  # type: ignore[arg-type]


def test_at_the_strict_level_a_program_is_judged_and_keeps_all_checks() -> None:
    assert set(compiled(pybpftime.load(PROGRAMS / "ringbuf.bpf.o", level="strict", verify=True))) == {None}
    with pytest.raises(VerificationError):
        pybpftime.load(UNSAFE, type="xdp", level="strict", verify=True)


def test_a_proof_holds_for_the_constants_that_were_set_before_loading() -> None:
    one = pybpftime.load(PROGRAMS / "globals.bpf.o", verify=True)["describe"]
    other = pybpftime.load(PROGRAMS / "globals.bpf.o", variables={"maximum_length": 64}, verify=True)["describe"]
    assert one.proof is not None
    assert other.proof is not None
    assert one.proof.binding.difference(other.proof.binding) == "read-only data"
    assert other.rely_on(one.proof) == "the read-only data differ from what was proved"


def test_constants_that_cannot_be_read_are_not_relied_on() -> None:
    flags = MapFlag.BPF_F_RDONLY_PROG | MapFlag.BPF_F_WRONLY
    constants = MapSpec("constants", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1, flags=flags, contents=b"\1")
    code = assemble("r1 = 0 ll\n r0 = *(u64 *)(r1 + 0)\n if r0 != 1 goto +1\n r0 = 0\n exit")
    program = ProgramSpec("p", code, ProgramType.BPF_PROG_TYPE_XDP, references={0: MapReference("constants", 0)})
    loaded = Object(ObjectSpec(None, {"p": program}, {"constants": constants}))
    require_proved(loaded, ["p"])
    assert loaded.program.proof is not None
    known = verify(program, {"constants": constants}).proof
    assert known is not None
    assert loaded.program.rely_on(known) == "the read-only data differ from what was proved"


def test_a_proof_of_another_program_is_not_relied_on_and_its_engine_refuses_it() -> None:
    one = pybpftime.load(PROGRAMS / "atomics.bpf.o", verify=True)["fetch"]
    other = pybpftime.load(PROGRAMS / "xdp_parser.bpf.o")["parse"]
    assert one.proof is not None
    assert other.rely_on(one.proof) == "the instructions differ from what was proved"
    assert other.proof is None
    other.proof = one.proof
    with pytest.raises(InputError, match="does not cover it: the instructions differ"):
        other.prepare()
