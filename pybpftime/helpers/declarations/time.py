"""Clocks.  Source: kernel/bpf/helpers.c."""

from __future__ import annotations

from pybpftime.helpers.declarations import programs
from pybpftime.helpers.declarations.declaration import helper
from pybpftime.helpers.declarations.kinds import Integer


@helper(5, since="4.1")
def bpf_ktime_get_ns() -> Integer:
    """Nanoseconds since boot, without time suspended (CLOCK_MONOTONIC)."""


@helper(118, since="5.6", programs=programs.BASE)
def bpf_jiffies64() -> Integer:
    """The kernel's tick counter, 64 bits."""


@helper(125, since="5.8")
def bpf_ktime_get_boot_ns() -> Integer:
    """Nanoseconds since boot, time suspended included (CLOCK_BOOTTIME)."""


@helper(160, since="5.11", programs=programs.COARSE_CLOCK)
def bpf_ktime_get_coarse_ns() -> Integer:
    """As bpf_ktime_get_ns, of the last tick: cheaper and up to a tick behind (CLOCK_MONOTONIC_COARSE)."""


@helper(208, since="6.1", programs=programs.BASE)
def bpf_ktime_get_tai_ns() -> Integer:
    """Nanoseconds of international atomic time (CLOCK_TAI)."""
