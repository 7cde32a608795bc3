"""What each row computes, against an oracle written from the RFC's text and not from the algebra.

The oracle works on a register as 8 bytes through `struct` and ctypes: reading an operand at a width, converting to
C types, truncating division.  The frame around `compute` (narrow, compute, zero-extend) is done here as section 4.1
says it, as every engine must do it.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from fractions import Fraction
from itertools import product

import pytest
from support.edges import edges

from pybpftime.isa import BY_NAME, TABLE, Form, IntAlgebra, Row

ALGEBRAS = {32: IntAlgebra(32), 64: IntAlgebra(64)}
UNSIGNED = {8: ctypes.c_uint8, 16: ctypes.c_uint16, 32: ctypes.c_uint32, 64: ctypes.c_uint64}
SIGNED = {8: ctypes.c_int8, 16: ctypes.c_int16, 32: ctypes.c_int32, 64: ctypes.c_int64}
VALUES = edges(64)
IMMEDIATES = sorted(SIGNED[32](value).value for value in edges(32))


def u(value: int, width: int) -> int:
    return UNSIGNED[width](value).value


def s(value: int, width: int) -> int:
    return SIGNED[width](value).value


def truncated(dividend: int, divisor: int) -> int:
    return math.trunc(Fraction(dividend, divisor))


# Operands are unsigned values of the width; section 4.1, table 3.
ARITHMETIC: dict[str, Callable[[int, int, int], int]] = {
    "add": lambda dst, src, width: dst + src,
    "sub": lambda dst, src, width: dst - src,
    "mul": lambda dst, src, width: dst * src,
    "div": lambda dst, src, width: dst // src if src else 0,
    "sdiv": lambda dst, src, width: truncated(s(dst, width), s(src, width)) if src else 0,
    "or": lambda dst, src, width: dst + src - (dst & src),
    "and": lambda dst, src, width: dst + src - (dst | src),
    "lsh": lambda dst, src, width: dst * 2 ** (src % width),
    "rsh": lambda dst, src, width: dst // 2 ** (src % width),
    "mod": lambda dst, src, width: dst % src if src else dst,
    "smod": lambda dst, src, width: (
        s(dst, width) - s(src, width) * truncated(s(dst, width), s(src, width)) if src else dst
    ),
    "xor": lambda dst, src, width: (dst | src) - (dst & src),
    "arsh": lambda dst, src, width: s(dst, width) // 2 ** (src % width),
}

# Section 4.3, table 7; 64-bit immediates are sign-extended for unsigned comparisons too.
CONDITIONS: dict[str, Callable[[int, int, int], bool]] = {
    "jeq": lambda dst, src, width: dst == src,
    "jgt": lambda dst, src, width: dst > src,
    "jge": lambda dst, src, width: dst >= src,
    "jset": lambda dst, src, width: any(dst >> bit & src >> bit & 1 for bit in range(width)),
    "jne": lambda dst, src, width: dst != src,
    "jsgt": lambda dst, src, width: s(dst, width) > s(src, width),
    "jsge": lambda dst, src, width: s(dst, width) >= s(src, width),
    "jlt": lambda dst, src, width: dst < src,
    "jle": lambda dst, src, width: dst <= src,
    "jslt": lambda dst, src, width: s(dst, width) < s(src, width),
    "jsle": lambda dst, src, width: s(dst, width) <= s(src, width),
}

# Section 5.3: what is in memory afterwards.
ATOMICS: dict[str, Callable[[int, int, int], int]] = {
    "add": lambda old, src, r0: old + src,
    "or": lambda old, src, r0: old | src,
    "and": lambda old, src, r0: old & src,
    "xor": lambda old, src, r0: old ^ src,
    "xchg": lambda old, src, r0: src,
    "cmpxchg": lambda old, src, r0: src if old == r0 else old,
}


def rows(form: Form) -> list[Row]:
    return [row for row in TABLE if row.form is form]


def base_name(row: Row) -> str:
    return row.name.removesuffix("_imm").removesuffix("_reg").removesuffix("32")


def run(row: Row, *operands: int) -> int:
    """Narrow the 64-bit operands, compute, zero-extend."""
    assert row.compute is not None
    m = ALGEBRAS[row.width]
    return int(m.widen(row.compute(m, *(m.narrow(operand) for operand in operands))))


def operands(row: Row) -> tuple[int, ...]:
    """64-bit edge values of the second operand: registers, or immediates that were sign-extended to 64 bits."""
    return VALUES if row.operand == "src_reg" else tuple(u(value, 64) for value in IMMEDIATES)


def test_every_operation_has_an_oracle() -> None:
    assert {base_name(row) for row in rows(Form.BINARY)} == ARITHMETIC.keys()
    assert {base_name(row) for row in rows(Form.JUMP_IF)} == CONDITIONS.keys()
    assert len(rows(Form.BINARY)) == 4 * len(ARITHMETIC)
    assert len(rows(Form.JUMP_IF)) == 4 * len(CONDITIONS)


@pytest.mark.parametrize("row", rows(Form.BINARY), ids=lambda row: row.name)
def test_arithmetic(row: Row) -> None:
    oracle = ARITHMETIC[base_name(row)]
    for dst, src in product(VALUES, operands(row)):
        expected = u(oracle(u(dst, row.width), u(src, row.width), row.width), row.width)
        assert run(row, dst, src) == expected, f"{dst:#x}, {src:#x}"


@pytest.mark.parametrize("row", rows(Form.JUMP_IF), ids=lambda row: row.name)
def test_conditions(row: Row) -> None:
    assert row.compute is not None
    oracle, m = CONDITIONS[base_name(row)], ALGEBRAS[row.width]
    for dst, src in product(VALUES, operands(row)):
        expected = oracle(u(dst, row.width), u(src, row.width), row.width)
        assert row.compute(m, m.narrow(dst), m.narrow(src)) == expected, f"{dst:#x}, {src:#x}"


def reversed_bytes(value: int, bits: int) -> int:
    return int.from_bytes(u(value, bits).to_bytes(bits // 8, "little")[::-1], "little")


UNARY: dict[str, Callable[[int], int]] = {
    "mov_imm": lambda value: value,
    "mov_reg": lambda value: value,
    "mov32_imm": lambda value: u(value, 32),
    "mov32_reg": lambda value: u(value, 32),
    "movsx832_reg": lambda value: u(s(value, 8), 32),
    "movsx1632_reg": lambda value: u(s(value, 16), 32),
    "movsx864_reg": lambda value: u(s(value, 8), 64),
    "movsx1664_reg": lambda value: u(s(value, 16), 64),
    "movsx3264_reg": lambda value: u(s(value, 32), 64),
    "neg": lambda value: u(2**64 - value, 64),
    "neg32": lambda value: u(2**32 - u(value, 32), 32),
    **{f"le{bits}": (lambda value, bits=bits: u(value, bits)) for bits in (16, 32, 64)},
    **{f"be{bits}": (lambda value, bits=bits: reversed_bytes(value, bits)) for bits in (16, 32, 64)},
    **{f"bswap{bits}": (lambda value, bits=bits: reversed_bytes(value, bits)) for bits in (16, 32, 64)},
}


@pytest.mark.parametrize("row", rows(Form.UNARY), ids=lambda row: row.name)
def test_moves_and_swaps(row: Row) -> None:
    for value in operands(row) if row.operand == "imm" else VALUES:
        assert run(row, value) == UNARY[row.name](value), f"{value:#x}"


def test_every_unary_row_has_an_oracle() -> None:
    assert {row.name for row in rows(Form.UNARY)} == UNARY.keys()


@pytest.mark.parametrize("row", rows(Form.ATOMIC), ids=lambda row: row.name)
def test_atomics(row: Row) -> None:
    name = row.name.removeprefix("lock_").removeprefix("fetch_").removesuffix("32")
    values = VALUES[::3] if name == "cmpxchg" else VALUES
    for old, src in product(values, repeat=2):
        for r0 in {0, old, u(old + 1, 64), old ^ 1 << 40}:
            narrow = [u(value, row.width) for value in (old, src, r0)]
            assert run(row, old, src, r0) == u(ATOMICS[name](*narrow), row.width), f"{old:#x}, {src:#x}, {r0:#x}"


@pytest.mark.parametrize("row", rows(Form.ATOMIC), ids=lambda row: row.name)
def test_atomics_say_which_registers_change(row: Row) -> None:
    fetches = "fetch" in row.name or "xchg" in row.name
    assert row.fetch == fetches
    assert row.writes == (("r0",) if "cmpxchg" in row.name else ("src",) if fetches else ())
    assert ("r0" in row.reads) == ("cmpxchg" in row.name)


LOADS = [*rows(Form.LOAD), *rows(Form.LOAD_ACQUIRE)]


@pytest.mark.parametrize("row", LOADS, ids=lambda row: row.name)
def test_loads_extend(row: Row) -> None:
    assert row.compute is not None
    bits = 8 * row.size
    for value in edges(bits):
        expected = u(s(value, bits), 64) if row.name.startswith("ldxs") else value
        assert row.compute(ALGEBRAS[64], value) == expected


@pytest.mark.parametrize(
    ("name", "dst", "src", "expected"),
    [
        ("div_imm", 2**64 - 1, u(-1, 64), 1),  # the immediate is sign-extended, then unsigned
        ("div32_imm", 2**64 - 1, u(-1, 64), 1),
        ("mod32_reg", 0xFFFF_FFFF_0000_0005, 0, 5),  # by zero: the low half is kept, the upper half is zeroed
        ("mod_reg", 0xFFFF_FFFF_0000_0005, 0, 0xFFFF_FFFF_0000_0005),
        ("sdiv_reg", 2**63, 2**64 - 1, 2**63),
        ("smod_reg", 2**63, 2**64 - 1, 0),
        ("sdiv_reg", u(-13, 64), 3, u(-4, 64)),  # section 4.1: -13 s/ 3 is -4
        ("smod_reg", u(-13, 64), 3, u(-1, 64)),  # and -13 s% 3 is -1
        ("lsh_reg", 1, 64, 1),  # counts are taken modulo the width
        ("arsh32_reg", 0x8000_0000, 33, 0xC000_0000),
        ("add32_imm", 2**64 - 1, 1, 0),
    ],
)  # fmt: skip
def test_rules_that_are_easily_missed(name: str, dst: int, src: int, expected: int) -> None:
    assert run(BY_NAME[name], dst, src) == expected
