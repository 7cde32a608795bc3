"""What stands behind a command's name, taken apart."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

from pybpftime.errors import InputError

_HIDDEN = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in b"\n\t"} | {
    code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)
}
MAX_COUNT = 1_000_000_000
UNITS = {"b": 1, "h": 2, "w": 4, "g": 8}
"""Sizes of what `x` shows, as gdb has them: byte, halfword, word, giant."""
SHOWN = "xduotcsai"
MOST_SHOWN = 4096


def printable(text: str) -> str:
    """`text` with what a terminal would obey, or cannot be written, as escape sequences."""
    return text.translate(_HIDDEN)


def count_argument(text: str, *, default: int = 1) -> int:
    """A number of times; InputError for anything else."""
    if not text:
        return default
    number = number_argument(text, "a number of times")
    if not 1 <= number <= MAX_COUNT:
        raise InputError(f"{text[:40]} is no number of times: it is 1 to {MAX_COUNT}")
    return number


def number_argument(text: str, what: str) -> int:
    """A decimal or hexadecimal number."""
    if not re.fullmatch(r"(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,18})", text):
        raise InputError(f"{text[:40]!r} is not {what}" if text else f"{what} is missing")
    return int(text, 16 if text[:2] in ("0x", "0X") else 10)


def numbers_argument(text: str) -> list[int]:
    """`1 3 5-7`: numbers of breakpoints and the like."""
    found: list[int] = []
    for word in text.replace(",", " ").split():
        first, dash, last = word.partition("-")
        low = number_argument(first, "a number")
        high = number_argument(last, "a number") if dash else low
        if not low <= high <= low + 10_000:
            raise InputError(f"{word[:40]} is no range of numbers")
        found += range(low, high + 1)
    return found


def split_condition(text: str) -> tuple[str, str]:
    """`parse if ttl == 1` -> ("parse", "ttl == 1")."""
    match = re.search(r"(?:^|\s)if(?=[\s(]|$)", text)
    if match is None:
        return text.strip(), ""
    condition = text[match.end() :].strip()
    if not condition:
        raise InputError("a condition is missing behind if")
    return text[: match.start()].strip(), condition


def split_format(text: str) -> tuple[str, str]:
    """`/x expr` -> ("x", "expr"); without a format the first is ""."""
    if not text.startswith("/"):
        return "", text
    match = re.match(r"/(\S*)\s*", text)
    assert match is not None
    return match[1], text[match.end() :]


def regular_expression(text: str) -> re.Pattern[str]:
    """Compiled; InputError for what is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise InputError(f"{text[:60]} is no regular expression: {error}") from None


@dataclass(frozen=True, slots=True)
class MemoryFormat:
    """How `x` shows memory: how many, with which letter, of which size."""

    count: int = 1
    letter: str = "x"
    size: int = 4


def memory_format(text: str, before: MemoryFormat) -> MemoryFormat:
    """`/4xb`; what is not said is as `before`."""
    match = re.fullmatch(r"(\d{0,6})([a-z]*)", text)
    letters = match[2] if match else "?"
    if match is None or any(letter not in SHOWN and letter not in UNITS for letter in letters):
        raise InputError(
            f"/{text[:20]} is no format: it is a count, one of the letters {' '.join(SHOWN)}"
            f" and a size, {' '.join(UNITS)}"
        )
    count = int(match[1] or 1)
    if not 1 <= count <= MOST_SHOWN:
        raise InputError(f"{count} is no count: it is 1 to {MOST_SHOWN}")
    letter = next((one for one in letters if one in SHOWN), before.letter)
    size = next((UNITS[one] for one in letters if one in UNITS), 8 if letter == "a" else before.size)
    return MemoryFormat(count, letter, 1 if letter == "c" and not set(letters) & set(UNITS) else size)
