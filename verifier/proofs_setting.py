"""Where one proof happens: its symbols, the numbers that it is about, and what may be taken for granted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pybpftime.verifier import terms
from pybpftime.verifier.domain.ranges import Range
from pybpftime.verifier.domain.words import Width, Word, width_of
from pybpftime.verifier.proofs_source import SymbolicSource
from pybpftime.verifier.proofs_symbols import Paths, Symbol, Truth
from pybpftime.verifier.terms import Formula

Formulas: TypeAlias = list[Formula]


def formula(truth: Truth | bool) -> Formula:
    """What a comparison says, as z3 has it."""
    return truth.formula if isinstance(truth, Truth) else terms.truth(truth)


@dataclass(frozen=True, slots=True)
class Contract:
    """What a function of the domain promises.

    For all arguments that `inputs` makes and all numbers that `numbers` makes: where `facts` hold, `promises` hold of
    the result.  A function that may return None does so only where the facts cannot hold.  `output` makes a result of
    which nothing else is known, for the proofs of callers; `uses` names the functions of which this one's proof knows
    the contract only.
    """

    function: str
    """module.function of the domain"""
    inputs: Callable[[Setting], tuple[Any, ...]]
    numbers: Callable[[Setting, tuple[Any, ...]], tuple[Symbol, ...]]
    facts: Callable[[Setting, tuple[Any, ...], tuple[Symbol, ...]], Formulas]
    promises: Callable[[Setting, tuple[Any, ...], tuple[Symbol, ...], Any], Formulas]
    output: Callable[[Setting, tuple[Any, ...]], Any] | None = None
    known: Callable[[Setting, tuple[Any, ...]], Sequence[tuple[Symbol, ...]]] | None = None
    uses: tuple[str, ...] = ()
    case: str = ""
    """Which arguments that are no symbols, where a function has several proofs."""
    widths: tuple[int, ...] = (64,)
    may_be_none: bool = False
    none_is_a_result: bool = False
    rounds: int = 1
    """How often loops are run: each round keeps what is promised of the next, so one or two stand for all."""


class Setting:
    """One run of the domain's source on symbols of one width.

    `w` is the width of whole numbers, `h` that of their low halves.  `whole` is the number that the proof is about,
    unsigned, when it is about one.
    """

    def __init__(self, bits: int, contracts: Mapping[str, Contract], contract: Contract, milliseconds: int) -> None:
        self.w: Width = width_of(bits)
        self.h: Width = width_of(bits // 2)
        self.paths = Paths(milliseconds)
        self.tracked: list[Symbol] = []
        replaced: dict[str, Any] = {name.partition(" ")[0]: self._promised(contracts[name]) for name in contract.uses}
        self.source = SymbolicSource(replaced | {"ranges.ROUNDS": contract.rounds})

    def function(self, name: str) -> Callable[..., Any]:
        """A function of the domain, without the memory around it."""
        module, _, member = name.partition(".")
        function = getattr(self.source.module(module), member)
        return getattr(function, "__wrapped__", function)  # type: ignore[no-any-return]  # a function of the domain

    def _promised(self, contract: Contract) -> Callable[..., Any]:
        """A function that gives any result that the contract allows."""

        def promised(*arguments: Any, **named: Any) -> Any:
            arguments = (*arguments, *named.values())
            assert contract.output is not None and contract.known is not None
            known = list(contract.known(self, arguments))
            facts = [self._settled(contract.facts(self, arguments, numbers)) for numbers in known]
            if contract.may_be_none and self.paths.symbol(0, 1, "none") == 1:
                for fact in facts:
                    self.paths.assume(terms.negation(fact))
                return None
            result = contract.output(self, arguments)
            for fact, numbers in zip(facts, known, strict=True):
                promises = contract.promises(self, arguments, numbers, result)
                self.paths.assume(terms.implied([fact], promises))
            return result

        return promised

    def _settled(self, facts: Formulas) -> Formula:
        """All of the facts; simply true when each follows from what is assumed, which is easier to see one by one."""
        if all(self.paths.follows(fact) for fact in facts):
            return terms.truth(True)
        return terms.all_of(facts)

    # Symbols

    def unsigned(self, w: Width) -> Symbol:
        return self.paths.symbol(0, w.ones, "u")

    def signed(self, w: Width) -> Symbol:
        return self.paths.symbol(-w.sign, w.sign - 1, "s")

    def integer(self) -> Symbol:
        """An unsigned or signed number of the whole width."""
        return self.paths.symbol(-self.w.sign, self.w.ones, "i")

    def number(self, w: Width) -> Symbol:
        """A number that the proof is about, unsigned."""
        number = self.unsigned(w)
        self.tracked.append(number)
        return number

    def intervals(self, w: Width) -> tuple[Symbol, Symbol, Symbol, Symbol]:
        return self.unsigned(w), self.unsigned(w), self.signed(w), self.signed(w)

    def word(self, w: Width) -> Word:
        return Word(self.unsigned(w), self.unsigned(w), *self.intervals(w))  # type: ignore[arg-type]  # symbols stand for integers

    def range(self) -> Range:
        return Range(*self.word(self.w), *self.intervals(self.h))  # type: ignore[arg-type]  # symbols stand for integers

    # Views

    def read_signed(self, w: Width, number: Symbol) -> Symbol:
        """An unsigned number of the width read as a signed one."""
        return Symbol(self.paths, number.low_bits(w.bits), -w.sign, w.sign - 1)

    def views(self, number: Symbol) -> list[tuple[Symbol]]:
        """A whole number as unsigned and as signed integer."""
        return [(number,), (self.read_signed(self.w, number),)]

    # Membership

    def in_bits(self, number: Symbol, value: Any, mask: Any) -> Formulas:
        return [formula((number & ~mask) == value)]

    def within(self, number: Symbol, low: Any, high: Any) -> Formulas:
        return [formula(low <= number), formula(number <= high)]

    def in_intervals(self, w: Width, number: Symbol, intervals: Sequence[Any]) -> Formulas:
        signed = self.read_signed(w, number)
        return [
            *self.within(number, intervals[0], intervals[1]),
            *self.within(signed, intervals[2], intervals[3]),
            *(formula(bound >= 0) for bound in intervals[:1]),
            *(formula(bound <= w.ones) for bound in intervals[1:2]),
            *(formula(bound >= -w.sign) for bound in intervals[2:3]),
            *(formula(bound < w.sign) for bound in intervals[3:4]),
        ]

    def in_word(self, w: Width, number: Symbol, word: Sequence[Any]) -> Formulas:
        return [
            *self.in_bits(number, word[0], word[1]),
            formula(word[1] >= 0),
            formula(word[1] <= w.ones),
            *self.in_intervals(w, number, word[2:]),
        ]

    def in_range(self, number: Symbol, range_: Sequence[Any]) -> Formulas:
        low = number & self.h.ones
        return [*self.in_word(self.w, number, range_[:6]), *self.in_intervals(self.h, low, range_[6:])]
