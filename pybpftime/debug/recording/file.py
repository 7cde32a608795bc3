"""The lines of a recording file: JSON objects, one a line, written as a whole or not at all.

The words for people are in docs/reference/recording-format.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from pybpftime import __version__
from pybpftime.errors import HostError, InputError
from pybpftime.isa.encoding import MASK64

FORMAT = "bpfrec"
VERSION = 1
"""The version of the format that is written, and the newest that is read."""
LONGEST_LINE = 8 << 20
LARGEST_FILE = 1 << 30
PIECE = 1 << 20
"""Bytes that stand in one line; what is larger is in pieces (`content` records)."""

Line = Mapping[str, Any]


class Record:
    """One line: its fields are asked for by name, and an InputError names file and line when one is not as it must be.

    `contents` are the larger pieces of bytes that came before, by their SHA-256.
    """

    def __init__(self, data: Mapping[str, Any], file: str, line: int, contents: Mapping[str, bytes]) -> None:
        self.data = data
        self.file = file
        self.line = line
        self._contents = contents

    @property
    def kind(self) -> str:
        """What the line is about."""
        return "header" if self.line == 1 else self.text("record")

    def refuse(self, reason: str) -> NoReturn:
        """Raise the InputError for this line."""
        raise InputError(reason, file=self.file, line=self.line)

    def number(self, name: str, least: int = 0, most: int = MASK64, default: int | None = None) -> int:
        """A number in a range; without `default` it has to be there."""
        return self.checked_number(name, self.data.get(name, default), least, most)

    def checked_number(self, name: str, value: Any, least: int, most: int) -> int:
        """`value`, which is called `name`, as a number in a range."""
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(f"{name} is a number from {least} to {most}")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """Text that can be printed."""
        value = self.data.get(name, default)
        if not isinstance(value, str) or any(0xD800 <= ord(one) < 0xE000 for one in value):
            self.refuse(f"{name} is text")
        return value

    def items(self, name: str, *, optional: bool = False) -> list[Any]:
        """A list; an empty one for an optional field that is left out."""
        value = self.data.get(name, [] if optional else None)
        if not isinstance(value, list):
            self.refuse(f"{name} is a list")
        return value

    def fields(self, name: str) -> dict[str, Any]:
        """A JSON object; an empty one when it is left out."""
        value = self.data.get(name, {})
        if not isinstance(value, dict):
            self.refuse(f"{name} is a JSON object")
        return value

    def octets(self, name: str) -> bytes | None:
        """Bytes, in base64 or by their hash; None for null and for a field that is left out."""
        value = self.data.get(name)
        return None if value is None else self.decoded(name, value)

    def decoded(self, name: str, value: Any) -> bytes:
        """The bytes that `value`, which is called `name`, stands for."""
        if isinstance(value, dict):
            wanted = value.get("content")
            if not isinstance(wanted, str) or wanted not in self._contents:
                self.refuse(f"{name} is content that does not stand before it")
            return self._contents[wanted]
        if not isinstance(value, str):
            self.refuse(f"{name} is text in base64")
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            self.refuse(f"{name} is no base64")


# --- reading ----------------------------------------------------------------------------------------------------------


def read_records(file: str) -> Iterator[Record]:
    """The records of a file but for the last one, and for the bytes of `content` records.

    InputError, with file and line, for a file that cannot be read, is no recording, is of a newer version, is not
    whole, or is larger than recordings are.
    """
    contents: dict[str, bytes] = {}
    pieces: dict[str, bytearray] = {}
    record, ended = None, False
    for number, text in _lines(file):
        if ended:
            raise InputError("something follows the end of the recording", file=file, line=number)
        record = Record(_parsed(text, file, number), file, number, contents)
        if number == 1:
            _check_header(record)
            yield record
        elif record.kind == "content":
            _gather(record, pieces, contents)
        elif record.kind == "end":
            ended = True
            if record.number("lines") != number:
                record.refuse("the recording is not whole: lines are missing")
        else:
            yield record
    if record is None:
        raise InputError("is empty, and no recording", file=file)
    if not ended:
        record.refuse("the recording is not whole: it ends here")


def _lines(file: str) -> Iterator[tuple[int, bytes]]:
    try:
        with open(file, "rb") as stream:
            number, size = 0, 0
            while text := stream.readline(LONGEST_LINE + 1):
                number, size = number + 1, size + len(text)
                if len(text) > LONGEST_LINE:
                    raise InputError(f"a line has at most {LONGEST_LINE >> 20} MiB", file=file, line=number)
                if size > LARGEST_FILE:
                    raise InputError(f"a recording has at most {LARGEST_FILE >> 20} MiB", file=file, line=number)
                yield number, text
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot be read: {reason}", file=file) from None


def _parsed(text: bytes, file: str, line: int) -> dict[str, Any]:
    what = "is no recording of pybpftime: its first line is no JSON object" if line == 1 else "is no JSON object"
    try:
        data = json.loads(text.decode("utf-8"), parse_constant=_no_number, parse_float=_no_number)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise InputError(what, file=file, line=line)
    return data


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no whole number")


def _check_header(record: Record) -> None:
    if record.data.get("format") != FORMAT:
        record.refuse("is no recording of pybpftime")
    version = record.number("version", 1)
    if version > VERSION:
        record.refuse(f"is of version {version} of the format, and this pybpftime reads up to version {VERSION}")


def _gather(record: Record, pieces: dict[str, bytearray], contents: dict[str, bytes]) -> None:
    """Take a piece of a larger content; with the last one it is there."""
    wanted, content = record.text("sha256"), record.octets("bytes") or b""
    pieces.setdefault(wanted, bytearray()).extend(content)
    if not record.data.get("more", False):
        whole = bytes(pieces.pop(wanted))
        if hashlib.sha256(whole).hexdigest() != wanted:
            record.refuse("the content is damaged: its SHA-256 is another one")
        contents[wanted] = whole


# --- writing ----------------------------------------------------------------------------------------------------------


class Contents:
    """Turns bytes into what stands for them in a line; `lines` are the content records that have to come before."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._known: set[str] = set()

    def encoded(self, content: bytes, *, apart: bool = False) -> Any:
        """Text in base64, or the name of a content record for what is large, or shall stand `apart`."""
        if len(content) <= PIECE and not apart:
            return text_of(content)
        name = hashlib.sha256(content).hexdigest()
        if name not in self._known:
            self._known.add(name)
            starts = range(0, max(len(content), 1), PIECE)
            for start in starts:
                more = {"more": True} if start != starts[-1] else {}
                piece = text_of(content[start : start + PIECE])
                self.lines.append({"record": "content", "sha256": name, **more, "bytes": piece})
        return {"content": name}

    def take(self) -> Iterator[Line]:
        """The lines that were not taken yet."""
        taken, self.lines = self.lines, []
        yield from taken


def text_of(content: bytes) -> str:
    """Base64."""
    return base64.b64encode(content).decode("ascii")


def write_lines(file: str, lines: Iterable[Line]) -> None:
    """Write a recording of these records.  What `file` was before stays until all is written.

    HostError when it cannot be written.
    """
    if not file or "\0" in file:
        raise InputError(f"no file can be called {file!r}")
    path = os.path.realpath(file)
    if os.path.exists(path) and not os.path.isfile(path):
        raise HostError("cannot be written: it is no regular file", file=file)
    temporary = f"{path}.{os.urandom(4).hex()}.part"
    try:
        try:
            with open(temporary, "x", encoding="ascii", newline="\n") as stream:
                number = 1
                stream.write(_line({"format": FORMAT, "version": VERSION, "made_by": f"pybpftime {__version__}"}))
                for line in lines:
                    stream.write(_line(line))
                    number += 1
                stream.write(_line({"record": "end", "lines": number + 1}))
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise HostError("cannot be written", file=file, errno=error.errno) from None


def _line(data: Line) -> str:
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(", ", ": ")) + "\n"
    if len(text) > LONGEST_LINE:
        raise InputError(f"a line of a recording has at most {LONGEST_LINE >> 20} MiB: something here is larger")
    return text
