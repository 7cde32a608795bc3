"""Nodes -> text that parses to the same nodes, with no more parentheses than it needs."""

from __future__ import annotations

from pybpftime.debug.expression.nodes import (
    ASSIGNMENT,
    BINDING,
    CONDITIONAL,
    POSTFIX,
    UNARY,
    Assign,
    Binary,
    Braces,
    Call,
    Cast,
    Character,
    CompoundLiteral,
    Conditional,
    Index,
    Integer,
    Item,
    Member,
    Name,
    Node,
    Real,
    SizeofType,
    Slice,
    Special,
    Text,
    TypeName,
    Unary,
)
from pybpftime.debug.values.text import character

STRING_ESCAPES = {34: '\\"', 92: "\\\\", 10: "\\n", 9: "\\t", 13: "\\r"}


def unparse(node: Node) -> str:
    """The text of an expression."""
    return _text(node, ASSIGNMENT)


def binding_of(node: Node) -> int:
    """How strongly the outermost operator binds; POSTFIX for what needs no parentheses anywhere."""
    match node:
        case Binary(operator=operator):
            return BINDING[operator]
        case Unary() | Cast() | SizeofType():
            return UNARY
        case Conditional():
            return CONDITIONAL
        case Assign():
            return ASSIGNMENT
    return POSTFIX


def type_text(name: TypeName) -> str:
    """A type as in a cast."""
    words = f"{name.keyword} {name.name}".strip()
    stars = " " + "*" * name.pointers if name.pointers else ""
    return words + stars + "".join(f"[{count}]" for count in name.counts)


def _text(node: Node, least: int) -> str:
    """The text, in parentheses if the node binds less strongly than `least`."""
    text = _bare(node)
    return text if binding_of(node) >= least else f"({text})"


def _bare(node: Node) -> str:
    match node:
        case Integer():
            digits = str(node.value) if node.decimal else f"{node.value:#x}"
            return digits + ("U" if node.unsigned else "") + "L" * node.longs
        case Real():
            return repr(node.value) + ("f" if node.single else "")
        case Character():
            return character(node.byte)
        case Text():
            return '"' + "".join(_string_byte(byte) for byte in node.data) + '"'
        case Name():
            return node.name
        case Special():
            return f"${node.name}"
        case Unary(operator="sizeof"):
            return f"sizeof({_text(node.operand, ASSIGNMENT)})"
        case Unary():
            text = _text(node.operand, UNARY)
            return f"{node.operator}({text})" if text[0] == node.operator and text[0] in "+-&" else node.operator + text
        case Binary():
            binding = BINDING[node.operator]
            return f"{_text(node.left, binding)} {node.operator} {_text(node.right, binding + 1)}"
        case Conditional():
            test = _text(node.test, CONDITIONAL + 1)
            return f"{test} ? {_text(node.yes, ASSIGNMENT)} : {_text(node.no, CONDITIONAL)}"
        case Assign():
            return f"{_text(node.target, UNARY)} {node.operator} {_text(node.value, ASSIGNMENT)}"
        case Cast():
            return f"({type_text(node.type)}){_text(node.operand, UNARY)}"
        case SizeofType():
            return f"sizeof({type_text(node.type)})"
    return _postfix(node)


def _postfix(node: Node) -> str:
    match node:
        case Member():
            return f"{_owner(node.owner)}{'->' if node.arrow else '.'}{node.name}"
        case Index():
            return f"{_owner(node.owner)}[{unparse(node.index)}]"
        case Slice():
            return f"{_owner(node.owner)}[{unparse(node.start)}:{unparse(node.stop)}]"
        case Call():
            return f"{node.name}({', '.join(unparse(argument) for argument in node.arguments)})"
        case Braces():
            return f"{{{', '.join(_item(item) for item in node.items)}}}"
        case CompoundLiteral():
            return f"({type_text(node.type)}){_postfix(node.braces)}"
    raise AssertionError(f"{node!r} has no text")


def _owner(node: Node) -> str:
    return f"({_bare(node)})" if isinstance(node, Integer | Real | Braces) else _text(node, POSTFIX)


def _item(item: Item) -> str:
    value = _text(item.value, ASSIGNMENT)
    if item.where is None:
        return value
    return f".{item.where} = {value}" if isinstance(item.where, str) else f"[{item.where}] = {value}"


def _string_byte(byte: int) -> str:
    return STRING_ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
