"""JUnit XML, badge and the writing of files."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from support.report_example import cases, example

from pybpftime.conformance.judge import Status
from pybpftime.conformance.replacing import replace_file
from pybpftime.conformance.report.badge import GREEN, GREY, RED, badge
from pybpftime.conformance.report.files import Targets, write
from pybpftime.conformance.report.junit import junit
from pybpftime.errors import HostError

# The shape that readers of JUnit XML share: element -> (attributes that must be, that may be, children).
SHAPE = {
    "testsuites": ({"tests", "failures", "errors"}, {"name", "time", "skipped"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time"},
        {"timestamp"},
        {"properties", "testcase"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": ({"name", "classname", "time"}, set(), {"failure", "error", "skipped"}),
    "failure": ({"message", "type"}, set(), set()),
    "error": ({"message", "type"}, set(), set()),
    "skipped": ({"message"}, set(), set()),
}


def check_shape(element: ET.Element) -> int:
    """How many elements there are, all of the shape."""
    required, allowed, children = SHAPE[element.tag]
    assert required <= set(element.keys()) <= required | allowed, element.tag
    assert {child.tag for child in element} <= children
    return 1 + sum(check_shape(child) for child in element)


@pytest.mark.parametrize("judged", [6, 2, 0])
def test_junit_has_the_shape_that_readers_share(judged: int) -> None:
    root = ET.fromstring(junit(example(cases()[:judged])))
    assert check_shape(root) > 20
    for suite in root:
        for attribute, element in (
            ("tests", "."),
            ("failures", "failure"),
            ("errors", "error"),
            ("skipped", "skipped"),
        ):
            counted = len(suite.findall("testcase" if element == "." else f"testcase/{element}"))
            assert int(suite.get(attribute, "-1")) == counted
    assert root.get("tests") == "7"
    assert (root.get("failures"), root.get("errors")) == (str({6: 3, 2: 1, 0: 0}[judged]), "1")


def test_junit_says_what_was_expected_and_how_to_repeat_it() -> None:
    root = ET.fromstring(junit(example(cases())))
    [failure] = root.findall(".//testcase[@name='a/wrong']/failure")
    assert failure.get("message") == "r0 is 0x8, expected 0x7"
    assert failure.text is not None
    assert failure.text.splitlines()[:2] == ["expected return 0x7", "got returned 0x8"]
    assert "repeat: pybpftime conformance run --runtime './fake --option' --suite 'suite dir' a/wrong" in failure.text
    assert [one.get("message") for one in root.iter("skipped")] == [
        "not today",
        "not applicable: fake does not claim divmul64",
    ]


def test_junit_skips_what_was_not_reached() -> None:
    report = example([])
    report.stopped = "interrupted by SIGINT"
    root = ET.fromstring(junit(report))
    assert {one.get("message") for one in root.iter("skipped")} == {"not run: interrupted by SIGINT"}
    assert len(list(root.iter("skipped"))) == 6


def test_junit_holds_characters_that_xml_has_not() -> None:
    text = junit(example(cases()))
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", text)
    [failure] = ET.fromstring(text).findall(".//testcase[@name='b/hostile']/failure")
    assert "\\x1b[2J\\x00" in (failure.get("message") or "")
    assert "</script><script>" in (failure.text or "")


# --- badge ------------------------------------------------------------------------------------------------------------


def test_the_badge_counts_failures() -> None:
    text = badge(example(cases()))
    root = ET.fromstring(text)
    assert root.get("aria-label") == "eBPF conformance: 1 passed, 3 failed"
    assert RED in text
    assert GREEN not in text


def test_the_badge_is_green_only_when_everything_passed() -> None:
    report = example(cases())
    [run] = report.runs
    run.results = {name: replace(one, status=Status.PASSED) for name, one in run.results.items()}
    assert GREEN in badge(report)
    del run.results["a/wrong"]
    text = badge(report)
    assert GREEN not in text
    assert GREY in text
    assert "5 passed, not complete" in text


def test_the_badge_is_grey_when_nothing_ran() -> None:
    assert GREY in badge(example([]))


# --- files ------------------------------------------------------------------------------------------------------------


def test_every_file_that_is_wanted_is_written(tmp_path: Path) -> None:
    names = {kind: str(tmp_path / kind) for kind in ("json", "junit", "html", "badge")}
    write(example(cases()), Targets(**names), final=True)
    starts = {kind: Path(name).read_text("utf-8")[:14] for kind, name in names.items()}
    assert starts["json"].startswith('{\n"format": ')
    assert starts["junit"] == "<?xml version="
    assert starts["html"] == "<!DOCTYPE html"
    assert starts["badge"].startswith("<svg ")
    assert sorted(os.listdir(tmp_path)) == sorted(names), "nothing else stays behind"


def test_a_file_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("before")
    target.chmod(0o640)
    link.symlink_to(target)
    replace_file(str(link), "after")
    assert link.is_symlink()
    assert target.read_text() == "after"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace_file(str(tmp_path / "new"), "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    replace_file(os.devnull, "text")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize("name", ["no/such/folder/file", "."])
def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(HostError, match="cannot be written"):
        replace_file(str(tmp_path / name), "text")
    assert not list(tmp_path.iterdir())
