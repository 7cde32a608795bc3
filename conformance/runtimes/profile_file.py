"""Profiles in TOML files: how a runtime is called, and what it claims.

Every key but `command` (or `library`) may be left out:

    name = "my-runtime"          description = "..."    version = "1.0"
    protocol = "line"            plugin (the default) or line; a library needs none
    command = ["./my_runtime", "--jit"]                 runs in the folder of the file
    library = "libmy.so"         instead of a command
    groups = ["base64"]          features = ["calls"]    refuses = ["malformed"]    shows = ["memory"]
    budget = true                timeout = 10.0          memory-limit = 512 (MiB)   retries = 0
    [[limits]]                   pattern = "atomic/*"    reason = "..."             refusal = "..."

What a runtime says about itself (line protocol, library) holds where the profile says nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybpftime.conformance.runtime import Limit
from pybpftime.conformance.runtimes.line_protocol import CHOICES, chosen
from pybpftime.errors import BpfError, InputError

MEBIBYTE = 1 << 20
PROTOCOLS = ("plugin", "line")  # of a command
PLAIN = ("name", "description", "version", "budget", "timeout")


@dataclass(frozen=True, slots=True)
class Declaration:
    """A runtime that is a program or a library; `claims` replace fields of the profile it has by itself."""

    name: str
    protocol: str
    command: tuple[str, ...]
    claims: Mapping[str, Any]
    memory_limit: int | None = None
    retries: int = 0
    folder: Path | None = None


def read_profile(path: Path) -> Declaration:
    """The declaration in a file.  InputError that names the file and the key."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"no TOML: {error}", file=str(path)) from None
    try:
        return _declaration(content, path)
    except BpfError as error:
        raise InputError(error.reason, file=str(path)) from None


def _declaration(content: dict[str, Any], path: Path) -> Declaration:
    for key, value in content.items():
        if key not in KEYS:
            raise InputError(f"{key!r} is none of {', '.join(KEYS)}")
        KEYS[key](key, value)
    library = content.get("library")
    if (library is None) == ("command" not in content):
        raise InputError("either `command` or `library` says what is called, and not both")
    protocol = content.get("protocol", "plugin") if library is None else "library"
    if library is None and protocol not in PROTOCOLS:
        raise InputError(f"protocol: {protocol!r} is none of {', '.join(PROTOCOLS)}")
    claims: dict[str, Any] = {
        key: content[key] for key in ("name", "description", "version", "budget", "timeout") if key in content
    }
    claims |= {key: chosen(key, content[key]) for key in CHOICES if key in content}
    claims["limits"] = tuple(_limit(one) for one in content.get("limits", ()))
    megabytes = content.get("memory-limit")
    return Declaration(
        content.get("name", path.stem), protocol, tuple(content.get("command", (library,))), claims,
        None if megabytes is None else megabytes * MEBIBYTE, content.get("retries", 0), path.parent,
    )  # fmt: skip


def _limit(content: dict[str, Any]) -> Limit:
    for key, value in content.items():
        if key not in ("pattern", "reason", "refusal"):
            raise InputError(f"limits: {key!r} is none of pattern, reason, refusal")
        _text(f"limits: {key}", value)
    if "reason" not in content:
        raise InputError("limits: each has a reason")
    return Limit(content.get("pattern", "*"), content["reason"], content.get("refusal", ""))


def _text(key: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{key}: is a text, not {value!r}")


def _texts(key: str, value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InputError(f"{key}: is a list of texts, not {value!r}")


def _words(key: str, value: object) -> None:
    _texts(key, value)
    if not isinstance(value, list) or not value or not value[0]:
        raise InputError(f"{key}: begins with the program")


def _flag(key: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InputError(f"{key}: is true or false, not {value!r}")


def _count(key: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 32:
        raise InputError(f"{key}: is a number from 0, not {value!r}")


def _seconds(key: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 86400:
        raise InputError(f"{key}: is a number of seconds above 0, not {value!r}")


def _tables(key: str, value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InputError(f"{key}: are tables, written [[{key}]]")


KEYS: Mapping[str, Callable[[str, object], None]] = {
    "name": _text,
    "description": _text,
    "version": _text,
    "protocol": _text,
    "command": _words,
    "library": _text,
    **dict.fromkeys(CHOICES, _texts),
    "budget": _flag,
    "timeout": _seconds,
    "memory-limit": _count,
    "retries": _count,
    "limits": _tables,
}
"""The keys of a profile, with what checks their values."""
