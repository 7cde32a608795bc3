"""Campaigns in processes: every shard once, whatever happens to the processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybpftime.conformance.fuzz.campaign import Campaign, Progress, shard_numbers
from pybpftime.conformance.fuzz.comparison import Kind
from pybpftime.conformance.fuzz.journal import Journal, create, load
from pybpftime.conformance.fuzz.plan import Plan, do_shard, plan_from_dict
from pybpftime.errors import HostError, InputError
from tests.conformance.fuzz.planted import Planted, open_planted

BUG = "xor_reg/and"


def plan(*runtimes: str, shard: int = 60, seed: int = 1) -> Plan:
    return Plan(runtimes, seed, shard=shard, opener=open_planted)


def journal_of(folder: Path, chosen: Plan) -> Journal:
    return create(folder, chosen, {})


def test_a_campaign_does_every_shard_once_and_finds_what_one_process_finds(tmp_path: Path) -> None:
    chosen = plan("right", BUG)
    seen: list[Progress] = []
    journal = journal_of(tmp_path, chosen)
    Campaign(journal, jobs=2, watch=seen.append).run(shard_numbers(journal, 120))
    assert sorted(journal.shards) == [0, 1]
    assert [finding.row for finding in journal.findings] == ["xor_reg"]
    for number, shard in journal.shards.items():
        alone = do_shard(chosen, number)
        assert shard.rows == alone["rows"]
        assert {name: tally.as_dict()["differences"] for name, tally in shard.tallies.items()} == {
            name: tally["differences"] for name, tally in alone["runtimes"].items()
        }
    assert seen[-1].cases == seen[-1].cases_here == 120


def test_a_campaign_goes_on_where_it_was(tmp_path: Path) -> None:
    chosen = plan("right", shard=20)
    journal = journal_of(tmp_path, chosen)
    stops = iter([False, False])
    Campaign(journal, jobs=1).run(shard_numbers(journal, 200), stopped=lambda: next(stops, len(journal.shards) > 1))
    assert 1 < len(journal.shards) < 10
    again = load(tmp_path)
    assert plan_from_dict(chosen.as_dict()) == again.plan == chosen
    before = dict(again.shards)
    again.plan = chosen
    Campaign(again, jobs=1).run(shard_numbers(again, 200))
    assert sorted(load(tmp_path).shards) == list(range(10))
    assert all(again.shards[number] is shard for number, shard in before.items())


def test_a_runtime_that_ends_its_process_is_a_finding_and_the_rest_goes_on(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, plan("deadly", shard=30))
    Campaign(journal, jobs=1).run(shard_numbers(journal, 60))
    assert {number: shard.cases for number, shard in journal.shards.items()} == {0: 30, 1: 30}
    crashed = [finding for finding in journal.findings if finding.kind is Kind.CRASH]
    assert crashed and sum(shard.tallies["deadly"].asked for shard in journal.shards.values()) < 60
    assert all(finding.runtime == "deadly" for finding in crashed)


def test_no_shard_is_begun_when_the_time_is_up(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, plan("right"))
    Campaign(journal, jobs=1).run(shard_numbers(journal, None), seconds=-1)
    assert not journal.shards


def test_runtimes_that_cannot_be_opened_are_one_sentence(tmp_path: Path) -> None:
    def refuse(name: str) -> Planted:
        raise HostError(f"{name} is not there")

    with pytest.raises(HostError, match="that is not there"):
        Plan(("that",), opener=refuse).open()
    with pytest.raises(InputError, match="more than one runtime is called right"):
        plan("right", "right").open()
    with pytest.raises(InputError, match="needs a runtime"):
        plan().open()
    gone = Plan(("nothing/such",), opener=open_planted)
    with pytest.raises(HostError, match="ended before it had begun"):
        Campaign(journal_of(tmp_path, gone), jobs=1).run([0])
