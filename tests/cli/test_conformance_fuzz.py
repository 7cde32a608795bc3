"""`pybpftime conformance fuzz` and `merge`: what they print, write, refuse, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pybpftime.cli.conformance import conformance
from pybpftime.cli.conformance_fuzz import Options
from pybpftime.conformance.fuzz.journal import create, load
from pybpftime.conformance.fuzz.plan import Plan
from pybpftime.errors import InputError
from tests.conformance.fuzz.test_journal import FINDING, filled


def run(*arguments: str) -> Result:
    return CliRunner().invoke(conformance, arguments, standalone_mode=False)


def refusal(*arguments: str) -> str:
    """The sentence of a command that is refused."""
    result = run(*arguments)
    assert getattr(result.exception, "exit_code", None) == 2
    return str(result.exception)


def options(**given: object) -> Options:
    values: dict[str, object] = dict.fromkeys(Options.__slots__)
    return Options(**(values | {"runtimes": ("reference",), "seed": 1, "part": "1/1", "out": "x"} | given))  # type: ignore[arg-type]


def test_a_right_runtime_has_no_findings(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("fuzz", "-r", "reference", "--count", "1", "--jobs", "1", "--groups", "base32", "--out", str(out))
    assert result.return_value == 0, result.output
    journal = load(out)
    assert journal.plan == Plan(("reference",), 1, ("base32",))
    assert f"{journal.plan.shard} programs in 1 shard: 0 findings" in result.output
    assert not list((out / "bugs").iterdir()) if (out / "bugs").exists() else True
    assert "go on with it (--resume)" in refusal("fuzz", "-r", "reference", "--out", str(out))
    again = run("fuzz", "--resume", "--count", "1", "--out", str(out))
    assert again.return_value == 0
    assert again.output == result.output


def test_findings_are_shown_and_end_with_1(tmp_path: Path) -> None:
    filled(tmp_path / "one", 0)
    filled(tmp_path / "two", 1)
    result = run("merge", str(tmp_path / "one"), str(tmp_path / "two"), "--to", str(tmp_path / "whole"))
    assert result.return_value == 1
    for part in (FINDING.title(), "r0 ^= r2", "reference, third: returned 0x123456799", "other: returned 0x0",
                 "100 programs in 2 shards: 1 finding", "other-xor_reg-value"):  # fmt: skip
        assert part in result.output
    assert (tmp_path / "whole" / "bugs" / "other-xor_reg-value" / "case.case").is_file()


def test_json_has_everything(tmp_path: Path) -> None:
    filled(tmp_path / "one", 0)
    result = run("merge", str(tmp_path / "one"), "--to", str(tmp_path / "whole"), "--json")
    data = json.loads(result.output)
    assert data["cases"] == 50
    assert data["findings"][0]["row"] == "xor_reg"
    assert data["runtimes"]["other"]["differences"] == 1


def test_what_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert "say which runtimes to ask" in refusal("fuzz", "--out", out)
    assert "no runtime 'nobody'" in refusal("fuzz", "-r", "nobody", "--out", out)
    assert "there is no group 'base16'" in refusal("fuzz", "-r", "reference", "--groups", "base16", "--out", out)
    assert "no campaign" in refusal("fuzz", "--resume", "--out", out)
    assert "programs need" in refusal("fuzz", "-r", "reference", "--groups", "atomic32", "--out", out)
    assert not Path(out).exists()
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refusal("fuzz", "-r", "reference", "--out", str(tmp_path / "file" / "out"))
    assert "no campaign" in refusal("merge", str(tmp_path / "file"), "--to", out)


def test_a_campaign_of_another_plan_is_not_gone_on_with(tmp_path: Path) -> None:
    create(tmp_path / "out", Plan(("reference",), 3), {})
    told = refusal("fuzz", "--resume", "-r", "reference", "--seed", "4", "--out", str(tmp_path / "out"))
    assert "a campaign of another plan" in told


@pytest.mark.parametrize("part", ["0/1", "2/1", "1", "a/b", "1/0", "1/1/1", "-1/2"])
def test_parts_are_numbered_from_one(part: str) -> None:
    with pytest.raises(InputError, match="K from 1 to N"):
        _ = options(part=part).numbered_part
    assert options(part="2/5").numbered_part == (2, 5)


def test_there_is_an_end_unless_the_time_is_one() -> None:
    assert options().cases == 20_000
    assert options(count=7).cases == 7
    assert options(seconds=3.0).cases is None
    assert options(seconds=3.0, count=7).cases == 7
