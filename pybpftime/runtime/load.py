"""`load`: from a file or text to an object that runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pybpftime.errors import InputError
from pybpftime.helpers import HelperTable
from pybpftime.isa.encoding import Program as Instructions
from pybpftime.isa.text_input import parse_program_text
from pybpftime.machine import LEVELS, Environment, Observer, Strictness
from pybpftime.program.elf import load_object
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.program.types import program_type
from pybpftime.runtime.objects import Object
from pybpftime.uapi import ProgramType

ELF_MAGIC = b"\x7fELF"
MAX_FILE = 64 << 20
"""The largest file that is read, in bytes."""


def load(
    source: str | os.PathLike[str] | bytes | Instructions,
    *,
    type: str | ProgramType | None = None,
    level: str | Strictness = "linux",
    environment: Environment | None = None,
    helpers: HelperTable | None = None,
    engine: str = "reference",
    variables: Mapping[str, Any] | None = None,
    observers: Sequence[Observer] = (),
) -> Object:
    """Load programs and create their maps.

    `source` is a path, the bytes of a file, or instructions (from `assemble`).  A file is an ELF object, or a raw
    program: binary, hex or assembly.  `type` (`xdp`, `sched_cls`, ...) is for programs that do not name theirs;
    raw programs run on plain memory without it.  `level` is lenient, linux or strict.  `variables` sets global
    variables first, those of .rodata too.  `observers` watch every run.  Raises InputError for anything malformed or
    not supported.
    """
    if isinstance(level, str):
        if level not in LEVELS:
            raise InputError(f"there is no level named {level}; there is {', '.join(LEVELS)}")
        level = LEVELS[level]
    return Object(
        read_object(source, type=type),
        level=level, environment=environment, helpers=helpers, engine=engine, variables=variables, observers=observers,
    )  # fmt: skip


def read_object(
    source: str | os.PathLike[str] | bytes | Instructions,
    *,
    type: str | ProgramType | None = None,
    name: str | None = None,
) -> ObjectSpec:
    """The description of what `source` holds; see `load`.  `name` is what errors call it, the path if left out."""
    given = None if type is None else program_type(type)
    if isinstance(source, tuple):
        return _raw_object(source, given, name)
    content, file = (source, name) if isinstance(source, bytes) else (read_file(source), name or os.fspath(source))
    if content.startswith(ELF_MAGIC):
        spec = load_object(content, name=file)
        return spec if given is None else _with_type(spec, given)
    try:
        return _raw_object(parse_program_text(content), given, file)
    except InputError as error:
        raise error.at(file=file) from None


def read_file(file: str | os.PathLike[str]) -> bytes:
    """The bytes of a file; InputError that names it when it cannot be read or is too large."""
    path = os.fspath(file)
    try:
        with open(path, "rb") as stream:
            content = stream.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot be read: {reason}", file=path) from None
    if len(content) > MAX_FILE:
        raise InputError(f"has more than {MAX_FILE >> 20} MiB", file=path)
    return content


def _raw_object(instructions: Instructions, given: ProgramType | None, file: str | None) -> ObjectSpec:
    name = Path(file).stem if file else "program"
    spec = ProgramSpec(name, instructions, type=given or ProgramType.BPF_PROG_TYPE_UNSPEC, file=file)
    return ObjectSpec(file, {name: spec}, {}, license="GPL")


def _with_type(spec: ObjectSpec, given: ProgramType) -> ObjectSpec:
    from dataclasses import replace

    programs = {name: replace(program, type=given) for name, program in spec.programs.items()}
    return replace(spec, programs=programs)
