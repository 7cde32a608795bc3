"""Values that belong to an object of the kernel.  Source: kernel/bpf/bpf_local_storage.c and its callers, cgroup.c.

A map of such storage is a field that every object of its kind may have; the object takes the place of the key.
"""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    AnySocket,
    Anything,
    CgroupOrNull,
    ConstMap,
    Context,
    InodeOrNull,
    Integer,
    KernelSockCommonOrNull,
    LocalStorage,
    MapValueOrNull,
    MapValueOrNullArgument,
    TaskOrNull,
)
from pybpftime.maps.kinds import Operation
from pybpftime.uapi import AttachType

_CGROUP_PROGRAMS = programs.CGROUP_SKB | programs.SOCK_OPS | programs.CGROUP_SYSTEM_CALLS | programs.LSM
_STORED = (
    programs.TC | programs.CGROUP_SKB | programs.SOCK_OPS | programs.SK_MSG
    | programs.CGROUP_SOCK_ADDR | programs.CGROUP_SOCKOPT | programs.TRACING_AND_SYSCALL
)  # fmt: skip
_KERNEL_SOCKET = {programs.ITERATOR | programs.SYSCALL: {"sock": KernelSockCommonOrNull}}


@helper(
    81,
    map_operation=Operation.LOCAL_STORAGE,
    since="4.19",
    programs=_CGROUP_PROGRAMS,
    not_attached_to=frozenset({AttachType.BPF_LSM_MAC}),
)
def bpf_get_local_storage(map: ConstMap, flags: Anything) -> LocalStorage:
    """The address of the value that the cgroup of the program's attachment has (in a per-cpu map, on this cpu).

    It is there whenever the program runs.  flags must be 0.
    """


@helper(
    107,
    map_operation=Operation.SK_STORAGE,
    since="5.2",
    programs=_STORED | programs.CGROUP_SOCK,
    variants={programs.CGROUP_SOCK: {"sock": Context}, **_KERNEL_SOCKET},
)
def bpf_sk_storage_get(
    map: ConstMap, sock: AnySocket, value: MapValueOrNullArgument, flags: Anything
) -> MapValueOrNull:
    """The address of the value that a full socket has in the map.

    With BPF_SK_STORAGE_GET_F_CREATE it is made when missing, as a copy of `value` or of zeros (NULL).  NULL when there
    is none, for other sockets and for unknown flags.
    """


@helper(108, map_operation=Operation.SK_STORAGE, since="5.2", programs=_STORED, variants=_KERNEL_SOCKET)
def bpf_sk_storage_delete(map: ConstMap, sock: AnySocket) -> Integer:
    """Remove the value that a full socket has in the map.  0; ENOENT when there is none, EINVAL for other sockets."""


@helper(145, map_operation=Operation.INODE_STORAGE, since="5.10", programs=programs.LSM)
def bpf_inode_storage_get(
    map: ConstMap, inode: InodeOrNull, value: MapValueOrNullArgument, flags: Anything
) -> MapValueOrNull:
    """The address of the value that an inode has in the map; as bpf_sk_storage_get."""


@helper(146, map_operation=Operation.INODE_STORAGE, since="5.10", programs=programs.LSM)
def bpf_inode_storage_delete(map: ConstMap, inode: InodeOrNull) -> Integer:
    """Remove the value that an inode has in the map.  0; ENOENT when there is none, EINVAL for NULL."""


@helper(156, map_operation=Operation.TASK_STORAGE, since="5.11", programs=programs.BASE)
def bpf_task_storage_get(
    map: ConstMap, task: TaskOrNull, value: MapValueOrNullArgument, flags: Anything
) -> MapValueOrNull:
    """The address of the value that a task has in the map; as bpf_sk_storage_get."""


@helper(157, map_operation=Operation.TASK_STORAGE, since="5.11", programs=programs.BASE)
def bpf_task_storage_delete(map: ConstMap, task: TaskOrNull) -> Integer:
    """Remove the value that a task has in the map.  0; ENOENT when there is none, EINVAL for NULL, EBUSY."""


@helper(210, map_operation=Operation.CGRP_STORAGE, since="6.2", programs=programs.BASE)
def bpf_cgrp_storage_get(
    map: ConstMap, cgroup: CgroupOrNull, value: MapValueOrNullArgument, flags: Anything
) -> MapValueOrNull:
    """The address of the value that a cgroup has in the map; as bpf_sk_storage_get."""


@helper(211, map_operation=Operation.CGRP_STORAGE, since="6.2", programs=programs.BASE)
def bpf_cgrp_storage_delete(map: ConstMap, cgroup: CgroupOrNull) -> Integer:
    """Remove the value that a cgroup has in the map.  0; ENOENT when there is none, EINVAL for NULL, EBUSY."""
