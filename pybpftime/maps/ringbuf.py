"""BPF_MAP_TYPE_RINGBUF: one ring of records for all cpus (kernel/bpf/ringbuf.c).

The slab holds the ring as Linux maps it for user space: a page with the consumer's position, a page with the
producer's, then `max_entries` bytes of data.  Positions only grow; position modulo size is the place in the data.
A record is an 8-byte header and its data, rounded up to 8.  Linux maps the data pages twice in a row so that a
record that wraps is contiguous; a program sees the same here, through RingRegion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pybpftime.errors import Fault, FaultKind
from pybpftime.machine.memory import OFFSET_MASK, Region, RegionKind
from pybpftime.machine.strictness import Strictness
from pybpftime.maps.layout import CONSUMER_POSITION, PENDING_POSITION, PRODUCER_POSITION, RING_DATA, round_up
from pybpftime.maps.map import Map, map_type
from pybpftime.maps.spec import MapSpec
from pybpftime.uapi import PAGE_SIZE, Errno, MapType

HEADER_SIZE = 8  # BPF_RINGBUF_HDR_SZ: length with flags (4 bytes), pages from the start of the slab (4 bytes)
BUSY = 1 << 31  # BPF_RINGBUF_BUSY_BIT
DISCARD = 1 << 30  # BPF_RINGBUF_DISCARD_BIT
MAX_RECORD = (1 << 32) // 4 - 1  # RINGBUF_MAX_RECORD_SZ

BPF_RB_NO_WAKEUP = 1 << 0
BPF_RB_FORCE_WAKEUP = 1 << 1

# What bpf_ringbuf_query can ask.
BPF_RB_AVAIL_DATA = 0
BPF_RB_RING_SIZE = 1
BPF_RB_CONS_POS = 2
BPF_RB_PROD_POS = 3


class RingRegion(Region):
    """The reserved records of a ring: nothing else of it may be accessed.

    Offsets are those of the slab, with the data twice in a row.  `reserved` maps the offset of each reserved
    record's data to its end.
    """

    __slots__ = ("reserved", "size")

    def __init__(self, name: str, data: memoryview, size: int, *, aligned: bool) -> None:
        super().__init__(RegionKind.MAP_VALUE, name, data, start=RING_DATA, end=RING_DATA + 2 * size, aligned=aligned)
        self.size = size
        self.reserved: dict[int, int] = {}

    def load(self, offset: int, size: int) -> int:
        content = self.read(offset, size, "load")
        if self.aligned and offset % size:
            raise self.misaligned(offset, size, "load")
        return int.from_bytes(content, "little")

    def store(self, offset: int, size: int, value: int) -> None:
        if self.aligned and offset % size and self.reaches(offset, size):
            raise self.misaligned(offset, size, "store")
        self.write(offset, (value & ((1 << 8 * size) - 1)).to_bytes(size, "little"), "store")

    def read(self, offset: int, length: int, access: str = "read") -> bytes:
        if not self.reaches(offset, length):
            raise self.refuse(offset, length, access)
        return self.ring_read(offset, length)

    def write(self, offset: int, content: bytes, access: str = "write") -> None:
        if not self.reaches(offset, len(content)):
            raise self.refuse(offset, len(content), access)
        self.ring_write(offset, content)

    def reaches(self, offset: int, size: int) -> bool:
        return any(start <= offset and offset + size <= end for start, end in self.reserved.items())

    def ring_read(self, offset: int, length: int) -> bytes:
        """Bytes of the ring, whoever they belong to, wrapping at its end."""
        place = (offset - RING_DATA) % self.size
        first = bytes(self.data[RING_DATA + place : RING_DATA + min(place + length, self.size)])
        return first + bytes(self.data[RING_DATA : RING_DATA + length - len(first)])

    def ring_write(self, offset: int, content: bytes) -> None:
        place = (offset - RING_DATA) % self.size
        room = self.size - place
        self.data[RING_DATA + place : RING_DATA + place + len(content[:room])] = content[:room]
        self.data[RING_DATA : RING_DATA + len(content[room:])] = content[room:]

    def span(self, offset: int) -> tuple[str, int, int]:
        """The nearest reserved record."""
        if not self.reserved:
            return f"{self.name} (no record of it is reserved)", offset, offset
        start = min(self.reserved, key=lambda start: max(start - offset, offset - self.reserved[start]))
        return f"{self.name} record", start, self.reserved[start]


@map_type(MapType.BPF_MAP_TYPE_RINGBUF)
class RingBuffer(Map):
    """A ring buffer.  `on_wakeup` is called where Linux wakes the reader; `wakeups` counts that."""

    def __init__(self, spec: MapSpec, *, cpu_count: int = 1, storage: memoryview | None = None, seed: int = 0) -> None:
        super().__init__(spec, cpu_count=cpu_count, storage=storage, seed=seed)
        self.size = spec.max_entries
        self._ring = RingRegion(f"map {self.name}", self._data, self.size, aligned=False)
        self.on_wakeup: Callable[[], None] | None = None
        self.wakeups = 0

    def make_region(self, strictness: Strictness) -> Region:
        reserved = self._ring.reserved
        self._ring = RingRegion(f"map {self.name}", self._data, self.size, aligned=strictness.unaligned_memory)
        self._ring.reserved = reserved
        return self._ring

    def beside_slab(self) -> object:
        return tuple(self._ring.reserved.items()), self.wakeups

    def set_beside_slab(self, state: object) -> None:
        reserved, self.wakeups = cast("tuple[tuple[tuple[int, int], ...], int]", state)
        self._ring.reserved.clear()
        self._ring.reserved.update(reserved)

    # -- programs' side ---------------------------------------------------------------------------------------------

    def reserve(self, size: int, flags: int = 0) -> int:
        """bpf_ringbuf_reserve: the address of `size` bytes to fill, 0 when there is no room or a flag is set."""
        offset = 0 if flags else self._reserve(size)
        if not offset:
            return 0
        self._ring.reserved[offset] = offset + size
        return self._base + offset

    def submit(self, address: int, flags: int = 0) -> None:
        """bpf_ringbuf_submit.  Fault unless `address` is that of a reserved record."""
        self._commit(self._release(address, "bpf_ringbuf_submit"), flags, discard=False)

    def discard(self, address: int, flags: int = 0) -> None:
        """bpf_ringbuf_discard.  Fault unless `address` is that of a reserved record."""
        self._commit(self._release(address, "bpf_ringbuf_discard"), flags, discard=True)

    def output(self, data: bytes, flags: int = 0) -> None:
        """bpf_ringbuf_output.  EINVAL for unknown flags, EAGAIN when there is no room."""
        if flags & ~(BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP):
            raise self.error(Errno.EINVAL, f"ring buffer flags {flags:#x} are not known")
        offset = self._reserve(len(data))
        if not offset:
            raise self.error(Errno.EAGAIN, f"there is no room for {len(data)} bytes")
        self._ring.ring_write(offset, data)
        self._commit(offset, flags, discard=False)

    def query(self, what: int) -> int:
        """bpf_ringbuf_query: BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE, BPF_RB_CONS_POS or BPF_RB_PROD_POS; else 0."""
        if what == BPF_RB_AVAIL_DATA:
            return self._position(PRODUCER_POSITION) - self._position(CONSUMER_POSITION)
        if what == BPF_RB_RING_SIZE:
            return self.size
        if what == BPF_RB_CONS_POS:
            return self._position(CONSUMER_POSITION)
        return self._position(PRODUCER_POSITION) if what == BPF_RB_PROD_POS else 0

    @property
    def reserved(self) -> list[int]:
        """Addresses of the records that are reserved and neither submitted nor discarded."""
        return [self._base + offset for offset in self._ring.reserved]

    # -- user space's side ------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many records wait to be drained, up to the first that is still reserved."""
        return len(self._finished()[0])

    def drain(self) -> list[bytes]:
        """The records that are finished, oldest first, up to the first that is still reserved; they are consumed."""
        records, position = self._finished()
        self._set_position(CONSUMER_POSITION, position)
        return records

    # -- the ring ---------------------------------------------------------------------------------------------------

    def _reserve(self, size: int) -> int:
        """__bpf_ringbuf_reserve: the slab offset of a new record's data, 0 when there is no room."""
        length = round_up(size + HEADER_SIZE, 8)
        if size > MAX_RECORD or length > self.size:
            return 0
        consumer, producer = self._position(CONSUMER_POSITION), self._position(PRODUCER_POSITION)
        pending = self._position(PENDING_POSITION)
        while pending < producer:
            header = self._header(pending)
            if header & BUSY:
                break
            pending += round_up((header & ~DISCARD) + HEADER_SIZE, 8)
        self._set_position(PENDING_POSITION, pending)
        end = producer + length
        if end - consumer >= self.size or end - pending >= self.size:
            return 0
        place = RING_DATA + producer % self.size
        header = (size | BUSY) | (place // PAGE_SIZE) << 32
        self._data[place : place + HEADER_SIZE] = header.to_bytes(HEADER_SIZE, "little")
        self._set_position(PRODUCER_POSITION, end)
        return place + HEADER_SIZE

    def _release(self, address: int, helper: str) -> int:
        """The slab offset of the reserved record at `address`, which stops being reserved."""
        offset = address & OFFSET_MASK
        if address != self._base + offset or offset not in self._ring.reserved:
            raise Fault(FaultKind.HELPER, f"{helper} of {address:#x}: map {self.name} has no such reserved record")
        del self._ring.reserved[offset]
        return offset

    def _commit(self, offset: int, flags: int, *, discard: bool) -> None:
        """bpf_ringbuf_commit."""
        place = offset - HEADER_SIZE
        header = int.from_bytes(self._data[place : place + 4], "little") ^ BUSY
        self._data[place : place + 4] = (header | (DISCARD if discard else 0)).to_bytes(4, "little")
        is_next = self._position(CONSUMER_POSITION) % self.size == place - RING_DATA
        if flags & BPF_RB_FORCE_WAKEUP or (is_next and not flags & BPF_RB_NO_WAKEUP):
            self.wakeups += 1
            if self.on_wakeup is not None:
                self.on_wakeup()

    def _finished(self) -> tuple[list[bytes], int]:
        """The data of finished records from the consumer's position on, and the position behind them."""
        records = []
        position, producer = self._position(CONSUMER_POSITION), self._position(PRODUCER_POSITION)
        while position < producer:
            header = self._header(position)
            if header & BUSY:
                break
            length = header & ~DISCARD
            if not header & DISCARD:
                records.append(self._ring.ring_read(RING_DATA + position + HEADER_SIZE, length))
            position += round_up(length + HEADER_SIZE, 8)
        return records, position

    def _header(self, position: int) -> int:
        place = RING_DATA + position % self.size
        return int.from_bytes(self._data[place : place + 4], "little")

    def _position(self, offset: int) -> int:
        return int.from_bytes(self._data[offset : offset + 8], "little")

    def _set_position(self, offset: int, position: int) -> None:
        self._data[offset : offset + 8] = position.to_bytes(8, "little")
