"""bpf_map_*: what the map's own methods do, with the machine's cpu."""

from __future__ import annotations

from pybpftime.helpers.registry import implements
from pybpftime.machine import Machine, TailCall
from pybpftime.machine.machine import MAX_TAIL_CALLS
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
    """A call that finds no program counts too, one behind the end of the map does not (bpf_prog_run)."""
    index &= 0xFFFF_FFFF
    if index >= map.max_entries or machine.tail_calls >= MAX_TAIL_CALLS:
        return
    machine.tail_calls += 1
    program = map.program_at(index)
    if program is not None:
        machine.require_released("tail call")
        raise TailCall(program)
