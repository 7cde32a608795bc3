"""What README.md shows is what happens: its commands are run, its Python too."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from attach.tracing import can_trace

__all__ = ["can_trace"]

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [(match[1], match[2]) for match in BLOCK.finditer((ROOT / "README.md").read_text(encoding="utf-8"))]
# What differs between runs and machines.
VARYING = re.compile(r"in [\d.]+ s \([\d,]+ a second\)|[\d,]+ instructions processed in [\d.]+ s")
# And in live processes: addresses, numbers, where libraries are, and the widths of columns.
VARYING_LIVE = (
    (re.compile(r"\b(?:0x[0-9a-f]+|[\d,]+)"), "N"),
    (re.compile(r"/\S*/(?=lib\w+\.so)"), "/"),
    (re.compile(r" +"), " "),
)


def shape(line: str, *, live: bool) -> str:
    """A line without what may differ."""
    line = VARYING.sub("in TIME", line.rstrip())
    for pattern, shown in VARYING_LIVE if live else ():
        line = pattern.sub(shown, line)
    return line


def commands(block: str) -> list[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> ") and not found[-1][1]:
            found[-1] = (found[-1][0] + "\n" + line[2:], [])
        else:
            found[-1][1].append(line)
    return found


CONSOLE = [
    (command, output)
    for language, block in BLOCKS
    if language == "console"
    for command, output in commands(block)
    if not command.startswith("make ")
]


@pytest.mark.parametrize(("command", "expected"), CONSOLE, ids=[command[:50] for command, _ in CONSOLE])
def test_a_command_prints_what_the_readme_shows(
    command: str, expected: list[str], request: pytest.FixtureRequest
) -> None:
    """Lines that are `...` stand for any number of lines."""
    live = command.startswith("pybpftime trace ")
    if live:
        request.getfixturevalue("can_trace")
    script = "from pybpftime.cli.main import main; main()"
    program = f"{shlex.quote(sys.executable)} -c {shlex.quote(script)}"
    completed = subprocess.run(
        ["sh", "-c", command.replace("pybpftime", program, 1)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    printed = [shape(line, live=live) for line in (completed.stdout + completed.stderr).splitlines()]
    printed = [line for line in printed if line]
    position = 0
    skipping = False
    for line in expected:
        wanted = shape(line, live=live)
        if wanted == "...":
            skipping = True
        elif wanted:
            if skipping:
                assert wanted in printed[position:], f"{wanted!r} is not printed behind line {position}:\n{printed}"
                position = printed.index(wanted, position)
            assert position < len(printed), f"{wanted!r} is not printed"
            assert printed[position] == wanted
            position += 1
            skipping = False
    assert skipping or position == len(printed), f"more is printed: {printed[position:]}"


PYTHON = [block for language, block in BLOCKS if language == "python"]


@pytest.mark.parametrize("block", [block for block in PYTHON if "def test_" not in block])
def test_python_runs(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), names)
    assert "pybpftime" in names, "the block used the library, and its own assertions held"


@pytest.mark.parametrize("block", [block for block in PYTHON if "def test_" in block])
def test_tests_pass(block: str, tmp_path: Path) -> None:
    (tmp_path / "test_shown.py").write_text(block, encoding="utf-8")
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:pybpftime", "-p", "pybpftime.testing.plugin"]
    completed = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(tmp_path / "test_shown.py")],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "1 passed" in completed.stdout, completed.stdout + completed.stderr


def test_the_readme_shows_something() -> None:
    assert len(CONSOLE) >= 4
    assert any(language == "python" for language, _ in BLOCKS)
