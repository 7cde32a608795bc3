"""`Z3Algebra` is `IntAlgebra`: the proofs hold what the reference interpreter does.

Every pair of operands at width 4, the edges at 32 and 64, and random values; every pure row too.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.edges import edges

from pybpftime.isa import TABLE, Form, IntAlgebra, Row

pytest.importorskip("z3", reason="needs z3")
from pybpftime.verifier import terms
from pybpftime.verifier.terms import Z3Algebra

BINARY = (
    *("add", "sub", "mul", "udiv", "umod", "sdiv", "smod", "bitwise_and", "bitwise_or", "bitwise_xor"),
    *("shift_left", "shift_right", "shift_right_signed"),
    *("equal", "not_equal", "less", "less_or_equal", "signed_less", "signed_less_or_equal"),
)
ROWS = [row for row in TABLE if row.compute is not None and row.form in (Form.BINARY, Form.UNARY, Form.JUMP_IF)]


def in_z3(operation: str, width: int, *operands: int) -> int | bool:
    m = Z3Algebra(width)
    return terms.value_of(getattr(m, operation)(*(terms.number(operand, width) for operand in operands)))


@pytest.mark.parametrize("operation", BINARY)
def test_binary_operations_exhaustively(operation: str) -> None:
    m, z = IntAlgebra(4), Z3Algebra(4)
    for a, b in product(range(16), repeat=2):
        expected = getattr(m, operation)(a, b)
        assert terms.value_of(getattr(z, operation)(z.const(a), z.const(b))) == expected, (a, b)


@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("operation", BINARY)
def test_binary_operations_on_edges(operation: str, width: int) -> None:
    values = {*edges(width)[::3], 0, 1, width, 2**width - 1, 2 ** (width - 1)}
    for a, b in product(values, repeat=2):
        assert in_z3(operation, width, a, b) == getattr(IntAlgebra(width), operation)(a, b), (a, b)


@given(st.sampled_from((8, 32, 64)), st.sampled_from(BINARY), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_binary_operations_anywhere(width: int, operation: str, a: int, b: int) -> None:
    a, b = a % 2**width, b % 2**width
    assert in_z3(operation, width, a, b) == getattr(IntAlgebra(width), operation)(a, b)


@pytest.mark.parametrize("width", [4, 8])
def test_low_and_sign_extend_exhaustively(width: int) -> None:
    m, z = IntAlgebra(width), Z3Algebra(width)
    for a, kept in product(range(2**width), range(1, width + 1)):
        assert terms.value_of(z.low(z.const(a), kept)) == m.low(a, kept)
        assert terms.value_of(z.sign_extend(z.const(a), kept)) == m.sign_extend(a, kept)


@given(st.integers(0, 2**64 - 1))
def test_byte_swap_narrow_widen_and_const(value: int) -> None:
    whole = terms.number(value, 64)
    for bits in (16, 32, 64):
        assert terms.value_of(Z3Algebra(64).byte_swap(whole, bits)) == IntAlgebra(64).byte_swap(value, bits)
    for width in (32, 64):
        m, z = IntAlgebra(width), Z3Algebra(width)
        assert terms.value_of(z.narrow(whole)) == m.narrow(value)
        assert terms.value_of(z.widen(z.narrow(whole))) == m.widen(m.narrow(value))
        assert terms.value_of(z.const(value - 2**63)) == m.const(value - 2**63)


def test_select() -> None:
    z = Z3Algebra(8)
    assert terms.value_of(z.select(z.less(z.const(1), z.const(2)), z.const(5), z.const(7))) == 5
    assert terms.value_of(z.select(z.less(z.const(2), z.const(1)), z.const(5), z.const(7))) == 7


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows_have_one_meaning(row: Row) -> None:
    """What a row computes over terms is what it computes over integers."""
    m, z = IntAlgebra(row.width), Z3Algebra(row.width)
    operands = 1 if row.form is Form.UNARY else 2
    values = (0, 1, 7, row.width, row.width - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 0x8877_6655_4433_2211)
    compute: Any = row.compute
    for chosen in product(values, repeat=operands):
        expected = compute(m, *map(m.narrow, chosen))
        assert terms.value_of(compute(z, *(z.const(value) for value in chosen))) == expected, chosen
