"""Ring buffers.  Source: kernel/bpf/ringbuf.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    AllocatedMem,
    AllocatedMemOrNull,
    Anything,
    CallbackContext,
    ConstAllocSize,
    ConstMap,
    DynptrCallback,
    Integer,
    Mem,
    SizeOrZero,
    Void,
)
from pybpftime.maps.kinds import Operation


@helper(130, map_operation=Operation.RINGBUF, since="5.8", programs=programs.BASE)
def bpf_ringbuf_output(map: ConstMap, data: Mem, size: SizeOrZero, flags: Anything) -> Integer:
    """Copy a record into the ring buffer.  0; EAGAIN when there is no room, EINVAL for unknown flags.

    flags: BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP, or 0 to wake the reader when it had read all.
    """


@helper(131, map_operation=Operation.RINGBUF, since="5.8", programs=programs.BASE)
def bpf_ringbuf_reserve(map: ConstMap, size: ConstAllocSize, flags: Anything) -> AllocatedMemOrNull:
    """Reserve a record of `size` bytes, to be filled in place and submitted or discarded.

    Its address; NULL when there is no room, or for flags other than 0.
    """


@helper(132, since="5.8", programs=programs.BASE)
def bpf_ringbuf_submit(record: AllocatedMem, flags: Anything) -> Void:
    """Make a reserved record visible to the reader.  flags as for bpf_ringbuf_output."""


@helper(133, since="5.8", programs=programs.BASE)
def bpf_ringbuf_discard(record: AllocatedMem, flags: Anything) -> Void:
    """Give a reserved record up; the reader skips it.  flags as for bpf_ringbuf_output."""


@helper(134, map_operation=Operation.RINGBUF, since="5.8", programs=programs.BASE)
def bpf_ringbuf_query(map: ConstMap, flags: Anything) -> Integer:
    """BPF_RB_AVAIL_DATA (bytes not read yet), BPF_RB_RING_SIZE, BPF_RB_CONS_POS or BPF_RB_PROD_POS; 0 for others."""


@helper(209, map_operation=Operation.USER_RINGBUF, since="6.1", programs=programs.BASE)
def bpf_user_ringbuf_drain(
    map: ConstMap, callback: DynptrCallback, callback_context: CallbackContext, flags: Anything
) -> Integer:
    """Call `callback(dynptr, callback_context)` for each record that user space wrote, until it returns 1.

    The address of a read-only struct bpf_dynptr is handed over, which the callback neither keeps nor changes.  How many
    records were read, at most 131072; EBUSY when another program drains it, EINVAL for unknown flags (those of
    bpf_ringbuf_output) and for a ring that user space has broken, E2BIG for a record too large.
    """
