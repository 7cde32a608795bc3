"""Coverage: which class a value is of, and what a run shows of the operands."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake_runtimes import case

from pybpftime.conformance.case import Case
from pybpftime.conformance.run.coverage import (
    ALL_CELLS,
    Cell,
    OperandClass,
    Watcher,
    cells,
    classify,
    special_values,
    suite_cells,
)
from pybpftime.isa import BY_NAME, TABLE
from pybpftime.isa.assembler import assemble
from pybpftime.isa.encoding import encode_program
from pybpftime.maps import MapSpec
from pybpftime.uapi import MapType


def program(text: str, **fields: object) -> Case:
    return case("x", encode_program(assemble(text)), **fields)


def seen(text: str, **fields: object) -> frozenset[Cell]:
    return Watcher().run(program(text, **fields))


def classes(found: Iterable[Cell], row: str, operand: str) -> set[str]:
    return {str(cell.value) for cell in found if (cell.row, cell.operand) == (row, operand)}


@pytest.mark.parametrize(
    ("value", "width", "expected"),
    [
        (0, 64, "zero"),
        (1, 32, "one"),
        (-1, 64, "minus one"),
        (0xFFFFFFFF, 32, "minus one"),
        (0xFFFFFFFF, 64, "other"),
        (1 << 63, 64, "min"),
        (1 << 31, 32, "min"),
        ((1 << 63) - 1, 64, "max"),
        (0x7FFFFFFF, 32, "max"),
        (0x7FFFFFFF, 64, "32-bit sign boundary"),
        (0x80000000, 64, "32-bit sign boundary"),
        (-0x80000000, 64, "32-bit sign boundary"),
        (0x80, 8, "min"),
        (0x80, 16, "8-bit sign boundary"),
        (-0x80, 64, "8-bit sign boundary"),
        (0x7F, 32, "8-bit sign boundary"),
        (0x8000, 32, "16-bit sign boundary"),
        (2, 64, "other"),
        (1 << 64, 64, "zero"),
    ],
)
def test_classes_of_values(value: int, width: int, expected: str) -> None:
    assert classify(value, width) == expected


@given(st.integers(), st.sampled_from([8, 16, 32, 64]))
def test_a_value_and_its_low_bits_are_of_one_class(value: int, width: int) -> None:
    assert classify(value, width) is classify(value % (1 << width), width)


def test_operands_are_seen_at_the_width_of_the_row() -> None:
    found = seen("r0 = -1\nr1 = 0x1ffffffff ll\nw1 += 0\nr0 += 128\nexit")
    assert classes(found, "add32_imm", "dst") == {"minus one"}
    assert classes(found, "add32_imm", "src") == {"zero"}
    assert classes(found, "add_imm", "dst") == {"minus one"}
    assert classes(found, "add_imm", "src") == {"8-bit sign boundary"}
    assert classes(found, "mov_imm", "src") == {"minus one"}
    assert classes(found, "lddw", "src") == {"other"}
    assert classes(found, "exit", "-") == {"executed"}


def test_values_in_memory_are_operands() -> None:
    text = "r0 = *(u8 *)(r1 + 0)\nr3 = *(u16 *)(r1 + 0)\n*(u32 *)(r1 + 0) = 1\nlock *(u32 *)(r1 + 0) += w2\nexit"
    found = seen(text, memory=bytes.fromhex("807f0000"))
    assert classes(found, "ldxb", "memory") == {"min"}
    assert classes(found, "ldxh", "memory") == {"other"}
    assert classes(found, "stw", "src") == {"one"}
    assert classes(found, "lock_add32", "memory") == {"one"}
    assert classes(found, "lock_add32", "src") == {"other"}


def test_branches_are_taken_or_not() -> None:
    text = "r0 = 0\nagain:\nr0 += 1\nif r0 < 3 goto again\nexit"
    found = seen(text)
    assert classes(found, "jlt_imm", "branch") == {"taken", "not taken"}
    assert classes(found, "jlt_imm", "dst") == {"one", "other"}
    assert classes(seen("if r1 == 0 goto over\nr0 = 1\nover:\nexit"), "jeq_imm", "branch") == {"taken"}


def test_what_a_fault_stopped_is_not_seen() -> None:
    found = seen("r0 = *(u64 *)(r1 + 0)\nr0 += 1\nexit")
    assert not classes(found, "add_imm", "dst")
    assert not classes(found, "ldxdw", "memory")


def test_a_program_that_does_not_end_is_left() -> None:
    assert classes(seen("again:\nr0 += 1\ngoto again"), "ja", "-") == {"executed"}


def test_a_program_that_is_refused_shows_nothing() -> None:
    assert Watcher().run(case("x", b"\xff" * 8)) == frozenset()
    assert Watcher().run(case("x", b"\xff" * 5)) == frozenset()


def test_maps_are_there() -> None:
    maps = (MapSpec("m", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1),)
    found = seen("r1 = map_val(map_by_idx(0)) + 0\nr0 = *(u64 *)(r1 + 0)\nexit", maps=maps)
    assert classes(found, "ldxdw", "memory") == {"zero"}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_row_has_cells(row: object) -> None:
    assert {cell.row for cell in cells(row)} == {row.name}
    assert len(set(cells(row))) == len(cells(row))


def test_constants_reach_what_32_bits_can() -> None:
    assert OperandClass.MIN.value not in classes(cells(BY_NAME["add_imm"]), "add_imm", "src")
    assert {"zero", "minus one", "32-bit sign boundary"} <= classes(cells(BY_NAME["add_imm"]), "add_imm", "src")
    assert {"min", "max"} <= classes(cells(BY_NAME["add32_imm"]), "add32_imm", "src")


def test_only_cells_of_the_map_are_seen() -> None:
    """Every special value, at every width, in both operands of some rows."""
    known = set(ALL_CELLS)
    found: set[Cell] = set()
    for value in special_values(64):
        found |= seen(f"r1 = {value:#x} ll\nr0 = r1\nr0 s/= r1\nw0 %= w1\nif w1 s> w0 goto l\nl:\nr0 = (s8)r1\nexit")
        found |= seen(f"r0 = {((value + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)}\nr0 /= 5\nexit")
    assert len(found) > 40
    assert found <= known


def test_cells_come_by_case() -> None:
    cases = [program("r0 = 0\nexit"), program("r0 = 1\nexit"), case("x", b"\xff")]
    found = suite_cells(cases, jobs=2)
    assert found is not None
    assert [classes(one, "mov_imm", "src") for one in found] == [{"zero"}, {"one"}, set()]


def test_a_map_that_was_stopped_is_none() -> None:
    assert suite_cells([program("r0 = 0\nexit")], jobs=1, stopped=lambda: True) is None
