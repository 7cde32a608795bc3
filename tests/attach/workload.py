"""Runs the program `targets/workload.c` under `pybpftime trace` and compares what both have counted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attach.processes import Running, running
from attach.tracing import COMMAND, PATIENCE, PROGRAMS, ROOT, Tracer, tracing

from tools.process_state import State, state

OBJECT = PROGRAMS / "malloc.bpf.o"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the target said of itself, and how often the programs at entry and return ran."""

    called: int
    right: bool
    entered: int
    returned: int
    failures: int
    notes: list[str]
    before: State
    after: State


def places(program: Path, *functions: str) -> list[str]:
    """Both programs of the object at each function."""
    return [f"--at={name}={program}:{one}" for one in functions for name in ("malloc_entry", "malloc_return")]


@contextmanager
def attached(target: Running, *arguments: object) -> Iterator[Tracer]:
    """A trace of a target; its probes are set."""
    with tracing("--json", *arguments, "--pid", target.pid, OBJECT) as tracer:
        event = tracer.event()
        assert event["event"] == "attached", event
        yield tracer


def runs(ended: dict[str, Any]) -> tuple[int, int]:
    """How often the programs at entry and return ran, as the end of a report says."""
    entered = sum(one["runs"] for one in ended["probes"] if one["program"] == "malloc_entry")
    return entered, sum(one["runs"] for one in ended["probes"] if one["program"] == "malloc_return")


def work(program: Path, way: str, *numbers: int, functions: tuple[str, ...] = ("probed",)) -> Outcome:
    """Trace a workload: attach, let it work, detach while it waits, look at it, let it end."""
    with running(program, way, *map(str, numbers)) as target:
        before = state(target.pid)
        with attached(target, *places(program, *functions)) as tracer:
            called, right = begin(target)
            tracer.process.terminate()
            ended = tracer.event()
            assert tracer.finish() == 0, tracer.errors()
        after = state(target.pid)
        assert end(target) == (0 if right else 1)
    failures = sum(one["failures"] for one in ended["probes"])
    return Outcome(called, right, *runs(ended), failures, ended["notes"], before, after)


def begin(target: Running) -> tuple[int, bool]:
    """Let a workload do its work; what it says: how often it called, and whether all went right."""
    assert target.process.stdin is not None
    assert target.process.stdout is not None
    target.process.stdin.write("go\n")
    target.process.stdin.flush()
    return result(target)


def result(target: Running) -> tuple[int, bool]:
    """What a workload says when it has done its work."""
    assert target.process.stdout is not None
    name, called = target.process.stdout.readline().split()
    assert name == "called"
    return int(called), target.process.stdout.readline() == "right\n"


def end(target: Running) -> int:
    """Let a target end by itself: its exit code."""
    assert target.process.stdin is not None
    target.process.stdin.close()
    return target.process.wait(PATIENCE)


def detach(pid: int) -> subprocess.CompletedProcess[str]:
    """Run `pybpftime detach PID`."""
    return subprocess.run(
        [*COMMAND, "detach", str(pid)], capture_output=True, text=True, check=False, cwd=ROOT, timeout=PATIENCE
    )
