"""Hypothesis strategies for instructions and programs, made from the rows of the ISA table."""

from __future__ import annotations

from hypothesis import strategies as st

from pybpftime.isa import TABLE, Instruction, Program, Row
from pybpftime.isa.row import Form, Immediate, jump_field

REGISTERS = st.integers(0, 10)
EDGES_16 = (0, 1, -1, 2, 8, -8, 0x7FFF, -0x8000)
EDGES_32 = (0, 1, -1, 5, 31, 32, 63, 64, 9_999, 10_000, -10_000, 0x7FFF_FFFF, -0x8000_0000)
OFFSETS = st.sampled_from(EDGES_16) | st.integers(-0x8000, 0x7FFF)
IMMEDIATES = st.sampled_from(EDGES_32) | st.integers(-0x8000_0000, 0x7FFF_FFFF)
OPERANDS = {"dst_reg": REGISTERS, "src_reg": REGISTERS, "offset": OFFSETS, "imm": IMMEDIATES}


def instructions_of(row: Row) -> st.SearchStrategy[Instruction]:
    """Every instruction of a row with registers that exist."""
    fields = {name: st.just(row.fixed[name]) if name in row.fixed else values for name, values in OPERANDS.items()}
    if row.wide:
        fields["next_imm"] = st.just(row.fixed["next_imm"]) if "next_imm" in row.fixed else IMMEDIATES
    return st.builds(Instruction, opcode=st.just(row.opcode), **fields)


def instructions() -> st.SearchStrategy[Instruction]:
    """Every instruction of the table with registers that exist."""
    return st.sampled_from(TABLE).flatmap(instructions_of)


def has_target(row: Row) -> bool:
    """Whether the row has a field that leads to another instruction."""
    return row.jumps or row.form is Form.CALL_LOCAL or row.immediate is Immediate.CODE


def slots(chosen: list[Instruction]) -> Program:
    """A program of these instructions: None behind each wide one."""
    return tuple(slot for one in chosen for slot in ((one,) if one.next_imm is None else (one, None)))


@st.composite
def valid_programs(draw: st.DrawFn, max_size: int = 20) -> Program:
    """Programs that `validate` accepts: jumps lead to instructions, r10 is not written, `exit` stands last."""
    rows = draw(st.lists(st.sampled_from(TABLE), max_size=max_size))
    chosen = [draw(instructions_of(row)) for row in rows]
    starts = [0]
    for instruction in chosen:
        starts.append(starts[-1] + instruction.slots)
    for index, (row, instruction) in enumerate(zip(rows, chosen, strict=True)):
        changes: dict[str, int] = {}
        if has_target(row):
            changes[jump_field(row)] = draw(st.sampled_from(starts)) - starts[index] - 1
        for name, field in (("dst", "dst_reg"), ("src", "src_reg")):
            if name in row.writes and getattr(instruction, field) == 10:
                changes[field] = draw(st.integers(0, 9))
        fields = {name: getattr(instruction, name) for name in (*OPERANDS, "next_imm")}
        chosen[index] = Instruction(row.opcode, **(fields | changes))
    return slots([*chosen, Instruction(0x95)])
