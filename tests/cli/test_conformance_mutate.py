"""`pybpftime conformance mutate`: the table, the survivors, JSON, and what is not usable."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from pybpftime.cli import conformance_mutate
from pybpftime.conformance.mutation.catalogue import mutants
from pybpftime.errors import HostError
from pybpftime.verifier import solver_is_there

Invoke = Callable[..., Result]

CASES = """\
case sum: Both halves
    asm:
        lddw %r3, 0x7fffffffff
        lddw %r4, 0xff01
        add32 %r3, %r4
        mov %r0, %r3
        exit
    expect: return 0xff00
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder with one case."""
    (tmp_path / "sum.case").write_text(CASES)
    return tmp_path


def test_mutants_are_listed(invoke: Invoke, invoke_json: Callable[..., Any]) -> None:
    listed = invoke_json("conformance", "mutate", "--list")
    assert [one["mutant"] for one in listed] == list(mutants())
    text = invoke("conformance", "mutate", "--list", "add32_reg/c*").stdout
    assert "add32_reg/carry-16" in text
    assert "no carry passes from bit 15" in text
    assert "add32_imm" not in text


def test_a_perfect_score(invoke: Invoke, suite: Path) -> None:
    text = invoke("conformance", "mutate", "add32_reg/carry-*", "--suite", suite, "-j", 1).stdout
    assert "lost carry" in text
    assert "1 case of" in text
    assert "kill 2 of 2 mutants that a program can tell apart: 100.0 %, 100.0 % where only r0 is shown" in text
    assert "survives" not in text


def test_survivors_are_shown_with_cases(invoke: Invoke, suite: Path) -> None:
    run = ("conformance", "mutate", "add32_reg/*", "sub_reg/nothing", "--suite", suite, "-j", 1)
    text = invoke(*run, "--survivors", 100, code=1).stdout
    assert "add32_reg/unchecked-offset" in text
    assert "no case has such an encoding" in text
    assert "sub_reg/nothing is seen by" in text
    assert "sub %r3, %r4" in text
    few = invoke(*run, "--survivors", 1, code=1).stdout
    assert "more; --survivors" in few
    assert "sub %r3, %r4" not in few


@pytest.mark.skipif(not solver_is_there(), reason="needs z3-solver")
def test_what_no_program_can_tell_is_proved(invoke: Invoke, suite: Path) -> None:
    text = invoke("conformance", "mutate", "add32_reg/swapped", "--suite", suite, "-j", 1).stdout
    assert "the same for all operands, as z3 proves" in text
    assert "kill 0 of 0 mutants that a program can tell apart: 100.0 %" in text


def test_json(invoke: Invoke, suite: Path) -> None:
    arguments = ("conformance", "mutate", "add32_reg/carry-*", "sub_reg/nothing", "--suite", suite, "-j", 1, "--json")
    score = json.loads(invoke(*arguments, code=1).stdout)
    assert score["cases"] == 1
    assert score["complete"] is False
    assert (score["total"]["mutants"], score["total"]["killed"], score["total"]["missing"]) == (3, 2, 1)
    [missing] = [one for one in score["findings"] if one["fate"] == "missing"]
    assert missing["mutant"] == "sub_reg/nothing"
    assert "case nothing:" in missing["example"]
    assert {one["killed_by"] for one in score["findings"] if one["fate"] == "killed"} == {"sum/sum"}


def test_a_sample_is_the_same_for_a_seed(invoke_json: Callable[..., Any]) -> None:
    samples = [
        [one["mutant"] for one in invoke_json("conformance", "mutate", "--list", "--sample", 20, "--seed", seed)]
        for seed in (1, 1, 2)
    ]
    assert samples[0] == samples[1] != samples[2]
    assert all(len(sample) == 20 for sample in samples)


def test_the_public_cases_in_two_processes(invoke: Invoke, shared_data: Path) -> None:
    folder = shared_data / "bpf_conformance"
    arguments = ("conformance", "mutate", "--sample", 60, "--suite", folder, "-j", 2, "--json")
    score = json.loads(invoke(*arguments, code=1).stdout)
    assert score["cases"] >= 313
    assert score["total"]["mutants"] == 60
    assert 10 < score["total"]["killed"] < 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing/*",), "no mutant is named nothing/*; --list shows all"),
        (("--suite", "absent"), "absent: there is no such file or folder"),
        (("--suite", ""), "--suite: an empty file name"),
    ],
)
def test_not_usable(failure: Callable[..., str], arguments: tuple[str, ...], message: str) -> None:
    assert message in failure("conformance", "mutate", *arguments, code=2)


def test_a_broken_file_is_named_and_the_others_count(invoke: Invoke, suite: Path) -> None:
    (suite / "broken.case").write_text("case a: B\n    asm: frob\n")
    text = invoke("conformance", "mutate", "add32_reg/carry-8", "--suite", suite, "-j", 1, code=2).stdout
    assert "not usable: " in text
    assert "broken.case" in text
    assert "kill 1 of 1 mutant" in text


def test_a_case_that_does_not_pass_is_not_used(invoke: Invoke, suite: Path) -> None:
    (suite / "wrong.case").write_text("case a: B\n    asm:\n        mov %r0, 1\n        exit\n    expect: return 2\n")
    text = invoke("conformance", "mutate", "add32_reg/carry-8", "--suite", suite, "-j", 1).stdout
    assert "not used: wrong/a: r0 is 0x1, expected 0x2" in text


def test_a_process_that_dies(failure: Callable[..., str], suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dying(*arguments: object) -> None:
        raise HostError("a process that judges mutants ended with code -9 before its work was done")

    monkeypatch.setattr(conformance_mutate, "findings", dying)
    assert "ended with code -9" in failure("conformance", "mutate", "add32_reg/*", "--suite", suite, code=2)
