"""Call stacks by id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.map_calls import errno_of

from pybpftime.maps import Errno, MapError, StackTraceMap
from pybpftime.maps.hashing import hasher
from pybpftime.maps.stack_trace import BPF_F_FAST_STACK_CMP, BPF_F_REUSE_STACKID, BPF_F_USER_STACK

MakeMap = Callable[..., Any]


def frames_of(value: object) -> list[int]:
    assert isinstance(value, bytes)
    return [int.from_bytes(value[i : i + 8], "little") for i in range(0, len(value), 8)]


def key(identifier: int) -> bytes:
    return identifier.to_bytes(4, "little")


def rivals(stacks: StackTraceMap) -> tuple[list[int], list[int]]:
    """Two stacks of one frame that want the same id."""
    seen: dict[int, int] = {}
    frame = 1
    while True:
        identifier = hasher(8, 0)(frame.to_bytes(8, "little")) & (stacks.layout.bucket_count - 1)
        if identifier in seen:
            return [seen[identifier]], [frame]
        seen[identifier] = frame
        frame += 1


@pytest.fixture
def stacks(make_map: MakeMap) -> StackTraceMap:
    """Room for three stacks of four frames."""
    stacks = make_map("STACK_TRACE", 4, 32, 3)
    assert isinstance(stacks, StackTraceMap)
    return stacks


def test_the_same_stack_has_the_same_id(stacks: StackTraceMap) -> None:
    identifier = stacks.stack_id([10, 20, 30])
    assert stacks.stack_id([10, 20, 30], BPF_F_USER_STACK) == identifier
    assert stacks.stack_id([10, 20, 30], BPF_F_FAST_STACK_CMP) == identifier
    assert frames_of(stacks.lookup(key(identifier))) == [10, 20, 30, 0]
    assert stacks.count == 1
    assert stacks.keys() == [key(identifier)]


def test_frames_are_skipped_and_cut(stacks: StackTraceMap) -> None:
    identifier = stacks.stack_id([1, 2, 3, 4, 5, 6, 7], 2)
    assert frames_of(stacks.lookup(key(identifier))) == [3, 4, 5, 6]
    assert errno_of(stacks.stack_id, [1, 2], 2) == Errno.EFAULT
    assert errno_of(stacks.stack_id, []) == Errno.EFAULT
    assert errno_of(stacks.stack_id, [1], 1 << 11) == Errno.EINVAL


def test_two_stacks_that_want_one_id(stacks: StackTraceMap) -> None:
    first, second = rivals(stacks)
    identifier = stacks.stack_id(first)
    assert errno_of(stacks.stack_id, second) == Errno.EEXIST
    assert stacks.stack_id(second, BPF_F_REUSE_STACKID) == identifier
    assert frames_of(stacks.lookup(key(identifier))) == [*second, 0, 0, 0]
    assert stacks.count == 1


def test_slots_run_out(stacks: StackTraceMap) -> None:
    kept: set[int] = set()
    frame = 1
    while len(kept) < 3:
        try:
            kept.add(stacks.stack_id([frame]))
        except MapError as error:
            assert error.errno == Errno.EEXIST
        frame += 1
    free = next(i for i in range(4) if i not in kept)
    while hasher(8, 0)(frame.to_bytes(8, "little")) & 3 != free:
        frame += 1
    assert errno_of(stacks.stack_id, [frame]) == Errno.ENOMEM
    stacks.delete(key(min(kept)))
    assert stacks.stack_id([frame]) == free


def test_user_space_reads_and_deletes(stacks: StackTraceMap) -> None:
    identifiers = set()
    for frame in range(40):
        try:
            identifiers.add(stacks.stack_id([frame]))
        except MapError:
            continue
    order = sorted(identifiers)
    assert stacks.keys() == [key(i) for i in order]
    assert stacks.next_key() == key(order[0])
    assert stacks.next_key(key(order[0])) == key(order[1])
    assert stacks.next_key(key(99)) == key(order[0])
    assert errno_of(stacks.next_key, key(order[-1])) == Errno.ENOENT
    stacks.delete(key(order[1]))
    assert stacks.next_key(key(order[1])) == key(order[0])
    assert errno_of(stacks.delete, key(order[1])) == Errno.ENOENT
    assert errno_of(stacks.lookup, key(order[1])) == Errno.ENOENT
    assert errno_of(stacks.lookup, key(4)) == Errno.ENOENT
    assert errno_of(stacks.delete, key(4)) == Errno.E2BIG
    assert errno_of(stacks.update, key(0), bytes(32)) == Errno.EINVAL
    assert errno_of(stacks.element_address, key(0)) == Errno.EOPNOTSUPP
    kept = stacks.lookup(key(order[0]))
    assert stacks.lookup_and_delete(key(order[0])) == kept
    assert errno_of(stacks.lookup_and_delete, key(order[0])) == Errno.ENOENT
