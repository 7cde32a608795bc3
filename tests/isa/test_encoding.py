"""Slots to instructions and back."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.instructions import instructions, slots

from pybpftime.errors import InputError
from pybpftime.isa import Instruction, decode_program, encode_program, sign_extend
from pybpftime.isa.encoding import Size


@given(st.lists(instructions(), max_size=10), st.booleans())
def test_round_trip(chosen: list[Instruction], big_endian: bool) -> None:
    program = slots(chosen)
    code = encode_program(program, big_endian=big_endian)
    assert len(code) == 8 * len(program) == 8 * sum(instruction.slots for instruction in chosen)
    assert decode_program(code, big_endian=big_endian) == program


@given(st.integers(0, 255).filter(lambda opcode: opcode != 0x18), st.binary(min_size=7, max_size=7), st.booleans())
def test_any_slot_round_trips(opcode: int, rest: bytes, big_endian: bool) -> None:
    code = bytes([opcode]) + rest
    assert encode_program(decode_program(code, big_endian=big_endian), big_endian=big_endian) == code


def test_layout_by_hand() -> None:
    # RFC 9669 section 3.1: on little-endian targets dst_reg is the low nibble, on big-endian ones the high.
    instruction = Instruction(0x7B, dst_reg=1, src_reg=2, offset=-2, imm=0x01020304)
    assert instruction.encode() == bytes.fromhex("7b 21 fe ff 04 03 02 01")
    assert instruction.encode(big_endian=True) == bytes.fromhex("7b 12 ff fe 01 02 03 04")
    wide = Instruction(0x18, dst_reg=3, imm=0x55667788, next_imm=0x11223344)
    assert wide.encode() == bytes.fromhex("18 03 00 00 88 77 66 55 00 00 00 00 44 33 22 11")
    assert wide.encode(big_endian=True) == bytes.fromhex("18 30 00 00 55 66 77 88 00 00 00 00 11 22 33 44")
    assert wide.imm64 == 0x1122334455667788


def test_imm64_is_unsigned_and_takes_the_halves_as_bits() -> None:
    assert Instruction(0x18, imm=-1, next_imm=0).imm64 == 0xFFFF_FFFF
    assert Instruction(0x18, imm=0, next_imm=-1).imm64 == 0xFFFF_FFFF_0000_0000
    assert Instruction(0x18, imm=-1, next_imm=-1).imm64 == (1 << 64) - 1
    assert Instruction(0xB7, imm=-2).imm64 == 0xFFFF_FFFE


def test_second_slots_are_none() -> None:
    program = decode_program(bytes.fromhex("18010000010000000000000002000000 9500000000000000"))
    assert program == (Instruction(0x18, 1, 0, 0, 1, 2), None, Instruction(0x95))


def test_no_code_is_no_program() -> None:
    assert decode_program(b"") == ()
    assert encode_program(()) == b""


@pytest.mark.parametrize("length", [1, 7, 9, 15])
def test_length_must_be_whole_slots(length: int) -> None:
    with pytest.raises(InputError, match=f"{length} bytes of code are no multiple of 8") as caught:
        decode_program(bytes([0x95]) + bytes(length - 1))
    assert caught.value.instruction == length // 8


def test_truncated_wide_instruction() -> None:
    with pytest.raises(InputError, match="second slot is missing") as caught:
        decode_program(bytes.fromhex("9500000000000000 1801000001000000"))
    assert caught.value.instruction == 1


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize(
    ("field", "position", "value"), [("opcode", 0, 0x95), ("registers", 1, 0x10), ("offset", 2, 1), ("offset", 3, 1)]
)
def test_second_slot_has_nothing_but_imm(big_endian: bool, field: str, position: int, value: int) -> None:
    second = bytearray(struct.pack(">BBhi" if big_endian else "<BBhi", 0, 0, 0, 7))
    second[position] = value
    with pytest.raises(InputError, match=f"second slot of a wide instruction: {field} is .* and must be 0") as caught:
        decode_program(bytes([0x18, 1]) + bytes(6) + bytes(second), big_endian=big_endian)
    assert caught.value.instruction == 0


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_a_program_or_an_input_error(code: bytes, big_endian: bool) -> None:
    try:
        program = decode_program(code, big_endian=big_endian)
    except InputError:
        return
    assert encode_program(program, big_endian=big_endian) == code


@pytest.mark.parametrize(
    ("value", "bits", "expected"),
    [(0x7F, 8, 127), (0x80, 8, -128), (0x1FF, 8, -1), (0x8000, 16, -0x8000), (0xFFFF_FFFF, 32, -1), (5, 64, 5)],
)
def test_sign_extend(value: int, bits: int, expected: int) -> None:
    assert sign_extend(value, bits) == expected


def test_sizes() -> None:
    assert {size.name: size.size for size in Size} == {"B": 1, "H": 2, "W": 4, "DW": 8}
