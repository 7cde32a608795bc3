"""bpf_map_*: what the map's own methods do, with the machine's cpu."""

from __future__ import annotations

from pybpftime.helpers.registry import implements
from pybpftime.machine import Machine, TailCall
from pybpftime.maps import Map, ProgramArray


@implements("bpf_map_lookup_elem")
def map_lookup_elem(machine: Machine, map: Map, key: bytes) -> int:
    return map.element_address(key, machine.environment.cpu)


@implements("bpf_map_update_elem")
def map_update_elem(machine: Machine, map: Map, key: bytes, value: bytes, flags: int) -> int:
    map.update_element(key, value, flags, machine.environment.cpu)
    return 0


@implements("bpf_map_delete_elem")
def map_delete_elem(machine: Machine, map: Map, key: bytes) -> int:
    map.delete_element(key)
    return 0


@implements("bpf_map_lookup_percpu_elem")
def map_lookup_percpu_elem(machine: Machine, map: Map, key: bytes, cpu: int) -> int:
    cpu &= 0xFFFF_FFFF
    return map.element_address(key, cpu) if cpu < map.cpu_count else 0


@implements("bpf_tail_call")
def tail_call(machine: Machine, context: object, map: ProgramArray, index: int) -> None:
    """Calls that find no program do not count: as the x86-64 JIT (emit_bpf_tail_call), not as the interpreter."""
    index &= 0xFFFF_FFFF
    if index >= map.max_entries or machine.tail_calls >= machine.limits.tail_calls:
        return
    program = map.program_at(index)
    if program is not None:
        machine.require_released("tail call")
        machine.tail_calls += 1
        raise TailCall(program)
