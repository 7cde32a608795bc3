"""Maps of the running kernel: each kind's operations, the errno of each refusal, and what we refuse ourselves."""

from __future__ import annotations

import errno
import gc
import mmap
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pybpftime import kernel
from pybpftime.errors import HostError, InputError
from pybpftime.kernel import KernelMap, KernelProgram, maps
from pybpftime.uapi import MapFlag, MapType, ProgramType, UpdateFlag

pytestmark = pytest.mark.usefixtures("bpf")

RETURN_ZERO = bytes.fromhex("b700000000000000 9500000000000000")  # r0 = 0; exit


def u32(number: int) -> bytes:
    return struct.pack("=I", number)


def u64(number: int) -> bytes:
    return struct.pack("=Q", number)


def refused_with(action: Callable[[], object]) -> int | None:
    with pytest.raises(HostError) as caught:
        action()
    return caught.value.errno


@pytest.fixture
def hash_map() -> Iterator[KernelMap]:
    with KernelMap.create(MapType.BPF_MAP_TYPE_HASH, 4, 8, 3, name="numbers") as result:
        yield result


@pytest.fixture
def array() -> Iterator[KernelMap]:
    with KernelMap.create(MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 3) as result:
        yield result


class TestHash:
    def test_update_lookup_delete(self, hash_map: KernelMap) -> None:
        assert hash_map.lookup(u32(1)) is None
        hash_map.update(u32(1), u64(10))
        hash_map.update(u32(2), u64(20), UpdateFlag.BPF_NOEXIST)
        hash_map.update(u32(1), u64(11), UpdateFlag.BPF_EXIST)
        assert dict(hash_map.items()) == {u32(1): u64(11), u32(2): u64(20)}
        hash_map.delete(u32(1))
        assert hash_map.lookup(u32(1)) is None
        assert hash_map.lookup_and_delete(u32(2)) == u64(20)
        assert hash_map.lookup_and_delete(u32(2)) is None
        assert list(hash_map.keys()) == []

    def test_errno(self, hash_map: KernelMap) -> None:
        for number in range(3):
            hash_map.update(u32(number), u64(number))
        assert refused_with(lambda: hash_map.update(u32(9), u64(0))) == errno.E2BIG
        assert refused_with(lambda: hash_map.update(u32(1), u64(0), UpdateFlag.BPF_NOEXIST)) == errno.EEXIST
        assert refused_with(lambda: hash_map.update(u32(9), u64(0), UpdateFlag.BPF_EXIST)) == errno.ENOENT
        assert refused_with(lambda: hash_map.update(u32(1), u64(0), 1 << 40)) == errno.EINVAL
        assert refused_with(lambda: hash_map.update(u32(1), u64(0), UpdateFlag.BPF_F_LOCK)) == errno.EINVAL
        assert refused_with(lambda: hash_map.delete(u32(9))) == errno.ENOENT
        assert refused_with(lambda: hash_map.lookup(u32(1), 1 << 40)) == errno.EINVAL

    def test_iteration(self, hash_map: KernelMap) -> None:
        assert hash_map.next_key() is None
        for number in range(3):
            hash_map.update(u32(number), u64(number))
        keys = list(hash_map.keys())
        assert sorted(keys) == [u32(0), u32(1), u32(2)]
        assert hash_map.next_key(keys[0]) == keys[1]
        assert hash_map.next_key(keys[2]) is None
        assert hash_map.next_key(u32(99)) == keys[0]

    def test_refusal_names_the_map(self, hash_map: KernelMap) -> None:
        with pytest.raises(HostError, match=r"^the kernel refused to delete from the map numbers \(ENOENT"):
            hash_map.delete(u32(1))


class TestArray:
    def test_all_elements_exist(self, array: KernelMap) -> None:
        assert list(array.items()) == [(u32(index), u64(0)) for index in range(3)]
        array.update(u32(2), u64(7))
        assert array.lookup(u32(2)) == u64(7)
        assert array.next_key(u32(2)) is None
        assert array.next_key(u32(77)) == u32(0)

    def test_errno(self, array: KernelMap) -> None:
        assert array.lookup(u32(3)) is None
        assert refused_with(lambda: array.update(u32(3), u64(0))) == errno.E2BIG
        assert refused_with(lambda: array.update(u32(0), u64(0), UpdateFlag.BPF_NOEXIST)) == errno.EEXIST
        assert refused_with(lambda: array.delete(u32(0))) == errno.EINVAL
        assert refused_with(array.memory) in {errno.EINVAL, 524}  # not created with BPF_F_MMAPABLE

    def test_frozen(self, array: KernelMap) -> None:
        array.update(u32(0), u64(1))
        array.freeze()
        assert refused_with(lambda: array.update(u32(0), u64(2))) == errno.EPERM
        assert refused_with(array.freeze) == errno.EPERM
        assert array.lookup(u32(0)) == u64(1)

    def test_flags_against_system_calls(self) -> None:
        with KernelMap.create(MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1, flags=MapFlag.BPF_F_RDONLY) as read_only:
            assert refused_with(lambda: read_only.update(u32(0), u64(2))) == errno.EPERM
        with KernelMap.create(MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1, flags=MapFlag.BPF_F_WRONLY) as write_only:
            assert refused_with(lambda: write_only.lookup(u32(0))) == errno.EPERM

    def test_mapped(self) -> None:
        with KernelMap.create(MapType.BPF_MAP_TYPE_ARRAY, 4, 12, 3, flags=MapFlag.BPF_F_MMAPABLE) as array:
            with array.memory() as memory:
                assert len(memory) == mmap.PAGESIZE
                array.update(u32(1), b"hello, world")
                assert memory[16:28] == b"hello, world"  # 12 bytes are laid out as 16
                memory[32:36] = b"mine"
                assert array.lookup(u32(2)) == b"mine".ljust(12, b"\0")
            array.freeze()
            assert refused_with(array.memory) == errno.EPERM
            with array.memory(writable=False) as memory, pytest.raises(TypeError):
                memory[0] = 1

    def test_arena(self) -> None:
        try:
            arena = KernelMap.create(MapType.BPF_MAP_TYPE_ARENA, 0, 0, 3, flags=MapFlag.BPF_F_MMAPABLE)
        except HostError as error:
            pytest.skip(f"needs a kernel with arenas: {error}")
        with arena, arena.memory() as memory:
            assert len(memory) == 3 * mmap.PAGESIZE
            memory[mmap.PAGESIZE : mmap.PAGESIZE + 4] = b"page"
            assert memory[mmap.PAGESIZE : mmap.PAGESIZE + 5] == b"page\0"

    def test_mapping_that_makes_no_sense(self, array: KernelMap) -> None:
        with pytest.raises(InputError, match=r"^the memory of the map cannot be mapped"):
            array.map_pages(0, -2 * mmap.PAGESIZE, mmap.PROT_READ)
        with pytest.raises(HostError, match=r"^the memory of the map cannot be mapped"):
            array.map_pages(1, 1, mmap.PROT_READ)


class TestPerCpu:
    @pytest.mark.parametrize("map_type", [MapType.BPF_MAP_TYPE_PERCPU_HASH, MapType.BPF_MAP_TYPE_LRU_PERCPU_HASH])
    def test_hash(self, map_type: MapType) -> None:
        values = [bytes([cpu + 1]) * 5 for cpu in range(kernel.possible_cpu_count())]
        with KernelMap.create(map_type, 4, 5, 16) as per_cpu:
            assert per_cpu.lookup_per_cpu(u32(1)) is None
            per_cpu.update_per_cpu(u32(1), values)
            assert list(per_cpu.items_per_cpu()) == [(u32(1), values)]
            assert per_cpu.lookup_and_delete_per_cpu(u32(1)) == values
            assert per_cpu.lookup_and_delete_per_cpu(u32(1)) is None

    def test_array(self) -> None:
        values = [u64(cpu) for cpu in range(kernel.possible_cpu_count())]
        with KernelMap.create(MapType.BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 2) as per_cpu:
            per_cpu.update_per_cpu(u32(1), values)
            assert per_cpu.lookup_per_cpu(u32(1)) == values
            assert per_cpu.lookup_per_cpu(u32(0)) == [u64(0)] * len(values)

    def test_methods_do_not_mix(self, array: KernelMap) -> None:
        with KernelMap.create(MapType.BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 2) as per_cpu:
            with pytest.raises(InputError, match="per cpu"):
                per_cpu.lookup(u32(0))
            with pytest.raises(InputError, match="per cpu"):
                per_cpu.update(u32(0), u64(0))
            with pytest.raises(InputError, match=r"times 8 bytes"):
                per_cpu.update_per_cpu(u32(0), [])
            with pytest.raises(InputError, match=r"times 8 bytes"):
                per_cpu.update_per_cpu(u32(0), [b""] * kernel.possible_cpu_count())
        with pytest.raises(InputError, match="not per cpu"):
            array.lookup_per_cpu(u32(0))

    @pytest.mark.parametrize(("text", "count"), [("0\n", 1), ("0-3\n", 4), ("0,2-3,8\n", 4)])
    def test_possible_cpus(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, count: int) -> None:
        file = tmp_path / "possible"
        file.write_text(text)
        monkeypatch.setattr(maps, "_POSSIBLE_CPUS", file)
        assert kernel.possible_cpu_count() == count
        file.write_text("nonsense")
        with pytest.raises(HostError, match="possible cpus"):
            kernel.possible_cpu_count()


class TestOtherKinds:
    def test_lru_evicts(self) -> None:
        with KernelMap.create(MapType.BPF_MAP_TYPE_LRU_HASH, 4, 8, 16) as lru:
            for number in range(1000):
                lru.update(u32(number), u64(number))
            remaining = list(lru.keys())
            assert 0 < len(remaining) <= 16
            assert lru.lookup(u32(999)) == u64(999)

    def test_longest_prefix(self) -> None:
        with KernelMap.create(MapType.BPF_MAP_TYPE_LPM_TRIE, 8, 4, 8, flags=MapFlag.BPF_F_NO_PREALLOC) as trie:
            trie.update(u32(8) + bytes([10, 0, 0, 0]), u32(1))
            trie.update(u32(16) + bytes([10, 1, 0, 0]), u32(2))
            assert trie.lookup(u32(32) + bytes([10, 1, 2, 3])) == u32(2)
            assert trie.lookup(u32(32) + bytes([10, 9, 2, 3])) == u32(1)
            assert trie.lookup(u32(32) + bytes([11, 9, 2, 3])) is None

    @pytest.mark.parametrize(("map_type", "order"), [("QUEUE", [1, 2, 3]), ("STACK", [3, 2, 1])])
    def test_queue_and_stack(self, map_type: str, order: list[int]) -> None:
        with KernelMap.create(MapType[f"BPF_MAP_TYPE_{map_type}"], 0, 4, 3) as sequence:
            for number in (1, 2, 3):
                sequence.update(b"", u32(number))
            assert refused_with(lambda: sequence.update(b"", u32(4))) == errno.E2BIG
            assert sequence.lookup(b"") == u32(order[0])
            assert [sequence.lookup_and_delete(b"") for _ in range(4)] == [*map(u32, order), None]

    def test_bloom_filter(self, array: KernelMap) -> None:
        with KernelMap.create(MapType.BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 1000, map_extra=3) as bloom:
            assert not bloom.contains(u64(5))
            bloom.update(b"", u64(5))
            assert bloom.contains(u64(5))
            with pytest.raises(InputError, match="8 bytes, not 4"):
                bloom.contains(u32(5))
            assert bloom.info().map_extra == 3
        with pytest.raises(InputError, match="bloom"):
            array.contains(u64(5))

    def test_prog_array(self, array: KernelMap) -> None:
        with (
            KernelMap.create(MapType.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2) as programs,
            KernelProgram.load(ProgramType.BPF_PROG_TYPE_XDP, RETURN_ZERO) as program,
        ):
            assert programs.lookup(u32(0)) is None
            programs.update_object(u32(0), program)
            assert programs.lookup(u32(0)) == u32(program.info().id)  # written as descriptor, read as id
            assert refused_with(lambda: programs.update_object(u32(1), array)) == errno.EINVAL
            assert refused_with(lambda: programs.update(u32(1), u32(1_000_000))) == errno.EBADF
            programs.delete(u32(0))
            assert refused_with(lambda: programs.delete(u32(0))) == errno.ENOENT

    def test_map_of_maps(self, array: KernelMap, hash_map: KernelMap) -> None:
        with KernelMap.create(MapType.BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 2, inner_map=array) as outer:
            outer.update_object(u32(1), array)
            assert outer.lookup(u32(1)) == u32(array.info().id)
            assert refused_with(lambda: outer.update_object(u32(2), hash_map)) == errno.EINVAL
            with KernelMap.from_id(array.info().id) as same:
                same.update(u32(0), u64(77))
            assert array.lookup(u32(0)) == u64(77)

    def test_ring_buffer_has_no_elements(self) -> None:
        with KernelMap.create(MapType.BPF_MAP_TYPE_RINGBUF, 0, 0, mmap.PAGESIZE) as ring:
            assert refused_with(lambda: ring.lookup(b"")) is not None
            assert refused_with(lambda: ring.update(b"", b"")) is not None
            assert refused_with(ring.next_key) is not None


class TestGarbage:
    @pytest.mark.parametrize("key", [b"", b"abc", b"abcde"])
    def test_key_of_wrong_size_never_reaches_the_kernel(self, hash_map: KernelMap, key: bytes) -> None:
        actions: list[Callable[[], object]] = [
            lambda: hash_map.lookup(key),
            lambda: hash_map.lookup_and_delete(key),
            lambda: hash_map.update(key, u64(0)),
            lambda: hash_map.delete(key),
            lambda: hash_map.next_key(key),
        ]
        for action in actions:
            with pytest.raises(InputError, match=f"a key of this map has 4 bytes, not {len(key)}"):
                action()

    def test_value_of_wrong_size(self, hash_map: KernelMap) -> None:
        with pytest.raises(InputError, match="a value of this map has 8 bytes, not 4"):
            hash_map.update(u32(0), u32(0))

    @pytest.mark.parametrize("sizes", [(-1, 4, 1), (4, 1 << 32, 1), (4, 4, -5)])
    def test_sizes_that_do_not_fit(self, sizes: tuple[int, int, int]) -> None:
        with pytest.raises(InputError, match="does not fit 32 unsigned bits"):
            KernelMap.create(MapType.BPF_MAP_TYPE_HASH, *sizes)

    @pytest.mark.parametrize(
        ("map_type", "sizes", "number"),
        [
            (MapType.BPF_MAP_TYPE_HASH, (0, 4, 1), errno.EINVAL),
            (MapType.BPF_MAP_TYPE_HASH, (4, 4, 0), errno.EINVAL),
            (MapType.BPF_MAP_TYPE_ARRAY, (8, 4, 1), errno.EINVAL),
            (MapType.BPF_MAP_TYPE_RINGBUF, (0, 0, 4095), errno.EINVAL),
            (MapType.BPF_MAP_TYPE_HASH, (4, 4, 0xFFFF_FFFF), errno.E2BIG),
            (MapType.BPF_MAP_TYPE_UNSPEC, (4, 4, 1), errno.EINVAL),
        ],
    )
    def test_maps_that_the_kernel_refuses(self, map_type: MapType, sizes: tuple[int, int, int], number: int) -> None:
        assert refused_with(lambda: KernelMap.create(map_type, *sizes, name="refused")) == number

    def test_absent_id(self) -> None:
        assert refused_with(lambda: KernelMap.from_id(0xFFFF_FFFE)) == errno.ENOENT
        with pytest.raises(InputError):
            KernelMap.from_id(-1)


def _forget_a_map() -> None:
    KernelMap.create(MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1)
    gc.collect()


class TestLifetime:
    def test_closing(self) -> None:
        array = KernelMap.create(MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1)
        assert "fd" in repr(array)
        array.close()
        array.close()
        assert array.closed
        assert repr(array) == "<KernelMap closed>"
        with pytest.raises(InputError, match="this map is closed"):
            array.lookup(u32(0))

    def test_forgotten_map_is_closed_with_a_warning(self) -> None:
        with pytest.warns(ResourceWarning) as caught:
            _forget_a_map()
        assert any(str(one.message).startswith("unclosed <KernelMap fd") for one in caught)

    def test_ids(self, array: KernelMap) -> None:
        identifiers = list(kernel.map_ids())
        assert identifiers == sorted(identifiers)
        assert array.info().id in identifiers

    def test_info(self, hash_map: KernelMap) -> None:
        info = hash_map.info()
        assert (info.type, info.key_size, info.value_size, info.max_entries) == (MapType.BPF_MAP_TYPE_HASH, 4, 8, 3)
        assert (info.name, info.flags) == ("numbers", MapFlag(0))
