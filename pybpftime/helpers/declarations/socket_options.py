"""Socket options, and what TCP tells programs (BPF_PROG_TYPE_SOCK_OPS).  Source: net/core/filter.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import AnySocket, Anything, ChangedMem, Context, Integer, Mem, Size, UninitMem
from pybpftime.uapi import AttachType

_OPTIONS = programs.SOCK_OPS | programs.CGROUP_SOCK_ADDR | programs.CGROUP_SOCKOPT | programs.TRACING
# Of the tracing programs only iterators over TCP sockets, of LSM programs only those of a cgroup.
_NO_OPTIONS = programs.TRAMPOLINES | programs.RAW_TRACEPOINTS | {AttachType.BPF_CGROUP_GETSOCKOPT}
_OF_A_SOCKET = {programs.CGROUP_SOCKOPT | programs.TRACING | programs.STRUCT_OPS: {"socket": AnySocket}}


@helper(49, since="4.13", programs=_OPTIONS, not_attached_to=_NO_OPTIONS, variants=_OF_A_SOCKET)
def bpf_setsockopt(socket: Context, level: Anything, name: Anything, value: Mem, size: Size) -> Integer:
    """As setsockopt(2), for a part of the options of SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP and IPPROTO_IPV6.

    The socket is that of the context (sock_ops, cgroup addresses) or the one given (others).  0, or a negative
    errno; EINVAL for a socket that is not full.  Of tracing programs, only iterators over TCP sockets may.
    """


@helper(57, since="4.15", programs=_OPTIONS, not_attached_to=_NO_OPTIONS, variants=_OF_A_SOCKET)
def bpf_getsockopt(socket: Context, level: Anything, name: Anything, value: UninitMem, size: Size) -> Integer:
    """As getsockopt(2), for the options of bpf_setsockopt.  0, or a negative errno: then `value` is zeroed."""


@helper(59, since="4.16", programs=programs.SOCK_OPS)
def bpf_sock_ops_cb_flags_set(context: Context, flags: Anything) -> Integer:
    """Choose the events at which programs are called for this connection (BPF_SOCK_OPS_*_CB_FLAG).

    The flags that are not known, 0 when all were set; EINVAL for a socket that is not full.
    """


@helper(142, since="5.10", programs=programs.SOCK_OPS)
def bpf_load_hdr_opt(context: Context, option: ChangedMem, size: Size, flags: Anything) -> Integer:
    """Find the TCP header option of the kind in the first byte of `option`, and copy it there.

    For an experimental kind (253, 254) the second byte is 4 or 6 and the magic number follows; otherwise it is 0.
    How many bytes it has; ENOMSG when there is none, ENOENT without the packet that BPF_LOAD_HDR_OPT_TCP_SYN asks
    for, ENOSPC when it is longer than `size` (and cut), EFAULT for a malformed header, EPERM at other events, EINVAL.
    """


@helper(143, since="5.10", programs=programs.SOCK_OPS, changes_packet=True)
def bpf_store_hdr_opt(context: Context, option: Mem, size: Size, flags: Anything) -> Integer:
    """Add a TCP header option, kind and length included, to the packet that is sent.

    0; EEXIST when the header has it, ENOSPC without room that bpf_reserve_hdr_opt made, EFAULT for a malformed
    header, EPERM at events other than BPF_SOCK_OPS_WRITE_HDR_OPT_CB, EINVAL.
    """


@helper(144, since="5.10", programs=programs.SOCK_OPS)
def bpf_reserve_hdr_opt(context: Context, size: Anything, flags: Anything) -> Integer:
    """Ask for `size` more bytes in the TCP header, for bpf_store_hdr_opt.

    0; ENOSPC when there is no room, EPERM at events other than BPF_SOCK_OPS_HDR_OPT_LEN_CB, EINVAL.
    """
