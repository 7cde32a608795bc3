"""Strings and numbers.  Source: kernel/bpf/helpers.c, lib/kstrtox.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    Anything,
    ConstString,
    Integer,
    LongPointer,
    Mem,
    PointersOrNull,
    Size,
    SizeOrZero,
    UninitMemOrNull,
)


@helper(105, since="5.2", programs=programs.BASE)
def bpf_strtol(text: Mem, size: Size, flags: Anything, result: LongPointer) -> Integer:
    """Parse a signed number; how many bytes it took, spaces before it included.

    flags is the base: 8, 10, 16, or 0 to tell by the prefix (0x, 0).  EINVAL for no number or unknown flags, ERANGE
    for one that does not fit; `result` is 0 then.
    """


@helper(106, since="5.2", programs=programs.BASE)
def bpf_strtoul(text: Mem, size: Size, flags: Anything, result: LongPointer) -> Integer:
    """As bpf_strtol, for unsigned numbers; EINVAL for a minus sign."""


@helper(165, since="5.13", programs=programs.BASE, gpl_only=True)
def bpf_snprintf(
    target: UninitMemOrNull,
    size: SizeOrZero,
    format: ConstString,
    arguments: PointersOrNull,
    arguments_size: SizeOrZero,
) -> Integer:
    """Format `arguments` (an array of up to 12 numbers of 64 bits) into `target`, zero-terminated.

    How many bytes the whole text has, the 0 included, even if not all of them fitted; EINVAL for a bad format or
    size.  The format language is that of `helpers.format`.
    """


@helper(182, since="5.17", programs=programs.BASE)
def bpf_strncmp(first: Mem, size: Size, second: ConstString) -> Integer:
    """Compare at most `size` bytes of two strings: less than, equal to or greater than 0 as an int."""
