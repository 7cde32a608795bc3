"""The strict rules for pointers, against plain integers: the same values, or a Fault where a pointer is mixed in."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.errors import Fault, FaultKind
from pybpftime.isa import IntAlgebra
from pybpftime.machine.memory import SLOT_SHIFT, SLOT_STEP, Memory, Region, RegionKind
from pybpftime.machine.pointers import NarrowPointerAlgebra, PointerAlgebra, TrackingMemory
from pybpftime.machine.stack import Stack
from pybpftime.machine.strictness import STRICT

MASK = (1 << 64) - 1
GAP = SLOT_STEP << SLOT_SHIFT  # from one region to the next


def make_memory() -> tuple[TrackingMemory, int, int, int]:
    """A stack frame and two other regions with their addresses."""
    memory = TrackingMemory()
    stack = Stack(memory, STRICT, frame_size=64, depth=1).open(0)
    stack.write(0, bytes(64))
    others = [Region(RegionKind.MAP_VALUE, name, bytearray(64)) for name in ("one", "two")]
    return memory, stack.base, memory.map(others[0]), memory.map(others[1])


MEMORY, STACK, ONE, TWO = make_memory()
POINTERS = st.sampled_from((STACK, ONE, TWO)).flatmap(lambda base: st.integers(base - 100, base + 100))
NUMBERS = st.integers(0, (1 << 63) - 1) | st.sampled_from((0, 1, MASK, 1 << 63, MASK - 7))
PLAIN, POINTER = IntAlgebra(64), PointerAlgebra(MEMORY)
OPERATIONS = ["add", "sub", "mul", "udiv", "umod", "sdiv", "smod", "bitwise_and", "bitwise_or", "bitwise_xor",
              "shift_left", "shift_right", "shift_right_signed"]  # fmt: skip
COMPARISONS = ["equal", "not_equal", "less", "less_or_equal", "signed_less", "signed_less_or_equal"]
CONVERSIONS = ["low", "sign_extend", "byte_swap"]


def test_every_operation_of_an_algebra_is_judged_here() -> None:
    """An operation that is new must be allowed or refused for pointers by decision."""
    names = {name for name, _ in inspect.getmembers(IntAlgebra, inspect.isfunction) if not name.startswith("_")}
    assert names == {*OPERATIONS, *COMPARISONS, *CONVERSIONS, "const", "narrow", "widen", "select"}


@pytest.mark.parametrize("operation", OPERATIONS + COMPARISONS)
@given(a=NUMBERS, b=NUMBERS)
def test_numbers_compute_as_integers(operation: str, a: int, b: int) -> None:
    assert getattr(POINTER, operation)(a, b) == getattr(PLAIN, operation)(a, b)


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name not in ("add", "sub")])
@given(pointer=POINTERS, other=NUMBERS | POINTERS)
def test_no_operation_but_add_and_sub_takes_a_pointer(operation: str, pointer: int, other: int) -> None:
    for operands in ((pointer, other), (other, pointer)):
        with pytest.raises(Fault, match="the result means nothing") as caught:
            getattr(POINTER, operation)(*operands)
        assert caught.value.kind is FaultKind.POINTER


@pytest.mark.parametrize("operation", COMPARISONS)
@given(a=NUMBERS | POINTERS, b=POINTERS)
def test_pointers_compare_as_integers(operation: str, a: int, b: int) -> None:
    assert getattr(POINTER, operation)(a, b) == getattr(PLAIN, operation)(a, b)
    assert POINTER.select(getattr(POINTER, operation)(a, b), a, b) in (a, b)


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("operation", CONVERSIONS)
@given(pointer=POINTERS, number=NUMBERS)
def test_conversions(operation: str, bits: int, pointer: int, number: int) -> None:
    if bits == 8 and operation == "byte_swap":
        return
    assert getattr(POINTER, operation)(number, bits) == getattr(PLAIN, operation)(number, bits)
    if bits == 64 and operation != "byte_swap":
        assert getattr(POINTER, operation)(pointer, bits) == pointer
    else:
        with pytest.raises(Fault, match="of a pointer"):
            getattr(POINTER, operation)(pointer, bits)


@given(pointer=POINTERS, number=st.integers(-(1 << 31), (1 << 31) - 1))
def test_a_pointer_moves_by_a_number_and_back(pointer: int, number: int) -> None:
    moved = POINTER.add(pointer, number & MASK)
    assert moved == POINTER.add(number & MASK, pointer) == pointer + number
    assert POINTER.sub(moved, number & MASK) == pointer
    assert POINTER.sub(moved, pointer) == number & MASK
    assert POINTER.sub(pointer, moved) == -number & MASK


@pytest.mark.parametrize("distance", [GAP, -GAP, GAP + 63, GAP - (1 << 32)])
def test_a_pointer_does_not_move_into_another_region(distance: int) -> None:
    for move in (lambda: POINTER.add(ONE, distance & MASK), lambda: POINTER.sub(ONE, -distance & MASK)):
        with pytest.raises(Fault, match="from one region into another") as caught:
            move()
        assert caught.value.kind is FaultKind.POINTER


def test_nor_in_two_steps() -> None:
    half = GAP // 2
    with pytest.raises(Fault, match="from one region into another"):
        POINTER.add(POINTER.add(ONE, half - 64), half)
    with pytest.raises(Fault, match="from one region into another"):
        POINTER.add(ONE, half)


def test_a_pointer_that_leads_to_nobody_is_a_number() -> None:
    """It faults when it is used."""
    beyond = POINTER.add(TWO, 4 * GAP)
    assert POINTER.mul(beyond, 2) == beyond * 2 & MASK


@pytest.mark.parametrize(("a", "b"), [(ONE, TWO), (5, ONE), (0, STACK), (ONE + GAP // 2, ONE)])
def test_differences_of_two_regions_mean_nothing(a: int, b: int) -> None:
    with pytest.raises(Fault, match="a pointer is subtracted from a number, or from one into another region"):
        POINTER.sub(a, b)


def test_sums_of_pointers_mean_nothing() -> None:
    for other in (ONE, TWO):
        with pytest.raises(Fault, match="sum of two pointers"):
            POINTER.add(ONE, other)


def test_packet_pointers_are_numbers_of_32_bits() -> None:
    """`ctx->data` is declared as __u32."""
    memory = TrackingMemory()
    data = memory.map(Region(RegionKind.PACKET, "packet", bytearray(64)), transient=True) + 14
    narrow = NarrowPointerAlgebra(memory)
    low = narrow.narrow(data)
    assert low == data & 0xFFFF_FFFF
    assert narrow.widen(low) == low
    assert narrow.sub(narrow.narrow(data + 50), low) == 50
    assert not narrow.equal(low, 0)


NARROW, PLAIN_NARROW = NarrowPointerAlgebra(MEMORY), IntAlgebra(32)


@pytest.mark.parametrize("operation", OPERATIONS + COMPARISONS)
@given(a=NUMBERS, b=NUMBERS)
def test_narrow_numbers_compute_as_integers(operation: str, a: int, b: int) -> None:
    assert (NARROW.width, NARROW.mask) == (32, 0xFFFF_FFFF)
    low, other = NARROW.narrow(a), NARROW.narrow(b)
    assert (low, other) == (PLAIN_NARROW.narrow(a), PLAIN_NARROW.narrow(b))
    result = getattr(NARROW, operation)(low, other)
    assert result == getattr(PLAIN_NARROW, operation)(low, other)
    assert NARROW.widen(low) == low


@pytest.mark.parametrize("operation", OPERATIONS + COMPARISONS)
@given(pointer=POINTERS, number=NUMBERS)
def test_no_narrow_operation_takes_a_pointer_and_a_number(operation: str, pointer: int, number: int) -> None:
    operands = (NARROW.narrow(pointer), NARROW.narrow(number))
    for one in (operands, operands[::-1]):
        with pytest.raises(Fault, match="of a pointer: the result means nothing") as caught:
            getattr(NARROW, operation)(*one)
        assert caught.value.kind is FaultKind.POINTER


@given(pointer=POINTERS)
def test_half_a_pointer_does_not_become_a_number(pointer: int) -> None:
    for use in (
        lambda: NARROW.widen(NARROW.narrow(pointer)),
        lambda: NARROW.sign_extend(NARROW.narrow(pointer), 8),
        lambda: NARROW.low(NARROW.narrow(pointer), 16),
    ):
        with pytest.raises(Fault, match="of a pointer: the result means nothing"):
            use()


@pytest.mark.parametrize("operation", [name for name in OPERATIONS + COMPARISONS if name != "sub"])
@given(a=POINTERS, b=POINTERS)
def test_no_narrow_operation_but_sub_takes_two_pointers(operation: str, a: int, b: int) -> None:
    with pytest.raises(Fault) as caught:
        getattr(NARROW, operation)(NARROW.narrow(a), NARROW.narrow(b))
    assert caught.value.kind is FaultKind.POINTER


@given(a=POINTERS, b=POINTERS)
def test_the_narrow_difference_of_pointers_into_one_region(a: int, b: int) -> None:
    if MEMORY.home(a) == MEMORY.home(b):
        assert NARROW.widen(NARROW.sub(NARROW.narrow(a), NARROW.narrow(b))) == (a - b) & 0xFFFF_FFFF
    else:
        with pytest.raises(Fault, match="32-bit difference of a pointer"):
            NARROW.sub(NARROW.narrow(a), NARROW.narrow(b))


def test_an_unmapped_region_has_no_pointers() -> None:
    memory, _, one, _ = make_memory()
    algebra = PointerAlgebra(memory)
    region = memory.find(one)
    assert region is not None
    memory.unmap(region)
    assert algebra.mul(one, 1) == one


# -- memory -----------------------------------------------------------------------------------------------------------


def _exchange(memory: TrackingMemory, address: int, size: int, value: int) -> None:
    memory.update(address, size, lambda old: value)


Store = Callable[[TrackingMemory, int, int, int], None]
STORES: dict[str, Store] = {
    "store": TrackingMemory.store,
    "store_release": TrackingMemory.store_release,
    "update": _exchange,
}


@pytest.mark.parametrize("how", STORES)
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_a_pointer_is_stored_whole_and_on_the_stack_only(how: str, size: int) -> None:
    memory, stack, one, two = make_memory()
    store = STORES[how]
    for address, value, reason in (
        (one, two, "a pointer (two) is stored in one"),
        (one + 8, two - 8, "is stored in one+8"),
        (stack, one + 4, None if size == 8 else f"{size} byte"),
    ):
        before = bytes(memory.read(address, 8))
        if reason is None:
            store(memory, address, size, value)
            assert memory.load(address, 8) == value
            continue
        with pytest.raises(Fault) as caught:
            store(memory, address, size, value)
        assert reason in caught.value.reason
        assert caught.value.kind is FaultKind.POINTER
        assert (caught.value.address, caught.value.size) == (address, size)
        assert memory.read(address, 8) == before
    store(memory, one, size, 0x7F)
    assert memory.load(one, size) == 0x7F


def test_a_pointer_to_nowhere_faults_as_any_other() -> None:
    memory, _, one, _ = make_memory()
    for address in (0, 1 << 40):
        with pytest.raises(Fault) as caught:
            memory.store(address, 8, one)
        assert caught.value.kind is FaultKind.MEMORY
        for access in (memory.load, memory.load_acquire):
            with pytest.raises(Fault) as caught:
                access(address, 4)
            assert caught.value.kind is FaultKind.MEMORY
    with pytest.raises(Fault) as caught:
        memory.load(one + 64, 4)
    assert caught.value.kind is FaultKind.MEMORY


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_part_of_a_pointer_is_not_loaded(size: int) -> None:
    memory, stack, one, _ = make_memory()
    memory.store(stack + 8, 8, one)
    memory.store(stack + 16, 8, 5)
    for offset in range(0, 8, size):
        for access in (memory.load, memory.load_acquire):
            with pytest.raises(Fault, match="a part of a pointer") as caught:
                access(stack + 8 + offset, size)
            assert caught.value.kind is FaultKind.POINTER
        with pytest.raises(Fault, match="a part of a pointer"):
            memory.update(stack + 8 + offset, size, lambda old: old)
        assert memory.load(stack + 16 + offset, size) == (5 if offset == 0 else 0)
    assert memory.load(stack + 8, 8) == memory.load_acquire(stack + 8, 8) == one


@pytest.mark.parametrize("how", ["store", "store_release"])
def test_what_is_stored_over_a_pointer_is_a_number(how: str) -> None:
    """clang gives the place of a spilled pointer to a smaller variable."""
    memory, stack, one, _ = make_memory()
    for offset in (0, 4):
        memory.store(stack + 8, 8, one)
        STORES[how](memory, stack + 8 + offset, 4, 5)
        assert memory.load(stack + 8 + offset, 4) == 5
        for address, size in ((stack + 8, 8), (stack + 12 - offset, 4)):
            with pytest.raises(Fault, match="a part of a pointer") as caught:
                memory.load(address, size)
            assert caught.value.kind is FaultKind.POINTER
    memory.write(stack + 8, one.to_bytes(8, "little"))  # bytes that a helper wrote are data
    assert memory.load(stack + 8, 4) == one & 0xFFFF_FFFF


@pytest.mark.parametrize("how", STORES)
def test_data_has_no_pointers(how: str) -> None:
    memory, stack, one, _ = make_memory()
    STORES[how](memory, stack + 8, 8, one)
    for start, length in ((0, 16), (8, 8), (8, 1), (15, 1), (15, 9), (0, 64)):
        with pytest.raises(Fault, match="a pointer or a part of one is there") as caught:
            memory.read_data(stack + start, length)
        assert (caught.value.kind, caught.value.address) == (FaultKind.POINTER, stack + start)
    assert memory.read_data(stack, 8) == memory.read_data(stack + 16, 8) == bytes(8)
    assert memory.read_data(stack + 8, 0) == memory.read_data(7, 0) == b""
    assert memory.read(stack + 8, 8) == one.to_bytes(8, "little")
    assert memory.read_data(one, 64) == bytes(64)


def test_a_part_of_something_at_the_edge_of_the_stack() -> None:
    memory = TrackingMemory()
    region = Stack(memory, STRICT, frame_size=12, depth=1).open(0)
    memory.store(region.base + 8, 4, 3)
    assert memory.load(region.base + 8, 4) == 3
    with pytest.raises(Fault) as caught:
        memory.load(region.base + 12, 4)
    assert caught.value.kind is FaultKind.MEMORY


def test_a_plain_memory_does_not_care() -> None:
    memory = Memory()
    address = memory.map(Region(RegionKind.MAP_VALUE, "value", bytearray(8)))
    memory.store(address, 8, address)
    assert memory.load(address, 4) == address & 0xFFFF_FFFF
