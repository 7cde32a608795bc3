"""bpf_redirect*, bpf_clone_redirect: recorded in the run's effects.

`effects.redirect` is the last choice, (how, ifindex) with how one of `device` (send through it), `ingress` (into its
receive path), `neighbour` (send, with addresses by neighbour look-up) and `peer`; it counts when the program returns
the redirect action.  `effects.records["clone_redirect"]` lists (ifindex, packet bytes, whether to ingress).
"""

from __future__ import annotations

from pybpftime.helpers.errors import EINVAL
from pybpftime.helpers.packet_access import PacketBuffer
from pybpftime.helpers.registry import implements
from pybpftime.isa.encoding import MASK32
from pybpftime.machine import Machine
from pybpftime.uapi import TcAction, XdpAction

INGRESS = 1  # BPF_F_INGRESS
NEIGHBOUR_SIZE = 20  # struct bpf_redir_neigh


@implements("bpf_redirect")
def redirect(machine: Machine, ifindex: int, flags: int) -> int:
    if getattr(machine.context, "kind", None) == "xdp":
        if flags:
            return XdpAction.XDP_ABORTED
        machine.effects.redirect = ("device", ifindex & MASK32)
        return XdpAction.XDP_REDIRECT
    if flags & ~INGRESS:
        return TcAction.TC_ACT_SHOT
    machine.effects.redirect = ("ingress" if flags else "device", ifindex & MASK32)
    return TcAction.TC_ACT_REDIRECT


@implements("bpf_redirect_neigh")
def redirect_neigh(machine: Machine, ifindex: int, neighbour: bytes | None, flags: int) -> int:
    if flags or (neighbour and len(neighbour) < NEIGHBOUR_SIZE):
        return TcAction.TC_ACT_SHOT
    machine.effects.redirect = ("neighbour", ifindex & MASK32)
    return TcAction.TC_ACT_REDIRECT


@implements("bpf_redirect_peer")
def redirect_peer(machine: Machine, ifindex: int, flags: int) -> int:
    if flags:
        return TcAction.TC_ACT_SHOT
    machine.effects.redirect = ("peer", ifindex & MASK32)
    return TcAction.TC_ACT_REDIRECT


@implements("bpf_clone_redirect")
def clone_redirect(machine: Machine, skb: PacketBuffer, ifindex: int, flags: int) -> int:
    ifindex &= MASK32
    if flags & ~INGRESS or not ifindex:
        return -EINVAL
    copy = (ifindex, skb.read(0, skb.length), bool(flags))
    machine.effects.records.setdefault("clone_redirect", []).append(copy)
    return 0
