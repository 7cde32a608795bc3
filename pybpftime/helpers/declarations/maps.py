"""Helpers on maps.  Source: kernel/bpf/helpers.c; errors are those of the map type (pybpftime/maps)."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    Anything,
    ConstMap,
    Context,
    Integer,
    MapKey,
    MapValue,
    MapValueOrNull,
    UninitMapValue,
    Void,
)
from pybpftime.maps.kinds import Operation


@helper(1, map_operation=Operation.LOOKUP, since="3.19", packet_access=True)
def bpf_map_lookup_elem(map: ConstMap, key: MapKey) -> MapValueOrNull:
    """The address of the value stored under `key` (in a per-cpu map, of this cpu's), or NULL.

    The value may be read and written in place; in an LRU map the element counts as used.  In maps of maps and of
    sockets it is the map or the socket, and a socket of a sockmap or sockhash is a reference that bpf_sk_release gives
    up (`Found` of maps.kinds).
    """


@helper(2, map_operation=Operation.UPDATE, since="3.19", packet_access=True)
def bpf_map_update_elem(map: ConstMap, key: MapKey, value: MapValue, flags: Anything) -> Integer:
    """Store `value` under `key`; in a per-cpu map for this cpu only.  0, or a negative errno.

    flags: BPF_ANY, BPF_NOEXIST (EEXIST when there is an element) or BPF_EXIST (ENOENT when there is none).
    E2BIG when the map is full or the index too large, EINVAL for unknown flags.
    """


@helper(3, map_operation=Operation.DELETE, since="3.19", packet_access=True)
def bpf_map_delete_elem(map: ConstMap, key: MapKey) -> Integer:
    """Remove the element under `key`.  0, ENOENT when there is none, EINVAL for arrays."""


@helper(12, map_operation=Operation.TAIL_CALL, since="4.2")
def bpf_tail_call(context: Context, map: ConstMap, index: Anything) -> Void:
    """Go on in the program at `index` of a prog array, with the same context and stack, and do not return.

    It returns only when there is no program at `index` (its low 32 bits) or when 33 tail calls were made already.
    """


@helper(87, map_operation=Operation.PUSH, since="4.20", packet_access=True)
def bpf_map_push_elem(map: ConstMap, value: MapValue, flags: Anything) -> Integer:
    """Add `value` to a queue, stack or bloom filter.  0; E2BIG when full, unless flags has BPF_EXIST (oldest goes)."""


@helper(88, map_operation=Operation.POP, since="4.20")
def bpf_map_pop_elem(map: ConstMap, value: UninitMapValue) -> Integer:
    """Take an element out of a queue or stack into `value`.  0, or ENOENT when it is empty."""


@helper(89, map_operation=Operation.PEEK, since="4.20")
def bpf_map_peek_elem(map: ConstMap, value: UninitMapValue) -> Integer:
    """Copy the next element of a queue or stack into `value` and leave it.  0, or ENOENT when it is empty.

    For a bloom filter: whether it may hold `value` (0), or does not (ENOENT).
    """


@helper(195, map_operation=Operation.LOOKUP_PERCPU, since="5.19", programs=programs.BASE, packet_access=True)
def bpf_map_lookup_percpu_elem(map: ConstMap, key: MapKey, cpu: Anything) -> MapValueOrNull:
    """The address of the value that `cpu` (its low 32 bits) has under `key` in a per-cpu map, or NULL."""
