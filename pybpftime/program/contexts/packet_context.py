"""Contexts that carry a packet: the buffer around it, and the addresses that programs get of it."""

from __future__ import annotations

from typing import Literal

from pybpftime.errors import InputError
from pybpftime.machine import Machine
from pybpftime.program.contexts.context import Context
from pybpftime.program.contexts.region import PacketRegion
from pybpftime.program.types import FieldKind, PacketAccess, ProgramTypeInfo

ETH_HLEN = 14
LONGEST_PACKET = 1 << 18  # the largest snapshot length of captures


class PacketContext(Context):
    """The common part of contexts of kind xdp and skb; implements most of `helpers.packet_access.PacketBuffer`.

    Offsets `head`, `meta` and `end` count from the start of `buffer`: meta <= head <= end <= len(buffer).
    """

    kind: Literal["xdp", "skb"]
    __slots__ = ("_machine", "_packet_region", "buffer", "end", "head", "info", "meta")

    def __init__(self, info: ProgramTypeInfo, buffer: bytearray, head: int, end: int) -> None:
        self.info = info
        self.buffer = buffer
        self.head = head
        self.meta = head
        self.end = end
        self._machine: Machine | None = None
        self._packet_region: PacketRegion | None = None

    @property
    def length(self) -> int:
        """Bytes from `head` to `end`."""
        return self.end - self.head

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the packet; the caller has checked that they lie in it."""
        start = self.head + offset
        return bytes(self.buffer[start : start + length])

    def write(self, offset: int, content: bytes) -> None:
        """Overwrite bytes of the packet; the caller has checked that they lie in it."""
        start = self.head + offset
        self.buffer[start : start + len(content)] = content

    def invalidate(self) -> None:
        """Make every address of packet data or metadata that the program holds fault; fields give new ones."""
        if self._machine is not None and self._packet_region is not None:
            self._machine.memory.unmap(self._packet_region)
            self._map_packet(self._machine)

    def _map_packet(self, machine: Machine) -> None:
        self._machine = machine
        if self.info.packet_access is PacketAccess.NONE:
            return
        self._packet_region = PacketRegion(
            self.buffer,
            meta=self.meta,
            head=self.head,
            end=self.end,
            writable=self.info.packet_access is PacketAccess.WRITE,
            aligned=machine.strictness.unaligned_memory,
        )
        machine.memory.map(self._packet_region, transient=True)

    def _packet_address(self, kind: FieldKind) -> int:
        assert self._packet_region is not None
        base = self._packet_region.base
        if kind is FieldKind.PACKET:
            return base + self.head
        return base + (self.end if kind is FieldKind.PACKET_END else self.meta)


def check_packet(packet: bytes, shortest: int = ETH_HLEN) -> None:
    """InputError for a packet that is too short for an Ethernet header, or beyond all reason."""
    if len(packet) < shortest:
        raise InputError(f"a packet has at least {shortest} bytes (an Ethernet header), not {len(packet)}")
    if len(packet) > LONGEST_PACKET:
        raise InputError(f"a packet has at most {LONGEST_PACKET} bytes, not {len(packet)}")
