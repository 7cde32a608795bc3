"""The slab: its documented layout, read by a second reader; storage from elsewhere; hosts of the other byte order."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pybpftime.errors import HostError, InputError
from pybpftime.maps import MapError, MapSpec, create_map, slab
from pybpftime.maps.layout import (
    CONSUMER_POSITION,
    HEADER_FIELDS,
    MAGIC,
    PENDING_POSITION,
    PRODUCER_POSITION,
    RING_DATA,
    SLOT_FIELDS,
    VERSION,
)
from pybpftime.uapi import MapType

MakeMap = Callable[..., Any]


def key(number: int) -> bytes:
    return number.to_bytes(4, "little")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/maps/slab_reader.c, compiled."""
    compiler = shutil.which("cc") or shutil.which("clang") or shutil.which("clang-19")
    if compiler is None:
        pytest.skip("needs a C compiler")
    program = tmp_path_factory.mktemp("slab") / "slab_reader"
    source = Path(__file__).with_name("slab_reader.c")
    subprocess.run([compiler, "-std=c99", "-Wall", "-Werror", "-o", str(program), str(source)], check=True, timeout=60)
    return program


def entries(reader: Path, folder: Path, storage: memoryview) -> list[list[str]]:
    """What the second reader sees: for each element its key and values in hexadecimal."""
    dump = folder / "slab"
    dump.write_bytes(storage)
    result = subprocess.run([str(reader), str(dump)], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return [line.split(" ") for line in result.stdout.splitlines()]


def expected(items: list[tuple[bytes, Any]]) -> list[list[str]]:
    return [
        [one.hex(), *(value.hex() for value in (values if isinstance(values, tuple) else (values,)))]
        for one, values in items
    ]


def exercise(table: Any, key_size: int, value_size: int, steps: int = 400) -> None:
    """Random updates and deletions by both sides."""
    chance = random.Random(7)
    for _ in range(steps):
        one = chance.randrange(24).to_bytes(key_size, "big")
        value = chance.randbytes(value_size)
        try:
            if chance.random() < 0.3:
                table.delete(one)
            elif chance.random() < 0.5 and table.kind.per_cpu:
                table.update(one, [chance.randbytes(value_size) for _ in range(table.cpu_count)])
            else:
                table.update_element(one, value, cpu=chance.randrange(table.cpu_count))
        except MapError:
            continue


class TestSecondReader:
    @pytest.mark.parametrize("type_name", ["HASH", "LRU_HASH", "PERCPU_HASH"])
    @pytest.mark.parametrize(("key_size", "value_size"), [(1, 1), (4, 8), (13, 5), (24, 40)])
    @pytest.mark.parametrize("seed", [0, 0x0123456789ABCDEF])
    def test_hash_maps(
        self, make_map: MakeMap, reader: Path, tmp_path: Path, type_name: str, key_size: int, value_size: int, seed: int
    ) -> None:
        table = make_map(type_name, key_size, value_size, 16, cpu_count=3, seed=seed)
        assert entries(reader, tmp_path, table.slab.data) == []
        exercise(table, key_size, value_size)
        assert table.count > 8
        assert entries(reader, tmp_path, table.slab.data) == expected(table.items())

    @pytest.mark.parametrize("type_name", ["ARRAY", "PERCPU_ARRAY"])
    def test_arrays(self, make_map: MakeMap, reader: Path, tmp_path: Path, type_name: str) -> None:
        table = make_map(type_name, 4, 13, 5, cpu_count=3)
        for index in range(5):
            table.update_element(key(index), random.Random(index).randbytes(13), cpu=index % 2)
        assert entries(reader, tmp_path, table.slab.data) == expected(table.items())

    def test_program_arrays(self, make_map: MakeMap, reader: Path, tmp_path: Path) -> None:
        table = make_map("PROG_ARRAY", 4, 4, 300)
        for index in (0, 7, 299):
            table.update(key(index), object())
        assert entries(reader, tmp_path, table.slab.data) == expected(table.items())
        assert len(table.items()) == 3

    def test_perf_event_arrays(self, make_map: MakeMap, reader: Path, tmp_path: Path) -> None:
        table = make_map("PERF_EVENT_ARRAY", 4, 4, 4, cpu_count=2)
        assert entries(reader, tmp_path, table.slab.data) == [["00000000", "01000000"], ["01000000", "02000000"]]

    def test_stacks(self, make_map: MakeMap, reader: Path, tmp_path: Path) -> None:
        table = make_map("STACK_TRACE", 4, 64, 20)
        for length in range(1, 9):
            table.stack_id([0xFFFF_FFFF_8100_0000 + 16 * i for i in range(length)], 1 << 10)
        kept = [(one, value.rstrip(b"\0")) for one, value in table.items()]
        seen = entries(reader, tmp_path, table.slab.data)
        assert [one for one, _ in seen] == [one.hex() for one, _ in kept]
        assert [bytes.fromhex(frames).rstrip(b"\0") for _, frames in seen] == [frames for _, frames in kept]

    def test_ring_buffers(self, make_map: MakeMap, reader: Path, tmp_path: Path) -> None:
        ring = make_map("RINGBUF", 0, 0, 4096)
        for number in range(200):
            ring.drain()
            ring.output(number.to_bytes(4, "little") * (number % 50))
        sent = [random.Random(n).randbytes(n) for n in range(1, 60)]
        for record in sent:
            ring.output(record)
            ring.discard(ring.reserve(3))
        ring.reserve(8)
        ring.output(b"behind a reserved record")
        seen = entries(reader, tmp_path, ring.slab.data)
        assert seen[1:] == [[record.hex()] for record in sent]
        assert [[record.hex()] for record in ring.drain()] == seen

    def test_it_notices_damage(self, make_map: MakeMap, reader: Path, tmp_path: Path) -> None:
        table = make_map("HASH", 4, 8, 16)
        exercise(table, 4, 8)
        good = bytes(table.slab.data)
        for name in ("magic", "version", "slab_size", "hash_seed", "live_count", "used_slots", "spare"):
            offset = next(offset for field, offset, _ in HEADER_FIELDS if field == name)
            damaged = bytearray(good)
            damaged[offset] ^= 0x55
            (tmp_path / "slab").write_bytes(damaged)
            result = subprocess.run([str(reader), str(tmp_path / "slab")], capture_output=True, timeout=60, check=False)
            assert result.returncode == 1, name


class TestDocument:
    """docs/reference/layout.md says what the code does."""

    @pytest.fixture
    def fields(self, repository: Path) -> list[tuple[str, int, int]]:
        text = (repository / "docs" / "reference" / "layout.md").read_text(encoding="utf-8")
        rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+|`max_entries`) \|", text, re.MULTILINE)
        return [(name, int(offset), 0 if size.startswith("`") else int(size)) for name, offset, size in rows]

    def test_the_tables_are_those_of_the_code(self, fields: list[tuple[str, int, int]]) -> None:
        ring = [
            ("consumer_position", CONSUMER_POSITION, 8),
            ("producer_position", PRODUCER_POSITION, 8),
            ("pending_position", PENDING_POSITION, 8),
            ("data", RING_DATA, 0),
        ]
        assert fields == [*HEADER_FIELDS, *SLOT_FIELDS, *ring]

    def test_fields_do_not_overlap_and_are_aligned(self) -> None:
        for table in (HEADER_FIELDS, SLOT_FIELDS):
            end = 0
            for _, offset, size in table:
                assert offset >= end
                assert offset % size == 0
                end = offset + size

    def test_a_header_on_its_own(self, make_map: MakeMap) -> None:
        data = bytes(make_map("PERCPU_HASH", 6, 10, 5, cpu_count=3, seed=9).slab.data)
        assert data[:8] == MAGIC == b"BPFTSLAB"
        numbers = {name: int.from_bytes(data[o : o + s], "little") for name, o, s in HEADER_FIELDS[1:]}
        assert numbers == {
            "version": VERSION,
            "map_type": 5,
            "key_size": 6,
            "value_size": 10,
            "max_entries": 5,
            "map_flags": 0,
            "cpu_count": 3,
            "bucket_count": 8,
            "slot_count": 5,
            "slot_stride": 32 + 8 + 3 * 16,
            "key_offset": 32,
            "value_offset": 40,
            "value_stride": 16,
            "buckets_offset": 4096,
            "slots_offset": 4096 + 64,
            "slab_size": 4160 + 5 * 88,
            "hash_seed": 9,
            "lock_owner": 0,
            "lock_start_time": 0,
            "live_count": 0,
            "used_slots": 0,
            "free_head": 0,
            "newest": 0,
            "oldest": 0,
            "frozen": 0,
            "spare": 0,
        }
        assert data[4096:] == bytes(len(data) - 4096)


SPEC = MapSpec("shared", MapType.BPF_MAP_TYPE_HASH, 4, 8, 16)


class TestStorage:
    def test_two_maps_over_one_storage_are_one_map(self) -> None:
        storage = memoryview(bytearray(1 << 14))
        one = create_map(SPEC, storage=storage, seed=77)
        one.update(key(1), bytes(8))
        two = create_map(SPEC, storage=storage)
        two.update(key(2), b"\1" * 8)
        assert one.items() == two.items()
        one.freeze()
        assert two.frozen

    def test_initial_contents_are_written_once(self) -> None:
        storage = memoryview(bytearray(1 << 14))
        spec = MapSpec("data", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1, contents=b"abc")
        create_map(spec, storage=storage).update(key(0), bytes(8))
        assert create_map(spec, storage=storage).lookup(key(0)) == bytes(8)

    def test_another_map_in_the_storage_is_refused(self) -> None:
        storage = memoryview(bytearray(1 << 14))
        create_map(SPEC, storage=storage)
        with pytest.raises(InputError, match=r"the storage holds another map \(max_entries is 16\)"):
            create_map(MapSpec("other", MapType.BPF_MAP_TYPE_HASH, 4, 8, 17), storage=storage)

    @pytest.mark.parametrize(
        ("storage", "text"),
        [
            (memoryview(bytes(1 << 14)), "not writable"),
            (memoryview(bytearray(1 << 15))[::2], "not writable, contiguous"),
            (memoryview(bytearray(100)), "has 100 bytes and"),
            (memoryview(bytearray(b"GARBAGE!" * 2048)), "something that is no map"),
        ],
    )
    def test_unfit_storage_is_refused(self, storage: memoryview, text: str) -> None:
        with pytest.raises(InputError, match=text):
            create_map(SPEC, storage=storage)

    def test_no_memory_is_a_host_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(12, "Cannot allocate memory")

        monkeypatch.setattr(slab.mmap, "mmap", refuse)
        with pytest.raises(HostError, match="map big: no memory for"):
            create_map(MapSpec("big", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1_000_000))


def test_hosts_of_the_other_byte_order(make_map: MakeMap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slab, "little_endian", slab.SwappedWords)
    swapped = make_map("LRU_HASH", 4, 8, 16)
    assert isinstance(swapped.slab.words, slab.SwappedWords)
    monkeypatch.undo()
    table = make_map("LRU_HASH", 4, 8, 16)
    for one in (swapped, table):
        exercise(one, 4, 8)
    assert bytes(swapped.slab.data) == bytes(table.slab.data)


def test_words_of_the_other_byte_order() -> None:
    words = slab.SwappedWords(memoryview(bytearray(8)))
    words[1] = 0x01020304
    assert words[1] == 0x01020304
    assert bytes(words._data) == b"\0\0\0\0\4\3\2\1"
