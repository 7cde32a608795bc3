"""Sockets: finding them, choosing them, seeing them as another type.  Source: net/core/filter.c.

A pointer to a socket is of one of the kernel's types for programs (struct bpf_sock, struct bpf_tcp_sock) or to an
object of the kernel.  What the look-ups return is a reference that bpf_sk_release gives up.
"""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    AnySocket,
    Anything,
    Context,
    ContextOrNull,
    File,
    FoundSockCommonOrNull,
    FoundSocketOrNull,
    FullSocketOrNull,
    Integer,
    KernelSocket,
    KernelTcpSock,
    KernelTcpSockOrNull,
    Mem,
    MptcpSockOrNull,
    ReleasedSocket,
    Size,
    SizeOrZero,
    SockCommon,
    SocketOrNull,
    SocketOrNullArgument,
    Tcp6SockOrNull,
    TcpRequestSockOrNull,
    TcpSocketOrNull,
    TcpTimewaitSockOrNull,
    Udp6SockOrNull,
    UnixSockOrNull,
)

_TC_CGROUP = programs.TC | programs.CGROUP_SKB
_LOOKUP = _TC_CGROUP | programs.XDP | programs.SK_SKB | programs.CGROUP_SOCK_ADDR
_NAMESPACE = (
    programs.SOCKET_FILTER | _TC_CGROUP | programs.SK_MSG | programs.SOCK_OPS
    | programs.CGROUP_SOCK | programs.CGROUP_SOCK_ADDR | programs.CGROUP_SOCKOPT
)  # fmt: skip


@helper(84, since="4.20", programs=_LOOKUP, packet_access=True)
def bpf_sk_lookup_tcp(
    context: Context, tuple: Mem, size: SizeOrZero, namespace: Anything, flags: Anything
) -> FoundSocketOrNull:
    """The TCP socket for the addresses and ports of a struct bpf_sock_tuple, or NULL.

    `size` says whether it is of IPv4 (12) or IPv6 (36).  `namespace`: the id of a network namespace as seen from
    that of the context, or -1 (as an int) for the context's own.  NULL for flags other than 0 too.
    """


@helper(85, since="4.20", programs=_LOOKUP, packet_access=True)
def bpf_sk_lookup_udp(
    context: Context, tuple: Mem, size: SizeOrZero, namespace: Anything, flags: Anything
) -> FoundSocketOrNull:
    """As bpf_sk_lookup_tcp, for UDP."""


@helper(99, since="5.2", programs=_LOOKUP, packet_access=True)
def bpf_skc_lookup_tcp(
    context: Context, tuple: Mem, size: SizeOrZero, namespace: Anything, flags: Anything
) -> FoundSockCommonOrNull:
    """As bpf_sk_lookup_tcp, finding request and time-wait sockets too."""


@helper(86, since="4.20", programs=_LOOKUP | programs.SK_LOOKUP)
def bpf_sk_release(sock: ReleasedSocket) -> Integer:
    """Give up the reference to a socket that a look-up returned.  0."""


@helper(95, since="5.1", programs=_TC_CGROUP)
def bpf_sk_fullsock(sock: SockCommon) -> FullSocketOrNull:
    """The same socket with all fields of struct bpf_sock, NULL when it is a request or in time-wait."""


@helper(96, since="5.1", programs=_TC_CGROUP | programs.SOCK_OPS | programs.CGROUP_SOCKOPT)
def bpf_tcp_sock(sock: SockCommon) -> TcpSocketOrNull:
    """The same socket as a struct bpf_tcp_sock, NULL when it is no full TCP socket."""


@helper(98, since="5.1", programs=_TC_CGROUP)
def bpf_get_listener_sock(sock: SockCommon) -> SocketOrNull:
    """The listening socket that a request belongs to, or the socket itself when it listens; otherwise NULL.

    It is no reference and cannot be released.
    """


@helper(136, since="5.9", programs=programs.SOCKET_CASTS)
def bpf_skc_to_tcp6_sock(sock: AnySocket) -> Tcp6SockOrNull:
    """The same socket as the kernel's struct tcp6_sock, NULL when it is none."""


@helper(137, since="5.9", programs=programs.SOCKET_CASTS)
def bpf_skc_to_tcp_sock(sock: AnySocket) -> KernelTcpSockOrNull:
    """The same socket as the kernel's struct tcp_sock, NULL when it is none."""


@helper(138, since="5.9", programs=programs.SOCKET_CASTS)
def bpf_skc_to_tcp_timewait_sock(sock: AnySocket) -> TcpTimewaitSockOrNull:
    """The same socket as the kernel's struct tcp_timewait_sock, NULL when it is not in time-wait."""


@helper(139, since="5.9", programs=programs.SOCKET_CASTS)
def bpf_skc_to_tcp_request_sock(sock: AnySocket) -> TcpRequestSockOrNull:
    """The same socket as the kernel's struct tcp_request_sock, NULL when it is no request."""


@helper(140, since="5.9", programs=programs.SOCKET_CASTS)
def bpf_skc_to_udp6_sock(sock: AnySocket) -> Udp6SockOrNull:
    """The same socket as the kernel's struct udp6_sock, NULL when it is none."""


@helper(178, since="5.16", programs=programs.SOCKET_CASTS)
def bpf_skc_to_unix_sock(sock: AnySocket) -> UnixSockOrNull:
    """The same socket as the kernel's struct unix_sock, NULL when it is none."""


@helper(196, since="5.19", programs=programs.SOCKET_CASTS)
def bpf_skc_to_mptcp_sock(sock: SockCommon) -> MptcpSockOrNull:
    """The kernel's struct mptcp_sock that a TCP socket is a subflow of, NULL when it is none."""


@helper(162, since="5.11", programs=programs.TRACING_AND_SYSCALL)
def bpf_sock_from_file(file: File) -> KernelSocket:
    """The kernel's struct socket behind an open file, NULL when it is no socket."""


@helper(
    124,
    since="5.7",
    programs=programs.TC | programs.SK_LOOKUP,
    variants={programs.SK_LOOKUP: {"sock": SocketOrNullArgument}},
)
def bpf_sk_assign(context: Context, sock: AnySocket, flags: Anything) -> Integer:
    """Choose the socket that receives the packet (tc ingress) or answers the look-up (sk_lookup; NULL: none).

    tc: 0; EINVAL for flags other than 0, EOPNOTSUPP outside ingress, ENETUNREACH for a socket of another network
    namespace, ENOENT for one that goes away.  sk_lookup: 0; EINVAL for unknown flags (BPF_SK_LOOKUP_F_REPLACE,
    BPF_SK_LOOKUP_F_NO_REUSEPORT), EEXIST when one is chosen, ESOCKTNOSUPPORT, EPROTOTYPE or EAFNOSUPPORT for a socket
    that cannot receive it.
    """


@helper(64, since="4.17", programs=programs.CGROUP_SOCK_ADDR, not_attached_to=programs.CGROUP_ADDRESSES_BUT_CONNECT)
def bpf_bind(context: Context, address: Mem, size: Size) -> Integer:
    """Bind the socket that connects to a source address (struct sockaddr_in or sockaddr_in6; port 0: any).

    For programs on connect over IPv4 and IPv6.  0, or the negative errno of bind(2).
    """


@helper(116, since="5.6", programs=programs.STRUCT_OPS)
def bpf_tcp_send_ack(sock: KernelTcpSock, next_sequence: Anything) -> Integer:
    """Send an acknowledgement up to `next_sequence`.  0.  For congestion control (struct tcp_congestion_ops)."""


@helper(122, since="5.7", programs=_NAMESPACE)
def bpf_get_netns_cookie(context: ContextOrNull) -> Integer:
    """A number that stands for the context's network namespace, or with NULL for the initial one."""
