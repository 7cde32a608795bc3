"""Which bytes of operands the bytes of a result come from, against what instructions compute."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftime.debug.provenance.flow import ALL_LANES, extended_lanes, operand_lanes
from pybpftime.isa import Form, Instruction, Row, lookup
from pybpftime.isa.algebra import IntAlgebra
from pybpftime.isa.assembler import assemble
from pybpftime.isa.table import TABLE

PURE = [row for row in TABLE if row.form in (Form.BINARY, Form.UNARY)]
numbers = st.integers(0, (1 << 64) - 1)
immediates = st.one_of(st.integers(-(1 << 31), (1 << 31) - 1), st.sampled_from([0, 1, -1, 8, 0xFF, 0xFF00, 0x00FF00FF]))


def result(row: Row, instruction: Instruction, dst: int, src: int) -> int:
    """What the instruction makes of r1 = dst and r2 = src, by its row alone."""
    m = IntAlgebra(row.width)
    assert row.compute is not None
    imm = m.const(instruction.imm)
    if row.form is Form.UNARY:
        operand = {"imm": imm, "dst_reg": m.narrow(dst), "src_reg": m.narrow(src)}[row.operand]
        return int(m.widen(row.compute(m, operand)))
    return int(m.widen(row.compute(m, m.narrow(dst), imm if row.operand == "imm" else m.narrow(src))))


def bytes_of(mask: int) -> int:
    """A mask of bits from one of bytes."""
    return sum(0xFF << 8 * lane for lane in range(8) if mask >> lane & 1)


@pytest.mark.parametrize("row", PURE, ids=lambda row: row.name)
@settings(max_examples=20, deadline=None)
@given(dst=numbers, src=numbers, other_dst=numbers, other_src=numbers, imm=immediates, lane=st.integers(0, 7))
def test_other_bytes_have_no_part_in_it(
    row: Row, dst: int, src: int, other_dst: int, other_src: int, imm: int, lane: int
) -> None:
    fields = {"dst_reg": 1, "src_reg": 2, "offset": 0, "imm": imm} | dict(row.fixed)
    instruction = Instruction(row.opcode, **fields)
    of_dst, of_src = operand_lanes(row, instruction, 1 << lane)
    changed_dst = dst & bytes_of(of_dst) | other_dst & ~bytes_of(of_dst) & (1 << 64) - 1
    changed_src = src & bytes_of(of_src) | other_src & ~bytes_of(of_src) & (1 << 64) - 1
    kept = bytes_of(1 << lane)
    assert result(row, instruction, dst, src) & kept == result(row, instruction, changed_dst, changed_src) & kept


@pytest.mark.parametrize(
    ("text", "wanted", "of_dst", "of_src"),
    [
        ("r1 = r2", 0b1010, 0, 0b1010),
        ("w1 = w2", ALL_LANES, 0, 0b1111),
        ("r1 = 7", ALL_LANES, 0, 0),
        ("r1 += r2", 0b0100, 0b0111, 0b0111),
        ("r1 &= 0xff00", ALL_LANES, 0b0010, 0),
        ("r1 |= 0xff00", 0b0011, 0b0001, 0),
        ("r1 ^= r1", ALL_LANES, 0, 0),
        ("r1 -= r1", ALL_LANES, 0, 0),
        ("r1 <<= 8", 0b0010, 0b0001, 0),
        ("r1 <<= 4", 0b0010, 0b0011, 0),
        ("r1 >>= 56", ALL_LANES, 0b1000_0000, 0),
        ("w1 >>= 8", 0b0001, 0b0010, 0),
        ("r1 s>>= 56", 0b1000_0000, 0b1000_0000, 0),
        ("r1 = be16 r1", 0b0001, 0b0010, 0),
        ("r1 = le16 r1", ALL_LANES, 0b0011, 0),
        ("r1 = bswap64 r1", 0b0001, 0b1000_0000, 0),
        ("r1 = (s8)r2", 0b1000, 0, 0b0001),
        ("r1 <<= r2", 0b0001, ALL_LANES, ALL_LANES),
        ("r1 /= r2", 0b0001, ALL_LANES, ALL_LANES),
    ],
)
def test_what_it_comes_from(text: str, wanted: int, of_dst: int, of_src: int) -> None:
    (instruction,) = assemble(text)
    assert instruction is not None
    assert operand_lanes(lookup(instruction), instruction, wanted) == (of_dst, of_src)


def test_extension_of_a_signed_number() -> None:
    assert extended_lanes(2, 0b0001) == 0b01
    assert extended_lanes(2, 0b1000) == 0b10
    assert extended_lanes(1, ALL_LANES) == 0b1
