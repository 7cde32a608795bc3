"""The memory of a map (`Slab`), and what a program may touch of it (`ValueRegion`, `SlotRegion`)."""

from __future__ import annotations

import mmap
import sys
from typing import cast

from pybpftime.errors import Fault, FaultKind, HostError, InputError
from pybpftime.machine.memory import Region, RegionKind
from pybpftime.maps.layout import FREE, HEADER_FIELDS, LIVE, MAGIC, NEVER_USED, VERSION, Layout
from pybpftime.maps.spec import MapSpec
from pybpftime.uapi import Errno

LARGE = 1 << 16  # from here on memory comes from mmap, where pages cost nothing until they are touched
_OFFSETS = {name: offset for name, offset, _ in HEADER_FIELDS}
_SIZES = {name: size for name, _, size in HEADER_FIELDS}

# Indices into `Slab.words` of what changes while the map lives.
LIVE_COUNT = _OFFSETS["live_count"] // 4
USED_SLOTS = _OFFSETS["used_slots"] // 4
FREE_HEAD = _OFFSETS["free_head"] // 4
NEWEST = _OFFSETS["newest"] // 4
OLDEST = _OFFSETS["oldest"] // 4
FROZEN = _OFFSETS["frozen"] // 4
SPARE = _OFFSETS["spare"] // 4


class Slab:
    """Storage with a layout.  `data` are its bytes, `words` the same as little-endian numbers of 32 bits.

    `storage` is any writable, contiguous memory of at least `layout.slab_size` bytes.  Zeroed memory becomes an
    empty map (`created`); memory that holds a slab already is taken as it is when it is the same map's, else
    InputError.
    Without storage the slab is private to this process.  HostError when there is not enough memory.
    """

    __slots__ = ("created", "data", "layout", "words")

    def __init__(self, spec: MapSpec, layout: Layout, storage: memoryview | None = None, seed: int = 0) -> None:
        self.layout = layout
        self.data = _private(spec, layout.slab_size) if storage is None else _foreign(spec, layout.slab_size, storage)
        self.words = little_endian(self.data)
        wanted = _header(spec, layout, seed)
        self.created = bytes(self.data[:8]) == bytes(8)
        if self.created:
            for name, value in wanted.items():
                self.set(name, value)
            self.data[:8] = MAGIC  # last: who sees it sees a whole header
        elif bytes(self.data[:8]) != MAGIC:
            raise InputError(f"map {spec.name}: the storage holds something that is no map")
        else:
            for name, value in wanted.items():
                if name != "hash_seed" and self.get(name) != value:
                    raise InputError(f"map {spec.name}: the storage holds another map ({name} is {self.get(name)})")

    def get(self, name: str) -> int:
        """A field of the header."""
        offset = _OFFSETS[name]
        return int.from_bytes(self.data[offset : offset + _SIZES[name]], "little")

    def set(self, name: str, value: int) -> None:
        offset, size = _OFFSETS[name], _SIZES[name]
        self.data[offset : offset + size] = value.to_bytes(size, "little")


def _header(spec: MapSpec, layout: Layout, seed: int) -> dict[str, int]:
    return {
        "version": VERSION,
        "map_type": spec.type,
        "key_size": spec.key_size,
        "value_size": spec.value_size,
        "max_entries": spec.max_entries,
        "map_flags": spec.flags,
        "cpu_count": layout.cpu_count,
        "bucket_count": layout.bucket_count,
        "slot_count": layout.slot_count,
        "slot_stride": layout.slot_stride,
        "key_offset": layout.key_offset,
        "value_offset": layout.value_offset,
        "value_stride": layout.value_stride,
        "buckets_offset": layout.buckets_offset,
        "slots_offset": layout.slots_offset,
        "slab_size": layout.slab_size,
        "hash_seed": seed,
    }


def _private(spec: MapSpec, size: int) -> memoryview:
    if size < LARGE:
        return memoryview(bytearray(size))
    try:
        return memoryview(_anonymous(size))
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise HostError(f"map {spec.name}: no memory for {size} bytes", errno=Errno.ENOMEM) from error


def _anonymous(size: int) -> mmap.mmap:
    if hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mmap.mmap(-1, size)  # Windows, where it has no flags


def _foreign(spec: MapSpec, size: int, storage: memoryview) -> memoryview:
    if storage.readonly or not storage.c_contiguous:
        raise InputError(f"map {spec.name}: the storage is not writable, contiguous memory")
    if storage.nbytes < size:
        raise InputError(f"map {spec.name}: the storage has {storage.nbytes} bytes and {size} are needed")
    return storage.cast("B")[:size]


def little_endian(data: memoryview) -> memoryview:
    """`data` as numbers of 32 bits: a cast, or on a big-endian host an object that behaves like one."""
    if sys.byteorder == "little":
        return data.cast("I")
    return cast("memoryview", SwappedWords(data))


class SwappedWords:
    """Little-endian numbers of 32 bits over bytes, on hosts whose own order is the other one."""

    __slots__ = ("_data",)

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def __getitem__(self, index: int) -> int:
        return int.from_bytes(self._data[4 * index : 4 * index + 4], "little")

    def __setitem__(self, index: int, value: int) -> None:
        self._data[4 * index : 4 * index + 4] = value.to_bytes(4, "little")


class ValueRegion(Region):
    """The values of an array: an access lies wholly inside one value, of one cpu."""

    __slots__ = ("layout", "value_size", "value_stride")

    def __init__(self, spec: MapSpec, slab: Slab, **permissions: bool) -> None:
        layout = slab.layout
        super().__init__(
            RegionKind.MAP_VALUE,
            f"map {spec.name}",
            slab.data,
            start=layout.first_value,
            end=layout.slots_offset + layout.slot_count * layout.slot_stride,
            **permissions,
        )
        self.layout = layout
        self.value_size = spec.value_size
        self.value_stride = layout.value_stride

    def reaches(self, offset: int, size: int) -> bool:
        """Whether the bytes lie inside one value that may be accessed."""
        start = self.start
        return start <= offset < self.end and (offset - start) % self.value_stride + size <= self.value_size

    def load(self, offset: int, size: int) -> int:
        if not self.readable or not self.reaches(offset, size):
            raise self.refuse(offset, size, "load")
        if self.aligned and offset % size:
            raise self.misaligned(offset, size, "load")
        return int.from_bytes(self.data[offset : offset + size], "little")

    def store(self, offset: int, size: int, value: int) -> None:
        if not self.writable or not self.reaches(offset, size):
            raise self.refuse(offset, size, "store")
        if self.aligned and offset % size:
            raise self.misaligned(offset, size, "store")
        self.data[offset : offset + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")

    def read(self, offset: int, length: int) -> bytes:
        if not self.readable or not self.reaches(offset, length):
            raise self.refuse(offset, length, "read")
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, content: bytes) -> None:
        if not self.writable or not self.reaches(offset, len(content)):
            raise self.refuse(offset, len(content), "write")
        self.data[offset : offset + len(content)] = content

    def span(self, offset: int) -> tuple[str, int, int]:
        """The nearest value: `map counts[3]`, `map counts[3] cpu 1`."""
        layout = self.layout
        values = layout.cpu_count * layout.value_stride
        gap = layout.slot_stride - values  # the header and key of the next slot
        slot = (offset - self.start + gap // 2) // layout.slot_stride
        slot = min(max(slot, 0), layout.slot_count - 1)
        first = self.start + slot * layout.slot_stride
        cpu = min(max((offset - first) // layout.value_stride, 0), layout.cpu_count - 1)
        start = first + cpu * layout.value_stride
        name, accessible = self.element(slot)
        if layout.cpu_count > 1:
            name += f" cpu {cpu}"
        return name, start, start + (self.value_size if accessible else 0)

    def element(self, slot: int) -> tuple[str, bool]:
        """The name of the element in `slot`, and whether it may be accessed."""
        return f"{self.name}[{slot}]", True


class SlotRegion(ValueRegion):
    """The values of elements that come and go.

    A deleted element may still be read and written, as in the kernel, where its memory stays until it is used
    again; with `strict` it may not.  Slots that were never used are nobody's.
    """

    __slots__ = ("first_state", "key_size", "least_state", "slot_stride", "span_size", "words")

    def __init__(self, spec: MapSpec, slab: Slab, *, strict: bool, **permissions: bool) -> None:
        super().__init__(spec, slab, **permissions)
        self.key_size = spec.key_size if self.layout.key_offset < self.layout.value_offset else 0
        self.least_state = LIVE if strict else FREE
        self.words = slab.words
        self.first_state = self.layout.slots_offset // 4
        self.slot_stride = self.layout.slot_stride
        self.span_size = self.layout.cpu_count * self.value_stride

    def reaches(self, offset: int, size: int) -> bool:
        if not self.start <= offset < self.end:
            return False
        stride = self.slot_stride
        slot, within = divmod(offset - self.start, stride)
        return (
            within < self.span_size
            and within % self.value_stride + size <= self.value_size
            and self.words[self.first_state + slot * (stride >> 2)] >= self.least_state
        )

    def element(self, slot: int) -> tuple[str, bool]:
        """`map counts[key 0x2a]`; the state where it is not a live element."""
        at = self.layout.slots_offset + slot * self.slot_stride
        state = self.words[at // 4]
        if state == NEVER_USED:
            return f"{self.name} (a slot without an element)", False
        key = self.data[at + self.layout.key_offset : at + self.layout.key_offset + self.key_size]
        name = f"{self.name}[key {key_text(bytes(key))}]"
        return (name, True) if state == LIVE else (f"{name} (deleted)", state >= self.least_state)


def key_text(key: bytes) -> str:
    """A key for people: a number up to 8 bytes, else its bytes in hexadecimal."""
    if len(key) <= 8:
        return f"{int.from_bytes(key, 'little'):#x}"
    return key[:16].hex(" ") + (" ..." if len(key) > 16 else "")


class HandleRegion(Region):
    """What a program holds as `struct bpf_map *`: an address with nothing to read or write behind it."""

    __slots__ = ()

    def __init__(self, name: str, owner: object) -> None:
        super().__init__(
            RegionKind.MAP,
            f"map {name} (the map itself)",
            bytearray(1),
            readable=False,
            writable=False,
            atomic=False,
            owner=owner,
        )

    def refuse(self, offset: int, size: int, access: str) -> Fault:
        reason = f"{access} of {size} bytes at {self.name}: it is opaque to programs"
        return Fault(FaultKind.PERMISSION, reason, address=self.base + offset, size=size, region=self.name)
