"""Assembly in files of cases, both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pybpftime.conformance.formats.layout import Line
from pybpftime.errors import InputError
from pybpftime.isa.assembler import assemble_bytes
from pybpftime.isa.disassembler import disassemble
from pybpftime.isa.syntax import Syntax

_DIRECTIVE = "\n    ."


def read_assembly(lines: Sequence[Line], *, helpers: Mapping[str, int], syntax: str | None = None) -> bytes:
    """The code of some lines of a file, as `assemble_bytes` makes it; InputError with line and column of the file."""
    try:
        return assemble_bytes("\n".join(line.text for line in lines), helpers=helpers, syntax=syntax)
    except InputError as error:
        line = lines[0 if error.line is None else error.line - 1].number
        raise InputError(error.reason, line=line, column=error.column) from None


def write_assembly(code: bytes) -> list[str] | None:
    """Mnemonics, a label or an instruction a line, that assemble to `code`; None where it is not all instructions."""
    text = disassemble(code, syntax=Syntax.MNEMONIC)
    if not code or _DIRECTIVE in f"\n{text}":  # a directive stands for what is no instruction
        return None
    return [line.strip() for line in text.splitlines()] if assemble_bytes(text) == code else None
