"""Every error that pybpftime raises on purpose.

An error carries data (file, instruction, source line, address, errno) and formats itself: `str(error)`
is one message for a person, `error.as_dict()` the same for a machine.  `BpfError` covers what a user, an
input or a program under test can cause; `InternalError` is our own bug and stands outside, so that nobody
swallows it.
"""

from __future__ import annotations

import errno as _errno
import os
from enum import StrEnum
from typing import Any, Self


class BpfError(Exception):
    """Base of every expected failure.

    `reason` is the sentence; the keyword arguments say where it happened.  Data that is None was not known
    where the error was raised; whoever knows it adds it with `at`.
    """

    fields: tuple[str, ...] = ()

    def __init__(self, reason: str, **where: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        for name in self.fields:
            setattr(self, name, where.pop(name, None))
        if where:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(where))}")

    def at(self, **where: Any) -> Self:
        """Fill in fields that are still unknown; return self, so that `raise error.at(file=...)` reads well."""
        for name, value in where.items():
            if getattr(self, name) is None:
                setattr(self, name, value)
        return self

    def as_dict(self) -> dict[str, Any]:
        """The error as plain data: `error` (class), `reason`, and each known field."""
        known = {name: getattr(self, name) for name in self.fields if getattr(self, name) is not None}
        return {"error": type(self).__name__, "reason": self.reason, **known}

    def __reduce__(self) -> Any:
        return (_rebuild, (type(self), self.reason, {name: getattr(self, name) for name in self.fields}))

    def __str__(self) -> str:
        where = self._where()
        return f"{where}: {self.reason}" if where else self.reason

    def _where(self) -> str:
        return ""


def _rebuild(kind: type[BpfError], reason: str, where: dict[str, Any]) -> BpfError:
    return kind(reason, **where)


class InputError(BpfError):
    """Malformed or unsupported input: an object file, an encoding, assembly text, BTF, a packet, an argument.

    `file` names the input; `section`, `offset` (bytes), `instruction` (index in 8-byte slots, as Linux counts)
    and `line`/`column` (both from 1) say where in it.
    """

    fields: tuple[str, ...] = ("file", "section", "offset", "instruction", "line", "column")
    file: str | None
    section: str | None
    offset: int | None
    instruction: int | None
    line: int | None
    column: int | None

    def _where(self) -> str:
        parts = []
        if self.file is not None:
            line = "" if self.line is None else f":{self.line}"
            column = "" if self.column is None else f":{self.column}"
            parts.append(f"{self.file}{line}{column}")
        elif self.line is not None:
            parts.append(f"line {self.line}" + ("" if self.column is None else f", column {self.column}"))
        if self.section is not None:
            parts.append(f"section {self.section}")
        if self.offset is not None:
            parts.append(f"byte {self.offset:#x}")
        if self.instruction is not None:
            parts.append(f"instruction {self.instruction}")
        return ": ".join(parts)


class VerificationError(BpfError):
    """Loading was refused because the verifier did not prove the program safe."""

    fields: tuple[str, ...] = ("program", "instruction", "source")
    program: str | None
    instruction: int | None
    source: str | None

    def _where(self) -> str:
        parts = [self.program] if self.program else []
        if self.instruction is not None:
            parts.append(f"instruction {self.instruction}")
        return ": ".join(parts)


class FaultKind(StrEnum):
    """What the program did.  The value is the word that reports print."""

    MEMORY = "memory"  # not wholly inside one region
    PERMISSION = "permission"  # inside a region, but read-only, write-only or not for this kind of access
    ALIGNMENT = "alignment"
    UNINITIALISED = "uninitialised"  # register or stack byte that was never written
    POINTER = "pointer"  # a pointer stored, returned or computed with where only numbers may be (strict)
    CALL = "call"  # call depth, unknown or misused helper, bad callback
    HELPER = "helper"  # a helper refused its arguments in a way that the kernel's verifier would have refused
    INSTRUCTION = "instruction"  # pc outside the program, or an instruction with no meaning here
    TRAP = "trap"  # a row that says why it cannot be served (failed relocation, unimplemented helper)


class Fault(BpfError):
    """The program under test did something undefined.  `trap` in conformance terms.

    Raised with `kind` and `reason` (and `address`, `size`, `region` for accesses); the engine adds `program`,
    `pc` (slot index), `instruction` (its text) and `source` ("file:line: text") as the fault passes.
    `region` names the nearest memory region and `distance` says how many bytes outside it the access lies.
    """

    fields: tuple[str, ...] = (
        "kind",
        "program",
        "pc",
        "instruction",
        "source",
        "address",
        "size",
        "region",
        "distance",
    )
    kind: FaultKind
    program: str | None
    pc: int | None
    instruction: str | None
    source: str | None
    address: int | None
    size: int | None
    region: str | None
    distance: int | None

    def __init__(self, kind: FaultKind, reason: str, **where: Any) -> None:
        super().__init__(reason, kind=kind, **where)

    def __reduce__(self) -> Any:
        where = {name: getattr(self, name) for name in self.fields if name != "kind"}
        return (_rebuild_fault, (self.kind, self.reason, where))

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {"kind": str(self.kind)}

    def _where(self) -> str:
        parts = [self.program] if self.program else []
        if self.pc is not None:
            text = "" if self.instruction is None else f" ({self.instruction})"
            parts.append(f"instruction {self.pc}{text}")
        if self.source is not None:
            parts.append(self.source)
        parts.append(f"{self.kind} fault")
        return ": ".join(parts)


def _rebuild_fault(kind: FaultKind, reason: str, where: dict[str, Any]) -> Fault:
    return Fault(kind, reason, **where)


class LimitExceeded(BpfError):
    """A budget ran out.  `limit` names it (instructions, depth, solver, time) and `amount` says how much it was."""

    fields: tuple[str, ...] = ("limit", "amount", "program", "pc")
    limit: str | None
    amount: int | None
    program: str | None
    pc: int | None

    def _where(self) -> str:
        parts = [self.program] if self.program else []
        if self.pc is not None:
            parts.append(f"instruction {self.pc}")
        return ": ".join(parts)


class HostError(BpfError):
    """The host refused: ptrace, mmap, bpf(2), permissions.  `errno` is the kernel's, `pid` the process meant."""

    fields: tuple[str, ...] = ("errno", "pid", "file")
    errno: int | None
    pid: int | None
    file: str | None

    def _where(self) -> str:
        parts = [self.file] if self.file else []
        if self.pid is not None:
            parts.append(f"process {self.pid}")
        return ": ".join(parts)

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.errno is None else f"{text} ({errno_name(self.errno)}: {os.strerror(self.errno)})"


class InternalError(Exception):
    """A bug of ours.  Not a BpfError on purpose."""


def errno_name(number: int) -> str:
    """`2` -> `ENOENT`; a number that the host does not name is printed as it is."""
    return _errno.errorcode.get(number, str(number))
