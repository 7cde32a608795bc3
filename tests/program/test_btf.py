"""Reading `.BTF`: every kind, both byte orders, split BTF, names, and the builder that is the way back."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from program.btf_support import SAMPLE, compile_c, elf_section, kernel_judge, sized_types, vmlinux_bytes

from pybpftime.errors import InputError
from pybpftime.program.btf import (
    Array,
    Btf,
    BtfBuilder,
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

EVERY_KIND: list[BtfType] = [
    Int("int", 4, 32, IntEncoding.SIGNED),
    Ptr(0),
    Array(1, 1, 3),
    Struct("s", 12, (Member("a", 1, 0), Member("", 5, 32), Member("c", 3, 64, 0))),
    Union("", 4, (Member("b", 1, 0, 3), Member("whole", 1, 0))),
    Enum("e", 4, (Enumerator("MINUS", -1), Enumerator("PLUS", 1)), signed=True),
    Fwd("later", is_union=True),
    Typedef("t", 4),
    Volatile(1),
    Const(1),
    Restrict(2),
    Func("f", 13, Linkage.STATIC),
    FuncProto(1, (Param("a", 1), Param("", 0))),
    Var("v", 10, Linkage.EXTERN),
    DataSec(".data", 16, (Placement(14, 4, 4),)),
    Float("double", 8),
    DeclTag("tag", 4, 2),
    TypeTag("user", 1, attribute=True),
    Enum64("big", 8, (Enumerator("HUGE", 1 << 63),)),
    Enum64("low", 8, (Enumerator("LOW", -(1 << 63)),), signed=True),
    Enum("u", 1, (Enumerator("MAX", 0xFFFFFFFF),)),
]


def build(records: list[BtfType], byteorder: str = "little") -> Btf:
    builder = BtfBuilder(byteorder=byteorder)
    for number, record in enumerate(records, 1):
        assert builder.add(record) == number
    return builder.build()


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_every_kind_survives(byteorder: str) -> None:
    btf = build(EVERY_KIND, byteorder)
    assert btf.byteorder == byteorder
    assert list(btf) == [Void(), *EVERY_KIND]
    assert [btf.kind(type_id) for type_id in range(len(btf))] == [record.kind for record in btf]
    assert {record.kind for record in btf} == set(Kind)
    assert btf.to_bytes()[:2] == (b"\x9f\xeb" if byteorder == "little" else b"\xeb\x9f")
    assert list(Btf.parse(btf.to_bytes())) == list(btf)


@given(sized_types())
def test_builder_and_parser_are_inverse(made: tuple[Btf, list[int]]) -> None:
    btf, _ = made
    again = BtfBuilder(byteorder=btf.byteorder)
    for type_id in btf.own_ids:
        again.add(btf[type_id])
    assert again.to_bytes() == btf.to_bytes()


def test_words_of_one_record() -> None:
    """Worked out by hand from `struct btf_type` and `struct btf_member`."""
    builder = BtfBuilder()
    builder.add(Int("u8", 1, 8))
    builder.add(Struct("s", 1, (Member("a", 1, 0, 3), Member("b", 1, 3, 5))))
    words = struct.unpack_from("<13I", builder.to_bytes(), 24)
    assert words[:4] == (1, 1 << 24, 1, 8)
    assert words[4:7] == (4, 4 << 24 | 1 << 31 | 2, 1)
    assert words[7:13] == (6, 1, 3 << 24, 8, 1, 5 << 24 | 3)
    assert builder.to_bytes().endswith(b"\0u8\0s\0a\0b\0")


def test_header_may_be_longer_if_the_rest_is_zero() -> None:
    data = build(EVERY_KIND).to_bytes()
    longer = data[:4] + struct.pack("<I", 32) + data[8:24] + bytes(8) + data[24:]
    assert list(Btf.parse(longer)) == [Void(), *EVERY_KIND]
    with pytest.raises(InputError, match="fields that are newer"):
        Btf.parse(longer[:24] + b"\0\0\0\0\1\0\0\0" + longer[32:])


def test_names() -> None:
    btf = build([Int("stat", 4, 32), Struct("stat", 0), FuncProto(0), Func("stat", 3), Struct("", 0)])
    assert btf.find("stat") == 1
    assert btf.find("stat", Kind.STRUCT) == 2
    assert btf.find_all("stat") == [1, 2, 4]
    assert btf.find("stat", Kind.UNION) is None
    assert btf.find("") is None
    assert btf.require("stat", Kind.FUNC) == 4
    with pytest.raises(InputError, match="the BTF has no union 'stat'"):
        btf.require("stat", Kind.UNION)


def test_names_that_are_not_utf8() -> None:
    builder = BtfBuilder()
    builder.add(Int("caf\u00e9", 4, 32))
    data = builder.to_bytes().replace("caf\u00e9".encode(), b"caf\xff\xfe")
    assert Btf.parse(data)[1].name == r"caf\xff\xfe"


@pytest.mark.parametrize("type_id", [-1, 2, 1 << 32])
def test_ids_that_do_not_exist(type_id: int) -> None:
    btf = build([Int("int", 4, 32)])
    for ask in (btf.__getitem__, btf.kind, btf.size_of, btf.resolve, btf.fields, btf.alignment_of):
        with pytest.raises(InputError, match=f"BTF type {type_id} does not exist, the last is 1"):
            ask(type_id)


def test_split() -> None:
    base = build([Int("int", 4, 32), Struct("s", 4, (Member("a", 1, 0),)), DeclTag("one", 2)])
    builder = BtfBuilder(base=base)
    assert builder.next_id == 4
    assert builder.add(Typedef("mine", 2)) == 4
    assert builder.add(Struct("s", 8, (Member("a", 1, 0), Member("b", 4, 32)))) == 5
    assert builder.add(DeclTag("two", 2)) == 6
    split = builder.build()
    assert (len(split), split.own_ids, split.base) == (7, range(4, 7), base)
    assert [record.name for record in split] == ["", "int", "s", "one", "mine", "s", "two"]
    assert split.find_all("s") == [2, 5]
    assert split.resolve(4) == 2
    assert split.size_of(4) == 4
    assert [tag.name for tag in split.decl_tags(2)] == ["one", "two"]
    assert Btf.parse(split.to_bytes(), base=base)[5] == split[5]
    with pytest.raises(InputError):
        Btf.parse(split.to_bytes())
    data = bytearray(split.to_bytes())
    data[24:28] = struct.pack("<I", base.strings.data.index(b"one"))  # a name among the base's strings
    assert Btf.parse(bytes(data), base=base)[4] == Typedef("one", 2)
    with pytest.raises(InputError, match="string offset 1000 is outside"):
        split.strings[1000]
    with pytest.raises(InputError, match="big-endian BTF cannot extend a little-endian base"):
        Btf.parse(build([Int("int", 4, 32)], "big").to_bytes(), base=base)
    with pytest.raises(InputError, match="big-endian BTF cannot extend a little-endian base"):
        BtfBuilder(byteorder="big", base=base)


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [("long int", 4, 4), ("unsigned long", 4, 4), ("long unsigned int", 8, 8), ("long long", 4, 8), ("int", 4, 8)],
)
def test_pointer_size_follows_long(name: str, size: int, expected: int) -> None:
    records: list[BtfType] = [Int(name, size, 8 * size), Ptr(0)]
    assert build(records).size_of(2) == expected
    assert Btf.parse(build(records).to_bytes(), pointer_size=4).size_of(2) == 4


def test_section_layout() -> None:
    btf = build(
        [
            Int("int", 4, 32),
            Var("a", 1),
            Var("b", 1),
            DataSec(".bss", 0, (Placement(2, 0, 4), Placement(3, 0, 4))),
            DataSec(".data", 0, (Placement(2, 0, 4),)),
        ]
    )
    laid_out = btf.with_section_layout({".bss": (12, {"a": 8, "b": 4}), "maps": (4, {})})
    assert laid_out[4] == DataSec(".bss", 12, (Placement(3, 4, 4), Placement(2, 8, 4)))
    assert laid_out[5] == btf[5]
    assert btf[4] == DataSec(".bss", 0, (Placement(2, 0, 4), Placement(3, 0, 4)))
    assert Btf.parse(laid_out.to_bytes())[4] == laid_out[4]
    with pytest.raises(InputError, match=r"variable a at byte 10 does not lie in its section of 12 bytes"):
        btf.with_section_layout({".bss": (12, {"a": 10})})


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Int("int", 4, 256), "256 does not fit a BTF field of 8 bits"),
        (Int("int", 1 << 32, 8), "does not fit a BTF field of 32 bits"),
        (Ptr(-1), "-1 does not fit"),
        (Struct("s", 4, (Member("a", 1, 1 << 24, 1),)), "does not fit a BTF field of 24 bits"),
        (Enum("e", 4, (Enumerator("A", -1),)), "enumeration value -1 does not fit unsigned 32 bits"),
        (Enum64("e", 8, (Enumerator("A", 1 << 63),), signed=True), "does not fit signed 64 bits"),
        (FuncProto(0, (Param("a", 1),) * 65536), "65536 does not fit a BTF field of 16 bits"),
        (Typedef("a\0b", 1), "cannot contain NUL"),
        (Void(), "void has id 0"),
    ],
)
def test_builder_refuses(record: BtfType, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        BtfBuilder().add(record)


def test_what_clang_makes(tmp_path: Path) -> None:
    data = elf_section(compile_c(tmp_path, SAMPLE), ".BTF")
    btf = Btf.parse(data)
    assert btf.to_bytes() == data
    flow = btf.require("flow", Kind.STRUCT)
    assert btf.decl_tags(flow) == (DeclTag("hello", flow),)
    assert [field.name for field in btf.fields(flow)][5:10] == ["c", "x", "y", "f", "color"]
    assert btf.decl_tags(btf.require("helper", Kind.FUNC)) == (DeclTag("argument", btf.require("helper"), 0),)
    prog = btf[btf.require("prog", Kind.FUNC)]
    assert isinstance(prog, Func)
    assert prog.linkage is Linkage.GLOBAL
    names = {place.type: btf[place.type].name for sec in btf if isinstance(sec, DataSec) for place in sec.variables}
    assert {"hits", "limit", "flow", "kconfig", "kfunc", "_license"} <= set(names.values())


def is_misaligned_float(btf: Btf, member: Member) -> bool:
    """The kernel refuses those, even in packed structs (`btf_float_check_member`)."""
    target = btf[btf.resolve(member.type)]
    return isinstance(target, Float) and member.bit_offset % (8 * target.size) != 0


@settings(max_examples=40)
@given(sized_types())
def test_the_kernel_takes_what_we_build(made: tuple[Btf, list[int]]) -> None:
    accepts = kernel_judge()
    btf, _ = made
    assume(not any(is_misaligned_float(btf, member) for record in btf for member in getattr(record, "members", ())))
    builder = BtfBuilder(byteorder=sys.byteorder)
    for type_id in btf.own_ids:
        builder.add(btf[type_id])
    assert accepts(builder.to_bytes())


def test_of_a_whole_kernel() -> None:
    data = vmlinux_bytes()
    btf = Btf.parse(data)
    assert btf.to_bytes() == data
    assert btf[btf.require("task_struct", Kind.STRUCT)].name == "task_struct"
    composites = [type_id for type_id in btf.own_ids if btf.kind(type_id) in (Kind.STRUCT, Kind.UNION)]
    assert sum(len(btf.fields(type_id)) for type_id in composites) > 10_000
