"""Sizes, alignments and fields; C's rules are checked against clang in test_btf_c.py."""

from __future__ import annotations

import pytest

from pybpftime.errors import InputError
from pybpftime.program.btf import (
    Array,
    Btf,
    BtfBuilder,
    BtfType,
    Const,
    DataSec,
    Enum,
    Field,
    Float,
    Func,
    FuncProto,
    Fwd,
    Int,
    IntEncoding,
    Member,
    Placement,
    Ptr,
    Restrict,
    Struct,
    Typedef,
    TypeTag,
    Union,
    Var,
    Volatile,
)

INT, CHAR, LONG = 1, 2, 3
BASICS: list[BtfType] = [
    Int("int", 4, 32, IntEncoding.SIGNED),
    Int("char", 1, 8, IntEncoding.SIGNED),
    Int("long", 8, 64, IntEncoding.SIGNED),
]


def build(*records: BtfType) -> Btf:
    """The basics have ids 1 to 3, `records` follow from 4."""
    builder = BtfBuilder()
    for record in [*BASICS, *records]:
        builder.add(record)
    return builder.build()


@pytest.mark.parametrize(
    ("record", "size", "alignment"),
    [
        (Ptr(0), 8, 8),
        (Array(INT, INT, 5), 20, 4),
        (Array(INT, INT, 0), 0, 4),
        (Struct("s", 24, (Member("c", CHAR, 0), Member("l", LONG, 64), Member("d", CHAR, 128))), 24, 8),
        (Struct("packed", 9, (Member("c", CHAR, 0), Member("l", LONG, 8))), 9, 1),
        (Struct("short_tail", 9, (Member("l", LONG, 0), Member("c", CHAR, 64))), 9, 1),
        (Struct("empty", 0), 0, 1),
        (Union("u", 8, (Member("c", CHAR, 0), Member("l", LONG, 0))), 8, 8),
        (Struct("crosses", 8, (Member("a", INT, 0, 20), Member("b", INT, 20, 20))), 8, 1),
        (Struct("fits", 8, (Member("a", INT, 0, 20), Member("b", INT, 32, 20))), 8, 4),
        (Enum("e", 2), 2, 2),
        (Int("__int128", 16, 128), 16, 16),
        (Float("long double", 12), 12, 4),
        (Typedef("t", LONG), 8, 8),
        (Volatile(INT), 4, 4),
        (Const(INT), 4, 4),
        (Restrict(LONG), 8, 8),
        (TypeTag("user", INT), 4, 4),
        (Var("v", LONG), 8, 8),
    ],
)
def test_size_and_alignment(record: BtfType, size: int, alignment: int) -> None:
    btf = build(record)
    assert btf.size_of(4) == size
    assert btf.alignment_of(4) == alignment


def test_section_size_is_the_sections() -> None:
    assert build(Var("v", INT), DataSec(".data", 32, (Placement(4, 8, 4),))).size_of(5) == 32


@pytest.mark.parametrize("record", [Fwd("f"), FuncProto(0)])
def test_no_size(record: BtfType) -> None:
    for wrapped in (Typedef("t", 4), Array(4, INT, 2), Const(4)):
        btf = build(record, wrapped)
        with pytest.raises(InputError, match=rf"BTF type 4 \({record.kind.name}.* has no size"):
            btf.size_of(5)
        with pytest.raises(InputError, match="has no alignment"):
            btf.alignment_of(5)
    with pytest.raises(InputError, match=r"BTF type 0 \(VOID\) has no size"):
        build().size_of(0)


def test_function_has_no_size() -> None:
    with pytest.raises(InputError, match=r"\(FUNC 'f'\) has no size"):
        build(FuncProto(0), Func("f", 4)).size_of(5)


def test_resolve_goes_through_qualifiers_only() -> None:
    btf = build(Typedef("t", 5), Const(6), Volatile(7), TypeTag("tag", 8), Restrict(9), Ptr(INT))
    assert btf.resolve(4) == 9
    assert btf.resolve(0) == 0


def test_fields_of_anonymous_members() -> None:
    btf = build(
        Union("", 4, (Member("y", INT, 0), Member("z", CHAR, 0))),
        Typedef("wrapped", 4),
        Struct("", 8, (Member("x", INT, 0), Member("", 5, 32))),
        Struct("outer", 16, (Member("a", INT, 0), Member("", 6, 32), Member("inner", 6, 64))),
        Typedef("outer_t", 7),
    )
    expected = (
        Field("a", INT, 0),
        Field("x", INT, 32),
        Field("y", INT, 64),
        Field("z", CHAR, 64),
        Field("inner", 6, 64),
    )
    assert btf.fields(7) == expected
    assert btf.fields(8) == expected
    assert [field.offset for field in expected] == [0, 4, 8, 8, 8]


def test_integers_with_fewer_bits_are_bitfields() -> None:
    """Before kind_flag, a bitfield's type was an INT of its own: `btf.rst` section 2.2.1."""
    btf = build(Int("int", 4, 4, IntEncoding.SIGNED, offset=2), Struct("s", 16, (Member("a", 4, 100),)))
    assert btf.fields(5) == (Field("a", 4, 102, 4),)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Struct("s", 4, (Member("a", LONG, 0),)), "member 'a' of struct 's' reaches beyond the 4 bytes"),
        (Struct("s", 4, (Member("a", INT, 32),)), "reaches beyond"),
        (Struct("s", 8, (Member("a", INT, 3),)), "begins within a byte, at bit 3"),
        (Union("u", 8, (Member("a", CHAR, 0, 9),)), "member 'a' of union 'u' is a bitfield of 9 bits in 1 bytes"),
        (Struct("s", 8, (Member("a", 4, 0, 3),)), "bitfield of something that is not an integer"),
        (Array(INT, INT, 2), r"\(ARRAY\) is not a struct or union"),
    ],
)
def test_fields_that_cannot_be(record: BtfType, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        build(Ptr(0), record).fields(5)


LOOPS: dict[str, list[BtfType]] = {
    "typedef of itself": [Typedef("t", 4)],
    "ring of qualifiers": [Const(5), Volatile(6), Typedef("t", 4)],
    "array of itself": [Array(4, INT, 1)],
    "array of arrays of itself": [Array(5, INT, 2), Array(4, INT, 2)],
    "struct in itself": [Struct("s", 8, (Member("a", 4, 0),))],
    "struct in itself, anonymous": [Struct("s", 8, (Member("", 4, 0),))],
    "struct in a union in it": [Struct("s", 8, (Member("", 5, 0),)), Union("u", 8, (Member("", 4, 0),))],
    "struct in an array in it": [Struct("s", 8, (Member("a", 5, 0),)), Array(6, INT, 1), Typedef("t", 4)],
    "variable of itself": [Var("v", 4)],
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops(name: str) -> None:
    btf = build(*LOOPS[name])
    with pytest.raises(InputError, match=r"loop|itself"):
        btf.alignment_of(4)
    fourth = btf[4]
    if not isinstance(fourth, Struct):
        with pytest.raises(InputError, match=r"loop|itself"):
            btf.size_of(4)
    elif not fourth.members[0].name:
        with pytest.raises(InputError, match="contains itself"):
            btf.fields(4)


def test_long_chains() -> None:
    """32 in a row is what the kernel's `MAX_RESOLVE_DEPTH` allows."""
    chain = [Const(type_id) for type_id in (INT, *range(4, 4 + 31))]
    assert build(*chain).resolve(4 + 31) == INT
    longer = [Const(type_id) for type_id in (INT, *range(4, 4 + 100_000))]
    with pytest.raises(InputError, match="chain of more than 32"):
        build(*longer).size_of(4 + 100_000)


def test_arrays_beyond_4_gib() -> None:
    btf = build(Array(CHAR, INT, 0xFFFFFFFF), Array(4, INT, 1), Array(4, INT, 2))
    assert btf.size_of(5) == 0xFFFFFFFF
    with pytest.raises(InputError, match="array of more than 4294967295 bytes"):
        btf.size_of(6)


def test_nesting_that_doubles() -> None:
    """Two anonymous members of the type before: fields double with each of 30 types."""
    nested = [Union("", 4, (Member("x", INT, 0),))]
    nested += [Union("", 4, (Member("", 4 + n, 0), Member("", 4 + n, 0))) for n in range(30)]
    btf = build(*nested)
    assert btf.size_of(4 + 30) == 4
    assert btf.alignment_of(4 + 30) == 4
    with pytest.raises(InputError, match="grows without end"):
        btf.fields(4 + 30)
