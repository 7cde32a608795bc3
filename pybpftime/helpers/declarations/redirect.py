"""Sending packets elsewhere.  Source: net/core/filter.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import Anything, ConstMap, Integer, MemOrNull, SizeOrZero, Skb

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


@helper(51, since="4.14", programs=programs.XDP)
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
