"""The tables of contexts held against the running kernel's verifier: which accesses it allows, and what they give."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from program.btf_support import vmlinux_bytes
from program.contexts_support import GO, UNSIGNED, accepts, assembled, attach_types, load, named, need_kernel, need_type

from pybpftime.kernel import KernelMap
from pybpftime.program.btf import Btf, Kind
from pybpftime.program.types import PROGRAM_TYPES, ContextLayout, FieldKind, PacketAccess
from pybpftime.program.types.layouts import ARGUMENTS, FLOW_KEYS, SOCK, SOCK_COMMON, TCP_SOCK, XDP_SOCK
from pybpftime.uapi import AttachType, MapType, ProgramType

P = ProgramType
Access = tuple[str, int, int]

LAST_OFFSET = 224  # behind the largest structure whose fields differ
SIGNED = {1: "s8", 2: "s16", 4: "s32"}
WITH_LAYOUT = [
    (info.type, attach_type)
    for info in PROGRAM_TYPES.values()
    if info.layout not in (None, ARGUMENTS)
    for attach_type in attach_types(info)
]
LOADED_WITHOUT_BTF = {program_type: None for program_type, _ in WITH_LAYOUT}
# Loads that the kernel lets pass and that are refused here.
LET_PASS_BY_THE_KERNEL: dict[ProgramType, Callable[[int, int], bool]] = {
    # It takes a negative offset into a trace event for a large unsigned one.
    P.BPF_PROG_TYPE_TRACEPOINT: lambda offset, size: offset < 0,
    # It looks only at the offset 0 for the address of the buffer.
    P.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE: lambda offset, size: 0 < offset < 8,
}


@pytest.fixture(autouse=True)
def _kernel() -> None:
    need_kernel()


def layout_of(program_type: ProgramType, attach_type: AttachType | None) -> ContextLayout:
    layout = PROGRAM_TYPES[program_type].layout_for(attach_type)
    assert layout is not None
    return layout


@cache
def access_code(access: str, offset: int, size: int, register: str) -> bytes:
    """A program's end, with an access in front."""
    place = f"*({UNSIGNED[size]} *)({register} {offset:+d})"
    return assembled([*([f"r0 = {place}"] if access == "load" else ["r0 = 1", f"{place} = r0"]), *GO])


def differences(
    layout: ContextLayout, judge: Callable[[bytes], bool], before: bytes = b"", register: str = "r1"
) -> Iterator[Access]:
    """The accesses inside a structure and around it that `judge` sees otherwise; `before` puts its address there."""
    for offset in range(-4, min(layout.size, LAST_OFFSET) + 9):
        for size in UNSIGNED:
            for access, table in (("load", layout.loads), ("store", layout.stores)):
                ours = layout.objection(offset, size, access) is None
                assert ours == ((offset, size) in table)
                if judge(before + access_code(access, offset, size, register)) != ours:
                    yield access, offset, size


# --- which accesses are allowed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("program_type", "attach_type"), WITH_LAYOUT, ids=named)
def test_every_load_and_store_is_judged_as_by_the_kernels_verifier(
    program_type: ProgramType, attach_type: AttachType | None
) -> None:
    need_type(program_type, attach_type)
    layout = layout_of(program_type, attach_type)
    found = list(differences(layout, lambda code: accepts(program_type, code, attach_type)))
    let_pass = LET_PASS_BY_THE_KERNEL.get(program_type, lambda offset, size: False)
    assert [access for access in found if not (access[0] == "load" and let_pass(access[1], access[2]))] == []
    for _, offset, size in found:
        assert layout.objection(offset, size, "load") is not None


# How the kernel's verifier writes what a register holds.
KERNELS_NAMES = {
    FieldKind.SCALAR: "scalar",
    FieldKind.PACKET: "pkt",
    FieldKind.PACKET_META: "pkt_meta",
    FieldKind.PACKET_END: "pkt_end",
    FieldKind.SOCKET: "sock",
    FieldKind.SOCKET_OR_NULL: "sock_or_null",
    FieldKind.SOCK_COMMON_OR_NULL: "sock_common_or_null",
    FieldKind.FLOW_KEYS: "flow_keys",
    FieldKind.BUFFER: "tp_buffer",
    FieldKind.OBJECT: "trusted_ptr_",
}


@pytest.mark.parametrize(("program_type", "attach_type"), WITH_LAYOUT, ids=named)
def test_loads_give_what_the_kernels_verifier_takes_them_for(
    program_type: ProgramType, attach_type: AttachType | None
) -> None:
    need_type(program_type, attach_type)
    layout = layout_of(program_type, attach_type)
    whole = {
        field: max(size for (_, size), of in layout.loads.items() if of is field)
        for field in layout.fields
        if field.readable
    }
    first = {
        field: min(at for (at, size), of in layout.loads.items() if of is field and size == whole[field])
        for field in whole
    }
    code = assembled([*(f"r3 = *({UNSIGNED[whole[field]]} *)(r1 + {first[field]})" for field in whole), *GO])
    with load(program_type, code, attach_type, log_level=2) as program:
        given = re.findall(r"R3(?:_w)?=([a-z_]+)", program.log)
    assert given == [KERNELS_NAMES[field.kind] + field.type_name for field in whole]


@pytest.mark.parametrize(("program_type", "attach_type"), WITH_LAYOUT, ids=named)
def test_loads_that_extend_the_sign_give_no_address(program_type: ProgramType, attach_type: AttachType | None) -> None:
    need_type(program_type, attach_type)
    for (offset, size), field in layout_of(program_type, attach_type).loads.items():
        if size in SIGNED and offset < LAST_OFFSET:
            code = assembled([f"r0 = *({SIGNED[size]} *)(r1 + {offset})", *GO])
            assert accepts(program_type, code, attach_type) == (field.kind is FieldKind.SCALAR), (offset, size)


# --- structures behind addresses --------------------------------------------------------------------------------------

BPF_MAP_LOOKUP_ELEM, BPF_TRACE_PRINTK, BPF_SK_FULLSOCK, BPF_TCP_SOCK = 1, 6, 95, 96
SOCK_OF_TC = ["r2 = *(u64 *)(r1 + 168)", "if r2 != 0 goto +2", *GO]
FULLSOCK_OF_TC = [*SOCK_OF_TC, "r1 = r2", f"call {BPF_SK_FULLSOCK}", "if r0 != 0 goto +2", *GO, "r2 = r0"]
TCP_SOCK_OF_TC = [*FULLSOCK_OF_TC, "r1 = r2", f"call {BPF_TCP_SOCK}", "if r0 != 0 goto +2", *GO, "r2 = r0"]
BEHIND = {
    "common part of a socket": (SOCK_COMMON, P.BPF_PROG_TYPE_SCHED_CLS, None, SOCK_OF_TC),
    "whole socket": (SOCK, P.BPF_PROG_TYPE_SCHED_CLS, None, FULLSOCK_OF_TC),
    "whole socket of sk_msg": (SOCK, P.BPF_PROG_TYPE_SK_MSG, None, ["r2 = *(u64 *)(r1 + 72)"]),
    "tcp socket": (TCP_SOCK, P.BPF_PROG_TYPE_SCHED_CLS, None, TCP_SOCK_OF_TC),
    "flow keys": (FLOW_KEYS, P.BPF_PROG_TYPE_FLOW_DISSECTOR, None, ["r2 = *(u64 *)(r1 + 144)"]),
}


@pytest.mark.parametrize(("layout", "program_type", "attach_type", "before"), BEHIND.values(), ids=list(BEHIND))
def test_structures_behind_addresses_are_judged_as_by_the_kernels_verifier(
    layout: ContextLayout, program_type: ProgramType, attach_type: AttachType | None, before: list[str]
) -> None:
    def judge(code: bytes) -> bool:
        return accepts(program_type, code, attach_type)

    assert judge(assembled([*before, *GO]))
    assert list(differences(layout, judge, assembled(before), "r2")) == []


def map_in_register(register: int, kernel_map: KernelMap) -> bytes:
    """The two slots of `register = the map`."""
    return struct.pack("=BBhi", 0x18, register | 1 << 4, 0, kernel_map.fileno()) + bytes(8)


def test_xdp_sockets_are_judged_as_by_the_kernels_verifier() -> None:
    with KernelMap.create(MapType.BPF_MAP_TYPE_XSKMAP, 4, 4, 1) as sockets:
        before = assembled(["*(u32 *)(r10 - 4) = 0", "r2 = r10", "r2 += -4"]) + map_in_register(1, sockets)
        before += assembled([f"call {BPF_MAP_LOOKUP_ELEM}", "if r0 != 0 goto +2", *GO, "r2 = r0"])
        judged = differences(XDP_SOCK, lambda code: accepts(P.BPF_PROG_TYPE_XDP, code), before, "r2")
        assert accepts(P.BPF_PROG_TYPE_XDP, before + assembled(GO))
        assert list(judged) == []


# --- packets ----------------------------------------------------------------------------------------------------------

WITH_PACKET_FIELDS = [
    (program_type, attach_type)
    for program_type, attach_type in WITH_LAYOUT
    if any(field.kind is FieldKind.PACKET and field.readable for field in layout_of(program_type, attach_type).fields)
]


def packet_start(program_type: ProgramType, attach_type: AttachType | None) -> list[str]:
    """The packet's first 8 bytes, checked: r2 is their address."""
    fields = {field.kind: field for field in layout_of(program_type, attach_type).fields if field.readable}
    data, data_end = fields[FieldKind.PACKET], fields[FieldKind.PACKET_END]
    return [
        *(
            f"r2 = *({UNSIGNED[data.size]} *)(r1 + {data.offset})",
            f"r3 = *({UNSIGNED[data.size]} *)(r1 + {data_end.offset})",
        ),
        *("r4 = r2", "r4 += 8", "if r4 <= r3 goto +2", *GO),
    ]


@pytest.mark.parametrize(("program_type", "attach_type"), WITH_PACKET_FIELDS, ids=named)
def test_packets_are_read_written_and_handed_to_helpers_as_in_the_kernel(
    program_type: ProgramType, attach_type: AttachType | None
) -> None:
    need_type(program_type, attach_type)
    info = PROGRAM_TYPES[program_type]
    bounds = packet_start(program_type, attach_type)
    read = assembled([*bounds, "r5 = *(u8 *)(r2 + 7)", *GO])
    write = assembled([*bounds, "*(u64 *)(r2 + 0) = 1", *GO])
    assert accepts(program_type, read, attach_type) == (info.packet_access is not PacketAccess.NONE)
    assert accepts(program_type, write, attach_type) == (info.packet_access is PacketAccess.WRITE)
    with KernelMap.create(MapType.BPF_MAP_TYPE_HASH, 8, 8, 1) as table:
        lookup = assembled(bounds) + map_in_register(1, table) + assembled([f"call {BPF_MAP_LOOKUP_ELEM}", *GO])
        assert accepts(program_type, lookup, attach_type) == info.hands_packet_to_helper(True)
    printk = assembled([*bounds, "r1 = r2", "r2 = 8", f"call {BPF_TRACE_PRINTK}", *GO])
    assert accepts(program_type, printk, attach_type) == info.hands_packet_to_helper(False)


def test_types_without_packet_fields_have_no_access_to_packets() -> None:
    with_fields = {program_type for program_type, _ in WITH_PACKET_FIELDS}
    for info in PROGRAM_TYPES.values():
        assert (info.packet_access is not PacketAccess.NONE) == (info.type in with_fields), info.name


@pytest.mark.parametrize("program_type", LOADED_WITHOUT_BTF, ids=named)
def test_legacy_loads_are_allowed_as_in_the_kernel(program_type: ProgramType) -> None:
    info = PROGRAM_TYPES[program_type]
    attach_type = attach_types(info)[0]
    need_type(program_type, attach_type)
    legacy = assembled(["r6 = r1", "r0 = *(u8 *)skb[0]", *GO])
    assert accepts(program_type, legacy, attach_type) == info.legacy_packet_access


# --- attach types -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program_type", LOADED_WITHOUT_BTF, ids=named)
def test_programs_are_loaded_with_the_attach_types_that_the_kernel_takes(program_type: ProgramType) -> None:
    info = PROGRAM_TYPES[program_type]
    need_type(program_type, attach_types(info)[0])
    code = assembled(GO)
    assert [
        attach_type
        for attach_type in (None, *AttachType)
        if accepts(program_type, code, attach_type) != info.loads_with(attach_type)
    ] == []
    if info.default_attach_type is not None:
        assert info.layout_for(None) is info.layout_for(info.default_attach_type)


# --- what the kernel's BTF says ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kernel_btf() -> Btf:
    return Btf.parse(vmlinux_bytes())


# Contexts whose fields are no members of the structure with the name.
WITHOUT_MEMBERS = ("pt_regs", "tracepoint", "bpf_perf_event_data", "bpf_raw_tracepoint_args")
# Members of unions, and those with padding behind them that programs may load.
PARTS = ("args[1]", "args[2]", "args[3]", "addresses", "dst_port", "remote_port")


def test_fields_lie_where_the_kernels_structures_have_them(kernel_btf: Btf) -> None:
    contexts = [layout_of(program_type, attach_type) for program_type, attach_type in WITH_LAYOUT]
    layouts = {layout.name: layout for layout in (*contexts, *(row[0] for row in BEHIND.values()), XDP_SOCK)}
    compared = set()
    for name, layout in layouts.items():
        identifier = kernel_btf.find(name, Kind.STRUCT)
        if identifier is None or name in WITHOUT_MEMBERS:
            continue
        assert kernel_btf.size_of(identifier) == layout.size, name
        members = {
            (member.name, member.bit_offset // 8, kernel_btf.size_of(member.type))
            for member in kernel_btf.fields(identifier)
        }
        fields = {(field.name, field.offset, field.size) for field in layout.fields if field.name not in PARTS}
        assert fields <= members, name
        compared.add(name)
    assert {"__sk_buff", "bpf_sock", "bpf_sock_ops", "sk_msg_md"} <= compared


def test_arguments_of_functions_are_loaded_within_the_table(kernel_btf: Btf) -> None:
    # (bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state)
    identifier = kernel_btf.require("btf_trace_sched_switch")
    pointers = (8, 16)

    def judge(code: bytes) -> bool:
        return accepts(P.BPF_PROG_TYPE_TRACING, code, AttachType.BPF_TRACE_RAW_TP, attach_btf_id=identifier)

    if not judge(assembled(GO)):
        pytest.skip("needs a kernel with the tracepoint sched_switch")
    ours_alone = list(differences(ARGUMENTS, judge))
    assert ours_alone == [
        ("load", offset, size)
        for (offset, size) in sorted(ARGUMENTS.loads)
        if offset > 24 or (offset in pointers and size < 8)
    ]
