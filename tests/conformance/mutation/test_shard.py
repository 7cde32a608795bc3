"""A shard of `make campaign-mutate`: our corpus against mutants chosen by a seed."""

from __future__ import annotations

import random

import pytest

from pybpftime.conformance.mutation.catalogue import mutants
from pybpftime.conformance.mutation.report import count
from pybpftime.conformance.mutation.score import Fate, Judge, baseline
from pybpftime.conformance.suite import default_suite
from pybpftime.verifier import solver_is_there

SEED = 60
MUTANTS = 120
LEAST_SHARE = 1.0


@pytest.mark.skipif(not solver_is_there(), reason="needs z3-solver")
def test_a_shard_of_the_campaign() -> None:
    judge = Judge(baseline(default_suite().cases))
    chosen = random.Random(SEED).sample(list(mutants().values()), MUTANTS)
    found = [judge.finding(mutant) for mutant in chosen]
    assert not [one.mutant for one in found if one.fate is Fate.UNDECIDED]
    assert count(found).share >= LEAST_SHARE, [one.mutant for one in found if one.fate is Fate.MISSING]
