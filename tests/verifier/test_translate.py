"""From values to terms: what is asked of the solver means what the instructions do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftime.isa import Form, Row
from pybpftime.isa.algebra import IntAlgebra
from pybpftime.isa.table import BY_NAME
from pybpftime.verifier import domain
from pybpftime.verifier.obligations import Aligned, Between, Claim, SizedWithin, Within
from pybpftime.verifier.state import Fact, FactKind, new_packet
from pybpftime.verifier.values import Input, InputKind, Pointer, Region, RegionKind, Scalar, constant, unknown

terms = pytest.importorskip("pybpftime.verifier.terms", reason="needs z3")
translate = pytest.importorskip("pybpftime.verifier.translate", reason="needs z3")

MASK = (1 << 64) - 1
ALGEBRAS = {32: IntAlgebra(32), 64: IntAlgebra(64)}
BINARY = [row for row in BY_NAME.values() if row.form is Form.BINARY and row.operand == "src_reg"]
UNARY = [row for row in BY_NAME.values() if row.form is Form.UNARY]
JUMPS = [row for row in BY_NAME.values() if row.form is Form.JUMP_IF and row.operand == "src_reg"]
CORNERS = (0, 1, 2, 31, 32, 63, 64, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, 1 << 63, (1 << 63) - 1, MASK)
numbers = st.one_of(st.sampled_from(CORNERS), st.integers(0, MASK))
by_name = {"ids": lambda row: row.name}


def leaf() -> Scalar:
    return unknown("a number", 0)


def computed(row: Row, *operands: Scalar) -> Scalar:
    ranges = [one.range for one in operands]
    return Scalar(domain.transfer(row, ranges[0], ranges[1] if len(ranges) > 1 else None), row, operands)


def exactly(row: Row, *operands: int) -> int:
    algebra = ALGEBRAS[row.width]
    return int(algebra.widen(row.compute(algebra, *(algebra.narrow(one) for one in operands))))  # type: ignore[misc]


def solved(
    translation: translate.Translation, known: dict[Scalar, int], *formulas: terms.Formula
) -> terms.Model | None:
    """A model in which the leaves are these numbers and the formulas hold."""
    given = [translation.term(one) == terms.number(number, 64) for one, number in known.items()]
    conditions = [one for group in translation.conditions.values() for one in group]
    return terms.model_of([*given, *conditions, *formulas], 5000)


def holds(claim: Claim, known: dict[Scalar, int]) -> bool:
    """Whether the claim is true of these numbers; then it must not be possible that it is false, and conversely."""
    translation = translate.Translation()
    formula = translation.claim(claim)
    true = solved(translation, known, formula) is not None
    assert (solved(translation, known, terms.negation(formula)) is not None) is not true
    return true


# --- terms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", BINARY, **by_name)
@settings(max_examples=6)
@given(a=numbers, b=numbers)
def test_a_term_of_two_operands_is_what_the_instruction_computes(row: Row, a: int, b: int) -> None:
    left, right = leaf(), leaf()
    result = computed(row, left, right)
    translation = translate.Translation()
    term = translation.term(result)
    model = solved(translation, {left: a, right: b})
    assert model is not None
    assert model.number(term) == exactly(row, a, b)


@pytest.mark.parametrize("row", UNARY, **by_name)
@settings(max_examples=6)
@given(a=numbers)
def test_a_term_of_one_operand_is_what_the_instruction_computes(row: Row, a: int) -> None:
    operand = leaf()
    result = computed(row, operand)
    translation = translate.Translation()
    term = translation.term(result)
    model = solved(translation, {operand: a})
    assert model is not None
    assert model.number(term) == exactly(row, a)


@settings(max_examples=30)
@given(st.data())
def test_a_term_of_many_instructions_is_what_they_compute(data: st.DataObject) -> None:
    cheap = [row for row in BINARY if row.name.split("_")[0] not in {"div", "mod", "sdiv", "smod", "mul"}]
    nodes = {leaf(): data.draw(numbers) for _ in range(3)}
    known = dict(nodes)
    for _ in range(data.draw(st.integers(1, 8))):
        row = data.draw(st.sampled_from(cheap))
        operands = [data.draw(st.sampled_from(list(nodes))) for _ in range(2)]
        result = computed(row, *operands)
        nodes[result] = exactly(row, *(nodes[one] for one in operands))
        assert result.range.contains(nodes[result])
        if data.draw(st.booleans()):  # a comparison has taught something; it is the same number
            nodes[result.refined(result.range, None, 0)] = nodes[result]
    translation = translate.Translation()
    last, expected = list(nodes.items())[-1]
    term = translation.term(last)
    model = solved(translation, known)
    assert model is not None
    assert model.number(term) == expected


def test_a_leaf_lies_in_its_range_and_a_refinement_is_the_number_that_it_refines() -> None:
    byte = unknown("a byte", 0, range=domain.of_size(1))
    small = byte.refined(domain.unsigned(0, 7), None, 1)
    translation = translate.Translation()
    assert translation.term(small) is translation.term(byte)
    assert solved(translation, {byte: 200}) is not None, "what a comparison showed is a fact of its own"
    assert solved(translation, {byte: 256}) is None


def test_what_lies_behind_too_many_nodes_is_any_number_in_its_range() -> None:
    chain = unknown("a byte", 0, range=domain.of_size(1))
    first = chain
    for _ in range(2 * translate.LARGEST):
        chain = computed(BY_NAME["and_reg"], chain, constant(0xFF))
    translation = translate.Translation()
    term = translation.term(chain)
    assert first not in translation.variables
    wrong = terms.negation(terms.unsigned_at_most(term, terms.number(0xFF, 64)))
    assert solved(translation, {}, wrong) is None


# --- facts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", JUMPS, **by_name)
@settings(max_examples=6)
@given(a=numbers, b=numbers)
def test_a_fact_says_how_the_comparison_came_out(row: Row, a: int, b: int) -> None:
    left, right = leaf(), leaf()
    algebra = ALGEBRAS[row.width]
    outcome = bool(row.compute(algebra, algebra.narrow(a), algebra.narrow(b)))  # type: ignore[misc]
    for came_out in (True, False):
        fact = Fact(None, 0, FactKind.COMPARISON, left, came_out, row=row, right=right)
        translation = translate.Translation()
        formula = translation.fact(fact)
        assert (solved(translation, {left: a, right: b}, formula) is not None) is (outcome is came_out)


def packet() -> tuple[Region, Region, Scalar]:
    made, _ = new_packet()
    assert made.data.length is not None
    return made.data, made.end, made.data.length


@pytest.mark.parametrize(
    ("length", "offset", "inside"), [(13, 14, False), (14, 14, True), (0, 0, True), (20, 21, False)]
)
def test_a_comparison_with_the_end_of_the_packet_is_one_with_its_length(length: int, offset: int, inside: bool) -> None:
    data, end, size = packet()
    row = BY_NAME["jgt_reg"]
    translation = translate.Translation()
    beyond = translation.fact(Fact(None, 0, FactKind.COMPARISON, Pointer(data, offset), row=row, right=Pointer(end)))
    assert (solved(translation, {size: length}, beyond) is None) is inside


def test_addresses_do_not_wrap_and_may_be_negative() -> None:
    data, _, _ = packet()
    zero = constant(0)
    for name, possible in (("jslt_reg", True), ("jsgt_reg", True), ("jeq_reg", False)):
        translation = translate.Translation()
        fact = Fact(None, 0, FactKind.COMPARISON, Pointer(data, 100), row=BY_NAME[name], right=zero)
        assert (solved(translation, {}, translation.fact(fact)) is not None) is possible, name
    translation = translate.Translation()
    further = Fact(None, 0, FactKind.COMPARISON, Pointer(data, 100), row=BY_NAME["jlt_reg"], right=Pointer(data))
    assert solved(translation, {}, translation.fact(further)) is None


def test_of_a_pointer_that_may_be_null_a_comparison_says_nothing() -> None:
    value = Region(RegionKind.MAP_VALUE, "value", 8)
    row = BY_NAME["jgt_reg"]
    fact = Fact(None, 0, FactKind.COMPARISON, Pointer(value, nullable=True), row=row, right=constant(0))
    assert translate.Translation().fact(fact) is None


# --- claims -----------------------------------------------------------------------------------------------------------

EDGE_OFFSETS = (0, 1, 55, 56, 57, 63, 64, 65, -1, -64, 1 << 40, -(1 << 40), (1 << 63) - 1, -(1 << 63))


@pytest.mark.parametrize("offset", [0, -8, 8, -(1 << 40), 1 << 40])
@pytest.mark.parametrize("size", [1, 8, 64])
def test_within_is_meant_of_integers_that_do_not_wrap(offset: int, size: int) -> None:
    variable = leaf()
    for number in EDGE_OFFSETS:
        expected = offset + number >= 0 and offset + number + size <= 64
        assert holds(Within(variable, offset, size, 0, 64), {variable: number & MASK}) is expected, number


@pytest.mark.parametrize("length", [0, 63, 64, 0xFFFFFFFF])
def test_within_a_packet_is_within_its_length(length: int) -> None:
    data, _, size = packet()
    variable = leaf()
    for number in EDGE_OFFSETS:
        known = {variable: number & MASK, size: length}
        assert holds(Within(variable, 0, 8, 0, data), known) is (number >= 0 and number + 8 <= length), number


@pytest.mark.parametrize("size", [0, 1, 64, 65, 1 << 32, 1 << 63, MASK])
def test_a_size_is_unsigned_and_added_without_wrapping(size: int) -> None:
    variable, how_much = leaf(), leaf()
    for number in EDGE_OFFSETS:
        expected = number - 64 >= -512 and number - 64 + size <= 0
        known = {variable: number & MASK, how_much: size}
        assert holds(SizedWithin(variable, -64, how_much, -512, 0), known) is expected, number


@pytest.mark.parametrize(
    ("low", "high", "signed", "bits"), [(0, 1, False, 64), (-5, 5, True, 64), (0, 100, False, 32), (-1, 1, True, 32)]
)
def test_between_reads_the_bits_that_it_is_about(low: int, high: int, signed: bool, bits: int) -> None:
    number = leaf()
    for value in (0, 1, 2, 5, 6, 100, 101, MASK, MASK - 4, MASK - 5, 0xFFFFFFFF, 1 << 32, (1 << 32) + 1):
        read = value & ((1 << bits) - 1)
        read -= (read >> (bits - 1) & signed) << bits
        assert holds(Between(number, low, high, signed, bits), {number: value}) is (low <= read <= high), value


@pytest.mark.parametrize("alignment", [2, 4, 8])
@pytest.mark.parametrize("offset", [0, 1, -4, 6])
def test_aligned_looks_at_the_low_bits_of_the_sum(alignment: int, offset: int) -> None:
    number = leaf()
    for value in (0, 1, 2, 4, 6, 8, MASK, MASK - 3):
        assert holds(Aligned(number, offset, alignment), {number: value}) is ((value + offset) % alignment == 0), value


# --- reading twice ----------------------------------------------------------------------------------------------------


def read(
    contents: Scalar | None, offset: int = 8, variable: Scalar | None = None, region: Region | None = None
) -> Scalar:
    source = Input(InputKind.PACKET, "bytes", region or REGION, offset, 4, variable, contents)
    return Scalar(domain.of_size(4), source)


REGION = Region(RegionKind.PACKET, "packet")


def are_one(first: Scalar, second: Scalar) -> bool:
    translation = translate.Translation()
    return solved(translation, {}, translation.term(first) != translation.term(second)) is None


def test_two_reads_of_one_place_are_one_number_while_the_contents_are_the_same() -> None:
    contents, index = leaf(), leaf()
    known = index.refined(domain.unsigned(0, 10), None, 1)
    assert are_one(read(contents), read(contents))
    assert are_one(read(contents, variable=index), read(contents, variable=known))
    assert not are_one(read(contents), read(leaf()))
    assert not are_one(read(None), read(None))
    assert not are_one(read(contents), read(contents, offset=12))
    assert not are_one(read(contents, variable=index), read(contents, variable=leaf()))
    assert not are_one(read(contents), read(contents, region=Region(RegionKind.PACKET, "packet")))


def test_a_proof_that_took_two_reads_for_one_says_what_it_rests_on() -> None:
    contents, index = leaf(), leaf()
    translation = translate.Translation()
    for _ in range(2):
        translation.term(read(contents, variable=index))
    assert translation.read_again == {contents, index}
    translation = translate.Translation()
    translation.term(read(contents, variable=index))
    assert translation.read_again == set()
