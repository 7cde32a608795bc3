"""The score of a suite, as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pybpftime.conformance.mutation.mutant import Kind
from pybpftime.conformance.mutation.score import Fate, Finding


@dataclass(frozen=True, slots=True)
class Count:
    """Mutants of one sort: how many there are, how many are killed, by r0 alone, and how many by nothing."""

    mutants: int
    killed: int
    killed_in_r0: int
    equivalent: int
    missing: int
    undecided: int

    @property
    def different(self) -> int:
        """Those that a program can tell from the right semantics, as far as is known."""
        return self.mutants - self.equivalent

    @property
    def share(self) -> float:
        """Of those, the share that is killed: 1.0 is the aim."""
        return self.killed / self.different if self.different else 1.0

    @property
    def share_in_r0(self) -> float:
        """Of those, the share that a runtime that shows r0 alone is caught at."""
        return self.killed_in_r0 / self.different if self.different else 1.0


def count(findings: Sequence[Finding]) -> Count:
    """The numbers of these."""
    fates = Counter(finding.fate for finding in findings)
    return Count(
        mutants=len(findings),
        killed=fates[Fate.KILLED],
        killed_in_r0=sum(bool(finding.killed_in_r0) for finding in findings),
        equivalent=fates[Fate.EQUIVALENT],
        missing=fates[Fate.MISSING],
        undecided=fates[Fate.UNDECIDED],
    )


@dataclass(frozen=True, slots=True)
class Score:
    """What became of all mutants, in the order of the catalogue.

    `suite` is its name, `cases` the number of those used; `unusable` are those that cannot pass without a bug (name ->
    why), `problems` files that could not be read.  `complete` is false for a part of the catalogue.
    """

    suite: str
    cases: int
    unusable: Mapping[str, str]
    complete: bool
    seconds: float
    findings: tuple[Finding, ...]
    problems: tuple[str, ...] = ()

    @property
    def survivors(self) -> tuple[Finding, ...]:
        """Those that no case kills."""
        return tuple(finding for finding in self.findings if finding.fate is not Fate.KILLED)

    @property
    def total(self) -> Count:
        """The numbers of all."""
        return count(self.findings)

    @property
    def kinds(self) -> Mapping[Kind, Count]:
        """The numbers of each kind of mistake that there is."""
        of = {kind: [finding for finding in self.findings if finding.kind is kind] for kind in Kind}
        return {kind: count(found) for kind, found in of.items() if found}

    @property
    def is_perfect(self) -> bool:
        """Whether every mutant is killed or proved equivalent."""
        return not (self.total.missing or self.total.undecided)

    def as_dict(self) -> dict[str, Any]:
        """The score as plain data; `findings` are all mutants."""
        return {
            "suite": self.suite,
            "cases": self.cases,
            "unusable": dict(self.unusable),
            "problems": list(self.problems),
            "complete": self.complete,
            "seconds": round(self.seconds, 1),
            "total": _numbers(self.total),
            "kinds": {str(kind): _numbers(numbers) for kind, numbers in self.kinds.items()},
            "findings": [{name: value for name, value in asdict(one).items() if value != ""} for one in self.findings],
        }


def _numbers(numbers: Count) -> dict[str, Any]:
    shares = {"share": round(numbers.share, 4), "share_in_r0": round(numbers.share_in_r0, 4)}
    return asdict(numbers) | shares
