"""Hits per second of uprobes and uretprobes, by breakpoints and by the kernel, on one function of one program.

    python -m tools.bench_probes [--seconds 2] [--json]

A program that does nothing, and the counters of tests/programs/malloc.bpf.c, with one thread and with four that hit at
once.  The target itself takes the time of its calls; how many they are is chosen so that a figure takes `--seconds`,
in five parts of which the best counts.  The load average stands beside the results: on a busy machine they say little.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pybpftime.attach.environment import LiveEnvironment
from pybpftime.attach.locate import locate
from pybpftime.attach.target import ProbeKind, parse_target
from pybpftime.isa.assembler import assemble
from pybpftime.kernel import attach_uprobe, uprobes_available
from pybpftime.kernel.objects import KernelObjectFile
from pybpftime.program import load_object
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.runtime import Object
from pybpftime.runtime.live import LiveTrace
from pybpftime.uapi import ProgramType

ROOT = Path(__file__).resolve().parent.parent
SOURCE = Path(__file__).with_suffix(".c")
MALLOC = ROOT / "tests" / "programs" / "malloc.bpf.o"
FUNCTION = "probed"
THREADS = (1, 4)
FIRST_CALLS = 1000
PARTS = 5


@dataclass(frozen=True, slots=True)
class Measured:
    """Hits per second of one program, and calls where nothing is attached; `load` is the load average.

    `kernel` is None where the kernel has no uprobes for us.
    """

    program: str
    threads: int
    breakpoints: float
    kernel: float | None
    unprobed: float
    load: float


class Target:
    """The live process whose calls are measured."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        self.calls = 0
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._results = self._process.stdin, self._process.stdout
        assert self._results.readline() == "ready\n"

    def rate(self, threads: int, seconds: float) -> float:
        """Calls per second of all threads together: the best of several parts of `seconds`."""
        calls, taken = FIRST_CALLS, 0.0
        while taken < seconds / 20:
            calls *= 2
            taken = self._call(calls, threads)
        calls = max(1, int(calls * seconds / taken / PARTS))
        return calls * threads / min(self._call(calls, threads) for _ in range(PARTS))

    def _call(self, calls: int, threads: int) -> float:
        self._commands.write(f"{calls} {threads}\n")
        self._commands.flush()
        self.calls += calls * threads
        return int(self._results.readline()) / 1e9

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def empty(section: str) -> ObjectSpec:
    """An object with one program, which does nothing."""
    program = ProgramSpec("empty", assemble("r0 = 0\nexit"), ProgramType.BPF_PROG_TYPE_KPROBE, section=section)
    return ObjectSpec(None, {program.name: program}, {})


def probes() -> Iterator[tuple[str, ObjectSpec, str]]:
    """What is measured: a title, an object and the name of its program."""
    malloc = load_object(MALLOC)
    yield "empty uprobe", empty("uprobe"), "empty"
    yield "empty uretprobe", empty("uretprobe"), "empty"
    yield "malloc uprobe", malloc, "malloc_entry"
    yield "malloc uretprobe", malloc, "malloc_return"


@contextmanager
def by_kernel(spec: ObjectSpec, program: str, target: Target) -> Iterator[None]:
    """While this is open, the kernel runs the program at the function."""
    probe = parse_target(spec.programs[program], f"{target.path}:{FUNCTION}")
    place = locate(target.pid, probe)
    at_return = probe.kind is ProbeKind.URETPROBE
    with (
        KernelObjectFile(spec) as loaded,
        attach_uprobe(loaded.program(program), place.path, place.offset, pid=target.pid, at_return=at_return),
    ):
        yield


@contextmanager
def by_breakpoints(spec: ObjectSpec, program: str, target: Target) -> Iterator[None]:
    """While this is open, we run the program at the function, from a process of its own."""
    ours, theirs = Pipe()
    tracer = Process(target=trace, args=(spec, program, target.pid, target.path, theirs))
    tracer.start()
    theirs.close()
    try:
        ours.recv()  # it is attached
        before = target.calls
        yield
    finally:
        tracer.terminate()
    hits = ours.recv()
    tracer.join()
    assert hits == target.calls - before, f"{hits} hits of {target.calls - before} calls"


def trace(spec: ObjectSpec, program: str, pid: int, path: Path, hits: Connection) -> None:
    """In the tracer: run the program at every hit until SIGTERM; say how many there were, and 0 once it is attached."""
    from pybpftime.attach.session import BreakpointSession

    loaded = Object(spec, environment=LiveEnvironment())
    with BreakpointSession.attach(pid) as session:
        live = LiveTrace(loaded, session)
        live.attach(loaded[program], parse_target(spec.programs[program], f"{path}:{FUNCTION}"))
        hits.send(0)
        live.serve()
        hits.send(live.attached[0].runs)


Way = Callable[[ObjectSpec, str, Target], AbstractContextManager[None]]


def measure(way: Way, spec: ObjectSpec, program: str, target: Target, threads: int, seconds: float) -> float:
    """Hits per second of the program, attached this way."""
    with way(spec, program, target):
        return target.rate(threads, seconds)


def measure_all(seconds: float) -> Iterator[Measured]:
    """Every row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "target"
        subprocess.run(["gcc", "-O2", "-pthread", "-o", path, SOURCE], check=True)
        has_kernel = uprobes_available() is None
        for title, spec, program in probes():
            for threads in THREADS:
                target = Target(path)
                try:
                    unprobed = target.rate(threads, seconds / 10)
                    breakpoints = measure(by_breakpoints, spec, program, target, threads, seconds)
                    kernel = measure(by_kernel, spec, program, target, threads, seconds) if has_kernel else None
                finally:
                    target.close()
                yield Measured(title, threads, breakpoints, kernel, unprobed, os.getloadavg()[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = list(measure_all(options.seconds))
    if options.json:
        print(json.dumps({"hits_per_second": [asdict(row) for row in rows]}, indent=1))
        return
    table = Table("hits a second", "threads", "breakpoints", "kernel", "ratio", "unprobed", "load", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        kernel = "" if row.kernel is None else f"{row.kernel:,.0f}"
        ratio = "" if row.kernel is None else f"{row.breakpoints / row.kernel:.2f}"
        numbers = (f"{row.breakpoints:,.0f}", kernel, ratio, f"{row.unprobed / 1e6:,.0f} M", f"{row.load:.1f}")
        table.add_row(row.program, str(row.threads), *numbers)
    Console().print(table)


if __name__ == "__main__":
    main()
