"""XDP: a frame in a page, and struct xdp_md.

Source: bpf_prog_test_run_xdp of net/bpf/test_run.c; bpf_xdp_adjust_head, _meta and _tail of net/core/filter.c.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Literal

from pybpftime.errors import InputError, InternalError
from pybpftime.helpers.errors import EACCES, EINVAL
from pybpftime.machine import Machine
from pybpftime.program.contexts.context import octets, refuse_unknown, whole_number
from pybpftime.program.contexts.packet_context import ETH_HLEN, PacketContext, check_packet
from pybpftime.program.contexts.region import TranslatedRegion
from pybpftime.program.types import ContextLayout, ProgramTypeInfo

HEADROOM = 256  # XDP_PACKET_HEADROOM
FRAME_SIZE = 4096  # a page
TAILROOM = 320  # struct skb_shared_info, which stands at the end of a frame
FRAME_HEADER = 40  # struct xdp_frame, which redirection writes to the start of a frame
LONGEST_METADATA = 252  # a multiple of 4 in skb_shared_info.meta_len

_FIELDS = ("ingress_ifindex", "rx_queue_index", "egress_ifindex")
_IMAGE = struct.Struct("<6I")
_LOOPBACK = 1


class XdpContext(PacketContext):
    """Keys: `ingress_ifindex` (1, the loopback device), `rx_queue_index` (0), `egress_ifindex` (0), and
    `metadata`, bytes in front of the packet as hex digits (none).
    """

    kind: Literal["xdp"] = "xdp"
    __slots__ = ("_image", "_layout")

    def __init__(
        self, info: ProgramTypeInfo, layout: ContextLayout, packet: bytes, ctx: Mapping[str, Any] | bytes | None
    ) -> None:
        metadata = b""
        values = [_LOOPBACK, 0, 0]
        if isinstance(ctx, bytes):
            metadata, packet, values = _from_structure(ctx, packet)
        elif ctx:
            refuse_unknown(ctx, (*_FIELDS, "metadata"))
            metadata = octets("metadata", ctx.get("metadata", b""))
            values = [whole_number(key, ctx.get(key, value), 4) for key, value in zip(_FIELDS, values, strict=True)]
        check_packet(packet)
        if len(metadata) % 4 or len(metadata) > HEADROOM - FRAME_HEADER:
            reason = f"a multiple of 4 up to {HEADROOM - FRAME_HEADER}"
            raise InputError(f"metadata: the length {len(metadata)} is not {reason}")
        end = HEADROOM + len(packet)
        frame_size = max(FRAME_SIZE, -(-(end + TAILROOM) // FRAME_SIZE) * FRAME_SIZE)
        buffer = bytearray(frame_size)
        buffer[HEADROOM:end] = packet
        super().__init__(info, buffer, HEADROOM, end)
        if metadata:
            self.meta = HEADROOM - len(metadata)
            buffer[self.meta : HEADROOM] = metadata
        self._image = bytearray(_IMAGE.pack(0, 0, 0, *values))
        self._layout = layout

    def enter(self, machine: Machine) -> tuple[int, ...]:
        self._map_packet(machine)
        region = TranslatedRegion(self._layout, self._image, self._packet_address)
        return (machine.memory.map(region, transient=True),)

    @property
    def packet(self) -> bytes:
        """Metadata, if there is any, and packet."""
        return bytes(self.buffer[self.meta : self.end])

    def fields(self) -> dict[str, Any]:
        values = _IMAGE.unpack(self._image)[3:]
        changed: dict[str, Any] = {
            key: value
            for key, value, default in zip(_FIELDS, values, (_LOOPBACK, 0, 0), strict=True)
            if value != default
        }
        if self.meta < self.head:
            changed["metadata"] = bytes(self.buffer[self.meta : self.head]).hex()
        return changed

    @property
    def headroom(self) -> int:
        """Bytes by which the packet could still grow at its head."""
        return self.meta - FRAME_HEADER

    @property
    def hard_end(self) -> int:
        """The offset in `buffer` that `end` cannot pass."""
        return len(self.buffer) - TAILROOM

    def adjust_head(self, delta: int) -> int:
        """bpf_xdp_adjust_head: metadata moves along; -EINVAL beyond the headroom or with less than 14 bytes left."""
        head, metadata = self.head + delta, self.buffer[self.meta : self.head]
        if head - len(metadata) < FRAME_HEADER or head > self.end - ETH_HLEN:
            return -EINVAL
        self.head = head
        self.meta = head - len(metadata)
        self.buffer[self.meta : head] = metadata
        return 0

    def adjust_meta(self, delta: int) -> int:
        """bpf_xdp_adjust_meta: -EINVAL outside the headroom, -EACCES for a length that metadata cannot have."""
        meta = self.meta + delta
        if meta < FRAME_HEADER or meta > self.head:
            return -EINVAL
        if (self.head - meta) % 4 or self.head - meta > LONGEST_METADATA:
            return -EACCES
        self.meta = meta
        return 0

    def adjust_tail(self, delta: int) -> int:
        """bpf_xdp_adjust_tail: new bytes are 0; -EINVAL beyond `hard_end` or with less than 14 bytes left."""
        end = self.end + delta
        if end > self.hard_end or end < self.head + ETH_HLEN:
            return -EINVAL
        if delta > 0:
            self.buffer[self.end : end] = bytes(delta)
        self.end = end
        return 0

    def field(self, name: str) -> int:
        """Frames have no fields of socket buffers: helpers ask contexts of kind skb only."""
        raise InternalError(f"XDP has no field {name}")

    def set_field(self, name: str, value: int) -> None:
        """As `field`."""
        raise InternalError(f"XDP has no field {name}")


def _from_structure(ctx: bytes, packet: bytes) -> tuple[bytes, bytes, list[int]]:
    """Read struct xdp_md as BPF_PROG_TEST_RUN does: `data` is where in `packet` the metadata ends."""
    if len(ctx) > _IMAGE.size and any(ctx[_IMAGE.size :]):
        raise InputError(f"struct xdp_md has {_IMAGE.size} bytes: those behind must be 0")
    data, data_end, data_meta, ingress, queue, egress = _IMAGE.unpack(ctx[: _IMAGE.size].ljust(_IMAGE.size, b"\0"))
    if data_meta or egress:
        raise InputError(f"{'data_meta' if data_meta else 'egress_ifindex'} of struct xdp_md must be 0")
    if data_end != len(packet) or data > data_end:
        raise InputError(f"struct xdp_md must have data <= data_end = {len(packet)}, the length of the packet")
    if queue and not ingress:
        raise InputError("struct xdp_md has rx_queue_index without ingress_ifindex")
    return packet[:data], packet[data:], [ingress or _LOOPBACK, queue, 0]
