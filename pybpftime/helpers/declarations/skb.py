"""Helpers on socket buffers (tc, socket filters, cgroup).  Source: net/core/filter.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    AnySocketOrNull,
    Anything,
    Context,
    Integer,
    Mem,
    Size,
    Skb,
    Unchecked,
    UninitMem,
)

_TC_LWT_XMIT = programs.TC | programs.LWT_XMIT
_READERS = programs.SOCKET_FILTER | programs.TC | programs.CGROUP_SKB | programs.SK_REUSEPORT
_SOCKETS = programs.SOCKET_FILTER | programs.TC | programs.CGROUP_SKB | programs.SK_SKB
_COOKIE = (
    _SOCKETS
    | programs.SOCK_OPS
    | programs.SK_REUSEPORT
    | programs.CGROUP_SOCK
    | programs.CGROUP_SOCK_ADDR
    | programs.TRACING_AND_SYSCALL
)


@helper(9, since="4.1", programs=_TC_LWT_XMIT | programs.SK_SKB, changes_packet=True)
def bpf_skb_store_bytes(skb: Skb, offset: Anything, source: Mem, size: Size, flags: Anything) -> Integer:
    """Overwrite packet bytes from `offset` on.  0; EFAULT outside the packet, EINVAL for unknown flags.

    flags: BPF_F_RECOMPUTE_CSUM keeps the device's checksum right, BPF_F_INVALIDATE_HASH forgets the flow hash.
    """


@helper(17, since="4.3", programs=programs.BASE, variants={programs.TC | programs.LWT: {"skb": Skb}})
def bpf_get_cgroup_classid(skb: Unchecked) -> Integer:
    """The net_cls class of the packet's task (tc, lwt) or of the current one (others, without argument); 0 without."""


@helper(18, since="4.3", programs=programs.TC, changes_packet=True)
def bpf_skb_vlan_push(skb: Skb, protocol: Anything, tci: Anything) -> Integer:
    """Put a VLAN tag before the packet (a tag that is there goes inside).  0, or a negative errno.

    `protocol` in network byte order, 802.1Q unless it is 802.1ad.
    """


@helper(19, since="4.3", programs=programs.TC, changes_packet=True)
def bpf_skb_vlan_pop(skb: Skb) -> Integer:
    """Remove the outermost VLAN tag, if there is one.  0, or a negative errno."""


@helper(26, since="4.5", programs=_READERS | programs.LWT | programs.SK_SKB | programs.FLOW_DISSECTOR)
def bpf_skb_load_bytes(skb: Skb, offset: Anything, target: UninitMem, size: Size) -> Integer:
    """Copy packet bytes from `offset` on.  0; EFAULT outside the packet: then `target` is zeroed."""


@helper(31, since="4.8", programs=programs.TC, changes_packet=True)
def bpf_skb_change_proto(skb: Skb, protocol: Anything, flags: Anything) -> Integer:
    """Change between IPv4 and IPv6 by making room for the other header, which the program fills.

    `protocol` in network byte order.  0; ENOTSUPP for other protocols, EINVAL for flags other than 0.
    """


@helper(32, since="4.8", programs=programs.TC)
def bpf_skb_change_type(skb: Skb, type: Anything) -> Integer:
    """Set the packet's type: PACKET_HOST, _BROADCAST, _MULTICAST or _OTHERHOST.  0; EINVAL for others."""


@helper(34, since="4.8", programs=programs.TC | programs.LWT)
def bpf_get_hash_recalc(skb: Skb) -> Integer:
    """The packet's flow hash, computed when it is not known."""


@helper(38, since="4.9", programs=_TC_LWT_XMIT | programs.SK_SKB, changes_packet=True)
def bpf_skb_change_tail(skb: Skb, length: Anything, flags: Anything) -> Integer:
    """Make the packet `length` bytes long, cutting or appending zeros.  0; EINVAL for a length out of range."""


@helper(39, since="4.9", programs=programs.TC | programs.LWT | programs.SK_SKB, changes_packet=True)
def bpf_skb_pull_data(skb: Skb, length: Anything) -> Integer:
    """Make the first `length` bytes (0: all that are) directly accessible.  0; ENOMEM when there are not so many."""


@helper(41, since="4.9", programs=_TC_LWT_XMIT)
def bpf_set_hash_invalid(skb: Skb) -> Integer:
    """Forget the flow hash.  0."""


@helper(43, since="4.10", programs=_TC_LWT_XMIT | programs.SK_SKB, changes_packet=True)
def bpf_skb_change_head(skb: Skb, length: Anything, flags: Anything) -> Integer:
    """Put `length` zeros before the packet, where a link-layer header may go.  0; EINVAL for a bad length or flags."""


@helper(46, since="4.12", programs=_COOKIE, variants={programs.TRACING_AND_SYSCALL: {"context": AnySocketOrNull}})
def bpf_get_socket_cookie(context: Context) -> Integer:
    """A number that stands for the context's socket as long as the system runs; 0 without a socket.

    Tracing programs give a socket, or NULL, in place of the context.
    """


@helper(47, since="4.12", programs=_SOCKETS)
def bpf_get_socket_uid(skb: Skb) -> Integer:
    """The user who owns the packet's socket; 65534 (overflowuid) without one."""


@helper(48, since="4.13", programs=programs.TC)
def bpf_set_hash(skb: Skb, hash: Anything) -> Integer:
    """Set the flow hash (32 bits).  0."""


@helper(50, since="4.13", programs=programs.TC | programs.SK_SKB, changes_packet=True)
def bpf_skb_adjust_room(skb: Skb, length: Anything, mode: Anything, flags: Anything) -> Integer:
    """Insert (`length` > 0) or remove (< 0) bytes, for tunnels: behind the link layer (BPF_ADJ_ROOM_MAC) or behind
    the network header (BPF_ADJ_ROOM_NET).

    Flags say what the new header is.  0; ENOTSUPP for packets other than IP and for impossible lengths, EFAULT for
    more than 4095 bytes, EINVAL for bad flags.
    """


@helper(68, since="4.18", programs=_READERS)
def bpf_skb_load_bytes_relative(
    skb: Skb, offset: Anything, target: UninitMem, size: Size, start_header: Anything
) -> Integer:
    """As bpf_skb_load_bytes, `offset` counting from the link-layer (BPF_HDR_START_MAC) or network header
    (BPF_HDR_START_NET).
    """


@helper(24, since="4.4", programs=programs.TC | programs.LWT)
def bpf_get_route_realm(skb: Skb) -> Integer:
    """The realm (tclassid) of the route that the packet takes, 0 when there is none."""


@helper(97, since="5.1", programs=programs.TC | programs.CGROUP_SKB)
def bpf_skb_ecn_set_ce(skb: Skb) -> Integer:
    """Mark an IP packet that supports it (ECN) as one that met congestion.  1 when it is marked now, 0 when not."""


@helper(192, since="5.18", programs=programs.TC)
def bpf_skb_set_tstamp(skb: Skb, time: Anything, type: Anything) -> Integer:
    """Set the packet's time stamp and of which clock it is: BPF_SKB_CLOCK_REALTIME, _MONOTONIC or _TAI.

    0; EINVAL for other clocks and for the time 0 of the latter two, EOPNOTSUPP for packets other than IP.
    """
