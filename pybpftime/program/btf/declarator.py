"""C names of types and declarations of variables on one line: `const char *`, `int (*handler)(void *)`."""

from __future__ import annotations

import re
from collections.abc import Callable

from pybpftime.program.btf.btf import Btf
from pybpftime.program.btf.layout import Budget, check_depth
from pybpftime.program.btf.types import (
    Array,
    BtfType,
    Const,
    Enum,
    Enum64,
    Float,
    FuncProto,
    Fwd,
    Int,
    Ptr,
    Restrict,
    Struct,
    TypeTag,
    Union,
    Void,
    Volatile,
)

TEXT_PER_STEP = 32
"""Characters that cost as much as a step: names may be long, and used often."""

QUALIFIERS: dict[type, str] = {Const: "const", Volatile: "volatile", Restrict: "restrict"}

KEYWORDS = frozenset({
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern",
    "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed",
    "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while",
})  # fmt: skip


def type_name(btf: Btf, type_id: int) -> str:
    """A type as in a cast: `const char *`, `int (*)(void *)`, `__u32[4]`, `struct flow`, `struct {...}`.

    Variables and functions give their own name.  InputError if the type refers to itself without a name in between.
    """
    return declare(btf, type_id, "")


def declare(btf: Btf, type_id: int, name: str) -> str:
    """The declaration of `name` with the type, without a semicolon: `__u32 saddr`, `char comm[16]`."""
    budget = Budget.of(btf, f"the declaration of BTF type {type_id}")
    return Declarator(btf, lambda target, _: short_name(btf[target]), tags=False, budget=budget).write(type_id, name)


class Declarator:
    """Writes C declarations as C reads them, from the name outwards.

    `base_text(type_id, depth)` writes what stands at the left end: `int`, `struct flow`, a typedef's name, or the
    body of an anonymous struct.  `tags` says whether type tags are written, as attributes.
    """

    def __init__(self, btf: Btf, base_text: Callable[[int, int], str], *, tags: bool, budget: Budget) -> None:
        self.btf = btf
        self.base_text = base_text
        self.tags = tags
        self.budget = budget

    def write(self, type_id: int, name: str, depth: int = 0) -> str:
        """The declaration of `name`; with an empty name, the type's own."""
        inner, target = name, type_id
        qualifiers: list[str] = []
        while True:
            self.budget.spend()
            check_depth(depth, type_id)
            record = self.btf[target]
            match record:
                case Const() | Volatile() | Restrict():
                    qualifiers.append(QUALIFIERS[type(record)])
                    target = record.type
                case TypeTag():
                    if self.tags:
                        qualifiers.append(_attribute(record))
                    target = record.type
                case Ptr():
                    inner = _pointer(qualifiers, inner)
                    qualifiers = []
                    target = record.type
                    if isinstance(self.btf[self._behind_qualifiers(target)], Array | FuncProto):
                        inner = f"({inner})"
                case Array():
                    inner = f"{inner}[{record.count}]"  # qualifiers of an array belong to its elements
                    target = record.element
                case FuncProto():
                    inner = f"{inner}({self._parameters(record, depth)})"
                    qualifiers = []
                    target = record.returns
                case _:
                    text = _specifier(qualifiers, self.base_text(target, depth), inner)
                    self.budget.spend(len(text) // TEXT_PER_STEP)
                    return text
            depth += 1

    def _parameters(self, record: FuncProto, depth: int) -> str:
        if not record.params:
            return "void"
        fixed = record.params[:-1] if record.variadic else record.params
        texts = [self.write(param.type, c_name(param.name), depth + 1) for param in fixed]
        return ", ".join([*texts, "..."] if record.variadic else texts)

    def _behind_qualifiers(self, type_id: int) -> int:
        depth = 0
        while isinstance(record := self.btf[type_id], Const | Volatile | Restrict | TypeTag):
            check_depth(depth := depth + 1, type_id)
            type_id = record.type
        return type_id


def _attribute(record: TypeTag) -> str:
    if record.attribute:
        return f"__attribute__(({record.name}))"
    return f"__attribute__((btf_type_tag({quote(record.name)})))"


def _pointer(qualifiers: list[str], inner: str) -> str:
    return f"*{' '.join(qualifiers)} {inner}".rstrip() if qualifiers else f"*{inner}"


def _specifier(qualifiers: list[str], base: str, inner: str) -> str:
    leading = [word for word in qualifiers if not word.startswith("__attribute__")]
    trailing = [word for word in qualifiers if word.startswith("__attribute__")]
    words = " ".join([*leading, base, *trailing])
    return words + inner if not inner or inner[0] == "[" else f"{words} {inner}"


def short_name(record: BtfType) -> str:
    """What a declaration of this type begins with; anonymous structs, unions and enums as `struct {...}`."""
    keyword = tag_keyword(record)
    if keyword:
        return f"{keyword} {c_name(record.name)}" if record.name else f"{keyword} {{...}}"
    if isinstance(record, Void):
        return "void"
    if isinstance(record, Int | Float):
        return re.sub(r"[^\w ]", "_", record.name, flags=re.ASCII) or f"int{8 * record.size}"
    return record.name


def tag_keyword(record: BtfType) -> str:
    """`struct`, `union` or `enum` for the kinds that C names with a tag, else ""."""
    match record:
        case Struct():
            return "struct"
        case Union():
            return "union"
        case Enum() | Enum64():
            return "enum"
        case Fwd():
            return "union" if record.is_union else "struct"
    return ""


def c_name(name: str) -> str:
    """`name` as a C identifier: what C does not allow becomes `_` (`core::Option<u8>`, `f.part.0`, `default`)."""
    plain = name if name.isascii() and name.isidentifier() else re.sub(r"\W", "_", name, flags=re.ASCII)
    if plain[:1].isdigit():
        return f"_{plain}"
    return f"{plain}_" if plain in KEYWORDS else plain


ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quote(text: str) -> str:
    """A C string literal."""
    return '"' + "".join(ESCAPES.get(char) or (char if char.isprintable() else _octal(char)) for char in text) + '"'


def _octal(char: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogatepass"))
