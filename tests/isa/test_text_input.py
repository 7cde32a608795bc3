"""Raw programs in any form: which form a text is taken for, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.instructions import valid_programs

from pybpftime.errors import InputError
from pybpftime.isa import Program, encode_program
from pybpftime.isa.assembler import assemble
from pybpftime.isa.disassembler import disassemble
from pybpftime.isa.text_input import parse_program_text

PROGRAM = assemble("lddw %r1, 0x1122334455667788\nmov %r0, -1\nexit")
CODE = encode_program(PROGRAM)
WORDS = " ".join(f"0x{int.from_bytes(CODE[at : at + 8], 'little'):016x}" for at in range(0, len(CODE), 8))


@pytest.mark.parametrize(
    "text",
    [
        CODE.hex(" "),
        CODE.hex(),
        CODE.hex().upper(),
        CODE.hex(" ", 4),  # words of four bytes, in the order of memory
        CODE.hex("\n", 8),
        CODE.hex(",") + ",\n",
        "  ".join(f"{byte:02x}" for byte in CODE) + "  \n",  # as bpf_conformance's runner writes to plugins
        ", ".join(f"{byte:#04x}" for byte in CODE),
        ", ".join(f"{byte:#x}" for byte in CODE),
        "".join(f"\\x{byte:02x}" for byte in CODE),
        WORDS,
        WORDS.replace("0x", "0X"),
        "\r\n".join(WORDS.split()),
        disassemble(PROGRAM),
        disassemble(PROGRAM, syntax="mnemonic"),
    ],
)
def test_forms(text: str) -> None:
    assert parse_program_text(text) == PROGRAM
    assert parse_program_text(text.encode()) == PROGRAM
    assert parse_program_text(b"\xef\xbb\xbf" + text.encode()) == PROGRAM


@given(valid_programs(max_size=6))
def test_any_valid_program_in_every_form(program: Program) -> None:
    code = encode_program(program)
    for data in (code, code.hex(), code.hex(" "), disassemble(program), disassemble(program).encode()):
        assert parse_program_text(data) == program


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "the program is empty"),
        (b"", "the program is empty"),
        (" \n", "the program is empty"),
        ("95 00 00", "3 bytes of code are no multiple of 8"),
        ("95 0 0", "'0' has an odd number of hexadecimal digits, two make a byte"),
        ("9" * 31, "'99999999999999999...' has an odd number of hexadecimal digits, two make a byte"),
        ("0x95", "1 bytes of code are no multiple of 8"),
        ("0x95 00", "the hexadecimal text can be read in more than one way"),
        ("0x0095", "the hexadecimal text can be read in more than one way"),
        ("0x95000000", "the hexadecimal text can be read in more than one way"),
        (WORDS + " 0x95", "the hexadecimal text can be read in more than one way"),
        (WORDS.split()[0], "the program ends in the middle of a wide instruction"),
        ("95 zz", "unknown beginning of an instruction '95'"),
        (b"\x95\0\0", "3 bytes of code are no multiple of 8"),
        (b"\xff\xfe", "2 bytes of code are no multiple of 8"),
        ("nonsense", "unknown instruction 'nonsense'"),
    ],
)
def test_refused(data: bytes | str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_program_text(data, file="input")
    assert caught.value.reason.startswith(reason)
    assert caught.value.file == "input"


def test_sizes_are_limited() -> None:
    with pytest.raises(InputError, match="the program has 1000001 slots, at most 1000000 are read"):
        parse_program_text(b"\0" * 8 * 1_000_001)
    with pytest.raises(InputError, match="the program is 33554433 bytes long, at most 33554432 are read"):
        parse_program_text(b"\0" * ((32 << 20) + 1))


def test_helpers_are_known_by_name() -> None:
    assert parse_program_text("call now\nexit", helpers={"now": 5}) == assemble("call 5\nexit")


@given(
    st.binary(max_size=40)
    | st.text(max_size=40).map(str.encode)
    | st.text("0123456789abcdefx\\ ,\n", max_size=60).map(str.encode)
)
def test_any_bytes_are_a_program_or_an_input_error(data: bytes) -> None:
    try:
        program = parse_program_text(data)
    except InputError as error:
        assert "\n" not in str(error)
        return
    assert all(slot is None or slot.encode() for slot in program)
