"""docs/reference/case-format.md says what is: its examples are read, judged and run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from pybpftime.cli.main import cli
from pybpftime.conformance.formats.case_text import KEYS
from pybpftime.conformance.formats.values import read_expectation
from pybpftime.conformance.judge import Status, judge
from pybpftime.conformance.runtimes.in_process import ReferenceRuntime
from pybpftime.conformance.suite import READERS, load_suite

TEXT = (Path(__file__).resolve().parents[3] / "docs/reference/case-format.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
FILES = [text for kind, text in BLOCKS if f".{kind}" in READERS]
CONSOLE = "".join(text for kind, text in BLOCKS if kind == "console")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every file of the document; the first line of each is its name."""
    for text in FILES:
        name = re.match(r"# ([\w.]+)", text)
        assert name is not None
        (tmp_path / name[1]).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_examples_are_cases_that_the_reference_passes(folder: Path) -> None:
    suite = load_suite(folder)
    assert not suite.problems
    names = [case.name for case in suite.cases]
    assert len(FILES) == 4
    assert {"sums/carry", "sums/wrap.3", "sums/outside", "reserved/unused.imm", "choices/endless", "load"} <= set(names)
    runtime = ReferenceRuntime()
    results = [judge(case, runtime.profile, runtime.run(case)) for case in suite.cases]
    assert [(result.case.name, result.why) for result in results if result.status is not Status.PASSED] == []


@pytest.mark.usefixtures("folder")
def test_commands_print_what_the_document_shows() -> None:
    shown = re.findall(r"^\$ pybpftime (.*)\n((?:(?!\$ ).*\n)*)", CONSOLE, re.MULTILINE)
    assert len(shown) == 4
    for command, output in shown:
        result = CliRunner().invoke(cli, shlex.split(command))
        assert result.output == output, command


def first_codes(heading: str) -> list[str]:
    """The pieces of code in the first column of the table under a heading."""
    section = re.split(rf"^## {heading}$", TEXT, flags=re.MULTILINE)[1].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")][2:]
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row)]


def test_the_tables_name_every_field_and_answer() -> None:
    assert sorted(first_codes("Fields")) == sorted(KEYS)
    answers = [read_expectation(code) for code in first_codes("Answers")]
    assert {answer.verdict for answer in answers} == {"return", "trap", "exhaustion", "invalid", "malformed"}
