"""Contexts of programs that look into the kernel: registers, records, arguments."""

from __future__ import annotations

from collections.abc import Iterable

from pybpftime.program.types.layout import ContextLayout, Field, FieldKind
from pybpftime.program.types.layouts.fields import ANY, WHOLE, WIDE, consecutive

# --- registers: struct pt_regs ----------------------------------------------------------------------------------------

X86_64_REGISTERS = (
    *("r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di"),
    *("orig_ax", "ip", "cs", "flags", "sp", "ss"),
)
ARM64_REGISTERS = (*(f"x{number}" for number in range(31)), "sp", "pc", "pstate")


def _registers(name: str, names: Iterable[str]) -> ContextLayout:
    fields = consecutive(((register, 8) for register in names), loads=ANY)
    return ContextLayout(name, fields[-1].end, fields)


PT_REGS_X86_64 = _registers("pt_regs", X86_64_REGISTERS)
PT_REGS_ARM64 = _registers("user_pt_regs", ARM64_REGISTERS)

PERF_EVENT_DATA_X86_64 = ContextLayout(
    "bpf_perf_event_data",
    184,
    (
        *consecutive(((register, 8) for register in X86_64_REGISTERS), loads=WIDE),
        *consecutive((("sample_period", 8), ("addr", 8)), loads=ANY, start=PT_REGS_X86_64.size),
    ),
)

# --- contexts without a structure of their own ------------------------------------------------------------------------

# PERF_MAX_TRACE_SIZE; the first 8 bytes are the kernel's.
TRACEPOINT = ContextLayout("tracepoint", 8192, (Field("common", 0, 8), Field("record", 8, 8184, loads=ANY)))
# MAX_BPF_FUNC_ARGS.
RAW_TRACEPOINT = ContextLayout("bpf_raw_tracepoint_args", 96, (Field("args", 0, 96, loads=ANY),))
# Offsets below U16_MAX.
SYSCALL = ContextLayout("syscall", 65535, (Field("bytes", 0, 65535, loads=ANY, stores=ANY),))

# --- arguments that are more than numbers -----------------------------------------------------------------------------

_SLOTS = tuple(range(0, RAW_TRACEPOINT.size, 8))
# The tracepoint knows how many bytes its first argument leads to.  The kernel lets parts of that address be loaded that
# do not begin at its first byte; they are refused here.
RAW_TRACEPOINT_WRITABLE = ContextLayout(
    RAW_TRACEPOINT.name,
    RAW_TRACEPOINT.size,
    (Field("buffer", 0, 8, FieldKind.BUFFER, loads=WIDE), Field("args", 8, RAW_TRACEPOINT.size - 8, loads=ANY)),
)
# Slots as any function might have them: how many there are, what they hold, and that all but numbers are loaded whole,
# says the BTF of the function that the program is attached to (btf_ctx_access).  Behind the last argument lies what the
# function returned, for BPF_TRACE_FEXIT, BPF_MODIFY_RETURN and BPF_LSM_*.
ARGUMENTS = ContextLayout(
    "arguments",
    RAW_TRACEPOINT.size,
    tuple(Field(f"arg{at // 8}", at, 8, FieldKind.ARGUMENT, loads=ANY, starts=1) for at in _SLOTS),
)
NETFILTER = ContextLayout(
    "bpf_nf_ctx",
    16,
    (
        Field("state", 0, 8, FieldKind.OBJECT, loads=WIDE, type_name="nf_hook_state"),
        Field("skb", 8, 8, FieldKind.OBJECT, loads=WIDE, type_name="sk_buff"),
    ),
)
# lirc_mode2_is_valid_access
LIRC_MODE2 = ContextLayout("lirc_mode2", 4, (Field("sample", 0, 4, loads=WHOLE),))
