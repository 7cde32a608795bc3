"""Sizes, alignments and field offsets: what C's rules and BTF's records say about memory.

BTF from outside may refer to itself where C cannot, so every walk here is bounded: by depth as the kernel does
(`MAX_RESOLVE_DEPTH`), and by a number of steps where types branch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pybpftime.errors import InputError
from pybpftime.program.btf.types import (
    Array,
    Const,
    DataSec,
    Enum,
    Enum64,
    Float,
    Int,
    Member,
    Ptr,
    Restrict,
    Struct,
    Typedef,
    TypeTag,
    Union,
    Var,
    Volatile,
)

if TYPE_CHECKING:
    from pybpftime.program.btf.btf import Btf

MAX_DEPTH = 32
"""Types that may be nested, as in the kernel."""
MAX_STEPS = 4_000_000
MAX_SIZE = 0xFFFF_FFFF
MAX_ALIGNMENT = 16


@dataclass(frozen=True, slots=True)
class Field:
    """A field as C code names it: its bit offset counts from the outermost struct, however it is nested.

    `bit_size` is 0 unless the field is a bitfield.  On little-endian targets bit 0 is the lowest bit of byte 0, on
    big-endian ones the highest.
    """

    name: str
    type: int
    bit_offset: int
    bit_size: int = 0

    @property
    def offset(self) -> int:
        """Byte in which the field begins."""
        return self.bit_offset // 8


@dataclass(frozen=True, slots=True)
class StructRule:
    """How a compiler must have laid out a struct: see `alignment_of`."""

    alignment: int
    packed: bool = False


class Budget:
    """Steps that a walk over types may still take.  Honest types need fewer than they have words."""

    def __init__(self, steps: int, what: str) -> None:
        self.left = steps
        self.what = what

    @classmethod
    def of(cls, btf: Btf, what: str) -> Budget:
        """Enough for any honest walk over all types of the BTF."""
        return cls(min(20_000 + btf.word_count, MAX_STEPS), what)

    def spend(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left < 0:
            raise InputError(f"{self.what} grows without end: its types are nested as no program nests them")


def check_depth(depth: int, type_id: int) -> None:
    """InputError if a walk that has come to `type_id` is deeper than the kernel allows."""
    if depth > MAX_DEPTH:
        raise InputError(f"BTF type {type_id} is nested more than {MAX_DEPTH} deep, or contains itself")


def resolve(btf: Btf, type_id: int) -> int:
    """The id behind any typedefs, const, volatile, restrict and type tags; InputError for a loop of them."""
    target = type_id
    for _ in range(MAX_DEPTH + 1):
        record = btf[target]
        if not isinstance(record, Typedef | Const | Volatile | Restrict | TypeTag):
            return target
        target = record.type
    raise InputError(f"BTF type {type_id} is a loop of typedefs or qualifiers, or a chain of more than {MAX_DEPTH}")


def size_of(btf: Btf, type_id: int) -> int:
    """Bytes that a value of the type takes; of a VAR its type's, of a DATASEC the section's.

    InputError for void, functions, incomplete types, loops, and arrays above 4 GiB (`U32_MAX`, as in the kernel).
    """
    count, target = 1, type_id
    for _ in range(MAX_DEPTH + 1):
        match btf[target]:
            case Int() | Struct() | Union() | Enum() | Enum64() | Float() | DataSec() as record:
                return _checked_size(count * record.size, type_id)
            case Ptr():
                return _checked_size(count * btf.pointer_size, type_id)
            case Array() as record:
                count *= record.count
                target = record.element
            case Typedef() | Const() | Volatile() | Restrict() | TypeTag() | Var() as record:
                target = record.type
            case record:
                name = f" {record.name!r}" if record.name else ""
                raise InputError(f"BTF type {target} ({record.kind.name}{name}) has no size")
    raise InputError(f"BTF type {type_id} contains itself, or is a chain of more than {MAX_DEPTH} types")


def _checked_size(size: int, type_id: int) -> int:
    if size > MAX_SIZE:
        raise InputError(f"BTF type {type_id} is an array of more than {MAX_SIZE} bytes")
    return size


def alignment_of(btf: Btf, type_id: int, known: dict[int, StructRule], depth: int = 0) -> int:
    """Alignment in bytes that a C compiler gives the type.

    BTF does not record alignment.  Scalars are aligned to their size (at most 16), a struct to its most aligned
    member; a struct whose layout contradicts that was packed and has alignment 1.  `aligned(N)` leaves no trace but
    padding.  `known` remembers structs by id.
    """
    check_depth(depth, type_id)
    target = resolve(btf, type_id)
    match btf[target]:
        case Int() | Float() | Enum() | Enum64() as record:
            return min(record.size & -record.size, MAX_ALIGNMENT) or 1
        case Ptr():
            return btf.pointer_size
        case Array() as record:
            return alignment_of(btf, record.element, known, depth + 1)
        case Var() as record:
            return alignment_of(btf, record.type, known, depth + 1)
        case Struct() | Union() as record:
            return struct_rule(btf, target, record, known, depth).alignment
        case record:
            raise InputError(f"BTF type {target} ({record.kind.name}) has no alignment")


def struct_rule(
    btf: Btf, type_id: int, record: Struct | Union, known: dict[int, StructRule], depth: int = 0
) -> StructRule:
    """Alignment of a struct or union, and whether its layout shows that it was packed."""
    if type_id not in known:
        known[type_id] = _find_struct_rule(btf, type_id, record, known, depth)
    return known[type_id]


def _find_struct_rule(
    btf: Btf, type_id: int, record: Struct | Union, known: dict[int, StructRule], depth: int
) -> StructRule:
    greatest = 1
    for field in btf.placed_members(type_id):
        alignment = alignment_of(btf, field.type, known, depth + 1)
        greatest = max(greatest, alignment)
        within = field.bit_offset % (8 * alignment)
        if within and (not field.bit_size or within + field.bit_size > 8 * size_of(btf, field.type)):
            return StructRule(1, packed=True)
    return StructRule(greatest) if record.size % greatest == 0 else StructRule(1, packed=True)


def fields(
    btf: Btf, type_id: int, known: dict[int, tuple[Field, ...]], budget: Budget, depth: int = 0
) -> tuple[Field, ...]:
    """The fields that C code can name directly in a struct or union, in order of declaration.

    Fields of anonymous struct and union members are included with their offset from the outermost struct, the
    anonymous members themselves are not.  InputError as `placed_members` says.  `known` remembers structs by id.
    """
    check_depth(depth, type_id)
    found = known.get(type_id)
    if found is not None:
        return found
    collected: list[Field] = []
    for field in btf.placed_members(type_id):
        if field.name:
            collected.append(field)
            continue
        target = resolve(btf, field.type)
        if isinstance(btf[target], Struct | Union):
            inner = fields(btf, target, known, budget, depth + 1)
            budget.spend(len(inner) + 1)
            collected += [Field(f.name, f.type, field.bit_offset + f.bit_offset, f.bit_size) for f in inner]
    known[type_id] = tuple(collected)
    return known[type_id]


def placed_members(btf: Btf, type_id: int) -> tuple[Field, ...]:
    """The members of a struct or union as they are recorded, checked.

    Integers that do not use all their bits (the encoding of bitfields before Linux 4.20) come out as bitfields.
    InputError if the type is no struct or union, or if a member does not lie inside it, has no size, is no bitfield
    but begins within a byte, or is a bitfield of a non-integer.
    """
    record = btf[type_id]
    if not isinstance(record, Struct | Union):
        raise InputError(f"BTF type {type_id} ({record.kind.name}) is not a struct or union and has no fields")
    return tuple(_placed(btf, record, member) for member in record.members)


def _placed(btf: Btf, owner: Struct | Union, member: Member) -> Field:
    offset, bits = member.bit_offset, member.bit_size
    target = btf[resolve(btf, member.type)]
    size = size_of(btf, member.type)
    if isinstance(target, Int) and not bits and (target.offset or target.bits != 8 * target.size):
        offset, bits = offset + target.offset, target.bits
    problem = None
    if bits:
        if not isinstance(target, Int | Enum | Enum64):
            problem = "is a bitfield of something that is not an integer"
        elif bits > 8 * size:
            problem = f"is a bitfield of {bits} bits in {size} bytes"
    elif offset % 8:
        problem = f"begins within a byte, at bit {offset}, and is no bitfield"
    if offset + (bits or 8 * size) > 8 * owner.size:
        problem = f"reaches beyond the {owner.size} bytes of the {owner.kind.name.lower()}"
    if problem:
        raise InputError(f"member {member.name!r} of {owner.kind.name.lower()} {owner.name!r} {problem}")
    return Field(member.name, member.type, offset, bits)
