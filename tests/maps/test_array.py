"""Arrays, and arrays with a value for each cpu."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.map_calls import errno_of

from pybpftime.errors import Fault, FaultKind, InputError
from pybpftime.machine.memory import Memory
from pybpftime.machine.strictness import LENIENT, LINUX, STRICT
from pybpftime.maps import Errno, MapError
from pybpftime.uapi import MapFlag

MakeMap = Callable[..., Any]


def key(index: int) -> bytes:
    return index.to_bytes(4, "little")


def value(number: int, size: int = 8) -> bytes:
    return number.to_bytes(size, "little")


class TestArray:
    def test_every_index_has_a_value_of_zeros(self, make_map: MakeMap) -> None:
        array = make_map("ARRAY", 4, 5, 3)
        assert array.items() == [(key(0), bytes(5)), (key(1), bytes(5)), (key(2), bytes(5))]
        assert array.count == 3

    def test_updates_are_seen_from_both_sides(self, make_map: MakeMap, memory: Memory) -> None:
        array = make_map("ARRAY", 4, 8, 3)
        array.update(key(1), value(7))
        assert memory.load(array.element_address(key(1)), 8) == 7
        memory.store(array.element_address(key(1)) + 2, 1, 9)
        array.update_element(key(2), value(3))
        assert array.lookup(key(1)) == value(7 | 9 << 16)
        assert array.lookup(key(2)) == value(3)

    def test_errno(self, make_map: MakeMap) -> None:
        array = make_map("ARRAY", 4, 8, 3)
        assert array.element_address(key(3)) == 0
        assert errno_of(array.lookup, key(3)) == Errno.ENOENT
        assert errno_of(array.update, key(3), bytes(8)) == Errno.E2BIG
        assert errno_of(array.update, key(0), bytes(8), 1) == Errno.EEXIST
        assert errno_of(array.update, key(3), bytes(8), 1) == Errno.E2BIG
        assert errno_of(array.update, key(3), bytes(8), 3) == Errno.EINVAL
        assert errno_of(array.update, key(0), bytes(8), 4) == Errno.EINVAL
        assert errno_of(array.update_element, key(0), bytes(8), 4) == Errno.EINVAL
        assert errno_of(array.lookup, key(0), 1) == Errno.EINVAL
        assert errno_of(array.lookup, key(0), 4) == Errno.EINVAL
        assert errno_of(array.delete, key(0)) == Errno.EINVAL
        assert errno_of(array.delete_element, key(0)) == Errno.EINVAL
        assert errno_of(array.lookup_and_delete, key(0)) == Errno.ENOTSUPP
        array.update(key(0), bytes(8), 2)

    def test_iteration(self, make_map: MakeMap) -> None:
        array = make_map("ARRAY", 4, 8, 2)
        assert array.next_key() == key(0)
        assert array.next_key(key(0)) == key(1)
        assert errno_of(array.next_key, key(1)) == Errno.ENOENT
        assert array.next_key(key(2)) == key(0)
        assert list(array.for_each()) == [(key(i), array.element_address(key(i))) for i in range(2)]

    def test_direct_values(self, make_map: MakeMap, memory: Memory) -> None:
        bss = make_map("ARRAY", 4, 16, 1, contents=b"\1\2\3")
        assert bss.lookup(key(0)) == b"\1\2\3" + bytes(13)
        assert memory.load(bss.values_address(1), 2) == 0x0302
        assert bss.values_address(0) == bss.element_address(key(0))
        assert errno_of(bss.values_address, 16) == Errno.EINVAL
        assert errno_of(bss.values_address, -1) == Errno.EINVAL
        assert errno_of(make_map("ARRAY", 4, 8, 2).values_address, 0) == Errno.ENOTSUPP
        assert errno_of(make_map("HASH", 4, 8, 1).values_address, 0) == Errno.ENOTSUPP

    def test_an_access_stays_inside_one_value(self, make_map: MakeMap, memory: Memory) -> None:
        array = make_map("ARRAY", 4, 12, 3)
        address = array.element_address(key(1))
        assert memory.read(address, 12) == bytes(12)
        with pytest.raises(Fault) as caught:
            memory.load(address + 8, 8)
        assert (caught.value.kind, caught.value.region, caught.value.distance) == (
            FaultKind.MEMORY,
            "map counts[1]",
            4,
        )
        for bad in (array.element_address(key(0)) - 1, array.element_address(key(2)) + 12):
            with pytest.raises(Fault, match="map counts"):
                memory.store(bad, 1, 0)
            with pytest.raises(Fault, match="map counts"):
                memory.write(bad, b"1")
            with pytest.raises(Fault, match="map counts"):
                memory.read(bad, 1)

    def test_access_rights_of_programs(self, make_map: MakeMap, memory: Memory) -> None:
        read_only = make_map("ARRAY", 4, 8, 2, flags=MapFlag.BPF_F_RDONLY_PROG)
        address = read_only.element_address(key(0))
        assert memory.load(address, 8) == 0
        with pytest.raises(Fault, match=r"store of 8 bytes at map counts\[0\]: it is read-only"):
            memory.store(address, 8, 1)
        write_only = make_map("ARRAY", 4, 8, 1, flags=MapFlag.BPF_F_WRONLY_PROG)
        memory.store(write_only.element_address(key(0)), 8, 1)
        with pytest.raises(Fault, match="load of 8 bytes at map counts: it is write-only"):
            memory.load(write_only.element_address(key(0)), 8)

    def test_access_rights_of_user_space(self, make_map: MakeMap) -> None:
        read_only = make_map("ARRAY", 4, 8, 2, flags=MapFlag.BPF_F_RDONLY)
        assert errno_of(read_only.update, key(0), bytes(8)) == Errno.EPERM
        assert errno_of(read_only.freeze) == Errno.EPERM
        assert read_only.lookup(key(0)) == bytes(8)
        write_only = make_map("ARRAY", 4, 8, 2, flags=MapFlag.BPF_F_WRONLY)
        write_only.update(key(0), bytes(8))
        for call in (write_only.next_key, write_only.items, write_only.keys):
            assert errno_of(call) == Errno.EPERM
        assert errno_of(write_only.lookup, key(0)) == Errno.EPERM

    def test_frozen_for_user_space_only(self, make_map: MakeMap, memory: Memory) -> None:
        array = make_map("ARRAY", 4, 8, 2)
        array.freeze()
        assert array.frozen
        assert errno_of(array.update, key(0), bytes(8)) == Errno.EPERM
        assert errno_of(array.delete, key(0)) == Errno.EPERM
        assert errno_of(array.lookup_and_delete, key(0)) == Errno.EPERM
        assert errno_of(array.freeze) == Errno.EPERM
        array.update_element(key(0), value(1))
        memory.store(array.element_address(key(1)), 8, 2)
        assert array.items() == [(key(0), value(1)), (key(1), value(2))]

    @pytest.mark.parametrize("max_entries", [1, 2])
    def test_alignment_goes_by_strictness(self, make_map: MakeMap, max_entries: int) -> None:
        for level, aligned in ((LENIENT, False), (LINUX, False), (STRICT, True)):
            memory = Memory()
            array = make_map("ARRAY", 4, 16, max_entries)
            array.detach()
            array.attach(memory, level)
            address = array.element_address(key(0))
            assert memory.load(address + 4, 4) == 0
            if aligned:
                with pytest.raises(Fault) as caught:
                    memory.load(address + 3, 4)
                assert caught.value.kind == FaultKind.ALIGNMENT
                with pytest.raises(Fault):
                    memory.store(address + 3, 4, 1)
            else:
                memory.store(address + 3, 4, 1)
                assert memory.load(address + 3, 4) == 1

    def test_atomic_operations_are_allowed(self, make_map: MakeMap, memory: Memory) -> None:
        region = memory.find(make_map("ARRAY", 4, 8, 2).element_address(key(0)))
        assert region is not None
        assert region.atomic

    @pytest.mark.parametrize("bad", [b"", b"123", b"12345", "1234", 7, None])
    def test_garbage_keys_and_values(self, make_map: MakeMap, bad: Any) -> None:
        array = make_map("ARRAY", 4, 4, 2)
        for call, *arguments in (
            (array.lookup, bad),
            (array.delete, bad),
            (array.update, bad, bytes(4)),
            (array.update, key(0), bad),
            (array.lookup_and_delete, bad),
        ):
            with pytest.raises(InputError, match=r"map counts: a (key|value) "):
                call(*arguments)

    def test_keys_and_values_may_be_any_bytes(self, make_map: MakeMap) -> None:
        array = make_map("ARRAY", 4, 8, 2)
        array.update(bytearray(key(1)), memoryview(value(5)))
        assert array.lookup(memoryview(key(1))) == value(5)


class TestSpinLock:
    """A value whose bytes 4 to 7 are a struct bpf_spin_lock."""

    def test_the_lock_is_never_copied(self, make_map: MakeMap, memory: Memory) -> None:
        array = make_map("ARRAY", 4, 12, 1, spin_lock_offset=4)
        memory.store(array.element_address(key(0)) + 4, 4, 0x11111111)
        array.update(key(0), b"\xaa" * 12)
        array.update(key(0), b"\xbb" * 12, 4)
        assert memory.load(array.element_address(key(0)) + 4, 4) == 0x11111111
        assert array.lookup(key(0)) == b"\xbb" * 4 + bytes(4) + b"\xbb" * 4
        assert array.lookup(key(0), 4) == array.lookup(key(0))

    def test_it_cannot_be_frozen(self, make_map: MakeMap) -> None:
        assert errno_of(make_map("ARRAY", 4, 12, 1, spin_lock_offset=4).freeze) == Errno.ENOTSUPP


class TestPerCpuArray:
    def test_a_program_sees_the_value_of_its_cpu(self, make_map: MakeMap, memory: Memory) -> None:
        array = make_map("PERCPU_ARRAY", 4, 4, 3, cpu_count=2)
        array.update_element(key(1), value(5, 4), cpu=1)
        memory.store(array.element_address(key(1), 0), 4, 6)
        assert array.lookup(key(1)) == (value(6, 4), value(5, 4))
        assert array.lookup(key(0)) == (bytes(4), bytes(4))
        assert array.element_address(key(1), 2) == 0
        assert array.element_address(key(3), 0) == 0
        assert [address for _, address in array.for_each(1)] == [array.element_address(key(i), 1) for i in range(3)]

    def test_user_space_gives_a_value_for_each_cpu(self, make_map: MakeMap) -> None:
        array = make_map("PERCPU_ARRAY", 4, 4, 3, cpu_count=2)
        array.update(key(2), [value(1, 4), value(2, 4)])
        assert array.lookup(key(2)) == (value(1, 4), value(2, 4))
        for bad in (value(1, 4), [value(1, 4)], 3, [value(1, 4), b"1"], "text"):
            with pytest.raises(InputError):
                array.update(key(2), bad)

    def test_errno(self, make_map: MakeMap) -> None:
        array = make_map("PERCPU_ARRAY", 4, 4, 3, cpu_count=2)
        both = [bytes(4), bytes(4)]
        assert errno_of(array.lookup, key(3)) == Errno.ENOENT
        assert errno_of(array.update, key(3), both) == Errno.E2BIG
        assert errno_of(array.update, key(0), both, 1) == Errno.EEXIST
        assert errno_of(array.update, key(0), both, 5) == Errno.EINVAL
        assert errno_of(array.delete, key(0)) == Errno.EINVAL

    def test_faults_name_the_cpu(self, make_map: MakeMap, memory: Memory) -> None:
        array = make_map("PERCPU_ARRAY", 4, 4, 3, cpu_count=2)
        with pytest.raises(Fault) as caught:
            memory.load(array.element_address(key(2), 1) + 2, 4)
        assert (caught.value.region, caught.value.distance) == ("map counts[2] cpu 1", 2)


def test_attaching(make_map: MakeMap, memory: Memory) -> None:
    array = make_map("ARRAY", 4, 8, 2)
    handle, address = array.address, array.element_address(key(0))
    assert array.attach(memory, LINUX) == handle
    region = memory.find(handle)
    assert region is not None
    assert region.owner is array
    values = memory.find(address)
    assert values is not None
    assert values.owner is array
    for access in (lambda: memory.load(handle, 8), lambda: memory.store(handle, 1, 0), lambda: memory.read(handle, 1)):
        with pytest.raises(Fault, match="opaque to programs"):
            access()
    with pytest.raises(InputError, match="attached to another"):
        array.attach(Memory(), LINUX)
    array.detach()
    array.detach()
    with pytest.raises(Fault):
        memory.load(address, 8)
    assert array.lookup(key(0)) == bytes(8)


def test_errors_are_data(make_map: MakeMap) -> None:
    with pytest.raises(MapError) as caught:
        make_map("ARRAY", 4, 8, 2).lookup(key(9))
    assert str(caught.value) == "map counts: index 9 is not below max_entries 2 (ENOENT)"
    assert caught.value.as_dict() == {
        "error": "MapError",
        "reason": "index 9 is not below max_entries 2",
        "errno": 2,
        "map": "counts",
    }
    assert repr(make_map("ARRAY", 4, 8, 2)) == "<BPF_MAP_TYPE_ARRAY counts: key_size=4, value_size=8, max_entries=2>"
