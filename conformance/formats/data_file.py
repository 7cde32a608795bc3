"""The `.data` files of bpf_conformance: one program, perhaps memory, and the result that it must give.

    -- asm
    mov %r0, 5          # '#' begins a comment, anywhere in a line
    exit
    -- mem
    00 01 02
    -- result
    0x5

A line with `--` begins a section; which one, the first of `SECTIONS` says that the line contains.  What stands before
the first section is passed over.  As its runner reads them (lib/src/bpf_test_parser.cc of Alan-Jowett/bpf_conformance):

    asm      instructions in the mnemonic syntax
    raw      64-bit words in place of them, 0x hexadecimal or decimal; taken when both are there
    mem      bytes in hex; without any, the program gets no memory
    result   r0, on the last line that is not empty: with 0x in it hexadecimal, else decimal; negative numbers in two's
             complement; what follows the number means nothing
    error    the message with which a runtime fails, on the last line: not our words, and not one verdict

Sections of that name may come several times and go on then.  `c` and `no register offset` are not for runners.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from pybpftime.conformance.case import Case, Expectation, Signature, Verdict
from pybpftime.conformance.formats.assembly import read_assembly, write_assembly
from pybpftime.conformance.formats.layout import Line, each, lines_of
from pybpftime.conformance.formats.values import hex_lines, read_bytes, read_number, shown, write_expectation
from pybpftime.errors import InputError
from pybpftime.isa import Form, Immediate, Instruction, decode_program, lookup
from pybpftime.isa.encoding import MASK64, SLOT_BYTES
from pybpftime.isa.row import RFC
from pybpftime.isa.syntax import Syntax

SECTIONS = ("asm", "result", "mem", "raw", "no register offset", " c", "error")
MESSAGE = "this is the message: "
"""Begins the reason of the alternatives that an `error` section stands for."""
FAILURES = (Verdict.TRAP, Verdict.INVALID, Verdict.MALFORMED)

Sections = Mapping[str, Sequence[Line]]


# --- reading ---


def read_data(text: str, *, file: str = "", name: str = "") -> Case:
    """The case in a file; InputError with file and line for what the runner would not run."""
    try:
        sections = read_sections(text)
        lines = sections.get("raw") or sections.get("asm")
        if not lines:
            raise InputError("there is no program: neither `-- asm` nor `-- raw`")
        memory = b"".join(each(sections.get("mem", ()), read_bytes))
        return Case(
            name=name,
            code=_raw(lines) if sections.get("raw") else read_assembly(lines, helpers={}, syntax=Syntax.MNEMONIC),
            expected=_expected(sections),
            memory=memory or None,
            file=file,
            line=1,
        )
    except InputError as error:
        raise error.at(file=file or None) from None


def read_sections(text: str) -> Sections:
    """The lines of each section, without comments and blank lines."""
    sections: dict[str, list[Line]] = {}
    lines: list[Line] = []
    for line in lines_of(text):
        if "--" in line.text:
            name = next((name for name in SECTIONS if name in line.text), None)
            if name is None:
                raise InputError(f"unknown section {shown(line.text.strip())}", line=line.number)
            lines = sections.setdefault(name, [])
        else:
            lines.append(line)
    return sections


def leading_comments(text: str) -> list[str]:
    """The lines of comment at the top, as they are: whose the file is, and by what licence."""
    lines = takewhile(lambda line: not line or line.startswith("#"), map(str.strip, text.split("\n")))
    return [line for line in lines if line]


def _raw(lines: Sequence[Line]) -> bytes:
    words = each(lines, lambda text: [read_number(word) for word in text.split()])
    return b"".join(word.to_bytes(SLOT_BYTES, "little") for line in words for word in line)


def _expected(sections: Sections) -> tuple[Expectation, ...]:
    result, error = sections.get("result"), sections.get("error")
    if not result and not error:
        raise InputError("there is nothing to expect: neither `-- result` nor `-- error`")
    value = next(each(result[-1:], _read_result)) if result else None
    return _answers(value, error[-1].text.strip() if error else None)


def _answers(value: int | None, message: str | None) -> tuple[Expectation, ...]:
    """What a file says that has this result, and this error."""
    returned = () if value is None else (Expectation(Verdict.RETURN, Signature({0: value})),)
    failed = () if message is None else tuple(Expectation(verdict, why=MESSAGE + message) for verdict in FAILURES)
    return returned + failed


_HEX = re.compile(r"([+-]?)(?:0[xX])?([0-9a-fA-F]+)", re.ASCII)
_DECIMAL = re.compile(r"([+-]?)([0-9]+)", re.ASCII)


def _read_result(text: str) -> int:
    """As C++'s std::stoull reads the line, which stops behind the number."""
    is_hex = "0x" in text
    match = (_HEX if is_hex else _DECIMAL).match(text)
    if match is None:
        raise InputError(f"{shown(text)} is no number")
    digits = match[2].lstrip("0") or "0"
    value = int(digits, 16 if is_hex else 10) if len(digits) <= 20 else MASK64 + 1
    if value > MASK64:
        raise InputError(f"{shown(text)} does not fit 64 bits")
    return (-value if match[1] == "-" else value) & MASK64


# --- writing ---


def write_data(case: Case) -> str:
    """The text of a file that says the same; InputError, with the name of the case, where none can.

    Comments keep the sentence about the case, what it cites, and the reason of its result.
    """
    value = next((answer.signature.r0 for answer in case.expected if answer.verdict is Verdict.RETURN), None)
    message = next((answer.why.removeprefix(MESSAGE) for answer in case.expected if answer.verdict in FAILURES), None)
    reason = _not_said(case, _answers(value, message))
    if reason is not None:
        raise InputError(f"{case.name}: {reason}")
    comments = (case.about, case.cite, *(answer.why for answer in case.expected if answer.verdict is Verdict.RETURN))
    lines = [f"# {' '.join(comment.split())}" for comment in comments if comment]
    lines += _written_code(case.code)
    if case.memory is not None:
        lines += ["-- mem", *hex_lines(case.memory)]
    if value is not None:
        lines += ["-- result", f"{value:#x}"]
    if message is not None:
        lines += ["-- error", message]
    return "".join(f"{line}\n" for line in lines)


def _not_said(case: Case, answers: tuple[Expectation, ...]) -> str | None:
    """What of a case has no place in a file with these answers, as a sentence."""
    if case.maps:
        return "a .data file has no maps"
    if case.budget is not None:
        return "a .data file has no budget of instructions"
    if case.memory == b"":
        return "a .data file has memory of one byte or more, or none"
    if not case.code or len(case.code) % SLOT_BYTES:
        return f"{len(case.code)} bytes of code are no sequence of 64-bit words"
    expected = tuple(replace(answer, why="") if answer.signature.registers else answer for answer in case.expected)
    if expected != answers or not answers:
        said = "; ".join(write_expectation(replace(answer, why="")) for answer in case.expected)
        return f"a .data file expects one value of r0 and nothing else, not: {said}"
    return None


def _written_code(code: bytes) -> list[str]:
    lines = write_assembly(code)
    if lines is not None and all(_has_syntax(instruction) for instruction in decode_program(code) if instruction):
        return ["-- asm", *(_NEGATIVE_HEX.sub(lambda match: str(int(match[0], 16)), line) for line in lines)]
    slots = (code[start : start + SLOT_BYTES] for start in range(0, len(code), SLOT_BYTES))
    return ["-- raw", *(f"{int.from_bytes(slot, 'little'):#018x}" for slot in slots)]


_NEGATIVE_HEX = re.compile(r"-0x[0-9a-f]+")
"""Numbers as we write them and their assembler does not read them."""


def _has_syntax(instruction: Instruction) -> bool:
    """Whether their assembler can be told of it: RFC 9669 without packets, maps, variables and addresses, and callx."""
    row = lookup(instruction)
    if row.form is Form.CALL_BTF:
        return instruction.offset == 0
    is_known = row.origin == RFC or row.form is Form.CALL_REGISTER
    return is_known and row.form is not Form.PACKET and row.immediate in (None, Immediate.VALUE)
