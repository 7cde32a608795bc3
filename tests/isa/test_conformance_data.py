"""The public cases of bpf_conformance as text: they assemble, are valid, and survive both of our syntaxes."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.conformance_data import read_case, read_sections

from pybpftime.isa import validate
from pybpftime.isa.assembler import assemble
from pybpftime.isa.disassembler import disassemble


@pytest.fixture(scope="module")
def files(shared_data: Path) -> list[Path]:
    files = sorted((shared_data / "bpf_conformance").glob("*.data"))
    if not files:
        pytest.skip("needs bpf_conformance in ../shared/data")
    return files


def test_every_case_assembles_and_round_trips(files: list[Path]) -> None:
    cases = [read_case(path) for path in files]
    assert len(cases) >= 313
    assert sum(case.memory is not None for case in cases) >= 40
    for case in cases:
        validate(case.program)
        assert case.result is not None
        for syntax in ("pseudo-c", "mnemonic"):
            for labels in (True, False):
                assert assemble(disassemble(case.program, syntax=syntax, labels=labels)) == case.program, case.name


def test_raw_words_are_what_the_assembly_says(files: list[Path]) -> None:
    both = [case for case in map(read_case, files) if case.raw is not None and case.assembled is not None]
    assert both
    for case in both:
        assert case.program == case.assembled, case.name


CASE = """\
# a comment -- asm
-- asm
mov %r0, 5 # five
exit
-- mem
00 01
02
-- result
junk
0xfffffffffffffffe
"""


def test_a_case(tmp_path: Path) -> None:
    path = tmp_path / "two-words.data"
    path.write_text(CASE, "utf-8")
    case = read_case(path)
    assert (case.name, case.memory, case.result, case.error, case.raw) == (
        "two-words",
        b"\0\1\2",
        2**64 - 2,
        None,
        None,
    )
    assert case.program == case.assembled == assemble("r0 = 5\nexit")


def test_sections_are_chosen_as_the_runner_does() -> None:
    sections = read_sections("-- no register offset\nx\n-- raw\n0x95\n-- error\n boom\n-- c\nint main;")
    assert sections == {"no register offset": ["x"], "raw": ["0x95"], "error": [" boom"], " c": ["int main;"]}
    with pytest.raises(ValueError, match="unknown directive"):
        read_sections("-- foo")


def test_raw_wins_over_assembly(tmp_path: Path) -> None:
    path = tmp_path / "raw.data"
    path.write_text("-- asm\nmov %r0, 1\nexit\n-- raw\n0x95\n-- error\n boom \n", "utf-8")
    case = read_case(path)
    assert case.program == assemble("exit")
    assert case.assembled == assemble("mov %r0, 1\nexit")
    assert (case.error, case.result) == ("boom", None)
    path.write_text("-- result\n5\n", "utf-8")
    with pytest.raises(ValueError, match="has no program"):
        read_case(path)
