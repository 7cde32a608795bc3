"""Kinds of helper arguments and results: the vocabulary of the declarations.

A kind says what the kernel's verifier demands of the register (`ARG_*` of enum bpf_arg_type), and so what the
running helper may rely on.  Declarations use the names at the end of this file as annotations:

    def bpf_map_lookup_elem(map: ConstMap, key: MapKey) -> MapValueOrNull: ...

A pointer to memory whose length the program states is followed by a `Size` or `SizeOrZero`; an implementation gets
the two as one value.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal


class Role(StrEnum):
    """What an argument is.  Everything that reads declarations decides by this."""

    ANYTHING = "anything"  # any initialised register
    UNCHECKED = "unchecked"  # not even looked at: the optional arguments of bpf_trace_printk
    MAP = "map"  # address of a map: what a map reference in the program loads
    MAP_KEY = "map key"  # pointer to key_size bytes of the map before it
    MAP_VALUE = "map value"  # pointer to value_size bytes of the map before it
    MEMORY = "memory"  # pointer to as many bytes as the next argument says
    FIXED_MEMORY = "fixed memory"  # pointer to `size` bytes
    SIZE = "size"  # length of the memory before it
    ALLOCATION_SIZE = "allocation size"  # a constant: how many bytes the result points to
    CONTEXT = "context"  # the program's context
    FUNCTION = "function"  # address of a static function of the program
    STACK = "stack"  # pointer into the stack, handed to a callback
    CONSTANT_STRING = "constant string"  # zero-terminated, in a map that is read-only for program and user space
    SPIN_LOCK = "spin lock"  # struct bpf_spin_lock in a map value
    TIMER = "timer"  # struct bpf_timer in a map value
    RECORD = "record"  # what bpf_ringbuf_reserve returned
    OBJECT = "object"  # pointer to a kernel object of a BTF type


@dataclass(frozen=True, slots=True)
class ArgumentKind:
    """One kind of argument.

    `linux` is the name of the kernel's constant.  `nullable`: NULL is accepted too.  `reads`, `writes`: what the
    helper does with the memory; memory that is only written need not be initialised before.  `size`, `aligned`:
    bytes of FIXED_MEMORY and whether their natural alignment is demanded.  `zero`: a SIZE may be 0.  `packet`: the
    CONTEXT must carry a packet of that kind.  `type_name`: the struct of an OBJECT.  `releases`: the argument gives
    up a reference that another helper returned.  `pointers`: the memory may hold pointers, which are data otherwise.
    """

    name: str
    linux: str
    role: Role
    nullable: bool = False
    reads: bool = False
    writes: bool = False
    size: int | None = None
    aligned: bool = False
    zero: bool = False
    packet: Literal["xdp", "skb"] | None = None
    type_name: str | None = None
    releases: bool = False
    pointers: bool = False


class ResultRole(StrEnum):
    """What a result is."""

    INTEGER = "integer"  # a number; a negative errno as 64 bits
    VOID = "void"  # nothing: r0 cannot be read afterwards
    MAP_VALUE = "map value"  # pointer to value_size bytes of the ConstMap argument
    MEMORY = "memory"  # pointer to as many bytes as the ALLOCATION_SIZE argument says
    OBJECT = "object"  # pointer to a kernel object of a BTF type


@dataclass(frozen=True, slots=True)
class ResultKind:
    """One kind of result.

    `nullable`: may be 0, which the program has to check.  `acquires`: the program must hand the result to a helper
    that releases it.  `type_name`: the struct of an OBJECT.
    """

    name: str
    linux: str
    role: ResultRole
    nullable: bool = False
    acquires: bool = False
    type_name: str | None = None


def object_argument(type_name: str, *, nullable: bool = False, releases: bool = False) -> ArgumentKind:
    """A pointer to a kernel's `struct type_name`."""
    name = f"Pointer[{type_name}]" + ("OrNull" if nullable else "")
    return ArgumentKind(
        name, "ARG_PTR_TO_BTF_ID", Role.OBJECT, nullable=nullable, type_name=type_name, releases=releases
    )


def object_result(type_name: str, *, nullable: bool = True, acquires: bool = False) -> ResultKind:
    """A pointer to a kernel's `struct type_name`."""
    name = f"Pointer[{type_name}]" + ("OrNull" if nullable else "")
    return ResultKind(name, "RET_PTR_TO_BTF_ID", ResultRole.OBJECT, nullable, acquires, type_name)


_Kind = ArgumentKind

Anything = Annotated[Any, _Kind("Anything", "ARG_ANYTHING", Role.ANYTHING)]
Unchecked = Annotated[Any, _Kind("Unchecked", "ARG_DONTCARE", Role.UNCHECKED)]
ConstMap = Annotated[Any, _Kind("ConstMap", "ARG_CONST_MAP_PTR", Role.MAP)]
MapKey = Annotated[Any, _Kind("MapKey", "ARG_PTR_TO_MAP_KEY", Role.MAP_KEY, reads=True)]
MapValue = Annotated[Any, _Kind("MapValue", "ARG_PTR_TO_MAP_VALUE", Role.MAP_VALUE, reads=True)]
UninitMapValue = Annotated[
    Any, _Kind("UninitMapValue", "ARG_PTR_TO_MAP_VALUE | MEM_UNINIT | MEM_WRITE", Role.MAP_VALUE, writes=True)
]
MapValueOrNullArgument = Annotated[
    Any, _Kind("MapValueOrNull", "ARG_PTR_TO_MAP_VALUE_OR_NULL", Role.MAP_VALUE, nullable=True, reads=True)
]

Mem = Annotated[Any, _Kind("Mem", "ARG_PTR_TO_MEM | MEM_RDONLY", Role.MEMORY, reads=True)]
MemOrNull = Annotated[
    Any, _Kind("MemOrNull", "ARG_PTR_TO_MEM | PTR_MAYBE_NULL | MEM_RDONLY", Role.MEMORY, nullable=True, reads=True)
]
PointersOrNull = Annotated[
    Any,
    _Kind(
        "PointersOrNull", "ARG_PTR_TO_MEM | PTR_MAYBE_NULL | MEM_RDONLY", Role.MEMORY,
        nullable=True, reads=True, pointers=True,
    ),
]  # fmt: skip
UninitMem = Annotated[Any, _Kind("UninitMem", "ARG_PTR_TO_UNINIT_MEM", Role.MEMORY, writes=True)]
UninitMemOrNull = Annotated[
    Any, _Kind("UninitMemOrNull", "ARG_PTR_TO_MEM_OR_NULL", Role.MEMORY, nullable=True, writes=True)
]
ChangedMem = Annotated[Any, _Kind("ChangedMem", "ARG_PTR_TO_MEM", Role.MEMORY, reads=True, writes=True)]
Size = Annotated[Any, _Kind("Size", "ARG_CONST_SIZE", Role.SIZE)]
SizeOrZero = Annotated[Any, _Kind("SizeOrZero", "ARG_CONST_SIZE_OR_ZERO", Role.SIZE, zero=True)]

_FIXED = "ARG_PTR_TO_FIXED_SIZE_MEM | MEM_UNINIT | MEM_WRITE | MEM_ALIGNED"
LongPointer = Annotated[Any, _Kind("LongPointer", _FIXED, Role.FIXED_MEMORY, writes=True, size=8, aligned=True)]
ConstAllocSize = Annotated[Any, _Kind("ConstAllocSize", "ARG_CONST_ALLOC_SIZE_OR_ZERO", Role.ALLOCATION_SIZE)]
ConstString = Annotated[Any, _Kind("ConstString", "ARG_PTR_TO_CONST_STR", Role.CONSTANT_STRING, reads=True)]

Context = Annotated[Any, _Kind("Context", "ARG_PTR_TO_CTX", Role.CONTEXT)]
ContextOrNull = Annotated[Any, _Kind("ContextOrNull", "ARG_PTR_TO_CTX_OR_NULL", Role.CONTEXT, nullable=True)]
Skb = Annotated[Any, _Kind("Skb", "ARG_PTR_TO_CTX", Role.CONTEXT, packet="skb")]
Xdp = Annotated[Any, _Kind("Xdp", "ARG_PTR_TO_CTX", Role.CONTEXT, packet="xdp")]

Callback = Annotated[Any, _Kind("Callback", "ARG_PTR_TO_FUNC", Role.FUNCTION)]
CallbackContext = Annotated[Any, _Kind("CallbackContext", "ARG_PTR_TO_STACK_OR_NULL", Role.STACK, nullable=True)]

SpinLock = Annotated[Any, _Kind("SpinLock", "ARG_PTR_TO_SPIN_LOCK", Role.SPIN_LOCK)]
Timer = Annotated[Any, _Kind("Timer", "ARG_PTR_TO_TIMER", Role.TIMER)]
AllocatedMem = Annotated[Any, _Kind("AllocatedMem", "ARG_PTR_TO_RINGBUF_MEM | OBJ_RELEASE", Role.RECORD, releases=True)]

Task = Annotated[Any, object_argument("task_struct")]

Integer = Annotated[Any, ResultKind("Integer", "RET_INTEGER", ResultRole.INTEGER)]
Void = Annotated[Any, ResultKind("Void", "RET_VOID", ResultRole.VOID)]
MapValueOrNull = Annotated[
    Any, ResultKind("MapValueOrNull", "RET_PTR_TO_MAP_VALUE_OR_NULL", ResultRole.MAP_VALUE, nullable=True)
]
AllocatedMemOrNull = Annotated[
    Any,
    ResultKind("AllocatedMemOrNull", "RET_PTR_TO_RINGBUF_MEM_OR_NULL", ResultRole.MEMORY, nullable=True, acquires=True),
]
TrustedTask = Annotated[Any, object_result("task_struct", nullable=False)]
PtRegs = Annotated[Any, object_result("pt_regs", nullable=False)]
