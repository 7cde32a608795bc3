"""Internet checksums.  Source: net/core/filter.c, lib/checksum.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import Anything, Integer, MemOrNull, SizeOrZero, Skb


@helper(10, since="4.1", programs=programs.TC | programs.LWT_XMIT, changes_packet=True)
def bpf_l3_csum_replace(skb: Skb, offset: Anything, old: Anything, new: Anything, flags: Anything) -> Integer:
    """Update the IP checksum at `offset` for a field that changed from `old` to `new`.

    flags is the size of the field, 2 or 4, in the packet's byte order; or 0, and then `new` is a difference made by
    bpf_csum_diff and `old` is 0.  0; EINVAL for other flags, EFAULT for a bad offset.
    """


@helper(11, since="4.1", programs=programs.TC | programs.LWT_XMIT, changes_packet=True)
def bpf_l4_csum_replace(skb: Skb, offset: Anything, old: Anything, new: Anything, flags: Anything) -> Integer:
    """Update the TCP, UDP or ICMP checksum at `offset`, as bpf_l3_csum_replace does.

    Flags besides the size: BPF_F_PSEUDO_HDR (the field is part of the pseudo header), BPF_F_MARK_MANGLED_0 (UDP: a
    checksum of 0 means none and stays, a result of 0 becomes 0xffff), BPF_F_MARK_ENFORCE (update one of 0 too),
    BPF_F_IPV6.
    """


@helper(28, since="4.6", programs=programs.TC | programs.LWT | programs.XDP, packet_access=True)
def bpf_csum_diff(
    old: MemOrNull, old_size: SizeOrZero, new: MemOrNull, new_size: SizeOrZero, seed: Anything
) -> Integer:
    """The difference that replacing `old` by `new` makes to a checksum, added to `seed` (32 bits).

    EINVAL when a size is no multiple of 4 or they exceed 512 bytes together.
    """


@helper(40, since="4.9", programs=programs.TC | programs.LWT_XMIT)
def bpf_csum_update(skb: Skb, csum: Anything) -> Integer:
    """Add `csum` to the checksum that the device computed over the packet.  The sum; ENOTSUPP when there is none."""


@helper(135, since="5.8", programs=programs.TC | programs.LWT_XMIT)
def bpf_csum_level(skb: Skb, level: Anything) -> Integer:
    """Change how many checksums the device has verified: BPF_CSUM_LEVEL_INC, _DEC, _RESET, or _QUERY.

    0 (the level for _QUERY, EACCES when none is verified); EINVAL for others.
    """
