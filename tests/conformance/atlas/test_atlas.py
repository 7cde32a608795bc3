"""The atlas: its questions, how answers stand to them, and the page that is checked in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pybpftime.cli.main import cli
from pybpftime.conformance.atlas.explanations import Why, explanations
from pybpftime.conformance.atlas.html import html
from pybpftime.conformance.atlas.markdown import markdown
from pybpftime.conformance.atlas.survey import Atlas, Standing, probes, survey
from pybpftime.conformance.case import Case, Expectation, Signature, Verdict
from pybpftime.conformance.runtime import Limit, Outcome, OutcomeKind, Profile
from pybpftime.conformance.runtimes.dpdk import DpdkRuntime
from pybpftime.conformance.runtimes.in_process import ReferenceRuntime
from pybpftime.conformance.runtimes.profiles import open_runtime
from pybpftime.errors import BpfError
from pybpftime.kernel import available

PAGE = Path(__file__).resolve().parents[3] / "docs" / "atlas.md"
EXIT = bytes.fromhex("9500000000000000")


@pytest.fixture(scope="module")
def reference() -> Atlas:
    return survey([ReferenceRuntime()])


def answers(atlas: Atlas) -> dict[str, str]:
    return {entry.case.name: str(entry.answers[0]) for entry in atlas.entries}


def test_every_question_has_a_clause_a_question_and_reasons() -> None:
    cases = probes()
    assert len(cases) >= 100
    for case in cases:
        assert case.cite, case.name
        assert case.about.endswith("?"), case.name
        assert all(expectation.why for expectation in case.expected), case.name


def test_the_reference_has_no_difference(reference: Atlas) -> None:
    assert [entry.case.name for _, entry, _ in reference.differences()] == []


def test_where_rfc_9669_says_what_is_right_the_reference_says_so(reference: Atlas) -> None:
    """But for what Linux and clang have beyond it."""
    other = {
        entry.case.name
        for entry in reference.entries
        if entry.specified != "unspecified" and entry.answers[0].standing is not Standing.SPECIFIED
    }
    assert other == {"calls/callx", "encoding/mov_offset_1", "jumps/may_goto", "memory/load_acquire"}


def test_every_difference_of_the_kernel_has_a_reason() -> None:
    reason = available()
    if reason is not None:
        pytest.skip(f"needs bpf(2): {reason}")
    runtime = open_runtime("kernel")
    atlas = survey([runtime])
    runtime.close()
    assert [entry.case.name for _, entry, _ in atlas.differences()] == ["encoding/exit_offset"]
    assert all(answer.explanation for _, _, answer in atlas.differences())


@pytest.fixture(scope="module")
def dpdk() -> Iterator[Atlas]:
    if shutil.which("pkg-config") is None:
        pytest.skip("needs pkg-config")
    try:
        runtimes = [DpdkRuntime("interpreter", 3.0), DpdkRuntime("jit", 3.0)]
    except BpfError as error:
        pytest.skip(f"needs libdpdk-dev: {error}")
    yield survey(runtimes)
    for runtime in runtimes:
        runtime.close()


def test_every_difference_of_dpdk_has_a_reason(dpdk: Atlas) -> None:
    differences = list(dpdk.differences())
    assert differences
    assert [entry.case.name for _, entry, answer in differences if answer.explanation is None] == []


def test_every_reason_is_needed(dpdk: Atlas) -> None:
    if not dpdk.runtimes[0].version.startswith("22.11"):
        pytest.skip(f"needs DPDK 22.11, this is {dpdk.runtimes[0].version}")
    used = {answer.explanation for _, _, answer in dpdk.differences()}
    assert [one for one in explanations() if one.runtime.startswith("dpdk") and one not in used] == []


class Stub:
    """A runtime that gives one answer to everything."""

    def __init__(self, outcome: Outcome, limits: tuple[Limit, ...] = ()) -> None:
        self.profile = Profile("stub", limits=limits, refuses=frozenset({Verdict.MALFORMED}))
        self.outcome = outcome

    def run(self, case: Case) -> Outcome:
        return self.outcome

    def close(self) -> None: ...


def asked(outcome: Outcome, why: str, limits: tuple[Limit, ...] = ()) -> Atlas:
    right = Expectation(Verdict.RETURN, Signature({0: 1}), why=why)
    return survey([Stub(outcome, limits)], [Case("jumps/stub", EXIT, (right,), about="What?", cite="RFC 9669 4.3")])


def returned(value: int) -> Outcome:
    return Outcome(OutcomeKind.RETURNED, Signature({0: value}))


@pytest.mark.parametrize(
    ("value", "why", "standing"),
    [
        (1, "RFC 9669 4.3: it is so", Standing.SPECIFIED),
        (1, "RFC 9669 says nothing", Standing.ALLOWED),
        (2, "RFC 9669 4.3: it is so", Standing.DIFFERENT),
    ],
)
def test_standing(value: int, why: str, standing: Standing) -> None:
    assert asked(returned(value), why).entries[0].answers[0].standing is standing


def test_a_limit_of_the_profile_is_the_reason() -> None:
    atlas = asked(returned(2), "RFC 9669 4.3", (Limit("exit", "it has no exit"),))
    explanation = atlas.entries[0].answers[0].explanation
    assert explanation is not None
    assert (explanation.why, explanation.text) == (Why.LIMIT, "it has no exit.")


def test_pages_show_what_has_no_reason_and_escape_what_runtimes_say() -> None:
    atlas = asked(Outcome(OutcomeKind.GARBAGE, message="<script>\"alert('x')\"</script>"), "RFC 9669 4.3")
    assert "**garbage** [1]" in markdown(atlas)
    assert "**Not explained.**" in markdown(atlas)
    page = html(atlas)
    assert "<script" not in page
    assert "&lt;script&gt;&quot;alert" in page


def test_the_page_that_is_checked_in_has_the_reference_as_it_is(reference: Atlas) -> None:
    """Other columns depend on the machine."""
    fresh = [line for line in markdown(reference).splitlines() if line.startswith("| ") and "`" in line]
    kept = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ") and "`" in line]
    assert [line.rstrip(" |") for line in fresh] == [" | ".join(line.split(" | ")[:4]).rstrip(" |") for line in kept]


def test_the_command_prints_json() -> None:
    result = CliRunner().invoke(cli, ["conformance", "atlas", "-r", "reference", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    assert document["runtimes"][0]["name"] == "reference"
    assert {one["answers"][0]["standing"] for one in document["questions"]} <= {str(one) for one in Standing}


def test_a_runtime_that_is_not_there_is_one_line() -> None:
    result = CliRunner().invoke(cli, ["conformance", "atlas", "-r", "nowhere"])
    assert result.exit_code == 1
    assert "no runtime 'nowhere'" in result.output
    assert len(result.output.strip().splitlines()) == 1
