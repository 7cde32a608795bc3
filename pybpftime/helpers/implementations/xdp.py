"""bpf_xdp_*."""

from __future__ import annotations

from pybpftime.helpers.errors import EFAULT, EINVAL
from pybpftime.helpers.marshal import Span
from pybpftime.helpers.packet_access import PacketBuffer
from pybpftime.helpers.registry import implements
from pybpftime.isa.encoding import MASK32, sign_extend
from pybpftime.machine import Machine

LIMIT = 0xFFFF


@implements("bpf_xdp_adjust_head")
def xdp_adjust_head(machine: Machine, xdp: PacketBuffer, delta: int) -> int:
    return xdp.adjust_head(sign_extend(delta, 32))


@implements("bpf_xdp_adjust_meta")
def xdp_adjust_meta(machine: Machine, xdp: PacketBuffer, delta: int) -> int:
    return xdp.adjust_meta(sign_extend(delta, 32))


@implements("bpf_xdp_adjust_tail")
def xdp_adjust_tail(machine: Machine, xdp: PacketBuffer, delta: int) -> int:
    return xdp.adjust_tail(sign_extend(delta, 32))


@implements("bpf_xdp_get_buff_len")
def xdp_get_buff_len(machine: Machine, xdp: PacketBuffer) -> int:
    return xdp.length


@implements("bpf_xdp_load_bytes")
def xdp_load_bytes(machine: Machine, xdp: PacketBuffer, offset: int, target: Span) -> int:
    error = _check_range(xdp, offset & MASK32, target.size)
    if error:
        return error
    target.write(xdp.read(offset & MASK32, target.size))
    return 0


@implements("bpf_xdp_store_bytes")
def xdp_store_bytes(machine: Machine, xdp: PacketBuffer, offset: int, source: bytes) -> int:
    error = _check_range(xdp, offset & MASK32, len(source))
    if error:
        return error
    xdp.write(offset & MASK32, source)
    return 0


def _check_range(xdp: PacketBuffer, offset: int, size: int) -> int:
    """bpf_xdp_pointer."""
    if offset > LIMIT or size > LIMIT:
        return -EFAULT
    return -EINVAL if offset + size > xdp.length else 0
