"""The claims of verifiers about many programs: which of them were wrong, and how much of them was looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count, islice
from typing import Self

from pybpftime.conformance.case import Case
from pybpftime.conformance.claims.acceptance import Acceptance, Disagreement
from pybpftime.conformance.claims.claim import Claims
from pybpftime.conformance.claims.run import (
    Contents,
    KernelAnswer,
    Run,
    Violation,
    ask_kernel,
    ask_ours,
    run,
)
from pybpftime.conformance.claims.states import PublishedClaims
from pybpftime.conformance.claims.subject import Subject, subject_of
from pybpftime.conformance.fuzz.dialect import dialect
from pybpftime.conformance.fuzz.generator import Generator
from pybpftime.conformance.runtimes.kernel import kernel_profile
from pybpftime.conformance.runtimes.verified import VERIFIED
from pybpftime.errors import BpfError, LimitExceeded
from pybpftime.helpers import default_helpers
from pybpftime.verifier import Report, Verdict


class Verifier(StrEnum):
    """Whose claims are checked."""

    KERNEL = "kernel"
    OURS = "ours"


@dataclass(slots=True)
class Score:
    """One verifier: programs that it took and refused, steps of runs of the former, those followed, numbers checked.

    `lost` are paths in logs of which it is not known where they begin.
    """

    taken: int = 0
    refused: int = 0
    steps: int = 0
    followed: int = 0
    numbers: int = 0
    lost: int = 0
    violations: list[Violation] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of the steps, those at which its claims were known."""
        return self.followed / self.steps if self.steps else 1.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that is none of a program that was found safe: a fault, or another result than the kernel's."""

    program: str
    what: str


@dataclass(slots=True)
class Result:
    """What a campaign has found.

    `unfinished` are runs that took too long, `excluded` programs by why nobody was asked about them.  `cases` are those
    that something was found about, by name.
    """

    verifiers: dict[Verifier, Score]
    programs: int = 0
    unfinished: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    disagreements: list[Disagreement] = field(default_factory=list)
    cases: dict[str, Case] = field(default_factory=dict)

    @property
    def violations(self) -> list[Violation]:
        """Those of all verifiers."""
        return [one for score in self.verifiers.values() for one in score.violations]

    @property
    def found(self) -> set[str]:
        """The programs that something was found about."""
        names = {one.program for one in self.violations} | {one.program for one in self.failures}
        return names | {one.program for one in self.disagreements}

    @property
    def is_right(self) -> bool:
        """Whether nothing was found to be wrong.  Disagreements are not: each of the two may know less."""
        return not self.violations and not self.failures


def generated(seed: int, number: int) -> Iterator[Case]:
    """The first `number` programs of a seed."""
    rows = dialect((kernel_profile(), VERIFIED))
    cases = (drawn.case() for shard in count() for drawn in Generator(seed, shard, rows).cases())
    return islice(cases, number)


class Campaign:
    """Asks verifiers about one case after the other.  A context manager: it may hold maps in the kernel."""

    def __init__(self, verifiers: Collection[Verifier]) -> None:
        self.result = Result({verifier: Score() for verifier in verifiers})
        self._helpers = default_helpers()
        self._acceptance = Acceptance()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._acceptance.close()

    def examine(self, cases: Iterable[Case]) -> Iterator[Case]:
        """Examine the cases; each is yielded when that is done."""
        for case in cases:
            result = self.result
            result.programs += 1
            try:
                self._examine(subject_of(case))
            except BpfError as error:
                result.excluded[error.reason] += 1
            if case.name in result.found:
                result.cases[case.name] = case
            yield case

    def _examine(self, subject: Subject) -> None:
        result, claims = self.result, dict[str, Claims]()
        kernel: KernelAnswer | None = None
        report: Report | None = None
        if Verifier.KERNEL in result.verifiers:
            kernel = ask_kernel(subject)
            if kernel.log is not None:
                claims[Verifier.KERNEL] = kernel.log.follow()
                result.verifiers[Verifier.KERNEL].lost += len(kernel.log.lost)
        if Verifier.OURS in result.verifiers:
            report, published = ask_ours(subject)
            if report.verdict is Verdict.SAFE:
                claims[Verifier.OURS] = PublishedClaims(published, subject.program, subject.maps)
        if claims:
            self._judge(subject, kernel, run(subject, claims, self._helpers))
        for name, score in result.verifiers.items():
            score.taken += name in claims
            score.refused += name not in claims
        if kernel is not None and report is not None:
            found = self._acceptance.disagreement(subject, report, kernel.refusal)
            result.disagreements += [] if found is None else [found]

    def _judge(self, subject: Subject, kernel: KernelAnswer | None, done: Run) -> None:
        """A run that is not the kernel's shows nothing of its claims."""
        result = self.result
        if isinstance(done.error, LimitExceeded):
            result.unfinished += 1
        elif done.error is not None:
            result.failures.append(Failure(subject.name, f"called safe, and a run ends: {done.error}"))
        elif kernel is not None and kernel.log is not None and kernel.contents != done.contents:
            result.failures.append(Failure(subject.name, _different(kernel.contents, done.contents)))
            return
        for name, checked in done.checked.items():
            score = result.verifiers[Verifier(name)]
            score.steps += done.steps
            score.followed += checked.followed
            score.numbers += checked.numbers
            score.violations += checked.violations


def _different(kernels: Contents, ours: Contents) -> str:
    """What a run in the kernel has left in the maps and one here has not."""
    name = next(name for name in kernels if kernels[name] != ours.get(name))
    return f"the {name} is {kernels[name].hex()} in the kernel and {ours.get(name, b'').hex()} here"
