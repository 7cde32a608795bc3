"""Suites: the cases of a folder or a file, ours or anybody's."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pybpftime.conformance.case import Case
from pybpftime.conformance.formats.case_text import read_cases
from pybpftime.conformance.formats.data_file import read_data
from pybpftime.conformance.formats.layout import NAME, NAME_RULE
from pybpftime.conformance.run.selection import select
from pybpftime.errors import InputError
from pybpftime.isa import Group

OURS = Path(__file__).parent / "cases"
MAX_FILE = 16 << 20
"""The longest file that is read, in bytes."""


def _read_data(text: str, *, file: str, prefix: str) -> list[Case]:
    return [read_data(text, file=file, name=prefix)]


READERS: Mapping[str, Callable[..., list[Case]]] = {".case": read_cases, ".data": _read_data}
"""Suffix of a file -> its reader."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Cases with names that differ, and what is wrong with the files (or folders) that brought none."""

    cases: tuple[Case, ...]
    problems: tuple[InputError, ...] = ()

    def select(self, patterns: Sequence[str] = (), groups: Iterable[Group] | None = None) -> Suite:
        """The part of it that `run.selection.select` chooses, with all problems."""
        return replace(self, cases=tuple(select(self.cases, patterns, groups)))


def default_suite() -> Suite:
    """Our corpus."""
    return load_suite(OURS, shown="conformance/cases")


def load_suite(
    path: str | os.PathLike[str], *, shown: str | None = None, suffixes: Collection[str] = READERS.keys()
) -> Suite:
    """The files with such suffixes (`.case` and `.data`) in a folder and its subfolders, or one such file.

    `shown` takes the place of `path` in `Case.file` and in errors.  Nothing is raised: what cannot be read is a
    problem with file and line, and the other files load.  Hidden folders are passed over, links to folders as well.
    """
    root = Path(path)
    base = os.fspath(path) if shown is None else shown
    cases: dict[str, Case] = {}
    problems: list[InputError] = []
    for place, inside in _files(root, base, suffixes, problems):
        file = base if inside is None else os.path.join(base, inside)  # keeps the path as it was given
        try:
            read = _read_file(place, file, Path(place.name if inside is None else inside).with_suffix("").as_posix())
            taken = next((case for case in read if case.name in cases), None)
            if taken is not None:
                other = cases[taken.name]
                raise InputError(f"{other.file}:{other.line} has a case {taken.name} already", line=taken.line)
            cases.update((case.name, case) for case in read)
        except InputError as error:
            problems.append(error.at(file=file))
    return Suite(tuple(cases.values()), tuple(problems))


def _files(
    root: Path, base: str, suffixes: Collection[str], problems: list[InputError]
) -> Iterator[tuple[Path, str | None]]:
    """Where each file is, and its path in the folder; None for the one file that `root` is."""
    if not os.path.isdir(root):
        if root.suffix in suffixes:
            yield root, None
        else:
            sentence = "there is no such file or folder"
            if os.path.exists(root):
                sentence = f"expected a folder, or a file with cases ({' or '.join(suffixes)})"
            problems.append(InputError(sentence, file=base))
        return

    def note(error: OSError) -> None:
        folder = os.path.join(base, os.path.relpath(error.filename, root))
        problems.append(InputError(f"cannot be read: {error.strerror}", file=os.path.normpath(folder)))

    found = []
    for folder, folders, names in os.walk(root, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if Path(name).suffix in suffixes]
    for place in sorted(found):
        yield place, place.relative_to(root).as_posix()


def _read_file(place: Path, file: str, prefix: str) -> list[Case]:
    if not NAME.fullmatch(prefix):
        raise InputError(f"{prefix!r} becomes part of names of cases: {NAME_RULE}")
    return READERS[place.suffix](read_text(place), file=file, prefix=prefix)


def read_text(place: Path) -> str:
    """The text of a file; InputError, without its name, when it is none or too long."""
    try:
        if not stat.S_ISREG(place.stat().st_mode):
            raise InputError("is no file with contents")  # a pipe would keep us waiting
        with place.open("rb") as stream:
            content = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from None
    if len(content) > MAX_FILE:
        raise InputError(f"has more than {MAX_FILE >> 20} MiB")
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError("is no text in UTF-8", line=content.count(b"\n", 0, error.start) + 1) from None
