"""Whether the memory of a map that came out of a file is that of a whole map: what it links is there, once."""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.errors import InputError
from pybpftime.maps import Map
from pybpftime.maps.hash import CHAIN, HASH, LENGTH, NEWER, OLDER, STATE, HashTable, SlottedMap
from pybpftime.maps.hashing import hasher
from pybpftime.maps.layout import (
    CONSUMER_POSITION,
    FREE,
    HEADER_FIELDS,
    HEADER_SIZE,
    LIVE,
    PENDING_POSITION,
    PRODUCER_POSITION,
    RING_DATA,
    round_up,
)
from pybpftime.maps.lru import LruHashMap
from pybpftime.maps.ringbuf import BUSY, DISCARD, RingBuffer
from pybpftime.maps.ringbuf import HEADER_SIZE as RECORD_HEADER
from pybpftime.maps.slab import FREE_HEAD, FROZEN, LIVE_COUNT, NEWEST, OLDEST, SPARE, USED_SLOTS
from pybpftime.uapi import MapFlag, MapType

SLOT_FIELDS_OF_HEADER = ("live_count", "used_slots", "free_head", "newest", "oldest", "spare")
LARGEST_POSITION = 1 << 62


def check_slab(map: Map, header: bytes) -> str | None:
    """What is wrong with the memory of `map`, whose header page was `header` when it was made; None if nothing is.

    The records that a ring buffer has reserved are found here.
    """
    try:
        _check_header(map, header)
        if isinstance(map, RingBuffer):
            _check_ring(map)
        elif isinstance(map, SlottedMap):
            _check_slots(map)
    except InputError as error:
        return error.reason
    return None


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise InputError(otherwise)


def _check_header(map: Map, before: bytes) -> None:
    """What describes the map is as it was; only what counts and links elements may differ."""
    changing = ("frozen", *(SLOT_FIELDS_OF_HEADER if isinstance(map, SlottedMap) else ()))
    wanted, found = bytearray(before), bytearray(map.slab.data[:HEADER_SIZE])
    for name, offset, size in HEADER_FIELDS:
        if name in changing:
            wanted[offset : offset + size] = found[offset : offset + size]
    _require(wanted == found, "its header is that of another map")
    _require(map.slab.words[FROZEN] <= 1, "it is neither frozen nor not frozen")


# --- slots ------------------------------------------------------------------------------------------------------------


def _check_slots(map: SlottedMap) -> None:
    """Every slot that was ever used is an element, free, or the spare one; and every list is whole."""
    words = map.slab.words
    used = words[USED_SLOTS]
    _require(used <= map.layout.slot_count, "it has used more slots than it has")
    for link in range(1, used + 1):
        at = map.at(link)
        _require(words[at + STATE] in (FREE, LIVE) and words[at + CHAIN] <= used, f"slot {link - 1} is damaged")
    seen = bytearray(used + 1)
    for link in _elements(map):
        _take(map, link, LIVE, seen)
    for link in _elements(map):  # now that no list of them goes in a circle
        _check_element(map, link)
    live = sum(seen)
    _require(live == words[LIVE_COUNT] <= map.max_entries, "the number of its elements is wrong")
    link = words[FREE_HEAD]
    while link:
        _take(map, link, FREE, seen)
        link = words[map.at(link) + OLDER]
    if words[SPARE]:
        _require(
            map.type == MapType.BPF_MAP_TYPE_HASH and not map.flags & MapFlag.BPF_F_NO_PREALLOC, "it has a spare slot"
        )
        _take(map, words[SPARE], FREE, seen)
    _require(sum(seen) == used, "a slot is neither an element nor free")
    if isinstance(map, LruHashMap):
        _check_order(map, live)


def _elements(map: SlottedMap) -> Iterator[int]:
    """The links of all buckets, as they stand there."""
    words, first = map.slab.words, map.layout.buckets_offset // 4
    bucket = map.occupied_bucket(0)
    while bucket < map.layout.bucket_count:
        link = words[first + bucket]
        while link:
            yield link  # judged before it is followed
            link = words[map.at(link) + CHAIN] if isinstance(map, HashTable) else 0
        bucket = map.occupied_bucket(bucket + 1)


def _take(map: SlottedMap, link: int, state: int, seen: bytearray) -> None:
    known = 0 < link < len(seen) and not seen[link] and map.slab.words[map.at(link) + STATE] == state
    _require(known, "its lists of slots are damaged")
    seen[link] = 1


def _check_element(map: SlottedMap, link: int) -> None:
    """An element is in the bucket of its hash."""
    words, at = map.slab.words, map.at(link)
    hashed = words[at + HASH]
    if isinstance(map, HashTable):
        known = hasher(map.key_size, map.slab.get("hash_seed"))(map.key_of(link))
        _require(hashed == known and map.find(map.key_of(link)) == link, f"the element in slot {link - 1} is not found")
    else:
        bucket = hashed & (map.layout.bucket_count - 1)
        _require(words[map.layout.buckets_offset // 4 + bucket] == link, f"the stack in slot {link - 1} is not found")
        _require(8 * words[at + LENGTH] <= map.value_size, f"the stack in slot {link - 1} is too long")


def _check_order(map: LruHashMap, live: int) -> None:
    """The elements from the one used last to the first are all of them."""
    words, newer, count = map.slab.words, 0, 0
    link = words[NEWEST]
    while link:
        _require(0 < link <= words[USED_SLOTS] and count < live, "the order of its elements is damaged")
        at = map.at(link)
        _require(words[at + STATE] == LIVE and words[at + NEWER] == newer, "the order of its elements is damaged")
        newer, link, count = link, words[at + OLDER], count + 1
    _require(count == live and words[OLDEST] == newer, "the order of its elements is damaged")


# --- ring buffers -----------------------------------------------------------------------------------------------------


def _check_ring(ring: RingBuffer) -> None:
    """Records follow one another from the first that counts to the producer's position."""
    data = ring.slab.data
    consumer, producer, pending = (
        int.from_bytes(data[offset : offset + 8], "little")
        for offset in (CONSUMER_POSITION, PRODUCER_POSITION, PENDING_POSITION)
    )
    position = min(consumer, pending)
    _require(max(consumer, pending) <= producer < LARGEST_POSITION, "its positions are wrong")
    _require(producer - position <= ring.size and position % 8 == 0, "its positions are wrong")
    reserved: dict[int, int] = {}
    starts = {producer}
    while position < producer:
        starts.add(position)
        place = RING_DATA + position % ring.size
        header = int.from_bytes(data[place : place + 4], "little")
        length = header & ~(BUSY | DISCARD)
        if header & BUSY:
            reserved[place + RECORD_HEADER] = place + RECORD_HEADER + length
        position += round_up(length + RECORD_HEADER, 8)
    _require(position == producer and {consumer, pending} <= starts, "its records are damaged")
    ring.set_beside_slab((tuple(reserved.items()), ring.wakeups))
