"""Contexts of programs that watch: registers at a probe, the record of a trace event, arguments, a perf event.

Given as bytes they are taken as they are; the functions say what they take as fields.  Beside these, all take
`attach_cookie` and `function_address`, which helpers return.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from pybpftime.errors import InputError, InternalError
from pybpftime.machine import Machine
from pybpftime.program.contexts.context import Context, refuse_unknown, whole_number
from pybpftime.program.contexts.region import StructureRegion, TranslatedRegion
from pybpftime.program.contexts.trace_format import SYS_ENTER, SYS_EXIT, TraceFormat, parse_format
from pybpftime.program.types import ContextLayout, FieldKind
from pybpftime.program.types.layouts import (
    PERF_EVENT_DATA_X86_64,
    PT_REGS_ARM64,
    PT_REGS_X86_64,
    RAW_TRACEPOINT,
    TRACEPOINT,
)

COMMON_SIZE = 8  # bytes at the start of a trace event's record that programs may not load

_PROBE = ("function_address", "attach_cookie")

# PT_REGS_* of bpf_tracing.h, and the names of the UAPI's struct pt_regs.
_X86_64_ALIASES = {
    **{f"r{name}": name for name in ("bp", "bx", "ax", "cx", "dx", "si", "di", "ip", "sp")},
    "orig_rax": "orig_ax",
    "eflags": "flags",
    "rc": "ax",
    "fp": "bp",
    **{f"parm{number}": name for number, name in enumerate(("di", "si", "dx", "cx", "r8", "r9"), 1)},
}
_ARM64_ALIASES = {
    **{f"parm{number}": f"x{number - 1}" for number in range(1, 9)},
    "rc": "x0",
    "fp": "x29",
    "ret": "x30",
    "lr": "x30",
    "ip": "pc",
}
_ARCHITECTURES: Mapping[str, tuple[ContextLayout, Mapping[str, str]]] = {
    "x86_64": (PT_REGS_X86_64, _X86_64_ALIASES),
    "arm64": (PT_REGS_ARM64, _ARM64_ALIASES),
}


class StructureContext(Context):
    """Bytes that a program may load and not store, from `start` on.

    `function_address` and `attach_cookie` are what bpf_get_func_ip and bpf_get_attach_cookie return.
    """

    __slots__ = ("_region", "attach_cookie", "content", "function_address", "layout", "start")

    def __init__(
        self,
        layout: ContextLayout,
        content: bytearray | memoryview,
        *,
        start: int = 0,
        probe: Mapping[str, int] | None = None,
    ) -> None:
        self.layout = layout
        self.content = content
        self.start = start
        self.function_address = (probe or {}).get("function_address", 0)
        self.attach_cookie = (probe or {}).get("attach_cookie", 0)
        self._region = self._new_region()

    def _new_region(self) -> StructureRegion:
        return StructureRegion(self.layout, self.content, aligned=False, start=self.start)

    def enter(self, machine: Machine) -> tuple[int, ...]:
        self._region.aligned = machine.strictness.unaligned_stack_and_context
        return (machine.memory.map(self._region, transient=True),)


class PerfEventContext(StructureContext):
    """struct bpf_perf_event_data, which the kernel translates field by field."""

    __slots__ = ()

    def _new_region(self) -> StructureRegion:
        return TranslatedRegion(self.layout, self.content, _no_addresses)


def registers_context(ctx: Mapping[str, Any] | bytes | None) -> StructureContext:
    """struct pt_regs.  Keys: registers by the kernel's names (`di`), the UAPI's (`rdi`) or those of PT_REGS_* in
    bpf_tracing.h (`parm1`...`parm6`, `rc`, `ip`, `sp`, `fp`), all 0 when not given; `arch`: x86_64 (the default) or
    arm64, with `x0`...`x30`, `sp`, `pc`, `pstate`.  Bytes: 168 for x86-64, 272 for arm64.
    """
    if isinstance(ctx, bytes):
        for layout, _ in _ARCHITECTURES.values():
            if len(ctx) == layout.size:
                return StructureContext(layout, bytearray(ctx))
        raise InputError(f"registers have 168 bytes on x86-64 and 272 on arm64, not {len(ctx)}")
    given, probe = _split(ctx)
    name = given.pop("arch", "x86_64")
    if not isinstance(name, str) or name not in _ARCHITECTURES:
        raise InputError(f"arch: registers are those of {' or '.join(_ARCHITECTURES)}, not of {name!r}")
    layout, aliases = _ARCHITECTURES[name]
    return StructureContext(layout, _image(layout, given, aliases), probe=probe)


def perf_event_context(ctx: Mapping[str, Any] | bytes | None) -> PerfEventContext:
    """struct bpf_perf_event_data of x86-64.  Keys: registers as for a probe, `sample_period` and `addr`; 184 bytes."""
    layout = PERF_EVENT_DATA_X86_64
    if isinstance(ctx, bytes):
        if len(ctx) != layout.size:
            raise InputError(f"struct bpf_perf_event_data has {layout.size} bytes, not {len(ctx)}")
        return PerfEventContext(layout, bytearray(ctx))
    given, probe = _split(ctx)
    return PerfEventContext(layout, _image(layout, given, _X86_64_ALIASES), probe=probe)


def tracepoint_context(ctx: Mapping[str, Any] | bytes | None) -> StructureContext:
    """The record of a trace event, its 8 common bytes included; programs load what is behind them.

    Keys: `format`, the text of the event's `format` file of tracefs, and the event's fields by their names there,
    all 0 when not given.  Without `format` it is a system call: `id` and `args` (up to 6) when it is entered, `id`
    and `ret` when it is left.  Bytes: the record.
    """
    if isinstance(ctx, bytes):
        content, probe = ctx, None
    else:
        given, probe = _split(ctx)
        content = _format(given).encode(given)
    if not COMMON_SIZE <= len(content) <= TRACEPOINT.size:
        reason = f"has {COMMON_SIZE} to {TRACEPOINT.size} bytes, not {len(content)}"
        raise InputError(f"the record of a trace event {reason}")
    return StructureContext(TRACEPOINT, bytearray(content), start=COMMON_SIZE, probe=probe)


def raw_tracepoint_context(ctx: Mapping[str, Any] | bytes | None) -> StructureContext:
    """The arguments of a trace event as 64-bit numbers.  Key: `args`, a list of up to 12; bytes: 8 for each."""
    if isinstance(ctx, bytes):
        content, probe = ctx, None
    else:
        given, probe = _split(ctx)
        refuse_unknown(given, ("args",))
        args = given.get("args", [])
        if not isinstance(args, list | tuple):
            raise InputError("args: expected a list of numbers")
        numbers = [whole_number(f"args[{index}]", value, 8) for index, value in enumerate(args)]
        content = struct.pack(f"<{len(numbers)}Q", *numbers)
    if len(content) > RAW_TRACEPOINT.size or len(content) % 8:
        raise InputError(f"the arguments have up to {RAW_TRACEPOINT.size} bytes, 8 each, not {len(content)}")
    return StructureContext(RAW_TRACEPOINT, bytearray(content), probe=probe)


def _split(ctx: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, int]]:
    """The fields of the context, and what is known of the probe."""
    given = dict(ctx or {})
    return given, {key: whole_number(key, given.pop(key), 8) for key in _PROBE if key in given}


def _format(given: dict[str, Any]) -> TraceFormat:
    """The format that `given` names or means; takes the key out."""
    text = given.pop("format", None)
    if text is None:
        return SYS_EXIT if "ret" in given else SYS_ENTER
    if not isinstance(text, str):
        raise InputError("format: expected the text of an event's format file")
    return parse_format(text)


def _image(layout: ContextLayout, given: Mapping[str, Any], aliases: Mapping[str, str]) -> bytearray:
    image = bytearray(layout.size)
    for key, value in given.items():
        name = aliases.get(key, key)
        if name not in layout:
            raise InputError(
                f"there is no register named {key!r}; there is {', '.join(field.name for field in layout.fields)}"
            )
        struct.pack_into("<Q", image, layout.field(name).offset, whole_number(key, value, 8))
    return image


def _no_addresses(kind: FieldKind) -> int:
    raise InternalError(f"no field here holds a {kind} address")
