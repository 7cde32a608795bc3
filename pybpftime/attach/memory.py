"""The memory of a live process, through /proc/PID/mem and process_vm_readv."""

from __future__ import annotations

import ctypes
import os

from pybpftime.errors import HostError

_libc = ctypes.CDLL(None, use_errno=True)


class _IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class ProcessMemory:
    """Memory of a process that we trace.  Its file is opened at the first use, and again after `close`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._file: int | None = None

    def read(self, address: int, size: int) -> bytes:
        """Memory of the target, whatever its protection.  HostError where there is none."""
        try:
            content = os.pread(self._descriptor(), size, address)
        except (OSError, OverflowError):
            content = b""
        if len(content) < size:
            raise HostError(f"{size} bytes at {address:#x} cannot be read", pid=self._pid)
        return content

    def write(self, address: int, content: bytes) -> None:
        """Change memory of the target, whatever its protection; a private copy of a file's page is made first."""
        try:
            written = os.pwrite(self._descriptor(), content, address)
        except OSError as error:
            reason = f"{len(content)} bytes at {address:#x} cannot be written"
            raise HostError(reason, errno=error.errno, pid=self._pid) from None
        if written < len(content):
            raise HostError(f"{len(content)} bytes at {address:#x} cannot be written", pid=self._pid)

    def read_user(self, address: int, size: int) -> bytes | None:
        """Memory as the target itself may read it; None when any byte of it cannot be read."""
        if not 0 <= address < 1 << 47:
            return None
        content = ctypes.create_string_buffer(size)
        local = _IoVector(ctypes.addressof(content), size)
        remote = _IoVector(address, size)
        got = _libc.process_vm_readv(self._pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
        return content.raw if got == size else None

    def _descriptor(self) -> int:
        if self._file is None:
            try:
                self._file = os.open(f"/proc/{self._pid}/mem", os.O_RDWR | os.O_CLOEXEC)
            except OSError as error:
                raise HostError("its memory cannot be opened", errno=error.errno, pid=self._pid) from None
        return self._file

    def close(self) -> None:
        """Forget the memory that there was: the process has ended, or has executed another program."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
