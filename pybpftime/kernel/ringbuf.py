"""Reading a BPF_MAP_TYPE_RINGBUF: the kernel's producer and our consumer share memory.

Layout of the mapping (kernel/bpf/ringbuf.c), in pages: one with the consumer's position, writable; one with the
producer's, read-only; the data, mapped twice in a row so that a record that wraps is contiguous.  Positions only
grow; a record starts at position % size with an 8-byte header: length and two flags, then an offset for the kernel.
"""

from __future__ import annotations

import mmap
from typing import Self

from pybpftime.errors import InputError, InternalError
from pybpftime.kernel.maps import KernelMap
from pybpftime.uapi import MapType

_BUSY = 1 << 31  # BPF_RINGBUF_BUSY_BIT: reserved, not yet submitted
_DISCARDED = 1 << 30  # BPF_RINGBUF_DISCARD_BIT
_HEADER_SIZE = 8  # BPF_RINGBUF_HDR_SZ


class KernelRingBuffer:
    """A consumer of a ring buffer map, the only one: two would take records from each other.

    A context manager that keeps the memory mapped.  InputError for a map of another type, HostError when it
    cannot be mapped.
    """

    def __init__(self, source: KernelMap) -> None:
        if source.type != MapType.BPF_MAP_TYPE_RINGBUF:
            raise InputError("only a BPF_MAP_TYPE_RINGBUF can be drained")
        self.size = source.max_entries
        self._consumer = source.map_pages(0, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE)
        try:
            self._producer = source.map_pages(mmap.PAGESIZE, mmap.PAGESIZE + 2 * self.size, mmap.PROT_READ)
        except BaseException:
            self._consumer.close()
            raise

    def drain(self) -> list[bytes]:
        """Take every record submitted before this call, in order, up to the first one that is still reserved.

        Discarded records are skipped.  Room for the kernel is freed before the call returns.
        """
        records = []
        # Casting to native words gives loads and stores of whole words, as the other side makes them.
        with (
            memoryview(self._consumer) as consumer,
            memoryview(self._producer) as producer,
            consumer.cast("Q") as consumer_words,
            producer.cast("Q") as producer_words,
            producer.cast("I") as header_words,
        ):
            position, end = consumer_words[0], producer_words[0]
            while position < end:
                start = mmap.PAGESIZE + position % self.size
                header = header_words[start // 4]
                if header & _BUSY:
                    break
                length = header & ~_DISCARDED
                if length > self.size:
                    raise InternalError(f"a ring buffer record of {length} bytes in a buffer of {self.size}")
                if not header & _DISCARDED:
                    records.append(bytes(producer[start + _HEADER_SIZE : start + _HEADER_SIZE + length]))
                position += -(-(_HEADER_SIZE + length) // 8) * 8
                consumer_words[0] = position
        return records

    def close(self) -> None:
        self._consumer.close()
        self._producer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def drain_ringbuf(source: KernelMap) -> list[bytes]:
    """The records that are in a ring buffer map now; see KernelRingBuffer.drain()."""
    with KernelRingBuffer(source) as ring:
        return ring.drain()
