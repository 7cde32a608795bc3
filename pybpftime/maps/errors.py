"""What a map operation that Linux would refuse raises: MapError, with the errno that Linux would give."""

from __future__ import annotations

from pybpftime.errors import BpfError
from pybpftime.uapi import Errno

__all__ = ["Errno", "MapError"]


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
