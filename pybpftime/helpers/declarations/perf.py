"""Perf events.  Source: kernel/trace/bpf_trace.c, net/core/filter.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    Anything,
    ConstMap,
    Context,
    Integer,
    Mem,
    Size,
    SizeOrZero,
    SkBuff,
    Unchecked,
    UninitMem,
    UninitMemOrNull,
    XdpBuff,
)
from pybpftime.maps.kinds import Operation


@helper(22, map_operation=Operation.PERF_EVENT_READ, since="4.3", programs=programs.BASE, gpl_only=True)
def bpf_perf_event_read(map: ConstMap, flags: Anything) -> Integer:
    """The counter of the perf event at an index of the map, or a negative errno, which a counter may look like."""


@helper(
    25,
    map_operation=Operation.PERF_EVENT_OUTPUT,
    since="4.4",
    gpl_only=True,
    programs=programs.PERF_OUTPUT,
)
def bpf_perf_event_output(context: Context, map: ConstMap, flags: Anything, data: Mem, size: SizeOrZero) -> Integer:
    """Write a sample to the perf event at the index in the low half of flags (BPF_F_CURRENT_CPU: this cpu).

    For packets, bits 32 to 51 of flags say how many packet bytes follow the data.  0; E2BIG for an index too large,
    ENOENT when there is no event, EINVAL for unknown flags, EFAULT for more bytes than the packet has.
    """


@helper(55, map_operation=Operation.PERF_EVENT_READ, since="4.15", programs=programs.BASE, gpl_only=True)
def bpf_perf_event_read_value(map: ConstMap, flags: Anything, value: UninitMem, size: Size) -> Integer:
    """Counter, time enabled and time running of the perf event at an index, into struct bpf_perf_event_value.

    0; otherwise `value` is zeroed: EINVAL when `size` is not 24 or for bad flags, E2BIG, ENOENT.
    """


@helper(
    111,
    map_operation=Operation.PERF_EVENT_OUTPUT,
    since="5.5",
    gpl_only=True,
    programs=programs.TRACING_AND_SYSCALL,
)
def bpf_skb_output(skb: SkBuff, map: ConstMap, flags: Anything, data: Mem, size: SizeOrZero) -> Integer:
    """As bpf_perf_event_output, for the packet of a kernel's struct sk_buff."""


@helper(
    121,
    map_operation=Operation.PERF_EVENT_OUTPUT,
    since="5.7",
    gpl_only=True,
    programs=programs.TRACING_AND_SYSCALL,
)
def bpf_xdp_output(xdp: XdpBuff, map: ConstMap, flags: Anything, data: Mem, size: SizeOrZero) -> Integer:
    """As bpf_perf_event_output, for the packet of a kernel's struct xdp_buff."""


@helper(56, since="4.15", gpl_only=True, programs=programs.PERF_EVENT)
def bpf_perf_prog_read_value(context: Context, value: UninitMem, size: Size) -> Integer:
    """As bpf_perf_event_read_value, of the event that the program is attached to."""


@helper(119, since="5.7", gpl_only=True, programs=programs.PERF_EVENT)
def bpf_read_branch_records(context: Context, target: UninitMemOrNull, size: SizeOrZero, flags: Anything) -> Integer:
    """The branches before this sample, as an array of struct perf_branch_entry.

    How many bytes they have; with BPF_F_GET_BRANCH_RECORDS_SIZE only that.  EINVAL for unknown flags or a size that is
    no multiple of 24, ENOENT when there are none.
    """


@helper(176, since="5.16", gpl_only=True, programs=programs.BASE)
def bpf_get_branch_snapshot(target: UninitMem, size: SizeOrZero, flags: Unchecked) -> Integer:
    """The branches that this cpu took last, as an array of struct perf_branch_entry.

    How many bytes they have; EINVAL for flags other than 0, ENOENT when there are none.
    """
