"""`pybpftime conformance list`, `import` and `export`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from pybpftime.conformance.suite import load_suite

Invoke = Callable[..., Result]

CASES = """\
cite: RFC 9669 4.1
case add: Sums wrap
    asm:
        mov %r0, {a}
        add %r0, 1
        exit
    table:
        a  | r0
        1  | 2
        -1 | 0
case trap: Outside
    mem: 00 01
    asm: ldxdw %r0, [%r1+0]
    expect:
        trap memory
        invalid
"""
DATA = "# Copyright, A\n# SPDX-License-Identifier: X\n-- asm\nldxb %r0, [%r1+1]\nexit\n-- mem\n00 07\n-- result\n0x7\n"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "sums.case").write_text(CASES)
    (folder / "load.data").write_text(DATA)
    return folder


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- list -------------------------------------------------------------------------------------------------------------


def rows(text: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line}


def test_list_counts_by_file_and_group(invoke: Invoke, suite: Path) -> None:
    by_file, by_group = invoke("conformance", "list", "--suite", suite).stdout.split("\n\n")
    assert rows(by_file) == {
        "file": ["cases", "return", "trap", "exhaustion", "invalid", "malformed"],
        ".": ["1", "1"],
        "sums": ["3", "2", "1", "1"],
        "all": ["4", "3", "1", "1"],
    }
    assert rows(by_group) == {
        "group": rows(by_file)["file"],
        "base32": ["3", "3"],
        "base64": ["3", "2", "1", "1"],
        "all": rows(by_file)["all"],
    }


def test_list_shows_our_corpus(invoke: Invoke) -> None:
    by_file = rows(invoke("conformance", "list", "arithmetic/*").stdout)
    assert int(by_file["arithmetic/add"][0]) > 50
    assert "jumps/jeq" not in by_file


def test_list_by_case(invoke: Invoke, suite: Path) -> None:
    lines = invoke("conformance", "list", "--suite", suite, "--cases", "sums/*").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["case", "sums/add.1", "sums/add.2", "sums/trap"]
    assert "trap | invalid" in lines[3]
    assert lines[1].endswith("RFC 9669 4.1  Sums wrap")


def test_list_as_json(invoke_json: Callable[..., Any], suite: Path) -> None:
    (suite / "broken.case").write_text("case x\n")
    data = invoke_json("conformance", "list", "--suite", suite, "--groups", "base64,base32", code=1)
    assert [case["name"] for case in data["cases"]] == ["load", "sums/add.1", "sums/add.2", "sums/trap"]
    assert data["cases"][3] == {
        "name": "sums/trap",
        "about": "Outside",
        "cite": "RFC 9669 4.1",
        "verdicts": ["invalid", "trap"],
        "groups": ["base64"],
        "features": [],
        "file": str(suite / "sums.case"),
        "line": 11,
    }
    [problem] = data["problems"]
    assert (problem["file"], problem["line"]) == (str(suite / "broken.case"), 1)


def test_list_says_what_is_broken_and_shows_the_rest(invoke: Invoke, suite: Path) -> None:
    (suite / "broken.case").write_text("case x\n")
    result = invoke("conformance", "list", "--suite", suite, code=1)
    assert result.stderr == f"error: {suite}/broken.case:1: a case has either `asm:` or `hex:`\n"
    assert "sums" in result.stdout


def test_what_cannot_be_listed(failure: Callable[..., str], suite: Path, tmp_path: Path) -> None:
    command = ("conformance", "list", "--suite")
    assert failure(*command, suite, "sums/*", "nope") == "error: no case is named nope\n"
    assert failure(*command, suite, "sums/ad").endswith("did you mean sums/add.2?\n")
    assert failure(*command, tmp_path / "x").endswith("/x: there is no such file or folder\n")
    assert "--suite: an empty file name" in failure(*command, "")
    message = failure(*command, suite, "--groups", "base32,base65")
    assert message.startswith("error: --groups: there is no group 'base65'; there is base32, ")
    (tmp_path / "empty").mkdir()
    assert failure(*command, tmp_path / "empty").endswith("/empty: there are no cases\n")
    for name in ("a", "b"):
        (tmp_path / f"empty/{name}.case").write_text("x")
    assert failure(*command, tmp_path / "empty").endswith("or an indented field (and 1 more)\n")


# --- import -----------------------------------------------------------------------------------------------------------


def test_import_writes_our_format(invoke: Invoke, suite: Path, tmp_path: Path) -> None:
    target = tmp_path / "a/b"
    result = invoke("conformance", "import", suite / "load.data", "--to", target)
    assert result.stdout == f"1 case in 1 file written to {target}\n"
    assert files(target) == ["load.case"]
    assert (target / "load.case").read_text() == (
        "# Copyright, A\n# SPDX-License-Identifier: X\ncase\n    asm:\n        ldxb %r0, [%r1+1]\n        exit\n"
        "    mem: 00 07\n    expect: return 0x7\n"
    )
    [case], [original] = load_suite(target).cases, load_suite(suite / "load.data").cases
    assert (case.name, case.code, case.memory, case.expected) == (
        original.name,
        original.code,
        original.memory,
        original.expected,
    )


def test_import_makes_one_file_of_a_subfolder(invoke: Invoke, suite: Path, tmp_path: Path) -> None:
    (suite / "sub").mkdir()
    for name in ("one", "two"):
        (suite / f"sub/{name}.data").write_text(DATA)
    target = tmp_path / "out"
    assert invoke("conformance", "import", suite, "--to", target).stdout.startswith("3 cases in 2 files")
    assert files(target) == ["load.case", "sub.case"]
    assert [case.name for case in load_suite(target).cases] == ["load", "sub/one", "sub/two"]
    assert (target / "sub.case").read_text().count("# Copyright, A\n") == 2


def test_import_goes_on_behind_a_broken_file(invoke: Invoke, suite: Path, tmp_path: Path) -> None:
    (suite / "bad.data").write_text("-- asm\nfrob\n-- result\n1\n")
    result = invoke("conformance", "import", suite, "--to", tmp_path / "out", code=1)
    assert result.stderr == f"error: {suite}/bad.data:2:1: unknown instruction 'frob'\n"
    assert files(tmp_path / "out") == ["load.case"]
    only = invoke("conformance", "import", suite / "bad.data", "--to", tmp_path / "none", code=1)
    assert only.stdout == ""
    assert not (tmp_path / "none").exists()


def test_import_overwrites_nothing(failure: Callable[..., str], invoke: Invoke, suite: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    (suite / "more.data").write_text(DATA)
    target.mkdir()
    (target / "more.case").write_text("mine")
    message = failure("conformance", "import", suite, "--to", target)
    assert message == f"error: {target}/more.case: is there already, nothing was written\n"
    assert files(target) == ["more.case"]
    twice = failure("conformance", "import", suite, suite / "load.data", "--to", tmp_path / "new")
    assert twice == f"error: {suite}/load.data: {suite}/load.data would be written as load, too\n"
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_imported(failure: Callable[..., str], invoke: Invoke, suite: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert failure("conformance", "import", tmp_path / "empty", "--to", tmp_path).endswith("there are no .data files\n")
    assert "--to: an empty file name" in failure("conformance", "import", suite, "--to", "")
    (tmp_path / "file").touch()
    assert "cannot be written (EEXIST" in failure("conformance", "import", suite, "--to", tmp_path / "file")
    none = invoke("conformance", "import", tmp_path / "none", "--to", tmp_path / "x", code=1)
    assert none.stderr == f"error: {tmp_path}/none: there is no such file or folder\n"


def test_a_file_that_cannot_be_finished_is_not_there(
    failure: Callable[..., str], suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(beside: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    message = failure("conformance", "import", suite, "--to", tmp_path / "out")
    assert message == f"error: {tmp_path}/out/load.case: cannot be written (ENOSPC: No space left on device)\n"
    assert os.listdir(tmp_path / "out") == []


# --- export -----------------------------------------------------------------------------------------------------------


def test_export_as_data(invoke: Invoke, suite: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    result = invoke("conformance", "export", "--suite", suite, "--format", "data", "--to", target, code=1)
    assert result.stdout == f"3 cases in 3 files written to {target}\n"
    refused = "error: sums/trap: a .data file expects one value of r0 and nothing else, not: trap memory; invalid\n"
    assert result.stderr == refused
    assert files(target) == ["load.data", "sums/add.1.data", "sums/add.2.data"]
    assert (target / "sums/add.2.data").read_text() == (
        "# Sums wrap\n# RFC 9669 4.1\n-- asm\nmov %r0, -1\nadd %r0, 1\nexit\n-- result\n0x0\n"
    )
    assert [case.name for case in load_suite(target).cases] == ["load", "sums/add.1", "sums/add.2"]


def test_export_as_json(invoke: Invoke, suite: Path, tmp_path: Path) -> None:
    command = ("conformance", "export", "--suite", suite, "--format", "json")
    records = json.loads(invoke(*command).stdout)
    assert [(record["name"], record["mem"], record["expected"]) for record in records] == [
        ("load", "0007", "0x7"),
        ("sums/add.1", "", "0x2"),
        ("sums/add.2", "", "0x0"),
        ("sums/trap", "0001", None),
    ]
    invoke(*command, "--to", tmp_path / "folder")
    assert json.loads((tmp_path / "folder/cases.json").read_text()) == records
    invoke(*command, "--to", tmp_path / "all.json", "load")
    assert json.loads((tmp_path / "all.json").read_text()) == records[:1]


def test_export_in_our_format(invoke: Invoke, suite: Path, tmp_path: Path) -> None:
    command = ("conformance", "export", "--suite", suite, "--format", "case")
    invoke(*command, "--to", tmp_path / "out")
    assert files(tmp_path / "out") == ["load.case", "sums.case"]
    original, written = load_suite(suite).cases, load_suite(tmp_path / "out").cases
    for one, other in zip(original, written, strict=True):
        assert (one.name, one.code, one.memory, one.expected, one.cite, one.about) == (
            other.name,
            other.code,
            other.memory,
            other.expected,
            other.cite,
            other.about,
        )
    (tmp_path / "one.case").write_text(invoke(*command, "sums/*").stdout)
    names = [case.name for case in load_suite(tmp_path / "one.case").cases]
    assert names == ["one/sums/add.1", "one/sums/add.2", "one/sums/trap"]


def test_one_case_as_data_on_standard_output(invoke: Invoke, failure: Callable[..., str], suite: Path) -> None:
    command = ("conformance", "export", "--suite", suite, "--format", "data")
    assert invoke(*command, "load").stdout.startswith("-- asm\nldxb %r0, [%r1+1]\n")
    assert failure(*command) == "error: a .data file has one case and these are 4: use --to DIR\n"
    assert failure(*command, "sums/trap").startswith("error: sums/trap: a .data file expects one value")


def test_public_cases_there_and_back(invoke: Invoke, shared_data: Path, tmp_path: Path) -> None:
    public = shared_data / "bpf_conformance"
    if not any(public.glob("*.data")):
        pytest.skip("needs bpf_conformance in ../shared/data")
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    invoke("conformance", "import", public, "--to", ours)
    invoke("conformance", "export", "--suite", ours, "--format", "data", "--to", theirs)
    suites = [load_suite(folder) for folder in (public, ours, theirs)]
    before, between, after = (
        [(case.name, case.code, case.memory, case.expected) for case in suite.cases] for suite in suites
    )
    assert len(before) >= 313
    assert before == between == after
    assert "SPDX-License-Identifier: Apache-2.0" in (ours / "callx.case").read_text()


@pytest.mark.parametrize("command", ["list", "import", "export"])
def test_help_has_examples(invoke: Invoke, command: str) -> None:
    text = invoke("conformance", command, "--help").stdout
    assert f"pybpftime conformance {command}" in text.partition("Examples:")[2]
