"""BPF_MAP_TYPE_LRU_HASH: a hash map that makes room by itself.

A new key in a full map evicts the element used least recently, exactly.  Used means: found by a program's lookup,
or written from either side; lookups by user space do not count, as in Linux.

Linux only approximates this order (kernel/bpf/bpf_lru_list.c): elements have a reference bit instead of a place in
a list, each cpu holds up to 128 free slots back, so that elements are evicted before the map is full, and every
update takes a slot first, so that one of an existing key, or one that fails, may evict another element.  Programs
that are right on Linux cannot rely on any of that; here a run is reproducible, and capacity is what was asked for.
BPF_F_NO_COMMON_LRU asks for a list for each cpu: it is accepted, and there is still one.
"""

from __future__ import annotations

from pybpftime.maps.hash import NEWER, OLDER, HashMap
from pybpftime.maps.map import EXIST, map_type
from pybpftime.maps.slab import LIVE_COUNT, NEWEST, OLDEST
from pybpftime.uapi import Errno, MapType


@map_type(MapType.BPF_MAP_TYPE_LRU_HASH)
class LruHashMap(HashMap):
    """A hash map whose elements form a list from the newest to the oldest use."""

    def element_address(self, key: bytes, cpu: int = 0) -> int:
        link = self.find(key)
        if not link:
            return 0
        if self._words[NEWEST] != link:
            self._leave_order(link)
            self._enter_order(link)
        return self._base + self.value_offset(link)

    def update_element(self, key: bytes, value: bytes, flags: int = 0, cpu: int = 0) -> None:
        if flags > EXIST:
            raise self.error(Errno.EINVAL, f"update flags {flags:#x} are not known")
        super().update_element(key, value, flags)

    def slot_for_new_key(self) -> int:
        if self._words[LIVE_COUNT] >= self.max_entries:
            self.unlink_element(self._words[OLDEST])
        return self.take_slot()

    def link_element(self, link: int, key: bytes) -> None:
        self._enter_order(link)
        super().link_element(link, key)

    def unlink_element(self, link: int) -> None:
        self._leave_order(link)
        super().unlink_element(link)

    def _enter_order(self, link: int) -> None:
        words, at, newest = self._words, self.at(link), self._words[NEWEST]
        words[at + NEWER] = 0
        words[at + OLDER] = newest
        words[self.at(newest) + NEWER if newest else OLDEST] = link
        words[NEWEST] = link

    def _leave_order(self, link: int) -> None:
        words, at = self._words, self.at(link)
        newer, older = words[at + NEWER], words[at + OLDER]
        words[self.at(newer) + OLDER if newer else NEWEST] = older
        words[self.at(older) + NEWER if older else OLDEST] = newer
