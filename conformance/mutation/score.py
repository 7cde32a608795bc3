"""Runs cases on mutants and counts which are killed: some case fails that passes without the bug.

A case can kill only a mutant of a row that it has, so each row has its own list of cases, the short ones first; a case
that has killed moves to the front.  A mutant is judged twice: by the whole signature, and by what a bare plugin shows,
which is r0 or that there is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from pybpftime.conformance.case import Case, Signature
from pybpftime.conformance.judge import Result, Status, exclusion, judge
from pybpftime.conformance.mutation import proof
from pybpftime.conformance.mutation.example import example
from pybpftime.conformance.mutation.mutant import Computed, Decoded, Kind, Mutant
from pybpftime.conformance.mutation.runtime import MutantRuntime
from pybpftime.conformance.runtime import Outcome, OutcomeKind
from pybpftime.conformance.runtimes.in_process import REFERENCE, ReferenceRuntime, helpers_with_unwind
from pybpftime.isa.encoding import SLOT_BYTES

SHORT_BUDGET = 10_000
"""Instructions that a case may take on a mutant if it needs no more without: many mutants never end."""


class Fate(StrEnum):
    """What became of a mutant.  The value is what reports print."""

    KILLED = "killed"
    EQUIVALENT = "equivalent"  # no program tells it from the right semantics: proved
    MISSING = "missing"  # a case is missing
    UNDECIDED = "undecided"  # neither proved nor refuted


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one mutant.

    `killed_by` and `why` are the case and what it saw; `killed_in_r0` the case that sees it in r0 alone, or "".  For
    one that survived, `cases` are those that could have seen it, `why` is a sentence, and `example` the text of a case
    that tells it apart, where one was found.
    """

    mutant: str
    row: str
    kind: Kind
    sentence: str
    fate: Fate
    why: str
    killed_by: str = ""
    killed_in_r0: str = ""
    cases: int = 0
    example: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The cases that can be used: those that pass without a bug, and those that do not, with the reason."""

    ran: tuple[Case, ...]
    refused: tuple[Case, ...]
    unusable: tuple[Result, ...]


def baseline(cases: Iterable[Case]) -> Baseline:
    """Run every case without a bug."""
    runtime = ReferenceRuntime()
    ran, refused, unusable = [], [], []
    for case in cases:
        result = exclusion(case, REFERENCE)
        if result is None and case.budget is None:
            short = replace(case, budget=SHORT_BUDGET)
            result = judge(short, REFERENCE, runtime.run(short))
        if result is None or result.status is Status.FAILED:
            result = judge(case, REFERENCE, runtime.run(case))
        if result.status is not Status.PASSED or result.outcome is None:
            unusable.append(result)
        elif result.outcome.kind is OutcomeKind.REFUSED:
            refused.append(result.case)
        else:
            ran.append(result.case)
    return Baseline(tuple(ran), tuple(refused), tuple(unusable))


class Judge:
    """Finds out what becomes of mutants."""

    def __init__(self, cases: Baseline) -> None:
        self._refused = cases.refused
        self._helpers = helpers_with_unwind()
        self._refused_with: Mapping[int, list[Case]] = defaultdict(list)
        for case in cases.refused:
            for opcode in set(case.code[::SLOT_BYTES]):
                self._refused_with[opcode].append(case)
        self._of_row: Mapping[str, list[Case]] = defaultdict(list)
        for case in sorted(cases.ran, key=lambda case: len(case.code)):
            for row in case.rows:
                self._of_row[row.name].append(case)

    def finding(self, mutant: Mutant) -> Finding:
        """Run the cases that could see it until one does, and look into it if none does."""
        cases = self._cases(mutant)
        runtime = MutantRuntime(mutant, self._helpers)
        killer: Result | None = None
        for at, case in enumerate(cases):
            outcome = runtime.run(case)
            result = judge(case, REFERENCE, outcome)
            if result.status is Status.PASSED:
                continue
            killer = killer or result
            if judge(case, REFERENCE, in_r0(outcome)).status is not Status.PASSED:
                cases.insert(0, cases.pop(at))
                return replace(_killed(mutant, killer), killed_in_r0=case.name)
        return _survivor(mutant, len(cases)) if killer is None else _killed(mutant, killer)

    def _cases(self, mutant: Mutant) -> list[Case]:
        if isinstance(mutant.change, Decoded):
            refused = self._refused if mutant.change.anywhere else self._refused_with[mutant.row.opcode]
            return [case for case in refused if mutant.read(case.code) != case.code]
        return self._of_row[mutant.row.name]


def in_r0(outcome: Outcome) -> Outcome:
    """What a plugin of bpf_conformance would have shown: r0, or that there is none."""
    if outcome.kind is not OutcomeKind.RETURNED:
        return Outcome(OutcomeKind.FAILED)
    return Outcome(OutcomeKind.RETURNED, Signature({0: outcome.signature.registers[0]}))


def _survivor(mutant: Mutant, count: int) -> Finding:
    what = "has such an encoding" if isinstance(mutant.change, Decoded) else f"has {mutant.row.name}"
    seen = f"no case {what}" if not count else f"none of the {count} cases that could see it does"
    if not isinstance(mutant.change, Computed):
        return _finding(mutant, Fate.MISSING, seen, count)
    match proof.compare(mutant):
        case proof.Same():
            return _finding(mutant, Fate.EQUIVALENT, "the same for all operands, as z3 proves", count)
        case proof.Different() as answer:
            return replace(_finding(mutant, Fate.MISSING, seen, count), example=example(mutant, answer))
        case proof.Undecided(reason):
            return _finding(mutant, Fate.UNDECIDED, reason, count)


def _killed(mutant: Mutant, killer: Result) -> Finding:
    return replace(_finding(mutant, Fate.KILLED, killer.why), killed_by=killer.case.name)


def _finding(mutant: Mutant, fate: Fate, why: str, cases: int = 0) -> Finding:
    return Finding(mutant.id, mutant.row.name, mutant.kind, mutant.sentence, fate, why, cases=cases)
