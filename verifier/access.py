"""Loads and stores: what must hold of the address, and what a load gives or a store changes, for each kind of region.

`requires` yields what the state does not show by itself; `load` and `store` take it for granted.  Sources: the kernel's
check_mem_access and what it calls; RFC 9669 sections 5.1 to 5.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from pybpftime.errors import FaultKind
from pybpftime.program.types import ContextLayout, Field, FieldKind
from pybpftime.program.types.layouts import FLOW_KEYS, SOCK, SOCK_COMMON
from pybpftime.uapi import MapFlag
from pybpftime.verifier import arena, domain, objects, special_fields, stack
from pybpftime.verifier.obligations import Aligned, NotNull, Obligation, Within
from pybpftime.verifier.state import STACK_SIZE, State, new_contents
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.values import Input, InputKind, Pointer, Region, RegionKind, Scalar, Value, constant, rely
from pybpftime.verifier.wording import amount, outside_text, scalar_text, short_name

_K = RegionKind


class Access(StrEnum):
    """What is done to memory."""

    LOAD = "load"
    STORE = "store"
    LOAD_ACQUIRE = "load-acquire"
    STORE_RELEASE = "store-release"
    ATOMIC = "atomic operation"

    @property
    def reads(self) -> bool:
        """Whether the program gets to see what is there."""
        return self not in (Access.STORE, Access.STORE_RELEASE)

    @property
    def writes(self) -> bool:
        """Whether it changes what is there."""
        return self not in (Access.LOAD, Access.LOAD_ACQUIRE)

    @property
    def atomic(self) -> bool:
        """Whether it is one of the atomic instructions, which only go to aligned memory."""
        return self not in (Access.LOAD, Access.STORE)


SIZED = frozenset({_K.STACK, _K.MAP_VALUE, _K.MAP_KEY, _K.MEMORY, _K.RECORD, _K.FLOW_KEYS})
"""Memory of a size that is known."""
PACKETS = frozenset({_K.PACKET, _K.PACKET_META})
STRUCTURES = frozenset({_K.CONTEXT, _K.SOCKET, _K.SOCK_COMMON, _K.TCP_SOCK, _K.XDP_SOCK})
"""No memory, but fields: the kernel rewrites every access."""
NO_ATOMICS = STRUCTURES | PACKETS | {_K.FLOW_KEYS}
ALWAYS_ALIGNED = STRUCTURES | {_K.STACK}
ONE_KIND_ONLY = STRUCTURES | {_K.OBJECT, _K.ARENA}
"""Accesses that the kernel rewrites: one instruction cannot be rewritten for two kinds (reg_type_mismatch)."""
PACKET_PHASE = 2
"""Where strict alignment takes packets to begin, behind a multiple of 4 (NET_IP_ALIGN in check_pkt_ptr_alignment)."""
FIELD_REGIONS: Mapping[FieldKind, tuple[RegionKind, ContextLayout]] = {
    FieldKind.SOCKET: (_K.SOCKET, SOCK),
    FieldKind.SOCKET_OR_NULL: (_K.SOCKET, SOCK),
    FieldKind.SOCK_COMMON_OR_NULL: (_K.SOCK_COMMON, SOCK_COMMON),
    FieldKind.FLOW_KEYS: (_K.FLOW_KEYS, FLOW_KEYS),
}
"""What the address in a field leads to."""
STEADY = frozenset({"xdp_md", "__sk_buff", "pt_regs", "user_pt_regs"})
"""Contexts that belong to one run: nobody else writes to what their fields are read from."""
OF_THE_SOCKET = frozenset(
    {"family", "remote_ip4", "local_ip4", "remote_ip6", "local_ip6", "remote_port", "local_port"},
)
"""Their fields that are read from a socket, which others may use at the same time."""
BOUNDS_REASON = {_K.STACK: "stack-bounds", _K.MAP_VALUE: "map-value-bounds"} | dict.fromkeys(PACKETS, "packet-bounds")


# --- what must hold ---------------------------------------------------------------------------------------------------


def requires(
    subject: Subject, state: State, number: int, offset: int, size: int, access: Access
) -> Iterator[Obligation]:
    """Obligations of an access of `size` bytes at register `number` plus `offset`."""
    value = state.registers[number]
    if value is None:
        yield Obligation("uninitialised-register", f"r{number} was never set", number)
    elif isinstance(value, Scalar):
        sentence = f"r{number} holds {scalar_text(value)}, no address: nothing can be accessed through it"
        yield Obligation("not-a-pointer", sentence, number)
    else:
        yield from _requires_of_pointer(subject, state, number, value, offset, size, access)


def _requires_of_pointer(
    subject: Subject, state: State, number: int, pointer: Pointer, offset: int, size: int, access: Access
) -> Iterator[Obligation]:
    region = pointer.region
    if pointer.nullable:
        sentence = f"r{number} may be NULL: {region.name} was not checked before this {access}"
        yield Obligation("null", sentence, number, (NotNull(pointer),))
    if access.atomic and region.kind in NO_ATOMICS:
        yield Obligation("not-memory", f"there are no atomic operations on the {region.kind}", number)
    elif region.kind in STRUCTURES:
        yield from _requires_of_structure(subject, number, pointer, offset, size, access)
    elif region.kind in SIZED or region.kind in PACKETS:
        yield from _permission(subject, number, region, access)
        yield from within(subject, state, number, pointer, offset, size, str(access))
        if region.kind is _K.MAP_VALUE:
            yield from special_fields.requires(number, pointer, offset, size, access.writes, access.atomic)
        if region.kind in ALWAYS_ALIGNED or access.atomic or subject.options.strict_alignment:
            yield from aligned(number, pointer, offset, size)
        if region.kind is _K.STACK and access.reads:
            yield from _whole_pointers(state, number, pointer, offset, size)
    elif region.kind is _K.ARENA:
        arena.requires_of_access(subject.row(state.pc))
    elif region.kind is _K.OBJECT:
        yield from objects.requires(subject, number, pointer, offset, size, access.writes)
    elif region.kind is _K.BUFFER:
        yield from objects.requires_of_buffer(number, pointer, offset, access.writes)
    elif region.kind is _K.MAP:
        yield from objects.requires_of_map(subject, number, pointer, offset, size, access.writes)
    else:
        yield Obligation("not-memory", f"r{number} leads to the {region.name}, which is no memory", number)
    if access is not Access.ATOMIC:
        yield from _one_kind(subject, state.pc, number, region)


def _one_kind(subject: Subject, pc: int, number: int, region: Region) -> Iterator[Obligation]:
    """That the instruction accesses what it accessed on the paths before, if that matters (save_aux_ptr_type)."""
    before = subject.accessed_kinds.setdefault(pc, region.kind)
    if before is not region.kind and (before in ONE_KIND_ONLY or region.kind in ONE_KIND_ONLY):
        sentence = f"r{number} leads to the {region.name} here, and to the {before} on another path"
        yield Obligation("pointer-mix", sentence, number)


def _whole_pointers(state: State, number: int, pointer: Pointer, offset: int, size: int) -> Iterator[Obligation]:
    """That no part of a pointer is loaded (check_stack_read_fixed_off)."""
    frame = state.frame_of(pointer.region)
    if size == stack.MAX_SLOT or pointer.variable is not None or frame is None:
        return
    at = pointer.offset + offset
    for held in stack.overlapping(frame.stack, at, size):
        value = frame.stack[held].value
        if isinstance(value, Pointer):
            sentence = (
                f"{size} of the 8 bytes at fp{held:+d} are loaded, which hold the address of the {value.region.name}"
            )
            yield Obligation("fill-size", sentence, number)


def _requires_of_structure(
    subject: Subject, number: int, pointer: Pointer, offset: int, size: int, access: Access
) -> Iterator[Obligation]:
    region, layout = pointer.region, pointer.region.layout
    assert layout is not None
    if pointer.variable is not None:
        sentence = f"r{number} is the {region.name} plus {pointer.variable.range}: fields have constant offsets"
        yield Obligation("context-pointer", sentence, number)
        return
    if pointer.offset and region.kind is _K.CONTEXT:
        sentence = f"r{number} is the {region.name} plus {pointer.offset}: fields are accessed from its start"
        yield Obligation("context-pointer", sentence, number)
        return
    objection = layout.objection(pointer.offset + offset, size, "store" if access.writes else "load")
    field = layout.field_at(pointer.offset + offset)
    if objection is None and field is not None:
        yield from objects.requires_of_argument(subject, number, field)
    if objection is not None:
        kind, why = objection
        place = layout.place(pointer.offset + offset)
        sentence = f"{access} of {amount(size)} at {place}: {why}"
        yield Obligation("alignment" if kind is FaultKind.ALIGNMENT else "context-access", sentence, number)


def _permission(subject: Subject, number: int, region: Region, access: Access) -> Iterator[Obligation]:
    if access.writes and (not region.writable or (region.kind in PACKETS and not subject.writes_packets)):
        yield Obligation("read-only", f"r{number} leads to the {region.name}, which programs may only read", number)
    if access.reads and not region.readable:
        yield Obligation("write-only", f"r{number} leads to the {region.name}, which programs may only write", number)


def within(
    subject: Subject,
    state: State,
    number: int,
    pointer: Pointer,
    offset: int,
    size: int,
    what: str,
    code: str | None = None,
) -> Iterator[Obligation]:
    """That `size` bytes at `pointer + offset` lie inside its region.  `what` is the word for what is done there."""
    region = pointer.region
    low, high = pointer.bounds
    variable = pointer.variable
    frame = state.frame_of(region) if region.kind is _K.STACK else None
    if frame is not None:
        subject.uses_stack(frame.start, min(-(low + offset), STACK_SIZE))
    start, end = _limits(region)
    if low + offset >= start and _reaches(state, pointer, offset + size, end):
        rely(variable)
        return
    claim = Within(variable, pointer.offset + offset, size, start, region if end is None else end)
    sentence = outside_text(state, what, region, low + offset, high + offset, size)
    yield Obligation(code or BOUNDS_REASON.get(region.kind, "memory-bounds"), sentence, number, (claim,))


def _limits(region: Region) -> tuple[int, int | None]:
    """The offsets at which a region begins and ends; None for the length of a packet."""
    if region.kind is _K.STACK:
        return -STACK_SIZE, 0
    return 0, region.size


def _reaches(state: State, pointer: Pointer, end: int, limit: int | None) -> bool:
    """Whether `pointer + end` is at most the limit of its region in this state; marks what that relies on."""
    _, high = pointer.bounds
    region, variable = pointer.region, pointer.variable
    if limit is not None:
        return high + end <= limit
    length = state.lengths.get(region)
    if length is not None and high + end <= length.range.umin:
        rely(length)
        return True
    if variable is None:
        return False
    reach = state.reaches.get((region, variable.root))
    if reach is not None and pointer.offset + end <= reach.reach:
        reach.use()
        return True
    return False


def aligned(number: int, pointer: Pointer, offset: int, size: int) -> Iterator[Obligation]:
    """That `pointer + offset` is a multiple of `size`."""
    fixed = pointer.offset + offset + (PACKET_PHASE if pointer.region.kind in PACKETS else 0)
    variable = pointer.variable
    if variable is None:
        if fixed % size == 0:
            return
    else:
        tnum_value, tnum_mask = variable.range.value, variable.range.mask
        if tnum_mask % size == 0 and (tnum_value + fixed) % size == 0:
            rely(variable)
            return
    where = f"{short_name(pointer.region)}{pointer.offset + offset:+d}"
    moved = "" if variable is None else f" plus {variable.range}"
    sentence = f"access of {amount(size)} at {where}{moved}, which is no multiple of {size}"
    yield Obligation("alignment", sentence, number, (Aligned(variable, fixed, size),))


# --- what happens -----------------------------------------------------------------------------------------------------


def load(subject: Subject, state: State, pointer: Pointer, offset: int, size: int, pc: int) -> Value:
    """What `size` bytes at `pointer + offset` are, zero-extended."""
    region = pointer.region
    at = pointer.offset + offset
    if region.kind in STRUCTURES:
        return _load_field(subject, state, region, at, size, pc)
    if region.kind in (_K.OBJECT, _K.MAP):
        return objects.load(subject, pointer, offset, size, pc)
    if region.kind is _K.STACK:
        frame = state.frame_of(region)
        known = None
        if frame is not None and pointer.variable is None:
            known = stack.load(frame.stack, at, size, pc)
        return _bytes(state, InputKind.STACK, region, pointer, offset, size, pc) if known is None else known
    if region.kind is _K.MAP_VALUE and pointer.variable is None:
        found = special_fields.load(region, at, pc)
        if found is not None:
            return found
        fixed = _constant_contents(region, at, size)
        if fixed is not None:
            return constant(fixed, pc)
    kind = InputKind.PACKET if region.kind in PACKETS else InputKind.MEMORY
    return _bytes(state, kind, region, pointer, offset, size, pc)


def field_of(pointer: Pointer, offset: int) -> Field | None:
    """The field at `pointer + offset`, if that is a place in a structure."""
    layout = pointer.region.layout
    return (
        layout.field_at(pointer.offset + offset) if pointer.region.kind in STRUCTURES and layout is not None else None
    )


def _bytes(state: State, kind: InputKind, region: Region, pointer: Pointer, offset: int, size: int, pc: int) -> Scalar:
    at = pointer.offset + offset
    contents = state.contents.packet if kind is InputKind.PACKET and state.contents is not None else None
    source = Input(kind, f"{region.name}{at:+d}", region, at, size, pointer.variable, contents)
    return Scalar(domain.of_size(size), source, pc=pc)


def _constant_contents(region: Region, offset: int, size: int) -> int | None:
    """What a frozen map holds: read-only data of the program."""
    map = region.map
    if map is None or map.contents is None or not map.flags & MapFlag.BPF_F_RDONLY_PROG:
        return None
    contents = map.contents.ljust(map.value_size, b"\0")
    return int.from_bytes(contents[offset : offset + size], "little")


def _load_field(subject: Subject, state: State, region: Region, offset: int, size: int, pc: int) -> Value:
    layout = region.layout
    assert layout is not None
    field = layout.field_at(offset)
    assert field is not None
    if field.kind is not FieldKind.SCALAR:
        return _pointer_in(subject, state, region, field, pc)
    steady = region.kind is _K.CONTEXT and layout.name in STEADY and field.name not in OF_THE_SOCKET
    contents = state.contents.context if steady and state.contents is not None else None
    source = Input(InputKind.CONTEXT, layout.place(offset), region, offset, size, contents=contents)
    return Scalar(domain.of_size(size), source, pc=pc)


def _pointer_in(subject: Subject, state: State, region: Region, field: Field, pc: int) -> Value:
    """What a load of a field that holds an address gives."""
    packet = state.packet
    match field.kind:
        case FieldKind.PACKET if packet is not None:
            return Pointer(packet.data)
        case FieldKind.PACKET_END if packet is not None:
            return Pointer(packet.end)
        case FieldKind.PACKET_META if packet is not None:
            return Pointer(packet.meta)
        case kind if kind in FIELD_REGIONS:
            target, layout = FIELD_REGIONS[kind]
            name = f"{field.name} of {region.name}"
            found = Region(target, name, layout.size, pc, layout=layout, field=field)
            return Pointer(found, nullable=kind.nullable)
        case _:
            return objects.argument(subject, field, pc)


def store(state: State, pointer: Pointer, offset: int, size: int, value: Value) -> State:
    """The state after `value` was stored in `size` bytes at `pointer + offset`."""
    region = pointer.region
    if region.kind is not _K.STACK:
        return written(state, region)
    frame = state.frame_of(region)
    assert frame is not None
    if pointer.variable is None:
        changed = stack.store(frame.stack, pointer.offset + offset, size, value)
    else:
        low, high = pointer.bounds
        changed = stack.forget(frame.stack, low + offset, high - low + size)
    return state.with_stack(region, changed)


def written(state: State, region: Region) -> State:
    """The state in which the context or the packet, if `region` is one, may hold something else than before."""
    contents = state.contents
    if contents is None:
        return state
    if region.kind in PACKETS:
        return state._replace(contents=contents._replace(packet=new_contents()))
    if region.kind is _K.CONTEXT:
        return state._replace(contents=contents._replace(context=new_contents()))
    return state
