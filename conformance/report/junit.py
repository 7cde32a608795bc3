"""JUnit XML, as CI servers read it: a test suite for each runtime and area, a test case for each case.

There is no standard; this is what Jenkins, GitLab and the actions for GitHub take: `testsuites`, `testsuite`,
`properties`, `testcase` with `failure`, `error` or `skipped`.  What was not run is skipped and says why.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from pybpftime.conformance.case import Case
from pybpftime.conformance.judge import Result, Status, answered, described
from pybpftime.conformance.report.data import Report, RuntimeRun
from pybpftime.conformance.report.document import disassembly, shortened
from pybpftime.conformance.run.selection import AREAS, area

# What XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """The text of the file."""
    root = ET.Element("testsuites", name="eBPF conformance", time=_seconds(report.seconds))
    for run in report.runs:
        for name in AREAS:
            cases = [case for case in report.cases if area(case) == name]
            if cases:
                _suite(root, report, run, name, cases)
    if report.problems:
        suite = ET.SubElement(root, "testsuite", name="suite", time="0.000")
        for problem in report.problems:
            one = _testcase(suite, str(getattr(problem, "file", None) or "runtime"), "suite", 0.0)
            _says(ET.SubElement(one, "error", type="not usable"), str(problem))
        _count(suite)
    for what in ("tests", "failures", "errors", "skipped"):
        root.set(what, str(sum(int(suite.get(what, "0")) for suite in root)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, report: Report, run: RuntimeRun, name: str, cases: Sequence[Case]) -> None:
    results = [run.results.get(case.name) for case in cases]
    suite = ET.SubElement(
        root,
        "testsuite",
        name=_clean(f"{run.profile.name}: {name}"),
        timestamp=report.started.replace(tzinfo=None).isoformat(timespec="seconds"),
        time=_seconds(sum(result.seconds for result in results if result is not None)),
    )
    properties = ET.SubElement(suite, "properties")
    for key, value in (("runtime", run.profile.name), ("version", run.profile.version), ("given", run.given),
                       ("complete", str(report.complete).lower())):  # fmt: skip
        ET.SubElement(properties, "property", name=key, value=_clean(value))
    for case, result in zip(cases, results, strict=True):
        seconds = 0.0 if result is None else result.seconds
        _judged(_testcase(suite, case.name, run.profile.name, seconds), report, run, case, result)
    _count(suite)


def _testcase(suite: ET.Element, name: str, runtime: str, seconds: float) -> ET.Element:
    folder = name.rpartition("/")[0].replace("/", ".")
    classname = _clean(f"{runtime}.{folder}" if folder else runtime)
    return ET.SubElement(suite, "testcase", name=_clean(name), classname=classname, time=_seconds(seconds))


def _judged(one: ET.Element, report: Report, run: RuntimeRun, case: Case, result: Result | None) -> None:
    if result is None:
        ET.SubElement(one, "skipped", message=f"not run: {report.stopped or 'the run is not over'}")
    elif result.status is Status.FAILED:
        kind = "failed" if result.outcome is None else str(result.outcome.kind)
        _says(ET.SubElement(one, "failure", type=kind), result.why, _failure(report, run, case, result))
    elif result.status is not Status.PASSED:
        before = "not applicable: " if result.status is Status.NOT_APPLICABLE else ""
        ET.SubElement(one, "skipped", message=_clean(f"{before}{result.why}"))


def _failure(report: Report, run: RuntimeRun, case: Case, result: Result) -> str:
    expected = " or ".join(described(expectation) for expectation in case.expected)
    got = "nothing" if result.outcome is None else shortened(answered(result.outcome))
    lines = [f"expected {expected}", f"got {got}", *disassembly(case.code), f"repeat: {report.repeat(run, case)}"]
    return "\n".join([*([case.cite] if case.cite else []), *lines])


def _says(element: ET.Element, message: str, text: str = "") -> None:
    element.set("message", _clean(shortened(message)))
    element.text = _clean(text) or None


def _count(suite: ET.Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for attribute, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(element) is not None for case in cases)))


def _clean(text: str) -> str:
    """Text without the characters that XML has not, written as \\x1b."""
    return _NOT_XML.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
