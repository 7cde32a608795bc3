"""What packet helpers need of a context: the packet's bytes with the room around them, and the skb's fields.

Contexts live above helpers in the import order; those that carry a packet implement `PacketBuffer`, and helpers
find it in `machine.context`.  Offsets named `head`, `meta` and `end` count from the start of `buffer`, all other
offsets from the start of the packet (`head`).

    buffer   0 ........ meta ........ head ........ end ........ len(buffer)
                         |<- data_meta |<- data      |<- data_end
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

PACKET_HOST, PACKET_BROADCAST, PACKET_MULTICAST, PACKET_OTHERHOST = range(4)
CHECKSUM_NONE, CHECKSUM_UNNECESSARY, CHECKSUM_COMPLETE, CHECKSUM_PARTIAL = range(4)
NO_TRANSPORT_HEADER = 0xFFFF

FIELDS = (
    "protocol",  # EtherType as __sk_buff.protocol shows it: the two bytes of the packet, read as little-endian
    "pkt_type",  # PACKET_*
    "mark",
    "priority",
    "hash",  # 0 while nobody has computed or set it
    "queue_mapping",
    "tc_classid",
    "ifindex",
    "ingress_ifindex",
    "vlan_present",  # 1 when the tag is beside the packet (hardware offload), as skb_vlan_push leaves it
    "vlan_tci",
    "vlan_proto",  # as protocol: 0x8100 is read as 0x0081
    "ip_summed",  # CHECKSUM_*
    "csum",  # the checksum of CHECKSUM_COMPLETE
    "csum_level",
    "gso_size",
    "gso_segs",
    "gso_type",
    "mac_header",  # offset from the start of `buffer`, as head is; before head where the link layer was pulled
    "network_header",  # likewise
    "transport_header",  # 16 bits: offset from where the headroom starts, or NO_TRANSPORT_HEADER
    "encapsulation",  # 1 when bpf_skb_adjust_room put an outer header before the packet
    "tc_at_ingress",  # 1 on ingress, 0 on egress
)
"""The fields of `field` and `set_field`.  A context of kind skb has them all; one that never set a field says 0."""


@runtime_checkable
class PacketBuffer(Protocol):
    """The packet behind a context of kind `xdp` (struct xdp_md) or `skb` (struct __sk_buff).

    All of the packet is linear.  Helpers recognise such a context by its `kind`; contexts without packet have none.
    The three `adjust_*` methods move a border by `delta` bytes and return 0 or a negative errno; they follow the
    kernel for XDP (bpf_xdp_adjust_head, _meta, _tail) and simply obey for skb.  Helpers that declare `changes_packet`
    need not call `invalidate`: the call site does, also when they failed, because that is when the kernel's verifier
    forgets all packet pointers.
    """

    kind: Literal["xdp", "skb"]
    buffer: bytearray
    head: int
    meta: int
    end: int

    @property
    def length(self) -> int:
        """Bytes from `head` to `end`."""

    @property
    def headroom(self) -> int:
        """Bytes by which the packet could still grow at its head."""

    @property
    def hard_end(self) -> int:
        """The offset in `buffer` that `end` cannot pass."""

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the packet; the caller has checked that they lie in it."""

    def write(self, offset: int, content: bytes) -> None:
        """Overwrite bytes of the packet; the caller has checked that they lie in it."""

    def adjust_head(self, delta: int) -> int:
        """Move `head`: a negative `delta` prepends bytes, a positive one removes them.

        xdp: bytes exposed keep what the buffer holds, metadata moves along, -EINVAL beyond the headroom or when
        less than 14 bytes would be left.  skb: prepended bytes are 0 and the buffer grows when the headroom is too
        short, by as much as the kernel's; then all offsets into it, the fields mac_header and network_header too,
        still name the same bytes, and the growth is added to transport_header, even where that was not set.
        """

    def adjust_meta(self, delta: int) -> int:
        """Move `meta` (xdp): -EINVAL behind `head`, in no multiple of 4, or for more metadata than the kernel takes."""

    def adjust_tail(self, delta: int) -> int:
        """Move `end`: a positive `delta` appends bytes of 0, a negative one removes them.

        xdp: -EINVAL beyond `hard_end` or when less than 14 bytes would be left.
        """

    def invalidate(self) -> None:
        """Make every address of packet data or metadata that the program holds fault; fields give new ones."""

    def field(self, name: str) -> int:
        """A field of FIELDS.  Kind skb only."""

    def set_field(self, name: str, value: int) -> None:
        """Set a field of FIELDS, unchecked; it shows in the context structure at once.  Kind skb only."""
