"""The JSON report: what it says, its schema, its partial form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.fake_runtimes import case
from support.report_example import DIVISION, cases, example

from pybpftime.conformance.case import Expectation, Signature, Verdict
from pybpftime.conformance.judge import Status
from pybpftime.conformance.report.data import tallies, tally
from pybpftime.conformance.report.document import LONGEST_MESSAGE, digest, document
from pybpftime.conformance.report.files import json_text

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    path = ROOT / "docs/reference/conformance-report.schema.json"
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(content)
    return content


@pytest.mark.parametrize("judged", [6, 2, 0])
@pytest.mark.parametrize("cells", [True, False])
def test_reports_keep_to_the_schema(schema: dict[str, Any], judged: int, cells: bool) -> None:
    report = example(cases()[:judged], cells=cells)
    data = json.loads(json_text(document(report)))
    jsonschema.validate(data, schema)
    assert data["complete"] == (judged == 6)


def test_the_schema_knows_every_field(schema: dict[str, Any]) -> None:
    """A field that is written and not described is a mistake."""

    def closed(part: Any) -> Any:
        if isinstance(part, list):
            return [closed(one) for one in part]
        if not isinstance(part, dict):
            return part
        shut = {name: closed(value) for name, value in part.items()}
        return shut | {"additionalProperties": False} if isinstance(part.get("properties"), dict) else shut

    data = json.loads(json_text(document(example(cases()))))
    jsonschema.validate(data, closed(schema))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data | {"another": 1}, closed(schema))


def test_every_case_has_its_result() -> None:
    data = document(example(cases()))
    statuses = [one["results"][0]["status"] for one in data["cases"]]
    assert statuses == ["passed", "failed", "failed", "skipped", "not applicable", "failed"]
    wrong = data["cases"][1]
    assert wrong["results"][0]["outcome"] == {
        "kind": "returned",
        "registers": {"r0": "0x8", "r3": "0x9"},
        "memory": "01ff",
        "stack": "00" * 8,
        "trap": None,
        "pc": None,
        "message": "",
    }
    assert wrong["results"][0]["repeat"] == (
        "pybpftime conformance run --runtime './fake --option' --suite 'suite dir' a/wrong"
    )
    assert wrong["disassembly"][2] == "    2: r0 /= r1"
    assert data["cases"][0]["results"][0]["outcome"] is None


def test_a_long_message_is_cut() -> None:
    message = document(example(cases()))["cases"][5]["results"][0]["outcome"]["message"]
    assert message == "x" * LONGEST_MESSAGE + "... (6,000 characters more)"


def test_skips_are_never_passes() -> None:
    report = example(cases())
    counts = tally(report.cases, report.runs[0])
    assert (counts.run, counts.passed, counts.failed, counts.skipped, counts.not_applicable) == (4, 1, 3, 1, 1)
    assert dict(counts.reasons) == {
        (Status.SKIPPED, "not today"): 1,
        (Status.NOT_APPLICABLE, "fake does not claim divmul64"): 1,
    }


def test_every_case_counts_in_one_area() -> None:
    report = example(cases()[:2])
    found = tallies(report.cases, report.runs[0])
    assert {name: counts.cases for name, counts in found.items()} == {
        "base32": 1,
        "base64": 2,
        "divmul64": 2,
        "maps": 1,
    }
    assert found["divmul64"].missing == 1
    assert sum(counts.cases for counts in found.values()) == len(report.cases)


def test_cells_lead_from_cases_to_coverage() -> None:
    data = document(example(cases()))
    coverage = data["coverage"]
    division = [coverage["cells"][index] for index in data["cases"][1]["cells"]]
    assert {"row": "div_reg", "operand": "src", "class": "one", "cases": 2} in division
    assert coverage["reached"] == sum(one["cases"] > 0 for one in coverage["cells"])
    assert coverage["reachable"] == len(coverage["cells"])


def test_the_digest_is_of_what_is_judged() -> None:
    one = case("a")
    assert digest([one]) == digest([replace(one, about="other", file="b", line=9)])
    others = [replace(one, name="b"), replace(one, code=DIVISION), replace(one, memory=b""), replace(one, budget=9)]
    others.append(replace(one, expected=(Expectation(Verdict.RETURN, Signature({0: 8})),)))
    assert len({digest([other]) for other in (one, *others)}) == 6
