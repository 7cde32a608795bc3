"""Which bytes of its operands the bytes of an instruction's result come from.

A register is eight *lanes*, its bytes, lane 0 the lowest; a set of lanes is a mask of 8 bits.  So a byte that goes
through wide loads, shifts and byte swaps is still that byte: `dst = be16(dst)` puts lane 1 into lane 0.
"""

from __future__ import annotations

from pybpftime.isa import Form, Instruction, Row
from pybpftime.isa.arithmetic import (
    add,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    move,
    multiply,
    negate,
    shift_left,
    shift_right,
    shift_right_signed,
    subtract,
)
from pybpftime.isa.encoding import MASK64

ALL_LANES = 0xFF
CARRYING = (add, subtract, multiply, negate)
LANE_BY_LANE = (bitwise_and, bitwise_or, bitwise_xor)
SHIFTS = (shift_left, shift_right, shift_right_signed)
SWAPS = ("le", "be", "bs")


def low_lanes(size: int) -> int:
    """The lanes of a number of `size` bytes."""
    return (1 << size) - 1


def operand_lanes(row: Row, instruction: Instruction, wanted: int) -> tuple[int, int]:
    """The lanes of dst and of src (0 if it is none) that the `wanted` lanes of the result come from.

    For rows of form BINARY and UNARY.  Lanes that are always the same do not come from anywhere.
    """
    full = low_lanes(row.width // 8)
    wanted &= full  # the upper half of a 32-bit result is 0
    if not wanted:
        return 0, 0
    if row.form is Form.UNARY:
        lanes = _unary(row, instruction, wanted, full)
        return (lanes, 0) if row.operand == "dst_reg" else (0, 0) if row.operand == "imm" else (0, lanes)
    in_register = row.operand == "src_reg"
    if in_register and instruction.dst_reg == instruction.src_reg and row.compute in (bitwise_xor, subtract):
        return 0, 0
    if row.compute in LANE_BY_LANE:
        if in_register:
            return wanted, wanted
        return wanted & ~_decided(row, instruction.imm), 0
    if row.compute in CARRYING:
        lanes = low_lanes(wanted.bit_length())
        return lanes, lanes if in_register else 0
    if row.compute in SHIFTS and not in_register:
        return _shifted(row, instruction.imm & row.width - 1, wanted, full), 0
    return full, full if in_register else 0


def _unary(row: Row, instruction: Instruction, wanted: int, full: int) -> int:
    if row.compute is move:
        return wanted
    if row.compute in CARRYING:
        return low_lanes(wanted.bit_length())
    if row.name[:2] in SWAPS:
        size = instruction.imm // 8
        kept = wanted & low_lanes(size)
        return kept if row.name.startswith("le") else _reversed(kept, size)
    if row.name.startswith("movsx"):
        return extended_lanes(instruction.offset // 8, wanted)
    return full


def extended_lanes(size: int, wanted: int) -> int:
    """The lanes of a signed number of `size` bytes that lanes of its extension come from."""
    sign = 1 << size - 1 if wanted & ~low_lanes(size) else 0
    return wanted & low_lanes(size) | sign


def _decided(row: Row, imm: int) -> int:
    """The lanes of a bitwise operation that its immediate alone decides."""
    deciding = 0x00 if row.compute is bitwise_and else 0xFF if row.compute is bitwise_or else None
    content = (imm & MASK64).to_bytes(8, "little")
    return sum(1 << lane for lane, byte in enumerate(content) if byte == deciding)


def _shifted(row: Row, distance: int, wanted: int, full: int) -> int:
    lanes, bits = divmod(distance, 8)
    if row.compute is shift_left:
        return wanted >> lanes | (wanted >> lanes + 1 if bits else 0)
    found = wanted << lanes | (wanted << lanes + 1 if bits else 0)
    if row.compute is shift_right_signed and found & ~full:
        found |= (full + 1) >> 1
    return found & full


def _reversed(lanes: int, size: int) -> int:
    return sum(1 << size - 1 - lane for lane in range(size) if lanes >> lane & 1)
