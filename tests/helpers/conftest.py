"""Fixtures for calling helpers here and in the running kernel; see tests/support/helper_calls.py."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

import pytest
from support.helper_calls import Answer, Argument, Caller, KernelCaller

from pybpftime import kernel


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture(scope="session")
def _unavailable() -> str | None:
    if sys.byteorder != "little":
        return "hand-encoded programs need a little-endian host"
    return kernel.available()


@pytest.fixture
def in_kernel(_unavailable: str | None) -> Iterator[KernelCaller]:
    """Needs bpf(2); checks that the test left no descriptor open."""
    if _unavailable is not None:
        pytest.skip(f"needs bpf(2): {_unavailable}")
    before = sorted(os.listdir("/proc/self/fd"))
    yield KernelCaller()
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def compare(in_kernel: KernelCaller) -> Callable[..., Answer]:
    """Call a helper on both sides and compare r0 and all memory; returns the answer."""

    def run(name: str, *arguments: Argument) -> Answer:
        here = Caller().call(name, *arguments)
        there = in_kernel.call(name, *arguments)
        assert here == there, f"{name}{arguments}"
        return here

    return run
