"""Definitions of types, as the debugger prints them: C as it is declared, or with offsets, sizes and holes.

Unlike `btf.definition`, which writes what compiles to the same layout, nothing is written here that the source does not
have; typedefs are followed at the outside only, and named structs inside keep their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pybpftime.debug.values import CType
from pybpftime.program.btf import (
    Array,
    Btf,
    Const,
    Enum,
    Enum64,
    Field,
    Ptr,
    Restrict,
    Struct,
    Typedef,
    TypeTag,
    Union,
    Volatile,
)
from pybpftime.program.btf.declarator import Declarator, short_name
from pybpftime.program.btf.layout import Budget, check_depth

INDENT = "    "
BODY = "\0"
"""Stands for the braces in a declaration of something that is written out."""
HEADER = "/* offset      |    size */  "
MARGIN = " " * len(HEADER)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a definition.  Of a member, `offset` is in bits and `size` in bytes; `hole` is what is unused there."""

    text: str = ""
    offset: int = 0
    size: int | None = None
    is_bit_field: bool = False
    hole: str = ""

    @property
    def margin(self) -> str:
        """What stands before the text."""
        if self.hole:
            return f"/* XXX {self.hole:<18}*/"
        if self.size is None:
            return MARGIN
        bit = f": {self.offset % 8:<2}" if self.is_bit_field else "    "
        return f"/* {self.offset // 8:>6}{bit}  | {self.size:>7} */  "


def type_lines(kind: CType, label: str) -> list[str]:
    """The definition of a type, its first line behind `label`."""
    first, *rest = _Writer(kind.types, with_layout=False).whole(kind.id)
    return [label + first.text, *(line.text for line in rest)]


def layout_lines(kind: CType, label: str) -> list[str]:
    """The same with a margin, in which the offset and size of each member stand, and the holes between them."""
    first, *rest = _Writer(kind.types, with_layout=True).whole(kind.id)
    header = HEADER if rest else ""
    return [header + label + first.text, *(line.margin + line.text for line in rest)]


class _Writer:
    """Writes definitions of types of one Btf."""

    def __init__(self, types: Btf, *, with_layout: bool) -> None:
        self._types = types
        self._with_layout = with_layout
        self._budget = Budget.of(types, "the definition of the type")

    def whole(self, type_id: int) -> list[_Line]:
        """A type by itself: what its typedef stands for, and what a pointer to it points to."""
        while isinstance(record := self._types[type_id], Typedef):
            self._budget.spend()
            type_id = record.type
        return list(self._declared(type_id, "", 0, outside=True))

    def _declared(self, type_id: int, name: str, depth: int, *, outside: bool = False) -> Iterator[_Line]:
        """A declaration, of which the last line says the name; at the outside named types are written out, too."""
        core = self._core(type_id)
        found = self._types.resolve(core) if outside else core
        record = self._types[found]
        is_written = isinstance(record, Struct | Union | Enum | Enum64) and (outside or not record.name)

        def base(target: int, _: int) -> str:
            if target == core:
                return BODY if is_written else short_name(record)
            return short_name(self._types[target])

        text = Declarator(self._types, base, tags=False, budget=self._budget).write(type_id, name, depth)
        if not is_written:
            yield _Line(text)
            return
        before, _, behind = text.partition(BODY)
        yield from self._body(found, before, behind, depth)

    def _core(self, type_id: int) -> int:
        """The type behind pointers, arrays and qualifiers; that of a function is one."""
        while True:
            self._budget.spend()
            record = self._types[type_id]
            if isinstance(record, Array):
                type_id = record.element
            elif isinstance(record, Ptr | Const | Volatile | Restrict | TypeTag):
                type_id = record.type
            else:
                return type_id

    def _body(self, type_id: int, before: str, behind: str, depth: int) -> Iterator[_Line]:
        record = self._types[type_id]
        head = before + short_name(record).removesuffix(" {...}")
        if isinstance(record, Enum | Enum64):
            yield _Line(f"{head} {{{', '.join(_enumerators(record))}}}{behind}")
            return
        assert isinstance(record, Struct | Union)
        yield _Line(f"{head} {{")
        for line in self._members(type_id, record, depth):
            yield replace(line, text=INDENT + line.text) if line.text else line
        yield _Line(f"}}{behind}")

    def _members(self, type_id: int, record: Struct | Union, depth: int) -> Iterator[_Line]:
        """The members, with offsets from the beginning of the struct; with the layout also what is unused."""
        check_depth(depth, type_id)
        end = 0
        for field in self._types.placed_members(type_id):
            self._budget.spend()
            size = self._types.size_of(field.type)
            yield from self._hole(record, field.bit_offset - end, "hole")
            end = field.bit_offset + (field.bit_size or 8 * size)
            yield from self._member(field, size, depth)
        yield from self._hole(record, 8 * record.size - end, "padding")
        if self._with_layout:
            yield _Line(f"/* total size: {record.size} bytes */")

    def _member(self, field: Field, size: int, depth: int) -> Iterator[_Line]:
        """The lines of a member; offsets inside of one that is written out count from the outermost struct."""
        first, *rest = self._declared(field.type, field.name, depth + 1)
        lines = [replace(first, offset=0, size=size, is_bit_field=bool(field.bit_size)), *rest]
        ending = f" : {field.bit_size};" if field.bit_size else ";"
        lines[-1] = replace(lines[-1], text=lines[-1].text + ending)
        for line in lines:
            yield replace(line, offset=field.bit_offset + line.offset)

    def _hole(self, record: Struct | Union, bits: int, what: str) -> Iterator[_Line]:
        if bits > 0 and self._with_layout and isinstance(record, Struct):
            amount = f"{bits // 8}-byte" if bits % 8 == 0 else f"{bits}-bit"
            yield _Line(hole=f"{amount:>7} {what}")


def _enumerators(record: Enum | Enum64) -> Iterator[str]:
    """Names, with numbers where they do not go on counting."""
    expected = 0
    for one in record.values:
        yield one.name if one.value == expected else f"{one.name} = {one.value}"
        expected = one.value + 1
