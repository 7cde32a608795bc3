"""The running kernel as witness for user space's side: the same operations through bpf(2), the same results."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from pybpftime.errors import HostError
from pybpftime.maps import Errno, Map, MapError, MapSpec, create_map
from pybpftime.uapi import MapFlag, MapType

T = MapType
KEY_SIZE, VALUE_SIZE = 4, 12
KEYS = st.integers(0, 7).map(lambda number: number.to_bytes(KEY_SIZE, "little"))
VALUES = st.integers(0, 255).map(lambda byte: bytes([byte]) * VALUE_SIZE)
UPDATE_FLAGS = st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5, 8, 1 << 40])
LOOKUP_FLAGS = st.sampled_from([0, 0, 0, 1, 4])

# 40 examples, and more in a campaign (HYPOTHESIS_PROFILE=campaign).
EXAMPLES = settings().max_examples * 2 // 5


def ours(call: Callable[..., Any], *arguments: Any) -> Any:
    """The result, or the errno."""
    try:
        return call(*arguments)
    except MapError as error:
        return error.errno


def kernels(call: Callable[..., Any], *arguments: Any, absent: Any = Errno.ENOENT) -> Any:
    """The result, or the errno; KernelMap says None for ENOENT where it returns something."""
    try:
        result = call(*arguments)
    except HostError as error:
        return error.errno
    if result is None:
        return absent
    return tuple(result) if isinstance(result, list) else result


class PeerMachine(RuleBasedStateMachine):
    """One of our maps and one of the kernel's, made from the same spec."""

    kernel: Any
    spec: MapSpec

    def __init__(self) -> None:
        super().__init__()
        self.per_cpu = self.spec.type in self.kernel.PER_CPU_MAP_TYPES
        self.cpus = self.kernel.possible_cpu_count() if self.per_cpu else 1
        self.ours: Map = create_map(self.spec, self.cpus)
        spec = self.spec
        self.peer = self.kernel.KernelMap.create(
            spec.type, spec.key_size, spec.value_size, spec.max_entries, flags=spec.flags
        )
        suffix = "_per_cpu" if self.per_cpu else ""
        self.peer_lookup = getattr(self.peer, f"lookup{suffix}")
        self.peer_update = getattr(self.peer, f"update{suffix}")
        self.peer_take = getattr(self.peer, f"lookup_and_delete{suffix}")

    def teardown(self) -> None:
        self.peer.close()

    @rule(key=KEYS, value=VALUES, other=VALUES, flags=UPDATE_FLAGS)
    def update(self, key: bytes, value: bytes, other: bytes, flags: int) -> None:
        values = [value, *[other] * (self.cpus - 1)] if self.per_cpu else value
        expected = kernels(self.peer_update, key, values, flags, absent=None)
        assert ours(self.ours.update, key, values, flags) == expected

    @rule(key=KEYS, flags=LOOKUP_FLAGS)
    def lookup(self, key: bytes, flags: int) -> None:
        assert ours(self.ours.lookup, key, flags) == kernels(self.peer_lookup, key, flags)

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        assert ours(self.ours.delete, key) == kernels(self.peer.delete, key, absent=None)

    @rule(key=KEYS, flags=LOOKUP_FLAGS)
    def take(self, key: bytes, flags: int) -> None:
        assert ours(self.ours.lookup_and_delete, key, flags) == kernels(self.peer_take, key, flags)

    @rule(key=KEYS)
    def next_key(self, key: bytes) -> None:
        """Orders differ; what an absent key gives and when the end is reached do not."""
        result, expected = ours(self.ours.next_key, key), kernels(self.peer.next_key, key)
        keys, peer_keys = self.ours.keys(), list(self.peer.keys())
        if key in keys:
            follows = dict(zip(keys, [*keys[1:], Errno.ENOENT], strict=True))
            peer_follows = dict(zip(peer_keys, [*peer_keys[1:], Errno.ENOENT], strict=True))
            assert (result, expected) == (follows[key], peer_follows[key])
        else:
            assert (result, expected) == (
                (keys[0], peer_keys[0]) if keys and peer_keys else (Errno.ENOENT, Errno.ENOENT)
            )

    @rule()
    @precondition(lambda self: len(self.ours.keys()) > 3)
    def freeze(self) -> None:
        assert ours(self.ours.freeze) == kernels(self.peer.freeze, absent=None)

    @invariant()
    def contents_are_equal(self) -> None:
        items = self.peer.items_per_cpu() if self.per_cpu else self.peer.items()
        expected = sorted((key, tuple(value) if self.per_cpu else value) for key, value in items)
        assert sorted(self.ours.items()) == expected


@pytest.mark.parametrize(
    "spec",
    [
        MapSpec("array", T.BPF_MAP_TYPE_ARRAY, KEY_SIZE, VALUE_SIZE, 5),
        MapSpec("percpu_array", T.BPF_MAP_TYPE_PERCPU_ARRAY, KEY_SIZE, VALUE_SIZE, 5),
        MapSpec("hash", T.BPF_MAP_TYPE_HASH, KEY_SIZE, VALUE_SIZE, 5),
        MapSpec("hash_on_demand", T.BPF_MAP_TYPE_HASH, KEY_SIZE, VALUE_SIZE, 5, MapFlag.BPF_F_NO_PREALLOC),
        MapSpec("percpu_hash", T.BPF_MAP_TYPE_PERCPU_HASH, KEY_SIZE, VALUE_SIZE, 5),
        MapSpec("percpu_on_demand", T.BPF_MAP_TYPE_PERCPU_HASH, KEY_SIZE, VALUE_SIZE, 5, MapFlag.BPF_F_NO_PREALLOC),
        # Linux evicts long before an LRU map is full; with this much room it does not.
        MapSpec("lru", T.BPF_MAP_TYPE_LRU_HASH, KEY_SIZE, VALUE_SIZE, 2048),
    ],
    ids=lambda spec: str(spec.name),
)
def test_the_same_operations_give_the_same_results(kernel: Any, spec: MapSpec) -> None:
    machine = type("Machine", (PeerMachine,), {"kernel": kernel, "spec": spec})
    steps = settings(max_examples=EXAMPLES, stateful_step_count=30)
    run_state_machine_as_test(machine, settings=steps)


@pytest.mark.parametrize(
    ("number", "key_size", "value_size", "max_entries"),
    [
        (T.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2),
        (T.BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2),
        (T.BPF_MAP_TYPE_STACK_TRACE, 4, 80, 2),
        (T.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096),
    ],
    ids=lambda number: getattr(number, "name", ""),
)
@pytest.mark.parametrize("flags", [0, 1, 2, 4])
def test_errno_of_types_without_plain_values(
    kernel: Any, number: MapType, key_size: int, value_size: int, max_entries: int, flags: int
) -> None:
    table = create_map(MapSpec("peer", number, key_size, value_size, max_entries))
    if number == T.BPF_MAP_TYPE_PERF_EVENT_ARRAY:
        table.delete(bytes(4))  # ours is born with open buffers
    with kernel.KernelMap.create(number, key_size, value_size, max_entries) as peer:
        for index in (0, 1, 2, 3, 1 << 20) if key_size else (0,):
            key = index.to_bytes(4, "little")[:key_size]
            value = struct.pack("<I", 1 << 30) + bytes(max(value_size - 4, 0))  # no such descriptor
            value = value[:value_size]
            assert ours(table.update, key, value, flags) == kernels(peer.update, key, value, flags, absent=None)
            assert ours(table.lookup, key, flags) == kernels(peer.lookup, key, flags)
            taken = kernels(peer.lookup_and_delete, key, flags)
            if number != T.BPF_MAP_TYPE_STACK_TRACE or taken != Errno.ENOTSUPP:  # as kernels before 6.18 say
                assert ours(table.lookup_and_delete, key, flags) == taken
            assert ours(table.delete, key) == kernels(peer.delete, key, absent=None)
            assert ours(table.next_key, key) == kernels(peer.next_key, key)
        assert ours(table.next_key) == kernels(peer.next_key)
        assert ours(table.freeze) == kernels(peer.freeze, absent=None)
        key = bytes(key_size)
        assert ours(table.update, key, value) == kernels(peer.update, key, value)


def test_program_arrays_hold_programs(kernel: Any) -> None:
    program = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    table = create_map(MapSpec("peer", T.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2))
    key = bytes(4)
    with (
        kernel.KernelMap.create(T.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2) as peer,
        kernel.KernelProgram.load(1, program) as one,
        kernel.KernelProgram.load(6, program) as other,
    ):
        assert ours(table.update, key, one, 1) == kernels(peer.update_object, key, one, 1) == Errno.EINVAL
        assert ours(table.update, key, one) == kernels(peer.update_object, key, one, absent=None)
        assert ours(table.update, key, other) == kernels(peer.update_object, key, other) == Errno.EINVAL
        assert peer.lookup(key) == one.info().id.to_bytes(4, "little")
        assert len(table.items()) == len(list(peer.items())) == 1
        assert ours(table.delete, key) == kernels(peer.delete, key, absent=None)
        assert ours(table.lookup, key) == kernels(peer.lookup, key) == Errno.ENOENT
