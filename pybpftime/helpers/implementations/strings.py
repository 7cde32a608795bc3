"""bpf_strtol, bpf_strtoul, bpf_strncmp, bpf_snprintf."""

from __future__ import annotations

import struct

from pybpftime.helpers.errors import EINVAL, ERANGE
from pybpftime.helpers.format import MAX_ARGUMENTS, FormatError, format_text
from pybpftime.helpers.marshal import Span
from pybpftime.helpers.registry import implements
from pybpftime.machine import Machine

LONGEST_NUMBER = 63  # the kernel parses a copy in 64 bytes on its stack
_BASES = (0, 8, 10, 16)
_SPACES = b"\t\n\v\f\r \xa0"


@implements("bpf_strtol")
def strtol(machine: Machine, text: bytes, flags: int, result: Span) -> int:
    result.clear()
    parsed = _parse(text, flags)
    if isinstance(parsed, int):
        return parsed
    value, negative, consumed = parsed
    value = -value if negative else value
    if not -(1 << 63) <= value < 1 << 63:
        return -ERANGE
    result.write(value.to_bytes(8, "little", signed=True))
    return consumed


@implements("bpf_strtoul")
def strtoul(machine: Machine, text: bytes, flags: int, result: Span) -> int:
    result.clear()
    parsed = _parse(text, flags)
    if isinstance(parsed, int):
        return parsed
    value, negative, consumed = parsed
    if negative:
        return -EINVAL
    result.write(value.to_bytes(8, "little"))
    return consumed


def _parse(text: bytes, flags: int) -> tuple[int, bool, int] | int:
    """__bpf_strtoull: the number, whether a minus stands before it, the bytes it took; or a negative errno."""
    base = flags
    if base not in _BASES:
        return -EINVAL
    start = len(text) - len(text.lstrip(_SPACES))
    negative = text[start : start + 1] == b"-"
    start += negative
    digits = text[start : start + LONGEST_NUMBER].partition(b"\0")[0]
    prefix = 0
    if base == 0:
        base = 10
        if digits[:1] == b"0":
            has_prefix = digits[1:2] in (b"x", b"X") and _digit(digits[2:3]) < 16
            base = 16 if has_prefix else 8
    if base == 16 and digits[:2] in (b"0x", b"0X"):
        prefix = 2
    value = end = 0
    for end in range(prefix, len(digits) + 1):
        digit = _digit(digits[end : end + 1])
        if digit >= base:
            break
        value = value * base + digit
    if value >> 64:
        return -ERANGE
    if end == prefix:
        return -EINVAL
    return value, negative, start + end


def _digit(character: bytes) -> int:
    """The value of a hexadecimal digit, 99 for anything else."""
    return int(character, 16) if character in (b"%c" % byte for byte in b"0123456789abcdefABCDEF") else 99


@implements("bpf_strncmp")
def strncmp(machine: Machine, first: bytes, second: bytes) -> int:
    """strncmp of lib/string.c: -1, 0 or 1."""
    one, other = first.partition(b"\0")[0], second[: len(first)]
    return (one > other) - (one < other)


@implements("bpf_snprintf")
def snprintf(machine: Machine, target: Span | None, format: bytes, arguments: bytes | None) -> int:
    values = argument_values(arguments)
    if values is None:
        return -EINVAL
    try:
        text = format_text(machine, format, values)
    except FormatError as error:
        return -error.errno
    if target is not None and target.size:
        target.write(text[: target.size - 1] + b"\0")
    return len(text) + 1


def argument_values(arguments: bytes | None) -> tuple[int, ...] | None:
    """An array of numbers of 64 bits; None when its size is not that of one, or it has more than 12."""
    data = arguments or b""
    if len(data) % 8 or len(data) > 8 * MAX_ARGUMENTS:
        return None
    return struct.unpack(f"<{len(data) // 8}Q", data)
