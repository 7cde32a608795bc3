"""The command as a process: exit codes, plain output when piped, readers that go away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-c", "from pybpftime.cli.main import main; main()")
OBJECT = "tests/programs/xdp_parser.bpf.o"
CAPTURE = "tests/captures/mixed.pcap"


def run(*arguments: str, input: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments],
        input=input, capture_output=True, check=False, cwd=ROOT, env=os.environ | environment,
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", OBJECT, "--pcap", CAPTURE, "--dump-maps"),
        ("run", OBJECT, "--packet", "00" * 60, "--trace"),
        ("info", OBJECT),
        ("disasm", OBJECT),
        ("btf", OBJECT),
        ("helpers",),
        ("maps",),
    ],
    ids=lambda arguments: " ".join(arguments[:1]),
)
def test_piped_output_is_plain(arguments: tuple[str, ...]) -> None:
    result = run(*arguments, TERM="xterm-256color", COLUMNS="40")
    assert result.returncode == 0
    assert result.stderr == b""
    assert b"\x1b" not in result.stdout
    lines = result.stdout.decode().splitlines()
    assert lines
    assert all(line == line.rstrip() for line in lines)
    assert arguments[0] == "btf" or max(map(len, lines)) > 60, "not folded to the width of some terminal"


def test_exit_codes() -> None:
    assert run("run", "-", input=b"r0 = 1\nexit\n").returncode == 0
    fault = run("run", "-", input=b"r0 = *(u64 *)(r1 + 0)\nexit\n")
    assert (fault.returncode, fault.stderr) == (1, b"")
    error = run("info", "no-such-file")
    assert (error.returncode, error.stdout) == (1, b"")
    assert error.stderr.decode() == "error: no-such-file: cannot be read: No such file or directory\n"
    assert run("info").returncode == 2


def test_reader_that_goes_away() -> None:
    """As `pybpftime disasm ... | head -1`: no traceback, no message."""
    process = subprocess.Popen(
        [*COMMAND, "run", OBJECT, "--pcap", CAPTURE, "--repeat", "200"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    first = process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert first.startswith(b"parse")
    assert process.wait() == 141
    assert errors == b""


def test_binary_is_not_written_to_a_terminal() -> None:
    pty = pytest.importorskip("pty", reason="needs pseudo-terminals")
    controller, terminal = pty.openpty()
    try:
        result = subprocess.run(
            [*COMMAND, "asm", "-"], input=b"exit\n", stdout=terminal, stderr=subprocess.PIPE, cwd=ROOT, check=False
        )
    finally:
        os.close(terminal)
        os.close(controller)
    assert result.returncode == 1
    assert b"binary is not written to a terminal" in result.stderr


def test_help_of_every_command_has_examples() -> None:
    for command in ("run", "info", "disasm", "asm", "btf", "helpers", "maps"):
        result = run(command, "--help")
        assert result.returncode == 0
        assert b"Examples:" in result.stdout
        assert f"pybpftime {command}".encode() in result.stdout


def test_help_starts_without_the_heavy_parts() -> None:
    code = "import sys; from pybpftime.cli.main import cli; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"rich", "elftools", "pybpftime.runtime", "pybpftime.engines"} & set(result.stdout.split())
