"""Socket buffers: a packet, struct __sk_buff, and what the kernel keeps beside them.

Source: bpf_prog_test_run_skb of net/bpf/test_run.c, eth_type_trans of net/ethernet/eth.c, bpf_convert_ctx_access and
bpf_skb_load_helper_* of net/core/filter.c.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Literal

from pybpftime.errors import Fault, FaultKind, InternalError
from pybpftime.helpers import packet_access
from pybpftime.helpers.ethernet import frame_protocol
from pybpftime.helpers.packet_access import NO_TRANSPORT_HEADER, PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST
from pybpftime.isa.encoding import sign_extend
from pybpftime.machine import Machine
from pybpftime.program.contexts.packet_context import ETH_HLEN, PacketContext, check_packet
from pybpftime.program.contexts.region import TranslatedRegion
from pybpftime.program.contexts.sk_buff_fields import (
    DEFAULT_IFINDEX,
    FIELDS,
    from_mapping,
    from_structure,
    to_mapping,
    to_structure,
)
from pybpftime.program.contexts.socket import map_socket, write_addresses
from pybpftime.program.types import ContextLayout, FieldKind, ProgramTypeInfo
from pybpftime.program.types.layouts import SK_BUFF
from pybpftime.uapi import ProgramType

HEADROOM = 64  # NET_SKB_PAD: before the packet at first, and the step in which it grows
SKF_NET_OFF = -0x100000  # offsets of legacy loads from here on count from the network header,
SKF_LL_OFF = -0x200000  # and from here on from the link-layer header

_DEVICE_ADDRESS = bytes(6)  # the loopback device's

_LINK_LAYER_TYPES = frozenset({ProgramType.BPF_PROG_TYPE_SCHED_CLS, ProgramType.BPF_PROG_TYPE_SCHED_ACT})
_LEN_AND_TYPE = struct.Struct("<II")
_PROTOCOL_OFFSET, _IFINDEX_OFFSET = FIELDS["protocol"].offset, FIELDS["ifindex"].offset
_LEN_SIZE = 4

# What the kernel has of a packet that programs do not see in struct __sk_buff.
_BESIDE = dict.fromkeys((name for name in packet_access.FIELDS if name not in FIELDS), 0) | {
    "mac_header": HEADROOM,
    "network_header": HEADROOM + ETH_HLEN,
    "transport_header": NO_TRANSPORT_HEADER,
}


class SkbContext(PacketContext):
    """Keys: the fields of struct __sk_buff but len, data, data_end, data_meta, flow_keys and sk.

    Defaults are those of a frame that arrives on the loopback device (ifindex 1): pkt_type and protocol come from
    its Ethernet header, addresses and family from its IP header, all else is 0.  `cb` is a list of up to 5 numbers;
    IP addresses may be text.  Without any field given `wire_len` is 0, as in a test run of the kernel, else the
    packet's length.

    sched_cls and sched_act see the frame; for all other types the packet begins behind the Ethernet header, and
    afterwards `packet` has 14 bytes of 0 in place of it, as BPF_PROG_TEST_RUN has.
    """

    kind: Literal["skb"] = "skb"
    socket_uid = 0  # of the socket that a test run gives the packet
    socket_cookie = 1
    __slots__ = ("_beside", "_default", "_gso_size", "_guard", "_image", "_layout", "_socket")

    def __init__(
        self, info: ProgramTypeInfo, layout: ContextLayout, packet: bytes, ctx: Mapping[str, Any] | bytes | None
    ) -> None:
        check_packet(packet)
        end = HEADROOM + len(packet)
        buffer = bytearray(end)
        buffer[HEADROOM:] = packet
        head = HEADROOM if info.type in _LINK_LAYER_TYPES else HEADROOM + ETH_HLEN
        super().__init__(info, buffer, head, end)
        image = bytearray(SK_BUFF.size)
        _LEN_AND_TYPE.pack_into(image, 0, end - head, packet_type(packet))
        image[_PROTOCOL_OFFSET : _PROTOCOL_OFFSET + 2] = protocol = ether_type(packet)
        image[_IFINDEX_OFFSET] = DEFAULT_IFINDEX
        write_addresses(image, protocol, packet)
        self._default = bytes(image)
        self._gso_size: bytes | None = None
        if isinstance(ctx, bytes):
            self._gso_size = from_structure(ctx, image, end - head)
        elif ctx is not None:
            self._gso_size = from_mapping(ctx, image, end - head)
        self._image = image
        self._layout = layout
        self._beside = _BESIDE.copy()
        self._guard = 0
        self._socket = 0

    def enter(self, machine: Machine) -> tuple[int, ...]:
        self._map_packet(machine)
        self._socket = 0
        region = TranslatedRegion(self._layout, self._image, self._address)
        return (machine.memory.map(region, transient=True),)

    @property
    def packet(self) -> bytes:
        """The frame; where the program saw none of the Ethernet header, 14 bytes of 0 stand for it."""
        missing = b"" if self.info.type in _LINK_LAYER_TYPES else bytes(ETH_HLEN)
        return missing + self.buffer[self.head : self.end]

    def fields(self) -> dict[str, Any]:
        if self._image[_LEN_SIZE:] == self._default[_LEN_SIZE:]:
            return {}
        return to_mapping(self._image, self._default)

    def structure(self) -> bytes:
        """struct __sk_buff as BPF_PROG_TEST_RUN hands it out in `ctx_out`; empty when no context was given."""
        return b"" if self._gso_size is None else to_structure(self._image, self._gso_size)

    @property
    def headroom(self) -> int:
        """Bytes by which the packet could still grow at its head before its buffer has to grow (skb_headroom)."""
        return self.head - self._guard

    @property
    def hard_end(self) -> int:
        """The offset in `buffer` that `end` cannot pass before the buffer has to grow."""
        return len(self.buffer)

    def adjust_head(self, delta: int) -> int:
        """Move `head`; prepended bytes are 0, and headers keep their place in the packet.

        The buffer grows in steps of 64 bytes (skb_cow).  As in skb_headers_offset_update, the growth is added to the
        transport header modulo 2**16 even when that is not set, and from then on it counts as set.
        """
        missing = -delta - self.headroom
        if missing > 0:
            grown = -(-missing // HEADROOM) * HEADROOM
            self._grow_front(grown)
            self._beside["transport_header"] = (self._beside["transport_header"] + grown) & 0xFFFF
        if self.head + delta == 0:
            # Programs compare the low half of `data` in 32 bits, where 0 would mean no packet.
            self._guard = HEADROOM
            self._grow_front(HEADROOM)
        if delta < 0:
            self.buffer[self.head + delta : self.head] = bytes(-delta)
        self.head += delta
        self.meta = self.head
        self._set_length()
        return 0

    def _grow_front(self, grown: int) -> None:
        self.buffer[:0] = bytes(grown)
        self.head, self.meta, self.end = self.head + grown, self.meta + grown, self.end + grown
        for header in ("mac_header", "network_header"):
            self._beside[header] += grown

    def adjust_meta(self, delta: int) -> int:
        """Socket buffers have no metadata here: helpers move it in contexts of kind xdp only."""
        raise InternalError("socket buffers have no metadata")

    def adjust_tail(self, delta: int) -> int:
        """Move `end`; appended bytes are 0."""
        end = self.end + delta
        if delta > 0:
            self.buffer[self.end : end] = bytes(delta)
        self.end = end
        self._set_length()
        return 0

    def field(self, name: str) -> int:
        """A field of `helpers.packet_access.FIELDS`."""
        value = self._beside.get(name)
        if value is not None:
            return value
        field = FIELDS[name]
        return int.from_bytes(self._image[field.offset : field.end], "little")

    def set_field(self, name: str, value: int) -> None:
        """Set a field of `helpers.packet_access.FIELDS`, unchecked; it shows in struct __sk_buff at once."""
        if name in self._beside:
            self._beside[name] = value
            return
        field = FIELDS[name]
        size = field.width or field.size
        self._image[field.offset : field.offset + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")

    def load_legacy(self, offset: int, size: int) -> int | None:
        """What LD_ABS and LD_IND load: `size` bytes in network byte order, None when they are not in the packet.

        `offset` is unsigned, 32 bits: from the start of the packet; as a negative number from the network header
        (SKF_NET_OFF) or the link-layer header (SKF_LL_OFF), which the packet may no longer contain.
        """
        if not self.info.legacy_packet_access:
            reason = f"programs of type {self.info.name} have no legacy packet access"
            raise Fault(FaultKind.INSTRUCTION, reason)
        start = sign_extend(offset, 32)
        if start >= 0:
            start += self.head
        elif start >= SKF_NET_OFF:
            start += self._beside["network_header"] - SKF_NET_OFF
        elif start >= SKF_LL_OFF:
            start += self._beside["mac_header"] - SKF_LL_OFF
        else:
            return None
        if start < 0 or start + size > self.end:
            return None
        return int.from_bytes(self.buffer[start : start + size], "big")

    def _set_length(self) -> None:
        self._image[:_LEN_SIZE] = self.length.to_bytes(_LEN_SIZE, "little")

    def _address(self, kind: FieldKind) -> int:
        if kind is not FieldKind.SOCK_COMMON_OR_NULL:
            return self._packet_address(kind)
        if not self._socket:
            assert self._machine is not None
            self._socket = map_socket(self._machine, self._image)
        return self._socket


def ether_type(frame: bytes) -> bytes:
    """skb->protocol, the two bytes as they stand in memory."""
    return frame_protocol(frame[12:14], frame[14:16]).to_bytes(2, "little")


def packet_type(frame: bytes) -> int:
    """skb->pkt_type of a frame that arrives on the loopback device, which knows no broadcast address."""
    destination = frame[:6]
    if destination == _DEVICE_ADDRESS:
        return PACKET_HOST
    return PACKET_MULTICAST if destination[0] & 1 else PACKET_OTHERHOST
