"""The context structures of `include/uapi/linux/bpf.h`, with the permissions of each program type.

Sources: the `*_is_valid_access` functions of net/core/filter.c, kernel/trace/bpf_trace.c and kernel/bpf/syscall.c.
Every access of every size at every offset is held against the running kernel by tests/program/test_contexts_kernel.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from pybpftime.program.types.layout import ContextLayout, Field, FieldKind

WHOLE = (4,)
NARROW = (1, 2, 4)
ANY = (1, 2, 4, 8)


def _consecutive(fields: Iterable[tuple[str, int]], *, loads: tuple[int, ...], start: int = 0) -> tuple[Field, ...]:
    result = []
    for name, size in fields:
        result.append(Field(name, start, size, loads=loads))
        start += size
    return tuple(result)


# --- XDP --------------------------------------------------------------------------------------------------------------

XDP_MD = ContextLayout(
    "xdp_md",
    24,
    (
        Field("data", 0, 4, FieldKind.PACKET, loads=WHOLE),
        Field("data_end", 4, 4, FieldKind.PACKET_END, loads=WHOLE),
        Field("data_meta", 8, 4, FieldKind.PACKET_META, loads=WHOLE),
        Field("ingress_ifindex", 12, 4, loads=WHOLE),
        Field("rx_queue_index", 16, 4, loads=WHOLE),
        Field("egress_ifindex", 20, 4),
    ),
)
XDP_MD_DEVMAP = XDP_MD.allowing(loads={"egress_ifindex": WHOLE})

# --- struct __sk_buff -------------------------------------------------------------------------------------------------

# All fields that some program type may load; the types below take away and add.
SK_BUFF = ContextLayout(
    "__sk_buff",
    192,
    (
        Field("len", 0, 4, loads=NARROW),
        Field("pkt_type", 4, 4, loads=NARROW, width=1),
        Field("mark", 8, 4, loads=NARROW),
        Field("queue_mapping", 12, 4, loads=NARROW, width=2),
        Field("protocol", 16, 4, loads=NARROW, width=2),
        Field("vlan_present", 20, 4, loads=NARROW),
        Field("vlan_tci", 24, 4, loads=NARROW, width=2),
        Field("vlan_proto", 28, 4, loads=NARROW, width=2),
        Field("priority", 32, 4, loads=NARROW),
        Field("ingress_ifindex", 36, 4, loads=NARROW),
        Field("ifindex", 40, 4, loads=NARROW),
        Field("tc_index", 44, 4, loads=NARROW, width=2),
        Field("cb", 48, 20, loads=ANY),
        Field("hash", 68, 4, loads=NARROW),
        Field("tc_classid", 72, 4, loads=NARROW, width=2),
        Field("data", 76, 4, FieldKind.PACKET, loads=WHOLE),
        Field("data_end", 80, 4, FieldKind.PACKET_END, loads=WHOLE),
        Field("napi_id", 84, 4, loads=NARROW),
        Field("family", 88, 4, loads=NARROW, width=2),
        Field("remote_ip4", 92, 4, loads=WHOLE),
        Field("local_ip4", 96, 4, loads=WHOLE),
        Field("remote_ip6", 100, 16, loads=WHOLE),
        Field("local_ip6", 116, 16, loads=WHOLE),
        Field("remote_port", 132, 4, loads=NARROW),
        Field("local_port", 136, 4, loads=NARROW, width=2),
        Field("data_meta", 140, 4, FieldKind.PACKET_META, loads=WHOLE),
        Field("flow_keys", 144, 8),
        Field("tstamp", 152, 8, loads=(8,)),
        Field("wire_len", 160, 4, loads=NARROW),
        Field("gso_segs", 164, 4, loads=NARROW, width=2),
        Field("sk", 168, 8, FieldKind.SOCKET, loads=(8,)),
        Field("gso_size", 176, 4, loads=NARROW, width=2),
        Field("tstamp_type", 180, 1, loads=(1,)),
        Field("hwtstamp", 184, 8, loads=(8,)),
    ),
)
_SOCKET_FIELDS = ("family", "remote_ip4", "local_ip4", "remote_ip6", "local_ip6", "remote_port", "local_port")

SK_BUFF_SCHED_CLS = SK_BUFF.allowing(
    unreadable=_SOCKET_FIELDS,
    writable=("mark", "tc_index", "priority", "tc_classid", "cb", "tstamp", "queue_mapping"),
)
SK_BUFF_SOCKET_FILTER = SK_BUFF.allowing(
    unreadable=(
        *("tc_classid", "data", "data_meta", "data_end", *_SOCKET_FIELDS),
        *("tstamp", "tstamp_type", "wire_len", "hwtstamp"),
    ),
    writable=("cb",),
)
SK_BUFF_CGROUP_SKB = SK_BUFF.allowing(
    unreadable=("tc_classid", "data_meta", "wire_len", "tstamp_type"),
    writable=("mark", "priority", "cb", "tstamp"),
)
SK_BUFF_LWT = SK_BUFF.allowing(
    unreadable=("tc_classid", *_SOCKET_FIELDS, "data_meta", "tstamp", "tstamp_type", "wire_len", "hwtstamp"),
    writable=("mark", "priority", "cb"),
)

# --- struct bpf_sock, behind __sk_buff.sk -----------------------------------------------------------------------------

# What a program may load that has only the address of the common part (PTR_TO_SOCK_COMMON).
SOCK_COMMON = ContextLayout(
    "bpf_sock",
    80,
    (
        Field("bound_dev_if", 0, 4, loads=WHOLE),
        Field("family", 4, 4, loads=NARROW, width=2, starts=1),
        Field("type", 8, 4),
        Field("protocol", 12, 4),
        Field("mark", 16, 4),
        Field("priority", 20, 4),
        Field("src_ip4", 24, 4, loads=NARROW),
        Field("src_ip6", 28, 16, loads=NARROW),
        Field("src_port", 44, 4, loads=NARROW, width=2, starts=1),
        Field("dst_port", 48, 4, loads=NARROW, starts=2),
        Field("dst_ip4", 52, 4, loads=NARROW),
        Field("dst_ip6", 56, 16, loads=NARROW),
        Field("state", 72, 4, loads=NARROW, width=1, starts=1),
        Field("rx_queue_mapping", 76, 4, loads=NARROW, starts=1),
    ),
)

# --- registers: struct pt_regs ----------------------------------------------------------------------------------------

X86_64_REGISTERS = (
    *("r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di"),
    *("orig_ax", "ip", "cs", "flags", "sp", "ss"),
)
ARM64_REGISTERS = (*(f"x{number}" for number in range(31)), "sp", "pc", "pstate")


def _registers(name: str, names: Iterable[str]) -> ContextLayout:
    fields = _consecutive(((register, 8) for register in names), loads=ANY)
    return ContextLayout(name, fields[-1].end, fields)


PT_REGS_X86_64 = _registers("pt_regs", X86_64_REGISTERS)
PT_REGS_ARM64 = _registers("user_pt_regs", ARM64_REGISTERS)

PERF_EVENT_DATA_X86_64 = ContextLayout(
    "bpf_perf_event_data",
    184,
    (
        *_consecutive(((register, 8) for register in X86_64_REGISTERS), loads=(8,)),
        *_consecutive((("sample_period", 8), ("addr", 8)), loads=ANY, start=PT_REGS_X86_64.size),
    ),
)

# --- contexts without a structure of their own ------------------------------------------------------------------------

# PERF_MAX_TRACE_SIZE; the first 8 bytes are the kernel's.
TRACEPOINT = ContextLayout("tracepoint", 8192, (Field("common", 0, 8), Field("record", 8, 8184, loads=ANY)))
# MAX_BPF_FUNC_ARGS.
RAW_TRACEPOINT = ContextLayout("bpf_raw_tracepoint_args", 96, (Field("args", 0, 96, loads=ANY),))
# Offsets below U16_MAX.
SYSCALL = ContextLayout("syscall", 65535, (Field("bytes", 0, 65535, loads=ANY, stores=ANY),))
