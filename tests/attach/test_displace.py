"""Copies of instructions, judged by the processor: whatever the original does, its copy does, and so does a thread that
leaves the copy half-way."""

from __future__ import annotations

import signal
import struct
import sys
from collections.abc import Iterator, Mapping

import pytest
from attach.processor import (
    BELOW,
    CODE,
    FAR,
    FLAGS,
    LOW_CODE,
    LOW_DATA,
    LOW_FAR,
    LOW_NEAR,
    NEAR,
    OPERAND,
    REGISTERS,
    TARGET,
    Processor,
    check,
    started_processor,
)
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.attach.displace import LARGEST, LONGEST_INSTRUCTION, Resumed, displace, first_instruction
from pybpftime.errors import HostError, InputError

pytest.importorskip("capstone", reason="needs capstone")

NOPS = b"\x90" * LONGEST_INSTRUCTION

# Intel's notation -> bytes.  RR stands for the distance to OPERAND.
AS_IT_IS = {
    "endbr64": "f30f1efa",
    "push rbp": "55",
    "push r15": "4157",
    "push 0x12345678": "6878563412",
    "push word 0x1234": "66683412",
    "push qword [rbx]": "ff33",
    "push rsp": "54",
    "pop rax": "58",
    "pop rsp": "5c",
    "mov rbp, rsp": "4889e5",
    "sub rsp, 0x28": "4883ec28",
    "sub rsp, 0x888": "4881ec88080000",
    "xor eax, eax": "31c0",
    "or eax, imm32": "0dfe3f0000",  # no ModRM byte, though the opcode looks like one
    "nop": "90",
    "nop word cs:[rax+rax]": "662e0f1f840000000000",
    "mov rax, fs:[0x28]": "64488b042528000000",
    "mov rax, cs:[rbx]": "2e488b03",
    "mov eax, ds": "8cd8",
    "mov es, r14d": "418ec6",
    "movabs rax, 0x1122334455667788": "48b88877665544332211",
    "lea rax, [rsp+8]": "488d442408",
    "test rdi, rdi": "4885ff",
    "adc rdx, r9": "4c11ca",
    "cmc": "f5",
    "pushfq": "9c",
    "popfq": "9d",
    "leave": "c9",
    "enter 0x10, 0": "c8100000",
    "cdqe": "4898",
    "ret": "c3",
    "rep ret": "f3c3",
    "ret 0x10": "c21000",
    "jmp rax": "ffe0",
    "notrack jmp r11": "3e41ffe3",
    "jmp [rbx+8]": "ff6308",
    "jmp fs:[0x10]": "64ff242510000000",
    "lock add dword [rbx], 1": "f0830301",
    "addps xmm0, xmm1": "0f58c1",
    "fld1": "d9e8",
    "mov [rbp-0x70], rdx": "48895590",  # into the red zone
    "cmpxchg16b [rbx+0x10]": "480fc74b10",
}
OPERANDS = {
    "mov rax, [rip]": "488b05 RR",
    "mov [rip], edx": "8915 RR",
    "lea r9, [rip]": "4c8d0d RR",
    "mov byte [rip], imm8": "c605 RR 7f",
    "mov word [rip], imm16": "66c705 RR 3412",
    "mov dword [rip], imm32": "c705 RR 78563412",
    "mov qword [rip], imm32": "48c705 RR 785634f2",
    "cmp qword [rip], imm8": "48833d RR 00",
    "imul eax, [rip], imm32": "6905 RR 07000000",
    "lock inc dword [rip]": "f0ff05 RR",
    "lock cmpxchg [rip], r9": "f04c0fb10d RR",
    "push qword [rip]": "ff35 RR",
    "pop qword [rip]": "8f05 RR",
    "jmp [rip]": "ff25 RR",
    "bnd jmp [rip]": "f2ff25 RR",
    "call [rip]": "ff15 RR",
    "notrack call [rip]": "3eff15 RR",
    "data16 rex.w call [rip]": "6648ff15 RR",  # general dynamic thread-local storage
    "movss xmm3, [rip]": "f30f101d RR",
    "movdqa xmm9, [rip]": "66440f6f0d RR",
    "palignr xmm0, [rip], 8": "660f3a0f05 RR 08",
    "fild qword [rip]": "df2d RR",
    "nop dword [rip]": "0f1f05 RR",
}
VECTOR_OPERANDS = {
    "avx": {"vmovsd xmm0, [rip]": "c5fb1005 RR", "vpblendd ymm0, ymm1, [rip], 5": "c4e37502 05 RR 05"},
    "bmi2": {"shlx rax, [rip], rax": "c4e2f9f705 RR"},
    "avx512f": {"vmovups zmm0, [rip]": "62f17c481005 RR", "vpternlogd zmm1, zmm2, [rip], 5": "62f36d48250d RR 05"},
}
CALLS = {
    "call rel32": "e8 fb070000",
    "call to itself": "e8 fbffffff",
    "data16 rex.w call rel32": "666648e8 f8070000",  # general dynamic thread-local storage
    "call rax": "ffd0",
    "call r11": "41ffd3",
    "call r12": "41ffd4",
    "call [rbx]": "ff13",
    "call [rbx+8]": "ff5308",
    "call [r12]": "41ff1424",
    "call [r12+r10]": "43ff1414",
    "call [r13]": "41ff5500",
    "call fs:[0x10]": "64ff142510000000",
    "call [rsp]": "ff1424",
    "call [rsp+8]": "ff542408",
    "call [rsp+0x70]": "ff542470",  # its distance fits into one byte, that of the copy does not
    "call [rsp+0x40]": "ff942440000000",
    "call [rsp-0x40]": "ff5424c0",
    "call [rsp+r8*8]": "42ff14c4",
    "call [rbp]": "ff5500",
}
JUMPS = {
    "jmp rel8": "eb10",
    "jmp to itself": "ebfe",
    "jmp rel8 backwards": "eb80",
    "jmp rel32": "e9 f6070000",
    "bnd jmp rel32": "f2e9 f6070000",
    "rex jmp rel32": "40e9 f6070000",
    "data16 rex.w jmp rel32": "6648e9 f6070000",
}
BRANCHES = {
    **{f"j{cc:x} rel8": f"{0x70 | cc:02x}10" for cc in range(16)},
    **{f"j{cc:x} rel32": f"0f{0x80 | cc:02x} f6070000" for cc in range(16)},
    "je rel8, hint": "3e7410",
    "bnd jne rel32": "f20f85 f6070000",
    "je to itself": "74fe",
    "loop": "e210",
    "loop to itself": "e2fe",
    "loopne": "e010",
    "loope": "e110",
    "loop ecx": "67e210",
    "jrcxz": "e310",
    "jecxz": "67e310",
}


@pytest.fixture(scope="module")
def processor() -> Iterator[Processor]:
    with started_processor() as started:
        yield started


def machine_code(text: str, original: int = CODE, operand: int = OPERAND) -> bytes:
    length = len(bytes.fromhex(text.replace("RR", "00000000")))
    return bytes.fromhex(text.replace("RR", struct.pack("<i", operand - original - length).hex()))


# --- what it does, by the processor -----------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [NEAR, BELOW, FAR], ids=["near", "below", "far"])
@pytest.mark.parametrize("text", AS_IT_IS.values(), ids=AS_IT_IS)
def test_instruction_without_place_does_the_same_anywhere(processor: Processor, text: str, address: int) -> None:
    assert check(processor, machine_code(text), address).signal == 0


@pytest.mark.parametrize("address", [NEAR, BELOW], ids=["near", "below"])
@pytest.mark.parametrize("text", OPERANDS.values(), ids=OPERANDS)
def test_operand_relative_to_rip_stays_where_it_is(processor: Processor, text: str, address: int) -> None:
    assert check(processor, machine_code(text), address).signal == 0


@pytest.mark.parametrize(
    ("feature", "text"),
    [(feature, text) for feature, cases in VECTOR_OPERANDS.items() for text in cases.values()],
    ids=[name for cases in VECTOR_OPERANDS.values() for name in cases],
)
def test_operand_of_vex_and_evex_stays_where_it_is(processor: Processor, feature: str, text: str) -> None:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        if feature not in file.read().split():
            pytest.skip(f"needs a processor with {feature}")
    assert check(processor, machine_code(text), NEAR).signal == 0


@pytest.mark.parametrize("address", [LOW_NEAR, LOW_FAR], ids=["near", "far"])
@pytest.mark.parametrize("text", ["67488b05 RR", "67c705 RR 78563412", "67488d05 RR"])
def test_operand_relative_to_eip_stays_where_it_is(processor: Processor, text: str, address: int) -> None:
    done = check(processor, machine_code(text, LOW_CODE, LOW_DATA + 0x200), address, original=LOW_CODE)
    assert done.signal == 0


@pytest.mark.parametrize("address", [NEAR, BELOW, FAR], ids=["near", "below", "far"])
@pytest.mark.parametrize("name", CALLS)
def test_call_pushes_the_address_behind_the_original(processor: Processor, name: str, address: int) -> None:
    code = machine_code(CALLS[name])
    called = {"call to itself": CODE, "call r12": REGISTERS["r12"]}.get(name, TARGET)
    assert check(processor, code, address).registers["rip"] == called
    behind = processor.read(REGISTERS["rsp"] - 8, 8)
    assert int.from_bytes(behind, "little") == CODE + len(code)


@pytest.mark.parametrize("address", [NEAR, FAR], ids=["near", "far"])
@pytest.mark.parametrize("text", JUMPS.values(), ids=JUMPS)
def test_jump_goes_where_the_original_goes(processor: Processor, text: str, address: int) -> None:
    check(processor, machine_code(text), address)


@pytest.mark.parametrize("address", [NEAR, FAR], ids=["near", "far"])
@pytest.mark.parametrize("text", BRANCHES.values(), ids=BRANCHES)
def test_branch_is_taken_when_the_original_is(processor: Processor, text: str, address: int) -> None:
    counts = (0, 1, 2, 1 << 32, 1 << 32 | 1) if machine_code(text)[-2] >> 4 == 0xE else (2,)
    for flags in FLAGS:
        for count in counts:
            check(processor, machine_code(text), address, registers=REGISTERS | {"eflags": flags, "rcx": count})


def test_repeated_string_instruction_goes_on_where_it_was(processor: Processor) -> None:
    check(processor, bytes.fromhex("f348a5"), NEAR, registers=REGISTERS | {"rcx": 3}, repetitions=3)


@pytest.mark.parametrize(
    ("text", "register"), [("488b03", "rbx"), ("ff23", "rbx"), ("41ffe3", "r11"), ("4883037f", "rbx")]
)
def test_signal_comes_from_the_original(processor: Processor, text: str, register: str) -> None:
    registers = REGISTERS | {register: 1 << 63}
    done = check(processor, bytes.fromhex(text), NEAR, registers=registers)
    assert (done.signal, done.registers["rip"]) == (signal.SIGSEGV, CODE)


@pytest.mark.parametrize("text", ["ff13", "41ffd3"])
def test_signal_of_a_call_comes_from_the_original(processor: Processor, text: str) -> None:
    registers = REGISTERS | {"rbx": 1 << 63, "r11": 1 << 63}
    code = bytes.fromhex(text)
    displaced = displace(code, CODE, NEAR)
    processor.start({NEAR: displaced.code}, registers | {"rip": NEAR})
    assert [processor.step() for _ in displaced.places] == [True, True, False]
    assert displaced.resume(processor.registers["rip"]) == Resumed(CODE, 8)
    assert processor.registers["rsp"] == REGISTERS["rsp"] - 8


def test_system_call_is_made_and_shows_the_copy_in_rcx_only(processor: Processor) -> None:
    getpid = REGISTERS | {"rax": 39}
    check(processor, bytes.fromhex("0f05"), NEAR, registers=getpid, ignoring=("rcx",))
    assert processor.registers["rax"] == processor.pid
    assert processor.registers["rcx"] == NEAR + 2


# --- how far it reaches -----------------------------------------------------------------------------------------------


def test_operand_is_reached_up_to_2_gib() -> None:
    code = bytes.fromhex("488d0500000000")  # lea rax, [rip]: CODE + 7
    for reach in (-(1 << 31) + 1, 1 << 31):
        assert displace(code, CODE, CODE + reach).code[3:7] == struct.pack("<i", -reach)
    for reach in (-(1 << 31), (1 << 31) + 1):
        with pytest.raises(InputError, match="its operand is out of reach of a copy at 0x"):
            displace(code, CODE, CODE + reach)


def test_jump_is_near_up_to_2_gib_and_far_beyond() -> None:
    for distance, code in {
        -(1 << 31): b"\xe9\0\0\0\x80",
        (1 << 31) - 1: b"\xe9\xff\xff\xff\x7f",
        -(1 << 31) - 1: b"\xff\x25\0\0\0\0" + struct.pack("<Q", NEAR - (1 << 31) + 4),
        1 << 31: b"\xff\x25\0\0\0\0" + struct.pack("<Q", NEAR + (1 << 31) + 5),
    }.items():
        original = NEAR + 5 + distance - 2
        assert displace(b"\xeb\0", original, NEAR).code == code


def test_addresses_wrap_around() -> None:
    displaced = displace(b"\xeb\x10", (1 << 64) - 8, 0x1000)
    assert displaced.code == b"\xe9" + struct.pack("<i", 0x0A - 0x1005)
    displaced = displace(b"\x90", (1 << 64) - 8, 0x1000)
    assert displaced.code == b"\x90\xe9" + struct.pack("<i", -7 - 0x1006)


@pytest.mark.parametrize(
    "code",
    [bytes([0x3E] * 13) + b"\x74\x10", bytes([0x2E] * 9) + b"\xff\x15\0\0\0\0", bytes([0x65] * 10) + b"\xe8\0\0\0\0"],
)
def test_longest_copy_has_its_room(code: bytes) -> None:
    assert len(code) == LONGEST_INSTRUCTION
    assert len(displace(code, CODE, CODE + (1 << 31 if code[-2] else 0)).code) <= LARGEST


# --- what is refused --------------------------------------------------------------------------------------------------

REFUSED = {
    "int3": ("cc", "a breakpoint is there already: another debugger or tracer?"),
    "int 0x80": ("cd80", "it raises an exception on purpose"),
    "int1": ("f1", "it raises an exception on purpose"),
    "ud2": ("0f0b", "it raises an exception on purpose"),
    "ud1": ("0fb9", "it raises an exception on purpose"),
    "ud0": ("0fff", "it raises an exception on purpose"),
    "hlt": ("f4", "it is privileged"),
    "cli": ("fa", "it is privileged"),
    "wrmsr": ("0f30", "it is privileged"),
    "rdmsr": ("0f32", "it is privileged"),
    "mov cr3, rax": ("0f22d8", "it is privileged"),
    "mov rbp, cr0 with ModRM 5": ("0f2005", "it is privileged"),
    "swapgs": ("0f01f8", "it is privileged"),
    "sysret": ("480f07", "it is privileged"),
    "sysenter": ("0f34", "it returns where the kernel chooses"),
    "iretq": ("48cf", "it changes the code segment"),
    "retf": ("cb", "it changes the code segment"),
    "retf 8": ("ca0800", "it changes the code segment"),
    "retfq": ("48cb", "it changes the code segment"),
    "far jmp": ("ff2d00000000", "it changes the code segment"),
    "far jmp, 64 bit": ("48ff2d00000000", "it changes the code segment"),
    "far call": ("ff18", "it changes the code segment"),
    "xbegin": ("c7f800000000", "a breakpoint ends a transaction"),
    "xabort": ("c6f800", "a breakpoint ends a transaction"),
    "data16 jmp": ("66e900000000", "processors disagree about the length of a branch"),
    "data16 cs jmp": ("662ee900000000", "processors disagree about the length of a branch"),
    "data16 je": ("660f8400000000", "processors disagree about the length of a branch"),
    "data16 loop": ("66e200", "processors disagree about the length of a branch"),
    "data16 call": ("66e800000000", "processors disagree about the length of a branch"),
    "data16 call rax": ("66ffd0", "processors disagree about the length of a branch"),
    "REX that does not count": ("4866e900000000", "processors disagree about the length of a branch"),
    "call rsp": ("ffd4", "it calls its own stack"),
    "call [rsp-8]": ("ff5424f8", "it reads where it writes"),
    "call [rsp-15]": ("ff5424f1", "it reads where it writes"),
    "call [rsp+0x7fffffff]": ("ff9424ffffff7f", "its operand is out of reach"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED)
def test_instruction_is_refused_with_its_reason(text: str, reason: str) -> None:
    code = bytes.fromhex(text)
    with pytest.raises(InputError) as caught:
        displace(code + NOPS, 0x7F12_3456, 0x7F00_0000)
    length, words = first_instruction(code + NOPS, 0x7F12_3456)
    assert length == len(code)
    start = f"the instruction at 0x7f123456 ({code.hex(' ')}, {words}) takes no breakpoint: "
    assert str(caught.value).startswith(start)
    assert reason in str(caught.value).removeprefix(start)


@pytest.mark.parametrize("text", ["0fa1", "0fa9", "8ed8", "0f33", "0f01f9", "0f00c8", "0f31", "0fa2", "6690", "ec"])
def test_what_programs_may_execute_is_copied(text: str) -> None:
    code = bytes.fromhex(text)  # pop fs, pop gs, mov ds, rdpmc, rdtscp, str, rdtsc, cpuid, nop, in
    displaced = displace(code, CODE, NEAR)
    assert displaced.code.startswith(code + b"\xe9")


@pytest.mark.parametrize("text", ["06", "9a", "ea", "d6", "62", "c4", "f30f01ec", "f0" * 15])
def test_bytes_that_are_no_instruction_are_refused(text: str) -> None:
    code = bytes.fromhex(text).ljust(LONGEST_INSTRUCTION, b"\x00")
    with pytest.raises(InputError) as caught:
        displace(code, 0x1234, NEAR)
    assert str(caught.value) == f"the bytes at 0x1234 ({code.hex(' ')}) are no instruction that the decoder knows"


@pytest.mark.parametrize("text", ["", "e8", "488b05000000", "0f", "66", "c5fb10"])
def test_cut_instruction_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"the bytes at 0x1234 \(.*\) end inside an instruction"):
        displace(bytes.fromhex(text), 0x1234, NEAR)


def test_missing_decoder_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "capstone", None)
    with pytest.raises(HostError) as caught:
        displace(b"\x90", CODE, NEAR)
    assert str(caught.value) == "breakpoint probes need the decoder capstone: pip install 'pybpftime[trace]'"


@given(st.binary(max_size=20), st.integers(0, (1 << 64) - 1), st.integers(-(1 << 33), 1 << 33))
def test_any_bytes_are_moved_or_refused(code: bytes, original: int, distance: int) -> None:
    try:
        displaced = displace(code, original, (original + distance) % (1 << 64))
    except InputError as error:
        assert f"at {original:#x} (" in str(error)
    else:
        assert displaced.length <= min(len(code), LONGEST_INSTRUCTION)
        assert len(displaced.code) <= LARGEST


# --- where a thread stands --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "places"),
    {
        "push rbp": ("55", {0: Resumed(CODE), 1: Resumed(CODE + 1)}),
        "ret": ("c3", {0: Resumed(CODE)}),
        "jmp rax": ("ffe0", {0: Resumed(CODE)}),
        "jmp rel8": ("eb10", {0: Resumed(CODE)}),
        "je rel8": ("7410", {0: Resumed(CODE), 2: Resumed(CODE + 2), 7: Resumed(CODE + 0x12)}),
        "je rel32": ("0f8410000000", {0: Resumed(CODE), 2: Resumed(CODE + 6), 7: Resumed(CODE + 0x16)}),
        "call rel32": ("e810000000", {0: Resumed(CODE), 5: Resumed(CODE, 8), 13: Resumed(CODE + 0x15)}),
        "call rax": ("ffd0", {0: Resumed(CODE), 5: Resumed(CODE, 8), 13: Resumed(CODE, 8)}),
    }.values(),
)
def test_every_place_in_a_copy_has_one_in_the_original(text: str, places: Mapping[int, Resumed]) -> None:
    displaced = displace(bytes.fromhex(text), CODE, NEAR)
    found = {offset: displaced.resume(NEAR + offset) for offset in range(-1, len(displaced.code) + 1)}
    assert {offset: place for offset, place in found.items() if place} == places
