"""What all objects of the kernel share: one file descriptor, closed exactly once."""

from __future__ import annotations

import ctypes
import errno
import os
import warnings
from collections.abc import Iterator
from typing import ClassVar, Self

from pybpftime.errors import InputError
from pybpftime.kernel import attributes
from pybpftime.kernel.syscall import bpf, refusal, try_bpf, unsigned
from pybpftime.uapi import Command


class KernelObject:
    """Owner of a file descriptor from bpf(2).

    A context manager: leaving it closes the descriptor, and the kernel drops the object when nobody else holds
    it.  One that is garbage collected open is closed with a ResourceWarning, as Python's files are.
    """

    kind: ClassVar[str] = "object"
    _fd: int = -1  # a constructor that raised leaves nothing to close

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        """The descriptor (close-on-exec); InputError when closed."""
        if self._fd < 0:
            raise InputError(f"this {self.kind} is closed")
        return self._fd

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def close(self) -> None:
        """Close the descriptor.  Closing twice does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._fd >= 0:
            message = f"unclosed {self!r}"
            self.close()  # first: the warning may be an error
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self.closed else f'fd {self._fd}'}>"


def open_by_id(command: Command, identifier: int, action: str) -> int:
    """BPF_*_GET_FD_BY_ID: a new descriptor for the object with this id.  HostError (ENOENT: there is none)."""
    return bpf(command, attributes.GetId(id=unsigned(identifier, "the id")), action)


def iterate_ids(command: Command, action: str) -> Iterator[int]:
    """BPF_*_GET_NEXT_ID: the ids of all objects of one kind, ascending, as they exist while iterating."""
    attribute = attributes.GetId()
    while (result := try_bpf(command, attribute)) == 0:
        yield attribute.next_id
        attribute.id = attribute.next_id
    if result != -errno.ENOENT:
        raise refusal(action, -result)


def read_info(fd: int, info: ctypes.Structure, action: str) -> None:
    """BPF_OBJ_GET_INFO_BY_FD: fill `info`; fields that this kernel does not know stay as they are."""
    attribute = attributes.GetInfo(bpf_fd=fd, info_len=ctypes.sizeof(info), info=ctypes.addressof(info))
    bpf(Command.BPF_OBJ_GET_INFO_BY_FD, attribute, action)
