"""Standard streams that are closed, full or lost.  Imports next to nothing, for `pybpftime-plugin`."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import IO, Any

from pybpftime.errors import InputError

BROKEN_PIPE = 141
"""Exit code when the reader of standard output went away: what a shell reports for SIGPIPE."""


class _ClosedInput:
    """In the place of a standard input that is closed: reading it is an InputError."""

    @property
    def buffer(self) -> Any:
        raise InputError("standard input is closed")

    def isatty(self) -> bool:
        return False


def prepare_streams() -> None:
    """Before anything is read or written: what callers do to the standard streams never ends in a traceback.

    Using standard input or output that is closed (`<&-`, `>&-`; Python has None for them) is an error.  Their
    descriptors are taken, so that the next file that is opened is not one of them.  Characters that the encoding of
    the output does not have, such as parts of a file's name that are no text, are written as \\xff.
    """
    if sys.stdin is None:
        _occupy(0, os.O_WRONLY)
        stand_in: Any = _ClosedInput()
        sys.stdin = stand_in
    if sys.stdout is None:
        _occupy(1, os.O_RDONLY)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # open until the process ends
    if sys.stderr is None:
        _occupy(2, os.O_WRONLY)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # open until the process ends
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _occupy(descriptor: int, flags: int) -> None:
    opened = os.open(os.devnull, flags)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)


def discard(stream: IO[str]) -> None:
    """Let what `stream` still holds, and what comes after it, go nowhere: it cannot be written."""
    with suppress(OSError, ValueError):
        _occupy(stream.fileno(), os.O_WRONLY)


def not_written(error: OSError) -> str:
    """The sentence for standard output that cannot be written."""
    return f"standard output cannot be written: {error.strerror or error}"
