"""Tracing: every instruction with what it changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pybpftime.errors import BpfError
from pybpftime.isa.disassembler import format_instruction
from pybpftime.machine import Machine, Observer


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One executed instruction.

    `depth` is the number of frames below this one; `changes` the registers that it changed with their new values,
    None for one that is no longer set; `call` the helper that was done at this step (for one that calls back, at the
    exit of its last callback); `source` the source line where it differs from that of the step before; `pointers` what
    changed registers that hold addresses point to (`packet+14`).
    """

    program: str
    pc: int
    depth: int
    text: str
    changes: dict[int, int | None]
    call: tuple[str, tuple[int, ...], int] | None = None
    source: str | None = None
    pointers: Mapping[int, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        data: dict[str, Any] = {"program": self.program, "pc": self.pc, "instruction": self.text}
        if self.source is not None:
            data["source"] = self.source
        if self.changes:
            data["registers"] = {f"r{register}": value for register, value in self.changes.items()}
        if self.pointers:
            data["pointers"] = {f"r{register}": place for register, place in self.pointers.items()}
        if self.call is not None:
            name, arguments, result = self.call
            data["call"] = {"helper": name, "arguments": list(arguments), "result": result}
        return data


class Tracer(Observer):
    """Passes a TraceStep to `emit` after every instruction, the last one and one that faults included."""

    def __init__(self, emit: Callable[[TraceStep], None]) -> None:
        self._emit = emit
        self._pc: int | None = None
        self._depth = 0
        self._registers: list[int | None] = []
        self._source: str | None = None
        self._call: tuple[str, tuple[int, ...], int] | None = None

    def started(self, machine: Machine, pc: int) -> None:
        self._pc = None
        self._source = None

    def before(self, machine: Machine, pc: int) -> None:
        self._pc = pc
        self._depth = len(machine.frames) - 1
        self._registers = machine.registers.copy()
        self._call = None

    def after(self, machine: Machine, pc: int, next_pc: int) -> None:
        self._step(machine)
        self._pc = None

    def helper_called(self, machine: Machine, name: str, arguments: Sequence[int], result: int) -> None:
        self._call = (name, tuple(arguments), result)

    def finished(self, machine: Machine, error: BpfError | None) -> None:
        if self._pc is not None:
            self._step(machine)
            self._pc = None

    def _step(self, machine: Machine) -> None:
        assert self._pc is not None
        code, slot = machine.locate(self._pc)
        spec = code.program.spec
        line = spec.line_at(slot)
        source = None if line is None else str(line)
        instruction = spec.instructions[slot] if slot < len(spec.instructions) else None
        pairs = zip(self._registers, machine.registers, strict=True)
        changes = {register: new for register, (old, new) in enumerate(pairs) if old != new}
        self._emit(
            TraceStep(
                program=spec.name,
                pc=slot,
                depth=self._depth,
                text="(end of the program)" if instruction is None else format_instruction(instruction),
                changes=changes,
                call=self._call,
                source=source if source != self._source else None,
                pointers={
                    register: machine.memory.describe(value)
                    for register, value in changes.items()
                    if value is not None and machine.is_pointer(value)
                },
            )
        )
        self._source = source
