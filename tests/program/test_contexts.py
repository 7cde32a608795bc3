"""Contexts on their own: what they take, what they refuse, and what programs may do with them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program.contexts_support import PACKETS, enter

from pybpftime.errors import Fault, FaultKind, InputError, InternalError
from pybpftime.helpers.packet_access import FIELDS, PacketBuffer
from pybpftime.machine import LEVELS, LINUX, STRICT, Machine
from pybpftime.program.contexts import Context, make_context
from pybpftime.program.contexts.memory import MemoryContext
from pybpftime.program.contexts.skb import SkbContext
from pybpftime.program.contexts.xdp import XdpContext
from pybpftime.program.types import PROGRAM_TYPES, ContextKind
from pybpftime.uapi import AttachType, ProgramType

P = ProgramType
RAW, XDP, TC, SOCKET, CGROUP = (
    P.BPF_PROG_TYPE_UNSPEC,
    P.BPF_PROG_TYPE_XDP,
    P.BPF_PROG_TYPE_SCHED_CLS,
    P.BPF_PROG_TYPE_SOCKET_FILTER,
    P.BPF_PROG_TYPE_CGROUP_SKB,
)
KPROBE, TRACEPOINT, RAW_TRACEPOINT, PERF_EVENT, SYSCALL = (
    P.BPF_PROG_TYPE_KPROBE,
    P.BPF_PROG_TYPE_TRACEPOINT,
    P.BPF_PROG_TYPE_RAW_TRACEPOINT,
    P.BPF_PROG_TYPE_PERF_EVENT,
    P.BPF_PROG_TYPE_SYSCALL,
)
PACKET = PACKETS["ipv4"]


def xdp(packet: bytes = PACKET, ctx: Mapping[str, Any] | None = None) -> XdpContext:
    context = make_context(XDP, packet=packet, ctx=ctx)
    assert isinstance(context, XdpContext)
    return context


def skb(program_type: ProgramType = TC, packet: bytes = PACKET, ctx: Mapping[str, Any] | None = None) -> SkbContext:
    context = make_context(program_type, packet=packet, ctx=ctx)
    assert isinstance(context, SkbContext)
    return context


def load(context: Context, offset: int, size: int) -> int:
    machine, r1 = enter(context)
    return machine.memory.load(r1 + offset, size)


# --- which inputs belong to which type --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program_type", "given", "words"),
    [
        (XDP, {}, "type xdp runs on a packet, and none was given"),
        (KPROBE, {"packet": PACKET}, "type kprobe takes no packet"),
        (RAW, {"packet": PACKET}, "type raw takes no packet"),
        (TC, {"packet": PACKET, "mem": b""}, "takes no plain memory"),
        (RAW, {"ctx": {}}, "takes plain memory and no context"),
        (KPROBE, {"ctx": [1]}, "fields by name, or bytes, not list"),
        (P.BPF_PROG_TYPE_LSM, {}, "type lsm cannot be run here: it is attached to a function of the kernel"),
        (XDP, {"packet": bytes(13)}, r"at least 14 bytes \(an Ethernet header\), not 13"),
        (XDP, {"packet": bytes((1 << 18) + 1)}, "at most 262144 bytes"),
        (XDP, {"packet": PACKET, "ctx": {"mark": 1}}, "no field named 'mark'; it has egress_ifindex"),
        (XDP, {"packet": PACKET, "ctx": {"metadata": "abc"}}, "metadata: 'abc' is no text of hex digits"),
        (
            XDP,
            {"packet": PACKET, "ctx": {"metadata": "aabbcc"}},
            "metadata: the length 3 is not a multiple of 4",
        ),
        (XDP, {"packet": PACKET, "ctx": {"metadata": 4}}, "metadata: expected bytes as hex digits, not int"),
        (XDP, {"packet": PACKET, "ctx": {"ingress_ifindex": 1 << 32}}, "ingress_ifindex: 4294967296 does not fit 32"),
        (TC, {"packet": PACKET, "ctx": {"data": 1}}, "no field named 'data'"),
        (TC, {"packet": PACKET, "ctx": {"mark": 1.5}}, "mark: expected a number, not float"),
        (TC, {"packet": PACKET, "ctx": {"mark": "one"}}, "mark: 'one' is no number"),
        (TC, {"packet": PACKET, "ctx": {"mark": 10**5000}}, "mark: a number of 16610 bits does not fit 32 bits"),
        (TC, {"packet": PACKET, "ctx": {"tc_index": 65536}}, "tc_index: 65536 does not fit 16 bits"),
        (TC, {"packet": PACKET, "ctx": {"cb": [0] * 6}}, "cb: expected a list of up to 5 numbers"),
        (TC, {"packet": PACKET, "ctx": {"cb": [0, "x"]}}, r"cb\[1\]: 'x' is no number"),
        (TC, {"packet": PACKET, "ctx": {"wire_len": 1}}, "wire_len: 1 is not between the packet's length, 50"),
        (TC, {"packet": PACKET, "ctx": {"local_ip4": "::1"}}, "local_ip4: '::1' is no IPv4 address"),
        (TC, {"packet": PACKET, "ctx": b"\1"}, "__sk_buff.len: a test run takes no value for it"),
        (KPROBE, {"ctx": {"arch": []}}, "arch: registers are those of x86_64 or arm64"),
        (KPROBE, {"ctx": {"x0": 1}}, "no register named 'x0'; there is r15"),
        (KPROBE, {"ctx": bytes(8)}, "registers have 168 bytes on x86-64 and 272 on arm64, not 8"),
        (PERF_EVENT, {"ctx": bytes(8)}, "has 184 bytes, not 8"),
        (TRACEPOINT, {"ctx": bytes(7)}, "has 8 to 8192 bytes, not 7"),
        (TRACEPOINT, {"ctx": {"nosuch": 1}}, "no field named 'nosuch'"),
        (TRACEPOINT, {"ctx": {"args": 1}}, "args: expected a list of up to 6 numbers"),
        (TRACEPOINT, {"ctx": {"args": [0] * 7}}, "args: a value of 56 bytes does not fit 48"),
        (TRACEPOINT, {"ctx": {"format": 1}}, "format: expected the text"),
        (RAW_TRACEPOINT, {"ctx": {"args": [0] * 13}}, "up to 96 bytes, 8 each, not 104"),
        (RAW_TRACEPOINT, {"ctx": bytes(7)}, "8 each, not 7"),
        (RAW_TRACEPOINT, {"ctx": {"args": {}}}, "args: expected a list"),
        (SYSCALL, {"ctx": bytes(65536)}, "at most 65535 bytes"),
        (SYSCALL, {"ctx": {"mem": ""}}, "no field named 'mem'; it has bytes"),
    ],
)
def test_input_that_does_not_fit_is_refused_in_one_sentence(
    program_type: ProgramType, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        make_context(program_type, **given)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
keys = st.sampled_from(
    (*FIELDS, "cb", "wire_len", "local_ip6", "metadata", "arch", "di", "args", "ret", "id", "format", "bytes")
)
served = st.sampled_from([info for info in PROGRAM_TYPES.values() if info.context not in (None, ContextKind.MEMORY)])


@given(
    info=served,
    ctx=json | st.dictionaries(keys, json, max_size=3) | st.binary(max_size=300),
    packet=st.binary(max_size=70),
)
def test_whatever_is_given_makes_a_context_or_an_input_error(info: Any, ctx: Any, packet: bytes) -> None:
    try:
        context = make_context(info.type, packet=packet if info.takes_packet else None, ctx=ctx)
    except InputError:
        return
    enter(context)
    assert isinstance(context.fields(), dict)


# --- plain memory -----------------------------------------------------------------------------------------------------


def test_a_raw_program_gets_address_and_length() -> None:
    context = make_context(RAW, mem=bytes(range(16)))
    machine = Machine()
    r1, r2 = context.enter(machine)
    assert r2 == 16
    assert context.fields() == {}
    assert context.packet is None
    assert machine.memory.update(r1 + 8, 8, lambda old: 1) == 0x0F0E0D0C0B0A0908
    assert context.fields() == {"mem": "0001020304050607" + "0100000000000000"}


@pytest.mark.parametrize("mem", [None, b""])
def test_a_raw_program_without_memory_gets_zeros(mem: bytes | None) -> None:
    context = make_context(RAW, mem=mem)
    assert isinstance(context, MemoryContext)
    assert context.enter(Machine()) == (0, 0)


def test_a_syscall_program_without_context_gets_a_null_pointer() -> None:
    assert make_context(SYSCALL).enter(Machine()) == (0,)
    assert make_context(SYSCALL, ctx={"bytes": "0x0102"}).fields() == {}


# --- rules of access --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS.values(), ids=lambda level: level.name)
def test_fields_have_their_rules_at_every_level(level: Any) -> None:
    machine, r1 = enter(xdp(), level)
    for offset, size, kind, words in (
        (0, 8, FaultKind.PERMISSION, "load of 8 bytes at xdp_md.data: a load of field data has 4 bytes"),
        (2, 4, FaultKind.ALIGNMENT, "load of 4 bytes at xdp_md.data+2: a load of field data is aligned to its size"),
        (20, 4, FaultKind.PERMISSION, "xdp_md.egress_ifindex: programs of this type may not load field egress_ifindex"),
        (24, 4, FaultKind.MEMORY, "load of 4 bytes at xdp_md+24: outside struct xdp_md, which has 24 bytes"),
    ):
        with pytest.raises(Fault, match=words.replace("+", r"\+")) as refused:
            machine.memory.load(r1 + offset, size)
        assert (refused.value.kind, refused.value.address) == (kind, r1 + offset)
    with pytest.raises(Fault, match="read-only"):
        machine.memory.store(r1, 4, 0)
    with pytest.raises(Fault, match="a context takes none"):
        machine.memory.update(r1 + 12, 4, lambda old: old)


def test_helpers_take_no_translated_context_as_memory() -> None:
    machine, r1 = enter(skb())
    for access in (lambda: machine.memory.read(r1, 8), lambda: machine.memory.write(r1, b"1")):
        with pytest.raises(Fault, match="no context as memory"):
            access()


def test_egress_ifindex_is_there_for_a_program_of_a_devmap() -> None:
    context = make_context(XDP, packet=PACKET, ctx={"egress_ifindex": 9}, attach_type=AttachType.BPF_XDP_DEVMAP)
    assert load(context, 20, 4) == 9


@pytest.mark.parametrize(("program_type", "writable"), [(XDP, True), (TC, True), (CGROUP, False)])
def test_packets_are_written_where_the_type_may(program_type: ProgramType, writable: bool) -> None:
    context = make_context(program_type, packet=PACKET)
    layout = PROGRAM_TYPES[program_type].layout
    assert layout is not None
    machine, r1 = enter(context)
    data = machine.memory.load(r1 + layout.field("data").offset, 4)
    first = PACKET[14] if program_type is CGROUP else PACKET[0]
    assert machine.memory.load(data, 1) == first
    if writable:
        machine.memory.store(data, 2, 0xBBAA)
        assert context.packet == b"\xaa\xbb" + PACKET[2:]
    else:
        with pytest.raises(Fault, match="store of 2 bytes at packet: it is read-only"):
            machine.memory.store(data, 2, 0xBBAA)
    with pytest.raises(Fault, match="packet takes none"):
        machine.memory.update(data, 4, lambda old: old)


def test_a_fault_beyond_the_packet_says_by_how_much() -> None:
    machine, r1 = enter(xdp(bytes(60), {"metadata": "00" * 8}))
    data, meta = machine.memory.load(r1, 4), machine.memory.load(r1 + 8, 4)
    assert machine.memory.describe(meta) == "packet-8"
    with pytest.raises(Fault, match=r"load of 4 bytes at packet\+58: 2 bytes past the end"):
        machine.memory.load(data + 58, 4)


def test_strict_alignment_of_packets_is_that_behind_an_ethernet_header() -> None:
    machine, r1 = enter(xdp(), STRICT)
    data = machine.memory.load(r1, 4)
    assert machine.memory.load(data + 14, 4) == int.from_bytes(PACKET[14:18], "little")
    with pytest.raises(Fault, match=r"not aligned to 4: a packet begins 2 bytes behind .* \(NET_IP_ALIGN\)"):
        machine.memory.load(data + 16, 4)
    assert enter(xdp(), LINUX)[0].memory.load(data + 15, 4)


# --- packets that change ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [xdp(), skb()], ids=["xdp", "skb"])
def test_packet_contexts_are_what_helpers_expect(context: XdpContext | SkbContext) -> None:
    assert isinstance(context, PacketBuffer)
    assert context.length == len(PACKET)
    assert context.read(12, 2) == b"\x08\x00"
    context.write(0, b"\x01\x02")
    assert context.packet == b"\x01\x02" + PACKET[2:]
    assert context.hard_end >= context.end
    assert context.headroom >= 0
    context.write(0, PACKET[:2])


def test_what_a_kind_of_packet_does_not_have_is_our_bug() -> None:
    with pytest.raises(InternalError):
        xdp().field("mark")
    with pytest.raises(InternalError):
        xdp().set_field("mark", 1)
    with pytest.raises(InternalError):
        skb().adjust_meta(-4)


def test_addresses_from_before_a_change_fault() -> None:
    context = xdp()
    machine, r1 = enter(context)
    old = machine.memory.load(r1, 4)
    assert context.adjust_head(14) == 0
    context.invalidate()
    with pytest.raises(Fault):
        machine.memory.load(old, 1)
    assert machine.memory.load(machine.memory.load(r1, 4), 1) == PACKET[14]


def test_a_run_after_a_run_goes_on_with_what_is_there() -> None:
    context = xdp()
    machine, _ = enter(context)
    context.adjust_head(-4)
    machine.memory.reset_transient()
    (r1,) = context.enter(machine)
    assert machine.memory.load(r1 + 4, 4) - machine.memory.load(r1, 4) == len(PACKET) + 4
    assert context.packet == bytes(4) + PACKET


def test_a_long_frame_is_linear() -> None:
    packet = os.urandom(9000)
    context = xdp(packet)
    assert context.packet == packet
    assert context.adjust_tail(context.hard_end - context.end) == 0
    assert context.adjust_tail(1) == -22
    assert skb(packet=packet).packet == packet


def test_a_socket_buffer_grows_at_both_ends() -> None:
    context = skb()
    machine, r1 = enter(context)
    before = context.field("network_header") - context.head
    assert context.adjust_head(-200) == 0
    assert context.adjust_tail(100) == 0
    assert context.packet == bytes(200) + PACKET + bytes(100)
    assert machine.memory.load(r1, 4) == context.length == len(PACKET) + 300
    assert context.field("network_header") - context.head == before + 200
    context.invalidate()
    assert machine.memory.read(machine.memory.load(r1 + 76, 4), context.length) == context.packet
    assert context.adjust_head(200) == 0
    assert context.adjust_tail(-100) == 0
    assert context.packet == PACKET


def test_bytes_left_behind_are_not_seen_again() -> None:
    context = skb()
    context.adjust_head(20)
    context.adjust_head(-4)
    context.adjust_tail(-10)
    context.adjust_tail(2)
    assert context.packet == bytes(4) + PACKET[20:-10] + bytes(2)


def test_fields_that_helpers_set_show_in_the_structure() -> None:
    context = skb()
    for name in FIELDS:
        assert isinstance(context.field(name), int)
        context.set_field(name, 1)
        assert context.field(name) == 1
    machine, r1 = enter(context)
    assert machine.memory.load(r1 + 20, 4) == 1  # vlan_present
    assert context.fields()["vlan_tci"] == 1


def test_what_sees_no_ethernet_header_leaves_zeros_there() -> None:
    assert skb(SOCKET).packet == bytes(14) + PACKET[14:]
    assert skb(SOCKET).length == len(PACKET) - 14


@pytest.mark.parametrize(("program_type", "served"), [(TC, True), (SOCKET, True), (CGROUP, False)])
def test_legacy_loads_are_for_the_types_that_have_them(program_type: ProgramType, served: bool) -> None:
    context = skb(program_type)
    if served:
        assert context.load_legacy(0xFFF0_0000, 2) == 0x4500
        assert context.load_legacy(0xFFE0_0000 + 12, 2) == 0x0800
        assert context.load_legacy(len(PACKET), 1) is None
        assert context.load_legacy(0x8000_0000, 1) is None
    else:
        with pytest.raises(Fault, match="cgroup_skb have no legacy packet access"):
            context.load_legacy(0, 1)


def test_legacy_loads_of_headers_that_were_moved_out_of_the_buffer() -> None:
    context = skb()
    context.set_field("mac_header", -1)
    assert context.load_legacy(0xFFE0_0000, 1) is None


# --- fields afterwards ------------------------------------------------------------------------------------------------

GIVEN = {
    "mark": 0xDEADBEEF,
    "cb": [1, 2, 3, 4, 5],
    "tstamp": 1 << 60,
    "hash": 77,
    "vlan_present": 1,
    "vlan_tci": 100,
    "ifindex": 3,
    "wire_len": 1000,
    "family": 10,
}


def test_fields_that_were_given_are_there_afterwards() -> None:
    assert skb().fields() == {}
    assert skb(ctx=GIVEN).fields() == GIVEN
    assert skb(ctx={"ifindex": 0, "mark": "0x10", "cb": (7,)}).fields() == {
        "mark": 16,
        "cb": [7, 0, 0, 0, 0],
        "wire_len": len(PACKET),
    }
    assert skb(ctx={"remote_ip6": "::1", "local_ip4": "10.0.0.9"}).fields()["remote_ip6"] == [0, 0, 0, 1 << 24]
    assert xdp(ctx={"metadata": "01020304", "rx_queue_index": 2}).fields() == {
        "metadata": "01020304",
        "rx_queue_index": 2,
    }
    assert xdp(ctx={"ingress_ifindex": 4}).packet == PACKET


def test_numbers_may_be_negative() -> None:
    assert skb(ctx={"mark": -1}).fields()["mark"] == 0xFFFF_FFFF


def test_a_frame_with_a_cut_header_runs_without_addresses() -> None:
    for packet in (PACKETS["ipv4"][:33], PACKETS["ipv6 multicast"][:53]):
        machine, r1 = enter(skb(CGROUP, packet))
        assert [machine.memory.load(r1 + offset, 4) for offset in (88, 92, 96, 100, 116)] == [0] * 5
