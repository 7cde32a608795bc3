"""docs/conformance.md: its commands are run one after the other, its files are read."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from pybpftime.conformance.runtimes.profile_file import read_profile

DOCUMENT = Path(__file__).parents[3] / "docs/conformance.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAM = f"{shlex.quote(sys.executable)} -c 'from pybpftime.cli.main import main; main()'"


def blocks(language: str) -> list[str]:
    return [match[2] for match in BLOCK.finditer(DOCUMENT.read_text("utf-8")) if match[1] == language]


def commands() -> list[tuple[str, list[str]]]:
    """Each command with the lines that the document shows."""
    found: list[tuple[str, list[str]]] = []
    for line in "".join(blocks("console")).splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def pattern(line: str) -> re.Pattern[str]:
    """A line of the document: `...` stands for anything, blanks for any number of blanks."""
    parts = [re.escape(" ".join(part.split())) for part in line.split("...")]
    return re.compile(r"\s*.*?\s*".join(parts) + r"\s*$")


def test_the_commands_print_what_the_document_shows(tmp_path: Path) -> None:
    folder = tmp_path
    for command, expected in commands():
        if command.startswith("cd "):
            folder = folder / command[3:]
            continue
        script = f'pybpftime() {{ {PROGRAM} "$@"; }}\n{command}'
        done = subprocess.run(
            ["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=300
        )
        assert "Traceback" not in done.stderr
        printed = iter(" ".join(line.split()) for line in done.stdout.splitlines())
        for line in expected:
            if line != "...":
                wanted = pattern(line)
                assert any(wanted.match(one) for one in printed), f"{command}\n{line}\n{done.stdout}{done.stderr}"


def test_the_document_has_commands() -> None:
    assert len(commands()) == 5


def test_the_profile_of_the_document_is_one(tmp_path: Path) -> None:
    [text] = blocks("toml")
    file = tmp_path / "my-runtime.toml"
    file.write_text(text)
    declaration = read_profile(file)
    assert (declaration.name, declaration.protocol) == ("my-runtime", "line")
    assert tomllib.loads(text)["limits"][0]["reason"] == declaration.claims["limits"][0].reason


def test_the_job_of_the_document_runs_our_command() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    [text] = blocks("yaml")
    steps = yaml.safe_load(text)["jobs"]["conformance"]["steps"]
    words = next(step["run"].split() for step in steps if "conformance run" in step.get("run", ""))
    assert words[:3] == ["pybpftime", "conformance", "run"]
    written = {option: name for option, name in pairwise(words) if option.startswith("--")}
    junit = next(step for step in steps if "junit" in step.get("uses", ""))
    assert junit["with"]["report_paths"] == written["--junit"]
    assert junit["if"] == "always()"
