"""Which program types may call a helper: the sets that recur in the kernel's `*_func_proto` functions.

Held against the running kernel by tests/helpers/test_declarations.py.  Source: Linux 6.18, net/core/filter.c,
kernel/trace/bpf_trace.c, kernel/bpf/helpers.c, kernel/bpf/cgroup.c.
"""

from __future__ import annotations

from pybpftime.uapi import ProgramType

XDP = frozenset({ProgramType.BPF_PROG_TYPE_XDP})
TC = frozenset({ProgramType.BPF_PROG_TYPE_SCHED_CLS, ProgramType.BPF_PROG_TYPE_SCHED_ACT})
SOCKET_FILTER = frozenset({ProgramType.BPF_PROG_TYPE_SOCKET_FILTER})
CGROUP_SKB = frozenset({ProgramType.BPF_PROG_TYPE_CGROUP_SKB})
SK_SKB = frozenset({ProgramType.BPF_PROG_TYPE_SK_SKB})
SK_MSG = frozenset({ProgramType.BPF_PROG_TYPE_SK_MSG})
SK_REUSEPORT = frozenset({ProgramType.BPF_PROG_TYPE_SK_REUSEPORT})
SOCK_OPS = frozenset({ProgramType.BPF_PROG_TYPE_SOCK_OPS})
FLOW_DISSECTOR = frozenset({ProgramType.BPF_PROG_TYPE_FLOW_DISSECTOR})
LWT_XMIT = frozenset({ProgramType.BPF_PROG_TYPE_LWT_XMIT})
LWT = LWT_XMIT | {
    ProgramType.BPF_PROG_TYPE_LWT_IN,
    ProgramType.BPF_PROG_TYPE_LWT_OUT,
    ProgramType.BPF_PROG_TYPE_LWT_SEG6LOCAL,
}
CGROUP_SOCKETS = frozenset(
    {
        ProgramType.BPF_PROG_TYPE_CGROUP_SOCK,
        ProgramType.BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
        ProgramType.BPF_PROG_TYPE_CGROUP_SOCKOPT,
    }
)
CGROUP_COOKIE = CGROUP_SOCKETS - {ProgramType.BPF_PROG_TYPE_CGROUP_SOCKOPT}
KPROBE = frozenset({ProgramType.BPF_PROG_TYPE_KPROBE})
TRACING = frozenset({ProgramType.BPF_PROG_TYPE_TRACING, ProgramType.BPF_PROG_TYPE_LSM})
SYSCALL = frozenset({ProgramType.BPF_PROG_TYPE_SYSCALL})
PERF_EVENT = frozenset({ProgramType.BPF_PROG_TYPE_PERF_EVENT})
PROBES = KPROBE | PERF_EVENT | TRACING | {
    ProgramType.BPF_PROG_TYPE_TRACEPOINT,
    ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT,
    ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
}  # fmt: skip
PROBES_AND_SYSCALL = PROBES | SYSCALL

ALL = frozenset(ProgramType) - {ProgramType.BPF_PROG_TYPE_UNSPEC}
WITHOUT_PERF_OUTPUT = SK_REUSEPORT | FLOW_DISSECTOR | {ProgramType.BPF_PROG_TYPE_NETFILTER}
WITHOUT_COARSE_CLOCK = PROBES_AND_SYSCALL | {
    ProgramType.BPF_PROG_TYPE_CGROUP_DEVICE,
    ProgramType.BPF_PROG_TYPE_CGROUP_SOCKOPT,
    ProgramType.BPF_PROG_TYPE_NETFILTER,
}
