"""Messages, and what a probe may know and do about the function it sits on.  Source: kernel/trace/bpf_trace.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    Anything,
    Context,
    Integer,
    LongPointer,
    Mem,
    PointersOrNull,
    Size,
    SizeOrZero,
    Unchecked,
)

_NO_TRAMPOLINE = programs.ITERATORS | programs.RAW_TRACEPOINTS | programs.LSM_CGROUP


@helper(6, since="4.1", gpl_only=True)
def bpf_trace_printk(format: Mem, size: Size, first: Unchecked, second: Unchecked, third: Unchecked) -> Integer:
    """Print a message with up to three arguments to the trace pipe.

    How many bytes the text has; EINVAL for a bad format.  The format language is that of `helpers.format`.
    """


@helper(58, since="4.16", gpl_only=True, programs=programs.KPROBE)
def bpf_override_return(context: Context, value: Anything) -> Integer:
    """Do not run the function that was entered, but return `value` from it.  0."""


@helper(173, since="5.15", gpl_only=True, programs=programs.PROBES_AND_SYSCALL)
def bpf_get_func_ip(context: Context) -> Integer:
    """The address of the function that the probe sits on, 0 when the probe is not on its entry."""


@helper(174, since="5.15", programs=programs.PROBES, not_attached_to=programs.ITERATORS | programs.LSM_CGROUP)
def bpf_get_attach_cookie(context: Context) -> Integer:
    """The number that was given when this program was attached here; 0 when none was."""


@helper(177, since="5.16", programs=programs.BASE, gpl_only=True)
def bpf_trace_vprintk(format: Mem, size: Size, arguments: PointersOrNull, arguments_size: SizeOrZero) -> Integer:
    """As bpf_trace_printk, with `arguments` an array of up to 12 numbers of 64 bits.  EINVAL for a bad size too."""


@helper(183, since="5.17", programs=programs.TRACING, not_attached_to=_NO_TRAMPOLINE)
def bpf_get_func_arg(context: Context, index: Anything, value: LongPointer) -> Integer:
    """The argument register at `index` (from 0 on) of the traced function, into `value`.  0; EINVAL for no such one."""


@helper(184, since="5.17", programs=programs.TRACING, not_attached_to=_NO_TRAMPOLINE)
def bpf_get_func_ret(context: Context, value: LongPointer) -> Integer:
    """What the traced function returned, into `value`.  0; EOPNOTSUPP for programs that run before it returns."""


@helper(185, since="5.17", programs=programs.TRACING, not_attached_to=_NO_TRAMPOLINE)
def bpf_get_func_arg_cnt(context: Context) -> Integer:
    """How many argument registers the traced function has."""
