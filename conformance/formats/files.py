"""Cases as files: which file a case is written to, and writing none by half.

The name of a case says where it goes: `a/b/c` is the case `c` in `a/b.case`, and the file `a/b/c.data`.  So what is
read back has the same names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pybpftime.conformance.case import Case
from pybpftime.conformance.formats.case_text import write_case
from pybpftime.conformance.formats.data_file import write_data
from pybpftime.conformance.replacing import replace_file
from pybpftime.errors import HostError, InputError

Files = Mapping[str, str]
"""The path of a file in a folder -> its text."""


def case_files(cases: Iterable[Case], comments: Mapping[str, Sequence[str]] | None = None) -> Files:
    """The `.case` files of some cases; `comments` has lines to be put before a case, by its name."""
    entries: dict[str, list[str]] = {}
    for case in cases:
        folder, slash, last = case.name.rpartition("/")
        before = "".join(f"{line}\n" for line in (comments or {}).get(case.name, ()))
        entry = before + write_case(case, last if slash else "")
        entries.setdefault(f"{folder or last}.case", []).append(entry)
    return {path: "\n".join(texts) for path, texts in entries.items()}


def case_text(cases: Iterable[Case]) -> str:
    """All cases in one text, each with its whole name."""
    return "\n".join(write_case(case, case.name) for case in cases)


def data_files(cases: Iterable[Case]) -> tuple[Files, list[InputError]]:
    """The `.data` files of some cases, and why others cannot be one."""
    files: dict[str, str] = {}
    refused: list[InputError] = []
    for case in cases:
        try:
            files[f"{case.name}.data"] = write_data(case)
        except InputError as error:
            refused.append(error)
    return files, refused


def write_files(folder: str | os.PathLike[str], files: Files) -> None:
    """Write files that are not there yet; InputError, before anything is written, if one is."""
    root = Path(folder)
    for name in files:
        if os.path.lexists(root / name):
            raise InputError("is there already, nothing was written", file=os.path.join(folder, name))
    for name, text in files.items():
        path = root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HostError("cannot be written", errno=error.errno, file=os.fspath(path)) from None
        replace_file(path, text)
