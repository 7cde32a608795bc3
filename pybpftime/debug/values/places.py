"""Where a value lies: memory, a register, constant bytes, pieces, a bit field, or nowhere any more.

A place reads and writes bytes through a `Target` and can be divided (`part`).  Reading raises InputError with the
end of a sentence that begins with the name of the thing: "4 bytes at 0x10 cannot be read".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pybpftime.debug.values.types import ByteOrder
from pybpftime.errors import InputError
from pybpftime.isa.encoding import MASK64
from pybpftime.program.btf.values import bit_shift, get_bits

REGISTER_SIZE = 8


class Target(Protocol):
    """What values are read from and written to: memory, and the registers of one frame."""

    @property
    def byteorder(self) -> ByteOrder:
        """Of memory and of the bytes of registers."""

    def read(self, address: int, size: int) -> bytes | None:
        """`size` bytes from `address` (0 <= address < 2**64); None unless all of them can be read."""

    def write(self, address: int, data: bytes) -> None:
        """Change memory; InputError says why it cannot be changed."""

    def register(self, number: int) -> int | None:
        """A register, 64 unsigned bits; None if it has no value."""

    def set_register(self, number: int, value: int) -> None:
        """Change a register; InputError says why it cannot be changed."""

    def describe(self, address: int) -> str | None:
        """What lies there in a few words: `packet + 14`; None if nothing is known."""


@dataclass(frozen=True, slots=True)
class Memory:
    """At an address."""

    location: int

    def address(self) -> int | None:
        return self.location

    def read(self, target: Target, size: int) -> bytes:
        data = target.read(self.location, size)
        if data is None:
            raise unreadable(self.location, size)
        return data

    def write(self, target: Target, data: bytes) -> None:
        target.write(self.location, data)

    def part(self, offset: int, size: int) -> Place:
        return Memory(self.location + offset & MASK64)


@dataclass(frozen=True, slots=True)
class Register:
    """In a register of the target's frame, from byte `offset` on; byte 0 is the lowest one."""

    number: int
    offset: int = 0

    def address(self) -> int | None:
        return None

    def read(self, target: Target, size: int) -> bytes:
        value = target.register(self.number)
        if value is None:
            raise no_value(self.number)
        self._check(size)
        low = value >> 8 * self.offset & (1 << 8 * size) - 1
        return low.to_bytes(size, target.byteorder)

    def write(self, target: Target, data: bytes) -> None:
        """Sets the bytes and keeps the others; all of a register counts as 0 if it has no value."""
        self._check(len(data))
        shift = 8 * self.offset
        mask = (1 << 8 * len(data)) - 1 << shift
        value = target.register(self.number) or 0
        target.set_register(self.number, value & ~mask | int.from_bytes(data, target.byteorder) << shift)

    def part(self, offset: int, size: int) -> Place:
        return Register(self.number, self.offset + offset)

    def _check(self, size: int) -> None:
        if not 0 <= self.offset <= self.offset + size <= REGISTER_SIZE:
            raise InputError(f"{size} bytes at byte {self.offset} do not lie in r{self.number}")


@dataclass(frozen=True, slots=True)
class Constant:
    """Bytes that are known and lie nowhere."""

    data: bytes

    def address(self) -> int | None:
        return None

    def read(self, target: Target, size: int) -> bytes:
        if size > len(self.data):
            raise InputError(f"only {len(self.data)} of its {size} bytes are known")
        return self.data[:size]

    def write(self, target: Target, data: bytes) -> None:
        raise InputError("it is a constant here and cannot be changed")

    def part(self, offset: int, size: int) -> Place:
        if not 0 <= offset <= offset + size <= len(self.data):
            raise InputError(f"byte {offset} lies outside of its {len(self.data)} bytes")
        return Constant(self.data[offset : offset + size])


@dataclass(frozen=True, slots=True)
class OptimisedOut:
    """Nowhere: the compiler did not keep it.  `reason` ends a sentence that begins with the name of the thing."""

    reason: str = "it is optimised out"

    def address(self) -> int | None:
        return None

    def read(self, target: Target, size: int) -> bytes:
        raise InputError(self.reason)

    def write(self, target: Target, data: bytes) -> None:
        raise InputError(self.reason)

    def part(self, offset: int, size: int) -> Place:
        return self


@dataclass(frozen=True, slots=True)
class Pieces:
    """Several places one after the other, each with its size in bytes."""

    parts: tuple[tuple[Place, int], ...]

    def address(self) -> int | None:
        return None

    def read(self, target: Target, size: int) -> bytes:
        return b"".join(place.read(target, length) for place, length in self._cut(0, size))

    def write(self, target: Target, data: bytes) -> None:
        at = 0
        for place, length in self._cut(0, len(data)):
            place.write(target, data[at : at + length])
            at += length

    def part(self, offset: int, size: int) -> Place:
        found = self._cut(offset, size)
        return found[0][0] if len(found) == 1 else Pieces(tuple(found))

    def _cut(self, offset: int, size: int) -> list[tuple[Place, int]]:
        """The places of `size` bytes from `offset` on; what no piece covers is optimised out."""
        found: list[tuple[Place, int]] = []
        begin, end = 0, offset + size
        for place, length in self.parts:
            first, last = max(begin, offset), min(begin + length, end)
            if first < last:
                whole = (first, last) == (begin, begin + length)
                found.append((place if whole else place.part(first - begin, last - first), last - first))
            begin += length
        if begin < end:
            found.append((OptimisedOut(), end - max(begin, offset)))
        return found


@dataclass(frozen=True, slots=True)
class Bits:
    """A bit field inside a place of `size` bytes; bits count as in `btf.layout.Field`.

    It reads as an integer of any size that holds it, extended by its sign.
    """

    container: Place
    size: int
    bit_offset: int
    bit_size: int
    signed: bool

    def address(self) -> int | None:
        return None

    def read(self, target: Target, size: int) -> bytes:
        data = self.container.read(target, self.size)
        number = get_bits(data, self.bit_offset, self.bit_size, target.byteorder)
        if self.signed and number >> self.bit_size - 1:
            number -= 1 << self.bit_size
        return number.to_bytes(size, target.byteorder, signed=self.signed)

    def write(self, target: Target, data: bytes) -> None:
        """Keeps the low bits of `data`."""
        order = target.byteorder
        shift = bit_shift(self.bit_offset, self.bit_size, order)
        mask = (1 << self.bit_size) - 1
        first = self.bit_offset // 8
        last = (self.bit_offset + self.bit_size + 7) // 8
        old = bytearray(self.container.read(target, self.size))
        number = int.from_bytes(old[first:last], order)
        number = number & ~(mask << shift) | (int.from_bytes(data, order) & mask) << shift
        old[first:last] = number.to_bytes(last - first, order)
        self.container.write(target, bytes(old))

    def part(self, offset: int, size: int) -> Place:
        raise InputError("a bit field has no parts")


@dataclass(frozen=True, slots=True)
class Moving:
    """A place that is found anew at each access: a variable on the stack of whatever frame is looked at."""

    locate: Callable[[], Place]

    def address(self) -> int | None:
        return self.locate().address()

    def read(self, target: Target, size: int) -> bytes:
        return self.locate().read(target, size)

    def write(self, target: Target, data: bytes) -> None:
        self.locate().write(target, data)

    def part(self, offset: int, size: int) -> Place:
        return Moving(lambda: self.locate().part(offset, size))


Place: TypeAlias = Memory | Register | Constant | OptimisedOut | Pieces | Bits | Moving


def bit_field(place: Place, bit_offset: int, bit_size: int, *, signed: bool) -> Bits:
    """The bit field that begins `bit_offset` bits into `place`."""
    first, last = bit_offset // 8, (bit_offset + bit_size + 7) // 8
    return Bits(place.part(first, last - first), last - first, bit_offset - 8 * first, bit_size, signed)


def laid_out(place: Place, size: int) -> list[tuple[Memory | Register, int]]:
    """The memory and the registers that a value of `size` bytes at a place occupies now, with the bytes in each.

    Pieces of it that lie nowhere are left out; InputError for what lies nowhere as a whole.
    """
    match place:
        case Memory() | Register():
            return [(place, size)]
        case Moving():
            return laid_out(place.locate(), size)
        case Bits():
            return laid_out(place.container, place.size)
        case Pieces():
            lying = [one for one in place.parts if not isinstance(one[0], OptimisedOut | Constant)]
            return [found for part, length in lying for found in laid_out(part, length)]
        case Constant():
            raise InputError("it is computed and lies nowhere: name a variable, a register or memory")
    raise InputError(place.reason)


def unreadable(address: int, size: int) -> InputError:
    """The error of memory that cannot be read."""
    return InputError(f"{size} byte{'s' if size != 1 else ''} at {address:#x} cannot be read")


def no_value(register: int) -> InputError:
    """The error of a register that was never written."""
    return InputError(f"r{register} has no value here")
