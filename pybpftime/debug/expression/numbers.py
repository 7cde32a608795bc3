"""Numeric constants (C11 6.4.4), and the binary ones of GNU C."""

from __future__ import annotations

import re

from pybpftime.debug.expression.nodes import Integer, Real
from pybpftime.debug.expression.tokens import Token
from pybpftime.errors import InputError

_INTEGER = re.compile(r"(0[xX][0-9A-Fa-f]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)([uUlL]*)")
_REAL = re.compile(r"((?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)([fF]?)")
_SUFFIX = re.compile(r"u?(?:ll?)?|ll?u")
MOST_DIGITS = 80


def parse_number(token: Token) -> Integer | Real:
    """The constant; InputError if it is none, or no unsigned 64-bit number."""
    text, column = token.text, token.column
    integer = _INTEGER.fullmatch(text)
    if integer is None:
        real = _REAL.fullmatch(text)
        if real is None:
            raise InputError(f"{text[:40]!r} is not a number", column=column)
        return Real(float(real[1]), bool(real[2]), column=column)
    digits, suffix = integer[1], integer[2]
    if "lL" in suffix or "Ll" in suffix or not _SUFFIX.fullmatch(suffix.lower()):
        raise InputError(f"{suffix[:20]!r} is no suffix of an integer", column=column)
    base = {"0x": 16, "0b": 2}.get(digits[:2].lower()) or (8 if digits[0] == "0" and digits != "0" else 10)
    value = int(digits, base) if len(digits) <= MOST_DIGITS else 1 << 64
    if value >> 64:
        raise InputError(f"{text[:40]} does not fit 64 bits", column=column)
    return Integer(value, "u" in suffix.lower(), suffix.lower().count("l"), base == 10, column=column)
