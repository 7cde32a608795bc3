"""What every engine offers: compile a program for a machine, then run it on contexts.

Engines give equal results: r0, memory and Fault.  The reference engine defines them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pybpftime.helpers import HelperTable
from pybpftime.machine import Machine
from pybpftime.program.loaded import LoadedProgram

if TYPE_CHECKING:  # most programs run without a proof
    from pybpftime.program.proof import Proof

DEFAULT_BUDGET = 10_000_000
"""Instructions that a run may execute unless told otherwise."""


class Context(Protocol):
    """What a program is run on; made by `program.contexts`."""

    def enter(self, machine: Machine) -> tuple[int, ...]:
        """Map the context's memory into the machine (transient regions); returns r1, r2, ..."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended that did not fault: r0 (64 bits, unsigned) and the number of instructions executed."""

    r0: int
    instructions: int


class Executable(Protocol):
    """A compiled program.  One run at a time."""

    machine: Machine

    def run(self, context: Context, *, budget: int = DEFAULT_BUDGET) -> Outcome:
        """Run on `context`.  Raises Fault, or LimitExceeded when `budget` instructions did not suffice.

        `machine` holds the state after the run: registers, effects, and where a run that failed stood.
        """


class Engine(Protocol):
    """A way to execute programs."""

    name: str

    def compile(
        self, program: LoadedProgram, machine: Machine, helpers: HelperTable, proof: Proof | None = None
    ) -> Executable:
        """Prepare `program` for `machine`.  InputError when it is not well formed (see `isa.validate`).

        With a `proof` of the verifier the checks of memory accesses may be left out; the instruction budget stays.  It
        is a proof of `program` alone: what that tail-calls keeps its checks.  InputError when it does not cover the
        program as it is to run here (`engines.proof`).
        """
