"""The public cases of bpf_conformance, in process on the reference engine, and some through the plugin itself."""

from __future__ import annotations

import io
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from pybpftime.conformance.suite import load_suite
from tools.public_cases import FOLDER, Outcome, case_files, report, run_case

ROOT = Path(__file__).resolve().parents[2]
FILES = case_files(FOLDER)
THROUGH_THE_PROCESS = ("add", "mem-len", "ldxdw", "call_unwind_fail", "callx", "lock_cmpxchg", "sdiv64-imm")

needs_data = pytest.mark.skipif(not FILES, reason="needs the public test data in ../shared/data")


@needs_data
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    assert run_case(path).problem is None


@needs_data
def test_every_group_is_exercised() -> None:
    groups = Counter(group for path in FILES for group in run_case(path).groups)
    assert len(FILES) >= 313
    assert groups.keys() >= {"base32", "base64", "divmul32", "divmul64", "atomic32", "atomic64", "callx"}


@needs_data
@pytest.mark.parametrize("style", ["standard input", "option"])
@pytest.mark.parametrize(
    "path", [path for path in FILES if path.stem in THROUGH_THE_PROCESS], ids=lambda path: path.stem
)
def test_case_through_the_plugin(path: Path, style: str) -> None:
    [case] = load_suite(path).cases
    code = case.code.hex("@").replace("@", "  ") + "  "
    memory = [] if case.memory is None else [case.memory.hex(" ")]
    command = [sys.executable, "-c", "from pybpftime.cli.plugin import main; main()", *memory]
    if style == "option":
        command += ["--program", code]
    run = subprocess.run(
        command, input="" if style == "option" else code + "\n", capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert int(run.stdout, 16) == case.expected[0].signature.r0


def test_failures_are_reported(tmp_path: Path) -> None:
    (tmp_path / "wrong.data").write_text("-- asm\nmov %r0, 1\nexit\n-- result\n0x2\n")
    (tmp_path / "faults.data").write_text("-- asm\nldxb %r0, [%r1+0]\nexit\n-- result\n0x2\n")
    (tmp_path / "odd.data").write_text("-- asm\nfrob\n-- result\n0x2\n")
    (tmp_path / "right.data").write_text("-- asm\nmov %r0, %r2\nexit\n-- mem\n00 01\n-- result\n0x2\n")
    outcomes = [run_case(path) for path in case_files(tmp_path)]
    assert {outcome.name for outcome in outcomes if outcome.problem is None} == {"right"}
    output = io.StringIO()
    report(outcomes, Console(file=output, width=100), 0.0)
    assert "wrong: r0 is 0x1, expected 0x2" in output.getvalue()
    assert "faults: program: instruction 0" in output.getvalue()
    assert "odd: cannot be read" in output.getvalue()
    [row] = [line for line in output.getvalue().splitlines() if "base64" in line]
    assert [part.strip() for part in row.split("│")[1:5]] == ["base64", "2", "1", "1"]


def test_outcome_of_nothing_is_a_table() -> None:
    output = io.StringIO()
    report([Outcome("none", frozenset())], Console(file=output, width=100), 0.0)
    assert "all" in output.getvalue()
