"""One shard of a campaign: generate, ask, compare, and make findings of the differences.

A shard is judged as a whole or not at all, and gives the same whenever and wherever it is done.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from pybpftime.conformance.fuzz.attribution import LOST_EXTENSION, UNKNOWN, UNREPEATED, blame, without_rows
from pybpftime.conformance.fuzz.comparison import Kind, difference
from pybpftime.conformance.fuzz.dialect import Dialect
from pybpftime.conformance.fuzz.divergence import first_diverging_step
from pybpftime.conformance.fuzz.findings import Finding, from_dict, merged
from pybpftime.conformance.fuzz.generator import Drawn, Generator
from pybpftime.conformance.fuzz.listing import assembled, listing
from pybpftime.conformance.fuzz.minimiser import Minimiser
from pybpftime.conformance.fuzz.oracle import (
    LIMIT,
    QUESTIONS,
    RIGHT,
    SLOW_QUESTIONS,
    DefectOracle,
    Oracle,
    Subject,
    judged,
)
from pybpftime.conformance.fuzz.reference import Answer, Exact, Reference
from pybpftime.conformance.judge import answered, exclusion
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Runtime
from pybpftime.isa import encode_program

MINIMISED = 20
"""Differences of one runtime that a shard minimises; those beyond that no known bug explains are counted only."""


@dataclass(slots=True)
class Tally:
    """What one runtime did in a shard."""

    asked: int = 0
    differences: int = 0
    limits: int = 0  # what its profile says that it does not do
    unsupported: int = 0  # what it says itself
    minimised: int = 0
    unexamined: int = 0  # differences that nobody looked into

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return asdict(self)


@dataclass(slots=True)
class ShardResult:
    """What came of shard number `number`; `rows` counts how often each row was drawn."""

    number: int
    cases: int = 0
    seconds: float = 0.0
    rows: Counter[str] = field(default_factory=Counter)
    tallies: dict[str, Tally] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "shard": self.number,
            "cases": self.cases,
            "seconds": round(self.seconds, 3),
            "rows": dict(sorted(self.rows.items())),
            "runtimes": {name: tally.as_dict() for name, tally in self.tallies.items()},
            "findings": [finding.as_dict() for finding in self.findings],
        }


def result_from_dict(data: dict[str, Any]) -> ShardResult:
    """What `as_dict` wrote; KeyError, TypeError or ValueError for anything else."""
    return ShardResult(
        number=int(data["shard"]),
        cases=int(data["cases"]),
        seconds=float(data["seconds"]),
        rows=Counter(data["rows"]),
        tallies={name: Tally(**tally) for name, tally in data["runtimes"].items()},
        findings=[from_dict(finding) for finding in data["findings"]],
    )


class Judge:
    """Runtimes that are asked about shards, one shard after the other."""

    def __init__(self, runtimes: Sequence[Runtime], dialect: Dialect, known: Collection[Finding] = ()) -> None:
        """`known` are findings of other shards, whose bugs need not be minimised again."""
        self._runtimes = list(runtimes)
        self._dialect = dialect
        self._reference = Reference()
        self._exact = Exact()
        self._beat: Callable[[], None] = lambda: None
        self._known = {finding.key: finding for finding in known}

    def judge(
        self,
        seed: int,
        number: int,
        count: int,
        *,
        crashed: Mapping[int, Kind] = MappingProxyType({}),
        at: Callable[[int], None] = lambda index: None,
    ) -> ShardResult:
        """Do shard `number` of `seed`, which has `count` cases.

        `at` is told the index of the case before each question to a runtime.  Those in `crashed` ended a process like
        this one, in that way, and are not asked again.
        """
        result = ShardResult(number, tallies={runtime.profile.name: Tally() for runtime in self._runtimes})
        began = time.perf_counter()
        found: list[Finding] = []
        for index, drawn in enumerate(Generator(seed, number, self._dialect).cases(count)):
            result.cases += 1
            result.rows.update({row.name for row in drawn.rows if row is not None})
            answer = self._reference.answer(drawn.slots, drawn.memory, drawn.rows)
            self._beat = partial(at, index)
            self._beat()
            if index in crashed:
                found.append(self._ended(drawn, answer, crashed[index]))
                continue
            case = drawn.case()
            for runtime in self._runtimes:
                outcome = runtime.run(case)
                result.tallies[runtime.profile.name].asked += 1
                if outcome.kind is not OutcomeKind.RETURNED or difference(answer, outcome) is not None:
                    found += self._look(runtime, drawn, answer, outcome, result.tallies[runtime.profile.name])
        result.findings = merged(found)
        result.seconds = time.perf_counter() - began
        return result

    def _look(self, runtime: Runtime, drawn: Drawn, answer: Answer, outcome: Outcome, tally: Tally) -> list[Finding]:
        """What an answer that is not the reference's amounts to."""
        if outcome.kind is OutcomeKind.UNSUPPORTED:
            tally.unsupported += 1
            return []
        case = drawn.case(answer.r0)
        kind = LIMIT if exclusion(case, runtime.profile) is not None else judged(runtime, case, answer, outcome)
        if not isinstance(kind, Kind):
            tally.limits += kind == LIMIT
            return []
        tally.differences += 1
        finding = self._examined(runtime, drawn, kind, tally)
        return [] if finding is None else [finding]

    def _examined(self, runtime: Runtime, drawn: Drawn, kind: Kind, tally: Tally) -> Finding | None:
        """The finding that a difference belongs to; None when enough have been looked into."""
        subject = Subject(listing(drawn.slots), drawn.memory)
        oracle = Oracle(runtime, self._exact, SLOW_QUESTIONS if kind is Kind.HANG else QUESTIONS, self._beat)
        if oracle.ask(subject) != kind:
            return self._finding(oracle, subject, kind, UNREPEATED, drawn.name)
        known = self._explained(oracle, subject, kind)
        if known is not None:
            return replace(known, count=1)
        if tally.minimised == MINIMISED:
            tally.unexamined += 1
            return None
        tally.minimised += 1
        defect = self._defect(oracle)
        is_defect = defect.ask(subject) == kind
        minimiser = Minimiser(defect if is_defect else oracle, subject, kind)
        smallest = minimiser.run()
        oracle.questions = max(oracle.questions, SLOW_QUESTIONS)  # to blame somebody is worth some more
        row = LOST_EXTENSION if is_defect else blame(oracle, smallest)
        finding = self._finding(oracle, smallest, minimiser.kind, row, drawn.name)
        self._known.setdefault(finding.key, finding)
        return finding

    def _defect(self, oracle: Oracle) -> DefectOracle:
        return DefectOracle(oracle.runtime, self._exact, oracle.questions, self._beat)

    def _explained(self, oracle: Oracle, subject: Subject, kind: Kind) -> Finding | None:
        """The known bug without whose row the runtime is right."""
        for (name, row, value), finding in self._known.items():
            if name == oracle.runtime.profile.name and value == kind:
                if row == LOST_EXTENSION and self._defect(oracle).ask(subject) == kind:
                    return finding
                other = without_rows(oracle, subject, frozenset({row}))
                if other is not None and oracle.ask(other) == RIGHT:
                    return finding
        return None

    def _finding(self, oracle: Oracle, subject: Subject, kind: Kind, row: str, origin: str) -> Finding:
        program = assembled(subject.lines)
        answer = self._reference.answer(program, subject.memory)
        answers = {runtime.profile.name: said(runtime, subject, answer) for runtime in self._runtimes}
        steps = first_diverging_step(oracle, subject) if kind in (Kind.VALUE, Kind.MEMORY) else ()
        return Finding(
            oracle.runtime.profile.name, kind, row, origin, encode_program(program), subject.memory,
            answer.r0, answer.memory, {"reference": f"returned {answer.r0:#x}"} | answers, steps,
        )  # fmt: skip

    def _ended(self, drawn: Drawn, answer: Answer, kind: Kind) -> Finding:
        """For a case that ended the process that asked: one of its runtimes does that."""
        names = "+".join(runtime.profile.name for runtime in self._runtimes)
        return Finding(names, kind, UNKNOWN, drawn.name, drawn.code, drawn.memory, answer.r0, answer.memory)


def said(runtime: Runtime, subject: Subject, answer: Answer) -> str:
    """What a runtime answers, the same text for the same answer."""
    case = subject.case("question", answer)
    excluded = exclusion(case, runtime.profile)
    if excluded is not None:
        return f"not asked: {excluded.why}"
    outcome = runtime.run(case)
    wrong = outcome.kind is OutcomeKind.RETURNED and difference(answer, outcome) is Kind.MEMORY
    return answered(outcome) + (" and other memory" if wrong else "")
