"""What a helper call demands of its arguments, by the roles that the declarations give them.

Source: check_func_arg, check_helper_mem_access, check_mem_size_reg and check_map_func_compatibility of the kernel's
verifier.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from pybpftime.helpers.declarations import ArgumentKind, HelperDeclaration, Parameter, Role
from pybpftime.maps.kinds import LINUX_MAP_KINDS, Found
from pybpftime.maps.spec import MapSpec
from pybpftime.verifier import objects, special_fields, stack
from pybpftime.verifier.access import PACKETS, SIZED, aligned, within
from pybpftime.verifier.obligations import Between, NotNull, Obligation, SizedWithin, Unsupported, Within
from pybpftime.verifier.state import State
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.values import Pointer, Region, RegionKind, Scalar, Value, rely
from pybpftime.verifier.wording import scalar_text

_K = RegionKind
MAX_SIZE = (1 << 29) - 1  # below BPF_MAX_VAR_SIZ
MEMORY = (SIZED | PACKETS | {_K.BUFFER}) - {_K.FLOW_KEYS}
SOCKETS: Mapping[Role, frozenset[RegionKind]] = {
    Role.SOCKET: frozenset({_K.SOCKET}),
    Role.SOCK_COMMON: frozenset({_K.SOCKET, _K.SOCK_COMMON, _K.TCP_SOCK, _K.XDP_SOCK}),
    Role.ANY_SOCKET: frozenset({_K.SOCKET, _K.SOCK_COMMON, _K.TCP_SOCK, _K.OBJECT}),
}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of one call: its register, and what it is called for people."""

    subject: Subject
    state: State
    helper: HelperDeclaration
    index: int

    @property
    def number(self) -> int:
        """The register."""
        return self.index + 1

    @property
    def kind(self) -> ArgumentKind:
        """What the declaration says of it."""
        return self.parameters[self.index].kind

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those of the helper, as programs of this type see it."""
        return self.helper.parameters_for(self.subject.program_type)

    @property
    def value(self) -> Value | None:
        """What the register holds."""
        return self.state.registers[self.number]

    @property
    def place(self) -> str:
        """`r2 (key of bpf_map_lookup_elem)`"""
        return f"r{self.number} ({self.parameters[self.index].name} of {self.helper.name})"

    @property
    def map(self) -> MapSpec | None:
        """The map that an argument before this one names."""
        for index in range(self.index):
            value = self.state.registers[index + 1]
            if self.parameters[index].kind.role is Role.MAP and isinstance(value, Pointer):
                return value.region.map
        return None

    def wrong(self, why: str, code: str = "helper-argument") -> Obligation:
        """The obligation that this argument breaks."""
        return Obligation(code, f"{self.place} {why}", self.number)


def requires(subject: Subject, state: State, helper: HelperDeclaration) -> Iterator[Obligation]:
    """What the call of `helper` in this state demands of r1 to r5."""
    for index in range(len(helper.parameters_for(subject.program_type))):
        argument = Argument(subject, state, helper, index)
        if argument.kind.role is Role.UNCHECKED:
            continue
        if argument.value is None:
            yield Obligation("uninitialised-register", f"{argument.place} was never set", argument.number)
            continue
        check = _CHECKS.get(argument.kind.role)
        if check is None:
            raise Unsupported(f"{argument.kind.role} argument of {helper.name}")
        yield from check(argument)


def _pointer(argument: Argument, kinds: frozenset[RegionKind], wanted: str) -> Iterator[Obligation | Pointer]:
    """The argument as a pointer to one of `kinds`, or what is wrong with it.  0 for a nullable one yields nothing."""
    value = argument.value
    if isinstance(value, Scalar):
        if argument.kind.nullable:
            rely(value)
            if value.range.is_constant and value.range.constant == 0:
                return
        yield argument.wrong(f"holds {scalar_text(value)} and must be {wanted}")
    elif isinstance(value, Pointer):
        if value.region.kind not in kinds:
            yield argument.wrong(f"points to the {value.region.name} and must be {wanted}")
            return
        if value.nullable and not argument.kind.nullable:
            sentence = f"{argument.place} may be NULL: {value.region.name} was not checked before the call"
            yield Obligation("null", sentence, argument.number, (NotNull(value),))
        yield value


def _unmoved(argument: Argument, kinds: frozenset[RegionKind], wanted: str) -> Iterator[Obligation | Pointer]:
    """As `_pointer`, and it must lead to the start of what it points to."""
    for found in _pointer(argument, kinds, wanted):
        if isinstance(found, Pointer) and (found.offset or found.variable is not None):
            yield argument.wrong(f"points into the {found.region.name}, and must point to its start")
        yield found


def _only_obligations(found: Iterator[Obligation | Pointer]) -> Iterator[Obligation]:
    return (one for one in found if isinstance(one, Obligation))


def _anything(argument: Argument) -> Iterator[Obligation]:
    return iter(())


def _map(argument: Argument) -> Iterator[Obligation]:
    yield from _only_obligations(_unmoved(argument, frozenset({_K.MAP}), "a map"))


def _context(argument: Argument) -> Iterator[Obligation]:
    yield from _only_obligations(_unmoved(argument, frozenset({_K.CONTEXT}), "the context"))


def _socket(argument: Argument) -> Iterator[Obligation]:
    kinds = SOCKETS[argument.kind.role]
    for found in _unmoved(argument, kinds, "a socket"):
        if isinstance(found, Obligation):
            yield found
            continue
        if found.region.kind is _K.OBJECT:
            yield from _object_of_type(argument, found, "sock_common")
        if argument.kind.releases:
            yield from _released(argument, found)


def _object(argument: Argument) -> Iterator[Obligation]:
    wanted = argument.kind.type_name
    if wanted is None:
        raise Unsupported(f"kernel pointers for {argument.helper.name}")
    for found in _pointer(argument, frozenset({_K.OBJECT}), f"a struct {wanted} of the kernel"):
        if isinstance(found, Obligation):
            yield found
        else:
            yield from _object_of_type(argument, found, wanted)


def _object_of_type(argument: Argument, pointer: Pointer, wanted: str) -> Iterator[Obligation]:
    """That a pointer to a kernel object leads to a structure of a type, and that the object is certainly alive."""
    region = pointer.region
    if not region.trusted:
        yield argument.wrong(f"is the {region.name}, which may be gone: helpers take objects that are certainly there")
        return
    is_one = region.type_name == wanted and not pointer.offset
    if pointer.variable is None and not is_one and region.type_name is not None:
        is_one = objects.types_of(argument.subject).is_at(region.type_name, pointer.offset, wanted)
    if pointer.variable is not None or not is_one:
        yield argument.wrong(f"points to the {region.name}{pointer.offset:+d} and must be a struct {wanted}")


def _record(argument: Argument) -> Iterator[Obligation]:
    for found in _unmoved(argument, frozenset({_K.RECORD}), "a record of bpf_ringbuf_reserve"):
        if isinstance(found, Obligation):
            yield found
        else:
            yield from _released(argument, found)


def _released(argument: Argument, pointer: Pointer) -> Iterator[Obligation]:
    if reference_of(pointer) not in argument.state.held:
        sentence = (
            f"{argument.place} is released, but the {pointer.region.name} was not acquired, or is released already"
        )
        yield Obligation("not-acquired", sentence, argument.number)


def reference_of(pointer: Pointer) -> Region:
    """The region that has to be released for what this points to."""
    return pointer.region.reference or pointer.region


def _map_key(argument: Argument) -> Iterator[Obligation]:
    map = argument.map
    if map is None:
        raise Unsupported(f"{argument.helper.name} without a map that is known")
    yield from _memory_of(argument, map.key_size, "key")


def _map_value(argument: Argument) -> Iterator[Obligation]:
    map = argument.map
    if map is None:
        raise Unsupported(f"{argument.helper.name} without a map that is known")
    if LINUX_MAP_KINDS[map.type].found is Found.SOCKET:
        yield from _only_obligations(_unmoved(argument, SOCKETS[Role.ANY_SOCKET], "a socket"))
        return
    yield from _memory_of(argument, map.value_size, "value")


def _fixed_memory(argument: Argument) -> Iterator[Obligation]:
    size = argument.kind.size
    assert size is not None
    yield from _memory_of(argument, size, "memory")
    value = argument.value
    if argument.kind.aligned and isinstance(value, Pointer):
        yield from aligned(argument.number, value, 0, size)


def _memory_of(argument: Argument, size: int, what: str) -> Iterator[Obligation]:
    """`size` bytes that the helper reads or writes."""
    for found in _pointer(argument, MEMORY, f"a pointer to {size} bytes"):
        if isinstance(found, Obligation):
            yield found
        else:
            yield from _permitted(argument, found)
            yield from _there(argument, found, size, f"{_deed(argument)} its {what}: access")


def _deed(argument: Argument) -> str:
    return f"{argument.helper.name} {'writes' if argument.kind.writes else 'reads'}"


def _there(argument: Argument, pointer: Pointer, size: int, action: str) -> Iterator[Obligation]:
    """That `size` bytes at the pointer exist, and that none of them belong to the kernel."""
    if pointer.region.kind is _K.BUFFER:
        yield from objects.requires_of_buffer(argument.number, pointer, 0, writes=False)
        return
    yield from within(argument.subject, argument.state, argument.number, pointer, 0, size, action, "helper-memory")
    yield from special_fields.requires_of_helper(argument.number, pointer, size)


def _permitted(argument: Argument, pointer: Pointer) -> Iterator[Obligation]:
    region, kind = pointer.region, argument.kind
    if kind.writes and not region.writable:
        yield argument.wrong(f"points to the {region.name}, which programs may only read", "read-only")
    if kind.reads and not region.readable:
        yield argument.wrong(f"points to the {region.name}, which programs may only write", "write-only")
    if region.kind in PACKETS and not argument.subject.info.hands_packet_to_helper(argument.helper.packet_access):
        yield argument.wrong("points into the packet, which this helper does not take", "helper-argument-rule")


def _memory(argument: Argument) -> Iterator[Obligation]:
    """Memory whose size is in the register behind it: both are checked together."""
    size = argument.state.registers[argument.number + 1]
    if not isinstance(size, Scalar):
        return  # said where the size is checked
    rely(size)
    if size.range.umax > MAX_SIZE:
        yield from _size(replace(argument, index=argument.index + 1))
    found: Obligation | Pointer | None = None
    for found in _pointer(argument, MEMORY, "a pointer to memory"):
        if isinstance(found, Obligation):
            yield found
            continue
        yield from _permitted(argument, found)
        if found.nullable and size.range.umax:
            sentence = f"{argument.place} may be NULL, and its size may be {size.range.umax}"
            yield Obligation("null", sentence, argument.number, (NotNull(found),))
        if size.is_constant and size.range.constant <= MAX_SIZE:
            yield from _there(argument, found, size.range.constant, f"{_deed(argument)}: access")
        else:
            yield from _sized(argument, found, size)
    if found is None and size.range.umax:
        claim = Between(size, 0, 0)
        yield Obligation("null", f"{argument.place} is NULL, and its size is {size.range}", argument.number, (claim,))


def _sized(argument: Argument, pointer: Pointer, size: Scalar) -> Iterator[Obligation]:
    """That the memory is there for the greatest size, or, as a claim, for the size that it is."""
    greatest = min(size.range.umax, MAX_SIZE)
    for unmet in _there(argument, pointer, greatest, f"{_deed(argument)} with its greatest size: access"):
        if unmet.code != "helper-memory":
            yield Obligation(unmet.code, unmet.sentence, argument.number)
            continue
        (claim,) = unmet.claims
        assert isinstance(claim, Within)
        exact = SizedWithin(pointer.variable, pointer.offset, size, claim.low, claim.high)
        yield Obligation(unmet.code, unmet.sentence, argument.number, (exact,))


def _size(argument: Argument) -> Iterator[Obligation]:
    value = argument.value
    if isinstance(value, Pointer):
        yield argument.wrong(f"points to the {value.region.name} and must be a size")
        return
    assert isinstance(value, Scalar)
    rely(value)
    lowest = 0 if argument.kind.zero else 1
    range = value.range
    if range.smin < 0 or range.umax > MAX_SIZE:
        why = "may be negative" if range.smin < 0 else "has no bound"
        sentence = f"{argument.place} is a size and {why}: it is {range}"
        yield Obligation("helper-size", sentence, argument.number, (Between(value, lowest, MAX_SIZE),))
    elif range.umin < lowest:
        sentence = f"{argument.place} is a size and may be 0: it is {range}"
        yield Obligation("helper-size-zero", sentence, argument.number, (Between(value, lowest, MAX_SIZE),))


def _allocation_size(argument: Argument) -> Iterator[Obligation]:
    value = argument.value
    if not isinstance(value, Scalar) or not value.is_constant:
        yield argument.wrong("must be a constant", "helper-argument-rule")
    else:
        rely(value)


def _function(argument: Argument) -> Iterator[Obligation]:
    yield from _only_obligations(_unmoved(argument, frozenset({_K.FUNCTION}), "a static function of the program"))


def _stack(argument: Argument) -> Iterator[Obligation]:
    yield from _only_obligations(_pointer(argument, frozenset({_K.STACK}), "a pointer into the stack, or NULL"))


def _spin_lock(argument: Argument) -> Iterator[Obligation]:
    for found in _pointer(argument, frozenset({_K.MAP_VALUE}), "the bpf_spin_lock of a map value"):
        if isinstance(found, Obligation):
            yield found
            continue
        map = found.region.map
        place = None if map is None else map.spin_lock_offset
        if place is None or found.variable is not None or found.offset != place:
            yield argument.wrong(f"points to {found.region.name}{found.offset:+d}, where there is no bpf_spin_lock")
        elif argument.helper.name == "bpf_spin_lock" and argument.state.lock is not None:
            yield argument.wrong("is taken while a lock is held", "lock")
        elif argument.helper.name == "bpf_spin_unlock":
            held = argument.state.lock
            if held is None or held.region is not found.region:
                yield argument.wrong("is not the lock that is held", "lock")


def _timer(argument: Argument) -> Iterator[Obligation]:
    for found in _pointer(argument, frozenset({_K.MAP_VALUE}), "the bpf_timer of a map value"):
        if isinstance(found, Obligation):
            yield found
            continue
        map = found.region.map
        place = None if map is None else map.timer_offset
        if place is None or found.variable is not None or found.offset != place:
            yield argument.wrong(f"points to {found.region.name}{found.offset:+d}, where there is no bpf_timer")
        named = map_of(argument.subject, argument.state, argument.helper)
        if named is not None and named is not map:
            yield argument.wrong(f"is in the {found.region.name}, and the call names map {named.name}")


def _constant_string(argument: Argument) -> Iterator[Obligation]:
    for found in _pointer(argument, frozenset({_K.MAP_VALUE}), "a constant string in a read-only map"):
        if isinstance(found, Obligation):
            yield found
            continue
        map = found.region.map
        if map is None or found.region.writable or found.variable is not None:
            yield argument.wrong("must be a constant string in a read-only map", "helper-argument-rule")
        elif map.contents is None:
            raise Unsupported("a constant string whose contents are not known")
        elif b"\0" not in map.contents.ljust(map.value_size, b"\0")[found.offset :]:
            yield argument.wrong("is a string without an end", "helper-argument-rule")


_CHECKS: Mapping[Role, Callable[[Argument], Iterator[Obligation]]] = {
    Role.ANYTHING: _anything,
    Role.MAP: _map,
    Role.MAP_KEY: _map_key,
    Role.MAP_VALUE: _map_value,
    Role.MEMORY: _memory,
    Role.FIXED_MEMORY: _fixed_memory,
    Role.SIZE: _size,
    Role.ALLOCATION_SIZE: _allocation_size,
    Role.CONTEXT: _context,
    Role.FUNCTION: _function,
    Role.STACK: _stack,
    Role.CONSTANT_STRING: _constant_string,
    Role.SPIN_LOCK: _spin_lock,
    Role.TIMER: _timer,
    Role.RECORD: _record,
    Role.OBJECT: _object,
    Role.SOCKET: _socket,
    Role.SOCK_COMMON: _socket,
    Role.ANY_SOCKET: _socket,
}


def key_of(argument: Argument, map: MapSpec) -> Scalar | None:
    """The key of a look-up, if it is a number on the stack."""
    value = argument.value
    if not isinstance(value, Pointer) or value.region.kind is not _K.STACK or value.variable is not None:
        return None
    frame = argument.state.frame_of(value.region)
    slot = None if frame is None else frame.stack.get(value.offset)
    if slot is None or slot.size != map.key_size or not isinstance(slot.value, Scalar):
        return None
    return slot.value


def constant_key(argument: Argument) -> int | None:
    """The key of a look-up, if it is a 32-bit number on the stack that is known."""
    value = argument.value
    if not isinstance(value, Pointer) or value.region.kind is not _K.STACK or value.variable is not None:
        return None
    frame = argument.state.frame_of(value.region)
    key = None if frame is None else stack.load(frame.stack, value.offset, 4, argument.state.pc)
    if not isinstance(key, Scalar) or not key.is_constant:
        return None
    rely(key)
    return key.range.constant


def map_of(subject: Subject, state: State, helper: HelperDeclaration) -> MapSpec | None:
    """The map that the call is about."""
    for index, parameter in enumerate(helper.parameters_for(subject.program_type)):
        value = state.registers[index + 1]
        if parameter.kind.role is Role.MAP and isinstance(value, Pointer):
            return value.region.map
    return None
