"""The fast path: load, run and close in one call, and memory shared with programs."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftime.errors import HostError, InputError
from pybpftime.kernel import KernelRejection, ProgramRunner, SharedValue
from pybpftime.uapi import ProgramFlag, ProgramType, XdpAction

pytestmark = pytest.mark.usefixtures("bpf")

U64 = st.integers(0, (1 << 64) - 1)


def instruction(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    return struct.pack("=BBhi", opcode, dst | src << 4, offset, imm)


EXIT = instruction(0x95)
STORE_SUM = (
    instruction(0x79, 0, 1, 0)  # r0 = *(u64 *)(r1 + 0)
    + instruction(0x79, 2, 1, 8)  # r2 = *(u64 *)(r1 + 8)
    + instruction(0x0F, 0, 2)  # r0 += r2
    + instruction(0x7B, 1, 0, 0)  # *(u64 *)(r1 + 0) = r0
    + EXIT
)
MARK_PACKET = bytes.fromhex(
    "b700000001000000 6112000000000000 6113040000000000 bf24000000000000 070400000e000000"
    "2d34020000000000 72020000ff000000 b700000002000000 9500000000000000"
)


@settings(max_examples=50, deadline=None)
@given(U64, U64)
def test_64_bit_results_through_the_context(first: int, second: int) -> None:
    total = (first + second) % (1 << 64)
    result = ProgramRunner().run(STORE_SUM, struct.pack("=QQ", first, second))
    assert result.retval == total & 0xFFFF_FFFF
    assert struct.unpack("=QQ", result.data) == (total, second)


def test_packets() -> None:
    runner = ProgramRunner(ProgramType.BPF_PROG_TYPE_XDP)
    for size in (14, 64, 1500):
        result = runner.run(MARK_PACKET, bytes(size))
        assert (result.retval, result.data) == (XdpAction.XDP_PASS, b"\xff" + bytes(size - 1))


def test_runs_do_not_see_each_other() -> None:
    runner = ProgramRunner()
    read_all = instruction(0x79, 0, 1, 8) + EXIT
    assert runner.run(read_all, b"\xff" * 16).retval == 0xFFFF_FFFF
    assert runner.run(read_all, bytes(16)).retval == 0
    with pytest.raises(HostError) as caught:
        runner.run(read_all, bytes(8))  # the context must be as long as the program reaches
    assert caught.value.errno == errno.EINVAL
    assert runner.run(instruction(0xB7, 0, imm=7) + EXIT).data == b""


def test_one_program_on_many_inputs() -> None:
    runner = ProgramRunner()
    inputs = [struct.pack("=QQ", number, 1) for number in range(5)]
    assert [result.retval for result in runner.run_many(STORE_SUM, inputs)] == [1, 2, 3, 4, 5]


def test_rejection_has_a_log() -> None:
    with pytest.raises(KernelRejection, match="R0 !read_ok") as caught:
        ProgramRunner().run(EXIT)
    assert caught.value.log


def test_flags_are_kept() -> None:
    misaligned = MARK_PACKET.replace(bytes.fromhex("72020000ff000000"), bytes.fromhex("6a020100ff000000"))
    strict = ProgramRunner(ProgramType.BPF_PROG_TYPE_XDP, flags=ProgramFlag.BPF_F_STRICT_ALIGNMENT)
    with pytest.raises(KernelRejection, match="misaligned"):
        strict.run(misaligned, bytes(64))


def test_garbage() -> None:
    runner = ProgramRunner(data_capacity=64)
    for instructions in (b"", b"1234", EXIT + b"1"):
        with pytest.raises(InputError, match="no program"):
            runner.run(instructions)
    with pytest.raises(InputError, match="capacity of 64"):
        runner.run(STORE_SUM, bytes(65))
    with pytest.raises(InputError):
        ProgramRunner(data_capacity=-1)
    with pytest.raises(InputError):
        ProgramRunner(flags=-1)


def test_packet_that_outgrows_the_capacity() -> None:
    grow = (
        instruction(0xB7, 2, imm=-64)  # r2 = -64
        + instruction(0x85, imm=44)  # call bpf_xdp_adjust_head
        + instruction(0xB7, 0, imm=2)
        + EXIT
    )
    runner = ProgramRunner(ProgramType.BPF_PROG_TYPE_XDP, data_capacity=100)
    assert len(runner.run(grow, bytes(30)).data) == 94
    with pytest.raises(HostError) as caught:
        runner.run(grow, bytes(60))
    assert caught.value.errno == errno.ENOSPC


def test_shared_value() -> None:
    with SharedValue(24) as shared:
        add = (
            shared.address_instructions(3, 8)
            + instruction(0x79, 0, 3, 0)  # r0 = *(u64 *)(r3 + 0)
            + instruction(0xB7, 2, imm=-1)  # r2 = -1
            + instruction(0xDB, 3, 2, 0, 0)  # lock *(u64 *)(r3 + 0) += r2
            + instruction(0x7B, 3, 0, 8)  # *(u64 *)(r3 + 8) = r0
            + EXIT
        )
        shared.write(struct.pack("=QQ", 1, 1 << 40))
        ProgramRunner(ProgramType.BPF_PROG_TYPE_SOCKET_FILTER).run(add, bytes(14))
        assert struct.unpack("=QQQ", shared.read()) == (1, (1 << 40) - 1, 1 << 40)
        assert shared.map.lookup(bytes(4)) == shared.read()
        for register, offset in ((10, 0), (-1, 0), (0, 24), (0, -1)):
            with pytest.raises(InputError, match="cannot point to"):
                shared.address_instructions(register, offset)
        with pytest.raises(InputError, match="25 bytes do not fit 24"):
            shared.write(bytes(25))
