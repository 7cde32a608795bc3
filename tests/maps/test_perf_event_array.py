"""Perf buffers by index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.map_calls import errno_of

from pybpftime.maps import Errno, PerfBuffer, PerfEventArray, PerfRecord
from pybpftime.maps.perf_event_array import BPF_F_CURRENT_CPU

MakeMap = Callable[..., Any]


def key(index: int) -> bytes:
    return index.to_bytes(4, "little")


@pytest.fixture
def events(make_map: MakeMap) -> PerfEventArray:
    """Four indices, two cpus."""
    events = make_map("PERF_EVENT_ARRAY", 4, 4, 4, cpu_count=2)
    assert isinstance(events, PerfEventArray)
    return events


def test_records_are_collected_for_each_cpu(events: PerfEventArray) -> None:
    events.output(BPF_F_CURRENT_CPU, b"a", cpu=1)
    events.output(0, b"b", cpu=0)
    events.output(1, b"c", cpu=1)
    assert events.drain() == [PerfRecord(0, b"b"), PerfRecord(1, b"a"), PerfRecord(1, b"c")]
    assert events.drain() == []
    assert events.count == 2


def test_errno_of_output(events: PerfEventArray) -> None:
    assert errno_of(events.output, 4, b"a") == Errno.E2BIG
    assert errno_of(events.output, 2, b"a") == Errno.ENOENT
    assert errno_of(events.output, 1, b"a", 0) == Errno.EOPNOTSUPP
    events.delete(key(0))
    assert errno_of(events.output, BPF_F_CURRENT_CPU, b"a", 0) == Errno.ENOENT
    assert events.buffer(0) is None


def test_user_space_opens_buffers_of_its_own(events: PerfEventArray) -> None:
    seen: list[PerfRecord] = []
    events.update(key(3), PerfBuffer(1, on_record=seen.append))
    events.output(3, b"a", cpu=1)
    assert seen == [PerfRecord(1, b"a")]
    assert events.drain() == []


def test_a_full_buffer_loses_records_and_says_so(events: PerfEventArray) -> None:
    events.update(key(0), PerfBuffer(0, capacity=10))
    events.output(0, b"12345678")
    assert errno_of(events.output, 0, b"123") == Errno.ENOSPC
    events.output(0, b"12")
    assert events.lost == 1
    assert [record.data for record in events.drain()] == [b"12345678", b"12"]
    events.output(0, b"1234567890")


def test_errno_of_user_space(events: PerfEventArray) -> None:
    assert errno_of(events.lookup, key(0)) == Errno.ENOTSUPP
    assert errno_of(events.update, key(0), PerfBuffer(0), 1) == Errno.EINVAL
    assert errno_of(events.update, key(4), PerfBuffer(0)) == Errno.E2BIG
    assert errno_of(events.update, key(0), bytes(4)) == Errno.EBADF
    assert errno_of(events.delete, key(3)) == Errno.ENOENT
    assert errno_of(events.delete, key(4)) == Errno.E2BIG
    assert events.next_key(key(0)) == key(1)
