"""`pybpftime conformance claims`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pybpftime.cli import conformance_claims
from pybpftime.cli.conformance import conformance
from pybpftime.conformance.claims.campaign import Failure
from pybpftime.conformance.claims.run import Violation
from pybpftime.kernel import available
from tests.conformance.claims.test_campaign import REASON

CASES = """\
case sum: A number
    asm:
        mov %r0, 1
        add %r0, 2
        exit
    expect: return 3
case packet: Not for verifiers
    asm:
        ldabsb 0
        exit
    expect: return 0
"""
DEFECT = """\
case number_plus_pointer: Linux takes it for a pointer to the caller's frame
    asm:
        stdw [%r10-8], 0
        call local f
        exit
        f:
        stdw [%r10-8], 5
        mov %r1, -8
        add %r1, %r10
        ldxdw %r0, [%r1+0]
        exit
    expect: return 5
"""


def claims(*arguments: object) -> Result:
    result = CliRunner().invoke(conformance, ["claims", *map(str, arguments)], standalone_mode=False)
    assert result.exception is None or isinstance(result.exception, conformance_claims.Unusable), result.exception
    return result


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder with two cases."""
    (tmp_path / "two.case").write_text(CASES)
    return tmp_path


def test_the_table(suite: Path) -> None:
    result = claims("--suite", suite, "-r", "ours")
    assert result.return_value == 0
    assert "100.0%" in result.stdout
    assert "1 program: it reads a packet in place of its memory" in result.stdout
    assert "2 programs: 0 claims not true" in result.stdout


def test_generated_programs_as_json() -> None:
    result = claims("-r", "ours", "--count", 2, "--seed", 4, "--json")
    assert result.return_value == 0
    data = json.loads(result.stdout)
    assert data["programs"] == 2
    assert data["verifiers"]["ours"]["violations"] == []
    assert data["verifiers"]["ours"]["followed"] == data["verifiers"]["ours"]["steps"] > 0


def test_patterns_choose_cases(suite: Path) -> None:
    data = json.loads(claims("two/sum", "--suite", suite, "-r", "ours", "--json").stdout)
    assert (data["programs"], data["excluded"]) == (1, {})


def test_nothing_to_look_at_is_not_usable(suite: Path) -> None:
    assert claims("two/packet", "--suite", suite, "-r", "ours").return_value == 2
    missing = claims("--suite", suite / "missing", "-r", "ours")
    assert "there is no such file or folder" in str(missing.exception)


def test_a_broken_file_is_said_and_the_others_are_looked_at(suite: Path) -> None:
    (suite / "broken.case").write_text("case x\n")
    result = claims("--suite", suite, "-r", "ours")
    assert result.return_value == 2
    assert "broken.case" in result.stdout
    assert "2 programs: 0 claims not true" in result.stdout


def test_without_a_kernel_it_says_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance_claims, "available", lambda: "bpf(2) is not permitted here")
    message = str(claims("--count", 1).exception)
    assert message == "bpf(2) is not permitted here; --runtime ours asks our verifier alone"


def test_what_is_wrong_is_shown(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(conformance_claims.Campaign):
        def examine(self, cases):  # type: ignore[no-untyped-def]
            for case in super().examine(cases):
                where = (3, 1, "exit", "r0 += 2")
                violation = Violation(case.name, "ours", *where, "r0", 3, "[4, 5]", "line 7 of the log")
                self.result.verifiers[conformance_claims.Verifier.OURS].violations.append(violation)
                self.result.failures.append(Failure(case.name, "the result is 07 in the kernel and 08 here"))
                self.result.cases[case.name] = case
                yield case

    monkeypatch.setattr(conformance_claims, "Campaign", Wrong)
    result = claims("two/sum", "--suite", suite, "-r", "ours")
    assert result.return_value == 1
    shown = ("ours is wrong about two/sum", "3, before slot 1: exit", "r0 = 0x3", "r0 = [4, 5]", "line 7 of the log",
             "another run: two/sum: the result is 07", "r0 += 0x2")  # fmt: skip
    assert [text for text in shown if text not in result.stdout] == []
    data = json.loads(claims("two/sum", "--suite", suite, "-r", "ours", "--json").stdout)
    assert data["verifiers"]["ours"]["violations"][0]["place"] == "r0"
    assert data["cases"]["two/sum"]["hex"].startswith("b700000001000000")


@pytest.mark.skipif(REASON is not None, reason=f"needs bpf(2): {REASON}")
def test_the_known_defect_of_linux(tmp_path: Path) -> None:
    assert available() is None
    (tmp_path / "defect.case").write_text(DEFECT)
    result = claims("--suite", tmp_path)
    if result.return_value == 0 and "100.0%" in result.stdout.splitlines()[1]:
        pytest.skip("needs a kernel with the defect")
    assert result.return_value == 1
    assert "kernel is wrong about defect/number_plus_pointer" in result.stdout
    assert "r0 = 0x5" in result.stdout
