"""Regions and the address space: every access lies wholly inside one region, and a fault says what was missed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.errors import Fault, FaultKind, InputError, InternalError, LimitExceeded
from pybpftime.machine.memory import NULL_PAGE, OFFSET_MASK, SLOT_SHIFT, SLOT_STEP, Memory, Region, RegionKind

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


def test_a_region_has_room_in_its_slot() -> None:
    memory = Memory()
    memory.map(Region(RegionKind.MEMORY, "just fits", bytearray(), end=OFFSET_MASK + 1))
    with pytest.raises(InputError, match="at most 4 GiB"):
        memory.map(Region(RegionKind.MEMORY, "too large", bytearray(), end=OFFSET_MASK + 2))


def test_a_region_is_unmapped_once_and_by_its_own_memory() -> None:
    memory, region = make_region()
    with pytest.raises(InternalError, match="was not mapped"):
        Memory().unmap(region)
    memory.unmap(region)
    with pytest.raises(InternalError, match="was not mapped"):
        memory.unmap(region)


def test_a_stale_transient_region_does_not_unmap_the_one_at_its_address() -> None:
    memory = Memory()
    stale, fresh = (Region(RegionKind.PACKET, name, bytearray(4)) for name in ("stale", "fresh"))
    memory.map(stale, transient=True)
    memory.reset_transient()
    memory.map(fresh, transient=True)
    with pytest.raises(InternalError, match="stale is unmapped"):
        memory.unmap(stale)
    assert memory.find(fresh.base) is fresh


def test_transient_regions_run_out_too() -> None:
    memory = Memory()
    memory._next_transient = 0xFFF0_0000
    with pytest.raises(LimitExceeded) as caught:
        memory.map(Region(RegionKind.PACKET, "one too many", bytearray(1)), transient=True)
    assert caught.value.limit == "regions"


def test_an_unmapped_transient_address_is_free_again_after_the_run_only() -> None:
    memory = Memory()
    first = memory.map(region := Region(RegionKind.PACKET, "first", bytearray(4)), transient=True)
    memory.unmap(region)
    assert memory.map(Region(RegionKind.PACKET, "second", bytearray(4)), transient=True) != first
    memory.reset_transient()
    assert memory.map(Region(RegionKind.PACKET, "third", bytearray(4)), transient=True) == first


@pytest.mark.parametrize("length", [17, 1 << 20, 1 << 32, 1 << 64, 1 << 200])
def test_a_read_that_is_too_long_allocates_nothing(length: int) -> None:
    memory, region = make_region()
    for address in (region.base, region.base + (1 << 33), 0, 1 << 70, -1):
        with pytest.raises(Fault) as caught:
            memory.read(address, length)
        assert caught.value.kind is FaultKind.MEMORY
        assert caught.value.size == length


def test_a_negative_length_is_a_mistake_of_the_helper() -> None:
    memory, region = make_region()
    with pytest.raises(InternalError, match="a helper reads -3 bytes"):
        memory.read(region.base + 8, -3)


@given(address=st.integers(-(1 << 65), 1 << 65), size=SIZES)
def test_addresses_do_not_wrap(address: int, size: int) -> None:
    """2**64 and more, or less than 0, are what a helper may compute; instructions stay below."""
    memory, region = make_region()
    if region.base <= address <= region.base + 16 - size:
        assert memory.load(address, size) >= 0
        return
    for access in (memory.load, memory.read, memory.load_acquire):
        with pytest.raises(Fault) as caught:
            access(address, size)
        assert caught.value.kind in (FaultKind.MEMORY, FaultKind.ALIGNMENT)
    for word in (region.base + (1 << 64), region.base - (1 << 64)):
        with pytest.raises(Fault):
            memory.load(word, size)


def test_the_end_of_the_address_space() -> None:
    memory = Memory()
    memory._next_transient = 0xFFEF_FFF0
    last = memory.map(Region(RegionKind.PACKET, "last", bytearray(8)), transient=True)
    assert memory.load(last, 8) == 0
    for address in ((1 << 64) - 1, (1 << 64) - 8, last + 8):
        with pytest.raises(Fault):
            memory.load(address, 8)


@pytest.mark.parametrize("distance", [1, 2, 1 << 33])
def test_bytes_are_counted_in_words(distance: int) -> None:
    memory, first = make_region()
    memory.map(Region(RegionKind.MEMORY, "other", bytearray(1)))
    amount = "1 byte" if distance == 1 else f"{distance} bytes"
    with pytest.raises(Fault, match=f": {amount} before memory$"):
        memory.load(first.base - distance, 1)
    if distance < 3:
        with pytest.raises(Fault, match=rf": {amount} past the end \(other has 1 byte\)$"):
            memory.load(first.base + (SLOT_STEP << SLOT_SHIFT) + distance, 1)


def test_a_region_knows_pointers_beside_it() -> None:
    memory, region = make_region()
    other = Region(RegionKind.MEMORY, "other", bytearray(16))
    memory.map(other)
    half = (SLOT_STEP << SLOT_SHIFT) // 2
    slot = region.base >> SLOT_SHIFT
    assert {memory.home(region.base + near) for near in (0, 5, 1000, -1, -half, half - 1)} == {slot}
    assert memory.home(region.base + half) == other.base >> SLOT_SHIFT
    assert memory.home(region.base - half - 1) is None
    for number in (0, 5, -1 & (1 << 64) - 1, 1 << 63, 0xFFFF_FFFF, 1 << 64):
        assert memory.home(number) is None


def test_a_handle_without_bytes() -> None:
    memory, region = make_region(length=0)
    with pytest.raises(Fault, match="no byte of it may be accessed") as caught:
        memory.load(region.base, 1)
    assert caught.value.kind is FaultKind.MEMORY


def test_an_atomic_operation_on_read_only_memory_changes_nothing() -> None:
    memory, region = make_region(writable=False)
    before = bytes(region.data)
    with pytest.raises(Fault, match="read-only"):
        memory.update(region.base, 8, lambda old: 0)
    with pytest.raises(Fault, match="read-only"):
        memory.store_release(region.base, 8, 0)
    assert region.data == before


def test_memory_views_serve_as_well() -> None:
    """Maps keep their values in shared memory."""
    storage = bytearray(32)
    memory = Memory()
    region = Region(RegionKind.MAP_VALUE, "value", memoryview(storage), start=8, end=16)
    memory.map(region)
    memory.store(region.base + 8, 4, 0x01020304)
    memory.write(region.base + 12, b"\5\6")
    assert storage[8:16] == bytes((4, 3, 2, 1, 5, 6, 0, 0))
    assert memory.read(region.base + 8, 8) == storage[8:16]
    for offset, size in ((7, 1), (15, 2), (16, 1), (0, 8)):
        with pytest.raises(Fault):
            memory.load(region.base + offset, size)
