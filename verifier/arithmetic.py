"""BINARY and UNARY instructions: numbers by the domain's operators, pointers by the rules that Linux has for them.

A pointer may be moved, copied, and subtracted from one into the same region; the rest of arithmetic is for numbers
(adjust_ptr_min_max_vals of the kernel's verifier).
"""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.isa import Form, Instruction, Row
from pybpftime.isa.table import BY_NAME
from pybpftime.verifier import arena, domain
from pybpftime.verifier.obligations import Between, Obligation
from pybpftime.verifier.state import State
from pybpftime.verifier.values import (
    InputKind,
    Pointer,
    Region,
    RegionKind,
    Scalar,
    Value,
    constant,
    rely,
    unknown,
)

_K = RegionKind
ADD, SUB = (BY_NAME[name].compute for name in ("add_reg", "sub_reg"))
MOVE = BY_NAME["mov_reg"].compute
ADD_ROW, SUB_ROW = BY_NAME["add_reg"], BY_NAME["sub_reg"]
MOVE_32_ROW = BY_NAME["mov32_reg"]
IMMOVABLE = frozenset(
    {_K.MAP, _K.PACKET_END, _K.SOCKET, _K.SOCK_COMMON, _K.TCP_SOCK, _K.XDP_SOCK, _K.FUNCTION, _K.ARENA}
)
MAX_VARIABLE = 1 << 29  # BPF_MAX_VAR_OFF


def operands(state: State, instruction: Instruction, row: Row, pc: int) -> tuple[Value | None, Value | None]:
    """What the row computes with: the value of dst (None for UNARY) and that of the operand."""
    registers = state.registers
    if row.operand == "src_reg":
        operand = registers[instruction.src_reg]
    elif row.operand == "imm":
        operand = constant(instruction.imm, pc)
    else:
        operand = registers[instruction.dst_reg]
    return (registers[instruction.dst_reg] if row.form is Form.BINARY else None), operand


def requires(state: State, instruction: Instruction, row: Row, pc: int) -> Iterator[Obligation]:
    """Operands that are set; for pointers, an operation that they allow."""
    has_pointer = False
    for number in reads(instruction, row):
        value = state.registers[number]
        if value is None:
            yield Obligation("uninitialised-register", f"r{number} was never set", number)
            return
        has_pointer = has_pointer or isinstance(value, Pointer)
    if has_pointer and row.form is Form.BINARY:
        left, right = operands(state, instruction, row, pc)
        assert left is not None and right is not None
        yield from _requires_of_pointers(instruction, row, left, right)


def reads(instruction: Instruction, row: Row) -> tuple[int, ...]:
    """The registers that the instruction reads, src before dst, as the kernel looks at them."""
    names = {"dst": instruction.dst_reg, "src": instruction.src_reg}
    return tuple(names[name] for name in sorted(row.reads, reverse=True))


def _requires_of_pointers(instruction: Instruction, row: Row, left: Value, right: Value) -> Iterator[Obligation]:
    number = instruction.dst_reg
    operation = row.name.split("_")[0]
    if arena.is_arena(left):
        return
    if isinstance(left, Pointer) and isinstance(right, Pointer):
        if row.compute is not SUB:
            sentence = f"{operation} of two pointers, r{number} ({left.region.name}) and the {right.region.name}"
            yield Obligation("pointer-arithmetic", sentence, number)
        return
    pointer, moved_by = (left, right) if isinstance(left, Pointer) else (right, left)
    assert isinstance(pointer, Pointer) and isinstance(moved_by, Scalar)
    where = f"r{number}" if pointer is left else f"r{instruction.src_reg}"
    what = f"{where}, which points to the {pointer.region.name}"
    if row.width == 32 and row.compute is not SUB:
        yield Obligation("pointer-arithmetic", f"32-bit {operation} on {what}: half of an address is none", number)
    elif row.width == 32:
        return
    elif row.compute is not ADD and row.compute is not SUB:
        yield Obligation("pointer-arithmetic", f"{operation} on {what}: pointers are only added to", number)
    elif row.compute is SUB and pointer is not left:
        yield Obligation("pointer-arithmetic", f"a number minus a pointer: {what}", number)
    elif pointer.nullable:
        sentence = f"{operation} on {where}, which may be NULL: {pointer.region.name} was not checked before"
        yield Obligation("pointer-null-arithmetic", sentence, number)
    elif _is_immovable(pointer, moved_by, row):
        yield Obligation("pointer-arithmetic", f"{operation} on {what}: such pointers cannot be moved", number)
    elif pointer.region.kind is _K.STACK and row.compute is SUB:
        yield Obligation("pointer-arithmetic", f"a number subtracted from {what}: add a negative one", number)
    else:
        yield from _requires_of_distance(number, pointer, moved_by, row)


def _is_immovable(pointer: Pointer, moved_by: Scalar, row: Row) -> bool:
    kind = pointer.region.kind
    if kind not in IMMOVABLE and kind is not _K.FLOW_KEYS:
        return False
    rely(moved_by)
    if kind is _K.FLOW_KEYS:
        return not moved_by.is_constant
    return not (kind is _K.MAP and row.compute is ADD and moved_by.is_constant and moved_by.range.constant == 0)


def _requires_of_distance(number: int, pointer: Pointer, moved_by: Scalar, row: Row) -> Iterator[Obligation]:
    """Linux wants to know how far below where it started a pointer may get (check_reg_sane_offset, BPF_MAX_VAR_OFF).

    Above it does not: what lies too far ahead is refused where it is accessed.
    """
    low, high = moved_by.range.smin, moved_by.range.smax
    base_low, _ = pointer.bounds
    least = base_low + (-high if row.compute is SUB else low)
    fixed = pointer.offset + (least - base_low if moved_by.is_constant else 0)
    if all(-MAX_VARIABLE < distance < MAX_VARIABLE for distance in (low, least, fixed)):
        rely(moved_by, pointer.variable)
        return
    sentence = f"r{number} would be the {pointer.region.name} moved by {moved_by.range}"
    near = Between(moved_by, -MAX_VARIABLE + 1, MAX_VARIABLE - 1, signed=True)
    yield Obligation("pointer-range", sentence, number, (near,))


def transfer(state: State, instruction: Instruction, row: Row, pc: int, following: int) -> State:
    """The state behind the instruction."""
    left, right = operands(state, instruction, row, pc)
    assert right is not None
    if row.form is Form.UNARY:
        result = _unary(row, right, pc)
    else:
        assert left is not None
        result = _binary(state, row, left, right, pc)
    return state.put(instruction.dst_reg, result, following)


def _unary(row: Row, operand: Value, pc: int) -> Value:
    if row.compute is MOVE and row.width == 64:
        if isinstance(operand, Scalar):
            operand.copied = True
        return operand
    if isinstance(operand, Pointer):
        return unknown(
            "part of an address", pc, InputKind.ADDRESS, domain.UNKNOWN if row.width == 64 else domain.of_size(4)
        )
    if row.compute is MOVE and domain.of_size(4).includes(operand.range):
        operand.copied = True
        return operand
    return Scalar(domain.transfer(row, operand.range, None), row, (operand,), pc)


def _binary(state: State, row: Row, left: Value, right: Value, pc: int) -> Value:
    if isinstance(left, Scalar) and isinstance(right, Scalar):
        return Scalar(domain.transfer(row, left.range, right.range), row, (left, right), pc)
    if arena.is_arena(left):
        return arena.address(pc)
    if isinstance(left, Pointer) and isinstance(right, Pointer):
        whole = _difference(state, left, right, pc)
        return (
            whole if row.width == 64 else Scalar(domain.transfer(MOVE_32_ROW, whole.range), MOVE_32_ROW, (whole,), pc)
        )
    if row.width == 32:
        return unknown("part of an address", pc, InputKind.ADDRESS, domain.of_size(4))
    if isinstance(left, Pointer):
        assert isinstance(right, Scalar)
        return moved(left, right, row.compute is SUB, pc)
    assert isinstance(right, Pointer) and isinstance(left, Scalar)
    return moved(right, left, False, pc)


def moved(pointer: Pointer, by: Scalar, backwards: bool, pc: int) -> Pointer:
    """The pointer plus (or minus) a number."""
    if by.is_constant:
        rely(by)
        distance = by.range.smin
        return Pointer(pointer.region, pointer.offset + (-distance if backwards else distance), pointer.variable)
    by.copied = True
    variable = pointer.variable
    if variable is None and not backwards:
        return Pointer(pointer.region, pointer.offset, by)
    variable = constant(0, pc) if variable is None else variable
    row = SUB_ROW if backwards else ADD_ROW
    sum = Scalar(domain.transfer(row, variable.range, by.range), row, (variable, by), pc)
    sum.copied = True
    return Pointer(pointer.region, pointer.offset, sum)


def _difference(state: State, left: Pointer, right: Pointer, pc: int) -> Scalar:
    """Two addresses subtracted: a number that is known if they lie in one region, or in one packet.

    (Linux follows no difference: it takes all for unknown numbers.)
    """
    if _base(left) is not _base(right) or left.nullable or right.nullable:
        return unknown("difference of two addresses", pc, InputKind.ADDRESS)
    result = constant(left.offset - right.offset, pc)
    added = [(one, ADD_ROW) for one in _distances(state, left, RegionKind.PACKET_END)]
    added += [(one, ADD_ROW) for one in _distances(state, right, RegionKind.PACKET_META)]
    added += [(one, SUB_ROW) for one in _distances(state, right, RegionKind.PACKET_END)]
    added += [(one, SUB_ROW) for one in _distances(state, left, RegionKind.PACKET_META)]
    added += [(one.variable, row) for one, row in ((left, ADD_ROW), (right, SUB_ROW)) if one.variable is not None]
    for number, row in added:
        number.copied = True
        result = Scalar(domain.transfer(row, result.range, number.range), row, (result, number), pc)
    return result


def _base(pointer: Pointer) -> Region:
    """The region that positions are counted in: that of the packet for its end and its metadata too."""
    return pointer.region.of or pointer.region


def _distances(state: State, pointer: Pointer, kind: RegionKind) -> list[Scalar]:
    """How far a region of this kind, if that is the pointer's, begins behind the packet's start, or before it."""
    if pointer.region.kind is not kind:
        return []
    measured = _base(pointer) if kind is RegionKind.PACKET_END else pointer.region
    length = state.lengths.get(measured, measured.length)
    assert length is not None
    return [length]
