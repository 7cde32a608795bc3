"""The area's layout: what is written can be read back by somebody who knows nothing but the address."""

from __future__ import annotations

import pytest

from pybpftime.attach.area import CAPACITY, COPY_SIZE, SIZE, Area, Record, SignalAction
from pybpftime.attach.trap_handler import CODE, HANDLER

BASE = 0x7F00_0000_0000


class FakeMemory:
    """Memory at BASE, and the order in which it was written."""

    def __init__(self) -> None:
        self.content = bytearray(SIZE)
        self.writes: list[tuple[int, int]] = []

    def read(self, address: int, size: int) -> bytes:
        assert BASE <= address <= address + size <= BASE + SIZE
        return bytes(self.content[address - BASE : address - BASE + size])

    def write(self, address: int, content: bytes) -> None:
        assert BASE <= address <= address + len(content) <= BASE + SIZE
        self.writes.append((address - BASE, len(content)))
        self.content[address - BASE : address - BASE + len(content)] = content


@pytest.fixture
def memory() -> FakeMemory:
    return FakeMemory()


@pytest.fixture
def area(memory: FakeMemory) -> Area:
    return Area.create(BASE, memory.read, memory.write, old_action=SignalAction(1, 2, 3, 4))


def test_records_are_read_back_by_another(memory: FakeMemory, area: Area) -> None:
    records = [Record(0x5000 + 16 * number, area.base, 0x55) for number in range(3)]
    expected = []
    for record in records:
        expected.append(Record(record.address, area.next_copy, record.byte))
        area.add(expected[-1], b"\x90" * COPY_SIZE)
    found = Area.recognise(BASE, SIZE, memory.read, memory.write)
    assert found is not None
    assert found.records() == expected
    assert found.old_action == SignalAction(1, 2, 3, 4)
    assert found.next_copy == area.next_copy


def test_the_copy_is_written_before_the_record_and_that_before_the_count(memory: FakeMemory, area: Area) -> None:
    memory.writes.clear()
    copy = area.next_copy
    area.add(Record(0x1234, copy, 0xC3), b"\xc3")
    offsets = [offset for offset, _ in memory.writes]
    assert offsets == [copy - BASE, 0x1000, 0x14]


def test_the_handler_is_there_before_the_area_can_be_recognised(memory: FakeMemory, area: Area) -> None:
    assert memory.writes[-1][0] == 0
    assert memory.read(BASE + HANDLER, len(CODE)) == CODE
    assert area.action.handler == BASE + HANDLER


def test_it_is_full_after_its_capacity(area: Area) -> None:
    for number in range(CAPACITY):
        assert not area.is_full
        area.add(Record(number, area.next_copy, 0), b"\x90" * COPY_SIZE)
    assert area.is_full


@pytest.mark.parametrize(("offset", "content"), [(0, b"x"), (0x10, b"\x09"), (0x14, b"\xff\xff"), (0x20, b"\1")])
def test_what_is_no_area_is_not_recognised(memory: FakeMemory, area: Area, offset: int, content: bytes) -> None:
    assert Area.recognise(BASE, SIZE, memory.read, memory.write) is not None
    memory.write(BASE + offset, content)
    assert Area.recognise(BASE, SIZE, memory.read, memory.write) is None


def test_a_smaller_mapping_is_not_looked_at(memory: FakeMemory) -> None:
    assert Area.recognise(BASE, 4096, memory.read, memory.write) is None


def test_areas_are_linked(memory: FakeMemory, area: Area) -> None:
    assert area.next == 0
    other = Area(BASE + 2 * SIZE, memory.read, memory.write)
    area.link(other)
    assert area.next == other.base
