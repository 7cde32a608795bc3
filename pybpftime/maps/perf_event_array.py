"""BPF_MAP_TYPE_PERF_EVENT_ARRAY: records for user space, one buffer for each cpu (kernel/trace/bpf_trace.c).

In Linux user space opens perf events and puts them into the array.  Here the buffer of every cpu is open from the
start, as if a reader had done that, unless it is deleted; so a program's output is not lost for want of a reader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from pybpftime.maps.map import map_type
from pybpftime.maps.prog_array import DescriptorArray
from pybpftime.maps.spec import MapSpec
from pybpftime.uapi import Errno, MapType

BPF_F_INDEX_MASK = 0xFFFF_FFFF
BPF_F_CURRENT_CPU = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class PerfRecord:
    """What a program put out, and on which cpu."""

    cpu: int
    data: bytes


Records = tuple[PerfRecord, ...]


@dataclass(slots=True, eq=False)
class PerfBuffer:
    """An open perf event of type PERF_COUNT_SW_BPF_OUTPUT on `cpu`.

    It keeps records until they are drained, up to `capacity` bytes of data; `lost` counts those that found no room.
    With `on_record`, records go to that function instead.
    """

    cpu: int
    capacity: int = 64 << 20
    on_record: Callable[[PerfRecord], None] | None = None
    records: list[PerfRecord] = field(default_factory=list)
    used: int = 0
    lost: int = 0

    def put(self, record: PerfRecord) -> bool:
        """Take a record; False when there is no room for it."""
        if self.on_record is not None:
            self.on_record(record)
            return True
        if self.used + len(record.data) > self.capacity:
            self.lost += 1
            return False
        self.records.append(record)
        self.used += len(record.data)
        return True

    def contents(self) -> tuple[Records, int, int]:
        """The records so far, which stay, their size and the number of lost ones."""
        return tuple(self.records), self.used, self.lost

    def drain(self) -> list[PerfRecord]:
        """The records so far, oldest first; the buffer is empty then."""
        records, self.records, self.used = self.records, [], 0
        return records


@map_type(MapType.BPF_MAP_TYPE_PERF_EVENT_ARRAY)
class PerfEventArray(DescriptorArray):
    """Perf buffers by index.  User space updates with a PerfBuffer; a slot's handle in the slab is its index + 1."""

    def __init__(self, spec: MapSpec, *, cpu_count: int = 1, storage: memoryview | None = None, seed: int = 0) -> None:
        super().__init__(spec, cpu_count=cpu_count, storage=storage, seed=seed)
        self._buffers: dict[int, PerfBuffer] = {}
        for cpu in range(min(self.max_entries, cpu_count)):
            self._open(cpu, PerfBuffer(cpu))

    def output(self, index: int, data: bytes, cpu: int = 0) -> None:
        """bpf_perf_event_output on `cpu`: `index` is the low half of its flags, BPF_F_CURRENT_CPU for `cpu` itself.

        E2BIG: no such index.  ENOENT: nothing open there.  EOPNOTSUPP: open for another cpu.  ENOSPC: no room.
        """
        if index == BPF_F_CURRENT_CPU:
            index = cpu
        if index >= self.max_entries:
            raise self.error(Errno.E2BIG, f"index {index} is not below max_entries {self.max_entries}")
        buffer = self._buffers.get(index) if self.handle(index) else None
        if buffer is None:
            raise self.error(Errno.ENOENT, f"no perf event is open at index {index}")
        if buffer.cpu != cpu:
            raise self.error(Errno.EOPNOTSUPP, f"the perf event at index {index} is on cpu {buffer.cpu}, not {cpu}")
        if not buffer.put(PerfRecord(cpu, data)):
            raise self.error(Errno.ENOSPC, f"the perf buffer at index {index} is full")

    def buffer(self, index: int) -> PerfBuffer | None:
        """The buffer open at `index`."""
        return self._buffers.get(index)

    def deliver(self, on_record: Callable[[PerfRecord], None]) -> None:
        """From now on hand the records of all buffers that are open to `on_record` instead of keeping them."""
        for buffer in self._buffers.values():
            buffer.on_record = on_record

    def drain(self) -> list[PerfRecord]:
        """The records of all buffers, buffer by buffer in the order of indices, oldest first in each."""
        return [record for index in sorted(self._buffers) for record in self._buffers[index].drain()]

    @property
    def lost(self) -> int:
        """How many records found no room."""
        return sum(buffer.lost for buffer in self._buffers.values())

    def update(self, key: bytes, value: object, flags: int = 0) -> None:
        index = self.updatable_index(key, flags)
        if not isinstance(value, PerfBuffer):
            raise self.error(Errno.EBADF, "the value of a perf event array is a PerfBuffer")
        self._open(index, value)

    def delete_element(self, key: bytes) -> None:
        super().delete_element(key)
        del self._buffers[self.index(key)]

    def beside_slab(self) -> object:
        return tuple((index, buffer, *buffer.contents()) for index, buffer in self._buffers.items())

    def set_beside_slab(self, state: object) -> None:
        self._buffers.clear()
        for index, buffer, records, used, lost in cast("tuple[tuple[int, PerfBuffer, Records, int, int], ...]", state):
            self._buffers[index] = buffer
            buffer.records, buffer.used, buffer.lost = list(records), used, lost

    def _open(self, index: int, buffer: PerfBuffer) -> None:
        self._buffers[index] = buffer
        self.set_handle(index, index + 1)
