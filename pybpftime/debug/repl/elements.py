"""Elements of maps by what a user types: keys as bytes, and elements that are not there yet."""

from __future__ import annotations

from pybpftime.debug.expression import parse
from pybpftime.debug.expression.compiler import Compiler
from pybpftime.debug.expression.contents import initialiser
from pybpftime.debug.expression.lookup import Names
from pybpftime.debug.expression.nodes import Assign, Index, Name, Node
from pybpftime.debug.scope import FrameScope
from pybpftime.debug.values import CType
from pybpftime.errors import InputError


def bytes_of(node: Node, kind: CType, what: str, scope: FrameScope) -> bytes:
    """The bytes of a type that an expression gives; InputError if it does not fit."""
    return initialiser(node, kind, what, Compiler(scope, allow_assignment=False).compile, scope.target)()


def key_bytes(name: str, text: str, scope: FrameScope) -> bytes:
    """A key of a map, as in `flows[{1, 2}]`."""
    found = scope.map(name)
    if found is None:
        raise InputError(f"{name} is no map with keys")
    return bytes_of(parse(text, Names(scope).is_type), found.key_type, f"the key of {name}", scope)


def new_element(text: str, scope: FrameScope) -> tuple[str, bytes, bytes] | None:
    """What `counts[42] = 3` is to add: map, key and value; None unless it sets an element that is not there."""
    node = parse(text, Names(scope).is_type)
    if not isinstance(node, Assign) or node.operator != "=" or not isinstance(node.target, Index):
        return None
    owner = node.target.owner
    if not isinstance(owner, Name) or scope.variable(owner.name) is not None:
        return None
    found = scope.map(owner.name)
    if found is None:
        return None
    key = bytes_of(node.target.index, found.key_type, f"the key of {owner.name}", scope)
    if found.element(key) is not None:
        return None
    return owner.name, key, bytes_of(node.value, found.value_type, f"the value of {owner.name}", scope)
