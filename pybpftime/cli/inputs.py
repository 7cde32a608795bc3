"""What commands accept: files, `-`, hex and JSON on the command line."""

from __future__ import annotations

import json
import os
import random
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from types import ModuleType
from typing import Any

import click

from pybpftime.cli.failure import with_line
from pybpftime.errors import InputError
from pybpftime.helpers import HelperTable
from pybpftime.machine import Environment, Limits
from pybpftime.machine.environment import RANGES, STACKS, check_field
from pybpftime.program.elf_file import MAGIC as ELF_MAGIC
from pybpftime.program.elf_file import MAX_FILE
from pybpftime.program.hextext import parse_hex
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.program.types import program_type
from pybpftime.runtime.load import read_file, read_object, resolve_helpers, with_type
from pybpftime.runtime.names import hint, no_such

SOURCE = click.argument("source", metavar="OBJ")
TYPE = click.option(
    "--type", "-t", "type_", metavar="TYPE", help="Program type (xdp, sched_cls, ...), for raw programs above all."
)
HELPER_FILES = click.option(
    "--helpers", "helper_files", multiple=True, metavar="FILE", help="Python module with helpers of your own."
)


def level_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options `strict`, `linux` and `lenient`, for `chosen_level`."""
    for name, text in (
        ("lenient", "RFC 9669 results, no checks but memory bounds."),
        ("linux", "What a verified program may do (default)."),
        ("strict", "Fault on everything undefined or unportable."),
    ):
        command = click.option(f"--{name}", is_flag=True, help=text)(command)
    return command


def chosen_level(*, strict: bool, linux: bool, lenient: bool) -> str:
    """The name of the level that was asked for."""
    given = only_one({"--strict": strict, "--linux": linux, "--lenient": lenient})
    return "linux" if given is None else given.removeprefix("--")


def only_one(given: Mapping[str, bool]) -> str | None:
    """The one of some options that was given, or None; InputError when they are several."""
    names = [name for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise InputError(f"{' and '.join(names)} exclude each other")
    return names[0] if names else None


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def is_text(content: bytes) -> bool:
    """Whether raw programs are taken as text: the rule of `isa.text_input`."""
    try:
        return not _CONTROL.search(content.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def read_content(source: str) -> tuple[bytes, str | None]:
    """The bytes of a file and its name; of standard input for `-`, which has none."""
    if not source:
        raise InputError("an empty file name")
    if source != "-":
        return read_file(source), source
    try:
        content = sys.stdin.buffer.read(MAX_FILE + 1)
    except OSError as error:
        raise InputError(f"standard input cannot be read: {error.strerror or error}") from None
    if len(content) > MAX_FILE:
        raise InputError(f"standard input has more than {MAX_FILE >> 20} MiB")
    return content, None


def read_source(
    source: str, type: str | None = None, helpers: HelperTable | None = None, *, program: str | None = None
) -> ObjectSpec:
    """The object in a file, or on standard input for `-`; assembly may call `helpers` by name.

    `type` is that of the programs, or of the one called `program`, where the object does not name it.
    """
    content, file = read_content(source)
    is_object = content.startswith(ELF_MAGIC)
    with showing_lines(content):
        spec = read_object(content, type=None if is_object else type, name=file, helpers=helpers)
    chosen = choose_programs(spec, program)
    if type is None or not is_object:
        return spec
    typed = {one.name: with_type(one, program_type(type)) for one in chosen}
    return replace(spec, programs={**spec.programs, **typed})


@contextmanager
def showing_lines(content: bytes) -> Iterator[None]:
    """Errors about a line of `content`, where that is text, show the line."""
    try:
        yield
    except InputError as error:
        if error.line is None or not is_text(content):
            raise
        raise with_line(error, content.decode("utf-8")) from None


def choose_programs(spec: ObjectSpec, name: str | None) -> list[ProgramSpec]:
    """All programs of an object, or the one called `name`; InputError with near names when there is none."""
    if name is None:
        return list(spec.programs.values())
    if name not in spec.programs:
        raise no_such("program", name, spec.programs, spec.file)
    return [spec.programs[name]]


def read_bytes(option: str, text: str) -> bytes:
    """Bytes given as hex, or in a file (`-`: standard input): hex text, or binary where it is no text."""
    if text != "-" and not names_file(text):
        return parse_hex_argument(option, text)
    content, file = read_content(text)
    if not content or not is_text(content):
        return content
    return _parse_hex(content.decode("utf-8-sig"), file=file or "standard input")


def parse_hex_argument(option: str, text: str) -> bytes:
    """Bytes that are written in hex as the value of `option`."""
    if os.path.isdir(text[:MAX_NAME]):
        raise InputError(f"{option}: {text} is a directory")
    if not text.strip():
        raise InputError(f"{option}: neither a file nor hex: it is empty")
    return _parse_hex(text, prefix=f"{option}: neither a file nor hex")


def _parse_hex(text: str, *, file: str | None = None, prefix: str = "") -> bytes:
    try:
        return parse_hex(text)
    except InputError as error:
        raise with_line(error.at(file=file), text, prefix=prefix) from None


def read_json(option: str, text: str) -> Any:
    """JSON given as it is, or in a file (`@FILE`, or the name of one that exists)."""
    file = text.removeprefix("@") if text.startswith("@") or names_file(text) else None
    content = text if file is None else _read_text(read_content(file)[0], file)
    what = f"{option}: no JSON" if file is None else f"{option}: {file}: no JSON"
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise with_line(InputError(error.msg, line=error.lineno, column=error.colno), content, prefix=what) from None
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        raise InputError(f"{what}: {reason}") from None


def _read_text(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("is no text in UTF-8", file=file, offset=error.start) from None


MAX_NAME = 4096
"""The longest name of a file, in characters (PATH_MAX)."""


def names_file(text: str) -> bool:
    """Whether an argument names something to read (a file, a pipe, a device), rather than being the thing itself."""
    try:
        return len(text) < MAX_NAME and not stat.S_ISDIR(os.stat(text).st_mode)
    except (OSError, ValueError):
        return False


def read_helpers(files: tuple[str, ...]) -> tuple[HelperTable, list[ModuleType]]:
    """The helpers of this package, of installed ones and of the user's modules; and these modules."""
    for file in files:
        require_name("--helpers", file)
    return resolve_helpers(files)


def require_name(option: str, file: str | None) -> None:
    """InputError for the name of a file that is empty, as of a variable of the shell that is not set."""
    if file == "":
        raise InputError(f"{option}: an empty file name")


def read_limits(text: str | None) -> Limits:
    """--limits: an object of the fields of Limits."""
    values = {} if text is None else _fields("--limits", text, [field.name for field in fields(Limits)])
    try:
        return Limits(**values)
    except InputError as error:
        raise InputError(f"--limits: {error}") from None


def make_environment(offered: Environment | None, cpus: int | None, text: str | None) -> Environment:
    """The environment of a helper module, else the usual one, with what --cpus and --environment set."""
    environment = Environment() if offered is None else offered
    if cpus is not None:
        environment.cpu_count = cpus
    if text is not None:
        set_environment(environment, text)
    if environment.cpu >= environment.cpu_count:
        raise InputError(f"there is no cpu {environment.cpu}: --cpus says how many there are, {environment.cpu_count}")
    return environment


def set_environment(environment: Environment, text: str) -> None:
    """--environment: set fields of `environment` from an object of them; `random_seed` stands for `random`.

    How many cpus there are, --cpus says.
    """
    numbers = [name for name in RANGES if name != "cpu_count"]
    values = _fields("--environment", text, [*numbers, "random_seed", "comm", *STACKS])
    for name, value in values.items():
        if name == "random_seed":
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 64:
                raise InputError(f"--environment: random_seed is a number from 0 to {(1 << 64) - 1}")
            environment.random = random.Random(value)
            continue
        try:
            check_field(name, value)
        except InputError as error:
            raise InputError(f"--environment: {error}") from None
        setattr(environment, name, value)


def _fields(option: str, text: str, names: list[str]) -> dict[str, Any]:
    """A JSON object with no other keys than `names`."""
    values = read_json(option, text)
    if not isinstance(values, dict):
        raise InputError(f"{option} takes a JSON object of {', '.join(names)}")
    for name in values:
        if name not in names:
            raise InputError(f"{option}: there is no field {name!r:.40}; {hint(name, names)}")
    return values
