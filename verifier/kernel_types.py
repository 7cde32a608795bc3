"""What the kernel's BTF says of the structures and functions that programs see.

A structure is named, and a load from it is looked up member by member, as btf_struct_walk of the kernel's btf.c does.
Structures that have no name, and names that several structures have, are not followed.  What is malformed in the BTF
is not known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from pybpftime.errors import InputError
from pybpftime.program.btf import (
    Array,
    Btf,
    Const,
    Enum,
    Enum64,
    FuncProto,
    Int,
    Kind,
    Member,
    Param,
    Ptr,
    Restrict,
    Struct,
    Typedef,
    TypeTag,
    Union,
    Volatile,
)

POINTER_SIZE = 8
MAX_NESTED = 32


class Tag(StrEnum):
    """What __attribute__((btf_type_tag)) says of a pointer in the kernel's sources."""

    RCU = "rcu"
    USER = "user"
    PER_CPU = "percpu"


@dataclass(frozen=True, slots=True)
class Target:
    """What a pointer in the kernel leads to: the structure `type_name`.

    `field` is the member of `owner` that holds the pointer, or the parameter.  `in_union`: what else is stored there
    is not known.
    """

    type_name: str
    field: str
    owner: str = ""
    tag: Tag | None = None
    in_union: bool = False


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a load is none of the structure's: a clause."""

    why: str


Loaded = Target | Wrong | None
"""What a load gives: None for a number."""
MALFORMED: Loaded = Wrong("its types in the kernel's BTF are malformed")
_Answer = TypeVar("_Answer")


def _or(otherwise: _Answer, ask: Callable[[], _Answer]) -> _Answer:
    """The answer, or `otherwise` where the BTF cannot be followed."""
    try:
        return ask()
    except InputError:
        return otherwise


class KernelTypes:
    """The types of one kernel."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf

    # --- functions ---

    def parameters(self, function: str) -> tuple[Param, ...] | None:
        """Those of the kernel's function; None if it has none of this name."""
        return _or(None, lambda: self._parameters_of_function(function))

    def _parameters_of_function(self, function: str) -> tuple[Param, ...] | None:
        found = self.btf.find(function, Kind.FUNC)
        return None if found is None else self._parameters(self.btf[found])

    def tracepoint_parameters(self, name: str) -> tuple[Param, ...] | None:
        """Those of the tracepoint, without the kernel's own first one."""
        return _or(None, lambda: self._parameters_of_tracepoint(name))

    def _parameters_of_tracepoint(self, name: str) -> tuple[Param, ...] | None:
        found = self.btf.find(f"btf_trace_{name}", Kind.TYPEDEF)
        alias = None if found is None else self.btf[found]
        pointer = self.btf[alias.type] if isinstance(alias, Typedef) else None
        parameters = self._parameters(pointer)
        return None if parameters is None else parameters[1:]

    def _parameters(self, holder: object) -> tuple[Param, ...] | None:
        prototype = self.btf[holder.type] if hasattr(holder, "type") else None
        return prototype.params if isinstance(prototype, FuncProto) else None

    def of_parameter(self, parameter: Param) -> Loaded:
        """What the parameter is; Wrong for types that programs do not get, and for structures handed over by value."""
        return _or(MALFORMED, lambda: self._of_parameter(parameter))

    def _of_parameter(self, parameter: Param) -> Loaded:
        resolved = self.btf[self.btf.resolve(parameter.type)]
        if isinstance(resolved, Int | Enum | Enum64) and self.btf.size_of(parameter.type) <= POINTER_SIZE:
            return None
        if not isinstance(resolved, Ptr):
            return Wrong(f"parameter {parameter.name} is neither a number nor an address")
        target = self.btf[self.btf.resolve(resolved.type)]
        if resolved.type == 0 or isinstance(target, Int):
            return None
        found = self._target(resolved, parameter.name, "")
        return (
            Wrong(f"parameter {parameter.name} is the address of no structure that is known")
            if found is None
            else found
        )

    # --- structures ---

    def _structure(self, name: str) -> Struct | None:
        found = self.btf.find_all(name, Kind.STRUCT)
        one = self.btf[found[0]] if len(found) == 1 else None
        return one if isinstance(one, Struct) else None

    def load(self, type_name: str, offset: int, size: int) -> Loaded:
        """What a load of `size` bytes at `offset` of the structure gives."""
        return _or(MALFORMED, lambda: self._load(type_name, offset, size))

    def _load(self, type_name: str, offset: int, size: int) -> Loaded:
        structure: Struct | Union | None = self._structure(type_name)
        in_union = False
        for _ in range(MAX_NESTED):
            if structure is None:
                return Wrong(f"struct {type_name} is not known")
            if offset + size > structure.size:
                flexible = self._flexible(structure, offset)
                if flexible is None:
                    return Wrong(f"struct {type_name} ends before")
                element = self.btf[self.btf.resolve(flexible.element)]
                if not isinstance(element, Struct):
                    return None if isinstance(element, Int) else Wrong(f"struct {type_name} ends before")
                offset = (offset - self._start(structure.members[-1])) % max(element.size, 1)
                structure = element
                continue
            member = self._member(structure, offset, size)
            if member is None:
                return Wrong(f"struct {type_name} has no member there")
            if member.bit_size:
                return None
            place, inner = self._element(member, offset)
            if not isinstance(inner, Struct | Union):
                reaches = offset - self._start(member) + size
                return self._of_member(type_name, member, inner, (place, size, reaches), in_union)
            structure, offset = inner, place
            in_union = in_union or isinstance(inner, Union)
        return Wrong(f"struct {type_name} is nested too deeply")

    def _flexible(self, structure: Struct | Union, offset: int) -> Array | None:
        """The array without a size at the end of the structure, if `offset` lies in it."""
        last = structure.members[-1] if structure.members else None
        array = None if last is None else self.btf[self.btf.resolve(last.type)]
        if last is None or not isinstance(array, Array) or array.count or offset < self._start(last):
            return None
        return array

    @staticmethod
    def _start(member: Member) -> int:
        return member.bit_offset // 8

    def _member(self, structure: Struct | Union, offset: int, size: int) -> Member | None:
        """The first member that the bytes begin in, or the bitfield that they cover."""
        for member in structure.members:
            start = self._start(member)
            if member.bit_size:
                end = -(-(member.bit_offset + member.bit_size) // 8)
                if offset <= start and end <= offset + size:
                    return member
                continue
            if start <= offset < start + self.btf.size_of(member.type):
                return member
        return None

    def _element(self, member: Member, offset: int) -> tuple[int, object]:
        """Where in the member, or in which place of an element of an array, the offset is, and the type there."""
        offset -= self._start(member)
        type = self.btf[self.btf.resolve(member.type)]
        for _ in range(MAX_NESTED):
            if not isinstance(type, Array):
                break
            element = self.btf.resolve(type.element)
            offset %= max(self.btf.size_of(element), 1)
            type = self.btf[element]
        return offset, type

    def _of_member(
        self, owner: str, member: Member, type: object, access: tuple[int, int, int], in_union: bool
    ) -> Loaded:
        """What a load from a member that is no structure gives.

        `access`: where in the member, or in an element of it, the load begins; its size; where in the member it ends.
        """
        place, size, reaches = access
        if isinstance(type, Ptr):
            if place or size != POINTER_SIZE:
                return Wrong(f"member {member.name} of struct {owner} is an address, which is loaded whole")
            return self._target(type, member.name, owner, in_union)
        if reaches > self.btf.size_of(member.type) and not in_union:
            return Wrong(f"it reaches beyond member {member.name} of struct {owner}")
        return None

    def _target(self, pointer: Ptr, field: str, owner: str, in_union: bool = False) -> Target | None:
        """What a pointer leads to, if it is a structure with a name of its own."""
        tag: Tag | None = None
        id = pointer.type
        for _ in range(MAX_NESTED):
            type = self.btf[id]
            if isinstance(type, TypeTag) and type.name in tuple(Tag):
                tag = Tag(type.name)
            if not isinstance(type, Typedef | Const | Volatile | Restrict | TypeTag):
                break
            id = type.type
        else:
            return None
        if not isinstance(type, Struct) or self._structure(type.name) is None:
            return None
        return Target(type.name, field, owner, tag, in_union)

    def is_at(self, type_name: str, offset: int, wanted: str) -> bool:
        """Whether a `struct wanted` begins at that place of the structure."""
        return _or(False, lambda: self._is_at(type_name, offset, wanted))

    def _is_at(self, type_name: str, offset: int, wanted: str) -> bool:
        structure: object = self._structure(type_name)
        for _ in range(MAX_NESTED):
            if not isinstance(structure, Struct | Union):
                return False
            if structure.name == wanted and offset == 0 and isinstance(structure, Struct):
                return True
            member = self._member(structure, offset, 1)
            if member is None or member.bit_size:
                return False
            offset, structure = self._element(member, offset)
        return False
