"""Whole contents: brace lists, texts, keys of maps, and what `==` says of them.

C compares no arrays and no structs; here `comm == "curl"` and `eth->h_dest == {0xff, 0xff}` compare contents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pybpftime.debug.expression.arithmetic import INT, type_of
from pybpftime.debug.expression.nodes import Braces, Node, Text
from pybpftime.debug.expression.operands import (
    Computed,
    Located,
    MapOperand,
    Operand,
    Run,
    failure,
    placed,
    read_bytes,
    rvalue,
)
from pybpftime.debug.values import CType, Target, TypedValue, initialise
from pybpftime.debug.values.initialise import Designated
from pybpftime.errors import InputError
from pybpftime.program.btf import Ptr

CompileNode = Callable[[Node], Operand]
Contents = Callable[[], Any]
"""Makes what `initialise` takes."""

NUL = b"\0"


def contents_of(node: Node, compile_node: CompileNode, target: Target) -> tuple[Contents, bool]:
    """What a node gives to initialise something with, and whether that never changes."""
    if isinstance(node, Text):
        text = node.data.decode("utf-8", "surrogateescape")
        return lambda: text, True
    if isinstance(node, Braces):
        parts = [(item.where, *contents_of(item.value, compile_node, target)) for item in node.items]

        def items() -> list[Any]:
            return [get() if where is None else Designated(where, get()) for where, get, _ in parts]

        return items, all(fixed for _, _, fixed in parts)
    operand = compile_node(node)
    if isinstance(operand, Located) and operand.type.scalar() is None:
        found = operand
        return lambda: TypedValue(found.type.types, found.type.id, found.find(), target), False
    if isinstance(operand, Run):
        return run_bytes(target, operand), False
    number = rvalue(target, operand)
    return number.get, number.constant is not None


def initialiser(node: Node, kind: CType, what: str, compile_node: CompileNode, target: Target) -> Callable[[], bytes]:
    """The bytes of a type that a node initialises; made once if they never change.

    InputError, now or at evaluation, if what the node gives does not fit; `what` names the thing in messages.
    """
    if isinstance(node, Text) and kind.scalar() is not None:
        raise failure(node, f"{what} is of type {kind.text} and no text")
    get, fixed = contents_of(node, compile_node, target)

    def make() -> bytes:
        try:
            return initialise(kind, get(), what)
        except InputError as error:
            raise error if error.column is not None else InputError(error.reason, column=node.column or None) from None

    if not fixed:
        return make
    data = make()
    return lambda: data


def run_bytes(target: Target, run: Run) -> Callable[[], bytes]:
    """Reads all elements of a run."""
    node, span, size = run.node, run.span, run.element.size

    def get() -> bytes:
        place, count = span()
        try:
            return place.read(target, count * size)
        except InputError as error:
            raise placed(node, error) from None

    return get


def compare_contents(
    node: Node, symbol: str, operand: Operand, wanted: Text | Braces, compile_node: CompileNode, target: Target
) -> Computed:
    """`operand == wanted` or `!=`: an int, 0 or 1."""
    equal = _equality(operand, wanted, compile_node, target)
    answer = symbol == "=="
    return Computed(node, type_of(INT, target.byteorder), lambda: int(equal() == answer))


def _equality(operand: Operand, wanted: Text | Braces, compile_node: CompileNode, target: Target) -> Callable[[], bool]:
    if isinstance(operand, MapOperand):
        raise failure(operand.node, "it is a map and has no contents to compare")
    if isinstance(wanted, Text):
        return _text_equality(operand, wanted.data, target)
    if isinstance(operand, Run):
        run, read = operand, run_bytes(target, operand)

        def equal_run() -> bool:
            data = read()
            kind = run.element.array(len(data) // max(run.element.size, 1))
            return data == initialiser(wanted, kind, kind.text, compile_node, target)()

        return equal_run
    if isinstance(operand, Computed) or operand.type.scalar() is not None:
        raise failure(operand.node, f"it is of type {operand.type.text} and not compared with a list in braces")
    read, make = read_bytes(target, operand), initialiser(wanted, operand.type, "the list", compile_node, target)
    return lambda: read() == make()


def _text_equality(operand: Operand, text: bytes, target: Target) -> Callable[[], bool]:
    if isinstance(operand, Run) and operand.element.size == 1:
        read = run_bytes(target, operand)
        return lambda: read() == text
    if isinstance(operand, Located):
        element = operand.type.element
        if element is not None and element.size == 1:
            read = read_bytes(target, operand)
            return lambda: holds_text(read(), text)
    if isinstance(operand, Located | Computed) and isinstance(operand.type.record, Ptr):
        pointee = operand.type.pointee
        if pointee is not None and not pointee.is_void and pointee.size == 1:
            return _string_equality(rvalue(target, operand), text, target)
    assert not isinstance(operand, MapOperand)
    kind = operand.element if isinstance(operand, Run) else operand.type
    raise failure(operand.node, f"it is of type {kind.text} and not compared with text")


def holds_text(data: bytes, text: bytes) -> bool:
    """Whether an array holds the text: up to its first NUL, or all of it if the text itself has a NUL."""
    return data == text if NUL in text else data.partition(NUL)[0] == text


def _string_equality(pointer: Computed, text: bytes, target: Target) -> Callable[[], bool]:
    node, get, wanted = pointer.node, pointer.get, text + NUL

    def equal() -> bool:
        address = int(get())
        data = target.read(address, len(wanted))
        if data is not None:
            return data == wanted
        for index, byte in enumerate(wanted):  # a shorter string may end where memory does
            one = target.read(address + index, 1)
            if one is None:
                raise failure(node, f"1 byte at {address + index:#x} cannot be read")
            if one[0] != byte:
                return False
        return True

    return equal
