"""C definitions of types whose compiled layout is the recorded one: bodies, bitfields, padding, packing.

BTF records where members lie, not why.  A struct is laid out here as a C compiler would do it, with
`__attribute__((packed))` if its members contradict their alignment; wherever that leaves a member too early,
padding is written out.
"""

from __future__ import annotations

import textwrap

from pybpftime.errors import InputError
from pybpftime.program.btf.btf import Btf
from pybpftime.program.btf.declarator import TEXT_PER_STEP, Declarator, c_name, short_name, tag_keyword
from pybpftime.program.btf.layout import Budget, Field, check_depth
from pybpftime.program.btf.types import (
    DataSec,
    Enum,
    Enum64,
    Func,
    Fwd,
    Linkage,
    Struct,
    Typedef,
    Union,
    Var,
)

LINKAGE_WORDS = {Linkage.STATIC: "static ", Linkage.GLOBAL: "", Linkage.EXTERN: "extern "}
ENUM_MODES = {1: " __attribute__((mode(QI)))", 2: " __attribute__((mode(HI)))", 8: " __attribute__((mode(DI)))"}


def definition(btf: Btf, type_id: int) -> str:
    """Any type as C text, with semicolons: `struct flow {...};`, `typedef int t;`, `static int f(void *ctx);`.

    Anonymous types inside are written out, named ones are referred to.  A DATASEC gives its variables, with their
    offsets as comments.  A type that C declares by use only (a pointer, say) gives its name.
    """
    return DefinitionWriter(btf, Budget.of(btf, f"the definition of BTF type {type_id}")).definition(type_id)


class DefinitionWriter:
    """Writes bodies of structs, unions and enums, and typedefs.  A dump overrides what things are called."""

    def __init__(self, btf: Btf, budget: Budget) -> None:
        self.btf = btf
        self.budget = budget
        self.declarator = Declarator(btf, self.base_text, tags=True, budget=budget)
        self._names: dict[int, str] = {}
        self._paddings = 0

    # Names

    def reference(self, type_id: int) -> str:
        """What a named type (or an integer, or void) is called."""
        name = self._names.get(type_id)
        if name is None:
            name = self._names[type_id] = self.new_name(type_id)
        return name

    def new_name(self, type_id: int) -> str:
        return short_name(self.btf[type_id])

    def enumerator(self, name: str) -> str:
        return c_name(name)

    def base_text(self, type_id: int, depth: int) -> str:
        record = self.btf[type_id]
        if tag_keyword(record) and not record.name:
            return self.body(type_id, depth)
        return self.reference(type_id)

    # Texts

    def definition(self, type_id: int) -> str:
        record = self.btf[type_id]
        match record:
            case Struct() | Union() | Enum() | Enum64():
                return f"{self.body(type_id)};"
            case Fwd():
                return f"{self.reference(type_id)};"
            case Typedef():
                return f"typedef {self.declarator.write(record.type, self.reference(type_id))};"
            case Func() | Var():
                return f"{LINKAGE_WORDS[record.linkage]}{self.declarator.write(record.type, c_name(record.name))};"
            case DataSec():
                places = [
                    f"{self.definition(at.type)} /* offset {at.offset}, size {at.size} */" for at in record.variables
                ]
                return "\n".join([f"/* {record.name}, size {record.size} */", *places])
        return self.declarator.write(type_id, "")

    def body(self, type_id: int, depth: int = 0) -> str:
        """`struct flow {...}` with its attributes, without a semicolon."""
        check_depth(depth, type_id)
        record = self.btf[type_id]
        head = self.reference(type_id) if record.name else tag_keyword(record)
        if isinstance(record, Enum | Enum64):
            return self._enum(record, head)
        if isinstance(record, Union):
            lines = self._union_lines(type_id, record, depth)
        else:
            assert isinstance(record, Struct)
            lines = self._struct_lines(type_id, record, depth)
        packed = " __attribute__((packed))" if self.btf.is_packed(type_id) else ""
        text = "".join(f"{line}\n" for line in lines)
        return f"{head} {{\n{textwrap.indent(text, chr(9))}}}{packed}"

    def _enum(self, record: Enum | Enum64, head: str) -> str:
        if not record.values:
            return head
        lines = "".join(f"\t{self.enumerator(item.name)} = {_constant(item.value)},\n" for item in record.values)
        self.budget.spend(len(record.values) + len(lines) // TEXT_PER_STEP)
        return f"{head} {{\n{lines}}}{ENUM_MODES.get(record.size, '')}"

    def _union_lines(self, type_id: int, record: Union, depth: int) -> list[str]:
        lines, size = [], 0
        for field in self.btf.placed_members(type_id):
            if field.bit_offset:
                raise InputError(f"BTF type {type_id}: C cannot place union member {field.name!r} at an offset")
            lines.append(self._member(field, depth))
            size = max(size, self._bits(field))
        natural = _round_up(size, 8 * self.btf.alignment_of(type_id))
        return lines if natural == 8 * record.size else [*lines, self._padding_array(record.size)]

    def _struct_lines(self, type_id: int, record: Struct, depth: int) -> list[str]:
        lines: list[str] = []
        packed = self.btf.is_packed(type_id)
        cursor = 0
        for field in sorted(self.btf.placed_members(type_id), key=lambda field: field.bit_offset):
            if self._place(field, cursor, packed) != field.bit_offset:
                if field.bit_offset < cursor:
                    raise InputError(f"BTF type {type_id}: C cannot overlap member {field.name!r} with the one before")
                lines += self._pad(cursor, field.bit_offset)
            lines.append(self._member(field, depth))
            cursor = field.bit_offset + self._bits(field)
        alignment = 1 if packed else self.btf.alignment_of(type_id)
        if _round_up(cursor, 8 * alignment) != 8 * record.size:
            lines += self._pad(cursor, 8 * record.size)
        return lines

    def _place(self, field: Field, cursor: int, packed: bool) -> int:
        """Where a compiler puts the next member.  A bitfield goes on unless it would cross its type's boundary."""
        alignment = 8 * self.btf.alignment_of(field.type)
        if not field.bit_size:
            return _round_up(cursor, 8 if packed else alignment)
        crosses = cursor % alignment + field.bit_size > 8 * self.btf.size_of(field.type)
        return _round_up(cursor, alignment) if crosses and not packed else cursor

    def _bits(self, field: Field) -> int:
        return field.bit_size or 8 * self.btf.size_of(field.type)

    def _member(self, field: Field, depth: int) -> str:
        text = self.declarator.write(field.type, c_name(field.name), depth + 1)
        return f"{text} : {field.bit_size};" if field.bit_size else f"{text};"

    def _pad(self, cursor: int, target: int) -> list[str]:
        """Members that move the cursor: bits to the end of the byte, whole bytes, bits into the last one."""
        lines = []
        if cursor % 8:
            step = min(8 - cursor % 8, target - cursor)
            lines.append(f"char : {step};")
            cursor += step
        if target // 8 > cursor // 8:
            lines.append(self._padding_array(target // 8 - cursor // 8))
            cursor = target // 8 * 8
        if target > cursor:
            lines.append(f"char : {target - cursor};")
        return lines

    def _padding_array(self, size: int) -> str:
        # Numbered throughout, because those of anonymous members share their parent's names.
        self._paddings += 1
        return f"char __pad{self._paddings}[{size}];"


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _constant(value: int) -> str:
    if -(1 << 31) <= value < 1 << 32:
        return str(value)
    if value == -(1 << 63):
        return "(-9223372036854775807LL - 1)"  # C has no negative literals, and 2^63 is no long long
    return f"{value}LL" if value < 0 else f"{value}ULL"
