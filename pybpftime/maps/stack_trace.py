"""BPF_MAP_TYPE_STACK_TRACE: call stacks by id, for bpf_get_stackid (kernel/bpf/stackmap.c).

A stack's hash chooses its bucket, and the number of the bucket is its id; a bucket holds one stack.  The hash is
that of keys (see `hashing`) over the frames as little-endian 64-bit words, with seed 0; Linux uses jhash2, so that
ids differ from Linux's, which promises nothing about them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from pybpftime.machine.strictness import Strictness
from pybpftime.maps.hash import HASH, LENGTH, STATE, SlottedMap
from pybpftime.maps.hashing import hasher
from pybpftime.maps.layout import LIVE
from pybpftime.maps.map import Value, map_type
from pybpftime.maps.slab import LIVE_COUNT
from pybpftime.maps.spec import MAX_STACK_DEPTH
from pybpftime.uapi import Errno, MapType

BPF_F_SKIP_FIELD_MASK = 0xFF
BPF_F_USER_STACK = 1 << 8
BPF_F_FAST_STACK_CMP = 1 << 9
BPF_F_REUSE_STACKID = 1 << 10
_STACKID_FLAGS = BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_FAST_STACK_CMP | BPF_F_REUSE_STACKID


@map_type(MapType.BPF_MAP_TYPE_STACK_TRACE)
class StackTraceMap(SlottedMap):
    """Call stacks; programs put them in, user space reads and deletes them."""

    def stack_id(self, frames: Sequence[int], flags: int = 0) -> int:
        """bpf_get_stackid: the id under which the call stack `frames` (innermost address first) is kept.

        The caller chose the kernel's or the user's stack by BPF_F_USER_STACK.  EINVAL: unknown flags.  EFAULT: no
        frame is left to keep.  EEXIST: another stack has this id, and BPF_F_REUSE_STACKID is not set.  ENOMEM: no
        slot is free.
        """
        if flags & ~_STACKID_FLAGS:
            raise self.error(Errno.EINVAL, f"stack flags {flags:#x} are not known")
        skip = flags & BPF_F_SKIP_FIELD_MASK
        kept = list(frames[: min(self.value_size // 8 + skip, MAX_STACK_DEPTH)])[skip:]
        if not kept:
            raise self.error(Errno.EFAULT, f"the stack has no more than the {skip} frames to skip")
        stack = struct.pack(f"<{len(kept)}Q", *kept)
        hashed = hasher(len(stack), 0)(stack)
        identifier = hashed & self._bucket_mask
        link = self._words[self._buckets + identifier]
        same_hash = bool(link) and self._words[self.at(link) + HASH] == hashed
        if same_hash and (flags & BPF_F_FAST_STACK_CMP or self._stack(link) == stack):
            return identifier
        if link and not flags & BPF_F_REUSE_STACKID:
            raise self.error(Errno.EEXIST, f"another stack has the id {identifier}")
        self._store(identifier, stack, hashed)
        return identifier

    def element_address(self, key: bytes, cpu: int = 0) -> int:
        raise self.error(Errno.EOPNOTSUPP, "programs cannot look stacks up")

    def update_element(self, key: bytes, value: bytes, flags: int = 0, cpu: int = 0) -> None:
        raise self.error(Errno.EINVAL, "stacks come from bpf_get_stackid only")

    def delete_element(self, key: bytes) -> None:
        identifier = int.from_bytes(key, "little")
        if identifier > self._bucket_mask:
            raise self.error(Errno.E2BIG, f"stack ids end at {self._bucket_mask}")
        link = self._words[self._buckets + identifier]
        if not link:
            raise self.error(Errno.ENOENT, f"there is no stack with the id {identifier}")
        self._words[self._buckets + identifier] = 0
        self._words[LIVE_COUNT] -= 1
        self.release_slot(link)

    def make_region(self, strictness: Strictness) -> None:
        """Programs cannot reach stacks."""

    def _lookup(self, key: bytes) -> Value:
        identifier = int.from_bytes(key, "little")
        link = self._words[self._buckets + identifier] if identifier <= self._bucket_mask else 0
        if not link:
            raise self.error(Errno.ENOENT, f"there is no stack with the id {identifier}")
        return self._stack(link).ljust(self.value_size, b"\0")

    def _lookup_and_delete(self, key: bytes) -> Value:
        value = self._lookup(key)
        self.delete_element(key)
        return value

    def _update(self, key: bytes, value: Value, flags: int) -> None:
        self.update_element(key, b"", flags)

    def _next_key(self, key: bytes | None) -> bytes:
        start = 0
        if key is not None:
            previous = int.from_bytes(key, "little")
            known = previous <= self._bucket_mask and self._words[self._buckets + previous]
            start = previous + 1 if known else 0
        identifier = self.occupied_bucket(start)
        if identifier == self.layout.bucket_count:
            raise self.error(Errno.ENOENT, "there is no further stack")
        return identifier.to_bytes(4, "little")

    def _keys(self) -> Iterator[bytes]:
        identifier = self.occupied_bucket(0)
        while identifier < self.layout.bucket_count:
            yield identifier.to_bytes(4, "little")
            identifier = self.occupied_bucket(identifier + 1)

    def _stack(self, link: int) -> bytes:
        """The frames in a slot, as bytes."""
        offset = self.value_offset(link)
        return bytes(self._data[offset : offset + 8 * self._words[self.at(link) + LENGTH]])

    def _store(self, identifier: int, stack: bytes, hashed: int) -> None:
        # Linux too takes a new slot before it gives the old one back.
        link = self.take_slot()
        if not link:
            raise self.error(Errno.ENOMEM, f"all {self.max_entries} stacks are in use")
        words, at = self._words, self.at(link)
        offset = self.value_offset(link)
        self._data[offset : offset + len(stack)] = stack
        words[at + HASH] = hashed
        words[at + LENGTH] = len(stack) // 8
        old = words[self._buckets + identifier]
        words[self._buckets + identifier] = link
        words[at + STATE] = LIVE
        if old:
            self.release_slot(old)
        else:
            words[LIVE_COUNT] += 1
