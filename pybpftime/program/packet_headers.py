"""The headers of a packet, field by field, with the names of the UAPI structs of Linux: `eth.proto`, `ipv4.ttl`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from pybpftime.program.packet_summary import ICMP, ICMPV6, SCTP, TCP, UDP, VLAN_TYPES

Header = Mapping[str, tuple[int, int]]
"""Offset and size of each field, by its name in the UAPI struct of Linux."""

ETHERNET: Header = {"dest": (0, 6), "source": (6, 6), "proto": (12, 2)}
VLAN: Header = {"tci": (0, 2), "proto": (2, 2)}
ARP: Header = {
    "hrd": (0, 2), "pro": (2, 2), "hln": (4, 1), "pln": (5, 1), "op": (6, 2),
    "sha": (8, 6), "sip": (14, 4), "tha": (18, 6), "tip": (24, 4),
}  # fmt: skip
IPV4: Header = {
    "version_ihl": (0, 1), "tos": (1, 1), "tot_len": (2, 2), "id": (4, 2), "frag_off": (6, 2), "ttl": (8, 1),
    "protocol": (9, 1), "check": (10, 2), "saddr": (12, 4), "daddr": (16, 4),
}  # fmt: skip
IPV6: Header = {
    "flow": (0, 4), "payload_len": (4, 2), "nexthdr": (6, 1), "hop_limit": (7, 1), "saddr": (8, 16),
    "daddr": (24, 16),
}  # fmt: skip
TRANSPORT: Mapping[int, tuple[str, Header]] = {
    TCP: ("tcp", {
        "source": (0, 2), "dest": (2, 2), "seq": (4, 4), "ack_seq": (8, 4), "doff": (12, 1), "flags": (13, 1),
        "window": (14, 2), "check": (16, 2), "urg_ptr": (18, 2),
    }),
    UDP: ("udp", {"source": (0, 2), "dest": (2, 2), "len": (4, 2), "check": (6, 2)}),
    SCTP: ("sctp", {"source": (0, 2), "dest": (2, 2), "vtag": (4, 4), "checksum": (8, 4)}),
    ICMP: ("icmp", {"type": (0, 1), "code": (1, 1), "checksum": (2, 2), "rest": (4, 4)}),
    ICMPV6: ("icmp6", {"type": (0, 1), "code": (1, 1), "cksum": (2, 2), "rest": (4, 4)}),
}  # fmt: skip
IPV4_TYPE, IPV6_TYPE, ARP_TYPE = 0x0800, 0x86DD, 0x0806
FRAGMENT_OFFSET = 0x1FFF
MAC, IPV4_ADDRESS, IPV6_ADDRESS = 6, 4, 16
"""Sizes of addresses."""
ADDRESSES = ("saddr", "daddr", "sip", "tip")
IN_HEXADECIMAL = (
    "proto",
    "check",
    "checksum",
    "cksum",
    "tci",
    "pro",
    "id",
    "frag_off",
    "version_ihl",
    "tos",
    "flags",
    "doff",
)


def packet_names(packet: bytes, offset: int, size: int) -> str:
    """The names of the fields that bytes belong to, `ipv4.saddr, ipv4.daddr`; "" where nothing is known."""
    found = []
    for name, start, header in headers_of(packet):
        for field, (at, length) in header.items():
            if start + at < offset + size and offset < start + at + length:
                inside = offset - start - at
                found.append(f"{name}.{field}" + (f"+{inside}" if inside > 0 else ""))
    return ", ".join(found)


def headers_of(packet: bytes) -> Iterator[tuple[str, int, Header]]:
    """Name, offset and fields of each header, from the outermost on."""
    if len(packet) < 14:
        return
    yield "eth", 0, ETHERNET
    kind, offset = int.from_bytes(packet[12:14]), 14
    while kind in VLAN_TYPES and len(packet) >= offset + 4:
        yield "vlan", offset, VLAN
        kind = int.from_bytes(packet[offset + 2 : offset + 4])
        offset += 4
    rest = packet[offset:]
    if kind == ARP_TYPE and len(rest) >= 28:
        yield "arp", offset, ARP
    elif kind == IPV4_TYPE and len(rest) >= 20:
        yield "ipv4", offset, IPV4
        if not int.from_bytes(rest[6:8]) & FRAGMENT_OFFSET and rest[9] in TRANSPORT:
            name, header = TRANSPORT[rest[9]]
            yield name, offset + (rest[0] & 0xF) * 4, header
    elif kind == IPV6_TYPE and len(rest) >= 40:
        yield "ipv6", offset, IPV6
        if rest[6] in TRANSPORT:
            name, header = TRANSPORT[rest[6]]
            yield name, offset + 40, header


def field_text(name: str, content: bytes) -> str:
    """The bytes of a field, as people write them."""
    if len(content) == MAC:
        return content.hex(":")
    if name in ADDRESSES and len(content) in (IPV4_ADDRESS, IPV6_ADDRESS):
        return str(ipaddress.ip_address(content))
    return hexadecimal(content) if name in IN_HEXADECIMAL else str(int.from_bytes(content))


def hexadecimal(content: bytes) -> str:
    """A number in network byte order, with all its digits."""
    return f"{int.from_bytes(content):#0{2 + 2 * len(content)}x}"
