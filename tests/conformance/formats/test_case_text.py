"""The `.case` format: what it says, what is wrong with it, and that what is written reads back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.instructions import valid_programs

from pybpftime.conformance.case import Case, Expectation, Signature, Verdict
from pybpftime.conformance.formats import case_text
from pybpftime.conformance.formats.case_text import KEYS, read_cases, write_case
from pybpftime.conformance.formats.layout import NAME_RULE
from pybpftime.errors import FaultKind, InputError
from pybpftime.isa import encode_program
from pybpftime.isa.assembler import assemble_bytes
from pybpftime.maps import MapSpec
from pybpftime.uapi import MapFlag, MapType

RETURN, TRAP = Verdict.RETURN, Verdict.TRAP


def read(text: str) -> list[Case]:
    return read_cases(text, file="f.case", prefix="f")


def one(fields: str) -> Case:
    """The case with these fields, in the order of lines, and an answer if they have none."""
    text = "case x\n" + "".join(f"  {line}\n" for line in fields.split("\n"))
    [case] = read(text if "expect:" in fields else text + "  expect: return\n")
    return case


def problem(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(text)
    return str(caught.value)


def test_a_whole_case() -> None:
    text = """\
# about the file
cite: RFC 9669 4.1

case sum.of-2_numbers: 64-bit addition   # and a comment
    map: counts hash key=4 value=8 entries=16 flags=0x1
    mem:
        00 01
        0203
    asm:
        mov %r0, 5   # five
      exit           ; any depth below the field
    budget: 100
    cite: RFC 9669
          and more
    expect:
        return 0x2a because RFC 9669 4.1: because of this
        trap memory
"""
    text = text.replace("cite: RFC 9669\n          and more", "cite:\n        RFC 9669\n        and more")
    assert read(text) == [
        Case(
            name="f/sum.of-2_numbers",
            code=assemble_bytes("r0 = 5\nexit"),
            expected=(
                Expectation(RETURN, Signature({0: 42}), why="RFC 9669 4.1: because of this"),
                Expectation(TRAP, trap=FaultKind.MEMORY),
            ),
            memory=b"\0\1\2\3",
            maps=(MapSpec("counts", MapType.BPF_MAP_TYPE_HASH, 4, 8, 16, flags=1),),
            budget=100,
            cite="RFC 9669 and more",
            about="64-bit addition",
            file="f.case",
            line=4,
        )
    ]
    assert read(text.replace("\n", "\r\n")) == read(text)


def test_cases_take_the_citation_of_the_file() -> None:
    cases = read("cite: A\ncase x\n asm: exit\n expect: invalid\ncase y\n cite: B\n asm: exit\n expect: invalid")
    assert [(case.name, case.cite, case.line) for case in cases] == [("f/x", "A", 2), ("f/y", "B", 5)]


@pytest.mark.parametrize(
    ("heading", "name", "about"),
    [
        ("case a", "f/a", ""),
        ("case a:", "f/a", ""),
        ("case  A9_.-b : why:not", "f/A9_.-b", "why:not"),
        ("case a/b/c.3: x", "f/a/b/c.3", "x"),
        ("case", "f", ""),
        ("case: x", "f", "x"),
    ],
)
def test_headings(heading: str, name: str, about: str) -> None:
    [case] = read(f"{heading}\n asm: exit\n expect: return")
    assert (case.name, case.about) == (name, about)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("return", Expectation(RETURN)),
        ("return 42", Expectation(RETURN, Signature({0: 42}))),
        ("return -1", Expectation(RETURN, Signature({0: 2**64 - 1}))),
        ("return -0x8000000000000000", Expectation(RETURN, Signature({0: 1 << 63}))),
        ("return 0XFF r6=1", Expectation(RETURN, Signature({0: 255, 6: 1}))),
        ("return r0=0x1 r10=2 mem=00Ff stack=", Expectation(RETURN, Signature({0: 1, 10: 2}, b"\0\xff", b""))),
        ("return mem=", Expectation(RETURN, Signature({}, b""))),
        ("return 1   because   it is so", Expectation(RETURN, Signature({0: 1}), why="it is so")),
        ("trap", Expectation(TRAP)),
        ("trap instruction because a b", Expectation(TRAP, trap=FaultKind.INSTRUCTION, why="a b")),
        ("exhaustion", Expectation(Verdict.EXHAUSTION)),
        ("invalid", Expectation(Verdict.INVALID)),
        ("malformed because x because y", Expectation(Verdict.MALFORMED, why="x because y")),
    ],
)
def test_expectations(text: str, expected: Expectation) -> None:
    assert one(f"asm: exit\nexpect: {text}").expected == (expected,)


def test_code_may_be_any_bytes() -> None:
    assert one("hex: 95 0000\nexpect: malformed").code == b"\x95\0\0"
    assert one("hex:\n 95\n 00\nexpect: malformed").code == b"\x95\0"
    assert one("hex:\nexpect: malformed").code == b""
    assert one("asm:\n .8byte 1\n .byte 2\nexpect: malformed").code == b"\1" + bytes(7) + b"\2"


def test_memory_may_be_empty_or_absent() -> None:
    assert one("asm: exit\nmem:").memory == b""
    assert one("asm: exit").memory is None


def test_helpers_are_called_by_name() -> None:
    assert one("asm: call bpf_ktime_get_ns").code == assemble_bytes("call 5")


# --- tables -----------------------------------------------------------------------------------------------------------

TABLE = """\
case t: about
    mem: {bytes}
    cite: rule {a}
    asm:
        mov %r0, {a}
        add %r0, {a}
        exit
    table:
        bytes a   | r0 mem
        00ff  1   | 2  00ff
        11    0x7 | 14 11
"""


def test_a_table_is_a_case_a_line() -> None:
    first, second = read(TABLE)
    assert (first.name, first.line, second.name, second.line) == ("f/t.1", 10, "f/t.2", 11)
    assert (first.cite, first.about, first.memory) == ("rule 1", "about", b"\0\xff")
    assert second.code == assemble_bytes("r0 = 7\nr0 += 7\nexit")
    assert second.expected == (Expectation(RETURN, Signature({0: 14}, b"\x11")),)


def test_rows_may_have_names_and_share_an_answer() -> None:
    text = "case\n hex: {code}\n expect: malformed because {name}\n table:\n  code name\n  95 short\n  9500 long.er"
    assert [(case.name, case.code, case.expected[0].why) for case in read(text)] == [
        ("f.short", b"\x95", "short"),
        ("f.long.er", b"\x95\0", "long.er"),
    ]


def test_an_input_need_not_be_used() -> None:
    [case] = read("case x\n asm: exit\n table:\n  what | r0\n  edge | 1")
    assert (case.name, case.expected[0].signature.r0) == ("f/x.1", 1)


def test_every_output_is_a_part_of_a_signature() -> None:
    columns = " ".join([*(f"r{number}" for number in range(11)), "mem", "stack"])
    values = " ".join([*map(str, range(11)), "aa", "bb"])
    [case] = read(f"case x\n asm: exit\n table:\n  | {columns}\n  | {values}")
    assert case.expected == (Expectation(RETURN, Signature({n: n for n in range(11)}, b"\xaa", b"\xbb")),)


def test_an_error_of_a_row_names_both_lines() -> None:
    assert problem(TABLE.replace("0x7", "0x7q")) == ("f.case:5: '0x7q' is not a number (with the cells of line 11)")
    assert problem(TABLE.replace("14 11", "14 1")) == "f.case:11: '1' is no hex: bytes are two digits each"


def test_a_table_makes_no_more_text_than_a_file_has() -> None:
    rows = "  1\n" * 5000
    text = f"case x\n asm:\n  exit\n  ; {'x' * 2000} {{a}}\n expect: return\n table:\n  a\n{rows}"
    assert len(text) < case_text.MAX_TEXT
    assert "the tables make more than 4194304 characters" in problem(text)
    cell = "1" * 4000
    text = f"case x\n cite: {'{a}' * 2000}\n asm: exit\n expect: return\n table:\n  a\n  {cell}\n"
    assert "the tables make more than 4194304 characters" in problem(text)


# --- what is wrong ----------------------------------------------------------------------------------------------------

X = "case x\n asm: exit\n expect: return\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "f.case:1: expected `case NAME: what it is about`, or an indented field"),
        ("cases x", "f.case:1: expected `case NAME: what it is about`, or an indented field"),
        ("case .x", f"f.case:1: '.x' is no name of a case: {NAME_RULE}"),
        ("case ../x", f"f.case:1: '../x' is no name of a case: {NAME_RULE}"),
        ("case ä", f"f.case:1: 'ä' is no name of a case: {NAME_RULE}"),
        ("case x y", "f.case:1: expected `case NAME: what it is about`, or an indented field"),
        (" asm: exit", "f.case:1: an indented line before the first `case`"),
        ("case x\n\tasm: exit", "f.case:2: the line is indented with something else than spaces"),
        (f"{X}cite: a", "f.case:4: `cite:` for a whole file stands once, before its cases"),
        (f"cite: a\ncite: b\n{X}", "f.case:2: `cite:` for a whole file stands once, before its cases"),
        (f"{X}{X}", "f.case:4: there is a case f/x already, in line 1"),
        ("case x\n  asm: exit\n mem: 00", "f.case:3: the fields of a case are indented alike, here by 2 spaces"),
        ("case x\n asm: exit\n  exit", "f.case:3: `asm:` has its value behind it, so nothing can stand below it"),
        ("case x\n asm\n  exit", "f.case:2: expected a field, `key: value`, found 'asm'"),
        (
            "case x\n asm:\n  ja to\n to:\n  exit",
            f"f.case:4: there is no field 'to', there are {', '.join(KEYS)}; a line of a field is indented deeper",
        ),
        ("case x\n asm: exit\n asm: exit", "f.case:3: `asm:` stands already in line 2"),
        ("case x", "f.case:1: a case has either `asm:` or `hex:`"),
        ("case x\n asm: exit\n hex: 95", "f.case:1: a case has either `asm:` or `hex:`"),
        ("case x\n asm:\n expect: return", "f.case:2: `asm:` is empty"),
        ("case x\n asm: exit", "f.case:1: a case has either `expect:` or a table with columns behind `|`"),
        ("case x\n asm: exit\n expect:", "f.case:3: `expect:` is empty"),
        (f"{X} map:", "f.case:4: `map:` is empty"),
        (f"{X} budget:", "f.case:4: `budget:` is empty"),
        (f"{X} cite:", "f.case:4: `cite:` is empty"),
        (f"{X} budget: -1", "f.case:4: the budget is '-1', from 0 to 9223372036854775807 are possible"),
        (f"{X} budget: 1 2", "f.case:4: '1 2' is no number: decimal or 0x hexadecimal"),
        (f"{X} mem: 0 1", "f.case:4: '0 1' is no hex: bytes are two digits each"),
        ("case x\n expect: return\n hex:\n  95\n  xx", "f.case:5: 'xx' is no hex: bytes are two digits each"),
        ("case x\n expect: return\n asm: mov %r0", "f.case:3:14: expected ',' after '%r0', found the end of the line"),
        ("case x\n expect: return\n asm:\n  exit\n  mov {a}, 1", "f.case:5:7: unexpected character '{'"),
        ("case x\n expect: return\n asm:\n  ja on", "f.case:4:6: there is no label 'on'"),
        (f"{X} map: m hash", "f.case:4: map m has no key and no value and no entries"),
        (f"{X} map: m", "f.case:4: expected `NAME TYPE key=N value=N entries=N`, found 'm'"),
        (f"{X} map: m% hash key=4", "f.case:4: 'm%' is no name of a map"),
        (f"{X} map: m HASH key=4", "f.case:4: there is no type of map 'HASH'"),
        (f"{X} map: m hash key=4 key=4", "f.case:4: expected each of key, value, entries, flags once, found 'key=4'"),
        (f"{X} map: m hash key=-4", "f.case:4: key is '-4', from 0 to 4294967295 are possible"),
        (f"{X} map: m hash id=4", "f.case:4: expected each of key, value, entries, flags once, found 'id=4'"),
    ],
)  # fmt: skip
def test_malformed_files_say_where(text: str, message: str) -> None:
    assert problem(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("returns 1", "'returns 1' is no expectation: it begins with return, trap, exhaustion, invalid or malformed"),
        ("because x", "'because x' is no expectation: it begins with return, trap, exhaustion, invalid or malformed"),
        ("return r0", "'r0' is no number: decimal or 0x hexadecimal"),
        ("return 0x", "'0x' is no number: decimal or 0x hexadecimal"),
        ("return 1_0", "'1_0' is no number: decimal or 0x hexadecimal"),
        ("return ٣", "'٣' is no number: decimal or 0x hexadecimal"),
        ("return 18446744073709551616", "'18446744073709551616' does not fit 64 bits"),
        ("return -9223372036854775809", "'-9223372036854775809' does not fit 64 bits"),
        (f"return {'9' * 5000}", f"'{'9' * 37}...' does not fit 64 bits"),
        ("return 1 2", "expected NAME=VALUE, found '2'"),
        ("return 1 r0=2", "r0 is given twice"),
        ("return mem=00 mem=00", "mem is given twice"),
        ("return r11=1", "'r11' is no part of a signature: r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, mem, stack"),
        ("return mem=0", "'0' is no hex: bytes are two digits each"),
        ("trap nonsense", f"'nonsense' is no class of trap: {', '.join(FaultKind)}"),
        ("trap memory 1", "nothing but a reason can follow `trap memory`, found '1'"),
        ("invalid 1", "nothing but a reason can follow `invalid`, found '1'"),
    ],
)
def test_malformed_expectations(text: str, message: str) -> None:
    assert problem(f"case x\n asm: exit\n expect:\n  {text}") == f"f.case:4: {message}"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("a | r0", "f.case:4: a table has a line of column names and one for each case, below `table:`"),
        ("a a | r0\n  1 1 | 1", "f.case:5: two columns have the same name"),
        ("a | r0 r0\n  1 | 1 1", "f.case:5: two columns have the same name"),
        ("A-1 | r0\n  1 | 1", "f.case:5: 'A-1' is no name of a column"),
        ("a | r0\n  1 | 1\n  1 1", "f.case:7: the table has 1 | 1 columns, this line 2 | 0 columns"),
        ("a name | r0\n  1 .. | 1", f"f.case:6: '..' is no name of a case: {NAME_RULE}"),
        ("a name | r0\n  1 b | 1\n  1 b | 1", "f.case:7: there is a case f/x.b already, in line 6"),
        ("a | r12\n  1 | 1", "f.case:6: 'r12' is no part of a signature"),
        ("a | r0\n  1 | 1 | 2", "f.case:6: the table has 1 | 1 columns, this line 1 | 3 columns"),
        ("b | r0\n  1 | 1", "f.case:3: the table has no column 'a'"),
        ("a\n  1", "f.case:6: a case has either `expect:` or a table with columns behind `|`"),
    ],
)
def test_malformed_tables(table: str, message: str) -> None:
    assert problem(f"case x\n asm:\n  mov %r0, {{a}}\n table:\n  {table}").startswith(message)


def test_a_long_file_is_refused() -> None:
    assert (
        problem("#" * (case_text.MAX_TEXT + 1)) == "f.case: the file has 4194305 characters, at most 4194304 are read"
    )


def test_a_case_has_a_name() -> None:
    with pytest.raises(InputError, match="the case has no name"):
        read_cases("case\n asm: exit\n expect: return")


PIECES = [
    "case x",
    "case",
    "cite:",
    "\n",
    "\n ",
    "\n  ",
    ":",
    "|",
    "{a}",
    "#",
    "=",
    "return",
    "trap",
    "because",
    "mem=00",
]
PIECES += [f"\n {key}:" for key in KEYS] + ["exit", "0x1", "-1", "r0", "m hash key=4 value=4 entries=1", "\na | r0\n"]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=30))
def test_any_text_is_cases_or_an_input_error(parts: list[str]) -> None:
    try:
        assert isinstance(read(" ".join(parts)), list)
    except InputError as error:
        assert str(error).startswith("f.case")


@given(st.data())
def test_a_damaged_file_is_cases_or_an_input_error(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TABLE)))
    end = data.draw(st.integers(start, min(len(TABLE), start + 20)))
    try:
        assert isinstance(read(TABLE[:start] + data.draw(st.text(max_size=9)) + TABLE[end:]), list)
    except InputError as error:
        assert str(error).startswith("f.case")


# --- writing ----------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
BLOCKS = st.none() | st.binary(max_size=40)
SENTENCES = st.sampled_from(["", "RFC 9669 4.1", "because of: {this} | that"]) | st.text(max_size=20).map(
    lambda text: " ".join(text.replace("#", "").split())
)
SIGNATURES = st.builds(Signature, st.dictionaries(st.integers(0, 10), WORDS, max_size=4), BLOCKS, BLOCKS)
EXPECTATIONS = st.one_of(
    st.builds(Expectation, st.just(RETURN), SIGNATURES, why=SENTENCES),
    st.builds(Expectation, st.just(TRAP), trap=st.none() | st.sampled_from(FaultKind), why=SENTENCES),
    st.builds(Expectation, st.sampled_from([*set(Verdict) - {RETURN, TRAP}]), why=SENTENCES),
)
NUMBERS = st.integers(0, 2**32 - 1)
MAPS = st.builds(
    MapSpec, st.from_regex(r"[a-z_.]{1,15}", fullmatch=True), st.sampled_from(MapType), NUMBERS, NUMBERS, NUMBERS,
    flags=st.just(0) | NUMBERS,
)  # fmt: skip
CASES = st.builds(
    Case,
    name=st.from_regex(r"[a-z0-9_-][a-zA-Z0-9_.-]{0,9}(/[a-z][a-z.]{0,3}){0,2}", fullmatch=True),
    code=valid_programs(max_size=4).map(encode_program) | st.binary(max_size=40),
    expected=st.lists(EXPECTATIONS, min_size=1, max_size=3).map(tuple),
    memory=BLOCKS,
    maps=st.lists(MAPS, max_size=2).map(tuple),
    budget=st.none() | st.integers(0, 2**63 - 1),
    cite=SENTENCES,
    about=SENTENCES,
)


@given(st.lists(CASES, max_size=2, unique_by=lambda case: case.name))
def test_what_is_written_reads_back(cases: list[Case]) -> None:
    text = "\n".join(write_case(case, case.name) for case in cases)
    assert [replace(case, line=0) for case in read_cases(text)] == cases


EXIT = Case("e", assemble_bytes("r0 = 1\nexit"), (Expectation(RETURN, Signature({0: 1})),), about="What", cite="RFC")


def test_a_written_case_looks_like_one_by_hand() -> None:
    assert write_case(EXIT, "e") == (
        "case e: What\n    cite: RFC\n    asm:\n        mov %r0, 1\n        exit\n    expect: return 0x1\n"
    )
    bytes_17 = replace(EXIT, memory=bytes(range(17)), code=b"\xff" * 9, about="", cite="")
    assert write_case(bytes_17, "") == (
        "case\n    hex:\n        ff ff ff ff ff ff ff ff\n        ff\n"
        "    mem:\n        00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f\n        10\n    expect: return 0x1\n"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"about": "a # b"}, "e: 'a # b' is no line of text without `#`"),
        ({"cite": "a\nb"}, "e: 'a\\nb' is no line of text without `#`"),
        ({"cite": " a"}, "e: ' a' is no line of text without `#`"),
        ({"expected": (Expectation(TRAP, why="a "),)}, "e: 'a ' is no line of text without `#`"),
        (
            {"maps": (MapSpec("m", MapType.BPF_MAP_TYPE_ARRAY, 4, 4, 1, contents=b"\0"),)},
            "e: map m has more to it than name, type, sizes and flags",
        ),
        (
            {"maps": (MapSpec("m", MapType.BPF_MAP_TYPE_ARRAY, 4, 4, 1, pinned=True),)},
            "e: map m has more to it than name, type, sizes and flags",
        ),
    ],
)
def test_what_would_not_read_back_is_not_written(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        write_case(replace(EXIT, **changes), "e")
    assert str(caught.value) == message


def test_a_name_that_would_not_read_back_is_not_written() -> None:
    with pytest.raises(InputError, match="'a b' is no name of a case"):
        write_case(EXIT, "a b")


def test_flags_of_maps_are_written() -> None:
    spec = MapSpec("m", MapType.BPF_MAP_TYPE_HASH, 4, 8, 2, flags=MapFlag.BPF_F_NO_PREALLOC)
    assert "    map: m hash key=4 value=8 entries=2 flags=0x1\n" in write_case(replace(EXIT, maps=(spec,)), "e")
