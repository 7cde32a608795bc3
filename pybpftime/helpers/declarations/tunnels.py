"""Tunnels and encapsulation.  Source: net/core/filter.c, net/core/lwt_bpf.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import Anything, Integer, Mem, Size, Skb, UninitMem

_TC_LWT_XMIT = programs.TC | programs.LWT_XMIT


@helper(20, since="4.3", programs=_TC_LWT_XMIT)
def bpf_skb_get_tunnel_key(skb: Skb, key: UninitMem, size: Size, flags: Anything) -> Integer:
    """From which tunnel the packet came, into struct bpf_tunnel_key.

    flags: BPF_F_TUNINFO_IPV6, BPF_F_TUNINFO_FLAGS.  0; otherwise `key` is zeroed: EINVAL for no tunnel or unknown
    flags, EPROTO for one of the other IP version.
    """


@helper(21, since="4.3", programs=_TC_LWT_XMIT)
def bpf_skb_set_tunnel_key(skb: Skb, key: Mem, size: Size, flags: Anything) -> Integer:
    """Into which tunnel the packet is to go, from struct bpf_tunnel_key.

    flags: BPF_F_TUNINFO_IPV6, BPF_F_ZERO_CSUM_TX, BPF_F_DONT_FRAGMENT, BPF_F_SEQ_NUMBER, BPF_F_NO_TUNNEL_KEY.  0;
    EINVAL for unknown flags or a bad key.
    """


@helper(29, since="4.6", programs=_TC_LWT_XMIT)
def bpf_skb_get_tunnel_opt(skb: Skb, options: UninitMem, size: Size) -> Integer:
    """The options of the tunnel that the packet came from (such as Geneve's).

    How many bytes they have; otherwise `options` is zeroed: ENOENT without options, ENOMEM when they do not fit.
    """


@helper(30, since="4.6", programs=_TC_LWT_XMIT)
def bpf_skb_set_tunnel_opt(skb: Skb, options: Mem, size: Size) -> Integer:
    """Set the options of the tunnel that bpf_skb_set_tunnel_key chose.

    0; EINVAL before that or for a size that is no multiple of 4, ENOMEM for one too large.
    """


@helper(66, since="4.18", programs=programs.TC)
def bpf_skb_get_xfrm_state(skb: Skb, index: Anything, state: UninitMem, size: Size, flags: Anything) -> Integer:
    """The IPsec transformation at `index` of the packet's path, into struct bpf_xfrm_state.

    0; EINVAL when there is none, for a wrong size or flags other than 0: then `state` is zeroed.
    """


@helper(73, since="4.18", programs=programs.LWT_IN | programs.LWT_XMIT, changes_packet=True)
def bpf_lwt_push_encap(skb: Skb, type: Anything, header: Mem, size: Size) -> Integer:
    """Put a header before the packet: BPF_LWT_ENCAP_SEG6, _SEG6_INLINE (both on the way in only) or _IP.

    0; EINVAL for other types or a bad header.
    """


@helper(74, since="4.18", programs=programs.LWT_SEG6LOCAL, changes_packet=True)
def bpf_lwt_seg6_store_bytes(skb: Skb, offset: Anything, source: Mem, size: Size) -> Integer:
    """Overwrite flags, tag or TLVs of the segment routing header.  0; EFAULT for other places, EINVAL without it."""


@helper(75, since="4.18", programs=programs.LWT_SEG6LOCAL, changes_packet=True)
def bpf_lwt_seg6_adjust_srh(skb: Skb, offset: Anything, delta: Anything) -> Integer:
    """Make room for TLVs in the segment routing header at `offset` (`delta` > 0), or take it away (< 0).

    0; EFAULT for a place outside them, EINVAL without such a header.
    """


@helper(76, since="4.18", programs=programs.LWT_SEG6LOCAL, changes_packet=True)
def bpf_lwt_seg6_action(skb: Skb, action: Anything, parameter: Mem, size: Size) -> Integer:
    """Do what SEG6_LOCAL_ACTION_END_X, _END_T, _END_DT6, _END_B6 or _END_B6_ENCAP stands for.

    `parameter` is the next hop, the routing table or the new header.  0; EINVAL for other actions or a wrong size,
    EBADMSG for a malformed header.
    """
