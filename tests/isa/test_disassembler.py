"""Programs to text and back, in both syntaxes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.instructions import EDGES_16, EDGES_32, instructions, slots, valid_programs

from pybpftime.errors import InputError
from pybpftime.isa import TABLE, Instruction, Program, Row, encode_program
from pybpftime.isa.assembler import assemble, assemble_bytes
from pybpftime.isa.disassembler import Names, disassemble, format_instruction, is_label, listing

SYNTAXES = ("pseudo-c", "mnemonic")


def there_and_back(instruction: Instruction, syntax: str) -> Program:
    """What the text of an instruction is read as, which is the same whether the syntax is told or guessed."""
    text = format_instruction(instruction, syntax=syntax)
    assert not text.startswith("."), text
    program = assemble(text, syntax=syntax)
    assert assemble(text) == program
    return program


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_row_round_trips(row: Row) -> None:
    for offset, imm in zip(EDGES_16 * 2, EDGES_32, strict=False):
        fields = {"dst_reg": imm % 11, "src_reg": 10 - imm % 11, "offset": offset, "imm": imm} | dict(row.fixed)
        next_imm = row.fixed.get("next_imm", offset * 0x7FFF) if row.wide else None
        for syntax in SYNTAXES:
            instruction = Instruction(row.opcode, **fields | {"next_imm": next_imm})
            assert there_and_back(instruction, syntax) == slots([instruction])


@settings(max_examples=500)
@given(instructions(), st.sampled_from(SYNTAXES))
def test_any_instruction_round_trips(instruction: Instruction, syntax: str) -> None:
    assert there_and_back(instruction, syntax) == slots([instruction])


@given(valid_programs(), st.sampled_from(SYNTAXES), st.booleans())
def test_valid_programs_round_trip(program: Program, syntax: str, labels: bool) -> None:
    text = disassemble(program, syntax=syntax, labels=labels)
    assert assemble(text, syntax=syntax) == program, text
    assert disassemble(encode_program(program), syntax=syntax, labels=labels) == text


@given(valid_programs(max_size=8), st.data())
def test_programs_with_names_round_trip(program: Program, data: st.DataObject) -> None:
    name = data.draw(
        st.sampled_from(("bpf_trace_printk", "f", "r1", "pc", "exit", "L0", "L1", "two words", "", "x;y\nz", "é"))
    )
    names = Names(**dict.fromkeys(("helper", "kfunc", "function", "map", "map_index"), lambda number: name))
    for syntax in SYNTAXES:
        text = disassemble(program, syntax=syntax, names=names)
        assert assemble(text) == program, text


@given(st.lists(instructions(), max_size=8), st.booleans())
def test_targets_may_lead_anywhere(chosen: list[Instruction], labels: bool) -> None:
    program = slots(chosen)
    assert assemble(disassemble(program, labels=labels)) == program


@given(st.binary(max_size=64), st.sampled_from(SYNTAXES), st.booleans())
def test_any_bytes_round_trip(code: bytes, syntax: str, labels: bool) -> None:
    text = disassemble(code, syntax=syntax, labels=labels)
    assert assemble_bytes(text, syntax=syntax) == code, text


@given(st.lists(st.sampled_from((0x18, 0x00, 0x95, 0x05)), max_size=6), st.binary(min_size=7, max_size=7))
def test_wide_instructions_without_a_second_slot(opcodes: list[int], rest: bytes) -> None:
    for tail in (rest, bytes(7)):
        code = b"".join(bytes([opcode]) + tail for opcode in opcodes)
        assert assemble_bytes(disassemble(code)) == code


@given(
    st.builds(
        Instruction,
        opcode=st.sampled_from([row.opcode for row in TABLE]) | st.integers(-1, 300),
        dst_reg=st.integers(-1, 20),
        src_reg=st.integers(-1, 20),
        offset=st.integers(),
        imm=st.integers(),
        next_imm=st.none() | st.integers(),
    ),
    st.sampled_from(SYNTAXES),
)
def test_format_instruction_never_raises(instruction: Instruction, syntax: str) -> None:
    assert format_instruction(instruction, syntax=syntax)


def test_unknown_syntax() -> None:
    with pytest.raises(InputError, match="there is no syntax 'intel', there are pseudo-c and mnemonic"):
        disassemble((), syntax="intel")


@pytest.mark.parametrize(
    ("instruction", "pseudo_c", "mnemonic"),
    [
        (Instruction(0x0F, 1, 2), "r1 += r2", "add %r1, %r2"),
        (Instruction(0x04, 1, imm=-5), "w1 += -0x5", "add32 %r1, -5"),
        (Instruction(0x54, 1, imm=65535), "w1 &= 0xffff", "and32 %r1, 0xffff"),
        (Instruction(0x61, 1, 2, -8), "w1 = *(u32 *)(r2 - 0x8)", "ldxw %r1, [%r2-8]"),
        (Instruction(0x79, 1, 2), "r1 = *(u64 *)(r2 + 0x0)", "ldxdw %r1, [%r2]"),
        (Instruction(0x18, 1, imm=5, next_imm=6), "r1 = 0x600000005 ll", "lddw %r1, 0x600000005"),
        (Instruction(0x18, 1, imm=-1, next_imm=-1), "r1 = -0x1 ll", "lddw %r1, 0xffffffffffffffff"),
        (Instruction(0x6D, 1, 2, 1), "if r1 s> r2 goto +0x1", "jsgt %r1, %r2, +1"),
        (Instruction(0xDB, 1, 2), "lock *(u64 *)(r1 + 0x0) += r2", "lock add [%r1], %r2"),
        (Instruction(0xC3, 1, 0, 0, 1), "w0 = atomic_fetch_add((u32 *)(r1 + 0x0), w0)", "lock fetch add32 [%r1], %r0"),
        (Instruction(0x85, imm=5), "call 0x5", "call 5"),
        (Instruction(0x85, imm=-1), "call 0xffffffff", "call 0xffffffff"),
        (Instruction(0x85, src_reg=1, imm=5), "call +0x5", "call local +5"),
        (Instruction(0x85, src_reg=2, imm=5, offset=3), "call kfunc 0x5, module 3", "call runtime 5, module 3"),
        (Instruction(0x07, dst_reg=11, imm=1), ".8byte 0x0000000100000b07", ".8byte 0x0000000100000b07"),
        (Instruction(0x18, src_reg=9, imm=1, next_imm=2), ".8byte 0x0000000100009018, 0x0000000200000000",
         ".8byte 0x0000000100009018, 0x0000000200000000"),
        (Instruction(0x18), ".8byte 0x0000000000000018", ".8byte 0x0000000000000018"),
    ],
)  # fmt: skip
def test_by_hand(instruction: Instruction, pseudo_c: str, mnemonic: str) -> None:
    assert format_instruction(instruction) == pseudo_c
    assert format_instruction(instruction, syntax="mnemonic") == mnemonic


PROGRAM = assemble("""
        lddw %r1, 1
loop:   add %r1, -1
        jne %r1, 0, loop
        call local f
        call 6
        r2 = map_by_fd(3)
        r2 = map_val(map_by_idx(4)) + 8
        .8byte 0xff
        exit
f:      call kfunc 99
        goto +100
""")

NAMES = Names(
    helper={6: "bpf_trace_printk"}.get,
    kfunc={99: "bpf_iter_num_new"}.get,
    function={12: "double"}.get,
    map={3: "counts"}.get,
    map_index={4: "two\nlines"}.get,
)


def test_a_listing() -> None:
    assert (
        disassemble(PROGRAM, names=NAMES)
        == """\
    r1 = 0x1 ll
L2:
    r1 += -0x1
    if r1 != 0x0 goto L2
    call double
    call bpf_trace_printk#6
    r2 = map_by_fd(0x3)  ; counts
    r2 = map_val(map_by_idx(0x4)) + 0x8  ; two lines
    .8byte 0x00000000000000ff  ; unknown opcode 0xff
    exit
double:
    call kfunc bpf_iter_num_new#99
    goto +0x64
"""
    )


def test_a_listing_without_labels_or_names() -> None:
    assert (
        disassemble(PROGRAM, syntax="mnemonic", labels=False)
        == """\
    lddw %r1, 0x1
    add %r1, -1
    jne %r1, 0, -2
    call local +7
    call 6
    lddw %r2, map_by_fd(3)
    lddw %r2, map_val(map_by_idx(4)) + 8
    .8byte 0x00000000000000ff  ; unknown opcode 0xff
    exit
    call runtime 99
    ja +100
"""
    )


def test_lines_are_values() -> None:
    lines = listing(PROGRAM, names=NAMES)
    assert [line.pc for line in lines] == [pc for pc, slot in enumerate(PROGRAM) if slot is not None]
    assert [line.instruction for line in lines] == [slot for slot in PROGRAM if slot is not None]
    assert {line.pc: line.label for line in lines if line.label} == {2: "L2", 12: "double"}
    rest = listing(b"\x95\0\0\0\0\0\0\0\x01\x02")[-1]
    assert (rest.pc, rest.text, rest.instruction) == (1, ".byte 0x01, 0x02", None)
    assert rest.comment == "2 bytes fill no slot"


def test_function_names_that_are_no_labels_or_taken() -> None:
    program = assemble("call local a\ncall local b\na: exit\nb: exit")
    assert [line.label for line in listing(program, names=Names(function=lambda slot: "same"))] == [
        None,
        None,
        "same",
        "L3",
    ]
    assert [line.label for line in listing(program, names=Names(function=lambda slot: "r1"))][2:] == ["L2", "L3"]


def test_is_label() -> None:
    assert all(is_label(name) for name in ("a", "LBB0_2", ".text", "f.cold", "_x$1", "exit", "r11x"))
    assert not any(is_label(name) for name in ("", "1a", "r1", "w10", "pc", "a b", "a-b", "é"))
