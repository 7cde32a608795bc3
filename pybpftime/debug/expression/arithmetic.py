"""C's conversions and operators (C11 6.3, 6.5) on scalars.

What C leaves undefined has one answer here: signed overflow wraps around, as BPF's instructions do; a division by
zero and a shift by the width of the type or more are errors, since a number would hide them.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable
from typing import Any

from pybpftime.debug.expression.nodes import Node
from pybpftime.debug.expression.operands import Computed, Located, Number, Operand, failure
from pybpftime.debug.values import ByteOrder, CType, Scalar, ScalarKind, c_type
from pybpftime.debug.values.types import INT128_RANK, INT_RANK, LONG_LONG_RANK, LONG_RANK
from pybpftime.errors import InputError

INT = Scalar(ScalarKind.INTEGER, 32, True, INT_RANK)
UNSIGNED_INT = Scalar(ScalarKind.INTEGER, 32, False, INT_RANK)
LONG = Scalar(ScalarKind.INTEGER, 64, True, LONG_RANK)
ADDRESS = Scalar(ScalarKind.INTEGER, 64, False, LONG_RANK)

TYPE_NAMES = {
    (INT_RANK, True): "int",
    (INT_RANK, False): "unsigned int",
    (LONG_RANK, True): "long",
    (LONG_RANK, False): "unsigned long",
    (LONG_LONG_RANK, True): "long long",
    (LONG_LONG_RANK, False): "unsigned long long",
    (INT128_RANK, True): "__int128",
    (INT128_RANK, False): "unsigned __int128",
}

Operation = Callable[[Any, Any], Any]

COMPARISONS: dict[str, Operation] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
PLAIN: dict[str, Operation] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
}


def type_of(scalar: Scalar, byteorder: ByteOrder) -> CType:
    """The C type of the result of arithmetic."""
    if scalar.kind is ScalarKind.FLOAT:
        return c_type("float" if scalar.bits == 32 else "double", byteorder)
    return c_type(TYPE_NAMES[scalar.rank, scalar.signed], byteorder)


def promoted(scalar: Scalar, bit_size: int | None = None) -> Scalar:
    """The integer promotions (6.3.1.1); of a bit field with its width, as clang and GCC promote for BPF."""
    if scalar.kind is ScalarKind.FLOAT:
        return scalar
    if bit_size is not None and bit_size <= INT.bits:
        fits = bit_size < INT.bits or scalar.signed
        return INT if fits else UNSIGNED_INT
    if scalar.kind is ScalarKind.BOOL or scalar.rank < INT_RANK:
        return INT
    return scalar


def common(left: Scalar, right: Scalar) -> Scalar:
    """The usual arithmetic conversions (6.3.1.8) of promoted types."""
    if ScalarKind.FLOAT in (left.kind, right.kind):
        widths = [side.bits for side in (left, right) if side.kind is ScalarKind.FLOAT]
        return Scalar(ScalarKind.FLOAT, max(widths), signed=True)
    if left.signed == right.signed:
        return left if left.rank >= right.rank else right
    signed, unsigned = (left, right) if left.signed else (right, left)
    if unsigned.rank >= signed.rank:
        return unsigned
    if signed.bits > unsigned.bits:
        return signed
    return Scalar(ScalarKind.INTEGER, signed.bits, False, signed.rank)


def promoted_operand(operand: Operand, number: Computed, byteorder: ByteOrder) -> Computed:
    """A number after the integer promotions; `operand` is what it came from and may be a bit field."""
    width = operand.bits.bit_size if isinstance(operand, Located) and operand.bits is not None else None
    wanted = promoted(number.scalar, width)
    return convert(number, type_of(wanted, byteorder), width)


def convert(number: Computed, kind: CType, width: int | None = None) -> Computed:
    """The number as another scalar type (6.3.1); `width` says how many bits of its type it uses."""
    source, target = number.scalar, kind.scalar()
    if target is None:
        raise failure(number.node, f"it cannot become {kind.text}")
    get = _converted(number, source, target, width)
    if get is number.get:
        return Computed(number.node, kind, get, number.constant)
    return folded(Computed(number.node, kind, get), number)


def _converted(number: Computed, source: Scalar, target: Scalar, width: int | None) -> Number:
    get, node = number.get, number.node
    if target.kind is ScalarKind.FLOAT:
        if source.kind is ScalarKind.POINTER:
            raise failure(node, "a pointer cannot become a floating point number")
        if source == target:
            return get
        return lambda: rounded(get(), target.bits)
    if source.kind is ScalarKind.FLOAT:
        if target.kind is ScalarKind.POINTER:
            raise failure(node, "a floating point number cannot become a pointer")
        inner, get = get, lambda: _truncated(inner(), node)
    elif target.kind is not ScalarKind.BOOL:
        used = source if width is None else Scalar(source.kind, width, source.signed)
        if target.lowest <= used.lowest and used.highest <= target.highest:
            return get
    if target.kind is ScalarKind.BOOL:
        real = number.get
        return lambda: 1 if real() else 0
    wrap = wrapping(target)
    return lambda: wrap(get())


def rounded(number: float, bits: int) -> float:
    """A number as a float of that many bits."""
    try:
        real = float(number)
        return float(struct.unpack("<f", struct.pack("<f", real))[0]) if bits == 32 else real
    except OverflowError:
        return math.copysign(math.inf, number)


def _truncated(number: float, node: Node) -> int:
    if not math.isfinite(number):
        raise failure(node, f"{number} is no integer")
    return int(number)


def wrapping(scalar: Scalar) -> Callable[[Any], int]:
    """Brings any integer into the range of a type, modulo its width."""
    mask = (1 << scalar.bits) - 1
    if not scalar.signed:
        return lambda number: number & mask
    half = 1 << scalar.bits - 1
    return lambda number: ((number & mask) ^ half) - half


def folded(result: Computed, *parts: Computed) -> Computed:
    """`result` as a constant, if all it is made of is constant; an error is left for the evaluation."""
    if any(part.constant is None for part in parts):
        return result
    try:
        number = result.get()
    except InputError:
        return result
    return Computed(result.node, result.type, lambda: number, number)


def applied(operation: Operation, left: Computed, right: Computed) -> Number:
    """A closure of two operands, shorter where the right one is constant."""
    first, second, fixed = left.get, right.get, right.constant
    if fixed is not None:
        return lambda: operation(first(), fixed)
    return lambda: operation(first(), second())


def compare(node: Node, symbol: str, left: Computed, right: Computed, byteorder: ByteOrder) -> Computed:
    """A comparison of operands of one type, or of addresses: an int, 0 or 1."""
    get = applied(COMPARISONS[symbol], left, right)
    return folded(Computed(node, type_of(INT, byteorder), get), left, right)


def arithmetic(node: Node, symbol: str, left: Computed, right: Computed, byteorder: ByteOrder) -> Computed:
    """A binary operator on promoted arithmetic operands."""
    if symbol in ("<<", ">>"):
        return _shift(node, symbol, left, right)
    scalar = common(left.scalar, right.scalar)
    kind = type_of(scalar, byteorder)
    left, right = convert(left, kind), convert(right, kind)
    if symbol in COMPARISONS:
        return compare(node, symbol, left, right, byteorder)
    if scalar.kind is ScalarKind.FLOAT:
        operation = _float_operation(node, symbol, scalar)
    elif symbol == "/":
        operation = _division(node, scalar)
    elif symbol == "%":
        operation = _remainder(node)
    else:
        operation = _wrapped(PLAIN[symbol], scalar, exact=symbol in "&|^")
    return folded(Computed(node, kind, applied(operation, left, right)), left, right)


def _wrapped(operation: Operation, scalar: Scalar, *, exact: bool) -> Operation:
    if exact:  # bit operations do not leave the range of their operands
        return operation
    wrap = wrapping(scalar)
    return lambda left, right: wrap(operation(left, right))


def truncated_division(left: int, right: int) -> int:
    """Toward zero, as C divides."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _division(node: Node, scalar: Scalar) -> Operation:
    wrap = wrapping(scalar)

    def divide(left: int, right: int) -> int:
        if right == 0:
            raise failure(node, "division by zero")
        return wrap(truncated_division(left, right))

    return divide


def _remainder(node: Node) -> Operation:
    def remainder(left: int, right: int) -> int:
        if right == 0:
            raise failure(node, "division by zero")
        return left - right * truncated_division(left, right)

    return remainder


def _shift(node: Node, symbol: str, left: Computed, right: Computed) -> Computed:
    scalar = left.scalar
    if ScalarKind.FLOAT in (scalar.kind, right.scalar.kind):
        raise failure(node, f"{symbol} is for integers")
    wrap, bits = wrapping(scalar), scalar.bits
    upward = symbol == "<<"

    def shift(number: int, count: int) -> int:
        if not 0 <= count < bits:
            raise failure(node, f"a shift by {count} is not defined for {bits} bits")
        return wrap(number << count) if upward else number >> count

    return folded(Computed(node, left.type, applied(shift, left, right)), left, right)


def _float_operation(node: Node, symbol: str, scalar: Scalar) -> Operation:
    bits = scalar.bits
    if symbol == "/":
        return lambda left, right: rounded(_float_quotient(left, right), bits)
    if symbol not in "+-*":
        raise failure(node, f"{symbol} is for integers")
    operation = PLAIN[symbol]
    return lambda left, right: rounded(operation(left, right), bits)


def _float_quotient(left: float, right: float) -> float:
    """As IEEE 754 divides: by zero gives an infinity or NaN."""
    if right:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def negated(node: Node, symbol: str, number: Computed) -> Computed:
    """Unary `-`, `+` or `~` on a promoted operand."""
    scalar, get = number.scalar, number.get
    if symbol == "+":
        return Computed(node, number.type, get, number.constant)
    if scalar.kind is ScalarKind.FLOAT:
        if symbol == "~":
            raise failure(node, "~ is for integers")
        return folded(Computed(node, number.type, lambda: -get()), number)
    wrap = wrapping(scalar)
    change = (lambda: wrap(-get())) if symbol == "-" else (lambda: wrap(-get() - 1))
    return folded(Computed(node, number.type, change), number)
