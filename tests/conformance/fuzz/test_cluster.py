"""The same campaign on a Dask cluster of two workers, one of which is killed."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="needs Dask distributed (the extra cluster)")

from pybpftime.conformance.fuzz.campaign import Progress, shard_numbers
from pybpftime.conformance.fuzz.cluster import run_on_cluster
from pybpftime.conformance.fuzz.journal import JOURNAL, create, load
from pybpftime.conformance.fuzz.plan import Plan
from pybpftime.errors import HostError

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Dask are not ours


def test_nothing_is_lost_and_nothing_counts_twice_when_a_worker_is_killed(tmp_path: Path) -> None:
    from distributed import LocalCluster

    plan = Plan(("reference",), seed=2, shard=40)
    journal = create(tmp_path / "out", plan, {})
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:  # fmt: skip
        victims = [worker.process.pid for worker in cluster.workers.values()][:1]

        def kill_one(progress: Progress) -> None:
            if progress.shards >= 2 and victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victims.pop(), signal.SIGKILL)

        run_on_cluster(journal, cluster.scheduler_address, shard_numbers(journal, 480), watch=kill_one)
    assert not victims
    assert sorted(journal.shards) == list(range(12))
    assert (tmp_path / "out" / JOURNAL).read_text().count("\n") == 12
    assert {shard.cases for shard in load(tmp_path / "out").shards.values()} == {40}
    assert not journal.findings


def test_an_address_where_nobody_is_ends_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pybpftime.conformance.fuzz.cluster.CONNECTING", 1.0)
    journal = create(tmp_path / "out", Plan(("reference",)), {})
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        with pytest.raises(HostError, match="no Dask scheduler answers at"):
            run_on_cluster(journal, address, [0])
