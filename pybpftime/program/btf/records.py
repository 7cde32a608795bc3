"""One type record <-> one value: every kind's words, reading and writing side by side.

A record is three 32-bit words (`struct btf_type`: name, info, size or type) and what its kind adds.  `SHAPES` says
how many words that is, so that a section can be indexed without reading the types.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pybpftime.errors import InputError
from pybpftime.program.btf.types import (
    Array,
    BtfType,
    Const,
    DataSec,
    DeclTag,
    Enum,
    Enum64,
    Enumerator,
    Float,
    Func,
    FuncProto,
    Fwd,
    Int,
    IntEncoding,
    Kind,
    Linkage,
    Member,
    Param,
    Placement,
    Ptr,
    Restrict,
    Struct,
    Typedef,
    TypeTag,
    Union,
    Var,
    Void,
    Volatile,
)

HEAD = 3
MAX_COUNT = 0xFFFF
"""Most members, values, parameters or variables of one type (`BTF_MAX_VLEN`)."""

FLAG = 0x8000_0000


@dataclass(frozen=True, slots=True)
class Shape:
    """Words after the head: `fixed`, and `each` times the count in the info word (0: the count must be 0)."""

    fixed: int = 0
    each: int = 0
    may_flag: bool = False


SHAPES: dict[Kind, Shape] = {
    Kind.INT: Shape(fixed=1),
    Kind.PTR: Shape(),
    Kind.ARRAY: Shape(fixed=3),
    Kind.STRUCT: Shape(each=3, may_flag=True),
    Kind.UNION: Shape(each=3, may_flag=True),
    Kind.ENUM: Shape(each=2, may_flag=True),
    Kind.FWD: Shape(may_flag=True),
    Kind.TYPEDEF: Shape(),
    Kind.VOLATILE: Shape(),
    Kind.CONST: Shape(),
    Kind.RESTRICT: Shape(),
    Kind.FUNC: Shape(),  # its count field is the linkage
    Kind.FUNC_PROTO: Shape(each=2),
    Kind.VAR: Shape(fixed=1),
    Kind.DATASEC: Shape(each=3),
    Kind.FLOAT: Shape(),
    Kind.DECL_TAG: Shape(fixed=1, may_flag=True),
    Kind.TYPE_TAG: Shape(may_flag=True),
    Kind.ENUM64: Shape(each=3, may_flag=True),
}


def signed32(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word


def unpack(words: array[int], at: int, text: Callable[[int], str]) -> BtfType:
    """The type whose record begins at word `at`.  The record has passed `section.check_records`."""
    name_offset, info, third = words[at : at + HEAD]
    kind, count, flag = Kind(info >> 24 & 0x1F), info & MAX_COUNT, bool(info & FLAG)
    rest = at + HEAD
    match kind:
        case Kind.INT:
            data = words[rest]
            return Int(text(name_offset), third, data & 0xFF, IntEncoding(data >> 24 & 0xF), data >> 16 & 0xFF)
        case Kind.PTR:
            return Ptr(third)
        case Kind.ARRAY:
            return Array(words[rest], words[rest + 1], words[rest + 2])
        case Kind.STRUCT:
            return Struct(text(name_offset), third, _members(words, rest, count, flag, text))
        case Kind.UNION:
            return Union(text(name_offset), third, _members(words, rest, count, flag, text))
        case Kind.ENUM:
            pairs = zip(*_columns(words, rest, count, 2), strict=True)
            values = tuple(Enumerator(text(name), signed32(value) if flag else value) for name, value in pairs)
            return Enum(text(name_offset), third, values, flag)
        case Kind.FWD:
            return Fwd(text(name_offset), flag)
        case Kind.TYPEDEF:
            return Typedef(text(name_offset), third)
        case Kind.VOLATILE:
            return Volatile(third)
        case Kind.CONST:
            return Const(third)
        case Kind.RESTRICT:
            return Restrict(third)
        case Kind.FUNC:
            return Func(text(name_offset), third, Linkage(count))
        case Kind.FUNC_PROTO:
            pairs = zip(*_columns(words, rest, count, 2), strict=True)
            return FuncProto(third, tuple(Param(text(name), target) for name, target in pairs))
        case Kind.VAR:
            return Var(text(name_offset), third, Linkage(words[rest]))
        case Kind.DATASEC:
            triples = zip(*_columns(words, rest, count, 3), strict=True)
            return DataSec(text(name_offset), third, tuple(Placement(*triple) for triple in triples))
        case Kind.FLOAT:
            return Float(text(name_offset), third)
        case Kind.DECL_TAG:
            return DeclTag(text(name_offset), third, signed32(words[rest]), flag)
        case Kind.TYPE_TAG:
            return TypeTag(text(name_offset), third, flag)
        case Kind.ENUM64:
            return Enum64(text(name_offset), third, _values64(words, rest, count, flag, text), flag)
        case Kind.VOID:
            return Void()


def _columns(words: array[int], start: int, count: int, width: int) -> list[array[int]]:
    body = words[start : start + count * width]
    return [body[column::width] for column in range(width)]


def _members(words: array[int], start: int, count: int, flag: bool, text: Callable[[int], str]) -> tuple[Member, ...]:
    rows = zip(*_columns(words, start, count, 3), strict=True)
    if flag:
        return tuple(Member(text(name), target, where & 0xFF_FFFF, where >> 24) for name, target, where in rows)
    return tuple(Member(text(name), target, where) for name, target, where in rows)


def _values64(
    words: array[int], start: int, count: int, flag: bool, text: Callable[[int], str]
) -> tuple[Enumerator, ...]:
    rows = zip(*_columns(words, start, count, 3), strict=True)
    return tuple(Enumerator(text(name), (signed32(high) if flag else high) << 32 | low) for name, low, high in rows)


def pack(record: BtfType, offset_of: Callable[[str], int]) -> list[int]:
    """The words of one record.  InputError names what does not fit its field."""
    name = offset_of(record.name)
    count, flag, third, rest = 0, False, 0, []
    match record:
        case Int():
            rest = [_fit(record.encoding, 4) << 24 | _fit(record.offset, 8) << 16 | _fit(record.bits, 8)]
            third = record.size
        case Array():
            rest = [record.element, record.index, record.count]
        case Struct() | Union():
            count, third, flag = len(record.members), record.size, any(m.bit_size for m in record.members)
            rest = [word for member in record.members for word in _pack_member(member, flag, offset_of)]
        case Enum():
            count, third, flag = len(record.values), record.size, record.signed
            rest = [word for v in record.values for word in (offset_of(v.name), _fit_value(v.value, 32, flag))]
        case Enum64():
            count, third, flag = len(record.values), record.size, record.signed
            for item in record.values:
                value = _fit_value(item.value, 64, flag)
                rest += [offset_of(item.name), value & 0xFFFF_FFFF, value >> 32]
        case Fwd():
            flag = record.is_union
        case Ptr() | Typedef() | Volatile() | Const() | Restrict():
            third = record.type
        case Func():
            count, third = record.linkage, record.type
        case FuncProto():
            count, third = len(record.params), record.returns
            rest = [word for param in record.params for word in (offset_of(param.name), param.type)]
        case Var():
            third, rest = record.type, [record.linkage]
        case DataSec():
            count, third = len(record.variables), record.size
            rest = [word for place in record.variables for word in (place.type, place.offset, place.size)]
        case Float():
            third = record.size
        case DeclTag():
            third, flag, rest = record.type, record.attribute, [record.component & 0xFFFF_FFFF]
        case TypeTag():
            third, flag = record.type, record.attribute
        case Void():
            raise InputError("void has id 0 and no record")
    info = record.kind << 24 | _fit(count, 16) | (FLAG if flag else 0)
    return _fit_words([name, info, third, *rest])


def _pack_member(member: Member, flag: bool, offset_of: Callable[[str], int]) -> tuple[int, int, int]:
    where = _fit(member.bit_size, 8) << 24 | _fit(member.bit_offset, 24) if flag else member.bit_offset
    return offset_of(member.name), member.type, where


def _fit(value: int, bits: int) -> int:
    if not 0 <= value < 1 << bits:
        raise InputError(f"{value} does not fit a BTF field of {bits} bits")
    return value


def _fit_value(value: int, bits: int, signed: bool) -> int:
    low = -(1 << bits - 1) if signed else 0
    if not low <= value < low + (1 << bits):
        raise InputError(f"enumeration value {value} does not fit {'signed' if signed else 'unsigned'} {bits} bits")
    return value & (1 << bits) - 1


def _fit_words(words: Sequence[int]) -> list[int]:
    return [_fit(word, 32) for word in words]
