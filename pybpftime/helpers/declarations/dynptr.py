"""Dynptrs: memory whose size is known at run time only.  Source: kernel/bpf/helpers.c, kernel/bpf/ringbuf.c.

A struct bpf_dynptr lies on the stack and is opaque; helpers check each access against its bounds.
"""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    Anything,
    ConstAllocSize,
    ConstMap,
    Dynptr,
    DynptrMemOrNull,
    Integer,
    Mem,
    ReleasedRingbufDynptr,
    SizeOrZero,
    UninitLocalDynptr,
    UninitMem,
    UninitRingbufDynptr,
    Void,
)
from pybpftime.maps.kinds import Operation


@helper(197, since="5.19", programs=programs.BASE)
def bpf_dynptr_from_mem(data: UninitMem, size: SizeOrZero, flags: Anything, dynptr: UninitLocalDynptr) -> Integer:
    """Make a dynptr of memory in a map value.

    0; E2BIG for 16 MiB or more, EINVAL for flags other than 0: then the dynptr is invalid.
    """


@helper(198, map_operation=Operation.RINGBUF, since="5.19", programs=programs.BASE)
def bpf_ringbuf_reserve_dynptr(map: ConstMap, size: Anything, flags: Anything, dynptr: UninitRingbufDynptr) -> Integer:
    """Reserve a record of `size` bytes; it has to be submitted or discarded even when that failed.

    0; EINVAL when there is no room or for flags other than 0, E2BIG for 16 MiB or more: then the dynptr is invalid.
    """


@helper(199, since="5.19", programs=programs.BASE)
def bpf_ringbuf_submit_dynptr(dynptr: ReleasedRingbufDynptr, flags: Anything) -> Void:
    """Make the record visible to the reader, if the dynptr is valid.  flags as for bpf_ringbuf_output."""


@helper(200, since="5.19", programs=programs.BASE)
def bpf_ringbuf_discard_dynptr(dynptr: ReleasedRingbufDynptr, flags: Anything) -> Void:
    """Give the record up, if the dynptr is valid.  flags as for bpf_ringbuf_output."""


@helper(201, since="5.19", programs=programs.BASE)
def bpf_dynptr_read(target: UninitMem, size: SizeOrZero, dynptr: Dynptr, offset: Anything, flags: Anything) -> Integer:
    """Copy bytes from `offset` of the dynptr on.

    0; E2BIG for bytes that it has not, EINVAL for an invalid dynptr or flags other than 0.
    """


@helper(202, since="5.19", programs=programs.BASE)
def bpf_dynptr_write(dynptr: Dynptr, offset: Anything, source: Mem, size: SizeOrZero, flags: Anything) -> Integer:
    """Overwrite bytes from `offset` of the dynptr on.  One of a packet invalidates every slice of it.

    0; E2BIG for bytes that it has not, EINVAL for an invalid or read-only dynptr or for flags (a packet's may have
    those of bpf_skb_store_bytes).
    """


@helper(203, since="5.19", programs=programs.BASE)
def bpf_dynptr_data(dynptr: Dynptr, offset: Anything, size: ConstAllocSize) -> DynptrMemOrNull:
    """The address of `size` bytes at `offset` of the dynptr, as long as that is valid; not of a packet's.

    NULL when it has not so many, is read-only or invalid.
    """
