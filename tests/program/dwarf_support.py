"""A small writer of DWARF 4, for entries that no committed object has, and what the debug information tests share."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from program.elf_support import EXIT, MOV, ElfWriter

from pybpftime.debug.symbols import DebugFile
from pybpftime.program import load_object
from pybpftime.program.debug_info import DebugInfo
from pybpftime.program.elf_dwarf import read_debug_info
from pybpftime.program.spec import ObjectSpec

STRING, UDATA, SDATA, EXPRLOC, REF4, FLAG, ADDRESS = 0x08, 0x0F, 0x0D, 0x18, 0x13, 0x0C, 0x01  # DW_FORM_*

TAGS = {
    "array": 0x01, "class": 0x02, "enumeration": 0x04, "parameter": 0x05, "block": 0x0B, "member": 0x0D,
    "pointer": 0x0F, "unit": 0x11, "struct": 0x13, "subroutine": 0x15, "typedef": 0x16, "union": 0x17,
    "unspecified_parameters": 0x18, "inheritance": 0x1C, "inlined": 0x1D, "subrange": 0x21, "base": 0x24, "const": 0x26,
    "enumerator": 0x28, "subprogram": 0x2E, "variable": 0x34, "volatile": 0x35, "restrict": 0x37,
    "unspecified": 0x3B, "atomic": 0x47,
}  # fmt: skip
ATTRIBUTES = {
    "location": 0x02, "name": 0x03, "byte_size": 0x0B, "bit_offset": 0x0C, "bit_size": 0x0D, "low_pc": 0x11,
    "high_pc": 0x12, "const_value": 0x1C, "upper_bound": 0x2F, "abstract_origin": 0x31, "count": 0x37,
    "data_member_location": 0x38, "decl_line": 0x3B, "declaration": 0x3C, "encoding": 0x3E, "external": 0x3F,
    "frame_base": 0x40, "specification": 0x47, "type": 0x49, "call_line": 0x59, "data_bit_offset": 0x6B,
}  # fmt: skip


@dataclass(eq=False)
class Node:
    """An entry to write.  Values: str, int, bytes (an expression), Node (a reference), True (a flag)."""

    tag: str
    attributes: dict[str, str | int | bytes | Node]
    children: list[Node] = field(default_factory=list)
    offset: int = 0


def node(tag: str, *children: Node, **attributes: str | int | bytes | Node) -> Node:
    return Node(tag, attributes, list(children))


def uleb128(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def sleb128(number: int) -> bytes:
    encoded = bytearray()
    while not -64 <= number < 64:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number & 0x7F])


class DwarfWriter:
    """Makes an object with one program of two instructions in section `xdp` and the debug information given."""

    def __init__(self, *nodes: Node, **attributes: str | int) -> None:
        self._abbreviations: dict[tuple[object, ...], int] = {}
        self._table = bytearray()
        self._root = node("unit", *nodes, **({"name": "made.c"} | attributes))
        self._addresses: list[int] = []

    def build(self) -> bytes:
        header = struct.pack("<HIB", 4, 0, 8)
        self._write(self._root, 4 + len(header))  # once for the offsets, which references need
        self._addresses.clear()
        body = header + self._write(self._root, 4 + len(header))
        elf = ElfWriter()
        section = elf.program("xdp", "prog", MOV, EXIT)
        elf.add(".debug_abbrev", bytes(self._table) + b"\0")
        info = elf.add(".debug_info", struct.pack("<I", len(body)) + body)
        elf.relocate(info, *[(at, 2, 1) for at in self._addresses])  # symbol 1 is `prog`
        assert section == 1
        return elf.build()

    def _write(self, item: Node, at: int) -> bytes:
        item.offset = at
        shape = [(ATTRIBUTES[name], _form(name, value)) for name, value in item.attributes.items()]
        data = bytearray(uleb128(self._abbreviation(TAGS[item.tag], bool(item.children), shape)))
        for (_, form), value in zip(shape, item.attributes.values(), strict=True):
            if form == ADDRESS:
                self._addresses.append(at + len(data))
            data += _value(form, value)
        for child in item.children:
            data += self._write(child, at + len(data))
        return bytes(data) + (b"\0" if item.children else b"")

    def _abbreviation(self, tag: int, has_children: bool, shape: list[tuple[int, int]]) -> int:
        key = (tag, has_children, *shape)
        if key not in self._abbreviations:
            self._abbreviations[key] = len(self._abbreviations) + 1
            self._table += uleb128(self._abbreviations[key]) + uleb128(tag) + bytes([has_children])
            self._table += b"".join(uleb128(name) + uleb128(form) for name, form in [*shape, (0, 0)])
        return self._abbreviations[key]


def _form(name: str, value: object) -> int:
    if name == "low_pc":
        return ADDRESS
    if isinstance(value, bool):
        return FLAG
    if isinstance(value, int):
        return SDATA if value < 0 else UDATA
    return {str: STRING, bytes: EXPRLOC, Node: REF4}[type(value)]


def _value(form: int, value: object) -> bytes:
    match value:
        case bool():
            return bytes([value])
        case int():
            return struct.pack("<Q", value) if form == ADDRESS else (sleb128 if form == SDATA else uleb128)(value)
        case str():
            return value.encode() + b"\0"
        case bytes():
            return uleb128(len(value)) + value
        case Node():
            return struct.pack("<I", value.offset)
    raise TypeError(value)


def read_nodes(*nodes: Node) -> DebugInfo:
    """What the reader makes of these entries."""
    info = read_debug_info(DwarfWriter(*nodes).build())
    assert info is not None
    return info


@cache
def debug_file(path: Path) -> DebugFile:
    """The debug information of a committed object, read once for all tests of a process."""
    return DebugFile(path)


@cache
def loaded(path: Path) -> tuple[ObjectSpec, DebugInfo]:
    """A committed object and its debug information."""
    info = debug_file(path).info
    assert info is not None
    return load_object(path), info
