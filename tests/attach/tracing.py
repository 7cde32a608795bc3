"""Runs `pybpftime trace` as a process of its own, as a user does."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import platform
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "programs"
COMMAND = (sys.executable, "-c", "from pybpftime.cli.main import main; main()")
PATIENCE = 60.0  # seconds until a test fails rather than waits on

ATTACH = """
import sys
from pybpftime.attach.session import BreakpointSession
from pybpftime.errors import HostError
try:
    BreakpointSession.attach(int(sys.argv[1])).close()
except HostError as error:
    sys.exit(error.errno or 0)
"""


@pytest.fixture(scope="session")
def can_trace() -> None:
    """Skips where one of our processes may not trace another."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        pytest.skip("needs Linux on x86-64")
    if any(importlib.util.find_spec(name) is None for name in ("ptrace", "capstone")):
        pytest.skip("needs python-ptrace and capstone")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        code = subprocess.run([sys.executable, "-c", ATTACH, str(process.pid)], cwd=ROOT, check=False).returncode
        process.kill()
    if code in (errno.EPERM, errno.EACCES):
        pytest.skip("needs permission to trace processes")
    assert code == 0


def trace(*arguments: object, input: str | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `pybpftime trace ARGUMENTS` to its end."""
    command = [*COMMAND, "trace", *map(str, arguments)]
    return subprocess.run(
        command, input=input, capture_output=True, text=True, check=False, cwd=ROOT, timeout=PATIENCE, **options
    )


class Tracer:
    """A trace that runs, and its report line by line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._content = b""

    def line(self) -> str:
        """The next line of standard output, "" at its end; fails when none comes."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self._content:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no line came; so far {self._content!r}"
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                break
            self._content += more
        line, newline, self._content = self._content.partition(b"\n")
        return (line + newline).decode()

    def event(self) -> dict[str, Any]:
        """The next line of a report in JSON."""
        line = self.line()
        assert line, self.errors()
        event: dict[str, Any] = json.loads(line)
        return event

    def errors(self) -> str:
        """What it wrote to standard error; waits for its end."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def finish(self) -> int:
        """Wait for its end: the exit code."""
        return self.process.wait(PATIENCE)


@contextmanager
def tracing(*arguments: object) -> Iterator[Tracer]:
    """Start `pybpftime trace ARGUMENTS`; in the end it is told to detach, if it still runs."""
    command = [*COMMAND, "trace", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield Tracer(process)
        finally:
            process.terminate()
            process.wait(PATIENCE)
