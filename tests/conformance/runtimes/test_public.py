"""The 313 public cases of bpf_conformance: the reference passes all, the kernel what its verifier lets in."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pybpftime.conformance.judge import Result, Status, exclusion, judge
from pybpftime.conformance.runtimes.profiles import open_runtime
from pybpftime.conformance.suite import load_suite


@pytest.fixture(scope="module")
def suite(shared_data: Path):
    suite = load_suite(shared_data / "bpf_conformance")
    assert not suite.problems and len(suite.cases) == 313
    return suite


def results(name: str, suite) -> list[Result]:
    runtime = open_runtime(name)
    try:
        profile = runtime.profile
        return [exclusion(case, profile) or judge(case, profile, runtime.run(case)) for case in suite.cases]
    finally:
        runtime.close()


def test_reference(suite) -> None:
    judged = results("reference", suite)
    assert [result for result in judged if result.status is not Status.PASSED] == []


@pytest.mark.parametrize("name", ["kernel", "verified"])
def test_behind_a_verifier(suite, bpf: None, name: str) -> None:
    """12 cases shift by an immediate of the width or more; callx and helper 5 are no part of Linux."""
    judged = results(name, suite)
    assert Counter(result.status for result in judged) == {
        Status.PASSED: 299, Status.SKIPPED: 12, Status.NOT_APPLICABLE: 2,
    }  # fmt: skip
    skipped = {result.why for result in judged if result.status is Status.SKIPPED}
    assert len(skipped) == 1 and "an immediate" in skipped.pop()
    others = {result.case.name for result in judged if result.status is Status.NOT_APPLICABLE}
    assert others == {"call_unwind_fail", "callx"}
