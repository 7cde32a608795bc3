"""SYN cookies.  Source: net/core/filter.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    AnySocket,
    Integer,
    Ipv4Header,
    Ipv6Header,
    Mem,
    Size,
    SizeOrZero,
    TcpHeader,
)

_PACKETS = programs.TC | programs.XDP


@helper(100, since="5.2", programs=_PACKETS, gpl_only=True, packet_access=True)
def bpf_tcp_check_syncookie(sock: AnySocket, ip: Mem, ip_size: Size, tcp: Mem, tcp_size: Size) -> Integer:
    """Whether a packet with these headers acknowledges a SYN cookie of the listening socket: 0 when it does.

    ENOENT when it does not; EINVAL for a socket that does not listen or headers that are too short, EPROTONOSUPPORT
    for what is neither IPv4 nor IPv6.
    """


@helper(110, since="5.3", programs=_PACKETS, gpl_only=True, packet_access=True)
def bpf_tcp_gen_syncookie(sock: AnySocket, ip: Mem, ip_size: Size, tcp: Mem, tcp_size: Size) -> Integer:
    """A SYN cookie for the packet with these headers: `mss << 32 | cookie`.

    ENOENT when the listening socket does not need any; EINVAL, EOPNOTSUPP without SYN cookies, EPROTONOSUPPORT for
    what is neither IPv4 nor IPv6.
    """


@helper(204, since="6.0", programs=_PACKETS, gpl_only=True, packet_access=True)
def bpf_tcp_raw_gen_syncookie_ipv4(ip: Ipv4Header, tcp: Mem, tcp_size: SizeOrZero) -> Integer:
    """As bpf_tcp_gen_syncookie, without a socket.  EINVAL for a TCP header of a wrong size."""


@helper(205, since="6.0", programs=_PACKETS, gpl_only=True, packet_access=True)
def bpf_tcp_raw_gen_syncookie_ipv6(ip: Ipv6Header, tcp: Mem, tcp_size: SizeOrZero) -> Integer:
    """As bpf_tcp_raw_gen_syncookie_ipv4, for IPv6."""


@helper(206, since="6.0", programs=_PACKETS, gpl_only=True, packet_access=True)
def bpf_tcp_raw_check_syncookie_ipv4(ip: Ipv4Header, tcp: TcpHeader) -> Integer:
    """Whether a packet with these headers acknowledges a SYN cookie: 0 when it does, EACCES when not."""


@helper(207, since="6.0", programs=_PACKETS, gpl_only=True, packet_access=True)
def bpf_tcp_raw_check_syncookie_ipv6(ip: Ipv6Header, tcp: TcpHeader) -> Integer:
    """As bpf_tcp_raw_check_syncookie_ipv4, for IPv6."""
