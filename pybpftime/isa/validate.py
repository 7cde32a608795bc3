"""Is a program well formed?  What any runtime must refuse before it runs anything (RFC 9669 sections 3 to 5)."""

from __future__ import annotations

from collections.abc import Sequence

from pybpftime.errors import InputError
from pybpftime.isa.encoding import MAX_REGISTER, Instruction, Program
from pybpftime.isa.row import ConstantRule, Form, Immediate, Row, jump_field, jump_offset, registers
from pybpftime.isa.table import lookup


def validate(program: Program, *, refuse_constants: bool = False) -> tuple[Row | None, ...]:
    """The row of every slot (None for second slots), or InputError with the instruction, field and rule.

    Checked are: a row for every instruction, registers r0 to r10, r10 never written, jumps, local calls and
    code addresses inside the program and not into a wide instruction.  With `refuse_constants` also what Linux
    refuses in constants: division by an immediate 0, an immediate shift at or beyond the width.
    """
    if not program:
        raise InputError("the program is empty")
    rows: list[Row | None] = []
    for index, instruction in enumerate(program):
        if instruction is None:
            rows.append(None)
            continue
        try:
            row = lookup(instruction)
            _check_registers(instruction, row)
            _check_target(program, index, instruction, row)
            if refuse_constants:
                _check_constant(instruction, row)
        except InputError as error:
            raise error.at(instruction=index) from None
        rows.append(row)
    return tuple(rows)


def _check_registers(instruction: Instruction, row: Row) -> None:
    for field in ("dst_reg", "src_reg"):
        if field not in row.fixed and getattr(instruction, field) > MAX_REGISTER:
            raise InputError(f"{row.name}: {field} is {getattr(instruction, field)}, there are r0 to r{MAX_REGISTER}")
    if MAX_REGISTER in registers(row.writes, instruction):
        raise InputError(f"{row.name}: r10 is read-only, the frame pointer cannot be written")


def _check_target(program: Sequence[Instruction | None], index: int, instruction: Instruction, row: Row) -> None:
    if not (row.jumps or row.immediate is Immediate.CODE or row.form is Form.CALL_LOCAL):
        return
    field, offset = jump_field(row), jump_offset(row, instruction)
    target = index + 1 + offset
    what = "jump" if row.jumps else "function"
    if not 0 <= target < len(program):
        where = f"{what} target {target}, outside the program (0 to {len(program) - 1})"
        raise InputError(f"{row.name}: {field} {offset:+d} leads to {where}")
    if program[target] is None:
        raise InputError(f"{row.name}: {field} {offset:+d} leads into the middle of the wide instruction {target - 1}")


def _check_constant(instruction: Instruction, row: Row) -> None:
    if row.constant_rule is ConstantRule.NOT_ZERO and instruction.imm == 0:
        raise InputError(f"{row.name}: division by an immediate 0")
    if row.constant_rule is ConstantRule.BELOW_WIDTH and not 0 <= instruction.imm < row.width:
        raise InputError(f"{row.name}: shift by {instruction.imm}, the operand has {row.width} bits")
