"""A raw program in whatever form a person has it: binary, hexadecimal text or assembly.

The rules, in this order:

1. Bytes that are not text (not UTF-8, or with control characters other than white space) are binary
   instructions.  A working program is never text: its `exit` has seven zero bytes.
2. Text of nothing but hexadecimal words, separated by white space or commas, is hex.  Words without `0x` are
   bytes in the order of memory, two digits each (`b7000000 05000000` as well as `b7 00 00`).  Words with `0x`
   or `\\x` are bytes if each has one or two digits, and whole instructions as 64-bit little-endian words if
   each has sixteen.
3. Any other text is assembly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pybpftime.errors import InputError
from pybpftime.isa.assembler import assemble
from pybpftime.isa.encoding import MAX_SLOTS, SLOT_BYTES, Program, decode_program

MAX_INPUT = 32 << 20
"""The longest input that is read, in bytes or characters."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_HEX = re.compile(r"[\s,]*(?:(?:0[xX]|\\x)?[0-9a-fA-F]+(?:[\s,]+|(?=\\x)|$))+", re.ASCII)
_WORD = re.compile(r"(0[xX]|\\x)?([0-9a-fA-F]+)", re.ASCII)


def parse_program_text(
    data: bytes | str, *, helpers: Mapping[str, int] | None = None, file: str | None = None
) -> Program:
    """The program in `data`, by the rules above; InputError when it is none or could be read in two ways.

    `helpers` and `file` as for `assemble`.  The program is not validated.
    """
    try:
        content = _content(data)
        if isinstance(content, bytes):
            return decode_program(content)
    except InputError as error:
        raise error.at(file=file) from None
    return assemble(content, helpers=helpers, file=file)


def _content(data: bytes | str) -> bytes | str:
    """The instructions that binary or hexadecimal data stands for, or the text that is assembly."""
    if len(data) > MAX_INPUT:
        raise InputError(f"the program is {len(data)} bytes long, at most {MAX_INPUT} are read")
    content = _text(data) if isinstance(data, bytes) else data
    if isinstance(content, str):
        if not content.strip():
            raise InputError("the program is empty")
        if not _HEX.fullmatch(content):
            return content
        content = _hex_bytes(content)
    if len(content) > MAX_SLOTS * SLOT_BYTES:
        raise InputError(f"the program has {len(content) // SLOT_BYTES} slots, at most {MAX_SLOTS} are read")
    return content


def _text(data: bytes) -> bytes | str:
    """The text that `data` is, or itself when it is binary."""
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return data
    return data if _CONTROL.search(text) else text


def _hex_bytes(text: str) -> bytes:
    words = _WORD.findall(text)
    lengths = {len(digits) for _, digits in words}
    prefixed = {bool(prefix) for prefix, _ in words}
    if prefixed == {False}:
        odd = next((digits for _, digits in words if len(digits) % 2), None)
        if odd is not None:
            raise InputError(f"{_shown(odd)} has an odd number of hexadecimal digits, two make a byte")
        return bytes.fromhex("".join(digits for _, digits in words))
    if prefixed == {True} and lengths <= {1, 2}:
        return bytes(int(digits, 16) for _, digits in words)
    if prefixed == {True} and lengths == {16}:
        return b"".join(bytes.fromhex(digits)[::-1] for _, digits in words)
    raise InputError(
        "the hexadecimal text can be read in more than one way: write bytes of two digits, or 64-bit words of 0x and "
        "sixteen digits"
    )


def _shown(digits: str) -> str:
    return repr(digits if len(digits) <= 20 else digits[:17] + "...")
