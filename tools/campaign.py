"""What every campaign shares: shards on all cores, progress, resuming after an interruption, a result as JSON.

A campaign is a function from a shard number to counts and findings, as plain data.  Shards that are done are kept
in .campaigns/NAME.jsonl, so that a run that was interrupted goes on where it was; the sum is written to
docs/campaigns/NAME.json when the last shard is done.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

ROOT = Path(__file__).resolve().parent.parent
Shard = dict[str, Any]


def arguments(description: str, *, count: int, shard: int) -> argparse.Namespace:
    """The options that campaigns have: how much, from which seed, on how many processes, afresh or resumed."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--count", type=int, default=count, help="how much to do in all (default %(default)s)")
    parser.add_argument("--shard", type=int, default=shard, help="how much at a time (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--fresh", action="store_true", help="forget what an interrupted run has done")
    parser.add_argument("--no-record", action="store_true", help="do not write docs/campaigns/")
    return parser.parse_args()


def run(name: str, options: argparse.Namespace, work: Callable[[int, int, int], Shard]) -> int:
    """Do all shards and print and record the sum; the exit code is 1 when there are findings.

    `work(seed, first, count)` returns numbers, which are added up; dictionaries of numbers, likewise; and the list
    `findings`.  It runs in another process.
    """
    console, began = Console(), time.perf_counter()
    state = ROOT / ".campaigns" / f"{name}.jsonl"
    state.parent.mkdir(exist_ok=True)
    signature = {"seed": options.seed, "count": options.count, "shard": options.shard}
    done = {} if options.fresh else _resume(state, signature)
    if not done:
        state.write_text(json.dumps(signature) + "\n")
    starts = [first for first in range(0, options.count, options.shard) if first not in done]
    tasks = [(work, options.seed, first, min(options.shard, options.count - first)) for first in starts]
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress, multiprocessing.Pool(options.workers) as pool:
        bar = progress.add_task(name, total=len(done) + len(starts), completed=len(done))
        for first, shard in pool.imap_unordered(_one, tasks):
            done[first] = shard
            with state.open("a") as file:
                file.write(json.dumps({"first": first, "shard": shard}) + "\n")
            progress.advance(bar)
    total = _total([done[first] for first in sorted(done)])
    rate = sum(task[3] for task in tasks) / (time.perf_counter() - began)
    result = {
        "campaign": name,
        **signature,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "workers": options.workers,
        "per_second": round(rate),
        **total,
    }
    if not options.no_record:
        target = ROOT / "docs" / "campaigns" / f"{name}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(result, indent=1) + "\n")
    state.unlink()
    console.print_json(json.dumps({key: value for key, value in result.items() if not isinstance(value, dict)}))
    return 1 if total.get("findings") else 0


def _one(task: tuple[Callable[[int, int, int], Shard], int, int, int]) -> tuple[int, Shard]:
    work, seed, first, count = task
    start = time.perf_counter()
    shard = work(seed, first, count)
    return first, shard | {"cpu_seconds": time.perf_counter() - start}


def _resume(state: Path, signature: dict[str, int]) -> dict[int, Shard]:
    try:
        lines = [json.loads(line) for line in state.read_text().splitlines()]
    except (OSError, ValueError):
        return {}
    if not lines or lines[0] != signature:
        return {}
    return {line["first"]: line["shard"] for line in lines[1:]}


def _total(shards: list[Shard]) -> Shard:
    total: Shard = {}
    for shard in shards:
        for key, value in shard.items():
            if isinstance(value, dict):
                sums = total.setdefault(key, {})
                for name, number in value.items():
                    sums[name] = sums.get(name, 0) + number
            else:
                total[key] = total.get(key, type(value)()) + value
    if "cpu_seconds" in total:
        total["cpu_seconds"] = round(total["cpu_seconds"], 1)
    return total


def main(name: str, description: str, work: Callable[[int, int, int], Shard], *, count: int, shard: int) -> None:
    """Entry point of a campaign script."""
    sys.exit(run(name, arguments(description, count=count, shard=shard), work))
