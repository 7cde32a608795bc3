"""Calls of a function of the program that a helper makes: bpf_loop, bpf_for_each_map_elem.

A helper that calls back does not wait for its callback, which would hide a part of the run's state in the stack of the
host.  It returns `Rounds`: what to call next, as plain data.  The frame of each call holds them, so a run can be
stopped, kept and gone on with inside a callback as anywhere else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pybpftime.machine.machine import Machine


class Rounds(ABC):
    """Calls of the function at the address `callback`, one after another, until `arguments` gives none.

    What changes from round to round are attributes that hold immutable values: `copy.copy` is all that it takes to
    keep the state.
    """

    def __init__(self, callback: int) -> None:
        self.callback = callback
        self.conclude: Callable[[int], None] = _nothing
        """Set by the call site: stores the helper's result."""

    @abstractmethod
    def arguments(self, machine: Machine) -> Sequence[int] | None:
        """r1, r2, ... of the next round; None when there is none, and then the helper's `result` counts."""

    @abstractmethod
    def returned(self, machine: Machine, value: int) -> None:
        """The round returned `value`.  Fault for a value that it may not return."""

    @property
    @abstractmethod
    def result(self) -> int:
        """What the helper returns, when there are no more rounds."""


def _nothing(result: int) -> None:
    """For rounds that no call site has begun."""
