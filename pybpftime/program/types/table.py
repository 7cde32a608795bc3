"""The program types: names, contexts, packets, verdicts.  One row each, read by everybody.

Names are those of bpftool (`bpftool feature probe`, `bpftool prog`).  Sources: Linux 6.18, `enum bpf_prog_type`;
may_access_skb, may_access_direct_pkt_data and check_return_code of kernel/bpf/verifier.c; the structures in `layouts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pybpftime.errors import InputError
from pybpftime.program.types import layouts, returns
from pybpftime.program.types.layout import ContextLayout
from pybpftime.program.types.returns import ReturnConvention, Verdict
from pybpftime.uapi import AttachType, ProgramType


class ContextKind(StrEnum):
    """What the registers hold when a program of the type starts: r1, unless said otherwise, points to the thing."""

    MEMORY = "memory"  # plain memory: r1 = address, r2 = length; 0 and 0 without any
    XDP = "xdp"  # struct xdp_md
    SKB = "skb"  # struct __sk_buff
    REGISTERS = "registers"  # struct pt_regs
    PERF_EVENT = "perf event"  # struct bpf_perf_event_data
    TRACEPOINT = "tracepoint"  # the record of a trace event
    ARGUMENTS = "arguments"  # an array of 64-bit arguments
    SYSCALL = "syscall"  # memory as the caller of BPF_PROG_RUN hands it over


class PacketAccess(StrEnum):
    """What a program may do with the bytes between the addresses PACKET and PACKET_END of its context."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class ProgramTypeInfo:
    """One row of PROGRAM_TYPES.

    `context` is None for a type that this runtime does not serve, and `not_served` says why.  `layout` is the
    context structure, None where it is plain memory, and for `ext`, whose context is that of the program whose
    function it replaces.  `layout_at` has the expected attach types with other permissions.

    `takes_packet`: it runs here on a packet.  `legacy_packet_access`: LD_ABS and LD_IND work.  `attach_types`: the
    expected attach types that Linux loads such a program with, None where it loads it with any;
    `default_attach_type`: what it takes the lack of one for, None where one must be given.
    """

    type: ProgramType
    name: str
    context: ContextKind | None
    returns: ReturnConvention
    layout: ContextLayout | None = None
    layout_at: Mapping[AttachType, ContextLayout] = field(default_factory=dict)
    takes_packet: bool = False
    legacy_packet_access: bool = False
    packet_access: PacketAccess = PacketAccess.NONE
    not_served: str = ""
    attach_types: tuple[AttachType, ...] | None = None
    default_attach_type: AttachType | None = None

    def hands_packet_to_helper(self, packet_access: bool) -> bool:
        """Whether a helper may be given addresses in the packet, one with or without `pkt_access` in its declaration.

        Source: may_access_direct_pkt_data, of which `packet_access` has the rest.
        """
        if self.packet_access is PacketAccess.NONE or self.type is ProgramType.BPF_PROG_TYPE_SOCK_OPS:
            return False
        return packet_access or self.type is ProgramType.BPF_PROG_TYPE_CGROUP_SOCKOPT

    def verdict(self, r0: int) -> Verdict:
        """The verdict that `r0` (64 bits, unsigned) stands for."""
        return self.returns.verdict(r0)

    def layout_for(self, attach_type: AttachType | None) -> ContextLayout | None:
        """The context structure as a program with this expected attach type sees it."""
        return self.layout if attach_type is None else self.layout_at.get(attach_type, self.layout)

    def loads_with(self, attach_type: AttachType | None) -> bool:
        """Whether Linux loads such a program with this expected attach type; None, like the number 0, is none."""
        if self.attach_types is None or attach_type in self.attach_types:
            return True
        return not attach_type and (self.default_attach_type is not None or not self.attach_types)


def _skb(
    type: ProgramType,
    name: str,
    layout: ContextLayout,
    convention: ReturnConvention,
    packet_access: PacketAccess = PacketAccess.NONE,
    *,
    legacy: bool = False,
    attach_types: tuple[AttachType, ...] | None = None,
) -> ProgramTypeInfo:
    return ProgramTypeInfo(
        type, name, ContextKind.SKB, convention, layout,
        takes_packet=True, legacy_packet_access=legacy, packet_access=packet_access,
        attach_types=attach_types, default_attach_type=attach_types[0] if attach_types else None,
    )  # fmt: skip


def _not_served(
    type: ProgramType,
    name: str,
    convention: ReturnConvention,
    reason: str,
    layout: ContextLayout | None = None,
    packet_access: PacketAccess = PacketAccess.NONE,
    *,
    layout_at: Mapping[AttachType, ContextLayout] | None = None,
    attach_types: Iterable[AttachType] | None = None,
    default: AttachType | None = None,
) -> ProgramTypeInfo:
    return ProgramTypeInfo(
        type, name, None, convention, layout, layout_at or {},
        packet_access=packet_access, not_served=reason,
        attach_types=None if attach_types is None else tuple(attach_types), default_attach_type=default,
    )  # fmt: skip


_P, _A = ProgramType, AttachType
_READ, _WRITE = PacketAccess.READ, PacketAccess.WRITE
_NEEDS_SOCKET = "it acts on a live socket of the kernel"
_NEEDS_CGROUP = "it acts on a control group of the kernel"
_NEEDS_KERNEL = "it is attached to a function of the kernel, whose types and memory it sees"

_ROWS = (
    ProgramTypeInfo(_P.BPF_PROG_TYPE_UNSPEC, "raw", ContextKind.MEMORY, returns.NUMBER),
    _skb(
        _P.BPF_PROG_TYPE_SOCKET_FILTER, "socket_filter", layouts.SK_BUFF_SOCKET_FILTER, returns.SOCKET_FILTER,
        legacy=True,
    ),
    ProgramTypeInfo(_P.BPF_PROG_TYPE_KPROBE, "kprobe", ContextKind.REGISTERS, returns.PROBE, layouts.PT_REGS_X86_64),
    _skb(_P.BPF_PROG_TYPE_SCHED_CLS, "sched_cls", layouts.SK_BUFF_SCHED_CLS, returns.TC, _WRITE, legacy=True),
    _skb(_P.BPF_PROG_TYPE_SCHED_ACT, "sched_act", layouts.SK_BUFF_SCHED_CLS, returns.TC, _WRITE, legacy=True),
    ProgramTypeInfo(
        _P.BPF_PROG_TYPE_TRACEPOINT, "tracepoint", ContextKind.TRACEPOINT, returns.UNCHECKED, layouts.TRACEPOINT,
    ),
    ProgramTypeInfo(
        _P.BPF_PROG_TYPE_XDP, "xdp", ContextKind.XDP, returns.XDP, layouts.XDP_MD,
        layout_at={_A.BPF_XDP_DEVMAP: layouts.XDP_MD_DEVMAP}, takes_packet=True, packet_access=_WRITE,
    ),
    ProgramTypeInfo(
        _P.BPF_PROG_TYPE_PERF_EVENT, "perf_event", ContextKind.PERF_EVENT, returns.UNCHECKED,
        layouts.PERF_EVENT_DATA_X86_64,
    ),
    _skb(
        _P.BPF_PROG_TYPE_CGROUP_SKB, "cgroup_skb", layouts.SK_BUFF_CGROUP_SKB, returns.CGROUP_SKB, _READ,
        attach_types=(_A.BPF_CGROUP_INET_INGRESS, _A.BPF_CGROUP_INET_EGRESS),
    ),
    _not_served(
        _P.BPF_PROG_TYPE_CGROUP_SOCK, "cgroup_sock", returns.CGROUP, _NEEDS_SOCKET,
        layouts.SOCK_AT[_A.BPF_CGROUP_INET_SOCK_CREATE], layout_at=layouts.SOCK_AT,
        attach_types=layouts.SOCK_AT, default=_A.BPF_CGROUP_INET_SOCK_CREATE,
    ),
    _skb(_P.BPF_PROG_TYPE_LWT_IN, "lwt_in", layouts.SK_BUFF_LWT, returns.LWT, _READ),
    _skb(_P.BPF_PROG_TYPE_LWT_OUT, "lwt_out", layouts.SK_BUFF_LWT, returns.LWT, _READ),
    _skb(_P.BPF_PROG_TYPE_LWT_XMIT, "lwt_xmit", layouts.SK_BUFF_LWT, returns.LWT, _WRITE),
    _not_served(_P.BPF_PROG_TYPE_SOCK_OPS, "sock_ops", returns.SOCK_OPS, _NEEDS_SOCKET, layouts.SOCK_OPS, _READ),
    _not_served(_P.BPF_PROG_TYPE_SK_SKB, "sk_skb", returns.SK_ACTION, _NEEDS_SOCKET, layouts.SK_BUFF_SK_SKB, _WRITE),
    _not_served(
        _P.BPF_PROG_TYPE_CGROUP_DEVICE, "cgroup_device", returns.CGROUP, _NEEDS_CGROUP, layouts.CGROUP_DEVICE,
    ),
    _not_served(_P.BPF_PROG_TYPE_SK_MSG, "sk_msg", returns.SK_ACTION, _NEEDS_SOCKET, layouts.SK_MSG, _WRITE),
    ProgramTypeInfo(
        _P.BPF_PROG_TYPE_RAW_TRACEPOINT, "raw_tracepoint", ContextKind.ARGUMENTS, returns.UNCHECKED,
        layouts.RAW_TRACEPOINT,
    ),
    _not_served(
        _P.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "cgroup_sock_addr", returns.CGROUP_SOCK_ADDR, _NEEDS_SOCKET,
        layouts.SOCK_ADDR, layout_at=layouts.SOCK_ADDR_AT, attach_types=layouts.SOCK_ADDR_AT,
    ),
    _not_served(
        _P.BPF_PROG_TYPE_LWT_SEG6LOCAL, "lwt_seg6local", returns.LWT, "it acts on a route of the kernel",
        layouts.SK_BUFF_LWT, _READ,
    ),
    _not_served(
        _P.BPF_PROG_TYPE_LIRC_MODE2, "lirc_mode2", returns.UNCHECKED, "it acts on an infrared receiver",
        layouts.LIRC_MODE2,
    ),
    _not_served(
        _P.BPF_PROG_TYPE_SK_REUSEPORT, "sk_reuseport", returns.SK_ACTION, _NEEDS_SOCKET, layouts.SK_REUSEPORT, _READ,
        attach_types=(_A.BPF_SK_REUSEPORT_SELECT, _A.BPF_SK_REUSEPORT_SELECT_OR_MIGRATE),
        default=_A.BPF_SK_REUSEPORT_SELECT,
    ),
    _not_served(
        _P.BPF_PROG_TYPE_FLOW_DISSECTOR, "flow_dissector", returns.FLOW_DISSECTOR,
        "its results go to the kernel's flow keys", layouts.SK_BUFF_FLOW_DISSECTOR, _READ,
    ),
    _not_served(_P.BPF_PROG_TYPE_CGROUP_SYSCTL, "cgroup_sysctl", returns.CGROUP, _NEEDS_CGROUP, layouts.SYSCTL),
    _not_served(
        _P.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE, "raw_tracepoint_writable", returns.UNCHECKED,
        "it writes to a buffer of the kernel", layouts.RAW_TRACEPOINT_WRITABLE,
    ),
    _not_served(
        _P.BPF_PROG_TYPE_CGROUP_SOCKOPT, "cgroup_sockopt", returns.CGROUP, _NEEDS_SOCKET, layouts.SOCKOPT, _WRITE,
        layout_at=layouts.SOCKOPT_AT, attach_types=layouts.SOCKOPT_AT,
    ),
    _not_served(
        _P.BPF_PROG_TYPE_TRACING, "tracing", returns.TRACING, _NEEDS_KERNEL, layouts.ARGUMENTS,
        attach_types=(
            *(_A.BPF_TRACE_RAW_TP, _A.BPF_TRACE_FENTRY, _A.BPF_TRACE_FEXIT),
            *(_A.BPF_MODIFY_RETURN, _A.BPF_TRACE_ITER),
        ),
    ),
    _not_served(
        _P.BPF_PROG_TYPE_STRUCT_OPS, "struct_ops", returns.STRUCT_OPS, "it takes the place of a function of the kernel",
        layouts.ARGUMENTS,
    ),
    _not_served(
        _P.BPF_PROG_TYPE_EXT, "ext", returns.NUMBER, "it takes the place of a function of another program",
        attach_types=(),
    ),
    _not_served(
        _P.BPF_PROG_TYPE_LSM, "lsm", returns.LSM, _NEEDS_KERNEL, layouts.ARGUMENTS,
        attach_types=(_A.BPF_LSM_MAC, _A.BPF_LSM_CGROUP),
    ),
    _not_served(
        _P.BPF_PROG_TYPE_SK_LOOKUP, "sk_lookup", returns.SK_LOOKUP, _NEEDS_SOCKET, layouts.SK_LOOKUP,
        attach_types=(_A.BPF_SK_LOOKUP,),
    ),
    ProgramTypeInfo(
        _P.BPF_PROG_TYPE_SYSCALL, "syscall", ContextKind.SYSCALL, returns.UNCHECKED, layouts.SYSCALL, attach_types=(),
    ),
    _not_served(
        _P.BPF_PROG_TYPE_NETFILTER, "netfilter", returns.NETFILTER, "it acts on the kernel's own socket buffers",
        layouts.NETFILTER, attach_types=(_A.BPF_NETFILTER,),
    ),
)  # fmt: skip

PROGRAM_TYPES: Mapping[ProgramType, ProgramTypeInfo] = {row.type: row for row in _ROWS}
"""Every program type of the UAPI, in its order."""

_ALIASES = {
    "unspec": _P.BPF_PROG_TYPE_UNSPEC,
    "memory": _P.BPF_PROG_TYPE_UNSPEC,
    "socket": _P.BPF_PROG_TYPE_SOCKET_FILTER,
    "tc": _P.BPF_PROG_TYPE_SCHED_CLS,
    "tcx": _P.BPF_PROG_TYPE_SCHED_CLS,
    "classifier": _P.BPF_PROG_TYPE_SCHED_CLS,
    "action": _P.BPF_PROG_TYPE_SCHED_ACT,
    "kretprobe": _P.BPF_PROG_TYPE_KPROBE,
    "uprobe": _P.BPF_PROG_TYPE_KPROBE,
    "uretprobe": _P.BPF_PROG_TYPE_KPROBE,
    "usdt": _P.BPF_PROG_TYPE_KPROBE,
    "tp": _P.BPF_PROG_TYPE_TRACEPOINT,
    "raw_tp": _P.BPF_PROG_TYPE_RAW_TRACEPOINT,
}
LONGEST_NAME = 60
_SERVED = sorted(row.name for row in _ROWS if row.context)
_NAMES = {row.name: row.type for row in _ROWS} | _ALIASES


def program_type(name: str | ProgramType) -> ProgramType:
    """The program type called `name`: `xdp`, `BPF_PROG_TYPE_XDP`, `tc`...; InputError with near names otherwise."""
    if isinstance(name, ProgramType):
        return name
    text = name.strip().lower().removeprefix("bpf_prog_type_")
    found = _NAMES.get(text)
    if found is None:
        from difflib import get_close_matches

        near = get_close_matches(text[:LONGEST_NAME], _NAMES, n=3, cutoff=0.7)
        known = f"is it {_listed(near, 'or')}?" if near else f"there is {_listed(_SERVED, 'and')}"
        raise InputError(f"there is no program type named {name[:LONGEST_NAME]!r}; {known}")
    return found


def _listed(names: Sequence[str], last: str) -> str:
    """`a`, `a or b`, `a, b or c`."""
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
