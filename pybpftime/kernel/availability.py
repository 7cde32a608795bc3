"""Can bpf(2) be used here?  For tests and commands that have something else to say when it cannot."""

from __future__ import annotations

import errno
import struct
import sys
from pathlib import Path

from pybpftime.errors import BpfError, HostError
from pybpftime.kernel.maps import KernelMap
from pybpftime.kernel.programs import KernelProgram
from pybpftime.kernel.syscall import system_call_number
from pybpftime.uapi import MapType, ProgramType

_PROCESS_STATUS = Path("/proc/self/status")

# Calls bpf(2) with a null attribute, in a process of its own: a filter may answer with a deadly signal.
_PROBE = "import ctypes; ctypes.CDLL(None).syscall({number}, 0, None, 0)"


def available() -> str | None:
    """None when programs can be loaded and run and maps created here, else one sentence that says why not.

    Nothing stays behind, and no way of refusing makes it raise or end the process.
    """
    try:
        if _filtered() and _deadly():
            return "bpf(2) cannot be used: a seccomp filter kills processes that call it"
        with KernelMap.create(MapType.BPF_MAP_TYPE_ARRAY, 4, 4, 1):
            pass
        with KernelProgram.load(ProgramType.BPF_PROG_TYPE_XDP, _return_zero()) as program:
            program.test_run(bytes(64))
    except HostError as error:
        return _explanation(error)
    except (BpfError, OSError) as error:
        return f"bpf(2) cannot be used: {error}"
    return None


def _explanation(error: HostError) -> str:
    if error.errno == errno.EPERM:
        return "bpf(2) is not permitted here: it takes root, or CAP_BPF with CAP_NET_ADMIN, and no sandbox against it"
    if error.errno == errno.ENOSYS:
        return "this kernel has no bpf(2), or a sandbox hides it"
    return f"bpf(2) cannot be used: {error}"


def _filtered() -> bool:
    """Whether a seccomp filter is active for this process (Seccomp: 2 in /proc/self/status)."""
    system_call_number()
    try:
        status = _PROCESS_STATUS.read_bytes()
    except OSError:
        return False
    return any(line.split() == [b"Seccomp:", b"2"] for line in status.splitlines())


def _deadly() -> bool:
    import subprocess

    probe = _PROBE.format(number=system_call_number())
    try:
        finished = subprocess.run([sys.executable, "-I", "-c", probe], capture_output=True, timeout=30, check=False)
    except subprocess.TimeoutExpired as error:
        raise HostError("a process that tried bpf(2) did not come back") from error
    return finished.returncode < 0


def _return_zero() -> bytes:
    """`r0 = 0; exit` in the host's byte order; every register field is 0."""
    return struct.pack("=BBhi", 0xB7, 0, 0, 0) + struct.pack("=BBhi", 0x95, 0, 0, 0)
