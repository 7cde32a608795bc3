"""Suites: what is found in folders, what is wrong with it, and what is chosen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pybpftime.conformance.suite import MAX_FILE, Suite, default_suite, load_suite
from pybpftime.errors import InputError
from pybpftime.isa import Group

CASE = "case {}\n asm: exit\n expect: return\n"
DATA = "-- asm\nexit\n-- result\n0x1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two formats, subfolders, and files that are none of ours."""
    for name, text in {
        "b.data": DATA,
        "a.case": CASE.format("x") + CASE.format("y"),
        "sub/deep/c.case": CASE.format(""),
        "sub/d.data": DATA,
        "README.md": "no case",
        ".hidden/e.case": "broken",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def names(suite: Suite) -> list[str]:
    return [case.name for case in suite.cases]


def problems(suite: Suite) -> list[str]:
    return [str(problem) for problem in suite.problems]


def test_a_folder_is_read_with_its_subfolders(folder: Path) -> None:
    suite = load_suite(folder)
    assert names(suite) == ["a/x", "a/y", "b", "sub/d", "sub/deep/c"]
    assert suite.problems == ()
    assert [case.file for case in suite.cases][-1] == str(folder / "sub/deep/c.case")
    assert [case.line for case in suite.cases] == [1, 4, 1, 1, 1]


def test_names_and_places_do_not_depend_on_where_the_folder_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert next(case.file for case in load_suite(".").cases) == os.path.join(".", "a.case")
    assert [case.file for case in load_suite("sub/").cases] == ["sub/d.data", "sub/deep/c.case"]
    assert names(load_suite("sub/")) == ["d", "deep/c"]
    assert [case.file for case in load_suite(folder, shown="ours").cases][:1] == ["ours/a.case"]


def test_one_file_is_a_suite(folder: Path) -> None:
    assert names(load_suite(folder / "a.case")) == ["a/x", "a/y"]
    assert names(load_suite(folder / "sub/d.data")) == ["d"]


def test_only_some_suffixes(folder: Path) -> None:
    assert names(load_suite(folder, suffixes=(".data",))) == ["b", "sub/d"]
    assert problems(load_suite(folder / "a.case", suffixes=(".data",))) == [
        f"{folder}/a.case: expected a folder, or a file with cases (.data)"
    ]


def test_a_broken_file_is_a_problem_and_the_others_load(folder: Path) -> None:
    (folder / "a.case").write_text(CASE.format("x") + "nonsense\n")
    (folder / "b.data").write_bytes(b"-- asm\n\xff\xfe\n")
    (folder / "sub/d.data").unlink()
    os.mkfifo(folder / "sub/d.data")
    (folder / "sub/white space.case").write_text(CASE)
    (folder / "sub/gone.case").symlink_to(folder / "nowhere")
    (folder / "sub/folder.case").mkdir()
    suite = load_suite(folder, shown="f")
    assert names(suite) == ["sub/deep/c"]
    rule = "letters, digits, _ - and . (not in front) make a name, / divides it"
    assert problems(suite) == [
        "f/a.case:4: expected `case NAME: what it is about`, or an indented field",
        "f/b.data:2: is no text in UTF-8",
        "f/sub/d.data: is no file with contents",
        "f/sub/gone.case: cannot be read: No such file or directory",
        f"f/sub/white space.case: 'sub/white space' becomes part of names of cases: {rule}",
    ]


def test_what_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert problems(load_suite(tmp_path / "none", shown="none")) == ["none: there is no such file or folder"]
    assert problems(load_suite("\0", shown="none")) == ["none: there is no such file or folder"]
    assert problems(load_suite("x\0.case", shown="none"))[0].startswith("none: 'x\\x00' becomes part of names")
    (tmp_path / "x.txt").touch()
    [problem] = problems(load_suite(tmp_path / "x.txt", shown="x.txt"))
    assert problem == "x.txt: expected a folder, or a file with cases (.case or .data)"
    assert load_suite(tmp_path) == Suite(())


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x.data").open("wb") as stream:
        stream.truncate(MAX_FILE + 1)
    assert problems(load_suite(tmp_path, shown="f")) == ["f/x.data: has more than 16 MiB"]


@pytest.mark.skipif(os.geteuid() == 0, reason="needs to be no superuser, whom permissions do not stop")
def test_a_folder_that_cannot_be_read_is_a_problem(folder: Path) -> None:
    (folder / "sub").chmod(0)
    try:
        assert problems(load_suite(folder, shown="f")) == ["f/sub: cannot be read: Permission denied"]
    finally:
        (folder / "sub").chmod(0o755)


def test_a_name_is_given_once(folder: Path) -> None:
    (folder / "b.case").write_text(CASE.format(""))
    suite = load_suite(folder, shown="f")
    assert names(suite) == ["a/x", "a/y", "b", "sub/d", "sub/deep/c"]
    assert problems(suite) == ["f/b.data:1: f/b.case:1 has a case b already"]


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "x.case").write_text("\ufeff" + CASE.format("y"))
    assert names(load_suite(tmp_path)) == ["x/y"]


def test_cases_are_chosen_by_name_and_group(folder: Path) -> None:
    (folder / "wide.case").write_text("case x\n asm:\n  mul %r1, %r2\n  exit\n expect: return\n")
    suite = load_suite(folder)
    assert names(suite.select(["a/*", "*/c"])) == ["a/x", "a/y", "sub/deep/c"]
    assert "wide/x" not in names(suite.select(groups=[Group.BASE64]))
    assert names(suite.select(["wide/*"], [Group.DIVMUL64, Group.BASE64])) == ["wide/x"]
    with pytest.raises(InputError, match="no case is named nope"):
        suite.select(["nope"])


def test_our_corpus_loads() -> None:
    suite = default_suite()
    assert problems(suite) == []
    assert len(suite.cases) > 2000
    assert all(case.cite for case in suite.cases)
    assert {case.file.partition("/cases/")[0] for case in suite.cases} == {"conformance"}
