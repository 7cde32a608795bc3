"""The `.data` files of bpf_conformance, read and written; the public ones there and back."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.instructions import instructions

from pybpftime.conformance.case import Case, Expectation, Signature, Verdict
from pybpftime.conformance.formats.assembly import read_assembly
from pybpftime.conformance.formats.data_file import leading_comments, read_data, read_sections, write_data
from pybpftime.conformance.suite import load_suite
from pybpftime.errors import FaultKind, InputError
from pybpftime.isa import TABLE, encode_program, validate
from pybpftime.isa.assembler import assemble, assemble_bytes
from pybpftime.isa.disassembler import disassemble
from pybpftime.maps import MapSpec
from pybpftime.uapi import MapType

PLAIN = Case("sum", assemble_bytes("mov %r0, 5\nexit"), (Expectation(Verdict.RETURN, Signature({0: 5})),))


@pytest.fixture(scope="module")
def files(shared_data: Path) -> list[Path]:
    files = sorted((shared_data / "bpf_conformance").glob("*.data"))
    if not files:
        pytest.skip("needs bpf_conformance in ../shared/data")
    return files


@pytest.fixture(scope="module")
def public(files: list[Path]) -> tuple[Case, ...]:
    suite = load_suite(files[0].parent)
    assert not suite.problems
    return suite.cases


def judged(case: Case) -> tuple[bytes, bytes | None, tuple[Expectation, ...]]:
    """What a runner sees of a case."""
    return case.code, case.memory, case.expected


# --- the public files -------------------------------------------------------------------------------------------------


def test_every_public_case_assembles_and_round_trips(public: tuple[Case, ...]) -> None:
    assert len(public) >= 313
    assert sum(case.memory is not None for case in public) >= 40
    for case in public:
        program = case.program()
        validate(program)
        assert case.expected[0].signature.r0 is not None
        for syntax in ("pseudo-c", "mnemonic"):
            for labels in (True, False):
                assert assemble(disassemble(program, syntax=syntax, labels=labels)) == program, case.name


def test_raw_words_are_what_the_assembly_says(files: list[Path]) -> None:
    both = [sections for path in files if (sections := read_sections(path.read_text())).keys() >= {"raw", "asm"}]
    assert both
    for sections in both:
        text = "".join(f"{line.text}\n" for line in sections["asm"])
        words = "".join(f"{line.text}\n" for line in sections["raw"])
        assert read_data(f"-- raw\n{words}-- result\n0").code == assemble_bytes(text)


def test_public_programs_have_a_syntax_in_the_dialect(public: tuple[Case, ...]) -> None:
    assert [case.name for case in public if "-- raw" in write_data(case)] == []


# --- reading ----------------------------------------------------------------------------------------------------------

CASE = """\
# a comment -- asm
passed over
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


def test_a_case() -> None:
    case = read_data(CASE, file="two-words.data", name="two-words")
    returned = Expectation(Verdict.RETURN, Signature({0: 2**64 - 2}))
    assert case == Case(
        "two-words",
        assemble_bytes("r0 = 5\nexit"),
        (returned,),
        memory=b"\0\1\2",
        file="two-words.data",
        line=1,
    )
    assert judged(read_data(CASE.replace("\n", "\r\n"))) == judged(case)


def test_sections_are_chosen_as_the_runner_does() -> None:
    text = "-- no register offset\nx\n-- raw\n0x95\n-- error\n boom\n-- c\nint main;\n-- raw\n7"
    sections = {name: [line.text for line in lines] for name, lines in read_sections(text).items()}
    assert sections == {"no register offset": ["x"], "raw": ["0x95", "7"], "error": [" boom"], " c": ["int main;"]}


def test_raw_wins_over_assembly() -> None:
    case = read_data("-- asm\nmov %r0, 1\nexit\n-- raw\n0x95\n-- result\n1")
    assert case.code == assemble_bytes("exit")
    assert read_data("-- raw\n-- asm\nexit\n-- result\n1").code == assemble_bytes("exit"), "an empty section is none"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x2a", 42),
        ("42", 42),
        ("-1", 2**64 - 1),
        ("-0x1", 2**64 - 1),
        ("5 junk", 5),
        ("0x5 junk", 5),
        ("0018446744073709551615", 2**64 - 1),
        ("7\n0x8", 8),
        ("12ab", 12),
    ],
)
def test_results_are_read_as_the_runner_does(text: str, value: int) -> None:
    case = read_data(f"-- asm\nexit\n-- result\n{text}\n")
    assert case.expected == (Expectation(Verdict.RETURN, Signature({0: value})),)


def test_an_error_may_be_any_failure() -> None:
    case = read_data("-- asm\nexit\n-- error\nignored\n  no such thing \n")
    assert [expectation.verdict for expectation in case.expected] == ["trap", "invalid", "malformed"]
    assert all(expectation.why.endswith(": no such thing") for expectation in case.expected)
    both = read_data("-- asm\nexit\n-- result\n1\n-- error\nboom\n")
    assert [expectation.verdict for expectation in both.expected] == ["return", "trap", "invalid", "malformed"]
    for one in (case, both):
        assert judged(read_data(write_data(one))) == judged(one)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-- foo", "x.data:1: unknown section '-- foo'"),
        ("-- result\n5\n", "x.data: there is no program: neither `-- asm` nor `-- raw`"),
        ("-- asm\nexit\n", "x.data: there is nothing to expect: neither `-- result` nor `-- error`"),
        ("-- asm\n\nfrob\n-- result\n5", "x.data:3:1: unknown instruction 'frob'"),
        ("-- asm\nr0 = 5\n-- result\n5", "x.data:2:1: unknown beginning of an instruction 'r0'"),
        ("-- asm\nmov %r11, 1\n-- result\n5", "x.data:2:5: there is no register '%r11', there are r0 to r10"),
        ("-- raw\n0x95 0xq\n-- result\n5", "x.data:2: '0xq' is no number: decimal or 0x hexadecimal"),
        ("-- raw\n0x10000000000000000\n-- result\n5", "x.data:2: '0x10000000000000000' does not fit 64 bits"),
        ("-- asm\nexit\n-- mem\n0 1\n-- result\n5", "x.data:4: '0 1' is no hex: bytes are two digits each"),
        ("-- asm\nexit\n-- result\nfive", "x.data:4: 'five' is no number"),
        ("-- asm\nexit\n-- result\n18446744073709551616", "x.data:4: '18446744073709551616' does not fit 64 bits"),
        (f"-- asm\nexit\n-- result\n{'9' * 5000}", f"x.data:4: '{'9' * 37}...' does not fit 64 bits"),
    ],
)
def test_malformed_files_say_where(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_data(text, file="x.data")
    assert str(caught.value) == message


@given(
    st.lists(
        st.sampled_from(["--", " asm", "raw", "mem", "result", "error", " c", "\n", "#", "0x1", "exit"])
        | st.text(max_size=9)
    )
)
def test_any_text_is_a_case_or_an_input_error(parts: list[str]) -> None:
    try:
        assert read_data("".join(parts)).expected
    except InputError as error:
        assert str(error)


# --- writing ----------------------------------------------------------------------------------------------------------

_R, _IMM, _TO = r"%r(?:10|\d)", r"(?:0x[0-9a-f]{1,8}|-?[0-9]+)", r"(?:[+-][0-9]+|[A-Za-z_]\w*)"
_MEM = rf"\[{_R}(?:[+-][0-9]+)?\]"
_ALU = "add sub mul div sdiv or and lsh rsh mod smod xor mov arsh".replace(" ", "|")
_JUMPS = "jeq jgt jge jset jne jsgt jsge jlt jle jslt jsle".replace(" ", "|")
DIALECT = re.compile(
    "|".join(
        [
            rf"(?:{_ALU})(?:32)? {_R}, (?:{_R}|{_IMM})",
            rf"(?:neg|neg32|(?:le|be|swap)(?:16|32|64)) {_R}",
            rf"movsx(?:832|1632|864|1664|3264) {_R}, {_R}",
            rf"ldx(?:b|h|w|dw|sb|sh|sw) {_R}, {_MEM}",
            rf"st(?:b|h|w|dw) {_MEM}, {_IMM}",
            rf"stx(?:b|h|w|dw) {_MEM}, {_R}",
            rf"lddw {_R}, (?:0x[0-9a-f]{{1,16}}|[0-9]+)",
            rf"ja(?:32)? {_TO}",
            rf"(?:{_JUMPS})(?:32)? {_R}, (?:{_R}|{_IMM}), {_TO}",
            rf"call (?:{_IMM}|local {_TO}|runtime {_IMM}|{_R})",
            rf"lock (?:fetch )?(?:add|or|and|xor|xchg|cmpxchg)(?:32)? {_MEM}, {_R}",
            "exit",
            r"[A-Za-z_]\w*:",
        ]
    )
)
"""A line of assembly of bpf_conformance, as its assembler describes itself."""

NO_SYNTAX = {
    *(row.name for row in TABLE if row.name.startswith(("lddw_", "ldabs", "ldind", "load_acquire", "store_release"))),
    *("may_goto", "addr_space_cast", "gotox"),
}


@given(instructions())
def test_assembly_is_in_their_dialect(instruction: object) -> None:
    case = replace(PLAIN, code=encode_program([instruction]))
    text = write_data(case)
    assert judged(read_data(text)) == judged(case)
    [row] = case.rows
    if row.name in NO_SYNTAX or (row.name == "call_btf" and instruction.offset):
        assert "-- raw\n" in text
        return
    lines = text.partition("-- asm\n")[2].partition("-- result")[0].splitlines()
    assert lines
    assert [line for line in lines if not DIALECT.fullmatch(line)] == []


def test_code_that_is_no_program_is_written_as_words() -> None:
    case = replace(PLAIN, code=bytes(range(16)))
    text = write_data(case)
    assert text == "-- raw\n0x0706050403020100\n0x0f0e0d0c0b0a0908\n-- result\n0x5\n"
    assert judged(read_data(text)) == judged(case)


def test_what_is_about_a_case_becomes_a_comment() -> None:
    case = replace(PLAIN, about="one\n-- raw", cite="RFC 9669 4.1", expected=(replace(PLAIN.expected[0], why="so"),))
    text = write_data(case)
    assert text.startswith("# one -- raw\n# RFC 9669 4.1\n# so\n-- asm\n")
    assert judged(read_data(text)) == judged(PLAIN)
    assert leading_comments("\n" + text) == ["# one -- raw", "# RFC 9669 4.1", "# so"]


TRAP = Expectation(Verdict.TRAP)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expected": (TRAP,)}, "one value of r0 and nothing else, not: trap"),
        ({"expected": (Expectation(Verdict.TRAP, trap=FaultKind.MEMORY),)}, "not: trap memory"),
        ({"expected": (Expectation(Verdict.INVALID, why="x"),)}, "not: invalid"),
        ({"expected": (*PLAIN.expected, TRAP)}, "not: return 0x5; trap"),
        ({"expected": PLAIN.expected * 2}, "not: return 0x5; return 0x5"),
        ({"expected": (Expectation(Verdict.RETURN),)}, "not: return"),
        ({"expected": (Expectation(Verdict.RETURN, Signature({0: 1, 6: 2})),)}, "not: return r0=0x1 r6=0x2"),
        ({"expected": (Expectation(Verdict.RETURN, Signature({0: 1}, b"\0")),)}, "not: return r0=0x1 mem=00"),
        ({"expected": (Expectation(Verdict.RETURN, Signature({0: 1}, None, b"\1")),)}, "not: return r0=0x1 stack=01"),
        ({"expected": (Expectation(Verdict.EXHAUSTION),), "budget": 9}, "has no budget"),
        ({"maps": (MapSpec("m", MapType.BPF_MAP_TYPE_HASH, 4, 4, 1),)}, "has no maps"),
        ({"memory": b""}, "has memory of one byte or more, or none"),
        ({"code": b"\x95\0\0"}, "3 bytes of code are no sequence of 64-bit words"),
        ({"code": b""}, "0 bytes of code are no sequence of 64-bit words"),
    ],
)
def test_what_the_format_cannot_say_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        write_data(replace(PLAIN, **changes))
    assert str(caught.value).startswith("sum: ")
    assert reason in str(caught.value)


def test_assembly_of_a_file_is_placed_in_it() -> None:
    lines = read_sections("-- asm\n\n   mov %r0\n")["asm"]
    with pytest.raises(InputError) as caught:
        read_assembly(lines, helpers={})
    assert (caught.value.line, caught.value.column) == (3, 11)
