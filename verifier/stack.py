"""What a stack frame is known to hold: a mapping from offset to slot, never changed in place.

Offsets count from the frame pointer, -512 to -1.  Slots do not overlap; a byte that belongs to none may be anything:
Linux lets privileged programs read stack bytes that were never written (since 6.3), so "never written" and "not known"
are one state.  A slot holds a scalar of `size` bytes or a whole pointer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from pybpftime.isa import Row
from pybpftime.isa.table import BY_NAME
from pybpftime.verifier import domain
from pybpftime.verifier.values import InputKind, Pointer, Scalar, Value, constant, serials, unknown

SHIFT_RIGHT = BY_NAME["rsh_imm"]
AND = BY_NAME["and_imm"]
MAX_SLOT = 8


class Mark:
    """When something was loaded from a slot.  Slots that are one another's remains share it."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: list[int] = []

    def set(self) -> None:
        """Something is loaded now."""
        self._times.append(next(serials))

    @property
    def read(self) -> bool:
        """Whether anything was ever loaded."""
        return bool(self._times)

    def read_between(self, since: int, until: int) -> bool:
        """Whether something was loaded between two serials."""
        index = bisect_left(self._times, since)
        return index < len(self._times) and self._times[index] <= until


class Slot:
    """`size` bytes that hold `value`."""

    __slots__ = ("mark", "size", "value")

    def __init__(self, value: Value, size: int, mark: Mark | None = None) -> None:
        self.value = value
        self.size = size
        self.mark = mark or Mark()

    def holding(self, value: Value) -> Slot:
        """The same bytes, of which more is known."""
        return Slot(value, self.size, self.mark)

    def __repr__(self) -> str:
        return f"Slot({self.value}, {self.size})"


Stack = Mapping[int, Slot]
EMPTY: Stack = {}


def load(stack: Stack, offset: int, size: int, pc: int) -> Value | None:
    """The value of `size` bytes at `offset`, zero-extended; None when nothing is known of it."""
    slot = stack.get(offset)
    if slot is not None and slot.size == size:
        slot.mark.set()
        value = slot.value
        if isinstance(value, Scalar):
            value.copied = True
        return value
    parts = overlapping(stack, offset, size)
    for at in parts:
        stack[at].mark.set()
    if len(parts) == 1 and parts[0] <= offset and offset + size <= parts[0] + stack[parts[0]].size:
        whole = stack[parts[0]].value
        return extract(whole, offset - parts[0], size, pc) if isinstance(whole, Scalar) else None
    return _assembled(stack, parts, offset, size, pc)


def store(stack: Stack, offset: int, size: int, value: Value | None) -> Stack:
    """The stack after `size` bytes at `offset` were overwritten with `value`, None for something unknown."""
    changed = forget(stack, offset, size)
    if value is None or (isinstance(value, Pointer) and size != MAX_SLOT):
        return changed
    if isinstance(value, Scalar):
        value = extract(value, 0, size, value.pc)
        value.copied = True
    return {**changed, offset: Slot(value, size)}


def forget(stack: Stack, offset: int, size: int) -> Stack:
    """The stack after `size` bytes at `offset` were overwritten with something unknown.

    What is left of a constant that was overwritten in part stays known: zeroed structures are filled field by field.
    """
    hit = overlapping(stack, offset, size)
    if not hit:
        return stack
    changed = dict(stack)
    end = offset + size
    for at in hit:
        slot = changed.pop(at)
        value, slot_end = slot.value, at + slot.size
        if isinstance(value, Scalar) and value.is_constant:
            if at < offset:
                changed[at] = _remainder(slot, value, 0, offset - at)
            if slot_end > end:
                changed[end] = _remainder(slot, value, end - at, slot_end - end)
    return changed


def _remainder(slot: Slot, value: Scalar, skip: int, size: int) -> Slot:
    return Slot(extract(value, skip, size, value.pc), size, slot.mark)


def extract(value: Scalar, skip: int, size: int, pc: int) -> Scalar:
    """Bytes [skip, skip + size) of a scalar, zero-extended."""
    if skip:
        value = compute(SHIFT_RIGHT, value, constant(8 * skip), pc)
    if skip + size < MAX_SLOT and not domain.of_size(size).includes(value.range):
        value = compute(AND, value, constant((1 << 8 * size) - 1), pc)
    return value


def compute(row: Row, left: Scalar, right: Scalar, pc: int) -> Scalar:
    """The scalar that a row of two operands makes."""
    return Scalar(domain.transfer(row, left.range, right.range), row, (left, right), pc)


def overlapping(stack: Stack, offset: int, size: int) -> list[int]:
    """Where the slots begin that share bytes with those at `offset`, in order, however large that memory may be."""
    end = offset + size
    if size > MAX_SLOT:
        return sorted(at for at, slot in stack.items() if at < end and at + slot.size > offset)
    return [
        at
        for at in range(offset - MAX_SLOT + 1, end)
        if (slot := stack.get(at)) is not None and at + slot.size > offset
    ]


def _assembled(stack: Stack, parts: list[int], offset: int, size: int, pc: int) -> Scalar | None:
    """A load that spans several slots: known if all are constants that leave no gap."""
    number, reached, operands = 0, offset, []
    for at in parts:
        slot = stack[at]
        if not isinstance(slot.value, Scalar) or not slot.value.is_constant or at > reached:
            return None
        bits = slot.value.range.constant << 8 * max(at - offset, 0) >> 8 * max(offset - at, 0)
        number |= bits
        reached = at + slot.size
        operands.append(slot.value)
    if reached < offset + size:
        return None
    known = constant(number & ((1 << 8 * size) - 1), pc)
    known.operands = tuple(operands)
    return known


def anything(size: int) -> Scalar:
    """What a load of `size` bytes gives of which nothing is known."""
    return unknown("stack", -1, InputKind.STACK, domain.of_size(size))
