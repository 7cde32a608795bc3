"""Programs and what they are loaded from: object files, types, packets, contexts."""

from __future__ import annotations

import os

from pybpftime.program.spec import (
    Extern,
    Function,
    MapReference,
    ObjectSpec,
    ProgramSpec,
    Reference,
    SourceLine,
    Trap,
)

__all__ = [
    "Extern",
    "Function",
    "MapReference",
    "ObjectSpec",
    "ProgramSpec",
    "Reference",
    "SourceLine",
    "Trap",
    "load_object",
]


def load_object(source: str | os.PathLike[str] | bytes, *, name: str | None = None) -> ObjectSpec:
    """Read a BPF object file, given as a path or as bytes: see `elf.load_object`."""
    from pybpftime.program import elf

    return elf.load_object(source, name=name)
