"""Which programs may call a helper: the sets that recur in the kernel's `*_func_proto` functions.

Held against the running kernel by tests/helpers/test_declarations.py.  Source: Linux 6.18, net/core/filter.c,
kernel/trace/bpf_trace.c, kernel/bpf/helpers.c, kernel/bpf/cgroup.c.
"""

from __future__ import annotations

from pybpftime.uapi import AttachType, ProgramType

XDP = frozenset({ProgramType.BPF_PROG_TYPE_XDP})
TC = frozenset({ProgramType.BPF_PROG_TYPE_SCHED_CLS, ProgramType.BPF_PROG_TYPE_SCHED_ACT})
SOCKET_FILTER = frozenset({ProgramType.BPF_PROG_TYPE_SOCKET_FILTER})
CGROUP_SKB = frozenset({ProgramType.BPF_PROG_TYPE_CGROUP_SKB})
SK_SKB = frozenset({ProgramType.BPF_PROG_TYPE_SK_SKB})
SK_MSG = frozenset({ProgramType.BPF_PROG_TYPE_SK_MSG})
SK_REUSEPORT = frozenset({ProgramType.BPF_PROG_TYPE_SK_REUSEPORT})
SK_LOOKUP = frozenset({ProgramType.BPF_PROG_TYPE_SK_LOOKUP})
SOCK_OPS = frozenset({ProgramType.BPF_PROG_TYPE_SOCK_OPS})
FLOW_DISSECTOR = frozenset({ProgramType.BPF_PROG_TYPE_FLOW_DISSECTOR})
LWT_IN = frozenset({ProgramType.BPF_PROG_TYPE_LWT_IN})
LWT_XMIT = frozenset({ProgramType.BPF_PROG_TYPE_LWT_XMIT})
LWT_SEG6LOCAL = frozenset({ProgramType.BPF_PROG_TYPE_LWT_SEG6LOCAL})
LWT = LWT_IN | LWT_XMIT | LWT_SEG6LOCAL | {ProgramType.BPF_PROG_TYPE_LWT_OUT}
CGROUP_SOCK = frozenset({ProgramType.BPF_PROG_TYPE_CGROUP_SOCK})
CGROUP_SOCK_ADDR = frozenset({ProgramType.BPF_PROG_TYPE_CGROUP_SOCK_ADDR})
CGROUP_SOCKOPT = frozenset({ProgramType.BPF_PROG_TYPE_CGROUP_SOCKOPT})
CGROUP_DEVICE = frozenset({ProgramType.BPF_PROG_TYPE_CGROUP_DEVICE})
CGROUP_SYSCTL = frozenset({ProgramType.BPF_PROG_TYPE_CGROUP_SYSCTL})
CGROUP_SYSTEM_CALLS = CGROUP_SOCK | CGROUP_SOCK_ADDR | CGROUP_SOCKOPT | CGROUP_DEVICE | CGROUP_SYSCTL
KPROBE = frozenset({ProgramType.BPF_PROG_TYPE_KPROBE})
LSM = frozenset({ProgramType.BPF_PROG_TYPE_LSM})
ITERATOR = frozenset({ProgramType.BPF_PROG_TYPE_TRACING})
TRACING = ITERATOR | LSM
SYSCALL = frozenset({ProgramType.BPF_PROG_TYPE_SYSCALL})
PERF_EVENT = frozenset({ProgramType.BPF_PROG_TYPE_PERF_EVENT})
PROBES = (
    KPROBE
    | PERF_EVENT
    | TRACING
    | {
        ProgramType.BPF_PROG_TYPE_TRACEPOINT,
        ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT,
        ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
    }
)
PROBES_AND_SYSCALL = PROBES | SYSCALL
TRACING_AND_SYSCALL = TRACING | SYSCALL
STRUCT_OPS = frozenset({ProgramType.BPF_PROG_TYPE_STRUCT_OPS})
INFRARED = frozenset({ProgramType.BPF_PROG_TYPE_LIRC_MODE2})

ALL = frozenset(ProgramType) - {ProgramType.BPF_PROG_TYPE_UNSPEC}
BASE = ALL - INFRARED
"""Those that have bpf_base_func_proto; programs for infrared have a short list of their own."""

_NETFILTER = frozenset({ProgramType.BPF_PROG_TYPE_NETFILTER})
PERF_OUTPUT = BASE - SK_REUSEPORT - FLOW_DISSECTOR - _NETFILTER
COARSE_CLOCK = BASE - PROBES_AND_SYSCALL - CGROUP_DEVICE - CGROUP_SOCKOPT - _NETFILTER
SOCKET_CASTS = (BASE - PROBES - CGROUP_SYSTEM_CALLS - SK_REUSEPORT - _NETFILTER) | CGROUP_SOCK_ADDR | TRACING

# Expected attach types with which programs of the types above may not call a helper all the same.
CGROUP_PACKETS = frozenset(
    {AttachType.BPF_CGROUP_INET_INGRESS, AttachType.BPF_CGROUP_INET_EGRESS, AttachType.BPF_CGROUP_SOCK_OPS}
)
CGROUP_ANSWERS = frozenset(
    {
        AttachType.BPF_CGROUP_UDP4_RECVMSG,
        AttachType.BPF_CGROUP_UDP6_RECVMSG,
        AttachType.BPF_CGROUP_UNIX_RECVMSG,
        AttachType.BPF_CGROUP_INET4_GETPEERNAME,
        AttachType.BPF_CGROUP_INET6_GETPEERNAME,
        AttachType.BPF_CGROUP_UNIX_GETPEERNAME,
        AttachType.BPF_CGROUP_INET4_GETSOCKNAME,
        AttachType.BPF_CGROUP_INET6_GETSOCKNAME,
        AttachType.BPF_CGROUP_UNIX_GETSOCKNAME,
    }
)
CGROUP_ADDRESSES_BUT_CONNECT = CGROUP_ANSWERS | {
    AttachType.BPF_CGROUP_INET4_BIND,
    AttachType.BPF_CGROUP_INET6_BIND,
    AttachType.BPF_CGROUP_UDP4_SENDMSG,
    AttachType.BPF_CGROUP_UDP6_SENDMSG,
    AttachType.BPF_CGROUP_UNIX_CONNECT,
    AttachType.BPF_CGROUP_UNIX_SENDMSG,
}
TRAMPOLINES = frozenset(
    {AttachType.BPF_TRACE_FENTRY, AttachType.BPF_TRACE_FEXIT, AttachType.BPF_MODIFY_RETURN, AttachType.BPF_LSM_MAC}
)
RAW_TRACEPOINTS = frozenset({AttachType.BPF_TRACE_RAW_TP})
ITERATORS = frozenset({AttachType.BPF_TRACE_ITER})
LSM_CGROUP = frozenset({AttachType.BPF_LSM_CGROUP})
