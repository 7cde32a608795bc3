"""Reading memory that may not be there: what `copy_from_kernel_nofault` and its relatives do in Linux.

"Kernel memory" is the machine's own memory, its regions; everything of a user process comes from the environment.
The functions return bytes, or the negative errno that Linux gives on x86-64.
"""

from __future__ import annotations

from pybpftime.errors import Fault, FaultKind
from pybpftime.helpers.errors import EFAULT, ERANGE
from pybpftime.machine import Machine
from pybpftime.machine.memory import OFFSET_MASK
from pybpftime.uapi import PAGE_SIZE

USER_END = 0x7FFF_FFFF_F000  # TASK_SIZE_MAX: where addresses of user processes end
KERNEL_START = 0xFF00_0000_0000_0000  # with page tables of five levels; the machine's regions lie behind it


def is_user_address(address: int) -> bool:
    """What bpf_probe_read decides by (TASK_SIZE)."""
    return address < USER_END


def read_kernel(machine: Machine, address: int, size: int) -> bytes | int:
    """copy_from_kernel_nofault."""
    if machine.memory.find(address) is None:
        errno = _no_kernel_memory(address)
        return errno if size or errno == -ERANGE else b""
    return _read_region(machine, address, size)


def read_kernel_string(machine: Machine, address: int, size: int) -> bytes | int:
    """strncpy_from_kernel_nofault: the bytes up to and with the terminating 0, of at most `size`, always with one."""
    if size == 0:
        return b""
    region = machine.memory.find(address)
    if region is None:
        return _no_kernel_memory(address)
    _, _, end = region.span(address & OFFSET_MASK)
    available = min(size, max(end - (address & OFFSET_MASK), 1))
    try:
        content = _read_region(machine, address, available)
    except Fault:
        content = _read_by_bytes(machine, address, available)
    if isinstance(content, int):
        return content
    return _terminate(content, size)


def read_user(machine: Machine, address: int, size: int) -> bytes | int:
    """copy_from_user_nofault."""
    if address + size > USER_END:
        return -EFAULT
    if size == 0:
        return b""
    content = machine.environment.read_user(address, size)
    return -EFAULT if content is None or len(content) != size else content


def read_user_string(machine: Machine, address: int, size: int) -> bytes | int:
    """strncpy_from_user_nofault: the bytes up to and with the terminating 0, of at most `size`, always with one."""
    content = b""
    while len(content) < size and b"\0" not in content:
        place = address + len(content)
        piece = read_user(machine, place, min(size - len(content), PAGE_SIZE - place % PAGE_SIZE))
        if isinstance(piece, int):
            return piece
        content += piece
    return _terminate(content, size)


def _no_kernel_memory(address: int) -> int:
    """copy_from_kernel_nofault_allowed of x86-64: ERANGE for what can be no kernel address, EFAULT for the others."""
    return -EFAULT if address >= KERNEL_START else -ERANGE


def _read_region(machine: Machine, address: int, size: int) -> bytes | int:
    try:
        return machine.memory.read(address, size)
    except Fault as fault:
        if fault.kind is FaultKind.UNINITIALISED:
            raise
        return -EFAULT


def _read_by_bytes(machine: Machine, address: int, size: int) -> bytes:
    """A string followed by bytes that were never written, which only the string's own bytes may not be."""
    content = bytearray()
    while len(content) < size and not content.endswith(b"\0"):
        content += machine.memory.read(address + len(content), 1)
    return bytes(content)


def _terminate(content: bytes, size: int) -> bytes | int:
    text, terminator, _ = content.partition(b"\0")
    if terminator:
        return text + b"\0"
    if len(content) < size:
        return -EFAULT  # the memory ended before the string did
    return content[:-1] + b"\0" if content else b""
