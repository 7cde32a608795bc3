"""The table against the IANA registry, and what every row must keep."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.iana_registry import EXTENSIONS, REGISTRY, STRICTER, WIDER, Entry
from support.instructions import instructions_of

from pybpftime.errors import InputError, InternalError
from pybpftime.isa import BY_NAME, TABLE, Form, Group, Instruction, Row, lookup, registers
from pybpftime.isa.row import FIELDS, INCLUDES, RFC
from pybpftime.isa.table import BY_OPCODE, _index

# --- the registry, both ways ---


def entry(row: Row) -> Entry:
    """A row as the registry would list it."""
    fixed = dict(row.fixed)
    if row.name in WIDER:
        fixed["offset"] = 0
    (group,) = row.groups
    return Entry(row.opcode, fixed.get("src_reg"), fixed.get("offset"), fixed.get("imm"), str(group), row.section)


def test_registry_is_typed_completely() -> None:
    # 4.1: 13 operations on two operands in 4 forms, 2 neg, 4 mov, 5 movsx; 4.3: 11 conditions in 4 forms, 6 others.
    assert Counter(fact.section for fact in REGISTRY) == {
        "4.1": 63, "4.2": 9, "4.3": 50, "5.1": 12, "5.2": 3, "5.3": 20, "5.4": 7, "5.5": 6,
    }  # fmt: skip
    assert len(set(REGISTRY)) == len(REGISTRY)


def test_rows_of_the_rfc_are_the_registry() -> None:
    rows = {entry(row): row.name for row in TABLE if row.origin == RFC}
    assert rows.keys() == set(REGISTRY)


def test_rows_beyond_the_registry_are_listed() -> None:
    assert {row.name for row in TABLE if row.origin != RFC} == EXTENSIONS.keys()
    assert all(not BY_NAME[name].groups for name in EXTENSIONS)


def test_rows_that_fix_more_than_the_registry_are_listed() -> None:
    assert {row.name for row in TABLE if "next_imm" in row.fixed} == STRICTER.keys()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_dst_reg_is_fixed_only_where_nothing_is_written(row: Row) -> None:
    # The registry does not list dst_reg; section 3 wants it zero where it has no meaning.
    unused = row.form in (
        Form.JUMP,
        Form.MAY_JUMP,
        Form.EXIT,
        Form.PACKET,
        Form.CALL_HELPER,
        Form.CALL_LOCAL,
        Form.CALL_BTF,
    )
    assert ("dst_reg" in row.fixed) == unused


def test_groups_include_as_the_registry_says() -> None:
    assert {str(group): {str(other) for other in included} for group, included in INCLUDES.items()} == {
        "base64": {"base32"}, "atomic64": {"atomic32"}, "divmul64": {"divmul32"},
    }  # fmt: skip
    assert {str(group) for group in Group} == {fact.group for fact in REGISTRY}


# --- every row ---


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_templates_show_every_operand(row: Row) -> None:
    shows = {"dst": "dst_reg", "dst32": "dst_reg", "src": "src_reg", "src32": "src_reg", "offset": "offset",
             "module": "offset", "imm": "imm", "imm64": "imm next_imm", "next_imm": "next_imm", "helper": "imm",
             "kfunc": "imm", "to_space": "imm", "from_space": "imm", "call": "imm",
             "jump": "imm" if row.name == "ja32" else "offset"}  # fmt: skip
    operands = {*FIELDS, *(["next_imm"] if row.wide else [])} - row.fixed.keys()
    for text in (row.pseudo_c, row.mnemonic):
        shown = {field for name in re.findall(r"\{(\w+)\}", text) for field in shows[name].split()}
        assert shown == operands, text


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_rows_say_what_they_are(row: Row) -> None:
    assert row.meaning
    assert not row.meaning.endswith(".")
    assert row.width in (32, 64)
    assert row.size in (0, 1, 2, 4, 8)
    assert not row.operand or row.operand in FIELDS
    assert set(row.reads) | set(row.writes) <= {"dst", "src", *(f"r{number}" for number in range(7))}
    pure = (Form.BINARY, Form.UNARY, Form.JUMP_IF, Form.LOAD, Form.ATOMIC, Form.LOAD_ACQUIRE)
    assert (row.compute is not None) == (row.form in pure)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_registers_read_and_written_are_operands(row: Row) -> None:
    for name in {*row.reads, *row.writes} & {"dst", "src"}:
        assert f"{name}_reg" not in row.fixed, f"{row.name} has no {name}"
    instruction = Instruction(row.opcode, dst_reg=3, src_reg=4)
    numbers = {"dst": 3, "src": 4} | {f"r{number}": number for number in range(7)}
    assert registers(row.reads, instruction) == tuple(numbers[name] for name in row.reads)


@given(st.data())
def test_lookup_finds_the_row(data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(TABLE))
    assert lookup(data.draw(instructions_of(row))) is row


@given(st.builds(
    Instruction, opcode=st.integers(0, 255), dst_reg=st.integers(0, 15), src_reg=st.integers(0, 15),
    offset=st.sampled_from((0, 1, 8, 16, 32)) | st.integers(-0x8000, 0x7FFF),
    imm=st.sampled_from((0, 1, 16, 32, 64, 0x41, 0xE1, 0xF1, 0x100, 0x110)) | st.integers(-(1 << 31), (1 << 31) - 1),
    next_imm=st.none() | st.just(0),
))  # fmt: skip
def test_every_slot_is_one_row_or_an_error(instruction: Instruction) -> None:
    matching = [row for row in TABLE if row.opcode == instruction.opcode and row.matches(instruction)]
    assert len(matching) <= 1
    if matching:
        assert lookup(instruction) is matching[0]
    else:
        with pytest.raises(InputError):
            lookup(instruction)


def test_opcodes_without_a_row() -> None:
    for opcode in set(range(256)) - BY_OPCODE.keys():
        with pytest.raises(InputError, match=f"unknown opcode {opcode:#04x}"):
            lookup(Instruction(opcode))


# --- reserved fields ---

RESERVED = [(row, field) for row in TABLE for field in row.fixed]
LARGEST = {"dst_reg": 15, "src_reg": 15, "offset": 0x7FFF, "imm": 0x7FFF_FFFF, "next_imm": 0x7FFF_FFFF}


@pytest.mark.parametrize(("row", "field"), RESERVED, ids=lambda part: getattr(part, "name", part))
def test_reserved_field(row: Row, field: str) -> None:
    fields = {"next_imm": 0} if row.wide else {}
    instruction = Instruction(row.opcode, **(fields | dict(row.fixed) | {field: LARGEST[field]}))
    with pytest.raises(InputError) as caught:
        lookup(instruction)
    allowed = {one.fixed[field] for one in BY_OPCODE[row.opcode] if all(
        one.fixed.get(other, value) == value for other, value in row.fixed.items() if other != field
    )}  # fmt: skip
    reason = caught.value.reason
    assert f": {field} is {LARGEST[field]:#x} and must be " in reason
    assert {int(number, 0) for number in reason.partition("must be ")[2].split(" or ")} == allowed
    assert reason.startswith(row.name if len(allowed) == 1 else f"opcode {row.opcode:#04x}")


def test_reserved_field_by_hand() -> None:
    cases = {
        Instruction(0x95, imm=1): "exit: imm is 0x1 and must be 0",
        Instruction(0x07, src_reg=2): "add_imm: src_reg is 0x2 and must be 0",
        Instruction(0x3F, offset=2): "opcode 0x3f: offset is 0x2 and must be 0 or 1",
        Instruction(0xBC, offset=32): "opcode 0xbc: offset is 0x20 and must be 0 or 8 or 0x10",
        Instruction(0x85, src_reg=3): "opcode 0x85: src_reg is 0x3 and must be 0 or 1 or 2",
        Instruction(0xBC, offset=9, imm=5): "opcode 0xbc: offset is 0x9 and must be 0 or 8 or 0x10",
        Instruction(0xBF, imm=5): "mov_reg: imm is 0x5 and must be 0",
        Instruction(0x18, src_reg=1, next_imm=4): "lddw_map_by_fd: next_imm is 0x4 and must be 0",
        Instruction(
            0x18, src_reg=7, next_imm=0
        ): "opcode 0x18: src_reg is 0x7 and must be 0 or 1 or 2 or 3 or 4 or 5 or 6",
        Instruction(0xD7, imm=8): "opcode 0xd7: imm is 0x8 and must be 0x10 or 0x20 or 0x40",
    }
    for instruction, sentence in cases.items():
        with pytest.raises(InputError) as caught:
            lookup(instruction)
        assert caught.value.reason == sentence


def test_overlapping_rows_are_refused() -> None:
    with pytest.raises(InternalError, match="rows exit and exit match the same instruction"):
        _index((BY_NAME["exit"], BY_NAME["exit"]))


def test_half_of_a_wide_instruction_is_refused() -> None:
    with pytest.raises(InputError, match="lddw_map_by_fd: there is no next_imm: a wide instruction takes two slots"):
        lookup(Instruction(0x18, src_reg=1))
