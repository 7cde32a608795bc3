"""Make BTF: for tests, for maps and programs that are built in memory, for loading into the kernel."""

from __future__ import annotations

import sys
from array import array

from pybpftime.errors import InputError
from pybpftime.program.btf.btf import Btf, encode_section
from pybpftime.program.btf.records import pack
from pybpftime.program.btf.section import ByteOrder
from pybpftime.program.btf.types import BtfType


class BtfBuilder:
    """Collects types and gives them ids in order, from 1 or, on a `base`, from the base's length.

    A type may refer to ids that are added later: `next_id` says what the next `add` returns.
    """

    def __init__(self, *, byteorder: ByteOrder = "little", base: Btf | None = None) -> None:
        if base and base.byteorder != byteorder:
            raise InputError(f"a {byteorder}-endian BTF cannot extend a {base.byteorder}-endian base")
        self.byteorder: ByteOrder = byteorder
        self.base = base
        self.next_id = len(base) if base else 1
        self._words = array("I")
        self._strings = bytearray() if base else bytearray(1)
        self._first_offset = base.strings.end if base else 0
        self._offsets: dict[str, int] = {"": 0}

    def add(self, record: BtfType) -> int:
        """Append a type and return its id.  InputError if a number does not fit its field."""
        self._words.extend(pack(record, self.string))
        self.next_id += 1
        return self.next_id - 1

    def string(self, text: str) -> int:
        """The offset of a text in the string section, which it enters if it is new (`.BTF.ext` refers to such)."""
        if text not in self._offsets:
            if "\0" in text:
                raise InputError(f"a BTF string cannot contain NUL: {text!r}")
            self._offsets[text] = self._first_offset + len(self._strings)
            self._strings += text.encode("utf-8", "backslashreplace") + b"\0"
        return self._offsets[text]

    def to_bytes(self) -> bytes:
        """A `.BTF` section.  Whether references exist is checked when it is parsed."""
        words = self._words[:]
        if self.byteorder != sys.byteorder:
            words.byteswap()
        return encode_section(words.tobytes(), bytes(self._strings), self.byteorder)

    def build(self) -> Btf:
        """The types as a `Btf`; InputError if they are inconsistent."""
        return Btf.parse(self.to_bytes(), base=self.base)
