"""bpf_get_stackid and bpf_get_stack: the environment's stacks."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pybpftime.helpers.errors import EFAULT, EINVAL, ENOTSUPP
from pybpftime.helpers.marshal import Span
from pybpftime.helpers.registry import implements
from pybpftime.machine import Machine
from pybpftime.maps import StackTraceMap

SKIP_MASK = 0xFF  # BPF_F_SKIP_FIELD_MASK
USER_STACK = 1 << 8  # BPF_F_USER_STACK
USER_BUILD_ID = 1 << 11  # BPF_F_USER_BUILD_ID
BUILD_ID_SIZE = 32  # struct bpf_stack_build_id
MAX_DEPTH = 127  # sysctl kernel.perf_event_max_stack, as it is by default


@implements("bpf_get_stackid")
def get_stackid(machine: Machine, context: object, map: StackTraceMap, flags: int) -> int:
    return map.stack_id(_frames(machine, flags), flags)


@implements("bpf_get_stack")
def get_stack(machine: Machine, context: object, target: Span, flags: int) -> int:
    return _get_stack(machine, target, flags)


@implements("bpf_get_task_stack")
def get_task_stack(machine: Machine, task: int, target: Span, flags: int) -> int:
    """The only task is the current one."""
    return _get_stack(machine, target, flags)


def _get_stack(machine: Machine, target: Span, flags: int) -> int:
    """__bpf_get_stack.  Build ids of user stacks are not known here (ENOTSUPP)."""
    result = _copy_stack(machine, target.size, flags)
    if isinstance(result, int):
        target.clear()
        return result
    target.fill(result)
    return len(result)


def _copy_stack(machine: Machine, size: int, flags: int) -> bytes | int:
    if flags & ~(SKIP_MASK | USER_STACK | USER_BUILD_ID):
        return -EINVAL
    if flags & USER_BUILD_ID:
        # A build id is that of a user's file.
        return -EINVAL if size % BUILD_ID_SIZE or not flags & USER_STACK else -ENOTSUPP
    if size % 8:
        return -EINVAL
    skip = flags & SKIP_MASK
    frames = _frames(machine, flags)[: min(size // 8 + skip, MAX_DEPTH)]
    if len(frames) < skip or not frames:
        return -EFAULT
    return struct.pack(f"<{len(frames) - skip}Q", *frames[skip:])


def _frames(machine: Machine, flags: int) -> Sequence[int]:
    environment = machine.environment
    return environment.user_stack if flags & USER_STACK else environment.kernel_stack
