"""Fixtures for calling helpers here and in the running kernel; see tests/support/helper_calls.py."""

from __future__ import annotations

import os
import platform
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
def linux_6_18(in_kernel: KernelCaller) -> None:
    """Needs bpf(2) of the release that the declarations describe."""
    if not platform.release().startswith("6.18."):
        pytest.skip(f"needs Linux 6.18, this is {platform.release()}: releases differ in what helpers demand")


@pytest.fixture
def both_sides(in_kernel: KernelCaller) -> Callable[..., tuple[Answer, Answer]]:
    """Call a helper here and in the kernel with the same arguments; the two answers."""

    def run(name: str, *arguments: Argument) -> tuple[Answer, Answer]:
        return Caller().call(name, *arguments), in_kernel.call(name, *arguments)

    return run
