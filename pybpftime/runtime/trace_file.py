"""Traces as files: JSON lines, one for every executed instruction, that other runtimes can write and read too.

The format is described in docs/reference/trace-format.md, and in docs/reference/trace.schema.json for machines.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from pybpftime import __version__
from pybpftime.errors import BpfError, Fault
from pybpftime.isa import Form, lookup
from pybpftime.isa.disassembler import format_instruction
from pybpftime.isa.encoding import MASK64, Instruction
from pybpftime.machine import Machine, Observer
from pybpftime.program.spec import ProgramSpec

FORMAT = "bpf-trace"
VERSION = 1

_STORES = (Form.STORE, Form.STORE_RELEASE)


@dataclass(frozen=True, slots=True)
class _Fixed:
    """What is the same whenever an instruction is executed: its part of the line, and what it stores.

    `size` is 0 for an instruction that writes no memory.
    """

    text: str
    instruction: Instruction | None
    form: Form | None
    size: int


class TraceWriter(Observer):
    """Writes a line for every step of the runs that it watches to `stream`, as they are executed; keeps none."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._invocation = 0
        self._step = 0
        self._pc: int | None = None
        self._depth = 0
        self._registers: list[int | None] = []
        self._call = ""
        self._known: dict[tuple[int, int], _Fixed] = {}
        self._programs: dict[int, ProgramSpec] = {}
        self._put({"type": "header", "format": FORMAT, "version": VERSION, "producer": f"pybpftime {__version__}"})

    # -- events --------------------------------------------------------------------------------------------------------

    def started(self, machine: Machine, pc: int) -> None:
        self._invocation += 1
        self._step = 0
        self._pc = None
        code, _ = machine.locate(pc)
        data = {"type": "begin", "invocation": self._invocation, "program": code.program.spec.name}
        self._put(data | _packet(machine))

    def before(self, machine: Machine, pc: int) -> None:
        self._pc = pc
        self._depth = len(machine.frames) - 1
        self._registers = machine.registers.copy()
        self._call = ""

    def after(self, machine: Machine, pc: int, next_pc: int) -> None:
        self._write_step(machine, done=True)

    def helper_called(self, machine: Machine, name: str, arguments: Sequence[int], result: int) -> None:
        given = ", ".join(f'"{value:#x}"' for value in arguments)
        self._call = f', "call": {{"helper": {json.dumps(name)}, "arguments": [{given}], "result": "{result:#x}"}}'

    def finished(self, machine: Machine, error: BpfError | None) -> None:
        ended = error is None and not machine.frames
        if self._pc is not None:
            self._write_step(machine, done=ended)
        data: dict[str, object] = {"type": "end", "invocation": self._invocation, "steps": self._step}
        if error is not None:
            data["error"] = _error(error)
        elif ended:
            data["result"] = f"{machine.registers[0] or 0:#x}"
        else:
            data["error"] = {"kind": "interrupted", "reason": "the run was interrupted"}
        self._put(data | _packet(machine))

    # -- lines ---------------------------------------------------------------------------------------------------------

    def _put(self, data: dict[str, object]) -> None:
        self._stream.write(json.dumps(data) + "\n")

    def _write_step(self, machine: Machine, *, done: bool) -> None:
        """The line of the instruction at `_pc`; what it wrote is there only if it was `done`."""
        assert self._pc is not None
        code, slot = machine.locate(self._pc)
        fixed = self._known.get((id(code), slot)) or self._fixed(id(code), code.program.spec, slot)
        registers = ", ".join("null" if value is None else f'"{value:#x}"' for value in self._registers)
        written = self._written(machine, fixed) if done and fixed.size else ""
        line = (
            f'{{"type": "step", "invocation": {self._invocation}, "step": {self._step}, {fixed.text}, '
            f'"depth": {self._depth}, "registers": [{registers}]{self._call}{written}}}\n'
        )
        self._step += 1
        self._pc = None  # first: whatever interrupts the writing, the line does not come twice
        self._stream.write(line)

    def _fixed(self, code: int, spec: ProgramSpec, slot: int) -> _Fixed:
        """What stays of a line; worked out once for every instruction."""
        self._programs[code] = spec  # so that no other gets its id
        instruction = spec.instructions[slot] if slot < len(spec.instructions) else None
        data: dict[str, object] = {"program": spec.name, "pc": slot}
        row = None
        if instruction is not None:
            row = lookup(instruction)
            data |= {"opcode": instruction.encode().hex(), "instruction": format_instruction(instruction)}
        line = spec.line_at(slot)
        if line is not None:
            data["source"] = {"file": line.file, "line": line.line, "column": line.column}
        writes = row is not None and row.form in (*_STORES, Form.ATOMIC)
        fixed = _Fixed(
            json.dumps(data)[1:-1], instruction, None if row is None else row.form, row.size if row and writes else 0
        )
        self._known[code, slot] = fixed
        return fixed

    def _written(self, machine: Machine, fixed: _Fixed) -> str:
        """What a store put into memory; what an atomic operation left there."""
        one = fixed.instruction
        assert one is not None
        address = ((self._registers[one.dst_reg] or 0) + one.offset) & MASK64
        if fixed.form in _STORES:
            value = (self._registers[one.src_reg] or 0) if lookup(one).operand == "src_reg" else one.imm
            content = (value & MASK64).to_bytes(8, "little")[: fixed.size]
        else:
            try:
                content = machine.memory.read(address, fixed.size)
            except Fault:  # it may be written and not be read
                return ""
        return f', "writes": [{{"address": "{address:#x}", "bytes": "{content.hex()}"}}]'


def _packet(machine: Machine) -> dict[str, object]:
    packet = getattr(machine.context, "packet", None)
    return {"packet": packet.hex()} if isinstance(packet, bytes) else {}


def _error(error: BpfError) -> dict[str, object]:
    """The error as data: `kind` is that of a fault, or `limit`."""
    kind = str(error.kind) if isinstance(error, Fault) else "limit"
    data: dict[str, object] = {"kind": kind, "reason": error.reason}
    for name in ("program", "pc"):
        value = getattr(error, name, None)
        if value is not None:
            data[name] = value
    return data
