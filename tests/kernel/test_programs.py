"""Programs in the running kernel: loading, the verifier's log, test runs, what is refused and how."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftime import kernel
from pybpftime.errors import BpfError, HostError, InputError
from pybpftime.isa import Instruction, encode_program
from pybpftime.kernel import KernelMap, KernelProgram, KernelRejection, log
from pybpftime.uapi import AttachType, MapType, ProgramFlag, ProgramType, RunFlag, XdpAction

pytestmark = pytest.mark.usefixtures("bpf")

EXIT = bytes.fromhex("9500000000000000")
RETURN_ZERO = bytes.fromhex("b700000000000000") + EXIT  # r0 = 0
# r0 = *(u32 *)(r1 + 0), the packet length of a __sk_buff
RETURN_LENGTH = bytes.fromhex("6110000000000000") + EXIT
# An XDP program that writes 0xff over the first byte and returns XDP_PASS.
MARK_PACKET = bytes.fromhex(
    "b700000001000000"  # r0 = XDP_DROP
    "6112000000000000"  # r2 = ctx->data
    "6113040000000000"  # r3 = ctx->data_end
    "bf24000000000000"  # r4 = r2
    "070400000e000000"  # r4 += 14
    "2d34020000000000"  # if r4 > r3 goto exit
    "72020000ff000000"  # *(u8 *)(r2 + 0) = 0xff
    "b700000002000000"  # r0 = XDP_PASS
    "9500000000000000"
)
UNINITIALISED = EXIT  # r0 was never written


def load(program_type: ProgramType, instructions: bytes, **options: object) -> KernelProgram:
    return KernelProgram.load(program_type, instructions, **options)  # type: ignore[arg-type]


@pytest.fixture
def mark_packet() -> Iterator[KernelProgram]:
    with load(ProgramType.BPF_PROG_TYPE_XDP, MARK_PACKET, name="mark_packet") as program:
        yield program


class TestLoading:
    def test_rejection_carries_the_log(self) -> None:
        with pytest.raises(KernelRejection) as caught:
            load(ProgramType.BPF_PROG_TYPE_XDP, UNINITIALISED, name="bad")
        assert caught.value.errno == errno.EACCES
        assert caught.value.log is not None
        assert "R0 !read_ok" in caught.value.log
        assert str(caught.value) == (
            "the kernel refused to load the program bad: R0 !read_ok (EACCES: Permission denied)"
        )
        assert isinstance(caught.value, HostError)

    @pytest.mark.parametrize("fields", [{"dst_reg": 1}, {"imm": 1}])
    def test_it_knows_no_callx(self, fields: dict[str, int]) -> None:
        code = encode_program([Instruction(0x8D, **fields), Instruction(0x95)])
        with pytest.raises(KernelRejection, match="unknown opcode 8d"):
            load(ProgramType.BPF_PROG_TYPE_XDP, code)

    def test_rejection_before_the_verifier_has_no_log(self) -> None:
        with pytest.raises(KernelRejection) as caught:
            load(ProgramType.BPF_PROG_TYPE_XDP, RETURN_ZERO, flags=1 << 31)
        assert caught.value.errno == errno.EINVAL
        assert caught.value.log == ""

    def test_accepted_program_has_a_log_on_request(self) -> None:
        with load(ProgramType.BPF_PROG_TYPE_XDP, RETURN_ZERO) as program:
            assert program.log == ""
        with load(ProgramType.BPF_PROG_TYPE_XDP, RETURN_ZERO, log_level=2) as program:
            assert "r0 = 0" in program.log
            assert "processed 2 insns" in program.log

    def test_log_that_exceeds_the_first_buffer(self) -> None:
        long = bytes.fromhex("b700000000000000") + bytes.fromhex("0700000001000000") * 5000  # r0 += 1
        with load(ProgramType.BPF_PROG_TYPE_XDP, long + EXIT, log_level=2) as program:
            assert len(program.log) > 64 << 10
            assert "processed 5002 insns" in program.log
            assert program.test_run(bytes(14)).retval == 5000

    def test_log_that_exceeds_the_limit_keeps_the_verdict(self) -> None:
        long = bytes.fromhex("b700000000000000") + bytes.fromhex("0700000001000000") * 100
        with load(ProgramType.BPF_PROG_TYPE_XDP, long + EXIT, log_level=2, log_limit=1024) as program:
            assert 0 < len(program.log) < 1024
        bad = bytes.fromhex("bf10000000000000") * 2000 + bytes.fromhex("bf90000000000000")  # r0 = r1...; r0 = r9
        for log_level in (0, 1, 2):
            with pytest.raises(KernelRejection) as caught:
                load(ProgramType.BPF_PROG_TYPE_XDP, bad + EXIT, log_level=log_level, log_limit=1024)
            assert caught.value.errno == errno.EACCES

    def test_flags(self) -> None:
        write_byte, write_half_at_1 = bytes.fromhex("72020000ff000000"), bytes.fromhex("6a020100ff000000")
        misaligned = MARK_PACKET.replace(write_byte, write_half_at_1)
        with load(ProgramType.BPF_PROG_TYPE_XDP, misaligned, flags=ProgramFlag.BPF_F_ANY_ALIGNMENT):
            pass
        with pytest.raises(KernelRejection, match="misaligned packet access"):
            load(ProgramType.BPF_PROG_TYPE_XDP, misaligned, flags=ProgramFlag.BPF_F_STRICT_ALIGNMENT)
        with load(ProgramType.BPF_PROG_TYPE_XDP, MARK_PACKET, flags=ProgramFlag.BPF_F_TEST_RND_HI32) as program:
            assert program.test_run(bytes(14)).retval == XdpAction.XDP_PASS

    def test_expected_attach_type(self) -> None:
        return_one = bytes.fromhex("b700000001000000") + EXIT
        kind = ProgramType.BPF_PROG_TYPE_CGROUP_SOCK_ADDR
        with load(kind, return_one, expected_attach_type=AttachType.BPF_CGROUP_INET4_BIND):
            pass
        with pytest.raises(KernelRejection):
            load(kind, return_one, expected_attach_type=AttachType.BPF_XDP)

    def test_license_matters(self) -> None:
        call_printk = bytes.fromhex(
            "b701000041000000"  # r1 = 'A'
            "7b1af8ff00000000"  # *(u64 *)(r10 - 8) = r1
            "bfa1000000000000"  # r1 = r10
            "07010000f8ffffff"  # r1 += -8
            "b702000002000000"  # r2 = 2
            "8500000006000000"  # call bpf_trace_printk
            "b700000000000000"
        )
        with load(ProgramType.BPF_PROG_TYPE_XDP, call_printk + EXIT, license="GPL"):
            pass
        with pytest.raises(KernelRejection, match="GPL"):
            load(ProgramType.BPF_PROG_TYPE_XDP, call_printk + EXIT, license="Proprietary")

    def test_maps_by_index(self) -> None:
        read_first = bytes.fromhex(
            "1860000000000000 0000000000000000"  # r0 = value of map 0 of fd_array (BPF_PSEUDO_MAP_IDX_VALUE)
            "6100000000000000"  # r0 = *(u32 *)(r0 + 0)
        )
        with KernelMap.create(MapType.BPF_MAP_TYPE_ARRAY, 4, 4, 1) as array:
            array.update(bytes(4), struct.pack("=I", 0xCAFE))
            with load(ProgramType.BPF_PROG_TYPE_XDP, read_first + EXIT, fd_array=[array]) as program:
                assert program.test_run(bytes(14)).retval == 0xCAFE
                assert program.info().map_ids == (array.info().id,)
            with load(ProgramType.BPF_PROG_TYPE_XDP, read_first + EXIT, fd_array=[array.fileno()]) as program:
                assert program.test_run(bytes(14)).retval == 0xCAFE


class TestGarbage:
    @pytest.mark.parametrize("instructions", [b"", b"1234567", EXIT + b"\0"])
    def test_no_program(self, instructions: bytes) -> None:
        with pytest.raises(InputError, match="bytes are no program"):
            load(ProgramType.BPF_PROG_TYPE_XDP, instructions)

    @pytest.mark.parametrize(
        "options",
        [
            {"name": "a b"},
            {"license": "GPL\0"},
            {"license": "ünfree"},
            {"flags": -1},
            {"log_level": -1},
            {"attach_btf_id": 1 << 32},
            {"expected_attach_type": 1 << 40},
            {"fd_array": [-1]},
        ],
    )
    def test_arguments(self, options: dict[str, object]) -> None:
        with pytest.raises(InputError):
            load(ProgramType.BPF_PROG_TYPE_XDP, RETURN_ZERO, **options)

    @settings(max_examples=150, deadline=None)
    @given(st.integers(1, 6).flatmap(lambda count: st.binary(min_size=8 * count, max_size=8 * count)))
    def test_random_instructions_load_or_are_rejected(self, instructions: bytes) -> None:
        try:
            load(ProgramType.BPF_PROG_TYPE_SOCKET_FILTER, instructions).close()
        except KernelRejection as error:
            refused = error
        else:
            return
        assert refused.errno
        assert isinstance(refused.log, str)

    def test_too_many_instructions(self) -> None:
        with pytest.raises(KernelRejection) as caught:
            load(ProgramType.BPF_PROG_TYPE_XDP, RETURN_ZERO * 600_000)
        assert caught.value.errno == errno.E2BIG

    def test_unknown_type(self) -> None:
        with pytest.raises(BpfError):
            load(9999, RETURN_ZERO)  # type: ignore[arg-type]


class TestRunning:
    def test_packet_in_and_out(self, mark_packet: KernelProgram) -> None:
        packet = bytes(range(60))
        result = mark_packet.test_run(packet)
        assert result.retval == XdpAction.XDP_PASS
        assert result.data_out == b"\xff" + packet[1:]
        assert result.ctx_out == b""

    @pytest.mark.parametrize("size", [14, 15, 1500, 4096, 9000])
    def test_packet_sizes(self, size: int) -> None:
        with load(ProgramType.BPF_PROG_TYPE_XDP, MARK_PACKET, flags=ProgramFlag.BPF_F_XDP_HAS_FRAGS) as program:
            assert program.test_run(bytes(size)).data_out == b"\xff" + bytes(size - 1)

    def test_short_packet(self, mark_packet: KernelProgram) -> None:
        for size in (0, 13):
            with pytest.raises(HostError, match="refused to run the program mark_packet") as caught:
                mark_packet.test_run(bytes(size))
            assert caught.value.errno == errno.EINVAL

    def test_output_limits(self, mark_packet: KernelProgram) -> None:
        assert mark_packet.test_run(bytes(64), data_size_out=0).data_out == b""
        with pytest.raises(HostError) as caught:
            mark_packet.test_run(bytes(64), data_size_out=20)
        assert caught.value.errno == errno.ENOSPC
        with pytest.raises(InputError):
            mark_packet.test_run(bytes(64), data_size_out=-1)
        with pytest.raises(InputError):
            mark_packet.test_run(bytes(64), data_size_out=1 << 30)

    def test_xdp_context(self, mark_packet: KernelProgram) -> None:
        context = struct.pack("=6I", 0, 64, 0, 0, 0, 0)  # data, data_end, data_meta, ifindex, queue, egress
        result = mark_packet.test_run(bytes(64), context)
        assert struct.unpack("=6I", result.ctx_out)[:3] == (0, 64, 0)
        with pytest.raises(HostError) as caught:
            mark_packet.test_run(bytes(64), struct.pack("=6I", 65, 64, 0, 0, 0, 0))
        assert caught.value.errno == errno.EINVAL

    def test_socket_filter(self) -> None:
        with load(ProgramType.BPF_PROG_TYPE_SOCKET_FILTER, RETURN_LENGTH) as program:
            result = program.test_run(bytes(100), repeat=10)
        assert result.retval == 100 - 14  # a socket filter starts behind the Ethernet header
        assert len(result.data_out) in {86, 100}

    def test_sk_buff_context(self) -> None:
        mark_offset = 8
        return_mark = struct.pack("=BBhi", 0x61, 0x10, mark_offset, 0) + EXIT
        context = bytes(mark_offset) + struct.pack("=I", 0xABCD) + bytes(192 - 12)
        with load(ProgramType.BPF_PROG_TYPE_SCHED_CLS, return_mark) as program:
            result = program.test_run(bytes(64), context)
        assert result.retval == 0xABCD
        assert result.ctx_out[8:12] == struct.pack("=I", 0xABCD)

    def test_system_call_program_changes_its_context(self) -> None:
        store = bytes.fromhex(
            "7912000000000000"  # r2 = *(u64 *)(r1 + 0)
            "0702000001000000"  # r2 += 1
            "7b21080000000000"  # *(u64 *)(r1 + 8) = r2
            "18000000ffffffff 00000000ffffffff"  # r0 = -1 ll
        )
        flags = ProgramFlag.BPF_F_SLEEPABLE
        with load(ProgramType.BPF_PROG_TYPE_SYSCALL, store + EXIT, flags=flags) as program:
            result = program.test_run(ctx=struct.pack("=QQ", 0xFFFF_FFFF, 0))
            assert result.retval == 0xFFFF_FFFF
            assert struct.unpack("=QQ", result.ctx_out) == (0xFFFF_FFFF, 1 << 32)
            with pytest.raises(HostError):
                program.test_run(ctx=bytes(8))  # shorter than what the program reaches

    def test_raw_tracepoint(self) -> None:
        first_argument = bytes.fromhex("7910000000000000") + EXIT  # r0 = *(u64 *)(r1 + 0)
        with load(ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT, first_argument) as program:
            result = program.test_run(ctx=struct.pack("=Q", 42), flags=RunFlag.BPF_F_TEST_RUN_ON_CPU)
            assert result.retval == 42
            with pytest.raises(HostError) as caught:
                program.test_run(ctx=bytes(8), flags=RunFlag.BPF_F_TEST_RUN_ON_CPU, cpu=100_000)
            assert caught.value.errno == errno.ENXIO

    def test_type_without_test_run(self) -> None:
        with load(ProgramType.BPF_PROG_TYPE_KPROBE, RETURN_ZERO) as program:
            with pytest.raises(HostError) as caught:
                program.test_run()
            assert caught.value.errno == 524  # ENOTSUPP, a number that the kernel does not export

    def test_closed_program(self) -> None:
        program = load(ProgramType.BPF_PROG_TYPE_XDP, RETURN_ZERO)
        program.close()
        with pytest.raises(InputError, match="this program is closed"):
            program.test_run(bytes(64))


class TestInfo:
    def test_info(self, mark_packet: KernelProgram) -> None:
        info = mark_packet.info()
        assert (info.type, info.name, info.gpl_compatible) == (ProgramType.BPF_PROG_TYPE_XDP, "mark_packet", True)
        assert len(bytes.fromhex(info.tag)) == 8
        assert info.id in list(kernel.program_ids())
        assert info.verified_instructions >= 9
        assert info.map_ids == ()
        # The verifier replaces context accesses, the rest of the program is the same.
        assert info.translated[:8] == MARK_PACKET[:8]
        assert info.translated[-24:] == MARK_PACKET[-24:]

    def test_from_id(self, mark_packet: KernelProgram) -> None:
        with KernelProgram.from_id(mark_packet.info().id) as same:
            assert (same.type, same.name) == (mark_packet.type, "mark_packet")
            assert same.test_run(bytes(14)).data_out[0] == 0xFF
        with pytest.raises(HostError) as caught:
            KernelProgram.from_id(0xFFFF_FFFE)
        assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", ""),
        ("\n\n", ""),
        ("0: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1000000) max_states_per_insn 0\n", "R0 !read_ok"),
        ("back-edge\nverification time 5 usec\nstack depth 0\nprocessed 0 insns\n\n", "back-edge"),
    ],
)
def test_last_complaint(text: str, reason: str) -> None:
    assert log.last_complaint(text) == reason
