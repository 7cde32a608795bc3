"""bpf_trace_printk, bpf_trace_vprintk, and what a probe may ask and do."""

from __future__ import annotations

from collections.abc import Sequence

from pybpftime.helpers.errors import EINVAL
from pybpftime.helpers.format import FormatError, format_text
from pybpftime.helpers.implementations.strings import argument_values
from pybpftime.helpers.registry import implements
from pybpftime.isa.encoding import sign_extend
from pybpftime.machine import Machine

MESSAGE_SIZE = 1024  # MAX_BPRINTF_BUF


@implements("bpf_trace_printk")
def trace_printk(machine: Machine, format: bytes, first: int, second: int, third: int) -> int:
    return _print(machine, format, (first, second, third))


@implements("bpf_trace_vprintk")
def trace_vprintk(machine: Machine, format: bytes, arguments: bytes | None) -> int:
    values = argument_values(arguments)
    return -EINVAL if values is None else _print(machine, format, values)


def _print(machine: Machine, format: bytes, values: Sequence[int]) -> int:
    """Each message is one event of the trace pipe: a line, wherever the program's text ends one itself."""
    text, terminator, _ = format.partition(b"\0")
    if not terminator:
        return -EINVAL
    try:
        message = format_text(machine, text, values)
    except FormatError as error:
        return -error.errno
    # The message is a C string: %c of 0 ends it.
    shown = message[: MESSAGE_SIZE - 1].partition(b"\0")[0].decode(errors="replace").removesuffix("\n")
    machine.effects.printk.append(shown)
    if machine.environment.printk is not None:
        machine.environment.printk(shown)
    return len(message)


@implements("bpf_override_return")
def override_return(machine: Machine, context: object, value: int) -> int:
    """Recorded as `override_return`; whoever runs the probe returns from the function."""
    machine.effects.records["override_return"] = value
    return 0


@implements("bpf_get_func_ip")
def get_func_ip(machine: Machine, context: object) -> int:
    """The context's `function_address`, where it has one."""
    return int(getattr(context, "function_address", 0))


@implements("bpf_get_attach_cookie")
def get_attach_cookie(machine: Machine, context: object) -> int:
    """The context's `attach_cookie`, where it has one."""
    return int(getattr(context, "attach_cookie", 0))


@implements("bpf_get_retval")
def get_retval(machine: Machine) -> int:
    return int(machine.effects.records.get("retval", 0))


@implements("bpf_set_retval")
def set_retval(machine: Machine, value: int) -> int:
    """Recorded as `retval`, an int."""
    machine.effects.records["retval"] = sign_extend(value, 32)
    return 0
