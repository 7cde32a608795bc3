"""Maps of the running kernel: create, read and change them through bpf(2)."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from pybpftime.errors import HostError, InputError
from pybpftime.kernel import attributes
from pybpftime.kernel.btf import KernelBtf
from pybpftime.kernel.descriptor import KernelObject, iterate_ids, open_by_id
from pybpftime.kernel.info import MapInfo, map_info
from pybpftime.kernel.syscall import address_of, bpf, object_name, refusal, try_bpf, unsigned
from pybpftime.uapi import Command, MapFlag, MapType, UpdateFlag

PER_CPU_MAP_TYPES = frozenset(
    {
        MapType.BPF_MAP_TYPE_PERCPU_HASH,
        MapType.BPF_MAP_TYPE_PERCPU_ARRAY,
        MapType.BPF_MAP_TYPE_LRU_PERCPU_HASH,
        MapType.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
    }
)
"""A value of these maps is one `value_size` record per possible cpu (bpf_map_value_size() in the kernel)."""

_DESCRIPTOR_MAP_TYPES = frozenset(
    {
        MapType.BPF_MAP_TYPE_PROG_ARRAY,
        MapType.BPF_MAP_TYPE_PERF_EVENT_ARRAY,
        MapType.BPF_MAP_TYPE_CGROUP_ARRAY,
        MapType.BPF_MAP_TYPE_ARRAY_OF_MAPS,
        MapType.BPF_MAP_TYPE_HASH_OF_MAPS,
    }
)
"""Values of these maps are written as descriptors and read as ids, 4 bytes in host byte order, whatever value_size."""

_POSSIBLE_CPUS = Path("/sys/devices/system/cpu/possible")


def possible_cpu_count() -> int:
    """How many records a per-cpu value has.  HostError when the kernel does not say."""
    try:
        text = _POSSIBLE_CPUS.read_text(encoding="ascii")
        ranges = [[int(bound) for bound in part.split("-")] for part in text.strip().split(",")]
    except (OSError, ValueError) as error:
        raise HostError("the number of possible cpus cannot be read", file=str(_POSSIBLE_CPUS)) from error
    return sum(bounds[-1] - bounds[0] + 1 for bounds in ranges)


class KernelMap(KernelObject):
    """A map in the kernel.

    Keys and values are bytes of exactly `key_size` and `value_size` (4 for values that are descriptors), in the
    host's byte order; anything else is an InputError, and what the kernel refuses is a HostError with its errno.
    Queues and stacks have no key: pass b"".  Per-cpu maps have their own `*_per_cpu` methods.
    """

    kind = "map"

    def __init__(self, fd: int, info: MapInfo) -> None:
        super().__init__(fd)
        self.type = info.type
        self.key_size = info.key_size
        self.max_entries = info.max_entries
        self.flags = info.flags
        self.name = info.name
        self._label = f"the map {info.name}".rstrip()  # in messages
        self.is_per_cpu = info.type in PER_CPU_MAP_TYPES
        self.value_size = 4 if info.type in _DESCRIPTOR_MAP_TYPES else info.value_size
        self._cpus = possible_cpu_count() if self.is_per_cpu else 1
        # Per-cpu records lie 8-byte aligned, one after the other.
        self._record_size = -(-self.value_size // 8) * 8 if self.is_per_cpu else self.value_size

    @classmethod
    def create(
        cls,
        map_type: MapType,
        key_size: int,
        value_size: int,
        max_entries: int,
        *,
        flags: MapFlag | int = 0,
        name: str = "",
        inner_map: KernelMap | None = None,
        numa_node: int = 0,
        map_extra: int = 0,
        btf: KernelBtf | None = None,
        btf_key_type_id: int = 0,
        btf_value_type_id: int = 0,
    ) -> Self:
        """BPF_MAP_CREATE.  `inner_map` is the template of a map of maps; `btf` describes key and value."""
        attribute = attributes.MapCreate(
            map_type=unsigned(map_type, "map_type"),
            key_size=unsigned(key_size, "key_size"),
            value_size=unsigned(value_size, "value_size"),
            max_entries=unsigned(max_entries, "max_entries"),
            map_flags=unsigned(flags, "flags"),
            inner_map_fd=inner_map.fileno() if inner_map is not None else 0,
            numa_node=unsigned(numa_node, "numa_node"),
            map_name=object_name(name),
            btf_fd=btf.fileno() if btf is not None else 0,
            btf_key_type_id=unsigned(btf_key_type_id, "btf_key_type_id"),
            btf_value_type_id=unsigned(btf_value_type_id, "btf_value_type_id"),
            map_extra=unsigned(map_extra, "map_extra", 64),
        )
        return cls._adopt(bpf(Command.BPF_MAP_CREATE, attribute, f"create the map {name}".rstrip()))

    @classmethod
    def from_id(cls, identifier: int) -> Self:
        """The map with this id, whoever created it.  HostError (ENOENT) when there is none."""
        return cls._adopt(open_by_id(Command.BPF_MAP_GET_FD_BY_ID, identifier, f"open the map with id {identifier}"))

    @classmethod
    def _adopt(cls, fd: int) -> Self:
        # Sizes come from the kernel, not from the caller: it rounds some of them (ring buffers, pages).
        try:
            return cls(fd, map_info(fd))
        except BaseException:
            os.close(fd)
            raise

    def info(self) -> MapInfo:
        return map_info(self.fileno())

    # Ordinary values

    def lookup(self, key: bytes, flags: UpdateFlag | int = 0) -> bytes | None:
        """BPF_MAP_LOOKUP_ELEM: the value, or None when there is none (ENOENT)."""
        self._require_ordinary()
        return self._read(Command.BPF_MAP_LOOKUP_ELEM, key, flags)

    def lookup_and_delete(self, key: bytes, flags: UpdateFlag | int = 0) -> bytes | None:
        """BPF_MAP_LOOKUP_AND_DELETE_ELEM: the value that was removed, or None when there was none."""
        self._require_ordinary()
        return self._read(Command.BPF_MAP_LOOKUP_AND_DELETE_ELEM, key, flags)

    def update(self, key: bytes, value: bytes, flags: UpdateFlag | int = UpdateFlag.BPF_ANY) -> None:
        """BPF_MAP_UPDATE_ELEM."""
        self._require_ordinary()
        if len(value) != self.value_size:
            raise InputError(f"a value of this map has {self.value_size} bytes, not {len(value)}")
        self._write(key, bytes(value), flags)

    def update_object(self, key: bytes, value: KernelObject, flags: UpdateFlag | int = UpdateFlag.BPF_ANY) -> None:
        """`update` with the descriptor of a program or map, for prog arrays and maps of maps."""
        self.update(key, bytes(ctypes.c_uint32(value.fileno())), flags)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys with their values, in the kernel's order; a key that vanishes meanwhile is left out."""
        for key in self.keys():
            value = self.lookup(key)
            if value is not None:
                yield key, value

    def contains(self, value: bytes) -> bool:
        """Whether a bloom filter may hold `value` (its lookup takes a value and has no key)."""
        if self.type != MapType.BPF_MAP_TYPE_BLOOM_FILTER:
            raise InputError("contains() is for bloom filters")
        if len(value) != self.value_size:
            raise InputError(f"a value of this map has {self.value_size} bytes, not {len(value)}")
        attribute = attributes.MapElement(map_fd=self.fileno(), value=address_of(value))
        result = try_bpf(Command.BPF_MAP_LOOKUP_ELEM, attribute)
        if result < 0 and result != -errno.ENOENT:
            raise refusal(f"look into {self._label}", -result)
        return result == 0

    # Per-cpu values

    def lookup_per_cpu(self, key: bytes, flags: UpdateFlag | int = 0) -> list[bytes] | None:
        """BPF_MAP_LOOKUP_ELEM of a per-cpu map: one value per possible cpu, or None when there is none."""
        self._require_per_cpu()
        return self._split(self._read(Command.BPF_MAP_LOOKUP_ELEM, key, flags))

    def lookup_and_delete_per_cpu(self, key: bytes, flags: UpdateFlag | int = 0) -> list[bytes] | None:
        """BPF_MAP_LOOKUP_AND_DELETE_ELEM of a per-cpu map."""
        self._require_per_cpu()
        return self._split(self._read(Command.BPF_MAP_LOOKUP_AND_DELETE_ELEM, key, flags))

    def update_per_cpu(self, key: bytes, values: Sequence[bytes], flags: UpdateFlag | int = UpdateFlag.BPF_ANY) -> None:
        """BPF_MAP_UPDATE_ELEM of a per-cpu map: `values` has one value per possible cpu."""
        self._require_per_cpu()
        if len(values) != self._cpus or any(len(value) != self.value_size for value in values):
            raise InputError(f"a value of this map is {self._cpus} times {self.value_size} bytes")
        self._write(key, b"".join(value.ljust(self._record_size, b"\0") for value in values), flags)

    def items_per_cpu(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """Keys with one value per possible cpu, in the kernel's order."""
        for key in self.keys():
            values = self.lookup_per_cpu(key)
            if values is not None:
                yield key, values

    # Keys

    def next_key(self, key: bytes | None = None) -> bytes | None:
        """BPF_MAP_GET_NEXT_KEY: the key after `key`, the first one for None or an absent key; None at the end."""
        if key is not None:
            self._require_key(key)
        following = ctypes.create_string_buffer(self.key_size)
        attribute = attributes.MapElement(map_fd=self.fileno(), key=address_of(key), value=ctypes.addressof(following))
        result = try_bpf(Command.BPF_MAP_GET_NEXT_KEY, attribute)
        if result == -errno.ENOENT:
            return None
        if result < 0:
            raise refusal(f"iterate over {self._label}", -result)
        return following.raw

    def keys(self) -> Iterator[bytes]:
        """All keys in the kernel's order.  As in the kernel, deleting the current key of a hash map starts over."""
        key = self.next_key()
        while key is not None:
            yield key
            key = self.next_key(key)

    def delete(self, key: bytes) -> None:
        """BPF_MAP_DELETE_ELEM.  HostError (ENOENT) when there is no such key."""
        self._require_key(key)
        attribute = attributes.MapElement(map_fd=self.fileno(), key=address_of(key))
        bpf(Command.BPF_MAP_DELETE_ELEM, attribute, f"delete from {self._label}")

    # The whole map

    def freeze(self) -> None:
        """BPF_MAP_FREEZE: no system call may change the map any more; programs may."""
        attribute = attributes.MapElement(map_fd=self.fileno())
        bpf(Command.BPF_MAP_FREEZE, attribute, f"freeze {self._label}")

    def memory(self, *, writable: bool = True) -> mmap.mmap:
        """The memory of an array created with BPF_F_MMAPABLE, or of an arena, shared with programs.

        Element i of an array starts at byte i * (value_size rounded up to 8).  The caller closes the mapping; it
        stays valid after the map is closed.  HostError with errno when the kernel refuses (frozen, read-only...).
        """
        if self.type == MapType.BPF_MAP_TYPE_ARENA:
            length = self.max_entries * mmap.PAGESIZE
        else:
            length = self.max_entries * -(-self.value_size // 8) * 8
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        return self.map_pages(0, max(length, 1), protection)

    def map_pages(self, offset: int, length: int, protection: int) -> mmap.mmap:
        """mmap(2) of the map's descriptor, shared.  `offset` is a multiple of the page size, `length` in bytes."""
        pages = -(-length // mmap.PAGESIZE) * mmap.PAGESIZE
        try:
            return mmap.mmap(self.fileno(), pages, mmap.MAP_SHARED, protection, offset=offset)
        except OSError as error:
            raise HostError(f"the memory of {self._label} cannot be mapped", errno=error.errno) from error
        except (ValueError, OverflowError) as error:
            raise InputError(f"the memory of {self._label} cannot be mapped: {error}") from error

    # How it is done

    def _read(self, command: Command, key: bytes, flags: int) -> bytes | None:
        self._require_key(key)
        value = ctypes.create_string_buffer(self._record_size * self._cpus)
        attribute = attributes.MapElement(
            map_fd=self.fileno(),
            key=address_of(key),
            value=ctypes.addressof(value),
            flags=unsigned(flags, "flags", 64),
        )
        result = try_bpf(command, attribute)
        if result == -errno.ENOENT:
            return None
        if result < 0:
            raise refusal(f"read {self._label}", -result)
        return value.raw

    def _write(self, key: bytes, value: bytes, flags: int) -> None:
        self._require_key(key)
        attribute = attributes.MapElement(
            map_fd=self.fileno(), key=address_of(key), value=address_of(value), flags=unsigned(flags, "flags", 64)
        )
        bpf(Command.BPF_MAP_UPDATE_ELEM, attribute, f"update {self._label}")

    def _split(self, value: bytes | None) -> list[bytes] | None:
        if value is None:
            return None
        return [value[start : start + self.value_size] for start in range(0, len(value), self._record_size)]

    def _require_key(self, key: bytes) -> None:
        # The kernel reads key_size bytes from our address: a shorter key would let it read past the end.
        if len(key) != self.key_size:
            raise InputError(f"a key of this map has {self.key_size} bytes, not {len(key)}")

    def _require_ordinary(self) -> None:
        if self.is_per_cpu:
            raise InputError("this map is per cpu: use the *_per_cpu methods")

    def _require_per_cpu(self) -> None:
        if not self.is_per_cpu:
            raise InputError("this map is not per cpu")


def map_ids() -> Iterator[int]:
    """The ids of all maps in the kernel, ascending."""
    return iterate_ids(Command.BPF_MAP_GET_NEXT_ID, "list maps")
