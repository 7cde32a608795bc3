"""The text of source files: from disk if they can be found there, else from the lines that BTF carries."""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pybpftime.debug.symbols import DebugFile
from pybpftime.program.spec import ProgramSpec

MAX_SOURCE = 16 << 20
"""The largest source file that is read, in bytes."""
MAX_LINES = 200_000
"""Lines of a reconstructed file; what is behind them is left out."""


@dataclass(frozen=True, slots=True)
class SourceText:
    """A source file.  `lines[n - 1]` is line n, without its end.

    `path` is where it was found on disk; None if it was put together from BTF: then lines without code are empty.
    `is_changed`: the file on disk is not the one that was compiled.
    """

    file: str
    lines: tuple[str, ...]
    path: str | None
    is_changed: bool = False

    @property
    def is_reconstructed(self) -> bool:
        """Whether it was put together from BTF."""
        return self.path is None

    def line(self, number: int) -> str | None:
        """Line `number`, counted from 1; None if the file does not have it."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else None


class Sources:
    """The source files of an object, by the names that `ProgramSymbols.files` gives.

    A file is looked for at its name after each of the `substitutions` (a prefix and what replaces it), at its name
    (relative names: in the current directory), in each of `directories` by ever shorter ends of its name, and beside
    the object.  The first that is what the compiler read counts, else the first that is there; beside the object only
    the former.
    """

    def __init__(
        self,
        programs: Iterable[ProgramSpec],
        debug: DebugFile | None = None,
        *,
        directories: Sequence[str | os.PathLike[str]] = (),
        substitutions: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._programs = tuple(programs)
        self._debug = debug
        self._directories = [os.fspath(directory) for directory in directories]
        self._substitutions = list(substitutions)
        self._texts: dict[str, SourceText | None] = {}

    def text(self, file: str) -> SourceText | None:
        """The text of a file; None if it is neither on disk nor in BTF."""
        name = posixpath.normpath(file)
        if name not in self._texts:
            self._texts[name] = self._from_disk(name) or self._from_btf(name)
        return self._texts[name]

    # --- disk ---

    def _from_disk(self, file: str) -> SourceText | None:
        changed: SourceText | None = None
        for path, must_match in self._candidates(file):
            data = _read(path)
            if data is None:
                continue
            lines = tuple(data.decode("utf-8", "replace").splitlines())
            if not self._is_changed(file, data, lines):
                return SourceText(file, lines, path)
            if changed is None and not must_match:
                changed = SourceText(file, lines, path, is_changed=True)
        return changed

    def _candidates(self, file: str) -> Iterator[tuple[str, bool]]:
        """Paths, and whether the file there must be the one that was compiled."""
        for prefix, replacement in self._substitutions:
            start = posixpath.normpath(prefix)
            if file == start or file.startswith(start.rstrip("/") + "/"):
                yield posixpath.normpath(replacement + "/" + file[len(start) :]), False
        yield file, False
        parts = file.strip("/").split("/")
        ends = ["/".join(parts[index:]) for index in range(len(parts))]
        for directory in self._directories:
            for end in ends:
                yield os.path.join(directory, end), False
        for folder in dict.fromkeys(os.path.dirname(one.file) for one in self._programs if one.file):
            for end in ends:
                yield os.path.join(folder, end), True

    def _is_changed(self, file: str, data: bytes, lines: Sequence[str]) -> bool:
        """Whether it differs from what was compiled, by its MD5 in DWARF or else by the lines in BTF."""
        info = None if self._debug is None else self._debug.info
        known = None if info is None else info.files.get(file)
        if known is not None and known.md5:
            return hashlib.md5(data, usedforsecurity=False).hexdigest() != known.md5
        recorded = self._recorded.get(file, {})
        return any(number > len(lines) or lines[number - 1] != text for number, text in recorded.items())

    # --- BTF ---

    @cached_property
    def _recorded(self) -> Mapping[str, Mapping[int, str]]:
        """By file and number the lines that BTF has the text of."""
        found: dict[str, dict[int, str]] = {}
        for program in self._programs:
            for line in program.lines:
                if line.text and 0 < line.line <= MAX_LINES:
                    found.setdefault(posixpath.normpath(line.file), {})[line.line] = line.text
        return found

    def _from_btf(self, file: str) -> SourceText | None:
        recorded = self._recorded.get(file)
        if not recorded:
            return None
        return SourceText(file, tuple(recorded.get(number, "") for number in range(1, max(recorded) + 1)), None)


def _read(path: str) -> bytes | None:
    """A file's bytes; None unless it is an ordinary file of reasonable size that can be read.

    The object names the path, so it may be a device or a pipe.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_SOURCE:
            return None
        with open(path, "rb") as stream:
            return stream.read(MAX_SOURCE)
    except (OSError, ValueError):
        return None
