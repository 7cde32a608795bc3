"""The generated half of the corpus: current, independent of the engines, and right in what it takes for granted."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pybpftime.conformance.case import Case, Expectation, Verdict
from pybpftime.conformance.corpus import bits, encodings
from pybpftime.conformance.runtime import OutcomeKind
from pybpftime.conformance.runtimes.in_process import ReferenceRuntime
from pybpftime.isa import TABLE, decode_program, lookup
from tools import gen_cases

CORPUS = Path(bits.__file__).parent
NOT_THERE = {"call_btf", "gotox", "callx", "addr_space_cast"}
"""Instructions of which a program alone cannot be right: what they name has to be there."""


def test_generated_files_are_current(capsys):
    assert gen_cases.main(["--check"]) == 0, capsys.readouterr().err


def test_a_file_that_is_not_current_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gen_cases, "TARGET", tmp_path)
    assert gen_cases.main(["--check"]) == 1
    assert "arithmetic/add.case is out of date: run python -m tools.gen_cases" in capsys.readouterr().err


def test_writing_leaves_files_alone_that_are_written_by_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(gen_cases, "TARGET", tmp_path)
    by_hand, old = tmp_path / "mine.case", tmp_path / "old.case"
    by_hand.write_text("# mine\n")
    old.write_text(f"{gen_cases.GENERATED}\n")
    assert gen_cases.main([]) == 0
    assert by_hand.read_text() == "# mine\n"
    assert not old.exists()
    monkeypatch.undo()
    assert len(list(tmp_path.rglob("*.case"))) == len(gen_cases.documents()) + 1


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.py")), ids=lambda path: path.stem)
def test_formulas_know_nothing_of_the_engines(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
        elif isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
    ours = {name for name in imported if name.startswith("pybpftime")}
    assert all(name.startswith("pybpftime.conformance.corpus") for name in ours)


def test_the_list_of_encodings_is_the_isa_table():
    names = [encoding.name for encoding in encodings.encodings()]
    assert sorted(names) == sorted(row.name for row in TABLE)
    for encoding in encodings.encodings():
        [instruction, *_] = decode_program(encoding.code())
        assert lookup(instruction).name == encoding.name


@pytest.mark.parametrize("encoding", tuple(encodings.encodings()), ids=lambda encoding: encoding.name)
def test_an_encoding_is_refused_for_what_was_changed_in_it(encoding):
    """Unchanged, it is let through by the same program."""
    code, memory = bytes.fromhex(encoding.program()), bytes.fromhex(encodings.BLOCK)
    outcome = ReferenceRuntime().run(Case(encoding.name, code, (Expectation(Verdict.RETURN),), memory))
    named = encoding.name in NOT_THERE or "map" in encoding.name or "var" in encoding.name
    assert outcome.kind is (OutcomeKind.TRAPPED if named else OutcomeKind.RETURNED)


def test_formulas_on_values_that_the_rfc_gives_or_that_can_be_counted_on_fingers():
    assert [bits.BINARY[name](7, 2, 32) for name in ("add", "sub", "mul", "div", "mod")] == [9, 5, 14, 3, 1]
    assert bits.smod(bits.unsigned(-13, 64), 3, 64) == bits.unsigned(-1, 64)  # section 4.1: -13 % 3 == -1, not 2
    assert bits.sdiv(bits.unsigned(-7, 32), 2, 32) == bits.unsigned(-3, 32)
    assert bits.sdiv(0x8000_0000, 0xFFFF_FFFF, 32) == 0x8000_0000
    assert (bits.div(7, 0, 64), bits.mod(7, 0, 64), bits.sdiv(7, 0, 64), bits.smod(7, 0, 64)) == (0, 7, 0, 7)
    assert bits.arsh(0x8000_0000, 33, 32) == 0xC000_0000
    assert bits.swapped(0x1122_3344_5566_7788, 16) == 0x8877
    assert bits.extended(0x80, 8, 32) == 0xFFFF_FF80
    assert bits.CONDITIONS["jsgt"](0, 0xFFFF_FFFF, 32)
    assert not bits.CONDITIONS["jgt"](0, 0xFFFF_FFFF, 32)
