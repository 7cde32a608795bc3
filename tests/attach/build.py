"""Compiles the C programs of `targets/`, which the tests of this folder and of ELF symbols look at and attach to."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TARGETS = Path(__file__).parent / "targets"

BuildTarget = Callable[..., Path]
"""`build_target(name, *flags, output=None)`: gcc makes `targets/NAME.c` with `flags` a file called `output` or NAME.

g++ makes `targets/NAME.cpp`."""


@pytest.fixture(scope="session")
def build_target(tmp_path_factory: pytest.TempPathFactory) -> BuildTarget:
    """A BuildTarget.  What was built once with the same arguments is not built again."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        pytest.skip("needs Linux on x86-64")
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    built: dict[tuple[str, ...], Path] = {}

    def build(name: str, *flags: str, output: str | None = None) -> Path:
        key = (name, *flags, output or name)
        if key not in built:
            path = tmp_path_factory.mktemp(name) / (output or name)
            source = TARGETS / f"{name}.c"
            compiler = "gcc" if source.exists() else "g++"
            if shutil.which(compiler) is None:
                pytest.skip(f"needs {compiler}")
            source = source if source.exists() else source.with_suffix(".cpp")
            command = [compiler, "-O1", "-Wall", "-pthread", "-o", str(path), str(source), *flags]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode != 0 and "static" in " ".join(flags) and "cannot find" in run.stderr:
                pytest.skip("needs libraries for static linking")
            assert run.returncode == 0, run.stderr
            built[key] = path
        return built[key]

    return build
