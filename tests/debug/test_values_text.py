"""How values read: the type's own way, and with format letters."""

from __future__ import annotations

import struct

import pytest
from debug.values_support import PACKET, STACK, FakeScope, FakeTarget, sample_scope, sample_type
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.debug.values import (
    Constant,
    Memory,
    Moving,
    OptimisedOut,
    Pieces,
    Place,
    Register,
    TypedValue,
    ViewFormat,
    text_as,
)
from pybpftime.errors import InputError


@pytest.fixture
def scope() -> FakeScope:
    return sample_scope()


def value_of(text: str, place: Place, target: FakeTarget) -> TypedValue:
    kind = sample_type(text)
    return TypedValue(kind.types, kind.id, place, target, "v")


@pytest.mark.parametrize(
    ("text", "data", "wanted"),
    [
        ("int", struct.pack("<i", -5), "-5"),
        ("__u32", struct.pack("<i", -5), "4294967291"),
        ("char", b"a", "97 'a'"),
        ("char", b"\n", r"10 '\n'"),
        ("char", b"\xff", r"-1 '\377'"),
        ("char", b"'", r"39 '\''"),
        ("__u8", b"a", "97"),
        ("_Bool", b"\1", "true"),
        ("_Bool", b"\7", "7"),
        ("double", struct.pack("<d", 2.5), "2.5"),
        ("enum verdict", struct.pack("<I", 2), "PASS"),
        ("enum verdict", struct.pack("<I", 9), "9"),
        ("enum sign", struct.pack("<i", -1), "MINUS"),
        ("char[8]", b"eth0\0abc", '"eth0"'),
        ("char[4]", b"eth0", "{101 'e', 116 't', 104 'h', 48 '0'}"),
        ("char[4]", b'"\\\n\0', r'"\"\\\n"'),
        ("__u16[3]", struct.pack("<3H", 1, 2, 3), "{1, 2, 3}"),
        ("struct point", struct.pack("<ii", 1, -2), "{.x = 1, .y = -2}"),
        ("struct point[2]", bytes(16), "{{.x = 0, .y = 0}, {.x = 0, .y = 0}}"),
        ("struct node", struct.pack("<Qii", PACKET, 7, 0), "{.next = 0x1000, .value = 7}"),
        ("void *", struct.pack("<Q", 5), "(void *) 0x5"),
        ("int *", struct.pack("<Q", PACKET + 2), "(int *) 0x1002 <packet + 2>"),
        ("char *", struct.pack("<Q", STACK + 40), '(char *) 0x2028 "eth0"'),
        ("char *", struct.pack("<Q", 5), "(char *) 0x5"),
        ("struct iphdr *", bytes(8), "(struct iphdr *) 0x0"),
    ],
)
def test_text(text: str, data: bytes, wanted: str, scope: FakeScope) -> None:
    assert value_of(text, Constant(data), scope.target).text() == wanted


@pytest.mark.parametrize(
    ("text", "place", "wanted"),
    [
        ("struct point", Memory(16), "<8 bytes at 0x10 cannot be read>"),
        ("struct point", Memory(STACK + 252), "{.x = 0, .y = <4 bytes at 0x2100 cannot be read>}"),
        ("struct point", OptimisedOut(), "<optimised out>"),
        ("struct point", Moving(OptimisedOut), "<optimised out>"),
        ("struct point", Pieces(((Register(0), 4), (OptimisedOut(), 4))), "{.x = 2, .y = <optimised out>}"),
        ("struct point", Register(4), "{.x = <r4 has no value here>, .y = <r4 has no value here>}"),
        ("int[3]", Memory(16), "<12 bytes at 0x10 cannot be read>"),
        ("char[3]", Memory(16), "<3 bytes at 0x10 cannot be read>"),
        ("int", Memory(16), "<4 bytes at 0x10 cannot be read>"),
        ("int *", Register(4), "<r4 has no value here>"),
        ("int", OptimisedOut("it begins later"), "<it begins later>"),
    ],
)
def test_what_cannot_be_read_says_so(text: str, place: Place, wanted: str, scope: FakeScope) -> None:
    assert value_of(text, place, scope.target).text() == wanted


def test_only_what_is_shown_is_read(scope: FakeScope) -> None:
    sizes: list[int] = []
    read = scope.target.read

    def counted(address: int, size: int) -> bytes | None:
        sizes.append(size)
        return read(address, size)

    scope.target.read = counted  # type: ignore[method-assign]
    value = value_of("__u8[4000000000]", Memory(STACK), scope.target)
    assert value.text(limit=4) == "{251, 255, 255, 255, ... 3999999996 more}"
    assert sum(sizes) <= 9
    half = value_of("__u8[100]", Memory(STACK + 254), scope.target).text(limit=3)
    assert half == "{0, 0, <1 byte at 0x2100 cannot be read>, ... 97 more}"
    assert len(value_of("struct point[4000000]", Memory(STACK), scope.target).text(limit=100)) < 20_000


@pytest.mark.parametrize(
    ("letter", "text", "data", "wanted"),
    [
        ("x", "int", struct.pack("<i", -2), "0xfffffffe"),
        ("d", "__u8", b"\xfe", "-2"),
        ("u", "char", b"\xfe", "254"),
        ("o", "int", struct.pack("<i", 8), "010"),
        ("o", "int", bytes(4), "0"),
        ("t", "__u8", b"\x05", "101"),
        ("c", "__u16", b"a\0", "97 'a'"),
        ("a", "__u64", struct.pack("<Q", PACKET + 3), "0x1003 <packet + 3>"),
        ("a", "__u64", struct.pack("<Q", 3), "0x3"),
        ("s", "char *", struct.pack("<Q", STACK + 40), '"eth0"'),
        ("s", "__u8[5]", b"eth0\0", '"eth0"'),
        ("s", "int", struct.pack("<i", 3), "3"),
        ("x", "struct point", struct.pack("<ii", 10, -1), "{.x = 0xa, .y = 0xffffffff}"),
        ("x", "char[3]", b"ab\0", "{0x61, 0x62, 0x0}"),
        ("x", "struct node *", struct.pack("<Q", PACKET), "0x1000"),
        ("d", "enum verdict", struct.pack("<I", 2), "2"),
        ("x", "double", struct.pack("<d", 1.0), "0x3ff0000000000000"),
        ("x", "_Bool", b"\1", "0x1"),
        ("x", "__u8[6]", bytes.fromhex("020000000001"), "{0x2, 0x0, 0x0, 0x0, 0x0, 0x1}"),
    ],
)
def test_format_letters(letter: str, text: str, data: bytes, wanted: str, scope: FakeScope) -> None:
    assert text_as(value_of(text, Constant(data), scope.target), ViewFormat(letter)) == wanted


def test_format_of_bit_fields_and_counts(scope: FakeScope) -> None:
    bits = scope.variables["bits"]
    assert text_as(bits.child("a"), ViewFormat("x")) == "0x5"
    assert text_as(bits.child("a"), ViewFormat("d")) == "-3"
    assert text_as(bits.child("a"), ViewFormat("t")) == "101"
    assert text_as(bits, ViewFormat("x")).startswith("{.a = 0x5, .b = 0x16, .c = 0x123456789a")
    eth = scope.variables["eth"].dereference()
    assert text_as(eth.child("h_dest").element(0), ViewFormat.parse("/4x")) == "{0xff, 0xff, 0xff, 0xff}"
    assert text_as(scope.variables["point"], ViewFormat.parse("/2")) == "{{.x = 1, .y = 2}, {.x = 3, .y = 4}}"
    assert len(text_as(eth.child("h_dest").element(0), ViewFormat("x", 76)).split(",")) == 76


def test_format_of_what_cannot_be_read(scope: FakeScope) -> None:
    assert text_as(value_of("int", OptimisedOut(), scope.target), ViewFormat("x")) == "<optimised out>"
    assert text_as(value_of("int", Memory(16), scope.target), ViewFormat("x", 2)) == "<8 bytes at 0x10 cannot be read>"
    assert text_as(value_of("int", Memory(STACK + 252), scope.target), ViewFormat("x", 2)) == (
        "{0x0, <4 bytes at 0x2100 cannot be read>}"
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("x", ViewFormat("x")), ("/x", ViewFormat("x")), ("/4d", ViewFormat("d", 4)), ("16", ViewFormat("", 16))],
)
def test_parse_format(text: str, wanted: ViewFormat) -> None:
    assert ViewFormat.parse(text) == wanted


@pytest.mark.parametrize("text", ["", "/", "q", "/xx", "0x", "/0x", "99999x", "/4 x", "x4", "-1x", "X"])
def test_no_format(text: str) -> None:
    with pytest.raises(InputError, match="is no"):
        ViewFormat.parse(text)


@given(st.binary(min_size=20, max_size=20), st.sampled_from(["", *"xduotcsa"]))
def test_every_value_of_every_type_has_text(data: bytes, letter: str) -> None:
    target = FakeTarget({STACK: data})
    for text in (
        "struct iphdr",
        "struct bits",
        "struct flow_key",
        "char[20]",
        "double",
        "char *",
        "struct node *",
        "_Bool",
    ):
        value = value_of(text, Memory(STACK), target)
        found = text_as(value, ViewFormat(letter))
        assert found
        assert "\n" not in found
        for child in value.children():
            assert child.value.text()
