"""The reference engine as a runtime: what it shows, and that whatever a case does is an outcome."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.conformance.case import Case
from pybpftime.conformance.runtime import OutcomeKind
from pybpftime.conformance.runtimes.in_process import BUDGET, ReferenceRuntime
from pybpftime.conformance.runtimes.profiles import open_runtime
from pybpftime.conformance.runtimes.verified import VerifiedRuntime
from pybpftime.errors import FaultKind
from pybpftime.isa import BY_NAME, Immediate, Instruction, encode_program
from pybpftime.isa.assembler import assemble_bytes
from pybpftime.maps import MapSpec
from pybpftime.uapi import MapType

MakeCase = Callable[..., Case]
EXIT = assemble_bytes("exit")
COUNTS = MapSpec("counts", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1)


def reference(case: Case):
    return open_runtime("reference").run(case)


def map_value(register: int, index: int, offset: int = 0) -> bytes:
    """`register = address in the value of the map with that index`."""
    kind = Immediate.MAP_VALUE_BY_INDEX.value
    return Instruction(BY_NAME["lddw"].opcode, register, kind, 0, index, offset).encode()


def packet_load(name: str, imm: int) -> bytes:
    return assemble_bytes("r6 = r1") + Instruction(BY_NAME[name].opcode, imm=imm).encode() + EXIT


def test_registers_memory_and_stack_are_shown(make_case: MakeCase) -> None:
    text = """
        r3 = r2
        r6 = -1
        *(u8 *)(r1 + 2) = 9
        *(u16 *)(r10 - 2) = 0x1234
        *(u8 *)(r10 - 512) = 7
        r0 = 5
        exit
    """
    signature = reference(make_case(text, memory=b"\x01\x02\x03")).signature
    assert signature.registers.keys() == set(range(11))
    assert [signature.registers[number] for number in (0, 2, 3, 6)] == [5, 3, 3, (1 << 64) - 1]
    assert signature.memory == b"\x01\x02\x09"
    assert signature.stack is not None and len(signature.stack) == 512
    assert signature.stack[-2:] == b"\x34\x12" and signature.stack[0] == 7


def test_registers_are_those_of_the_first_function(make_case: MakeCase) -> None:
    text = """
        r6 = 1
        call inner
        r7 = 2
        exit
        inner:
        r6 = 3
        r7 = 4
        *(u8 *)(r10 - 1) = 5
        r0 = 6
        exit
    """
    signature = reference(make_case(text)).signature
    assert [signature.registers[number] for number in (0, 6, 7)] == [6, 1, 2]
    assert signature.stack == bytes(512)


def test_without_memory_r1_and_r2_are_0(make_case: MakeCase) -> None:
    outcome = reference(make_case("r0 = r1\nr0 |= r2\nexit"))
    assert outcome.signature.r0 == 0 and outcome.signature.memory is None


def test_traps_have_a_class_and_a_place(make_case: MakeCase) -> None:
    outcome = reference(make_case("r0 = 1\nr0 = *(u32 *)(r1 + 1)\nexit", memory=bytes(4)))
    assert (outcome.kind, outcome.trap, outcome.pc) == (OutcomeKind.TRAPPED, FaultKind.MEMORY, 1)
    fell = reference(make_case("r0 = 1"))
    assert (fell.kind, fell.trap, fell.pc) == (OutcomeKind.TRAPPED, FaultKind.INSTRUCTION, 1)


def test_budget(make_case: MakeCase) -> None:
    five = "r0 = 1\n" * 4 + "exit"
    assert reference(make_case(five, budget=4)).kind is OutcomeKind.EXHAUSTED
    assert reference(make_case(five, budget=5)).kind is OutcomeKind.RETURNED
    outcome = reference(make_case("here: goto here"))
    assert outcome.kind is OutcomeKind.EXHAUSTED and str(BUDGET) in outcome.message


@pytest.mark.parametrize(
    "code", [b"", b"abc", b"\xff" + bytes(7) + EXIT, b"\x95" + bytes(6) + b"\x01", b"\x18" + bytes(7)]
)
def test_what_means_nothing_is_refused(make_case: MakeCase, code: bytes) -> None:
    outcome = reference(make_case(code))
    assert outcome.kind is OutcomeKind.REFUSED and outcome.message


def test_maps_by_index(make_case: MakeCase) -> None:
    code = map_value(1, 0, 4) + map_value(2, 1) + assemble_bytes("*(u32 *)(r1 + 0) = 7\nr0 = *(u32 *)(r1 + 0)\nexit")
    other = MapSpec("other", MapType.BPF_MAP_TYPE_ARRAY, 4, 4, 1)
    assert reference(make_case(code, maps=(COUNTS, other))).signature.r0 == 7
    outcome = reference(make_case(code, maps=(COUNTS,)))
    assert (outcome.kind, outcome.trap, outcome.pc) == (OutcomeKind.TRAPPED, FaultKind.TRAP, 2)


def test_a_map_that_cannot_be_is_no_verdict(make_case: MakeCase) -> None:
    broken = MapSpec("broken", MapType.BPF_MAP_TYPE_ARRAY, 3, 8, 1)
    outcome = reference(make_case(EXIT, maps=(broken,)))
    assert outcome.kind is OutcomeKind.UNSUPPORTED and "key_size" in outcome.message


def test_linux_helpers_and_unwind(make_case: MakeCase) -> None:
    key = Instruction(BY_NAME["lddw"].opcode, 1, Immediate.MAP_BY_INDEX.value, 0, 0, 0).encode()
    lookup = assemble_bytes("*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\ncall 1\nif r0 == 0 goto +1\nr0 = 1\nexit")
    assert reference(make_case(key + lookup, maps=(COUNTS,))).signature.r0 == 1
    assert reference(make_case("r1 = 9\ncall 5\nr0 += 1\nexit")).signature.r0 == 10
    assert reference(make_case("r1 = 0\ncall 5\nr0 = 3\nexit")).signature.r0 == 0


def test_legacy_packet_access_reads_the_memory(make_case: MakeCase) -> None:
    assert reference(make_case(packet_load("ldabsh", 1), memory=b"\x01\x02\x03")).signature.r0 == 0x0203
    outcome = reference(make_case(packet_load("ldabsh", 2), memory=b"\x01\x02\x03"))
    assert outcome.kind is OutcomeKind.RETURNED and outcome.signature.registers == {0: 0}
    assert reference(make_case(packet_load("ldabsb", -1), memory=b"\x01\x02\x03")).signature.registers == {0: 0}


def test_an_error_of_ours_is_a_crash(make_case: MakeCase) -> None:
    class Broken:
        def compile(self, *arguments: object) -> object:
            raise ZeroDivisionError("oh")

    outcome = ReferenceRuntime(Broken()).run(make_case("exit"))
    assert (outcome.kind, outcome.message) == (OutcomeKind.CRASHED, "ZeroDivisionError: oh")


SLOTS = st.binary(min_size=8, max_size=8) | st.sampled_from([encode_program([Instruction(0x95)]), EXIT])


@given(st.lists(SLOTS, max_size=6).map(b"".join) | st.binary(max_size=40), st.none() | st.binary(max_size=8))
def test_any_bytes_are_an_outcome(code: bytes, memory: bytes | None) -> None:
    outcome = reference(Case("any", code, (), memory, budget=100))
    assert outcome.kind in {
        OutcomeKind.RETURNED, OutcomeKind.TRAPPED, OutcomeKind.EXHAUSTED, OutcomeKind.REFUSED, OutcomeKind.UNSUPPORTED
    }  # fmt: skip


def test_verified_refuses_what_it_does_not_prove(make_case: MakeCase) -> None:
    runtime = VerifiedRuntime(timeout=60)
    good = "r0 = *(u16 *)(r1 + 1)\n*(u8 *)(r1 + 0) = 8\nr0 += r2\nexit"
    returned = runtime.run(make_case(good, memory=b"\x01\x02\x03"))
    assert returned.signature.registers == {0: 0x302 + 3} and returned.signature.memory == b"\x08\x02\x03"
    outside = runtime.run(make_case("r0 = 1\nr0 = *(u16 *)(r1 + 2)\nexit", memory=b"\x01\x02\x03"))
    assert (outside.kind, outside.pc) == (OutcomeKind.REFUSED, 1)
    unset = runtime.run(make_case("r0 = r3\nexit"))
    assert (unset.kind, unset.message) == (OutcomeKind.REFUSED, "r3 was never set [uninitialised-register]")
    assert runtime.run(make_case("here: goto here")).kind is OutcomeKind.REFUSED
    for code in (b"", b"abc", b"\xff" + bytes(7) + EXIT):
        assert runtime.run(make_case(code)).kind is OutcomeKind.REFUSED
    for index in (0, 1):  # memory and result are maps, and none of the case's
        outcome = runtime.run(make_case(map_value(1, index) + assemble_bytes("r0 = 0\nexit"), memory=b"\1"))
        assert outcome.kind is OutcomeKind.REFUSED and f"by the number {index}" in outcome.message
