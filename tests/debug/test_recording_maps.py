"""Maps in recordings: they begin as they were, byte for byte, and a damaged one is never given to a program."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from debug.recording_support import PROGRAMS, VALIDATOR, open_object, run_to_end
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftime.debug.recording import open_recording, read_recording, save
from pybpftime.debug.recording.slabs import check_slab
from pybpftime.debug.timeline import Change
from pybpftime.errors import BpfError, InputError
from pybpftime.machine import Environment
from pybpftime.maps import Map, create_map
from pybpftime.maps.layout import HEADER_SIZE
from pybpftime.maps.perf_event_array import PerfRecord
from pybpftime.maps.spec import MapSpec
from pybpftime.runtime import Object
from pybpftime.uapi import PAGE_SIZE, MapFlag, MapType


def number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "little")


def fill_hash(loaded: Object) -> None:
    """Elements that came, were changed, and went."""
    started = loaded.maps["started"].raw
    for key in range(40):
        started.update(number(key, 8), number(key * 1000, 8))
    for key in range(0, 40, 3):
        started.delete(number(key, 8))
    for key in range(0, 40, 4):
        started.update(number(key, 8), number(key * 7, 8))


def fill_lru(loaded: Object) -> None:
    recent = loaded.maps["recent"].raw
    for key in range(100):
        recent.update(number(key, 6), number(key, 16))
    recent.element_address(number(50, 6))


def fill_per_cpu(loaded: Object) -> None:
    loaded.maps["types"].raw.update(number(8, 2), [number(cpu, 8) for cpu in range(4)])
    loaded.maps["totals"].raw.update(number(0), [number(cpu, 24) for cpu in range(4)])


def fill_ring(loaded: Object) -> None:
    ring: Any = loaded.maps["events"].raw
    for size in (5, 800, 17):
        ring.output(bytes(range(256)) * 4 if size == 800 else bytes(size))
    ring.drain()
    ring.output(b"waits")
    ring.reserve(24)


def fill_perf(loaded: Object) -> None:
    events: Any = loaded.maps["events"].raw
    events.output(2, b"before", cpu=2)
    events.buffer(1).capacity = 10
    events.delete(number(3))


def fill_stacks(loaded: Object) -> None:
    stacks: Any = loaded.maps["stacks"].raw
    for start in range(5):
        stacks.stack_id([start, start + 1, 99])
    stacks.delete(number(stacks.stack_id([1, 2, 99])))


def fill_programs(loaded: Object) -> None:
    loaded.maps["stages"][3] = loaded["count_arp"]
    loaded.maps["stages"].raw.delete(number(0))


def fill_globals(loaded: Object) -> None:
    loaded.maps[".bss"].raw.update(number(0), bytes(range(104)))


CASES: dict[str, Callable[[Object], None]] = {
    "latency": fill_hash, "lru": fill_lru, "percpu": fill_per_cpu, "ringbuf": fill_ring, "perf_output": fill_perf,
    "stack_trace": fill_stacks, "tail_calls": fill_programs, "globals": fill_globals,
}  # fmt: skip


def state_of(map: Map) -> tuple[bytes, Any]:
    """All of a map.  Buffers are objects of a process: what is in them counts."""
    beside: Any = map.beside_slab()
    if map.type == MapType.BPF_MAP_TYPE_PERF_EVENT_ARRAY:
        beside = [(one[0], one[1].cpu, one[1].capacity, *one[2:]) for one in beside]
    if map.type == MapType.BPF_MAP_TYPE_PROG_ARRAY:
        programs: Any = map
        return b"", [(index, program.spec.name) for index, program in programs.programs()]
    return bytes(map.slab.data), beside


@pytest.mark.parametrize("name", CASES)
def test_maps_begin_as_they_were(name: str, tmp_path: Path) -> None:
    file = tmp_path / "one.bpfrec"
    session = open_object(PROGRAMS / f"{name}.bpf.o", 3, Environment(cpu_count=4), maps=CASES[name])
    wanted = {view.raw.name: state_of(view.raw) for view in session.object.maps.values()}
    run_to_end(session)
    save(session, file)
    recording = read_recording(file)
    assert {view.raw.name: state_of(view.raw) for view in recording.session.object.maps.values()} == wanted
    assert recording.check().is_equal
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert any(line.get("record") == "map" for line in lines)
    for line in lines:
        VALIDATOR.validate(line)


def test_maps_as_the_object_gives_them_take_no_room(tmp_path: Path) -> None:
    session = run_to_end(open_object(PROGRAMS / "latency.bpf.o", 3, Environment()))
    save(session, tmp_path / "one.bpfrec")
    assert '"record": "map"' not in (tmp_path / "one.bpfrec").read_text()


def test_a_buffer_that_is_full_goes_on_losing_records(tmp_path: Path) -> None:
    session = open_object(PROGRAMS / "perf_output.bpf.o", 4, Environment(cpu_count=4), maps=fill_perf)
    run_to_end(session)
    save(session, tmp_path / "one.bpfrec")
    other = run_to_end(open_recording(tmp_path / "one.bpfrec"))
    here, there = (one.object.maps["events"].raw for one in (session, other))
    assert state_of(there) == state_of(here)
    assert PerfRecord(2, b"before") in state_of(here)[1][2][3]


def test_changes_of_elements_are_recorded(tmp_path: Path) -> None:
    file = tmp_path / "one.bpfrec"
    session = open_object(PROGRAMS / "percpu.bpf.o", 4, Environment(cpu_count=4))
    session.start()
    session.goto(9)
    key = number(0x0608, 2)
    values = tuple(number(cpu + 100, 8) for cpu in range(4))
    session.change(Change.ELEMENT, ("types", key), values)
    run_to_end(session)
    session.goto(session.world.timeline.starts[2])
    session.change(Change.ELEMENT, ("types", key), None)
    run_to_end(session)
    save(session, file)
    recording = read_recording(file)
    assert recording.check().is_equal
    other = recording.session
    here, there = (one.object.maps["types"].raw for one in (session, run_to_end(other)))
    assert there.items() == here.items()
    other.world.switch(1, other.world.timelines[0].end)
    assert other.object.maps["types"].raw.lookup(key)[0] >= values[0]

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        VALIDATOR.validate(line)
        if line.get("record") == "edit":
            line["key"] = "AAAA"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InputError, match="a key has 2 bytes, not 3"):
        open_recording(file)


# --- damaged maps -----------------------------------------------------------------------------------------------------


def hash_spec(kind: MapType, flags: int = 0) -> MapSpec:
    return MapSpec("m", kind, key_size=4, value_size=8, max_entries=8, flags=flags)


def filled(kind: MapType) -> Map:
    """A map with a past, in memory of its own."""
    if kind == MapType.BPF_MAP_TYPE_RINGBUF:
        ring: Any = create_map(MapSpec("m", kind, key_size=0, value_size=0, max_entries=4096))
        for size in (10, 300, 7):
            ring.output(bytes(size))
        ring.reserve(40)
        return ring  # type: ignore[no-any-return]
    if kind == MapType.BPF_MAP_TYPE_STACK_TRACE:
        stacks: Any = create_map(MapSpec("m", kind, key_size=4, value_size=64, max_entries=8))
        for start in range(6):
            try:
                stacks.stack_id([start, 5])
            except BpfError:
                continue
        return stacks  # type: ignore[no-any-return]
    made = create_map(hash_spec(kind))
    for key in range(7):
        made.update(number(key), number(key, 8))
    for key in (2, 5):
        made.delete(number(key))
    made.update(number(3), bytes(8))
    return made


KINDS = (
    MapType.BPF_MAP_TYPE_HASH, MapType.BPF_MAP_TYPE_LRU_HASH, MapType.BPF_MAP_TYPE_RINGBUF,
    MapType.BPF_MAP_TYPE_STACK_TRACE,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_whole_maps_are_whole(kind: MapType) -> None:
    made = filled(kind)
    before = made.beside_slab()
    assert check_slab(made, bytes(made.slab.data[:HEADER_SIZE])) is None
    assert made.beside_slab() == before


def use(made: Map) -> None:
    """Everything that walks along links."""
    if made.type == MapType.BPF_MAP_TYPE_RINGBUF:
        ring: Any = made
        ring.output(b"more")
        ring.drain()
        return
    for key, value in made.items():
        assert len(value) == made.value_size
        made.delete(key)
    if made.type != MapType.BPF_MAP_TYPE_STACK_TRACE:
        keys = [number(one) for one in range(100, 108)]
        for key in keys:
            made.update(key, bytes(8))
        assert sorted(made.keys()) == sorted(keys)


@settings(max_examples=250)
@given(data=st.data())
def test_a_damaged_map_is_seen_or_works(data: st.DataObject) -> None:
    made = filled(data.draw(st.sampled_from(KINDS)))
    header = bytes(made.slab.data[:HEADER_SIZE])
    used = [at for at in range(0, len(made.slab.data), 4) if any(made.slab.data[at : at + 4])] + [112, 116, 120, 124]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(used))
        value = data.draw(st.one_of(st.integers(0, 9), st.sampled_from([1 << 31, 0xFFFF_FFFF, 0x4000_0000])))
        made.slab.data[at : at + 4] = struct.pack("<I", value)
    if check_slab(made, header) is None:
        use(made)


def recorded(tmp_path: Path, name: str, changed: Callable[[list[dict[str, Any]]], Iterable[dict[str, Any]]]) -> Path:
    """A recording whose map records went through `changed`."""
    file = tmp_path / "one.bpfrec"
    save(open_object(PROGRAMS / f"{name}.bpf.o", 1, Environment(cpu_count=4), maps=CASES[name]), file)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    maps = list(changed([line for line in lines if line.get("record") == "map"]))
    others = [line for line in lines if line.get("record") != "map"]
    at = next(number for number, line in enumerate(others) if line.get("record") == "session") + 1
    lines = [*others[:at], *maps, *others[at:]]
    lines[-1] = {"record": "end", "lines": len(lines)}
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


PAGES = base64.b64encode(bytes(PAGE_SIZE)).decode()


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("latency", {"name": "other"}, "the object has no map 'other'"),
        ("latency", {"pages": [[0, PAGES]]}, "map started is damaged: its header is that of another map"),
        ("latency", {"pages": [[1 << 40, PAGES]]}, "the number of a page is a number from 0"),
        ("latency", {"pages": [[0, "AAAA"]]}, "a page has 4096 bytes"),
        ("latency", {"pages": [[0]]}, "pages is a list of pairs"),
        ("latency", {"pages": 7}, "pages is a list"),
        ("ringbuf", {"wakeups": -1}, "wakeups is a number"),
        ("tail_calls", {"programs": [[0, "nobody"]]}, "a program of the object"),
        ("tail_calls", {"programs": [[77, "dispatch"]]}, "the index of a program is a number from 0 to 3"),
        ("tail_calls", {"programs": [["x", "dispatch"]]}, "the index of a program"),
        ("perf_output", {"buffers": [[0, 0, 8]]}, "buffers is a list of index"),
        ("perf_output", {"buffers": [[0, 9, 8, 0]]}, "the cpu of a buffer is a number from 0 to 3"),
        ("perf_output", {"buffer": 7, "contents": []}, "no buffer is open there"),
        ("perf_output", {"buffer": 1, "contents": ["AAAAAAAAAAAAAAAAAAAAAAAA"]}, None),
    ],
)
def test_what_does_not_fit_the_map_is_named(
    name: str, fields: dict[str, Any], reason: str | None, tmp_path: Path
) -> None:
    def changed(maps: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
        if "buffer" in fields:
            return [*maps, {"record": "map", "name": "events", **fields}]
        return [maps[0] | fields, *maps[1:]]

    file = recorded(tmp_path, name, changed)
    with pytest.raises(InputError, match=reason or "no room for its records") as caught:
        open_recording(file)
    assert caught.value.line is not None


def test_a_map_for_good_stays_so(tmp_path: Path) -> None:
    session = open_object(PROGRAMS / "globals.bpf.o", 1, Environment())
    save(session, tmp_path / "one.bpfrec")
    other = open_recording(tmp_path / "one.bpfrec")
    constant = other.object.maps[".rodata"].raw
    assert constant.flags & MapFlag.BPF_F_RDONLY_PROG
    assert constant.frozen
