"""Bytes to values and back; what clang makes of a formatted value is the second witness."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program.btf_support import compile_c, elf_section, sized_types

from pybpftime.errors import InputError
from pybpftime.program.btf import (
    Array,
    Btf,
    BtfBuilder,
    Const,
    DataSec,
    Enum,
    Enum64,
    Enumerator,
    EnumValue,
    Float,
    Func,
    FuncProto,
    Fwd,
    Int,
    IntEncoding,
    Kind,
    Member,
    Placement,
    Ptr,
    Struct,
    Typedef,
    Union,
    Var,
    decode,
    encode,
    format_bytes,
    format_value,
)


class Types:
    """A BTF with one of everything; attributes are ids."""

    def __init__(self, byteorder: str = "little") -> None:
        add = (builder := BtfBuilder(byteorder=byteorder)).add
        self.char = add(Int("char", 1, 8, IntEncoding.SIGNED))
        self.u8 = add(Int("u8", 1, 8))
        self.u16 = add(Int("u16", 2, 16))
        self.s32 = add(Int("int", 4, 32, IntEncoding.SIGNED))
        self.u64 = add(Int("u64", 8, 64))
        self.s128 = add(Int("__int128", 16, 128, IntEncoding.SIGNED))
        self.bool = add(Int("_Bool", 1, 8, IntEncoding.BOOL))
        self.ptr = add(Ptr(0))
        self.half = add(Float("half", 2))
        self.float = add(Float("float", 4))
        self.double = add(Float("double", 8))
        self.extended = add(Float("long double", 16))
        self.color = add(Enum("color", 4, (Enumerator("RED", 0), Enumerator("BLUE", -4)), signed=True))
        self.flags = add(Enum("flags", 1, (Enumerator("A", 1), Enumerator("ALSO_A", 1))))
        self.wide = add(Enum64("wide", 8, (Enumerator("HUGE", 1 << 63),)))
        self.text = add(Array(self.char, self.s32, 8))
        self.no_text = add(Array(self.char, self.s32, 0))
        self.mac = add(Array(self.u8, self.s32, 6))
        self.mac_t = add(Typedef("mac_t", add(Const(self.mac))))
        self.matrix = add(Array(add(Array(self.u16, self.s32, 2)), self.s32, 2))
        self.bools = add(Array(self.bool, self.s32, 2))
        halves = (Member("low", self.u8, 0), Member("high", self.u8, 8))
        pair = add(Struct("", 2, halves))
        self.word = add(
            Union("word", 2, (Member("whole", self.u16, 0), Member("", pair, 0), Member("f", self.half, 0)))
        )
        bits = (Member("a", self.s32, 0, 3), Member("b", self.u16, 3, 7), Member("c", self.color, 10, 5))
        self.bits = add(Struct("bits", 4, bits))
        self.flow = add(
            Struct(
                "flow",
                32,
                (
                    Member("saddr", self.mac_t, 0),
                    Member("port", self.u16, 48),
                    Member("comm", self.text, 64),
                    Member("", self.word, 128),
                    Member("color", self.color, 160),
                    Member("bits", self.bits, 192),
                    Member("rest", add(Array(self.u64, self.s32, 0)), 256),
                ),
            )
        )
        self.fwd = add(Fwd("fwd"))
        self.proto = add(FuncProto(0))
        self.func = add(Func("func", self.proto))
        self.counter = add(Var("counter", self.u64))
        self.same = add(Var("counter", self.u16))
        places = (Placement(self.counter, 0, 8), Placement(self.same, 8, 2), Placement(self.func, 0, 0))
        self.bss = add(DataSec(".bss", 16, places))
        self.btf = builder.build()


TYPES = Types()
BIG = Types("big")

SCALARS = [
    ("char", "ff", -1),
    ("u8", "ff", 255),
    ("u16", "0201", 0x0102),
    ("s32", "feffffff", -2),
    ("u64", "0100000000000080", (1 << 63) + 1),
    ("s128", "00000000000000000000000000000080", -(1 << 127)),
    ("bool", "00", False),
    ("bool", "01", True),
    ("bool", "07", 7),
    ("ptr", "efbeadde00000000", 0xDEADBEEF),
    ("half", "003c", 1.0),
    ("float", "000020c0", -2.5),
    ("double", "000000000000f07f", math.inf),
    ("extended", "00010203040506070809000000000000", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 0, 0, 0]),
    ("color", "fcffffff", -4),
    ("flags", "01", 1),
    ("wide", "0000000000000080", 1 << 63),
    ("text", "6869000000000000", "hi"),
    ("text", "68690000ffff0000", "hi"),
    ("text", "6162636465666768", [97, 98, 99, 100, 101, 102, 103, 104]),
    ("text", "1b00000000000000", [27, 0, 0, 0, 0, 0, 0, 0]),
    ("text", "ff00000000000000", [-1, 0, 0, 0, 0, 0, 0, 0]),
    ("text", "c3a9090000000000", "\u00e9\t"),
    ("mac", "020000000001", [2, 0, 0, 0, 0, 1]),
    ("mac_t", "020000000001", [2, 0, 0, 0, 0, 1]),
    ("matrix", "0100020003000400", [[1, 2], [3, 4]]),
    ("bools", "0100", [True, False]),
    ("word", "003c", {"whole": 0x3C00, "low": 0, "high": 0x3C, "f": 1.0}),
    ("counter", "0500000000000000", 5),
    ("bss", "05000000000000000600000000000000", {"counter": 5, "counter@8": 6}),
]


@pytest.mark.parametrize(("name", "data", "value"), SCALARS)
def test_decode(name: str, data: str, value: Any) -> None:
    found = decode(TYPES.btf, getattr(TYPES, name), bytes.fromhex(data))
    assert found == value
    assert isinstance(found, bool) == isinstance(value, bool)
    if data not in ("68690000ffff0000", "07"):  # what follows the NUL is no part of the value; 7 is no `_Bool`
        assert encode(TYPES.btf, getattr(TYPES, name), found) == bytes.fromhex(data)


@pytest.mark.parametrize(
    ("name", "data", "value"),
    [
        ("u16", "0102", 0x0102),
        ("s32", "fffffffe", -2),
        ("half", "3c00", 1.0),
        ("matrix", "0001000200030004", [[1, 2], [3, 4]]),
    ],
)
def test_big_endian(name: str, data: str, value: Any) -> None:
    assert decode(BIG.btf, getattr(BIG, name), bytes.fromhex(data)) == value
    assert encode(BIG.btf, getattr(BIG, name), value) == bytes.fromhex(data)


def test_bitfields() -> None:
    """a: 3 bits, b: 7, c: 5.  Little-endian numbers bits from the lowest, big-endian from the highest."""
    value = {"a": -3, "b": 0b1010011, "c": -4}
    little = 0b101 | 0b1010011 << 3 | 0b11100 << 10
    assert encode(TYPES.btf, TYPES.bits, value) == little.to_bytes(4, "little")
    assert decode(TYPES.btf, TYPES.bits, little.to_bytes(4, "little")) == value
    big = (0b101 << 12 | 0b1010011 << 5 | 0b11100) << 17
    assert encode(BIG.btf, BIG.bits, value) == big.to_bytes(4, "big")
    assert decode(BIG.btf, BIG.bits, big.to_bytes(4, "big")) == value


def test_enum_values_know_their_names() -> None:
    blue = decode(TYPES.btf, TYPES.color, b"\xfc\xff\xff\xff")
    assert isinstance(blue, EnumValue)
    assert (blue, str(blue), repr(blue), f"{blue}", json.dumps([blue])) == (-4, "BLUE", "<BLUE: -4>", "BLUE", "[-4]")
    unknown = decode(TYPES.btf, TYPES.color, b"\x07\0\0\0")
    assert isinstance(unknown, EnumValue)
    assert (unknown, unknown.name, str(unknown), repr(unknown)) == (7, None, "7", "7")
    assert str(decode(TYPES.btf, TYPES.flags, b"\1")) == "A"
    assert pickle.loads(pickle.dumps(blue)).name == "BLUE"


FLOW = {
    "saddr": [1, 2, 3, 4, 5, 6],
    "port": 80,
    "comm": "curl",
    "whole": 0x3C01,
    "low": 1,
    "high": 0x3C,
    "f": 1.0009765625,
    "color": -4,
    "bits": {"a": -1, "b": 2, "c": 0},
    "rest": [],
}


def test_struct_and_its_text() -> None:
    data = encode(TYPES.btf, TYPES.flow, FLOW)
    assert data.hex(" ", 4) == "01020304 05065000 6375726c 00000000 013c0000 fcffffff 17000000 00000000"
    assert decode(TYPES.btf, TYPES.flow, data) == FLOW
    assert format_bytes(TYPES.btf, TYPES.flow, data) == (
        '{.saddr = {1, 2, 3, 4, 5, 6}, .port = 80, .comm = "curl", .whole = 15361, .low = 1, .high = 60, '
        ".f = 1.0009765625, .color = BLUE, .bits = {.a = -1, .b = 2, .c = RED}, .rest = {}}"
    )


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("ptr", 0xDEADBEEF, "0xdeadbeef"),
        ("ptr", 0, "NULL"),
        ("bool", True, "true"),
        ("bool", 7, "7"),
        ("text", 'a"\\\n\x1b', '"a\\"\\\\\\n\\033"'),
        ("extended", [1] * 16, "{1, 1, ... 14 more}"),
        ("mac", [1, 2, 3], "{1, 2, ... 1 more}"),
        ("counter", 5, "5"),
        ("bss", {"counter": 5}, "{.counter = 5}"),
        ("color", 7, "7"),
    ],
)
def test_text_of_a_value(name: str, value: Any, text: str) -> None:
    assert format_value(TYPES.btf, getattr(TYPES, name), value, limit=2) == text


@pytest.mark.parametrize(("name", "value"), [("u8", "x"), ("mac", 3), ("flow", [1]), ("ptr", None), ("func", 1)])
def test_text_of_what_is_no_value(name: str, value: Any) -> None:
    with pytest.raises(InputError, match="is not a value of BTF type"):
        format_value(TYPES.btf, getattr(TYPES, name), value)


@pytest.mark.parametrize(
    ("name", "value", "data"),
    [
        ("u16", "0x102", "0201"),
        ("s32", " -2 ", "feffffff"),
        ("u16", True, "0100"),
        ("bool", 1, "01"),
        ("float", 1, "0000803f"),
        ("float", "-2.5", "000020c0"),
        ("ptr", "0xff", "ff00000000000000"),
        ("color", "BLUE", "fcffffff"),
        ("color", "-1", "ffffffff"),
        ("text", b"12345678", "3132333435363738"),
        ("text", b"12", "3132000000000000"),
        ("text", "", "0000000000000000"),
        ("no_text", "", ""),
        ("no_text", [], ""),
        ("text", [72, -1], "48ff000000000000"),
        ("mac", "02:00:00:00:00:01", "020000000001"),
        ("mac", "0x0200 0000 0001", "020000000001"),
        ("mac", bytes(6), "000000000000"),
        ("mac", [1, "0x2"], "010200000000"),
        ("mac", (), "000000000000"),
        ("matrix", [[1], []], "0100000000000000"),
        ("word", {"high": 1}, "0001"),
        ("word", {"whole": 258, "low": 2}, "0201"),
        ("word", "0102", "0102"),
        ("word", {}, "0000"),
        ("bss", {"counter@8": 6}, "00000000000000000600000000000000"),
        ("extended", bytes(16), "00000000000000000000000000000000"),
    ],
)
def test_encode_what_people_give(name: str, value: Any, data: str) -> None:
    assert encode(TYPES.btf, getattr(TYPES, name), value).hex() == data


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("flow", {"saddr": [1, 2, 3, 300]}, "flow.saddr[3]: 300 does not fit u8"),
        ("flow", {"saddr": [1, -1]}, "flow.saddr[1]: -1 does not fit u8"),
        ("flow", {"saddr": [1, None]}, "flow.saddr[1]: None is not an integer"),
        ("flow", {"saddr": [1, 1.5]}, "flow.saddr[1]: 1.5 is not an integer"),
        ("flow", {"saddr": [0] * 7}, "flow.saddr: 7 elements are too many for mac_t"),
        ("flow", {"saddr": 7}, "flow.saddr: 7 is not a list, as mac_t needs"),
        ("flow", {"saddr": "0102"}, "flow.saddr: 2 bytes were given where there are 6"),
        ("flow", {"saddr": "hello!"}, "flow.saddr: 'hello!' is not hexadecimal text"),
        ("flow", {"bits": {"a": 4}}, "flow.bits.a: 4 does not fit int of 3 bits"),
        ("flow", {"comm": "12345678"}, "flow.comm: 8 bytes of text and a NUL do not fit char[8]; bytes need no NUL"),
        ("flow", {"comm": "a\0b"}, "flow.comm: text for char[8] cannot contain NUL; give bytes instead"),
        ("flow", {"comm": bytes(9)}, "flow.comm: 9 bytes are too many for char[8]"),
        ("flow", {"color": "GREEN"}, "flow.color: 'GREEN' is none of RED, BLUE"),
        ("flow", {"color": 1 << 31}, "flow.color: 2147483648 does not fit enum color"),
        (
            "flow",
            {"prot": 1},
            "flow: struct flow has no 'prot', it has saddr, port, comm, whole, low, high, f, color, ...",
        ),
        ("flow", 5, "flow: 5 is not a dict, as struct flow needs"),
        ("flow", None, "flow: None is not a dict, as struct flow needs"),
        (
            "word",
            {"whole": 1, "low": 2},
            "word.low: disagrees with another field that shares its bytes; give one of them",
        ),
        ("matrix", [[1, 2], [3, "x"]], "u16[2][2][1][1]: 'x' is not an integer"),
        ("u64", 1 << 5000, "u64: a number of 5001 bits does not fit u64"),
        ("u64", "9" * 5000, "u64: '999999999999...9999999999999' is not an integer"),
        ("float", 1e300, "float: 1e+300 does not fit float"),
        ("half", 1 << 5000, "half: a number of 5001 bits does not fit a float"),
        ("double", "x", "double: 'x' is not a number"),
        ("double", [1], "double: [1] is not a number"),
        ("extended", 1.5, "long double: 1.5 is not bytes"),
        ("extended", [1, 300], "long double: [1, 300] is not a list of bytes"),
        ("ptr", -1, "void *: -1 does not fit a pointer"),
        ("bool", 256, "_Bool: 256 is no _Bool: it is 0 or 1"),
        ("bool", 5, "_Bool: 5 is no _Bool: it is 0 or 1"),
        ("bool", "-1", "_Bool: -1 is no _Bool: it is 0 or 1"),
        ("bools", [True, 2], "_Bool[2][1]: 2 is no _Bool: it is 0 or 1"),
        ("bss", {"count": 1}, ".bss: .bss has no 'count', it has counter, counter@8"),
    ],
)
def test_encode_names_the_place(name: str, value: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        encode(TYPES.btf, getattr(TYPES, name), value)
    assert str(caught.value) == message


def test_encode_with_a_path() -> None:
    with pytest.raises(InputError, match=r'^counts\["key"\].port: -1 does not fit u16$'):
        encode(TYPES.btf, TYPES.flow, {"port": -1}, 'counts["key"]')


@pytest.mark.parametrize("name", ["fwd", "proto", "func"])
def test_what_has_no_values(name: str) -> None:
    for attempt in (
        lambda: decode(TYPES.btf, getattr(TYPES, name), b""),
        lambda: encode(TYPES.btf, getattr(TYPES, name), 0),
    ):
        with pytest.raises(InputError, match="has no size"):
            attempt()


def test_length_must_match() -> None:
    with pytest.raises(InputError, match="struct flow takes 32 bytes, but there are 31"):
        decode(TYPES.btf, TYPES.flow, bytes(31))


def test_nan_among_the_views_of_a_union() -> None:
    """Python may quieten a NaN; the other views know its bits."""
    signalling = bytes.fromhex("017c")
    value = decode(TYPES.btf, TYPES.word, signalling)
    assert encode(TYPES.btf, TYPES.word, value) == signalling
    assert isinstance(value, dict)
    backwards = dict(reversed(value.items()))
    assert encode(TYPES.btf, TYPES.word, backwards) == signalling
    nan = decode(TYPES.btf, TYPES.half, encode(TYPES.btf, TYPES.half, math.nan))
    assert isinstance(nan, float)
    assert math.isnan(nan)


def is_no_bool(btf: Btf, type_id: int, value: Any) -> bool:
    """Whether some byte of a `_Bool` is neither 0 nor 1: decode tells so, and encode makes no such byte."""
    try:
        encode(btf, type_id, value)
    except InputError as error:
        if error.reason.endswith("it is 0 or 1"):
            return True
        raise
    return False


@given(sized_types(), st.data())
@settings(max_examples=150)
def test_round_trip(made: tuple[Btf, list[int]], data: st.DataObject) -> None:
    btf, ids = made
    for type_id in ids[-3:]:
        size = btf.size_of(type_id)
        raw = data.draw(st.binary(min_size=size, max_size=size))
        value = decode(btf, type_id, raw)
        if is_no_bool(btf, type_id, value):
            continue
        again = encode(btf, type_id, value)
        assert json.dumps(decode(btf, type_id, again)) == json.dumps(value)
        assert encode(btf, type_id, json.loads(json.dumps(value))) == again
        if btf.kind(btf.resolve(type_id)) in (Kind.STRUCT, Kind.UNION, Kind.ARRAY):
            assert encode(btf, type_id, raw) == raw
        assert "\n" not in format_value(btf, type_id, value)


@given(sized_types(), st.data())
@settings(max_examples=60)
def test_bytes_without_padding_survive_exactly(made: tuple[Btf, list[int]], data: st.DataObject) -> None:
    """Where encode can set every bit and no NaN or C string is about, decode loses nothing."""
    btf, ids = made
    for type_id in ids[-3:]:
        size = btf.size_of(type_id)
        raw = data.draw(st.binary(min_size=size, max_size=size))
        value = decode(btf, type_id, raw)
        every_bit = decode(btf, type_id, b"\xff" * size)
        if is_no_bool(btf, type_id, value) or is_no_bool(btf, type_id, every_bit):
            continue
        ones = encode(btf, type_id, every_bit)
        if ones == b"\xff" * size and not any(word in json.dumps(value) for word in ('"', "NaN")):
            assert encode(btf, type_id, value) == raw


def test_hostile_sizes() -> None:
    """The same byte a billion times over, in few types and no bytes."""
    builder = BtfBuilder()
    u8 = builder.add(Int("u8", 1, 8))
    empty = builder.add(Struct("empty", 0))
    nothing = builder.add(Array(empty, u8, 0xFFFFFFFF))
    previous = builder.add(Union("u0", 1, (Member("a", u8, 0),)))
    for number in range(1, 28):
        views = (Member("a", previous, 0), Member("b", previous, 0))
        previous = builder.add(Union(f"u{number}", 1, views))
    huge = builder.add(Array(u8, u8, 0xFFFFFFFF))
    btf = builder.build()
    for type_id, data in ((nothing, b""), (previous, b"\1")):
        with pytest.raises(InputError, match="grows without end"):
            decode(btf, type_id, data)
    with pytest.raises(InputError, match="more than the limit of 67108864"):
        encode(btf, huge, [])


CLANG_TYPES = """
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
enum color { RED, GREEN = 7, BLUE = -4 };
struct inner { short s; int bits : 5; unsigned more : 11; u8 tail[3]; };
struct all {
    u8 small; long long big; u64 wide; _Bool flag; char text[12]; float f; double d; void *p; enum color color;
    struct inner inner[2]; struct { u16 x; union { u32 y; }; }; u32 a : 3, b : 29; int c : 17; u16 array[5];
} __attribute__((%s));
"""


@pytest.fixture(scope="module", params=["aligned(8)", "packed"])
def clang_types(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Btf]:
    source = CLANG_TYPES % request.param
    folder = tmp_path_factory.mktemp("types")
    return source, Btf.parse(elf_section(compile_c(folder, source + "struct all all;"), ".BTF"))


def test_clang_agrees(clang_types: tuple[str, Btf], tmp_path: Path) -> None:
    """A value's text, compiled as an initialiser, gives the bytes that encode gives."""
    source, btf = clang_types
    type_id = btf.require("all", Kind.STRUCT)
    size = btf.size_of(type_id)
    expected = b""
    rows = []
    for number in range(40):
        junk = bytes((number * 37 + position * (2 * number + 1)) & 0xFF for position in range(size))
        value: Any = decode(btf, type_id, junk)
        value["flag"] = bool(number & 1)
        value["text"] = ["", "abc", 'q"\\\n', "\u00e9"][number % 4]
        value["f"] = number / 8
        value["d"] = -1e300 / (number + 1)
        rows.append(format_value(btf, type_id, value))
        expected += encode(btf, type_id, value)
    source = f"#define true 1\n#define false 0\n#define NULL 0\n{source}struct all all[] = {{{','.join(rows)}}};"
    compiled = elf_section(compile_c(tmp_path, source, "-Wno-int-conversion"), ".data")
    assert compiled == expected
