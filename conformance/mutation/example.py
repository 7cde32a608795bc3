"""The text of a case that tells a mutant from the right semantics, in the format of `.case` files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pybpftime.conformance.mutation.mutant import Mutant
from pybpftime.conformance.mutation.proof import Different
from pybpftime.isa import Form, Instruction, Row, sign_extend
from pybpftime.isa.disassembler import format_instruction

DST, SRC = 3, 4


def example(mutant: Mutant, answer: Different) -> str:
    """The case.  What it expects is what the row computes: to be worked out once more, from the specification."""
    row, inputs = mutant.row, answer.inputs
    lines = [f"case {mutant.name}: {mutant.sentence}", *_memory(row, inputs.get("value", inputs.get("old")))]
    lines += ["    asm:", *(f"        {line}" for line in _program(row, inputs))]
    lines += [f"    # {answer.wrong:#x} with the bug", f"    expect: return {answer.right:#x}"]
    return "".join(f"{line}\n" for line in lines)


def _memory(row: Row, value: int | None) -> Iterator[str]:
    if value is not None:
        yield f"    mem: {value.to_bytes(row.size, 'little').hex()}"


def _program(row: Row, inputs: Mapping[str, int]) -> Iterator[str]:
    if row.form is Form.LOAD:
        yield from (_text(_instruction(row, 0, 1)), "exit")
        return
    if row.form is Form.ATOMIC:
        yield from (f"lddw %r0, {inputs['r0']:#x}", f"lddw %r{SRC}, {inputs['src']:#x}")
        yield _text(_instruction(row, 1, SRC))
        yield from (f"ldx{'dw' if row.size == 8 else 'w'} %r0, [%r1]", "exit")
        return
    yield f"lddw %r{DST}, {inputs['dst']:#x}"
    if "src" in inputs and "src" in row.reads:
        yield f"lddw %r{SRC}, {inputs['src']:#x}"
    instruction = _instruction(row, DST, SRC, sign_extend(inputs.get("imm", 0), 32))
    if row.form is Form.JUMP_IF:
        yield from ("mov %r0, 1", _text(instruction), "mov %r0, 0", "exit")
    else:
        yield from (_text(instruction), f"mov %r0, %r{DST}", "exit")


def _instruction(row: Row, dst: int, src: int, imm: int = 0) -> Instruction:
    """An instruction of the row: its operands where it has them, and what the row says everywhere else."""
    offset = 1 if row.form is Form.JUMP_IF else 0
    fields = {"dst_reg": dst, "src_reg": src, "offset": offset, "imm": imm} | dict(row.fixed)
    return Instruction(row.opcode, **fields)


def _text(instruction: Instruction) -> str:
    return format_instruction(instruction, syntax="mnemonic")
