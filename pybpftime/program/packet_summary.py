"""One line about a packet: link, network and transport layer, as far as its bytes reach."""

from __future__ import annotations

import ipaddress

VLAN_TYPES = {0x8100, 0x88A8, 0x9100}
LONGEST_FRAME_LENGTH = 1500  # below, the type field of IEEE 802.3 is a length
ETHERTYPES = {
    0x6558: "transparent Ethernet",
    0x8847: "MPLS",
    0x8848: "MPLS multicast",
    0x8863: "PPPoE discovery",
    0x8864: "PPPoE",
    0x88CC: "LLDP",
    0x88F7: "PTP",
}
ICMP, IGMP, IPIP, TCP, UDP, ICMPV6, NO_NEXT_HEADER, SCTP = 1, 2, 4, 6, 17, 58, 59, 132
PROTOCOLS = {
    ICMP: "ICMP", IGMP: "IGMP", IPIP: "IPv4 inside", TCP: "TCP", UDP: "UDP", 41: "IPv6 inside", 47: "GRE", 50: "ESP",
    51: "AH", ICMPV6: "ICMPv6", NO_NEXT_HEADER: "no next header", 89: "OSPF", SCTP: "SCTP",
}  # fmt: skip
WITH_PORTS = (TCP, UDP, SCTP)
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
TCP_FLAGS = "FSRPAUEC"
ICMP_TYPES = {
    ICMP: {0: "echo reply", 3: "unreachable", 5: "redirect", 8: "echo request", 11: "time exceeded"},
    ICMPV6: {
        1: "unreachable", 2: "packet too big", 3: "time exceeded", 128: "echo request", 129: "echo reply",
        133: "router solicitation", 134: "router advertisement", 135: "neighbor solicitation",
        136: "neighbor advertisement", 143: "listener report",
    },
}  # fmt: skip


def summarise(frame: bytes) -> str:
    """`vlan 7 IPv4 10.0.0.1:1234 > 10.0.0.2:80 TCP [S]`; a frame cut short is told as far as it goes."""
    if len(frame) < 14:
        return f"{len(frame)} bytes, no Ethernet header"
    kind, offset, tags = int.from_bytes(frame[12:14]), 14, []
    while kind in VLAN_TYPES and len(frame) >= offset + 4:
        tags.append(f"vlan {int.from_bytes(frame[offset : offset + 2]) & 0xFFF}")
        kind = int.from_bytes(frame[offset + 2 : offset + 4])
        offset += 4
    return " ".join([*tags, _payload(kind, frame[offset:])])


def _payload(kind: int, data: bytes) -> str:
    if kind == 0x0800:
        return _ipv4(data)
    if kind == 0x86DD:
        return _ipv6(data)
    if kind == 0x0806:
        return _arp(data)
    if kind in VLAN_TYPES:
        return "vlan, cut short"
    if kind <= LONGEST_FRAME_LENGTH:
        return f"IEEE 802.3, {kind} bytes"
    return ETHERTYPES.get(kind, f"ethertype {kind:#06x}")


def _arp(data: bytes) -> str:
    if len(data) < 28:
        return "ARP, cut short"
    sender, target = ipaddress.IPv4Address(data[14:18]), ipaddress.IPv4Address(data[24:28])
    return f"ARP who has {target}? tell {sender}" if data[7] == 1 else f"ARP {sender} is at {data[8:14].hex(':')}"


def _ipv4(data: bytes) -> str:
    if len(data) < 20:
        return "IPv4, cut short"
    source, target = str(ipaddress.IPv4Address(data[12:16])), str(ipaddress.IPv4Address(data[16:20]))
    fragment = int.from_bytes(data[6:8]) & 0x1FFF
    if fragment:
        return f"IPv4 {source} > {target} {_name(data[9])} fragment at {fragment * 8}"
    return _transport("IPv4", source, target, data[9], data[(data[0] & 0xF) * 4 :])


def _ipv6(data: bytes) -> str:
    if len(data) < 40:
        return "IPv6, cut short"
    source, target = f"[{ipaddress.IPv6Address(data[8:24])}]", f"[{ipaddress.IPv6Address(data[24:40])}]"
    following, offset = data[6], 40
    while following in (HOP_BY_HOP, ROUTING, DESTINATION, FRAGMENT):
        header = data[offset : offset + 8]
        if len(header) < 8:
            return f"IPv6 {source} > {target} extension header, cut short"
        place = int.from_bytes(header[2:4]) & 0xFFF8
        if following == FRAGMENT and place:
            return f"IPv6 {source} > {target} {_name(header[0])} fragment at {place}"
        offset += 8 if following == FRAGMENT else 8 + header[1] * 8
        following = header[0]
    return _transport("IPv6", source, target, following, data[offset:])


def _transport(name: str, source: str, target: str, protocol: int, data: bytes) -> str:
    rest = _name(protocol)
    if protocol in WITH_PORTS and len(data) >= 4:
        source, target = f"{source}:{int.from_bytes(data[:2])}", f"{target}:{int.from_bytes(data[2:4])}"
        if protocol == TCP and len(data) >= 14:
            rest += f" [{''.join(letter for bit, letter in enumerate(TCP_FLAGS) if data[13] >> bit & 1)}]"
    elif protocol in ICMP_TYPES and data:
        rest += f" {ICMP_TYPES[protocol].get(data[0], f'type {data[0]}')}"
    return f"{name} {source} > {target} {rest}"


def _name(protocol: int) -> str:
    return PROTOCOLS.get(protocol, f"protocol {protocol}")
