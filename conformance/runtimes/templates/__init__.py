"""Templates of a runtime that speaks the line protocol, one page for each language: a toy, and a place for yours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from pybpftime.errors import InternalError


@dataclass(frozen=True, slots=True)
class Template:
    """`file` is its name; `build` the command that makes `program` of it, empty when it runs as it is."""

    file: str
    build: str
    program: str

    def text(self) -> str:
        """What stands in it."""
        path = files(__name__) / self.file
        if not path.is_file():
            raise InternalError(f"the template {self.file} was not installed")
        return path.read_text("utf-8")


TEMPLATES: Mapping[str, Template] = {
    "c": Template("runtime.c", "cc -O2 -o runtime runtime.c", "runtime"),
    "rust": Template("runtime.rs", "rustc -O runtime.rs", "runtime"),
    "go": Template("runtime.go", "go build -o runtime runtime.go", "runtime"),
    "python": Template("runtime.py", "", "runtime.py"),
}
"""By language."""
