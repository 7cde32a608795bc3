"""Maps in a machine, and the kernel as a peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pybpftime.machine.memory import Memory
from pybpftime.machine.strictness import LINUX, Strictness
from pybpftime.maps import Map, MapSpec, create_map
from pybpftime.uapi import MapType

MakeMap = Callable[..., Map]


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def make_map(memory: Memory) -> MakeMap:
    """`make_map("HASH", 4, 8, 16, flags=..., cpu_count=...)`: a map named `counts`, attached to `memory`."""

    def make(
        type_name: str,
        key_size: int,
        value_size: int,
        max_entries: int,
        *,
        cpu_count: int = 1,
        strictness: Strictness = LINUX,
        storage: memoryview | None = None,
        seed: int = 0,
        **fields: Any,
    ) -> Map:
        number = MapType[f"BPF_MAP_TYPE_{type_name}"]
        spec = MapSpec("counts", number, key_size, value_size, max_entries, **fields)
        result = create_map(spec, cpu_count, storage=storage, seed=seed)
        result.attach(memory, strictness)
        return result

    return make


@pytest.fixture(scope="session")
def kernel() -> Any:
    """The package pybpftime.kernel, where bpf(2) can be used."""
    package = pytest.importorskip("pybpftime.kernel", reason="needs pybpftime.kernel")
    reason = package.available()
    if reason is not None:
        pytest.skip(f"needs the running kernel as a peer: {reason}")
    return package
