"""Helpers on XDP buffers.  Source: net/core/filter.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import Anything, Integer, Mem, Size, UninitMem, Xdp, XdpBuff


@helper(44, since="4.10", programs=programs.XDP, changes_packet=True)
def bpf_xdp_adjust_head(xdp: Xdp, delta: Anything) -> Integer:
    """Move the start of the packet by `delta` (int): negative makes room, positive cuts.

    0; EINVAL beyond the headroom (metadata moves along) or when less than 14 bytes would be left.
    """


@helper(54, since="4.15", programs=programs.XDP, changes_packet=True)
def bpf_xdp_adjust_meta(xdp: Xdp, delta: Anything) -> Integer:
    """Move the start of the metadata by `delta` (int).

    0; EINVAL beyond the headroom or behind the packet's start, EACCES unless its length is a multiple of 4 up to 252.
    """


@helper(65, since="4.18", programs=programs.XDP, changes_packet=True)
def bpf_xdp_adjust_tail(xdp: Xdp, delta: Anything) -> Integer:
    """Move the end of the packet by `delta` (int); bytes that are added are 0.

    0; EINVAL beyond the tailroom or when less than 14 bytes would be left.
    """


@helper(
    188,
    since="5.18",
    programs=programs.XDP | programs.TRACING_AND_SYSCALL,
    variants={programs.TRACING_AND_SYSCALL: {"xdp": XdpBuff}},
)
def bpf_xdp_get_buff_len(xdp: Xdp) -> Integer:
    """How many bytes the packet has."""


@helper(189, since="5.18", programs=programs.XDP)
def bpf_xdp_load_bytes(xdp: Xdp, offset: Anything, target: UninitMem, size: Size) -> Integer:
    """Copy packet bytes from `offset` on.  0; EINVAL outside the packet, EFAULT for numbers above 0xffff.

    `target` keeps what it held after an error.
    """


@helper(190, since="5.18", programs=programs.XDP)
def bpf_xdp_store_bytes(xdp: Xdp, offset: Anything, source: Mem, size: Size) -> Integer:
    """Overwrite packet bytes from `offset` on.  0; EINVAL outside the packet, EFAULT for numbers above 0xffff."""
