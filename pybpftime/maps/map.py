"""Map: what all map types have in common.

A map has two sides with different rules, as in Linux.  *Programs* reach it through helpers: `element_address`,
`update_element`, `delete_element`, `for_each`, and the operations that only some types have; these return
addresses in the machine's memory.  *User space* has what bpf(2) offers: `lookup`, `update`, `delete`, `next_key`,
`lookup_and_delete`, `freeze`, with keys and values as bytes.  On both sides MapError carries the errno of Linux.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, TypeVar

from pybpftime.errors import InputError, InternalError
from pybpftime.machine.environment import MAX_CPUS
from pybpftime.machine.memory import Memory, Region, RegionKind
from pybpftime.machine.strictness import Strictness
from pybpftime.maps.errors import MapError
from pybpftime.maps.kinds import MAP_KINDS, MapKind, check
from pybpftime.maps.layout import layout_of
from pybpftime.maps.slab import FROZEN, LIVE_COUNT, HandleRegion, Slab, SlotRegion, ValueRegion
from pybpftime.maps.spec import SPIN_LOCK_SIZE, MapSpec
from pybpftime.uapi import Errno, MapFlag, MapType, UpdateFlag

EXIST = UpdateFlag.BPF_EXIST.value
NOEXIST = UpdateFlag.BPF_NOEXIST.value
LOCK = UpdateFlag.BPF_F_LOCK.value

Cursor = tuple[int, int]
"""A place in an iteration over a map; what the numbers are is up to the map."""
Value = bytes | tuple[bytes, ...]
"""What `lookup` returns: the value, or for a map with a value per cpu one of them for each cpu."""


class Map:
    """A live map.

    `spec` is checked (InputError).  `cpu_count` is how many cpus a program may see.  `storage` is memory for the
    slab, private memory when None (see Slab).  `seed` goes into the hash of keys; it is 0 unless given, so that
    the order of iteration is the same in every run.
    """

    kind: ClassVar[MapKind]

    def __init__(self, spec: MapSpec, *, cpu_count: int = 1, storage: memoryview | None = None, seed: int = 0) -> None:
        if check(spec) is not self.kind:
            raise InternalError(f"{type(self).__name__} made from the spec of a {spec.type.name}")
        if not 1 <= cpu_count <= MAX_CPUS:
            raise InputError(f"map {spec.name}: {cpu_count} is no number of cpus (1 to {MAX_CPUS})")
        self.spec = spec
        self.name = spec.name
        self.type = spec.type
        self.key_size = spec.key_size
        self.value_size = spec.value_size
        self.max_entries = spec.max_entries
        self.flags = MapFlag(spec.flags)
        self.cpu_count = cpu_count
        self.layout = layout_of(spec, cpu_count)
        self.slab = Slab(
            spec, self.layout, storage, 0 if self.flags & MapFlag.BPF_F_ZERO_SEED else seed & (1 << 64) - 1
        )
        self.address = 0
        self.region: Region | None = None
        self._handle: HandleRegion | None = None
        self._memory: Memory | None = None
        self._data = self.slab.data
        self._words = self.slab.words
        self._base = 0

    def __repr__(self) -> str:
        sizes = f"key_size={self.key_size}, value_size={self.value_size}, max_entries={self.max_entries}"
        return f"<{self.type.name} {self.name}: {sizes}>"

    # -- as a whole -------------------------------------------------------------------------------------------------

    def beside_slab(self) -> object:
        """What the map holds that is not in its slab, as an immutable value: with the slab's bytes, all its state."""
        return None

    def set_beside_slab(self, state: object) -> None:
        """Make it what `beside_slab` gave."""

    # -- in a machine -----------------------------------------------------------------------------------------------

    def attach(self, memory: Memory, strictness: Strictness) -> int:
        """Put the map into a machine's memory: its handle and its values.  Returns `address`, that of the handle.

        A map is in one memory at a time; attaching it to the same one again changes nothing.
        """
        if self._memory is memory:
            return self.address
        if self._memory is not None:
            raise InputError(f"map {self.name} is attached to another machine's memory already")
        self._memory = memory
        self._handle = HandleRegion(self.name, self)
        self.address = memory.map(self._handle)
        self.region = self.make_region(strictness)
        if self.region is not None:
            self.region.owner = self
            self._base = memory.map(self.region)
        return self.address

    def detach(self) -> None:
        """Take the map out of the machine; addresses in it fault from now on.  Contents stay."""
        if self._memory is not None and self._handle is not None:
            self._memory.unmap(self._handle)
            if self.region is not None:
                self._memory.unmap(self.region)
        self._memory = self._handle = self.region = None
        self.address = self._base = 0

    def make_region(self, strictness: Strictness) -> Region | None:
        """The region through which programs touch values; None for maps without values to touch."""
        permissions = {
            "readable": not self.flags & MapFlag.BPF_F_WRONLY_PROG,
            "writable": not self.flags & MapFlag.BPF_F_RDONLY_PROG,
            "aligned": strictness.unaligned_memory,
        }
        if self.layout.bucket_count:
            # A pointer into a deleted element has outlived what it pointed to: a matter of tracking pointers.
            return SlotRegion(self.spec, self.slab, strict=strictness.tracked_pointers, **permissions)
        if self.layout.slot_count == 1 and self.layout.cpu_count == 1:
            start = self.layout.first_value
            end = start + self.value_size
            return Region(RegionKind.MAP_VALUE, f"map {self.name}", self._data, start=start, end=end, **permissions)
        return ValueRegion(self.spec, self.slab, **permissions)

    # -- programs' side: lengths are the caller's business, keys and values have key_size and value_size bytes --------

    def element_address(self, key: bytes, cpu: int = 0) -> int:
        """bpf_map_lookup_elem, bpf_map_lookup_percpu_elem: the address of the value (of that cpu), 0 for none."""
        raise self.unsupported("lookup")

    def update_element(self, key: bytes, value: bytes, flags: int = 0, cpu: int = 0) -> None:
        """bpf_map_update_elem on `cpu`: with a value per cpu, only that one is set (the others of a new key are 0)."""
        raise self.unsupported("update")

    def delete_element(self, key: bytes) -> None:
        """bpf_map_delete_elem."""
        raise self.unsupported("delete")

    def first_cursor(self) -> Cursor:
        """Where an iteration over the elements begins."""
        raise self.unsupported("iteration")

    def element_at(self, cursor: Cursor, cpu: int = 0) -> tuple[bytes, int, Cursor] | None:
        """bpf_for_each_map_elem: the element at a cursor: its key, the address of its value on `cpu`, the next cursor.

        None when there are no more.  The map may change meanwhile, with what follows from that in Linux: an element
        that was next when it was deleted is still visited.
        """
        raise self.unsupported("iteration")

    def for_each(self, cpu: int = 0) -> Iterator[tuple[bytes, int]]:
        """All elements, from the first cursor to the last: keys with the addresses of their values on `cpu`."""
        return self._elements(self.first_cursor(), cpu)

    def _elements(self, cursor: Cursor, cpu: int) -> Iterator[tuple[bytes, int]]:
        while (found := self.element_at(cursor, cpu)) is not None:
            key, address, cursor = found
            yield key, address

    def values_address(self, offset: int) -> int:
        """BPF_PSEUDO_MAP_VALUE: the address of byte `offset` of the value of a map of one element."""
        if not self.kind.direct_value or self.max_entries != 1:
            raise self.error(Errno.ENOTSUPP, "direct access needs an array of one element")
        if not 0 <= offset < self.value_size:
            raise self.error(Errno.EINVAL, f"offset {offset} is outside the value of {self.value_size} bytes")
        return self._base + self.layout.first_value + offset

    # -- user space's side ------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many elements the map has.  For arrays: max_entries."""
        return self._words[LIVE_COUNT] if self.layout.bucket_count else self.layout.slot_count

    @property
    def frozen(self) -> bool:
        """Whether user space may no longer change the map."""
        return bool(self._words[FROZEN])

    def lookup(self, key: bytes, flags: int = 0) -> Value:
        """BPF_MAP_LOOKUP_ELEM.  ENOENT when there is no such element."""
        if flags & ~LOCK:
            raise self.error(Errno.EINVAL, f"lookup flags {flags:#x} are not known")
        self.require_readable()
        self.require_lock(flags)
        return self._lookup(self.checked_key(key))

    def update(self, key: bytes, value: bytes | Sequence[bytes], flags: int = 0) -> None:
        """BPF_MAP_UPDATE_ELEM.  `value` has value_size bytes; with a value per cpu, one such for every cpu."""
        self.require_writable()
        self.require_lock(flags)
        self._update(self.checked_key(key), self.checked_value(value), flags)

    def delete(self, key: bytes) -> None:
        """BPF_MAP_DELETE_ELEM.  ENOENT when there is no such element."""
        self.require_writable()
        self.delete_element(self.checked_key(key))

    def lookup_and_delete(self, key: bytes, flags: int = 0) -> Value:
        """BPF_MAP_LOOKUP_AND_DELETE_ELEM, which hash maps and stack traces have: what was deleted."""
        if flags & ~LOCK:
            raise self.error(Errno.EINVAL, f"lookup flags {flags:#x} are not known")
        self.require_readable()
        self.require_writable()
        self.require_lock(flags)
        return self._lookup_and_delete(self.checked_key(key))

    def next_key(self, key: bytes | None = None) -> bytes:
        """BPF_MAP_GET_NEXT_KEY: the key after `key`; the first one for None or an absent key.  ENOENT at the end."""
        self.require_readable()
        return self._next_key(None if key is None else self.checked_key(key))

    def keys(self) -> list[bytes]:
        """The keys of all elements, in the order of `next_key`."""
        self.require_readable()
        return list(self._keys())

    def items(self) -> list[tuple[bytes, Value]]:
        """All elements, in the order of `next_key`."""
        self.require_readable()
        return [(key, self._lookup(key)) for key in self._keys()]

    def freeze(self) -> None:
        """BPF_MAP_FREEZE: user space may no longer change the map, programs still may.  EPERM when it is frozen."""
        if self.spec.spin_lock_offset is not None:
            raise self.error(Errno.ENOTSUPP, "a map whose values have a spin lock cannot be frozen")
        self.require_writable()  # what Linux checks before it would say EBUSY
        self._words[FROZEN] = 1

    # -- what types define ------------------------------------------------------------------------------------------

    def _lookup(self, key: bytes) -> Value:
        raise self.unsupported("lookup")

    def _update(self, key: bytes, value: Value, flags: int) -> None:
        raise self.unsupported("update")

    def _lookup_and_delete(self, key: bytes) -> Value:
        raise self.unsupported("lookup and delete")

    def _next_key(self, key: bytes | None) -> bytes:
        raise self.unsupported("iteration")

    def _keys(self) -> Iterator[bytes]:
        raise self.unsupported("iteration")

    # -- checks and access shared by types --------------------------------------------------------------------------

    def error(self, errno: Errno, reason: str) -> MapError:
        return MapError(reason, errno=errno, map=self.name)

    def unsupported(self, what: str) -> MapError:
        return self.error(Errno.ENOTSUPP, f"a {self.type.name} has no {what}")

    def require_readable(self) -> None:
        if self.flags & MapFlag.BPF_F_WRONLY:
            raise self.error(Errno.EPERM, "the map is write-only for user space")

    def require_writable(self) -> None:
        if self._words[FROZEN]:
            raise self.error(Errno.EPERM, "the map is frozen")
        if self.flags & MapFlag.BPF_F_RDONLY:
            raise self.error(Errno.EPERM, "the map is read-only for user space")

    def require_lock(self, flags: int) -> None:
        if flags & LOCK and self.spec.spin_lock_offset is None:
            raise self.error(Errno.EINVAL, "BPF_F_LOCK, but the value has no spin lock")

    def checked_key(self, key: bytes) -> bytes:
        """`key` as bytes; InputError unless it is bytes-like with key_size bytes."""
        return self._checked(key, self.key_size, "key")

    def checked_value(self, value: bytes | Sequence[bytes]) -> Value:
        """`value` as bytes or a tuple of them; InputError unless lengths and number are right."""
        if not self.kind.per_cpu:
            return self._checked(value, self.value_size, "value")
        if isinstance(value, bytes | bytearray | memoryview | str) or not isinstance(value, Sequence):
            raise InputError(f"map {self.name}: its value is a sequence of {self.cpu_count} values, one for each cpu")
        if len(value) != self.cpu_count:
            raise InputError(f"map {self.name}: {len(value)} values were given for {self.cpu_count} cpus")
        return tuple(self._checked(one, self.value_size, "value") for one in value)

    def _checked(self, content: object, size: int, what: str) -> bytes:
        if not isinstance(content, bytes | bytearray | memoryview):
            raise InputError(f"map {self.name}: a {what} is bytes, not {type(content).__name__}")
        content = bytes(content)
        if len(content) != size:
            raise InputError(f"map {self.name}: a {what} has {size} bytes, not {len(content)}")
        return content

    def read_value(self, offset: int) -> bytes:
        """The value at `offset` of the slab, its spin lock shown as 0 (check_and_init_map_value)."""
        return self.without_lock(bytes(self._data[offset : offset + self.value_size]))

    def without_lock(self, value: bytes) -> bytes:
        """`value` with 0 in the place of its spin lock, if it has one."""
        lock = self.spec.spin_lock_offset
        if lock is None:
            return value
        return value[:lock] + bytes(SPIN_LOCK_SIZE) + value[lock + SPIN_LOCK_SIZE :]

    def write_value(self, offset: int, value: bytes) -> None:
        """Store a value at `offset` of the slab, all but its spin lock (copy_map_value)."""
        lock = self.spec.spin_lock_offset
        if lock is None:
            self._data[offset : offset + self.value_size] = value
        else:
            after = lock + SPIN_LOCK_SIZE
            self._data[offset : offset + lock] = value[:lock]
            self._data[offset + after : offset + self.value_size] = value[after:]


MAP_CLASSES: dict[MapType, type[Map]] = {}
"""The class behind each kind, filled by `map_type` when `map_classes` imports the modules that have them."""

_Class = TypeVar("_Class", bound=type[Map])


def map_type(number: MapType) -> Callable[[_Class], _Class]:
    """Class decorator: this class implements the kind of that number."""

    def bind(cls: _Class) -> _Class:
        if number in MAP_CLASSES:
            raise InternalError(f"{number.name} is implemented twice")
        cls.kind = MAP_KINDS[number]
        MAP_CLASSES[number] = cls
        return cls

    return bind


def create_map(spec: MapSpec, cpu_count: int = 1, *, storage: memoryview | None = None, seed: int = 0) -> Map:
    """The live map that `spec` describes, with its initial contents.  InputError for what Linux would refuse."""
    check(spec)
    return map_classes()[spec.type](spec, cpu_count=cpu_count, storage=storage, seed=seed)


CLASS_MODULES = ("array", "hash", "lru", "perf_event_array", "prog_array", "ringbuf", "stack_trace")


def map_classes() -> Mapping[MapType, type[Map]]:
    """The class of every map type that has one."""
    for name in CLASS_MODULES:
        importlib.import_module(f"pybpftime.maps.{name}")
    return MAP_CLASSES
