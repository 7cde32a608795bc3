"""The string section: NUL-terminated texts, referred to by byte offset."""

from __future__ import annotations

from pybpftime.errors import InputError

MAX_LENGTH = 0x0100_0000
"""Bytes in one string section: offsets have 24 bits (`BTF_MAX_NAME_OFFSET`)."""


class StringTable:
    """Texts by offset.  A split BTF counts on where its base's strings end.

    Bytes that are not UTF-8 come out as backslash escapes: a name never fails to decode.  Texts that share bytes
    are fine, but a hostile table could make a million long texts out of the same bytes, so the sum of what is
    decoded is bounded by a multiple of the section's length.
    """

    def __init__(self, data: bytes, base: StringTable | None = None) -> None:
        """`data` is empty or ends with NUL; without a base its first byte is NUL.  InputError otherwise."""
        if len(data) > MAX_LENGTH:
            raise InputError(f"the string section has {len(data)} bytes, more than {MAX_LENGTH}", section=".BTF")
        if base is None and data[:1] != b"\0":
            raise InputError("the string section does not begin with the empty string", section=".BTF")
        if data and data[-1] != 0:
            raise InputError("the string section does not end with NUL", section=".BTF")
        self.data = data
        self.base = base
        self.start: int = base.end if base else 0
        self.end: int = self.start + len(data)
        self._texts: dict[int, str] = {}
        self._budget = 8 * len(data) + 65536

    def __getitem__(self, offset: int) -> str:
        """The text at `offset`; InputError outside the section."""
        text = self._texts.get(offset)
        return text if text is not None else self._decode(offset)

    def is_empty(self, offset: int) -> bool:
        """True if the text at `offset`, which must be inside, is empty."""
        if self.base and offset < self.start:
            return self.base.is_empty(offset)
        return self.data[offset - self.start] == 0

    def _decode(self, offset: int) -> str:
        if self.base and offset < self.start:
            return self.base[offset]
        if offset >= self.end:
            raise InputError(f"string offset {offset} is outside the string section", section=".BTF")
        first = offset - self.start
        last = self.data.index(b"\0", first)
        self._budget -= last - first
        if self._budget < 0:
            raise InputError("the strings overlap far more than any compiler makes them", section=".BTF")
        text = self.data[first:last].decode("utf-8", "backslashreplace")
        self._texts[offset] = text
        return text
