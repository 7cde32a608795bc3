"""Waiting for what becomes of a process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from pybpftime.attach import proc


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something is so; fails when it never is."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def is_traced(pid: int) -> bool:
    """Whether somebody traces the process."""
    return proc.read_status(pid).tracer != 0


def exists(pid: int) -> bool:
    """Whether there is such a process."""
    return os.path.exists(f"/proc/{pid}")
