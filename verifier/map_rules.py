"""Which maps a program may refer to at all.  Source: check_map_prog_compatibility and add_used_map of verifier.c."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pybpftime.maps.kinds import LINUX_MAP_KINDS
from pybpftime.maps.spec import MapSpec
from pybpftime.program.sections import SLEEPABLE
from pybpftime.program.spec import MapReference
from pybpftime.uapi import MapType, ProgramType
from pybpftime.verifier.subject import Malformed, Subject

MAX_MAPS = 64  # MAX_USED_MAPS
TRACING_TYPES = frozenset(  # is_tracing_prog_type
    {
        ProgramType.BPF_PROG_TYPE_KPROBE,
        ProgramType.BPF_PROG_TYPE_TRACEPOINT,
        ProgramType.BPF_PROG_TYPE_PERF_EVENT,
        ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT,
        ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
    }
)
ONE_EACH = frozenset(
    {
        MapType.BPF_MAP_TYPE_CGROUP_STORAGE,
        MapType.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
        MapType.BPF_MAP_TYPE_ARENA,
    }
)
"""Types of which a program may have one map."""


def refuse_maps(subject: Subject) -> None:
    """Malformed for a map that the program refers to, wherever it does, and may not."""
    used = _used(subject)
    if len(used) > MAX_MAPS:
        raise Malformed("map-use", f"the program refers to {len(used)} maps, Linux takes {MAX_MAPS}")
    singles: set[MapType] = set()
    for map, pc in used.items():
        for why in _objections(subject, map):
            raise Malformed("map-use", f"map {map.name}: {why}", pc)
        if map.type in singles:
            raise Malformed("map-use", f"map {map.name} is the second {map.type.name} of the program", pc)
        if map.type in ONE_EACH:
            singles.add(map.type)


def _used(subject: Subject) -> Mapping[MapSpec, int]:
    """The maps, and where the program first refers to each."""
    used: dict[MapSpec, int] = {}
    for pc, reference in sorted(subject.spec.references.items()):
        if isinstance(reference, MapReference) and reference.name in subject.maps:
            used.setdefault(subject.maps[reference.name], pc)
    return used


def _objections(subject: Subject, map: MapSpec) -> Iterator[str]:
    kind = LINUX_MAP_KINDS.get(map.type)
    tracing = subject.program_type in TRACING_TYPES
    if kind is None:
        yield f"{map.type} is no type of maps that Linux has"
    elif not kind.usable:
        yield f"programs may not use a {map.type.name}"
    elif SLEEPABLE in subject.spec.flags and not kind.sleepable:
        yield f"sleepable programs may not use a {map.type.name}"
    if map.spin_lock_offset is not None and (tracing or subject.program_type is _SOCKET_FILTER):
        yield f"programs of type {subject.info.name} may not use a map with a bpf_spin_lock"
    if map.timer_offset is not None and tracing:
        yield f"programs of type {subject.info.name} may not use a map with a bpf_timer"


_SOCKET_FILTER = ProgramType.BPF_PROG_TYPE_SOCKET_FILTER
