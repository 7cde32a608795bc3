"""Integers and truth values that stand for all their values at once, and the paths that a function takes with them.

The domain's operators are ordinary Python over integers.  Run with a `Symbol` for each integer they compute z3 terms;
where they branch on a `Truth`, `Paths` decides which way this run goes and comes back for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from pybpftime.verifier import terms
from pybpftime.verifier.terms import Formula, Term

Number: TypeAlias = "int | Symbol"


class Truth:
    """A comparison of symbols."""

    __slots__ = ("formula", "paths")
    __hash__ = None  # type: ignore[assignment]  # symbols are compared by formula, not kept in sets

    def __init__(self, paths: Paths, formula: Formula) -> None:
        self.paths = paths
        self.formula = formula

    def __bool__(self) -> bool:
        return self.paths.goes(self.formula)

    def __eq__(self, other: object) -> bool:
        return bool(self) == bool(other)


def signed_bits(low: int, high: int) -> int:
    """The size of a signed bit vector that holds `low` to `high`."""
    return max((low if low >= 0 else ~low).bit_length(), (high if high >= 0 else ~high).bit_length()) + 1


class Symbol:
    """An integer, of which is known that it lies from `low` to `high`.

    Its term is a signed bit vector just wide enough for that, and the term of each result is as wide as the result can
    need: nothing overflows, so terms behave as Python's integers do.
    """

    __slots__ = ("high", "low", "paths", "term")
    __hash__ = None  # type: ignore[assignment]  # symbols are compared by formula, not kept in sets

    def __init__(self, paths: Paths, term: Term, low: int, high: int) -> None:
        self.paths = paths
        self.low = low
        self.high = high
        self.term = terms.resized(term, signed_bits(low, high))

    def sized(self, bits: int) -> Term:
        """Its term with that many bits, not fewer than it has."""
        assert bits >= self.term.size()
        return terms.resized(self.term, bits)

    def low_bits(self, bits: int) -> Term:
        """The number modulo 2**bits, as a vector of that many bits."""
        return terms.low(self.sized(max(bits, self.term.size())), bits)

    def _other(self, other: Number) -> Symbol:
        if isinstance(other, Symbol):
            return other
        return Symbol(self.paths, terms.number(other, signed_bits(other, other)), other, other)

    def _made(self, operation: Callable[[Term, Term], Term], other: Symbol, low: int, high: int) -> Symbol:
        bits = max(signed_bits(low, high), self.term.size(), other.term.size())
        return Symbol(self.paths, operation(self.sized(bits), other.sized(bits)), low, high)

    def __add__(self, other: Number) -> Symbol:
        other = self._other(other)
        return self._made(lambda a, b: a + b, other, self.low + other.low, self.high + other.high)

    __radd__ = __add__

    def __neg__(self) -> Symbol:
        return 0 - self

    def __abs__(self) -> Symbol:
        result: Symbol = maximum(self, -self)
        return result

    def __sub__(self, other: Number) -> Symbol:
        other = self._other(other)
        return self._made(lambda a, b: a - b, other, self.low - other.high, self.high - other.low)

    def __rsub__(self, other: int) -> Symbol:
        return self._other(other) - self

    def __mul__(self, other: Number) -> Symbol:
        other = self._other(other)
        corners = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return self._made(lambda a, b: a * b, other, min(corners), max(corners))

    __rmul__ = __mul__

    def _bits_range(self, other: Symbol) -> tuple[int, int]:
        top = 1 << (max(self.term.size(), other.term.size()) - 1)
        return (0 if self.low >= 0 and other.low >= 0 else -top), top - 1

    def __and__(self, other: Number) -> Symbol:
        other = self._other(other)
        low, high = self._bits_range(other)
        bounds = [symbol.high for symbol in (self, other) if symbol.low >= 0]
        return self._made(lambda a, b: a & b, other, 0 if bounds else low, min(bounds) if bounds else high)

    __rand__ = __and__

    def __or__(self, other: Number) -> Symbol:
        other = self._other(other)
        return self._made(lambda a, b: a | b, other, *self._bits_range(other))

    __ror__ = __or__

    def __xor__(self, other: Number) -> Symbol:
        other = self._other(other)
        return self._made(lambda a, b: a ^ b, other, *self._bits_range(other))

    __rxor__ = __xor__

    def __invert__(self) -> Symbol:
        return Symbol(self.paths, ~self.term, ~self.high, ~self.low)

    def __lshift__(self, other: Number) -> Symbol:
        other = self._distance(other)
        corners = [a << b for a in (self.low, self.high) for b in (other.low, other.high)]
        return self._made(lambda a, b: a << b, other, min(corners), max(corners))

    def __rlshift__(self, other: int) -> Symbol:
        return self._other(other) << self

    def __rshift__(self, other: Number) -> Symbol:
        other = self._distance(other)
        corners = [a >> b for a in (self.low, self.high) for b in (other.low, other.high)]
        return self._made(lambda a, b: a >> b, other, min(corners), max(corners))

    def __rrshift__(self, other: int) -> Symbol:
        return self._other(other) >> self

    def _distance(self, other: Number) -> Symbol:
        """The distance of a shift; a negative one ends the path as it would in Python."""
        other = self._other(other)
        if other < 0:
            raise ValueError("negative shift count")
        return Symbol(self.paths, other.term, max(other.low, 0), self.paths.bound(other))

    def __floordiv__(self, other: Number) -> Symbol:
        return self._divided(other)[0]

    def __mod__(self, other: Number) -> Symbol:
        return self._divided(other)[1]

    def __rfloordiv__(self, other: int) -> Symbol:
        return self._other(other)._divided(self)[0]

    def __rmod__(self, other: int) -> Symbol:
        return self._other(other)._divided(self)[1]

    def _divided(self, other: Number) -> tuple[Symbol, Symbol]:
        """Quotient and remainder; the operators of the domain divide non-negative numbers only."""
        other = self._other(other)
        if other == 0:
            raise ZeroDivisionError
        if self < 0 or other < 0:
            raise NotImplementedError("division of negative numbers")
        quotient = self._made(terms.quotient, other, 0, max(self.high, 0))
        return quotient, Symbol(self.paths, (self - quotient * other).term, 0, max(other.high, 0))

    def bit_length(self) -> BitLength:
        """As that of `int`, for numbers that are not negative."""
        if self < 0:
            raise NotImplementedError("bit_length of a negative number")
        bits = self.term.size()
        result = terms.number(0, bits + 1)
        for at in range(bits - 1):
            result = terms.choose(terms.bit(self.term, at), terms.number(at + 1, bits + 1), result)
        return BitLength(self.paths, result, 0, max(self.high, 0).bit_length(), self)

    def _compared(self, operation: Callable[[Term, Term], Formula], other: Number) -> Truth:
        other = self._other(other)
        bits = max(self.term.size(), other.term.size())
        return Truth(self.paths, operation(self.sized(bits), other.sized(bits)))

    def __lt__(self, other: Number) -> Truth | bool:
        other = self._other(other)
        if self.high < other.low or self.low >= other.high:
            return self.high < other.low
        return self._compared(lambda a, b: a < b, other)

    def __le__(self, other: Number) -> Truth | bool:
        other = self._other(other)
        if self.high <= other.low or self.low > other.high:
            return self.high <= other.low
        return self._compared(lambda a, b: a <= b, other)

    def __gt__(self, other: Number) -> Truth | bool:
        return self._other(other) < self

    def __ge__(self, other: Number) -> Truth | bool:
        return self._other(other) <= self

    def __eq__(self, other: object) -> Truth | bool:  # type: ignore[override]  # a comparison of symbols is a formula
        assert isinstance(other, (int, Symbol))
        other = self._other(other)
        if self.high < other.low or other.high < self.low:
            return False
        return self._compared(lambda a, b: a == b, other)

    def __ne__(self, other: object) -> Truth | bool:  # type: ignore[override]  # a comparison of symbols is a formula
        assert isinstance(other, (int, Symbol))
        other = self._other(other)
        if self.high < other.low or other.high < self.low:
            return True
        return self._compared(lambda a, b: a != b, other)

    def __bool__(self) -> bool:
        return bool(self != 0)


class BitLength(Symbol):
    """The bit length of `source`: 1 << it is the power of two above every bit of the source, made without a shift."""

    __slots__ = ("source",)

    def __init__(self, paths: Paths, term: Term, low: int, high: int, source: Symbol) -> None:
        super().__init__(paths, term, low, high)
        self.source = source

    def __rlshift__(self, other: int) -> Symbol:
        filled, step = self.source, 1
        while step < self.source.term.size():
            filled, step = filled | (filled >> step), 2 * step
        return (filled + 1) * other


def minimum(*numbers: Any) -> Any:
    """`min`, without a branch where symbols are compared."""
    numbers = numbers[0] if len(numbers) == 1 else numbers
    result, *others = numbers
    for other in others:
        result = _chosen(other < result, other, result, min)
    return result


def maximum(*numbers: Any) -> Any:
    """`max`, without a branch where symbols are compared."""
    numbers = numbers[0] if len(numbers) == 1 else numbers
    result, *others = numbers
    for other in others:
        result = _chosen(other > result, other, result, max)
    return result


def _chosen(condition: Truth | bool, a: Number, b: Number, of_bounds: Callable[[int, int], int]) -> Number:
    if isinstance(condition, bool):
        return a if condition else b
    some = a if isinstance(a, Symbol) else b
    assert isinstance(some, Symbol)
    a, b = some._other(a), some._other(b)
    return a._made(
        lambda x, y: terms.choose(condition.formula, x, y), b, of_bounds(a.low, b.low), of_bounds(a.high, b.high)
    )


class Paths:
    """Runs a function once for each path that its branches allow.

    `solver` holds what is assumed of the symbols, and during a run the conditions of its path.
    """

    def __init__(self, milliseconds: int) -> None:
        self.solver = terms.new_solver(milliseconds)
        self.count = 0
        self._choices: list[bool] = []
        self._taken = 0
        self._waiting: list[list[bool]] = []
        self._names = 0

    def symbol(self, low: int, high: int, name: str = "") -> Symbol:
        """A new integer from `low` to `high`."""
        self._names += 1
        symbol = Symbol(self, terms.variable(f"{name}_{self._names}", signed_bits(low, high)), low, high)
        self.assume(terms.all_of([symbol.sized(signed_bits(low, high) + 1) >= low, symbol.term <= high]))
        return symbol

    def assume(self, formula: Any) -> None:
        """What this path, or outside of runs every path, starts from."""
        self.solver.add(formula.formula if isinstance(formula, Truth) else formula)

    def runs(self, function: Callable[[], Any]) -> Iterator[Any]:
        """The result of `function` on each path, while the solver holds the path's condition."""
        self._waiting = [[]]
        while self._waiting:
            self._choices = self._waiting.pop()
            self._taken = 0
            self.solver.push()
            names = self._names
            try:
                try:
                    result = function()
                except Exception:
                    if self.possible():
                        raise
                    continue  # what was assumed on the way cannot be
                self.count += 1
                yield result
            finally:
                self.solver.pop()
                self._names = names

    def goes(self, formula: Formula) -> bool:
        """Which way this run goes at a branch; the other way waits for its own run if it is possible."""
        if self._taken < len(self._choices):
            choice = self._choices[self._taken]
        else:
            choice = self._possible(formula)
            if choice and self._possible(terms.negation(formula)):
                self._waiting.append([*self._choices, False])
            self._choices = [*self._choices, choice]
        self._taken += 1
        self.solver.add(formula if choice else terms.negation(formula))
        return choice

    def bound(self, distance: Symbol) -> int:
        """What the distance of a shift does not exceed on this path: the size of a shifted term depends on it."""
        term = distance.sized(max(9, distance.term.size()))
        for limit in (7, 15, 31, 63, 127):
            if distance.high <= limit or self.follows(term <= limit):
                return min(distance.high, limit)
        raise NotImplementedError("a shift by more than 127")

    def follows(self, formula: Formula) -> bool:
        """Whether a formula is seen to follow from what is assumed on this path."""
        return not self._possible(terms.negation(formula))

    def possible(self) -> bool:
        """Whether there are values for the symbols on this path."""
        return self._possible(terms.truth(True))

    def _possible(self, formula: Formula) -> bool:
        return str(self.solver.check(formula)) != "unsat"
