"""The abstract stack: what is stored is what is loaded, in whatever sizes; what is not known is never made up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pybpftime.verifier import stack
from pybpftime.verifier.values import Pointer, Region, RegionKind, Scalar, constant, unknown

REGION = Region(RegionKind.MAP_VALUE, "value")
SIZES = st.sampled_from((1, 2, 4, 8))


@st.composite
def places(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(SIZES)
    return -8 * draw(st.integers(1, 4)) + size * draw(st.integers(0, 8 // size - 1)), size


stores = st.lists(st.tuples(places(), st.integers(0, (1 << 64) - 1) | st.none()), max_size=12)


@given(stores, places())
def test_a_load_of_constants_gives_the_bytes_that_were_stored_and_never_others(
    stored: list[tuple[tuple[int, int], int | None]], place: tuple[int, int]
) -> None:
    concrete: dict[int, int | None] = {}
    abstract = stack.EMPTY
    for (offset, size), number in stored:
        abstract = stack.store(abstract, offset, size, None if number is None else constant(number))
        content = None if number is None else (number & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        for index in range(size):
            concrete[offset + index] = None if content is None else content[index]
    offset, size = place
    loaded = stack.load(abstract, offset, size, 0)
    bytes_there = [concrete.get(offset + index) for index in range(size)]
    if loaded is None:
        assert None in bytes_there, "all bytes are known, and the load gives nothing"
    else:
        assert isinstance(loaded, Scalar)
        assert None not in bytes_there
        assert loaded.range.constant == int.from_bytes(
            bytes(byte for byte in bytes_there if byte is not None), "little"
        )


@given(stores)
def test_slots_never_overlap(stored: list[tuple[tuple[int, int], int | None]]) -> None:
    abstract = stack.EMPTY
    for (offset, size), number in stored:
        value = None if number is None else unknown("x", 0) if number % 2 else constant(number)
        abstract = stack.store(abstract, offset, size, value)
    taken = [byte for offset, slot in abstract.items() for byte in range(offset, offset + slot.size)]
    assert len(taken) == len(set(taken))


def test_a_spilled_number_comes_back_as_itself() -> None:
    number = unknown("x", 0)
    assert stack.load(stack.store(stack.EMPTY, -8, 8, number), -8, 8, 1) is number


def test_part_of_a_spilled_number_is_computed_from_it() -> None:
    number = unknown("x", 0)
    part = stack.load(stack.store(stack.EMPTY, -8, 8, number), -6, 2, 1)
    assert isinstance(part, Scalar)
    assert part.range.umax == 0xFFFF
    assert part.operands[0].operands[0] is number


def test_a_pointer_comes_back_whole_or_not_at_all() -> None:
    pointer = Pointer(REGION)
    kept = stack.store(stack.EMPTY, -8, 8, pointer)
    assert stack.load(kept, -8, 8, 1) is pointer
    assert stack.load(kept, -8, 4, 1) is None
    assert stack.load(stack.store(kept, -4, 1, constant(0)), -8, 8, 1) is None


def test_a_load_marks_the_slot_and_its_remains_as_read() -> None:
    kept = stack.store(stack.EMPTY, -8, 8, constant(0))
    rest = stack.store(kept, -8, 1, constant(1))
    stack.load(rest, -7, 1, 0)
    assert kept[-8].mark.read, "the older state's slot holds the byte that was read"
