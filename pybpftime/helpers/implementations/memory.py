"""bpf_probe_*: reading and writing what may not be there (see `helpers.reading`)."""

from __future__ import annotations

from collections.abc import Callable

from pybpftime.helpers.errors import EFAULT, EINVAL
from pybpftime.helpers.marshal import Span
from pybpftime.helpers.reading import (
    is_user_address,
    read_kernel,
    read_kernel_string,
    read_user,
    read_user_string,
)
from pybpftime.helpers.registry import implements
from pybpftime.machine import Machine

_Reader = Callable[[Machine, int, int], bytes | int]


@implements("bpf_probe_read")
def probe_read(machine: Machine, target: Span, address: int) -> int:
    return _read(machine, target, address, read_user if is_user_address(address) else read_kernel)


@implements("bpf_probe_read_user")
def probe_read_user(machine: Machine, target: Span, address: int) -> int:
    return _read(machine, target, address, read_user)


@implements("bpf_probe_read_kernel")
def probe_read_kernel(machine: Machine, target: Span, address: int) -> int:
    return _read(machine, target, address, read_kernel)


@implements("bpf_copy_from_user")
def copy_from_user(machine: Machine, target: Span, address: int) -> int:
    return _read(machine, target, address, read_user)


@implements("bpf_copy_from_user_task")
def copy_from_user_task(machine: Machine, target: Span, address: int, task: int, flags: int) -> int:
    """The only task is the current one."""
    return -EINVAL if flags else _read(machine, target, address, read_user)


@implements("bpf_probe_read_str")
def probe_read_str(machine: Machine, target: Span, address: int) -> int:
    return _read_string(machine, target, address, read_user_string if is_user_address(address) else read_kernel_string)


@implements("bpf_probe_read_user_str")
def probe_read_user_str(machine: Machine, target: Span, address: int) -> int:
    return _read_string(machine, target, address, read_user_string)


@implements("bpf_probe_read_kernel_str")
def probe_read_kernel_str(machine: Machine, target: Span, address: int) -> int:
    return _read_string(machine, target, address, read_kernel_string)


@implements("bpf_probe_write_user")
def probe_write_user(machine: Machine, address: int, source: bytes) -> int:
    """The write is recorded in the run's effects and made nowhere; EFAULT for what cannot be read either."""
    if isinstance(read_user(machine, address, len(source)), int):
        return -EFAULT
    machine.effects.records.setdefault("user_writes", []).append((address, source))
    return 0


def _read(machine: Machine, target: Span, address: int, reader: _Reader) -> int:
    content = reader(machine, address, target.size)
    if isinstance(content, int):
        target.clear()
        return content
    target.write(content)
    return 0


def _read_string(machine: Machine, target: Span, address: int, reader: _Reader) -> int:
    content = reader(machine, address, target.size)
    if isinstance(content, int):
        target.clear()
        return content
    target.write(content)
    return len(content)
