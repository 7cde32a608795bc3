"""A verifier's claims about a run, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pybpftime.verifier.domain import Range
from pybpftime.verifier.published import Moment


@dataclass(frozen=True, slots=True)
class Stated:
    """What a verifier claims right before an instruction.

    `registers`: the numbers that registers of the running function may hold; of others nothing is claimed.  `source` is
    where the verifier says so.  `outside` says why the run lies in no state that the verifier knows there, for one that
    claims more than registers.
    """

    registers: Mapping[int, Range] = field(default_factory=dict)
    source: str = ""
    outside: str = ""


class Claims(Protocol):
    """What a verifier claims about one run.  Asked at every step, in order."""

    def at(self, moment: Moment) -> Stated | None:
        """What it claims right before the instruction; None where its claims cannot be followed (any more)."""
