"""From a program type and what a user gives to a context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pybpftime.errors import InputError
from pybpftime.program.contexts.context import Context, octets, refuse_unknown
from pybpftime.program.contexts.memory import MemoryContext, SyscallContext
from pybpftime.program.contexts.probes import (
    perf_event_context,
    raw_tracepoint_context,
    registers_context,
    tracepoint_context,
)
from pybpftime.program.contexts.skb import SkbContext
from pybpftime.program.contexts.xdp import XdpContext
from pybpftime.program.types import PROGRAM_TYPES, ContextKind, ProgramTypeInfo
from pybpftime.uapi import AttachType, ProgramType

Given = Mapping[str, Any] | bytes | None


def make_context(
    program_type: ProgramType,
    *,
    packet: bytes | None = None,
    ctx: Given = None,
    mem: bytes | None = None,
    attach_type: AttachType | None = None,
) -> Context:
    """The context of one run of a program of `program_type`.

    `packet`: the bytes of an Ethernet frame, for types that take packets.  `ctx`: fields by name (the classes of
    this package and `probes` say which, with their defaults), or the bytes of the structure, which for types with
    packets are those that BPF_PROG_TEST_RUN takes as `ctx_in`.  `mem`: the memory of a raw program.
    `attach_type`: the program's expected attach type, where it decides what may be accessed.

    Raises InputError when something is missing, superfluous or malformed, or the type is not served.
    """
    info = PROGRAM_TYPES[program_type]
    _check(info, packet, ctx, mem)
    layout = info.layout_for(attach_type)
    match info.context:
        case ContextKind.MEMORY:
            return MemoryContext(mem)
        case ContextKind.XDP:
            assert packet is not None
            assert layout is not None
            return XdpContext(info, layout, packet, ctx)
        case ContextKind.SKB:
            assert packet is not None
            assert layout is not None
            return SkbContext(info, layout, packet, ctx)
        case ContextKind.SYSCALL:
            return SyscallContext(_content(ctx))
        case ContextKind.REGISTERS:
            return registers_context(ctx)
        case ContextKind.PERF_EVENT:
            return perf_event_context(ctx)
        case ContextKind.TRACEPOINT:
            return tracepoint_context(ctx)
        case _:
            return raw_tracepoint_context(ctx)


def _check(info: ProgramTypeInfo, packet: bytes | None, ctx: object, mem: bytes | None) -> None:
    """Whether the arguments are those that the type takes."""
    if info.context is None:
        raise InputError(f"programs of type {info.name} cannot be run here: {info.not_served}")
    if packet is None and info.takes_packet:
        raise InputError(f"a program of type {info.name} runs on a packet, and none was given")
    if packet is not None and not info.takes_packet:
        raise InputError(f"a program of type {info.name} takes no packet")
    if mem is not None and info.context is not ContextKind.MEMORY:
        raise InputError(f"a program of type {info.name} takes no plain memory, only raw programs do")
    if ctx is not None and info.context is ContextKind.MEMORY:
        raise InputError("a raw program takes plain memory and no context; name its program type")
    if ctx is not None and not isinstance(ctx, Mapping | bytes):
        raise InputError(f"a context is fields by name, or bytes, not {type(ctx).__name__}")


def _content(ctx: Given) -> bytes:
    """The bytes of a syscall program's context."""
    if not isinstance(ctx, Mapping):
        return ctx or b""
    refuse_unknown(ctx, ("bytes",))
    return octets("bytes", ctx.get("bytes", b""))
