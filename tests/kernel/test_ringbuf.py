"""Consuming a ring buffer that kernel programs fill: order, discarded records, wrapping, a full buffer."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

import pytest

from pybpftime.errors import InputError, InternalError
from pybpftime.kernel import KernelMap, KernelProgram, KernelRingBuffer, drain_ringbuf
from pybpftime.uapi import MapType, ProgramType

pytestmark = pytest.mark.usefixtures("bpf")

RESERVE, SUBMIT, DISCARD, OUTPUT = 131, 132, 133, 130  # helper numbers of bpf_ringbuf_*


def instruction(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    return struct.pack("=BBhi", opcode, dst | src << 4, offset, imm)


def load_map(ring: KernelMap) -> bytes:
    """r1 = the map"""
    return instruction(0x18, 1, 1, 0, ring.fileno()) + instruction(0)


def output_program(ring: KernelMap) -> bytes:
    """Output the 8 bytes that the context of a raw tracepoint starts with."""
    return (
        instruction(0x79, 2, 1, 0)  # r2 = *(u64 *)(r1 + 0)
        + instruction(0x7B, 10, 2, -8)  # *(u64 *)(r10 - 8) = r2
        + load_map(ring)
        + instruction(0xBF, 2, 10)  # r2 = r10
        + instruction(0x07, 2, imm=-8)  # r2 += -8
        + instruction(0xB7, 3, imm=8)  # r3 = 8
        + instruction(0xB7, 4)  # r4 = 0
        + instruction(0x85, imm=OUTPUT)
        + instruction(0x95)
    )


def reserve_program(ring: KernelMap, size: int, finish: int) -> bytes:
    """Reserve `size` bytes, write ctx[0:8] at their start, submit or discard; return whether there was room."""
    return (
        instruction(0x79, 6, 1, 0)  # r6 = *(u64 *)(r1 + 0)
        + load_map(ring)
        + instruction(0xB7, 2, imm=size)  # r2 = size
        + instruction(0xB7, 3)  # r3 = 0
        + instruction(0x85, imm=RESERVE)
        + instruction(0x15, 0, offset=5)  # if r0 == 0 goto exit
        + instruction(0x7B, 0, 6)  # *(u64 *)(r0 + 0) = r6
        + instruction(0xBF, 1, 0)  # r1 = r0
        + instruction(0xB7, 2)  # r2 = 0
        + instruction(0x85, imm=finish)
        + instruction(0xB7, 0, imm=1)  # r0 = 1
        + instruction(0x95)
    )


@pytest.fixture
def ring() -> Iterator[KernelMap]:
    with KernelMap.create(MapType.BPF_MAP_TYPE_RINGBUF, 0, 0, mmap.PAGESIZE, name="events") as result:
        yield result


def load(instructions: bytes) -> KernelProgram:
    return KernelProgram.load(ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT, instructions)


def send(program: KernelProgram, number: int) -> int:
    return program.test_run(ctx=struct.pack("=Q", number)).retval


def numbers(records: list[bytes]) -> list[int]:
    return [struct.unpack_from("=Q", record)[0] for record in records]


def test_records_come_in_order_and_once(ring: KernelMap) -> None:
    assert drain_ringbuf(ring) == []
    with load(output_program(ring)) as program:
        for number in range(5):
            assert send(program, number) == 0
        assert drain_ringbuf(ring) == [struct.pack("=Q", number) for number in range(5)]
        assert drain_ringbuf(ring) == []


def test_discarded_records_are_skipped(ring: KernelMap) -> None:
    with (
        load(reserve_program(ring, 24, SUBMIT)) as submit,
        load(reserve_program(ring, 40, DISCARD)) as discard,
        KernelRingBuffer(ring) as consumer,
    ):
        for number, program in enumerate([submit, discard, submit, discard, discard, submit]):
            assert send(program, number) == 1
        records = consumer.drain()
        assert numbers(records) == [0, 2, 5]
        assert {len(record) for record in records} == {24}


def test_records_wrap_around(ring: KernelMap) -> None:
    # 1,000 bytes and a header do not divide the page: most rounds have a record across the end of the buffer.
    with load(reserve_program(ring, 1000, SUBMIT)) as program, KernelRingBuffer(ring) as consumer:
        for round_number in range(50):
            expected = [round_number * 10 + index for index in range(3)]
            assert [send(program, number) for number in expected] == [1, 1, 1]
            records = consumer.drain()
            assert numbers(records) == expected
            assert {len(record) for record in records} == {1000}


def test_draining_makes_room_again(ring: KernelMap) -> None:
    with load(reserve_program(ring, 2000, SUBMIT)) as program:
        assert [send(program, number) for number in range(3)] == [1, 1, 0]
        assert numbers(drain_ringbuf(ring)) == [0, 1]
        assert send(program, 9) == 1
        assert numbers(drain_ringbuf(ring)) == [9]


class MemoryRing(KernelMap):
    """A ring buffer that no kernel fills: the test plays the producer."""

    def __init__(self) -> None:
        self.type = MapType.BPF_MAP_TYPE_RINGBUF
        self.max_entries = mmap.PAGESIZE
        self.producer = mmap.mmap(-1, 3 * mmap.PAGESIZE)

    def map_pages(self, offset: int, length: int, protection: int) -> mmap.mmap:
        return self.producer if offset else mmap.mmap(-1, length)

    def put(self, position: int, header: int) -> None:
        struct.pack_into("=I", self.producer, mmap.PAGESIZE + position, header)
        struct.pack_into("=Q", self.producer, 0, position + 16)


def test_reserved_record_holds_back_what_follows() -> None:
    busy = 1 << 31
    ring = MemoryRing()
    with KernelRingBuffer(ring) as consumer:
        ring.put(0, 8)
        ring.put(16, 8 | busy)
        ring.put(32, 8)
        assert consumer.drain() == [bytes(8)]
        assert consumer.drain() == []
        struct.pack_into("=I", ring.producer, mmap.PAGESIZE + 16, 8)
        assert consumer.drain() == [bytes(8)] * 2


def test_damaged_header() -> None:
    ring = MemoryRing()
    ring.put(0, mmap.PAGESIZE + 1)
    with KernelRingBuffer(ring) as consumer, pytest.raises(InternalError, match="a ring buffer record of"):
        consumer.drain()


def test_only_ring_buffers() -> None:
    with (
        KernelMap.create(MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1) as array,
        pytest.raises(InputError, match="only a BPF_MAP_TYPE_RINGBUF"),
    ):
        drain_ringbuf(array)
