"""Memory as a debugger sees it: bytes wherever there are some, whatever a program may do there."""

from __future__ import annotations

from pybpftime.errors import InputError
from pybpftime.machine import Memory, Region
from pybpftime.machine.memory import OFFSET_MASK
from pybpftime.machine.stack import NUMBER, TrackedStack
from pybpftime.program.contexts.region import TranslatedRegion
from pybpftime.program.types import FieldKind

PACKET_POINTERS = (FieldKind.PACKET, FieldKind.PACKET_META, FieldKind.PACKET_END)


def peek(memory: Memory, address: int, size: int) -> bytes | None:
    """`size` bytes at `address`; None where there are not so many in one region.

    Permissions, alignment and bytes that were never written do not count here.  Fields of a context that are addresses
    show what a load gives.
    """
    region = memory.find(address)
    if region is None:
        return None
    offset = address & OFFSET_MASK
    if offset + size > len(region.data) or size < 0:
        return None
    if isinstance(region, TranslatedRegion):
        return _translated(region, offset, size)
    return bytes(region.data[offset : offset + size])


def poke(memory: Memory, address: int, content: bytes) -> None:
    """Overwrite bytes that a program may access.  InputError where there are none, or they are no memory.

    What a map keeps beside its values (links, states) is no memory in this sense: a wrong one would break the map.
    """
    region = memory.find(address)
    if region is None:
        raise InputError(f"there is no memory at {address:#x}")
    offset = address & OFFSET_MASK
    _, start, end = region.span(offset)
    end = min(end, len(region.data))
    if not start <= offset <= offset + len(content) <= end or not _has_bytes(region):
        raise InputError(f"{memory.describe(address)}: there are no {len(content)} bytes that can be set")
    region.data[offset : offset + len(content)] = content
    if isinstance(region, TrackedStack):
        region.content[offset : offset + len(content)] = bytes([NUMBER]) * len(content)


def _has_bytes(region: Region) -> bool:
    return region.readable or region.writable


def _translated(region: TranslatedRegion, offset: int, size: int) -> bytes:
    """The structure's image, with the addresses that loads of packet pointers give, of which it has the low half."""
    content = bytearray(region.data[offset : offset + size])
    for field in region.layout.fields:
        if field.kind in PACKET_POINTERS and field.loads and field.offset < offset + size and offset < field.end:
            value = region.load(field.offset, field.loads[0]).to_bytes(8, "little")
            for at in range(max(field.offset, offset), min(field.end, offset + size)):
                content[at - offset] = value[at - field.offset]
    return bytes(content)
