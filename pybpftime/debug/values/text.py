"""Values as text: one line in the style of debuggers, and with a format letter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pybpftime.debug.values.places import Constant, Moving, OptimisedOut, unreadable
from pybpftime.debug.values.types import CType
from pybpftime.errors import InputError
from pybpftime.program.btf import Array, DataSec, EnumValue, Int, IntEncoding, Ptr, Struct, Union
from pybpftime.program.btf.declarator import quote
from pybpftime.program.btf.values import c_string

if TYPE_CHECKING:
    from pybpftime.debug.values.typed import TypedValue

FORMATS = {
    "x": "hexadecimal",
    "d": "signed decimal",
    "u": "unsigned decimal",
    "o": "octal",
    "t": "binary",
    "c": "number and character",
    "s": "text",
    "a": "address",
}
"""Format letters, as gdb has them."""

MAX_COUNT = 4096
MAX_TEXT = 256
"""Longest C string that is shown, in bytes."""
MOST_ITEMS = 400
"""Members and elements in one line, however they are nested."""
COPY_LIMIT = 1 << 16
MAX_DEPTH = 32

CHARACTERS = {0: r"\0", 7: r"\a", 8: r"\b", 9: r"\t", 10: r"\n", 11: r"\v", 12: r"\f", 13: r"\r", 39: r"\'", 92: r"\\"}


@dataclass(frozen=True, slots=True)
class ViewFormat:
    """How a value is shown: `letter` is one of `FORMATS` or "" for the type's own way; `count` values in a row."""

    letter: str = ""
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> ViewFormat:
        """`/x`, `x`, `/4x`, `/16`; InputError for anything else."""
        found = re.fullmatch(r"/?([0-9]{1,9})?([A-Za-z])?", text)
        letter = (found[2] or "") if found else ""
        if not found or not text.strip("/") or (letter and letter not in FORMATS):
            raise InputError(f"{text[:20]!r} is no format: it is a count and one of the letters {' '.join(FORMATS)}")
        count = int(found[1] or 1)
        if not 1 <= count <= MAX_COUNT:
            raise InputError(f"{count} is no count of values: it is 1 to {MAX_COUNT}")
        return cls(letter, count)


def text_as(value: TypedValue, how: ViewFormat, *, limit: int = 64) -> str:
    """The value with a format letter; with a count, it and what follows it in memory, as a list in braces."""
    if how.count > 1:
        array = CType(value.type.types, value.type.id).array(how.count)
        value = replace(value, types=array.types, type_id=array.id)
        limit = max(limit, how.count)
    return _Writer(limit, how.letter).whole(value)


def value_text(value: TypedValue, limit: int) -> str:
    """One line in the type's own way: see `TypedValue.text`."""
    return _Writer(limit, "").whole(value)


def character(number: int) -> str:
    """A byte as a C character constant: `'a'`, `'\\n'`, `'\\377'`."""
    byte = number & 0xFF
    return f"'{CHARACTERS.get(byte) or (chr(byte) if 32 <= byte < 127 else f'{chr(92)}{byte:03o}')}'"


class _Writer:
    def __init__(self, limit: int, letter: str) -> None:
        self.limit = limit
        self.letter = letter
        self.items = MOST_ITEMS + limit

    def whole(self, value: TypedValue) -> str:
        """A value by itself, as against one in a list: pointers say their type and what they point to."""
        return _guarded(lambda: self._whole(value))

    def _whole(self, value: TypedValue) -> str:
        if isinstance(value.type.record, Ptr) and not self.letter:
            return self._pointer(value)
        return self.text(value, 0)

    def text(self, value: TypedValue, depth: int) -> str:
        """A value as part of a line."""
        if depth > MAX_DEPTH:
            return "{...}"
        return _guarded(lambda: self._text(value, depth))

    def _text(self, value: TypedValue, depth: int) -> str:
        record = value.type.record
        if isinstance(record, Array | Struct | Union | DataSec):
            value = _present(value)
            if isinstance(record, Array):
                return self._array(value, record, depth)
            return self._members(_copied(value), depth)
        if self.letter:
            return self._formatted(value)
        if isinstance(record, Ptr):
            return f"{int(value.number()):#x}"
        if isinstance(record, Int) and record.encoding is not IntEncoding.BOOL:
            number = value.value()
            return f"{number} {character(number)}" if record.is_char and isinstance(number, int) else str(number)
        return _plain(value.value())

    def _pointer(self, value: TypedValue) -> str:
        address = int(value.number())
        words = [f"({value.type_text}) {address:#x}"]
        about = value.target.describe(address) if address else None
        if about:
            words.append(f"<{about}>")
        pointee = value.type.pointee
        if address and pointee is not None and pointee.is_char:
            text = read_string(value, address)
            words += [quote(text)] if text is not None else []
        return " ".join(words)

    def _members(self, value: TypedValue, depth: int) -> str:
        """Members by name; an anonymous member's names count as the parent's."""
        items: list[str] = []
        for child in value.children():
            self.items -= 1
            if self.items < 0:
                items.append("...")
                break
            text = self.text(child.value, depth + 1)
            if child.anonymous:
                if text not in ("{}", ""):
                    items.append(text[1:-1] if text[0] == "{" and text[-1] == "}" else text)
            else:
                items.append(f".{child.name} = {text}")
        return f"{{{', '.join(items)}}}"

    def _array(self, value: TypedValue, record: Array, depth: int) -> str:
        element = CType(value.types, record.element)
        if self.letter == "s" or (element.is_char and not self.letter):
            text = _array_text(value, record, element)
            if text is not None:
                return quote(text)
        shown = min(record.count, self.limit)
        if shown and value.address is not None:  # one read for all that is shown, if all of it can be read
            part = element.array(shown)
            data = replace(value, types=part.types, type_id=part.id).snapshot() if part.size <= COPY_LIMIT else None
            value = value if data is None else value.at(Constant(data))
        items: list[str] = []
        for child in value.children(0, shown):
            self.items -= 1
            if self.items < 0:
                break
            items.append(self.text(child.value, depth + 1))
        more = [f"... {record.count - len(items)} more"] if record.count > len(items) else []
        return f"{{{', '.join([*items, *more])}}}"

    def _formatted(self, value: TypedValue) -> str:
        """A scalar with the format letter, by its bits."""
        order = value.types.byteorder
        if self.letter == "s":
            pointee = value.type.pointee
            text = read_string(value, int(value.number())) if pointee is not None and pointee.size == 1 else None
            return _Writer(self.limit, "").text(value, 0) if text is None else quote(text)
        data = value.read()
        bits = getattr(value.place, "bit_size", 8 * len(data))
        number = int.from_bytes(data, order) & (1 << bits) - 1
        signed = number - (1 << bits) if bits and number >> bits - 1 else number
        match self.letter:
            case "x":
                return f"{number:#x}"
            case "d":
                return str(signed)
            case "u":
                return str(number)
            case "o":
                return f"0{number:o}" if number else "0"
            case "t":
                return f"{number:b}"
            case "c":
                return f"{signed} {character(number)}"
        about = value.target.describe(number)
        return f"{number:#x} <{about}>" if about else f"{number:#x}"


def _guarded(write: Callable[[], str]) -> str:
    """The text, or in angle brackets why there is none."""
    try:
        return write()
    except InputError as error:
        return f"<{error.reason.removeprefix('it is ')}>"


def _present(value: TypedValue) -> TypedValue:
    """The value where it is now; InputError if nothing of it can be read, so that not every part says so."""
    place = value.place.locate() if isinstance(value.place, Moving) else value.place
    address = place.address()
    if isinstance(place, OptimisedOut):
        raise InputError(place.reason)
    if address is not None and value.size and value.target.read(address, 1) is None:
        raise unreadable(address, value.size)
    return value.at(place)


def _copied(value: TypedValue) -> TypedValue:
    """The value as constant bytes, so that its parts need no reads of their own; as it is if it is large or broken."""
    if value.address is None or value.size > COPY_LIMIT:
        return value
    data = value.snapshot()
    return value if data is None else value.at(Constant(data))


def _array_text(value: TypedValue, record: Array, element: CType) -> str | None:
    """The C string in an array of bytes; None if it holds none."""
    if element.size != 1 or not record.count:
        return None
    count = min(record.count, COPY_LIMIT)
    return c_string(value.place.read(value.target, count))


def read_string(value: TypedValue, address: int) -> str | None:
    """The C string at an address, cut at `MAX_TEXT` bytes; None if there is none that can be printed."""
    found = bytearray()
    step = 32
    while len(found) < MAX_TEXT and step:
        chunk = value.target.read(address + len(found), step)
        if chunk is None:
            step //= 2  # the end of what can be read is near
            continue
        found += chunk
        if 0 in chunk:
            return c_string(bytes(found))
    return None


def _plain(value: object) -> str:
    """Booleans, enumerations and floats."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, EnumValue):
        return str(value)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return f"{{{', '.join(str(item) for item in value)}}}"
    return repr(value) if isinstance(value, float) else str(value)
