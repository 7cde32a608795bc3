"""Sending packets elsewhere.  Source: net/core/filter.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import (
    Anything,
    ChangedInt,
    ChangedMem,
    ConstMap,
    Context,
    Integer,
    MemOrNull,
    Size,
    SizeOrZero,
    Skb,
)
from pybpftime.maps.kinds import Operation

_TC_LWT_XMIT = programs.TC | programs.LWT_XMIT


@helper(13, since="4.2", programs=_TC_LWT_XMIT, changes_packet=True)
def bpf_clone_redirect(skb: Skb, ifindex: Anything, flags: Anything) -> Integer:
    """Send a copy of the packet to a network device; the program goes on with the original.

    flags: BPF_F_INGRESS hands it to the device's receive path.  0; EINVAL for no such device or unknown flags.
    """


@helper(23, since="4.4", programs=_TC_LWT_XMIT | programs.XDP)
def bpf_redirect(ifindex: Anything, flags: Anything) -> Integer:
    """Choose the device to which the packet goes when the program returns this helper's result.

    XDP: XDP_REDIRECT, or XDP_ABORTED for flags other than 0.  Others: TC_ACT_REDIRECT, or TC_ACT_SHOT for flags
    other than BPF_F_INGRESS.
    """


@helper(51, map_operation=Operation.REDIRECT, since="4.14", programs=programs.XDP)
def bpf_redirect_map(map: ConstMap, key: Anything, flags: Anything) -> Integer:
    """As bpf_redirect, to the device, cpu or socket at `key` of a map.

    XDP_REDIRECT; for a key that is not there the action in the two low bits of flags.
    """


@helper(152, since="5.10", programs=programs.TC)
def bpf_redirect_neigh(ifindex: Anything, neighbour: MemOrNull, size: SizeOrZero, flags: Anything) -> Integer:
    """As bpf_redirect, filling in link-layer addresses by neighbour look-up (of struct bpf_redir_neigh, if given).

    TC_ACT_REDIRECT, or TC_ACT_SHOT for flags other than 0 or a wrong size.
    """


@helper(155, since="5.10", programs=programs.TC)
def bpf_redirect_peer(ifindex: Anything, flags: Anything) -> Integer:
    """As bpf_redirect, into the receive path of the device's peer in another network namespace.

    TC_ACT_REDIRECT, or TC_ACT_SHOT for flags other than 0.
    """


@helper(69, since="4.18", programs=programs.TC | programs.XDP, gpl_only=True)
def bpf_fib_lookup(context: Context, parameters: ChangedMem, size: Size, flags: Anything) -> Integer:
    """Ask the routing and neighbour tables where a packet goes, by struct bpf_fib_lookup, which gets the answer.

    0 (BPF_FIB_LKUP_RET_SUCCESS) or another BPF_FIB_LKUP_RET_*, at least 0; EINVAL for unknown flags (BPF_FIB_LOOKUP_*)
    or a size too small, EAFNOSUPPORT for other address families.
    """


@helper(163, since="5.12", programs=programs.TC | programs.XDP, gpl_only=True)
def bpf_check_mtu(context: Context, ifindex: Anything, length: ChangedInt, delta: Anything, flags: Anything) -> Integer:
    """Whether the packet (or `length` bytes from its network header on, unless that is 0), longer by `delta`, fits.

    `ifindex` is the device, 0 for the packet's own; `length` becomes its MTU.  0, BPF_MTU_CHK_RET_FRAG_NEEDED or
    BPF_MTU_CHK_RET_SEGS_TOOBIG (flags: BPF_MTU_CHK_SEGS); EINVAL for unknown flags, ENODEV for no such device.
    """
