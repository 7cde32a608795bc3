"""Which operands a suite executes each row of the ISA table with: the runs are watched, not the text of the cases.

A cell of the map is a row, one of its operands and a class of values.  Values are classed at the width that the row
reads them with; a constant has the classes only that 32 bits, sign-extended, can reach.  Conditional jumps are also
taken and not taken, and a row that has no value to look at is executed or not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from pybpftime.conformance.case import Case
from pybpftime.conformance.run.pool import Pool
from pybpftime.conformance.runtimes.bare import PlainMemory
from pybpftime.conformance.runtimes.in_process import attached, helpers_with_unwind, map_references
from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import BpfError
from pybpftime.isa import TABLE, Form, Immediate, Instruction, Row, decode_program, lookup, sign_extend
from pybpftime.machine import LENIENT, Machine, Observer
from pybpftime.program.loaded import LoadedProgram
from pybpftime.program.spec import ProgramSpec

MOST_INSTRUCTIONS = 50_000
"""Of a run, so many instructions are watched: one that does not end shows no more after them."""
TIMEOUT = 10.0
"""Seconds that the run of one case may take."""


class OperandClass(StrEnum):
    """Kinds of values at which implementations go wrong, and what else there is to see of a row."""

    ZERO = "zero"
    ONE = "one"
    MINUS_ONE = "minus one"
    MIN = "min"
    MAX = "max"
    BOUNDARY8 = "8-bit sign boundary"
    BOUNDARY16 = "16-bit sign boundary"
    BOUNDARY32 = "32-bit sign boundary"
    OTHER = "other"
    TAKEN = "taken"
    NOT_TAKEN = "not taken"
    EXECUTED = "executed"


class Cell(NamedTuple):
    """One square of the map: the name of the row, of the operand (`dst`, `src`, `memory`, `r0`, `branch`, `-`)."""

    row: str
    operand: str
    value: OperandClass


class Operand(NamedTuple):
    """A value that a row takes: `width` in bits, whether it stands in the instruction, and where it is read."""

    name: str
    width: int
    constant: bool
    read: Callable[[Instruction, Machine], int | None]


# --- classes of values ------------------------------------------------------------------------------------------------

_BOUNDARIES = {8: OperandClass.BOUNDARY8, 16: OperandClass.BOUNDARY16, 32: OperandClass.BOUNDARY32}


@cache
def special_values(width: int) -> Mapping[int, OperandClass]:
    """The values of `width` bits that have a class of their own.

    A sign boundary of n bits is the largest positive or the least negative number of n bits, zero- or sign-extended,
    or what a neighbouring one becomes when its sign is mistaken.
    """
    mask, sign = (1 << width) - 1, 1 << width - 1
    values: dict[int, OperandClass] = {}
    for bits, name in _BOUNDARIES.items():
        if bits < width:
            half = 1 << bits - 1
            values |= dict.fromkeys((half - 1, half, -half & mask, (-half - 1) & mask), name)
    return values | {
        0: OperandClass.ZERO,
        1: OperandClass.ONE,
        mask: OperandClass.MINUS_ONE,
        sign: OperandClass.MIN,
        sign - 1: OperandClass.MAX,
    }


def classify(value: int, width: int) -> OperandClass:
    """The class of the low `width` bits of a value."""
    return special_values(width).get(value & (1 << width) - 1, OperandClass.OTHER)


def _reachable(operand: Operand) -> Iterator[OperandClass]:
    values = special_values(operand.width)
    for value, name in values.items():
        if not operand.constant or value == sign_extend(value, 32) & (1 << operand.width) - 1:
            yield name
    yield OperandClass.OTHER


# --- operands of a row ------------------------------------------------------------------------------------------------


def _register(field: str) -> Callable[[Instruction, Machine], int | None]:
    return lambda instruction, machine: machine.registers[getattr(instruction, field)]


def _imm(instruction: Instruction, machine: Machine) -> int | None:
    return instruction.imm


def _imm64(instruction: Instruction, machine: Machine) -> int | None:
    return instruction.imm64


def _r0(instruction: Instruction, machine: Machine) -> int | None:
    return machine.registers[0]


def _memory(row: Row, field: str) -> Callable[[Instruction, Machine], int | None]:
    def read(instruction: Instruction, machine: Machine) -> int | None:
        address = machine.registers[getattr(instruction, field)]
        if address is None:
            return None
        try:
            return machine.memory.load(address + instruction.offset & (1 << 64) - 1, row.size)
        except BpfError:  # the instruction is about to fault
            return None

    return read


@cache
def operands(row: Row) -> tuple[Operand, ...]:
    """What the row computes with; addresses are no operands."""
    bits = 8 * row.size
    match row.form:
        case Form.BINARY | Form.JUMP_IF:
            return Operand("dst", row.width, False, _register("dst_reg")), _second(row, row.width)
        case Form.UNARY:
            return (_second(row, row.width),)
        case Form.STORE | Form.STORE_RELEASE:
            return (_second(row, bits),)
        case Form.LOAD | Form.LOAD_ACQUIRE:
            return (Operand("memory", bits, False, _memory(row, "src_reg")),)
        case Form.ATOMIC:
            old = Operand("memory", bits, False, _memory(row, "dst_reg"))
            new = Operand("src", bits, False, _register("src_reg"))
            return (old, new, Operand("r0", bits, False, _r0)) if "r0" in row.reads else (old, new)
        case Form.IMMEDIATE if row.immediate is Immediate.VALUE:
            return (Operand("src", 64, False, _imm64),)
    return ()


def _second(row: Row, width: int) -> Operand:
    if row.operand == "imm":
        return Operand("src", width, True, _imm)
    return Operand("dst" if row.operand == "dst_reg" else "src", width, False, _register(row.operand))


@cache
def cells(row: Row) -> tuple[Cell, ...]:
    """Every cell of the row that a program can reach."""
    found = [Cell(row.name, one.name, name) for one in operands(row) for name in dict.fromkeys(_reachable(one))]
    if row.form is Form.JUMP_IF:
        found += [Cell(row.name, "branch", name) for name in (OperandClass.TAKEN, OperandClass.NOT_TAKEN)]
    return tuple(found) or (Cell(row.name, "-", OperandClass.EXECUTED),)


ALL_CELLS: tuple[Cell, ...] = tuple(cell for row in TABLE for cell in cells(row))


# --- watching ---------------------------------------------------------------------------------------------------------


class Watch(Observer):
    """Collects the cells of every instruction that a machine executes."""

    def __init__(self) -> None:
        self.cells: set[Cell] = set()
        self._known: dict[int, tuple[Instruction, Row] | None] = {}

    def before(self, machine: Machine, pc: int) -> None:
        known = self._at(machine, pc)
        if known is None:
            return
        instruction, row = known
        for operand in operands(row):
            value = operand.read(instruction, machine)
            if value is not None:
                self.cells.add(Cell(row.name, operand.name, classify(value, operand.width)))
        if not operands(row):
            self.cells.add(Cell(row.name, "-", OperandClass.EXECUTED))

    def after(self, machine: Machine, pc: int, next_pc: int) -> None:
        known = self._at(machine, pc)
        if known is not None and known[1].form is Form.JUMP_IF:
            way = OperandClass.NOT_TAKEN if next_pc == pc + 1 else OperandClass.TAKEN
            self.cells.add(Cell(known[1].name, "branch", way))

    def _at(self, machine: Machine, pc: int) -> tuple[Instruction, Row] | None:
        """The instruction at `pc` and its row; None where there is none (behind the end of a program)."""
        if pc not in self._known:
            code, slot = machine.locate(pc)
            instructions = code.program.spec.instructions
            instruction = instructions[slot] if slot < len(instructions) else None
            self._known[pc] = None if instruction is None else (instruction, lookup(instruction))
        return self._known[pc]


class Watcher:
    """What `Pool` asks for the cells of a case: the reference engine, watched."""

    def __init__(self) -> None:
        self._helpers = helpers_with_unwind()

    def run(self, case: Case) -> frozenset[Cell]:
        """The cells that the case executes, up to the fault if it faults; none for a program that is refused."""
        watch = Watch()
        with contextlib.suppress(BpfError):
            machine = Machine(strictness=LENIENT)
            maps = {str(index): attached(spec, machine) for index, spec in enumerate(case.maps)}
            program = decode_program(case.code)
            spec = ProgramSpec("program", program, references=map_references(program, len(maps)))
            executable = ReferenceEngine().compile(LoadedProgram(spec, maps), machine, self._helpers)
            machine.observers = (watch,)
            executable.run(PlainMemory(case.memory or b""), budget=MOST_INSTRUCTIONS)
        return frozenset(watch.cells)

    def close(self) -> None:
        """Nothing is open."""


def suite_cells(
    cases: Sequence[Case], *, jobs: int, stopped: Callable[[], bool] = lambda: False
) -> list[frozenset[Cell]] | None:
    """The cells of each case, none for one that cannot be run; None when it was stopped before all were there."""
    found: list[frozenset[Cell]] = [frozenset()] * len(cases)
    pool = Pool(Watcher, cases, jobs=jobs, timeout=TIMEOUT, stopped=stopped)
    pool.ask(range(len(cases)))
    answered = 0
    for reply in pool.replies():
        found[reply.index] = reply.value or frozenset()
        answered += 1
    return found if answered == len(cases) else None
