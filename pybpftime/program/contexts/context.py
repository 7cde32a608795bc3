"""What every context is, and how the fields that a user gives for one become numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from pybpftime.errors import InputError
from pybpftime.machine import Machine


class Context(ABC):
    """What one program is run on: the memory behind r1, and what became of it.

    A context may be entered again: the program then runs on what the run before left, as with `repeat` of
    BPF_PROG_TEST_RUN.
    """

    __slots__ = ()

    @abstractmethod
    def enter(self, machine: Machine) -> tuple[int, ...]:
        """Map the memory, as transient regions, and return the argument registers r1, r2, ...

        The address space has no transient regions when this is called.
        """

    @property
    def packet(self) -> bytes | None:
        """The packet as it is now, as BPF_PROG_TEST_RUN hands it out; None for a context without one."""
        return None

    def fields(self) -> dict[str, Any]:
        """What differs now from a context that was given nothing: plain data, under the keys that make a context."""
        return {}


def whole_number(key: str, value: Any, size: int) -> int:
    """`value` as an unsigned number of `size` bytes; negative ones are taken as two's complement.

    InputError that names `key` when it is no number or does not fit.  Text is a number in Python's notation.
    """
    if isinstance(value, str):
        try:
            value = int(value, 0)
        except ValueError:
            raise InputError(f"{key}: {value[:40]!r} is no number") from None
    if not isinstance(value, int):
        raise InputError(f"{key}: expected a number, not {type(value).__name__}")
    bits = 8 * size
    if not -(1 << (bits - 1)) <= value < 1 << bits:
        shown = value if value.bit_length() <= 128 else f"a number of {value.bit_length()} bits"
        raise InputError(f"{key}: {shown} does not fit {bits} bits")
    return value & ((1 << bits) - 1)


def octets(key: str, value: Any) -> bytes:
    """`value` as bytes: bytes as they are, text as hex digits.  InputError that names `key` for anything else."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        try:
            return bytes.fromhex(value.removeprefix("0x"))
        except ValueError:
            raise InputError(f"{key}: {value[:40]!r} is no text of hex digits") from None
    raise InputError(f"{key}: expected bytes as hex digits, not {type(value).__name__}")


def refuse_unknown(given: Mapping[str, Any], known: tuple[str, ...] | Mapping[str, Any] | frozenset[str]) -> None:
    """InputError for the first key of `given` that is not in `known`."""
    for key in given:
        if key not in known:
            raise InputError(f"the context has no field named {key!r}; it has {', '.join(sorted(known))}")
