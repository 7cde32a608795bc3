"""The functions of debug information as scopes with variables, and the global variables.

A function that was inlined is described once (abstract) and by a small entry for each copy; the two are put together
here (DWARF 5, section 3.3.8).  What the compiler left out of a copy, because it optimised it out, is there without a
location.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pybpftime.program.debug_info import GlobalVariable, LocatedExpression, Scope, ScopeKind, Variable
from pybpftime.program.dwarf_expression import Context, MemoryAt, evaluate
from pybpftime.program.elf_dwarf_entries import SECTION_SHIFT, Entry, EntryReader
from pybpftime.program.elf_dwarf_types import TypeTable

KINDS = {
    "DW_TAG_subprogram": ScopeKind.FUNCTION,
    "DW_TAG_inlined_subroutine": ScopeKind.INLINED,
    "DW_TAG_lexical_block": ScopeKind.BLOCK,
}
PARAMETER, VARIABLE = "DW_TAG_formal_parameter", "DW_TAG_variable"
IMPLICIT_VALUE = 0x9E  # DW_OP_implicit_value


class ScopeReader:
    """Makes scopes and global variables of the entries that a reader has read."""

    def __init__(self, reader: EntryReader, types: TypeTable) -> None:
        self._reader = reader
        self._types = types
        sections = reader.units[0].tables.sections if reader.units else ()
        self._numbers: Mapping[str, int] = {name: index for index, name in reversed(list(enumerate(sections)))}

    def functions(self) -> Iterator[Scope]:
        """The functions that have code."""
        for entry in self._reader.entries.values():
            if entry.tag == "DW_TAG_subprogram":
                scope = self._scope(entry)
                if scope is not None:
                    yield scope

    def variables(self) -> Iterator[GlobalVariable]:
        """Variables that have a name and a place of their own, those that are static in functions too."""
        for entry in self._reader.entries.values():
            place = self._place(entry) if entry.tag == VARIABLE and _name(entry) else None
            if place is not None:
                file, line = _declared(entry)
                inside = entry.parent
                while inside is not None and inside.tag not in ("DW_TAG_subprogram", "DW_TAG_compile_unit"):
                    inside = inside.parent
                function = _name(inside) if inside is not None and inside.tag == "DW_TAG_subprogram" else ""
                name, type_id = _name(entry), self._types.type_of(entry)
                yield GlobalVariable(name, type_id, *place, file=file, line=line, function=function)

    def _place(self, entry: Entry) -> tuple[str, int] | None:
        """ELF section and offset of a variable whose location is an address."""
        expression = entry.block("DW_AT_location")
        if not expression:
            return None
        tables = entry.unit.tables
        context = Context((), lambda address, size: None, tables=tables, address_of=self._address)
        location = evaluate(expression, context)
        return tables.place_of(location.address) if isinstance(location, MemoryAt) else None

    def _address(self, section: str, offset: int) -> int | None:
        return (self._numbers[section] << SECTION_SHIFT) + offset

    # --- scopes ---

    def _scope(self, entry: Entry) -> Scope | None:
        """None for what has no code."""
        ranges = self._reader.ranges(entry)
        if not ranges:
            return None
        kind = KINDS[entry.tag]
        file, line = _declared(entry)
        is_block = kind is ScopeKind.BLOCK
        origin = list(entry.origins())[-1]
        return Scope(
            kind, "" if is_block else _name(entry), ranges, self._reader.entry_offset(entry, ranges), file, line,
            tuple(self._local_variables(entry)),
            tuple(self._children(entry)),
            call_file=entry.unit.file(entry.number("DW_AT_call_file")),
            call_line=entry.number("DW_AT_call_line") or 0,
            call_column=entry.number("DW_AT_call_column") or 0,
            type_id=0 if is_block else self._types.id_of(origin),
            is_external=any(one.flag("DW_AT_external") for one in entry.origins()),
        )  # fmt: skip

    def _children(self, entry: Entry) -> Iterator[Scope]:
        for child in entry.children:
            scope = self._scope(child) if child.tag in KINDS and child.tag != "DW_TAG_subprogram" else None
            if scope is not None:
                yield scope
            elif child.tag == "DW_TAG_lexical_block":  # without code of its own, but perhaps around such that has
                yield from self._children(child)

    def _local_variables(self, entry: Entry) -> Iterator[Variable]:
        """Parameters first, in the order of the source; then variables."""
        own = {child: child for child in entry.children if child.tag in (PARAMETER, VARIABLE)}
        abstract = entry.reference("DW_AT_abstract_origin")
        if abstract is None:
            declared = list(own)
        else:
            whole = {origin: child for child in own for origin in child.origins()}
            in_order = [child for child in abstract.children if child.tag in (PARAMETER, VARIABLE)]
            declared = list(dict.fromkeys([whole.get(child, child) for child in in_order] + list(own)))
        for tag in (PARAMETER, VARIABLE):
            for child in declared:
                if child.tag == tag:
                    yield self._variable(child, self._locations(child) if child in own else ())

    def _variable(self, entry: Entry, locations: tuple[LocatedExpression, ...]) -> Variable:
        file, line = _declared(entry)
        is_parameter = entry.tag == PARAMETER
        type_id = self._types.type_of(entry)
        return Variable(_name(entry), type_id, is_parameter, file, line, locations, entry.unit.tables)

    def _locations(self, entry: Entry) -> tuple[LocatedExpression, ...]:
        constant = _constant(entry)
        return self._reader.locations(entry) if constant is None else (LocatedExpression(None, constant),)


def _constant(entry: Entry) -> bytes | None:
    """DW_AT_const_value as an expression, so that there is one kind of location; None if there is none."""
    if "DW_AT_const_value" not in entry.attributes:
        return None
    number, data = entry.number("DW_AT_const_value"), entry.block("DW_AT_const_value")
    if number is not None:
        data = (number & (1 << 64) - 1).to_bytes(8, "little")
    if data is None:
        data = entry.text("DW_AT_const_value").encode() + b"\0"
    return bytes((IMPLICIT_VALUE,)) + _uleb128(len(data)) + data


def _uleb128(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(encoded + bytes((number,)))


def _name(entry: Entry) -> str:
    return next((one.text("DW_AT_name") for one in entry.origins() if "DW_AT_name" in one.attributes), "")


def _declared(entry: Entry) -> tuple[str, int]:
    """File and line of the declaration; of an entry that completes another, where the first of them says so."""
    for origin in entry.origins():
        line = origin.number("DW_AT_decl_line")
        if line is not None:
            return origin.unit.file(origin.number("DW_AT_decl_file")), line
    return "", 0
