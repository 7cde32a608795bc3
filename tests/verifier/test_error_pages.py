"""docs/errors: every page shows a program that is refused, the message as it is printed, and a program that is safe."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

from pybpftime.verifier import Verdict
from pybpftime.verifier.reasons import REASONS
from tools import build_fixtures, gen_error_docs
from tools.gen_error_docs import SOURCES, TARGET, Case, cases, normalised, page

CASES = cases()
KINDS = 35
"""Reasons that have a page, at least."""
pytestmark = pytest.mark.skipif(importlib.util.find_spec("z3") is None, reason="needs z3, which finds the inputs")


def by_name(case: Case) -> str:
    return case.stem


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_the_broken_program_is_refused_with_this_message(case: Case) -> None:
    assert normalised((TARGET / f"{case.stem}.md").read_text("utf-8")) == normalised(page(case))


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_the_fixed_program_is_safe(case: Case) -> None:
    answer = case.verify("fixed")
    assert answer.report is not None, answer.error
    assert answer.report.verdict is Verdict.SAFE, answer.report.objection


def test_there_is_no_other_page_and_the_index_has_all() -> None:
    assert {path.stem for path in TARGET.glob("*.md")} == {case.stem for case in CASES} | {"README"}
    text = (TARGET / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| \[.*\]\((.*)\.md\) \| `(.*?)` \|", text, re.MULTILINE)
    assert [stem for stem, _ in rows] == [case.stem for case in CASES]
    assert len({code for _, code in rows}) >= KINDS
    named = {code for _, code in rows} | set(re.findall(r"^\| `(.*?)` \|", text, re.MULTILINE))
    assert named == set(REASONS)


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_a_page_is_named_after_its_reason_or_says_another(case: Case) -> None:
    """The index and the verdict of each page follow from the page itself."""
    text = (TARGET / f"{case.stem}.md").read_text("utf-8")
    found = re.search(r"^Reason `(.*?)` .* Verdict: (.*)\.$", text, re.MULTILINE)
    assert found is not None
    assert f"[{found[1]}]" in text
    assert (f"| `{found[1]}` |", f"| {found[2]} |") == _cells(case.stem)
    assert (gen_error_docs.INPUT in text) == (found[2] == "unsafe")


def _cells(stem: str) -> tuple[str, str]:
    text = (TARGET / "README.md").read_text("utf-8")
    line = next(line for line in text.splitlines() if f"]({stem}.md)" in line)
    cells = line.split("|")
    return f"|{cells[2]}|", f"|{cells[4]}|"


def test_objects_are_what_a_build_gives() -> None:
    if not shutil.which("clang-19"):
        pytest.skip("needs clang-19")
    if not Path("/usr/include/bpf/bpf_helpers.h").exists():
        pytest.skip("needs the headers of libbpf")
    wanted = gen_error_docs.objects()
    assert build_fixtures.stale("clang-19", wanted, SOURCES) == []
    assert {item.name for item in wanted} == {path.name for path in SOURCES.glob("*.o")}
