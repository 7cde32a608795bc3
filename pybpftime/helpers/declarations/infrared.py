"""Infrared remote controls (BPF_PROG_TYPE_LIRC_MODE2).  Source: drivers/media/rc/bpf-lirc.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import Anything, Context, Integer


@helper(77, since="4.18", programs=programs.INFRARED, gpl_only=True)
def bpf_rc_repeat(context: Context) -> Integer:
    """Say that the last key is held down.  0."""


@helper(78, since="4.18", programs=programs.INFRARED, gpl_only=True)
def bpf_rc_keydown(context: Context, protocol: Anything, scancode: Anything, toggle: Anything) -> Integer:
    """Say that the key with this scan code of a protocol (enum rc_proto) is down.  0."""


@helper(92, since="5.0", programs=programs.INFRARED, gpl_only=True)
def bpf_rc_pointer_rel(context: Context, x: Anything, y: Anything) -> Integer:
    """Say that the pointer moved by `x` and `y` (ints).  0."""
