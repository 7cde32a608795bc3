"""Tests of this folder talk to the running kernel; where it cannot serve they are skipped with the reason."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from attach.build import build_target

from pybpftime import kernel

__all__ = ["build_target"]


@pytest.fixture(scope="session")
def _unavailable() -> str | None:
    if sys.byteorder != "little":
        return "hand-encoded programs need a little-endian host"
    return kernel.available()


@pytest.fixture
def bpf(_unavailable: str | None) -> Iterator[None]:
    """Needs bpf(2); checks that the test left no descriptor open."""
    if _unavailable is not None:
        pytest.skip(f"needs bpf(2): {_unavailable}")
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before
