"""What the object tests share: a small writer of ELF files, and BTF that describes maps."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from pybpftime.isa import Instruction, encode_program
from pybpftime.program.btf import Array, BtfBuilder, DataSec, Int, IntEncoding, Member, Placement, Ptr, Struct, Var
from pybpftime.program.btf.types import Linkage

PROGBITS, SYMTAB, STRTAB, RELA, NOBITS, REL = 1, 2, 3, 4, 8, 9
WRITE, ALLOC, EXECINSTR, COMPRESSED = 1, 2, 4, 0x800
NOTYPE, OBJECT, FUNC, SECTION = 0, 1, 2, 3
LOCAL, GLOBAL, WEAK = 0, 1, 2

EXIT = Instruction(0x95)
MOV = Instruction(0xB7, imm=1)  # r0 = 1
WIDE = Instruction(0x18, 1, next_imm=0)  # r1 = 0 ll
CALL = Instruction(0x85, 0, 1, imm=-1)  # a call that a relocation completes


def call(distance: int) -> Instruction:
    """A call of the function that begins `distance` slots behind the next instruction."""
    return Instruction(0x85, 0, 1, imm=distance)


class ElfWriter:
    """Collects sections and symbols; `build` lays them out as clang does.  Any number may be wrong on purpose."""

    def __init__(self) -> None:
        self.sections: list[list[int | str | bytes]] = []
        self.symbols: list[tuple[str, int, int, int, int, int]] = []
        self.add("", b"", type=0)

    def add(
        self, name: str, data: bytes, *, type: int = PROGBITS, flags: int = 0, size: int | None = None,
        link: int = 0, info: int = 0, entry_size: int = 0,
    ) -> int:  # fmt: skip
        """Append a section and return its index."""
        self.sections.append([name, data, type, flags, len(data) if size is None else size, link, info, entry_size])
        return len(self.sections) - 1

    def code(self, name: str, *instructions: Instruction) -> int:
        """Append a section of instructions."""
        return self.add(name, encode_program(instructions), flags=ALLOC | EXECINSTR)

    def program(self, section: str, name: str, *instructions: Instruction) -> int:
        """Append a section that is one global function; return its index."""
        index = self.code(section, *instructions)
        self.symbol(name, index, size=8 * sum(instruction.slots for instruction in instructions))
        return index

    def symbol(
        self, name: str, section: int, value: int = 0, size: int = 0, *, type: int = FUNC, binding: int = GLOBAL,
        visibility: int = 0,
    ) -> int:  # fmt: skip
        """Append a symbol and return its index."""
        self.symbols.append((name, binding << 4 | type, visibility, section, value, size))
        return len(self.symbols)

    def relocate(self, section: int, *entries: tuple[int, int, int], type: int = REL, entry_size: int = 16) -> int:
        """Append the relocations of a section: (byte offset, type, symbol) each."""
        data = b"".join(struct.pack("<QII", *entry) for entry in entries)
        name = f".rel{self.sections[section][0]}"
        return self.add(name, data, type=type, info=section, link=len(self.sections), entry_size=entry_size)

    def build(self, **header: int) -> bytes:
        """The file.  `header` overrides fields: machine, type, table (offset), count, names, entry_size."""
        names, places = _texts([str(section[0]) for section in self.sections] + [".symtab", ".strtab"])
        texts, symbol_names = _texts([symbol[0] for symbol in self.symbols])
        table = bytes(24) + b"".join(
            struct.pack("<IBBHQQ", symbol_names[name], info, other, section, value, size)
            for name, info, other, section, value, size in self.symbols
        )
        sections = [*self.sections]
        shift = len(names)
        index = len(sections)
        sections.append([".symtab", _shifted(table, shift), SYMTAB, 0, len(table), index + 1, 1, 24])
        sections.append([".strtab", names + texts, STRTAB, 0, len(names + texts), 0, 0, 0])
        body, headers = bytearray(), bytearray()
        for name, data, type, flags, size, link, info, entry_size in sections:
            assert isinstance(data, bytes)
            headers += struct.pack(
                "<IIQQQQIIQQ", places[str(name)], type, flags, 0, 64 + len(body), size, link, info, 8, entry_size
            )
            body += data
        fields = {
            "type": 1, "machine": 247, "table": 64 + len(body), "entry_size": 64,
            "count": len(sections), "names": index + 1,
        } | header  # fmt: skip
        start = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
            "<HHIQQQIHHHHHH", fields["type"], fields["machine"], 1, 0, 0, fields["table"], 0, 64, 0, 0,
            fields["entry_size"], fields["count"], fields["names"],
        )  # fmt: skip
        return start + bytes(body + headers)


def _texts(names: Iterable[str]) -> tuple[bytes, dict[str, int]]:
    data, places = bytearray(1), {"": 0}
    for name in names:
        if name not in places:
            places[name] = len(data)
            data += name.encode() + b"\0"
    return bytes(data), places


def _shifted(table: bytes, shift: int) -> bytes:
    """The symbols' names stand behind the sections' names."""
    entries = struct.iter_unpack("<I20s", table)
    return b"".join(struct.pack("<I20s", name + shift if name else 0, rest) for name, rest in entries)


class MapTypes:
    """BTF of map definitions: `number(16)` is the type of `__uint(..., 16)`."""

    def __init__(self) -> None:
        self.builder = BtfBuilder()
        self.int = self.builder.add(Int("int", 4, 32, IntEncoding.SIGNED))
        self.places: list[Placement] = []

    def number(self, value: int) -> int:
        return self.builder.add(Ptr(self.builder.add(Array(self.int, self.int, value))))

    def pointer(self, target: int) -> int:
        return self.builder.add(Ptr(target))

    def struct(self, **members: int) -> int:
        """A struct of pointers, one for each attribute."""
        fields = tuple(Member(name, type, 64 * index) for index, (name, type) in enumerate(members.items()))
        return self.builder.add(Struct("", 8 * len(members), fields))

    def map(self, name: str, definition: int, *, size: int = 64, linkage: Linkage = Linkage.GLOBAL) -> None:
        """A map whose variable takes `size` bytes behind the last one."""
        variable = self.builder.add(Var(name, definition, linkage))
        self.places.append(Placement(variable, sum(place.size for place in self.places), size))

    def write(self, elf: ElfWriter) -> int:
        """Add `.maps` and `.BTF` to an object; return the index of `.maps`."""
        size = sum(place.size for place in self.places)
        self.builder.add(DataSec(".maps", size, tuple(self.places)))
        index = elf.add(".maps", bytes(size), flags=WRITE | ALLOC)
        elf.add(".BTF", self.builder.to_bytes())
        return index
