"""What is refused before anything runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.instructions import has_target, valid_programs

from pybpftime.errors import InputError
from pybpftime.isa import TABLE, Form, Instruction, Program, Row, decode_program, validate
from pybpftime.isa.row import jump_field

EXIT = Instruction(0x95)
WIDE = (Instruction(0x18, dst_reg=1, imm=1, next_imm=2), None)


def refusal(*program: Instruction | None, refuse_constants: bool = False) -> InputError:
    with pytest.raises(InputError) as caught:
        validate(program, refuse_constants=refuse_constants)
    return caught.value


def an_instruction(row: Row, **changes: int) -> Instruction:
    return Instruction(row.opcode, **({"next_imm": 0} if row.wide else {}) | dict(row.fixed) | changes)


@given(valid_programs())
def test_valid_programs_have_a_row_for_every_instruction(program: Program) -> None:
    rows = validate(program)
    assert len(rows) == len(program)
    for row, instruction in zip(rows, program, strict=True):
        assert (row is None) == (instruction is None)
        assert row is None or instruction is None or row.matches(instruction)


@given(st.binary(max_size=160), st.booleans())
def test_any_bytes_are_valid_or_an_input_error(code: bytes, refuse_constants: bool) -> None:
    try:
        validate(decode_program(code[: len(code) // 8 * 8]), refuse_constants=refuse_constants)
    except InputError as error:
        assert error.reason
        assert "\n" not in str(error)


def test_empty_program() -> None:
    assert refusal().reason == "the program is empty"


def test_errors_name_the_instruction() -> None:
    assert str(refusal(*WIDE, Instruction(0xFF), EXIT)) == "instruction 2: unknown opcode 0xff"


# --- registers ---

REGISTER_OPERANDS = [(row, field) for row in TABLE for field in ("dst_reg", "src_reg") if field not in row.fixed]


@pytest.mark.parametrize("number", [11, 15])
@pytest.mark.parametrize(("row", "field"), REGISTER_OPERANDS, ids=lambda part: getattr(part, "name", part))
def test_registers_beyond_r10(row: Row, field: str, number: int) -> None:
    error = refusal(an_instruction(row, **{field: number}), *([None] if row.wide else []), EXIT)
    assert error.reason == f"{row.name}: {field} is {number}, there are r0 to r10"
    assert error.instruction == 0


WRITERS = [row for row in TABLE if {"dst", "src"} & set(row.writes)]
READERS = [row for row in TABLE if "dst" in row.reads and "dst" not in row.writes]


@pytest.mark.parametrize("row", WRITERS, ids=lambda row: row.name)
def test_r10_is_read_only(row: Row) -> None:
    field = "dst_reg" if "dst" in row.writes else "src_reg"
    error = refusal(an_instruction(row, **{field: 10}), *([None] if row.wide else []), EXIT)
    assert error.reason == f"{row.name}: r10 is read-only, the frame pointer cannot be written"


@pytest.mark.parametrize("row", READERS, ids=lambda row: row.name)
def test_r10_may_be_read(row: Row) -> None:
    assert validate((an_instruction(row, dst_reg=10), EXIT))[0] is row


# --- targets ---

TARGETS = [row for row in TABLE if has_target(row)]


@pytest.mark.parametrize("row", TARGETS, ids=lambda row: row.name)
def test_targets_inside_the_program(row: Row) -> None:
    tail = (None,) if row.wide else ()
    for distance in (-2, -1, len(tail)):
        assert validate((EXIT, an_instruction(row, **{jump_field(row): distance}), *tail, EXIT))[1] is row


@pytest.mark.parametrize("row", TARGETS, ids=lambda row: row.name)
def test_targets_outside_the_program(row: Row) -> None:
    tail = (None,) if row.wide else ()
    field, what = jump_field(row), "jump" if row.jumps else "function"
    size = 3 + len(tail)
    for target in (-1, size, 0x7FFF):
        distance = target - 2
        error = refusal(EXIT, an_instruction(row, **{field: distance}), *tail, EXIT)
        leads = f"{row.name}: {field} {distance:+d} leads to {what} target {target}"
        assert error.reason == f"{leads}, outside the program (0 to {size - 1})"
        assert error.instruction == 1


@pytest.mark.parametrize("row", TARGETS, ids=lambda row: row.name)
def test_targets_in_the_middle_of_a_wide_instruction(row: Row) -> None:
    tail = (None,) if row.wide else ()
    error = refusal(*WIDE, an_instruction(row, **{jump_field(row): -2}), *tail, EXIT)
    assert error.reason == f"{row.name}: {jump_field(row)} -2 leads into the middle of the wide instruction 0"
    assert error.instruction == 2


# --- constants ---

CONSTANTS = [row for row in TABLE if row.form is Form.BINARY and row.operand == "imm"]
DIVISIONS = [row for row in CONSTANTS if row.name.startswith(("div", "sdiv", "mod", "smod"))]
SHIFTS = [row for row in CONSTANTS if row.name.startswith(("lsh", "rsh", "arsh"))]


@pytest.mark.parametrize("row", DIVISIONS, ids=lambda row: row.name)
def test_division_by_an_immediate_zero(row: Row) -> None:
    assert len(DIVISIONS) == 8
    assert validate((an_instruction(row, imm=0), EXIT))[0] is row
    assert validate((an_instruction(row, imm=-1), EXIT), refuse_constants=True)[0] is row
    error = refusal(an_instruction(row, imm=0), EXIT, refuse_constants=True)
    assert str(error) == f"instruction 0: {row.name}: division by an immediate 0"


@pytest.mark.parametrize("row", SHIFTS, ids=lambda row: row.name)
def test_immediate_shifts_beyond_the_width(row: Row) -> None:
    assert len(SHIFTS) == 6
    assert validate((an_instruction(row, imm=row.width - 1), EXIT), refuse_constants=True)[0] is row
    for amount in (row.width, -1):
        assert validate((an_instruction(row, imm=amount), EXIT))[0] is row
        error = refusal(an_instruction(row, imm=amount), EXIT, refuse_constants=True)
        assert error.reason == f"{row.name}: shift by {amount}, the operand has {row.width} bits"


def test_other_constants_are_no_matter() -> None:
    others = [row for row in TABLE if row not in DIVISIONS and row not in SHIFTS and not row.wide]
    for row in others:
        assert validate((an_instruction(row), EXIT), refuse_constants=True)[0] is row
