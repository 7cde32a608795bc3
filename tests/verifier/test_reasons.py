"""The table of reasons: every code that modules use is in it, and every row is used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpftime.verifier.reasons import REASONS, Category, Reason

VERIFIER = Path(__file__).resolve().parents[2] / "verifier"
CODE_COMES = {"Obligation": 0, "Malformed": 0, "wrong": 1, "within": 7}
"""Where a call has a code among its arguments."""


def used_codes() -> Iterator[tuple[str, str]]:
    """(code, where) of every literal that stands where a code is wanted."""
    for path in sorted(VERIFIER.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                at = CODE_COMES.get(name)
                found = node.args[at : at + 1] if at is not None else []
                found += [keyword.value for keyword in node.keywords if keyword.arg == "code" and name in CODE_COMES]
            elif isinstance(node, ast.Subscript) and getattr(node.value, "id", "") == "REASONS":
                found = [node.slice]
            else:
                continue
            for one in found:
                for constant in ast.walk(one):
                    if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                        yield constant.value, f"{path.name}:{node.lineno}"


USED = dict(used_codes())


@pytest.mark.parametrize("code", sorted(USED))
def test_codes_that_modules_use_are_in_the_table(code: str) -> None:
    assert code in REASONS, USED[code]


def test_the_search_finds_what_it_is_for() -> None:
    assert {"packet-bounds", "null", "uninitialised-return", "unreachable", "unsupported"} - set(USED) <= {
        "packet-bounds"
    }
    assert len(USED) > 30


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda reason: reason.code)
def test_every_reason_is_given_somewhere(reason: Reason) -> None:
    sources = (path.read_text("utf-8") for path in VERIFIER.glob("*.py") if path.name != "reasons.py")
    assert any(f'"{reason.code}"' in source for source in sources)


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda reason: reason.code)
def test_reasons_are_sentences_without_their_ends(reason: Reason) -> None:
    assert REASONS[reason.code] is reason
    for text in (reason.title, reason.fix):
        assert text
        assert text == text.strip()
        assert not text.endswith(".")
        assert text[0].islower()


def test_every_category_has_a_reason() -> None:
    assert {reason.category for reason in REASONS.values()} == set(Category)
