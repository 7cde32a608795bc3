"""The strict rules for pointers: where an address may go and what may be computed with it.

Provenance needs no tags: a number is a pointer if its upper half names a mapped region (see `memory`), and the
regions are so sparse that a plain number does not look like one by accident.  The strict level computes in this
algebra instead of `IntAlgebra`; it gives the same values and faults where a pointer is mixed into a scalar.
"""

from __future__ import annotations

from collections.abc import Callable

from pybpftime.errors import Fault, FaultKind
from pybpftime.isa.algebra import IntAlgebra
from pybpftime.machine.memory import SLOT_SHIFT, Memory, RegionKind


class TrackingMemory(Memory):
    """Memory into which no pointer is stored except on the stack: elsewhere others could read it."""

    __slots__ = ()

    def store(self, address: int, size: int, value: int) -> None:
        self._refuse_pointer(address, size, value)
        super().store(address, size, value)

    def store_release(self, address: int, size: int, value: int) -> None:
        self._refuse_pointer(address, size, value)
        super().store_release(address, size, value)

    def update(self, address: int, size: int, combine: Callable[[int], int]) -> int:
        def checked(old: int) -> int:
            new = combine(old)
            self._refuse_pointer(address, size, new)
            return new

        return super().update(address, size, checked)

    def _refuse_pointer(self, address: int, size: int, value: int) -> None:
        if size == 8 and value >> SLOT_SHIFT in self.slots:
            region = self.find(address)
            if region is not None and region.kind is not RegionKind.STACK:
                reason = f"a pointer ({self.describe(value)}) is stored in {self.describe(address)}"
                raise Fault(FaultKind.POINTER, reason, address=address, size=size, region=region.name)


class PointerAlgebra(IntAlgebra):
    """64-bit integers of which some are addresses of `memory`.

    Allowed with a pointer: adding and subtracting a number as long as that does not lead into another region,
    the difference of two pointers into one region, comparisons, moves.  All else is a Fault.
    """

    __slots__ = ("_slots",)

    def __init__(self, memory: Memory) -> None:
        super().__init__(64)
        self._slots = memory.slots

    def _is_pointer(self, value: int) -> bool:
        return value >> SLOT_SHIFT in self._slots

    def _scalar(self, operation: str, *values: int) -> None:
        if any(value >> SLOT_SHIFT in self._slots for value in values):
            raise Fault(FaultKind.POINTER, f"{operation} of a pointer: the result means nothing")

    def _same_region(self, pointer: int, result: int) -> None:
        """A result that lies in nobody's slot faults where it is used; one that lies in another's would not."""
        if result >> SLOT_SHIFT != pointer >> SLOT_SHIFT and self._is_pointer(result):
            raise Fault(FaultKind.POINTER, "pointer arithmetic leads from one region into another")

    def add(self, a: int, b: int) -> int:
        a_is_pointer, b_is_pointer = self._is_pointer(a), self._is_pointer(b)
        if a_is_pointer and b_is_pointer:
            raise Fault(FaultKind.POINTER, "sum of two pointers: the result means nothing")
        result = (a + b) & self.mask
        if a_is_pointer or b_is_pointer:
            self._same_region(a if a_is_pointer else b, result)
        return result

    def sub(self, a: int, b: int) -> int:
        result = (a - b) & self.mask
        if self._is_pointer(b):
            if a >> SLOT_SHIFT != b >> SLOT_SHIFT:
                raise Fault(FaultKind.POINTER, "a pointer subtracted from a number or from a pointer into another region")
        elif self._is_pointer(a):
            self._same_region(a, result)
        return result

    def mul(self, a: int, b: int) -> int:
        self._scalar("product", a, b)
        return super().mul(a, b)

    def udiv(self, a: int, b: int) -> int:
        self._scalar("quotient", a, b)
        return super().udiv(a, b)

    def umod(self, a: int, b: int) -> int:
        self._scalar("remainder", a, b)
        return super().umod(a, b)

    def sdiv(self, a: int, b: int) -> int:
        self._scalar("quotient", a, b)
        return super().sdiv(a, b)

    def smod(self, a: int, b: int) -> int:
        self._scalar("remainder", a, b)
        return super().smod(a, b)

    def bitwise_and(self, a: int, b: int) -> int:
        self._scalar("bitwise and", a, b)
        return a & b

    def bitwise_or(self, a: int, b: int) -> int:
        self._scalar("bitwise or", a, b)
        return a | b

    def bitwise_xor(self, a: int, b: int) -> int:
        self._scalar("bitwise xor", a, b)
        return a ^ b

    def shift_left(self, a: int, amount: int) -> int:
        self._scalar("shift", a, amount)
        return super().shift_left(a, amount)

    def shift_right(self, a: int, amount: int) -> int:
        self._scalar("shift", a, amount)
        return super().shift_right(a, amount)

    def shift_right_signed(self, a: int, amount: int) -> int:
        self._scalar("shift", a, amount)
        return super().shift_right_signed(a, amount)

    def low(self, a: int, bits: int) -> int:
        if bits < self.width:
            self._scalar("truncation", a)
        return super().low(a, bits)

    def sign_extend(self, a: int, bits: int) -> int:
        if bits < self.width:
            self._scalar("truncation", a)
        return super().sign_extend(a, bits)

    def byte_swap(self, a: int, bits: int) -> int:
        self._scalar("byte swap", a)
        return super().byte_swap(a, bits)


class NarrowPointerAlgebra(IntAlgebra):
    """32-bit integers, narrowed from 64-bit ones that must not be pointers: half an address means nothing."""

    __slots__ = ("_slots",)

    def __init__(self, memory: Memory) -> None:
        super().__init__(32)
        self._slots = memory.slots

    def narrow(self, value: int) -> int:
        if value >> SLOT_SHIFT in self._slots:
            raise Fault(FaultKind.POINTER, "the low half of a pointer is used as a number")
        return value & self.mask
