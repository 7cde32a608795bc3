"""Hostile BTF: InputError, and nothing else, from every entrance; bounded however it loops or overlaps."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program.btf_support import kernel_judge, sized_types

from pybpftime.errors import InputError
from pybpftime.program.btf import (
    Array,
    Btf,
    BtfBuilder,
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
    Volatile,
    declare,
    decode,
    definition,
    describe,
    dump_c,
    encode,
    format_value,
    raw_text,
    type_name,
)

INT_RECORD = [1, 1 << 24, 4, 1 << 24 | 32]  # "int", signed, 32 bits


def section(words: list[int], strings: bytes = b"\0int\0", **header: int) -> bytes:
    """A `.BTF` of these words; keyword arguments replace header fields."""
    types = struct.pack(f"<{len(words)}I", *words)
    fields = {
        "magic": 0xEB9F,
        "version": 1,
        "flags": 0,
        "length": 24,
        "type_offset": 0,
        "type_length": len(types),
        "string_offset": len(types),
        "string_length": len(strings),
    } | header
    return struct.pack("<HBBIIIII", *fields.values()) + types + strings


def record(kind: Kind, *rest: int, name: int = 1, count: int = 0, flag: bool = False, third: int = 1) -> list[int]:
    """Type 1 is int; this is type 2."""
    return [*INT_RECORD, name, kind << 24 | flag << 31 | count, third, *rest]


HEADERS = [
    ("too few for a header", b""),
    ("too few for a header", section(INT_RECORD)[:7]),
    ("header length 24 exceeds the 23 bytes", section(INT_RECORD)[:23]),
    ("header length 23 is less than 24", section(INT_RECORD, length=23)),
    ("header length 4294967295 exceeds", section(INT_RECORD, length=0xFFFFFFFF)),
    ("magic number 0x1234 is not 0xeb9f", section(INT_RECORD, magic=0x1234)),
    ("version 0 is not supported", section(INT_RECORD, version=0)),
    ("flags 0x80 are not supported", section(INT_RECORD, flags=0x80)),
    ("type section is not made of whole words", section(INT_RECORD, type_offset=2)),
    ("type section is not made of whole words", section(INT_RECORD, type_length=15)),
    ("type section does not lie inside", section(INT_RECORD, type_length=0xFFFFFFFC)),
    ("type section does not lie inside", section(INT_RECORD, type_offset=0xFFFFFFFC)),
    ("string section does not lie inside", section(INT_RECORD, string_length=6)),
    ("string section does not lie inside", section(INT_RECORD, string_offset=0xFFFFFFFF)),
    ("does not begin with the empty string", section(INT_RECORD, strings=b"int\0")),
    ("does not begin with the empty string", section(INT_RECORD, strings=b"")),
    ("does not end with NUL", section(INT_RECORD, strings=b"\0int")),
    ("the string section has 16777217 bytes", section(INT_RECORD, strings=bytes((1 << 24) + 1))),
    ("67108865 bytes are more than the limit", bytes((64 << 20) + 1)),
]

RECORDS = [
    ("type 2: the record is cut off", [*INT_RECORD, 0, 0]),
    ("type 2: the INT record is cut off", [*INT_RECORD, *INT_RECORD[:3]]),
    ("type 2: the STRUCT record is cut off", record(Kind.STRUCT, 0, 1, 0, count=65535)),
    ("type 2: unknown kind 0", record(Kind.VOID)),
    ("type 2: unknown kind 20", [*INT_RECORD, 0, 20 << 24, 0]),
    ("type 2: unknown kind 31", [*INT_RECORD, 0, 31 << 24, 0]),
    ("PTR: reserved bits are set in info 0x42000000", [*INT_RECORD, 0, 1 << 30 | 2 << 24, 1]),
    ("PTR: reserved bits are set", [*INT_RECORD, 0, 1 << 16 | 2 << 24, 1]),
    ("PTR: the count is 3 where it must be 0", record(Kind.PTR, count=3)),
    ("PTR: kind_flag is set where it must be 0", record(Kind.PTR, flag=True)),
    ("PTR: name offset 5 is outside", record(Kind.PTR, name=5)),
    ("PTR: refers to type 3, which does not exist", record(Kind.PTR, third=3)),
    ("CONST: refers to type 4294967295", record(Kind.CONST, third=0xFFFFFFFF)),
    ("INT: reserved bits are set in 0x10000020", record(Kind.INT, 0x10000020, third=4)),
    ("INT: 33 bits do not fit 4 bytes", record(Kind.INT, 33, third=4)),
    ("INT: 33 bits do not fit 4 bytes", record(Kind.INT, 1 << 16 | 32, third=4)),
    ("INT: 129 bits do not fit 16 bytes", record(Kind.INT, 129, third=32)),
    ("INT: unknown encoding 3", record(Kind.INT, 3 << 24 | 32, third=4)),
    ("ARRAY: the elements are void", record(Kind.ARRAY, 0, 1, 1)),
    ("ARRAY: refers to type 9", record(Kind.ARRAY, 9, 1, 1)),
    ("ARRAY: refers to type 9", record(Kind.ARRAY, 1, 9, 1)),
    ("STRUCT: name offset 99 of a member", record(Kind.STRUCT, 99, 1, 0, count=1, third=4)),
    ("STRUCT: a member refers to type 9", record(Kind.STRUCT, 0, 9, 0, count=1, third=4)),
    ("UNION: a member is void", record(Kind.UNION, 0, 0, 0, count=1, third=4)),
    ("STRUCT: a member at bit 33 lies outside the 4 bytes", record(Kind.STRUCT, 0, 1, 33, count=1, third=4)),
    ("STRUCT: a member at bit 33 lies", record(Kind.STRUCT, 0, 1, 1 << 24 | 33, count=1, third=4, flag=True)),
    ("ENUM: size 3 is none of", record(Kind.ENUM, third=3)),
    ("ENUM64: size 16 is none of", record(Kind.ENUM64, third=16)),
    ("ENUM: name offset 7 of a value", record(Kind.ENUM, 7, 0, count=1, third=4)),
    ("ENUM64: name offset 7 of a value", record(Kind.ENUM64, 7, 0, 0, count=1, third=8)),
    ("FWD: has no name", record(Kind.FWD, name=0)),
    ("TYPEDEF: has no name", record(Kind.TYPEDEF, name=4)),
    ("TYPE_TAG: has no name", record(Kind.TYPE_TAG, name=0)),
    ("FUNC: type 1 is not a FUNC_PROTO", record(Kind.FUNC)),
    ("FUNC: type 9 is not a FUNC_PROTO", record(Kind.FUNC, third=9)),
    ("FUNC: unknown linkage 3", [*record(Kind.FUNC, count=3, third=3), 0, Kind.FUNC_PROTO << 24, 1]),
    ("FUNC_PROTO: refers to type 9", record(Kind.FUNC_PROTO, third=9)),
    ("FUNC_PROTO: refers to type 9", record(Kind.FUNC_PROTO, 0, 9, count=1)),
    ("FUNC_PROTO: name offset 7 of a parameter", record(Kind.FUNC_PROTO, 7, 1, count=1)),
    ("VAR: unknown linkage 3", record(Kind.VAR, 3)),
    ("VAR: has no name", record(Kind.VAR, 0, name=0)),
    ("VAR: refers to type 9", record(Kind.VAR, 0, third=9)),
    ("DATASEC: type 1 is neither VAR nor FUNC", record(Kind.DATASEC, 1, 0, 4, count=1)),
    ("DATASEC: type 9 is neither VAR nor FUNC", record(Kind.DATASEC, 9, 0, 4, count=1)),
    ("DATASEC: has no name", record(Kind.DATASEC, name=0)),
    ("FLOAT: size 3 is none of", record(Kind.FLOAT, third=3)),
    ("DECL_TAG: component -2 is below -1", record(Kind.DECL_TAG, 0xFFFFFFFE)),
    ("DECL_TAG: has no name", record(Kind.DECL_TAG, 0, name=0)),
]


@pytest.mark.parametrize(("reason", "data"), HEADERS, ids=[reason for reason, _ in HEADERS])
def test_header(reason: str, data: bytes) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        Btf.parse(data)
    assert caught.value.section == ".BTF"


@pytest.mark.parametrize(("reason", "words"), RECORDS, ids=[reason for reason, _ in RECORDS])
def test_record(reason: str, words: list[int]) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        Btf.parse(section(words))
    assert caught.value.section == ".BTF"
    assert caught.value.offset == 16


@pytest.mark.parametrize("words", [words for _, words in RECORDS], ids=[reason for reason, _ in RECORDS])
def test_the_kernel_refuses_it_too(words: list[int]) -> None:
    assert not kernel_judge()(section(words))


def test_too_many_types() -> None:
    words = [0, Kind.PTR << 24, 0] * 0x100000
    with pytest.raises(InputError, match="1048577 types are more than 1048575"):
        Btf.parse(section(words))


def test_long_names() -> None:
    btf = Btf.parse(section(INT_RECORD, strings=b"\0" + b"x" * 2000 + b"\0"))
    with pytest.raises(InputError, match=r"a BTF name has 2000 characters, more than 1024: xxx"):
        btf[1]


def refusals(data: bytes) -> list[str]:
    """The messages of everything that is refused when these bytes are read and everything is asked of every type."""
    try:
        btf = Btf.parse(data)
    except InputError as error:
        return [str(error)]
    attempts = [lambda: dump_c(btf), lambda: btf.find_all("int"), lambda: btf.pointer_size, lambda: list(btf)]
    attempts += [question for type_id in range(len(btf)) for question in questions(btf, type_id)]
    return [message for message in map(refusal, attempts) if message is not None]


def refusal(attempt: Callable[[], object]) -> str | None:
    """The message with which something is refused; None when it is not."""
    try:
        attempt()
    except InputError as error:
        return str(error)
    return None


def questions(btf: Btf, type_id: int) -> Iterator[Callable[[], object]]:
    yield lambda: btf.alignment_of(type_id)
    yield lambda: btf.is_packed(type_id)
    yield lambda: btf.fields(type_id)
    yield lambda: btf.decl_tags(type_id)
    yield lambda: type_name(btf, type_id)
    yield lambda: declare(btf, type_id, "x")
    yield lambda: definition(btf, type_id)
    yield lambda: describe(btf, type_id)
    yield lambda: raw_text(btf, type_id)
    yield lambda: round_trip(btf, type_id)


def round_trip(btf: Btf, type_id: int) -> None:
    size = btf.size_of(type_id)
    if size <= 4096:
        value = decode(btf, type_id, bytes(range(256)) * 16 if size == 4096 else b"\x5a" * size)
        format_value(btf, type_id, value)
        encode(btf, type_id, value)


def rich_btf() -> Btf:
    """A bit of every kind, connected."""
    builder = BtfBuilder()
    for item in [
        Int("int", 4, 32, IntEncoding.SIGNED),
        Ptr(4),
        Array(4, 1, 3),
        Struct("s", 32, (Member("a", 1, 0), Member("p", 2, 64), Member("", 5, 128), Member("b", 1, 192, 3))),
        Union("", 8, (Member("x", 1, 0), Member("y", 9, 0))),
        Enum("e", 4, (Enumerator("A", 1), Enumerator("B", 2))),
        Fwd("f"),
        Typedef("t", 4),
        Const(10),
        Volatile(1),
        Restrict(2),
        FuncProto(1, (Param("a", 2), Param("", 0))),
        Func("fn", 12),
        Var("v", 8),
        Var("w", 3),
        DataSec(".data", 128, (Placement(14, 0, 32), Placement(15, 32, 96))),
        Float("double", 8),
        DeclTag("tag", 4, 1),
        TypeTag("user", 1),
        Ptr(19),
        Enum64("g", 8, (Enumerator("C", 1 << 40),)),
        Struct("last", 104, (Member("arr", 3, 0), Member("g", 21, 768))),
    ]:
        builder.add(item)
    return builder.build()


RICH = rich_btf()


def test_the_rich_one_is_valid() -> None:
    for type_id in RICH.own_ids:
        type_name(RICH, type_id)
        definition(RICH, type_id)
    assert "struct last {" in dump_c(RICH)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 4095), st.one_of(st.integers(0, 30), st.integers(0, 0xFFFFFFFF))), max_size=4))
def test_mutated_words(changes: list[tuple[int, int]]) -> None:
    """Small numbers make references to other types, which is where loops come from."""
    data = bytearray(RICH.to_bytes())
    for place, word in changes:
        at = 24 + place % (len(data) // 4 - 6) * 4
        data[at : at + 4] = struct.pack("<I", word)
    assert all(refusals(bytes(data)))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 30)), min_size=1, max_size=2))
def test_what_the_kernel_takes_we_take(changes: list[tuple[int, int]]) -> None:
    """Not the other way round: the kernel wants names to be identifiers, members sorted, and so on."""
    accepts = kernel_judge()
    data = bytearray(RICH.to_bytes())
    for place, word in changes:
        at = 24 + place % (len(data) // 4 - 6) * 4
        data[at : at + 4] = struct.pack("<I", word)
    if accepts(bytes(data)):
        assert Btf.parse(bytes(data)).to_bytes()
        assert all(refusals(bytes(data)))


@settings(max_examples=60)
@given(sized_types(), st.integers(0, 1 << 32))
def test_mutated_made_up_types(made: tuple[Btf, list[int]], seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(made[0].to_bytes())
    for _ in range(chance.randrange(1, 4)):
        data[chance.randrange(len(data))] = chance.choice([0, 1, 2, 3, 5, 8, 16, 32, 0x7F, 0x80, 0xFF])
    assert all(refusals(bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])))


@given(st.binary(max_size=200))
def test_noise(junk: bytes) -> None:
    assert all(refusals(junk))
    assert all(refusals(section([], strings=b"\0a\0") + junk))
    words = junk[: len(junk) // 4 * 4]
    assert all(refusals(section(list(struct.unpack(f"<{len(words) // 4}I", words)), strings=b"\0abc\0d\0")))


def test_wide_hostile_structs() -> None:
    """20,000 members each of a type with 20,000 members, in half a megabyte."""
    builder = BtfBuilder()
    number = builder.add(Int("int", 4, 32))
    wide = builder.add(Union("", 4, (Member("a", number, 0),) * 20_000))
    wider = builder.add(Union("u", 4, (Member("", wide, 0),) * 20_000))
    enum = builder.add(Enum("e", 4, tuple(Enumerator("A", value) for value in range(20_000))))
    many = builder.add(Array(enum, number, 10_000))
    btf = builder.build()
    for attempt in [
        lambda: btf.fields(wider),
        lambda: decode(btf, wider, bytes(4)),
        lambda: definition(btf, wider),
        lambda: dump_c(btf),
    ]:
        with pytest.raises(InputError, match="grows without end"):
            attempt()
    assert decode(btf, many, bytes(40_000)) == [0] * 10_000
