"""A made-up stopped program: memory, registers, types and names, without a machine.

Types are as `<linux/ip.h>` and friends have them, plus what is easily got wrong: bit fields, anonymous members,
recursion.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import cache
from typing import Literal

from pybpftime.debug.values import CType, Memory, Place, Register, TypedValue
from pybpftime.errors import InputError
from pybpftime.program.btf import (
    Array,
    Btf,
    BtfBuilder,
    Const,
    Enum,
    Enumerator,
    Float,
    Fwd,
    Int,
    IntEncoding,
    Kind,
    Member,
    Ptr,
    Struct,
    Typedef,
    Union,
)

PACKET = 0x1000
STACK = 0x2000
VALUES = 0x3000
READ_ONLY = 0x5000

ETHERNET = bytes.fromhex("ffffffffffff 020000000001 0800")
IP = bytes.fromhex("4500 0030 1234 4000 01 11 0000 0a000001 0a000002")


class FakeTarget:
    """Regions of bytes by their first address, and eleven registers."""

    byteorder: Literal["little"] = "little"

    def __init__(self, regions: dict[int, bytes] | None = None) -> None:
        self.regions = {base: bytearray(data) for base, data in (regions or {}).items()}
        self.registers: list[int | None] = [None] * 11

    def read(self, address: int, size: int) -> bytes | None:
        for base, data in self.regions.items():
            if base <= address and address + size <= base + len(data):
                return bytes(data[address - base : address - base + size])
        return None

    def write(self, address: int, data: bytes) -> None:
        if address >= READ_ONLY or self.read(address, len(data)) is None:
            raise InputError(f"{len(data)} bytes at {address:#x} cannot be written")
        for base, region in self.regions.items():
            if base <= address < base + len(region):
                region[address - base : address - base + len(data)] = data

    def register(self, number: int) -> int | None:
        return self.registers[number]

    def set_register(self, number: int, value: int) -> None:
        if number == 10:
            raise InputError("r10 is read-only")
        self.registers[number] = value

    def describe(self, address: int) -> str | None:
        return f"packet + {address - PACKET}" if PACKET <= address < PACKET + 64 else None


@cache
def sample_types() -> Btf:
    """The types of the program."""
    builder = BtfBuilder()
    add = builder.add
    ids: dict[str, int] = {
        "char": add(Int("char", 1, 8, IntEncoding.SIGNED)),
        "int": add(Int("int", 4, 32, IntEncoding.SIGNED)),
        "uint": add(Int("unsigned int", 4, 32)),
        "uchar": add(Int("unsigned char", 1, 8)),
        "ushort": add(Int("unsigned short", 2, 16)),
        "ulong": add(Int("unsigned long long", 8, 64)),
        "long": add(Int("long", 8, 64, IntEncoding.SIGNED)),
        "bool": add(Int("_Bool", 1, 8, IntEncoding.BOOL)),
        "double": add(Float("double", 8)),
        "float": add(Float("float", 4)),
    }
    u8, u16 = add(Typedef("__u8", ids["uchar"])), add(Typedef("__u16", ids["ushort"]))
    u32, u64 = add(Typedef("__u32", ids["uint"])), add(Typedef("__u64", ids["ulong"]))
    be32 = add(Typedef("__be32", u32))
    mac = add(Array(ids["uchar"], ids["uint"], 6))
    add(Struct("ethhdr", 14, (Member("h_dest", mac, 0), Member("h_source", mac, 48), Member("h_proto", u16, 96))))
    addresses = add(Struct("", 8, (Member("saddr", be32, 0), Member("daddr", be32, 32))))
    add(Struct("addrs", 8, (Member("saddr", be32, 0), Member("daddr", be32, 32))))
    both = add(Union("", 8, (Member("", addresses, 0), Member("addrs", addresses, 0))))
    plain = [("tos", u8, 8), ("tot_len", u16, 16), ("id", u16, 32), ("frag_off", u16, 48), ("ttl", u8, 64)]
    plain += [("protocol", u8, 72), ("check", u16, 80), ("", both, 96)]
    members = [Member("ihl", u8, 0, 4), Member("version", u8, 4, 4), *(Member(*item) for item in plain)]
    iphdr = add(Struct("iphdr", 20, tuple(members)))
    add(Ptr(iphdr))
    verdict = add(Enum("verdict", 4, (Enumerator("ABORTED", 0), Enumerator("DROP", 1), Enumerator("PASS", 2))))
    add(Enum("sign", 4, (Enumerator("MINUS", -1), Enumerator("PLUS", 1)), True))
    point = add(Struct("point", 8, (Member("x", ids["int"], 0), Member("y", ids["int"], 32))))
    add(Array(point, ids["uint"], 4))
    node = builder.next_id
    add(Struct("node", 16, (Member("next", node + 1, 0), Member("value", ids["int"], 64))))
    add(Ptr(node))
    name = add(Array(ids["char"], ids["uint"], 8))
    key = (Member("address", u32, 0), Member("port", u16, 32), Member("proto", u8, 48), Member("name", name, 56))
    add(Struct("flow_key", 16, key))
    counter = add(Struct("counter", 16, (Member("packets", u64, 0), Member("bytes", u64, 64))))
    bits = [("a", ids["int"], 0, 3), ("b", ids["uint"], 3, 5), ("c", ids["ulong"], 8, 40), ("d", verdict, 48, 2)]
    bits += [("e", ids["uint"], 64, 32), ("f", ids["long"], 96, 20)]
    add(Struct("bits", 16, tuple(Member(*item) for item in bits)))
    add(Ptr(add(Fwd("hidden"))))
    add(Ptr(add(Const(ids["char"]))))
    add(Ptr(counter))
    add(Ptr(0))
    return builder.build()


def find_type(keyword: str, name: str) -> tuple[Btf, int] | None:
    """As `Scope.find_type` in the sample types."""
    kinds = {"struct": (Kind.STRUCT, Kind.FWD), "union": (Kind.UNION, Kind.FWD), "enum": (Kind.ENUM,)}
    for kind in kinds.get(keyword, (Kind.TYPEDEF, Kind.INT, Kind.FLOAT)):
        found = sample_types().find(name, kind)
        if found is not None:
            return sample_types(), found
    return None


def sample_type(text: str) -> CType:
    """A type by its C text: `struct iphdr`, `__u8`, `int *`, `char[8]`."""
    base, stars, counts = text, 0, []
    while base.endswith("]"):
        base, _, count = base[:-1].rpartition("[")
        counts.append(int(count))
    while base.endswith("*"):
        base, stars = base[:-1].strip(), stars + 1
    keyword, _, name = base.rpartition(" ")
    keyword = keyword if keyword in ("struct", "union", "enum") else ""
    found = find_type(keyword, name if keyword else base)
    kind = CType(sample_types(), 0) if base == "void" else CType(*found) if found else None
    assert kind is not None, text
    for _ in range(stars):
        kind = kind.pointer()
    for count in counts:
        kind = kind.array(count)
    return kind


class FakeMap:
    """A map from key bytes to addresses."""

    def __init__(self, key: str, value: str, elements: dict[bytes, int]) -> None:
        self.key_type = sample_type(key)
        self.value_type = sample_type(value)
        self.elements = elements

    @property
    def cpu_count(self) -> int | None:
        return None

    def element(self, key: bytes, cpu: int | None = None) -> int | None:
        return self.elements.get(key)

    def length(self) -> int:
        return len(self.elements)


class FakeScope:
    """Names of the made-up program."""

    def __init__(self, target: FakeTarget) -> None:
        self.target = target
        self.variables: dict[str, TypedValue] = {}
        self.maps: dict[str, FakeMap] = {}
        self.kept: dict[str, int | TypedValue] = {}
        self.the_packet: tuple[int, int] | None = None

    def add(self, name: str, text: str, place: Place) -> TypedValue:
        """A variable of a type given as C text."""
        kind = sample_type(text)
        self.variables[name] = TypedValue(kind.types, kind.id, place, self.target, name)
        return self.variables[name]

    def variable(self, name: str) -> TypedValue | None:
        return self.variables.get(name)

    def find_type(self, keyword: str, name: str) -> tuple[Btf, int] | None:
        return find_type(keyword, name)

    def enumerator(self, name: str) -> int | None:
        return {"ABORTED": 0, "DROP": 1, "PASS": 2, "MINUS": -1, "HUGE": 1 << 63}.get(name)

    def map(self, name: str) -> FakeMap | None:
        return self.maps.get(name)

    def packet(self) -> tuple[int, int] | None:
        return self.the_packet

    def special(self, name: str) -> int | TypedValue | None:
        return self.kept.get(name)

    def set_special(self, name: str, value: TypedValue) -> None:
        if name in ("pc", "step"):
            raise InputError(f"${name} cannot be changed")
        self.kept[name] = value

    def names(self) -> Iterable[str]:
        return [*self.variables, *self.maps, "ABORTED", "DROP", "PASS", "MINUS", "HUGE"]


def sample_scope() -> FakeScope:
    """A scope with a packet at `PACKET`, variables on the stack at `STACK`, map values at `VALUES`."""
    stack = bytearray(256)
    struct.pack_into("<i", stack, 0, -5)  # negative
    struct.pack_into("<I", stack, 4, 7)  # seven
    struct.pack_into("<8i", stack, 8, 1, 2, 3, 4, 5, 6, 7, 8)  # points
    stack[40:48] = b"eth0\0abc"  # name
    struct.pack_into("<QiI", stack, 48, STACK + 64, 1, 0)  # list: node 1
    struct.pack_into("<QiI", stack, 64, STACK + 48, 2, 0)  # node 2 -> node 1
    struct.pack_into("<QQ", stack, 80, 0xE8_12345678_9A_B5 & ~0, 0xABCDE_FFFFFFFF)  # bits
    struct.pack_into("<dfB", stack, 96, 2.5, 0.1, 200)  # real, single, byte
    struct.pack_into("<Q", stack, 112, STACK + 40)  # text
    target = FakeTarget(
        {
            PACKET: ETHERNET + IP + bytes(range(28)),
            STACK: bytes(stack),
            VALUES: struct.pack("<4Q", 3, 300, 4, 400),
            READ_ONLY: b"const\0\0\0",
        }
    )
    target.registers = [2, PACKET, (1 << 64) - 1, 0xFFFF_FFFE, None, PACKET + 14, None, 5, None, None, STACK + 256]
    scope = FakeScope(target)
    scope.the_packet = (PACKET, 62)
    scope.add("iph", "struct iphdr *", Register(5))
    scope.add("eth", "struct ethhdr *", Register(1))
    for name, text, offset in (
        ("negative", "int", 0),
        ("seven", "__u32", 4),
        ("points", "struct point[4]", 8),
        ("point", "struct point", 8),
        ("name", "char[8]", 40),
        ("list", "struct node *", 64),
        ("bits", "struct bits", 80),
        ("real", "double", 96),
        ("single", "float", 104),
        ("byte", "__u8", 108),
        ("text", "char *", 112),
        ("flag", "_Bool", 120),
    ):
        scope.add(name, text, Memory(STACK + offset))
    scope.maps["counts"] = FakeMap("__u32", "__u64", {bytes([42, 0, 0, 0]): VALUES, b"\xff" * 4: VALUES + 16})
    key = struct.pack("<IHB8sx", 1, 2, 6, b"eth0")
    scope.maps["flows"] = FakeMap("struct flow_key", "struct counter", {key: VALUES + 16})
    scope.maps["names"] = FakeMap("char[8]", "int", {b"eth0\0\0\0\0": VALUES})
    scope.kept["step"] = 17
    return scope
