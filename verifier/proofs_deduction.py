"""What the functions that canonicalise and compare ranges promise."""

from __future__ import annotations

from typing import Any

from pybpftime.verifier import terms
from pybpftime.verifier.domain.ranges import Range
from pybpftime.verifier.domain.words import Width
from pybpftime.verifier.proofs_setting import Contract, Formulas, Setting, formula
from pybpftime.verifier.proofs_symbols import Symbol

Numbers = tuple[Symbol, ...]

BOTH = (64, 32)
"""The widths of what is applied to whole numbers and to their low halves."""


def _number(s: Setting, arguments: tuple[Any, ...]) -> Numbers:
    """One number of the width that is the first argument."""
    return (s.number(arguments[0]),)


def _whole(s: Setting, arguments: tuple[Any, ...]) -> Numbers:
    return (s.number(s.w),)


def _tracked(s: Setting, arguments: tuple[Any, ...]) -> list[Numbers]:
    """The numbers that the caller's proof is about, at the width that is the first argument."""
    w: Width = arguments[0]
    return [(number if w.bits == s.w.bits else number & s.h.ones,) for number in s.tracked]


def _tracked_views(s: Setting, arguments: tuple[Any, ...]) -> list[Numbers]:
    return [view for number in s.tracked for view in s.views(number)]


def _orders(s: Setting, arguments: tuple[Any, ...]) -> list[Numbers]:
    """The tracked numbers in signed order too, and both from the other end."""
    w: Width = arguments[0]
    numbers = [number for (number,) in _tracked(s, arguments)]
    numbers += [number ^ w.sign for number in numbers]
    return [(end,) for number in numbers for end in (number, w.ones - number)]


AGREE = Contract(
    "deduction.agree",
    inputs=lambda s: (s.w, *s.intervals(s.w)),
    numbers=_number,
    facts=lambda s, a, n: s.in_intervals(a[0], n[0], a[1:]),
    promises=lambda s, a, n, r: s.in_intervals(a[0], n[0], r),
    output=lambda s, a: s.intervals(a[0]),
    known=_tracked,
    widths=BOTH,
)

LOW_INTERVAL = Contract(
    "deduction.low_interval",
    inputs=lambda s: (s.h, s.integer(), s.integer()),
    numbers=lambda s, a: (s.integer(),),
    facts=lambda s, a, n: s.within(n[0], a[1], a[2]),
    promises=lambda s, a, n, r: s.in_intervals(a[0], n[0] & a[0].ones, r),
    output=lambda s, a: s.intervals(a[0]),
    known=_tracked_views,
)


def _half_within(s: Setting, h: Width, number: Symbol, low: Any, high: Any) -> Formulas:
    """The low half of a number lies from `low` to `high`, which are unsigned or signed."""
    return [formula(((number - low) & h.ones) <= high - low), formula(low <= high)]


WITHIN_LOW = Contract(
    "deduction.within_low",
    inputs=lambda s: (
        s.h,
        s.paths.symbol(-2 * s.w.size, 2 * s.w.size, "low"),
        s.paths.symbol(-2 * s.w.size, 2 * s.w.size, "high"),
        s.paths.symbol(-s.h.sign, s.h.ones, "half_low"),
        s.paths.symbol(-s.h.sign, s.h.ones, "half_high"),
    ),
    numbers=lambda s, a: (s.integer(),),
    facts=lambda s, a, n: [*s.within(n[0], a[1], a[2]), *_half_within(s, a[0], n[0], a[3], a[4])],
    promises=lambda s, a, n, r: [*s.within(n[0], *r), formula(r[0] >= a[1]), formula(r[1] <= a[2])],
    output=lambda s, a: tuple(s.paths.symbol(-2 * s.w.size, 2 * s.w.size, "end") for _ in range(2)),
    known=_tracked_views,
)

NEXT_MEMBER = Contract(
    "deduction.next_member",
    inputs=lambda s: (s.w, s.unsigned(s.w), s.unsigned(s.w), s.unsigned(s.w)),
    numbers=_number,
    facts=lambda s, a, n: [*s.in_bits(n[0], a[2], a[3]), *s.within(a[1], 0, n[0])],
    promises=lambda s, a, n, r: s.within(r, a[1], n[0]),
    output=lambda s, a: s.paths.symbol(0, a[0].size, "next"),
    known=_orders,
    widths=BOTH,
)

PREVIOUS_MEMBER = Contract(
    "deduction.previous_member",
    inputs=lambda s: (s.w, s.unsigned(s.w), s.unsigned(s.w), s.unsigned(s.w)),
    numbers=_number,
    facts=lambda s, a, n: [*s.in_bits(n[0], a[2], a[3]), *s.within(a[1], n[0], a[0].ones)],
    promises=lambda s, a, n, r: s.within(r, n[0], a[1]),
    output=lambda s, a: s.paths.symbol(-1, a[0].ones, "previous"),
    known=_orders,
    uses=("deduction.next_member",),
    widths=BOTH,
)

BOUNDS_FROM_BITS = Contract(
    "deduction.bounds_from_bits",
    inputs=lambda s: (s.w, s.intervals(s.w), s.unsigned(s.w), s.unsigned(s.w)),
    numbers=_number,
    facts=lambda s, a, n: [*s.in_bits(n[0], a[2], a[3]), *s.in_intervals(a[0], n[0], a[1])],
    promises=lambda s, a, n, r: s.in_intervals(a[0], n[0], r),
    output=lambda s, a: s.intervals(a[0]),
    known=_tracked,
    uses=("deduction.next_member", "deduction.previous_member"),
    widths=BOTH,
)


def _bits_inputs(s: Setting) -> tuple[Any, ...]:
    return s.w, s.unsigned(s.w), s.unsigned(s.w), s.unsigned(s.w), s.unsigned(s.w)


def _bits_facts(s: Setting, a: tuple[Any, ...], n: Numbers) -> Formulas:
    return [*s.in_bits(n[0], a[1], a[2]), *s.within(n[0], a[3], a[4]), *s.within(n[0], 0, a[0].ones)]


BITS_FROM_BOUNDS = Contract(
    "deduction.bits_from_bounds",
    inputs=_bits_inputs,
    numbers=_number,
    facts=_bits_facts,
    promises=lambda s, a, n, r: [*s.in_bits(n[0], *r), *s.within(r[1], 0, a[2])],
    output=lambda s, a: (s.unsigned(a[0]), s.unsigned(a[0])),
    known=_tracked,
    may_be_none=True,
    widths=BOTH,
)

BITS_FROM_BOUNDS_OF_LOW = Contract(
    "ranges.bits_from_bounds_of_low",
    inputs=lambda s: (s.h, s.unsigned(s.w), s.unsigned(s.w), s.unsigned(s.h), s.unsigned(s.h)),
    numbers=_whole,
    facts=lambda s, a, n: [*s.in_bits(n[0], a[1], a[2]), *s.within(n[0] & a[0].ones, a[3], a[4])],
    promises=lambda s, a, n, r: [*s.in_bits(n[0], *r), *s.within(r[1], 0, a[2])],
    output=lambda s, a: (s.unsigned(s.w), s.unsigned(s.w)),
    known=lambda s, a: [(number,) for number in s.tracked],
    uses=("deduction.bits_from_bounds",),
    may_be_none=True,
)

NARROWED = Contract(
    "ranges.narrowed",
    inputs=lambda s: (s.h, s.integer(), s.integer(), s.intervals(s.h)),
    numbers=_whole,
    facts=lambda s, a, n: [
        *_either_view_within(s, n[0], a[1], a[2]),
        *s.in_intervals(a[0], n[0] & a[0].ones, a[3]),
    ],
    promises=lambda s, a, n, r: s.in_intervals(a[0], n[0] & a[0].ones, r),
    output=lambda s, a: s.intervals(a[0]),
    known=lambda s, a: [(number,) for number in s.tracked],
    uses=("deduction.low_interval",),
)


def _either_view_within(s: Setting, number: Symbol, low: Any, high: Any) -> Formulas:
    unsigned, signed = (terms.all_of(s.within(view, low, high)) for (view,) in s.views(number))
    return [terms.either(unsigned, signed)]


WIDENED = Contract(
    "ranges.widened",
    inputs=lambda s: (s.h, s.intervals(s.w), s.intervals(s.h)),
    numbers=_whole,
    facts=lambda s, a, n: [
        *s.in_intervals(s.w, n[0], a[1]),
        *s.in_intervals(a[0], n[0] & a[0].ones, a[2]),
    ],
    promises=lambda s, a, n, r: s.in_intervals(s.w, n[0], r),
    output=lambda s, a: s.intervals(s.w),
    known=lambda s, a: [(number,) for number in s.tracked],
    uses=("deduction.within_low",),
)

TIGHTEN = Contract(
    "ranges.tighten",
    inputs=lambda s: (s.w, s.h, s.range()),
    numbers=_whole,
    facts=lambda s, a, n: s.in_range(n[0], a[2]),
    promises=lambda s, a, n, r: s.in_range(n[0], r),
    output=lambda s, a: s.range(),
    known=lambda s, a: [(number,) for number in s.tracked],
    uses=(
        "deduction.agree",
        "ranges.narrowed",
        "deduction.bounds_from_bits",
        "ranges.widened",
        "deduction.bits_from_bounds",
        "ranges.bits_from_bounds_of_low",
    ),
    may_be_none=True,
)

SMALL = Contract(
    "ranges.small",
    inputs=lambda s: (s.w, s.range()),
    numbers=_whole,
    facts=lambda s, a, n: [*s.in_range(n[0], a[1]), formula(a[1].umax < s.h.sign)],
    promises=lambda s, a, n, r: s.in_range(n[0], r),
    output=lambda s, a: s.range(),
    known=lambda s, a: [(number,) for number in s.tracked],
    uses=("deduction.next_member", "deduction.previous_member", "deduction.bits_from_bounds"),
    may_be_none=True,
    rounds=2,
)

CANONICAL = Contract(
    "ranges.canonical",
    inputs=lambda s: (s.range(), s.w, s.h),
    numbers=_whole,
    facts=lambda s, a, n: s.in_range(n[0], a[0]),
    promises=lambda s, a, n, r: s.in_range(n[0], r),
    output=lambda s, a: s.range(),
    known=lambda s, a: [(number,) for number in s.tracked],
    uses=("ranges.small", "ranges.tighten"),
    may_be_none=True,
)


def _two_ranges(s: Setting) -> tuple[Range, Range]:
    return s.range(), s.range()


CONTAINS = Contract(
    "ranges.has",
    inputs=lambda s: (s.w, s.h, s.range(), s.unsigned(s.w)),
    numbers=lambda s, a: (a[3],),
    facts=lambda s, a, n: [],
    promises=lambda s, a, n, r: [terms.all_of(s.in_range(n[0], a[2])) == formula(r)],
)

INCLUDES = Contract(
    "ranges.includes",
    inputs=_two_ranges,
    numbers=_whole,
    facts=lambda s, a, n: [*s.in_range(n[0], a[1]), formula((a[0].value & a[0].mask) == 0)],
    promises=lambda s, a, n, r: s.in_range(n[0], a[0]) if r else [],
)

INTERSECTION = Contract(
    "ranges.intersection",
    inputs=_two_ranges,
    numbers=_whole,
    facts=lambda s, a, n: [*s.in_range(n[0], a[0]), *s.in_range(n[0], a[1])],
    promises=lambda s, a, n, r: s.in_range(n[0], r),
    output=lambda s, a: s.range(),
    known=lambda s, a: [(number,) for number in s.tracked],
    may_be_none=True,
)

MEET = Contract(
    "ranges.meet",
    inputs=_two_ranges,
    numbers=_whole,
    facts=lambda s, a, n: [*s.in_range(n[0], a[0]), *s.in_range(n[0], a[1])],
    promises=lambda s, a, n, r: s.in_range(n[0], r),
    output=lambda s, a: s.range(),
    known=lambda s, a: [(number,) for number in s.tracked],
    uses=("ranges.intersection", "ranges.canonical"),
    may_be_none=True,
)


def _in_either(s: Setting, a: tuple[Any, ...], n: Numbers) -> Formulas:
    return [terms.either(*(terms.all_of(s.in_range(n[0], range_)) for range_ in a))]


UNION = Contract(
    "ranges.union",
    inputs=_two_ranges,
    numbers=_whole,
    facts=_in_either,
    promises=lambda s, a, n, r: s.in_range(n[0], r),
    output=lambda s, a: s.range(),
    known=lambda s, a: [(number,) for number in s.tracked],
)

JOIN = Contract(
    "ranges.join",
    inputs=_two_ranges,
    numbers=_whole,
    facts=_in_either,
    promises=lambda s, a, n, r: s.in_range(n[0], r),
    uses=("ranges.union", "ranges.canonical"),
)

WIDEN = Contract(
    "widening.widen",
    inputs=_two_ranges,
    numbers=_whole,
    facts=_in_either,
    promises=lambda s, a, n, r: s.in_range(n[0], r),
    uses=("widening.lower", "widening.upper"),
)


def _bound(s: Setting) -> Symbol:
    """A bound of any view, or the mirror image of one."""
    return s.paths.symbol(-s.w.size, s.w.size - 1, "bound")


def _stays(s: Setting, a: tuple[Any, ...], result: Any, limits: tuple[int, ...], sign: int) -> Formulas:
    """The result is not beyond a limit that both bounds keep."""
    return [
        terms.implied([formula(sign * bound <= limit) for bound in a], [formula(sign * result <= limit)])
        for limit in limits
    ]


LOWER = Contract(
    "widening.lower",
    inputs=lambda s: (_bound(s), _bound(s)),
    numbers=lambda s, a: (),
    facts=lambda s, a, n: [],
    promises=lambda s, a, n, r: [
        formula(r <= a[0]),
        formula(r <= a[1]),
        *_stays(s, a, r, (0, s.h.sign, s.h.size, s.w.sign, s.w.size), -1),
    ],
    output=lambda s, a: _bound(s),
    known=lambda s, a: [()],
)

UPPER = Contract(
    "widening.upper",
    inputs=lambda s: (_bound(s), _bound(s)),
    numbers=lambda s, a: (),
    facts=lambda s, a, n: [],
    promises=lambda s, a, n, r: [
        formula(r >= a[0]),
        formula(r >= a[1]),
        *_stays(s, a, r, (s.h.sign - 1, s.h.ones, s.w.sign - 1, s.w.ones), 1),
    ],
    output=lambda s, a: _bound(s),
    known=lambda s, a: [()],
    uses=("widening.lower",),
)


def _interval(function: str, signed: bool) -> Contract:
    """The ranges that are made of two bounds."""
    return Contract(
        function,
        inputs=lambda s: (s.signed(s.w), s.signed(s.w)) if signed else (s.unsigned(s.w), s.unsigned(s.w)),
        numbers=_whole,
        facts=lambda s, a, n: s.within(s.read_signed(s.w, n[0]) if signed else n[0], *a),
        promises=lambda s, a, n, r: s.in_range(n[0], r),
        uses=("ranges.canonical",),
    )


UNSIGNED = _interval("ranges.unsigned", signed=False)
SIGNED = _interval("ranges.signed", signed=True)

CONSTANT = Contract(
    "ranges.constant",
    inputs=lambda s: (s.integer(),),
    numbers=_whole,
    facts=lambda s, a, n: [formula(n[0] == a[0] & s.w.ones)],
    promises=lambda s, a, n, r: s.in_range(n[0], r),
)

CONTRACTS = tuple(value for value in list(globals().values()) if isinstance(value, Contract))
