"""The files of a report: each is replaced in one step, so that what is there is always whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pybpftime.conformance.replacing import replace_file
from pybpftime.conformance.report.badge import badge
from pybpftime.conformance.report.data import Report
from pybpftime.conformance.report.document import document
from pybpftime.conformance.report.junit import junit
from pybpftime.conformance.report.page import page


@dataclass(frozen=True, slots=True)
class Targets:
    """Where to write what; None for what is not wanted."""

    json: str | None = None
    junit: str | None = None
    html: str | None = None
    badge: str | None = None

    def __bool__(self) -> bool:
        return any((self.json, self.junit, self.html, self.badge))


def texts(report: Report) -> Mapping[str, Callable[[], str]]:
    """What makes each report, by its name in `Targets`."""
    data = cache(lambda: document(report))
    return {
        "json": lambda: json_text(data()),
        "junit": lambda: junit(report),
        "html": lambda: page(data()),
        "badge": lambda: badge(report),
    }


def write(report: Report, targets: Targets, *, final: bool) -> None:
    """Write every file that is wanted; a pipe gets its report only when that is the final one.

    HostError when one cannot be written.
    """
    for kind, make in texts(report).items():
        name = getattr(targets, kind)
        if name is not None and (final or not os.path.exists(name) or os.path.isfile(name)):
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
