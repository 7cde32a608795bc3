"""Stack traces.  Source: kernel/bpf/stackmap.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import Anything, ConstMap, Context, Integer, SizeOrZero, Task, UninitMem
from pybpftime.maps.kinds import Operation


@helper(27, map_operation=Operation.STACK, since="4.6", gpl_only=True, programs=programs.PROBES_AND_SYSCALL)
def bpf_get_stackid(context: Context, map: ConstMap, flags: Anything) -> Integer:
    """Put the current stack into a stack trace map; its id there, at least 0.

    flags: how many frames to skip (low byte), BPF_F_USER_STACK, BPF_F_FAST_STACK_CMP, BPF_F_REUSE_STACKID.
    EFAULT when there is no stack (left), EEXIST when another one has the place, EINVAL for unknown flags.
    """


@helper(67, since="4.18", gpl_only=True, programs=programs.PROBES_AND_SYSCALL)
def bpf_get_stack(context: Context, target: UninitMem, size: SizeOrZero, flags: Anything) -> Integer:
    """Copy the current stack's addresses, innermost first, into `target`; the rest of it is zeroed.

    How many bytes they have; EFAULT when there is no stack (left), EINVAL for unknown flags or when `size` is no
    multiple of 8 (or 0).  flags: how many frames to skip (low byte), BPF_F_USER_STACK.
    """


@helper(141, since="5.9", programs=programs.BASE)
def bpf_get_task_stack(task: Task, target: UninitMem, size: SizeOrZero, flags: Anything) -> Integer:
    """As bpf_get_stack, of another task."""
