"""Starts the programs of `targets/` and ends them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Running:
    """A live process that has said "ready"; `said` are its lines before, such as `work 0x401136`."""

    process: subprocess.Popen[str]
    said: tuple[str, ...]

    @property
    def pid(self) -> int:
        return self.process.pid

    def number(self, name: str) -> int:
        """The number behind `name` in what it said."""
        (value,) = (line.split()[1] for line in self.said if line.split()[0] == name)
        return int(value, 0)

    def work(self) -> None:
        """Send it the line of input that lets it do its work, and wait until it says "done"."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@contextlib.contextmanager
def running(*command: str | Path, environment: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Start a program that says "ready" and then waits for the end of its input; kill it in the end."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | (environment or {})
    )
    with process:
        try:
            assert process.stdout is not None
            said = []
            while (line := process.stdout.readline()) not in ("ready\n", ""):
                said.append(line.rstrip("\n"))
            assert line, f"{command[0]} ended early: {said}"
            yield Running(process, tuple(said))
        finally:
            process.kill()
