"""Watching a run: tracing, coverage, history and the debugger are observers.

The watched loop runs the same step functions as the bare one; an observer that is not there costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pybpftime.errors import BpfError
    from pybpftime.machine.machine import Machine


class Observer:
    """Base class: every event does nothing.

    `pc` counts in the machine's code space; `machine.locate(pc)` gives the program and the slot in it.
    An exception that an observer raises ends the run and passes to the caller.
    """

    def started(self, machine: Machine, pc: int) -> None:
        """A run begins: context and registers are set."""

    def before(self, machine: Machine, pc: int) -> None:
        """The instruction at `pc` is next."""

    def after(self, machine: Machine, pc: int, next_pc: int) -> None:
        """The instruction at `pc` is done and `next_pc` follows.  Not called for a last exit or a fault."""

    def helper_called(self, machine: Machine, name: str, arguments: Sequence[int], result: int) -> None:
        """A helper returned, which one that goes on in another program (a tail call) does not.

        `arguments` are the registers as the program set them.  One that calls back
        returns when its last callback exits.
        """

    def finished(self, machine: Machine, error: BpfError | None) -> None:
        """The run is over: by `error`, or by exit (None).  None too when an exception that is no BpfError ended it."""
