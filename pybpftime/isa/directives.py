"""Directives of assembly text: bytes and 64-bit words as they are."""

from __future__ import annotations

from collections.abc import Sequence

from pybpftime.errors import InputError
from pybpftime.isa.syntax import NoMatch, Reader, signed_number
from pybpftime.isa.tokens import Kind, Token

DIRECTIVES: dict[str, tuple[int, Reader]] = {
    ".byte": (1, signed_number(-0x80, 0xFF, "does not fit a byte")),
    ".8byte": (8, signed_number(-(1 << 63), (1 << 64) - 1, "does not fit 64 bits")),
}


def directive_bytes(tokens: Sequence[Token]) -> bytes:
    """What `.byte N, N...` or `.8byte N, N...` stands for, little-endian; InputError with a column."""
    if tokens[0].text not in DIRECTIVES:
        raise InputError(
            f"unknown directive {tokens[0]}, there are {' and '.join(DIRECTIVES)}", column=tokens[0].column
        )
    size, read = DIRECTIVES[tokens[0].text]
    code, position = bytearray(), 1
    while True:
        try:
            operand, position = read(tokens, position)
        except NoMatch as reason:
            token = tokens[reason.position]
            sentence = reason.wrong or f"expected {reason.expected}, found {token}"
            raise InputError(sentence, column=token.column) from None
        code += (operand.value & (1 << 8 * size) - 1).to_bytes(size, "little")
        if tokens[position].kind is Kind.END:
            return bytes(code)
        if tokens[position].text != ",":
            raise InputError(f"expected ',', found {tokens[position]}", column=tokens[position].column)
        position += 1
