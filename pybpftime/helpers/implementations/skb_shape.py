"""Helpers that make a socket buffer's packet longer or shorter, or insert and remove headers."""

from __future__ import annotations

from pybpftime.helpers.errors import EALREADY, EFAULT, EINVAL, ENOMEM, ENOTSUPP
from pybpftime.helpers.ethernet import ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6, VLAN_TYPES, frame_protocol
from pybpftime.helpers.internet_checksum import csum_block_add, csum_block_sub, csum_partial
from pybpftime.helpers.packet_access import (
    CHECKSUM_COMPLETE,
    CHECKSUM_NONE,
    CHECKSUM_UNNECESSARY,
    NO_TRANSPORT_HEADER,
    PacketBuffer,
)
from pybpftime.helpers.registry import implements
from pybpftime.isa.encoding import MASK32, sign_extend
from pybpftime.machine import Machine

MAX_LENGTH = 16064  # BPF_SKB_MAX_LEN: what four pages hold beside struct skb_shared_info
MAX_HEADER_OFFSET = 0xFFFF - 63  # the kernel's offsets have 16 bits, and count up to 63 bytes of headroom too
ETHERNET, VLAN, ADDRESSES = 14, 4, 12  # lengths: link-layer header, VLAN tag, the two addresses before the tag
IPV4_HEADER, IPV6_HEADER = 20, 40

ADJ_ROOM_NET, ADJ_ROOM_MAC = 0, 1  # enum bpf_adj_room_mode
FIXED_GSO = 1 << 0
ENCAP_L3_IPV4, ENCAP_L3_IPV6 = 1 << 1, 1 << 2
ENCAP_L4_GRE, ENCAP_L4_UDP = 1 << 3, 1 << 4
NO_CSUM_RESET = 1 << 5
ENCAP_L2_ETH = 1 << 6
DECAP_L3_IPV4, DECAP_L3_IPV6 = 1 << 7, 1 << 8
ENCAP_L2_SHIFT = 56
ENCAP_L2_MASK = 0xFF << ENCAP_L2_SHIFT
ENCAP_L3_MASK = ENCAP_L3_IPV4 | ENCAP_L3_IPV6
DECAP_L3_MASK = DECAP_L3_IPV4 | DECAP_L3_IPV6
ROOM_MASK = (
    FIXED_GSO
    | ENCAP_L3_MASK
    | ENCAP_L4_GRE
    | ENCAP_L4_UDP
    | NO_CSUM_RESET
    | ENCAP_L2_ETH
    | ENCAP_L2_MASK
    | DECAP_L3_MASK
)
GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 = 1 << 0, 1 << 4, 1 << 17  # SKB_GSO_* of `gso_type`
SHRINK_MASK = FIXED_GSO | DECAP_L3_MASK | NO_CSUM_RESET


@implements("bpf_skb_change_tail")
def skb_change_tail(machine: Machine, skb: PacketBuffer, length: int, flags: int) -> int:
    length &= MASK32
    if flags or not _least_length(skb) <= length <= MAX_LENGTH:
        return -EINVAL
    if skb.field("encapsulation"):
        return -ENOTSUPP
    old = skb.length
    if length < old and skb.field("ip_summed") == CHECKSUM_COMPLETE:
        cut = csum_partial(skb.read(length, old - length), 0)
        skb.set_field("csum", csum_block_sub(skb.field("csum"), cut, length))
    elif length > old and skb.field("ip_summed") == CHECKSUM_COMPLETE:
        skb.set_field("ip_summed", CHECKSUM_NONE)  # __skb_grow_rcsum
    skb.adjust_tail(length - old)
    if skb.field("gso_size"):
        for field in ("gso_size", "gso_segs", "gso_type"):
            skb.set_field(field, 0)
    return 0


def _least_length(skb: PacketBuffer) -> int:
    """__bpf_skb_min_len: up to the transport header where one is set, else up to the network header."""
    transport = skb.field("transport_header")
    offset = transport - skb.headroom
    return offset if transport != NO_TRANSPORT_HEADER and offset > 0 else max(_network_offset(skb), 0)


@implements("bpf_skb_change_head")
def skb_change_head(machine: Machine, skb: PacketBuffer, length: int, flags: int) -> int:
    """A packet of generic segmentation offload may grow beyond MAX_LENGTH, but not until offsets do not fit."""
    length &= MASK32
    if flags or length >= 1 << 31 or (skb.length + length > MAX_LENGTH and not skb.field("gso_size")):
        return -EINVAL
    if _network_offset(skb) + length > MAX_HEADER_OFFSET:
        return -ENOMEM
    if length:
        skb.adjust_head(-length)
    skb.set_field("mac_header", skb.head)
    return 0


@implements("bpf_skb_vlan_push")
def skb_vlan_push(machine: Machine, skb: PacketBuffer, protocol: int, tci: int) -> int:
    """skb_vlan_push: the new tag stays beside the packet, one that was there goes into it."""
    protocol &= 0xFFFF
    if protocol not in VLAN_TYPES:
        protocol = ETH_P_8021Q
    if skb.field("vlan_present"):
        outer = skb.field("vlan_proto")
        tag = outer.to_bytes(2, "little") + skb.field("vlan_tci").to_bytes(2, "big")
        _insert(skb, ADDRESSES, tag)
        skb.set_field("mac_header", skb.head)
        skb.set_field("network_header", skb.field("network_header") - VLAN)
        skb.set_field("protocol", outer)
        _add_to_device_checksum(skb, tag, ADDRESSES)
    _set_tag(skb, protocol, tci & 0xFFFF)
    return 0


@implements("bpf_skb_vlan_pop")
def skb_vlan_pop(machine: Machine, skb: PacketBuffer) -> int:
    """skb_vlan_pop: the tag beside the packet goes, else the one in it; the next one comes out of the packet."""
    if skb.field("vlan_present"):
        skb.set_field("vlan_present", 0)
        skb.set_field("vlan_tci", 0)
        skb.set_field("vlan_proto", 0)
    else:
        if skb.field("protocol") not in VLAN_TYPES:
            return 0
        if _take_tag(skb) is None:
            return -ENOMEM
    protocol = skb.field("protocol")
    if protocol not in VLAN_TYPES:
        return 0
    tci = _take_tag(skb)
    if tci is None:
        return -ENOMEM
    _set_tag(skb, protocol, tci)
    return 0


def _set_tag(skb: PacketBuffer, protocol: int, tci: int) -> None:
    skb.set_field("vlan_proto", protocol)
    skb.set_field("vlan_tci", tci)
    skb.set_field("vlan_present", 1)


def _take_tag(skb: PacketBuffer) -> int | None:
    """__skb_vlan_pop: remove the tag in the packet; its tci, or None when the packet is too short for one."""
    if skb.length < ETHERNET + VLAN:
        return None
    _subtract_from_device_checksum(skb, skb.read(ADDRESSES, VLAN), ADDRESSES)
    tci = int.from_bytes(skb.read(ETHERNET, 2), "big")
    skb.set_field("protocol", _inner_protocol(skb))
    _remove(skb, ADDRESSES, VLAN)
    skb.set_field("mac_header", skb.head)
    if _network_offset(skb) < ETHERNET:
        skb.set_field("network_header", skb.head + ETHERNET)
    return tci


def _inner_protocol(skb: PacketBuffer) -> int:
    """vlan_set_encap_proto."""
    payload = skb.read(ETHERNET + VLAN, 2) if skb.length >= ETHERNET + VLAN + 2 else b""
    return frame_protocol(skb.read(ETHERNET + 2, 2), payload)


@implements("bpf_skb_change_proto")
def skb_change_proto(machine: Machine, skb: PacketBuffer, protocol: int, flags: int) -> int:
    if flags:
        return -EINVAL
    change = (skb.field("protocol"), protocol & 0xFFFF)
    offset, difference = _link_layer_length(skb), IPV6_HEADER - IPV4_HEADER
    if change == (ETH_P_IP, ETH_P_IPV6):
        _push_header(skb, offset, difference)
    elif change == (ETH_P_IPV6, ETH_P_IP):
        if not _pop_header(skb, offset, difference):
            return -ENOMEM
    else:
        return -ENOTSUPP
    skb.set_field("protocol", protocol & 0xFFFF)
    skb.set_field("hash", 0)
    return 0


@implements("bpf_skb_adjust_room")
def skb_adjust_room(machine: Machine, skb: PacketBuffer, length: int, mode: int, flags: int) -> int:
    length = sign_extend(length, 32)
    if flags & ~ROOM_MASK:
        return -EINVAL
    if abs(length) > 0xFFF:
        return -EFAULT
    base = {ETH_P_IP: IPV4_HEADER, ETH_P_IPV6: IPV6_HEADER}.get(skb.field("protocol"))
    mode &= MASK32
    if base is None or mode not in (ADJ_ROOM_NET, ADJ_ROOM_MAC):
        return -ENOTSUPP
    least = base
    if flags & DECAP_L3_MASK:
        if length >= 0 or flags & DECAP_L3_MASK == DECAP_L3_MASK:
            return -EINVAL
        least = IPV4_HEADER if flags & DECAP_L3_IPV4 else IPV6_HEADER
    current = skb.length - _network_offset(skb)
    is_gso = bool(skb.field("gso_size"))
    if (length < 0 and current + length < max(least, 1)) or (
        length >= 0 and skb.length + length > MAX_LENGTH and not is_gso
    ):
        return -ENOTSUPP
    offset = _link_layer_length(skb) + (base if mode == ADJ_ROOM_NET else 0)
    error = _shrink(skb, offset, -length, flags) if length < 0 else _grow(skb, offset, length, flags)
    if not error and not flags & NO_CSUM_RESET and skb.field("ip_summed") == CHECKSUM_UNNECESSARY:
        skb.set_field("ip_summed", CHECKSUM_NONE)
        skb.set_field("csum_level", 0)
    return error


def _grow(skb: PacketBuffer, offset: int, length: int, flags: int) -> int:
    """bpf_skb_net_grow."""
    if not _may_change_headers(skb, flags):
        return -ENOTSUPP
    encap = bool(flags & ENCAP_L3_MASK)
    link_layer = _link_layer_length(skb)
    if encap:
        inner_link_layer = flags >> ENCAP_L2_SHIFT
        if (
            flags & ENCAP_L3_MASK == ENCAP_L3_MASK
            or (flags & ENCAP_L4_GRE and flags & ENCAP_L4_UDP)
            or (flags & ENCAP_L2_ETH and inner_link_layer < ETHERNET)
        ):
            return -EINVAL
        if skb.field("encapsulation"):
            return -EALREADY
        if inner_link_layer > length:
            return -EINVAL
    _push_header(skb, offset, length)
    if encap:
        skb.set_field("encapsulation", 1)
        skb.set_field("protocol", ETH_P_IPV6 if flags & ENCAP_L3_IPV6 else ETH_P_IP)
        if flags & (ENCAP_L4_GRE | ENCAP_L4_UDP):
            outer = IPV6_HEADER if flags & ENCAP_L3_IPV6 else IPV4_HEADER
            _set_transport_offset(skb, link_layer + outer)
    if skb.field("gso_size"):
        skb.set_field("gso_segs", 0)
        if not flags & FIXED_GSO:
            skb.set_field("gso_size", (skb.field("gso_size") - length) & 0xFFFF)
    return 0


def _shrink(skb: PacketBuffer, offset: int, length: int, flags: int) -> int:
    """bpf_skb_net_shrink."""
    if flags & ~SHRINK_MASK:
        return -EINVAL
    if not _may_change_headers(skb, flags):
        return -ENOTSUPP
    if not _pop_header(skb, offset, length):
        return -ENOMEM
    if flags & DECAP_L3_MASK:
        skb.set_field("protocol", ETH_P_IPV6 if flags & DECAP_L3_IPV6 else ETH_P_IP)
    if skb.field("gso_size"):
        skb.set_field("gso_segs", 0)
        if not flags & FIXED_GSO:
            skb.set_field("gso_size", (skb.field("gso_size") + length) & 0xFFFF)
    return 0


def _may_change_headers(skb: PacketBuffer, flags: int) -> bool:
    """Segments of TCP follow a change of their headers' length; datagrams of UDP only with a fixed segment size."""
    kind = skb.field("gso_type")
    if not skb.field("gso_size") or kind & (GSO_TCPV4 | GSO_TCPV6):
        return True
    return bool(kind & GSO_UDP_L4 and flags & FIXED_GSO)


def _push_header(skb: PacketBuffer, offset: int, length: int) -> None:
    """bpf_skb_net_hdr_push: `length` zeros at `offset`; the headers before it, and their marks, move to the front."""
    marks = _header_marks(skb)
    _insert(skb, offset, bytes(length))
    _set_header_marks(skb, *marks)


def _pop_header(skb: PacketBuffer, offset: int, length: int) -> bool:
    """bpf_skb_net_hdr_pop; False when the packet is not that long."""
    if offset + length > skb.length:
        return False
    marks = _header_marks(skb)
    _subtract_from_device_checksum(skb, skb.read(offset, length), 0)
    _remove(skb, offset, length)
    _set_header_marks(skb, *marks)
    return True


def _header_marks(skb: PacketBuffer) -> tuple[int, int, bool]:
    """Offsets in the packet of the link layer and the network layer, and whether the transport layer's is the same."""
    network = _network_offset(skb)
    return skb.field("mac_header") - skb.head, network, skb.field("transport_header") == skb.headroom + network


def _set_header_marks(skb: PacketBuffer, link_layer: int, network: int, transport_too: bool) -> None:
    skb.set_field("mac_header", skb.head + link_layer)
    skb.set_field("network_header", skb.head + network)
    if transport_too:
        _set_transport_offset(skb, network)


def _set_transport_offset(skb: PacketBuffer, offset: int) -> None:
    skb.set_field("transport_header", skb.headroom + offset & 0xFFFF)


def _insert(skb: PacketBuffer, offset: int, content: bytes) -> None:
    """Put `content` at `offset`; what was before it moves to the front."""
    if content:
        skb.adjust_head(-len(content))
        before = skb.read(len(content), offset)
        skb.write(0, before + content)


def _remove(skb: PacketBuffer, offset: int, length: int) -> None:
    """Take `length` bytes out at `offset`; what was before them moves back."""
    if length:
        skb.write(length, skb.read(0, offset))
        skb.adjust_head(length)


def _network_offset(skb: PacketBuffer) -> int:
    return skb.field("network_header") - skb.head


def _link_layer_length(skb: PacketBuffer) -> int:
    return skb.field("network_header") - skb.field("mac_header")


def _add_to_device_checksum(skb: PacketBuffer, content: bytes, offset: int) -> None:
    if skb.field("ip_summed") == CHECKSUM_COMPLETE:
        skb.set_field("csum", csum_block_add(skb.field("csum"), csum_partial(content, 0), offset))


def _subtract_from_device_checksum(skb: PacketBuffer, content: bytes, offset: int) -> None:
    if skb.field("ip_summed") == CHECKSUM_COMPLETE:
        skb.set_field("csum", csum_block_sub(skb.field("csum"), csum_partial(content, 0), offset))
