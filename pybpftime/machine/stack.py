"""Stack frames: memory for every function call, one region per depth.

A frame's region is mapped once and closed (no byte accessible) when its function returns, so that a pointer
into a dead frame faults instead of reading what a later call left there.
"""

from __future__ import annotations

from dataclasses import dataclass

from pybpftime.errors import Fault, FaultKind
from pybpftime.machine.memory import Memory, Region, RegionKind, count
from pybpftime.machine.rounds import Rounds
from pybpftime.machine.strictness import Strictness

MAPPED_FRAMES = 8  # how many a machine maps at once; those beyond are mapped when they are opened


@dataclass(slots=True)
class Frame:
    """One active function call.

    `return_pc` is where the caller goes on, None for the function that the run began with; `saved` holds the
    caller's r6 to r10; `stack` is this function's memory; `entry` its first pc.  `base` is the number of frames below
    the one in which this function's program was entered.  `rounds` are those of the helper that called the function:
    the caller goes on when there are no more; None where a program called it.
    """

    entry: int
    return_pc: int | None
    saved: tuple[int | None, ...]
    stack: Region
    base: int = 0
    rounds: Rounds | None = None


class StackRegion(Region):
    """A stack frame; places in it are told relative to the frame pointer r10, which points behind the last byte."""

    __slots__ = ()

    def describe(self, offset: int) -> str:
        return f"{self.name}{offset - len(self.data):+d}"


UNWRITTEN, NUMBER, POINTER, REST = range(4)
"""What a byte of a tracked stack holds: nothing yet, a part of a number, the first byte of a pointer, its others."""
WHOLE_POINTER = bytes([POINTER, *[REST] * 7])


class TrackedStack(StackRegion):
    """A stack that knows what each byte holds: the strict rules fault on reading bytes that were never written, and
    on the use of parts of pointers (see `pointers`).
    """

    __slots__ = ("content",)

    def __init__(self, kind: RegionKind, name: str, data: bytearray, *, aligned: bool) -> None:
        super().__init__(kind, name, data, aligned=aligned)
        self.content = bytearray(len(data))

    def load(self, offset: int, size: int) -> int:
        value = super().load(offset, size)
        self._require_written(offset, size, "load")
        return value

    def store(self, offset: int, size: int, value: int) -> None:
        super().store(offset, size, value)
        self.content[offset : offset + size] = bytes([NUMBER]) * size

    def read(self, offset: int, length: int) -> bytes:
        content = super().read(offset, length)
        self._require_written(offset, length, "read")
        return content

    def write(self, offset: int, content: bytes) -> None:
        super().write(offset, content)
        self.content[offset : offset + len(content)] = bytes([NUMBER]) * len(content)

    def mark_pointer(self, offset: int) -> None:
        """Remember that the 8 bytes that were just stored at `offset` are a pointer."""
        self.content[offset : offset + 8] = WHOLE_POINTER

    def has_whole_pointer(self, offset: int, size: int) -> bool:
        """Whether the bytes are one pointer as it was stored."""
        return self.content[offset : offset + size] == WHOLE_POINTER

    def has_pointer_bytes(self, offset: int, size: int) -> bool:
        """Whether any of the bytes is a part of a pointer."""
        return max(self.content[offset : offset + size], default=UNWRITTEN) >= POINTER

    def _require_written(self, offset: int, size: int, access: str) -> None:
        hole = self.content.find(UNWRITTEN, offset, offset + size)
        if hole >= 0:
            reason = f"{access} of {count(size)} at {self.describe(offset)}: "
            raise Fault(
                FaultKind.UNINITIALISED,
                f"{reason}the byte at {hole - len(self.data):+d} was never written",
                address=self.base + offset, size=size, region=self.name,
            )  # fmt: skip


class Stack:
    """The frames' memory, depth by depth, in the address space of one machine.

    The first `depth` frames are mapped at once, so that their addresses do not depend on what ran before.
    """

    __slots__ = ("_memory", "_regions", "_strictness", "frame_size")

    def __init__(self, memory: Memory, strictness: Strictness, frame_size: int, depth: int) -> None:
        self._memory = memory
        self._strictness = strictness
        self.frame_size = frame_size
        self._regions = [self._new_region(level) for level in range(depth)]

    def open(self, depth: int) -> Region:
        """The region of the frame at `depth` (0 for the entry function), zeroed and accessible."""
        if depth == len(self._regions):
            self._regions.append(self._new_region(depth))
        region = self._regions[depth]
        region.data[:] = bytes(self.frame_size)
        if isinstance(region, TrackedStack):
            region.content[:] = bytes(self.frame_size)
        region.start, region.end = 0, self.frame_size
        return region

    def close(self, region: Region) -> None:
        """The frame's function returned: from now on every access to the region faults."""
        region.start = region.end = self.frame_size

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions of all depths that were ever opened."""
        return tuple(self._regions)

    @regions.setter
    def regions(self, regions: tuple[Region, ...]) -> None:
        self._regions[:] = regions

    def release(self) -> None:
        """Give the regions back to the address space."""
        for region in self._regions:
            self._memory.unmap(region)
        self._regions.clear()

    def _new_region(self, depth: int) -> Region:
        name = "stack" if depth == 0 else f"stack of call {depth}"
        aligned = self._strictness.unaligned_stack_and_context
        data = bytearray(self.frame_size)
        region: Region
        if self._strictness.uninitialised_stack:
            region = TrackedStack(RegionKind.STACK, name, data, aligned=aligned)
        else:
            region = StackRegion(RegionKind.STACK, name, data, aligned=aligned)
        self._memory.map(region)
        self.close(region)
        return region
