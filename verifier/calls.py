"""Calls of helpers: who may call what with which map, and what a call returns and changes."""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.helpers.declarations import HelperDeclaration, Role
from pybpftime.isa.row import Immediate
from pybpftime.maps.kinds import LINUX_MAP_KINDS, Operation, illegal
from pybpftime.program.spec import Extern, MapReference, Trap
from pybpftime.uapi import AttachType, ProgramType
from pybpftime.verifier import arena, arguments, callbacks, functions, results, stack
from pybpftime.verifier.access import written
from pybpftime.verifier.arguments import Argument
from pybpftime.verifier.obligations import Obligation
from pybpftime.verifier.state import CLOBBERED, Contents, Fact, FactKind, State, mapped, new_contents, new_packet
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.values import (
    InputKind,
    Pointer,
    Region,
    RegionKind,
    Scalar,
    Value,
    rely,
    unknown,
)

_K = RegionKind
TAIL_CALL = "bpf_tail_call"
FUNCTION_ADDRESS = "bpf_get_func_ip"
TRACES_FUNCTIONS = frozenset(  # has_get_func_ip
    {AttachType.BPF_TRACE_FENTRY, AttachType.BPF_TRACE_FEXIT, AttachType.BPF_MODIFY_RETURN}
)
MAP_IMMEDIATES = frozenset(
    {Immediate.MAP_BY_FD, Immediate.MAP_VALUE_BY_FD, Immediate.MAP_BY_INDEX, Immediate.MAP_VALUE_BY_INDEX}
)
LOCK_HELPERS = frozenset({"bpf_spin_lock", "bpf_spin_unlock"})


# --- what must hold ---------------------------------------------------------------------------------------------------


def requires(subject: Subject, state: State) -> Iterator[Obligation]:
    """What the call at `state.pc` demands."""
    pc = state.pc
    reference = subject.reference(pc)
    if isinstance(reference, Trap):
        yield Obligation("unlinked", reference.reason)
        return
    helper = subject.helper_at(pc)
    if helper is None:
        name = reference.name if isinstance(reference, Extern) else f"number {subject.instruction(pc).imm}"
        yield Obligation("unknown-helper", f"there is no helper {name}")
        return
    yield from _requires_of_caller(subject, state, helper)
    yield from arguments.requires(subject, state, helper)
    yield from _requires_of_map(subject, state, helper)
    if helper.name == TAIL_CALL:
        yield from _requires_of_tail_call(state)


def _requires_of_caller(subject: Subject, state: State, helper: HelperDeclaration) -> Iterator[Obligation]:
    if not helper.allows(subject.program_type, subject.spec.attach_type):
        sentence = f"{helper.name} is no helper for programs of type {subject.info.name}"
        yield Obligation("helper-not-allowed", sentence)
    elif helper.name == FUNCTION_ADDRESS and not _traces_functions(subject):
        sentence = f"{helper.name} is for programs at the start or the end of a function"
        yield Obligation("helper-not-allowed", sentence)
    if helper.gpl_only and not subject.gpl:
        sentence = f"{helper.name} is for GPL-compatible programs, this one has the license {subject.spec.license!r}"
        yield Obligation("license", sentence)
    if helper.may_sleep and "sleepable" not in subject.spec.flags:
        yield Obligation("helper-not-allowed", f"{helper.name} may sleep, and the program is not sleepable")
    if state.lock is not None and helper.name not in LOCK_HELPERS:
        yield Obligation("lock", f"{helper.name} is called while a spin lock is held")


def _traces_functions(subject: Subject) -> bool:
    if subject.program_type is ProgramType.BPF_PROG_TYPE_TRACING:
        return subject.spec.attach_type in TRACES_FUNCTIONS
    return subject.program_type is ProgramType.BPF_PROG_TYPE_KPROBE


def _requires_of_map(subject: Subject, state: State, helper: HelperDeclaration) -> Iterator[Obligation]:
    """check_map_func_compatibility: the map has the operation."""
    map = arguments.map_of(subject, state, helper)
    if map is None or helper.map_operation is None:
        return
    operation = helper.map_operation
    why = illegal(map, operation)
    if why is not None:
        yield Obligation("helper-map", f"{helper.name}: {why}", 1)
    elif not LINUX_MAP_KINDS[map.type].allows(operation, subject.program_type, subject.spec.attach_type):
        sentence = f"{helper.name}: programs of type {subject.info.name} have no {operation} of map {map.name}"
        yield Obligation("helper-map", sentence, 1)
    if operation is Operation.LOCAL_STORAGE:
        yield from _requires_of_flags(state)


def _requires_of_flags(state: State) -> Iterator[Obligation]:
    """bpf_get_local_storage has no flags yet (check_helper_call)."""
    flags = state.registers[2]
    if isinstance(flags, Scalar):
        rely(flags)
        if flags.is_constant and flags.range.constant == 0:
            return
    yield Obligation("helper-argument-rule", "r2 (flags of bpf_get_local_storage) must be the constant 0", 2)


def _requires_of_tail_call(state: State) -> Iterator[Obligation]:
    if state.held:
        yield Obligation("unreleased", f"a tail call, and the {state.held[0].name} is not released")
    if any(frame.callback is not None for frame in state.frames):
        yield Obligation(
            "callback", "a tail call in a callback: what the other program returns is no callback's result"
        )


def requires_of_immediate(subject: Subject, state: State) -> Iterator[Obligation]:
    """What a wide instruction refers to has to be there."""
    reference = subject.reference(state.pc)
    if isinstance(reference, Trap):
        yield Obligation("unlinked", reference.reason)
    elif subject.row(state.pc).immediate in MAP_IMMEDIATES and subject.map_at(state.pc) is None:
        which = f"a map by the number {subject.instruction(state.pc).imm}"
        if isinstance(reference, MapReference):
            which = f"the map {reference.name}"
        yield Obligation("unlinked", f"instruction {state.pc} refers to {which}, which is not there")
    map, offset = subject.map_at(state.pc) or (None, None)
    if map is None or offset is None:
        return
    kind = LINUX_MAP_KINDS.get(map.type)
    if arena.is_arena_map(map):
        yield from arena.requires_of_place(map, offset)
    elif kind is not None and not kind.direct_value:
        yield Obligation("map-value-address", f"map {map.name} has no value at a constant address")
    elif map.max_entries != 1:
        sentence = f"map {map.name} has {map.max_entries} values: that of a map with one has a constant address"
        yield Obligation("map-value-address", sentence)
    elif not 0 <= offset < map.value_size:
        sentence = f"byte {offset} of the value of map {map.name}, which has {map.value_size}"
        yield Obligation("map-value-address", sentence)


# --- what happens -----------------------------------------------------------------------------------------------------


def transfer(subject: Subject, state: State) -> list[State]:
    """The states behind the call at `state.pc`, and those at the start of a callback."""
    helper = subject.helper_at(state.pc)
    assert helper is not None
    begun = callbacks.begun(subject, state, helper)
    if helper.name in LOCK_HELPERS:
        return [_after(subject, _with_lock(state, helper), helper, None)]
    if helper.name == TAIL_CALL:
        return _tail_called(subject, state, helper)
    result = results.result(subject, state, helper)
    return [_after(subject, state, helper, result), *begun]


def _tail_called(subject: Subject, state: State, helper: HelperDeclaration) -> list[State]:
    """A tail call that fails goes on; one that succeeds ends the function with the result of another program.

    That program may have changed the packet.
    """
    failed = _after(subject, state, helper, results.result(subject, state, helper))
    if not state.callers:
        return [failed]
    changed = _with_new_packet(state, helper)
    result = unknown("result of the tail call", state.pc, InputKind.HELPER)
    return [failed, *functions.leave(subject, changed.put(0, result, state.pc))]


def _after(subject: Subject, state: State, helper: HelperDeclaration, result: Value | None) -> State:
    """The state behind the call: what it wrote, released, acquired and returned."""
    following = subject.following(state.pc)
    written = _stack_written(subject, state, helper)
    state = state._replace(facts=Fact(state.facts, state.pc, FactKind.CALL, result, right=written))
    state = _written(subject, state, helper)
    state = _released(subject, state, helper)
    if helper.changes_packet and state.packet is not None:
        state = _with_new_packet(state, helper)
    registers = state.registers
    frame = state.frame._replace(registers=(result, *CLOBBERED, *registers[6:]))
    state = state.with_frame(frame, following)
    if isinstance(result, Pointer) and result.region.held:
        state = state._replace(held=(*state.held, result.region))
    return state


def _stack_written(subject: Subject, state: State, helper: HelperDeclaration) -> Pointer | None:
    """The stack memory that the helper writes, if that is at a constant offset."""
    for index, parameter in enumerate(helper.parameters_for(subject.program_type)):
        pointer = state.registers[index + 1]
        if parameter.kind.writes and isinstance(pointer, Pointer) and pointer.region.kind is _K.STACK:
            return pointer if pointer.variable is None else None
    return None


def _written(subject: Subject, state: State, helper: HelperDeclaration) -> State:
    """Stack memory that the helper writes is not known any more; what gets the context may change it and the packet."""
    for index, parameter in enumerate(helper.parameters_for(subject.program_type)):
        pointer = state.registers[index + 1]
        if isinstance(pointer, Pointer) and pointer.region.kind is _K.CONTEXT:
            state = _with_new_contents(state)
        elif isinstance(pointer, Pointer) and (parameter.kind.writes or parameter.kind.role is Role.UNCHECKED):
            state = written(state, pointer.region)
        if parameter.kind.role is Role.UNCHECKED:
            continue
        if not parameter.kind.writes or not isinstance(pointer, Pointer):
            continue
        if pointer.region.kind is not _K.STACK:
            continue
        size = _size_of(Argument(subject, state, helper, index))
        low, high = pointer.bounds
        frame = state.frame_of(pointer.region)
        if frame is not None:
            changed = stack.forget(frame.stack, low, high - low + size)
            state = state.with_stack(pointer.region, changed)
    return state


def _size_of(argument: Argument) -> int:
    """The greatest size of the memory that an argument is."""
    kind = argument.kind
    if kind.size is not None:
        return kind.size
    if kind.role is Role.MEMORY:
        size = argument.state.registers[argument.number + 1]
        return min(size.range.umax, arguments.MAX_SIZE) if isinstance(size, Scalar) else 0
    map = argument.map
    if map is None:
        return 0
    return map.key_size if kind.role is Role.MAP_KEY else map.value_size


def _released(subject: Subject, state: State, helper: HelperDeclaration) -> State:
    for index, parameter in enumerate(helper.parameters_for(subject.program_type)):
        pointer = state.registers[index + 1]
        if not parameter.kind.releases or not isinstance(pointer, Pointer):
            continue
        gone = arguments.reference_of(pointer)

        def change(value: Value, gone: Region = gone, pc: int = state.pc) -> Value:
            if isinstance(value, Pointer) and arguments.reference_of(value) is gone:
                return unknown(f"address of the {value.region.name}, which was released", pc, InputKind.ADDRESS)
            return value

        state = mapped(state, change)._replace(held=tuple(one for one in state.held if one is not gone))
    return state


def _with_new_packet(state: State, helper: HelperDeclaration) -> State:
    """clear_all_pkt_pointers: what pointed into the packet is a number now."""

    def change(value: Value) -> Value:
        if isinstance(value, Pointer) and value.region.kind in (_K.PACKET, _K.PACKET_META, _K.PACKET_END):
            return unknown(f"packet address from before {helper.name}", state.pc, InputKind.ADDRESS)
        return value

    packet, lengths = new_packet()
    return _with_new_contents(mapped(state, change)._replace(packet=packet, lengths=lengths, reaches={}))


def _with_new_contents(state: State) -> State:
    return state if state.contents is None else state._replace(contents=Contents(new_contents(), new_contents()))


def _with_lock(state: State, helper: HelperDeclaration) -> State:
    pointer = state.registers[1]
    assert isinstance(pointer, Pointer)
    return state._replace(lock=pointer if helper.name == "bpf_spin_lock" else None)
