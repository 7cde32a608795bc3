"""The files of a report: each is replaced in one step, so that what is there is always whole."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybpftime.conformance.report.badge import badge
from pybpftime.conformance.report.data import Report
from pybpftime.conformance.report.document import document
from pybpftime.conformance.report.junit import junit
from pybpftime.conformance.report.page import page
from pybpftime.errors import HostError


@dataclass(frozen=True, slots=True)
class Targets:
    """Where to write what; None for what is not wanted."""

    json: str | None = None
    junit: str | None = None
    html: str | None = None
    badge: str | None = None

    def __bool__(self) -> bool:
        return any((self.json, self.junit, self.html, self.badge))


def write(report: Report, targets: Targets) -> None:
    """Write every file that is wanted.  HostError when one cannot be."""
    data = document(report) if targets.json or targets.html else {}
    makers: tuple[tuple[str | None, Callable[[], str]], ...] = (
        (targets.json, lambda: json_text(data)),
        (targets.junit, lambda: junit(report)),
        (targets.html, lambda: page(data)),
        (targets.badge, lambda: badge(report)),
    )
    for name, make in makers:
        if name is not None:
            replace_file(name, make())


def json_text(data: Mapping[str, Any]) -> str:
    """The document with a line for each case, so that two reports can be compared by eye."""
    parts = []
    for name, value in data.items():
        text = json.dumps(value, ensure_ascii=True)
        if isinstance(value, list) and name in ("cases", "runtimes"):
            text = "[\n" + ",\n".join(json.dumps(one, ensure_ascii=True) for one in value) + "\n]"
        parts.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def replace_file(name: str, text: str) -> None:
    """Make the file hold `text`, beside it first.  A link is followed; what is no file (a pipe) is written to."""
    path = Path(os.path.realpath(name))
    content = text.encode("utf-8", "backslashreplace")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(handle, "wb") as stream:
                stream.write(content)
            os.chmod(beside, path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask())
            os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
    except OSError as error:
        raise HostError("the report cannot be written", errno=error.errno, file=name) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
