"""Typed values: places, reading, children, assignment."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from debug.values_support import (
    PACKET,
    READ_ONLY,
    STACK,
    FakeScope,
    FakeTarget,
    sample_scope,
    sample_type,
    sample_types,
)
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.debug.values import (
    Bits,
    Constant,
    Memory,
    Moving,
    OptimisedOut,
    Pieces,
    Place,
    Register,
    TypedValue,
    bit_field,
    c_type,
    c_types,
    constant_value,
    extended,
    initialise,
)
from pybpftime.debug.values.initialise import Designated
from pybpftime.errors import InputError
from pybpftime.program import load_object
from pybpftime.program.btf import (
    Array,
    BtfBuilder,
    DataSec,
    Int,
    IntEncoding,
    Kind,
    Member,
    Ptr,
    Struct,
    Typedef,
    type_name,
)


@pytest.fixture
def scope() -> FakeScope:
    return sample_scope()


def value_of(text: str, place: Place, target: FakeTarget, expression: str = "v") -> TypedValue:
    kind = sample_type(text)
    return TypedValue(kind.types, kind.id, place, target, expression)


# Types


def test_derived_types_stand_beside_the_program_s_own() -> None:
    types = sample_types()
    grown = extended(types)
    assert extended(types) is grown
    assert extended(grown) is grown
    point = grown.require("point", Kind.STRUCT)
    count = len(types)
    pointer = grown.derive(Ptr(point))
    assert pointer >= count
    assert grown.derive(Ptr(point)) == pointer
    array = grown.derive(Array(pointer, 0, 3))
    assert (type_name(grown, array), grown.size_of(array), grown.kind(array)) == ("struct point *[3]", 24, Kind.ARRAY)
    assert (len(types), grown[point]) == (count, types[point])
    with pytest.raises(InputError, match="does not exist"):
        grown[len(grown)]
    assert sample_type("int *[2]").text == "int *[2]"


@pytest.mark.parametrize(("order", "raw"), [("little", "0102"), ("big", "0201")])
def test_c_types_have_the_target_s_byte_order(order: str, raw: str) -> None:
    assert order in ("little", "big")
    kind = c_type("__u16", "little" if order == "little" else "big")
    assert initialise(kind, 0x0201).hex() == raw
    assert (c_type("unsigned long", "little").size, c_type("_Bool", "little").size) == (8, 1)
    assert c_types("little") is c_types("little")


# Places


def test_a_narrow_type_takes_the_low_bytes_of_a_register(scope: FakeScope) -> None:
    target = scope.target
    target.registers[2] = 0x1122_3344_5566_77F8
    numbers = [
        value_of(text, Register(2), target).number() for text in ("unsigned char", "char", "__u16", "int", "__u64")
    ]
    assert numbers == [0xF8, -8, 0x77F8, 0x556677F8, 0x1122_3344_5566_77F8]
    value_of("__u16", Register(2), target).assign(0xABCD)
    assert target.registers[2] == 0x1122_3344_5566_ABCD
    pair = value_of("struct point", Register(2), target)
    assert pair.child("y").number() == 0x1122_3344
    pair.child("y").assign(-1)
    assert target.registers[2] == 0xFFFF_FFFF_5566_ABCD
    with pytest.raises(InputError, match=r"20 bytes at byte 0 do not lie in r2"):
        value_of("struct iphdr", Register(2), target).read()


def test_pieces_are_one_after_the_other(scope: FakeScope) -> None:
    target = scope.target
    target.registers[7] = 0x0403_0201
    place = Pieces(((Register(7), 3), (Memory(STACK + 4), 2), (Constant(b"\xaa\xbb"), 2)))
    assert place.read(target, 7).hex() == "010203" + "0700" + "aabb"
    assert place.part(2, 3).read(target, 3).hex() == "030700"
    assert place.part(3, 2) == Memory(STACK + 4)
    place.part(1, 3).write(target, b"\x11\x22\x33")
    assert target.registers[7] == 0x0422_1101
    assert target.read(STACK + 4, 1) == b"\x33"
    with pytest.raises(InputError, match="it is optimised out"):
        place.read(target, 8)
    with pytest.raises(InputError, match="it is a constant here"):
        place.write(target, bytes(7))


@given(st.integers(0, 63), st.integers(1, 40), st.booleans(), st.binary(min_size=16, max_size=16), st.integers(0))
def test_bit_fields_against_shifts(offset: int, width: int, signed: bool, data: bytes, number: int) -> None:
    target = FakeTarget({STACK: data})
    field = bit_field(Memory(STACK), offset, width, signed=signed)
    whole = int.from_bytes(data, "little")
    bits = whole >> offset & (1 << width) - 1
    wanted = bits - (1 << width) if signed and bits >> width - 1 else bits
    assert int.from_bytes(field.read(target, 8), "little", signed=signed) == wanted
    field.write(target, (number & (1 << 64) - 1).to_bytes(8, "little"))
    mask = (1 << width) - 1 << offset
    assert int.from_bytes(target.regions[STACK], "little") == whole & ~mask | (number << offset & mask)


def test_nowhere_has_parts_and_a_reason(scope: FakeScope) -> None:
    value = value_of("struct point", OptimisedOut("it begins later"), scope.target)
    for action in (value.read, value.child("x").read, lambda: value.child("x").assign(1)):
        with pytest.raises(InputError, match="it begins later"):
            action()
    assert value.snapshot() is None


def test_a_moving_place_is_found_at_each_access(scope: FakeScope) -> None:
    places: list[Place] = [Memory(STACK + 8)]
    value = value_of("struct point", Moving(lambda: places[0]), scope.target, "m")
    y = value.child("y")
    assert (y.number(), y.address, y.expression) == (2, STACK + 12, "m.y")
    places[0] = Constant(struct.pack("<ii", 30, 40))
    assert (y.number(), y.address, value.address) == (40, None, None)


# Reading


def test_numbers_values_and_changes(scope: FakeScope) -> None:
    bits = scope.variables["bits"]
    assert bits.value() == {"a": -3, "b": 22, "c": 0x12_3456_789A, "d": 0, "e": 0xFFFF_FFFF, "f": 0xABCDE - 2**20}
    assert {child.name: child.value.number() for child in bits.children()} == bits.value()
    real = scope.variables["real"]
    assert (real.number(), real.value()) == (2.5, 2.5)
    with pytest.raises(InputError, match=r"bits is of type struct bits and no number"):
        bits.number()
    before = bits.snapshot()
    assert not bits.changed_since(before)
    bits.child("a").assign(0)
    assert bits.changed_since(before)
    lost = value_of("int", Memory(16), scope.target)
    assert not lost.changed_since(None)
    assert lost.changed_since(b"\0\0\0\0")


# Children


def test_members_also_anonymous_ones(scope: FakeScope) -> None:
    iph = scope.variables["iph"]
    names = [child.name for child in iph.children()]
    assert names == [*("ihl", "version", "tos", "tot_len", "id", "frag_off", "ttl", "protocol", "check", "union {...}")]
    assert iph.child_count == 10
    union = iph.children(9)[0]
    assert (union.anonymous, union.value.expression) == (True, "*iph")
    views = union.value.children()
    assert [(child.name, child.anonymous, child.value.expression) for child in views] == [
        ("struct {...}", True, "*iph"),
        ("addrs", False, "iph->addrs"),
    ]
    assert [child.value.expression for child in views[0].value.children()] == ["iph->saddr", "iph->daddr"]
    assert iph.child("daddr").address == PACKET + 30
    assert iph.child("addrs").child("daddr").expression == "iph->addrs.daddr"
    assert iph.children(6, 1)[0].value.number() == 1
    assert iph.children(0, 1)[0].value.type_text == "__u8 : 4"
    with pytest.raises(InputError, match=r"no member of struct iphdr named tll; did you mean ttl"):
        iph.child("tll")
    with pytest.raises(InputError, match="seven is of type __u32 and has no members"):
        scope.variables["seven"].child("x")


def test_elements_by_pages(scope: FakeScope) -> None:
    points = scope.variables["points"]
    assert points.child_count == 4
    page = points.children(1, 2)
    assert [(child.name, child.value.expression, child.value.address) for child in page] == [
        ("[1]", "points[1]", STACK + 16),
        ("[2]", "points[2]", STACK + 24),
    ]
    assert [child.value.expression for child in page[0].value.children()] == ["points[1].x", "points[1].y"]
    assert points.children(3, 100) == points.children(3)
    assert points.children(4) == ()
    huge = value_of("unsigned char[4000000000]", Memory(0), scope.target)
    assert huge.child_count == 4_000_000_000
    assert [child.name for child in huge.children(3_999_999_999, 5)] == ["[3999999999]"]


def test_pointers_open_lazily_and_without_end(scope: FakeScope) -> None:
    value = scope.variables["list"]
    for _ in range(50):
        value = value.children()[0].value
    assert value.expression == "list" + "->next" * 50
    text = scope.variables["text"]
    assert [(child.name, child.value.expression, child.value.number()) for child in text.children()] == [
        ("*text", "*text", ord("e"))
    ]
    assert text.element(2).number() == ord("h")
    twice = value_of("struct node **", Constant(struct.pack("<Q", STACK + 64)), scope.target, "pp")
    (inner,) = twice.children()
    assert inner.value.expression == "*pp"
    assert [child.value.expression for child in inner.value.children()] == ["(*pp)->next", "(*pp)->value"]


@pytest.mark.parametrize("text", ["void *", "struct hidden *", "int", "double"])
def test_what_has_no_children(text: str, scope: FakeScope) -> None:
    value = value_of(text, Memory(STACK + 112), scope.target)
    assert (value.children(), value.child_count) == ((), 0)


def test_null_and_unreadable_pointers(scope: FakeScope) -> None:
    null = value_of("struct node *", Constant(bytes(8)), scope.target)
    assert (null.children(), null.child_count, null.text()) == ((), 0, "(struct node *) 0x0")
    wild = value_of("struct node *", Constant(b"\x10" + bytes(7)), scope.target)
    assert [child.value.text() for child in wild.children()] == [
        "<8 bytes at 0x10 cannot be read>",
        "<4 bytes at 0x18 cannot be read>",
    ]


def test_a_struct_that_contains_itself_ends(scope: FakeScope) -> None:
    builder = BtfBuilder()
    loop = builder.add(Struct("loop", 8, (Member("in", 1, 0),)))
    types = builder.build()
    value = TypedValue(types, loop, Memory(STACK), scope.target, "loop")
    assert "{...}" in value.text()
    assert value.children()[0].value.children()[0].value.expression == "loop.in.in"


def test_types_that_no_compiler_makes_have_text_and_no_arithmetic(scope: FakeScope) -> None:
    builder = BtfBuilder()
    odd = builder.add(Int("odd", 3, 24, IntEncoding.SIGNED))
    loop = builder.add(Typedef("loop", 2))
    types = builder.build()
    value = TypedValue(types, odd, Constant(b"\xff\xff\xff"), scope.target, "odd")
    assert value.text() == "-1"
    with pytest.raises(InputError, match="odd is of type odd and no number"):
        value.number()
    with pytest.raises(InputError):
        value.assign(1)
    assert TypedValue(types, loop, Constant(b""), scope.target).text().startswith("<BTF type 2 is a loop")


def test_types_of_a_real_object(scope: FakeScope, repository: Path) -> None:
    types = load_object(repository / "tests/programs/xdp_parser.bpf.o").btf
    assert types is not None
    flow = types.require("flow", Kind.STRUCT)
    data = initialise(TypedValue(types, flow, Constant(b""), scope.target).type, {"source_port": 80, "ip_version": 4})
    value = TypedValue(types, flow, Constant(data), scope.target, "flow")
    decoded = value.value()
    assert isinstance(decoded, dict)
    assert (decoded["source_port"], decoded["ip_version"]) == (80, 4)
    assert value.child("source").child_count == 16
    assert ".source_port = 80" in value.text()
    maps = types.find(".maps", Kind.DATASEC)
    assert maps is not None
    section = TypedValue(types, maps, Constant(bytes(types.size_of(maps))), scope.target)
    record = types[maps]
    assert isinstance(record, DataSec)
    assert section.child_count == len(record.variables)
    assert {child.value.expression for child in section.children()} >= {"flows", "protocols"}


# Assignment


@pytest.mark.parametrize(
    ("text", "value", "raw"),
    [
        ("__u8", 255, "ff"),
        ("__u8", -1, "ff"),
        ("int", -2, "feffffff"),
        ("int", "0x10", "10000000"),
        ("_Bool", True, "01"),
        ("double", 1, "000000000000f03f"),
        ("float", 0.5, "0000003f"),
        ("enum verdict", "PASS", "02000000"),
        ("enum sign", -1, "ffffffff"),
        ("char[4]", "ab", "61620000"),
        ("char[2]", "ab", "6162"),
        ("char[2]", b"\x01\x02", "0102"),
        ("__u16[3]", [1, 2], "010002000000"),
        ("__u16[3]", [Designated(1, 7), 8], "000007000800"),
        ("int", [5], "05000000"),
        ("struct point", [1, -1], "01000000ffffffff"),
        ("struct point", {"y": 3}, "0000000003000000"),
        ("struct point[2]", [{"x": 1}, (2, 3)], "0100000000000000" + "0200000003000000"),
        ("struct bits", [3, 31], "fb" + "00" * 15),
        ("struct bits", {"c": 0x12_3456_789A, "d": "DROP"}, "00" + "9a78563412" + "01" + "00" * 9),
        ("struct iphdr", {"version": 4, "ihl": 5, "daddr": 0x0100007F}, "45" + "00" * 15 + "7f000001"),
        ("struct iphdr", [5, 4, 0, 0, 0, 0, 64, 6, 0, [{"saddr": 1}]], "45" + "00" * 7 + "4006000001" + "00" * 7),
    ],
)  # fmt: skip
def test_initialise(text: str, value: object, raw: str) -> None:
    assert initialise(sample_type(text), value).hex() == raw


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("__u8", 256, "v: 256 does not fit __u8"),
        ("__u8", -129, "v: -129 does not fit __u8"),
        ("int", 2**31, "v: 2147483648 does not fit int"),
        ("__u64", 10**99, "v: a number of 329 bits does not fit __u64"),
        ("_Bool", 2, "v: 2 does not fit _Bool"),
        ("int", 1.5, "v: 1.5 is not an integer, as int needs"),
        ("float", 1e300, "v: the number does not fit float"),
        ("int", "ten", "v: 'ten' is not a number"),
        ("int", None, "v: int needs a number"),
        ("enum verdict", "PAST", "there is no enumerator named PAST; did you mean PASS?"),
        ("char[2]", "abc", "v: 3 bytes of text do not fit char[2]"),
        ("int[2]", "ab", "v: int[2] cannot be set from text"),
        ("int[2]", [1, 2, 3], "v: element 2 lies outside of int[2]"),
        ("int[2]", 5, "v: int[2] needs a list in braces or a value of its type"),
        ("int[2]", b"abc", "v: 3 bytes were given where int[2] has 8"),
        ("int[2]", {"x": 1}, "v: int[2] has no member x"),
        ("struct point", [1, 2, 3], "v: 3 items are too many for struct point"),
        ("struct point", [Designated(0, 1)], "v: struct point is no array and has no element 0"),
        ("struct point", {"z": 1}, "there is no member of struct point named z; there is x, y"),
        ("struct point[2]", [[1], [1, 2**40]], "v[1].y: 1099511627776 does not fit int"),
        ("struct bits", {"a": 9}, "v.a: 9 does not fit int of 3 bits"),
        ("struct bits", {"b": 32}, "v.b: 32 does not fit unsigned int of 5 bits"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, value: object, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        initialise(sample_type(text), value, "v")
    assert caught.value.reason == reason


def test_assign(scope: FakeScope) -> None:
    points, seven, name = (scope.variables[text] for text in ("points", "seven", "name"))
    seven.assign(8)
    seven.assign(scope.variables["points"].element(3).child("y"))
    assert seven.number() == 8
    points.element(0).assign(points.element(3))
    points.element(1).assign({"x": 9})
    name.assign("lo")
    assert (points.value(), name.value()) == (
        [{"x": 7, "y": 8}, {"x": 9, "y": 0}, {"x": 5, "y": 6}, {"x": 7, "y": 8}],
        "lo",
    )
    scope.variables["iph"].child("version").assign(6)
    assert scope.target.read(PACKET + 14, 1) == b"\x65"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (Memory(READ_ONLY), "v: 4 bytes at 0x5000 cannot be written"),
        (Register(10), "v: r10 is read-only"),
        (Constant(bytes(4)), "v: it is a constant here and cannot be changed"),
        (OptimisedOut(), "v: it is optimised out"),
        (Bits(Memory(READ_ONLY), 1, 0, 3, False), "v: 1 bytes at 0x5000 cannot be written"),
        (Bits(Memory(STACK), 1, 0, 3, False), "v: 8 does not fit int of 3 bits"),
        (Moving(lambda: Bits(Memory(STACK), 1, 0, 3, False)), "v: 8 does not fit int of 3 bits"),
    ],
)
def test_what_cannot_be_changed(place: Place, reason: str, scope: FakeScope) -> None:
    with pytest.raises(InputError) as caught:
        value_of("int", place, scope.target).assign(8 if "fit" in reason else 1)
    assert caught.value.reason == reason


@given(st.data())
def test_what_is_assigned_is_read_back(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(["char", "unsigned char", "__u16", "int", "__u32", "long", "__u64"]))
    value = value_of(text, Memory(STACK), FakeTarget({STACK: bytes(16)}))
    scalar = value.type.scalar()
    assert scalar is not None
    number = data.draw(st.integers(scalar.lowest, scalar.highest))
    value.assign(number)
    assert value.number() == number
    with pytest.raises(InputError, match="does not fit"):
        value.assign(scalar.highest + 1)


def test_a_constant_value(scope: FakeScope) -> None:
    value = constant_value(c_type("int", "little"), struct.pack("<i", -3), scope.target)
    assert (value.number(), value.text(), value.type_text, value.address) == (-3, "-3", "int", None)
