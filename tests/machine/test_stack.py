"""Stack frames: one region per depth, open while its function runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.errors import Fault, FaultKind
from pybpftime.machine import LENIENT, LEVELS, LINUX, STRICT, Memory, Strictness
from pybpftime.machine.stack import Stack

FRAME_SIZE, MAPPED = 512, 8


def make_stack(level: Strictness = LINUX, frame_size: int = FRAME_SIZE, depth: int = MAPPED) -> tuple[Memory, Stack]:
    memory = Memory()
    return memory, Stack(memory, level, frame_size, depth)


def test_frames_are_there_from_the_beginning_and_closed() -> None:
    memory, _ = make_stack()
    assert [region.name for region in memory] == ["stack", *(f"stack of call {depth}" for depth in range(1, MAPPED))]
    for region in memory:
        with pytest.raises(Fault, match="no byte of it may be accessed"):
            memory.load(region.base, 1)


def test_frames_beyond_those_are_mapped_when_they_are_opened() -> None:
    memory, stack = make_stack(depth=0)
    first, second = stack.open(0), stack.open(1)
    assert (first.name, second.name) == ("stack", "stack of call 1")
    assert memory.find(second.base) is second
    assert stack.open(0) is first


@pytest.mark.parametrize("level", LEVELS.values(), ids=list(LEVELS))
def test_an_open_frame_is_empty_and_a_closed_one_is_nobodys(level: Strictness) -> None:
    memory, stack = make_stack(level)
    region = stack.open(0)
    memory.store(region.base + 8, 8, 7)
    stack.close(region)
    for offset in (0, 8, FRAME_SIZE - 1):
        with pytest.raises(Fault) as caught:
            memory.load(region.base + offset, 1)
        assert caught.value.kind is FaultKind.MEMORY
    assert stack.open(0).base == region.base
    assert region.data == bytes(FRAME_SIZE)


def test_places_are_told_from_the_frame_pointer() -> None:
    memory, stack = make_stack(frame_size=64)
    region = stack.open(1)
    assert memory.describe(region.base + 56) == "stack of call 1-8"
    assert memory.describe(region.base + 64) == "stack of call 1+0"
    with pytest.raises(Fault, match=r"store of 8 bytes at stack of call 1\+0: 8 bytes past the end .* has 64 bytes"):
        memory.store(region.base + 64, 8, 0)


def test_alignment_is_demanded_by_level() -> None:
    for level, faults in ((LENIENT, False), (LINUX, True), (STRICT, True)):
        memory, stack = make_stack(level)
        address = stack.open(0).base + 12
        if faults:
            with pytest.raises(Fault, match=r"stack-500 is not aligned to 8"):
                memory.store(address, 8, 0)
        else:
            memory.store(address, 8, 0)
        memory.write(address + 1, b"any")  # helpers write anywhere


@given(st.lists(st.tuples(st.integers(0, 63), st.integers(1, 16)), max_size=6), st.integers(0, 63), st.integers(1, 16))
def test_a_strict_stack_reads_what_was_written_and_nothing_else(
    writes: list[tuple[int, int]], offset: int, length: int
) -> None:
    memory, stack = make_stack(STRICT, frame_size=64)
    base = stack.open(0).base
    written: set[int] = set()
    for start, count in writes:
        if start + count <= 64:
            memory.write(base + start, bytes([start]) * count)
            written |= set(range(start, start + count))
    wanted = set(range(offset, offset + length))
    if offset + length > 64:
        with pytest.raises(Fault) as caught:
            memory.read(base + offset, length)
        assert caught.value.kind is FaultKind.MEMORY
    elif wanted <= written:
        assert len(memory.read(base + offset, length)) == length
    else:
        hole = min(wanted - written)
        with pytest.raises(Fault, match=f"the byte at {hole - 64:+d} was never written") as caught:
            memory.read(base + offset, length)
        assert caught.value.kind is FaultKind.UNINITIALISED
        assert (caught.value.address, caught.value.size, caught.value.region) == (base + offset, length, "stack")


def test_a_strict_load_needs_every_byte_and_a_store_that_fails_writes_none() -> None:
    memory, stack = make_stack(STRICT)
    base = stack.open(0).base
    memory.store(base + 4, 4, 1)
    with pytest.raises(Fault, match="load of 8 bytes at stack-512: the byte at -512 was never written"):
        memory.load(base, 8)
    with pytest.raises(Fault):
        memory.store(base + 2, 4, 1)
    with pytest.raises(Fault, match="load of 1 byte at stack-510"):
        memory.load(base + 2, 1)
    memory.store(base, 4, 2)
    assert memory.load(base, 8) == 1 << 32 | 2


def test_a_frame_that_is_opened_again_counts_as_never_written() -> None:
    memory, stack = make_stack(STRICT)
    region = stack.open(0)
    memory.write(region.base, bytes(FRAME_SIZE))
    stack.open(0)
    with pytest.raises(Fault) as caught:
        memory.read(region.base, 1)
    assert caught.value.kind is FaultKind.UNINITIALISED


def test_release_gives_the_address_space_back() -> None:
    memory, stack = make_stack()
    stack.open(0)
    stack.release()
    assert list(memory) == []
    assert stack.open(0).name == "stack"
