"""Memory: regions in one 64-bit address space.

A program under test can touch nothing but regions.  Each region owns a slot of 4 GiB of the address space, so
that the upper half of an address says which region it belongs to and the lower half where in it:

    0xffSS_SSS0_OOOO_OOOO        ffSS_SSS0 = slot, OOOO_OOOO = offset

Consequences that the rest of the machine relies on:

* finding the region of an address is one dictionary look-up;
* slots lie 64 GiB apart and what is between belongs to nobody, so a pointer that runs off its region, by any
  32-bit index times the size of an integer, faults instead of landing in the next one, and the fault can say
  which region was meant and by how much it was missed;
* a number is a pointer if it lies in a mapped slot, or off it by up to half the distance to the next: provenance
  is in the address, and the strict rules (see `pointers`) need no tags beside the registers;
* addresses depend on nothing but the order of mapping, so that runs are reproducible.  They lie where Linux has
  its own kernel addresses, apart from those of any user process.

All values are little-endian, as eBPF programs for little-endian targets see them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum

from pybpftime.errors import Fault, FaultKind, InputError, InternalError, LimitExceeded

SLOT_SHIFT = 32
OFFSET_MASK = 0xFFFF_FFFF
SLOT_STEP = 0x10
FIRST_SLOT = 0xFF00_0010
TRANSIENT_SLOT = 0xFF80_0010  # like FIRST_SLOT not round: masks and byte-swapped small numbers are no addresses
END_OF_SLOTS = 0xFFF0_0000
NULL_PAGE = 0x1000


class RegionKind(StrEnum):
    """What a region is for.  The value is the word that faults print."""

    STACK = "stack"
    CONTEXT = "context"
    PACKET = "packet"
    MAP_VALUE = "map value"
    MAP = "map"  # the map object itself: an opaque handle
    MEMORY = "memory"  # plain memory handed to the program, or by a helper
    CODE = "code"  # function addresses; a handle, never read or written
    HANDLE = "handle"  # any other opaque kernel object


class Region:
    """A contiguous piece of memory.

    `data` holds the bytes; the program may touch the offsets in [`start`, `end`) only.  `base` is the address of
    offset 0, set when a Memory maps the region (0 before).  `aligned` demands natural alignment of loads and
    stores, judged at offset + `phase`.  `atomic` says whether atomic instructions are allowed here; `owner` is
    the object behind the region (a map, a packet), for helpers.

    The four access methods take offsets relative to `base` and raise Fault.  Subclasses with other rules
    (a context whose fields are translated, a slab whose entries live and die) override them and `span`.
    """

    __slots__ = (
        "aligned",
        "atomic",
        "base",
        "data",
        "end",
        "kind",
        "name",
        "owner",
        "phase",
        "readable",
        "start",
        "writable",
    )

    def __init__(
        self,
        kind: RegionKind,
        name: str,
        data: bytearray | memoryview,
        *,
        start: int = 0,
        end: int | None = None,
        readable: bool = True,
        writable: bool = True,
        aligned: bool = False,
        atomic: bool = True,
        phase: int = 0,
        owner: object = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.data = data
        self.base = 0
        self.start = start
        self.end = len(data) if end is None else end
        self.readable = readable
        self.writable = writable
        self.aligned = aligned
        self.atomic = atomic
        self.phase = phase
        self.owner = owner

    def load(self, offset: int, size: int) -> int:
        """The unsigned number in `size` (1, 2, 4, 8) bytes at `offset`."""
        end = offset + size
        if offset < self.start or end > self.end or not self.readable:
            raise self.refuse(offset, size, "load")
        if self.aligned and (offset + self.phase) % size:
            raise self.misaligned(offset, size, "load")
        return int.from_bytes(self.data[offset:end], "little")

    def store(self, offset: int, size: int, value: int) -> None:
        """Store the low `size` bytes of `value` (0 <= value < 2**64) at `offset`."""
        end = offset + size
        if offset < self.start or end > self.end or not self.writable:
            raise self.refuse(offset, size, "store")
        if self.aligned and (offset + self.phase) % size:
            raise self.misaligned(offset, size, "store")
        self.data[offset:end] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")

    def read(self, offset: int, length: int) -> bytes:
        """The bytes that a helper reads: any length and alignment."""
        if offset < self.start or offset + length > self.end or not self.readable:
            raise self.refuse(offset, length, "read")
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, content: bytes) -> None:
        """The bytes that a helper writes: any length and alignment."""
        if offset < self.start or offset + len(content) > self.end or not self.writable:
            raise self.refuse(offset, len(content), "write")
        self.data[offset : offset + len(content)] = content

    def span(self, offset: int) -> tuple[str, int, int]:
        """Name, start and end (offsets) of the accessible piece at or nearest to `offset`: what a fault names."""
        return self.name, self.start, self.end

    def describe(self, offset: int) -> str:
        """A place in the region for people: `packet+14`."""
        name, start, _ = self.span(offset)
        return f"{name}{place(offset - start)}"

    def refuse(self, offset: int, size: int, access: str) -> Fault:
        """The Fault for an access that is out of bounds or not permitted."""
        name, start, end = self.span(offset)
        where = {"address": self.base + offset, "size": size, "region": name}
        amount = count(size)
        if start <= offset and offset + size <= end:
            may = "read-only" if self.readable else "write-only" if self.writable else "opaque to programs"
            return Fault(FaultKind.PERMISSION, f"{access} of {amount} at {self.describe(offset)}: it is {may}", **where)
        if start == end:
            reason = f"{access} of {amount} at {self.describe(offset)}: no byte of it may be accessed"
            return Fault(FaultKind.MEMORY, reason, **where)
        distance = start - offset if offset < start else offset + size - end
        side = "before the start" if offset < start else "past the end"
        reason = f"{access} of {amount} at {self.describe(offset)}: {count(distance)} {side}"
        reason += f" ({name} has {count(end - start)})"
        return Fault(FaultKind.MEMORY, reason, distance=distance, **where)

    def misaligned(self, offset: int, size: int, access: str) -> Fault:
        """The Fault for an access whose address is no multiple of its size where it has to be."""
        name, _, _ = self.span(offset)
        reason = f"{access} of {count(size)} at {self.describe(offset)} is not aligned to {size}"
        return Fault(FaultKind.ALIGNMENT, reason, address=self.base + offset, size=size, region=name)


def count(number: int, noun: str = "byte") -> str:
    """`1 byte`, `8 bytes`, `1 frame`."""
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def place(offset: int) -> str:
    """`+8`, `-4`, or nothing at the very start of a region."""
    return f"{offset:+d}" if offset else ""


class Memory:
    """The address space: slots to regions.

    `map` puts a region into the next free slot and returns its base address.  Transient regions (a packet, a
    context) live in the upper half of the slots, which `reset_transient` empties between runs; the others stay
    until `unmap`.
    """

    __slots__ = ("_aligned_atomics", "_next", "_next_transient", "slots")

    def __init__(self, *, aligned_atomics: bool = True) -> None:
        self.slots: dict[int, Region] = {}
        self._next = FIRST_SLOT
        self._next_transient = TRANSIENT_SLOT
        self._aligned_atomics = aligned_atomics

    def map(self, region: Region, *, transient: bool = False) -> int:
        """Map `region` and return its base address.  A region is mapped once, a transient one once in a run.

        InputError when it is larger than a slot, LimitExceeded when no slot is left.
        """
        if region.end > OFFSET_MASK + 1:
            raise InputError(f"{region.name} ends at byte {region.end:#x}; a memory region has at most 4 GiB")
        slot = self._next_transient if transient else self._next
        if slot >= (END_OF_SLOTS if transient else TRANSIENT_SLOT):
            raise LimitExceeded("the address space has no slot left for another memory region", limit="regions")
        if transient:
            self._next_transient += SLOT_STEP
        else:
            self._next += SLOT_STEP
        self.slots[slot] = region
        region.base = slot << SLOT_SHIFT
        return region.base

    def unmap(self, region: Region) -> None:
        """Take `region` out; its addresses fault from now on.  They are not given to another region, those of a
        transient one not before `reset_transient`.
        """
        slot = region.base >> SLOT_SHIFT
        if self.slots.get(slot) is not region:
            raise InternalError(f"{region.name} is unmapped and was not mapped")
        del self.slots[slot]

    def reset_transient(self) -> None:
        """Unmap every transient region and start their addresses afresh: the next run sees the same ones."""
        for slot in range(TRANSIENT_SLOT, self._next_transient, SLOT_STEP):
            self.slots.pop(slot, None)
        self._next_transient = TRANSIENT_SLOT

    @property
    def next_slots(self) -> tuple[int, int]:
        """The slots that the next region and the next transient one are mapped at."""
        return self._next, self._next_transient

    @next_slots.setter
    def next_slots(self, slots: tuple[int, int]) -> None:
        self._next, self._next_transient = slots

    def __iter__(self) -> Iterator[Region]:
        return iter(self.slots.values())

    def find(self, address: int) -> Region | None:
        """The region in whose slot `address` lies, inside its bounds or not; None for plain numbers."""
        return self.slots.get(address >> SLOT_SHIFT)

    def home(self, value: int) -> int | None:
        """The slot of the region that a pointer belongs to, off by up to 32 GiB or not; None for plain numbers."""
        slot = (value >> SLOT_SHIFT) + SLOT_STEP // 2 & -SLOT_STEP
        return slot if slot in self.slots else None

    def load(self, address: int, size: int) -> int:
        """The unsigned little-endian number in `size` bytes at `address`; Fault when that is not allowed."""
        region = self.slots.get(address >> SLOT_SHIFT)
        if region is None:
            raise self.refuse(address, size, "load")
        return region.load(address & OFFSET_MASK, size)

    def store(self, address: int, size: int, value: int) -> None:
        """Store the low `size` bytes of `value` at `address`; Fault when that is not allowed."""
        region = self.slots.get(address >> SLOT_SHIFT)
        if region is None:
            raise self.refuse(address, size, "store")
        region.store(address & OFFSET_MASK, size, value)

    def update(self, address: int, size: int, combine: Callable[[int], int]) -> int:
        """Replace the number at `address` by `combine` of it, as one step; returns what it was.

        Fault where loads or stores are refused, where the region takes no atomic operations, and, unless the
        memory was made without that rule, when the address is not aligned to `size`.
        """
        region, offset = self._atomic(address, size)
        old = region.load(offset, size)
        region.store(offset, size, combine(old))
        return old

    def load_acquire(self, address: int, size: int) -> int:
        """`load` with acquire order, under the rules of atomic operations."""
        region, offset = self._atomic(address, size)
        return region.load(offset, size)

    def store_release(self, address: int, size: int, value: int) -> None:
        """`store` with release order, under the rules of atomic operations."""
        region, offset = self._atomic(address, size)
        region.store(offset, size, value)

    def _atomic(self, address: int, size: int) -> tuple[Region, int]:
        region = self.slots.get(address >> SLOT_SHIFT)
        if region is None:
            raise self.refuse(address, size, "atomic operation")
        offset = address & OFFSET_MASK
        if not region.atomic:
            reason = f"atomic operation at {region.describe(offset)}: a {region.kind} takes none"
            raise Fault(FaultKind.PERMISSION, reason, address=address, size=size, region=region.name)
        if self._aligned_atomics and address % size:
            raise region.misaligned(offset, size, "atomic operation")
        return region, offset

    def read(self, address: int, length: int) -> bytes:
        """Bytes for a helper.  A length of 0 touches nothing and is allowed anywhere."""
        if length <= 0:
            if length:
                raise InternalError(f"a helper reads {length} bytes")
            return b""
        region = self.slots.get(address >> SLOT_SHIFT)
        if region is None:
            raise self.refuse(address, length, "read")
        return region.read(address & OFFSET_MASK, length)

    def write(self, address: int, content: bytes) -> None:
        """Bytes from a helper.  No bytes touch nothing and are allowed anywhere."""
        if not content:
            return
        region = self.slots.get(address >> SLOT_SHIFT)
        if region is None:
            raise self.refuse(address, len(content), "write")
        region.write(address & OFFSET_MASK, content)

    read_data = read
    """`read` of what a helper takes as data: the strict level wants no pointer in it (see `pointers`)."""

    def describe(self, address: int) -> str:
        """An address for people: `stack-8`, `map counts[3]+4`, or the number itself."""
        region = self.find(address)
        if region is None:
            return f"{address:#x}"
        return region.describe(address & OFFSET_MASK)

    def refuse(self, address: int, size: int, access: str) -> Fault:
        """The Fault for an address in no region's slot; it names the nearest region where one is near."""
        amount = count(size)
        where: dict[str, object] = {"address": address, "size": size}
        slot = (address >> SLOT_SHIFT) // SLOT_STEP * SLOT_STEP
        below, above = self.slots.get(slot), self.slots.get(slot + SLOT_STEP)
        if address < NULL_PAGE:
            why = f"a null pointer{place(address)}"
        elif below is not None and (above is None or address - below.base < above.base - address):
            name, _, end = below.span(OFFSET_MASK)
            distance = address + size - (below.base + end)
            where |= {"region": name, "distance": distance}
            why = f"{count(distance)} past the end of {name}"
        elif above is not None:
            name, start, _ = above.span(0)
            distance = above.base + start - address
            where |= {"region": name, "distance": distance}
            why = f"{count(distance)} before {name}"
        else:
            why = "a number that points into no region"
        return Fault(FaultKind.MEMORY, f"{access} of {amount} at {address:#x}: {why}", **where)


__all__ = ["OFFSET_MASK", "SLOT_SHIFT", "Memory", "Region", "RegionKind", "count", "place"]
