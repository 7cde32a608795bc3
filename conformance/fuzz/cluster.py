"""The same campaign on a Dask distributed cluster.  The only module that knows Dask (the extra `cluster`).

A shard is a task whose key is made of its plan and number.  When a machine is lost the scheduler gives its shards to
others; the journal takes each number once, so nothing is lost and nothing counts twice.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from distributed import Client, Future, KilledWorker, as_completed

from pybpftime.conformance.fuzz.campaign import LAST, Progress, Watch
from pybpftime.conformance.fuzz.journal import Journal
from pybpftime.conformance.fuzz.plan import Plan, do_shard
from pybpftime.conformance.fuzz.shard import ShardResult, result_from_dict
from pybpftime.errors import HostError

CONNECTING = 20.0
"""Seconds in which the scheduler must answer."""
AHEAD = 2
"""Shards that each thread of the cluster has waiting."""


def run_on_cluster(
    journal: Journal,
    address: str,
    numbers: Iterable[int],
    seconds: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
    watch: Watch = lambda progress: None,
) -> None:
    """Do shards on the cluster of the scheduler at `address`; as `campaign.Campaign.run`."""
    try:
        client = Client(address, timeout=CONNECTING, set_as_default=False)
    except (OSError, ValueError) as error:
        raise HostError(f"no Dask scheduler answers at {address}: {' '.join(str(error).split())[:200]}") from None
    with client:
        _Cluster(client, journal, seconds, stopped, watch).run(iter(numbers))


@dataclass(slots=True)
class _Cluster:
    client: Client
    journal: Journal
    seconds: float | None
    stopped: Callable[[], bool]
    watch: Watch
    began: float = field(default_factory=time.monotonic)

    def run(self, waiting: Iterator[int]) -> None:
        threads = sum(self.client.nthreads().values())
        if not threads:
            raise HostError("the Dask cluster has no workers")
        cases = 0
        first = [self._submit(number) for number in islice(waiting, AHEAD * threads)]
        running = as_completed(first, loop=self.client.loop)
        for future in running:
            result = self._result(future)
            if self.journal.add(result):
                cases += result.cases
            total = sum(shard.cases for shard in self.journal.shards.values())
            self.watch(Progress(len(self.journal.shards), total, len(self.journal.findings), cases, self._elapsed()))
            if self.stopped() or self._over(LAST):
                return
            if not self._over():
                running.update(self._submit(number) for number in islice(waiting, 1))

    def _submit(self, number: int) -> Future:
        plan = self.journal.plan
        return self.client.submit(do_shard, plan, number, key=f"{_identity(plan)}-{number}", pure=True)

    def _result(self, future: Future) -> ShardResult:
        try:
            return result_from_dict(future.result())
        except KilledWorker:
            raise HostError(f"{future.key} ended every worker that tried it") from None

    def _elapsed(self) -> float:
        return time.monotonic() - self.began

    def _over(self, extra: float = 0.0) -> bool:
        return self.seconds is not None and self._elapsed() > self.seconds + extra


def _identity(plan: Plan) -> str:
    text = json.dumps(plan.as_dict(), sort_keys=True)
    return f"shard-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
