"""The table of program types, held against libbpf's names, and how layouts judge accesses."""

from __future__ import annotations

import ctypes
import ctypes.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.errors import FaultKind, InputError, InternalError
from pybpftime.program.types import (
    PROGRAM_TYPES,
    ContextKind,
    ContextLayout,
    Field,
    FieldKind,
    Verdict,
    program_type,
)
from pybpftime.program.types.layouts import FLOW_KEYS, SK_BUFF, STRUCTURES, TCP_SOCK, XDP_MD, XDP_SOCK
from pybpftime.uapi import AttachType, ProgramType

P = ProgramType
TYPES = list(PROGRAM_TYPES)


def test_every_type_has_a_row_in_the_order_of_the_uapi() -> None:
    assert list(ProgramType) == TYPES
    assert [info.type for info in PROGRAM_TYPES.values()] == TYPES
    assert len({info.name for info in PROGRAM_TYPES.values()}) == len(TYPES)
    for info in PROGRAM_TYPES.values():
        assert (info.context is None) == bool(info.not_served), info.name
        assert (info.layout is None) == (info.name in ("raw", "ext")), info.name
        assert info.takes_packet == (info.context in (ContextKind.XDP, ContextKind.SKB)), info.name


def test_names_are_those_of_libbpf() -> None:
    path = ctypes.util.find_library("bpf")
    if path is None:
        pytest.skip("needs libbpf")
    function = ctypes.CDLL(path).libbpf_bpf_prog_type_str
    function.restype = ctypes.c_char_p
    for info in list(PROGRAM_TYPES.values())[1:]:
        name = function(info.type.value)
        assert name is None or name.decode() == info.name  # None: newer than that libbpf


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("xdp", P.BPF_PROG_TYPE_XDP),
        ("BPF_PROG_TYPE_XDP", P.BPF_PROG_TYPE_XDP),
        (" Tc ", P.BPF_PROG_TYPE_SCHED_CLS),
        ("uretprobe", P.BPF_PROG_TYPE_KPROBE),
        ("raw", P.BPF_PROG_TYPE_UNSPEC),
        (P.BPF_PROG_TYPE_LSM, P.BPF_PROG_TYPE_LSM),
    ],
)
def test_a_type_is_found_by_its_names(name: str | ProgramType, expected: ProgramType) -> None:
    assert program_type(name) is expected


def test_a_name_that_is_no_type_is_refused_with_near_ones() -> None:
    for name, hint in (
        ("sched_clss", "is it sched_cls or sched_act?"),
        ("BPF_PROG_TYPE_SCHED_CLSS", "is it sched_cls or sched_act?"),
        ("raw_tracepint", "is it raw_tracepoint, tracepoint or raw_tracepoint_writable?"),
    ):
        with pytest.raises(InputError) as refused:
            program_type(name)
        assert refused.value.reason == f"there is no program type named {name!r}; {hint}"


@pytest.mark.parametrize("name", ["", "frob", "x" * 1_000_000])
def test_a_name_that_is_near_to_none_is_refused_with_those_that_are_served(name: str) -> None:
    with pytest.raises(InputError, match=r"; there is cgroup_skb, .*, tracepoint and xdp$") as refused:
        program_type(name)
    assert len(refused.value.reason) < 300


@pytest.mark.parametrize(
    ("name", "r0", "verdict"),
    [
        ("xdp", 2, Verdict(2, "XDP_PASS")),
        ("xdp", 0xFFFF_FFFF_0000_0003, Verdict(3, "XDP_TX")),
        ("xdp", 77, Verdict(77)),
        ("tc", 0xFFFF_FFFF, Verdict(-1, "TC_ACT_UNSPEC")),
        ("tc", 2, Verdict(2, "TC_ACT_SHOT")),
        ("tc", 2 << 28 | 5, Verdict(2 << 28 | 5, "TC_ACT_GOTO_CHAIN(5)")),
        ("tc", 1 << 28, Verdict(1 << 28, "TC_ACT_JUMP(0)")),
        ("tc", 9, Verdict(9)),
        ("socket_filter", 0x1_0000_0000, Verdict(0, "drop")),
        ("socket_filter", 64, Verdict(64, "accept")),
        ("cgroup_skb", 1, Verdict(1, "allow")),
        ("kprobe", (1 << 64) - 1, Verdict(0xFFFF_FFFF)),
        ("lsm", 0xFFFF_FFFF, Verdict(-1)),
        ("raw", (1 << 64) - 1, Verdict((1 << 64) - 1)),
        ("lwt_xmit", 128, Verdict(128, "BPF_LWT_REROUTE")),
    ],
)
def test_verdicts(name: str, r0: int, verdict: Verdict) -> None:
    assert PROGRAM_TYPES[program_type(name)].verdict(r0) == verdict
    assert str(verdict) == (verdict.name or str(verdict.value))


def test_attach_types_without_a_range_of_their_own_have_that_of_the_type() -> None:
    returns = PROGRAM_TYPES[P.BPF_PROG_TYPE_CGROUP_SKB].returns
    assert returns.allowed_range(AttachType.BPF_CGROUP_INET_INGRESS) == range(2)
    assert returns.allowed_range(AttachType.BPF_CGROUP_INET_EGRESS) == range(4)


# --- layouts ----------------------------------------------------------------------------------------------------------

CONTEXTS = dict.fromkeys(
    layout
    for info in PROGRAM_TYPES.values()
    for layout in (info.layout, *info.layout_at.values())
    if layout is not None
)
LAYOUTS = [*CONTEXTS, *STRUCTURES.values(), TCP_SOCK, XDP_SOCK]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_fields_lie_in_order_inside_the_structure(layout: ContextLayout) -> None:
    end = 0
    for field in layout.fields:
        assert field.offset >= end
        end = field.end
        assert layout.field(field.name) is field
        assert field.name in layout
        assert layout.field_at(field.offset) is layout.field_at(end - 1) is field
    assert end <= layout.size


@given(
    st.sampled_from(LAYOUTS), st.integers(-10, 300), st.sampled_from((1, 2, 4, 8)), st.sampled_from(("load", "store"))
)
def test_the_tables_and_the_reasons_agree(layout: ContextLayout, offset: int, size: int, access: str) -> None:
    table = layout.loads if access == "load" else layout.stores
    objection = layout.objection(offset, size, access)
    assert (objection is None) == ((offset, size) in table)
    if objection is None:
        assert table[offset, size] is layout.field_at(offset)


@pytest.mark.parametrize(
    ("layout", "offset", "size", "access", "kind", "words"),
    [
        (XDP_MD, 24, 4, "load", FaultKind.MEMORY, "outside struct xdp_md"),
        (XDP_MD, -4, 4, "load", FaultKind.MEMORY, "outside"),
        (XDP_MD, 0, 8, "load", FaultKind.PERMISSION, "a load of field data has 4 bytes"),
        (XDP_MD, 0, 4, "store", FaultKind.PERMISSION, "may not store field data (it is read-only)"),
        (XDP_MD, 20, 4, "load", FaultKind.PERMISSION, "may not load field egress_ifindex"),
        (SK_BUFF, 182, 1, "load", FaultKind.PERMISSION, "padding"),
        (SK_BUFF, 50, 4, "load", FaultKind.ALIGNMENT, "aligned"),
        (SK_BUFF, 64, 8, "load", FaultKind.PERMISSION, "reaches beyond field cb"),
        (SK_BUFF, 8, 8, "load", FaultKind.PERMISSION, "has 1, 2 or 4 bytes"),
    ],
)
def test_a_refusal_names_field_and_rule(
    layout: ContextLayout, offset: int, size: int, access: str, kind: FaultKind, words: str
) -> None:
    objection = layout.objection(offset, size, access)
    assert objection is not None
    assert objection[0] is kind
    assert words in objection[1]


def test_what_fields_say_of_themselves() -> None:
    layout = PROGRAM_TYPES[P.BPF_PROG_TYPE_SCHED_CLS].layout
    assert layout is not None
    mark, cb, data = layout.field("mark"), layout.field("cb"), layout.field("data")
    assert (mark.readable, mark.writable, mark.narrow_loads_ok, mark.stores) == (True, True, True, (4,))
    assert cb.stores == (1, 2, 4, 8)
    assert (data.writable, data.narrow_loads_ok) == (False, False)
    assert Field("x", 0, 4).readable is False
    assert SK_BUFF.place(52) == "__sk_buff.cb+4"
    assert SK_BUFF.place(200) == "__sk_buff+200"


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_addresses_are_loaded_whole_and_never_stored(layout: ContextLayout) -> None:
    for field in layout.fields:
        assert bool(field.type_name) == (field.kind is FieldKind.OBJECT)
        if field.kind not in (FieldKind.SCALAR, FieldKind.ARGUMENT):
            assert field.loads in ((), (field.size,))
            assert not field.writable


def test_kinds_say_whether_an_address_may_be_null() -> None:
    assert {kind for kind in FieldKind if kind.nullable} == {
        FieldKind.SOCKET_OR_NULL,
        FieldKind.SOCK_COMMON_OR_NULL,
        FieldKind.ARGUMENT,
    }


def test_a_structure_that_is_memory_allows_whatever_lies_inside_it() -> None:
    assert FLOW_KEYS.objection(13, 8, "store") is None
    assert FLOW_KEYS.stores[13, 8] is FLOW_KEYS.field("sport")
    outside = (FaultKind.MEMORY, "outside struct bpf_flow_keys, which has 56 bytes")
    for offset, size in ((-1, 1), (56, 1), (49, 8)):
        assert FLOW_KEYS.objection(offset, size, "load") == outside


@pytest.mark.parametrize(
    ("name", "attach_type", "loaded"),
    [
        ("xdp", None, True),
        ("xdp", AttachType.BPF_XDP_DEVMAP, True),
        ("cgroup_sock", None, True),
        ("cgroup_sock", AttachType.BPF_CGROUP_INET4_BIND, False),
        ("cgroup_sock_addr", None, False),
        ("cgroup_sock_addr", AttachType.BPF_CGROUP_INET4_BIND, True),
        ("syscall", None, True),
        ("syscall", AttachType.BPF_XDP, False),
        ("tracing", AttachType.BPF_XDP, False),
    ],
)
def test_expected_attach_types_with_which_programs_are_loaded(
    name: str, attach_type: AttachType | None, loaded: bool
) -> None:
    assert PROGRAM_TYPES[program_type(name)].loads_with(attach_type) == loaded


def test_permissions_go_by_the_expected_attach_type() -> None:
    info = PROGRAM_TYPES[P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR]
    bind = info.layout_for(AttachType.BPF_CGROUP_INET6_BIND)
    assert bind is not None
    assert info.layout is not None
    assert bind.field("user_ip6").stores == (4, 8)
    assert not bind.field("user_ip4").readable
    assert not any(info.layout.field(name).readable for name in ("user_ip4", "user_ip6", "msg_src_ip4", "msg_src_ip6"))


def test_permissions_for_a_field_that_is_not_there_are_our_bug() -> None:
    with pytest.raises(InternalError, match="nosuch"):
        XDP_MD.allowing(writable=("nosuch",))
    with pytest.raises(InternalError, match="nosuch"):
        XDP_MD.allowing(stores={"nosuch": (4,)})
