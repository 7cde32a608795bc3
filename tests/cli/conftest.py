"""The command line in process: `invoke` runs a command, as a shell without a terminal would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pybpftime.cli.main import cli

TESTS = Path(__file__).resolve().parent.parent

Invoke = Callable[..., Result]


@pytest.fixture
def invoke() -> Invoke:
    """Run `pybpftime ARGUMENTS`; with `code` (default 0) the exit code that it must have."""

    def run(*arguments: object, input: str | bytes | None = None, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], input=input)
        unexpected = result.exception is not None and not isinstance(result.exception, SystemExit)
        if unexpected and result.exception is not None:
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def invoke_json(invoke: Invoke) -> Callable[..., Any]:
    """The data that a command prints with --json."""
    return lambda *arguments, **options: json.loads(invoke(*arguments, "--json", **options).stdout)


@pytest.fixture
def failure(invoke: Invoke) -> Callable[..., str]:
    """The message of a command that must fail: one sentence on standard error, nothing on standard output."""

    def run(*arguments: object, input: str | bytes | None = None, code: int = 1) -> str:
        result = invoke(*arguments, input=input, code=code)
        assert result.stdout == ""
        assert sum(line.lower().startswith("error: ") for line in result.stderr.splitlines()) == 1, result.stderr
        assert "Traceback" not in result.stderr
        assert len(result.stderr) < 600, "one clear sentence"
        return result.stderr

    return run


@pytest.fixture
def programs() -> Path:
    """The folder of the committed objects."""
    return TESTS / "programs"


@pytest.fixture
def captures() -> Path:
    """The folder of the committed captures."""
    return TESTS / "captures"
