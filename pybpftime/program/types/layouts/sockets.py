"""Sockets: the contexts of programs that act on them, and the structures that their addresses lead to."""

from __future__ import annotations

from collections.abc import Mapping

from pybpftime.program.types.layout import ContextLayout, Field, FieldKind
from pybpftime.program.types.layouts.fields import ANY, NARROW, WHOLE, WIDE, address, consecutive
from pybpftime.uapi import AttachType

_A = AttachType

# --- struct bpf_sock --------------------------------------------------------------------------------------------------

# What a program may load that has the address of a whole socket (PTR_TO_SOCKET).
SOCK = ContextLayout(
    "bpf_sock",
    80,
    (
        Field("bound_dev_if", 0, 4, loads=WHOLE),
        Field("family", 4, 4, loads=NARROW, width=2, starts=1),
        Field("type", 8, 4, loads=NARROW, width=2, starts=1),
        Field("protocol", 12, 4, loads=NARROW, width=2, starts=1),
        Field("mark", 16, 4, loads=WHOLE),
        Field("priority", 20, 4, loads=WHOLE),
        Field("src_ip4", 24, 4, loads=NARROW),
        Field("src_ip6", 28, 16, loads=NARROW),
        Field("src_port", 44, 4, loads=NARROW, width=2, starts=1),
        Field("dst_port", 48, 4, loads=NARROW, starts=2),
        Field("dst_ip4", 52, 4, loads=NARROW),
        Field("dst_ip6", 56, 16, loads=NARROW),
        Field("state", 72, 4, loads=NARROW, width=1, starts=1),
        Field("rx_queue_mapping", 76, 4, loads=NARROW, starts=1),
    ),
)
# What a program may load that has only the address of the common part (PTR_TO_SOCK_COMMON).
SOCK_COMMON = SOCK.allowing(unreadable=("type", "protocol", "mark", "priority"))

# As the context of a cgroup_sock program: a socket that is made or goes away, or that was bound.
_SOCK_LIVING = SOCK.allowing(
    unreadable=("src_ip4", "src_ip6", "src_port"), writable=("bound_dev_if", "mark", "priority")
)
_SOCK_BOUND_IP4 = SOCK.allowing(unreadable=("bound_dev_if", "mark", "priority", "src_ip6"))
_SOCK_BOUND_IP6 = SOCK.allowing(unreadable=("bound_dev_if", "mark", "priority", "src_ip4"))
SOCK_AT: Mapping[AttachType, ContextLayout] = {
    _A.BPF_CGROUP_INET_SOCK_CREATE: _SOCK_LIVING,
    _A.BPF_CGROUP_INET4_POST_BIND: _SOCK_BOUND_IP4,
    _A.BPF_CGROUP_INET6_POST_BIND: _SOCK_BOUND_IP6,
    _A.BPF_CGROUP_INET_SOCK_RELEASE: _SOCK_LIVING,
}

# --- what helpers find: struct bpf_tcp_sock (PTR_TO_TCP_SOCK), struct bpf_xdp_sock (PTR_TO_XDP_SOCK) ------------------

# struct bpf_sock_ops has these too, in this order.
_TCP_STATE = (
    *("rtt_min", "snd_ssthresh", "rcv_nxt", "snd_nxt", "snd_una", "mss_cache", "ecn_flags", "rate_delivered"),
    *("rate_interval_us", "packets_out", "retrans_out", "total_retrans", "segs_in", "data_segs_in", "segs_out"),
    *("data_segs_out", "lost_out", "sacked_out"),
)


def _numbers(*names: str) -> list[tuple[str, int]]:
    return [(name, 4) for name in names]


TCP_SOCK = ContextLayout(
    "bpf_tcp_sock",
    112,
    (
        *consecutive(_numbers("snd_cwnd", "srtt_us", *_TCP_STATE), loads=WHOLE),
        *consecutive((("bytes_received", 8), ("bytes_acked", 8)), loads=WIDE, start=80),
        *consecutive(_numbers("dsack_dups", "delivered", "delivered_ce", "icsk_retransmits"), loads=WHOLE, start=96),
    ),
)
XDP_SOCK = ContextLayout("bpf_xdp_sock", 4, (Field("queue_id", 0, 4, loads=WHOLE),))

# --- struct bpf_sock_addr ---------------------------------------------------------------------------------------------

# All fields; of addresses a program sees those that its attach type is about.
_SOCK_ADDR = ContextLayout(
    "bpf_sock_addr",
    72,
    (
        Field("user_family", 0, 4, loads=WHOLE),
        Field("user_ip4", 4, 4, loads=NARROW, stores=WHOLE),
        Field("user_ip6", 8, 16, loads=ANY, stores=(4, 8)),
        Field("user_port", 24, 4, loads=NARROW, stores=WHOLE, width=2),
        Field("family", 28, 4, loads=WHOLE),
        Field("type", 32, 4, loads=WHOLE),
        Field("protocol", 36, 4, loads=WHOLE),
        Field("msg_src_ip4", 40, 4, loads=NARROW, stores=WHOLE),
        Field("msg_src_ip6", 44, 16, loads=ANY, stores=(4, 8)),
        address("sk", 64, FieldKind.SOCKET),
    ),
)
_ADDRESSES = ("user_ip4", "user_ip6", "msg_src_ip4", "msg_src_ip6")


def _sock_addr(*addresses: str) -> ContextLayout:
    hidden = tuple(name for name in _ADDRESSES if name not in addresses)
    stores = {name: _SOCK_ADDR.field(name).stores for name in ("user_port", *addresses)}
    return _SOCK_ADDR.allowing(unreadable=hidden, stores=stores)


# What every attach type allows, and all that those for unix sockets do.
SOCK_ADDR = _sock_addr()
_SOCK_ADDR_IP4 = _sock_addr("user_ip4")
_SOCK_ADDR_IP6 = _sock_addr("user_ip6")
SOCK_ADDR_AT: Mapping[AttachType, ContextLayout] = {
    _A.BPF_CGROUP_INET4_BIND: _SOCK_ADDR_IP4,
    _A.BPF_CGROUP_INET6_BIND: _SOCK_ADDR_IP6,
    _A.BPF_CGROUP_INET4_CONNECT: _SOCK_ADDR_IP4,
    _A.BPF_CGROUP_INET6_CONNECT: _SOCK_ADDR_IP6,
    _A.BPF_CGROUP_UDP4_SENDMSG: _sock_addr("user_ip4", "msg_src_ip4"),
    _A.BPF_CGROUP_UDP6_SENDMSG: _sock_addr("user_ip6", "msg_src_ip6"),
    _A.BPF_CGROUP_UDP4_RECVMSG: _SOCK_ADDR_IP4,
    _A.BPF_CGROUP_UDP6_RECVMSG: _SOCK_ADDR_IP6,
    _A.BPF_CGROUP_INET4_GETPEERNAME: _SOCK_ADDR_IP4,
    _A.BPF_CGROUP_INET6_GETPEERNAME: _SOCK_ADDR_IP6,
    _A.BPF_CGROUP_INET4_GETSOCKNAME: _SOCK_ADDR_IP4,
    _A.BPF_CGROUP_INET6_GETSOCKNAME: _SOCK_ADDR_IP6,
    _A.BPF_CGROUP_UNIX_CONNECT: SOCK_ADDR,
    _A.BPF_CGROUP_UNIX_SENDMSG: SOCK_ADDR,
    _A.BPF_CGROUP_UNIX_RECVMSG: SOCK_ADDR,
    _A.BPF_CGROUP_UNIX_GETPEERNAME: SOCK_ADDR,
    _A.BPF_CGROUP_UNIX_GETSOCKNAME: SOCK_ADDR,
}

# --- struct bpf_sock_ops ----------------------------------------------------------------------------------------------

SOCK_OPS = ContextLayout(
    "bpf_sock_ops",
    224,
    (
        Field("op", 0, 4, loads=WHOLE),
        # A union: args[4] is what a program is told, and reply, the first of them, what it answers.
        Field("reply", 4, 4, loads=WHOLE, stores=WHOLE),
        *consecutive(
            (
                *_numbers("args[1]", "args[2]", "args[3]"),
                *_numbers("family", "remote_ip4", "local_ip4"),
                *(("remote_ip6", 16), ("local_ip6", 16)),
                *_numbers("remote_port", "local_port", "is_fullsock", "snd_cwnd", "srtt_us", "bpf_sock_ops_cb_flags"),
                *_numbers("state", *_TCP_STATE),
            ),
            loads=WHOLE,
            start=8,
        ),
        Field("sk_txhash", 164, 4, loads=WHOLE, stores=WHOLE),
        *consecutive((("bytes_received", 8), ("bytes_acked", 8)), loads=WIDE, start=168),
        address("sk", 184, FieldKind.SOCKET_OR_NULL),
        address("skb_data", 192, FieldKind.PACKET),
        address("skb_data_end", 200, FieldKind.PACKET_END),
        Field("skb_len", 208, 4, loads=WHOLE),
        Field("skb_tcp_flags", 212, 4, loads=NARROW, width=2, starts=1),
        Field("skb_hwtstamp", 216, 8, loads=WIDE),
    ),
)

# --- messages and lookups ---------------------------------------------------------------------------------------------

SK_MSG = ContextLayout(
    "sk_msg_md",
    80,
    (
        address("data", 0, FieldKind.PACKET),
        address("data_end", 8, FieldKind.PACKET_END),
        *consecutive(
            (
                *_numbers("family", "remote_ip4", "local_ip4"),
                *(("remote_ip6", 16), ("local_ip6", 16)),
                *_numbers("remote_port", "local_port", "size"),
            ),
            loads=WHOLE,
            start=16,
        ),
        address("sk", 72, FieldKind.SOCKET),
    ),
)
SK_LOOKUP = ContextLayout(
    "bpf_sk_lookup",
    72,
    (
        address("sk", 0, FieldKind.SOCKET_OR_NULL),
        Field("family", 8, 4, loads=NARROW, width=2),
        Field("protocol", 12, 4, loads=NARROW, width=2),
        Field("remote_ip4", 16, 4, loads=NARROW),
        Field("remote_ip6", 20, 16, loads=NARROW),
        # Two bytes, and two that are 0 and may be loaded since the port had four.
        Field("remote_port", 36, 4, loads=NARROW),
        Field("local_ip4", 40, 4, loads=NARROW),
        Field("local_ip6", 44, 16, loads=NARROW),
        Field("local_port", 60, 4, loads=NARROW, width=2),
        Field("ingress_ifindex", 64, 4, loads=NARROW),
    ),
)
SK_REUSEPORT = ContextLayout(
    "sk_reuseport_md",
    56,
    (
        address("data", 0, FieldKind.PACKET),
        address("data_end", 8, FieldKind.PACKET_END),
        Field("len", 16, 4, loads=NARROW),
        Field("eth_protocol", 20, 4, loads=(2, 4), width=2),
        Field("ip_protocol", 24, 4, loads=NARROW, width=2),
        Field("bind_inany", 28, 4, loads=NARROW, width=1),
        Field("hash", 32, 4, loads=WHOLE),
        address("sk", 40, FieldKind.SOCKET),
        address("migrating_sk", 48, FieldKind.SOCK_COMMON_OR_NULL),
    ),
)
