"""Pointers, arrays, members and slices (C11 6.5.2, 6.5.3.2, 6.5.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pybpftime.debug.expression.arithmetic import ADDRESS, LONG, applied, convert, folded, truncated_division, type_of
from pybpftime.debug.expression.arithmetic import compare as compare_numbers
from pybpftime.debug.expression.nodes import Index, Member, Node, Slice, Unary
from pybpftime.debug.expression.operands import (
    Address,
    Computed,
    Located,
    Operand,
    Run,
    address_of,
    count_of,
    failure,
    in_memory,
    member_of,
    rvalue,
    stride,
)
from pybpftime.debug.expression.unparse import unparse
from pybpftime.debug.values import ByteOrder, CType, Memory, Place, ScalarKind, Target
from pybpftime.errors import InputError
from pybpftime.isa.encoding import MASK64
from pybpftime.program.btf import Fwd
from pybpftime.runtime.names import hint

MOST_ELEMENTS = 1 << 20
"""Longest slice."""


def address(node: Unary, operand: Operand) -> Computed:
    """`&operand`"""
    if not isinstance(operand, Located):
        raise failure(node, f"{unparse(operand.node)} has no address")
    return Computed(node, operand.type.pointer(), address_of(operand))


def dereference(node: Unary, pointer: Computed) -> Located:
    """`*pointer`"""
    return in_memory(node, pointee_of(pointer), _address(pointer))


def pointee_of(pointer: Computed) -> CType:
    """What it points to; InputError if it is no pointer."""
    pointee = pointer.type.pointee
    if pointee is None:
        reason = f"it is of type {pointer.type.text} and no pointer; a cast makes it one"
        raise failure(pointer.node, reason)
    return pointee


def _address(pointer: Computed) -> Address:
    """The number of a pointer, which is no float."""
    return cast("Address", pointer.get)


def member(node: Member, owner: Operand, target: Target) -> Located:
    """`owner.name` or `owner->name`"""
    if node.arrow:
        if isinstance(owner, Located) and owner.type.is_aggregate:
            raise failure(node.owner, "it is no pointer: use .")
        pointer = rvalue(target, owner)
        found = in_memory(node.owner, pointee_of(pointer), _address(pointer))
    elif isinstance(owner, Located):
        found = owner
    else:
        raise failure(node.owner, "it is no struct or union and has no members")
    kind = found.type
    if not kind.is_aggregate:
        if not node.arrow and kind.pointee is not None:
            raise failure(node.owner, "it is a pointer: use ->")
        if isinstance(kind.record, Fwd):
            raise failure(node.owner, f"{kind.text} is incomplete: its members are not known here")
        raise failure(node.owner, f"it is of type {kind.text} and has no members")
    fields = kind.types.fields(kind.id)
    for field in fields:
        if field.name == node.name:
            return member_of(node, found, field)
    known = hint(node.name, [field.name for field in fields])
    raise InputError(f"{kind.text} has no member {node.name[:60]}; {known}", column=node.column)


def element(node: Index, owner: Operand, index: Computed, target: Target) -> Located:
    """`owner[index]`; the bounds are checked where there is no memory around the elements, or where C has no word."""
    if not index.scalar.is_integral:
        raise failure(node, f"an index is an integer, and {unparse(index.node)} is of type {index.type.text}")
    if isinstance(owner, Run):
        return _run_element(node, owner, index)
    if isinstance(owner, Located) and owner.type.element is not None and owner.address is None:
        return _placed_element(node, owner, index)
    pointer = rvalue(target, owner)
    kind = pointer.type.pointee
    if kind is None:
        raise failure(node, f"{unparse(owner.node)} is of type {pointer.type.text} and has no elements")
    size, base, at = stride(node, pointer.type), pointer.get, index.get
    fixed = index.constant
    if fixed is not None:
        offset = int(fixed) * size
        return in_memory(node, kind, lambda: int(base()) + offset & MASK64)
    return in_memory(node, kind, lambda: int(base() + at() * size) & MASK64)


def _run_element(node: Index, run: Run, index: Computed) -> Located:
    span, at, size = run.span, index.get, run.element.size

    def find() -> Place:
        place, count = span()
        number = int(at())
        if not 0 <= number < count:
            raise failure(node, f"{number} lies outside of the {count} elements")
        return place.part(number * size, size)

    def find_address() -> int:
        found = find().address()
        if found is None:
            raise failure(node, "it does not lie in memory and has no address")
        return found

    return Located(node, run.element, find, find_address)


def _placed_element(node: Index, owner: Located, index: Computed) -> Located:
    kind = owner.type.element
    assert kind is not None
    find_array, at, size, count = owner.find, index.get, kind.size, count_of(owner.type)

    def find() -> Place:
        number, place = int(at()), find_array()
        if place.address() is None and not 0 <= number < count:
            raise failure(node, f"{number} lies outside of the {count} elements")
        return place.part(number * size, size)

    return Located(node, kind, find)


def slice_of(node: Slice, owner: Operand, start: Computed, stop: Computed, target: Target) -> Run:
    """`owner[start:stop]`"""
    if not start.scalar.is_integral or not stop.scalar.is_integral:
        raise failure(node, "the bounds of a slice are integers")
    kind, span = _sliced(node, owner, target)
    first, last, size = start.get, stop.get, kind.size

    def find() -> tuple[Place, int]:
        place, count = span()
        begin, end = int(first()), int(last())
        if not 0 <= begin <= end or (count is not None and end > count) or end - begin > MOST_ELEMENTS:
            limit = f"the {count} elements" if count is not None else f"the {MOST_ELEMENTS} elements of a slice"
            raise failure(node, f"{begin}:{end} does not lie in {limit}")
        return place.part(begin * size, (end - begin) * size), end - begin

    return Run(node, kind, find)


def _sliced(node: Slice, owner: Operand, target: Target) -> tuple[CType, Callable[[], tuple[Place, int | None]]]:
    """The type of elements, and a closure that gives where they begin and how many there are, None if unknown."""
    if isinstance(owner, Run):
        return owner.element, owner.span
    if isinstance(owner, Located) and owner.type.element is not None:
        find, count = owner.find, count_of(owner.type)
        return owner.type.element, lambda: (find(), count)
    pointer = rvalue(target, owner)
    get = pointer.get
    kind = pointee_of(pointer)
    if kind.is_void:
        raise failure(node, "void has no elements")
    return kind, lambda: (Memory(int(get())), None)


def compare(node: Node, symbol: str, left: Computed, right: Computed, order: ByteOrder) -> Computed:
    """A comparison of addresses; an integer counts as one."""
    kind = type_of(ADDRESS, order)
    for side in (left, right):
        if side.scalar.kind is ScalarKind.FLOAT:
            raise failure(node, "a pointer and a floating point number do not compare")
    return compare_numbers(node, symbol, convert(left, kind), convert(right, kind), order)


def arithmetic(node: Node, symbol: str, left: Computed, right: Computed, order: ByteOrder) -> Computed:
    """`pointer + n`, `n + pointer`, `pointer - n`, `pointer - pointer`"""
    if symbol == "-" and left.scalar.kind is right.scalar.kind:
        return _difference(node, left, right, order)
    if symbol == "+" and right.scalar.kind is ScalarKind.POINTER:
        left, right = right, left
    if symbol not in "+-" or not right.scalar.is_integral or left.scalar.kind is not ScalarKind.POINTER:
        raise failure(node, f"{symbol} is not for {left.type.text} and {right.type.text}")
    size = stride(node, left.type)
    step = size if symbol == "+" else -size
    get = applied(lambda base, count: base + count * step & MASK64, left, right)
    return folded(Computed(node, left.type, get), left, right)


def _difference(node: Node, left: Computed, right: Computed, order: ByteOrder) -> Computed:
    size = stride(node, left.type)
    if size != stride(node, right.type) or size == 0:
        raise failure(node, f"{left.type.text} and {right.type.text} have no difference")

    def subtract(first: int, second: int) -> int:
        distance = ((first - second & MASK64) ^ 1 << 63) - (1 << 63)
        return truncated_division(distance, size)

    return folded(Computed(node, type_of(LONG, order), applied(subtract, left, right)), left, right)


def common_pointer(node: Node, yes: Computed, no: Computed) -> CType:
    """The type of `test ? yes : no` with pointers (6.5.15): a null constant takes the other's type, void * wins."""
    for side, other in ((yes, no), (no, yes)):
        if side.scalar.kind is not ScalarKind.POINTER:
            if side.constant == 0 and side.scalar.is_integral:
                return other.type
            raise failure(node, f"{yes.type.text} and {no.type.text} are different types")
    pointee = yes.type.pointee
    return yes.type if pointee is not None and pointee.is_void else no.type if _points_to_void(no) else yes.type


def _points_to_void(pointer: Computed) -> bool:
    pointee = pointer.type.pointee
    return pointee is not None and pointee.is_void
