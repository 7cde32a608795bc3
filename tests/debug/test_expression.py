"""What expressions mean: C's rules by a table worked out by hand, and what the debugger adds to C."""

from __future__ import annotations

import pytest
from debug.values_support import PACKET, STACK, VALUES, FakeScope, sample_scope

from pybpftime.debug.expression import MapValue, compile_condition, compile_expression, render_error
from pybpftime.debug.values import Memory, Moving, OptimisedOut, Pieces, Register, TypedValue
from pybpftime.errors import InputError


@pytest.fixture
def scope() -> FakeScope:
    return sample_scope()


def shown(text: str, scope: FakeScope) -> str:
    value = compile_expression(text, scope, allow_assignment=True).value()
    assert isinstance(value, TypedValue)
    return value.text()


# C11, worked out by hand for LP64 with signed char: expression, type, value.
ARITHMETIC = [
    # 6.4.4.1: the type of a constant is the first in which it fits
    ("2147483647", "int", 2**31 - 1),
    ("2147483648", "long", 2**31),
    ("0x7fffffff", "int", 2**31 - 1),
    ("0xffffffff", "unsigned int", 2**32 - 1),
    ("0x100000000", "long", 2**32),
    ("0xffffffffffffffff", "unsigned long", 2**64 - 1),
    ("037777777777", "unsigned int", 2**32 - 1),
    ("0b101", "int", 5),
    ("010", "int", 8),
    ("1u", "unsigned int", 1),
    ("4294967296u", "unsigned long", 2**32),
    ("1l", "long", 1),
    ("1lu", "unsigned long", 1),
    ("1LL", "long long", 1),
    ("1ull", "unsigned long long", 1),
    # 6.4.4.4: character constants are ints
    ("'a'", "int", 97),
    ("'\\n'", "int", 10),
    ("'\\0'", "int", 0),
    ("'\\101'", "int", 65),
    ("'\\xff'", "int", -1),
    ("sizeof('a')", "unsigned long", 4),
    # 6.3.1.1: what is narrower than int becomes int
    ("(unsigned char)255 + (unsigned char)255", "int", 510),
    ("(unsigned short)65535 * 2", "int", 131070),
    ("-(unsigned short)1", "int", -1),
    ("~(unsigned char)0", "int", -1),
    ("(_Bool)7 + (_Bool)9", "int", 2),
    ("!5", "int", 0),
    ("!0", "int", 1),
    # 6.3.1.8: the usual arithmetic conversions
    ("-1 < 1", "int", 1),
    ("-1 < 1u", "int", 0),
    ("-1 < 1ul", "int", 0),
    ("-1l < 1u", "int", 1),
    ("-1 == 0xffffffff", "int", 1),
    ("-1 == 0xffffffffl", "int", 0),
    ("-1 == 0xffffffffffffffff", "int", 1),
    ("1u - 2", "unsigned int", 2**32 - 1),
    ("1u - 2l", "long", -1),
    ("1ul - 2ll", "unsigned long long", 2**64 - 1),
    ("1ll + 1ul", "unsigned long long", 2),
    ("1 + 1l", "long", 2),
    # 6.5.5: division toward zero, and (a/b)*b + a%b == a
    ("7 / 2", "int", 3),
    ("-7 / 2", "int", -3),
    ("7 / -2", "int", -3),
    ("-7 / -2", "int", 3),
    ("-7 % 2", "int", -1),
    ("7 % -2", "int", 1),
    ("-7 / 2u", "unsigned int", (2**32 - 7) // 2),
    # undefined in C, defined here: overflow wraps around
    ("2147483647 + 1", "int", -(2**31)),
    ("(-2147483647 - 1) / -1", "int", -(2**31)),
    ("(-2147483647 - 1) % -1", "int", 0),
    # 6.5.7: the type of a shift is that of its left operand; negative numbers shift arithmetically
    ("1 << 31", "int", -(2**31)),
    ("1u << 31", "unsigned int", 2**31),
    ("1 << 4l", "int", 16),
    ("1l << 40", "long", 2**40),
    ("-5 >> 1", "int", -3),
    ("-5u >> 1", "unsigned int", (2**32 - 5) >> 1),
    ("(unsigned char)128 << 1", "int", 256),
    # casts
    ("(char)200", "char", -56),
    ("(unsigned char)-1", "unsigned char", 255),
    ("(short)65535", "short", -1),
    ("(__u16)0x12345", "__u16", 0x2345),
    ("(long)0xffffffff", "long", 2**32 - 1),
    ("(long)(int)0xffffffff", "long", -1),
    ("(unsigned long long)-1", "unsigned long long", 2**64 - 1),
    ("(unsigned long)(unsigned)-1", "unsigned long", 2**32 - 1),
    ("(_Bool)256", "_Bool", 1),
    ("(_Bool)0.5", "_Bool", 1),
    ("(int)-2.9", "int", -2),
    ("(enum verdict)2", "enum verdict", 2),
    # precedence and grouping
    ("2 + 3 * 4", "int", 14),
    ("10 - 4 - 3", "int", 3),
    ("100 / 5 / 2", "int", 10),
    ("1 << 2 + 1", "int", 8),
    ("1 | 2 ^ 3 & 2", "int", 1 | (2 ^ (3 & 2))),
    ("5 & 3 == 3", "int", 5 & 1),
    ("1 < 2 == 1", "int", 1),
    ("3 > 2 > 1", "int", 0),
    ("-2 * -3", "int", 6),
    ("- -2", "int", 2),
    ("!0 + 1", "int", 2),
    ("0 || 1 && 0", "int", 0),
    ("1 ? 2 : 0 ? 3 : 4", "int", 2),
    ("0 ? 1 : 0 ? 3 : 4", "int", 4),
    ("1 ? 1 : 2u", "unsigned int", 1),
    ("0 ? 1u : -1", "unsigned int", 2**32 - 1),
    ("1 ? 'a' : 2l", "long", 97),
    # && || ?: evaluate no more than they need
    ("0 && 1 / 0", "int", 0),
    ("1 || 1 / 0", "int", 1),
    ("1 ? 2 : 1 / 0", "int", 2),
    # sizeof evaluates nothing
    ("sizeof(1 / 0)", "unsigned long", 4),
    ("sizeof(int *)", "unsigned long", 8),
    ("sizeof(int[3])", "unsigned long", 12),
    ("sizeof(struct iphdr)", "unsigned long", 20),
    ("sizeof points", "unsigned long", 32),
    ("sizeof points[0]", "unsigned long", 8),
    ("sizeof(points + 0)", "unsigned long", 8),
    ("sizeof iph->ttl + 1", "unsigned long", 2),
    ("sizeof(long unsigned int)", "unsigned long", 8),
    ('sizeof("eth0")', "unsigned long", 5),
    # floating point
    ("1 / 2.0", "double", 0.5),
    ("1.5f * 2", "float", 3.0),
    ("real + 1", "double", 3.5),
    ("single < 0.2", "int", 1),
    ("0.1f == 0.1", "int", 0),
    ("1e3", "double", 1000.0),
    # bit fields: promoted by their width (a: int:3, b: unsigned:5, c: u64:40, e: unsigned:32, f: long:20)
    ("bits.a", "int", -3),
    ("bits.b - 23", "int", -1),
    ("bits.b - 23 < 0", "int", 1),
    ("bits.c + 0", "unsigned long long", 0x12_3456_789A),
    ("bits.e + 0", "unsigned int", 0xFFFF_FFFF),
    ("bits.e + 1", "unsigned int", 0),
    ("bits.f + 0", "int", 0xABCDE - 2**20),
    ("-iph->ihl", "int", -5),
    # variables
    ("negative / 2", "int", -2),
    ("negative < seven", "int", 0),
    ("negative + seven", "unsigned int", 2),
    ("byte + 100", "int", 300),
    ("(char)byte", "char", -56),
    ("PASS | 4", "int", 6),
    ("HUGE", "unsigned long", 2**63),
    # pointers
    ("points[2].y", "int", 6),
    ("2[points].y", "int", 6),
    ("(seven - 5)[points].y", "int", 6),
    ("seven[name]", "char", ord("c")),
    ("(*(points + 1)).x", "int", 3),
    ("(points + 1)->x", "int", 3),
    ("&points[3] - &points[1]", "long", 2),
    ("&points[1] - &points[3]", "long", -2),
    ("(char *)&points[1] - (char *)points", "long", 8),
    ("(unsigned long)(points + 1) - (unsigned long)points", "unsigned long", 8),
    ("(void *)points + 1 == (char *)points + 1", "int", 1),
    ("points == &points[0]", "int", 1),
    ("&points[1] > points", "int", 1),
    ("list && list->next", "int", 1),
    ("!list", "int", 0),
    ("list == 0", "int", 0),
    ("list->next->next == list", "int", 1),
    ("list->value", "int", 1),
    ("list->next->value", "int", 2),
    ("*&negative", "int", -5),
    ("*(int *)&seven", "int", 7),
    ("*text", "char", ord("e")),
    ("text[1]", "char", ord("t")),
    ("name[3] - '0'", "int", 0),
    ("(1 ? list : 0)->value", "int", 1),
    ("eth + 1 == (void *)iph", "int", 1),
    # anonymous members
    ("iph->daddr == iph->addrs.daddr", "int", 1),
    ("&iph->daddr == &iph->addrs.daddr", "int", 1),
    ("&(*iph).saddr - (__u32 *)iph", "long", 3),
]


@pytest.mark.parametrize(("text", "kind", "number"), ARITHMETIC)
def test_c_rules(text: str, kind: str, number: float, scope: FakeScope) -> None:
    found = compile_expression(text, scope)
    assert (found.number(), found.type_text) == (number, kind)
    assert found.truth() is bool(number)


DEBUGGER = [
    ("ntohs(eth->h_proto)", "2048"),
    ("bpf_ntohs(iph->tot_len) == 48", "1"),
    ("ntohl(iph->daddr) & 0xff", "2"),
    ("htonl(1)", "16777216"),
    ("bpf_be64_to_cpu(1)", str(1 << 56)),
    ("__builtin_bswap32(0x11223344) == 0x44332211", "1"),
    ("$r0 + r0", "4"),
    ("$r2 == -1", "1"),
    ("$r2", str(2**64 - 1)),
    ("(int)$r3", "-2"),
    ("$step", "17"),
    ("counts[42]", "3"),
    ("counts[seven * 6]", "3"),
    ("counts[-1]", "4"),
    ("counts[0xffffffff]", "4"),
    ("len(counts)", "2"),
    ("exists(counts[42]) + exists(counts[43])", "1"),
    ('flows[{1, 2, 6, "eth0"}].bytes', "400"),
    ('flows[{.port = 2, .name = "eth0", .address = 1, .proto = 6}].packets', "4"),
    ("flows[(struct flow_key){1, 2, 6, {101, 116, 104, 48}}].packets", "4"),
    ('names["eth0"]', "3"),
    ("names[name]", "<the key"),
    ("&counts[42] == (void *)0x3000", "1"),
    ("packet[12]", "8"),
    ("packet[12:14]", "{8, 0}"),
    ("packet[14:34][0] >> 4", "4"),
    ('packet[12:14] == "\\x08\\x00"', "1"),
    ("packet[12:14] == {8, 0}", "1"),
    ("packet[12:14] != {8, 1}", "1"),
    ("*(__u16 *)(packet + 12)", "8"),
    ("((struct ethhdr *)packet)->h_proto", "8"),
    ("((struct iphdr *)&packet[14])->ttl", "1"),
    ("sizeof(packet)", "62"),
    ('name == "eth0"', "1"),
    ('"eth0" == name', "1"),
    ('name != "eth"', "1"),
    ('text == "eth0"', "1"),
    ('text == "eth"', "0"),
    ("eth->h_dest == {255, 255, 255, 255, 255, 255}", "1"),
    ("point == {1, 2}", "1"),
    ("point == {.y = 2}", "0"),
    ("points[1:3]", "{{.x = 3, .y = 4}, {.x = 5, .y = 6}}"),
    ("text[0:3]", "{101 'e', 116 't', 104 'h'}"),
    ("(struct point){3}", "{.x = 3, .y = 0}"),
    ("((struct point){.y = seven}).y", "7"),
    ("(seven ? point : points[1]).x", "1"),
]


@pytest.mark.parametrize(("text", "wanted"), DEBUGGER)
def test_beyond_c(text: str, wanted: str, scope: FakeScope) -> None:
    if wanted.startswith("<"):
        with pytest.raises(InputError):
            shown(text, scope)
    else:
        assert shown(text, scope) == wanted


EVALUATION_ERRORS = [
    ("seven / (seven - 7)", "seven / (seven - 7): division by zero", 7),
    ("seven % 0", "seven % 0: division by zero", 7),
    ("1 << seven * 6", "1 << seven * 6: a shift by 42 is not defined for 32 bits", 3),
    ("1 << -1", "1 << -1: a shift by -1 is not defined for 32 bits", 3),
    ("1 + *(int *)16", "*(int *)16: 4 bytes at 0x10 cannot be read", 5),
    ("((struct iphdr *)0)->ttl == 1", "((struct iphdr *)0)->ttl: 1 byte at 0x8 cannot be read", 22),
    ("((struct iphdr *)0)->ihl", "((struct iphdr *)0)->ihl: 1 byte at 0x0 cannot be read", 22),
    ("r4 > 5", "r4: r4 has no value here", 1),
    ("gone + 1", "gone: it is optimised out", 1),
    ("gone_point.x", "gone_point.x: it is optimised out", 12),
    ("counts[43]", "counts[43]: the map has no such element", 7),
    ("packet[62]", "packet[62]: 62 lies outside of the 62 elements", 7),
    ("packet[-1]", "packet[-1]: -1 lies outside of the 62 elements", 7),
    ("(packet[60:70])[0]", "packet[60:70]: 60:70 does not lie in the 62 elements", 8),
    ("(int)(1.0 / 0)", "1.0 / 0: inf is no integer", 11),
    ("*(int *)&gone", "gone: it does not lie in memory and has no address", 10),
]


@pytest.mark.parametrize(("text", "reason", "column"), EVALUATION_ERRORS)
def test_what_has_no_value_now_says_which_part(text: str, reason: str, column: int, scope: FakeScope) -> None:
    scope.add("gone", "int", OptimisedOut())
    scope.add("gone_point", "struct point", OptimisedOut())
    found = compile_expression(text, scope)
    with pytest.raises(InputError) as caught:
        found.number()
    assert (caught.value.reason, caught.value.column) == (reason, column)


MEANINGLESS = [
    ("iphx->ttl", "there is no variable, map or constant named iphx; did you mean iph?", 1),
    ("iph->tttl", "struct iphdr has no member tttl; did you mean ttl?", 6),
    ("iph.ttl", "iph: it is a pointer: use ->", 1),
    ("point->x", "point: it is no pointer: use .", 1),
    ("seven.x", "seven: it is of type __u32 and has no members", 1),
    ("*seven", "seven: it is of type __u32 and no pointer; a cast makes it one", 2),
    ("seven[1]", "seven[1]: seven is of type __u32 and has no elements", 6),
    ("point + 1", "point: it is of type struct point and has no number", 1),
    ("list + list", "list + list: + is not for struct node * and struct node *", 6),
    ("list * 2", "list * 2: * is not for struct node * and int", 6),
    ("-list", "-list: - is not for pointers", 1),
    ("list - points", "list - points: struct node * and struct point * have no difference", 6),
    ("&5", "&5: 5 has no address", 1),
    ("&iph->ihl", "iph->ihl: it is a bit field and has no address", 7),
    ("sizeof(iph->ihl)", "sizeof(iph->ihl): a bit field has no size", 1),
    ("real % 2", "real % 2: % is for integers", 6),
    ("~real", "~real: ~ is for integers", 1),
    ("(struct hidden *)1 + 1", "(struct hidden *)1 + 1: struct hidden is incomplete: its size is not known here", 20),
    ("(struct nothing *)1", "there is no type struct nothing", 2),
    ("(struct point)1", "(struct point)1: a cast to struct point has no value", 1),
    ("counts + 1", "counts: it is a map; an element is named with a key in brackets", 1),
    ("sizeof(counts)", "sizeof(counts): counts is a map and has no size; len(counts) counts its elements", 1),
    ("counts[{1, 2}]", "the key of counts: __u32 needs a number", 8),
    ("counts[0x100000000]", "the key of counts: 4294967296 does not fit __u32", 8),
    ("flows[3]", "the key of flows: struct flow_key needs a list in braces or a value of its type", 7),
    ("flows[{.prot = 1}]", "there is no member of struct flow_key named prot; did you mean proto or port?", 7),
    ("flows[{1, 70000}]", "the key of flows.port: 70000 does not fit __u16", 7),
    ("len(seven)", "len(seven): len is for maps, and seven is none", 1),
    ("exists(seven)", "exists(seven): exists takes an element of a map: exists(map[key])", 1),
    ("ntohs()", "ntohs(): ntohs takes one argument, here are 0", 1),
    ("ntosh(1)", "there is no function ntosh; did you mean ntohs or ntohl or htons?", 1),
    ('seven == "eth0"', "seven: it is of type __u32 and not compared with text", 1),
    ('counts["42"]', '"42": the key of counts is of type __u32 and no text', 8),
    ("seven[seven]", "seven[seven]: seven is of type __u32 and has no elements", 6),
    ("{1, 2}", "{1, 2}: a list in braces needs a type here: (struct name){...}", 1),
    ("$x", "$x has no value: set it with $x = ...", 1),
    ("seven = 5", "= changes something, which is not allowed here; == compares", 7),
    ("seven += 5", "+= changes something, which is not allowed here", 7),
]


@pytest.mark.parametrize(("text", "reason", "column"), MEANINGLESS)
def test_what_means_nothing_here_is_refused(text: str, reason: str, column: int, scope: FakeScope) -> None:
    with pytest.raises(InputError) as caught:
        compile_expression(text, scope).number()
    assert (caught.value.reason, caught.value.column) == (reason, column)


def test_a_map_by_itself_is_the_map(scope: FakeScope) -> None:
    found = compile_expression("counts", scope)
    assert found.value() == MapValue("counts", scope.maps["counts"])
    assert found.type_text == ""
    with pytest.raises(InputError, match="it is a map"):
        compile_condition("counts", scope)


def test_a_variable_hides_everything_else_of_its_name(scope: FakeScope) -> None:
    scope.add("r1", "int", Memory(STACK))
    scope.add("packet", "int", Memory(STACK + 4))
    scope.add("__u16", "int", Memory(STACK + 4))
    assert compile_expression("r1", scope).number() == -5
    assert compile_expression("$r1", scope).number() == PACKET
    assert compile_expression("packet", scope).number() == 7
    assert compile_expression("(__u16) - 1", scope).number() == 6
    assert compile_expression("(__u8) - 1", scope).number() == 255


def test_without_a_packet(scope: FakeScope) -> None:
    found = compile_expression("packet[0]", scope)
    scope.the_packet = None
    with pytest.raises(InputError, match=r"packet: there is no packet here"):
        found.number()


def test_an_expression_sees_what_is_there_when_it_is_evaluated(scope: FakeScope) -> None:
    places = [Memory(STACK + 8)]
    scope.add("moving", "struct point", Moving(lambda: places[0]))
    expressions = [compile_expression(text, scope) for text in ("moving.x", "*&moving.x", "r0", "$step", "packet[0]")]
    assert [found.number() for found in expressions] == [1, 1, 2, 17, 255]
    places[0] = Memory(STACK + 16)
    scope.target.registers[0] = 9
    scope.kept["step"] = 18
    scope.the_packet = (PACKET + 12, 50)
    assert [found.number() for found in expressions] == [3, 3, 9, 18, 8]


def test_a_variable_in_registers_and_pieces(scope: FakeScope) -> None:
    scope.target.registers[7] = 0x1_0000_0005
    scope.add("pair", "struct point", Register(7))
    scope.add("split", "struct point", Pieces(((Register(0), 4), (OptimisedOut(), 4))))
    scope.add("array", "int[2]", Register(7))
    assert compile_expression("pair.x * 10 + pair.y", scope).number() == 51
    assert compile_expression("split.x", scope).number() == 2
    assert compile_expression("array[1]", scope).number() == 1
    with pytest.raises(InputError, match=r"split.y: it is optimised out"):
        compile_expression("split.y", scope).number()
    with pytest.raises(InputError, match=r"array\[2\]: 2 lies outside of the 2 elements"):
        compile_expression("array[2]", scope).number()
    with pytest.raises(InputError, match=r"array: it does not lie in memory"):
        compile_expression("*array", scope).number()


def test_values_come_with_the_text_that_reaches_them(scope: FakeScope) -> None:
    for text in ("iph->daddr", "points[1].x", "*list", "counts[42]", "packet[12:14]", "(struct iphdr *)packet"):
        value = compile_expression(text, scope).value()
        assert isinstance(value, TypedValue)
        again = compile_expression(value.expression, scope).value()
        assert isinstance(again, TypedValue)
        assert (again.text(), again.address) == (value.text(), value.address)
        for child in value.children(0, 3):
            reached = compile_expression(child.value.expression, scope).value()
            assert isinstance(reached, TypedValue)
            assert reached.text() == child.value.text()


def test_a_condition_is_true_or_false(scope: FakeScope) -> None:
    assert compile_condition("iph->ttl == 1 && counts[42] > 2", scope)() is True
    assert compile_condition("list", scope)() is True
    assert compile_condition("real - 2.5", scope)() is False


def test_the_place_of_an_error_is_drawn(scope: FakeScope) -> None:
    text = "seven == 7 && iphx->ttl"
    with pytest.raises(InputError) as caught:
        compile_expression(text, scope)
    assert render_error(text, caught.value).splitlines() == [
        text,
        "              ^",
        "there is no variable, map or constant named iphx; did you mean iph?",
    ]
    assert render_error("x", InputError("without a place")) == "without a place"
    long = "1 + " * 50 + "nothing"
    lines = render_error(long, InputError("here", column=len(long) - 6)).splitlines()
    assert lines[0][len(lines[1]) - 1 :] == "nothing"


def test_a_map_that_refuses_a_key_says_which_element(scope: FakeScope) -> None:
    def refuse(key: bytes) -> int | None:
        raise InputError(f"no key of {len(key)} bytes")

    scope.maps["counts"].element = refuse  # type: ignore[method-assign]
    for text in ("1 + counts[42]", "exists(counts[42])"):
        with pytest.raises(InputError) as caught:
            compile_expression(text, scope).number()
        assert (caught.value.reason, caught.value.column) == ("counts[42]: no key of 4 bytes", text.index("[") + 1)


def test_addresses_of_map_values_follow_the_map(scope: FakeScope) -> None:
    found = compile_expression("counts[42]", scope)
    scope.maps["counts"].elements[bytes([42, 0, 0, 0])] = VALUES + 8
    value = found.value()
    assert isinstance(value, TypedValue)
    assert (found.number(), value.address) == (300, VALUES + 8)
