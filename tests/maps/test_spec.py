"""Which maps may be made: our rules, and the kernel's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftime.errors import BpfError, HostError, InputError
from pybpftime.maps import MAP_KINDS, MapSpec, Operation, create_map, illegal, like_libbpf
from pybpftime.maps.kinds import check
from pybpftime.maps.spec import flag_names
from pybpftime.uapi import MapFlag, MapType

T = MapType
F = MapFlag
HASH = MapSpec("m", T.BPF_MAP_TYPE_HASH, 4, 8, 16)
ARRAY = MapSpec("m", T.BPF_MAP_TYPE_ARRAY, 4, 8, 16)
RING = MapSpec("m", T.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096)
STACKS = MapSpec("m", T.BPF_MAP_TYPE_STACK_TRACE, 4, 80, 16)
PROGRAMS = MapSpec("m", T.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 16)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (replace(ARRAY, key_size=8), "map m: key_size must be 4 for BPF_MAP_TYPE_ARRAY, not 8 (EINVAL)"),
        (replace(ARRAY, value_size=0), "map m: value_size must not be 0 (EINVAL)"),
        (replace(ARRAY, max_entries=0), "map m: max_entries must not be 0 (EINVAL)"),
        (replace(ARRAY, value_size=1 << 31), "value_size 2147483648 is above 2147483647 (E2BIG)"),
        (replace(ARRAY, flags=F.BPF_F_NO_PREALLOC), "flags BPF_F_NO_PREALLOC is not allowed for BPF_MAP_TYPE_ARRAY"),
        (replace(ARRAY, flags=1 << 30), "flags 0x40000000 is not allowed"),
        (replace(ARRAY, flags=0x180), "flags BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG exclude each other (EINVAL)"),
        (replace(ARRAY, flags=0x18), "flags BPF_F_RDONLY and BPF_F_WRONLY exclude each other (EINVAL)"),
        (replace(ARRAY, flags=-1), "flags must be a number of 32 bits"),
        (replace(ARRAY, max_entries=1 << 32), "max_entries must be a number of 32 bits"),
        (replace(ARRAY, extra=1), "map_extra must be 0"),
        (replace(ARRAY, contents=b"1"), "contents can be given for an array of one element only"),
        (replace(ARRAY, max_entries=1, contents=bytes(9)), "contents has 9 bytes and value_size is 8"),
        (replace(ARRAY, spin_lock_offset=2), "value has its bpf_spin_lock at 2, misaligned or outside (EINVAL)"),
        (replace(ARRAY, spin_lock_offset=8), "value has its bpf_spin_lock at 8"),
        (replace(ARRAY, spin_lock_offset=0, flags=F.BPF_F_RDONLY_PROG), "restrict programs"),
        (replace(ARRAY, type=T.BPF_MAP_TYPE_PERCPU_ARRAY, value_size=32769), "(E2BIG)"),
        (replace(ARRAY, type=T.BPF_MAP_TYPE_PERCPU_ARRAY, flags=F.BPF_F_NUMA_NODE), "not allowed for values per cpu"),
        (replace(ARRAY, type=T.BPF_MAP_TYPE_PERCPU_ARRAY, spin_lock_offset=0), "(EOPNOTSUPP)"),
        (replace(HASH, key_size=0), "key_size must not be 0"),
        (replace(HASH, key_size=1 << 22), "makes an element above"),
        (replace(HASH, max_entries=(1 << 31) + 1), "(E2BIG)"),
        (replace(HASH, flags=F.BPF_F_NO_COMMON_LRU), "flags BPF_F_NO_COMMON_LRU is not allowed"),
        (replace(HASH, type=T.BPF_MAP_TYPE_PERCPU_HASH, value_size=40000), "(E2BIG)"),
        (replace(HASH, type=T.BPF_MAP_TYPE_LRU_HASH, flags=F.BPF_F_NO_PREALLOC), "(ENOTSUPP)"),
        (replace(HASH, type=T.BPF_MAP_TYPE_LRU_HASH, flags=6), "BPF_F_NO_COMMON_LRU and BPF_F_NUMA_NODE"),
        (replace(PROGRAMS, value_size=8), "value_size must be 4"),
        (replace(PROGRAMS, flags=F.BPF_F_RDONLY_PROG), "is not allowed"),
        (replace(RING, key_size=4), "key_size must be 0 for a ring buffer"),
        (replace(RING, value_size=4), "value_size must be 0 for a ring buffer"),
        (replace(RING, max_entries=4095), "4095 is no power of two of pages (4096 bytes) (EINVAL)"),
        (replace(RING, max_entries=3 * 4096), "no power of two of pages"),
        (replace(RING, max_entries=0), "no power of two of pages"),
        (replace(RING, max_entries=1 << 31), "ring buffers above 1073741824 bytes are not supported"),
        (replace(STACKS, key_size=8), "key_size must be 4"),
        (replace(STACKS, value_size=12), "12 is no positive multiple of 8"),
        (replace(STACKS, value_size=8 * 128), "holds more than 127 frames"),
        (replace(STACKS, flags=F.BPF_F_STACK_BUILD_ID), "not supported"),
        (replace(STACKS, max_entries=(1 << 31) + 1), "(E2BIG)"),
        (replace(HASH, type=T.BPF_MAP_TYPE_ARENA), "map type BPF_MAP_TYPE_ARENA is not supported yet"),
        (replace(HASH, type=1000), "map type 1000 is not supported yet"),
        (replace(ARRAY, value_size=1 << 20, max_entries=1 << 20), "and a map of more than 4294963200 bytes"),
        (replace(HASH, max_entries=1 << 31), "bytes is not supported"),
    ],
)
def test_a_spec_that_breaks_a_rule_is_refused(spec: MapSpec, text: str) -> None:
    with pytest.raises(InputError) as caught:
        create_map(spec)
    assert text in str(caught.value)


@pytest.mark.parametrize("cpus", [0, -1, 1 << 20])
def test_the_number_of_cpus_has_limits(cpus: int) -> None:
    with pytest.raises(InputError, match="is no number of cpus"):
        create_map(HASH, cpus)


def test_flag_names_name_what_they_can() -> None:
    assert flag_names(F.BPF_F_RDONLY | F.BPF_F_NUMA_NODE | 1 << 31) == "BPF_F_NUMA_NODE | BPF_F_RDONLY | 0x80000000"


@pytest.mark.parametrize(
    ("size", "adjusted"), [(0, 0), (1, 4096), (4096, 4096), (4097, 8192), (3 * 4096, 4 * 4096), (1 << 32, 1 << 32)]
)
def test_like_libbpf_rounds_ring_buffers_up(size: int, adjusted: int) -> None:
    assert like_libbpf(replace(RING, max_entries=size), 4).max_entries == adjusted


def test_like_libbpf_gives_a_perf_event_array_an_entry_per_cpu() -> None:
    events = MapSpec("events", T.BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 0)
    assert like_libbpf(events, 4).max_entries == 4
    assert like_libbpf(replace(events, max_entries=2), 4).max_entries == 2
    assert like_libbpf(HASH, 4) is HASH


def test_operations_say_which_helpers_are_legal() -> None:
    assert illegal(HASH, Operation.UPDATE) is None
    assert illegal(PROGRAMS, Operation.LOOKUP) == "map m is a BPF_MAP_TYPE_PROG_ARRAY, which has no lookup"
    assert "has no stack id" in str(illegal(replace(HASH, type=T.BPF_MAP_TYPE_ARENA), Operation.STACK))
    read_only = replace(HASH, flags=F.BPF_F_RDONLY_PROG)
    assert illegal(read_only, Operation.LOOKUP) is None
    assert "read-only for programs" in str(illegal(read_only, Operation.DELETE))


def test_every_kind_has_a_class_of_its_own() -> None:
    from pybpftime.maps.map import map_classes

    assert set(map_classes()) == set(MAP_KINDS)
    assert all(cls.kind is MAP_KINDS[number] for number, cls in map_classes().items())


SIZES = st.sampled_from([0, 1, 2, 4, 8, 12, 16, 80, 1024, 1016, 4096, 8192, 32768, 32769])
# The zero seed, a numa node, build ids and huge maps depend on more than the spec.
FLAGS = st.sampled_from([0, 1, 2, 3, 8, 16, 24, 128, 256, 384, 1024, 2048, 4096, 1 << 20])


@settings(max_examples=300)
@given(st.sampled_from(sorted(MAP_KINDS)), SIZES, SIZES, SIZES, FLAGS)
def test_the_kernel_makes_the_same_maps(
    kernel: Any, number: MapType, key_size: int, value_size: int, max_entries: int, flags: int
) -> None:
    spec = MapSpec("same", number, key_size, value_size, max_entries, flags)
    try:
        check(spec)
        ours: BpfError | None = None
    except InputError as error:
        ours = error
    if ours is None and value_size * max_entries > 1 << 22:
        return
    try:
        kernel.KernelMap.create(number, key_size, value_size, max_entries, flags=flags).close()
        assert ours is None, f"the kernel makes it, and ours says: {ours}"
    except HostError as error:
        assert ours is not None, f"{spec}: ours is made, and the kernel says: {error}"
