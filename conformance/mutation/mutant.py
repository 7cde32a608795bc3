"""A mutant: one bug in the semantics, as a value.

A mutant belongs to a row and changes it in one of three ways, weakest first, so that as much as possible can be proved:

    Computed   the row computes another function: what it may do to the state is as before
    Bound      its instructions become other step functions of the reference engine
    Decoded    bytes that a runtime has to refuse are read as bytes that it does not have to refuse

Nothing is patched: a mutant gives a `ReferenceEngine` of its own, and a function that is put before decoding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

from pybpftime.engines.reference import ReferenceEngine
from pybpftime.engines.reference.steps import Bind, Binder, Step
from pybpftime.errors import Fault, FaultKind
from pybpftime.isa import Form, Instruction, Row

Compute: TypeAlias = Callable[..., Any]
"""A function over an algebra, whose first parameter that is."""

REGISTER_FORMS = (Form.BINARY, Form.UNARY, Form.JUMP_IF)
"""Forms that do nothing but compute a register, or a condition, from registers and the immediate."""


class Kind(StrEnum):
    """What sort of mistake it is.  The value is what reports print."""

    NOTHING = "no operation"
    OPERATION = "other operation"
    WIDTH = "wrong width"
    SIGN = "wrong sign"
    ZERO_EXTENSION = "missing zero-extension"
    MASK = "wrong shift mask"
    CARRY = "lost carry"
    OFF_BY_ONE = "off by one"
    SWAPPED = "swapped operands"
    REGISTER = "wrong register"
    IMMEDIATE = "wrong immediate"
    LIMIT = "wrong limit value"
    BYTE_ORDER = "wrong byte order"
    CONDITION = "wrong condition"
    TARGET = "wrong jump target"
    SIZE = "wrong access size"
    ADDRESS = "wrong address"
    NEIGHBOUR = "clobbered neighbour"
    BOUNDS = "missing trap"
    FETCH = "wrong fetch"
    EXCHANGE = "wrong comparison"
    CALL = "broken call"
    RESULT = "wrong result"
    DECODING = "unchecked encoding"


@dataclass(frozen=True, slots=True)
class Computed:
    """Another `compute`: of the row's own parameters, but for register forms those of `meaning.meaning`."""

    compute: Compute


@dataclass(frozen=True, slots=True)
class Bound:
    """Another way to make step functions of the row's instructions."""

    bind: Bind


@dataclass(frozen=True, slots=True)
class Decoded:
    """What is read instead of the bytes of a program; the same bytes when they are none of its business.

    Those are all that have no slot with the opcode of the mutant's row, unless it is `anywhere`.
    """

    read: Callable[[bytes], bytes]
    anywhere: bool = False


Change: TypeAlias = Computed | Bound | Decoded


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug.  `name` is unique in its row; `sentence` says what goes wrong, the row being known."""

    row: Row
    kind: Kind
    name: str
    sentence: str
    change: Change

    @property
    def id(self) -> str:
        """`add32_reg/keeps-upper-half`"""
        return f"{self.row.name}/{self.name}"

    def engine(self) -> ReferenceEngine:
        """The reference engine with the bug."""
        match self.change:
            case Computed(compute):
                changed = row_computing(self.row, compute)
                return self._engine(lambda binder, slot, instruction, row: binder.bind(slot, instruction, changed))
            case Bound(bind):
                return self._engine(bind)
            case Decoded():
                return ReferenceEngine()

    def read(self, code: bytes) -> bytes:
        """What the runtime with the bug takes the bytes of a program for."""
        return self.change.read(code) if isinstance(self.change, Decoded) else code

    def _engine(self, changed: Bind) -> ReferenceEngine:
        mutated = self.row

        def bind(binder: Binder, slot: int, instruction: Instruction, row: Row) -> Step:
            if row is not mutated:
                return binder.bind(slot, instruction, row)
            return _inside(binder, changed(binder, slot, instruction, row))

        return ReferenceEngine(bind)


def row_computing(row: Row, compute: Compute) -> Row:
    """The row with another function; register forms see both registers as they are, all 64 bits."""
    if row.form not in REGISTER_FORMS:
        return replace(row, compute=compute)
    form = Form.JUMP_IF if row.form is Form.JUMP_IF else Form.BINARY
    return replace(row, form=form, compute=compute, width=64)


def _inside(binder: Binder, step: Step) -> Step:
    """`step`, which faults when it leads out of the program: a program that means something never does."""
    code = binder.machine.code[-1]

    def guarded() -> int:
        pc = step()
        if not code.start <= pc < code.end:
            raise Fault(FaultKind.INSTRUCTION, "the next instruction is outside the program")
        return pc

    return guarded


Seed: TypeAlias = tuple[Kind, str, str, Change]
"""A mutant of a row that is known."""
Pure: TypeAlias = tuple[Kind, str, str, Compute]
"""The same for what is `Computed`."""
