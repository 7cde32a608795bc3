"""Helpers on socket buffers: sequences of calls, here and in the kernel, give the same results and packets."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from support.helper_calls import (
    CONTEXT,
    CONTEXT_TO_R6,
    Argument,
    Caller,
    KernelCaller,
    Memory,
    Outcome,
    call,
    helper_call,
    load_number,
    run_here,
)

from pybpftime.helpers.implementations.skb_shape import MAX_LENGTH
from pybpftime.helpers.internet_checksum import csum_fold, csum_partial
from pybpftime.kernel import KernelProgram
from pybpftime.program.contexts import make_context
from pybpftime.program.contexts.skb import SkbContext
from pybpftime.uapi import ProgramType

EINVAL, EFAULT, ENOMEM, ENOTSUPP = -22, -14, -12, -524
TC = ProgramType.BPF_PROG_TYPE_SCHED_CLS
ENCAP_IPV4, ENCAP_IPV6, GRE, UDP, ETHERNET, DECAP_IPV4, DECAP_IPV6 = 2, 4, 8, 16, 64, 128, 256
SOCKET_FILTER = ProgramType.BPF_PROG_TYPE_SOCKET_FILTER
LWT_XMIT = ProgramType.BPF_PROG_TYPE_LWT_XMIT

MACS = bytes(range(12))
IPV4 = MACS + b"\x08\x00" + bytes.fromhex("4500002800000000401100000a0000010a000002") + bytes(range(20))
IPV6 = MACS + b"\x86\xdd" + bytes.fromhex("60000000001411ff") + bytes(range(32)) + bytes(range(20))
VLAN = MACS + b"\x81\x00\x20\x05" + IPV4[12:]
QINQ = MACS + b"\x88\xa8\x10\x02\x81\x00\x20\x05" + IPV4[12:]
IEEE_802_3 = MACS + b"\x81\x00\x20\x05\x00\x30\xff\xff" + bytes(48)

packets = st.one_of(
    st.sampled_from([IPV4, IPV6, VLAN, QINQ, IEEE_802_3, bytes(14)]),
    st.binary(max_size=60).map(lambda tail: MACS + b"\x12\x34" + tail),
    st.binary(max_size=6).map(lambda tail: MACS + b"\x81\x00\x20\x05" + tail),
)
offsets = st.one_of(
    st.integers(0, 90), st.sampled_from([(1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 0xFFFF, 0x10000])
)
lengths = st.one_of(st.integers(0, 100), st.sampled_from([MAX_LENGTH, MAX_LENGTH + 1, 1 << 31, (1 << 32) - 1]))
flags = st.sampled_from([0, 0, 0, 0, 1])

loads = st.builds(
    lambda offset, size: ("bpf_skb_load_bytes", offset, Memory(b"\xaa" * size), size), offsets, st.integers(1, 24)
)
relative_loads = st.builds(
    lambda offset, size, start: ("bpf_skb_load_bytes_relative", offset, Memory(b"\xaa" * size), size, start),
    offsets, st.integers(1, 24), st.sampled_from([0, 1, 0, 1, 2, 1 << 32]),
)  # fmt: skip
stores = st.builds(
    lambda offset, content, flags: ("bpf_skb_store_bytes", offset, Memory(content), len(content), flags),
    offsets, st.binary(min_size=1, max_size=24), st.sampled_from([0, 1, 2, 3, 4, 1 << 40]),
)  # fmt: skip
pulls = st.tuples(st.just("bpf_skb_pull_data"), lengths)
tails = st.tuples(st.just("bpf_skb_change_tail"), lengths, flags)
heads = st.tuples(st.just("bpf_skb_change_head"), lengths, flags)
vlan_pushes = st.tuples(
    st.just("bpf_skb_vlan_push"), st.sampled_from([0x0081, 0xA888, 0, 0x10081]), st.integers(0, 0x1FFFF)
)
vlan_pops = st.just(("bpf_skb_vlan_pop",))
types = st.tuples(st.just("bpf_skb_change_type"), st.integers(0, 8))
protocols = st.tuples(st.just("bpf_skb_change_proto"), st.sampled_from([0x0008, 0xDD86, 0xDD86, 0x0608]), flags)
rooms = st.tuples(
    st.just("bpf_skb_adjust_room"),
    st.one_of(st.integers(-60, 60), st.sampled_from([-4, 4, 20, -20, 40, 4095, 4096, -4096, 1 << 31])),
    st.sampled_from([0, 1, 0, 1, 2]),
    st.one_of(
        st.just(0),
        st.sampled_from([1 << bit for bit in range(10)]),
        st.sets(st.integers(0, 8), max_size=4).map(lambda bits: sum(1 << bit for bit in bits)),
        st.sampled_from([2 | 64 | 14 << 56, 2 | 64 | 13 << 56, 2 | 8 | 4 << 56, 4 | 16 | 255 << 56]),
    ),
)


def is_cut_and_moved(calls: list[tuple[str, *tuple[Argument, ...]]]) -> bool:
    """Whether the packet may be cut, moved to a larger buffer, and headers that it no longer has be moved.

    The kernel moves the bytes behind the packet's end then, and those of a larger buffer are anybody's guess.
    """
    growth, cut, moves = 0, False, False
    for name, *arguments in calls:
        cut = cut or name == "bpf_skb_change_tail"
        if name in ("bpf_skb_change_head", "bpf_skb_adjust_room"):
            length = arguments[0]
            assert isinstance(length, int)
            growth += max(length, 0) if length <= MAX_LENGTH else 0
        elif name in ("bpf_skb_change_proto", "bpf_skb_vlan_push"):
            growth += 20
        moves = moves or (cut and name in ("bpf_skb_adjust_room", "bpf_skb_change_proto", "bpf_skb_vlan_push"))
    return moves and growth > 64


def on_packet(
    caller: KernelCaller, packet: bytes, calls: list[tuple[str, *tuple[Argument, ...]]], program_type: ProgramType = TC
) -> tuple[Outcome, Outcome]:
    """What the calls lead to here and in the kernel."""
    made = [helper_call(name, CONTEXT, *arguments) for name, *arguments in calls]
    return run_here(made, program_type, packet), caller.run(made, program_type, packet)


COMPARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@COMPARED
@given(packet=packets, calls=st.lists(st.one_of(loads, relative_loads, stores, pulls, types), min_size=1, max_size=6))
def test_access_as_the_kernel(in_kernel: KernelCaller, packet: bytes, calls: list[tuple[str]]) -> None:
    here, there = on_packet(in_kernel, packet, calls)
    assert here == there


@COMPARED
@given(packet=packets, calls=st.lists(st.one_of(loads, relative_loads), min_size=1, max_size=6))
def test_socket_filters_as_the_kernel(in_kernel: KernelCaller, packet: bytes, calls: list[tuple[str]]) -> None:
    """They see the packet behind the link-layer header, which relative loads reach."""
    here, there = on_packet(in_kernel, packet, calls, SOCKET_FILTER)
    assert here == there


@COMPARED
@given(packet=packets, calls=st.lists(st.one_of(tails, heads, loads, relative_loads, pulls), min_size=1, max_size=6))
def test_lengths_as_the_kernel(in_kernel: KernelCaller, packet: bytes, calls: list[tuple[str]]) -> None:
    here, there = on_packet(in_kernel, packet, calls)
    assert here == there


@COMPARED
@given(packet=packets, calls=st.lists(st.one_of(vlan_pushes, vlan_pops, relative_loads, tails), min_size=1, max_size=7))
@example(packet=VLAN, calls=[("bpf_skb_vlan_pop",), ("bpf_skb_vlan_push", 0xA888, 7), ("bpf_skb_vlan_push", 0x81, 8)])
@example(
    packet=IPV4,
    calls=[
        ("bpf_skb_vlan_push", 0x81, 1),
        ("bpf_skb_change_head", 2, 0),
        ("bpf_skb_vlan_push", 0x81, 1),
        ("bpf_skb_load_bytes_relative", 0, Memory(b"?"), 1, 1),
    ],
)
def test_vlan_as_the_kernel(in_kernel: KernelCaller, packet: bytes, calls: list[tuple[str]]) -> None:
    assume(not is_cut_and_moved(calls))
    here, there = on_packet(in_kernel, packet, calls)
    assert here == there


@pytest.mark.parametrize(
    "flags",
    [
        *(0, 1, 32, ENCAP_IPV4, ENCAP_IPV6, ENCAP_IPV4 | GRE, ENCAP_IPV6 | UDP, DECAP_IPV4, DECAP_IPV6, GRE, 1 << 9),
        *(ENCAP_IPV4 | ENCAP_IPV6, ENCAP_IPV4 | GRE | UDP, DECAP_IPV4 | DECAP_IPV6, ENCAP_IPV4 | DECAP_IPV4),
        *(ENCAP_IPV4 | ETHERNET | 14 << 56, ENCAP_IPV4 | ETHERNET | 13 << 56, ENCAP_IPV6 | 30 << 56),
    ],
)
@pytest.mark.parametrize("packet", [IPV4, IPV6, VLAN], ids=["ipv4", "ipv6", "vlan"])
def test_adjust_room_as_the_kernel(in_kernel: KernelCaller, packet: bytes, flags: int) -> None:
    """Twice each: a packet is encapsulated only once, and its end cannot be changed then."""
    for length in (4, 20, 40, -4, -20, -21, -40, -60):
        for mode in (0, 1, 2):
            adjust = ("bpf_skb_adjust_room", length, mode, flags)
            protocol = ("bpf_skb_change_proto", 0xDD86, 0)
            here, there = on_packet(in_kernel, packet, [adjust, protocol, adjust])
            assert here == there
            here, there = on_packet(in_kernel, packet, [adjust, ("bpf_skb_change_tail", 70, 0)])
            assert here == there


@COMPARED
@given(
    packet=packets, calls=st.lists(st.one_of(protocols, rooms, rooms, relative_loads, tails), min_size=1, max_size=6)
)
def test_headers_as_the_kernel(in_kernel: KernelCaller, packet: bytes, calls: list[tuple[str]]) -> None:
    assume(not is_cut_and_moved(calls))
    here, there = on_packet(in_kernel, packet, calls)
    assert here == there


@COMPARED
@given(
    packet=packets,
    calls=st.lists(
        st.one_of(protocols, rooms, vlan_pushes, vlan_pops, tails, heads, stores, relative_loads),
        min_size=1,
        max_size=9,
    ),
)
def test_all_of_them_as_the_kernel(in_kernel: KernelCaller, packet: bytes, calls: list[tuple[str]]) -> None:
    assume(not is_cut_and_moved(calls))
    here, there = on_packet(in_kernel, packet, calls)
    assert here == there


# What becomes of the transport header, which a test run does not set: calls on IPV4, and the last one's result.
TRANSPORT_HEADERS = [
    # The head of the buffer grows by 64 bytes, and 0xFFFF becomes 63: 23 bytes behind the start of the packet.
    ([("bpf_skb_change_head", 88, 0), ("bpf_skb_change_tail", 23, 0)], 0),
    ([("bpf_skb_change_head", 88, 0), ("bpf_skb_change_tail", 22, 0)], EINVAL),
    # 64 bytes are there: nothing grows, and the least length is up to the network header.
    ([("bpf_skb_change_head", 64, 0), ("bpf_skb_change_tail", 78, 0)], 0),
    ([("bpf_skb_change_head", 64, 0), ("bpf_skb_change_tail", 77, 0)], EINVAL),
    ([("bpf_skb_adjust_room", 1277, 0, 0), ("bpf_skb_change_tail", 1212, 0)], 0),
    ([("bpf_skb_adjust_room", 1277, 0, 0), ("bpf_skb_change_tail", 1211, 0)], EINVAL),
    ([("bpf_skb_adjust_room", 28, 1, ENCAP_IPV4 | UDP), ("bpf_skb_change_tail", 33, 0)], EINVAL),
    ([("bpf_skb_adjust_room", 28, 1, ENCAP_IPV4 | UDP), ("bpf_skb_change_tail", 34, 0)], ENOTSUPP),
    ([("bpf_skb_adjust_room", 48, 1, ENCAP_IPV6 | GRE), ("bpf_skb_change_tail", 53, 0)], EINVAL),
    ([("bpf_skb_adjust_room", 48, 1, ENCAP_IPV6 | GRE), ("bpf_skb_change_tail", 54, 0)], ENOTSUPP),
    # The headers' marks meet, and stay together from then on.
    ([("bpf_skb_adjust_room", 79, 1, 0), ("bpf_skb_change_head", 5, 0), ("bpf_skb_change_tail", 18, 0)], EINVAL),
    ([("bpf_skb_adjust_room", 79, 1, 0), ("bpf_skb_adjust_room", 4, 1, 0), ("bpf_skb_change_tail", 14, 0)], 0),
]


@pytest.mark.parametrize(("calls", "result"), TRANSPORT_HEADERS)
def test_the_least_length(calls: list[tuple[str, *tuple[Argument, ...]]], result: int) -> None:
    made = [helper_call(name, CONTEXT, *arguments) for name, *arguments in calls]
    assert run_here(made, TC, IPV4).answers[-1].signed == result


@pytest.mark.parametrize("calls", [calls for calls, _ in TRANSPORT_HEADERS])
def test_the_least_length_as_the_kernel(
    in_kernel: KernelCaller, calls: list[tuple[str, *tuple[Argument, ...]]]
) -> None:
    here, there = on_packet(in_kernel, IPV4, calls)
    assert here == there


def segmented(*, size: int = 100, segments: int = 7) -> bytes:
    """struct __sk_buff as a test run takes it."""
    ctx = bytearray(192)
    ctx[164:168] = segments.to_bytes(4, "little")
    ctx[176:180] = size.to_bytes(4, "little")
    return bytes(ctx)


# Packets of generic segmentation offload, whose kind of segments a test run does not set: (helper, arguments), result.
SEGMENTED = [
    ("bpf_skb_adjust_room", (20, 1, 0), ENOTSUPP),
    ("bpf_skb_adjust_room", (20, 1, 1), ENOTSUPP),
    ("bpf_skb_adjust_room", (-4, 1, 0), ENOTSUPP),
    ("bpf_skb_adjust_room", (-4, 1, ENCAP_IPV4), EINVAL),
    ("bpf_skb_change_head", (MAX_LENGTH, 0), 0),
    ("bpf_skb_change_head", ((1 << 32) - 20, 0), EINVAL),
    ("bpf_skb_change_head", (1 << 31, 0), EINVAL),
    ("bpf_skb_change_tail", (50, 0), 0),
]


def segmented_packet(helper: str) -> bytes:
    """A packet so short that the largest arguments do not overflow its length."""
    return VLAN[:18] if helper == "bpf_skb_change_head" else IPV4


def segmented_here(helper: str, arguments: tuple[int, ...], ctx: bytes) -> tuple[int, SkbContext]:
    caller = Caller(program_type=TC)
    context = make_context(TC, packet=segmented_packet(helper), ctx=ctx)
    (caller.machine.registers[6],) = context.enter(caller.machine)
    caller.machine.context = context
    return caller.call(helper, CONTEXT, *arguments).signed, skb_of(caller)


@pytest.mark.parametrize(("helper", "arguments", "result"), SEGMENTED)
def test_segmented_packets(helper: str, arguments: tuple[int, ...], result: int) -> None:
    assert segmented_here(helper, arguments, segmented())[0] == result


@pytest.mark.parametrize(("helper", "arguments"), [case[:2] for case in SEGMENTED])
@pytest.mark.parametrize("size", [0, 100])
def test_segmented_packets_as_the_kernel(
    in_kernel: KernelCaller, helper: str, arguments: tuple[int, ...], size: int
) -> None:
    """gso_segs is what the context says afterwards of the segments."""
    ctx = segmented(size=size)
    code = CONTEXT_TO_R6 + b"".join(load_number(register, value) for register, value in enumerate(arguments, start=2))
    code += call(Caller().id_of(helper)) + bytes([0x95, *bytes(7)])
    with KernelProgram.load(TC, code) as program:
        there = program.test_run(segmented_packet(helper), ctx)
    result, skb = segmented_here(helper, arguments, ctx)
    assert result & (1 << 32) - 1 == there.retval
    assert skb.packet == there.data_out
    assert skb.structure() == there.ctx_out


@pytest.mark.parametrize("length", [65500, 1 << 20, (1 << 31) - 1])
def test_a_packet_grows_no_further_than_its_headers_have_offsets(length: int) -> None:
    """The kernel grows up to 4 MiB and leaves the lower 16 bits of its offsets."""
    result, skb = segmented_here("bpf_skb_change_head", (length, 0), segmented())
    assert (result, skb.length) == (ENOMEM, 18)
    assert segmented_here("bpf_skb_change_head", (65000, 0), segmented())[1].length == 65018


# --- what a test run does not show ------------------------------------------------------------------------------------


@pytest.fixture
def tc() -> Caller:
    """A caller whose context is a packet of sched_cls."""
    caller = Caller(program_type=TC)
    context = make_context(TC, packet=IPV4)
    (caller.machine.registers[6],) = context.enter(caller.machine)
    caller.machine.context = context
    return caller


def test_segments_are_counted_anew_when_headers_change(tc: Caller) -> None:
    """Generic segmentation offload: the segment size follows the headers, unless the program forbids that."""
    skb = skb_of(tc)
    fixed, encap = 1, 2
    skb.set_field("gso_type", 1)  # SKB_GSO_TCPV4
    for length, flags, size in ((20, 0, 980), (-20, 0, 1000), (20, fixed | encap, 1000), (-20, fixed, 1000)):
        skb.set_field("gso_size", 1000 if flags else skb.field("gso_size") or 1000)
        skb.set_field("gso_segs", 3)
        assert tc.call("bpf_skb_adjust_room", CONTEXT, length, 1, flags).r0 == 0
        assert (skb.field("gso_size"), skb.field("gso_segs")) == (size, 0)
        skb.set_field("encapsulation", 0)
    assert tc.call("bpf_skb_change_tail", CONTEXT, 50, 0).r0 == 0
    assert skb.field("gso_size") == 0


def test_datagrams_keep_their_length_when_headers_change(tc: Caller) -> None:
    skb = skb_of(tc)
    skb.set_field("gso_size", 1000)
    skb.set_field("gso_type", 1 << 17)  # SKB_GSO_UDP_L4
    for length in (20, -20):
        assert tc.call("bpf_skb_adjust_room", CONTEXT, length, 1, 0).signed == ENOTSUPP
        assert tc.call("bpf_skb_adjust_room", CONTEXT, length, 1, 1).r0 == 0
    assert skb.field("gso_size") == 1000


def test_the_number_of_segments_stays_where_nothing_is_segmented(tc: Caller) -> None:
    skb = skb_of(tc)
    skb.set_field("gso_segs", 7)
    assert tc.call("bpf_skb_change_tail", CONTEXT, 50, 0).r0 == 0
    assert skb.field("gso_segs") == 7


def test_changing_headers_gives_up_what_the_device_verified(tc: Caller) -> None:
    skb = skb_of(tc)
    for flags, summed in ((32, 1), (0, 0)):
        skb.set_field("ip_summed", 1)
        skb.set_field("csum_level", 2)
        assert tc.call("bpf_skb_adjust_room", CONTEXT, 4, 1, flags).r0 == 0
        assert (skb.field("ip_summed"), skb.field("csum_level")) == (summed, 2 * summed)


@pytest.mark.parametrize(
    ("helper", "arguments"),
    [
        ("bpf_skb_vlan_push", (0x81, 5)),
        ("bpf_skb_vlan_pop", ()),
        ("bpf_skb_adjust_room", (-8, 1, 0)),
        ("bpf_skb_adjust_room", (8, 1, 0)),
    ],
)
def test_the_devices_checksum_follows_the_headers(helper: str, arguments: tuple[int, ...]) -> None:
    """Twice: the second tag that is pushed moves the first into the packet."""
    caller = Caller(program_type=TC)
    context = make_context(TC, packet=QINQ if "vlan" in helper else IPV4)
    (caller.machine.registers[6],) = context.enter(caller.machine)
    caller.machine.context = context
    skb = skb_of(caller)
    skb.set_field("ip_summed", 2)
    skb.set_field("csum", csum_partial(skb.packet, 0))
    for _ in range(2):
        assert caller.call(helper, CONTEXT, *arguments).r0 == 0
        assert csum_fold(skb.field("csum")) == csum_fold(csum_partial(skb.packet, 0))


def skb_of(caller: Caller) -> SkbContext:
    context = caller.machine.context
    assert isinstance(context, SkbContext)
    return context


def test_the_hash_is_computed_once_and_can_be_set_and_forgotten(tc: Caller) -> None:
    first = tc.call("bpf_get_hash_recalc", CONTEXT).r0
    assert first != 0
    assert tc.call("bpf_get_hash_recalc", CONTEXT).r0 == first
    assert tc.call("bpf_set_hash", CONTEXT, 1 << 32 | 7).r0 == 0
    assert tc.call("bpf_get_hash_recalc", CONTEXT).r0 == 7
    assert tc.call("bpf_set_hash_invalid", CONTEXT).r0 == 0
    assert tc.call("bpf_get_hash_recalc", CONTEXT).r0 == first
    tc.call("bpf_set_hash", CONTEXT, 7)
    tc.call("bpf_skb_store_bytes", CONTEXT, 0, Memory(b"x"), 1, 2)
    assert tc.call("bpf_get_hash_recalc", CONTEXT).r0 not in (7, 0)


def test_a_tag_stays_beside_the_packet(tc: Caller) -> None:
    assert tc.call("bpf_skb_vlan_push", CONTEXT, 0xA888, 0x2005).r0 == 0
    skb = skb_of(tc)
    assert (skb.field("vlan_present"), skb.field("vlan_proto"), skb.field("vlan_tci")) == (1, 0xA888, 0x2005)
    assert skb.packet == IPV4
    assert tc.call("bpf_skb_vlan_pop", CONTEXT).r0 == 0
    assert skb.field("vlan_present") == 0


def test_changing_the_packet_makes_its_addresses_fault(tc: Caller) -> None:
    memory = tc.machine.memory
    context = tc.machine.registers[6]
    assert context is not None
    data = memory.load(context + 76, 4)
    assert memory.find(data) is not None or data  # what a load of data gives is an address of the packet
    before = {region.base for region in memory if region.name == "packet"}
    tc.call("bpf_skb_load_bytes", CONTEXT, 0, Memory(bytes(4)), 4)
    assert {region.base for region in memory if region.name == "packet"} == before
    tc.call("bpf_skb_change_tail", CONTEXT, 5, 0)
    assert not before & {region.base for region in memory if region.name == "packet"}


@pytest.mark.parametrize(("uid", "cookie"), [(0, 1)])
def test_sockets(tc: Caller, uid: int, cookie: int) -> None:
    assert tc.call("bpf_get_socket_uid", CONTEXT).r0 == uid
    assert tc.call("bpf_get_socket_cookie", CONTEXT).r0 == cookie
    assert tc.call("bpf_get_cgroup_classid", CONTEXT).r0 == 0
