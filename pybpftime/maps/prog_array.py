"""BPF_MAP_TYPE_PROG_ARRAY: programs by index, for bpf_tail_call (kernel/bpf/arraymap.c, prog_array_map_ops).

The slab holds a handle for each index, 0 for none; the objects behind handles belong to this process.
"""

from __future__ import annotations

from typing import Any

from pybpftime.maps.array import IndexedMap
from pybpftime.maps.map import Value, map_type
from pybpftime.maps.spec import MapSpec
from pybpftime.uapi import Errno, MapType


class DescriptorArray(IndexedMap):
    """An array whose elements are objects, absent until user space puts them there (fd_array_map_*)."""

    def __init__(self, spec: MapSpec, *, cpu_count: int = 1, storage: memoryview | None = None, seed: int = 0) -> None:
        super().__init__(spec, cpu_count=cpu_count, storage=storage, seed=seed)
        self._first_word = self.layout.first_value // 4
        self._stride = self.layout.slot_stride // 4

    @property
    def count(self) -> int:
        """How many indices are occupied."""
        return sum(1 for index in range(self.max_entries) if self.handle(index))

    def handle(self, index: int) -> int:
        return self._words[self._first_word + index * self._stride]

    def set_handle(self, index: int, handle: int) -> None:
        self._words[self._first_word + index * self._stride] = handle

    def updatable_index(self, key: bytes, flags: int) -> int:
        """The checks of bpf_fd_array_map_update_elem, in its order."""
        self.require_writable()
        self.require_lock(flags)
        key = self.checked_key(key)
        if flags:
            raise self.error(Errno.EINVAL, f"update flags {flags:#x} are not allowed, only BPF_ANY is")
        return self.existing_index(key, Errno.E2BIG)

    def delete_element(self, key: bytes) -> None:
        index = self.existing_index(key, Errno.E2BIG)
        if not self.handle(index):
            raise self.error(Errno.ENOENT, f"there is nothing at index {index}")
        self.set_handle(index, 0)

    def make_region(self, strictness: object) -> None:
        """Programs cannot reach what such a map holds."""


@map_type(MapType.BPF_MAP_TYPE_PROG_ARRAY)
class ProgramArray(DescriptorArray):
    """Programs by index.

    User space updates with the program itself, any object but bytes; all that have a `type` must have the same
    (bpf_prog_map_compatible).  `lookup` gives the handle that stands for the program, 4 bytes, where Linux gives
    its id; a handle stands for the same program as long as the map lives.
    """

    def __init__(self, spec: MapSpec, *, cpu_count: int = 1, storage: memoryview | None = None, seed: int = 0) -> None:
        super().__init__(spec, cpu_count=cpu_count, storage=storage, seed=seed)
        self._programs: list[Any] = []
        self._program_type: Any = None

    def program_at(self, index: int) -> Any:
        """The program at `index`, None when there is none or the index is outside: what bpf_tail_call asks."""
        handle = self.handle(index) if index < self.max_entries else 0
        return self._programs[handle - 1] if handle else None

    def update(self, key: bytes, value: Any, flags: int = 0) -> None:
        index = self.updatable_index(key, flags)
        if value is None or isinstance(value, bytes | bytearray | memoryview | int):
            raise self.error(Errno.EBADF, "the value of a program array is a program")
        self.set_handle(index, self._handle_of(value))

    def programs(self) -> list[tuple[int, Any]]:
        """The occupied indices with their programs."""
        return [(index, self.program_at(index)) for index in range(self.max_entries) if self.handle(index)]

    def items(self) -> list[tuple[bytes, Value]]:
        """The occupied indices with the handles of their programs."""
        self.require_readable()
        return [(key, self._lookup(key)) for key in self._keys() if self.handle(self.index(key))]

    def _lookup(self, key: bytes) -> Value:
        index = self.existing_index(key, Errno.ENOENT)
        if not self.handle(index):
            raise self.error(Errno.ENOENT, f"there is no program at index {index}")
        return self.handle(index).to_bytes(4, "little")

    def _handle_of(self, program: Any) -> int:
        for position, known in enumerate(self._programs):
            if known is program:
                return position + 1
        program_type = getattr(program, "type", None)
        if not self._programs:
            self._program_type = program_type
        elif program_type != self._program_type:
            raise self.error(Errno.EINVAL, f"its programs are of type {self._program_type}, not {program_type}")
        self._programs.append(program)
        return len(self._programs)
