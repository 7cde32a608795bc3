"""pcapng files, read (draft-ietf-opsawg-pcapng)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from pybpftime.program.capture import NANOSECONDS, Packet, Source, require_ethernet, require_length

PCAPNG_MAGIC = bytes.fromhex("0a0d0d0a")
"""First four bytes of a pcapng file: its section header's type, the same in both byte orders."""

_INTERFACE_DESCRIPTION = 1
_OBSOLETE_PACKET = 2
_SIMPLE_PACKET = 3
_ENHANCED_PACKET = 6

_OPTION_END = 0
_OPTION_IF_TSRESOL = 9
_OPTION_IF_TSOFFSET = 14

_MAX_INTERFACES = 4_096
_MAX_OPTIONS = 1 << 20


@dataclass(frozen=True, slots=True)
class _Interface:
    link_type: int
    snap_length: int  # 0: unlimited
    described_at: int  # offset of its block, for messages
    ticks_per_second: int = 1_000_000
    offset_seconds: int = 0

    def nanoseconds(self, high: int, low: int) -> int:
        ticks = high << 32 | low
        return ticks * NANOSECONDS // self.ticks_per_second + self.offset_seconds * NANOSECONDS


@dataclass(slots=True)
class _Section:
    """What a section header starts anew: the byte order and the list of interfaces."""

    order: Literal["<", ">"]
    interfaces: list[_Interface] = field(default_factory=list)


class _Block:
    """One block from after its type and length on: reads stay inside it, `close` checks its end."""

    def __init__(self, source: Source, start: int, length: int, order: str) -> None:
        self.source = source
        self.start = start
        self.length = length
        self.order = order
        self.left = length - (source.offset - start) - 4  # without the length that is repeated at the end
        if length % 4 or self.left < 0:
            raise source.error(f"a block cannot be {length} bytes long", offset=start + 4)

    def unpack(self, layout: str, what: str) -> tuple[int, ...]:
        return struct.unpack(self.order + layout, self.take(struct.calcsize(self.order + layout), what))

    def take(self, count: int, what: str) -> bytes:
        if count > self.left:
            raise self.source.error(
                f"{what} needs {count} bytes, the block that starts at byte {self.start:#x} has {self.left} left"
            )
        self.left -= count
        return self.source.take(count, what)

    def close(self) -> None:
        self.source.skip(self.left, "a block")
        again = int.from_bytes(self.source.take(4, "a block"), "little" if self.order == "<" else "big")
        if again != self.length:
            raise self.source.error(
                f"a block's length is {self.length} at its start and {again} at its end", self.source.offset - 4
            )


def read_pcapng(source: Source) -> Iterator[Packet]:
    """The packets of a pcapng file: enhanced, simple and obsolete packet blocks of every section.

    Other blocks are passed over.  Raises InputError as `read_pcap` does; an interface that is not Ethernet is
    refused at its first packet.
    """
    section: _Section | None = None
    number = 0
    while not source.at_end():
        start = source.offset
        raw_type = source.take(4, "a block's type")
        if raw_type == PCAPNG_MAGIC:
            section = _read_section_header(source, start)
            continue
        if section is None:
            raise source.error("no pcapng file: it does not begin with a section header", offset=start)
        (kind,) = struct.unpack(f"{section.order}I", raw_type)
        (length,) = struct.unpack(f"{section.order}I", source.take(4, "a block's length"))
        block = _Block(source, start, length, section.order)
        if kind == _INTERFACE_DESCRIPTION:
            section.interfaces.append(_read_interface(block, len(section.interfaces)))
        elif kind in _PACKET_READERS:
            number += 1
            yield _PACKET_READERS[kind](block, section, number)
        block.close()


def _read_section_header(source: Source, start: int) -> _Section:
    raw_length = source.take(4, "a section header")
    match source.take(4, "a section header"):
        case b"\x4d\x3c\x2b\x1a":
            section = _Section("<")
        case b"\x1a\x2b\x3c\x4d":
            section = _Section(">")
        case _:
            raise source.error("a section header without the byte order magic 0x1A2B3C4D", offset=start + 8)
    (length,) = struct.unpack(f"{section.order}I", raw_length)
    block = _Block(source, start, length, section.order)
    major, minor, _section_length = block.unpack("HHq", "a section header")
    if major != 1:
        raise source.error(f"pcapng version {major}.{minor} is unknown: only version 1 is", offset=start + 12)
    block.close()
    return section


def _read_interface(block: _Block, count: int) -> _Interface:
    if count >= _MAX_INTERFACES:
        raise block.source.error(f"a section with more than {_MAX_INTERFACES} interfaces", block.start)
    link_type, _reserved, snap_length = block.unpack("HHI", "an interface description")
    if block.left > _MAX_OPTIONS:
        raise block.source.error(f"{block.left} bytes of options, more than the {_MAX_OPTIONS} that are allowed")
    ticks_per_second, offset_seconds = 1_000_000, 0
    while block.left:
        code, length = block.unpack("HH", "an option")
        value = block.take(length + -length % 4, "an option")[:length]
        if code == _OPTION_END:
            break
        if code == _OPTION_IF_TSRESOL and length == 1:
            exponent = value[0] & 0x7F
            ticks_per_second = 1 << exponent if value[0] & 0x80 else 10**exponent
        elif code == _OPTION_IF_TSOFFSET and length == 8:
            (offset_seconds,) = struct.unpack(f"{block.order}q", value)
        elif code in (_OPTION_IF_TSRESOL, _OPTION_IF_TSOFFSET):
            raise block.source.error(f"option {code} of an interface description cannot be {length} bytes long")
    return _Interface(link_type, snap_length, block.start, ticks_per_second, offset_seconds)


def _interface_of(block: _Block, section: _Section, index: int) -> _Interface:
    if index >= len(section.interfaces):
        raise block.source.error(
            f"a packet of interface {index}, but the section has described {len(section.interfaces)}", block.start
        )
    interface = section.interfaces[index]
    require_ethernet(block.source, interface.link_type, offset=interface.described_at + 8)
    return interface


def _read_enhanced_packet(block: _Block, section: _Section, number: int) -> Packet:
    index, high, low, captured, original = block.unpack("IIIII", "an enhanced packet block")
    return _finish_packet(block, section, number, index, (high, low, captured, original))


def _read_obsolete_packet(block: _Block, section: _Section, number: int) -> Packet:
    index, _drops, high, low, captured, original = block.unpack("HHIIII", "a packet block")
    return _finish_packet(block, section, number, index, (high, low, captured, original))


def _finish_packet(
    block: _Block, section: _Section, number: int, index: int, rest: tuple[int, int, int, int]
) -> Packet:
    high, low, captured, original = rest
    interface = _interface_of(block, section, index)
    require_length(block.source, captured, number, block.source.offset - 8)
    data = block.take(captured, f"packet {number}")
    return Packet(data, interface.nanoseconds(high, low), index, original, number)


def _read_simple_packet(block: _Block, section: _Section, number: int) -> Packet:
    """A simple packet block names neither interface (it is the first) nor time nor captured length."""
    (original,) = block.unpack("I", "a simple packet block")
    snap_length = _interface_of(block, section, 0).snap_length
    captured = min(original, snap_length) if snap_length else original
    require_length(block.source, captured, number, block.source.offset - 4)
    return Packet(block.take(captured, f"packet {number}"), None, 0, original, number)


_PACKET_READERS = {
    _ENHANCED_PACKET: _read_enhanced_packet,
    _SIMPLE_PACKET: _read_simple_packet,
    _OBSOLETE_PACKET: _read_obsolete_packet,
}
