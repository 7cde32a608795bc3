"""The C types of debug information as a `Btf`, so that everything that reads values reads these too.

What BTF cannot say is dropped: static members, template parameters, tags.  What C cannot say but other languages can
becomes a struct without members, so that its size is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pybpftime.program.btf import (
    Array,
    Btf,
    BtfBuilder,
    BtfType,
    Const,
    Enum,
    Enum64,
    Enumerator,
    Float,
    FuncProto,
    Fwd,
    Int,
    IntEncoding,
    Member,
    Param,
    Ptr,
    Restrict,
    Struct,
    Typedef,
    Union,
    Volatile,
)
from pybpftime.program.elf_dwarf_entries import FLOAT_ENCODINGS, SIGNED_ENCODINGS, Entry

BOOLEAN = 0x02  # DW_ATE_boolean
POINTERS = frozenset(f"DW_TAG_{word}_type" for word in ("pointer", "reference", "rvalue_reference", "ptr_to_member"))
STRUCTS = frozenset(f"DW_TAG_{word}_type" for word in ("structure", "class", "interface"))
SAME_AS_TARGET = frozenset(f"DW_TAG_{word}_type" for word in ("atomic", "immutable", "packed", "shared"))
QUALIFIERS: Mapping[str, Callable[[int], BtfType]] = {
    "DW_TAG_const_type": Const,
    "DW_TAG_volatile_type": Volatile,
    "DW_TAG_restrict_type": Restrict,
}
FUNCTIONS = frozenset(("DW_TAG_subroutine_type", "DW_TAG_subprogram"))
PARAMETERS = frozenset(("DW_TAG_formal_parameter", "DW_TAG_unspecified_parameters"))
DIMENSIONS = frozenset(("DW_TAG_subrange_type", "DW_TAG_enumeration_type"))
NAMELESS = "unnamed"
MAX_DEPTH = 8


class TypeTable:
    """Gives every type an id, in the order of the entries, then makes the records."""

    def __init__(self, entries: Mapping[int, Entry]) -> None:
        self._ids: dict[Entry, int] = {}
        self._definitions: dict[tuple[bool, str], int] = {}
        self._index = 1  # of arrays
        self._opaque = 2  # where BTF wants a type and there is none
        following = 3
        for entry in entries.values():
            count = self._records_of(entry)
            if count:
                self._ids[entry] = following
                self._define(entry, following)
                following += count

    def id_of(self, entry: Entry | None) -> int:
        """The id of the type that an entry describes; 0, which is void, for none."""
        for _ in range(MAX_DEPTH):
            if entry is None or entry.tag not in SAME_AS_TARGET:
                break
            entry = entry.reference("DW_AT_type")
        if entry is None:
            return 0
        if entry.flag("DW_AT_declaration"):
            return self._definitions.get(_tag_of(entry), self._ids.get(entry, 0))
        return self._ids.get(entry, 0)

    def type_of(self, entry: Entry) -> int:
        """The id of an entry's DW_AT_type, its own or that of the entry that it completes."""
        for origin in entry.origins():
            if "DW_AT_type" in origin.attributes:
                return self.id_of(origin.reference("DW_AT_type"))
        return 0

    def build(self) -> Btf:
        """All types.  InputError if they are no types that C could have."""
        builder = BtfBuilder()
        builder.add(Int("__ARRAY_SIZE_TYPE__", 8, 64))
        builder.add(Struct("", 0))
        for entry in self._ids:
            for record in self._make(entry):
                builder.add(record)
        return Btf.parse(builder.to_bytes(), pointer_size=8)

    # --- ids ---

    @staticmethod
    def _records_of(entry: Entry) -> int:
        """How many BTF types the entry becomes."""
        tag = entry.tag
        if tag == "DW_TAG_array_type":
            return max(1, len(_dimensions(entry)))
        if tag == "DW_TAG_base_type":
            return int(not entry.text("DW_AT_name").startswith("DW_ATE_"))  # LLVM's, for expressions
        if tag in SAME_AS_TARGET or tag in ("DW_TAG_unspecified_type", "DW_TAG_subrange_type"):
            return 0
        return int(tag.endswith("_type") or tag in ("DW_TAG_typedef", "DW_TAG_subprogram"))

    def _define(self, entry: Entry, type_id: int) -> None:
        is_tag = entry.tag in STRUCTS or entry.tag == "DW_TAG_union_type"
        if is_tag and entry.text("DW_AT_name") and not entry.flag("DW_AT_declaration"):
            self._definitions.setdefault(_tag_of(entry), type_id)

    def _whole(self, entry: Entry) -> int:
        """The id of DW_AT_type where void has no place."""
        return self.type_of(entry) or self._opaque

    # --- records ---

    def _make(self, entry: Entry) -> Iterator[BtfType]:
        tag, name = entry.tag, entry.text("DW_AT_name")
        if tag == "DW_TAG_base_type":
            yield _number(entry)
        elif tag in POINTERS:
            yield Ptr(self.type_of(entry))
        elif tag in QUALIFIERS:
            yield QUALIFIERS[tag](self.type_of(entry))
        elif tag == "DW_TAG_typedef":
            yield Typedef(name or NAMELESS, self.type_of(entry))
        elif tag == "DW_TAG_array_type":
            yield from self._array(entry)
        elif tag in FUNCTIONS:
            yield FuncProto(self.type_of(entry), tuple(self._parameters(entry)))
        elif tag == "DW_TAG_enumeration_type":
            yield self._enumeration(entry)
        elif (tag in STRUCTS or tag == "DW_TAG_union_type") and entry.flag("DW_AT_declaration"):
            yield Fwd(name or NAMELESS, is_union=tag == "DW_TAG_union_type")
        else:
            make = Union if tag == "DW_TAG_union_type" else Struct
            yield make(name, entry.number("DW_AT_byte_size") or 0, tuple(self._members(entry)))

    def _array(self, entry: Entry) -> Iterator[BtfType]:
        counts = [_count(dimension) for dimension in _dimensions(entry)] or [0]
        first = self._ids[entry]
        for position, count in enumerate(counts, 1):
            element = self._whole(entry) if position == len(counts) else first + position
            yield Array(element, self._index, count)

    def _parameters(self, entry: Entry) -> Iterator[Param]:
        for origin in entry.origins():
            children = [child for child in origin.children if child.tag in PARAMETERS]
            for child in children:
                name = next((one.text("DW_AT_name") for one in child.origins() if one.text("DW_AT_name")), "")
                yield Param(name, self._whole(child)) if child.tag == "DW_TAG_formal_parameter" else Param("", 0)
            if children:
                return

    def _members(self, entry: Entry) -> Iterator[Member]:
        for child in entry.children:
            if child.tag in ("DW_TAG_member", "DW_TAG_inheritance") and not child.flag("DW_AT_declaration"):
                bits = child.number("DW_AT_bit_size") or 0
                yield Member(child.text("DW_AT_name"), self._whole(child), self._bit_offset(child, bits), bits)

    def _bit_offset(self, member: Entry, bits: int) -> int:
        """Where a member begins, counted from the lowest bit of byte 0 (DWARF 5, section 5.7.6; DWARF 3, 5.5.6)."""
        placed = member.number("DW_AT_data_bit_offset")
        if placed is not None:
            return placed
        start = 8 * (member.number("DW_AT_data_member_location") or 0)
        from_top = member.number("DW_AT_bit_offset")
        if from_top is None or not bits:
            return start
        size = member.number("DW_AT_byte_size")
        target = member.reference("DW_AT_type")
        for _ in range(MAX_DEPTH):
            if size is not None or target is None:
                break
            size, target = target.number("DW_AT_byte_size"), target.reference("DW_AT_type")
        return start + 8 * (size or 0) - from_top - bits

    def _enumeration(self, entry: Entry) -> BtfType:
        base = entry.reference("DW_AT_type")
        size = entry.number("DW_AT_byte_size") or (base and base.number("DW_AT_byte_size")) or 4
        values = [
            (child.text("DW_AT_name"), child.number("DW_AT_const_value") or 0)
            for child in entry.children
            if child.tag == "DW_TAG_enumerator"
        ]
        signed = any(value < 0 for _, value in values)
        bits = 64 if size > 4 else 32
        items = tuple(Enumerator(name, _wrapped(value, bits, signed)) for name, value in values)
        return (Enum64 if size > 4 else Enum)(entry.text("DW_AT_name"), size, items, signed)


def _tag_of(entry: Entry) -> tuple[bool, str]:
    return entry.tag == "DW_TAG_union_type", entry.text("DW_AT_name")


def _number(entry: Entry) -> BtfType:
    name, size = entry.text("DW_AT_name"), entry.number("DW_AT_byte_size") or 0
    encoding = entry.number("DW_AT_encoding")
    if encoding in FLOAT_ENCODINGS:
        return Float(name, size)
    kinds = {BOOLEAN: IntEncoding.BOOL} | dict.fromkeys(SIGNED_ENCODINGS, IntEncoding.SIGNED)
    return Int(name, size, entry.number("DW_AT_bit_size") or 8 * size, kinds.get(encoding or 0, IntEncoding.NONE))


def _dimensions(entry: Entry) -> list[Entry]:
    return [child for child in entry.children if child.tag in DIMENSIONS]


def _count(dimension: Entry) -> int:
    """Elements of one dimension; 0 where the declaration leaves them open."""
    if dimension.tag == "DW_TAG_enumeration_type":
        return len(dimension.children)
    count, last = dimension.number("DW_AT_count"), dimension.number("DW_AT_upper_bound")
    if count is None and last is not None:
        count = last - (dimension.number("DW_AT_lower_bound") or 0) + 1
    return count if count is not None and 0 <= count < 1 << 32 else 0


def _wrapped(value: int, bits: int, signed: bool) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value
