"""The map types, declared once: which helpers and flags each allows and what it demands of a spec.

`operation in MAP_KINDS[type].operations` decides for the verifier and for the running program alike whether a
helper may be given a map (check_map_func_compatibility in the kernel's verifier.c); `illegal` adds the rule of
read-only maps and the sentence.  A type without an entry here is not supported yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pybpftime.errors import InputError
from pybpftime.maps import spec as rules
from pybpftime.maps.spec import ACCESS_FLAGS, MapSpec
from pybpftime.uapi import MapFlag, MapType


class Operation(StrEnum):
    """What a program may ask of a map; each names the helpers it stands for."""

    LOOKUP = "lookup"  # bpf_map_lookup_elem
    UPDATE = "update"  # bpf_map_update_elem
    DELETE = "delete"  # bpf_map_delete_elem
    LOOKUP_PERCPU = "lookup of another cpu"  # bpf_map_lookup_percpu_elem
    FOR_EACH = "iteration"  # bpf_for_each_map_elem
    PUSH = "push"  # bpf_map_push_elem
    POP = "pop"  # bpf_map_pop_elem
    PEEK = "peek"  # bpf_map_peek_elem
    TAIL_CALL = "tail call"  # bpf_tail_call
    PERF_EVENT_OUTPUT = "perf event output"  # bpf_perf_event_output, bpf_skb_output, bpf_xdp_output
    PERF_EVENT_READ = "perf event read"  # bpf_perf_event_read, bpf_perf_event_read_value
    RINGBUF = "ring buffer output"  # bpf_ringbuf_*
    STACK = "stack id"  # bpf_get_stackid


WRITING = frozenset({Operation.UPDATE, Operation.DELETE, Operation.PUSH, Operation.POP})
"""What BPF_F_RDONLY_PROG forbids (record_func_map in verifier.c)."""


@dataclass(frozen=True, slots=True)
class MapKind:
    """One map type.

    `operations` are the helpers' operations that it takes; `flags` the legal flags at creation; `check` raises
    InputError for a spec that Linux would refuse.  `per_cpu`: there is a value for each cpu.  `direct_value`:
    BPF_PSEUDO_MAP_VALUE may take the address of its value.
    """

    type: MapType
    operations: frozenset[Operation]
    flags: MapFlag
    check: Callable[[MapSpec], None]
    per_cpu: bool = False
    direct_value: bool = False


_ELEMENTS = frozenset({Operation.LOOKUP, Operation.UPDATE, Operation.DELETE, Operation.FOR_EACH})
_ARRAY_FLAGS = MapFlag.BPF_F_NUMA_NODE | ACCESS_FLAGS
_HASH_FLAGS = MapFlag.BPF_F_NO_PREALLOC | MapFlag.BPF_F_NUMA_NODE | MapFlag.BPF_F_ZERO_SEED | ACCESS_FLAGS
_DESCRIPTOR_FLAGS = MapFlag.BPF_F_NUMA_NODE | MapFlag.BPF_F_RDONLY | MapFlag.BPF_F_WRONLY

_KINDS = (
    MapKind(
        MapType.BPF_MAP_TYPE_ARRAY,
        _ELEMENTS,
        _ARRAY_FLAGS | MapFlag.BPF_F_MMAPABLE | MapFlag.BPF_F_INNER_MAP,
        rules.check_array,
        direct_value=True,
    ),
    MapKind(
        MapType.BPF_MAP_TYPE_PERCPU_ARRAY,
        _ELEMENTS | {Operation.LOOKUP_PERCPU},
        _ARRAY_FLAGS,
        rules.check_per_cpu_array,
        per_cpu=True,
    ),
    MapKind(MapType.BPF_MAP_TYPE_HASH, _ELEMENTS, _HASH_FLAGS, rules.check_hash),
    MapKind(
        MapType.BPF_MAP_TYPE_PERCPU_HASH,
        _ELEMENTS | {Operation.LOOKUP_PERCPU},
        _HASH_FLAGS,
        rules.check_per_cpu_hash,
        per_cpu=True,
    ),
    MapKind(MapType.BPF_MAP_TYPE_LRU_HASH, _ELEMENTS, _HASH_FLAGS | MapFlag.BPF_F_NO_COMMON_LRU, rules.check_lru_hash),
    MapKind(
        MapType.BPF_MAP_TYPE_PROG_ARRAY,
        frozenset({Operation.TAIL_CALL}),
        _DESCRIPTOR_FLAGS,
        rules.check_descriptor_array,
    ),
    MapKind(
        MapType.BPF_MAP_TYPE_PERF_EVENT_ARRAY,
        frozenset({Operation.PERF_EVENT_OUTPUT, Operation.PERF_EVENT_READ}),
        _DESCRIPTOR_FLAGS | MapFlag.BPF_F_PRESERVE_ELEMS,
        rules.check_descriptor_array,
    ),
    MapKind(
        MapType.BPF_MAP_TYPE_RINGBUF,
        frozenset({Operation.RINGBUF}),
        MapFlag.BPF_F_NUMA_NODE,
        rules.check_ringbuf,
    ),
    MapKind(
        MapType.BPF_MAP_TYPE_STACK_TRACE,
        frozenset({Operation.STACK}),
        MapFlag.BPF_F_NUMA_NODE | MapFlag.BPF_F_RDONLY | MapFlag.BPF_F_WRONLY | MapFlag.BPF_F_STACK_BUILD_ID,
        rules.check_stack_trace,
    ),
)

MAP_KINDS: Mapping[MapType, MapKind] = MappingProxyType({kind.type: kind for kind in _KINDS})


def illegal(spec: MapSpec, operation: Operation) -> str | None:
    """Why a program may not do `operation` with such a map, as a sentence; None when it may."""
    kind = MAP_KINDS.get(spec.type)
    if kind is None or operation not in kind.operations:
        return f"map {spec.name} is a {spec.type.name}, which has no {operation}"
    if operation in WRITING and spec.flags & MapFlag.BPF_F_RDONLY_PROG:
        return f"map {spec.name} is read-only for programs (BPF_F_RDONLY_PROG): no {operation}"
    return None


def check(spec: MapSpec) -> MapKind:
    """The kind of map that `spec` describes; InputError when the type is unknown here or the spec breaks a rule."""
    kind = MAP_KINDS.get(spec.type)
    if kind is None:
        name = getattr(spec.type, "name", spec.type)  # a loader may pass on a number that has no name
        raise InputError(f"map {spec.name}: map type {name} is not supported yet")
    rules.check_common(spec, kind.flags)
    kind.check(spec)
    return kind
