"""BTF in the running kernel."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Self

from pybpftime.errors import InputError
from pybpftime.kernel import attributes
from pybpftime.kernel.descriptor import KernelObject, iterate_ids, open_by_id
from pybpftime.kernel.info import BtfInfo, btf_info
from pybpftime.kernel.log import load_explained
from pybpftime.kernel.syscall import address_of, try_bpf
from pybpftime.program.btf import Btf
from pybpftime.uapi import Command

VMLINUX = Path("/sys/kernel/btf/vmlinux")


class KernelBtf(KernelObject):
    """BTF that the kernel has checked and keeps."""

    kind = "BTF object"

    @classmethod
    def load(cls, data: bytes) -> Self:
        """BPF_BTF_LOAD of a whole .BTF section.

        KernelRejection with the kernel's log when the types are malformed, HostError for other refusals.
        """
        if not data or len(data) >= 1 << 32:
            raise InputError(f"{len(data)} bytes are no BTF")
        attribute = attributes.BtfLoad(btf=address_of(data), btf_size=len(data))

        def attempt(log: ctypes.Array[ctypes.c_char] | None) -> int:
            attribute.btf_log_level = 0 if log is None else 1
            attribute.btf_log_size = 0 if log is None else len(log)
            attribute.btf_log_buf = 0 if log is None else ctypes.addressof(log)
            return try_bpf(Command.BPF_BTF_LOAD, attribute)

        fd, _ = load_explained(attempt, "load BTF")
        return cls(fd)

    @classmethod
    def from_id(cls, identifier: int) -> Self:
        """The BTF with this id.  HostError (ENOENT) when there is none."""
        return cls(open_by_id(Command.BPF_BTF_GET_FD_BY_ID, identifier, f"open the BTF with id {identifier}"))

    def info(self) -> BtfInfo:
        return btf_info(self.fileno())


@cache
def running_kernel_types() -> Btf | None:
    """The types of the running kernel, None where it does not show them; read once in a process."""
    try:
        return Btf.parse(VMLINUX.read_bytes())
    except (OSError, InputError):
        return None


def btf_ids() -> Iterator[int]:
    """The ids of all BTF objects in the kernel, ascending; the kernel's own come first."""
    return iterate_ids(Command.BPF_BTF_GET_NEXT_ID, "list BTF objects")
