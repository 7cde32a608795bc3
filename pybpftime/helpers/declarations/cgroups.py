"""Cgroups, and what programs decide for one.  Source: net/core/filter.c, kernel/bpf/cgroup.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    AnySocket,
    Anything,
    ChangedMem,
    ConstMap,
    Context,
    Integer,
    Mem,
    Size,
    Skb,
    UninitMem,
)
from pybpftime.maps.kinds import Operation
from pybpftime.uapi import AttachType

_TC_CGROUP = programs.TC | programs.CGROUP_SKB
_SYSTEM_CALLS = programs.CGROUP_SYSTEM_CALLS | programs.LSM
_NO_RESULT = programs.CGROUP_PACKETS | programs.CGROUP_ANSWERS | {AttachType.BPF_LSM_MAC}


@helper(33, map_operation=Operation.UNDER_CGROUP, since="4.8", programs=programs.TC | programs.LWT)
def bpf_skb_under_cgroup(skb: Skb, map: ConstMap, index: Anything) -> Integer:
    """Whether the packet's socket lies below the cgroup at `index` of a cgroup array: 1 or 0.

    E2BIG for an index too large, EAGAIN when there is no cgroup, ENOENT for a packet without a full socket.
    """


@helper(37, map_operation=Operation.UNDER_CGROUP, since="4.9", programs=programs.BASE)
def bpf_current_task_under_cgroup(map: ConstMap, index: Anything) -> Integer:
    """Whether the current task lies below the cgroup at `index` of a cgroup array: 1 or 0.

    E2BIG for an index too large, EAGAIN when there is no cgroup.
    """


@helper(79, since="4.18", programs=_TC_CGROUP)
def bpf_skb_cgroup_id(skb: Skb) -> Integer:
    """The id of the cgroup (version 2) of the packet's socket; 0 without one."""


@helper(83, since="4.19", programs=_TC_CGROUP)
def bpf_skb_ancestor_cgroup_id(skb: Skb, level: Anything) -> Integer:
    """The id of that cgroup's ancestor at `level` (0 is the root), 0 when it does not lie that deep."""


@helper(128, since="5.8", programs=programs.CGROUP_SKB)
def bpf_sk_cgroup_id(sock: AnySocket) -> Integer:
    """The id of the cgroup (version 2) of a socket; 0 when it is not full."""


@helper(129, since="5.8", programs=programs.CGROUP_SKB)
def bpf_sk_ancestor_cgroup_id(sock: AnySocket, level: Anything) -> Integer:
    """The id of that cgroup's ancestor at `level` (0 is the root), 0 when it does not lie that deep."""


@helper(151, since="5.10", programs=programs.TC)
def bpf_skb_cgroup_classid(skb: Skb) -> Integer:
    """The net_cls class of the packet's socket, 0 without one; never that of the current task."""


@helper(186, since="5.18", programs=_SYSTEM_CALLS, not_attached_to=_NO_RESULT)
def bpf_get_retval() -> Integer:
    """What the system call will return so far: 0, or the error that an earlier program or bpf_set_retval chose."""


@helper(187, since="5.18", programs=_SYSTEM_CALLS, not_attached_to=_NO_RESULT)
def bpf_set_retval(value: Anything) -> Integer:
    """Choose what the system call will return.  0."""


@helper(101, since="5.2", programs=programs.CGROUP_SYSCTL)
def bpf_sysctl_get_name(context: Context, buffer: ChangedMem, size: Size, flags: Anything) -> Integer:
    """The name of the sysctl below /proc/sys, or its last part only (BPF_F_SYSCTL_BASE_NAME), zero-terminated.

    How many bytes it has; E2BIG when it was cut.
    """


@helper(102, since="5.2", programs=programs.CGROUP_SYSCTL)
def bpf_sysctl_get_current_value(context: Context, buffer: UninitMem, size: Size) -> Integer:
    """The value that the sysctl has, as a file of /proc/sys shows it, zero-terminated.

    How many bytes it has; E2BIG when it was cut, EINVAL when it cannot be read.
    """


@helper(103, since="5.2", programs=programs.CGROUP_SYSCTL)
def bpf_sysctl_get_new_value(context: Context, buffer: UninitMem, size: Size) -> Integer:
    """The value that is being written, zero-terminated.

    How many bytes it has; E2BIG when it was cut, EINVAL when the sysctl is being read.
    """


@helper(104, since="5.2", programs=programs.CGROUP_SYSCTL)
def bpf_sysctl_set_new_value(context: Context, value: Mem, size: Size) -> Integer:
    """Have `value` written instead.  0; E2BIG when it is longer than a page, EINVAL when the sysctl is being read."""
