"""The map types, declared once: which helpers and flags each allows and what it demands of a spec.

`LINUX_MAP_KINDS` has every type of Linux 6.18, for who judges programs; `MAP_KINDS` has those of them that can be
created here.  `operation in kind.operations` decides for the verifier and for the running program alike whether a
helper may be given a map (check_map_func_compatibility in the kernel's verifier.c); `illegal` adds the rule of
read-only maps and the sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pybpftime.errors import InputError
from pybpftime.maps import spec as rules
from pybpftime.maps.spec import ACCESS_FLAGS, MapSpec
from pybpftime.uapi import AttachType, MapFlag, MapType, ProgramType


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
    REDIRECT = "redirection"  # bpf_redirect_map
    SOCK_MAP = "socket redirection"  # bpf_sk_redirect_map, bpf_msg_redirect_map, bpf_sock_map_update
    SOCK_HASH = "socket redirection by key"  # bpf_sk_redirect_hash, bpf_msg_redirect_hash, bpf_sock_hash_update
    SELECT_REUSEPORT = "socket selection"  # bpf_sk_select_reuseport
    UNDER_CGROUP = "cgroup membership"  # bpf_skb_under_cgroup, bpf_current_task_under_cgroup
    LOCAL_STORAGE = "storage of the cgroup"  # bpf_get_local_storage
    SK_STORAGE = "socket storage"  # bpf_sk_storage_get, bpf_sk_storage_delete
    INODE_STORAGE = "inode storage"  # bpf_inode_storage_get, bpf_inode_storage_delete
    TASK_STORAGE = "task storage"  # bpf_task_storage_get, bpf_task_storage_delete
    CGRP_STORAGE = "cgroup storage"  # bpf_cgrp_storage_get, bpf_cgrp_storage_delete
    USER_RINGBUF = "user ring buffer"  # bpf_user_ringbuf_drain


class Found(StrEnum):
    """What the address is that a lookup returns (mark_ptr_not_null_reg in verifier.c)."""

    VALUE = "value"  # of value_size bytes
    MAP = "map"  # like the kind of map that `inner` describes
    SOCKET = "socket"  # struct bpf_sock, acquired: the program has to release it
    XDP_SOCKET = "XDP socket"  # struct bpf_xdp_sock


WRITING = frozenset({Operation.UPDATE, Operation.DELETE, Operation.PUSH, Operation.POP})
"""What BPF_F_RDONLY_PROG forbids (record_func_map in verifier.c)."""


_NO_FLAGS = MapFlag(0)


@dataclass(frozen=True, slots=True)
class MapKind:
    """One map type.

    `operations` are the helpers' operations that it takes.  `flags` are the legal flags at creation and `check`
    raises InputError for a spec that Linux would refuse; `check` is None for a type that only Linux can create.
    `found`: what a lookup returns the address of.  `per_cpu`: there is a value for each cpu.  `direct_value`:
    BPF_PSEUDO_MAP_VALUE may take the address of its value.  `sleepable`: sleepable programs may use it
    (check_map_prog_compatibility).  `usable`: any program may refer to it.
    """

    type: MapType
    operations: frozenset[Operation]
    flags: MapFlag = _NO_FLAGS
    check: Callable[[MapSpec], None] | None = None
    found: Found = Found.VALUE
    per_cpu: bool = False
    direct_value: bool = False
    sleepable: bool = False
    usable: bool = True

    def allows(self, operation: Operation, program: ProgramType, attach_type: AttachType | None = None) -> bool:
        """Whether a program of this type may ask `operation` of it.

        All types of programs have the same operations, but for changes of maps of sockets (may_update_sockmap).
        """
        if operation not in self.operations:
            return False
        if self.found is not Found.SOCKET or operation not in (Operation.UPDATE, Operation.DELETE):
            return True
        if program == ProgramType.BPF_PROG_TYPE_TRACING:
            return attach_type == AttachType.BPF_TRACE_ITER
        if program == ProgramType.BPF_PROG_TYPE_SOCK_OPS:
            return operation is Operation.DELETE
        return program in _CHANGE_SOCKETS


# Programs that run where no socket is locked.
_CHANGE_SOCKETS = frozenset(
    {
        ProgramType.BPF_PROG_TYPE_SOCKET_FILTER,
        ProgramType.BPF_PROG_TYPE_SCHED_CLS,
        ProgramType.BPF_PROG_TYPE_SCHED_ACT,
        ProgramType.BPF_PROG_TYPE_XDP,
        ProgramType.BPF_PROG_TYPE_SK_REUSEPORT,
        ProgramType.BPF_PROG_TYPE_FLOW_DISSECTOR,
        ProgramType.BPF_PROG_TYPE_SK_LOOKUP,
    }
)

_KEYED = frozenset({Operation.LOOKUP, Operation.UPDATE, Operation.DELETE})
_ELEMENTS = _KEYED | {Operation.FOR_EACH}
_ENDS = frozenset({Operation.PUSH, Operation.POP, Operation.PEEK})
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
        sleepable=True,
    ),
    MapKind(
        MapType.BPF_MAP_TYPE_PERCPU_ARRAY,
        _ELEMENTS | {Operation.LOOKUP_PERCPU},
        _ARRAY_FLAGS,
        rules.check_per_cpu_array,
        per_cpu=True,
        sleepable=True,
    ),
    MapKind(MapType.BPF_MAP_TYPE_HASH, _ELEMENTS, _HASH_FLAGS, rules.check_hash, sleepable=True),
    MapKind(
        MapType.BPF_MAP_TYPE_PERCPU_HASH,
        _ELEMENTS | {Operation.LOOKUP_PERCPU},
        _HASH_FLAGS,
        rules.check_per_cpu_hash,
        per_cpu=True,
        sleepable=True,
    ),
    MapKind(
        MapType.BPF_MAP_TYPE_LRU_HASH,
        _ELEMENTS,
        _HASH_FLAGS | MapFlag.BPF_F_NO_COMMON_LRU,
        rules.check_lru_hash,
        sleepable=True,
    ),
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
        sleepable=True,
    ),
    MapKind(
        MapType.BPF_MAP_TYPE_STACK_TRACE,
        frozenset({Operation.STACK}),
        MapFlag.BPF_F_NUMA_NODE | MapFlag.BPF_F_RDONLY | MapFlag.BPF_F_WRONLY | MapFlag.BPF_F_STACK_BUILD_ID,
        rules.check_stack_trace,
    ),
    # Beyond this line are the types that only Linux can create.
    MapKind(
        MapType.BPF_MAP_TYPE_LRU_PERCPU_HASH,
        _ELEMENTS | {Operation.LOOKUP_PERCPU},
        per_cpu=True,
        sleepable=True,
    ),
    MapKind(MapType.BPF_MAP_TYPE_LPM_TRIE, _KEYED),
    MapKind(MapType.BPF_MAP_TYPE_QUEUE, _ENDS, sleepable=True),
    MapKind(MapType.BPF_MAP_TYPE_STACK, _ENDS, sleepable=True),
    MapKind(MapType.BPF_MAP_TYPE_BLOOM_FILTER, frozenset({Operation.PUSH, Operation.PEEK})),
    MapKind(MapType.BPF_MAP_TYPE_ARRAY_OF_MAPS, frozenset({Operation.LOOKUP}), found=Found.MAP, sleepable=True),
    MapKind(MapType.BPF_MAP_TYPE_HASH_OF_MAPS, frozenset({Operation.LOOKUP}), found=Found.MAP, sleepable=True),
    MapKind(MapType.BPF_MAP_TYPE_CGROUP_ARRAY, frozenset({Operation.UNDER_CGROUP})),
    MapKind(MapType.BPF_MAP_TYPE_CGROUP_STORAGE, frozenset({Operation.LOCAL_STORAGE})),
    MapKind(MapType.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, frozenset({Operation.LOCAL_STORAGE}), per_cpu=True),
    MapKind(MapType.BPF_MAP_TYPE_DEVMAP, frozenset({Operation.REDIRECT, Operation.LOOKUP})),
    MapKind(MapType.BPF_MAP_TYPE_DEVMAP_HASH, frozenset({Operation.REDIRECT, Operation.LOOKUP})),
    MapKind(MapType.BPF_MAP_TYPE_CPUMAP, frozenset({Operation.REDIRECT})),
    MapKind(MapType.BPF_MAP_TYPE_XSKMAP, frozenset({Operation.REDIRECT, Operation.LOOKUP}), found=Found.XDP_SOCKET),
    MapKind(
        MapType.BPF_MAP_TYPE_SOCKMAP,
        _KEYED | {Operation.SOCK_MAP, Operation.SELECT_REUSEPORT},
        found=Found.SOCKET,
    ),
    MapKind(
        MapType.BPF_MAP_TYPE_SOCKHASH,
        _KEYED | {Operation.SOCK_HASH, Operation.SELECT_REUSEPORT},
        found=Found.SOCKET,
    ),
    MapKind(MapType.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, frozenset({Operation.SELECT_REUSEPORT})),
    MapKind(MapType.BPF_MAP_TYPE_SK_STORAGE, frozenset({Operation.SK_STORAGE}), sleepable=True),
    MapKind(MapType.BPF_MAP_TYPE_INODE_STORAGE, frozenset({Operation.INODE_STORAGE}), sleepable=True),
    MapKind(MapType.BPF_MAP_TYPE_TASK_STORAGE, frozenset({Operation.TASK_STORAGE}), sleepable=True),
    MapKind(MapType.BPF_MAP_TYPE_CGRP_STORAGE, frozenset({Operation.CGRP_STORAGE}), sleepable=True),
    MapKind(MapType.BPF_MAP_TYPE_STRUCT_OPS, frozenset(), usable=False),
    MapKind(MapType.BPF_MAP_TYPE_USER_RINGBUF, frozenset({Operation.USER_RINGBUF}), sleepable=True),
    MapKind(MapType.BPF_MAP_TYPE_ARENA, frozenset(), direct_value=True, sleepable=True),
)

LINUX_MAP_KINDS: Mapping[MapType, MapKind] = MappingProxyType({kind.type: kind for kind in _KINDS})
"""Every map type of Linux, for the verifier."""

MAP_KINDS: Mapping[MapType, MapKind] = MappingProxyType({kind.type: kind for kind in _KINDS if kind.check})
"""The map types that `create_map` makes."""


def illegal(spec: MapSpec, operation: Operation) -> str | None:
    """Why no program may do `operation` with such a map, as a sentence; None when programs may."""
    kind = LINUX_MAP_KINDS.get(spec.type)
    if kind is None or operation not in kind.operations:
        return f"map {spec.name} is a {_type_name(spec)}, which has no {operation}"
    if operation in WRITING and spec.flags & MapFlag.BPF_F_RDONLY_PROG:
        return f"map {spec.name} is read-only for programs (BPF_F_RDONLY_PROG): no {operation}"
    return None


def check(spec: MapSpec) -> MapKind:
    """The kind of map that `spec` describes; InputError when it cannot be created here or breaks a rule of Linux."""
    kind = MAP_KINDS.get(spec.type)
    if kind is None or kind.check is None:
        raise InputError(f"map {spec.name}: map type {_type_name(spec)} is not supported yet")
    rules.check_common(spec, kind.flags)
    kind.check(spec)
    return kind


def _type_name(spec: MapSpec) -> str:
    return str(getattr(spec.type, "name", spec.type))  # a loader may pass on a number that has no name
