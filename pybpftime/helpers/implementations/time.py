"""Clocks, as the environment shows them."""

from __future__ import annotations

from pybpftime.helpers.registry import implements
from pybpftime.machine import Machine

TICK_NS = 4_000_000  # CONFIG_HZ=250, as distributions build their kernels
FIRST_JIFFY = (1 << 32) - 300 * 250  # INITIAL_JIFFIES: the 32-bit counter wraps five minutes after boot


@implements("bpf_ktime_get_ns")
def ktime_get_ns(machine: Machine) -> int:
    return machine.environment.now()


@implements("bpf_ktime_get_boot_ns")
def ktime_get_boot_ns(machine: Machine) -> int:
    return machine.environment.now() + machine.environment.boot_offset_ns


@implements("bpf_ktime_get_tai_ns")
def ktime_get_tai_ns(machine: Machine) -> int:
    environment = machine.environment
    return environment.now() + environment.wall_offset_ns + environment.tai_offset_ns


@implements("bpf_ktime_get_coarse_ns")
def ktime_get_coarse_ns(machine: Machine) -> int:
    now = machine.environment.now()
    return now - now % TICK_NS


@implements("bpf_jiffies64")
def jiffies64(machine: Machine) -> int:
    return FIRST_JIFFY + machine.environment.now() // TICK_NS
