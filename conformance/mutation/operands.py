"""Bugs in fetching: the wrong register, or the wrong immediate, for rows that compute from nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from pybpftime.conformance.mutation.binding import as_instruction, as_row, register_below, with_fields
from pybpftime.conformance.mutation.meaning import absolute, with_operands
from pybpftime.conformance.mutation.mutant import Compute, Kind, Pure, Seed
from pybpftime.isa import Row


def pure(row: Row) -> Iterator[Pure]:
    """Another number for the immediate."""
    if row.operand != "imm":
        return

    def of(change: Compute) -> Compute:
        return with_operands(row, lambda m, dst, imm: (dst, change(m, imm)))

    yield Kind.IMMEDIATE, "imm-8", "only 8 bits of the immediate are read", of(lambda m, imm: m.sign_extend(imm, 8))
    yield Kind.IMMEDIATE, "imm-16", "only 16 bits of the immediate are read", of(lambda m, imm: m.sign_extend(imm, 16))
    next_one = of(lambda m, imm: m.add(imm, m.const(1)))
    yield Kind.IMMEDIATE, "imm-plus-one", "the immediate is one too high", next_one
    if not row.name.startswith("smod"):  # whose result has the sign of dst, whatever that of the divisor
        yield Kind.IMMEDIATE, "imm-absolute", "the sign of the immediate is lost", of(absolute)


def seeds(row: Row) -> Iterator[Seed]:
    """Another field, or another register."""
    if row.operand == "imm":
        yield Kind.REGISTER, "register-for-imm", "a register is read for the immediate", as_row(operand="src_reg")
        offset = as_instruction(with_fields(imm=lambda one: one.offset))
        yield Kind.IMMEDIATE, "offset-for-imm", "the offset is read for the immediate", offset
    elif row.operand == "src_reg":
        yield Kind.REGISTER, "imm-for-register", "the immediate is read for the register", as_row(operand="imm")
        below = register_below("src_reg")
        yield Kind.REGISTER, "register-below", "the register below src is read (r0 for r0)", below
    if row.name != "le64":  # which changes no register
        yield Kind.REGISTER, "dst-below", "the register below dst is meant (r0 for r0)", register_below("dst_reg")
