"""What an expression says: frozen nodes.  Equality is of meaning, so columns do not count.

`column` is where the node's own token stands: of a binary operation the operator, of a member the name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class _Node:
    column: int = field(default=0, compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Integer(_Node):
    """`42`, `0x2aUL`.  `longs` counts the l's of the suffix; C types decimal constants differently from others."""

    value: int
    unsigned: bool = False
    longs: int = 0
    decimal: bool = True


@dataclass(frozen=True, slots=True)
class Real(_Node):
    """`1.5`, or with `single` `1.5f`."""

    value: float
    single: bool = False


@dataclass(frozen=True, slots=True)
class Character(_Node):
    """`'a'`: the byte, 0 to 255."""

    byte: int


@dataclass(frozen=True, slots=True)
class Text(_Node):
    """`"eth0"`, without its NUL."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Name(_Node):
    name: str


@dataclass(frozen=True, slots=True)
class Special(_Node):
    """`$pc`, `$r1`, `$mine`, `$1`, `$$`; the name is without the first `$`."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary(_Node):
    """`operator` is one of `+ - ! ~ * & sizeof`."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(_Node):
    """Arithmetic, comparison, `&&` and `||`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Conditional(_Node):
    """`test ? yes : no`"""

    test: Node
    yes: Node
    no: Node


@dataclass(frozen=True, slots=True)
class Assign(_Node):
    """`operator` is `=`, `+=`, ..."""

    operator: str
    target: Node
    value: Node


@dataclass(frozen=True, slots=True)
class Member(_Node):
    """`owner.name`, or with `arrow` `owner->name`."""

    owner: Node
    name: str
    arrow: bool = False


@dataclass(frozen=True, slots=True)
class Index(_Node):
    """`owner[index]`, of an array, a pointer or a map."""

    owner: Node
    index: Node


@dataclass(frozen=True, slots=True)
class Slice(_Node):
    """`owner[start:stop]`: elements from start on, stop not among them."""

    owner: Node
    start: Node
    stop: Node


@dataclass(frozen=True, slots=True)
class Call(_Node):
    """A function of the debugger: `ntohs(x)`."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class TypeName(_Node):
    """`struct iphdr *`: `keyword` is struct, union, enum or "", then `name`, how many `*`, and array counts."""

    keyword: str
    name: str
    pointers: int = 0
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Cast(_Node):
    """`(type)operand`"""

    type: TypeName
    operand: Node


@dataclass(frozen=True, slots=True)
class SizeofType(_Node):
    """`sizeof(type)`"""

    type: TypeName


@dataclass(frozen=True, slots=True)
class Item(_Node):
    """An item of a brace list: `.port = 80`, `[3] = 1`, or by position with `where` None."""

    where: str | int | None
    value: Node


@dataclass(frozen=True, slots=True)
class Braces(_Node):
    """`{1, .port = 80}`"""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class CompoundLiteral(_Node):
    """`(struct flow){1, 2}`"""

    type: TypeName
    braces: Braces


Node: TypeAlias = (
    Integer
    | Real
    | Character
    | Text
    | Name
    | Special
    | Unary
    | Binary
    | Conditional
    | Assign
    | Member
    | Index
    | Slice
    | Call
    | Cast
    | SizeofType
    | Braces
    | CompoundLiteral
)

POSTFIX = 14
UNARY = 13
ASSIGNMENT = 1
CONDITIONAL = 2
BINDING = {
    "||": 3,
    "&&": 4,
    "|": 5,
    "^": 6,
    "&": 7,
    **dict.fromkeys(("==", "!="), 8),
    **dict.fromkeys(("<", ">", "<=", ">="), 9),
    **dict.fromkeys(("<<", ">>"), 10),
    **dict.fromkeys(("+", "-"), 11),
    **dict.fromkeys(("*", "/", "%"), 12),
}
"""How strongly binary operators bind (C11 6.5), all of them from the left."""

ASSIGNMENTS = ("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=")
