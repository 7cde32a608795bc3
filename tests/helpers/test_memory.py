"""bpf_probe_*: reading what may not be there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.helper_calls import Answer, Argument, Caller, KernelCaller, Memory

from pybpftime.errors import Fault, FaultKind
from pybpftime.machine import STRICT
from pybpftime.uapi import ProgramType

KPROBE = ProgramType.BPF_PROG_TYPE_KPROBE
EFAULT, ERANGE, EINVAL = -14, -34, -22
USER = 0x5555_0000_0000
KERNEL_READS = ["bpf_probe_read_kernel", "bpf_probe_read_kernel_str"]


@pytest.fixture
def probe() -> Caller:
    caller = Caller(program_type=KPROBE)
    content = b"user text\0" + bytes(range(1, 250)) * 40

    def user_memory(address: int, length: int) -> bytes | None:
        offset = address - USER
        return content[offset : offset + length] if offset >= 0 and offset + length <= len(content) else None

    caller.environment.user_memory = user_memory
    return caller


def read(caller: Caller, name: str, size: int, address: Argument) -> tuple[int, bytes]:
    answer = caller.call(name, Memory(b"\xaa" * 12), size, address)
    return answer.signed, answer.memories[0]


@pytest.mark.parametrize("name", ["bpf_probe_read_user", "bpf_probe_read", "bpf_copy_from_user"])
def test_user_memory(probe: Caller, name: str) -> None:
    assert read(probe, name, 6, USER + 2) == (0, b"er tex" + b"\xaa" * 6)
    assert read(probe, name, 6, USER - 1) == (EFAULT, bytes(6) + b"\xaa" * 6)
    assert read(probe, name, 0, 0) == (0, b"\xaa" * 12)


@pytest.mark.parametrize("name", ["bpf_probe_read_user_str", "bpf_probe_read_str"])
def test_user_strings(probe: Caller, name: str) -> None:
    assert read(probe, name, 12, USER + 5) == (5, b"text\0" + b"\xaa" * 7)
    assert read(probe, name, 5, USER) == (5, b"user\0" + b"\xaa" * 7)
    assert read(probe, name, 1, USER) == (1, b"\0" + b"\xaa" * 11)
    assert read(probe, name, 0, USER) == (0, b"\xaa" * 12)
    assert read(probe, name, 12, 16) == (EFAULT, bytes(12))


def test_user_strings_across_pages(probe: Caller) -> None:
    target = probe.place(Memory(bytes(9000)))
    probe.call_with("bpf_probe_read_user_str", target, 9000, USER + 10)
    assert probe.machine.registers[0] == 9000
    content = probe.machine.memory.read(target, 9000)
    assert content == (bytes(range(1, 250)) * 40)[:8999] + b"\0"


def test_without_a_process_nothing_can_be_read(caller: Caller) -> None:
    assert read(caller, "bpf_probe_read_user", 4, USER) == (EFAULT, bytes(4) + b"\xaa" * 8)


@pytest.mark.parametrize("name", ["bpf_probe_read_kernel", "bpf_probe_read"])
def test_the_programs_own_memory(probe: Caller, name: str) -> None:
    place = probe.place(Memory(b"abcdef"))
    assert read(probe, name, 4, place + 1) == (0, b"bcde" + b"\xaa" * 8)
    assert read(probe, name, 4, place + 3) == (EFAULT, bytes(4) + b"\xaa" * 8)
    assert read(probe, name, 4, place - 1) == (EFAULT, bytes(4) + b"\xaa" * 8)


@pytest.mark.parametrize("name", ["bpf_probe_read_kernel_str", "bpf_probe_read_str"])
def test_the_programs_own_strings(probe: Caller, name: str) -> None:
    place = probe.place(Memory(b"abc\0def"))
    assert read(probe, name, 12, place) == (4, b"abc\0" + b"\xaa" * 8)
    assert read(probe, name, 3, place) == (3, b"ab\0" + b"\xaa" * 9)
    assert read(probe, name, 12, place + 4) == (EFAULT, bytes(12))  # nobody ends the string
    assert read(probe, name, 3, place + 4) == (3, b"de\0" + b"\xaa" * 9)


def test_strict_machines_want_memory_written(probe: Caller) -> None:
    caller = Caller(STRICT, probe.environment, program_type=KPROBE)
    caller.machine.reset(0, ())
    stack = caller.machine.registers[10]
    assert stack is not None
    caller.machine.memory.write(stack - 8, b"ab\0")
    assert read(caller, "bpf_probe_read_kernel_str", 8, stack - 8) == (3, b"ab\0" + b"\xaa" * 9)
    for name in KERNEL_READS:
        with pytest.raises(Fault) as fault:
            read(caller, name, 8, stack - 16)
        assert fault.value.kind is FaultKind.UNINITIALISED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([*KERNEL_READS, "bpf_probe_read_user", "bpf_probe_read_user_str"]),
    size=st.integers(0, 12),
    address=st.sampled_from([0, 1, 4096, 0x7FFF_FFFF_EFFF, 0x7FFF_FFFF_F000, 1 << 63, 0xDEAD << 48, (1 << 64) - 4096]),
)
def test_bad_addresses_as_the_kernel(in_kernel: KernelCaller, name: str, size: int, address: int) -> None:
    """Addresses where nothing is, in this process or in the kernel."""
    arguments = (Memory(b"\xaa" * 12), size, address)
    here = Caller().call(name, *arguments)
    there = in_kernel.call(name, *arguments)
    if here.signed == ERANGE and there.signed == EFAULT:
        pytest.skip("needs the x86-64 kernel's check of addresses")
    assert here == there


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(KERNEL_READS),
    size=st.integers(0, 12),
    content=st.one_of(st.binary(min_size=12, max_size=12), st.text("ab\0", min_size=12, max_size=12).map(str.encode)),
)
def test_map_values_as_the_kernel(
    both_sides: Callable[..., tuple[Answer, Answer]], name: str, size: int, content: bytes
) -> None:
    here, there = both_sides(name, Memory(b"\xaa" * 12), size, Memory(content))
    assert here == there


# --- writing ----------------------------------------------------------------------------------------------------------


def test_writes_to_user_memory_are_recorded(probe: Caller) -> None:
    assert probe.call("bpf_probe_write_user", USER, Memory(b"new"), 3).r0 == 0
    assert probe.call("bpf_probe_write_user", 16, Memory(b"new"), 3).signed == EFAULT
    assert probe.machine.effects.records["user_writes"] == [(USER, b"new")]


def test_copying_from_the_user_memory_of_a_task(probe: Caller) -> None:
    task = probe.call("bpf_get_current_task_btf").r0
    target = Memory(bytes(4))
    assert probe.call("bpf_copy_from_user_task", target, 4, USER, task, 0).memories == (b"user",)
    assert probe.call("bpf_copy_from_user_task", target, 4, USER, task, 1).signed == EINVAL
