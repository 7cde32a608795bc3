"""What commands accept: files, `-`, hex and JSON on the command line."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from pybpftime.cli.failure import with_line
from pybpftime.errors import InputError
from pybpftime.helpers import HelperTable
from pybpftime.machine import Environment, Limits
from pybpftime.program.hextext import parse_hex
from pybpftime.program.spec import ObjectSpec, ProgramSpec
from pybpftime.runtime.load import MAX_FILE, read_file, read_object, resolve_helpers

SOURCE = click.argument("source", metavar="OBJ")
TYPE = click.option(
    "--type", "-t", "type_", metavar="TYPE", help="Program type (xdp, sched_cls, ...), for raw programs above all."
)
HELPER_FILES = click.option(
    "--helpers", "helper_files", multiple=True, metavar="FILE", help="Python module with helpers of your own."
)


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def is_text(content: bytes) -> bool:
    """Whether raw programs are taken as text: the rule of `isa.text_input`."""
    try:
        return not _CONTROL.search(content.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def read_content(source: str) -> tuple[bytes, str | None]:
    """The bytes of a file and its name; of standard input for `-`, which has none."""
    if source != "-":
        return read_file(source), source
    content = sys.stdin.buffer.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise InputError(f"standard input has more than {MAX_FILE >> 20} MiB")
    return content, None


def read_source(source: str, type: str | None = None, helpers: HelperTable | None = None) -> ObjectSpec:
    """The object in a file, or on standard input for `-`; assembly may call `helpers` by name."""
    content, file = read_content(source)
    with showing_lines(content):
        return read_object(content, type=type, name=file, helpers=helpers)


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
        raise InputError(f"there is no program named {name}; {hint(name, spec.programs)}", file=spec.file)
    return [spec.programs[name]]


def hint(name: str, names: Any) -> str:
    """What the user may have meant: near names, else all of them if they are few."""
    known = list(names)
    near = get_close_matches(name, known, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    if not known:
        return "there is none"
    return f"there is {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}"


def read_bytes(text: str) -> bytes:
    """Bytes given as hex, or in a file (`-`: standard input): binary, or hex text."""
    if text != "-" and not is_file(text):
        try:
            return parse_hex(text)
        except InputError as error:
            raise with_line(error, text) from None
    content, _ = read_content(text)
    try:
        return parse_hex(content.decode("ascii"))
    except (UnicodeDecodeError, InputError):
        return content


def read_json(text: str) -> Any:
    """JSON given as it is, or in a file (`@FILE`, or the name of one that exists)."""
    file = text.removeprefix("@") if text.startswith("@") or is_file(text) else None
    content = text if file is None else read_file(file).decode("utf-8", errors="replace")
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        located = InputError(f"no JSON: {error.msg}", file=file, line=error.lineno, column=error.colno)
        raise with_line(located, content) from None
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        raise InputError(f"no JSON: {reason}", file=file) from None


def is_file(text: str) -> bool:
    """Whether an argument names a file, rather than being the thing itself."""
    try:
        return len(text) < 4096 and Path(text).is_file()
    except (OSError, ValueError):
        return False


def read_helpers(files: tuple[str, ...]) -> HelperTable:
    """The helpers of this package, of installed ones and of the user's modules."""
    return resolve_helpers(files)[0]


def read_limits(text: str | None) -> Limits:
    """--limits: an object of the fields of Limits."""
    values = {} if text is None else _fields("--limits", text, [field.name for field in fields(Limits)])
    try:
        return Limits(**values)
    except InputError as error:
        raise InputError(f"--limits: {error}") from None


# What --environment sets: the field of Environment, and the least and the largest number that it takes.
_U32, _U64 = (1 << 32) - 1, (1 << 64) - 1
_NUMBERS = {
    "time_ns": (0, _U64), "tick_ns": (0, _U64),
    "boot_offset_ns": (-_U64, _U64), "tai_offset_ns": (-_U64, _U64), "wall_offset_ns": (-_U64, _U64),
    "random_seed": (0, _U64), "cpu": (0, 4095), "numa_node": (0, _U32), "cgroup_id": (0, _U64),
    "pid": (0, _U32), "tid": (0, _U32), "uid": (0, _U32), "gid": (0, _U32),
}  # fmt: skip
_STACKS = ("kernel_stack", "user_stack")
MOST_ADDRESSES = 127


def set_environment(environment: Environment, text: str) -> None:
    """--environment: set fields of `environment` from an object of them; `random_seed` stands for `random`."""
    values = _fields("--environment", text, [*_NUMBERS, "comm", *_STACKS])
    for name, value in values.items():
        if name in _NUMBERS:
            _require_number(f"--environment: {name}", value, *_NUMBERS[name])
        elif name == "comm" and not _is_unicode(value):
            raise InputError("--environment: comm is text")
        elif name in _STACKS:
            if not isinstance(value, list) or len(value) > MOST_ADDRESSES:
                raise InputError(f"--environment: {name} is a list of at most {MOST_ADDRESSES} addresses")
            for address in value:
                _require_number(f"--environment: an address of {name}", address, 0, _U64)
        if name == "random_seed":
            environment.random = random.Random(value)
        else:
            setattr(environment, name, value)


def _fields(option: str, text: str, names: list[str]) -> dict[str, Any]:
    """A JSON object with no other keys than `names`."""
    values = read_json(text)
    if not isinstance(values, dict):
        raise InputError(f"{option} takes a JSON object of {', '.join(names)}")
    for name in values:
        if name not in names:
            raise InputError(f"{option}: there is no field {name!r:.40}; {hint(name, names)}")
    return values


def _is_unicode(value: object) -> bool:
    """Whether it is text without lone surrogates, which JSON can write and nothing can encode."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def _require_number(what: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{what} is a number from {least} to {most}")
