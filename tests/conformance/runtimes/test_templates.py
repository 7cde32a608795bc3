"""`pybpftime conformance new-plugin`: what it writes builds, runs, and answers as the protocol wants it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pybpftime.cli.conformance import conformance
from pybpftime.conformance.case import Case, Signature
from pybpftime.conformance.runtime import Outcome, OutcomeKind
from pybpftime.conformance.runtimes.profiles import Options, open_runtime
from pybpftime.conformance.runtimes.templates import TEMPLATES
from pybpftime.errors import FaultKind, InputError

MakeCase = Callable[..., Case]
COMPILERS = {"c": "gcc", "rust": "rustc", "go": "go", "python": "python3"}
WARNINGS = {"c": "cc -std=c11 -Wall -Wextra -Wpedantic -Werror ", "rust": "rustc -D warnings "}


def new_plugin(*arguments: str) -> Result:
    return CliRunner().invoke(conformance, ["new-plugin", *arguments])


@pytest.mark.parametrize("language", list(TEMPLATES))
def test_a_template_builds_and_runs_as_it_is(language: str, tmp_path: Path, make_case: MakeCase) -> None:
    if shutil.which(COMPILERS[language]) is None:
        pytest.skip(f"needs {COMPILERS[language]}")
    template = TEMPLATES[language]
    result = new_plugin("--lang", language, "--to", str(tmp_path / "new"))
    assert result.exit_code == 0, result.output
    folder = tmp_path / "new"
    if template.build:
        compiler, _, rest = template.build.partition(" ")
        command = WARNINGS.get(language, f"{compiler} ") + rest
        subprocess.run(
            command, shell=True, check=True, cwd=folder, timeout=300, env={**os.environ, "GO111MODULE": "off"}
        )
    runtime = open_runtime(f"line:{folder / template.program}", Options(timeout=60))
    try:
        assert (runtime.profile.name, runtime.profile.shows) == ("toy", {"memory"})
        good = runtime.run(make_case("w0 = -2\nexit", memory=b"\x00\xff", budget=9))
        assert good == Outcome(OutcomeKind.RETURNED, Signature({0: 0xFFFFFFFE}, b"\x00\xff"))
        assert runtime.run(make_case("w0 = 7\nexit")).signature == Signature({0: 7}, b"")
        trapped = runtime.run(make_case("w0 = 7"))
        assert (trapped.kind, trapped.trap) == (OutcomeKind.TRAPPED, FaultKind.INSTRUCTION)
        assert runtime.run(make_case("w1 = 7\nexit")).kind is OutcomeKind.UNSUPPORTED
        assert runtime.run(make_case(b"\x95")).kind is OutcomeKind.TRAPPED
    finally:
        runtime.close()


@pytest.mark.parametrize("language", list(TEMPLATES))
def test_a_template_is_one_page_and_says_where_to_begin(language: str) -> None:
    text = TEMPLATES[language].text()
    assert "your runtime goes here" in text
    assert len(text.splitlines()) <= 110


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    assert new_plugin("--lang", "c", "--to", str(tmp_path)).exit_code == 0
    (tmp_path / "runtime.c").write_text("mine")
    result = new_plugin("--lang", "c", "--to", str(tmp_path))
    assert isinstance(result.exception, InputError)
    assert str(result.exception) == f"{tmp_path}/runtime.c: is there already, and is not written over"
    assert (tmp_path / "runtime.c").read_text() == "mine"


def test_it_says_what_to_do_next(tmp_path: Path) -> None:
    result = new_plugin("--lang", "c", "--to", str(tmp_path))
    assert (
        f"cd {tmp_path} && cc -O2 -o runtime runtime.c && pybpftime conformance run --runtime line:./runtime"
        in result.output
    )
