"""Objects of the kernel.  Source: kernel/bpf/helpers.c, kernel/bpf/bpf_lsm.c, kernel/trace/bpf_trace.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    Anything,
    CallbackContext,
    ChangedMem,
    File,
    Inode,
    Integer,
    KptrDestination,
    KptrOrNull,
    LinuxBinprm,
    MappingCallback,
    Mem,
    Path,
    PerCpuObject,
    ReleasedObjectOrNull,
    Size,
    SizeOrZero,
    Task,
    ThisCpu,
    ThisCpuOrNull,
    UninitMem,
)


@helper(194, since="5.19", programs=programs.BASE)
def bpf_kptr_xchg(destination: KptrDestination, pointer: ReleasedObjectOrNull) -> KptrOrNull:
    """Put a reference (or NULL) into a field for kernel pointers, in a map value or an own object.

    What the field held, which may be NULL: the program owns it now, and the field owns `pointer`.
    """


@helper(153, since="5.10", programs=programs.BASE)
def bpf_per_cpu_ptr(variable: PerCpuObject, cpu: Anything) -> ThisCpuOrNull:
    """The address of what a per-cpu variable is on `cpu`, NULL when there is no such cpu."""


@helper(154, since="5.10", programs=programs.BASE)
def bpf_this_cpu_ptr(variable: PerCpuObject) -> ThisCpu:
    """The address of what a per-cpu variable is on this cpu."""


@helper(147, since="5.10", programs=programs.TRACING_AND_SYSCALL)
def bpf_d_path(path: Path, buffer: ChangedMem, size: SizeOrZero) -> Integer:
    """The full path that a struct path stands for, zero-terminated.

    Of the programs that trace a function, only those on some of the kernel's list may.  How many bytes it has, the 0
    included; ENAMETOOLONG when it does not fit.
    """


@helper(180, since="5.17", programs=programs.BASE)
def bpf_find_vma(
    task: Task, address: Anything, callback: MappingCallback, callback_context: CallbackContext, flags: Anything
) -> Integer:
    """Call `callback(task, vma, callback_context)` for the mapping (struct vm_area_struct) that holds `address`.

    0; ENOENT when there is none, EBUSY when the mappings are being changed, EINVAL for flags other than 0.
    """


@helper(149, since="5.10", programs=programs.BASE)
def bpf_snprintf_btf(buffer: ChangedMem, size: Size, pointer: Mem, pointer_size: Size, flags: Anything) -> Integer:
    """Describe the kernel object that a struct btf_ptr names by address and BTF type, as text, zero-terminated.

    How many bytes the whole text has, even if not all of them fitted; EINVAL for a bad btf_ptr or unknown flags
    (BTF_F_COMPACT, BTF_F_NONAME, BTF_F_PTR_RAW, BTF_F_ZERO).
    """


@helper(159, since="5.11", programs=programs.LSM)
def bpf_bprm_opts_set(program: LinuxBinprm, flags: Anything) -> Integer:
    """Choose options of the program that is being executed: BPF_F_BPRM_SECUREEXEC.  0; EINVAL for unknown flags."""


@helper(161, since="5.11", programs=programs.LSM, may_sleep=True)
def bpf_ima_inode_hash(inode: Inode, target: UninitMem, size: Size) -> Integer:
    """The hash that the kernel's integrity measurement (IMA) holds of a file, cut to `size`.

    The hash algorithm; EOPNOTSUPP when there is none, EINVAL for bad arguments.
    """


@helper(193, since="5.18", programs=programs.LSM, may_sleep=True)
def bpf_ima_file_hash(file: File, target: UninitMem, size: Size) -> Integer:
    """As bpf_ima_inode_hash, of an open file; the hash is computed when there is none."""
