"""Arrays: BPF_MAP_TYPE_ARRAY and BPF_MAP_TYPE_PERCPU_ARRAY (kernel/bpf/arraymap.c).

Every index below max_entries always has an element; keys are numbers of 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from pybpftime.maps.map import EXIST, LOCK, NOEXIST, Cursor, Map, Value, map_type
from pybpftime.maps.spec import MapSpec
from pybpftime.uapi import Errno, MapType


class IndexedMap(Map):
    """What arrays of values and arrays of descriptors share: indices as keys (array_map_get_next_key)."""

    def index(self, key: bytes) -> int:
        return int.from_bytes(key, "little")

    def existing_index(self, key: bytes, errno: Errno) -> int:
        index = int.from_bytes(key, "little")
        if index >= self.max_entries:
            raise self.error(errno, f"index {index} is not below max_entries {self.max_entries}")
        return index

    def _next_key(self, key: bytes | None) -> bytes:
        index = self.max_entries if key is None else int.from_bytes(key, "little")
        if index == self.max_entries - 1:
            raise self.error(Errno.ENOENT, f"index {index} is the last")
        return (0 if index >= self.max_entries else index + 1).to_bytes(4, "little")

    def _keys(self) -> Iterator[bytes]:
        return (index.to_bytes(4, "little") for index in range(self.max_entries))


@map_type(MapType.BPF_MAP_TYPE_ARRAY)
class ArrayMap(IndexedMap):
    """An array of values.  `spec.contents` becomes the (start of the) value of element 0."""

    def __init__(self, spec: MapSpec, *, cpu_count: int = 1, storage: memoryview | None = None, seed: int = 0) -> None:
        super().__init__(spec, cpu_count=cpu_count, storage=storage, seed=seed)
        self._stride = self.layout.slot_stride
        self._first = self.layout.first_value
        if spec.contents and self.slab.created:
            self._data[self._first : self._first + len(spec.contents)] = spec.contents

    def element_address(self, key: bytes, cpu: int = 0) -> int:
        index = int.from_bytes(key, "little")
        return self._base + self._first + index * self._stride if index < self.max_entries else 0

    def update_element(self, key: bytes, value: bytes, flags: int = 0, cpu: int = 0) -> None:
        index = self.updatable_index(key, flags)
        self.require_lock(flags)
        self.write_value(self._first + index * self._stride, value)

    def updatable_index(self, key: bytes, flags: int) -> int:
        """The checks of array_map_update_elem, in its order."""
        if flags & ~LOCK > EXIST:
            raise self.error(Errno.EINVAL, f"update flags {flags:#x} are not known")
        index = self.existing_index(key, Errno.E2BIG)
        if flags & NOEXIST:
            raise self.error(Errno.EEXIST, "every element of an array exists")
        return index

    def delete_element(self, key: bytes) -> None:
        raise self.error(Errno.EINVAL, "an element of an array cannot be deleted")

    def first_cursor(self) -> Cursor:
        return 0, 0

    def element_at(self, cursor: Cursor, cpu: int = 0) -> tuple[bytes, int, Cursor] | None:
        index, _ = cursor
        if index == self.max_entries:
            return None
        within = cpu * self.layout.value_stride if self.kind.per_cpu else 0
        return index.to_bytes(4, "little"), self._base + self._first + within + index * self._stride, (index + 1, 0)

    def _lookup(self, key: bytes) -> Value:
        return self.read_value(self._first + self.existing_index(key, Errno.ENOENT) * self._stride)

    def _update(self, key: bytes, value: Value, flags: int) -> None:
        self.update_element(key, cast("bytes", value), flags)


@map_type(MapType.BPF_MAP_TYPE_PERCPU_ARRAY)
class PerCpuArrayMap(ArrayMap):
    """An array with a value for each cpu."""

    def element_address(self, key: bytes, cpu: int = 0) -> int:
        index = int.from_bytes(key, "little")
        if index >= self.max_entries or cpu >= self.cpu_count:
            return 0
        return self._base + self._offset(index, cpu)

    def update_element(self, key: bytes, value: bytes, flags: int = 0, cpu: int = 0) -> None:
        index = self.updatable_index(key, flags)
        self.require_lock(flags)
        self.write_value(self._offset(index, cpu), value)

    def _lookup(self, key: bytes) -> Value:
        index = self.existing_index(key, Errno.ENOENT)
        return tuple(self.read_value(self._offset(index, cpu)) for cpu in range(self.cpu_count))

    def _update(self, key: bytes, value: Value, flags: int) -> None:
        index = self.updatable_index(key, flags)
        for cpu, one in enumerate(cast("tuple[bytes, ...]", value)):
            self.write_value(self._offset(index, cpu), one)

    def _offset(self, index: int, cpu: int) -> int:
        return self._first + index * self._stride + cpu * self.layout.value_stride
