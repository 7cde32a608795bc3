"""Every mutant of the semantics against our corpus: which are killed, which are proved equivalent, which need a case.

    make campaign-mutate

A finding is a mutant that a program can tell from the right semantics and no case kills, or that neither a case nor z3
decides.  `pybpftime conformance mutate` shows the same as a table, for any suite.
"""

from __future__ import annotations

from functools import cache

from pybpftime.conformance.mutation.catalogue import mutants
from pybpftime.conformance.mutation.mutant import Mutant
from pybpftime.conformance.mutation.report import count
from pybpftime.conformance.mutation.score import Fate, Judge, baseline
from pybpftime.conformance.suite import default_suite
from tools import campaign


@cache
def _judge() -> Judge:
    """One for each process: the cases are run without a bug first."""
    return Judge(baseline(default_suite().cases))


def is_equivalent(mutant: Mutant) -> bool:
    """Whether it is proved that no program tells it from the right semantics."""
    return _judge().finding(mutant).fate is Fate.EQUIVALENT


def work(seed: int, first: int, amount: int) -> campaign.Shard:
    """Mutants `first` to `first + amount` of the catalogue; it is the same for every seed."""
    judge = _judge()
    found = [judge.finding(mutant) for mutant in list(mutants().values())[first : first + amount]]
    numbers = count(found)
    return {
        "mutants": numbers.mutants,
        "killed": numbers.killed,
        "killed_in_r0": numbers.killed_in_r0,
        "equivalent": numbers.equivalent,
        "equivalents": {one.mutant: 1 for one in found if one.fate is Fate.EQUIVALENT},
        "findings": [
            f"{one.mutant}: {one.sentence}: {one.why}" for one in found if one.fate in (Fate.MISSING, Fate.UNDECIDED)
        ],
    }


if __name__ == "__main__":
    campaign.main("mutate", __doc__ or "", work, count=len(mutants()), shard=100)
