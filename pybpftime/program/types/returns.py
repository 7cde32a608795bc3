"""What r0 means when a program ends: its verdict, and the range that the kernel's verifier demands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pybpftime.isa.encoding import sign_extend
from pybpftime.uapi import MAX_ERRNO, AttachType, TcAction, XdpAction


@dataclass(frozen=True, slots=True)
class Verdict:
    """r0 as the program type reads it.  `name` is the UAPI name or the word for it, None for plain numbers."""

    value: int
    name: str | None = None

    def __str__(self) -> str:
        return str(self.value) if self.name is None else self.name


@dataclass(frozen=True, slots=True)
class ReturnConvention:
    """How a program type reads r0.

    `bits`: how many low bits count; `signed` whether as a signed number.  `name_of` gives a value its name.
    `allowed`: what the kernel's verifier demands of all 64 bits, None where it demands nothing; `allowed_at` has
    the attach types with another range, and `narrow_at` those of which it demands that of the low 32 bits only, as a
    signed number.  r0 has been written in any case, and where a range is demanded it holds a number, no address.

    `of_function`: the program stands for a function of the kernel.  Where that returns nothing, which its BTF says, r0
    is not looked at.
    """

    bits: int = 32
    signed: bool = False
    name_of: Callable[[int], str | None] = lambda value: None
    allowed: range | None = None
    allowed_at: Mapping[AttachType, range | None] = field(default_factory=dict)
    narrow_at: frozenset[AttachType] = frozenset()
    of_function: bool = False

    def verdict(self, r0: int) -> Verdict:
        """The verdict that `r0` (64 bits, unsigned) stands for."""
        value = sign_extend(r0, self.bits) if self.signed else r0 & ((1 << self.bits) - 1)
        return Verdict(value, self.name_of(value))

    def allowed_range(self, attach_type: AttachType | None = None) -> range | None:
        """The values that the kernel's verifier lets a program with this expected attach type return; None: all."""
        return self.allowed if attach_type is None else self.allowed_at.get(attach_type, self.allowed)


def _names(names: Mapping[int, str]) -> Callable[[int], str | None]:
    return names.get


def _tc_name(value: int) -> str | None:
    """TC_ACT_*; the two that carry a number in their low 28 bits have it behind the name."""
    action, number = value & ~0xFFF_FFFF, value & 0xFFF_FFFF
    if action in (TcAction.TC_ACT_JUMP, TcAction.TC_ACT_GOTO_CHAIN):
        return f"{TcAction(action).name}({number})"
    return _TC_NAMES.get(value)


_TC_NAMES = {action.value: action.name for action in TcAction}

_BINARY = range(2)

UNCHECKED = ReturnConvention()
NUMBER = ReturnConvention(bits=64)
XDP = ReturnConvention(name_of=_names({action.value: action.name for action in XdpAction}))
TC = ReturnConvention(signed=True, name_of=_tc_name)
SOCKET_FILTER = ReturnConvention(name_of=lambda value: "accept" if value else "drop")
CGROUP_SKB = ReturnConvention(
    name_of=_names({0: "drop", 1: "allow", 2: "drop, congested", 3: "allow, congested"}),
    allowed=_BINARY,
    allowed_at={AttachType.BPF_CGROUP_INET_EGRESS: range(4)},
)
CGROUP = ReturnConvention(name_of=_names({0: "deny", 1: "allow"}), allowed=_BINARY)
CGROUP_SOCK_ADDR = ReturnConvention(
    name_of=CGROUP.name_of,
    allowed=_BINARY,
    allowed_at={
        AttachType.BPF_CGROUP_INET4_BIND: range(4),
        AttachType.BPF_CGROUP_INET6_BIND: range(4),
        **dict.fromkeys(
            (
                AttachType.BPF_CGROUP_UDP4_RECVMSG,
                AttachType.BPF_CGROUP_UDP6_RECVMSG,
                AttachType.BPF_CGROUP_UNIX_RECVMSG,
                AttachType.BPF_CGROUP_INET4_GETPEERNAME,
                AttachType.BPF_CGROUP_INET6_GETPEERNAME,
                AttachType.BPF_CGROUP_UNIX_GETPEERNAME,
                AttachType.BPF_CGROUP_INET4_GETSOCKNAME,
                AttachType.BPF_CGROUP_INET6_GETSOCKNAME,
                AttachType.BPF_CGROUP_UNIX_GETSOCKNAME,
            ),
            range(1, 2),
        ),
    },
)
SOCK_OPS = ReturnConvention(allowed=_BINARY)
SK_ACTION = ReturnConvention(name_of=_names({0: "SK_DROP", 1: "SK_PASS"}))
SK_LOOKUP = ReturnConvention(name_of=SK_ACTION.name_of, allowed=_BINARY)
NETFILTER = ReturnConvention(name_of=_names({0: "NF_DROP", 1: "NF_ACCEPT"}), allowed=_BINARY)
# enum bpf_ret_code
LWT = ReturnConvention(name_of=_names({0: "BPF_OK", 2: "BPF_DROP", 7: "BPF_REDIRECT", 128: "BPF_LWT_REROUTE"}))
FLOW_DISSECTOR = ReturnConvention(name_of=_names({0: "BPF_OK", 2: "BPF_DROP", 129: "BPF_FLOW_DISSECTOR_CONTINUE"}))
# 0 keeps the event out of the perf buffer.
PROBE = ReturnConvention(
    allowed_at={AttachType.BPF_TRACE_KPROBE_SESSION: _BINARY, AttachType.BPF_TRACE_UPROBE_SESSION: _BINARY}
)
TRACING = ReturnConvention(
    allowed_at={
        AttachType.BPF_TRACE_FENTRY: range(1),
        AttachType.BPF_TRACE_FEXIT: range(1),
        AttachType.BPF_TRACE_ITER: _BINARY,
    }
)
STRUCT_OPS = ReturnConvention(bits=64, of_function=True)
# A hook returns 0 or an error number (bpf_lsm_get_retval_range).  The exceptions go by function: LSM_BOOLEAN_HOOKS, and
# programs of a control group for a hook that returns nothing, which return 1.
LSM = ReturnConvention(
    signed=True,
    allowed_at={AttachType.BPF_LSM_MAC: range(-MAX_ERRNO, 1), AttachType.BPF_LSM_CGROUP: _BINARY},
    narrow_at=frozenset({AttachType.BPF_LSM_MAC}),
    of_function=True,
)
LSM_BOOLEAN_HOOKS = frozenset({"xfrm_state_pol_flow_match", "audit_rule_known", "inode_xattr_skipcap"})
"""The hooks whose programs return 0 or 1: names without `bpf_lsm_`."""
