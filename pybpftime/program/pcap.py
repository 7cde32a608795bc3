"""pcap files, read and written (draft-ietf-opsawg-pcap)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Literal

from pybpftime.errors import HostError, InputError
from pybpftime.program.capture import (
    LINKTYPE_ETHERNET,
    MAX_PACKET,
    NANOSECONDS,
    Packet,
    Source,
    require_ethernet,
    require_length,
)

PCAP_MAGICS: dict[bytes, tuple[Literal["<", ">"], int]] = {
    bytes.fromhex("d4c3b2a1"): ("<", 1_000),
    bytes.fromhex("a1b2c3d4"): (">", 1_000),
    bytes.fromhex("4d3cb2a1"): ("<", 1),
    bytes.fromhex("a1b23c4d"): (">", 1),
}
"""First four bytes of a pcap file -> (byte order, nanoseconds per unit of the timestamp's fraction)."""


def read_pcap(source: Source) -> Iterator[Packet]:
    """The packets of a pcap file of either byte order, with microseconds or nanoseconds.

    Raises InputError for a link type other than Ethernet, a record longer than MAX_PACKET and a file that ends
    within a record (after the packets before it have been handed out).
    """
    magic = source.peek(4)
    if magic not in PCAP_MAGICS:
        raise source.error("no pcap file: the first four bytes are none of pcap's magic numbers")
    order, fraction_ns = PCAP_MAGICS[magic]
    header = struct.unpack(f"{order}IHHiIII", source.take(24, "the pcap file header"))
    major, minor, link_type = header[1], header[2], header[6] & 0x03FF_FFFF
    if major != 2:
        raise source.error(f"pcap version {major}.{minor} is unknown: only version 2 is", offset=4)
    require_ethernet(source, link_type, offset=20)
    record = struct.Struct(f"{order}IIII")
    number = 0
    while not source.at_end():
        start = source.offset
        number += 1
        seconds, fraction, captured, original = record.unpack(source.take(16, f"the header of packet {number}"))
        require_length(source, captured, number, start + 8)
        data = source.take(captured, f"packet {number}")
        yield Packet(data, seconds * NANOSECONDS + fraction * fraction_ns, 0, original, number)


def write_pcap(target: str | os.PathLike[str] | BinaryIO, packets: Iterable[Packet]) -> int:
    """Write `packets` as a pcap file (little endian, nanoseconds, Ethernet) and return how many there were.

    A packet without a timestamp gets 0.  Raises InputError for a packet that pcap cannot express (longer than
    MAX_PACKET, or a time outside 1970 to 2106) and HostError when the path cannot be written; packets before it
    are in the file by then.  An open stream's own errors pass through.
    """
    if not isinstance(target, (str, os.PathLike)):
        return _write_packets(target, packets)
    try:
        with open(target, "wb") as stream:
            return _write_packets(stream, packets)
    except OSError as error:
        raise HostError("cannot be written", file=os.fspath(target), errno=error.errno) from error


def _write_packets(stream: BinaryIO, packets: Iterable[Packet]) -> int:
    stream.write(struct.pack("<IHHiIII", 0xA1B2_3C4D, 2, 4, 0, 0, MAX_PACKET, LINKTYPE_ETHERNET))
    count = 0
    for count, packet in enumerate(packets, start=1):
        seconds, fraction = divmod(packet.timestamp_ns or 0, NANOSECONDS)
        if not 0 <= seconds < 1 << 32:
            raise InputError(f"packet {count} has a time that pcap cannot express: {packet.timestamp_ns} ns")
        if len(packet.data) > MAX_PACKET:
            raise InputError(f"packet {count} has {len(packet.data)} bytes, but {MAX_PACKET} are allowed")
        original = min(packet.original_length, 0xFFFF_FFFF)
        stream.write(struct.pack("<IIII", seconds, fraction, len(packet.data), original))
        stream.write(packet.data)
    return count
