"""A rejection comes with an input, and the input does what was predicted: the interpreter was asked."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from pybpftime.isa.assembler import assemble
from pybpftime.maps.spec import MapSpec
from pybpftime.program.spec import MapReference, ProgramSpec
from pybpftime.runtime.replay import replayer
from pybpftime.uapi import MapType, ProgramType
from pybpftime.verifier import Report, Verdict, verify

pytest.importorskip("z3", reason="needs z3")

XDP, TC = ProgramType.BPF_PROG_TYPE_XDP, ProgramType.BPF_PROG_TYPE_SCHED_CLS
KPROBE, TRACEPOINT = ProgramType.BPF_PROG_TYPE_KPROBE, ProgramType.BPF_PROG_TYPE_TRACEPOINT
COUNTS = MapSpec("counts", MapType.BPF_MAP_TYPE_HASH, 4, 16, 8)
TABLE = MapSpec("table", MapType.BPF_MAP_TYPE_ARRAY, 4, 64, 4)

LOOKUP = """
    *(u32 *)(r10 - 4) = {key}
    r2 = r10
    r2 += -4
    r1 = 0 ll
    call 1
"""
OUT = """
out:
    r0 = 0
    exit
"""


@dataclass(frozen=True)
class Case:
    name: str
    type: ProgramType
    code: str
    reason: str
    maps: tuple[MapSpec, ...] = field(default=())


CASES = (
    Case(
        "one byte behind the check",
        XDP,
        """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 20
        if r4 > r3 goto out
        r0 = *(u8 *)(r2 + 20)
        """
        + OUT,
        "packet-bounds",
    ),
    Case(
        "an index read from the packet",
        XDP,
        """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 15
        if r4 > r3 goto out
        r5 = *(u8 *)(r2 + 14)
        r5 &= 31
        r2 += r5
        r0 = *(u8 *)(r2 + 15)
        """
        + OUT,
        "packet-bounds",
    ),
    Case(
        "a look-up that was not checked",
        XDP,
        LOOKUP.format(key=7) + "r0 = *(u64 *)(r0 + 0)" + OUT,
        "null",
        (COUNTS,),
    ),
    Case(
        "an index from the map itself",
        XDP,
        LOOKUP.format(key=2)
        + """
        if r0 == 0 goto out
        r1 = *(u32 *)(r0 + 0)
        if r1 > 61 goto out
        r0 += r1
        r0 = *(u32 *)(r0 + 0)
        """
        + OUT,
        "map-value-bounds",
        (TABLE,),
    ),
    Case(
        "a signed check of an unsigned index",
        TC,
        """
        r6 = *(u32 *)(r1 + 8)
        """
        + LOOKUP.format(key=2)
        + """
        if r0 == 0 goto out
        if w6 s> 60 goto out
        r6 <<= 32
        r6 s>>= 32
        r0 += r6
        r0 = *(u8 *)(r0 + 0)
        """
        + OUT,
        "pointer-range",
        (TABLE,),
    ),
    Case(
        "a register that one branch does not set",
        TC,
        """
        r2 = *(u32 *)(r1 + 8)
        if r2 == 0x1234 goto skip
        r3 = 1
        skip:
        r0 = r3
        exit
        """,
        "uninitialised-register",
    ),
    Case("a misaligned stack access", TC, "r1 = 1\n*(u64 *)(r10 - 12) = r1" + OUT, "alignment"),
    Case(
        "beyond the stack by a number from the context",
        TC,
        """
        r2 = *(u32 *)(r1 + 8)
        r2 &= 0x78
        r3 = r10
        r3 += -64
        r3 += r2
        *(u64 *)(r3 + 0) = 1
        """
        + OUT,
        "stack-bounds",
    ),
    Case(
        "a size that a helper returned",
        KPROBE,
        """
        call 5
        r2 = r0
        r2 &= 31
        r1 = r10
        r1 += -16
        r3 = 0
        call 113
        """
        + OUT,
        "helper-memory",
    ),
    Case(
        "a size that was read into the stack by a helper",
        KPROBE,
        """
        r1 = r10
        r1 += -8
        r2 = 8
        r3 = 4096
        call 112
        r3 = *(u32 *)(r10 - 8)
        r3 &= 31
        r4 = r10
        r4 += -16
        r4 += r3
        r0 = *(u8 *)(r4 + 0)
        exit
        """,
        "stack-bounds",
    ),
    Case("a loop that makes no progress", TC, "again:\nr0 = 0\nif r0 == 0 goto again\nexit", "infinite-loop"),
    Case(
        "a number as an address",
        TRACEPOINT,
        "r2 = *(u64 *)(r1 + 8)\nr0 = *(u64 *)(r2 + 0)\nexit",
        "not-a-pointer",
    ),
)


def judged(case: Case) -> Report:
    code = assemble(case.code)
    wide = [slot for slot, instruction in enumerate(code) if instruction is not None and instruction.slots == 2]
    references = {slot: MapReference(map.name) for slot, map in zip(wide, case.maps, strict=True)}
    program = ProgramSpec(case.name, code, type=case.type, references=references)
    maps = {map.name: map for map in case.maps}
    return verify(program, maps, replay=replayer(program, maps))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_wrong_is_shown_by_an_input_that_was_run(case: Case) -> None:
    report = judged(case)
    assert report.objection is not None
    assert (report.verdict, report.objection.code) == (Verdict.UNSAFE, case.reason), report.replayed
    assert report.witness is not None
    assert report.replayed is not None
    assert report.replayed.faulted


def test_a_witness_holds_what_it_takes_and_no_more() -> None:
    report = judged(CASES[0])
    assert report.witness is not None
    assert report.witness.packet is not None
    assert len(report.witness.packet) == 20, "long enough for the check, too short for the load"
    assert not report.witness.maps
    assert not report.witness.results


def test_without_a_replay_nothing_is_called_unsafe() -> None:
    case = CASES[0]
    report = verify(ProgramSpec(case.name, assemble(case.code), type=case.type), {})
    assert report.verdict is Verdict.NOT_PROVED
    assert report.witness is None
