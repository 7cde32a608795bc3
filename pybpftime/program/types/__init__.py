"""Program types: their names, context structures, packets and verdicts, as tables without a machine."""

from __future__ import annotations

from pybpftime.program.types.layout import ContextLayout, Field, FieldKind
from pybpftime.program.types.returns import ReturnConvention, Verdict
from pybpftime.program.types.table import PROGRAM_TYPES, ContextKind, PacketAccess, ProgramTypeInfo, program_type

__all__ = [
    "PROGRAM_TYPES",
    "ContextKind",
    "ContextLayout",
    "Field",
    "FieldKind",
    "PacketAccess",
    "ProgramTypeInfo",
    "ReturnConvention",
    "Verdict",
    "program_type",
]
