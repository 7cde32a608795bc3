"""What a map operation that Linux would refuse raises: MapError, with the errno that Linux would give.

The numbers are those of Linux on every host, because programs under test see them: a helper returns `-errno`.
"""

from __future__ import annotations

from enum import IntEnum

from pybpftime.errors import BpfError


class Errno(IntEnum):
    """Linux error numbers (asm-generic/errno.h, x86-64 and arm64), as far as maps use them."""

    EPERM = 1
    ENOENT = 2
    E2BIG = 7
    EBADF = 9
    EAGAIN = 11
    ENOMEM = 12
    EACCES = 13
    EFAULT = 14
    EBUSY = 16
    EEXIST = 17
    EINVAL = 22
    ENOSPC = 28
    EOPNOTSUPP = 95
    ENOTSUPP = 524  # internal to the kernel by intent; bpf(2) lets it out all the same


class MapError(BpfError):
    """A map operation was refused.  `errno` is the number that Linux gives, `map` the name of the map."""

    fields = ("errno", "map")
    errno: Errno
    map: str | None

    def __init__(self, reason: str, *, errno: Errno, map: str | None = None) -> None:  # a field's name
        super().__init__(reason, errno=errno, map=map)

    def _where(self) -> str:
        return "" if self.map is None else f"map {self.map}"

    def __str__(self) -> str:
        return f"{super().__str__()} ({self.errno.name})"
