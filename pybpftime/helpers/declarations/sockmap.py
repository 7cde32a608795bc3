"""Sockets in maps, and messages between them (sk_skb, sk_msg).  Source: net/core/sock_map.c, net/core/filter.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import Anything, ConstMap, Context, Integer, MapKey, Skb
from pybpftime.maps.kinds import Operation


@helper(53, map_operation=Operation.SOCK_MAP, since="4.14", programs=programs.SOCK_OPS, packet_access=True)
def bpf_sock_map_update(context: Context, map: ConstMap, key: MapKey, flags: Anything) -> Integer:
    """Store the context's socket under `key` of a sockmap; it inherits the map's programs.

    flags as for bpf_map_update_elem.  0; EOPNOTSUPP for a socket that cannot be stored, or the errors of an update.
    """


@helper(70, map_operation=Operation.SOCK_HASH, since="4.18", programs=programs.SOCK_OPS, packet_access=True)
def bpf_sock_hash_update(context: Context, map: ConstMap, key: MapKey, flags: Anything) -> Integer:
    """As bpf_sock_map_update, for a sockhash."""


@helper(52, map_operation=Operation.SOCK_MAP, since="4.14", programs=programs.SK_SKB)
def bpf_sk_redirect_map(skb: Skb, map: ConstMap, key: Anything, flags: Anything) -> Integer:
    """Send the packet to the socket at `key` of a sockmap: to be sent on, or received (BPF_F_INGRESS).

    SK_PASS; SK_DROP for unknown flags or when there is no such socket.
    """


@helper(72, map_operation=Operation.SOCK_HASH, since="4.18", programs=programs.SK_SKB)
def bpf_sk_redirect_hash(skb: Skb, map: ConstMap, key: MapKey, flags: Anything) -> Integer:
    """As bpf_sk_redirect_map, for a sockhash."""


@helper(60, map_operation=Operation.SOCK_MAP, since="4.17", programs=programs.SK_MSG)
def bpf_msg_redirect_map(message: Context, map: ConstMap, key: Anything, flags: Anything) -> Integer:
    """Send the message to the socket at `key` of a sockmap: to be sent on, or received (BPF_F_INGRESS).

    SK_PASS; SK_DROP for unknown flags or when there is no such socket.
    """


@helper(71, map_operation=Operation.SOCK_HASH, since="4.18", programs=programs.SK_MSG)
def bpf_msg_redirect_hash(message: Context, map: ConstMap, key: MapKey, flags: Anything) -> Integer:
    """As bpf_msg_redirect_map, for a sockhash."""


@helper(61, since="4.17", programs=programs.SK_MSG)
def bpf_msg_apply_bytes(message: Context, size: Anything) -> Integer:
    """Let the verdict hold for the next `size` bytes, of this message and those that follow.  0."""


@helper(62, since="4.17", programs=programs.SK_MSG)
def bpf_msg_cork_bytes(message: Context, size: Anything) -> Integer:
    """Wait until `size` bytes have been sent to the socket, and run the program then.  0."""


@helper(63, since="4.17", programs=programs.SK_MSG, changes_packet=True)
def bpf_msg_pull_data(message: Context, start: Anything, end: Anything, flags: Anything) -> Integer:
    """Make the bytes from `start` up to `end` directly accessible, as data to data_end.

    0; EINVAL for flags other than 0 or bytes that the message has not, ENOMEM.
    """


@helper(90, since="4.20", programs=programs.SK_MSG, changes_packet=True)
def bpf_msg_push_data(message: Context, start: Anything, size: Anything, flags: Anything) -> Integer:
    """Insert `size` bytes at `start`; they are to be written before they are read.

    0; EINVAL for flags other than 0 or a place outside the message, ENOMEM.
    """


@helper(91, since="5.0", programs=programs.SK_MSG, changes_packet=True)
def bpf_msg_pop_data(message: Context, start: Anything, size: Anything, flags: Anything) -> Integer:
    """Remove `size` bytes from `start` on.  0; EINVAL for flags other than 0 or bytes outside the message, ENOMEM."""


@helper(82, map_operation=Operation.SELECT_REUSEPORT, since="4.19", programs=programs.SK_REUSEPORT)
def bpf_sk_select_reuseport(context: Context, map: ConstMap, key: MapKey, flags: Anything) -> Integer:
    """Choose the socket of the SO_REUSEPORT group under `key` of a map to receive the packet.

    0; ENOENT when there is none, EPROTOTYPE, EAFNOSUPPORT or EBADFD for one outside the group, EINVAL for one in none.
    """
