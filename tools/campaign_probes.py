"""A C program whose eight threads call malloc 1,000,000 times: a uprobe and a uretprobe together count every call.

The count is that of the map, so each run of the program counts; the target's code equals its files afterwards.
"""

from __future__ import annotations

from pathlib import Path

from tools import campaign
from tools.live_workload import Workload, built, finish_trace, start_trace

THREADS = 8
OTHERS = 2 * THREADS  # calls that the C library makes itself, for each thread at most two


def wrong(program: Path, calls: int) -> tuple[str, int]:
    """What is wrong after `calls` calls of malloc, "" when nothing is; and how many calls were counted."""
    workload = Workload(program, "malloc", THREADS, calls // THREADS)
    try:
        tracer = start_trace(workload)
        workload.begin()
        right = workload.result()[1]
        report = finish_trace(tracer)
        entered, returned = (one["runs"] for one in report["probes"])
        (entry,) = report["maps"]["allocations"]["entries"]
        counted = entry["value"]["calls"]
        extra = counted - calls // THREADS * THREADS
        if not right or workload.has_leftovers() or workload.end():
            return "the target was wrong, or not as before", counted
        if not (counted == entered == returned and 0 <= extra <= OTHERS):
            return f"{entered} entries, {returned} returns, {counted} in the map, of {calls} calls", counted
        return "", counted
    finally:
        workload.process.kill()
        workload.process.wait()


def work(seed: int, first: int, count: int) -> campaign.Shard:
    """`count` calls in one process.  Nothing is random, so the seed says nothing."""
    with built() as program:
        finding, counted = wrong(program, count)
    return {"calls": count, "counted": counted, "findings": [finding] if finding else []}


if __name__ == "__main__":
    campaign.main("probes", __doc__ or "", work, count=1_000_000, shard=1_000_000)
