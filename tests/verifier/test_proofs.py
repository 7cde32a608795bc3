"""The proofs of the scalar domain: what changed is proved anew, everything is covered, and the prover can refuse."""

from __future__ import annotations

import ast
import dataclasses
import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("z3", reason="needs z3")
from pybpftime.verifier import proofs, proofs_deduction, terms
from pybpftime.verifier.proofs_hash import bare, closure, functions
from pybpftime.verifier.proofs_symbols import Paths, Symbol, maximum, minimum
from tools import gen_operator_docs

# These have their width, or bits that a small width does not have, in their source.
WIDE_ONLY = ("operators.", "ranges.unsigned", "ranges.signed", "ranges.constant", "bitwise.sign", "bitwise.byte")
SMALL = [name for name in proofs.CONTRACTS if not name.startswith((*WIDE_ONLY, "bitwise.low_bits"))]


def test_the_source_as_it_is_was_proved() -> None:
    """Proves what changed since `make proofs` wrote proofs.json; with many changes that command is quicker."""
    failures = {f"{name} @{width}": proofs.prove(name, width).failures for name, width in proofs.stale()}
    assert not {key: found for key, found in failures.items() if found}


def test_nothing_is_recorded_that_is_not_asked_for() -> None:
    assert set(proofs.recorded()) <= {proofs.key_of(name, width) for name, width in proofs.proofs()}


@pytest.mark.parametrize("name", SMALL)
def test_proofs_at_a_small_width(name: str) -> None:
    """Whatever proofs.json says: quick proofs of the source as it is."""
    assert not proofs.prove(name, 4 if name.startswith(("arithmetic", "bitwise")) else 8).failures


def test_every_function_of_the_domain_is_part_of_a_proof() -> None:
    covered = {name for contract in proofs.CONTRACTS.values() for name in closure(contract.function, frozenset())}
    assert functions() - covered == {
        # names of rows, and the check that each has its operator
        *("operators.base_name", "operators._check_complete"),
        # those who only hand on
        *("operators.transfer", "operators.refine", "operators.decide", "ranges.of_size", "ranges.signed_of_size"),
    }


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("arithmetic.add add", "arithmetic.subtract"),
        ("arithmetic.divide div", "arithmetic.signed_divide"),
        ("arithmetic.signed_modulo smod", "arithmetic.modulo"),
        ("bitwise.bitwise_or or", "bitwise.bitwise_xor"),
        ("bitwise.shift_right rsh", "bitwise.shift_right_signed"),
        ("deduction.next_member", "deduction.previous_member"),
        ("ranges.union", "ranges.intersection"),
        ("ranges.has", "ranges.tighten"),
    ],
)
def test_a_wrong_function_is_refused(name: str, wrong: str) -> None:
    contract = dataclasses.replace(proofs.CONTRACTS[name], function=wrong, uses=())
    if name == "ranges.has":
        contract = dataclasses.replace(proofs.CONTRACTS[name], promises=lambda s, a, n, r: [terms.truth(bool(r))])
    assert any("counterexample" in failure for failure in proofs.prove(name, 4, contract).failures)


def test_a_path_that_gives_up_too_early_is_refused() -> None:
    """`tighten` may say *empty* only of what is: with a looser promise about the bits it would not be known."""
    contract = dataclasses.replace(proofs_deduction.INTERSECTION, facts=lambda s, a, n: s.in_range(n[0], a[0]))
    assert proofs.prove("ranges.intersection", 8, contract).failures


def test_contradictory_facts_prove_nothing() -> None:
    contract = dataclasses.replace(proofs_deduction.AGREE, facts=lambda s, a, n: [terms.truth(False)])
    assert "contradicts itself" in proofs.prove("deduction.agree", 8, contract).failures[0]


def test_the_document_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert gen_operator_docs.main(["--check"]) == 0, capsys.readouterr().err


# --- symbols ----------------------------------------------------------------------------------------------------------


def symbol(paths: Paths, value: int) -> Symbol:
    """A symbol that can only be `value`, of which its bounds say less."""
    return Symbol(paths, terms.number(value, 12), -1024, 1023)


def value(result: Any) -> int:
    """The number that a symbol is."""
    if not isinstance(result, Symbol):
        return int(result)
    bits = result.term.size()
    number = int(terms.value_of(result.term))
    signed = number - (1 << bits) if number >> (bits - 1) else number
    assert result.low <= signed <= result.high
    return signed


OPERATIONS: list[Callable[[Any, Any], Any]] = [
    *(operator.add, operator.sub, operator.mul, operator.and_, operator.or_, operator.xor),
    *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
    lambda a, b: -a,
    lambda a, b: ~a,
    lambda a, b: abs(a),
    lambda a, b: a << abs(b) % 16,
    lambda a, b: a >> abs(b) % 16,
    lambda a, b: abs(a) // (abs(b) + 1),
    lambda a, b: abs(a) % (abs(b) + 1),
    lambda a, b: 1 << abs(a).bit_length(),
    lambda a, b: abs(a).bit_length(),
]


@settings(max_examples=25)
@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.sampled_from(("both", "left", "right")))
def test_symbols_are_integers(a: int, b: int, symbolic: str) -> None:
    paths = Paths(0)
    left = a if symbolic == "right" else symbol(paths, a)
    right = b if symbolic == "left" else symbol(paths, b)
    for operation in OPERATIONS:
        results = list(paths.runs(partial(_plain, operation, left, right)))
        assert [value(result) for result in results] == [operation(a, b)]


def _plain(operation: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """A result of which a truth value is decided."""
    result = operation(left, right)
    return result if isinstance(result, int | Symbol) else bool(result)


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=4))
def test_minimum_and_maximum(numbers: list[int]) -> None:
    paths = Paths(0)
    symbols = [symbol(paths, number) for number in numbers]
    assert value(minimum(*symbols, 7)) == min(*numbers, 7)
    assert value(maximum([*symbols, -7])) == max([*numbers, -7])


def test_every_possible_path_is_run_once() -> None:
    paths = Paths(0)
    x = paths.symbol(0, 100)

    def run() -> str:
        if x < 3:
            return "low"
        return "never" if x < 2 else "high" if x > 50 else "middle"

    assert sorted(paths.runs(run)) == ["high", "low", "middle"]
    assert paths.count == 3


def test_an_error_on_a_path_is_an_error_of_the_proof() -> None:
    paths = Paths(0)
    x = paths.symbol(0, 3)
    with pytest.raises(ZeroDivisionError):
        list(paths.runs(lambda: 5 // x))
    with pytest.raises(ValueError, match="negative shift"):
        list(paths.runs(lambda: 5 << (x - 1)))


# --- what a proof rests on --------------------------------------------------------------------------------------------


def test_comments_and_docstrings_do_not_make_a_proof_stale() -> None:
    one, other, changed = (
        bare(ast.parse(text))
        for text in (
            'def f(a):\n    """Say."""\n    return a + 1',
            "def f(a):\n    return a+1  # so",
            "def f(a): return a",
        )
    )
    assert one == other
    assert one != changed


def test_a_proof_rests_on_what_is_called_but_for_contracts() -> None:
    assert {"words.smear", "bitwise.bitwise_and"} <= set(closure("bitwise.bitwise_or", frozenset()))
    assert "deduction.agree" not in closure("ranges.tighten", frozenset({"deduction.agree"}))
    assert "deduction.agree" in closure("ranges.canonical", frozenset())
    assert "bitwise.bitwise_or" not in closure("arithmetic.add", frozenset())
