"""Programs that are called safe, run on random inputs: those that the kernel rejects, and some that it accepts too.

A run proves nothing safe, but a fault refutes the verdict, and with it the argument written for it.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pybpftime.conformance.verifier_runs import run_at_random
from pybpftime.conformance.verifier_vectors import Vector, read_vector, read_vectors
from pybpftime.errors import InputError
from tools import verifier_parity_docs as docs
from tools.verifier_parity_workers import SAFE, Job, Limits, judge_all

RUNS = 40
SHARD = 150
LARGEST = 300


@pytest.fixture(scope="module")
def vectors(shared_data: Path) -> dict[str, Vector]:
    files = sorted((shared_data / "verifier").glob("*.json.gz"))
    if not files:
        pytest.skip("needs the verifier test data in ../shared/data/verifier")
    return {vector.name: vector for path in files for vector in read_vectors(path)}


def verdicts(chosen: list[Vector]) -> dict[str, str]:
    verifier = pytest.importorskip("pybpftime.verifier", reason="needs the verifier")
    jobs = [Job("", vector) for vector in chosen if vector.kernel is not None]
    judged = judge_all(jobs, verifier.verify, Limits(timeout=20.0, budget=20_000), processes=2)
    return {each.name: each.verdict for each in judged}


def faults(chosen: list[Vector], *, unfinished: bool) -> tuple[int, list[str]]:
    """How many could be run, and the faults of those that did; with `unfinished` also what takes too many steps."""
    count, found = 0, []
    for vector in chosen:
        try:
            runs = run_at_random(vector, random.Random(vector.name), RUNS)
        except InputError:
            continue  # a map, a context or a symbol that there is not in the interpreter
        count += 1
        if runs.fault is not None:
            found.append(f"{vector.name}: {runs.fault}")
        elif runs.unfinished and unfinished:
            found.append(f"{vector.name}: does not end")
    return count, found


def test_no_program_of_an_argument_faults(vectors: dict[str, Vector]) -> None:
    named = {name for cause in docs.read_causes() if cause.kernel == docs.REJECTS for name in cause.programs}
    chosen = [vectors[name] for name in sorted(named & vectors.keys())]
    called_safe = verdicts(chosen)
    count, found = faults([vector for vector in chosen if called_safe[vector.name] == SAFE], unfinished=True)
    assert found == []
    assert count >= len(chosen) // 2 or not chosen


def test_no_program_that_is_called_safe_faults(vectors: dict[str, Vector]) -> None:
    candidates = [
        vector for vector in vectors.values() if vector.program and len(vector.program.instructions) <= LARGEST
    ]
    chosen = random.Random(11).sample(candidates, min(SHARD, len(candidates)))
    called_safe = verdicts(chosen)
    safe = [vector for vector in chosen if called_safe.get(vector.name) == SAFE]
    count, found = faults(safe, unfinished=False)  # a program may end late
    assert found == []
    assert count > SHARD // 5 or not chosen


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("6100000000000000", "r0"),  # r0 = *(u32 *)(r0 + 0): r0 is not set
        ("b700000000000000" + "6100000000000000", "memory fault"),  # the same at address 0
        ("0500ffff00000000", "does not end"),  # goto -1
    ],
)
def test_a_program_that_goes_wrong_is_found(code: str, text: str) -> None:
    vector = read_vector({"name": "wrong", "insns": code + "b700000000000000" + "9500000000000000"})
    count, found = faults([vector], unfinished=True)
    assert count == 1
    assert text in found[0]


def test_what_is_no_program_is_not_run() -> None:
    with pytest.raises(InputError, match="is no program"):
        run_at_random(Vector("v", None, malformed="why"), random.Random(1), 1)
