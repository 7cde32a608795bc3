"""The context structures of `include/uapi/linux/bpf.h`, with the permissions of each program type.

Sources: the `*_is_valid_access` functions of Linux in net/core/filter.c, net/netfilter/nf_bpf_link.c, kernel/bpf and
kernel/trace/bpf_trace.c.  Every access of every size at every offset is held against the running kernel by
tests/program/test_layouts_kernel.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from pybpftime.program.types.layout import ContextLayout, FieldKind
from pybpftime.program.types.layouts.cgroup import CGROUP_DEVICE, SOCKOPT, SOCKOPT_AT, SYSCTL
from pybpftime.program.types.layouts.kernel import (
    ARGUMENTS,
    LIRC_MODE2,
    NETFILTER,
    PERF_EVENT_DATA_X86_64,
    PT_REGS_ARM64,
    PT_REGS_X86_64,
    RAW_TRACEPOINT,
    RAW_TRACEPOINT_WRITABLE,
    SYSCALL,
    TRACEPOINT,
)
from pybpftime.program.types.layouts.packets import (
    FLOW_KEYS,
    SK_BUFF,
    SK_BUFF_CGROUP_SKB,
    SK_BUFF_FLOW_DISSECTOR,
    SK_BUFF_LWT,
    SK_BUFF_SCHED_CLS,
    SK_BUFF_SK_SKB,
    SK_BUFF_SOCKET_FILTER,
    XDP_MD,
    XDP_MD_DEVMAP,
)
from pybpftime.program.types.layouts.sockets import (
    SK_LOOKUP,
    SK_MSG,
    SK_REUSEPORT,
    SOCK,
    SOCK_ADDR,
    SOCK_ADDR_AT,
    SOCK_AT,
    SOCK_COMMON,
    SOCK_OPS,
    TCP_SOCK,
    XDP_SOCK,
)

STRUCTURES: Mapping[FieldKind, ContextLayout] = {
    FieldKind.SOCKET: SOCK,
    FieldKind.SOCKET_OR_NULL: SOCK,
    FieldKind.SOCK_COMMON_OR_NULL: SOCK_COMMON,
    FieldKind.FLOW_KEYS: FLOW_KEYS,
}
"""What lies behind an address in a context; kinds that are not here lead to memory without fields."""

__all__ = [
    "ARGUMENTS",
    "CGROUP_DEVICE",
    "FLOW_KEYS",
    "LIRC_MODE2",
    "NETFILTER",
    "PERF_EVENT_DATA_X86_64",
    "PT_REGS_ARM64",
    "PT_REGS_X86_64",
    "RAW_TRACEPOINT",
    "RAW_TRACEPOINT_WRITABLE",
    "SK_BUFF",
    "SK_BUFF_CGROUP_SKB",
    "SK_BUFF_FLOW_DISSECTOR",
    "SK_BUFF_LWT",
    "SK_BUFF_SCHED_CLS",
    "SK_BUFF_SK_SKB",
    "SK_BUFF_SOCKET_FILTER",
    "SK_LOOKUP",
    "SK_MSG",
    "SK_REUSEPORT",
    "SOCK",
    "SOCKOPT",
    "SOCKOPT_AT",
    "SOCK_ADDR",
    "SOCK_ADDR_AT",
    "SOCK_AT",
    "SOCK_COMMON",
    "SOCK_OPS",
    "STRUCTURES",
    "SYSCALL",
    "SYSCTL",
    "TCP_SOCK",
    "TRACEPOINT",
    "XDP_MD",
    "XDP_MD_DEVMAP",
    "XDP_SOCK",
]
