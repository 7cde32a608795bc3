"""What users of expressions hold: compiled expressions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pybpftime.debug.expression.assignment import number_bytes
from pybpftime.debug.expression.compiler import Compiler
from pybpftime.debug.expression.lookup import Names
from pybpftime.debug.expression.nodes import POSTFIX, Assign, Node, Unary
from pybpftime.debug.expression.operands import Computed, Located, MapOperand, Operand, Run, rvalue
from pybpftime.debug.expression.parser import parse, parse_type
from pybpftime.debug.expression.scope import MapScope, Scope
from pybpftime.debug.expression.unparse import binding_of, unparse
from pybpftime.debug.values import CType, Target, TypedValue, constant_value
from pybpftime.errors import InputError


@dataclass(frozen=True, slots=True)
class MapValue:
    """A map by itself: what `counts` is without a key."""

    name: str
    map: MapScope


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.  Each call evaluates it anew, with the scope's target as it is then.

    InputError, with the sub-expression at fault, if it has no value now: memory that cannot be read, a variable that
    is optimised out, a division by zero, an element that the map does not have.
    """

    text: str
    operand: Operand
    target: Target

    @property
    def type_text(self) -> str:
        """Its C type; "" for a map."""
        match self.operand:
            case MapOperand():
                return ""
            case Run(element=element):
                return f"{element.text}[]"
        return self.operand.type.text

    def number(self) -> int | float:
        """As a number."""
        found = rvalue(self.target, self.operand).get()
        return int(found) if isinstance(found, bool) else found

    def truth(self) -> bool:
        """As a condition: a number that is not 0."""
        return bool(rvalue(self.target, self.operand).get())

    def value(self) -> TypedValue | MapValue:
        """As a value that can be shown, opened and, if it lies somewhere, changed."""
        operand = self.operand
        path = _path(operand.node)
        match operand:
            case MapOperand():
                return MapValue(operand.name, operand.map)
            case Run():
                place, count = operand.span()
                kind = operand.element.array(count)
                return TypedValue(kind.types, kind.id, place, self.target, path)
            case Located():
                return TypedValue(operand.type.types, operand.type.id, operand.find(), self.target, path)
            case Computed():
                return constant_value(operand.type, number_bytes(operand)(), self.target, path)


def compile_expression(source: str | Node, scope: Scope, *, allow_assignment: bool = False) -> Expression:
    """Compile text or nodes in a scope; InputError, with `column` where it is known, for what has no meaning there.

    With `allow_assignment` the expression may change things when it is evaluated.
    """
    node = parse(source, Names(scope).is_type) if isinstance(source, str) else source
    operand = Compiler(scope, allow_assignment=allow_assignment).compile(node)
    return Expression(unparse(node), operand, scope.target)


def compile_condition(source: str | Node, scope: Scope) -> Callable[[], bool]:
    """The expression as a fast test, for breakpoints; InputError as `compile_expression`, and if it is no number."""
    expression = compile_expression(source, scope)
    try:
        get = rvalue(expression.target, expression.operand).get
    except InputError as error:
        raise error.at(column=expression.operand.node.column or None) from None
    return lambda: bool(get())


def named_type(text: str, scope: Scope) -> CType | None:
    """The type that a text names, as in a cast; None if it is an expression.  InputError for a type that is none."""
    names = Names(scope)
    node = parse_type(text, names.is_type)
    return None if node is None else names.type(node)


def _path(node: Node) -> str:
    """What to type to get at it again, without changing it again; see `TypedValue.expression`."""
    while isinstance(node, Assign):
        node = node.target
    text = unparse(node)
    return text if binding_of(node) >= POSTFIX or (isinstance(node, Unary) and node.operator == "*") else f"({text})"
