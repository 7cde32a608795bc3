"""From registers to arguments: what happens between a call instruction and a helper's implementation.

`bind` makes a closure for one call site.  Each call checks r1 to r5 by the declaration and hands them over as

    ConstMap                    the Map
    MapKey, MapValue            bytes of the map's key_size, value_size
    Mem with its Size           bytes
    UninitMem, ChangedMem       Span: checked memory to write (and read)
    UninitMapValue, LongPointer Span
    ConstString                 bytes without the terminating 0
    Skb, Xdp                    the packet behind the context: PacketBuffer
    Context                     the context object, `machine.context`
    SpinLock                    the lock's address
    Callback, CallbackContext   addresses
    all others                  the register: an integer in [0, 2**64)

and None for NULL where the kind accepts it.  What the kernel's verifier would have refused is a Fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pybpftime.errors import Fault, FaultKind
from pybpftime.helpers.declarations import GPL_COMPATIBLE, HelperDeclaration, Parameter, ResultRole, Role
from pybpftime.helpers.registry import Function, HelperTable
from pybpftime.isa.encoding import MASK64
from pybpftime.machine import Machine, Memory, RegionKind, Rounds, Strictness
from pybpftime.machine.memory import OFFSET_MASK, count
from pybpftime.maps import MapError, illegal
from pybpftime.uapi import ProgramType

if TYPE_CHECKING:  # a program without maps runs without loading them
    from pybpftime.maps import Map

MAX_SIZE = 1 << 29  # BPF_MAX_VAR_SIZ: the verifier refuses a size that might reach it
UNLOCK = "bpf_spin_unlock"

Convert = Callable[[], object]
"""Turns one argument register into a value for the implementation."""


@dataclass(frozen=True, slots=True)
class Span:
    """Memory of the program that a helper may write: `size` bytes at `address`."""

    memory: Memory
    address: int
    size: int

    def read(self) -> bytes:
        """All bytes."""
        return self.memory.read(self.address, self.size)

    def write(self, content: bytes) -> None:
        """Overwrite the first bytes; `content` must fit."""
        if len(content) > self.size:
            raise Fault(
                FaultKind.HELPER, f"{count(len(content))} written to memory of {self.size}", address=self.address
            )
        self.memory.write(self.address, content)

    def fill(self, content: bytes) -> None:
        """Overwrite all bytes: `content`, cut to the size or followed by zeros."""
        self.memory.write(self.address, content[: self.size].ljust(self.size, b"\0"))

    def clear(self) -> None:
        """Overwrite all bytes with 0."""
        self.memory.write(self.address, bytes(self.size))


def why_not_callable(
    helper_id: int, table: HelperTable, program_type: ProgramType, license: str, level: Strictness
) -> Fault | None:
    """The Fault that a call of helper `helper_id` by a program of this type and license is; None when it is served.

    Levels that do not check calls let every program call every helper.
    """
    helper = table.get(helper_id)
    if helper is None:
        name = table.name_of(helper_id)
        if name is None:
            return Fault(FaultKind.CALL, f"there is no helper with the number {helper_id}")
        return Fault(FaultKind.TRAP, f"{name}#{helper_id} is not implemented")
    declaration = helper.declaration
    name = declaration.name if declaration.id is None else f"{declaration.name}#{helper_id}"
    if level.checked_calls and declaration.gpl_only and license not in GPL_COMPATIBLE:
        given = f"not under {license!r:.70}" if license else "and this one has none"
        return Fault(FaultKind.CALL, f"{name} is for programs under a GPL-compatible license, {given}")
    if helper.function is None:
        return Fault(FaultKind.TRAP, f"{name} is not implemented")
    if level.checked_calls and not declaration.allows(program_type):
        type_name = program_type.name.removeprefix("BPF_PROG_TYPE_").lower()
        return Fault(FaultKind.CALL, f"{name} cannot be called by programs of type {type_name}")
    return None


def bind(
    helper_id: int, table: HelperTable, machine: Machine, program_type: ProgramType, *, license: str = "GPL"
) -> Callable[[], Rounds | None]:
    """The closure that calls helper `helper_id` with the machine's registers and stores its result.

    It returns the Rounds of a helper that calls back: their `conclude` stores the result when they are over.
    Never raises: a call that cannot be served gives a closure that faults with the reason (`why_not_callable`).
    """
    fault = why_not_callable(helper_id, table, program_type, license, machine.strictness)
    if fault is not None:
        return _fault(fault.kind, fault.reason)
    helper = table.get(helper_id)
    assert helper is not None
    assert helper.function is not None
    return _CallSite(helper.declaration, machine).closure(helper.function)


def _fault(kind: FaultKind, reason: str) -> Callable[[], Rounds | None]:
    def fail() -> Rounds | None:
        raise Fault(kind, reason)

    return fail


class _CallSite:
    """One call instruction: the declaration and the state that arguments of one call share (the map)."""

    def __init__(self, declaration: HelperDeclaration, machine: Machine) -> None:
        self.declaration = declaration
        self.machine = machine
        self.checked = machine.strictness.checked_calls
        # The map argument of this call.  It is nearly always that of the call before, and needs no check again then.
        self.map: Map | None = None
        self.map_address = 0

    def closure(self, function: Function) -> Callable[[], Rounds | None]:
        machine, declaration = self.machine, self.declaration
        registers, name = machine.registers, declaration.name
        invoke = _invocation(function, machine, self.converters())
        count = len(declaration.parameters)
        void = declaration.returns.role is ResultRole.VOID
        changes_packet = declaration.changes_packet
        may_hold_lock = name == UNLOCK or not self.checked
        unset = machine.unset
        all_unset = [unset] * 5
        acquires, references = declaration.returns.acquires, machine.references
        released = [number for number, one in enumerate(declaration.parameters, start=1) if one.kind.releases]

        def call() -> Rounds | None:
            if machine.held_lock is not None and not may_hold_lock:
                raise Fault(FaultKind.HELPER, f"{name} is called while a spin lock is held")
            raw = [value or 0 for value in registers[1 : count + 1]] if machine.observers else []
            try:
                result = invoke()
            except MapError as error:
                result = -error.errno
            for number in released:
                references.pop(registers[number] or 0, None)
            if isinstance(result, Rounds):
                result.conclude = partial(conclude, raw)
                return result
            conclude(raw, result)
            return None

        def conclude(raw: Sequence[int], result: int | None) -> None:
            if acquires and result:
                references[result & MASK64] = name
            if changes_packet:
                machine.context.invalidate()
            registers[0] = unset if void or result is None else result & MASK64
            registers[1:6] = all_unset
            for observer in machine.observers:
                observer.helper_called(machine, name, raw, registers[0] or 0)

        return call

    def converters(self) -> list[Convert]:
        """One converter for each of the declaration's arguments."""
        converters = []
        for number, parameter in enumerate(self.declaration.parameters, start=1):
            if parameter.kind.role is not Role.SIZE:
                argument = _Argument(self, number, parameter)
                converters.append(argument.converter())
        return converters


def _invocation(function: Function, machine: Machine, converters: list[Convert]) -> Callable[[], int | Rounds | None]:
    """The call of an implementation with its arguments, unrolled: most helpers have no more than three."""
    match converters:
        case []:
            return lambda: function(machine)
        case [one]:
            return lambda: function(machine, one())
        case [one, two]:
            return lambda: function(machine, one(), two())
        case [one, two, three]:
            return lambda: function(machine, one(), two(), three())
    return lambda: function(machine, *[convert() for convert in converters])


class _Argument:
    """Conversion of one register at one call site.  The methods named after roles are the converters."""

    def __init__(self, site: _CallSite, number: int, parameter: Parameter) -> None:
        self.site = site
        self.machine = site.machine
        self.memory = site.machine.memory
        self.registers = site.machine.registers
        self.number = number
        self.parameter = parameter
        self.kind = parameter.kind
        self.read = self.memory.read if parameter.kind.pointers else self.memory.read_data
        parameters = site.declaration.parameters
        self.size_parameter = parameters[number] if number < len(parameters) else parameter

    def converter(self) -> Convert:
        role, kind = self.kind.role, self.kind
        converters: dict[Role, Convert] = {
            Role.UNCHECKED: lambda: self.registers[self.number] or 0,
            Role.MAP: self.map,
            Role.MAP_KEY: self.map_key,
            Role.MAP_VALUE: self.map_value,
            Role.MEMORY: self.written_memory if kind.writes else self.read_memory,
            Role.FIXED_MEMORY: self.fixed_memory,
            Role.CONTEXT: self.context,
            Role.FUNCTION: self.function,
            Role.STACK: self.stack,
            Role.CONSTANT_STRING: self.constant_string,
            Role.SPIN_LOCK: self.spin_lock,
        }
        return converters.get(role, self.value)

    # -- the register ---------------------------------------------------------------------------------------------

    def value(self) -> int:
        """The register as it is; Fault when it was never written."""
        value = self.registers[self.number]
        if value is None:
            raise Fault(FaultKind.UNINITIALISED, f"{self.where()} was never written")
        return value

    def where(self) -> str:
        """`bpf_map_lookup_elem: argument 2 (key, r2)`"""
        return f"{self.site.declaration.name}: argument {self.number} ({self.parameter.name}, r{self.number})"

    def refuse(self, why: str, address: int | None = None) -> Fault:
        return Fault(FaultKind.HELPER, f"{self.where()} {why}", address=address)

    def blame(self, fault: Fault) -> Fault:
        """Say in a memory fault which argument of which helper it was."""
        fault.reason = f"{self.where()}: {fault.reason}"
        fault.args = (fault.reason,)
        return fault

    # -- maps -----------------------------------------------------------------------------------------------------

    def map(self) -> Map:
        site, address = self.site, self.registers[self.number]
        if address == site.map_address and site.map is not None:
            return site.map
        address = self.value()
        region = self.memory.find(address)
        if region is None or region.kind is not RegionKind.MAP or address != region.base:
            raise self.refuse(f"is {self.memory.describe(address)}, not a map", address)
        found = cast("Map", region.owner)
        operation = site.declaration.map_operation
        reason = None if operation is None else illegal(found.spec, operation)
        if reason is not None:
            raise self.refuse(f"does not fit: {reason}", address)
        site.map, site.map_address = found, address
        return found

    def map_key(self) -> bytes:
        made = self.site.map
        assert made is not None
        return self._read(self.value(), made.key_size)

    def map_value(self) -> bytes | Span | None:
        address = self.value()
        assert self.site.map is not None
        size = self.site.map.value_size
        if self.kind.nullable and address == 0:
            return None
        return self._span(address, size) if self.kind.writes else self._read(address, size)

    # -- memory ---------------------------------------------------------------------------------------------------

    def size(self) -> int:
        """The size in the register behind this one; Fault for what the verifier would refuse."""
        size = self.registers[self.number + 1]
        parameter = self.size_parameter
        where = f"{self.site.declaration.name}: argument {self.number + 1} ({parameter.name}, r{self.number + 1})"
        if size is None:
            raise Fault(FaultKind.UNINITIALISED, f"{where} was never written")
        if size >= MAX_SIZE:
            raise Fault(FaultKind.HELPER, f"{where} is {size:#x}: negative, or larger than any memory")
        if size == 0 and not parameter.kind.zero and self.site.checked:
            raise Fault(FaultKind.HELPER, f"{where} is 0")
        return size

    def read_memory(self) -> bytes | None:
        address, size = self.value(), self.size()
        if self.kind.nullable and address == 0 and size == 0:
            return None
        return self._read(address, size)

    def written_memory(self) -> Span | None:
        address, size = self.value(), self.size()
        if self.kind.nullable and address == 0 and size == 0:
            return None
        return self._span(address, size)

    def fixed_memory(self) -> Span:
        address = self.value()
        assert self.kind.size is not None
        if self.kind.aligned and self.site.checked and address % self.kind.size:
            reason = f"{self.where()} is {self.memory.describe(address)}, not aligned to {self.kind.size}"
            raise Fault(FaultKind.ALIGNMENT, reason, address=address, size=self.kind.size)
        return self._span(address, self.kind.size)

    def constant_string(self) -> bytes:
        address = self.value()
        region = self.memory.find(address)
        if region is None or (self.site.checked and (region.kind is not RegionKind.MAP_VALUE or region.writable)):
            raise self.refuse(f"is {self.memory.describe(address)}, not a string in read-only data", address)
        offset = address & OFFSET_MASK
        _, start, end = region.span(offset)
        content = self._read(address, max(end - offset, 1)) if offset >= start else self._read(address, 1)
        text, terminator, _ = content.partition(b"\0")
        if not terminator:
            raise self.refuse("is a string without a terminating 0", address)
        return text

    def _read(self, address: int, size: int) -> bytes:
        try:
            return self.read(address, size)
        except Fault as fault:
            raise self.blame(fault) from None

    def _span(self, address: int, size: int) -> Span:
        """Memory that may be written: checked now, as the verifier would, whether or not the helper writes it."""
        if size:
            region = self.memory.find(address)
            if region is None:
                raise self.blame(self.memory.refuse(address, size, "write"))
            offset = address & OFFSET_MASK
            _, start, end = region.span(offset)
            if offset < start or offset + size > end or not region.writable:
                raise self.blame(region.refuse(offset, size, "write"))
            if self.kind.reads:
                self._read(address, size)
        return Span(self.memory, address, size)

    # -- other pointers -------------------------------------------------------------------------------------------

    def context(self) -> Any:
        address = self.value()
        if self.kind.nullable and address == 0:
            return None
        context = self.machine.context
        if self.site.checked:
            region = self.memory.find(address)
            if region is None or (region.kind is not RegionKind.CONTEXT and region.owner is not context):
                raise self.refuse(f"is {self.memory.describe(address)}, not the program's context", address)
            if address != region.base:
                raise self.refuse(f"is {self.memory.describe(address)}: the context, but not at its start", address)
        packet = self.kind.packet
        if packet is not None and getattr(context, "kind", None) != packet:
            raise self.refuse(f"is a context without a packet of kind {packet}", address)
        return context

    def function(self) -> int:
        address = self.value()
        try:
            self.machine.code_pc(address)
        except Fault as fault:
            raise self.blame(fault) from None
        return address

    def stack(self) -> int:
        address = self.value()
        region = self.memory.find(address)
        is_stack = region is not None and region.kind is RegionKind.STACK
        if address and self.site.checked and not is_stack:
            raise self.refuse(f"is {self.memory.describe(address)}, neither NULL nor a place on the stack", address)
        return address

    def spin_lock(self) -> int:
        address = self.value()
        region = self.memory.find(address)
        map_spec = getattr(getattr(region, "owner", None), "spec", None)
        if region is None or region.kind is not RegionKind.MAP_VALUE or map_spec is None:
            raise self.refuse(f"is {self.memory.describe(address)}, not a spin lock in a map value", address)
        offset = address & OFFSET_MASK
        _, start, end = region.span(offset)
        if start == end or map_spec.spin_lock_offset != offset - start:
            raise self.refuse(f"is {self.memory.describe(address)}, where there is no bpf_spin_lock", address)
        return address
