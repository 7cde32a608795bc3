"""Where a program wants to be attached: which function of which file, from its section name or from `--at`.

Sections mean what they mean to libbpf (`attach_uprobe` in tools/lib/bpf/libbpf.c):

    SEC("uprobe/PATH:FUNCTION")      SEC("uprobe/PATH:FUNCTION+OFFSET")      SEC("uretprobe/PATH:FUNCTION")

`.s` behind the type (sleepable) makes no difference in user space.  Beyond libbpf, `PATH:0xOFFSET` is a byte of the
file, for functions without a symbol.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from pybpftime.errors import InputError
from pybpftime.program.sections import section_meaning
from pybpftime.program.spec import ProgramSpec
from pybpftime.uapi import ProgramType

HOW = "PATH:FUNCTION, PATH:FUNCTION+OFFSET or PATH:0xOFFSET"
ONLY_AT_ENTRY = "a uretprobe finds the return address only where the function begins"
LARGEST_OFFSET = (1 << 63) - 1  # of a file: off_t
NUMBER = re.compile(r"0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*", re.IGNORECASE | re.ASCII)


class ProbeKind(StrEnum):
    """When the program runs.  The value is the word of the section name."""

    UPROBE = "uprobe"  # before the instruction at the place
    URETPROBE = "uretprobe"  # when the function that begins there has returned


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """`offset` counts bytes from the function `symbol`, or from the beginning of the file if `symbol` is None.

    `binary` is a path or a name like `libc.so.6`, as it was written; `locate` says which mapped file that is.
    """

    kind: ProbeKind
    binary: str
    symbol: str | None
    offset: int

    def __str__(self) -> str:
        if self.symbol is None:
            return f"{self.kind}/{self.binary}:{self.offset:#x}"
        return f"{self.kind}/{self.binary}:{self.symbol}" + (f"+{self.offset:#x}" if self.offset else "")


def parse_target(spec: ProgramSpec, at: str | None = None) -> ProbeTarget:
    """Where `spec` is to be attached; `at` (`PATH:FUNCTION`) stands for the place that its section names.

    InputError, which names the file and the program, for what is no probe of a process and for a place that cannot be
    read or is missing.
    """
    try:
        kind = _kind(spec)
        place = at if at is not None else spec.attach_to
        if not place:
            raise InputError(f'it does not say where: write SEC("{kind}/PATH:FUNCTION"), or --at PATH:FUNCTION')
        binary, symbol, offset = parse_place(place)
        if kind is ProbeKind.URETPROBE and symbol is not None and offset:
            raise InputError(f"{symbol}+{offset:#x} lies inside the function, and {ONLY_AT_ENTRY}")
    except InputError as error:
        raise InputError(f"program {spec.name}: {error.reason}", file=spec.file) from None
    return ProbeTarget(kind, binary, symbol, offset)


def parse_place(text: str) -> tuple[str, str | None, int]:
    """Split `PATH:FUNCTION`, `PATH:FUNCTION+OFFSET` or `PATH:0xOFFSET` into file, symbol or None, and offset.

    As in libbpf the path ends at the first colon, numbers are decimal, octal (`010`) or hexadecimal (`0x8`), and `+`
    without a number behind it belongs to the name.
    """
    binary, colon, function = text.partition(":")
    if not binary or not function:
        missing = "path" if colon and not binary else "function"
        raise InputError(f"{text!r} names no {missing}; write {HOW}")
    if "\0" in binary or not function.isprintable():
        raise InputError(f"{text!r} has characters that no name has; write {HOW}")
    if function[0].isdigit():
        if not NUMBER.fullmatch(function):
            raise InputError(f"{function!r} is neither the name of a function nor a byte of the file; write {HOW}")
        return binary, None, _number(function, text)
    symbol, plus, distance = function.rpartition("+")
    if plus and distance.startswith("-"):
        raise InputError(f"{text!r} lies before the function")
    if symbol and NUMBER.fullmatch(distance):
        return binary, symbol, _number(distance, text)
    return binary, function, 0


def _number(digits: str, text: str) -> int:
    octal = digits.startswith("0") and digits.isdigit()
    value = int(digits, 8 if octal else 0) if len(digits) <= 32 else LARGEST_OFFSET + 1
    if value > LARGEST_OFFSET:
        raise InputError(f"{text[:200]!r}: no file is so large")
    return value


# The part of a section name before the target -> what such a program is.  Sections that are not here are not of type
# kprobe: see `_kind`.
_KERNEL_PROBES = {
    "kprobe": "a kprobe: a probe of the kernel",
    "kretprobe": "a kretprobe: a probe of the kernel",
    "kprobe.multi": "a kprobe of several functions of the kernel",
    "kretprobe.multi": "a kretprobe of several functions of the kernel",
    "kprobe.session": "a kprobe of several functions of the kernel",
    "ksyscall": "a probe of the kernel's code for a system call",
    "kretsyscall": "a probe of the kernel's code for a system call",
}
_NOT_YET = {
    "uprobe.multi": "a probe of several functions",
    "uretprobe.multi": "a probe of several functions",
    "uprobe.session": "a probe of entry and return in one",
    "usdt": "a statically defined tracepoint",
}


def _kind(spec: ProgramSpec) -> ProbeKind:
    rule = section_meaning(spec.section).rule.removesuffix(".s")
    if spec.type is ProgramType.BPF_PROG_TYPE_KPROBE:
        if rule in (kind.value for kind in ProbeKind):
            return ProbeKind(rule)
        if rule in _KERNEL_PROBES:
            raise InputError(f"it is {_KERNEL_PROBES[rule]}, which user space cannot serve; processes have uprobes")
        if rule in _NOT_YET:
            reason = f"its section is {rule}, {_NOT_YET[rule]}, which is not served yet; uprobe and uretprobe are"
            raise InputError(reason)
    section = f"section {spec.section}" if spec.section else "no section"
    if spec.type in (ProgramType.BPF_PROG_TYPE_KPROBE, ProgramType.BPF_PROG_TYPE_UNSPEC):
        raise InputError(f"{section} does not say whether it is a uprobe or a uretprobe")
    type = spec.type.name.removeprefix("BPF_PROG_TYPE_").lower()
    raise InputError(f"it is of type {type} ({section}), which the kernel runs, not a process; processes have uprobes")
