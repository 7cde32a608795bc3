"""The running kernel as a runtime: results of 64 bits, memory, refusals with their reason, calls and maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftime.conformance.case import Case, Expectation, Feature, Signature, Verdict
from pybpftime.conformance.judge import Status, judge
from pybpftime.conformance.runtime import OutcomeKind
from pybpftime.conformance.runtimes.kernel import MAPS_KEPT, KernelRuntime, complaint
from pybpftime.conformance.runtimes.profiles import open_runtime
from pybpftime.conformance.runtimes.wrapping import in_slots_of_case, outline
from pybpftime.errors import HostError
from pybpftime.isa import BY_NAME, Immediate, Instruction
from pybpftime.isa.assembler import assemble_bytes
from pybpftime.maps import MapSpec
from pybpftime.uapi import MapType

MakeCase = Callable[..., Case]
EXIT = assemble_bytes("exit")


@pytest.fixture(scope="module")
def kernel(bpf: None) -> Iterator[KernelRuntime]:
    runtime = KernelRuntime()
    yield runtime
    runtime.close()
    runtime.close()


def chain(frames: int) -> str:
    """A program in which function after function calls the next one, `frames` of them at once."""
    calls = "".join(f"f{number}: call f{number + 1}\nexit\n" for number in range(1, frames - 1))
    return f"call f1\nexit\n{calls}f{frames - 1}: r0 = {frames}\nexit"


def lddw(register: int, kind: Immediate, imm: int, next_imm: int = 0) -> bytes:
    return Instruction(BY_NAME["lddw"].opcode, register, kind.value, 0, imm, next_imm).encode()


def test_all_64_bits_of_r0_are_seen(kernel: KernelRuntime, make_case: MakeCase) -> None:
    outcome = kernel.run(make_case("r0 = 0x123456789abcdef0 ll\nexit"))
    assert outcome.signature.registers == {0: 0x123456789ABCDEF0}
    assert outcome.signature.memory is None


@pytest.mark.parametrize("length", [1, 2, 3, 8, 13, 4096, 5000])
def test_memory_is_behind_r1_and_read_back(kernel: KernelRuntime, make_case: MakeCase, length: int) -> None:
    memory = bytes(index % 251 for index in range(length))
    last = f"r0 = *(u8 *)(r1 + {length - 1})\nr0 <<= 32\nr0 |= r2\n*(u8 *)(r1 + {length - 1}) = 255\nexit"
    outcome = kernel.run(make_case(last, memory=memory))
    assert outcome.signature.r0 == memory[-1] << 32 | length
    assert outcome.signature.memory == memory[:-1] + b"\xff"
    beyond = kernel.run(make_case(f"r0 = *(u8 *)(r1 + {length})\nexit", memory=memory))
    assert beyond.kind is OutcomeKind.REFUSED


def test_unaligned_loads_and_variable_offsets(kernel: KernelRuntime, make_case: MakeCase) -> None:
    assert kernel.run(make_case("r0 = *(u32 *)(r1 + 1)\nexit", memory=bytes(range(5)))).signature.r0 == 0x04030201
    variable = "r3 = *(u8 *)(r1 + 0)\nr3 &= 3\nr1 += r3\nr0 = *(u8 *)(r1 + 0)\nexit"
    assert kernel.run(make_case(variable, memory=b"\x02\x11\x22\x33")).signature.r0 == 0x22


def test_more_lengths_than_maps_are_kept(kernel: KernelRuntime, make_case: MakeCase) -> None:
    for length in (*range(1, MAPS_KEPT + 3), 1):
        outcome = kernel.run(make_case("r0 = *(u8 *)(r1 + 0)\nexit", memory=b"\x07" * length))
        assert outcome.signature.r0 == 7 and outcome.signature.memory == b"\x07" * length


@pytest.mark.parametrize("frames", range(2, 9))
def test_calls_are_as_deep_as_ever(kernel: KernelRuntime, make_case: MakeCase, frames: int) -> None:
    assert kernel.run(make_case(chain(frames))).signature.r0 == frames


def test_a_ninth_frame_is_refused(kernel: KernelRuntime, make_case: MakeCase) -> None:
    assert kernel.run(make_case(chain(9))).message == "the call stack of 9 frames is too deep"


def test_the_whole_stack_is_there(kernel: KernelRuntime, make_case: MakeCase) -> None:
    whole = "*(u64 *)(r10 - 512) = 7\nr0 = *(u64 *)(r10 - 512)\nexit"
    assert kernel.run(make_case(whole)).signature.r0 == 7
    assert kernel.run(make_case(whole.replace("512", "520"))).kind is OutcomeKind.REFUSED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("r0 = r3\nexit", "R3 !read_ok"),
        ("r0 = 1", "last insn is not an exit or jmp"),
        ("exit", "R0 !read_ok"),
        ("r0 = 0\nexit\nr0 = 1\nexit", "unreachable insn 2"),
        ("r0 = 0\nhere: goto here", "infinite loop detected at insn 1"),
        ("r0 = 0\ngoto +5\nexit", "jump out of range from insn 1 to 7"),
        ("w0 = 1\nw0 <<= 33\nexit", "invalid shift 33"),
        (b"\xff" + bytes(7) + EXIT, "unknown opcode ff"),
        (assemble_bytes("r0 = 0") + EXIT[:7] + b"\x01", "BPF_EXIT uses reserved fields"),
        (b"", "bpf(2) takes whole instructions, not 0 bytes"),
        (EXIT[:7], "bpf(2) takes whole instructions, not 7 bytes"),
    ],
)
def test_refusals_say_why_in_the_slots_of_the_case(
    kernel: KernelRuntime, make_case: MakeCase, text: str | bytes, message: str
) -> None:
    outcome = kernel.run(make_case(text))
    assert (outcome.kind, outcome.message) == (OutcomeKind.REFUSED, message)


def test_the_whole_log_is_kept(kernel: KernelRuntime, make_case: MakeCase) -> None:
    kernel.run(make_case("r0 = r3\nexit"))
    assert "R3 !read_ok" in kernel.log and "processed" in kernel.log


@pytest.mark.parametrize("distance", [-3, -5, -9, -11, -12, -13, -32768])
@pytest.mark.parametrize("jump", ["goto", "if r0 == 0 goto", "gotol", "call"])
def test_what_leads_in_front_of_the_program_still_does(
    kernel: KernelRuntime, make_case: MakeCase, jump: str, distance: int
) -> None:
    """It may not end up in the instructions that were put in front."""
    name = {"goto": "ja", "if r0 == 0 goto": "jeq_imm", "gotol": "ja32", "call": "call_local"}[jump]
    row = BY_NAME[name]
    field = "offset" if name in ("ja", "jeq_imm") else "imm"
    leads = Instruction(row.opcode, **{**{key: value for key, value in row.fixed.items() if value}, field: distance})
    outcome = kernel.run(make_case(assemble_bytes("r0 = 0") + leads.encode() + EXIT))
    assert outcome.kind is OutcomeKind.REFUSED
    assert "out of range" in outcome.message or "invalid" in outcome.message, outcome.message


def test_exits_far_from_the_front(kernel: KernelRuntime, make_case: MakeCase) -> None:
    far = assemble_bytes("r0 = 0\n") + assemble_bytes("r0 += 1\n") * 33_000 + EXIT
    assert kernel.run(make_case(far)).signature.r0 == 33_000


def test_maps_by_index(kernel: KernelRuntime, make_case: MakeCase) -> None:
    counts = MapSpec("counts", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1)
    code = lddw(1, Immediate.MAP_VALUE_BY_INDEX, 0, 4) + assemble_bytes(
        "*(u32 *)(r1 + 0) = 7\n*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4"
    )
    code += lddw(1, Immediate.MAP_BY_INDEX, 0) + assemble_bytes(
        "call 1\nif r0 == 0 goto +1\nr0 = *(u64 *)(r0 + 0)\nexit"
    )
    for _ in range(2):  # maps are new for each case
        assert kernel.run(make_case(code, maps=(counts,))).signature.r0 == 7 << 32
    assert kernel.run(make_case(code)).kind is OutcomeKind.REFUSED
    broken = MapSpec("broken", MapType.BPF_MAP_TYPE_ARRAY, 3, 8, 1)
    assert kernel.run(make_case(EXIT, maps=(broken,))).kind is OutcomeKind.UNSUPPORTED


def test_descriptors_of_this_process_are_out_of_reach(kernel: KernelRuntime, make_case: MakeCase) -> None:
    own = kernel._result.map.fileno()
    for kind in (Immediate.MAP_BY_FD, Immediate.MAP_VALUE_BY_FD):
        outcome = kernel.run(make_case(lddw(1, kind, own) + assemble_bytes("r0 = 0\nexit")))
        assert outcome.message == "fd -1 is not pointing to valid bpf_map"


def test_legacy_packet_access_reads_the_memory(kernel: KernelRuntime, make_case: MakeCase) -> None:
    def load(name: str, imm: int) -> bytes:
        return assemble_bytes("r6 = r1") + Instruction(BY_NAME[name].opcode, imm=imm).encode() + EXIT

    assert kernel.run(make_case(load("ldabsh", 1), memory=b"\x01\x02\x03")).signature.r0 == 0x0203
    assert kernel.run(make_case(load("ldabsh", 2), memory=b"\x01\x02\x03")).signature.r0 == 0


def test_known_refusals_are_skips_with_a_reason(kernel: KernelRuntime, make_case: MakeCase) -> None:
    """Only where the case expects a result: one that must be refused passes."""
    expected = (Expectation(Verdict.RETURN, Signature({0: 2})),)
    shift = make_case("w0 = 1\nw0 <<= 33\nexit", expected=expected)
    result = judge(shift, kernel.profile, kernel.run(shift))
    assert result.status is Status.SKIPPED and "RFC 9669 masks" in result.why
    invalid = make_case("w0 = 1\nw0 <<= 33\nexit", expected=(Expectation(Verdict.INVALID),))
    assert judge(invalid, kernel.profile, kernel.run(invalid)).status is Status.PASSED
    unset = make_case("r0 = r3\nexit", expected=expected)
    assert judge(unset, kernel.profile, kernel.run(unset)).status is Status.FAILED


def test_an_exit_that_linux_alone_takes_for_one(kernel: KernelRuntime, make_case: MakeCase) -> None:
    """Linux does not look at its offset: what it returns is seen as far as Linux tells, 32 bits."""
    with_offset = EXIT[:2] + b"\1\0" + EXIT[4:]
    outcome = kernel.run(make_case(assemble_bytes("r0 = 7") + with_offset))
    assert outcome.kind is OutcomeKind.REFUSED or outcome.signature.r0 == 7


def test_profile(kernel: KernelRuntime) -> None:
    assert kernel.profile.version.startswith("Linux ") and kernel.profile.has_verifier
    assert Feature.UNWIND not in kernel.profile.features
    assert all(limit.reason for limit in kernel.profile.limits)


@settings(max_examples=200)
@given(st.lists(st.binary(min_size=8, max_size=8), max_size=5).map(b"".join), st.binary(max_size=4))
def test_any_bytes_are_an_outcome(kernel: KernelRuntime, code: bytes, memory: bytes) -> None:
    outcome = kernel.run(Case("any", code + assemble_bytes("r0 = 0\nexit"), (), memory or None))
    assert outcome.kind in {OutcomeKind.RETURNED, OutcomeKind.REFUSED, OutcomeKind.UNSUPPORTED}


def test_a_kernel_that_cannot_be_asked_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pybpftime.conformance.runtimes.kernel.available", lambda: "bpf(2) is not permitted here")
    with pytest.raises(HostError, match=r"^bpf\(2\) is not permitted here$"):
        open_runtime("kernel")


def test_the_last_line_that_says_something() -> None:
    log = "8: (05) goto pc-1\ninfinite loop detected at insn 8\ncur state: R1=0\nold state: R1=0\nprocessed 9 insns\n"
    assert complaint(log) == "infinite loop detected at insn 8"
    assert in_slots_of_case("jump out of range from insn 12 to 20", 10) == "jump out of range from insn 2 to 10"


def test_what_is_read_of_a_program() -> None:
    """Exits are those of the entry function: it ends where the first function begins that is called."""
    text = "call f\nr1 = f_address ll\nexit\nf: r0 = 0\nexit".replace("r1 = f_address ll\n", "")
    assert outline(assemble_bytes(text)).exits == [1]
    assert outline(assemble_bytes("if r1 == 0 goto +1\nexit\nexit")).exits == [1, 2]
    second_slot = lddw(0, Immediate.VALUE, 0)[:8] + EXIT
    assert outline(second_slot + EXIT).exits == [2]
    assert outline(EXIT[:7] + b"\x01" + EXIT).exits == [1]
