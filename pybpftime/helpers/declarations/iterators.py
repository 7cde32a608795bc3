"""What iterators (BPF_TRACE_ITER) write to the file that is read.  Source: kernel/trace/bpf_trace.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import Anything, Integer, Mem, PointersOrNull, SeqFile, Size, SizeOrZero

_NOT_ELSEWHERE = programs.TRAMPOLINES | programs.RAW_TRACEPOINTS


@helper(126, since="5.8", programs=programs.ITERATOR, not_attached_to=_NOT_ELSEWHERE, gpl_only=True)
def bpf_seq_printf(
    file: SeqFile, format: Mem, size: Size, arguments: PointersOrNull, arguments_size: SizeOrZero
) -> Integer:
    """Write a text with `arguments` (an array of up to 12 numbers of 64 bits), as bpf_trace_vprintk prints it.

    0; EINVAL for a bad format or size, EOVERFLOW when the file's buffer is full: the program runs again.
    """


@helper(127, since="5.8", programs=programs.ITERATOR, not_attached_to=_NOT_ELSEWHERE, gpl_only=True)
def bpf_seq_write(file: SeqFile, data: Mem, size: SizeOrZero) -> Integer:
    """Write bytes.  0; EOVERFLOW when the file's buffer is full: the program runs again."""


@helper(150, since="5.10", programs=programs.ITERATOR, not_attached_to=_NOT_ELSEWHERE, gpl_only=True)
def bpf_seq_printf_btf(file: SeqFile, pointer: Mem, size: SizeOrZero, flags: Anything) -> Integer:
    """Write a kernel object as text, as bpf_snprintf_btf does.  0, or a negative errno."""
