"""What a helper call returns, by the role that the declaration gives its result."""

from __future__ import annotations

from pybpftime.helpers.declarations import HelperDeclaration, ResultRole, Role
from pybpftime.maps.kinds import LINUX_MAP_KINDS, Found, Operation
from pybpftime.maps.spec import MapSpec
from pybpftime.program.types.layouts import SOCK, SOCK_COMMON, TCP_SOCK, XDP_SOCK
from pybpftime.uapi import MAX_ERRNO, MapFlag, MapType
from pybpftime.verifier import arguments, domain, objects
from pybpftime.verifier.arguments import Argument
from pybpftime.verifier.obligations import Unsupported
from pybpftime.verifier.state import State
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.values import Input, InputKind, Pointer, Region, RegionKind, Scalar, Value, rely

_K = RegionKind
SIZE_OR_ERROR = frozenset(
    {
        *("bpf_get_stack", "bpf_get_task_stack", "bpf_probe_read_str"),
        *("bpf_probe_read_kernel_str", "bpf_probe_read_user_str"),
    }
)
"""Helpers that return a negative errno or a length of at most their size (do_refine_retval_range)."""
SOCKET_LAYOUTS = {
    ResultRole.SOCKET: (_K.SOCKET, SOCK),
    ResultRole.SOCK_COMMON: (_K.SOCK_COMMON, SOCK_COMMON),
    ResultRole.TCP_SOCKET: (_K.TCP_SOCK, TCP_SOCK),
}


def result(subject: Subject, state: State, helper: HelperDeclaration) -> Value | None:
    returns, pc = helper.returns, state.pc
    name = f"result of {helper.name}"
    match returns.role:
        case ResultRole.VOID:
            return None
        case ResultRole.INTEGER:
            return integer(subject, state, helper)
        case ResultRole.MAP_VALUE:
            return _map_value(subject, state, helper, returns.nullable)
        case ResultRole.MEMORY:
            index = next(i for i, one in enumerate(helper.parameters) if one.kind.role is Role.ALLOCATION_SIZE)
            size = state.registers[index + 1]
            assert isinstance(size, Scalar)
            rely(size)
            region = Region(
                _K.RECORD if returns.acquires else _K.MEMORY, name, size.range.constant, pc, held=returns.acquires
            )
            return Pointer(region, nullable=returns.nullable)
        case ResultRole.SOCKET | ResultRole.SOCK_COMMON | ResultRole.TCP_SOCKET:
            kind, layout = SOCKET_LAYOUTS[returns.role]
            reference = _cast_reference(state) if returns.casts else None
            region = Region(kind, name, pc=pc, layout=layout, held=returns.acquires, reference=reference)
            return Pointer(region, nullable=returns.nullable)
        case ResultRole.OBJECT if returns.type_name is not None:
            reference = _cast_reference(state) if returns.casts else None
            region = objects.result(returns.type_name, name, pc, reference)
            return Pointer(region, nullable=returns.nullable)
        case _:
            raise Unsupported(f"the {returns.role} that {helper.name} returns")


def _cast_reference(state: State) -> Region | None:
    pointer = state.registers[1]
    if not isinstance(pointer, Pointer):
        return None
    reference = arguments.reference_of(pointer)
    return reference if reference.held else None


def integer(subject: Subject, state: State, helper: HelperDeclaration) -> Scalar:
    source = Input(InputKind.HELPER, helper.name)
    if helper.name not in SIZE_OR_ERROR:
        return Scalar(domain.UNKNOWN, source, pc=state.pc)
    size = state.registers[3 if helper.name in ("bpf_get_stack", "bpf_get_task_stack") else 2]
    assert isinstance(size, Scalar)
    return Scalar(domain.signed(-MAX_ERRNO, min(size.range.smax, arguments.MAX_SIZE)), source, (size,), state.pc)


def value_region(map: MapSpec, pc: int, key: Scalar | None = None) -> Region:
    """A value of a map, as a look-up of `key` finds it."""
    return Region(
        _K.MAP_VALUE,
        f"value of map {map.name}",
        map.value_size,
        pc,
        map,
        readable=not map.flags & MapFlag.BPF_F_WRONLY_PROG,
        writable=not map.flags & MapFlag.BPF_F_RDONLY_PROG,
        key=key,
    )


def _map_value(subject: Subject, state: State, helper: HelperDeclaration, nullable: bool) -> Pointer:
    map = arguments.map_of(subject, state, helper)
    if map is None:
        raise Unsupported(f"{helper.name} without a map that is known")
    pc = state.pc
    found = LINUX_MAP_KINDS[map.type].found if helper.map_operation is Operation.LOOKUP else Found.VALUE
    match found:
        case Found.VALUE:
            certain = helper.map_operation is Operation.LOOKUP and _certain(subject, state, helper, map)
            key = arguments.key_of(Argument(subject, state, helper, 1), map)
            return Pointer(value_region(map, pc, key), nullable=nullable and not certain)
        case Found.MAP:
            if map.inner is None:
                raise Unsupported(f"map {map.name}, whose inner maps are not known")
            return Pointer(Region(_K.MAP, f"map in {map.name}", pc=pc, map=map.inner), nullable=nullable)
        case Found.SOCKET:
            region = Region(_K.SOCKET, f"socket in map {map.name}", pc=pc, layout=SOCK, held=True)
            return Pointer(region, nullable=nullable)
        case Found.XDP_SOCKET:
            region = Region(_K.XDP_SOCK, f"socket in map {map.name}", pc=pc, layout=XDP_SOCK)
            return Pointer(region, nullable=nullable)


ARRAYS = frozenset({MapType.BPF_MAP_TYPE_ARRAY, MapType.BPF_MAP_TYPE_PERCPU_ARRAY})


def _certain(subject: Subject, state: State, helper: HelperDeclaration, map: MapSpec) -> bool:
    """Whether the look-up finds a value in any case: an array at a constant index (get_constant_map_key).

    An array in a map of maps may have another size than the one that describes it, if it was made so.
    """
    if map.type not in ARRAYS or map.key_size != 4 or map.flags & MapFlag.BPF_F_INNER_MAP:
        return False
    key = arguments.constant_key(Argument(subject, state, helper, 1))
    return key is not None and key < map.max_entries
