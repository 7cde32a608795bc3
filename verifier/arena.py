"""Arenas: memory that a program shares with user space, of which every address may be accessed.

An access that hits no page reads 0 or is dropped, so nothing has to be shown of an address but that it is one of the
arena's: what `addr_space_cast` makes of a number.  Source: PTR_TO_ARENA in the kernel's verifier.c and x86-64 compiler.
"""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.isa import Instruction, Row
from pybpftime.maps.spec import MapSpec
from pybpftime.program.spec import MapReference
from pybpftime.uapi import PAGE_SIZE, MapType
from pybpftime.verifier.obligations import Obligation, Unsupported
from pybpftime.verifier.state import State
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.values import InputKind, Pointer, Region, RegionKind, Scalar, Value, unknown

TO_KERNEL, TO_USER = 1, 1 << 16
"""The immediates of addr_space_cast: from which address space, and above it, to which."""
NO_FETCH = frozenset({"lock_fetch_and", "lock_fetch_or", "lock_fetch_xor"})
"""What bpf_jit_supports_insn refuses in arenas, and its 32-bit forms."""


def is_arena(value: Value | None) -> bool:
    """Whether the value is an address in the arena."""
    return isinstance(value, Pointer) and value.region.kind is RegionKind.ARENA


def address(pc: int) -> Pointer:
    """Some address in the arena."""
    return Pointer(Region(RegionKind.ARENA, "arena", pc=pc))


def is_arena_map(map: MapSpec) -> bool:
    """Whether the map is one."""
    return map.type is MapType.BPF_MAP_TYPE_ARENA


def requires_of_place(map: MapSpec, offset: int) -> Iterator[Obligation]:
    """A variable in the arena lies in it."""
    if not 0 <= offset <= map.max_entries * PAGE_SIZE:
        yield Obligation("memory-bounds", f"byte {offset} of arena {map.name}, which has {map.max_entries} pages")


def requires_of_access(row: Row) -> None:
    """Unsupported for what is not compiled for arenas."""
    if row.name.startswith(("ldxs", "load_acquire", "store_release")) or row.name.removesuffix("32") in NO_FETCH:
        raise Unsupported(f"{row.name} in an arena")


def requires_of_cast(subject: Subject, state: State, instruction: Instruction) -> Iterator[Obligation]:
    """The program has an arena, and the cast is one of the two that exist."""
    if state.registers[instruction.src_reg] is None:
        number = instruction.src_reg
        yield Obligation("uninitialised-register", f"r{number} was never set", number)
    named = (one.name for one in subject.spec.references.values() if isinstance(one, MapReference))
    if not any(name in subject.maps and is_arena_map(subject.maps[name]) for name in named):
        yield Obligation("malformed", "addr_space_cast in a program that refers to no arena")
    elif instruction.imm not in (TO_KERNEL, TO_USER):
        yield Obligation("malformed", "addr_space_cast converts between address spaces 0 and 1")


def cast(state: State, instruction: Instruction, following: int) -> State:
    """The state behind addr_space_cast."""
    result: Value
    if instruction.imm == TO_KERNEL:
        result = address(state.pc)
    else:
        result = user_address(state.pc)
    return state.put(instruction.dst_reg, result, following)


def user_address(pc: int) -> Scalar:
    """An address in the arena as user space has it: a number."""
    return unknown("address in the arena", pc, InputKind.ADDRESS)
