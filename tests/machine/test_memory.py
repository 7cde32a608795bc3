"""Regions and the address space: every access lies wholly inside one region, and a fault says what was missed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.errors import Fault, FaultKind, LimitExceeded
from pybpftime.machine.memory import NULL_PAGE, SLOT_SHIFT, SLOT_STEP, Memory, Region, RegionKind

SIZES = st.sampled_from((1, 2, 4, 8))


def make_region(length: int = 16, **rules: object) -> tuple[Memory, Region]:
    memory = Memory()
    region = Region(RegionKind.MEMORY, "memory", bytearray(range(length)), **rules)  # type: ignore[arg-type]
    memory.map(region)
    return memory, region


@given(size=SIZES, offset=st.integers(-20, 40), value=st.integers(0, (1 << 64) - 1))
def test_a_store_is_inside_and_loads_back_or_faults_and_changes_nothing(size: int, offset: int, value: int) -> None:
    memory, region = make_region()
    before = bytes(region.data)
    address = region.base + offset
    if 0 <= offset <= 16 - size:
        memory.store(address, size, value)
        assert memory.load(address, size) == value % (1 << 8 * size)
        assert region.data[:offset] == before[:offset]
        assert region.data[offset + size :] == before[offset + size :]
    else:
        with pytest.raises(Fault) as caught:
            memory.store(address, size, value)
        assert caught.value.kind is FaultKind.MEMORY
        assert caught.value.address == address
        assert caught.value.region == "memory"
        assert caught.value.distance == (-offset if offset < 0 else offset + size - 16)
        assert region.data == before


def test_numbers_are_little_endian() -> None:
    memory, region = make_region()
    assert memory.load(region.base, 4) == 0x03020100
    assert memory.load(region.base + 8, 8) == 0x0F0E0D0C0B0A0908


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (0, "a null pointer"),
        (NULL_PAGE - 1, "a null pointer+4095"),
        (0x1234_5678_9ABC, "a number that points into no region"),
    ],
)
def test_numbers_that_are_no_addresses(address: int, words: str) -> None:
    memory, _ = make_region()
    with pytest.raises(Fault, match=words.replace("+", r"\+")) as caught:
        memory.load(address, 4)
    assert caught.value.size == 4


def test_an_index_of_32_bits_never_reaches_another_region() -> None:
    memory, first = make_region()
    second = Region(RegionKind.MEMORY, "other", bytearray(16))
    memory.map(second)
    assert second.base - first.base == SLOT_STEP << SLOT_SHIFT
    for index in ((1 << 32) - 1, 1 << 31):
        with pytest.raises(Fault) as caught:
            memory.load(first.base + 8 * index, 8)
        assert caught.value.kind is FaultKind.MEMORY


def test_a_stray_address_names_the_nearest_region() -> None:
    memory, first = make_region()
    second = Region(RegionKind.MEMORY, "other", bytearray(16))
    memory.map(second)
    with pytest.raises(Fault) as caught:
        memory.load(second.base - 8, 8)
    assert (caught.value.region, caught.value.distance) == ("other", 8)
    with pytest.raises(Fault) as caught:
        memory.load(first.base + (1 << 32), 4)
    assert (caught.value.region, caught.value.distance) == ("memory", (1 << 32) + 4 - 16)


@pytest.mark.parametrize(
    ("rules", "access", "word"),
    [
        ({"writable": False}, "store", "read-only"),
        ({"readable": False}, "load", "write-only"),
        ({"readable": False, "writable": False}, "load", "opaque to programs"),
    ],
)
def test_permissions(rules: dict[str, bool], access: str, word: str) -> None:
    memory, region = make_region(**rules)
    with pytest.raises(Fault, match=word) as caught:
        memory.load(region.base, 4) if access == "load" else memory.store(region.base, 4, 0)
    assert caught.value.kind is FaultKind.PERMISSION


@given(size=SIZES, offset=st.integers(0, 8), phase=st.sampled_from((0, 2)))
def test_alignment_is_judged_at_offset_plus_phase(size: int, offset: int, phase: int) -> None:
    memory, region = make_region(aligned=True, phase=phase)
    if (offset + phase) % size:
        with pytest.raises(Fault) as caught:
            memory.load(region.base + offset, size)
        assert caught.value.kind is FaultKind.ALIGNMENT
    else:
        memory.load(region.base + offset, size)
    assert len(memory.read(region.base + offset, 3)) == 3  # helpers read at any alignment


def test_a_window_moves_with_start_and_end() -> None:
    memory, region = make_region(start=4, end=12)
    assert memory.read(region.base + 4, 8) == bytes(range(4, 12))
    with pytest.raises(Fault, match="1 byte before the start"):
        memory.load(region.base + 3, 1)
    region.start = region.end = 4
    with pytest.raises(Fault, match="no byte of it may be accessed"):
        memory.load(region.base + 4, 1)


def test_nothing_touches_nothing() -> None:
    memory, _ = make_region()
    assert memory.read(0, 0) == b""
    memory.write(0, b"")
    with pytest.raises(Fault):
        memory.read(0, 1)
    with pytest.raises(Fault):
        memory.write(0, b"x")


def test_transient_regions_get_the_same_addresses_in_every_run() -> None:
    memory, _ = make_region()
    packet = Region(RegionKind.PACKET, "packet", bytearray(4))
    first = memory.map(packet, transient=True)
    memory.reset_transient()
    assert memory.find(first) is None
    assert memory.map(Region(RegionKind.PACKET, "packet", bytearray(4)), transient=True) == first


def test_an_unmapped_address_is_not_given_to_another_region() -> None:
    memory, region = make_region()
    memory.unmap(region)
    other = Region(RegionKind.MEMORY, "other", bytearray(4))
    memory.map(other)
    assert other.base != region.base
    with pytest.raises(Fault):
        memory.load(region.base, 1)


def test_the_address_space_is_finite() -> None:
    memory = Memory()
    memory._next = memory._next_transient
    with pytest.raises(LimitExceeded):
        memory.map(Region(RegionKind.MEMORY, "one too many", bytearray(1)))


def test_atomic_operations() -> None:
    memory, region = make_region()
    assert memory.update(region.base, 4, lambda old: old + 1) == 0x03020100
    assert memory.load_acquire(region.base, 4) == 0x03020101
    memory.store_release(region.base, 2, 0xFFFF)
    assert memory.load(region.base, 4) == 0x0302FFFF
    with pytest.raises(Fault) as caught:
        memory.update(region.base + 2, 4, lambda old: old)
    assert caught.value.kind is FaultKind.ALIGNMENT
    region.atomic = False
    with pytest.raises(Fault, match="takes none") as caught:
        memory.update(region.base, 4, lambda old: old)
    assert caught.value.kind is FaultKind.PERMISSION
    with pytest.raises(Fault):
        memory.update(0, 4, lambda old: old)
    assert Memory(aligned_atomics=False).slots == {}


def test_places_are_told_by_name() -> None:
    memory, region = make_region()
    assert memory.describe(region.base + 3) == "memory+3"
    assert memory.describe(region.base) == "memory"
    assert memory.describe(42) == "0x2a"
    assert [one.name for one in memory] == ["memory"]
