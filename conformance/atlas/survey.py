"""Asking runtimes the questions of the atlas.

The questions are cases (`probes/*.case`) with every answer that is in use.  What RFC 9669 says is the answer whose
reason begins with one of its sections; where there is none, it is silent.  A runtime is asked everything, whatever it
claims; what it does not claim is no difference, but its answer is worth knowing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, groupby
from pathlib import Path

from pybpftime.conformance.atlas.explanations import Explanation, Why, explanations
from pybpftime.conformance.case import Case, Expectation, Verdict
from pybpftime.conformance.judge import Status, described, exclusion, judge
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Profile, Runtime
from pybpftime.conformance.suite import load_suite

PROBES = Path(__file__).parent / "probes"
RFC = re.compile(r"RFC 9669 \d")


class Standing(StrEnum):
    """How an answer stands to the question."""

    SPECIFIED = "specified"  # what RFC 9669 says
    ALLOWED = "allowed"  # one of the answers that are in use, where it is silent or leaves room
    UNCLAIMED = "not claimed"  # another answer, to what the runtime does not claim to do
    DIFFERENT = "different"  # another answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What one runtime said.  `explanation` is for what is DIFFERENT; None if nobody knows why."""

    outcome: Outcome
    standing: Standing
    explanation: Explanation | None = None

    def __str__(self) -> str:
        """The answer in a few words, as a cell of a table has room for."""
        outcome = self.outcome
        if outcome.kind is OutcomeKind.RETURNED and outcome.signature.r0 is not None:
            return f"{outcome.signature.r0:#x}"
        return f"trap: {outcome.trap}" if outcome.trap else str(outcome.kind)


@dataclass(frozen=True, slots=True)
class Entry:
    """One question with the answer of each runtime, in the order of `Atlas.runtimes`."""

    case: Case
    answers: tuple[Answer, ...]

    @property
    def chapter(self) -> str:
        """The file of the question: Arithmetic, Jumps, ..."""
        return self.case.name.partition("/")[0].capitalize()

    @property
    def name(self) -> str:
        """The name of the question in its chapter."""
        return self.case.name.partition("/")[2]

    @property
    def specified(self) -> str:
        """What RFC 9669 says; `unspecified` where it says nothing."""
        said = [label(expectation) for expectation in self.case.expected if RFC.match(expectation.why)]
        if not said:
            return "unspecified"
        return f"{said[0]} or other" if len(said) > 1 else said[0]


@dataclass(frozen=True, slots=True)
class Atlas:
    """The whole table."""

    runtimes: tuple[Profile, ...]
    entries: tuple[Entry, ...]

    def differences(self) -> Iterator[tuple[Profile, Entry, Answer]]:
        """Every answer that is neither specified nor in use."""
        for entry in self.entries:
            for profile, answer in zip(self.runtimes, entry.answers, strict=True):
                if answer.standing is Standing.DIFFERENT:
                    yield profile, entry, answer

    def reasons(self) -> dict[Explanation | None, int]:
        """Each reason for a difference with its number, from 1 in the order of the table."""
        found = dict.fromkeys(answer.explanation for _, _, answer in self.differences())
        return {reason: number for number, reason in enumerate(found, 1)}

    def chapters(self) -> Iterator[tuple[str, list[Entry]]]:
        """The questions, chapter by chapter."""
        for chapter, entries in groupby(self.entries, key=lambda entry: entry.chapter):
            yield chapter, list(entries)


def label(expectation: Expectation) -> str:
    """An expectation in a few words."""
    if expectation.verdict is Verdict.RETURN:
        return described(expectation).removeprefix("return ")
    return "refused" if expectation.verdict in (Verdict.INVALID, Verdict.MALFORMED) else described(expectation)


def probes() -> tuple[Case, ...]:
    """The questions.  InputError if a file of them is broken."""
    suite = load_suite(PROBES)
    for problem in suite.problems:
        raise problem
    return tuple(suite.cases)


def survey(runtimes: Sequence[Runtime], cases: Sequence[Case] | None = None) -> Atlas:
    """Ask every runtime everything."""
    entries = []
    for case in probes() if cases is None else cases:
        answers = tuple(_answer(case, runtime.profile, runtime.run(case)) for runtime in runtimes)
        entries.append(Entry(case, answers))
    return Atlas(tuple(runtime.profile for runtime in runtimes), tuple(entries))


def _answer(case: Case, profile: Profile, outcome: Outcome) -> Answer:
    standing = _standing(case, profile, outcome)
    if standing is not Standing.DIFFERENT:
        return Answer(outcome, standing)
    limits = (
        Explanation(profile.name, (), Why.LIMIT, one.reason.rstrip(".") + ".")
        for one in profile.limits
        if one.excuses(case, outcome)
    )
    known = (one for one in explanations() if one.covers(profile.name, case.name))
    return Answer(outcome, standing, next(chain(limits, known), None))


def _standing(case: Case, profile: Profile, outcome: Outcome) -> Standing:
    right = [one for one in case.expected if _fits(case, one, profile, outcome)]
    if any(RFC.match(one.why) for one in right):
        return Standing.SPECIFIED
    if right:
        return Standing.ALLOWED
    excluded = exclusion(case, profile)
    unclaimed = excluded is not None and excluded.status is Status.NOT_APPLICABLE
    return Standing.UNCLAIMED if unclaimed else Standing.DIFFERENT


def _fits(case: Case, expectation: Expectation, profile: Profile, outcome: Outcome) -> bool:
    alone = Case(case.name, case.code, (expectation,), case.memory, case.maps, case.budget)
    return judge(alone, profile, outcome).status is Status.PASSED
