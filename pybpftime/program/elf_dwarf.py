"""`read_debug_info`: the debug information (DWARF 4 and 5, as clang -g writes it) of a BPF object file."""

from __future__ import annotations

from collections.abc import Iterable

from pybpftime.errors import BpfError, InputError
from pybpftime.program.debug_info import CodeRange, DebugInfo, LineRow, Scope
from pybpftime.program.elf_dwarf_entries import EntryReader
from pybpftime.program.elf_dwarf_scopes import ScopeReader
from pybpftime.program.elf_dwarf_types import TypeTable
from pybpftime.program.elf_file import read_elf

MAX_DETAIL = 200


def read_debug_info(data: bytes) -> DebugInfo | None:
    """What the bytes of an object file say about its source; None if it was compiled without -g.

    InputError, in one sentence, if they are no object file or if the debug information is damaged.
    """
    elf = read_elf(data)
    if elf.find(".debug_info") is None:
        return None
    try:
        reader = EntryReader(elf)
        types = TypeTable(reader.entries)
        scopes = ScopeReader(reader, types)
        return DebugInfo(
            _by_section(reader.rows),
            tuple(sorted(scopes.functions(), key=_first_place)),
            tuple(scopes.variables()),
            types.build(),
            reader.files,
            tuple(unit.root.text("DW_AT_producer") for unit in reader.units if unit.root is not None),
        )
    except BpfError:
        raise
    except Exception as error:  # whatever pyelftools cannot read is damaged
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_DETAIL]
        raise InputError(f"the debug information is damaged ({detail})") from error


def _by_section(rows: Iterable[LineRow]) -> dict[str, tuple[LineRow, ...]]:
    """Rows by section in order.  Of rows at one place the last one counts, and the end of a sequence comes first."""
    found: dict[str, list[LineRow]] = {}
    for row in rows:
        found.setdefault(row.section, []).append(row)
    return {
        section: tuple(sorted(of_section, key=lambda row: (row.offset, not row.end)))
        for section, of_section in found.items()
    }


def _first_place(function: Scope) -> CodeRange:
    return min(function.ranges)
