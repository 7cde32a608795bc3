"""Packets written as hexadecimal text: plain digits, or the dumps that tcpdump, tshark, xxd and hexdump print."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from pybpftime.errors import InputError
from pybpftime.program.capture import MAX_PACKET

MAX_HEX_TEXT = 4 << 20
"""Longest hex text that `read_packets` accepts, in bytes."""

_DUMP_BEGINS = re.compile(r"^[ \t]*(?:0x)?0{4,8}(?::[ \t]|[ \t]{2})", re.MULTILINE)
_DUMP_LINE = re.compile(r"[ \t]*(?:0x)?([0-9A-Fa-f]{4,8})(?::[ \t]|[ \t]{2}|:?[ \t]*$)[ \t]*")
_TWO_HALVES = re.compile(r"(?:[0-9A-Fa-f]{2} ){8} [0-9A-Fa-f]{2}(?: [0-9A-Fa-f]{2}){0,7}(?=  |$)")
_GAP = re.compile(r"[ \t]{2,}")
_PREFIX_OR_SEPARATOR = re.compile(r"(?<![0-9A-Za-z])0[xX](?=[0-9A-Fa-f])|[:,-]")
_WORD = re.compile(r"[^\s:,-]+")
_HEX_WORD = re.compile(r"(?:0[xX])?((?:[0-9A-Fa-f]{2})+)")


def parse_hex(text: str) -> bytes:
    """The one packet that `text` writes in hex, as `parse_hex_packets` reads it; InputError when it is not one."""
    packets = list(parse_hex_packets(text))
    if len(packets) != 1:
        raise InputError(f"one packet in hex is wanted, here are {len(packets)}")
    return packets[0]


def parse_hex_packets(text: str, name: str | None = None) -> Iterator[bytes]:
    """Each packet that `text` writes in hex; `name` stands for the text in messages.

    Plain: pairs of digits in order, with spaces, `:`, `-`, `,` or nothing between bytes, `0x` before any word, `#`
    comments to the end of the line; an empty line ends a packet.

    Dump: when a line begins with offset 0 (`0000:`, `0x0000:` or `0000` and two spaces), each line is an offset,
    bytes in words of whole bytes, and perhaps characters after two spaces; offset 0 begins a packet.  Lines before
    it that are no dump (tcpdump's summaries) are passed over.

    Raises InputError with line and column for anything else.
    """
    lines = enumerate(io.StringIO(text), start=1)
    found = _dump_packets(lines, name) if _DUMP_BEGINS.search(text) else _plain_packets(lines, name)
    for packet, line in found:
        if len(packet) > MAX_PACKET:
            raise InputError(f"a packet has more than the {MAX_PACKET} bytes that are allowed", file=name, line=line)
        yield bytes(packet)


_Found = Iterator[tuple[bytearray, int]]  # a packet and the line after it


def _plain_packets(lines: Iterator[tuple[int, str]], name: str | None) -> _Found:
    packet = bytearray()
    number = 0
    for number, line in lines:
        digits, hash_sign, _comment = line.partition("#")
        packet += _parse_bytes(digits, name, number, column=1)
        ends = not hash_sign and not digits.strip()
        if (ends and packet) or len(packet) > MAX_PACKET:
            yield packet, number
            packet = bytearray()
    if packet:
        yield packet, number


def _dump_packets(lines: Iterator[tuple[int, str]], name: str | None) -> _Found:
    packet = bytearray()
    passed_over: int | None = None  # first line since the packet's last one that is no dump
    number = 0
    for number, raw_line in lines:
        line = raw_line.rstrip()
        if not line:
            continue
        match = _DUMP_LINE.match(line)
        if match is None:
            passed_over = passed_over or number
            continue
        offset = int(match[1], 16)
        if (offset == 0 and packet) or len(packet) > MAX_PACKET:
            yield packet, number
            packet = bytearray()
        elif offset and passed_over:
            raise InputError("within a dump stands a line that is none", file=name, line=passed_over)
        if offset != len(packet):
            raise InputError(
                f"the dump goes on at byte {offset:#x}, {len(packet):#x} was expected", file=name, line=number
            )
        passed_over = None
        packet += _parse_bytes(_bytes_column(line[match.end() :]), name, number, column=match.end() + 1)
    if packet and passed_over:
        raise InputError("after a dump stands a line that is none", file=name, line=passed_over)
    if packet:
        yield packet, number


def _bytes_column(rest: str) -> str:
    """The bytes of a dump line without the characters that may stand after them."""
    halves = _TWO_HALVES.match(rest)  # hexdump -C puts a gap in the middle of 16 bytes
    return halves[0] if halves else _GAP.split(rest, maxsplit=1)[0]


def _parse_bytes(text: str, name: str | None, line: int, column: int) -> bytes:
    try:
        return bytes.fromhex(_PREFIX_OR_SEPARATOR.sub(" ", text))
    except ValueError:
        for word in _WORD.finditer(text):
            if _HEX_WORD.fullmatch(word[0]) is None:
                shown = word[0] if len(word[0]) <= 20 else word[0][:20] + "..."
                raise InputError(
                    f"{shown!r} is not hexadecimal in whole bytes", file=name, line=line, column=column + word.start()
                ) from None
        raise InputError("the line is not hexadecimal in whole bytes", file=name, line=line) from None
