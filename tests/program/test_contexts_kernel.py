"""Contexts held against the running kernel: what every access gives and does."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program.contexts_support import (
    PACKETS,
    UNSIGNED,
    accepts,
    assembled,
    enter,
    load,
    loads,
    named,
    need_kernel,
    observer,
)

from pybpftime.errors import Fault, HostError, InputError
from pybpftime.kernel import SharedValue
from pybpftime.machine import STRICT
from pybpftime.program.contexts import make_context
from pybpftime.program.contexts.skb import SkbContext
from pybpftime.program.contexts.xdp import XdpContext
from pybpftime.program.types import PROGRAM_TYPES, ContextKind
from pybpftime.program.types.layouts import SK_BUFF, SOCK_COMMON
from pybpftime.uapi import ProgramFlag, ProgramType

P = ProgramType
XDP, TC = P.BPF_PROG_TYPE_XDP, P.BPF_PROG_TYPE_SCHED_CLS
SOCKET, CGROUP = P.BPF_PROG_TYPE_SOCKET_FILTER, P.BPF_PROG_TYPE_CGROUP_SKB
SKB_TYPES = [info.type for info in PROGRAM_TYPES.values() if info.context is ContextKind.SKB]


@pytest.fixture(autouse=True)
def _kernel() -> None:
    need_kernel()


# --- packets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program_type", [XDP, TC, CGROUP], ids=named)
def test_packets_are_aligned_as_for_the_strict_verifier(program_type: ProgramType) -> None:
    layout = PROGRAM_TYPES[program_type].layout
    assert layout is not None
    data, data_end = layout.field("data").offset, layout.field("data_end").offset
    machine, r1 = enter(make_context(program_type, packet=bytes(60)), STRICT)
    first = machine.memory.load(r1 + data, 4)
    for offset in range(16):
        for size, unsigned in UNSIGNED.items():
            bounds = [f"r2 = *(u32 *)(r1 + {data})", f"r3 = *(u32 *)(r1 + {data_end})", "r4 = r2", "r4 += 24", "r0 = 0"]
            code = assembled([*bounds, "if r4 > r3 goto +2", f"r5 = *({unsigned} *)(r2 + {offset})", "r0 = 0", "exit"])
            try:
                machine.memory.load(first + offset, size)
                allowed = True
            except Fault:
                allowed = False
            assert accepts(program_type, code, flags=ProgramFlag.BPF_F_STRICT_ALIGNMENT) == allowed, (offset, size)


# --- what loads give --------------------------------------------------------------------------------------------------

SK_BUFFS = {
    "none": None,
    "zero": bytes(192),
    "short": bytes(8) + struct.pack("<I", 0x11223344),
    "all": bytes(8)
    + struct.pack("<I20xIIIxxxx5I", 0xDEADBEEF, 0x01020304, 7, 1, *range(0x10101010, 0x60606060, 0x11111111))
    + bytes(84)
    + struct.pack("<QII8xI4xQ", 0x1122334455667788, 2000, 3, 1448, 0x99AABBCCDDEEFF00),
}


@pytest.mark.parametrize("program_type", SKB_TYPES, ids=named)
def test_fields_of_socket_buffers_have_the_kernels_values(program_type: ProgramType) -> None:
    layout = PROGRAM_TYPES[program_type].layout
    assert layout is not None
    assert len(SK_BUFFS["all"] or b"") == 192
    with observer(program_type) as kernel:
        for name, packet in PACKETS.items():
            for form, ctx in SK_BUFFS.items():
                expected = kernel.observe(packet, ctx)
                context = make_context(program_type, packet=packet, ctx=ctx)
                assert isinstance(context, SkbContext)
                ours = loads(*enter(context), layout)
                assert ours == expected.values, (name, form)
                assert context.packet == expected.run.data_out
                assert context.structure() == expected.run.ctx_out


headers = st.sampled_from(("0800", "86dd", "8100", "88a8", "0806", "0000", "0004", "05ff", "0600")).map(bytes.fromhex)
frames = st.builds(
    lambda destination, source, ether_type, rest: destination + source + ether_type + rest,
    st.sampled_from((bytes(6), b"\1" + bytes(5), b"\xff" * 6)) | st.binary(min_size=6, max_size=6),
    st.binary(min_size=6, max_size=6),
    headers | st.binary(min_size=2, max_size=2),
    st.binary(max_size=80) | st.integers(0, 1486).map(bytes),
)


@pytest.mark.parametrize("program_type", [TC, SOCKET, CGROUP], ids=named)
def test_any_frame_has_the_kernels_values(program_type: ProgramType) -> None:
    layout = PROGRAM_TYPES[program_type].layout
    assert layout is not None
    with observer(program_type) as kernel:

        @settings(max_examples=150)
        @given(frames)
        def compare(frame: bytes) -> None:
            context = make_context(program_type, packet=frame)
            try:
                expected = kernel.observe(frame, None)
            except HostError:
                # The kernel's test run takes no frame whose IP header is cut off; a device does.
                header = {b"\x08\x00": 20, b"\x86\xdd": 40}.get(frame[12:14], 0)
                assert len(frame) < 14 + header
                return
            assert loads(*enter(context), layout) == expected.values
            assert context.packet == expected.run.data_out

        compare()


def test_fields_of_the_socket_have_the_kernels_values() -> None:
    # The kernel makes -1 of 64 bits of rx_queue_mapping, which has 32.
    accesses = [
        (offset, size) for offset, size in sorted(SOCK_COMMON.loads) if (offset, size) not in ((76, 2), (76, 4))
    ]
    with SharedValue(8 * len(accesses) + 8) as shared:
        body = ["r8 = *(u64 *)(r6 + 168)", f"if r8 == 0 goto +{2 * len(accesses)}"]
        for index, (offset, size) in enumerate(accesses):
            body += [f"r0 = *({UNSIGNED[size]} *)(r8 + {offset})", f"*(u64 *)(r7 + {8 * index}) = r0"]
        code = assembled(["r6 = r1"]) + shared.address_instructions(7) + assembled([*body, "r0 = 0", "exit"])
        with load(TC, code) as program:
            for name, packet in PACKETS.items():
                program.test_run(packet)
                expected = struct.unpack_from(f"<{len(accesses)}Q", shared.read())
                machine, r1 = enter(make_context(TC, packet=packet))
                socket = machine.memory.load(r1 + 168, 8)
                assert machine.memory.load(r1 + 168, 8) == socket
                ours = tuple(machine.memory.load(socket + offset, size) for offset, size in accesses)
                assert ours == expected, name


XDP_MDS = {"none": None, "zero": struct.pack("<6I", 0, 0, 0, 0, 0, 0), "device": struct.pack("<6I", 0, 0, 0, 1, 0, 0)}


@pytest.mark.parametrize("metadata", [0, 4, 32, 216])
def test_fields_of_xdp_have_the_kernels_values(metadata: int) -> None:
    layout = PROGRAM_TYPES[XDP].layout
    assert layout is not None
    with observer(XDP) as kernel:
        for name, packet in PACKETS.items():
            given = bytes(range(metadata)) + packet
            for form, template in XDP_MDS.items():
                if template is None and metadata:
                    continue
                ctx = template and struct.pack("<II", metadata, len(given)) + template[8:]
                expected = kernel.observe(given, ctx)
                context = make_context(XDP, packet=given, ctx=ctx)
                ours = loads(*enter(context), layout)
                assert ours == expected.values, (name, form)
                assert context.packet == expected.run.data_out


def refusal_of_kernel(program_type: ProgramType, packet: bytes, ctx: bytes | None) -> bool:
    with load(program_type, assembled(["r0 = 0", "exit"])) as program:
        try:
            program.test_run(packet, ctx)
        except HostError:
            return True
    return False


def refusal_of_ours(program_type: ProgramType, packet: bytes, ctx: bytes | None) -> bool:
    try:
        make_context(program_type, packet=packet, ctx=ctx)
    except InputError:
        return True
    return False


@pytest.mark.parametrize("program_type", [TC, SOCKET], ids=named)
def test_the_kernels_rules_for_a_given_sk_buff(program_type: ProgramType) -> None:
    packet = PACKETS["802.3"]
    length = len(packet) - (0 if program_type is TC else 14)
    cases = [bytes(offset) + b"\1" for offset in range(192)]
    cases = [ctx for ctx in cases if SK_BUFF.field_at(len(ctx) - 1) is not SK_BUFF.field("ifindex")]
    cases += [bytes(192) + b"\1", bytes(200), bytes(166) + b"\1", bytes(178) + b"\1"]
    cases += [bytes(160) + struct.pack("<I", value) for value in (length - 1, length, 65536, 65537)]
    assert [
        (ctx.hex(), refusal_of_kernel(program_type, packet, ctx))
        for ctx in cases
        if refusal_of_kernel(program_type, packet, ctx) != refusal_of_ours(program_type, packet, ctx)
    ] == []


def test_the_kernels_rules_for_a_given_xdp_md() -> None:
    packet = PACKETS["802.3"]
    cases = [(packet[:length], None) for length in (0, 13, 14)]
    for data in (0, 1, 2, 4, 8, 212, 216, 220, 252, 256):
        given = bytes(data) + packet
        cases += [(given, struct.pack("<6I", data, len(given), *rest)) for rest in ((0, 0, 0, 0), (4, 0, 0, 0))]
        cases += [(given, struct.pack("<6I", data, len(given) + more, 0, 0, 0, 0)) for more in (1, 4)]
    cases += [(packet, struct.pack("<6I", 8, len(packet), 0, *rest)) for rest in ((0, 1, 0), (1, 0, 0), (0, 0, 1))]
    cases += [(packet, struct.pack("<6I4x", 0, len(packet), 0, 0, 0, 0)), (packet, bytes(24) + b"\1")]
    assert [
        (given.hex(), ctx and ctx.hex(), refusal_of_kernel(XDP, given, ctx))
        for given, ctx in cases
        if refusal_of_kernel(XDP, given, ctx) != refusal_of_ours(XDP, given, ctx)
    ] == []


# --- what stores do ---------------------------------------------------------------------------------------------------

STORED = (0x1122_3344_5566_7788, 0xFFFF_FFFF_FFFF_FFFF, 0xFFFE, 0xFFFF, 0x1_0000)


@pytest.mark.parametrize("program_type", SKB_TYPES, ids=named)
def test_stores_change_what_they_change_in_the_kernel(program_type: ProgramType) -> None:
    layout = PROGRAM_TYPES[program_type].layout
    assert layout is not None
    packet = PACKETS["ipv4"]
    for offset, size in sorted(layout.stores):
        with observer(program_type, [f"*({UNSIGNED[size]} *)(r6 + {offset}) = r2"]) as kernel:
            for value in STORED:
                expected = kernel.observe(packet, bytes(192), value)
                context = make_context(program_type, packet=packet, ctx=bytes(192))
                assert isinstance(context, SkbContext)
                machine, r1 = enter(context)
                machine.memory.store(r1 + offset, size, value)
                assert loads(machine, r1, layout) == expected.values, (layout.place(offset), size, hex(value))
                assert context.structure() == expected.run.ctx_out


# --- legacy loads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program_type", [TC, SOCKET], ids=named)
def test_legacy_loads_find_what_the_kernel_finds(program_type: ProgramType) -> None:
    packet = PACKETS["60 bytes, 802.2"]
    length = len(packet)
    near = [*range(5), *range(length - 20, length + 2), 0x7FFF_FFFF, -1, -0x1000]
    offsets = near + [start + distance for start in (-0x100000, -0x200000) for distance in (*near, -1, -2, -14)]
    for offset in dict.fromkeys(offset for offset in offsets if offset < 1 << 31):
        for size in (1, 2, 4):
            register = assembled(["r6 = r1", f"r2 = {offset}", f"r0 = *({UNSIGNED[size]} *)skb[r2]"])
            with SharedValue(16) as shared:
                code = (
                    register + shared.address_instructions(7) + assembled(["*(u64 *)(r7 + 0) = r0", "r0 = 1", "exit"])
                )
                shared.write(b"\xff" * 8)
                with load(program_type, code) as program:
                    found = program.test_run(packet).retval == 1
                expected = int.from_bytes(shared.read()[:8], "little") if found else None
            context = make_context(program_type, packet=packet)
            assert isinstance(context, SkbContext)
            assert context.load_legacy(offset & 0xFFFF_FFFF, size) == expected, (offset, size)


# --- moving the borders of a frame ------------------------------------------------------------------------------------

ADJUST = {"head": 44, "meta": 54, "tail": 65}  # helper ids
delta = (
    st.integers(-300, 300) | st.integers(-75, 75).map(lambda number: 4 * number) | st.sampled_from((-3000, 2000, 3500))
)
moves = st.lists(st.tuples(st.sampled_from(sorted(ADJUST)), delta), min_size=1, max_size=6)


@settings(max_examples=500)
@given(moves=moves, length=st.integers(14, 1500), metadata=st.integers(0, 54).map(lambda number: 4 * number))
def test_frames_are_adjusted_as_by_the_kernel(moves: list[tuple[str, int]], length: int, metadata: int) -> None:
    packet = bytes((index * 7) & 0xFF for index in range(metadata + length))
    ctx = struct.pack("<6I", metadata, len(packet), 0, 0, 0, 0)
    with SharedValue(64) as shared:
        code = assembled(["r6 = r1"]) + shared.address_instructions(7)
        for index, (border, amount) in enumerate(moves):
            code += assembled(
                ["r1 = r6", f"r2 = {amount}", f"call {ADJUST[border]}", f"*(u64 *)(r7 + {8 * index}) = r0"]
            )
        with load(XDP, code + assembled(["r0 = 2", "exit"])) as program:
            run = program.test_run(packet, ctx)
        expected = struct.unpack_from(f"<{len(moves)}q", shared.read())
    context = make_context(XDP, packet=packet, ctx=ctx)
    assert isinstance(context, XdpContext)
    machine, r1 = enter(context)
    results = []
    for border, amount in moves:
        results.append(getattr(context, f"adjust_{border}")(amount))
        context.invalidate()
    assert tuple(results) == expected
    assert context.packet == run.data_out
    data, data_end, data_meta = (machine.memory.load(r1 + offset, 4) for offset in (0, 4, 8))
    assert (data - data_meta, data_end - data_meta) == struct.unpack_from("<II", run.ctx_out)
    assert machine.memory.read(data_meta, data_end - data_meta) == run.data_out


# --- probes -----------------------------------------------------------------------------------------------------------


def test_arguments_of_a_raw_tracepoint_are_what_the_kernel_hands_over() -> None:
    layout = PROGRAM_TYPES[P.BPF_PROG_TYPE_RAW_TRACEPOINT].layout
    assert layout is not None
    content = bytes(range(96))
    with SharedValue(8) as shared:
        for offset, size in sorted(layout.loads):
            code = shared.address_instructions(7) + assembled(
                [f"r0 = *({UNSIGNED[size]} *)(r1 + {offset})", "*(u64 *)(r7 + 0) = r0", "r0 = 0", "exit"]
            )
            with load(P.BPF_PROG_TYPE_RAW_TRACEPOINT, code) as program:
                program.test_run(ctx=content)
            machine, r1 = enter(make_context(P.BPF_PROG_TYPE_RAW_TRACEPOINT, ctx=content))
            assert machine.memory.load(r1 + offset, size) == int.from_bytes(shared.read(), "little")


def test_a_syscall_program_changes_its_context_as_in_the_kernel() -> None:
    code = assembled(["r2 = *(u32 *)(r1 + 4)", "*(u16 *)(r1 + 2) = r2", "r0 = 0", "exit"])
    content = bytes(range(0x10, 0x20))
    with load(P.BPF_PROG_TYPE_SYSCALL, code) as program:
        expected = program.test_run(ctx=content).ctx_out
    context = make_context(P.BPF_PROG_TYPE_SYSCALL, ctx=content)
    machine, r1 = enter(context)
    machine.memory.store(r1 + 2, 2, machine.memory.load(r1 + 4, 4))
    assert context.fields() == {"bytes": expected.hex()}
