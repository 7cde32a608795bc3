"""Perf events.  Source: kernel/trace/bpf_trace.c, net/core/filter.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import Anything, ConstMap, Context, Integer, Mem, Size, SizeOrZero, UninitMem
from pybpftime.maps.kinds import Operation


@helper(22, map_operation=Operation.PERF_EVENT_READ, since="4.3", gpl_only=True)
def bpf_perf_event_read(map: ConstMap, flags: Anything) -> Integer:
    """The counter of the perf event at an index of the map, or a negative errno, which a counter may look like."""


@helper(
    25,
    map_operation=Operation.PERF_EVENT_OUTPUT,
    since="4.4",
    gpl_only=True,
    programs=programs.ALL - programs.WITHOUT_PERF_OUTPUT,
)
def bpf_perf_event_output(context: Context, map: ConstMap, flags: Anything, data: Mem, size: SizeOrZero) -> Integer:
    """Write a sample to the perf event at the index in the low half of flags (BPF_F_CURRENT_CPU: this cpu).

    For packets, bits 32 to 51 of flags say how many packet bytes follow the data.  0; E2BIG for an index too large,
    ENOENT when there is no event, EINVAL for unknown flags, EFAULT for more bytes than the packet has.
    """


@helper(55, map_operation=Operation.PERF_EVENT_READ, since="4.15", gpl_only=True)
def bpf_perf_event_read_value(map: ConstMap, flags: Anything, value: UninitMem, size: Size) -> Integer:
    """Counter, time enabled and time running of the perf event at an index, into struct bpf_perf_event_value.

    0; otherwise `value` is zeroed: EINVAL when `size` is not 24 or for bad flags, E2BIG, ENOENT.
    """
