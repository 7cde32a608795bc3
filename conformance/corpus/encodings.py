"""Bytes that are no program (RFC 9669 section 3): every reserved field of every instruction, and unknown opcodes.

The list of encodings is this package's own, written from sections 3 to 5, so that it is a witness for the ISA table.
Each entry is an instruction that means something, in a program that is right; each case changes one field of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pybpftime.conformance.corpus.text import CaseText, Table, document

CITE = "RFC 9669 3.1"
START = "b400000000000000b402000001000000"
"""r0 = 0, r2 = 1, in 32 bits."""
START_OF_PACKET = f"{START}bf16000000000000"
"""And r6 = r1, where legacy packet access wants its context."""
EXIT = 0x95
END = "9500000000000000"
FUNCTION = "b4000000000000009500000000000000"
"""A function behind the program."""


Selected = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Encoding:
    """An instruction: its fields, and which of them it uses.

    `operands` are the fields that take any value; all others are reserved, or select the instruction together with
    the opcode.  `taken` has the values of such a field that select another instruction, `writes` the fields whose
    register is written.  `second` is the imm of a wide instruction's second slot.
    """

    name: str
    opcode: int
    operands: tuple[str, ...]
    dst: int = 0
    src: int = 0
    offset: int = 0
    imm: int = 0
    second: int | None = None
    taken: Selected = ()
    writes: tuple[str, ...] = ()
    packet: bool = False
    calls: bool = False

    def code(self) -> bytes:
        """8 or 16 bytes."""
        slot = struct.pack("<BBhi", self.opcode, self.src * 16 + self.dst, self.offset, self.imm)
        return slot if self.second is None else slot + struct.pack("<BBhi", 0, 0, 0, self.second)

    def changed(self, field: str, value: int) -> Encoding:
        """The same but for one field."""
        changes: dict[str, Any] = {field: value}
        return replace(self, **changes)

    def program(self) -> str:
        """The instruction in a program that is right, as hex: what it reads is there, and what it calls."""
        start, end = START_OF_PACKET if self.packet else START, "" if self.opcode == EXIT else END
        return start + self.code().hex() + end + (FUNCTION if self.calls else "")


def encodings() -> Iterator[Encoding]:
    """Every instruction of RFC 9669, and those of Linux and clang beyond it that are taken."""
    yield from _arithmetic()
    yield from _jumps()
    yield from _memory()
    yield from _wide()
    yield from _packet()


DST, SRC = ("dst",), ("dst", "src")
"""The registers of most instructions: r0 and, where there is a second one, r2."""


def _arithmetic() -> Iterator[Encoding]:
    """Section 4.1: code, source bit and class; and 4.2."""
    names = ("add", "sub", "mul", "div", "or", "and", "lsh", "rsh", "neg", "mod", "xor", "mov", "arsh")
    taken: Selected
    for code, name in enumerate(names):
        for suffix, kind in (("32", 4), ("", 7)):
            opcode = code * 16 + kind
            if name == "neg":
                yield Encoding(f"neg{suffix}", opcode, DST, writes=DST)
                continue
            signs = (("", 0), ("s", 1)) if name in ("div", "mod") else (("", 0),)
            for sign, offset in signs:
                taken = (("offset", (0, 1)),) if len(signs) > 1 else ()
                yield Encoding(
                    f"{sign}{name}{suffix}_imm", opcode, (*DST, "imm"), offset=offset, imm=3, taken=taken, writes=DST
                )
                if name == "mov":  # offsets are widths of sign extension; 1 in class ALU64 is Linux's addr_space_cast
                    taken = (("offset", (0, 8, 16) if suffix else (0, 8, 16, 32, 1)),)
                yield Encoding(
                    f"{sign}{name}{suffix}_reg", opcode + 8, SRC, src=2, offset=offset, taken=taken, writes=DST
                )
    for suffix, kind, widths in (("32", 4, (8, 16)), ("64", 7, (8, 16, 32))):
        for width in widths:
            taken = (("offset", (0, 8, 16, 32, 1)),)
            yield Encoding(f"movsx{width}{suffix}_reg", 0xB8 + kind, SRC, src=2, offset=width, taken=taken, writes=DST)
    taken = (("offset", (0, 8, 16, 32, 1)),)
    yield Encoding("addr_space_cast", 0xBF, (*SRC, "imm"), src=2, offset=1, imm=1, taken=taken, writes=DST)
    for name, opcode in (("le", 0xD4), ("be", 0xDC), ("bswap", 0xD7)):
        for width in (16, 32, 64):
            yield Encoding(f"{name}{width}", opcode, DST, imm=width, taken=(("imm", (16, 32, 64)),), writes=DST)


def _jumps() -> Iterator[Encoding]:
    """Section 4.3, and Linux's may_goto (its src_reg and its kind of jump), clang's callx, and gotox."""
    names = ("jeq", "jgt", "jge", "jset", "jne", "jsgt", "jsge", "", "", "jlt", "jle", "jslt", "jsle")
    for code, name in enumerate(names, start=1):
        for suffix, kind in (("", 5), ("32", 6)):
            if name:
                yield Encoding(f"{name}{suffix}_imm", code * 16 + kind, (*DST, "offset", "imm"))
                yield Encoding(f"{name}{suffix}_reg", code * 16 + kind + 8, (*SRC, "offset"), src=2)
    yield Encoding("ja", 0x05, ("offset",))
    yield Encoding("ja32", 0x06, ("imm",))
    calls = (("src", (0, 1, 2)),)
    yield Encoding("call_helper", 0x85, ("imm",), imm=5, taken=calls)
    yield Encoding("call_local", 0x85, ("imm",), src=1, imm=1, taken=calls, calls=True)
    yield Encoding("call_btf", 0x85, ("imm", "offset"), src=2, imm=1, taken=calls)
    yield Encoding("exit", EXIT, ())
    yield Encoding("may_goto", 0xE5, ("offset",))
    yield Encoding("gotox", 0x0D, DST)
    yield Encoding("callx", 0x8D, (*DST, "imm"))  # older clang has the register in imm


def _memory() -> Iterator[Encoding]:
    """Sections 5.1 to 5.3.  r1 is the block."""
    for letter, size in (("w", 0x00), ("h", 0x08), ("b", 0x10), ("dw", 0x18)):
        yield Encoding(f"ldx{letter}", 0x61 + size, (*SRC, "offset"), src=1, writes=DST)
        yield Encoding(f"st{letter}", 0x62 + size, (*DST, "offset", "imm"), dst=1)
        yield Encoding(f"stx{letter}", 0x63 + size, (*SRC, "offset"), dst=1, src=2)
        if letter != "dw":
            yield Encoding(f"ldxs{letter}", 0x81 + size, (*SRC, "offset"), src=1, writes=DST)
    atomics = (
        ("add", 0x00), ("fetch_add", 0x01), ("or", 0x40), ("fetch_or", 0x41), ("and", 0x50), ("fetch_and", 0x51),
        ("xor", 0xA0), ("fetch_xor", 0xA1), ("xchg", 0xE1), ("cmpxchg", 0xF1),
    )  # fmt: skip
    taken = (("imm", (*(imm for _, imm in atomics), 0x100, 0x110)),)
    for name, imm in atomics:
        for suffix, opcode in (("32", 0xC3), ("", 0xDB)):
            writes = ("src",) if imm % 2 and name != "cmpxchg" else ()
            yield Encoding(
                f"lock_{name}{suffix}", opcode, (*SRC, "offset"), dst=1, src=2, imm=imm, taken=taken, writes=writes
            )
    for bits, opcode in ((8, 0xD3), (16, 0xCB), (32, 0xC3), (64, 0xDB)):
        order = taken if bits > 16 else (("imm", (0x100, 0x110)),)
        yield Encoding(f"load_acquire{bits}", opcode, (*SRC, "offset"), src=1, imm=0x100, taken=order, writes=DST)
        yield Encoding(f"store_release{bits}", opcode, (*SRC, "offset"), dst=1, src=2, imm=0x110, taken=order)


def _wide() -> Iterator[Encoding]:
    """Section 5.4."""
    kinds = (
        ("lddw", 0, True), ("lddw_map_by_fd", 1, False), ("lddw_map_val_by_fd", 2, True), ("lddw_var_addr", 3, True),
        ("lddw_code_addr", 4, False), ("lddw_map_by_idx", 5, False), ("lddw_map_val_by_idx", 6, True),
    )  # fmt: skip
    taken = (("src", tuple(range(7))),)
    for name, src, two_parts in kinds:
        operands, calls = (*DST, "imm", "second") if two_parts else (*DST, "imm"), name == "lddw_code_addr"
        imm = 2 if calls else 0
        yield Encoding(name, 0x18, operands, src=src, imm=imm, second=0, taken=taken, writes=DST, calls=calls)


def _packet() -> Iterator[Encoding]:
    """Section 5.5."""
    for letter, size in (("w", 0x00), ("h", 0x08), ("b", 0x10)):
        yield Encoding(f"ldabs{letter}", 0x20 + size, ("imm",), packet=True)
        yield Encoding(f"ldind{letter}", 0x40 + size, ("src", "imm"), src=2, packet=True)


# --- cases ---

RESERVED = {
    "dst": (1, 8),
    "src": (1, 8),
    "offset": (1, -0x8000),
    "imm": (1, -0x8000_0000),
    "second": (1, -0x8000_0000),
}
"""Two values for a reserved field: the least bit and the greatest."""
UNSELECTED = {"src": (3, 7, 15), "offset": (2, 7, 9, 24, 32, 33, 64, -1)}
"""More values for fields that select an instruction: those beside the ones taken."""
NO_REGISTERS = (11, 15)
BOTH_ENDS = ("mov_reg", "jeq_reg", "ldxdw", "stxdw")
"""Instructions that are tried with both."""
BLOCK = "00" * 16


def files() -> Iterator[tuple[str, str]]:
    """Paths below conformance/cases, and their text."""
    about = "Unused fields shall be zero: each instruction with one field that is not."
    yield (
        "malformed/reserved.case",
        document(about, CITE, [_in_programs("field", reserved(), "refused for one field")]),
    )
    about = "There are registers 0 to 10."
    yield (
        "malformed/registers.case",
        document(about, CITE, [_in_programs("register", no_registers(), "no such register")]),
    )
    about = "r10 is read-only (Linux: check_reg_arg; RFC 9669 has its name, frame pointer, from there)."
    cases = [_in_programs("written", frame_pointers(), "r10 would be written")]
    yield "malformed/frame_pointer.case", document(about, "Linux, registers and calling convention", cases)
    yield "malformed/opcodes.case", document("Opcodes that nobody has given a meaning.", "RFC 9669 3", [_opcodes()])


Variant = tuple[str, Encoding]


def reserved() -> Iterator[Variant]:
    """One field of an instruction that it does not use, or a value that selects none."""
    seen = set()  # instructions that differ in that field alone have the same bytes then
    for encoding in encodings():
        taken = dict(encoding.taken)
        for field in ("dst", "src", "offset", "imm", "second"):
            if field in encoding.operands or getattr(encoding, field) is None:
                continue
            values = [*RESERVED[field], *(UNSELECTED.get(field, ()) if field in taken else ())]
            if field == "imm" and field in taken:
                values += _beside(taken[field])
            for value in values:
                variant = encoding.changed(field, value)
                if value not in taken.get(field, (getattr(encoding, field),)) and variant.program() not in seen:
                    seen.add(variant.program())
                    yield f"{encoding.name}.{field}.{value:#x}".replace("-", "minus-"), variant


def _beside(taken: tuple[int, ...]) -> list[int]:
    """Values that differ from those taken in one bit of the lowest twelve, a few of them."""
    near = {value ^ bit for value in taken for bit in (0x01, 0x02, 0x10, 0x80, 0x400)}
    return sorted(near - {*taken, 1})[::2]


def no_registers() -> Iterator[Variant]:
    """Registers that there are not."""
    for encoding in encodings():
        for field in ("dst", "src"):
            if field in encoding.operands:
                for register in NO_REGISTERS if encoding.name in BOTH_ENDS else NO_REGISTERS[:1]:
                    yield f"{encoding.name}.{field}.r{register}", encoding.changed(field, register)


def frame_pointers() -> Iterator[Variant]:
    """Instructions that would write r10."""
    for encoding in encodings():
        for field in encoding.writes:
            yield encoding.name, encoding.changed(field, 10)


def _in_programs(name: str, variants: Iterator[Variant], about: str) -> CaseText:
    rows = tuple((variant_name, variant.program()) for variant_name, variant in variants)
    return CaseText(
        name, about, hex="{program}", mem=BLOCK, expect=("malformed",), table=Table(("name", "program"), (), rows)
    )


def _opcodes() -> CaseText:
    known = {encoding.opcode for encoding in encodings()}
    rows = tuple((f"{opcode:02x}", f"{opcode:02x}") for opcode in range(256) if opcode not in known)
    return CaseText(
        "unknown", "all other fields are 0", hex=f"{START}{{opcode}}00000000000000{END}", mem=BLOCK,
        expect=("malformed",), table=Table(("name", "opcode"), (), rows),
    )  # fmt: skip
