"""When idle processors are asked to stay awake, and that this ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpftime.attach.wakefulness import THICK, Wakefulness


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "cpu_dma_latency"
    path.touch()
    return path


@pytest.fixture
def wakefulness(device: Path) -> Iterator[Wakefulness]:
    result = Wakefulness(str(device))
    yield result
    result.calm()


def opened(path: Path) -> int:
    """How often this process has a file open."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum(os.path.lexists(link) and os.readlink(link) == str(path) for link in links)


def test_thick_hits_ask_once_and_for_no_latency(wakefulness: Wakefulness, device: Path) -> None:
    wakefulness.hits(1000, 10.0)
    assert not wakefulness.asked  # it is not known yet how long they took
    for second in range(1, 4):
        wakefulness.hits(1000 + second * (int(THICK) + 1), 10.0 + second)
        assert wakefulness.asked
    assert opened(device) == 1
    assert device.read_bytes() == bytes(4)


def test_fewer_hits_take_it_back(wakefulness: Wakefulness, device: Path) -> None:
    wakefulness.hits(1, 10.0)
    wakefulness.hits(1000, 10.01)
    assert wakefulness.asked
    wakefulness.hits(2000, 11.01)
    assert not wakefulness.asked
    assert opened(device) == 0


def test_calm_takes_it_back_as_often_as_it_is_said(wakefulness: Wakefulness, device: Path) -> None:
    wakefulness.calm()
    wakefulness.hits(1, 10.0)
    wakefulness.hits(1000, 10.01)
    wakefulness.calm()
    wakefulness.calm()
    assert (wakefulness.asked, opened(device)) == (False, 0)


def test_where_it_is_refused_nothing_is_different(tmp_path: Path) -> None:
    wakefulness = Wakefulness(str(tmp_path / "none"))
    wakefulness.hits(1, 10.0)
    wakefulness.hits(1000, 10.01)
    assert not wakefulness.asked
    (tmp_path / "none").touch()
    wakefulness.hits(2000, 10.02)
    assert not wakefulness.asked  # it is asked for once
