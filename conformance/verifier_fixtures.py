"""The maps that raw verifier vectors of Linux refer to by name, as test_verifier.c of the selftests makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from pybpftime.errors import InputError
from pybpftime.maps.spec import KernelPointer, MapSpec
from pybpftime.uapi import MapFlag, MapType

T = MapType

# struct test_val: u32 index = 28, then an array of int with one element set.
_INDEX, _ELEMENT, _ELEMENT_OFFSET, _VALUE_SIZE = 28, 0xABCDEF12, 28, 48
_CONTENTS = (_INDEX.to_bytes(4, "little").ljust(_ELEMENT_OFFSET, b"\0") + _ELEMENT.to_bytes(4, "little")).ljust(
    _VALUE_SIZE, b"\0"
)


def _hash(name: str, value_size: int) -> MapSpec:
    return MapSpec(name, T.BPF_MAP_TYPE_HASH, 8, value_size, 1, MapFlag.BPF_F_NO_PREALLOC)


def _array(name: str, value_size: int, flags: int = 0, contents: bytes | None = None) -> MapSpec:
    return MapSpec(name, T.BPF_MAP_TYPE_ARRAY, 4, value_size, 1, flags, contents=contents)


_FIXTURES = (
    _hash("map_hash_8b", 8),
    _hash("map_hash_16b", 16),
    _hash("map_hash_48b", 48),
    _array("map_array_48b", _VALUE_SIZE, contents=_CONTENTS),
    _array("map_array_ro", _VALUE_SIZE, MapFlag.BPF_F_RDONLY_PROG, _CONTENTS),
    _array("map_array_wo", _VALUE_SIZE, MapFlag.BPF_F_WRONLY_PROG, _CONTENTS),
    _array("map_array_small", 1, contents=_CONTENTS[:1]),
    MapSpec("prog1", T.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4),
    MapSpec("prog2", T.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 8),
    MapSpec("map_in_map", T.BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1, inner=_array("inner", 4)),
    MapSpec("cgroup_storage", T.BPF_MAP_TYPE_CGROUP_STORAGE, 16, 64, 0),
    MapSpec("percpu_cgroup_storage", T.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 16, 64, 0),
    MapSpec("map_sockmap", T.BPF_MAP_TYPE_SOCKMAP, 4, 4, 1),
    MapSpec("map_sockhash", T.BPF_MAP_TYPE_SOCKHASH, 4, 4, 1),
    MapSpec("map_xskmap", T.BPF_MAP_TYPE_XSKMAP, 4, 4, 1),
    MapSpec("map_stacktrace", T.BPF_MAP_TYPE_STACK_TRACE, 4, 8, 1),
    MapSpec("map_event_output", T.BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 1),
    MapSpec("map_reuseport_array", T.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 4, 8, 1),
    MapSpec("map_ringbuf", T.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096),
    replace(_array("map_spin_lock", 8), spin_lock_offset=4),
    MapSpec("sk_storage_map", T.BPF_MAP_TYPE_SK_STORAGE, 4, 8, 0, MapFlag.BPF_F_NO_PREALLOC, spin_lock_offset=4),
    replace(_array("map_timer", 16), timer_offset=0),
    replace(
        _array("map_kptr", 24),
        kernel_pointers=(
            KernelPointer(0, "prog_test_ref_kfunc", referenced=False),
            KernelPointer(8, "prog_test_ref_kfunc"),
            KernelPointer(16, "prog_test_member"),
        ),
    ),
)

FIXTURES: Mapping[str, MapSpec] = MappingProxyType({spec.name: spec for spec in _FIXTURES})


def fixture(kind: str) -> MapSpec:
    """The map of that kind; the data and older releases also say it with `fixup_` in front.  InputError if unknown."""
    spec = FIXTURES.get(kind.removeprefix("fixup_"))
    if spec is None:
        raise InputError(f"there is no kind of map {kind!r}")
    return spec
