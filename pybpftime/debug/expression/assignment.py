"""Assignment: C's conversions for numbers, whole contents for arrays and structs, and the user's own `$names`."""

from __future__ import annotations

import struct
from collections.abc import Callable

from pybpftime.debug.expression.arithmetic import convert
from pybpftime.debug.expression.contents import CompileNode, initialiser
from pybpftime.debug.expression.nodes import Assign, Braces, Node, Text
from pybpftime.debug.expression.operands import (
    Computed,
    Located,
    Operand,
    failure,
    placed,
    read_bytes,
)
from pybpftime.debug.expression.unparse import unparse
from pybpftime.debug.values import Constant, CType, Place, ScalarKind, Target
from pybpftime.errors import InputError
from pybpftime.program.btf.values import FLOAT_CODES, byte_order_code


def assign(node: Assign, target_operand: Operand, value: Computed | None, compile_node: CompileNode, target: Target
) -> Located:  # fmt: skip
    """Writes when it is evaluated, and is then what it wrote to.

    `value` is the number to write, or None to initialise the whole thing from `node.value`.
    """
    if not isinstance(target_operand, Located) or isinstance(target_operand.fixed, Constant):
        raise failure(node.target, "it cannot be assigned to")
    kind, find = target_operand.type, target_operand.find
    if value is None:
        make = _contents(node, kind, compile_node, target)
    else:
        make = number_bytes(convert(value, kind))

    def perform() -> Place:
        place = find()
        data = make()
        try:
            place.write(target, data)
        except InputError as error:
            raise placed(node.target, error) from None
        return place

    return Located(node, kind, perform)


def _contents(node: Assign, kind: CType, compile_node: CompileNode, target: Target) -> Callable[[], bytes]:
    value = node.value
    if not isinstance(value, Text | Braces):
        source = compile_node(value)
        if not isinstance(source, Located) or not _same(source.type, kind):
            raise failure(node, f"a value of type {kind.text} is needed")
        return read_bytes(target, source)
    return initialiser(value, kind, unparse(node.target), compile_node, target)


def _same(left: CType, right: CType) -> bool:
    return left.size == right.size and type(left.record) is type(right.record) and left.record.name == right.record.name


def number_bytes(number: Computed) -> Callable[[], bytes]:
    """The bytes of a number in the byte order of its type."""
    scalar, order, get = number.scalar, number.type.types.byteorder, number.get
    size = scalar.bits // 8
    if scalar.kind is ScalarKind.FLOAT:
        code = byte_order_code(number.type.types) + FLOAT_CODES[size]
        return lambda: struct.pack(code, get())
    return lambda: int(get()).to_bytes(size, order, signed=scalar.signed)


class Once:
    """An lvalue that is found once for two uses, so that `a[i += 1] += 2` changes i once.

    `first` finds it and remembers; `again` is the same place.
    """

    def __init__(self, operand: Located) -> None:
        places: list[Place] = []

        def find() -> Place:
            places[:] = [operand.find()]
            return places[0]

        self.first = Located(operand.node, operand.type, find, bits=operand.bits, fixed=operand.fixed)
        self.again = Located(operand.node, operand.type, lambda: places[0], bits=operand.bits)


def is_contents(node: Node, kind: CType) -> bool:
    """Whether `node` initialises a thing of that type as a whole, rather than as a number."""
    return isinstance(node, Text | Braces) or kind.scalar() is None
