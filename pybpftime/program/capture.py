"""What reading a capture file of any format needs: the packet, a stream that knows its position, the limits.

Every length in a file is checked before memory is spent on it, so that reading needs at most one packet of memory,
however long or hostile the file is.  The formats are in `pcap` and `pcapng`; `packets` is the entrance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from pybpftime.errors import InputError

MAX_PACKET = 262_144
"""Longest packet that is accepted, in bytes: the greatest snapshot length that libpcap allows."""

LINKTYPE_ETHERNET = 1
LINK_TYPES = {
    0: "NULL, BSD loopback",
    1: "ETHERNET",
    12: "RAW, bare IP",
    101: "RAW, bare IP",
    105: "IEEE802_11",
    108: "LOOP, OpenBSD loopback",
    113: "LINUX_SLL, Linux cooked",
    127: "IEEE802_11_RADIOTAP",
    228: "IPV4",
    229: "IPV6",
    276: "LINUX_SLL2, Linux cooked",
}
"""Names of the link types that one meets most, for messages."""

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame as it was captured, from its first link layer byte on.

    `timestamp_ns` counts nanoseconds since 1970-01-01 UTC and is None where the source has no clock (hex text, raw
    files, simple packet blocks).  `interface` is the number of the interface within its pcapng section, else 0.
    `original_length` is the length on the wire in bytes, never less than `len(data)`.  `number` is the position in
    the file, from 1, as capture tools print it.
    """

    data: bytes
    timestamp_ns: int | None = None
    interface: int = 0
    original_length: int = 0
    number: int = 1

    def __post_init__(self) -> None:
        if self.original_length < len(self.data):
            object.__setattr__(self, "original_length", len(self.data))

    @property
    def truncated(self) -> bool:
        """Whether the capture's snapshot length cut bytes off the end."""
        return self.original_length > len(self.data)


class Source:
    """A binary stream that knows its name and position: every read either succeeds or is an InputError there."""

    def __init__(self, stream: BinaryIO, name: str | None) -> None:
        self.name = name
        self.offset = 0
        self._stream = stream
        self._ahead = b""

    def error(self, reason: str, offset: int | None = None) -> InputError:
        """An InputError at `offset`, by default at the current position."""
        return InputError(reason, file=self.name, offset=self.offset if offset is None else offset)

    def peek(self, count: int) -> bytes:
        """The next `count` bytes without consuming them; fewer only at the end."""
        while len(self._ahead) < count and (chunk := self._read(count - len(self._ahead))):
            self._ahead += chunk
        return self._ahead[:count]

    def take(self, count: int, what: str) -> bytes:
        """Exactly `count` bytes; `what` names them should they be missing.  The caller has bounded `count`."""
        data = self.peek(count)
        if len(data) < count:
            raise self.error(f"the file ends within {what}: {count} bytes are needed, {len(data)} are left")
        self._ahead = self._ahead[count:]
        self.offset += count
        return data

    def skip(self, count: int, what: str) -> None:
        """Pass over `count` bytes, which may be more than memory holds."""
        while count:
            step = min(count, 65_536)
            self.take(step, what)
            count -= step

    def at_end(self) -> bool:
        return not self.peek(1)

    def _read(self, count: int) -> bytes:
        try:
            return self._stream.read(count)
        except OSError as error:
            raise self.error(f"cannot be read: {error.strerror}") from error


def require_ethernet(source: Source, link_type: int, offset: int) -> None:
    if link_type != LINKTYPE_ETHERNET:
        name = f" ({LINK_TYPES[link_type]})" if link_type in LINK_TYPES else ""
        raise source.error(f"link type {link_type}{name} is not Ethernet, the only one that can be read", offset)


def require_length(source: Source, captured: int, number: int, offset: int) -> None:
    if captured > MAX_PACKET:
        raise source.error(
            f"packet {number} claims {captured} bytes, more than the {MAX_PACKET} that are allowed", offset
        )
