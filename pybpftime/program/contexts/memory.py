"""Contexts that are nothing but bytes: plain memory for raw programs, and what BPF_PROG_RUN gives syscall programs."""

from __future__ import annotations

from typing import Any

from pybpftime.errors import InputError
from pybpftime.machine import Machine, Region, RegionKind
from pybpftime.program.contexts.context import Context
from pybpftime.program.contexts.region import StructureRegion
from pybpftime.program.types.layouts import SYSCALL


class MemoryContext(Context):
    """Plain memory: r1 is its address, r2 its length; both are 0 when there is none."""

    __slots__ = ("_before", "memory")

    def __init__(self, mem: bytes | None) -> None:
        self._before = mem or b""
        self.memory = bytearray(self._before)

    def enter(self, machine: Machine) -> tuple[int, ...]:
        if not self.memory:
            return (0, 0)
        aligned = machine.strictness.unaligned_memory
        region = Region(RegionKind.MEMORY, "memory", self.memory, aligned=aligned)
        return (machine.memory.map(region, transient=True), len(self.memory))

    def fields(self) -> dict[str, Any]:
        return {} if self.memory == self._before else {"mem": self.memory.hex()}


class SyscallContext(Context):
    """The bytes of a syscall program, which it may change.  Key: `bytes`, as hex digits."""

    __slots__ = ("_before", "memory")

    def __init__(self, content: bytes) -> None:
        if len(content) > SYSCALL.size:
            raise InputError(f"the context of a syscall program has at most {SYSCALL.size} bytes, not {len(content)}")
        self._before = content
        self.memory = bytearray(content)

    def enter(self, machine: Machine) -> tuple[int, ...]:
        if not self.memory:
            return (0,)
        aligned = machine.strictness.unaligned_stack_and_context
        region = StructureRegion(SYSCALL, self.memory, aligned=aligned, writable=True)
        return (machine.memory.map(region, transient=True),)

    def fields(self) -> dict[str, Any]:
        return {} if self.memory == self._before else {"bytes": self.memory.hex()}
