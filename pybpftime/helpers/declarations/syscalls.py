"""What programs may do that stand for a system call (BPF_PROG_TYPE_SYSCALL).  Source: kernel/bpf/syscall.c, btf.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import Anything, Integer, LongPointer, Mem, Size, SizeOrZero


@helper(166, since="5.14", programs=programs.SYSCALL)
def bpf_sys_bpf(command: Anything, attributes: Mem, size: Size) -> Integer:
    """bpf(2), for those commands that a program which loads others needs.  Its result; EINVAL for other commands."""


@helper(167, since="5.14", programs=programs.SYSCALL)
def bpf_btf_find_by_name_kind(name: Mem, size: Size, kind: Anything, flags: Anything) -> Integer:
    """Look a type up in the BTF of the kernel or its modules: `descriptor of the module's BTF << 32 | type id`.

    EINVAL for flags other than 0 or a name without a 0 at its end, ENOENT when there is none.
    """


@helper(168, since="5.14", programs=programs.SYSCALL)
def bpf_sys_close(descriptor: Anything) -> Integer:
    """close(2)."""


@helper(179, since="5.16", programs=programs.SYSCALL)
def bpf_kallsyms_lookup_name(name: Mem, size: SizeOrZero, flags: Anything, result: LongPointer) -> Integer:
    """The address of a symbol of the kernel into `result`; 0 there when it is not found.

    0; ENOENT when it is not found, EINVAL for flags other than 0 or a name that is not zero-terminated, EPERM for
    programs whose loader may not see addresses.
    """
