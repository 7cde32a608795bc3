"""A run of a suite on some runtimes, as far as it has come, and what is counted of it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pybpftime.conformance.case import Case
from pybpftime.conformance.judge import Result, Status
from pybpftime.conformance.run.coverage import Cell
from pybpftime.conformance.run.selection import AREAS, area
from pybpftime.conformance.runtime import Profile
from pybpftime.errors import BpfError
from pybpftime.isa import Group


@dataclass(slots=True)
class RuntimeRun:
    """What came of one runtime.  `given` is how the command line names it; `results` are by the name of the case."""

    given: str
    profile: Profile
    results: dict[str, Result] = field(default_factory=dict)
    seconds: float = 0.0

    def of(self, status: Status) -> list[Result]:
        """The results of that status, in the order of the cases."""
        return [result for result in self.results.values() if result.status is status]


@dataclass(slots=True)
class Report:
    """All that a report says.

    `suite` is how the command line names it, empty for the corpus that is built in.  `cases` are those of it that
    `patterns` and `groups` select; `problems` the files and runtimes that could not be used.  `stopped` says why the
    run ended early, empty when it did not.  `cells` is what each case executes, when that was asked for.
    """

    suite: str
    cases: Sequence[Case]
    problems: Sequence[BpfError]
    runs: list[RuntimeRun]
    started: datetime
    patterns: Sequence[str] = ()
    groups: Sequence[Group] | None = None
    seconds: float = 0.0
    stopped: str = ""
    cells: Sequence[frozenset[Cell]] | None = None

    @property
    def complete(self) -> bool:
        """Whether every runtime has a result for every case."""
        return all(len(run.results) == len(self.cases) for run in self.runs)

    def repeat(self, run: RuntimeRun, case: Case) -> str:
        """The command that judges one case again."""
        words = ["pybpftime", "conformance", "run", "--runtime", run.given]
        words += ["--suite", self.suite] if self.suite else []
        return shlex.join([*words, case.name])


@dataclass(slots=True)
class Tally:
    """How many cases came out how.  A case that was not judged (yet) is `missing`; reasons are of what was not run."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    not_applicable: int = 0
    missing: int = 0
    reasons: Counter[tuple[Status, str]] = field(default_factory=Counter)

    @property
    def run(self) -> int:
        """The cases that the runtime answered for."""
        return self.passed + self.failed

    @property
    def cases(self) -> int:
        """All of them."""
        return self.run + self.skipped + self.not_applicable + self.missing

    def count(self, result: Result | None) -> None:
        """Take a result in."""
        if result is None:
            self.missing += 1
            return
        name = result.status.name.lower()
        setattr(self, name, getattr(self, name) + 1)
        if result.status in (Status.SKIPPED, Status.NOT_APPLICABLE):
            self.reasons[result.status, result.why] += 1


def tally(cases: Sequence[Case], run: RuntimeRun) -> Tally:
    """The counts of all cases together."""
    counts = Tally()
    for case in cases:
        counts.count(run.results.get(case.name))
    return counts


def tallies(cases: Sequence[Case], run: RuntimeRun) -> Mapping[str, Tally]:
    """The counts of every area that has cases, in the order of `AREAS`; each case is in one."""
    found: dict[str, Tally] = {name: Tally() for name in AREAS}
    for case in cases:
        found[area(case)].count(run.results.get(case.name))
    return {name: counts for name, counts in found.items() if counts.cases}
