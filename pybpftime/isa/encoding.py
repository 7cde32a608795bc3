"""Instruction encoding (RFC 9669 section 3): 8-byte slots to `Instruction` values and back.

A basic instruction is one slot:

    opcode:8  dst_reg:4  src_reg:4  offset:16 (signed)  imm:32 (signed)

with the low nibble of the second byte holding dst_reg on little-endian targets and src_reg on big-endian ones.
A wide instruction has a second slot whose imm is `next_imm` and whose other fields are zero.

A program is a tuple with one entry per slot, as Linux counts instructions: the second slot of a wide
instruction is None.  Jump offsets, line information and relocations all count slots.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from pybpftime.errors import InputError

SLOT_BYTES = 8
MAX_REGISTER = 10
MAX_SLOTS = 1_000_000
"""The longest program that is read; Linux takes no longer one either (BPF_COMPLEXITY_LIMIT_INSNS)."""
MASK32 = (1 << 32) - 1
MASK64 = (1 << 64) - 1


class Class(IntEnum):
    """The three low bits of an opcode (RFC 9669 section 3.3)."""

    LD = 0x0
    LDX = 0x1
    ST = 0x2
    STX = 0x3
    ALU = 0x4
    JMP = 0x5
    JMP32 = 0x6
    ALU64 = 0x7


class Source(IntEnum):
    """Bit 3 of an arithmetic or jump opcode: where the source operand is (RFC 9669 section 4)."""

    K = 0x00
    X = 0x08


class Mode(IntEnum):
    """The three high bits of a load or store opcode (RFC 9669 section 5)."""

    IMM = 0x00
    ABS = 0x20
    IND = 0x40
    MEM = 0x60
    MEMSX = 0x80
    ATOMIC = 0xC0


class Size(IntEnum):
    """Bits 3 and 4 of a load or store opcode (RFC 9669 section 5)."""

    W = 0x00
    H = 0x08
    B = 0x10
    DW = 0x18

    @property
    def size(self) -> int:
        """Bytes."""
        return {Size.B: 1, Size.H: 2, Size.W: 4, Size.DW: 8}[self]


WIDE_OPCODE = Class.LD | Mode.IMM | Size.DW


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.  `offset` is signed 16 bits, `imm` and `next_imm` signed 32; next_imm is None unless wide."""

    opcode: int
    dst_reg: int = 0
    src_reg: int = 0
    offset: int = 0
    imm: int = 0
    next_imm: int | None = None

    @property
    def slots(self) -> int:
        """How many 8-byte slots it takes: 2 for wide instructions."""
        return 1 if self.next_imm is None else 2

    @property
    def imm64(self) -> int:
        """The 64-bit immediate of a wide instruction, unsigned: next_imm in the upper half."""
        return ((self.next_imm or 0) & 0xFFFF_FFFF) << 32 | self.imm & 0xFFFF_FFFF

    def encode(self, *, big_endian: bool = False) -> bytes:
        """8 bytes, or 16 for a wide instruction."""
        registers = self.dst_reg << 4 | self.src_reg if big_endian else self.src_reg << 4 | self.dst_reg
        slot = _LAYOUT[big_endian].pack(self.opcode, registers, self.offset, self.imm)
        return slot if self.next_imm is None else slot + _LAYOUT[big_endian].pack(0, 0, 0, self.next_imm)


Program = tuple[Instruction | None, ...]

_LAYOUT = {False: struct.Struct("<BBhi"), True: struct.Struct(">BBhi")}


def encode_program(program: Iterable[Instruction | None], *, big_endian: bool = False) -> bytes:
    """The bytes of a whole program."""
    return b"".join(instruction.encode(big_endian=big_endian) for instruction in program if instruction is not None)


def decode_program(code: bytes, *, big_endian: bool = False) -> tuple[Instruction | None, ...]:
    """Split bytes into instructions, one entry per slot, None for the second slot of a wide instruction.

    Any opcode is let through, see `table.lookup` and `validate`.  InputError when the length is no multiple of
    8, a wide instruction is cut off, or its second slot has a field other than imm that is not zero.
    """
    if len(code) % SLOT_BYTES:
        reason = f"{len(code)} bytes of code are no multiple of {SLOT_BYTES}"
        raise InputError(reason, instruction=len(code) // SLOT_BYTES)
    layout = _LAYOUT[big_endian]
    program: list[Instruction | None] = []
    slots = layout.iter_unpack(code)
    for opcode, registers, offset, imm in slots:
        high, low = registers >> 4, registers & 0xF
        dst_reg, src_reg = (high, low) if big_endian else (low, high)
        if opcode != WIDE_OPCODE:
            program.append(Instruction(opcode, dst_reg, src_reg, offset, imm))
            continue
        next_imm = _second_slot(next(slots, None), len(program))
        program += [Instruction(opcode, dst_reg, src_reg, offset, imm, next_imm), None]
    return tuple(program)


def _second_slot(slot: tuple[int, int, int, int] | None, index: int) -> int:
    if slot is None:
        reason = "the program ends in the middle of a wide instruction (its second slot is missing)"
        raise InputError(reason, instruction=index)
    opcode, registers, offset, imm = slot
    for name, value in (("opcode", opcode), ("registers", registers), ("offset", offset)):
        if value:
            reason = f"second slot of a wide instruction: {name} is {value:#x} and must be 0"
            raise InputError(reason, instruction=index)
    return imm


def sign_extend(value: int, bits: int) -> int:
    """The low `bits` of `value` as a signed Python int."""
    sign = 1 << (bits - 1)
    return ((value & (sign * 2 - 1)) ^ sign) - sign
