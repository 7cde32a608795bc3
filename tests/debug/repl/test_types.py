"""ptype and whatis."""

from __future__ import annotations

import pytest
from debug.debug_support import PROGRAMS
from debug.repl.repl_support import Repl, parser

from pybpftime.debug.repl.layout import layout_lines, type_lines
from pybpftime.debug.values import CType
from pybpftime.program.btf import BtfBuilder, Int, IntEncoding, Kind, Member, Struct, Union
from pybpftime.runtime.load import read_object


@pytest.fixture(scope="module")
def stopped() -> Repl:
    repl = parser(4, 6)
    repl("b 164", "c")
    return repl


FLOW = """type = struct flow {
    __u8 source[16];
    __u8 destination[16];
    __u16 source_port;
    __u16 destination_port;
    __u8 ip_version;
    __u8 protocol;
    __u16 padding;
}"""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("whatis struct flow", "type = struct flow"),
        ("whatis flow", "type = struct flow *"),
        ("whatis *flow", "type = struct flow"),
        ("whatis __u32", "type = unsigned int"),
        ("whatis int[4]", "type = int[4]"),
        ("whatis ip->ttl + 1", "type = int"),
        ("whatis flows", "a map from struct flow to struct counter"),
        ("ptype struct flow", FLOW),
        ("ptype *flow", FLOW),
        ("ptype flow", FLOW + " *"),
        ("ptype struct flow *[3]", FLOW + " *[3]"),
        ("ptype ip->ttl", "type = unsigned char"),
        ("ptype 1 + 1.0", "type = double"),
        ("ptype unsigned", "type = unsigned int"),
        ("ptype struct counter", "type = struct counter {\n    __u64 packets;\n    __u64 bytes;\n}"),
        ("ptype/o int", "type = int"),
        ("ptype", "error: ptype takes an expression or a type"),
        ("ptype/x ip", "error: /x is no format of ptype: /o shows offsets and sizes"),
        ("ptype struct", "error: the name of the struct is expected, here is the end (at character 7)"),
        ("ptype struct nothing", "error: there is no type struct nothing"),
        ("ptype long foo", "error: the end of the type is expected, here is 'foo' (at character 6)"),
        ("whatis nothing", "error: there is no variable, map or constant named nothing; "),
    ],
)
def test_types(stopped: Repl, command: str, said: str) -> None:
    text = stopped(command).removesuffix("\n")
    assert text == said or (said.startswith("error: there is no variable") and text.startswith(said))


def test_an_enumeration_says_its_numbers_where_they_jump(stopped: Repl) -> None:
    text = stopped("ptype enum protocol")
    assert text.startswith("type = enum protocol {ARP, IPV4_TCP, IPV4_UDP, ")
    assert text.endswith("PROTOCOL_COUNT}\n")


def test_a_map_has_two_types(stopped: Repl) -> None:
    text = stopped("ptype flows")
    assert text.startswith("keys of " + FLOW + "\nvalues of type = struct counter {")


def test_the_layout_of_nested_types(stopped: Repl) -> None:
    lines = stopped("ptype/o struct iphdr").splitlines()
    assert lines[0] == "/* offset      |    size */  type = struct iphdr {"
    assert "/*      0: 4   |       1 */      __u8 version : 4;" in lines
    assert "/*     16      |       4 */              __be32 daddr;" in lines, "offsets count from the outermost struct"
    assert lines[-2].strip() == "/* total size: 20 bytes */"
    assert lines[-1].strip() == "}"


def test_holes_and_padding() -> None:
    builder = BtfBuilder()
    byte = builder.add(Int("char", 1, 8, IntEncoding.SIGNED))
    word = builder.add(Int("int", 4, 32, IntEncoding.SIGNED))
    inner = builder.add(Union("", 4, (Member("a", word, 0), Member("b", byte, 0))))
    outer = builder.add(
        Struct("holes", 20, (
            Member("first", byte, 0), Member("bits", word, 32, 3), Member("more", word, 64), Member("", inner, 96),
            Member("last", byte, 128),
        ))
    )  # fmt: skip
    kind = CType(builder.build(), outer)
    assert layout_lines(kind, "") == [
        "/* offset      |    size */  struct holes {",
        "/*      0      |       1 */      char first;",
        "/* XXX  3-byte hole      */",
        "/*      4: 0   |       4 */      int bits : 3;",
        "/* XXX  29-bit hole      */",
        "/*      8      |       4 */      int more;",
        "/*     12      |       4 */      union {",
        "/*     12      |       4 */          int a;",
        "/*     12      |       1 */          char b;",
        "                                     /* total size: 4 bytes */",
        "                                 };",
        "/*     16      |       1 */      char last;",
        "/* XXX  3-byte padding   */",
        "                                 /* total size: 20 bytes */",
        "                             }",
    ]
    assert type_lines(kind, "x = ") == [
        "x = struct holes {", "    char first;", "    int bits : 3;", "    int more;", "    union {", "        int a;",
        "        char b;", "    };", "    char last;", "}",
    ]  # fmt: skip


def test_every_type_of_every_object_has_a_definition() -> None:
    shown = 0
    for path in PROGRAMS[::4]:
        types = read_object(path).btf
        for number in () if types is None else types.own_ids:
            kind = types.kind(number)
            if kind in (Kind.DATASEC, Kind.FUNC, Kind.VAR, Kind.DECL_TAG):
                continue
            lines = type_lines(CType(types, number), "")
            margined = [line for line in layout_lines(CType(types, number), "") if "*/" not in line[28:]]
            assert len(lines) <= len(margined) + 1
            assert sum(line.count("{") - line.count("}") for line in lines) == 0
            shown += 1
    assert shown > 100
