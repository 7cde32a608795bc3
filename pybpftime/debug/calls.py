"""Where a program calls helpers, and which arguments are maps and keys: for breakpoints on calls."""

from __future__ import annotations

from dataclasses import dataclass

from pybpftime.engines.reference.link import called_helper
from pybpftime.helpers import HelperTable
from pybpftime.helpers.declarations import HelperDeclaration, Role
from pybpftime.isa import lookup
from pybpftime.machine import Machine
from pybpftime.machine.memory import OFFSET_MASK
from pybpftime.maps import Map
from pybpftime.program.spec import ProgramSpec


@dataclass(frozen=True, slots=True)
class HelperCall:
    """A call of a helper or kfunc at `slot`."""

    slot: int
    declaration: HelperDeclaration

    def argument(self, role: Role) -> int | None:
        """The register of the first argument of that role."""
        numbers = (number for number, one in enumerate(self.declaration.parameters, 1) if one.kind.role is role)
        return next(numbers, None)

    def map(self, machine: Machine) -> Map | None:
        """The map that the call is about, before it is made."""
        register = self.argument(Role.MAP)
        address = None if register is None else machine.registers[register]
        region = None if address is None else machine.memory.find(address)
        owner = None if region is None else region.owner
        return owner if isinstance(owner, Map) else None

    def key(self, machine: Machine) -> bytes | None:
        """The key that the call is about."""
        register, map = self.argument(Role.MAP_KEY), self.map(machine)
        address = None if register is None else machine.registers[register]
        region = None if address is None else machine.memory.find(address)
        if map is None or address is None or region is None:
            return None
        offset = address & OFFSET_MASK
        return bytes(region.data[offset : offset + map.key_size])


def helper_calls(spec: ProgramSpec, helpers: HelperTable) -> tuple[HelperCall, ...]:
    """The calls of helpers that are known, in the order of the code."""
    found = []
    for slot, instruction in enumerate(spec.instructions):
        row = None if instruction is None else lookup(instruction)
        if instruction is None or row is None:
            continue
        number = called_helper(instruction, row, spec.references.get(slot), helpers)
        helper = None if number is None else helpers.get(number)
        if helper is not None:
            found.append(HelperCall(slot, helper.declaration))
    return tuple(found)
