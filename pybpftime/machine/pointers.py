"""The strict rules for pointers: where an address may go and what may be computed with it.

Provenance needs no tags in registers: a number is a pointer if it lies in or near a mapped region (`Memory.home`), and
the regions are so sparse that a plain number does not look like one by accident.  The strict level computes in this
algebra instead of `IntAlgebra`; it gives the same values and faults where a pointer is mixed into a scalar.
"""

from __future__ import annotations

from collections.abc import Callable

from pybpftime.errors import Fault, FaultKind
from pybpftime.isa.algebra import IntAlgebra
from pybpftime.machine.memory import OFFSET_MASK, Memory, RegionKind, count
from pybpftime.machine.stack import TrackedStack


class TrackingMemory(Memory):
    """Memory into which no pointer is stored except, in one piece, on the stack: elsewhere others could read it.

    Frames are `TrackedStack`s, which know where a pointer lies, so that what a program stored over a part of an old
    one is a number.
    """

    __slots__ = ()

    def load(self, address: int, size: int) -> int:
        value = super().load(address, size)
        self._refuse_part(address, size)
        return value

    def load_acquire(self, address: int, size: int) -> int:
        value = super().load_acquire(address, size)
        self._refuse_part(address, size)
        return value

    def store(self, address: int, size: int, value: int) -> None:
        self._refuse_pointer(address, size, value)
        super().store(address, size, value)
        self._remember(address, value)

    def store_release(self, address: int, size: int, value: int) -> None:
        self._refuse_pointer(address, size, value)
        super().store_release(address, size, value)
        self._remember(address, value)

    def update(self, address: int, size: int, combine: Callable[[int], int]) -> int:
        new = 0

        def checked(old: int) -> int:
            nonlocal new
            self._refuse_part(address, size)
            new = combine(old)
            self._refuse_pointer(address, size, new)
            return new

        old = super().update(address, size, checked)
        self._remember(address, new)
        return old

    def read_data(self, address: int, length: int) -> bytes:
        content = self.read(address, length)
        region, offset = self.find(address), address & OFFSET_MASK
        if isinstance(region, TrackedStack) and region.has_pointer_bytes(offset, length):
            reason = f"read of {count(length)} of data at {self.describe(address)}: a pointer or a part of one is there"
            raise Fault(FaultKind.POINTER, reason, address=address, size=length, region=region.name)
        return content

    def _refuse_pointer(self, address: int, size: int, value: int) -> None:
        region = self.find(address)
        if region is None or self.home(value) is None:
            return
        if region.kind is not RegionKind.STACK:
            reason = f"a pointer ({self.describe(value)}) is stored in {self.describe(address)}"
            raise Fault(FaultKind.POINTER, reason, address=address, size=size, region=region.name)
        if size < 8:
            reason = f"a part of a pointer ({self.describe(value)}) is stored alone: {count(size)}"
            raise Fault(FaultKind.POINTER, reason, address=address, size=size, region=region.name)

    def _remember(self, address: int, value: int) -> None:
        """Mark the place of a pointer that was stored on the stack."""
        region = self.find(address)
        if isinstance(region, TrackedStack) and self.home(value) is not None:
            region.mark_pointer(address & OFFSET_MASK)

    def _refuse_part(self, address: int, size: int) -> None:
        """Fault for the use of a part of a pointer on the stack: half an address means nothing."""
        region, offset = self.find(address), address & OFFSET_MASK
        if not isinstance(region, TrackedStack) or region.has_whole_pointer(offset, size):
            return
        if region.has_pointer_bytes(offset, size):
            reason = f"use of {count(size)} at {self.describe(address)}, a part of a pointer"
            raise Fault(FaultKind.POINTER, reason, address=address, size=size, region=region.name)


class PointerAlgebra(IntAlgebra):
    """64-bit integers, of which some are addresses of `memory`.

    Allowed with a pointer: adding and subtracting a number as long as that does not lead into another region,
    the difference of two pointers into one region, comparisons, moves.  All else is a Fault.
    """

    __slots__ = ("_home",)

    def __init__(self, memory: Memory, width: int = 64) -> None:
        super().__init__(width)
        self._home = memory.home

    def _scalar(self, operation: str, *values: int) -> None:
        if any(self._home(value) is not None for value in values):
            raise Fault(FaultKind.POINTER, f"{operation} of a pointer: the result means nothing")

    def _moved(self, home: int | None, result: int) -> int:
        """`result` of adding a number to a pointer into `home`, or to a number (None)."""
        if home is not None and self._home(result) not in (home, None):
            raise Fault(FaultKind.POINTER, "pointer arithmetic leads from one region into another")
        return result

    def add(self, a: int, b: int) -> int:
        a_home, b_home = self._home(a), self._home(b)
        if a_home is not None and b_home is not None:
            raise Fault(FaultKind.POINTER, "sum of two pointers: the result means nothing")
        return self._moved(b_home if a_home is None else a_home, super().add(a, b))

    def sub(self, a: int, b: int) -> int:
        a_home, b_home = self._home(a), self._home(b)
        if b_home is None:
            return self._moved(a_home, super().sub(a, b))
        if a_home != b_home:
            raise Fault(FaultKind.POINTER, "a pointer is subtracted from a number, or from one into another region")
        return super().sub(a, b)

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


class NarrowPointerAlgebra(PointerAlgebra):
    """32-bit integers, narrowed from 64-bit ones.

    Half an address means nothing, so no operation takes a pointer but the difference of two pointers into one
    region, which clang computes in 32 bits when an int is wanted.  Packet pointers are another matter: the UAPI
    declares `data` and `data_end` as __u32, and clang moves, compares and subtracts them as such.
    """

    __slots__ = ("_slots",)

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory, 32)
        self._slots = memory.slots

    def narrow(self, value: int) -> int:
        """The low half of a number or packet pointer; other pointers stay whole, for the operation to judge."""
        home = self._home(value)
        if home is None or self._slots[home].kind is RegionKind.PACKET:
            return value & self.mask
        return value

    def widen(self, value: int) -> int:
        self._scalar("low half", value)
        return value

    def add(self, a: int, b: int) -> int:
        self._scalar("32-bit sum", a, b)
        return super().add(a, b)

    def sub(self, a: int, b: int) -> int:
        if self._home(a) is None or self._home(a) != self._home(b):
            self._scalar("32-bit difference", a, b)
        return super().sub(a, b)

    def equal(self, a: int, b: int) -> bool:
        self._scalar("32-bit comparison", a, b)
        return a == b

    def not_equal(self, a: int, b: int) -> bool:
        return not self.equal(a, b)

    def less(self, a: int, b: int) -> bool:
        self._scalar("32-bit comparison", a, b)
        return a < b

    def less_or_equal(self, a: int, b: int) -> bool:
        return not self.less(b, a)

    def signed_less(self, a: int, b: int) -> bool:
        self._scalar("32-bit comparison", a, b)
        return super().signed_less(a, b)

    def signed_less_or_equal(self, a: int, b: int) -> bool:
        return not self.signed_less(b, a)
