"""Write the packet captures of `tests/captures/`: the same bytes on every run and every machine.

    python tools/make_captures.py                 write them
    python tools/make_captures.py --check         exit 1 unless the committed files are exactly these
    python tools/make_captures.py --output DIR    write them elsewhere

mixed.pcap                  every packet of `mixed_packets`, little-endian, microseconds
mixed.pcapng                the same packets, each with its name as comment (but for one simple packet block, which
                            has none); two sections of either byte order, several interfaces and clocks, and blocks
                            that a reader has to step over
nanosecond-bigendian.pcap   every seventh of them, big-endian, nanoseconds
tiny.pcap                   an ARP request, a TCP SYN and a DNS query

Every checksum is right unless the packet's name says otherwise.  No frame is shorter than 14 bytes, the least
that Linux takes in a test run, or longer than 1514.  Addresses are those reserved for documentation (RFC 5737,
RFC 3849) and locally administered MAC addresses.  Standard library only.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

CAPTURES = Path(__file__).resolve().parent.parent / "tests" / "captures"

START = 1_735_689_600 * 10**9  # 2025-01-01 00:00:00 UTC, in nanoseconds
GAP = 1_000_123_457  # between packets: other digits in each of second, microsecond and nanosecond

MAC_HOST = bytes.fromhex("020000000001")
MAC_PEER = bytes.fromhex("020000000002")
MAC_BROADCAST = b"\xff" * 6
HOST, PEER, OUTSIDE = "192.0.2.1", "192.0.2.2", "198.51.100.7"
HOST6, PEER6 = "2001:db8::1", "2001:db8::2"

ETH_IPV4, ETH_ARP, ETH_VLAN, ETH_IPV6, ETH_QINQ = 0x0800, 0x0806, 0x8100, 0x86DD, 0x88A8
ETH_LLDP, ETH_EXPERIMENT = 0x88CC, 0x88B5
ICMP, IGMP, IPIP, TCP, UDP, ICMPV6, EXPERIMENT = 1, 2, 4, 6, 17, 58, 253
HOP_BY_HOP, ROUTING, FRAGMENT, NO_NEXT_HEADER, DESTINATION = 0, 43, 44, 59, 60
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
MORE_FRAGMENTS = 0x2000


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame as it was captured.  `length` is what it measured on the wire: more than `data` if it was cut."""

    name: str
    data: bytes
    length: int


# Packet builders, from the payload outwards.  Each returns the bytes of its header and what it carries; arguments
# named like header fields overrule what is right, to build packets that are wrong on purpose.


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of `data`, odd lengths padded with a zero byte."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def pseudo_header(source: str, destination: str, protocol: int, length: int) -> bytes:
    """What TCP, UDP and ICMPv6 checksums cover besides the packet (RFC 9293 3.1, RFC 8200 8.1)."""
    if ":" in source:
        addresses = IPv6Address(source).packed + IPv6Address(destination).packed
        return addresses + struct.pack(">IxxxB", length, protocol)
    return IPv4Address(source).packed + IPv4Address(destination).packed + struct.pack(">xBH", protocol, length)


def ethernet(
    payload: bytes, kind: int, source: bytes = MAC_HOST, destination: bytes = MAC_PEER, minimum: int = 0
) -> bytes:
    return (destination + source + struct.pack(">H", kind) + payload).ljust(minimum, b"\0")


def vlan(payload: bytes, kind: int, identifier: int, priority: int = 0) -> bytes:
    """The payload of an 802.1Q or 802.1ad frame: tag control, EtherType of what follows, what follows."""
    return struct.pack(">HH", priority << 13 | identifier, kind) + payload


def arp(operation: int, sender: tuple[bytes, str], target: tuple[bytes, str]) -> bytes:
    body = b"".join(mac + IPv4Address(address).packed for mac, address in (sender, target))
    return struct.pack(">HHBBH", 1, ETH_IPV4, 6, 4, operation) + body


def ipv4(
    payload: bytes,
    protocol: int,
    source: str = HOST,
    destination: str = PEER,
    *,
    options: bytes = b"",
    ttl: int = 64,
    fragment: int = 0,
    version: int = 4,
    header_words: int | None = None,
    total_length: int | None = None,
    checksum_error: int = 0,
) -> bytes:
    words = 5 + len(options) // 4
    length = words * 4 + len(payload) if total_length is None else total_length
    first = version << 4 | (words if header_words is None else header_words)
    addresses = IPv4Address(source).packed + IPv4Address(destination).packed
    header = struct.pack(">BBHHHBBH", first, 0, length, 0x1234, fragment, ttl, protocol, 0) + addresses
    header += options
    value = checksum(header) ^ checksum_error
    return header[:10] + struct.pack(">H", value) + header[12:] + payload


def ipv6(
    payload: bytes,
    next_header: int,
    source: str = HOST6,
    destination: str = PEER6,
    *,
    hop_limit: int = 64,
    payload_length: int | None = None,
) -> bytes:
    length = len(payload) if payload_length is None else payload_length
    header = struct.pack(">IHBB", 6 << 28 | 0x12345, length, next_header, hop_limit)
    return header + IPv6Address(source).packed + IPv6Address(destination).packed + payload


def extension(payload: bytes, next_header: int, body: bytes) -> bytes:
    """An IPv6 hop-by-hop, routing or destination header (RFC 8200 section 4); the body pads it to 8 bytes."""
    return struct.pack(">BB", next_header, len(body) // 8) + body + payload


def fragment6(payload: bytes, next_header: int, offset: int, more: bool) -> bytes:
    return struct.pack(">BxHI", next_header, offset | more, 0xCAFE) + payload


def with_checksum(packet: bytes, position: int, covered: bytes, error: int = 0) -> bytes:
    """`packet` with the checksum of `covered` written over its bytes at `position`."""
    return packet[:position] + struct.pack(">H", checksum(covered) ^ error) + packet[position + 2 :]


def tcp(
    payload: bytes,
    flags: int,
    source: str = HOST,
    destination: str = PEER,
    *,
    ports: tuple[int, int] = (40000, 80),
    options: bytes = b"",
    header_words: int | None = None,
    urgent: int = 0,
    checksum_error: int = 0,
) -> bytes:
    words = 5 + len(options) // 4 if header_words is None else header_words
    header = struct.pack(">HHIIBBHHH", *ports, 1000, 2000 if flags & ACK else 0, words << 4, flags, 64240, 0, urgent)
    packet = header + options + payload
    pseudo = pseudo_header(source, destination, TCP, len(packet))
    return with_checksum(packet, 16, pseudo + packet, checksum_error)


def udp(
    payload: bytes,
    source: str = HOST,
    destination: str = PEER,
    *,
    ports: tuple[int, int] = (40000, 9),
    length: int | None = None,
    no_checksum: bool = False,
) -> bytes:
    packet = struct.pack(">HHHH", *ports, 8 + len(payload) if length is None else length, 0) + payload
    if no_checksum:
        return packet
    return with_checksum(packet, 6, pseudo_header(source, destination, UDP, len(packet)) + packet)


def icmp(kind: int, code: int, rest: bytes, payload: bytes, checksum_error: int = 0) -> bytes:
    packet = struct.pack(">BBH", kind, code, 0) + rest + payload
    return with_checksum(packet, 2, packet, checksum_error)


def icmpv6(kind: int, body: bytes, source: str = HOST6, destination: str = PEER6) -> bytes:
    packet = struct.pack(">BBH", kind, 0, 0) + body
    return with_checksum(packet, 2, pseudo_header(source, destination, ICMPV6, len(packet)) + packet)


def dns(name: str, kind: int, answer: bytes = b"") -> bytes:
    """A DNS query (RFC 1035), or with `answer` the response to it."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    header = struct.pack(">HHHHHH", 0x4242, 0x8180 if answer else 0x0100, 1, 1 if answer else 0, 0, 0)
    question = labels + struct.pack(">HH", kind, 1)
    record = struct.pack(">HHHIH", 0xC00C, kind, 1, 300, len(answer)) + answer if answer else b""
    return header + question + record


def filler(length: int) -> bytes:
    """Bytes that a reader can tell apart from padding: 00 01 02 ... ff 00 ..."""
    return bytes(number & 0xFF for number in range(length))


# What the captures hold.

SYN_OPTIONS = bytes.fromhex("020405b4 0402 080a 00000001 00000000 01 030307")  # MSS, SACK, timestamps, window scale
ROUTER_ALERT = bytes.fromhex("94040000")
RECORD_ROUTE = bytes.fromhex("072704") + bytes(36) + b"\0"  # the longest that fits: nine addresses, 40 bytes in all
PADDING = bytes.fromhex("010400000000")  # the body of an IPv6 options header with nothing in it (PadN)


def frame4(payload: bytes, minimum: int = 0) -> bytes:
    return ethernet(payload, ETH_IPV4, minimum=minimum)


def frame6(payload: bytes) -> bytes:
    return ethernet(payload, ETH_IPV6)


def link_layer() -> Iterable[tuple[str, bytes]]:
    query = ipv4(udp(dns("example.com", 1), ports=(40001, 53)), UDP)
    request = arp(1, (MAC_HOST, HOST), (bytes(6), PEER))
    announce = arp(1, (MAC_HOST, HOST), (bytes(6), HOST))
    syn6 = ipv6(tcp(b"", SYN, HOST6, PEER6), TCP)
    yield "arp request", ethernet(request, ETH_ARP, destination=MAC_BROADCAST, minimum=60)
    reply = arp(2, (MAC_PEER, PEER), (MAC_HOST, HOST))
    yield "arp reply", ethernet(reply, ETH_ARP, MAC_PEER, MAC_HOST, minimum=60)
    yield "vlan 10: arp announcement", ethernet(vlan(announce, ETH_ARP, 10), ETH_VLAN, destination=MAC_BROADCAST)
    yield "vlan 10: tcp syn", ethernet(vlan(ipv4(tcp(b"", SYN), TCP), ETH_IPV4, 10), ETH_VLAN)
    yield "vlan 0 (priority 7 only): dns query", ethernet(vlan(query, ETH_IPV4, 0, priority=7), ETH_VLAN)
    yield "qinq 100, 10: dns query", ethernet(vlan(vlan(query, ETH_IPV4, 10), ETH_VLAN, 100), ETH_QINQ)
    yield "qinq 100, 20: ipv6 tcp syn", ethernet(vlan(vlan(syn6, ETH_IPV6, 20), ETH_VLAN, 100), ETH_QINQ)
    triple = vlan(vlan(vlan(query, ETH_IPV4, 3), ETH_VLAN, 2), ETH_VLAN, 1)
    yield "three vlan tags: dns query", ethernet(triple, ETH_QINQ)
    yield "vlan tag cut after 2 bytes", ethernet(b"\0\x0a", ETH_VLAN)
    yield "ethernet header alone, type ipv4", ethernet(b"", ETH_IPV4)
    yield "ethernet header alone, type vlan", ethernet(b"", ETH_VLAN)
    stp = (
        bytes.fromhex("424203 0000 00 00 00")
        + bytes(8)
        + bytes(4)
        + bytes(8)
        + bytes.fromhex("8001 0000 1400 0200 0f00")
    )
    bridges = bytes.fromhex("0180c2000000")
    yield "802.3 length: spanning tree", ethernet(stp, len(stp), destination=bridges, minimum=60)
    lldp = bytes.fromhex("0207 04 020000000001 0403 07 6131 0602 0078 0000")
    yield "lldp", ethernet(lldp, ETH_LLDP, destination=bytes.fromhex("0180c200000e"), minimum=60)
    yield "experimental ethertype, 1514 bytes", ethernet(filler(1500), ETH_EXPERIMENT)


def tcp_packets() -> Iterable[tuple[str, bytes]]:
    yield "tcp syn", frame4(ipv4(tcp(b"", SYN, options=SYN_OPTIONS), TCP))
    answer = tcp(b"", SYN | ACK, PEER, HOST, ports=(80, 40000), options=SYN_OPTIONS)
    yield "tcp syn ack", ethernet(ipv4(answer, TCP, PEER, HOST), ETH_IPV4, MAC_PEER, MAC_HOST)
    yield "tcp ack, padded to 60 bytes", frame4(ipv4(tcp(b"", ACK), TCP), minimum=60)
    yield "tcp psh ack: http request", frame4(ipv4(tcp(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", PSH | ACK), TCP))
    page = tcp(filler(1460), PSH | ACK, PEER, HOST, ports=(80, 40000))
    yield "tcp psh ack, 1514 bytes", ethernet(ipv4(page, TCP, PEER, HOST), ETH_IPV4, MAC_PEER, MAC_HOST)
    yield "tcp fin ack", frame4(ipv4(tcp(b"", FIN | ACK), TCP))
    yield "tcp rst", frame4(ipv4(tcp(b"", RST), TCP))
    yield "tcp fin psh urg", frame4(ipv4(tcp(b"!", FIN | PSH | URG, urgent=1), TCP))
    yield "tcp without flags", frame4(ipv4(tcp(b"", 0), TCP))
    yield "tcp syn ece cwr", frame4(ipv4(tcp(b"", SYN | ECE | CWR), TCP))
    yield "tcp syn to port 23", frame4(ipv4(tcp(b"", SYN, ports=(40000, 23)), TCP))
    yield "tcp syn to port 445", frame4(ipv4(tcp(b"", SYN, ports=(40000, 445)), TCP))
    yield "tcp with 40 bytes of options", frame4(ipv4(tcp(b"data", ACK, options=b"\x01" * 39 + b"\0"), TCP))
    yield "tcp checksum wrong", frame4(ipv4(tcp(b"data", ACK, checksum_error=0x0101), TCP))
    yield "tcp data offset 4", frame4(ipv4(tcp(b"data", ACK, header_words=4), TCP))
    yield "tcp data offset beyond the packet", frame4(ipv4(tcp(b"", ACK, header_words=15), TCP))
    yield "tcp header cut after 10 bytes", frame4(ipv4(tcp(b"", SYN)[:10], TCP))


def udp_and_icmp() -> Iterable[tuple[str, bytes]]:
    address = IPv4Address(OUTSIDE).packed
    answer = udp(dns("example.com", 1, address), OUTSIDE, HOST, ports=(53, 40001))
    yield "dns query", frame4(ipv4(udp(dns("example.com", 1), HOST, OUTSIDE, ports=(40001, 53)), UDP, HOST, OUTSIDE))
    yield "dns response", ethernet(ipv4(answer, UDP, OUTSIDE, HOST), ETH_IPV4, MAC_PEER, MAC_HOST)
    yield "udp without checksum", frame4(ipv4(udp(b"no checksum", no_checksum=True), UDP))
    yield "udp without data", frame4(ipv4(udp(b""), UDP))
    group = "239.255.255.250"
    search = ipv4(udp(b"M-SEARCH * HTTP/1.1\r\n\r\n", HOST, group, ports=(40002, 1900)), UDP, HOST, group, ttl=2)
    yield "udp multicast to port 1900", ethernet(search, ETH_IPV4, destination=bytes.fromhex("01005e7ffffa"))
    nowhere, everywhere = "0.0.0.0", "255.255.255.255"
    shout = ipv4(udp(filler(240), nowhere, everywhere), UDP, nowhere, everywhere)
    yield "udp broadcast from no address", ethernet(shout, ETH_IPV4, destination=MAC_BROADCAST)
    yield "udp, 1514 bytes", frame4(ipv4(udp(filler(1472)), UDP))
    yield "udp length 7", frame4(ipv4(udp(b"data", length=7), UDP))
    yield "udp header cut after 4 bytes", frame4(ipv4(udp(b"")[:4], UDP))
    echo = struct.pack(">HH", 77, 1)
    yield "icmp echo request", frame4(ipv4(icmp(8, 0, echo, filler(56)), ICMP))
    reply = ipv4(icmp(0, 0, echo, filler(56)), ICMP, PEER, HOST)
    yield "icmp echo reply", ethernet(reply, ETH_IPV4, MAC_PEER, MAC_HOST)
    refused = ipv4(udp(b"data"), UDP)[:28]
    yield "icmp port unreachable", frame4(ipv4(icmp(3, 3, bytes(4), refused), ICMP, PEER, HOST))
    yield "icmp checksum wrong", frame4(ipv4(icmp(8, 0, echo, b"ping", checksum_error=0x8000), ICMP))


def ipv4_packets() -> Iterable[tuple[str, bytes]]:
    datagram = udp(filler(40))
    report = with_checksum(bytes.fromhex("16000000 e0000123"), 2, bytes.fromhex("16000000 e0000123"))
    membership = ipv4(report, IGMP, HOST, "224.0.1.35", options=ROUTER_ALERT, ttl=1)
    yield "ipv4 router alert: igmp", ethernet(membership, ETH_IPV4, destination=bytes.fromhex("01005e000123"))
    yield "ipv4 with 40 bytes of options: udp", frame4(ipv4(udp(b"routed"), UDP, options=RECORD_ROUTE))
    yield "ipv4 first fragment", frame4(ipv4(datagram[:24], UDP, fragment=MORE_FRAGMENTS))
    yield "ipv4 middle fragment", frame4(ipv4(datagram[24:40], UDP, fragment=MORE_FRAGMENTS | 3))
    yield "ipv4 last fragment, padded to 60 bytes", frame4(ipv4(datagram[40:], UDP, fragment=5), minimum=60)
    yield "ipv4 ttl 1", frame4(ipv4(udp(b"last hop"), UDP, ttl=1))
    yield "ipv4 ttl 0", frame4(ipv4(udp(b"dead"), UDP, ttl=0))
    yield "ipv4 in ipv4", frame4(ipv4(ipv4(udp(b"inner", OUTSIDE, HOST), UDP, OUTSIDE, HOST), IPIP))
    yield "ipv4 protocol 253", frame4(ipv4(b"experiment", EXPERIMENT))
    yield "ipv4 header length 4", frame4(ipv4(datagram, UDP, header_words=4))
    yield "ipv4 header length beyond the packet", frame4(ipv4(b"", UDP, header_words=15))
    yield "ipv4 total length beyond the frame", frame4(ipv4(datagram, UDP, total_length=1500))
    yield "ipv4 total length below the header", frame4(ipv4(datagram, UDP, total_length=19))
    yield "ipv4 version 5", frame4(ipv4(datagram, UDP, version=5))
    yield "ipv4 checksum wrong", frame4(ipv4(datagram, UDP, checksum_error=0x1000))
    yield "ipv4 header cut after 10 bytes", frame4(ipv4(datagram, UDP)[:10])


def ipv6_packets() -> Iterable[tuple[str, bytes]]:
    segment = tcp(b"data", PSH | ACK, HOST6, PEER6)
    datagram = udp(filler(40), HOST6, PEER6)
    query = udp(dns("example.com", 28), HOST6, PEER6, ports=(40001, 53))
    all_routers = "ff02::16"
    yield "ipv6 tcp syn", frame6(ipv6(tcp(b"", SYN, HOST6, PEER6, options=SYN_OPTIONS), TCP))
    yield "ipv6 dns query", frame6(ipv6(query, UDP))
    yield "ipv6 udp, 1514 bytes", frame6(ipv6(udp(filler(1452), HOST6, PEER6), UDP))
    yield "icmpv6 echo request", frame6(ipv6(icmpv6(128, struct.pack(">HH", 77, 1) + filler(56)), ICMPV6))
    solicited = "ff02::1:ff00:2"
    neighbour = bytes(4) + IPv6Address(PEER6).packed + b"\x01\x01" + MAC_HOST
    solicitation = ipv6(icmpv6(135, neighbour, HOST6, solicited), ICMPV6, HOST6, solicited, hop_limit=255)
    yield "icmpv6 neighbour solicitation", ethernet(solicitation, ETH_IPV6, destination=bytes.fromhex("3333ff000002"))
    group = struct.pack(">xxHBBH16s", 1, 4, 0, 0, IPv6Address("ff02::fb").packed)
    report = extension(icmpv6(143, group, "fe80::1", all_routers), ICMPV6, bytes.fromhex("050200000100"))
    report = ipv6(report, HOP_BY_HOP, "fe80::1", all_routers, hop_limit=1)
    yield "ipv6 hop-by-hop: multicast report", ethernet(report, ETH_IPV6, destination=bytes.fromhex("333300000016"))
    chain = extension(extension(segment, TCP, PADDING), DESTINATION, bytes.fromhex("000000000000"))
    yield "ipv6 hop-by-hop, routing, destination: tcp", frame6(ipv6(extension(chain, ROUTING, PADDING), HOP_BY_HOP))
    long_option = bytes([1, 20]) + bytes(20)
    yield "ipv6 destination options, 24 bytes: udp", frame6(ipv6(extension(datagram, UDP, long_option), DESTINATION))
    yield "ipv6 first fragment", frame6(ipv6(fragment6(datagram[:24], UDP, 0, True), FRAGMENT))
    yield "ipv6 last fragment", frame6(ipv6(fragment6(datagram[24:], UDP, 24, False), FRAGMENT))
    yield "ipv6 no next header", frame6(ipv6(b"", NO_NEXT_HEADER))
    yield "ipv6 payload length beyond the frame", frame6(ipv6(datagram, UDP, payload_length=1400))
    yield "ipv6 header cut after 30 bytes", frame6(ipv6(datagram, UDP)[:30])
    yield "ipv6 extension header cut after 1 byte", frame6(ipv6(b"\x06", DESTINATION))
    yield "ipv6 extension header beyond the packet", frame6(ipv6(b"\x06\xff" + bytes(6), DESTINATION))


def mixed_packets() -> list[Packet]:
    """Every packet of the mixed captures, in order; names are unique."""
    frames = [*link_layer(), *tcp_packets(), *udp_and_icmp(), *ipv4_packets(), *ipv6_packets()]
    packets = [Packet(name, data, len(data)) for name, data in frames]
    cut = frame4(ipv4(udp(filler(1000)), UDP))
    return [*packets, Packet("captured 96 of 1042 bytes", cut[:96], len(cut))]


# Capture files.


def nanoseconds(index: int) -> int:
    """When packet `index` was seen, in nanoseconds since 1970."""
    return START + index * GAP


def pcap(packets: list[Packet], order: str, nanosecond: bool) -> bytes:
    """A libpcap file of Ethernet frames; `order` is `<` or `>` as in struct."""
    magic, unit = (0xA1B23C4D, 1) if nanosecond else (0xA1B2C3D4, 1000)
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1)]
    for index, packet in enumerate(packets):
        seconds, fraction = divmod(nanoseconds(index), 10**9)
        parts.append(struct.pack(order + "IIII", seconds, fraction // unit, len(packet.data), packet.length))
        parts.append(packet.data)
    return b"".join(parts)


COMMENT, IF_NAME, IF_TSRESOL, IF_TSOFFSET, EPB_FLAGS = 1, 2, 9, 14, 2
SECTION, INTERFACE, SIMPLE, NAMES, STATISTICS, ENHANCED = 0x0A0D0D0A, 1, 3, 4, 5, 6
LOCAL_BLOCK = 0x80000B0F  # the top bit marks block types for private use


@dataclass(frozen=True, slots=True)
class Interface:
    """A pcapng interface: `resolution` as in if_tsresol (None: the default, microseconds), offset in seconds."""

    name: str
    resolution: int | None
    offset: int = 0

    def ticks(self, time: int) -> int:
        """`time` (nanoseconds since 1970) in the units of this interface's clock, rounded down."""
        time -= self.offset * 10**9
        code = 6 if self.resolution is None else self.resolution
        units = 1 << (code & 0x7F) if code & 0x80 else 10**code
        return time * units // 10**9


INTERFACES = (
    Interface("nano", 9),
    Interface("micro", None),
    Interface("binary", 0x80 | 20),  # units of 2**-20 seconds
    Interface("late", 9, offset=1_700_000_000),
)


@dataclass(frozen=True, slots=True)
class Pcapng:
    """Blocks of a pcapng file (draft-ietf-opsawg-pcapng) in one byte order."""

    order: str

    def block(self, kind: int, body: bytes, options: Iterable[tuple[int, bytes]] = ()) -> bytes:
        parts = [_pad(body)]
        for code, value in options:
            parts.append(struct.pack(self.order + "HH", code, len(value)) + _pad(value))
        if len(parts) > 1:
            parts.append(struct.pack(self.order + "HH", 0, 0))
        length = 12 + sum(map(len, parts))
        frame = struct.pack(self.order + "I", length)
        return struct.pack(self.order + "I", kind) + frame + b"".join(parts) + frame

    def section(self, comment: str) -> bytes:
        body = struct.pack(self.order + "IHHq", 0x1A2B3C4D, 1, 0, -1)
        return self.block(SECTION, body, [(COMMENT, comment.encode())])

    def interface(self, interface: Interface) -> bytes:
        options = [(IF_NAME, interface.name.encode())]
        if interface.resolution is not None:
            options.append((IF_TSRESOL, bytes([interface.resolution])))
        if interface.offset:
            options.append((IF_TSOFFSET, struct.pack(self.order + "q", interface.offset)))
        return self.block(INTERFACE, struct.pack(self.order + "HHI", 1, 0, 0), options)

    def packet(self, packet: Packet, index: int, number: int, interface: Interface) -> bytes:
        ticks = interface.ticks(nanoseconds(index))
        lengths = len(packet.data), packet.length
        body = struct.pack(self.order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, *lengths) + packet.data
        inbound = struct.pack(self.order + "I", 1)
        return self.block(ENHANCED, body, [(COMMENT, packet.name.encode()), (EPB_FLAGS, inbound)])

    def simple_packet(self, packet: Packet) -> bytes:
        """No interface, no time, no comment."""
        return self.block(SIMPLE, struct.pack(self.order + "I", packet.length) + packet.data)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def pcapng(packets: list[Packet]) -> bytes:
    """Two sections: little-endian with three interfaces and odd blocks between, big-endian with one interface."""
    little, big = Pcapng("<"), Pcapng(">")
    half = len(packets) // 2
    host = struct.pack("<HH4s12s", 1, 16, IPv4Address(HOST).packed, b"host.local.\0") + bytes(4)
    statistics = struct.pack("<III", 0, START >> 32, START & 0xFFFFFFFF)
    parts = [little.section("first section, little-endian"), *map(little.interface, INTERFACES[:3])]
    parts += [little.block(NAMES, host), little.block(LOCAL_BLOCK, b"step over me")]
    for index, packet in enumerate(packets[: half - 1]):
        parts.append(little.packet(packet, index, index % 3, INTERFACES[index % 3]))
    parts += [little.simple_packet(packets[half - 1]), little.block(STATISTICS, statistics)]
    parts += [big.section("second section, big-endian"), big.interface(INTERFACES[3])]
    parts += [big.packet(packet, half + index, 0, INTERFACES[3]) for index, packet in enumerate(packets[half:])]
    return b"".join(parts)


def captures() -> dict[str, bytes]:
    """The content of every file, by name."""
    mixed = mixed_packets()
    named = {packet.name: packet for packet in mixed}
    tiny = [named[name] for name in ("arp request", "tcp syn", "dns query")]
    return {
        "mixed.pcap": pcap(mixed, "<", nanosecond=False),
        "mixed.pcapng": pcapng(mixed),
        "nanosecond-bigendian.pcap": pcap(mixed[::7], ">", nanosecond=True),
        "tiny.pcap": pcap(tiny, "<", nanosecond=False),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the packet captures of the tests.")
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    parser.add_argument("--output", type=Path, default=CAPTURES, metavar="DIR", help="default: tests/captures")
    options = parser.parse_args(arguments)
    stale = []
    for name, content in captures().items():
        path = options.output / name
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            stale.append(name)
    for name in stale:
        print(f"{name} is not what tools/make_captures.py writes", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
