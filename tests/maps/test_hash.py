"""Hash maps: ordinary, with a value for each cpu, least recently used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.map_calls import errno_of

from pybpftime.errors import Fault, FaultKind
from pybpftime.machine.memory import Memory
from pybpftime.machine.strictness import STRICT
from pybpftime.maps import Errno
from pybpftime.maps.hashing import MULTIPLIER, hasher
from pybpftime.uapi import MapFlag

MakeMap = Callable[..., Any]


def key(number: int) -> bytes:
    return number.to_bytes(4, "little")


def value(number: int) -> bytes:
    return number.to_bytes(8, "little")


@pytest.fixture(params=[0, MapFlag.BPF_F_NO_PREALLOC], ids=["preallocated", "on demand"])
def table(request: pytest.FixtureRequest, make_map: MakeMap) -> Any:
    return make_map("HASH", 4, 8, 4, flags=request.param)


class TestHash:
    def test_elements_come_and_go(self, table: Any, memory: Memory) -> None:
        assert table.element_address(key(1)) == 0
        table.update(key(1), value(5))
        table.update_element(key(2), value(6))
        assert memory.load(table.element_address(key(1)), 8) == 5
        assert sorted(table.items()) == [(key(1), value(5)), (key(2), value(6))]
        assert table.count == 2
        table.delete(key(1))
        table.delete_element(key(2))
        assert table.items() == []
        assert table.count == 0

    def test_errno(self, table: Any) -> None:
        assert errno_of(table.lookup, key(1)) == Errno.ENOENT
        assert errno_of(table.delete, key(1)) == Errno.ENOENT
        assert errno_of(table.lookup_and_delete, key(1)) == Errno.ENOENT
        assert errno_of(table.next_key) == Errno.ENOENT
        assert errno_of(table.update, key(1), value(1), 2) == Errno.ENOENT
        assert errno_of(table.update, key(1), value(1), 3) == Errno.EINVAL
        assert errno_of(table.update, key(1), value(1), 4) == Errno.EINVAL
        assert errno_of(table.update_element, key(1), value(1), 4) == Errno.EINVAL
        assert errno_of(table.lookup_and_delete, key(1), 1) == Errno.EINVAL
        table.update(key(1), value(1), 1)
        assert errno_of(table.update, key(1), value(1), 1) == Errno.EEXIST
        table.update(key(1), value(2), 2)
        assert table.lookup_and_delete(key(1)) == value(2)
        assert errno_of(table.lookup, key(1)) == Errno.ENOENT

    def test_a_full_map_takes_no_new_key(self, table: Any) -> None:
        for number in range(4):
            table.update(key(number), value(number))
        assert errno_of(table.update, key(4), value(4)) == Errno.E2BIG
        assert errno_of(table.update, key(4), value(4), 2) == Errno.ENOENT
        table.update(key(0), value(9))
        table.delete(key(3))
        table.update(key(4), value(4))
        assert sorted(table.keys()) == [key(0), key(1), key(2), key(4)]

    def test_next_key_of_an_absent_key_is_the_first(self, table: Any) -> None:
        for number in range(4):
            table.update(key(number), value(number))
        order = [table.next_key()]
        for _ in range(3):
            order.append(table.next_key(order[-1]))
        assert order == table.keys()
        assert sorted(order) == [key(number) for number in range(4)]
        assert errno_of(table.next_key, order[-1]) == Errno.ENOENT
        assert table.next_key(key(77)) == order[0]
        table.delete(order[1])
        assert table.next_key(order[1]) == order[0]

    def test_an_old_pointer_reads_the_old_value(self, table: Any, memory: Memory) -> None:
        table.update_element(key(1), value(5))
        old = table.element_address(key(1))
        table.update_element(key(1), value(6))
        assert memory.load(old, 8) == 5
        assert memory.load(table.element_address(key(1)), 8) == 6
        table.delete_element(key(1))
        assert memory.load(old, 8) == 5

    def test_a_replaced_value_is_kept_until_another_is_replaced(self, make_map: MakeMap, memory: Memory) -> None:
        """Not until a new key comes: Linux has an element to spare for updates."""
        table = make_map("HASH", 4, 8, 3)
        table.update(key(1), value(10))
        old = table.element_address(key(1))
        table.update(key(1), value(20))
        memory.store(old, 8, 11)
        for number in (2, 3):
            table.update(key(number), value(20))
        assert memory.load(old, 8) == 11
        table.delete(key(3))
        table.update(key(4), value(40))
        assert memory.load(old, 8) == 11
        table.update(key(2), value(50))
        assert table.element_address(key(2)) == old
        assert memory.load(old, 8) == 50

    @pytest.mark.parametrize(("type_name", "flags"), [("HASH", MapFlag.BPF_F_NO_PREALLOC), ("LRU_HASH", 0)])
    def test_without_a_spare_the_next_new_key_takes_the_place(
        self, make_map: MakeMap, type_name: str, flags: int
    ) -> None:
        table = make_map(type_name, 4, 8, 3, flags=flags)
        table.update(key(1), value(10))
        old = table.element_address(key(1))
        table.update(key(1), value(20))
        table.update(key(2), value(20))
        assert table.element_address(key(2)) == old

    def test_a_full_map_of_many_updates_has_room_for_all_its_keys(self, make_map: MakeMap) -> None:
        table = make_map("HASH", 4, 8, 3)
        for number in range(30):
            table.update(key(number % 3), value(number))
        table.delete(key(0))
        table.update(key(7), value(7))
        table.update(key(7), value(8))
        assert errno_of(table.update, key(8), value(8)) == Errno.E2BIG
        assert table.count == 3

    def test_iteration_while_elements_are_deleted(self, table: Any) -> None:
        for number in range(4):
            table.update(key(number), value(number))
        seen = []
        for visited, _ in table.for_each():
            seen.append(visited)
            table.delete_element(visited)
        assert sorted(seen) == [key(number) for number in range(4)]
        assert table.count == 0

    def test_an_element_that_was_next_is_visited_even_when_it_was_deleted(self, make_map: MakeMap) -> None:
        table = make_map("HASH", 4, 8, 4)
        first, second = colliding_keys(table)
        table.update(second, value(2))
        table.update(first, value(1))  # at the head of the bucket
        walk = table.for_each()
        assert next(walk)[0] == first
        table.delete_element(second)
        assert next(walk)[0] == second
        assert list(walk) == []

    def test_elements_of_one_bucket_can_be_deleted_in_any_order(self, make_map: MakeMap) -> None:
        for victim in range(3):
            table = make_map("HASH", 4, 8, 4)
            keys = colliding_keys(table, 3)
            for number, one in enumerate(keys):
                table.update(one, value(number))
            table.delete(keys[victim])
            assert sorted(table.keys()) == sorted(set(keys) - {keys[victim]})
            assert [table.find(one) > 0 for one in keys] == [number != victim for number in range(3)]


def colliding_keys(table: Any, count: int = 2) -> list[bytes]:
    """Keys that share a bucket."""
    hashed = hasher(4, 0)
    buckets: dict[int, list[bytes]] = {}
    number = 0
    while True:
        bucket = buckets.setdefault(hashed(key(number)) & (table.layout.bucket_count - 1), [])
        bucket.append(key(number))
        if len(bucket) == count:
            return bucket
        number += 1


class TestSpinLock:
    """A value whose bytes 0 to 3 are a struct bpf_spin_lock."""

    def test_a_locked_update_is_made_in_place(self, make_map: MakeMap, memory: Memory) -> None:
        table = make_map("HASH", 4, 8, 4, spin_lock_offset=0)
        table.update(key(1), b"\xaa" * 8, 4)
        address = table.element_address(key(1))
        assert memory.read(address, 8) == bytes(4) + b"\xaa" * 4
        memory.store(address, 4, 0x11111111)
        table.update(key(1), b"\xbb" * 8, 4)
        assert table.element_address(key(1)) == address
        assert memory.load(address, 4) == 0x11111111
        assert table.lookup(key(1), 4) == bytes(4) + b"\xbb" * 4
        assert table.lookup_and_delete(key(1), 4) == bytes(4) + b"\xbb" * 4
        assert errno_of(table.update, key(1), bytes(8), 2 | 4) == Errno.ENOENT


class TestRegion:
    def test_only_values_of_elements_may_be_accessed(self, make_map: MakeMap, memory: Memory) -> None:
        table = make_map("HASH", 4, 8, 4)
        table.update(key(0x2A), value(1))
        address = table.element_address(key(0x2A))
        for offset, size, region, distance in (
            (4, 8, "map counts[key 0x2a]", 4),
            (-1, 1, "map counts[key 0x2a]", 1),
            (-4, 8, "map counts[key 0x2a]", 4),
            (8, 1, "map counts[key 0x2a]", 1),
        ):
            with pytest.raises(Fault) as caught:
                memory.load(address + offset, size)
            assert (caught.value.region, caught.value.distance) == (region, distance)
        with pytest.raises(Fault) as caught:
            memory.load(address + table.layout.slot_stride, 8)
        assert caught.value.region == "map counts (a slot without an element)"
        with pytest.raises(Fault, match="map counts"):
            memory.load(table.region.base, 1)

    def test_strict_forbids_what_was_deleted(self, make_map: MakeMap, memory: Memory) -> None:
        table = make_map("HASH", 4, 8, 4, strictness=STRICT)
        table.update(key(1), value(1))
        address = table.element_address(key(1))
        assert memory.load(address, 8) == 1
        table.delete(key(1))
        for access in (lambda: memory.load(address, 8), lambda: memory.store(address, 8, 1)):
            with pytest.raises(Fault) as caught:
                access()
            assert caught.value.kind == FaultKind.MEMORY
            assert caught.value.region == "map counts[key 0x1] (deleted)"

    def test_linux_lets_what_was_deleted_be_written(self, make_map: MakeMap, memory: Memory) -> None:
        table = make_map("HASH", 4, 8, 4)
        table.update(key(1), value(1))
        address = table.element_address(key(1))
        table.delete(key(1))
        memory.store(address, 8, 3)
        assert memory.load(address, 8) == 3
        assert memory.describe(address + 2) == "map counts[key 0x1] (deleted)+2"

    def test_long_keys_are_named_by_their_bytes(self, make_map: MakeMap, memory: Memory) -> None:
        table = make_map("HASH", 20, 8, 4)
        table.update(bytes(range(20)), value(1))
        name = memory.describe(table.element_address(bytes(range(20))))
        assert name == "map counts[key 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f ...]"


class TestPerCpuHash:
    def test_a_new_key_has_zeros_on_other_cpus(self, make_map: MakeMap, memory: Memory) -> None:
        table = make_map("PERCPU_HASH", 4, 8, 2, cpu_count=3)
        table.update(key(1), [value(7)] * 3)
        table.delete(key(1))
        table.update_element(key(1), value(5), cpu=1)  # in the same slot
        assert table.lookup(key(1)) == (value(0), value(5), value(0))
        address = table.element_address(key(1), 1)
        table.update_element(key(1), value(6), cpu=2)
        assert table.lookup(key(1)) == (value(0), value(5), value(6))
        assert table.element_address(key(1), 1) == address
        assert memory.describe(address) == "map counts[key 0x1] cpu 1"
        assert table.element_address(key(1), 3) == 0
        assert list(table.for_each(2)) == [(key(1), table.element_address(key(1), 2))]

    def test_errno(self, make_map: MakeMap) -> None:
        table = make_map("PERCPU_HASH", 4, 8, 2, cpu_count=2)
        both = [value(1), value(2)]
        assert errno_of(table.update, key(1), both, 3) == Errno.EINVAL
        assert errno_of(table.update_element, key(1), value(1), 4) == Errno.EINVAL
        assert errno_of(table.update, key(1), both, 2) == Errno.ENOENT
        table.update(key(1), both)
        assert errno_of(table.update, key(1), both, 1) == Errno.EEXIST
        table.update(key(2), both)
        assert errno_of(table.update, key(3), both) == Errno.E2BIG
        assert table.lookup_and_delete(key(1)) == tuple(both)
        assert table.count == 1


class TestLru:
    def test_the_least_recently_used_makes_room(self, make_map: MakeMap) -> None:
        table = make_map("LRU_HASH", 4, 8, 3)
        for number in range(3):
            table.update(key(number), value(number))
        table.element_address(key(0))  # a program's lookup is a use
        table.lookup(key(1))  # user space's is none
        table.update(key(3), value(3))
        assert sorted(table.keys()) == [key(0), key(2), key(3)]
        table.update(key(2), value(9))  # an update is a use
        table.update(key(4), value(4))
        assert sorted(table.keys()) == [key(2), key(3), key(4)]

    def test_the_order_survives_deletions(self, make_map: MakeMap) -> None:
        table = make_map("LRU_HASH", 4, 8, 4)
        for number in range(4):
            table.update(key(number), value(number))
        table.delete(key(0))
        table.delete(key(2))
        table.update(key(4), value(4))
        table.update(key(5), value(5))
        table.update(key(6), value(6))
        assert sorted(table.keys()) == [key(3), key(4), key(5), key(6)]
        assert table.lookup_and_delete(key(3)) == value(3)

    def test_errno(self, make_map: MakeMap) -> None:
        table = make_map("LRU_HASH", 4, 8, 1)
        assert errno_of(table.update, key(1), value(1), 3) == Errno.EINVAL
        assert errno_of(table.update_element, key(1), value(1), 4) == Errno.EINVAL
        assert errno_of(table.update, key(1), value(1), 2) == Errno.ENOENT
        table.update(key(1), value(1), 1)
        assert errno_of(table.update, key(1), value(1), 1) == Errno.EEXIST
        table.update(key(1), value(2), 2)
        table.update(key(2), value(3))
        assert table.items() == [(key(2), value(3))]
        assert table.element_address(key(1)) == 0


@given(st.binary(min_size=1, max_size=40), st.integers(0, (1 << 64) - 1))
def test_the_hash_is_what_the_layout_says(content: bytes, seed: int) -> None:
    state = seed ^ len(content)
    for start in range(0, len(content), 8):
        state ^= int.from_bytes(content[start : start + 8], "little")
        state = state * MULTIPLIER % 2**64
        state ^= state >> 32
    assert hasher(len(content), seed)(content) == state * MULTIPLIER % 2**64 >> 32


@pytest.mark.parametrize("size", [4, 8, 16])
def test_the_hash_spreads_keys_that_differ_in_any_one_byte(size: int) -> None:
    hashed = hasher(size, 0)
    for place in range(size):
        keys = (bytes(place) + bytes([byte]) + bytes(size - place - 1) for byte in range(256))
        assert len({hashed(one) % 1024 for one in keys}) > 180  # 227 of 1024 buckets would be random


def test_the_seed_changes_the_order(make_map: MakeMap) -> None:
    orders = set()
    for seed in (0, 0, 12345):
        table = make_map("HASH", 4, 8, 64, seed=seed)
        for number in range(40):
            table.update(key(number), value(number))
        orders.add(tuple(table.keys()))
    assert len(orders) == 2


def test_ten_million_entries_cost_nothing_until_they_are_used(make_map: MakeMap) -> None:
    table = make_map("HASH", 4, 8, 10_000_000)
    table.update(key(1), value(2))
    table.update(key(0xFFFFFFFF), value(3))
    assert sorted(table.items()) == [(key(1), value(2)), (key(0xFFFFFFFF), value(3))]
