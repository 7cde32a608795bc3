"""bpf_loop and bpf_for_each_map_elem: calls back into the program."""

from __future__ import annotations

from pybpftime.errors import Fault, FaultKind
from pybpftime.helpers.errors import E2BIG, EINVAL
from pybpftime.helpers.registry import implements
from pybpftime.machine import Machine, Region, RegionKind
from pybpftime.maps import Map
from pybpftime.maps.kinds import MAP_KINDS


@implements("bpf_loop")
def loop(machine: Machine, count: int, callback: int, callback_context: int, flags: int) -> int:
    count &= 0xFFFF_FFFF
    if flags:
        return -EINVAL
    if count > machine.limits.loops:
        return -E2BIG
    for index in range(count):
        if _call(machine, callback, index, callback_context):
            return index + 1
    return count


@implements("bpf_for_each_map_elem")
def for_each_map_elem(machine: Machine, map: Map, callback: int, callback_context: int, flags: int) -> int:
    """Keys are shown to the callback in memory of their own: Linux gives a hash map's key in place, read-only."""
    if flags:
        return -EINVAL
    cpu = machine.environment.cpu if MAP_KINDS[map.type].per_cpu else 0
    region = Region(RegionKind.MEMORY, f"key of map {map.name}", bytearray(map.key_size), writable=False, owner=map)
    machine.memory.map(region, transient=True)
    visited = 0
    try:
        for key, value in map.for_each(cpu):
            region.data[:] = key
            visited += 1
            if _call(machine, callback, map.address, region.base, value, callback_context):
                break
    finally:
        machine.memory.unmap(region)
    return visited


def _call(machine: Machine, callback: int, *arguments: int) -> bool:
    """Whether the callback wants the loop to end."""
    result = machine.call(callback, arguments)
    if result > 1 and machine.strictness.checked_calls:
        raise Fault(FaultKind.HELPER, f"the callback returned {result:#x}, and it may return 0 or 1 only")
    return result != 0
