"""Tracers that are killed with SIGKILL at random moments: their targets run on, are right, and clean after `detach`.

Each round starts a program with four threads, sets probes at entry and return of the function that it calls, kills the
tracer within the next 0.3 seconds, waits for the program to judge its own sums, and detaches twice: the first time
takes everything out, the second finds nothing.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from tools import campaign
from tools.live_workload import Workload, built, detach, start_trace

THREADS, CALLS = 4, 30_000
LONGEST = 0.3
NOTHING = "there is nothing of a trace in it"


def survives(program: Path, source: random.Random) -> str:
    """What is wrong after one round; "" when nothing is."""
    workload = Workload(program, "calls", THREADS, CALLS)
    try:
        at = [f"--at={name}={program}:probed" for name in ("malloc_entry", "malloc_return")]
        tracer = start_trace(workload, *at)
        workload.begin()
        time.sleep(source.random() * LONGEST)
        tracer.kill()
        tracer.communicate()
        if workload.result() != (THREADS * CALLS, True):
            return f"the target was wrong, or died: {workload.process.poll()}"
        first, second = detach(workload.pid), detach(workload.pid)
        if "took out" not in first or NOTHING not in second:
            return f"detach said {first!r}, then {second!r}"
        if workload.has_leftovers():
            return "something was left in the target"
        code = workload.end()
        return f"the target ended with {code}" if code else ""
    finally:
        workload.process.kill()
        workload.process.wait()


def work(seed: int, first: int, count: int) -> campaign.Shard:
    """Rounds `first` to `first + count` of the seed."""
    findings = []
    with built() as program:
        for index in range(first, first + count):
            wrong = survives(program, random.Random(f"{seed}/{index}"))
            if wrong:
                findings.append(f"round {index}: {wrong}")
    return {"killed": count, "survived": count - len(findings), "findings": findings}


if __name__ == "__main__":
    campaign.main("survive", __doc__ or "", work, count=50, shard=5)
