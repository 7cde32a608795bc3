"""Maps: one class for each map type, over one slab of storage for each map.

    create_map(MapSpec("counts", MapType.BPF_MAP_TYPE_HASH, key_size=4, value_size=8, max_entries=1024))

`MAP_KINDS` says which operations each type has, for the verifier and for helpers; `Map` has the two sides of a
map, that of programs and that of user space; docs/reference/layout.md describes the slab.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpftime.lazy import lazy_names
from pybpftime.maps.errors import MapError
from pybpftime.maps.kinds import MAP_KINDS, MapKind, Operation, illegal
from pybpftime.maps.spec import MapSpec, like_libbpf
from pybpftime.uapi import Errno

if TYPE_CHECKING:
    from pybpftime.maps.array import ArrayMap, PerCpuArrayMap
    from pybpftime.maps.hash import HashMap, PerCpuHashMap
    from pybpftime.maps.lru import LruHashMap
    from pybpftime.maps.map import Map, Value, create_map
    from pybpftime.maps.perf_event_array import PerfBuffer, PerfEventArray, PerfRecord
    from pybpftime.maps.prog_array import ProgramArray
    from pybpftime.maps.ringbuf import RingBuffer
    from pybpftime.maps.slab import Slab
    from pybpftime.maps.stack_trace import StackTraceMap

# Imported when they are asked for: a program without maps loads none of them.
_HOMES = {
    "ArrayMap": "array",
    "HashMap": "hash",
    "LruHashMap": "lru",
    "Map": "map",
    "PerCpuArrayMap": "array",
    "PerCpuHashMap": "hash",
    "PerfBuffer": "perf_event_array",
    "PerfEventArray": "perf_event_array",
    "PerfRecord": "perf_event_array",
    "ProgramArray": "prog_array",
    "RingBuffer": "ringbuf",
    "Slab": "slab",
    "StackTraceMap": "stack_trace",
    "Value": "map",
    "create_map": "map",
}

__all__ = [
    "MAP_KINDS",
    "ArrayMap",
    "Errno",
    "HashMap",
    "LruHashMap",
    "Map",
    "MapError",
    "MapKind",
    "MapSpec",
    "Operation",
    "PerCpuArrayMap",
    "PerCpuHashMap",
    "PerfBuffer",
    "PerfEventArray",
    "PerfRecord",
    "ProgramArray",
    "RingBuffer",
    "Slab",
    "StackTraceMap",
    "Value",
    "create_map",
    "illegal",
    "like_libbpf",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
