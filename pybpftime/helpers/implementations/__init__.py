"""What the declared helpers do: one module for each family, functions marked with `implements`."""

from __future__ import annotations

from types import ModuleType

from pybpftime.helpers.implementations import (
    checksum,
    locks,
    loops,
    maps,
    memory,
    perf,
    redirect,
    ringbuf,
    skb,
    skb_shape,
    stack,
    strings,
    task,
    time,
    tracing,
    xdp,
)

FAMILIES: tuple[ModuleType, ...] = (
    checksum, locks, loops, maps, memory, perf, redirect, ringbuf, skb, skb_shape, stack, strings, task, time, tracing,
    xdp,
)  # fmt: skip
"""The modules with implementations."""
