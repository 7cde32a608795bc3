"""All helpers that are declared in full, family by family."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pybpftime.helpers.declarations import (
    cgroups,
    checksum,
    dynptr,
    infrared,
    iterators,
    locks,
    loops,
    maps,
    memory,
    objects,
    perf,
    redirect,
    ringbuf,
    skb,
    socket_options,
    sockets,
    sockmap,
    stack,
    storage,
    strings,
    syncookies,
    syscalls,
    task,
    time,
    tracing,
    tunnels,
    xdp,
)
from pybpftime.helpers.declarations.declaration import HelperDeclaration, declarations_of

FAMILIES = (
    maps, ringbuf, dynptr, perf, stack, loops, locks, time, task, memory, strings, tracing, objects, iterators, skb,
    xdp, redirect, checksum, tunnels, sockets, syncookies, socket_options, sockmap, storage, cgroups,
    syscalls, infrared,
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
