"""Reading and writing memory that the program cannot point into safely.  Source: kernel/trace/bpf_trace.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import Anything, Integer, Mem, Size, SizeOrZero, Task, UninitMem


@helper(4, since="4.1", gpl_only=True, programs=programs.PROBES_AND_SYSCALL)
def bpf_probe_read(target: UninitMem, size: SizeOrZero, address: Anything) -> Integer:
    """bpf_probe_read_user for addresses of user space, bpf_probe_read_kernel for others."""


@helper(36, since="4.8", gpl_only=True, programs=programs.PROBES_AND_SYSCALL)
def bpf_probe_write_user(address: Anything, source: Mem, size: Size) -> Integer:
    """Write to the current process.  0; EFAULT where it cannot be written, EPERM when there is no such process."""


@helper(45, since="4.11", gpl_only=True, programs=programs.PROBES_AND_SYSCALL)
def bpf_probe_read_str(target: UninitMem, size: SizeOrZero, address: Anything) -> Integer:
    """bpf_probe_read_user_str for addresses of user space, bpf_probe_read_kernel_str for others."""


@helper(112, since="5.5", programs=programs.BASE, gpl_only=True)
def bpf_probe_read_user(target: UninitMem, size: SizeOrZero, address: Anything) -> Integer:
    """Read `size` bytes of the current process.  0; EFAULT where they cannot be read: then `target` is zeroed."""


@helper(113, since="5.5", programs=programs.BASE, gpl_only=True)
def bpf_probe_read_kernel(target: UninitMem, size: SizeOrZero, address: Anything) -> Integer:
    """Read `size` bytes of kernel memory.  0; EFAULT where they cannot be read: then `target` is zeroed."""


@helper(114, since="5.5", programs=programs.BASE, gpl_only=True)
def bpf_probe_read_user_str(target: UninitMem, size: SizeOrZero, address: Anything) -> Integer:
    """Read a zero-terminated string of the current process, at most `size` bytes, always terminated.

    How many bytes were stored, the 0 among them; EFAULT where it cannot be read: then `target` is zeroed.
    """


@helper(115, since="5.5", programs=programs.BASE, gpl_only=True)
def bpf_probe_read_kernel_str(target: UninitMem, size: SizeOrZero, address: Anything) -> Integer:
    """Read a zero-terminated string of kernel memory, at most `size` bytes, always terminated.

    How many bytes were stored, the 0 among them; EFAULT where it cannot be read: then `target` is zeroed.
    """


@helper(148, since="5.10", programs=programs.BASE, may_sleep=True)
def bpf_copy_from_user(target: UninitMem, size: SizeOrZero, address: Anything) -> Integer:
    """As bpf_probe_read_user, waiting for pages that are not there yet.  For sleepable programs."""


@helper(191, since="5.18", programs=programs.BASE, gpl_only=True, may_sleep=True)
def bpf_copy_from_user_task(
    target: UninitMem, size: SizeOrZero, address: Anything, task: Task, flags: Anything
) -> Integer:
    """As bpf_copy_from_user, from the process of `task`.  EINVAL for flags other than 0."""
