"""All helpers that are declared in full, family by family."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pybpftime.helpers.declarations import (
    checksum,
    locks,
    loops,
    maps,
    memory,
    perf,
    redirect,
    ringbuf,
    skb,
    stack,
    strings,
    task,
    time,
    tracing,
    xdp,
)
from pybpftime.helpers.declarations.declaration import HelperDeclaration, declarations_of

FAMILIES = (
    maps, ringbuf, perf, stack, loops, locks, time, task, memory, strings, tracing, skb, xdp, redirect, checksum,
)  # fmt: skip
"""The modules with declarations, in the order of the documentation; their docstrings name the family."""

DECLARATIONS: Mapping[int, HelperDeclaration] = MappingProxyType(
    {
        declaration.id: declaration
        for declaration in sorted(declarations_of(*FAMILIES).values(), key=lambda each: each.id or 0)
        if declaration.id is not None
    }
)
"""Helper id to declaration, ascending."""
