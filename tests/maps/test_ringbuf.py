"""Ring buffers: records, positions, room, and what a program may touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.map_calls import errno_of

from pybpftime.errors import Fault, FaultKind
from pybpftime.machine.memory import Memory
from pybpftime.machine.strictness import LINUX, STRICT
from pybpftime.maps import Errno, MapError, MapSpec, RingBuffer, create_map
from pybpftime.maps.ringbuf import (
    BPF_RB_AVAIL_DATA,
    BPF_RB_CONS_POS,
    BPF_RB_FORCE_WAKEUP,
    BPF_RB_NO_WAKEUP,
    BPF_RB_PROD_POS,
    BPF_RB_RING_SIZE,
)
from pybpftime.uapi import MapType

MakeMap = Callable[..., Any]


@pytest.fixture
def ring(make_map: MakeMap) -> RingBuffer:
    ring = make_map("RINGBUF", 0, 0, 4096)
    assert isinstance(ring, RingBuffer)
    return ring


def test_records_come_out_in_order_up_to_a_reserved_one(ring: RingBuffer, memory: Memory) -> None:
    first, second, third = ring.reserve(8), ring.reserve(4), ring.reserve(1)
    memory.store(second, 4, 2)
    ring.submit(second)
    ring.discard(third)
    assert ring.drain() == []
    memory.store(first, 8, 1)
    ring.submit(first)
    ring.output(b"")
    ring.output(b"three")
    assert ring.count == 4
    assert ring.drain() == [b"\1" + bytes(7), b"\2\0\0\0", b"", b"three"]
    assert ring.drain() == []


def test_query(ring: RingBuffer) -> None:
    ring.output(bytes(9))
    assert [ring.query(what) for what in (BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE, BPF_RB_CONS_POS, BPF_RB_PROD_POS)] == [
        24,
        4096,
        0,
        24,
    ]
    ring.drain()
    assert (ring.query(BPF_RB_AVAIL_DATA), ring.query(BPF_RB_CONS_POS)) == (0, 24)
    assert ring.query(4) == 0


def test_a_full_ring_has_no_room(ring: RingBuffer) -> None:
    assert ring.reserve(4089) == 0
    assert ring.reserve(4088) == 0  # one byte of the ring always stays free
    assert ring.reserve(1 << 32) == 0
    assert ring.reserve(8, 1) == 0
    ring.output(bytes(4080))
    assert errno_of(ring.output, b"") == Errno.EAGAIN
    assert ring.drain() == [bytes(4080)]
    ring.output(b"1")


def test_an_old_reserved_record_blocks_the_ring(ring: RingBuffer) -> None:
    held = ring.reserve(8)
    for _ in range(255 // 2):
        ring.output(bytes(24))
    assert ring.reserve(24) == 0
    assert ring.drain() == []
    ring.discard(held)
    assert len(ring.drain()) == 127
    assert ring.reserve(24) != 0


def test_a_record_that_wraps_is_contiguous(ring: RingBuffer, memory: Memory) -> None:
    ring.output(bytes(4072))
    ring.drain()
    address = ring.reserve(21)
    memory.write(address, bytes(range(21)))
    assert memory.read(address + 5, 16) == bytes(range(5, 21))
    memory.store(address + 13, 8, 0x0807060504030201)
    assert memory.load(address + 13, 8) == 0x0807060504030201
    ring.submit(address)
    assert ring.drain() == [bytes(range(13)) + bytes(range(1, 9))]


def test_flags(ring: RingBuffer) -> None:
    woken: list[int] = []
    ring.on_wakeup = lambda: woken.append(ring.wakeups)
    ring.output(b"1")  # the reader waits for this one
    ring.output(b"2")  # not for this one
    ring.output(b"3", BPF_RB_FORCE_WAKEUP)
    ring.drain()
    ring.output(b"4", BPF_RB_NO_WAKEUP)
    assert woken == [1, 2]
    assert errno_of(ring.output, b"1", 4) == Errno.EINVAL


def test_only_reserved_records_may_be_accessed(ring: RingBuffer, memory: Memory) -> None:
    first, second = ring.reserve(8), ring.reserve(16)
    with pytest.raises(Fault, match=r"map counts record\+4: 4 bytes past the end \(map counts record has 8 bytes\)"):
        memory.load(first + 4, 8)
    with pytest.raises(Fault, match="1 byte before the start"):
        memory.store(second - 1, 1, 0)
    ring.submit(first)
    for access in (
        lambda: memory.load(first, 8),
        lambda: memory.store(first, 8, 1),
        lambda: memory.read(first, 1),
        lambda: memory.write(first, b"1"),
    ):
        with pytest.raises(Fault) as caught:
            access()
        assert caught.value.kind == FaultKind.MEMORY
    assert ring.reserved == [second]
    ring.discard(second)
    with pytest.raises(Fault, match="no record of it is reserved"):
        memory.load(second, 8)


def test_only_reserved_records_may_be_finished(ring: RingBuffer) -> None:
    address = ring.reserve(8)
    for bad in (address + 8, address + (1 << 36), 0, ring.address):
        with pytest.raises(Fault) as caught:
            ring.submit(bad)
        assert caught.value.kind == FaultKind.HELPER
    ring.submit(address)
    with pytest.raises(Fault, match="bpf_ringbuf_discard"):
        ring.discard(address)


def test_alignment_goes_by_strictness() -> None:
    spec = MapSpec("events", MapType.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096)
    for level in (LINUX, STRICT):
        memory, ring = Memory(), create_map(spec)
        assert isinstance(ring, RingBuffer)
        ring.attach(memory, level)
        address = ring.reserve(16)
        if level is STRICT:
            with pytest.raises(Fault, match="not aligned to 8"):
                memory.load(address + 4, 8)
            with pytest.raises(Fault, match="not aligned to 8"):
                memory.store(address + 4, 8, 1)
        else:
            memory.store(address + 4, 8, 1)
            assert memory.load(address + 4, 8) == 1


def test_user_space_has_no_elements(ring: RingBuffer) -> None:
    for call, *arguments in (
        (ring.lookup, b""),
        (ring.update, b"", b""),
        (ring.next_key,),
        (ring.keys,),
        (ring.items,),
        (ring.lookup_and_delete, b""),
        (ring.delete, b""),
    ):
        assert errno_of(call, *arguments) == Errno.ENOTSUPP


@given(st.lists(st.one_of(st.binary(max_size=700), st.integers(0, 3)), max_size=60))
def test_what_comes_out_is_what_went_in(steps: list[bytes | int]) -> None:
    """Bytes are put out; a number reserves (0), finishes the oldest (1), discards the newest (2) or drains (3)."""
    memory, ring = Memory(), create_map(MapSpec("events", MapType.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096))
    assert isinstance(ring, RingBuffer)
    ring.attach(memory, LINUX)
    model: list[list[Any]] = []  # content, and its address while it is reserved
    counter = 0

    def drained() -> list[bytes]:
        result = []
        while model and model[0][1] is None:
            content = model.pop(0)[0]
            if content is not None:
                result.append(content)
        return result

    for step in steps:
        reserved = [record for record in model if record[1] is not None]
        if isinstance(step, bytes):
            try:
                ring.output(step)
                model.append([step, None])
            except MapError as error:
                assert error.errno == Errno.EAGAIN
        elif step == 0:
            address = ring.reserve(300)
            if address:
                counter += 1
                content = counter.to_bytes(2, "little") * 150
                memory.write(address, content)
                model.append([content, address])
        elif step == 1 and reserved:
            ring.submit(reserved[0][1])
            reserved[0][1] = None
        elif step == 2 and reserved:
            ring.discard(reserved[-1][1])
            reserved[-1][:] = [None, None]
        elif step == 3:
            assert ring.drain() == drained()
    for record in model:
        if record[1] is not None:
            assert memory.read(record[1], 300) == record[0]
            ring.submit(record[1])
            record[1] = None
    assert ring.drain() == drained()
