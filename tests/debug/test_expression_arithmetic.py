"""Arithmetic against ctypes and Python's own numbers; what an evaluation asks of the target."""

from __future__ import annotations

import ctypes
import math

import pytest
from debug.values_support import FakeScope, sample_scope
from hypothesis import assume, given
from hypothesis import strategies as st

from pybpftime.debug.expression import compile_condition, compile_expression
from pybpftime.errors import InputError

TYPES = {
    "char": ctypes.c_int8,
    "unsigned char": ctypes.c_uint8,
    "short": ctypes.c_int16,
    "unsigned short": ctypes.c_uint16,
    "int": ctypes.c_int32,
    "unsigned int": ctypes.c_uint32,
    "long": ctypes.c_int64,
    "unsigned long": ctypes.c_uint64,
    "long long": ctypes.c_int64,
    "unsigned long long": ctypes.c_uint64,
}
RANKS = {name: 1 + (index - 4) // 2 if index >= 4 else 0 for index, name in enumerate(TYPES)}
NUMBERS = st.integers(0, 2**64 - 1) | st.integers(0, 300) | st.sampled_from([2**31, 2**63, 2**32 - 1, 2**15])
SCOPE = sample_scope()


def result_type(left: str, right: str) -> str:
    """The usual arithmetic conversions as C11 6.3.1.8 words them, for LP64."""
    left, right = ("int" if RANKS[side] == 0 else side for side in (left, right))
    if left == right:
        return left
    unsigned = {side: side.startswith("unsigned") for side in (left, right)}
    if unsigned[left] == unsigned[right]:
        return max(left, right, key=lambda side: RANKS[side])
    signed, other = (left, right) if unsigned[right] else (right, left)
    if RANKS[other] >= RANKS[signed]:
        return other
    if ctypes.sizeof(TYPES[signed]) > ctypes.sizeof(TYPES[other]):
        return signed
    return f"unsigned {signed}"


@given(st.sampled_from(sorted(TYPES)), st.sampled_from(sorted(TYPES)), NUMBERS)
def test_casts_as_ctypes_converts(first: str, second: str, number: int) -> None:
    wanted = TYPES[second](TYPES[first](number).value).value
    assert compile_expression(f"({second})({first}){number}", SCOPE).number() == wanted


@given(st.sampled_from(sorted(TYPES)), st.sampled_from(sorted(TYPES)), st.sampled_from("+-*/%&|^"), NUMBERS, NUMBERS)
def test_operators_as_the_common_type_has_them(left: str, right: str, symbol: str, first: int, second: int) -> None:
    common = result_type(left, right)
    convert = TYPES[common]
    a, b = convert(TYPES[left](first).value).value, convert(TYPES[right](second).value).value
    found = compile_expression(f"({left}){first}ull {symbol} ({right}){second}ull", SCOPE)
    assert found.type_text == common
    if symbol in "/%" and b == 0:
        with pytest.raises(InputError, match="division by zero"):
            found.number()
        return
    models = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "/": lambda: abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1),
        "%": lambda: int(math.copysign(1, a)) * (abs(a) % abs(b)),
        "&": lambda: a & b,
        "|": lambda: a | b,
        "^": lambda: a ^ b,
    }
    assert found.number() == convert(models[symbol]()).value


@given(st.sampled_from(sorted(TYPES)), st.sampled_from(sorted(TYPES)), NUMBERS, NUMBERS)
def test_comparisons_in_the_common_type(left: str, right: str, first: int, second: int) -> None:
    convert = TYPES[result_type(left, right)]
    a, b = convert(TYPES[left](first).value).value, convert(TYPES[right](second).value).value
    answers = [
        compile_condition(f"({left}){first} {symbol} ({right}){second}", SCOPE)() for symbol in ("<", "==", ">=")
    ]
    assert answers == [a < b, a == b, a >= b]


@given(st.sampled_from(sorted(TYPES)), NUMBERS, st.integers(-1, 70), st.sampled_from(["<<", ">>"]))
def test_shifts_in_the_left_type(kind: str, number: int, count: int, symbol: str) -> None:
    promoted = TYPES[result_type(kind, "char")]
    value = TYPES[kind](number).value
    found = compile_expression(f"({kind}){number} {symbol} ({count})", SCOPE)
    if not 0 <= count < 8 * ctypes.sizeof(promoted):
        with pytest.raises(InputError, match="a shift by"):
            found.number()
    else:
        assert found.number() == promoted(value << count if symbol == "<<" else value >> count).value


@given(st.floats(allow_nan=False), st.floats(allow_nan=False), st.sampled_from("+-*"))
def test_doubles_as_python_has_them(left: float, right: float, symbol: str) -> None:
    assume(math.isfinite(left) and math.isfinite(right))
    texts = [f"({'-' if math.copysign(1, side) < 0 else ''}{abs(side)!r})" for side in (left, right)]
    wanted = {"+": left + right, "-": left - right, "*": left * right}[symbol]
    assert compile_expression(f"{texts[0]} {symbol} {texts[1]}", SCOPE).number() == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1.0 / 0", math.inf),
        ("-1.0 / 0", -math.inf),
        ("1.0 / -0.0", -math.inf),
        ("(float)1e300", math.inf),
        ("(float)0.1 == 0.1f", 1),
        ("0.0 / 0 == 0.0 / 0", 0),
        ("16777217 + 0.0f", 16777216.0),
    ],
)
def test_floats_as_ieee_754_has_them(text: str, wanted: float) -> None:
    assert compile_expression(text, SCOPE).number() == wanted


class Counted:
    """What an evaluation asks for."""

    def __init__(self, scope: FakeScope) -> None:
        self.calls: list[str] = []
        for owner, names in ((scope, ("variable", "find_type", "map")), (scope.target, ("read", "register"))):
            for name in names:
                self.watch(owner, name)

    def watch(self, owner: object, name: str) -> None:
        inner = getattr(owner, name)

        def outer(*arguments: object) -> object:
            self.calls.append(name)
            return inner(*arguments)

        setattr(owner, name, outer)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("$r1 > 5", ["register"]),
        ("iph->ttl == 1", ["register", "read"]),
        ("iph->ihl == 5", ["register", "read"]),
        ("points[1].x == 3", ["read"]),
        ("counts[42] == 3", ["read"]),
        ("negative < 0 && list->next->value == 2", ["read", "read", "read", "read"]),
        ("negative > 0 && list->next->value == 2", ["read"]),
        ("sizeof(struct iphdr) + PASS == 22", []),
    ],
)
def test_names_are_resolved_once_and_little_is_read(text: str, calls: list[str]) -> None:
    scope = sample_scope()
    counted = Counted(scope)
    condition = compile_condition(text, scope)
    counted.calls.clear()
    condition()
    assert counted.calls == calls
