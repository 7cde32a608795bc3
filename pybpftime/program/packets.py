"""Packets from anything that a person has them in: hex text, a raw file, pcap, pcapng.

`read_packets` finds out which of them a source is and hands out one packet after the other.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import BinaryIO, Literal

from pybpftime.errors import InputError
from pybpftime.program.capture import MAX_PACKET, Packet, Source
from pybpftime.program.hextext import MAX_HEX_TEXT, parse_hex, parse_hex_packets
from pybpftime.program.pcap import PCAP_MAGICS, read_pcap, write_pcap
from pybpftime.program.pcapng import PCAPNG_MAGIC, read_pcapng

__all__ = ["MAX_PACKET", "Packet", "PacketFormat", "parse_hex", "parse_hex_packets", "read_packets", "write_pcap"]

PacketFormat = Literal["auto", "hex", "raw", "pcap", "pcapng"]

_REFUSED_BEGINNINGS = {
    bytes.fromhex("1f8b"): "compressed with gzip: decompress it first",
    bytes.fromhex("28b52ffd"): "compressed with zstd: decompress it first",
    bytes.fromhex("fd377a585a00"): "compressed with xz: decompress it first",
    bytes.fromhex("34cdb2a1"): "a pcap file of the modified kind (magic 0xa1b2cd34): convert it to pcap first",
    bytes.fromhex("a1b2cd34"): "a pcap file of the modified kind (magic 0xa1b2cd34): convert it to pcap first",
    b"snoop\0\0\0": "a snoop capture: convert it to pcap first",
}
_TEXT = frozenset(b"\t\n\r" + bytes(range(0x20, 0x7F)))
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_packets(
    source: str | os.PathLike[str] | bytes | BinaryIO, format: PacketFormat = "auto", *, name: str | None = None
) -> Iterator[Packet]:
    """The packets of a file (`str` or path), of a file's content (`bytes`) or of an open binary stream, in order.

    With `format="auto"` the first bytes decide: pcap and pcapng by their magic numbers, printable ASCII is hex
    text, anything else is one raw packet.  Packets are read as they are asked for, at most one is in memory (hex
    text: at most MAX_HEX_TEXT bytes).  `name` stands for the source in messages; a path names itself.

    Raises InputError, from the first `next` on, for a source that cannot be read, is empty or malformed, with its
    name and the byte offset or line; the packets before that place have been handed out by then.
    """
    with contextlib.ExitStack() as resources:
        if isinstance(source, bytes):
            stream: BinaryIO = io.BytesIO(source)
        elif isinstance(source, (str, os.PathLike)):
            name = name or os.fspath(source)
            try:
                stream = resources.enter_context(open(source, "rb"))
            except (OSError, ValueError) as error:  # ValueError: a path with a null character
                raise InputError(f"cannot be opened: {getattr(error, 'strerror', error)}", file=name) from error
        else:
            stream = source
        opened = Source(stream, name)
        if opened.at_end():
            raise opened.error("holds no packet: it is empty")
        yield from _READERS[_recognise(opened) if format == "auto" else format](opened)


def _recognise(source: Source) -> PacketFormat:
    beginning = source.peek(512)
    if beginning[:4] in PCAP_MAGICS:
        return "pcap"
    if beginning.startswith(PCAPNG_MAGIC):
        return "pcapng"
    for magic, reason in _REFUSED_BEGINNINGS.items():
        if beginning.startswith(magic):
            raise source.error(f"is {reason}")
    return "hex" if _TEXT.issuperset(beginning.removeprefix(_BYTE_ORDER_MARK)) else "raw"


def _read_raw(source: Source) -> Iterator[Packet]:
    data = source.peek(MAX_PACKET + 1)
    if len(data) > MAX_PACKET:
        raise source.error(f"is no capture file, and too long for one packet: {MAX_PACKET} bytes are allowed")
    yield Packet(data)


def _read_hex(source: Source) -> Iterator[Packet]:
    data = source.peek(MAX_HEX_TEXT + 1)
    if len(data) > MAX_HEX_TEXT:
        raise source.error(f"is longer than the {MAX_HEX_TEXT} bytes that are allowed for hex text: use pcap")
    text = data.decode("utf-8-sig", errors="replace")
    for number, packet in enumerate(parse_hex_packets(text, source.name), start=1):
        yield Packet(packet, number=number)


_READERS = {"hex": _read_hex, "raw": _read_raw, "pcap": read_pcap, "pcapng": read_pcapng}
