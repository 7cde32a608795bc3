"""The program tests/attach/targets/workload.c and traces of it, for the campaigns on live processes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.campaign import ROOT
from tools.process_state import state

COMMAND = (sys.executable, "-c", "from pybpftime.cli.main import main; main()")
OBJECT = ROOT / "tests" / "programs" / "malloc.bpf.o"
SOURCE = ROOT / "tests" / "attach" / "targets" / "workload.c"


@contextmanager
def built() -> Iterator[Path]:
    """The program, compiled."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "workload"
        command = ["gcc", "-O2", "-fno-builtin", "-pthread", "-o", str(program), str(SOURCE)]
        subprocess.run(command, check=True)
        yield program


class Workload:
    """One run of the program: `way` and numbers are its arguments."""

    def __init__(self, program: Path, way: str, *numbers: int) -> None:
        command = [str(program), way, *map(str, numbers)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        assert self._line() == "ready"
        self._before = state(self.pid)

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def begin(self) -> None:
        """Let it do its work."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self) -> tuple[int, bool]:
        """Wait for its work to be done: how often it called probed(), and whether it found all right."""
        called, verdict = self._line(), self._line()
        return int(called.removeprefix("called ") or -1), verdict == "right"

    def end(self) -> int:
        """Let it end: its exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(60)

    def has_leftovers(self) -> bool:
        """Whether its code, its memory, its threads' signal masks or SIGTRAP's action are not as at its start."""
        return state(self.pid) != self._before


def start_trace(workload: Workload, *arguments: str) -> subprocess.Popen[str]:
    """`pybpftime trace --json` of a workload; returns when the probes are set."""
    command = [*COMMAND, "trace", "--json", *arguments, "--pid", str(workload.pid), str(OBJECT)]
    tracer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert tracer.stdout is not None
    line = tracer.stdout.readline()
    if not line:
        raise RuntimeError(tracer.communicate()[1])
    return tracer


def finish_trace(tracer: subprocess.Popen[str]) -> dict[str, Any]:
    """Tell a trace to detach: the last line of its report."""
    tracer.terminate()
    output, errors = tracer.communicate(timeout=60)
    if not output:
        raise RuntimeError(errors)
    report: dict[str, Any] = json.loads(output.splitlines()[-1])
    return report


def detach(pid: int) -> str:
    """What `pybpftime detach` says."""
    run = subprocess.run([*COMMAND, "detach", str(pid)], capture_output=True, text=True, check=False, cwd=ROOT)
    return run.stdout + run.stderr
