"""Which task, cpu and cgroup the program runs on.  Source: kernel/bpf/helpers.c, kernel/trace/bpf_trace.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import Anything, Integer, PtRegs, Size, Task, TrustedTask, UninitMem


@helper(7, since="4.1")
def bpf_get_prandom_u32() -> Integer:
    """A pseudo-random number of 32 bits."""


@helper(8, since="4.1", programs=programs.BASE)
def bpf_get_smp_processor_id() -> Integer:
    """The number of this cpu."""


@helper(14, since="4.2", programs=programs.BASE)
def bpf_get_current_pid_tgid() -> Integer:
    """`tgid << 32 | pid`: in user space's words the process id above, the thread id below."""


@helper(15, since="4.2", programs=programs.BASE)
def bpf_get_current_uid_gid() -> Integer:
    """`gid << 32 | uid` of the current task."""


@helper(16, since="4.2", programs=programs.BASE)
def bpf_get_current_comm(buffer: UninitMem, size: Size) -> Integer:
    """The name of the current task, at most 15 bytes, into `buffer`, zero-terminated and padded.  0."""


@helper(35, since="4.8", programs=programs.BASE, gpl_only=True)
def bpf_get_current_task() -> Integer:
    """The address of the current struct task_struct, as a number."""


@helper(42, since="4.10", programs=programs.BASE)
def bpf_get_numa_node_id() -> Integer:
    """The NUMA node of this cpu."""


@helper(80, since="4.18", programs=programs.BASE)
def bpf_get_current_cgroup_id() -> Integer:
    """The id of the current task's cgroup in the default (version 2) hierarchy."""


@helper(109, since="5.3", programs=programs.BASE)
def bpf_send_signal(signal: Anything) -> Integer:
    """Send `signal` to the current process.  0; EINVAL for no such signal."""


@helper(117, since="5.6", programs=programs.BASE)
def bpf_send_signal_thread(signal: Anything) -> Integer:
    """Send `signal` to the current thread.  0; EINVAL for no such signal."""


@helper(120, since="5.7", programs=programs.BASE)
def bpf_get_ns_current_pid_tgid(device: Anything, inode: Anything, info: UninitMem, size: Size) -> Integer:
    """pid and tgid of the current task in the pid namespace of that device and inode, into struct bpf_pidns_info.

    0; EINVAL when `size` is not 8 or the current task's namespace is another one: then `info` is zeroed.
    """


@helper(123, since="5.7", programs=programs.BASE)
def bpf_get_current_ancestor_cgroup_id(level: Anything) -> Integer:
    """The id of the current task's cgroup at `level` (0 is the root), 0 when it does not lie that deep."""


@helper(158, since="5.11", programs=programs.BASE, gpl_only=True)
def bpf_get_current_task_btf() -> TrustedTask:
    """The current struct task_struct, as a pointer that the program may follow."""


@helper(175, since="5.15", programs=programs.BASE, gpl_only=True)
def bpf_task_pt_regs(task: Task) -> PtRegs:
    """The registers with which `task` entered the kernel."""
