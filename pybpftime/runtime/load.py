"""`load`: from a file or text to an object that runs."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from pybpftime.errors import InputError
from pybpftime.helpers import KNOWN, HelperTable, default_helpers, installed_helper_modules, load_helper_module
from pybpftime.isa.encoding import Program as Instructions
from pybpftime.isa.text_input import parse_program_text
from pybpftime.machine import LEVELS, Environment, Limits, Observer, Strictness
from pybpftime.program.elf import load_object
from pybpftime.program.elf_file import MAGIC, MAX_FILE
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.program.types import PROGRAM_TYPES, program_type
from pybpftime.runtime.names import no_such
from pybpftime.runtime.objects import Object
from pybpftime.uapi import ProgramType

Addition = HelperTable | ModuleType | str | os.PathLike[str]
"""A table, a module with helpers, or the path of one."""
Helpers = Addition | Sequence[Addition]


def load(
    source: str | os.PathLike[str] | bytes | Instructions,
    *,
    type: str | ProgramType | None = None,
    level: str | Strictness = "linux",
    environment: Environment | None = None,
    helpers: Helpers | None = None,
    limits: Limits | None = None,
    engine: str = "reference",
    variables: Mapping[str, Any] | None = None,
    observers: Sequence[Observer] = (),
    verify: bool = False,
) -> Object:
    """Load programs and create their maps.

    `source` is a path, the bytes of a file, or instructions (from `assemble`).  A file is an ELF object, or a raw
    program: binary, hex or assembly.  `type` (`xdp`, `sched_cls`, ...) is for programs that do not name theirs;
    raw programs run on plain memory without it.  `level` is lenient, linux or strict.  `variables` sets global
    variables first, those of .rodata too.  `limits` are call depth, frame size, tail calls and loops.  `observers`
    watch every run.

    `helpers` are modules of helpers, or paths of them (their code runs), that come in addition to Linux's and those
    of installed packages; or a HelperTable that has all; or a list of these.  A module may offer an `environment`,
    which is used when none is given.  With `verify`, every program must be proved safe, and engines may rely on that;
    programs that Linux has no rules for (those without a type, and all at the lenient level) are not judged.

    Raises InputError for anything malformed or not supported, VerificationError for a program that is not proved safe.
    """
    if isinstance(level, str):
        if level not in LEVELS:
            raise no_such("level", level, LEVELS)
        level = LEVELS[level]
    table, modules = resolve_helpers(helpers)
    loaded = Object(
        read_object(source, type=type, helpers=table),
        level=level,
        environment=offered_environment(modules) if environment is None else environment,
        helpers=table,
        limits=limits,
        engine=engine,
        variables=variables,
        observers=observers,
    )
    if verify:
        from pybpftime.runtime.verification import require_proved  # most objects are loaded without

        require_proved(loaded, loaded.programs)
    return loaded


def resolve_helpers(helpers: Helpers | None) -> tuple[HelperTable, list[ModuleType]]:
    """The table that `load(helpers=...)` means, and the modules that it names, loaded."""
    given = list(helpers) if isinstance(helpers, list | tuple) else [] if helpers is None else [helpers]
    tables, modules = [], []
    for one in given:
        if isinstance(one, HelperTable):
            tables.append(one)
        elif isinstance(one, ModuleType):
            modules.append(one)
        elif isinstance(one, str | os.PathLike):
            modules.append(load_helper_module(one))
        else:
            wanted = "a HelperTable, a module, the path of one, or a list of them"
            raise InputError(f"helpers takes {wanted}, not {type(one).__name__}")
    if len(tables) > 1:
        raise InputError("helpers takes one HelperTable, and modules in addition to it")
    table = tables[0] if tables else installed_helpers()
    return table.extended(*modules) if modules else table, modules


@functools.cache
def installed_helpers() -> HelperTable:
    """Linux's helpers and those that installed packages offer; looked for once in a process."""
    modules = installed_helper_modules()
    return default_helpers().extended(*modules) if modules else default_helpers()


def offered_environment(modules: Sequence[ModuleType]) -> Environment | None:
    """What the one module that has an attribute `environment` offers: an Environment, or a function that makes one."""
    offers = [module for module in modules if hasattr(module, "environment")]
    if not offers:
        return None
    names = [f"helper module {getattr(module, '__file__', None) or module.__name__}" for module in offers]
    if len(offers) > 1:
        raise InputError(f"{' and '.join(names)} offer an environment each: give the one that is meant")
    offered = offers[0].environment
    if not isinstance(offered, Environment) and callable(offered):
        try:
            offered = offered()
        except Exception as error:
            reason = f"its environment cannot be made: {error.__class__.__name__}: {error}"
            raise InputError(f"{names[0]}: {reason}") from error
    if not isinstance(offered, Environment):
        raise InputError(f"{names[0]}: its environment is a {type(offered).__name__}, not an Environment")
    return offered


def read_object(
    source: str | os.PathLike[str] | bytes | Instructions,
    *,
    type: str | ProgramType | None = None,
    name: str | None = None,
    helpers: HelperTable | None = None,
) -> ObjectSpec:
    """The description of what `source` holds; see `load`.

    `name` is what errors call it, the path if left out.  Assembly may call Linux's helpers by name, and those of
    `helpers`.
    """
    given = None if type is None else program_type(type)
    if isinstance(source, tuple):
        return _raw_object(source, given, name)
    content, file = (source, name) if isinstance(source, bytes) else (read_file(source), name or os.fspath(source))
    if content.startswith(MAGIC):
        spec = load_object(content, name=file)
        if given is None:
            return spec
        return replace(spec, programs={name: with_type(one, given) for name, one in spec.programs.items()})
    try:
        return _raw_object(parse_program_text(content, helpers=helper_ids(helpers)), given, file)
    except InputError as error:
        raise error.at(file=file) from None


def helper_ids(table: HelperTable | None) -> dict[str, int]:
    """Numbers of helpers by name: all that Linux has, and those of `table`."""
    ids = {name: number for number, name in KNOWN.items()}
    return ids | {helper.declaration.name: helper.id for helper in table or ()}


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


def with_type(spec: ProgramSpec, given: ProgramType) -> ProgramSpec:
    """The program of an object with the type that was asked for; InputError when its section says another."""
    if spec.type not in (ProgramType.BPF_PROG_TYPE_UNSPEC, given):
        named = PROGRAM_TYPES[spec.type].name
        raise InputError(
            f"a type is for programs that do not name theirs: {spec.name} in section {spec.section} is of type {named}",
            file=spec.file,
        )
    return replace(spec, type=given)
