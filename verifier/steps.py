"""One instruction, abstractly: `requires` lists what must hold before it, `transfer` gives the states behind it.

The forms of the ISA table are dispatched here, each to the module that knows it; a form that has no entry is not
modelled and says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.isa import Form, Immediate, Instruction, Row, registers
from pybpftime.isa.table import BY_NAME
from pybpftime.program.types import FieldKind
from pybpftime.verifier import (
    access,
    arena,
    arithmetic,
    branches,
    calls,
    domain,
    functions,
    packet_loads,
    results,
    special_fields,
)
from pybpftime.verifier.access import Access
from pybpftime.verifier.obligations import Obligation, Unsupported
from pybpftime.verifier.stack import MAX_SLOT
from pybpftime.verifier.state import FRAME_POINTER, Fact, FactKind, State
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.values import (
    InputKind,
    Pointer,
    Region,
    RegionKind,
    Scalar,
    Value,
    constant,
    unknown,
)

SIGN_EXTENSION = {1: BY_NAME["movsx864_reg"], 2: BY_NAME["movsx1664_reg"], 4: BY_NAME["movsx3264_reg"]}
"""What a load that extends the sign does with the bytes, by their number: the row of the move that does the same."""


def requires(subject: Subject, state: State) -> Iterator[Obligation]:
    """What must hold before the instruction at `state.pc` is executed and does not already by what the state shows."""
    pc = state.pc
    instruction, row = subject.instruction(pc), subject.row(pc)
    if FRAME_POINTER in registers(row.writes, instruction):
        return iter((Obligation("frame-pointer", f"{row.name} writes r10, the frame pointer", FRAME_POINTER),))
    match row.form:
        case Form.BINARY | Form.UNARY:
            return arithmetic.requires(state, instruction, row, pc)
        case Form.JUMP_IF:
            return branches.requires(state, instruction, row)
        case Form.LOAD | Form.LOAD_ACQUIRE:
            return _requires_of_load(subject, state, instruction, row)
        case Form.STORE | Form.STORE_RELEASE:
            return _requires_of_store(subject, state, instruction, row)
        case Form.ATOMIC:
            return _requires_of_atomic(subject, state, instruction, row)
        case Form.CALL_HELPER:
            return calls.requires(subject, state)
        case Form.CALL_LOCAL:
            return functions.requires_of_call(subject, state)
        case Form.EXIT:
            return functions.requires_of_exit(subject, state)
        case Form.PACKET:
            return packet_loads.requires(subject, state)
        case Form.IMMEDIATE:
            return calls.requires_of_immediate(subject, state)
        case Form.CAST:
            return arena.requires_of_cast(subject, state, instruction)
        case Form.JUMP | Form.MAY_JUMP:
            return iter(())
        case _:
            raise Unsupported(row.name)


def transfer(subject: Subject, state: State) -> list[State]:
    """The states behind the instruction at `state.pc`, of which everything that `requires` lists holds."""
    pc = state.pc
    instruction, row = subject.instruction(pc), subject.row(pc)
    following = subject.following(pc)
    match row.form:
        case Form.BINARY | Form.UNARY:
            return [arithmetic.transfer(state, instruction, row, pc, following)]
        case Form.JUMP_IF:
            return branches.transfer(state, instruction, row, pc, following, subject.target(pc))
        case Form.LOAD | Form.LOAD_ACQUIRE:
            return [_load(subject, state, instruction, row, following)]
        case Form.STORE | Form.STORE_RELEASE:
            return [_store(state, instruction, row, following)]
        case Form.ATOMIC:
            return [_atomic(subject, state, instruction, row, following)]
        case Form.CALL_HELPER:
            return calls.transfer(subject, state)
        case Form.CALL_LOCAL:
            return [functions.enter(subject, state)]
        case Form.EXIT:
            return functions.leave(subject, state)
        case Form.PACKET:
            return packet_loads.transfer(subject, state)
        case Form.IMMEDIATE:
            return [state.put(instruction.dst_reg, _immediate(subject, instruction, row, pc), following)]
        case Form.CAST:
            return [arena.cast(state, instruction, following)]
        case Form.JUMP:
            return [state.at(subject.target(pc))]
        case Form.MAY_JUMP:
            again = state.at(following)._replace(facts=Fact(state.facts, pc, FactKind.ROUND, None))
            return [again, state.at(subject.target(pc))]
        case _:
            raise Unsupported(row.name)


# --- memory -----------------------------------------------------------------------------------------------------------


def _pointer(state: State, number: int) -> Pointer:
    pointer = state.registers[number]
    assert isinstance(pointer, Pointer)
    return pointer


def _extends_sign(row: Row) -> bool:
    return row.name.startswith("ldxs")


def _requires_of_load(subject: Subject, state: State, instruction: Instruction, row: Row) -> Iterator[Obligation]:
    number = instruction.src_reg
    kind = Access.LOAD if row.form is Form.LOAD else Access.LOAD_ACQUIRE
    refused = False
    for obligation in access.requires(subject, state, number, instruction.offset, row.size, kind):
        refused = True
        yield obligation
    pointer = state.registers[number]
    if not refused and _extends_sign(row) and isinstance(pointer, Pointer):
        field = access.field_of(pointer, instruction.offset)
        if field is not None and field.kind is not FieldKind.SCALAR:
            sentence = (
                f"field {field.name} of {pointer.region.name} is an address: a load with sign extension gives none"
            )
            yield Obligation("context-access", sentence, number)


def _load(subject: Subject, state: State, instruction: Instruction, row: Row, following: int) -> State:
    pc = state.pc
    pointer = _pointer(state, instruction.src_reg)
    value = access.load(subject, state, pointer, instruction.offset, row.size, pc)
    if isinstance(value, Scalar) and _extends_sign(row):
        move = SIGN_EXTENSION[row.size]
        value = Scalar(domain.transfer(move, value.range), move, (value,), pc)
    return state.put(instruction.dst_reg, value, following)


def _stored(state: State, instruction: Instruction, row: Row) -> Value | None:
    if row.operand == "imm":
        return constant(instruction.imm & ((1 << 8 * row.size) - 1), state.pc)
    return state.registers[instruction.src_reg]


def _requires_of_store(subject: Subject, state: State, instruction: Instruction, row: Row) -> Iterator[Obligation]:
    value = _stored(state, instruction, row)
    if value is None:
        number = instruction.src_reg
        yield Obligation("uninitialised-register", f"r{number} was never set", number)
        return
    number = instruction.dst_reg
    kind = Access.STORE if row.form is Form.STORE else Access.STORE_RELEASE
    yield from access.requires(subject, state, number, instruction.offset, row.size, kind)
    target = state.registers[number]
    if isinstance(target, Pointer):
        yield from _requires_of_stored(state, instruction, row, target, value)


def _requires_of_stored(
    state: State, instruction: Instruction, row: Row, target: Pointer, value: Value
) -> Iterator[Obligation]:
    """What the place demands of the value: pointers are spilled whole, and not where they outlive what they lead to.

    At an offset that varies nothing is spilled: what is stored there is a number from then on.
    """
    number = instruction.src_reg
    if target.region.kind is RegionKind.MAP_VALUE:
        yield from special_fields.requires_of_stored(instruction.dst_reg, target, instruction.offset, value)
    if target.region.kind is not RegionKind.STACK or target.variable is not None or not isinstance(value, Pointer):
        return
    if row.size != MAX_SLOT:
        sentence = f"{row.size} bytes of r{number}, which points to the {value.region.name}, stored"
        yield Obligation("spill-size", sentence, number)
    elif value.region.kind is RegionKind.STACK and target.region is not state.frame.region:
        sentence = f"r{number}, which points to the {value.region.name}, is stored in the stack of a caller"
        yield Obligation("stack-escape", sentence, number)


def _store(state: State, instruction: Instruction, row: Row, following: int) -> State:
    value = _stored(state, instruction, row)
    assert value is not None
    changed = access.store(state, _pointer(state, instruction.dst_reg), instruction.offset, row.size, value)
    return changed.at(following)


def _requires_of_atomic(subject: Subject, state: State, instruction: Instruction, row: Row) -> Iterator[Obligation]:
    for number in (instruction.src_reg, 0) if "r0" in row.reads else (instruction.src_reg,):
        value = state.registers[number]
        if value is None:
            yield Obligation("uninitialised-register", f"r{number} was never set", number)
            return
    number = instruction.dst_reg
    yield from access.requires(subject, state, number, instruction.offset, row.size, Access.ATOMIC)
    if row.fetch and number == _fetched_register(instruction, row):
        sentence = f"r{number} is the address and gets what was there: Linux then finds no address for the store"
        yield Obligation("atomic-result", sentence, number)


def _fetched_register(instruction: Instruction, row: Row) -> int:
    """The register that gets what was in memory."""
    return 0 if row.writes == ("r0",) else instruction.src_reg


def _atomic(subject: Subject, state: State, instruction: Instruction, row: Row, following: int) -> State:
    """Reads, combines and writes; afterwards the memory holds what nobody followed, but a fetched value is a load's."""
    pc = state.pc
    pointer = _pointer(state, instruction.dst_reg)
    old = access.load(subject, state, pointer, instruction.offset, row.size, pc)
    changed = access.store(
        state,
        pointer,
        instruction.offset,
        row.size,
        unknown("atomic result", pc, InputKind.LOST, domain.of_size(row.size)),
    )
    if not row.fetch:
        return changed.at(following)
    return changed.put(_fetched_register(instruction, row), old, following)


# --- immediates -------------------------------------------------------------------------------------------------------


def _immediate(subject: Subject, instruction: Instruction, row: Row, pc: int) -> Value:
    found = subject.map_at(pc)
    if found is not None:
        map, offset = found
        if offset is None:
            return Pointer(Region(RegionKind.MAP, f"map {map.name}", pc=pc, map=map))
        if arena.is_arena_map(map):
            return arena.user_address(pc)
        return Pointer(results.value_region(map, pc), offset)
    if row.immediate is Immediate.CODE:
        target = subject.target(pc)
        return Pointer(Region(RegionKind.FUNCTION, f"function at {target}", pc=pc, target=target))
    if row.immediate is Immediate.VALUE and subject.reference(pc) is None:
        return constant(instruction.imm64, pc)
    raise Unsupported(f"{row.meaning} at instruction {pc}")
