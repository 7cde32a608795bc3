"""Messages of the Debug Adapter Protocol as bytes, without input and output.

A message is a header of `Name: value` lines that end with CR LF, an empty line, and as many bytes of JSON as the
header field Content-Length says (DAP overview, "Base Protocol").
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn

Message = dict[str, Any]

LONGEST_HEADER = 8 * 1024
LONGEST_CONTENT = 64 * 1024 * 1024
"""The largest honest messages carry memory as base64: 64 MiB hold 48 MiB of it, more than a map or packet has.  A
header with a wrong number cannot make the server wait for, or keep, more than that."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What came was no message; `reason` is one sentence.

    After a `fatal` problem nobody knows where the next message begins: the decoder ignores whatever follows.
    """

    reason: str
    fatal: bool = False


class _BrokenHeaderError(Exception):
    pass


class Decoder:
    """Bytes in pieces of any size go in, messages come out.  No input raises an exception."""

    def __init__(self) -> None:
        self.broken = False
        self._data = bytearray()
        self._searched = 0  # no line feed in front of this
        self._header_size = 0
        self._in_header = True
        self._length: int | None = None

    def feed(self, data: bytes) -> list[Message | Problem]:
        """Take all of `data`; return what it completes, in order."""
        if self.broken:
            return []
        self._data += data
        done: list[Message | Problem] = []
        try:
            while self._read_header_line() if self._in_header else self._content_is_here():
                if self._content_is_here():
                    done.append(self._take_content())
        except _BrokenHeaderError as error:
            self.broken = True
            self._data.clear()
            done.append(Problem(str(error), fatal=True))
        return done

    def finish(self) -> Problem | None:
        """What to say when no more bytes come: None between messages, a Problem within one."""
        if self.broken or not (self._data or self._header_size):
            return None
        return Problem("the input ends within a message", fatal=True)

    def _read_header_line(self) -> bool:
        """Take a line of the header; False when it has not arrived as a whole."""
        end = self._data.find(b"\n", self._searched)
        taken = self._header_size + (len(self._data) if end < 0 else end + 1)
        if taken > LONGEST_HEADER:
            raise _BrokenHeaderError(f"a header is longer than {LONGEST_HEADER} bytes")
        if end < 0:
            self._searched = len(self._data)
            return False
        line = bytes(self._data[: end + 1])
        del self._data[: end + 1]
        self._searched = 0
        self._header_size = taken
        if not line.endswith(b"\r\n"):
            raise _BrokenHeaderError("a line of a header does not end with CR LF")
        if line != b"\r\n":
            self._read_field(line[:-2])
        elif self._length is None:
            raise _BrokenHeaderError("a header has no Content-Length")
        else:
            self._in_header = False
        return True

    def _read_field(self, line: bytes) -> None:
        name, colon, value = line.partition(b":")
        if not colon or not name or not name.strip() == name:
            raise _BrokenHeaderError(f"a line of a header is not 'Name: value': {_shown(line)}")
        if name.lower() != b"content-length":
            return
        digits = value.strip()
        if not digits.isdigit():
            raise _BrokenHeaderError(f"Content-Length is not a number: {_shown(digits)}")
        length = int(digits) if len(digits) <= len(str(LONGEST_CONTENT)) else LONGEST_CONTENT + 1
        if length > LONGEST_CONTENT:
            raise _BrokenHeaderError(f"Content-Length is above {LONGEST_CONTENT}: {_shown(digits)}")
        if self._length not in (None, length):
            raise _BrokenHeaderError("a header has two values of Content-Length")
        self._length = length

    def _content_is_here(self) -> bool:
        return not self._in_header and self._length is not None and len(self._data) >= self._length

    def _take_content(self) -> Message | Problem:
        content = bytes(self._data[: self._length])
        del self._data[: self._length]
        self._in_header, self._length, self._header_size = True, None, 0
        return decode(content)


def _shown(text: bytes) -> str:
    return ascii(text[:40].decode("latin-1"))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def decode(content: bytes) -> Message | Problem:
    """The content of one message; whatever is no JSON object in UTF-8 is a Problem that is not fatal."""
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        return Problem("a message is not UTF-8")
    except RecursionError:
        return Problem("a message is nested too deeply")
    except ValueError as error:  # of the syntax, or a number of thousands of digits
        return Problem(f"a message is not JSON: {error}")
    if not isinstance(value, dict):
        return Problem("a message is no JSON object")
    return value


def encode(message: Message) -> bytes:
    """The message with its header.  Its content is ASCII, so that any text in it can be sent."""
    content = json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii")
    return b"Content-Length: %d\r\n\r\n%s" % (len(content), content)
