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
    PER_CPU_OBJECT = "per-cpu object"  # address of a per-cpu variable: of the kernel, or from bpf_percpu_obj_new
    SOCKET = "socket"  # struct bpf_sock of a full socket
    SOCK_COMMON = "socket of any state"  # struct bpf_sock, which may be a request or a closing one; bpf_tcp_sock too
    ANY_SOCKET = "socket or kernel object"  # SOCK_COMMON, or an object of the kernel that begins with a sock_common
    DYNPTR = "dynptr"  # struct bpf_dynptr on the stack
    KPTR = "kptr"  # field of a map value, or of an own object, that holds a pointer to an object


class CallbackArgument(StrEnum):
    """What a helper hands to a function of the program that it calls."""

    INDEX = "index"  # a number
    MAP = "map"  # the MAP argument of the helper, or the map that the TIMER lies in
    KEY = "key"  # pointer to a key of that map, read-only
    VALUE = "value"  # pointer to a value of that map
    TASK = "task"  # the OBJECT argument of the helper
    MAPPING = "mapping"  # pointer to a struct vm_area_struct
    DYNPTR = "dynptr"  # pointer to a dynptr of local memory, read-only
    CONTEXT = "context"  # the STACK argument of the helper


@dataclass(frozen=True, slots=True)
class CallbackKind:
    """How a helper calls a function of the program (set_callee_state in verifier.c).

    `arguments`: what r1 and those behind it hold.  It returns a number from 0 to `highest_result`.  `later`: it is not
    called by the helper, but some time after.
    """

    arguments: tuple[CallbackArgument, ...]
    highest_result: int = 1
    later: bool = False


@dataclass(frozen=True, slots=True)
class ArgumentKind:
    """One kind of argument.

    `linux` is the name of the kernel's constant.  `nullable`: NULL is accepted too.  `reads`, `writes`: what the
    helper does with the memory; memory that is only written need not be initialised before.  `size`, `aligned`:
    bytes of FIXED_MEMORY and whether their natural alignment is demanded.  `zero`: a SIZE may be 0.  `packet`: the
    CONTEXT must carry a packet of that kind.  `type_name`: the struct of an OBJECT, None for that of the KPTR before
    it.  `releases`: the argument gives up a reference that another helper returned.  `acquires`: it becomes such a
    reference.  `pointers`: the memory may hold pointers, which are data otherwise.  `callback`: how a FUNCTION is
    called, None when that is not declared.

    A DYNPTR that `writes` is made by the helper, from a place on the stack that need not be initialised; others must
    have been made before.  `dynptr`: the only kind of it that is meant, None for all.
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
    acquires: bool = False
    pointers: bool = False
    dynptr: Literal["local", "ringbuf"] | None = None
    callback: CallbackKind | None = None


class ResultRole(StrEnum):
    """What a result is."""

    INTEGER = "integer"  # a number; a negative errno as 64 bits
    VOID = "void"  # nothing: r0 cannot be read afterwards
    MAP_VALUE = "map value"  # pointer to value_size bytes of the ConstMap argument
    MEMORY = "memory"  # pointer to as many bytes as the ALLOCATION_SIZE argument says; of a DYNPTR, while that lives
    OBJECT = "object"  # pointer to a kernel object of a BTF type
    THIS_CPU = "object of one cpu"  # pointer to the PER_CPU_OBJECT argument's variable: memory, or an OBJECT
    SOCKET = "socket"  # pointer to the struct bpf_sock of a full socket
    SOCK_COMMON = "socket of any state"  # pointer to a struct bpf_sock, which may be a request or a closing one
    TCP_SOCKET = "TCP socket"  # pointer to a struct bpf_tcp_sock


@dataclass(frozen=True, slots=True)
class ResultKind:
    """One kind of result.

    `nullable`: may be 0, which the program has to check.  `acquires`: the program must hand the result to a helper
    that releases it.  `casts`: it is the argument, seen as another type, and shares the argument's reference
    (is_ptr_cast_function).  `type_name`: the struct of an OBJECT, None for that of the KPTR argument.
    """

    name: str
    linux: str
    role: ResultRole
    nullable: bool = False
    acquires: bool = False
    casts: bool = False
    type_name: str | None = None


def object_argument(type_name: str, *, nullable: bool = False) -> ArgumentKind:
    """A pointer to a kernel's `struct type_name`."""
    suffix = "OrNull" if nullable else ""
    linux = "ARG_PTR_TO_BTF_ID_OR_NULL" if nullable else "ARG_PTR_TO_BTF_ID"
    return ArgumentKind(f"Pointer[{type_name}]{suffix}", linux, Role.OBJECT, nullable=nullable, type_name=type_name)


def object_result(type_name: str, *, nullable: bool = True, casts: bool = False, trusted: bool = False) -> ResultKind:
    """A pointer to a kernel's `struct type_name`; `trusted`: one that may be followed and handed on."""
    suffix, linux = ("OrNull", "RET_PTR_TO_BTF_ID_OR_NULL") if nullable else ("", "RET_PTR_TO_BTF_ID")
    linux = "RET_PTR_TO_BTF_ID_TRUSTED" if trusted else linux
    return ResultKind(
        f"Pointer[{type_name}]{suffix}", linux, ResultRole.OBJECT, nullable, casts=casts, type_name=type_name
    )


def callback_argument(
    name: str, *arguments: CallbackArgument, highest_result: int = 1, later: bool = False
) -> ArgumentKind:
    """A function of the program that is called with these arguments."""
    kind = CallbackKind(arguments, highest_result, later)
    return ArgumentKind(name, "ARG_PTR_TO_FUNC", Role.FUNCTION, callback=kind)


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
    Any, _Kind("UninitMemOrNull", "ARG_PTR_TO_MEM_OR_NULL | MEM_WRITE", Role.MEMORY, nullable=True, writes=True)
]
ChangedMem = Annotated[Any, _Kind("ChangedMem", "ARG_PTR_TO_MEM | MEM_WRITE", Role.MEMORY, reads=True, writes=True)]
Size = Annotated[Any, _Kind("Size", "ARG_CONST_SIZE", Role.SIZE)]
SizeOrZero = Annotated[Any, _Kind("SizeOrZero", "ARG_CONST_SIZE_OR_ZERO", Role.SIZE, zero=True)]

_FIXED = "ARG_PTR_TO_FIXED_SIZE_MEM"
_HEADER = f"{_FIXED} | MEM_RDONLY"
LongPointer = Annotated[
    Any,
    _Kind(
        "LongPointer", f"{_FIXED} | MEM_UNINIT | MEM_WRITE | MEM_ALIGNED", Role.FIXED_MEMORY,
        writes=True, size=8, aligned=True,
    ),
]  # fmt: skip
ChangedInt = Annotated[
    Any,
    _Kind(
        "ChangedInt", f"{_FIXED} | MEM_WRITE | MEM_ALIGNED", Role.FIXED_MEMORY,
        reads=True, writes=True, size=4, aligned=True,
    ),
]  # fmt: skip
Ipv4Header = Annotated[Any, _Kind("Ipv4Header", _HEADER, Role.FIXED_MEMORY, reads=True, size=20)]
Ipv6Header = Annotated[Any, _Kind("Ipv6Header", _HEADER, Role.FIXED_MEMORY, reads=True, size=40)]
TcpHeader = Annotated[Any, _Kind("TcpHeader", _HEADER, Role.FIXED_MEMORY, reads=True, size=20)]
ConstAllocSize = Annotated[Any, _Kind("ConstAllocSize", "ARG_CONST_ALLOC_SIZE_OR_ZERO", Role.ALLOCATION_SIZE)]
ConstString = Annotated[Any, _Kind("ConstString", "ARG_PTR_TO_CONST_STR", Role.CONSTANT_STRING, reads=True)]

Context = Annotated[Any, _Kind("Context", "ARG_PTR_TO_CTX", Role.CONTEXT)]
ContextOrNull = Annotated[Any, _Kind("ContextOrNull", "ARG_PTR_TO_CTX_OR_NULL", Role.CONTEXT, nullable=True)]
Skb = Annotated[Any, _Kind("Skb", "ARG_PTR_TO_CTX", Role.CONTEXT, packet="skb")]
Xdp = Annotated[Any, _Kind("Xdp", "ARG_PTR_TO_CTX", Role.CONTEXT, packet="xdp")]

_C = CallbackArgument
Callback = Annotated[Any, _Kind("Callback", "ARG_PTR_TO_FUNC", Role.FUNCTION)]
IndexCallback = Annotated[Any, callback_argument("IndexCallback", _C.INDEX, _C.CONTEXT)]
ElementCallback = Annotated[Any, callback_argument("ElementCallback", _C.MAP, _C.KEY, _C.VALUE, _C.CONTEXT)]
TimerCallback = Annotated[
    Any, callback_argument("TimerCallback", _C.MAP, _C.KEY, _C.VALUE, highest_result=0, later=True)
]
MappingCallback = Annotated[Any, callback_argument("MappingCallback", _C.TASK, _C.MAPPING, _C.CONTEXT)]
DynptrCallback = Annotated[Any, callback_argument("DynptrCallback", _C.DYNPTR, _C.CONTEXT)]
CallbackContext = Annotated[Any, _Kind("CallbackContext", "ARG_PTR_TO_STACK_OR_NULL", Role.STACK, nullable=True)]

SpinLock = Annotated[Any, _Kind("SpinLock", "ARG_PTR_TO_SPIN_LOCK", Role.SPIN_LOCK)]
Timer = Annotated[Any, _Kind("Timer", "ARG_PTR_TO_TIMER", Role.TIMER)]
AllocatedMem = Annotated[Any, _Kind("AllocatedMem", "ARG_PTR_TO_RINGBUF_MEM | OBJ_RELEASE", Role.RECORD, releases=True)]

SockCommon = Annotated[Any, _Kind("SockCommon", "ARG_PTR_TO_SOCK_COMMON", Role.SOCK_COMMON)]
SocketOrNullArgument = Annotated[Any, _Kind("SocketOrNull", "ARG_PTR_TO_SOCKET_OR_NULL", Role.SOCKET, nullable=True)]
AnySocket = Annotated[Any, _Kind("AnySocket", "ARG_PTR_TO_BTF_ID_SOCK_COMMON", Role.ANY_SOCKET)]
AnySocketOrNull = Annotated[
    Any,
    _Kind("AnySocketOrNull", "ARG_PTR_TO_BTF_ID_SOCK_COMMON | PTR_MAYBE_NULL", Role.ANY_SOCKET, nullable=True),
]
ReleasedSocket = Annotated[
    Any, _Kind("ReleasedSocket", "ARG_PTR_TO_BTF_ID_SOCK_COMMON | OBJ_RELEASE", Role.ANY_SOCKET, releases=True)
]

Dynptr = Annotated[Any, _Kind("Dynptr", "ARG_PTR_TO_DYNPTR | MEM_RDONLY", Role.DYNPTR, reads=True)]
UninitLocalDynptr = Annotated[
    Any,
    _Kind(
        "UninitLocalDynptr", "ARG_PTR_TO_DYNPTR | DYNPTR_TYPE_LOCAL | MEM_UNINIT | MEM_WRITE", Role.DYNPTR,
        writes=True, dynptr="local",
    ),
]  # fmt: skip
UninitRingbufDynptr = Annotated[
    Any,
    _Kind(
        "UninitRingbufDynptr", "ARG_PTR_TO_DYNPTR | DYNPTR_TYPE_RINGBUF | MEM_UNINIT | MEM_WRITE", Role.DYNPTR,
        writes=True, acquires=True, dynptr="ringbuf",
    ),
]  # fmt: skip
ReleasedRingbufDynptr = Annotated[
    Any,
    _Kind(
        "ReleasedRingbufDynptr", "ARG_PTR_TO_DYNPTR | DYNPTR_TYPE_RINGBUF | OBJ_RELEASE", Role.DYNPTR,
        reads=True, releases=True, dynptr="ringbuf",
    ),
]  # fmt: skip

KptrDestination = Annotated[Any, _Kind("KptrDestination", "ARG_KPTR_XCHG_DEST", Role.KPTR)]
ReleasedObjectOrNull = Annotated[
    Any,
    _Kind("ReleasedObjectOrNull", "ARG_PTR_TO_BTF_ID_OR_NULL | OBJ_RELEASE", Role.OBJECT, nullable=True, releases=True),
]
PerCpuObject = Annotated[Any, _Kind("PerCpuObject", "ARG_PTR_TO_PERCPU_BTF_ID", Role.PER_CPU_OBJECT)]

Task = Annotated[Any, object_argument("task_struct")]
TaskOrNull = Annotated[Any, object_argument("task_struct", nullable=True)]
InodeOrNull = Annotated[Any, object_argument("inode", nullable=True)]
CgroupOrNull = Annotated[Any, object_argument("cgroup", nullable=True)]
KernelSockCommonOrNull = Annotated[Any, object_argument("sock_common", nullable=True)]
KernelTcpSock = Annotated[Any, object_argument("tcp_sock")]
SkBuff = Annotated[Any, object_argument("sk_buff")]
XdpBuff = Annotated[Any, object_argument("xdp_buff")]
SeqFile = Annotated[Any, object_argument("seq_file")]
File = Annotated[Any, object_argument("file")]
Inode = Annotated[Any, object_argument("inode")]
Path = Annotated[Any, object_argument("path")]
LinuxBinprm = Annotated[Any, object_argument("linux_binprm")]

Integer = Annotated[Any, ResultKind("Integer", "RET_INTEGER", ResultRole.INTEGER)]
Void = Annotated[Any, ResultKind("Void", "RET_VOID", ResultRole.VOID)]
MapValueOrNull = Annotated[
    Any, ResultKind("MapValueOrNull", "RET_PTR_TO_MAP_VALUE_OR_NULL", ResultRole.MAP_VALUE, nullable=True)
]
AllocatedMemOrNull = Annotated[
    Any,
    ResultKind("AllocatedMemOrNull", "RET_PTR_TO_RINGBUF_MEM_OR_NULL", ResultRole.MEMORY, nullable=True, acquires=True),
]
LocalStorage = Annotated[Any, ResultKind("LocalStorage", "RET_PTR_TO_MAP_VALUE", ResultRole.MAP_VALUE)]
DynptrMemOrNull = Annotated[
    Any, ResultKind("DynptrMemOrNull", "RET_PTR_TO_DYNPTR_MEM_OR_NULL", ResultRole.MEMORY, nullable=True)
]
ThisCpu = Annotated[Any, ResultKind("ThisCpu", "RET_PTR_TO_MEM_OR_BTF_ID | MEM_RDONLY", ResultRole.THIS_CPU)]
ThisCpuOrNull = Annotated[
    Any,
    ResultKind(
        "ThisCpuOrNull", "RET_PTR_TO_MEM_OR_BTF_ID | PTR_MAYBE_NULL | MEM_RDONLY", ResultRole.THIS_CPU, nullable=True
    ),
]

_SOCKET = "RET_PTR_TO_SOCKET_OR_NULL"
SocketOrNull = Annotated[Any, ResultKind("SocketOrNull", _SOCKET, ResultRole.SOCKET, nullable=True)]
FoundSocketOrNull = Annotated[
    Any, ResultKind("FoundSocketOrNull", _SOCKET, ResultRole.SOCKET, nullable=True, acquires=True)
]
FullSocketOrNull = Annotated[Any, ResultKind("FullSocketOrNull", _SOCKET, ResultRole.SOCKET, nullable=True, casts=True)]
FoundSockCommonOrNull = Annotated[
    Any,
    ResultKind(
        "FoundSockCommonOrNull", "RET_PTR_TO_SOCK_COMMON_OR_NULL", ResultRole.SOCK_COMMON, nullable=True, acquires=True
    ),
]
TcpSocketOrNull = Annotated[
    Any,
    ResultKind("TcpSocketOrNull", "RET_PTR_TO_TCP_SOCK_OR_NULL", ResultRole.TCP_SOCKET, nullable=True, casts=True),
]
KptrOrNull = Annotated[
    Any, ResultKind("KptrOrNull", "RET_PTR_TO_BTF_ID_OR_NULL", ResultRole.OBJECT, nullable=True, acquires=True)
]
TrustedTask = Annotated[Any, object_result("task_struct", nullable=False, trusted=True)]
PtRegs = Annotated[Any, object_result("pt_regs", nullable=False)]
KernelSocket = Annotated[Any, object_result("socket")]
KernelTcpSockOrNull = Annotated[Any, object_result("tcp_sock", casts=True)]
Tcp6SockOrNull = Annotated[Any, object_result("tcp6_sock", casts=True)]
Udp6SockOrNull = Annotated[Any, object_result("udp6_sock", casts=True)]
MptcpSockOrNull = Annotated[Any, object_result("mptcp_sock", casts=True)]
TcpTimewaitSockOrNull = Annotated[Any, object_result("tcp_timewait_sock", casts=True)]
TcpRequestSockOrNull = Annotated[Any, object_result("tcp_request_sock", casts=True)]
UnixSockOrNull = Annotated[Any, object_result("unix_sock")]
