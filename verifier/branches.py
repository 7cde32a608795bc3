"""Conditional jumps: which outcomes are possible, and what each teaches.

Numbers are compared by the domain.  Of pointers three comparisons teach something: a nullable one with 0, one into a
packet with the packet's end, one into the metadata with the packet's start.  All others may come out either way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pybpftime.isa import Instruction, Row
from pybpftime.isa.table import BY_NAME
from pybpftime.verifier import domain
from pybpftime.verifier.arithmetic import operands
from pybpftime.verifier.obligations import Obligation
from pybpftime.verifier.state import MAX_PACKET, Fact, FactKind, Reach, State, mapped, refined
from pybpftime.verifier.values import Pointer, Region, RegionKind, Scalar, Value, constant, rely

_K = RegionKind


def requires(state: State, instruction: Instruction, row: Row) -> Iterator[Obligation]:
    """Operands that are set."""
    numbers = (instruction.dst_reg, instruction.src_reg) if row.operand == "src_reg" else (instruction.dst_reg,)
    for number in numbers:
        if state.registers[number] is None:
            yield Obligation("uninitialised-register", f"r{number} was never set", number)


def transfer(state: State, instruction: Instruction, row: Row, pc: int, following: int, target: int) -> list[State]:
    """The possible states behind the jump: not taken first, then taken."""
    left, right = operands(state, instruction, row, pc)
    left = state.registers[instruction.dst_reg] if left is None else left
    assert left is not None and right is not None
    result = []
    outcome = _decided(state, row, left, right)
    for holds, next_pc in ((False, following), (True, target)):
        if outcome is not None and outcome is not holds:
            continue
        decided = outcome is not None
        fact = Fact(state.facts, pc, FactKind.COMPARISON, left, holds, row=row, right=right, decided=decided)
        after = state.knowing(fact, next_pc)
        learned = after if decided else _learn(after, row, left, right, holds, pc)
        if learned is not None:
            result.append(learned)
    return result


def _decided(state: State, row: Row, left: Value, right: Value) -> bool | None:
    """How the comparison comes out in every case; None if that depends.  Marks what the answer relies on."""
    if isinstance(left, Scalar) and isinstance(right, Scalar):
        outcome = domain.decide(row, left.range, right.range)
        if outcome is not None:
            rely(left, right)
        return outcome
    if row.width == 32:
        return None
    null = _null_check(row, left, right)
    if null is not None:
        return None if _may_be_zero(null.pointer) else not null.is_null_if
    limit = _limit_check(row, left, right)
    return None if limit is None else _decided_limit(state, limit)


def _learn(state: State, row: Row, left: Value, right: Value, holds: bool, pc: int) -> State | None:
    """The state with what this outcome shows; None if it cannot be."""
    if isinstance(left, Scalar) and isinstance(right, Scalar):
        ranges = domain.refine(row, left.range, right.range, holds)
        if ranges is None:
            rely(left, right)
            return None
        for old, range, other in ((left, ranges[0], right), (right, ranges[1], left)):
            if range is not old.range and range != old.range:
                state = refined(state, old, old.refined(range, other, pc))
        return state
    if row.width == 32:
        return state
    null = _null_check(row, left, right)
    if null is not None:
        return _learn_null(state, null.pointer, null.is_null_if is holds, pc)
    if _EQUALITY.get(row.compute) is holds and isinstance(left, Pointer) and isinstance(right, Pointer):
        return _learn_same(state, left, right)
    limit = _limit_check(row, left, right)
    return state if limit is None else _learn_limit(state, limit, holds, pc)


# --- NULL -------------------------------------------------------------------------------------------------------------


class _NullCheck(NamedTuple):
    """A comparison that tells whether a pointer is NULL: it is if the comparison comes out as `is_null_if`."""

    pointer: Pointer
    is_null_if: bool


def _may_be_zero(pointer: Pointer) -> bool:
    """Kernel objects that a program may follow without a check may be NULL all the same: their loads then give 0."""
    return pointer.nullable or pointer.region.kind is _K.OBJECT


_EQUALITY = {BY_NAME["jeq_imm"].compute: True, BY_NAME["jne_imm"].compute: False}
_JSET = BY_NAME["jset_imm"].compute


def _null_check(row: Row, left: Value, right: Value) -> _NullCheck | None:
    is_null_if = _EQUALITY.get(row.compute)
    if is_null_if is None:
        return None
    for pointer, other in ((left, right), (right, left)):
        if not isinstance(pointer, Pointer) or not isinstance(other, Scalar) or not other.is_constant:
            continue
        if pointer.region.kind is _K.ARENA:
            continue  # may be 0, and nothing depends on it
        if other.range.constant == 0 and pointer.offset == 0 and pointer.variable is None:
            rely(other)
            return _NullCheck(pointer, is_null_if)
    return None


def _learn_null(state: State, pointer: Pointer, is_null: bool, pc: int) -> State:
    """Every pointer to the region is NULL, or none is."""
    fact = state.facts
    assert fact is not None
    state = state._replace(facts=Fact(fact.previous, pc, FactKind.NULL, pointer, is_null))
    region = pointer.region

    def change(value: Value) -> Value:
        if not isinstance(value, Pointer) or value.region is not region:
            return value
        return constant(0, pc) if is_null else Pointer(region, value.offset, value.variable)

    state = mapped(state, change)
    if is_null and region in state.held:
        state = state._replace(held=tuple(one for one in state.held if one is not region))
    return state


def _learn_same(state: State, left: Pointer, right: Pointer) -> State:
    """Two addresses are one: if one of them is not NULL, the other is not."""
    for pointer, other in ((left, right), (right, left)):
        if not pointer.nullable or _may_be_zero(other) or other.region.kind is _K.ARENA:
            continue
        if any(one.offset or one.variable is not None for one in (pointer, other)):
            continue
        region = pointer.region

        def change(value: Value, region: Region = region) -> Value:
            if not isinstance(value, Pointer) or value.region is not region:
                return value
            return Pointer(region, value.offset, value.variable)

        state = mapped(state, change)
    return state


# --- packets ----------------------------------------------------------------------------------------------------------


class _LimitCheck(NamedTuple):
    """A comparison of `pointer` with the end of `region`.

    It holds exactly if `pointer <= end` (`inside`; without `equal`, `pointer < end`) is `inside`.
    """

    pointer: Pointer
    region: Region
    inside: bool
    equal: bool


# (pointer on the left, row) -> the comparison says that the pointer is inside (or not), the end itself included or not.
_ORDERS = {
    BY_NAME["jgt_reg"].compute: ((False, True), (True, False)),  # p > end: not p <= end;   end > p: p < end
    BY_NAME["jge_reg"].compute: ((False, False), (True, True)),  # p >= end: not p < end;   end >= p: p <= end
    BY_NAME["jlt_reg"].compute: ((True, False), (False, True)),
    BY_NAME["jle_reg"].compute: ((True, True), (False, False)),
}


def _limit_check(row: Row, left: Value, right: Value) -> _LimitCheck | None:
    order = _ORDERS.get(row.compute)
    if order is None or not isinstance(left, Pointer) or not isinstance(right, Pointer):
        return None
    for pointer, end, (inside, equal) in ((left, right, order[0]), (right, left, order[1])):
        region = pointer.region
        if end.offset or end.variable is not None or end.nullable or pointer.nullable:
            continue
        if region.kind is _K.PACKET and end.region.kind is _K.PACKET_END and end.region.of is region:
            return _LimitCheck(pointer, region, inside, equal)
        if region.kind is _K.PACKET_META and end.region.kind is _K.PACKET and region.of is end.region:
            return _LimitCheck(pointer, region, inside, equal)
    return None


def _follows(pointer: Pointer) -> bool:
    """Whether the offset is known not to wrap around the address space."""
    low, high = pointer.bounds
    return low >= 0 and high <= MAX_PACKET


def _decided_limit(state: State, check: _LimitCheck) -> bool | None:
    """Whether what is known of the packet's length decides the comparison."""
    pointer, region = check.pointer, check.region
    length = state.lengths.get(region)
    if length is None or not _follows(pointer):
        return None
    low, high = pointer.bounds
    strict = 0 if check.equal else 1
    if high + strict <= length.range.umin:
        rely(length, pointer.variable)
        return check.inside
    if low + strict > length.range.umax:
        rely(length, pointer.variable)
        return not check.inside
    if pointer.variable is not None:
        reach = state.reaches.get((region, pointer.variable.root))
        if reach is not None and pointer.offset + strict <= reach.reach:
            reach.use()
            rely(pointer.variable)
            return check.inside
    return None


def _learn_limit(state: State, check: _LimitCheck, holds: bool, pc: int) -> State | None:
    """What the outcome of a comparison with the end says about the length."""
    pointer, region = check.pointer, check.region
    length = state.lengths.get(region)
    if length is None or not _follows(pointer):
        return state
    low, high = pointer.bounds
    strict = 0 if check.equal else 1
    basis = pointer.variable
    if holds is not check.inside:
        # pointer + strict > length, for the greatest offset that it may have
        return _with_length(state, region, length, basis, 0, high + strict - 1, pc)
    if basis is not None:
        key = (region, basis.root)
        reach = pointer.offset + strict
        known = state.reaches.get(key)
        if known is None or known.reach < reach:
            state = state._replace(reaches={**state.reaches, key: Reach(reach, basis)})
    return _with_length(state, region, length, basis, low + strict, MAX_PACKET, pc)


def _with_length(
    state: State, region: Region, length: Scalar, basis: Scalar | None, low: int, high: int, pc: int
) -> State | None:
    range = domain.meet(length.range, domain.unsigned(max(low, 0), min(high, MAX_PACKET))) if low <= high else None
    if range is None:
        rely(length, basis)
        return None
    if range == length.range:
        return state
    return state._replace(lengths={**state.lengths, region: length.refined(range, basis, pc)})
