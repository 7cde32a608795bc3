"""A runtime under test: what it claims (`Profile`), how it is asked (`Runtime`), what it answers (`Outcome`).

Adapters are in `runtimes`.  Whatever a runtime does is an outcome: a crash, a hang or garbage is one as well, so that
a case can never end a run of the suite.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Protocol

from pybpftime.conformance.case import Case, Feature, Signature, Verdict
from pybpftime.errors import FaultKind
from pybpftime.isa import Group


class OutcomeKind(StrEnum):
    """What came of asking a runtime.  The value is the word that reports print."""

    RETURNED = "returned"
    TRAPPED = "trapped"
    EXHAUSTED = "exhausted"
    REFUSED = "refused"  # not loaded: malformed, or a verifier's answer
    FAILED = "failed"  # one of the three above: the runtime does not say which
    UNSUPPORTED = "unsupported"  # the runtime says that it cannot judge this case, and why
    CRASHED = "crashed"  # ended by a signal, or its process was gone
    TIMED_OUT = "timed out"
    GARBAGE = "garbage"  # an answer that the protocol does not know


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer.  `message` is the runtime's own; `pc` (slot) and `trap` are given where a trap says them."""

    kind: OutcomeKind
    signature: Signature = field(default_factory=Signature)
    trap: FaultKind | None = None
    pc: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A known limit: cases that match `pattern` (shell style, on the name of the case or of one of its rows).

    With `refusal`, such a case is asked all the same, and skipped when the runtime refuses it in a sentence that
    contains these words: for what a verifier does not let in, which no name of a case or a row tells.
    """

    pattern: str
    reason: str
    refusal: str = ""

    def covers(self, case: Case) -> bool:
        """Whether the case is one of these."""
        return any(fnmatchcase(name, self.pattern) for name in (case.name, *(row.name for row in case.rows)))

    def excuses(self, case: Case, outcome: Outcome) -> bool:
        """Whether it is the reason for an answer that is not right."""
        refused = outcome.kind is OutcomeKind.REFUSED and self.refusal in outcome.message
        return (refused or not self.refusal) and self.covers(case)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a runtime claims about itself.

    `groups` and `features` say which cases apply to it; `refuses` which verdicts it gives before a run: MALFORMED for
    one that checks encodings, INVALID as well for one with a verifier.  `shows` names the parts of a signature beside
    r0 (registers, memory, stack).  `budget`: whether endless programs end.  `timeout` is in seconds, for a case.
    """

    name: str
    description: str = ""
    version: str = ""
    groups: frozenset[Group] = frozenset(Group) - {Group.PACKET}
    features: frozenset[Feature] = frozenset()
    refuses: frozenset[Verdict] = frozenset()
    shows: frozenset[str] = frozenset()
    budget: bool = False
    timeout: float = 10.0
    limits: tuple[Limit, ...] = ()

    @property
    def has_verifier(self) -> bool:
        """Whether it may refuse programs whose instructions all mean something."""
        return Verdict.INVALID in self.refuses


class Runtime(Protocol):
    """Something that runs cases."""

    profile: Profile

    def run(self, case: Case) -> Outcome:
        """Ask it.  Never raises for anything that the case or the runtime does."""

    def close(self) -> None:
        """End its processes and give back its resources; may be called twice."""
