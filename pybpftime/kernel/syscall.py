"""The raw system calls bpf(2) and perf_event_open(2), through the C library's `syscall()`.

Importing this module works on every platform; calling them elsewhere than on 64-bit Linux raises HostError.
Nothing here keeps state: an attribute is a ctypes structure of the caller, see `attributes`.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from collections.abc import Callable
from functools import cache

from pybpftime.errors import HostError, InputError
from pybpftime.uapi import OBJECT_NAME_LENGTH, Command

# The numbers of bpf(2) and perf_event_open(2), by what platform.machine() says of the kernel (64-bit ABIs only).
_SYSTEM_CALL_NUMBERS = {
    "x86_64": (321, 298),
    "aarch64": (280, 241),
    "riscv64": (280, 241),
    "loongarch64": (280, 241),
    "s390x": (351, 331),
    "ppc64": (361, 319),
    "ppc64le": (361, 319),
    "mips64": (5315, 5292),
}

_PERF_FLAG_FD_CLOEXEC = 8

# libbpf gives up on the same count: the verifier returns EAGAIN when a signal is pending.
_PROGRAM_LOAD_ATTEMPTS = 5


class KernelRejection(HostError):
    """The kernel refused a program or BTF for what it says.

    `log` is the verifier's text, empty when the kernel refused before its verifier wrote anything.
    """

    fields = ("errno", "pid", "file", "log")
    log: str | None


@cache
def system_call_number() -> int:
    """The number of bpf(2) on this host; HostError where there is none."""
    return _system_call_numbers()[0]


def _system_call_numbers() -> tuple[int, int]:
    if not sys.platform.startswith("linux"):
        raise HostError(f"bpf(2) is a system call of Linux, and this is {platform.system() or sys.platform}")
    machine = platform.machine()
    if machine not in _SYSTEM_CALL_NUMBERS or struct.calcsize("P") != 8:
        width = struct.calcsize("P") * 8
        raise HostError(f"the number of bpf(2) is not known for a {width}-bit process on {machine or 'this machine'}")
    return _SYSTEM_CALL_NUMBERS[machine]


@cache
def system_call_function() -> Callable[[int, int, int, int], int]:
    """bpf(2) as `f(number, command, address of the attribute, size) -> result or -1`, errno in ctypes.get_errno()."""
    system_call_number()
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    function.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_ulong)
    return function


def perf_event_open(attribute: ctypes.Structure, pid: int, action: str) -> int:
    """perf_event_open(2) for the process `pid` on any cpu: a descriptor.  HostError with errno as `bpf`."""
    _, number = _system_call_numbers()
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    function.argtypes = (ctypes.c_long, ctypes.c_void_p, *[ctypes.c_long] * 3, ctypes.c_ulong)
    descriptor: int = function(number, ctypes.addressof(attribute), pid, -1, -1, _PERF_FLAG_FD_CLOEXEC)
    if descriptor < 0:
        raise refusal(action, ctypes.get_errno())
    return descriptor


def try_bpf(command: int, attribute: ctypes.Structure) -> int:
    """One bpf(2) call: its result (0 or more), or the negative errno.  HostError only where there is no bpf(2)."""
    function = system_call_function()
    result = function(system_call_number(), command, ctypes.addressof(attribute), ctypes.sizeof(attribute))
    return result if result >= 0 else -ctypes.get_errno()


def try_load(attribute: ctypes.Structure) -> int:
    """`try_bpf` for BPF_PROG_LOAD, which a signal may interrupt: EINTR is repeated, EAGAIN up to five attempts."""
    attempts = _PROGRAM_LOAD_ATTEMPTS
    while True:
        result = try_bpf(Command.BPF_PROG_LOAD, attribute)
        if result == -errno.EAGAIN and attempts > 1:
            attempts -= 1
        elif result != -errno.EINTR:
            return result


def bpf(command: Command, attribute: ctypes.Structure, action: str) -> int:
    """One bpf(2) call: its result.  HostError with errno and "the kernel refused to {action}"."""
    result = try_bpf(command, attribute)
    if result < 0:
        raise refusal(action, -result)
    return result


def refusal(action: str, number: int) -> HostError:
    """The error for a refused `action` ("create the map counts"); `number` is the positive errno."""
    return HostError(f"the kernel refused to {action}", errno=number)


def address_of(data: bytes | None) -> int:
    """The address of the bytes of `data`, valid while the caller holds it; 0 for None and for no bytes."""
    if not data:
        return 0
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0


def unsigned(value: int, name: str, bits: int = 32) -> int:
    """`value`, checked to fit an unsigned field: ctypes would cut it silently.  InputError otherwise."""
    if not 0 <= value < 1 << bits:
        raise InputError(f"{name} is {value}, which does not fit {bits} unsigned bits")
    return int(value)


def object_name(name: str) -> bytes:
    """`name` as the kernel takes it: cut to 15 bytes, as libbpf does.  InputError for characters it refuses."""
    if not all(letter.isascii() and (letter.isalnum() or letter in "_.") for letter in name):
        raise InputError(f"the kernel takes letters, digits, '_' and '.' in names, not {name!r}")
    return name.encode()[: OBJECT_NAME_LENGTH - 1]
