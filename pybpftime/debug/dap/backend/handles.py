"""Numbers that stand for things in messages."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from functools import cached_property
from itertools import count
from typing import Generic, TypeVar

from pybpftime.errors import InputError
from pybpftime.isa.encoding import SLOT_BYTES
from pybpftime.program.spec import ProgramSpec

T = TypeVar("T")

FIRST_CODE = 0xC0DE << 32
"""Where code references begin: above the addresses of user processes on x86-64, below those of the machine's memory."""
PROGRAM_BITS = 24
"""Bits of a code reference that say the byte within a program: twice what the longest program takes."""


class Handles(Generic[T]):
    """Numbers for things, until the program moves.  A number is never used again: an old one is seen as such."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._things: dict[int, T] = {}
        self._next = count(1)

    def add(self, thing: T) -> int:
        """A number for it."""
        number = next(self._next)
        self._things[number] = thing
        return number

    def get(self, number: int) -> T:
        """What the number stands for; InputError if it stands for nothing any more."""
        if number not in self._things:
            raise InputError(f"there is no {self._what} {number} any more")
        return self._things[number]

    def clear(self) -> None:
        """Forget all."""
        self._things.clear()


class CodeSpace:
    """Code references: a number for each slot of each program, 8 apart as the instructions are."""

    def __init__(self, specs: Iterable[ProgramSpec]) -> None:
        self.specs = tuple(specs)

    def start(self, spec: ProgramSpec) -> int:
        """The reference of slot 0."""
        return FIRST_CODE + (self.specs.index(spec) << PROGRAM_BITS)

    def reference(self, spec: ProgramSpec, slot: int) -> int:
        """The reference of a slot."""
        return self.start(spec) + slot * SLOT_BYTES

    def find(self, reference: int) -> tuple[ProgramSpec, int] | None:
        """Program and byte within its code; the byte may lie behind the code.  None if it is no code reference."""
        index, offset = divmod(reference - FIRST_CODE, 1 << PROGRAM_BITS)
        return (self.specs[index], offset) if 0 <= index < len(self.specs) else None

    def slot(self, reference: int) -> tuple[ProgramSpec, int]:
        """Program and slot; InputError if no instruction begins there."""
        found = self.find(reference)
        if found is None:
            raise InputError(f"{reference:#x} is no address of code")
        spec, offset = found
        slot, inside = divmod(offset, SLOT_BYTES)
        if inside or slot >= len(spec.instructions) or spec.instructions[slot] is None:
            raise InputError(f"no instruction of {spec.name} begins at {reference:#x}")
        return spec, slot


class Layout:
    """The slots of a program at which instructions begin."""

    def __init__(self, spec: ProgramSpec) -> None:
        self.spec = spec

    @cached_property
    def slots(self) -> tuple[int, ...]:
        """Ascending."""
        return tuple(slot for slot, one in enumerate(self.spec.instructions) if one is not None)

    def index_at(self, byte: int) -> int:
        """Which instruction, counted from 0, the byte belongs to; -1, -2... before the program, and likewise behind."""
        slot = byte // SLOT_BYTES
        if slot < 0:
            return slot
        behind = slot - len(self.spec.instructions)
        return len(self.slots) + behind if behind >= 0 else bisect_right(self.slots, slot) - 1


def parse_reference(text: str) -> int:
    """The number in a memory reference, `0x...` or decimal; InputError for anything else."""
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 64:
        raise InputError(f"{text[:40]!r} is no memory reference")
    return number
