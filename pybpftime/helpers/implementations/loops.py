"""bpf_loop and bpf_for_each_map_elem: calls back into the program."""

from __future__ import annotations

from pybpftime.errors import Fault, FaultKind
from pybpftime.helpers.errors import E2BIG, EINVAL
from pybpftime.helpers.registry import implements
from pybpftime.machine import Machine, Region, RegionKind, Rounds
from pybpftime.maps import Map
from pybpftime.maps.kinds import MAP_KINDS


class Iteration(Rounds):
    """Rounds that are counted and go on as long as the callback returns 0; the helper returns how many there were."""

    def __init__(self, callback: int, context: int) -> None:
        super().__init__(callback)
        self.context = context
        self.count = 0
        self.ended = False

    def returned(self, machine: Machine, value: int) -> None:
        if value > 1 and machine.strictness.checked_calls:
            raise Fault(FaultKind.HELPER, f"the callback returned {value:#x}, and it may return 0 or 1 only")
        self.count += 1
        self.ended = value != 0

    @property
    def result(self) -> int:
        return self.count


class Loop(Iteration):
    """bpf_loop: the callback gets the number of the round, from 0."""

    def __init__(self, callback: int, context: int, most: int) -> None:
        super().__init__(callback, context)
        self.most = most

    def arguments(self, machine: Machine) -> tuple[int, ...] | None:
        return None if self.ended or self.count == self.most else (self.count, self.context)


class Walk(Iteration):
    """bpf_for_each_map_elem: the callback gets the map, a key, and the address of its value.

    Keys are shown to it in memory of their own: Linux gives a hash map's key in place, read-only.
    """

    def __init__(self, callback: int, context: int, map: Map, cpu: int) -> None:
        super().__init__(callback, context)
        self.map = map
        self.cpu = cpu
        self.cursor = map.first_cursor()
        self.key = Region(RegionKind.MEMORY, f"key of map {map.name}", bytearray(map.key_size), writable=False)

    def arguments(self, machine: Machine) -> tuple[int, ...] | None:
        if self.count == 0:
            self.key.owner = self.map
            machine.memory.map(self.key, transient=True)
        found = None if self.ended else self.map.element_at(self.cursor, self.cpu)
        if found is None:
            machine.memory.unmap(self.key)
            return None
        key, address, self.cursor = found
        self.key.data[:] = key
        return self.map.address, self.key.base, address, self.context


@implements("bpf_loop")
def loop(machine: Machine, count: int, callback: int, callback_context: int, flags: int) -> int | Rounds:
    count &= 0xFFFF_FFFF
    if flags:
        return -EINVAL
    if count > machine.limits.loops:
        return -E2BIG
    return Loop(callback, callback_context, count)


@implements("bpf_for_each_map_elem")
def for_each_map_elem(machine: Machine, map: Map, callback: int, callback_context: int, flags: int) -> int | Rounds:
    if flags:
        return -EINVAL
    return Walk(callback, callback_context, map, machine.environment.cpu if MAP_KINDS[map.type].per_cpu else 0)
