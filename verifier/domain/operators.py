"""The abstract semantics of the ISA's pure rows: what an instruction makes of what is known about its operands.

The frame is that of the concrete semantics: operands are narrowed to the row's width, the operator is applied, and a
32-bit result is zero-extended.  Where low halves of operands give the low half of the result, a 64-bit operator is
applied to the low halves too, since they may be known better than the whole.

Results are remembered: programs, and states of one program, do the same things again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial

from pybpftime.errors import InternalError
from pybpftime.isa import TABLE
from pybpftime.isa.row import Form, Row
from pybpftime.verifier.domain import arithmetic, bitwise
from pybpftime.verifier.domain.ranges import (
    UNKNOWN,
    Range,
    canonical,
    low_half,
    meet,
    sign_extended,
    whole,
    with_low_half,
    with_whole,
    zero_extended,
)
from pybpftime.verifier.domain.relations import RELATIONS, equal
from pybpftime.verifier.domain.words import W32, W64, Width, Word, unknown

Binary = Callable[[Width, Word, Word], Word]
Unary = Callable[[Width, Word], Word]

REMEMBERED = 1 << 16
"""Results kept of each operator."""

BINARY: Mapping[str, Binary] = {
    "add": arithmetic.add,
    "sub": arithmetic.subtract,
    "mul": arithmetic.multiply,
    "div": arithmetic.divide,
    "sdiv": arithmetic.signed_divide,
    "mod": arithmetic.modulo,
    "smod": arithmetic.signed_modulo,
    "and": bitwise.bitwise_and,
    "or": bitwise.bitwise_or,
    "xor": bitwise.bitwise_xor,
    "lsh": bitwise.shift_left,
    "rsh": bitwise.shift_right,
    "arsh": bitwise.shift_right_signed,
}
FROM_LOW_HALVES = frozenset({"add", "sub", "mul", "and", "or", "xor", "neg", "mov"})
"""Operations of which the low half of the result is that of the low halves."""


def move(w: Width, a: Word) -> Word:
    """a."""
    return a


UNARY: Mapping[str, Unary] = {
    "mov": move,
    "neg": arithmetic.negate,
    **{f"movsx{bits}": partial(bitwise.sign_extend, bits=bits) for bits in (8, 16, 32)},
    **{f"le{bits}": partial(bitwise.low_bits, bits=bits) for bits in (16, 32, 64)},
    **{f"{name}{bits}": partial(bitwise.byte_swap, bits=bits) for name in ("be", "bswap") for bits in (16, 32, 64)},
}
EXTENDS_SIGN = frozenset({"movsx8", "movsx16", "movsx32"})
EXTENDS_ZERO = frozenset({"le16", "le32", "be16", "be32", "bswap16", "bswap32"})
"""Operations whose 64-bit form reads the low half only and extends the result."""


@cache
def base_name(row: Row) -> str:
    """The name that the rows of one operation share: add for add32_imm, movsx8 for movsx864_reg, bswap16."""
    name = row.name.removesuffix("_imm").removesuffix("_reg")
    return name if name in UNARY else name.removesuffix(str(row.width))


@lru_cache(maxsize=REMEMBERED)
def binary(operation: str, width: int, a: Range, b: Range) -> Range:
    """The numbers that a BINARY row leaves in its register: `operation` is its base name, `width` 32 or 64."""
    operator = BINARY[operation]
    if width == 32:
        return _tightened(zero_extended(operator(W32, low_half(a), low_half(b))))
    result = operator(W64, whole(a), whole(b))
    low = operator(W32, low_half(a), low_half(b)) if operation in FROM_LOW_HALVES else unknown(W32)
    return _tightened(Range(*result, *low[2:]))


@lru_cache(maxsize=REMEMBERED)
def unary(operation: str, width: int, a: Range) -> Range:
    """The numbers that a UNARY row leaves in its register; see `binary`."""
    operator = UNARY[operation]
    if width == 32 or operation in EXTENDS_ZERO:
        return _tightened(zero_extended(operator(W32, low_half(a))))
    if operation in EXTENDS_SIGN:
        return _tightened(sign_extended(operator(W32, low_half(a))))
    result = operator(W64, whole(a))
    low = operator(W32, low_half(a)) if operation in FROM_LOW_HALVES else unknown(W32)
    return _tightened(Range(*result, *low[2:]))


def _tightened(range_: Range) -> Range:
    """The canonical form of a result.

    Operands that have no member, though no view shows it, can give an empty result: whoever has them is nowhere, and
    any answer is right.
    """
    return canonical(range_) or UNKNOWN


def transfer(row: Row, a: Range, b: Range | None = None) -> Range:
    """The numbers that a BINARY row (`a` is dst, `b` the operand) or a UNARY row (`a` is the operand) leaves in dst.

    An immediate operand is the constant of its 64-bit sign extension, as in the concrete frame.
    """
    if b is None:
        return unary(base_name(row), row.width, a)
    return binary(base_name(row), row.width, a, b)


def refine(row: Row, a: Range, b: Range, taken: bool) -> tuple[Range, Range] | None:
    """Both operands of a JUMP_IF row, given that it jumped or did not; None when it cannot have."""
    return refined(base_name(row), row.width, a, b, taken)


def decide(row: Row, a: Range, b: Range) -> bool | None:
    """Whether a JUMP_IF row jumps for all members (True), for none (False), or that is not known (None)."""
    return decided(base_name(row), row.width, a, b)


@lru_cache(maxsize=REMEMBERED)
def refined(condition: str, width: int, a: Range, b: Range, taken: bool) -> tuple[Range, Range] | None:
    """`refine` for the base name and the width of a row."""
    relation = RELATIONS[condition][0 if taken else 1]
    if width == 64 and relation is equal:
        both = meet(a, b)
        return None if both is None else (both, both)
    if width == 64:
        pair = relation(W64, whole(a), whole(b))
        replace = with_whole
    else:
        pair = relation(W32, low_half(a), low_half(b))
        replace = with_low_half
    if pair is None:
        return None
    left, right = canonical(replace(a, pair[0])), canonical(replace(b, pair[1]))
    return None if left is None or right is None else (left, right)


def decided(condition: str, width: int, a: Range, b: Range) -> bool | None:
    """`decide` for the base name and the width of a row."""
    if refined(condition, width, a, b, True) is None:
        return False
    return True if refined(condition, width, a, b, False) is None else None


def _check_complete() -> None:
    """Every pure row of the ISA table has its operator."""
    tables: Mapping[Form, Mapping[str, object]] = {Form.BINARY: BINARY, Form.UNARY: UNARY, Form.JUMP_IF: RELATIONS}
    for row in TABLE:
        if row.form in tables and base_name(row) not in tables[row.form]:
            raise InternalError(f"the verifier's domain has no operator for {row.name}")


_check_complete()
