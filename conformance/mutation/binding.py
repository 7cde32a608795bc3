"""Ways to bind an instruction otherwise: what mutants that are no other `compute` are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pybpftime.conformance.mutation.mutant import Bound
from pybpftime.engines.reference.steps import Binder, Step
from pybpftime.errors import Fault
from pybpftime.isa import Instruction, Row
from pybpftime.isa.encoding import MASK64
from pybpftime.machine import Machine


def as_row(**changes: Any) -> Bound:
    """Bound as an instruction of a row that differs in these fields."""
    return Bound(lambda binder, slot, instruction, row: binder.bind(slot, instruction, replace(row, **changes)))


def as_instruction(edit: Callable[[Instruction], Instruction], **changes: Any) -> Bound:
    """Bound as another instruction, perhaps of a row that differs in these fields."""
    return Bound(lambda binder, slot, one, row: binder.bind(slot, edit(one), replace(row, **changes)))


def with_fields(**functions: Callable[[Instruction], int]) -> Callable[[Instruction], Instruction]:
    """An edit of an instruction: field -> its new value."""
    return lambda one: replace(one, **{field: function(one) for field, function in functions.items()})


def exchanged(instruction: Instruction) -> Instruction:
    """dst and src change places."""
    return replace(instruction, dst_reg=instruction.src_reg, src_reg=instruction.dst_reg)


def skipped() -> Bound:
    """Bound as an instruction that does nothing."""

    def bind(binder: Binder, slot: int, instruction: Instruction, row: Row) -> Step:
        next_pc = binder.base + slot + instruction.slots
        return lambda: next_pc

    return Bound(bind)


def around(make: Callable[[Binder, Instruction, Row, Step], Step]) -> Bound:
    """Bound to what `make` makes of the right step function."""
    return Bound(lambda binder, slot, one, row: make(binder, one, row, binder.bind(slot, one, row)))


def before(hook: Callable[[Machine, Instruction], None]) -> Bound:
    """A change of the machine, then the right step."""

    def make(binder: Binder, instruction: Instruction, row: Row, step: Step) -> Step:
        def preceded() -> int:
            hook(binder.machine, instruction)
            return step()

        return preceded

    return around(make)


def after(hook: Callable[[Machine, Instruction], None]) -> Bound:
    """The right step, then a change of the machine."""

    def make(binder: Binder, instruction: Instruction, row: Row, step: Step) -> Step:
        def followed() -> int:
            pc = step()
            hook(binder.machine, instruction)
            return pc

        return followed

    return around(make)


def changing(register: Callable[[Instruction], int], change: Callable[[int, int], int]) -> Bound:
    """The right step, then a register becomes `change(before, after)` of what it was and what the step made of it."""

    def make(binder: Binder, instruction: Instruction, row: Row, step: Step) -> Step:
        registers, number = binder.machine.registers, register(instruction)

        def changed() -> int:
            before = registers[number] or 0
            pc = step()
            registers[number] = change(before, registers[number] or 0) & MASK64
            return pc

        return changed

    return around(make)


def dst(instruction: Instruction) -> int:
    """The register in dst_reg."""
    return instruction.dst_reg


def src(instruction: Instruction) -> int:
    """The register in src_reg."""
    return instruction.src_reg


def numbered(register: int) -> Callable[[Instruction], int]:
    """The register with that number, whatever the instruction."""
    return lambda instruction: register


def register_below(field: str) -> Bound:
    """Another register is meant: the one before, and r0 for r0."""
    return as_instruction(with_fields(**{field: lambda one: max(getattr(one, field) - 1, 0)}))


def no_trap(ignored: Callable[[Fault], bool], result: Callable[[Row, Instruction], int | None]) -> Bound:
    """An access that goes on where it had to fault; `result` is the register that becomes 0, if one does."""

    def bind(binder: Binder, slot: int, instruction: Instruction, row: Row) -> Step:
        step, registers = binder.bind(slot, instruction, row), binder.machine.registers
        register, next_pc = result(row, instruction), binder.base + slot + instruction.slots

        def lenient() -> int:
            try:
                return step()
            except Fault as fault:
                if not ignored(fault):
                    raise
            if register is not None:
                registers[register] = 0
            return next_pc

        return lenient

    return Bound(bind)
