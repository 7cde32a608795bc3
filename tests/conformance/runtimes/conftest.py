"""Programs to be asked, and cases to ask them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pybpftime.conformance.case import Case
from pybpftime.isa.assembler import assemble_bytes
from pybpftime.kernel import available

Script = Callable[..., str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Writes an executable text; `python` puts the line in front that has this Python run it, `sh` the shell."""

    def write(text: str, kind: str = "sh", name: str = "runtime") -> str:
        first = {"sh": "#!/bin/sh\n", "python": f"#!{sys.executable} -SE\n", "": ""}[kind]
        path = tmp_path / name
        path.write_text(first + text, "utf-8")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    """A case of assembly text or bytes that expects nothing in particular."""

    def make(text: str | bytes, **fields: object) -> Case:
        code = text if isinstance(text, bytes) else assemble_bytes(text)
        return Case(**{"name": "case", "code": code, "expected": (), **fields})

    return make


@pytest.fixture(scope="session")
def bpf() -> None:
    """Skips where the kernel cannot be asked."""
    reason = available()
    if reason is not None:
        pytest.skip(f"needs bpf(2): {reason}")
