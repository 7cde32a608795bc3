"""Attaching a program of the kernel to a place in the code of one process: uprobes and uretprobes.

    with attach_uprobe(program, "/bin/bash", offset, pid=1234):
        ...

The kernel puts a breakpoint into every mapping of the file that the process has or will have.  Linux 5.15 or later.
"""

from __future__ import annotations

import ctypes
import os
import re

from pybpftime.errors import HostError, InputError
from pybpftime.kernel import attributes
from pybpftime.kernel.availability import available
from pybpftime.kernel.links import KernelLink
from pybpftime.kernel.programs import KernelProgram
from pybpftime.kernel.syscall import address_of, perf_event_open, unsigned
from pybpftime.uapi import AttachType

_EVENT_SOURCE = "/sys/bus/event_source/devices/uprobe"  # Documentation/ABI/testing/sysfs-bus-event_source-devices


def attach_uprobe(
    program: KernelProgram, path: str | os.PathLike[str], offset: int, *, pid: int, at_return: bool = False
) -> KernelLink:
    """Run `program`, of type kprobe, when the process `pid` is at byte `offset` of the file `path`.

    `at_return`: when the function that begins there returns.  Closing the link detaches.  HostError with errno when
    the kernel refuses (EINVAL: no instruction that it can probe; ESRCH: no such process), InputError for arguments
    that cannot be handed over.
    """
    name = os.fsencode(path)
    if not name or b"\0" in name:
        raise InputError(f"{os.fspath(path)!r} is no path of a file")
    if not 0 < pid < 1 << 31:
        raise InputError(f"{pid} is no number of a process")
    encoded = name + b"\0"
    attribute = attributes.PerfEvent(
        type=_event_type(),
        size=ctypes.sizeof(attributes.PerfEvent),
        config=_return_bit() if at_return else 0,
        uprobe_path=address_of(encoded),
        probe_offset=unsigned(offset, "offset", 63),
    )
    kind = "uretprobe" if at_return else "uprobe"
    event = perf_event_open(attribute, pid, f"make a {kind} at {os.fsdecode(name)}:{offset:#x} in process {pid}")
    try:
        return KernelLink.create(program, event, AttachType.BPF_PERF_EVENT)
    finally:
        os.close(event)  # the link holds it


def uprobes_available() -> str | None:
    """None when programs can be attached to uprobes here, else one sentence that says why not."""
    reason = available()
    if reason is None:
        try:
            _event_type()
            _return_bit()
        except HostError as error:
            return str(error)
    return reason


def _event_type() -> int:
    """The type of uprobe events, which the kernel assigns when it boots."""
    return int(_described("type", r"(\d+)"))


def _return_bit() -> int:
    """The bit of `config` that makes a uretprobe of a uprobe."""
    return 1 << int(_described("format/retprobe", r"config:(\d+)"))


def _described(name: str, pattern: str) -> str:
    """What the kernel says of uprobe events in the file `name`."""
    try:
        with open(f"{_EVENT_SOURCE}/{name}") as file:
            text = file.read().strip()
    except OSError as error:
        raise HostError("this kernel has no uprobes, or a sandbox hides them", errno=error.errno) from None
    found = re.fullmatch(pattern, text)
    if found is None:
        raise HostError(f"{_EVENT_SOURCE}/{name} says {text!r}, which is not understood")
    return found[1]
