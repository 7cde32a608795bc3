"""Helpers on socket buffers that leave the packet its shape; `skb_shape` has the others."""

from __future__ import annotations

import zlib

from pybpftime.helpers.errors import EFAULT, EINVAL, ENOMEM
from pybpftime.helpers.internet_checksum import csum_block_add, csum_block_sub, csum_partial
from pybpftime.helpers.marshal import Span
from pybpftime.helpers.packet_access import CHECKSUM_COMPLETE, PACKET_OTHERHOST, PacketBuffer
from pybpftime.helpers.registry import implements
from pybpftime.isa.encoding import MASK32
from pybpftime.machine import Machine

INT_MAX = (1 << 31) - 1
RECOMPUTE_CSUM = 1 << 0  # BPF_F_RECOMPUTE_CSUM
INVALIDATE_HASH = 1 << 1  # BPF_F_INVALIDATE_HASH
HDR_START_MAC, HDR_START_NET = 0, 1  # enum bpf_hdr_start_off
OVERFLOW_UID = 65534  # sysctl kernel.overflowuid, as it is by default
HASHED_BYTES = 64


@implements("bpf_skb_load_bytes")
def skb_load_bytes(machine: Machine, skb: PacketBuffer, offset: int, target: Span) -> int:
    offset &= MASK32
    if offset > INT_MAX or offset + target.size > skb.length:
        target.clear()
        return -EFAULT
    target.write(skb.read(offset, target.size))
    return 0


@implements("bpf_skb_load_bytes_relative")
def skb_load_bytes_relative(machine: Machine, skb: PacketBuffer, offset: int, target: Span, start_header: int) -> int:
    """The link-layer header may lie before `head`, where it was pulled off; its bytes are in the buffer still."""
    offset, start_header = offset & MASK32, start_header & MASK32
    start = skb.field("mac_header" if start_header == HDR_START_MAC else "network_header") + offset
    if offset > 0xFFFF or start_header not in (HDR_START_MAC, HDR_START_NET) or start + target.size > skb.end:
        target.clear()
        return -EFAULT
    target.write(bytes(skb.buffer[start : start + target.size]))
    return 0


@implements("bpf_skb_store_bytes")
def skb_store_bytes(machine: Machine, skb: PacketBuffer, offset: int, source: bytes, flags: int) -> int:
    offset &= MASK32
    if flags & ~(RECOMPUTE_CSUM | INVALIDATE_HASH):
        return -EINVAL
    if offset > INT_MAX or offset + len(source) > skb.length:
        return -EFAULT
    if flags & RECOMPUTE_CSUM and skb.field("ip_summed") == CHECKSUM_COMPLETE:
        total = csum_block_sub(skb.field("csum"), csum_partial(skb.read(offset, len(source)), 0), offset)
        skb.set_field("csum", csum_block_add(total, csum_partial(source, 0), offset))
    skb.write(offset, source)
    if flags & INVALIDATE_HASH:
        skb.set_field("hash", 0)
    return 0


@implements("bpf_skb_pull_data")
def skb_pull_data(machine: Machine, skb: PacketBuffer, length: int) -> int:
    """All of a packet is directly accessible here."""
    return -ENOMEM if length & MASK32 > skb.length else 0


@implements("bpf_skb_change_type")
def skb_change_type(machine: Machine, skb: PacketBuffer, type: int) -> int:
    type &= MASK32
    if type > PACKET_OTHERHOST or skb.field("pkt_type") > PACKET_OTHERHOST:
        return -EINVAL
    skb.set_field("pkt_type", type)
    return 0


@implements("bpf_get_hash_recalc")
def get_hash_recalc(machine: Machine, skb: PacketBuffer) -> int:
    """A hash of the packet's first bytes; Linux hashes its addresses and ports with a secret key."""
    known = skb.field("hash")
    if known:
        return known
    computed = zlib.crc32(skb.read(0, min(skb.length, HASHED_BYTES))) or 1
    skb.set_field("hash", computed)
    return computed


@implements("bpf_set_hash_invalid")
def set_hash_invalid(machine: Machine, skb: PacketBuffer) -> int:
    skb.set_field("hash", 0)
    return 0


@implements("bpf_set_hash")
def set_hash(machine: Machine, skb: PacketBuffer, hash: int) -> int:
    skb.set_field("hash", hash & MASK32)
    return 0


@implements("bpf_get_cgroup_classid")
def get_cgroup_classid(machine: Machine, skb: int) -> int:
    """There is no net_cls cgroup here."""
    return 0


@implements("bpf_get_socket_cookie")
def get_socket_cookie(machine: Machine, context: object) -> int:
    """The context's `socket_cookie`; 0, as for a packet without socket, where it has none."""
    return int(getattr(context, "socket_cookie", 0))


@implements("bpf_get_socket_uid")
def get_socket_uid(machine: Machine, skb: PacketBuffer) -> int:
    """The context's `socket_uid`; what Linux says of a packet without socket, where it has none."""
    return int(getattr(skb, "socket_uid", OVERFLOW_UID))
