"""Campaigns on disk: killed at any time, gone on with, merged; and what is written about a finding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pybpftime.conformance.formats.case_text import read_cases
from pybpftime.conformance.formats.data_file import read_data
from pybpftime.conformance.fuzz.campaign import shard_numbers
from pybpftime.conformance.fuzz.comparison import Kind
from pybpftime.conformance.fuzz.findings import Finding, from_dict, merged
from pybpftime.conformance.fuzz.journal import CAMPAIGN, JOURNAL, Journal, create, load, merge, summary
from pybpftime.conformance.fuzz.plan import Plan
from pybpftime.conformance.fuzz.reproducer import files, folder_name
from pybpftime.conformance.fuzz.shard import ShardResult, Tally
from pybpftime.conformance.judge import Status, judge
from pybpftime.errors import InputError
from pybpftime.isa import encode_program
from pybpftime.isa.assembler import assemble
from tests.conformance.fuzz.planted import Planted

PLAN = Plan(("reference",), seed=4, shard=50)
CODE = encode_program(assemble("r2 = *(u8 *)(r1 + 0)\nr0 = 0x123456789 ll\nr0 ^= r2\nexit"))
FINDING = Finding(
    "other", Kind.VALUE, "xor_reg", "fuzz/4/0/17", CODE, b"\x10", 0x123456799, b"\x10",
    {"reference": "returned 0x123456799", "other": "returned 0x0", "third": "returned 0x123456799"},
    ("step 3, slot 3: r0 ^= r2 (xor_reg)",), 3,
)  # fmt: skip


def shard(number: int, *findings: Finding) -> ShardResult:
    result = ShardResult(number, cases=50, tallies={"other": Tally(asked=50, differences=len(findings))})
    result.rows.update(["xor_reg", "exit"])
    result.findings = list(findings)
    return result


def filled(folder: Path, *numbers: int, finding: Finding = FINDING) -> Journal:
    journal = create(folder, PLAN, {"other": "1.0"})
    for number in numbers:
        assert journal.add(shard(number, finding))
    return journal


def test_a_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = filled(tmp_path / "a", 0, 3)
    read = load(tmp_path / "a")
    assert (read.plan, read.shards, read.versions) == (written.plan, written.shards, {"other": "1.0"})
    assert read.findings[0].count == 6


def test_half_a_line_is_no_shard_and_is_written_over(tmp_path: Path) -> None:
    filled(tmp_path, 0, 1)
    path = tmp_path / JOURNAL
    path.write_bytes(path.read_bytes()[:-20])
    journal = load(tmp_path)
    assert set(journal.shards) == {0}
    journal.add(shard(1))
    journal.add(shard(2))
    assert set(load(tmp_path).shards) == {0, 1, 2}
    assert path.read_bytes().count(b"\n") == 3


def test_a_line_that_ends_and_is_none_is_an_error(tmp_path: Path) -> None:
    filled(tmp_path, 0)
    with (tmp_path / JOURNAL).open("a") as file:
        file.write('{"shard": 1}\n')
    with pytest.raises(InputError, match=r"journal\.jsonl:2: no shard"):
        load(tmp_path)


def test_a_shard_counts_once(tmp_path: Path) -> None:
    journal = filled(tmp_path, 5)
    assert not journal.add(shard(5, FINDING, FINDING))
    assert load(tmp_path).findings[0].count == 3


def test_a_folder_with_a_campaign_is_not_overwritten(tmp_path: Path) -> None:
    filled(tmp_path, 0)
    with pytest.raises(InputError, match="there is a campaign already"):
        create(tmp_path, PLAN, {})


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 3}', '{"format": "pybpftime-fuzz 1"}', "\0"])
def test_a_damaged_description_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / CAMPAIGN).write_text(text)
    with pytest.raises(InputError, match=CAMPAIGN):
        load(tmp_path)


def test_parts_merge_into_what_one_run_would_be(tmp_path: Path) -> None:
    filled(tmp_path / "one", 0, 2, 4)
    filled(tmp_path / "two", 1, 3, 4)
    whole = merge([tmp_path / "one", tmp_path / "two"], tmp_path / "whole")
    assert sorted(whole.shards) == [0, 1, 2, 3, 4]
    assert summary(whole) == summary(filled(tmp_path / "all", *range(5)))
    assert load(tmp_path / "whole").findings == whole.findings
    assert (tmp_path / "whole" / "bugs" / folder_name(FINDING) / "README.txt").is_file()


def test_another_campaign_does_not_merge(tmp_path: Path) -> None:
    filled(tmp_path / "one", 0)
    create(tmp_path / "two", Plan(("reference",), seed=5, shard=50), {})
    with pytest.raises(InputError, match="seed is 5, not 4"):
        merge([tmp_path / "one", tmp_path / "two"], tmp_path / "whole")
    assert not (tmp_path / "whole").exists()


def test_parts_share_the_shards_out_without_those_that_are_done(tmp_path: Path) -> None:
    journal = filled(tmp_path, 2, 3)
    assert list(shard_numbers(journal, 301)) == [0, 1, 4, 5, 6]
    assert [list(shard_numbers(journal, 301, (part, 3))) for part in (1, 2, 3)] == [[0, 6], [1, 4], [5]]


def test_the_same_bug_is_reported_once_with_its_shortest_case() -> None:
    other = from_dict(FINDING.as_dict() | {"code": CODE[8:].hex(), "count": 4})
    elsewhere = from_dict(FINDING.as_dict() | {"kind": "trap"})
    first, second = merged([FINDING, elsewhere, other])
    assert (first.count, first.code, second.kind) == (7, CODE[8:], Kind.TRAP)
    assert from_dict(json.loads(json.dumps(FINDING.as_dict()))) == FINDING


def test_a_case_of_wrong_memory_expects_the_right_one() -> None:
    wrong = from_dict(FINDING.as_dict() | {"kind": "memory", "left": "42"})
    assert wrong.case("x").expected[0].signature.memory == b"\x42"
    assert "in memory then 42" in files(wrong, {})["README.txt"]
    assert FINDING.case("x").expected[0].signature.memory is None


def test_those_who_agree_stand_together() -> None:
    assert FINDING.agreement == [("returned 0x123456799", ["reference", "third"]), ("returned 0x0", ["other"])]
    assert FINDING.title() == "other returns another value: xor_reg (RFC 9669 section 4.1)"


def test_a_reproducer_says_the_same_in_every_format() -> None:
    texts = files(FINDING, {"other": "1.0"})
    (case,) = read_cases(texts["case.case"])
    for one in (case, read_data(texts["case.data"])):
        assert (one.code, one.memory) == (CODE, b"\x10")
        runtime = Planted()
        assert judge(one, runtime.profile, runtime.run(one)).status is Status.PASSED
    assert bytes.fromhex(texts["program.hex"]) == CODE
    assert encode_program(assemble(texts["program.s"])) == CODE
    assert texts["program.h"].count("0x") == len(CODE) + 1 + 1
    for part in (
        "xor_reg",
        "RFC 9669 section 4.1",
        "other 1.0",
        "fuzz/4/0/17",
        "reference, third",
        "step 3",
        "--runtime",
    ):
        assert part in texts["README.txt"]
    assert folder_name(FINDING) == "other-xor_reg-value"
