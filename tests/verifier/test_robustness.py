"""Whatever a program is, the answer is a report: generated programs, hostile descriptions of what is around them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.verification import HELPERS, LOOK_UP, LOOK_UP_HASH, MAPS, code_of, program

from pybpftime.errors import InputError
from pybpftime.isa import TABLE, Instruction, decode_program, encode_program
from pybpftime.maps.spec import KernelPointer, MapSpec
from pybpftime.program.spec import Extern, MapReference, ProgramSpec, Trap
from pybpftime.uapi import AttachType, MapType, ProgramType
from pybpftime.verifier import Report, Verdict, verify

OPCODES = sorted({row.opcode for row in TABLE if row.opcode != 0x18})
OFFSETS = st.sampled_from([0, 1, -1, 2, -2, 4, -4, 8, -8, 16, -16, -512, -513, 0x7FFF, -0x8000])
NUMBERS = st.one_of(
    st.sampled_from([0, 1, 2, 8, 16, 64, -1, -8, 2**31 - 1, -(2**31)]), st.sampled_from(sorted(HELPERS.values()))
)
INSTRUCTIONS = st.builds(
    Instruction, st.sampled_from(OPCODES), st.integers(0, 10), st.integers(0, 10), OFFSETS, NUMBERS, st.none()
)
BEGINNINGS = ["", LOOK_UP, LOOK_UP_HASH, "r6 = r1\n r2 = *(u32 *)(r1 + 0)\n r3 = *(u32 *)(r1 + 4)\n"]
SIZES = st.sampled_from([0, 1, 4, 8, 48, 2**31, 2**32 - 1])
SPECS = st.builds(
    MapSpec, st.just("array"), st.sampled_from(list(MapType)), SIZES, SIZES, SIZES,
    st.sampled_from([0, 128, 256, 1024]),
    spin_lock_offset=st.sampled_from([None, 0, 4, 1 << 40]), timer_offset=st.sampled_from([None, 0, 8]),
    kernel_pointers=st.sampled_from([(), (KernelPointer(8, "task_struct"),)]),
)  # fmt: skip
TYPES = st.sampled_from(list(ProgramType))
ATTACH_TYPES = st.one_of(st.none(), st.sampled_from(list(AttachType)))


def judged(spec: ProgramSpec, maps: dict[str, MapSpec]) -> Report:
    report = verify(spec, maps, budget=2000, timeout=10)
    assert (report.objection is None) is (report.verdict == "safe")
    return report


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(BEGINNINGS), st.lists(INSTRUCTIONS, min_size=1, max_size=12), TYPES, ATTACH_TYPES)
def test_any_instructions_are_judged(
    beginning: str, instructions: list[Instruction], type: ProgramType, attach_type: AttachType | None
) -> None:
    begun = program(beginning + "r0 = 0\n exit")
    code = encode_program((*begun.instructions[:-1], *instructions, begun.instructions[-1]))
    try:
        decoded = decode_program(code)
    except InputError:
        return
    report = judged(replace(begun, instructions=decoded, type=type, attach_type=attach_type), dict(MAPS))
    assert report.verdict in Verdict


@settings(max_examples=150, deadline=None)
@given(SPECS, st.sampled_from(["map", "value"]), st.sampled_from(sorted(HELPERS)), TYPES)
def test_any_maps_are_judged(spec: MapSpec, reference: str, helper: str, type: ProgramType) -> None:
    text = f"*(u64 *)(r10 - 8) = 0\n r2 = r10\n r2 += -8\n r3 = r2\n r4 = 0\n r5 = 0\n r1 = {reference}[array]\n"
    text += f"call {helper}\n if r0 == 0 goto out\n r0 = *(u64 *)(r0 + 8)\n out: r0 = 0\n exit"
    assert judged(replace(program(text), type=type), {"array": spec}).verdict in Verdict


def test_what_a_program_refers_to_may_be_missing() -> None:
    bare = program("r1 = map[hash]\n r2 = r1\n call bpf_map_lookup_elem\n r0 = 0\n exit")
    assert code_of(judged(bare, {})) == "unlinked"
    assert code_of(judged(replace(bare, references={}), dict(MAPS))) == "unlinked"
    assert code_of(judged(replace(bare, references={0: Trap("there is no such thing")}), {})) == "unlinked"
    nowhere = {**bare.references, 99: MapReference("hash"), -1: MapReference("hash"), 4: MapReference("hash")}
    assert code_of(judged(replace(bare, references=nowhere), dict(MAPS))) == "helper-argument"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("r0 = 0\n gotox r0", "unsupported"),
        ("callx r1\n exit", "unsupported"),
    ],
)
def test_what_is_not_modelled_is_said(text: str, code: str) -> None:
    assert code_of(judged(program(text), {})) == code


def test_functions_of_the_kernel_are_not_modelled() -> None:
    spec = program("call bpf_ktime_get_ns\n exit")
    for one in (Extern("bpf_rcu_read_lock", "kfunc"), Extern("nothing", "ksym", weak=True)):
        assert code_of(judged(replace(spec, references={0: one}), {})) in ("unknown-helper", "unsupported")


def test_no_program_at_all() -> None:
    assert code_of(judged(ProgramSpec("empty", ()), {})) == "malformed"
