"""The text of an expression -> tokens.  Linear in the text; anything else than C's tokens is an InputError."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from pybpftime.errors import InputError

MAX_LENGTH = 10_000
"""Longest expression, in characters."""


class TokenKind(Enum):
    """What a token is."""

    NAME = "name"
    SPECIAL = "special"
    NUMBER = "number"
    CHARACTER = "character"
    TEXT = "text"
    OPERATOR = "operator"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text; `column` counts characters from 1.

    The name of a special (`$pc`, `$1`, `$`, `$$`, `$$2`) is without the first `$`.
    """

    kind: TokenKind
    text: str
    column: int


OPERATORS = (
    *("<<=", ">>="),
    *("->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||"),
    *("+=", "-=", "*=", "/=", "%=", "&=", "|=", "^="),
    *"+-*/%&|^~!<>=?:.,()[]{}",
)

_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    | (?P<number>0[xX][0-9A-Za-z_]*|\.?[0-9](?:[eE][+-]|[0-9A-Za-z_.])*)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | \$(?P<special>[A-Za-z_][A-Za-z0-9_]*|[0-9]+|\$[0-9]*|)
    | (?P<character>'(?:[^'\\\n]|\\.)*')
    | (?P<text>"(?:[^"\\\n]|\\.)*")
    | (?P<operator>{"|".join(re.escape(operator) for operator in OPERATORS)})""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]+)|(.))", re.DOTALL)
_SIMPLE_ESCAPES = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, "\\": 92, "'": 39, '"': 34, "?": 63}


def tokenise(text: str) -> list[Token]:
    """The tokens, the last of them END.  InputError with the column for text that is no token."""
    if len(text) > MAX_LENGTH:
        raise InputError(f"the expression has {len(text)} characters, more than {MAX_LENGTH}", column=MAX_LENGTH)
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _no_token(text, at)
        if found.lastgroup is not None and found.lastgroup != "space":
            tokens.append(Token(TokenKind(found.lastgroup), found[found.lastgroup], at + 1))
        at = found.end()
    tokens.append(Token(TokenKind.END, "", len(text) + 1))
    return tokens


def _no_token(text: str, at: int) -> InputError:
    char = text[at]
    if char in "'\"":
        return InputError(f"the closing {char} is missing", column=at + 1)
    return InputError(f"{char!r} is no part of an expression", column=at + 1)


def unescape(token: Token) -> bytes:
    """The bytes between the quotes of a character or text."""
    body = token.text[1:-1]
    found = bytearray()
    at = 0
    for escape in _ESCAPE.finditer(body):
        found += body[at : escape.start()].encode("utf-8", "surrogateescape")
        found.append(_escaped(escape, token))
        at = escape.end()
    return bytes(found + body[at:].encode("utf-8", "surrogateescape"))


def _escaped(escape: re.Match[str], token: Token) -> int:
    octal, hexadecimal, simple = escape.groups()
    column = token.column + 1 + escape.start()
    if simple is not None:
        if simple not in _SIMPLE_ESCAPES:
            raise InputError(f"\\{simple} is no escape sequence", column=column)
        return _SIMPLE_ESCAPES[simple]
    number = int(octal, 8) if octal else int(hexadecimal, 16)
    if number > 0xFF:
        raise InputError(f"the escape sequence {escape[0][:12]} is more than a byte", column=column)
    return number
