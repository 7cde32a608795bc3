"""The scalar domain: operators keep every member, the lattice is one, ranges are canonical and read well."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.edges import edges

from pybpftime.errors import InternalError
from pybpftime.isa import TABLE, Form, IntAlgebra, Row
from pybpftime.verifier import domain
from pybpftime.verifier.domain import UNKNOWN, Range, constant, signed, unsigned
from pybpftime.verifier.domain.ranges import canonical

MASK = 2**64 - 1
PURE = [row for row in TABLE if row.form in (Form.BINARY, Form.UNARY)]
CONDITIONS = [row for row in TABLE if row.form is Form.JUMP_IF]


@dataclass(frozen=True)
class Known:
    """A range and some of its members."""

    range: Range
    members: tuple[int, ...]


def as_signed(value: int) -> int:
    return value - 2**64 if value >> 63 else value


NUMBERS = st.one_of(
    st.sampled_from(edges(64)), st.integers(-300, 300).map(lambda n: n & MASK), st.integers(0, MASK),
    st.integers(1, 64).flatmap(lambda bits: st.integers(0, 2**bits - 1)),
)  # fmt: skip


def joined(members: tuple[int, ...]) -> Known:
    result = constant(members[0])
    for member in members[1:]:
        result = domain.join(result, constant(member))
    return Known(result, members)


def near(number: int, distances: list[int]) -> Known:
    return joined((number, *((number + distance) & MASK for distance in distances)))


def between(one: int, other: int, is_signed: bool) -> Known:
    if is_signed:
        low, high = sorted((as_signed(one), as_signed(other)))
        return Known(signed(low, high), (one, other, (low + high) // 2 & MASK))
    low, high = sorted((one, other))
    return Known(unsigned(low, high), (low, high, (low + high) // 2))


KNOWN = st.one_of(
    NUMBERS.map(lambda number: Known(constant(number), (number,))),
    NUMBERS.map(lambda number: Known(UNKNOWN, (number,))),
    st.builds(near, NUMBERS, st.lists(st.integers(-40, 40), max_size=3)),
    st.lists(NUMBERS, min_size=2, max_size=4).map(lambda members: joined(tuple(members))),
    st.builds(between, NUMBERS, NUMBERS, st.booleans()),
    st.builds(
        lambda low, bits, shift: joined((low << shift & MASK, (low ^ bits) << shift & MASK)), NUMBERS, NUMBERS,
        st.integers(0, 63),
    ),
)  # fmt: skip


def concrete(row: Row, *operands: int) -> int:
    """What the instruction makes of numbers: the frame of every engine."""
    m = IntAlgebra(row.width)
    assert row.compute is not None
    result: int = row.compute(m, *(m.narrow(operand) for operand in operands))
    return result if row.form is Form.JUMP_IF else m.widen(result)


# --- operators --------------------------------------------------------------------------------------------------------


@given(KNOWN)
def test_a_range_has_the_members_it_was_made_of(known: Known) -> None:
    for member in known.members:
        assert known.range.contains(member)
        assert known.range.contains(as_signed(member))


@given(KNOWN, KNOWN)
def test_results_of_members_are_members_of_the_result(a: Known, b: Known) -> None:
    for row in PURE:
        operands = (a, b) if row.form is Form.BINARY else (a,)
        result = domain.transfer(row, *(operand.range for operand in operands))
        for x in a.members:
            for y in b.members if row.form is Form.BINARY else (None,):
                expected = concrete(row, x) if y is None else concrete(row, x, y)
                assert result.contains(expected), (row.name, x, y, expected)


@given(KNOWN, KNOWN)
def test_refinement_keeps_members_for_which_the_condition_came_out_so(a: Known, b: Known) -> None:
    for row in CONDITIONS:
        for x in a.members:
            for y in b.members:
                taken = bool(concrete(row, x, y))
                assert domain.decide(row, a.range, b.range) in (None, taken)
                refined = domain.refine(row, a.range, b.range, taken)
                assert refined is not None, (row.name, x, y)
                assert refined[0].contains(x), (row.name, x, y)
                assert refined[1].contains(y), (row.name, x, y)
                assert a.range.includes(refined[0])
                assert b.range.includes(refined[1])


@given(NUMBERS, NUMBERS)
def test_constants_give_constants(x: int, y: int) -> None:
    for row in PURE:
        operands = (x, y) if row.form is Form.BINARY else (x,)
        result = domain.transfer(row, *map(constant, operands))
        assert result == constant(concrete(row, *operands)), row.name
    for row in CONDITIONS:
        assert domain.decide(row, constant(x), constant(y)) is bool(concrete(row, x, y)), row.name


@pytest.mark.parametrize("row", [row for row in PURE if row.form is Form.BINARY], ids=lambda row: row.name)
def test_results_around_edges(row: Row) -> None:
    """Intervals between edge values, unsigned and signed; mul, div and mod are not proved at 64 bits."""
    values = edges(row.width)[::4]
    intervals = [between(low, high, is_signed) for low, high in pairwise(values) for is_signed in (False, True)]
    for a, b in product(intervals[::2], intervals[1::2]):
        result = domain.transfer(row, a.range, b.range)
        for x, y in product(a.members, b.members):
            assert result.contains(concrete(row, x, y)), (x, y)


def test_every_pure_row_has_an_operator() -> None:
    for row in PURE:
        operands = 2 if row.form is Form.BINARY else 1
        assert domain.transfer(row, *[UNKNOWN] * operands).contains(concrete(row, *[7] * operands))


# --- the lattice ------------------------------------------------------------------------------------------------------


@given(KNOWN, KNOWN)
def test_join_and_widen_include_both_and_meet_what_both_have(a: Known, b: Known) -> None:
    for upper in (domain.join(a.range, b.range), domain.widen(a.range, b.range)):
        assert upper.includes(a.range)
        assert upper.includes(b.range)
        assert all(upper.contains(member) for member in (*a.members, *b.members))
    both = domain.meet(a.range, b.range)
    for member in (*a.members, *b.members):
        in_both = a.range.contains(member) and b.range.contains(member)
        assert in_both == (both is not None and both.contains(member))
    if both is not None:
        assert a.range.includes(both)
        assert b.range.includes(both)


@given(KNOWN, KNOWN, KNOWN)
def test_inclusion_is_an_order(a: Known, b: Known, c: Known) -> None:
    assert a.range.includes(a.range)
    assert UNKNOWN.includes(a.range)
    if a.range.includes(b.range):
        assert all(a.range.contains(member) for member in b.members)
        assert a.range == b.range or not b.range.includes(a.range)
        if b.range.includes(c.range):
            assert a.range.includes(c.range)


@given(KNOWN)
def test_what_is_canonical_stays_so(known: Known) -> None:
    assert canonical(known.range) == known.range


@given(KNOWN)
def test_a_range_is_a_constant_exactly_when_its_views_are(known: Known) -> None:
    r = known.range
    if r.is_constant:
        assert r == constant(r.constant)
    else:
        assert r.mask
        assert r.smin < r.smax
        with pytest.raises(InternalError):
            _ = r.constant


@given(KNOWN, st.lists(KNOWN, min_size=1, max_size=40))
def test_widening_ends(start: Known, steps: list[Known]) -> None:
    """However a value grows, few widenings make it stable: a bound has 64 thresholds, a bit one change."""
    current, changes = start.range, 0
    for step in steps * 40:
        wider = domain.widen(current, domain.join(current, step.range))
        changes += wider != current
        current = wider
    assert domain.widen(current, current) == current
    assert changes <= 64 * 9


def test_a_counter_is_widened_in_few_steps() -> None:
    counter, changes = constant(0), 0
    for _ in range(200):
        wider = domain.widen(counter, domain.join(counter, domain.binary("add", 64, counter, constant(1))))
        changes += wider != counter
        counter = wider
    assert changes <= 70
    assert counter.contains(2**64 - 1)


@pytest.mark.parametrize(
    ("a", "b"), [(constant(3), constant(4)), (unsigned(0, 7), signed(-9, -1)), (unsigned(5, 9), unsigned(10, 20))]
)
def test_disjoint_ranges_have_no_meet(a: Range, b: Range) -> None:
    assert domain.meet(a, b) is None


# --- what a person reads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("range_", "text"),
    [
        (constant(5), "5"),
        (constant(-1), "-1"),
        (constant(2**63), "0x8000000000000000"),
        (unsigned(0, 255), "0..255"),
        (signed(-4, 10), "-4..10"),
        (domain.binary("and", 64, UNKNOWN, constant(0x3C)), "0..60, in steps of 4"),
        (UNKNOWN, "any number"),
        (domain.of_size(4), "0..0xffffffff"),
        (domain.signed_of_size(2), "-32768..32767"),
        (domain.binary("or", 64, UNKNOWN, constant(1)), "1..0xffffffffffffffff, bits 0x1 are 0x1"),
    ],
)
def test_text(range_: Range, text: str) -> None:
    assert str(range_) == text


@given(KNOWN)
def test_every_range_has_a_text(known: Known) -> None:
    assert str(known.range)
