"""Where running kernels are known to be wrong, and programs that mean the same and do not meet it.

A difference that such a program takes away is the kernel's; the differential campaign counts it apart.
Decision 18 tells of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pybpftime.conformance.generator import Generated
from pybpftime.isa import BY_NAME, Instruction, Row, lookup
from pybpftime.isa.row import FIELDS, Form, jump_field

JUMPS = (Form.JUMP, Form.JUMP_IF, Form.MAY_JUMP, Form.CALL_LOCAL)
COPY = BY_NAME["mov_reg"]


def with_read_results(program: Generated) -> Generated:
    """The same program, with `r0 = r0` behind every 32-bit cmpxchg.

    RFC 9669 section 5.3 has it zero-extend what it leaves in r0.  On x86-64 a lock cmpxchg that succeeds leaves the
    upper half of rax alone, so the verifier adds an instruction that clears it, but only if it has seen all 64 bits of
    r0 being read; some kernels (6.18) forget that where a path ends at a state that they know already.
    """
    inserted = [slot + 1 for slot, one in enumerate(program.instructions) if one and is_narrow_cmpxchg(lookup(one))]

    def moved(slot: int) -> int:
        return slot + sum(place <= slot for place in inserted)

    slots: list[Instruction | None] = []
    for slot, instruction in enumerate(program.instructions):
        if slot in inserted:
            slots.append(Instruction(COPY.opcode, dst_reg=0, src_reg=0))
        slots.append(None if instruction is None else _moved(instruction, slot, moved))
    return replace(program, instructions=tuple(slots), value_slots=tuple(moved(slot) for slot in program.value_slots))


def is_narrow_cmpxchg(row: Row) -> bool:
    """Whether it is an operation whose zero-extension can get lost."""
    return row.form is Form.ATOMIC and row.size == 4 and row.writes == ("r0",)


def _moved(instruction: Instruction, slot: int, moved: Callable[[int], int]) -> Instruction:
    """The instruction at its new place: a jump leads to the same instruction as before."""
    row = lookup(instruction)
    if row.form not in JUMPS:
        return instruction
    name = jump_field(row)
    target = moved(slot + 1 + getattr(instruction, name))
    values = {field: getattr(instruction, field) for field in FIELDS} | {name: target - moved(slot) - 1}
    return Instruction(instruction.opcode, **values)
