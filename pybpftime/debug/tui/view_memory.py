"""Bytes: a piece of memory, and the packet."""

from __future__ import annotations

from dataclasses import dataclass

from pybpftime.debug.expression import MapValue
from pybpftime.debug.memory import peek
from pybpftime.debug.packet import packet_of
from pybpftime.debug.session import Session
from pybpftime.debug.values import TypedValue
from pybpftime.errors import InputError
from pybpftime.isa.encoding import MASK64
from pybpftime.machine import Memory
from pybpftime.machine.memory import OFFSET_MASK
from pybpftime.machine.stack import TrackedStack

SHOWN = 512
"""Bytes of memory that are shown from an address on."""
LEAST_STACK = 64
"""Bytes of a stack that are shown however little of it is in use."""
LONGEST_PACKET = 4096


@dataclass(frozen=True, slots=True)
class BytesView:
    """Bytes from `address` on; they are counted from `first`, which is negative in a stack.

    `is_written` is None where all bytes count; `changed` are indices into `data`.  `pointers` are registers that
    point here: index and name.  Without bytes `note` says why.
    """

    title: str
    address: int = 0
    first: int = 0
    data: bytes = b""
    is_written: bytes | None = None
    changed: frozenset[int] = frozenset()
    pointers: tuple[tuple[int, str], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class PacketView:
    """The packet as it is now; `layers` say what is in it, a line each."""

    layers: tuple[str, ...]
    content: BytesView


def memory_view(session: Session, text: str, before: BytesView | None) -> BytesView:
    """What the expression points to or lies at; of the selected frame the stack, if there is no expression."""
    if not session.world.has_begun:
        return BytesView("memory", note="Nothing runs.")
    if not text:
        return _stack(session, before)
    try:
        address = _address(session.value(text), text)
        memory = session.world.machine.memory
        data = _read(memory, address)
    except InputError as error:
        return BytesView(text, note=error.reason)
    title = f"{text}: {memory.describe(address)}"
    return BytesView(
        title, address, 0, data, None, _changed(address, data, before), _pointers(session, address, len(data))
    )


def packet_view(session: Session, before: PacketView | None) -> PacketView:
    """The packet of the invocation; no layers where it has none."""
    world = session.world
    packet = packet_of(world)
    if packet is None:
        return PacketView((), BytesView("packet", note="This program has no packet."))
    data, address = packet.content, packet.address
    shown = data[:LONGEST_PACKET]
    note = "" if len(data) == len(shown) else f"{len(data) - len(shown)} more bytes"
    old = None if before is None else before.content
    pointers = _pointers(session, address, len(data))
    changed = _changed(address, shown, old)
    content = BytesView(f"{len(data)} bytes", address, 0, shown, None, changed, pointers, note)
    return PacketView((packet.summary, *packet.lines()), content)


def _stack(session: Session, before: BytesView | None) -> BytesView:
    """The used part of a frame's stack; the frame pointer points behind its last byte."""
    frame = session.selected
    pointer = None if frame is None else frame.registers[10]
    memory = session.world.machine.memory
    region = None if pointer is None else memory.find(pointer)
    if frame is None or pointer is None or region is None:
        return BytesView("stack", note="No function runs.")
    end = pointer & OFFSET_MASK
    data = bytes(region.data[:end])
    written = bytes(region.content[:end]) if isinstance(region, TrackedStack) else None
    used = data if written is None else written
    start = min(len(data) - len(used.lstrip(b"\0")), max(end - LEAST_STACK, 0)) // 16 * 16
    address = region.base + start
    data, written = data[start:], None if written is None else written[start:]
    return BytesView(
        f"stack of {frame.name}", address, start - end, data, written, _changed(address, data, before),
        _pointers(session, address, len(data) + 1),
    )  # fmt: skip


def _address(value: TypedValue | MapValue, text: str) -> int:
    """Where to look: where a pointer points, where anything else lies, or the number that it is."""
    if isinstance(value, MapValue):
        raise InputError(f"{text} is a map: say an element, {text}[KEY]")
    if value.type.pointee is None and value.address is not None:
        return value.address
    try:
        return int(value.number()) & MASK64
    except (OverflowError, ValueError):  # a float may be infinite, or no number
        raise InputError(f"{text} does not lie in memory") from None


def _read(memory: Memory, address: int) -> bytes:
    region = memory.find(address)
    if region is None:
        raise InputError(f"there is no memory at {address:#x}")
    size = min(SHOWN, len(region.data) - (address & OFFSET_MASK))
    data = peek(memory, address, size) if size > 0 else None
    if data is None:
        raise InputError(f"there are no bytes at {memory.describe(address)}")
    return data


def _changed(address: int, data: bytes, before: BytesView | None) -> frozenset[int]:
    """The indices of bytes that are not what they were at the same address; none if that was not looked at."""
    if before is None or not before.data:
        return frozenset()
    shift = address - before.address
    pairs = ((index, index + shift) for index in range(len(data)))
    old = before.data
    return frozenset(index for index, at in pairs if 0 <= at < len(old) and old[at] != data[index])


def _pointers(session: Session, address: int, size: int) -> tuple[tuple[int, str], ...]:
    """Registers of the selected frame that point into these bytes."""
    frame = session.selected
    registers = () if frame is None else frame.registers
    return tuple(
        (value - address, f"r{number}")
        for number, value in enumerate(registers)
        if value is not None and 0 <= value - address < size
    )
