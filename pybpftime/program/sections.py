"""Section names of object files and what they say about a program: its type, where it attaches, its flags.

Source: the conventions of libbpf (`section_defs` in tools/lib/bpf/libbpf.c, up to libbpf 1.6), which every C
program follows: `SEC("xdp")`, `SEC("uprobe/libc.so.6:malloc")`, `SEC("?cgroup_skb/egress")`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pybpftime.uapi import AttachType, ProgramType

SLEEPABLE = "sleepable"
"""Loaded with BPF_F_SLEEPABLE."""
FRAGS = "frags"
"""Loaded with BPF_F_XDP_HAS_FRAGS."""
MANUAL = "manual"
"""The section name begins with `?`: a loader leaves the program out unless it is asked for."""


@dataclass(frozen=True, slots=True)
class SectionRule:
    """One row of the table: section `name`, or also `name/ANYTHING` where a `target` is allowed."""

    name: str
    type: ProgramType
    attach_type: AttachType | None = None
    target: bool = False
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SectionMeaning:
    """What a section name says.

    `rule` is the name of the row that applies, "" if none does; `attach_to` what stands behind it (`malloc` of
    `kprobe/malloc`), None if nothing.  `note` is a sentence for names that libbpf 1.0 and later refuse.
    """

    rule: str
    type: ProgramType
    attach_type: AttachType | None = None
    attach_to: str | None = None
    flags: frozenset[str] = frozenset()
    note: str | None = None


def section_meaning(section: str) -> SectionMeaning:
    """What libbpf makes of the name of a program's section.  Never fails: unknown names have no type.

    Names that versions before 1.0 took by their beginning (`xdp_prog`, `classifier/ingress`, `socket1`) mean the
    same here and come with a note.
    """
    name = section.removeprefix("?")
    extra = frozenset({MANUAL}) if section.startswith("?") else frozenset()
    for rule in SECTION_RULES:
        if name == rule.name or (rule.target and name.startswith(rule.name + "/")):
            target = name[len(rule.name) + 1 :] or None
            return SectionMeaning(rule.name, rule.type, rule.attach_type, target, rule.flags | extra)
    for rule in SECTION_RULES:
        if not rule.target and name.startswith(rule.name) and not name[len(rule.name)].isalpha():
            note = f"libbpf 1.0 and later do not know section {name}; it is taken as {rule.name}, as earlier ones did"
            return SectionMeaning(rule.name, rule.type, rule.attach_type, None, rule.flags | extra, note)
    note = f"section {name} says nothing about the type of the program, so that it has none until one is given"
    return SectionMeaning("", ProgramType.BPF_PROG_TYPE_UNSPEC, flags=extra, note=note)


def _rules() -> tuple[SectionRule, ...]:
    return tuple(
        SectionRule(
            name.removesuffix("+"),
            ProgramType[f"BPF_PROG_TYPE_{type}"],
            None if attach_type is None else AttachType[f"BPF_{attach_type}"],
            name.endswith("+"),
            frozenset(flags),
        )
        for name, type, attach_type, *flags in _TABLE
    )


# Name (with `+` where `/TARGET` may follow), program type, attach type, flags.  The first row that fits counts.
_TABLE: tuple[tuple[str, str, str | None] | tuple[str, str, str | None, str], ...] = (
    ("socket", "SOCKET_FILTER", None),
    ("sk_reuseport/migrate", "SK_REUSEPORT", "SK_REUSEPORT_SELECT_OR_MIGRATE"),
    ("sk_reuseport", "SK_REUSEPORT", "SK_REUSEPORT_SELECT"),
    ("kprobe+", "KPROBE", None),
    ("uprobe+", "KPROBE", None),
    ("uprobe.s+", "KPROBE", None, SLEEPABLE),
    ("kretprobe+", "KPROBE", None),
    ("uretprobe+", "KPROBE", None),
    ("uretprobe.s+", "KPROBE", None, SLEEPABLE),
    ("kprobe.multi+", "KPROBE", "TRACE_KPROBE_MULTI"),
    ("kretprobe.multi+", "KPROBE", "TRACE_KPROBE_MULTI"),
    ("kprobe.session+", "KPROBE", "TRACE_KPROBE_SESSION"),
    ("uprobe.multi+", "KPROBE", "TRACE_UPROBE_MULTI"),
    ("uretprobe.multi+", "KPROBE", "TRACE_UPROBE_MULTI"),
    ("uprobe.session+", "KPROBE", "TRACE_UPROBE_SESSION"),
    ("uprobe.multi.s+", "KPROBE", "TRACE_UPROBE_MULTI", SLEEPABLE),
    ("uretprobe.multi.s+", "KPROBE", "TRACE_UPROBE_MULTI", SLEEPABLE),
    ("uprobe.session.s+", "KPROBE", "TRACE_UPROBE_SESSION", SLEEPABLE),
    ("ksyscall+", "KPROBE", None),
    ("kretsyscall+", "KPROBE", None),
    ("usdt+", "KPROBE", None),
    ("usdt.s+", "KPROBE", None, SLEEPABLE),
    ("tc/ingress", "SCHED_CLS", "TCX_INGRESS"),
    ("tc/egress", "SCHED_CLS", "TCX_EGRESS"),
    ("tcx/ingress", "SCHED_CLS", "TCX_INGRESS"),
    ("tcx/egress", "SCHED_CLS", "TCX_EGRESS"),
    ("tc", "SCHED_CLS", None),
    ("classifier", "SCHED_CLS", None),
    ("action", "SCHED_ACT", None),
    ("netkit/primary", "SCHED_CLS", "NETKIT_PRIMARY"),
    ("netkit/peer", "SCHED_CLS", "NETKIT_PEER"),
    ("tracepoint+", "TRACEPOINT", None),
    ("tp+", "TRACEPOINT", None),
    ("raw_tracepoint+", "RAW_TRACEPOINT", None),
    ("raw_tp+", "RAW_TRACEPOINT", None),
    ("raw_tracepoint.w+", "RAW_TRACEPOINT_WRITABLE", None),
    ("raw_tp.w+", "RAW_TRACEPOINT_WRITABLE", None),
    ("tp_btf+", "TRACING", "TRACE_RAW_TP"),
    ("fentry+", "TRACING", "TRACE_FENTRY"),
    ("fmod_ret+", "TRACING", "MODIFY_RETURN"),
    ("fexit+", "TRACING", "TRACE_FEXIT"),
    ("fentry.s+", "TRACING", "TRACE_FENTRY", SLEEPABLE),
    ("fmod_ret.s+", "TRACING", "MODIFY_RETURN", SLEEPABLE),
    ("fexit.s+", "TRACING", "TRACE_FEXIT", SLEEPABLE),
    ("freplace+", "EXT", None),
    ("lsm+", "LSM", "LSM_MAC"),
    ("lsm.s+", "LSM", "LSM_MAC", SLEEPABLE),
    ("lsm_cgroup+", "LSM", "LSM_CGROUP"),
    ("iter+", "TRACING", "TRACE_ITER"),
    ("iter.s+", "TRACING", "TRACE_ITER", SLEEPABLE),
    ("syscall", "SYSCALL", None, SLEEPABLE),
    ("xdp.frags/devmap", "XDP", "XDP_DEVMAP", FRAGS),
    ("xdp/devmap", "XDP", "XDP_DEVMAP"),
    ("xdp.frags/cpumap", "XDP", "XDP_CPUMAP", FRAGS),
    ("xdp/cpumap", "XDP", "XDP_CPUMAP"),
    ("xdp.frags", "XDP", "XDP", FRAGS),
    ("xdp", "XDP", "XDP"),
    ("perf_event", "PERF_EVENT", None),
    ("lwt_in", "LWT_IN", None),
    ("lwt_out", "LWT_OUT", None),
    ("lwt_xmit", "LWT_XMIT", None),
    ("lwt_seg6local", "LWT_SEG6LOCAL", None),
    ("sockops", "SOCK_OPS", "CGROUP_SOCK_OPS"),
    ("sk_skb/stream_parser", "SK_SKB", "SK_SKB_STREAM_PARSER"),
    ("sk_skb/stream_verdict", "SK_SKB", "SK_SKB_STREAM_VERDICT"),
    ("sk_skb/verdict", "SK_SKB", "SK_SKB_VERDICT"),
    ("sk_skb", "SK_SKB", None),
    ("sk_msg", "SK_MSG", "SK_MSG_VERDICT"),
    ("lirc_mode2", "LIRC_MODE2", "LIRC_MODE2"),
    ("flow_dissector", "FLOW_DISSECTOR", "FLOW_DISSECTOR"),
    ("cgroup_skb/ingress", "CGROUP_SKB", "CGROUP_INET_INGRESS"),
    ("cgroup_skb/egress", "CGROUP_SKB", "CGROUP_INET_EGRESS"),
    ("cgroup/skb", "CGROUP_SKB", None),
    ("cgroup/sock_create", "CGROUP_SOCK", "CGROUP_INET_SOCK_CREATE"),
    ("cgroup/sock_release", "CGROUP_SOCK", "CGROUP_INET_SOCK_RELEASE"),
    ("cgroup/sock", "CGROUP_SOCK", "CGROUP_INET_SOCK_CREATE"),
    ("cgroup/post_bind4", "CGROUP_SOCK", "CGROUP_INET4_POST_BIND"),
    ("cgroup/post_bind6", "CGROUP_SOCK", "CGROUP_INET6_POST_BIND"),
    ("cgroup/bind4", "CGROUP_SOCK_ADDR", "CGROUP_INET4_BIND"),
    ("cgroup/bind6", "CGROUP_SOCK_ADDR", "CGROUP_INET6_BIND"),
    ("cgroup/connect4", "CGROUP_SOCK_ADDR", "CGROUP_INET4_CONNECT"),
    ("cgroup/connect6", "CGROUP_SOCK_ADDR", "CGROUP_INET6_CONNECT"),
    ("cgroup/connect_unix", "CGROUP_SOCK_ADDR", "CGROUP_UNIX_CONNECT"),
    ("cgroup/sendmsg4", "CGROUP_SOCK_ADDR", "CGROUP_UDP4_SENDMSG"),
    ("cgroup/sendmsg6", "CGROUP_SOCK_ADDR", "CGROUP_UDP6_SENDMSG"),
    ("cgroup/sendmsg_unix", "CGROUP_SOCK_ADDR", "CGROUP_UNIX_SENDMSG"),
    ("cgroup/recvmsg4", "CGROUP_SOCK_ADDR", "CGROUP_UDP4_RECVMSG"),
    ("cgroup/recvmsg6", "CGROUP_SOCK_ADDR", "CGROUP_UDP6_RECVMSG"),
    ("cgroup/recvmsg_unix", "CGROUP_SOCK_ADDR", "CGROUP_UNIX_RECVMSG"),
    ("cgroup/getpeername4", "CGROUP_SOCK_ADDR", "CGROUP_INET4_GETPEERNAME"),
    ("cgroup/getpeername6", "CGROUP_SOCK_ADDR", "CGROUP_INET6_GETPEERNAME"),
    ("cgroup/getpeername_unix", "CGROUP_SOCK_ADDR", "CGROUP_UNIX_GETPEERNAME"),
    ("cgroup/getsockname4", "CGROUP_SOCK_ADDR", "CGROUP_INET4_GETSOCKNAME"),
    ("cgroup/getsockname6", "CGROUP_SOCK_ADDR", "CGROUP_INET6_GETSOCKNAME"),
    ("cgroup/getsockname_unix", "CGROUP_SOCK_ADDR", "CGROUP_UNIX_GETSOCKNAME"),
    ("cgroup/sysctl", "CGROUP_SYSCTL", "CGROUP_SYSCTL"),
    ("cgroup/getsockopt", "CGROUP_SOCKOPT", "CGROUP_GETSOCKOPT"),
    ("cgroup/setsockopt", "CGROUP_SOCKOPT", "CGROUP_SETSOCKOPT"),
    ("cgroup/dev", "CGROUP_DEVICE", "CGROUP_DEVICE"),
    ("struct_ops+", "STRUCT_OPS", None),
    ("struct_ops.s+", "STRUCT_OPS", None, SLEEPABLE),
    ("sk_lookup", "SK_LOOKUP", "SK_LOOKUP"),
    ("netfilter", "NETFILTER", "NETFILTER"),
)

SECTION_RULES = _rules()
