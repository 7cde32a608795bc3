"""Hash maps: BPF_MAP_TYPE_HASH and BPF_MAP_TYPE_PERCPU_HASH (kernel/bpf/hashtab.c).

Buckets are singly linked lists of slots, new elements at their head.  An update of a BPF_MAP_TYPE_HASH links a
new slot and unlinks the old one, as Linux does: a pointer that a program got before goes on reading the old value
until the slot is used again.  That is the next update of an existing key, of whatever key: the old slot becomes the
map's spare (htab's extra_elems, one for each cpu there; here one cpu executes at a time).  Slots of deleted elements
are used again last freed first.  With BPF_F_NO_PREALLOC there is no spare, and replaced slots are as deleted ones;
else it changes nothing here: it says when Linux allocates, and a slab's untouched pages cost nothing either way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from pybpftime.maps.hashing import hasher
from pybpftime.maps.layout import FREE, LIVE, SLOT_FIELDS
from pybpftime.maps.map import EXIST, LOCK, NOEXIST, Cursor, Map, Value, map_type
from pybpftime.maps.slab import FREE_HEAD, LIVE_COUNT, SPARE, USED_SLOTS
from pybpftime.maps.spec import MapSpec
from pybpftime.uapi import Errno, MapFlag, MapType

_OFFSETS = {name: offset for name, offset, _ in SLOT_FIELDS}

# Words of a slot's header, from its first.
STATE = _OFFSETS["state"] // 4
HASH = _OFFSETS["hash"] // 4
CHAIN = _OFFSETS["chain"] // 4
NEWER = _OFFSETS["newer"] // 4
OLDER = _OFFSETS["older"] // 4  # of a free slot: the next free one; `chain` keeps its value for iterations under way
SEQUENCE = _OFFSETS["sequence"] // 4
LENGTH = _OFFSETS["length"] // 4

_EMPTY = bytes(1 << 16)


class SlottedMap(Map):
    """Buckets and slots.  A link is a slot number plus 1, 0 for none; `at` is the first word of a slot."""

    def __init__(self, spec: MapSpec, *, cpu_count: int = 1, storage: memoryview | None = None, seed: int = 0) -> None:
        super().__init__(spec, cpu_count=cpu_count, storage=storage, seed=seed)
        layout = self.layout
        self._stride = layout.slot_stride // 4
        self._origin = layout.slots_offset // 4 - self._stride  # so that link 1 is slot 0
        self._buckets = layout.buckets_offset // 4
        self._bucket_mask = layout.bucket_count - 1
        self._key_offset = layout.key_offset
        self._value_offset = layout.value_offset
        self._hash = hasher(self.key_size, self.slab.get("hash_seed"))

    def at(self, link: int) -> int:
        return self._origin + link * self._stride

    def value_offset(self, link: int, cpu: int = 0) -> int:
        """Where in the slab the value of a slot lies."""
        return 4 * (self._origin + link * self._stride) + self._value_offset + cpu * self.layout.value_stride

    def take_slot(self) -> int:
        """A slot that nobody uses: the one freed last, else one that was never used; 0 when there is none."""
        words = self._words
        link = words[FREE_HEAD]
        if link:
            words[FREE_HEAD] = words[self.at(link) + OLDER]
        elif words[USED_SLOTS] < self.layout.slot_count:
            words[USED_SLOTS] += 1
            link = words[USED_SLOTS]
        else:
            return 0
        self.count_use(link)
        return link

    def count_use(self, link: int) -> None:
        at = self.at(link) + SEQUENCE
        self._words[at] = self._words[at] + 1 & 0xFFFF_FFFF

    def release_slot(self, link: int) -> None:
        """Give a slot back.  Its bytes and its `chain` stay until it is used again."""
        at = self.at(link)
        self._words[at + STATE] = FREE
        self._words[at + OLDER] = self._words[FREE_HEAD]
        self._words[FREE_HEAD] = link

    def occupied_bucket(self, bucket: int) -> int:
        """The first bucket from `bucket` on that is not empty; bucket_count when there is none."""
        offset = self.layout.buckets_offset + 4 * bucket
        end = self.layout.buckets_offset + 4 * self.layout.bucket_count
        step = 64
        while offset < end:
            piece = bytes(self._data[offset : min(offset + step, end)])
            rest = b"" if piece == _EMPTY else piece.lstrip(b"\0")
            if rest:
                return (offset + len(piece) - len(rest) - self.layout.buckets_offset) // 4
            offset += len(piece)
            step = min(2 * step, len(_EMPTY))  # large maps are mostly empty
        return self.layout.bucket_count


class HashTable(SlottedMap):
    """What all hash maps share: elements found by key."""

    def find(self, key: bytes) -> int:
        """The link of the element with `key`, 0 when there is none."""
        words, data = self._words, self._data
        hashed = self._hash(key)
        link = words[self._buckets + (hashed & self._bucket_mask)]
        while link:
            at = self._origin + link * self._stride
            if words[at + HASH] == hashed and words[at] == LIVE:
                start = 4 * at + self._key_offset
                if data[start : start + self.key_size] == key:
                    return link
            link = words[at + CHAIN]
        return 0

    def key_of(self, link: int) -> bytes:
        start = 4 * self.at(link) + self._key_offset
        return bytes(self._data[start : start + self.key_size])

    def require_flags(self, link: int, flags: int) -> None:
        """check_flags: BPF_NOEXIST and BPF_EXIST against whether the element exists."""
        if link and flags & ~LOCK == NOEXIST:
            raise self.error(Errno.EEXIST, "the element exists")
        if not link and flags & ~LOCK == EXIST:
            raise self.error(Errno.ENOENT, "there is no such element")

    def existing(self, key: bytes) -> int:
        link = self.find(key)
        if not link:
            raise self.error(Errno.ENOENT, "there is no such element")
        return link

    def slot_for_new_key(self) -> int:
        """A slot for one element more."""
        if self._words[LIVE_COUNT] >= self.max_entries:
            raise self.error(Errno.E2BIG, f"the map is full ({self.max_entries} elements)")
        return self.take_slot()

    def link_element(self, link: int, key: bytes) -> None:
        """Make a slot whose value is written an element of the map; its state, stored last, publishes it."""
        words = self._words
        hashed = self._hash(key)
        at = self.at(link)
        start = 4 * at + self._key_offset
        self._data[start : start + self.key_size] = key
        words[at + HASH] = hashed
        bucket = self._buckets + (hashed & self._bucket_mask)
        words[at + CHAIN] = words[bucket]
        words[bucket] = link
        words[LIVE_COUNT] += 1
        words[at + STATE] = LIVE

    def unlink_element(self, link: int) -> None:
        """Take an element out of the map and release its slot."""
        self.take_out(link)
        self.release_slot(link)

    def take_out(self, link: int) -> None:
        """Take an element out of the map; its slot is on no list then."""
        words = self._words
        at = self.at(link)
        words[at + STATE] = FREE
        place = self._buckets + (words[at + HASH] & self._bucket_mask)
        while words[place] != link:
            place = self.at(words[place]) + CHAIN
        words[place] = words[at + CHAIN]
        words[LIVE_COUNT] -= 1

    def delete_element(self, key: bytes) -> None:
        self.unlink_element(self.existing(key))

    def first_cursor(self) -> Cursor:
        """A cursor is a bucket, and in it the link that is next; 0 behind its last."""
        return -1, 0

    def element_at(self, cursor: Cursor, cpu: int = 0) -> tuple[bytes, int, Cursor] | None:
        # The cursor names the element after the one handed out before (hlist_nulls_for_each_entry_safe).
        bucket, link = cursor
        if not link:
            bucket = self.occupied_bucket(bucket + 1)
            if bucket == self.layout.bucket_count:
                return None
            link = self._words[self._buckets + bucket]
        following = self._words[self.at(link) + CHAIN]
        cpu = cpu if self.kind.per_cpu else 0
        return self.key_of(link), self._base + self.value_offset(link, cpu), (bucket, following)

    def _next_key(self, key: bytes | None) -> bytes:
        link = 0 if key is None else self.find(key)
        bucket = 0
        if link:
            at = self.at(link)
            following = self._words[at + CHAIN]
            if following:
                return self.key_of(following)
            bucket = (self._words[at + HASH] & self._bucket_mask) + 1
        bucket = self.occupied_bucket(bucket)
        if bucket == self.layout.bucket_count:
            raise self.error(Errno.ENOENT, "there is no further element")
        return self.key_of(self._words[self._buckets + bucket])

    def _keys(self) -> Iterator[bytes]:
        return (key for key, _ in self.for_each())

    def _lookup_and_delete(self, key: bytes) -> Value:
        value = self._lookup(key)
        self.unlink_element(self.find(key))
        return value


@map_type(MapType.BPF_MAP_TYPE_HASH)
class HashMap(HashTable):
    """A hash map with one value per key."""

    def __init__(self, spec: MapSpec, *, cpu_count: int = 1, storage: memoryview | None = None, seed: int = 0) -> None:
        super().__init__(spec, cpu_count=cpu_count, storage=storage, seed=seed)
        self._has_spare = spec.type == MapType.BPF_MAP_TYPE_HASH and not spec.flags & MapFlag.BPF_F_NO_PREALLOC

    def element_address(self, key: bytes, cpu: int = 0) -> int:
        link = self.find(key)
        return self._base + self.value_offset(link) if link else 0

    def update_element(self, key: bytes, value: bytes, flags: int = 0, cpu: int = 0) -> None:
        if flags & ~LOCK > EXIST:
            raise self.error(Errno.EINVAL, f"update flags {flags:#x} are not known")
        self.require_lock(flags)
        old = self.find(key)
        self.require_flags(old, flags)
        if old and flags & LOCK:  # under the element's lock Linux changes the value in place
            self.write_value(self.value_offset(old), value)
            return
        new = self._slot_for_old_key() if old else self.slot_for_new_key()
        offset = self.value_offset(new)
        self._data[offset : offset + self.value_size] = self.without_lock(value)
        self.link_element(new, key)
        if old and self._has_spare:
            self.take_out(old)
            self._words[SPARE] = old
        elif old:
            self.unlink_element(old)

    def _slot_for_old_key(self) -> int:
        spare = self._words[SPARE]
        if not spare:
            return self.take_slot()
        self._words[SPARE] = 0
        self.count_use(spare)
        return spare

    def _lookup(self, key: bytes) -> Value:
        return self.read_value(self.value_offset(self.existing(key)))

    def _update(self, key: bytes, value: Value, flags: int) -> None:
        self.update_element(key, cast("bytes", value), flags)


@map_type(MapType.BPF_MAP_TYPE_PERCPU_HASH)
class PerCpuHashMap(HashTable):
    """A hash map with a value for each cpu.  Updates change values in place (pcpu_copy_value)."""

    def element_address(self, key: bytes, cpu: int = 0) -> int:
        link = self.find(key) if cpu < self.cpu_count else 0
        return self._base + self.value_offset(link, cpu) if link else 0

    def update_element(self, key: bytes, value: bytes, flags: int = 0, cpu: int = 0) -> None:
        self._store(key, {cpu: value}, flags)

    def _store(self, key: bytes, values: dict[int, bytes], flags: int) -> None:
        if flags > EXIST:
            raise self.error(Errno.EINVAL, f"update flags {flags:#x} are not known")
        old = self.find(key)
        self.require_flags(old, flags)
        link = old or self.slot_for_new_key()
        for cpu in range(self.cpu_count):
            if cpu in values:
                self.write_value(self.value_offset(link, cpu), values[cpu])
            elif not old:
                self.write_value(self.value_offset(link, cpu), bytes(self.value_size))
        if not old:
            self.link_element(link, key)

    def _lookup(self, key: bytes) -> Value:
        link = self.existing(key)
        return tuple(self.read_value(self.value_offset(link, cpu)) for cpu in range(self.cpu_count))

    def _update(self, key: bytes, value: Value, flags: int) -> None:
        self._store(key, dict(enumerate(cast("tuple[bytes, ...]", value))), flags)
