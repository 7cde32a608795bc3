"""How commands fail: one clear message on standard error, exit code 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from pybpftime.cli.streams import BROKEN_PIPE, not_written
from pybpftime.errors import InputError

LONGEST_LINE = 120

# Control characters of whatever a message quotes (names in a file, text of a user) must not reach the terminal.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in b"\n\t"}


def printable(text: str) -> str:
    """`text` with control characters, but line feeds and tabs, written as \\x1b."""
    return text.translate(_CONTROLS)


class Failure(click.ClickException):
    """An expected failure, for people."""

    def show(self, file: Any = None) -> None:
        click.echo(f"{click.style('error', fg='red', bold=True)}: {printable(self.message)}", err=True)


class OutputFailure(Failure):
    """Standard output cannot be written."""

    def __init__(self, error: OSError) -> None:
        super().__init__(not_written(error))


class ReaderLeft(OutputFailure):
    """The reader of standard output went away (`| head`): nothing more to say, and nothing to say it to."""

    exit_code = BROKEN_PIPE

    def show(self, file: Any = None) -> None:
        pass


@contextmanager
def output_failures() -> Iterator[None]:
    """Errors of writing become an OutputFailure.  Errors with a file name are of files, not of the output."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise (ReaderLeft if isinstance(error, BrokenPipeError) else OutputFailure)(error) from None


def with_line(error: InputError, text: str, *, prefix: str = "") -> Failure:
    """The failure with the line of `text` that it is about, and a caret under the column.

    `prefix` says what the text is, where the error does not name it.
    """
    message = f"{prefix}: {error}" if prefix else str(error)
    lines = text.split("\n")
    if error.line is None or not 0 < error.line <= len(lines):
        return Failure(message)
    line = lines[error.line - 1].replace("\t", " ").rstrip()
    start = max(0, (error.column or 1) - LONGEST_LINE // 2) if len(line) > LONGEST_LINE else 0
    shown = line[start : start + LONGEST_LINE]
    caret = "" if error.column is None else "\n  " + " " * (error.column - 1 - start) + "^"
    return Failure(f"{message}\n  {shown}{caret}")
