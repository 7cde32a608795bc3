"""Every command on files that are missing, empty, damaged or something else: one clear message, no traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from pybpftime.cli.main import cli
from pybpftime.errors import BpfError

COMMANDS = (("run",), ("verify",), ("info",), ("disasm",), ("asm",), ("btf",))
IDS = [command[0] for command in COMMANDS]

on_every_command = pytest.mark.parametrize("command", COMMANDS, ids=IDS)


@on_every_command
def test_missing_file(failure: Callable[..., str], command: tuple[str, ...], tmp_path: Path) -> None:
    message = failure(*command, tmp_path / "no-such.o")
    assert "no-such.o" in message
    assert "No such file" in message


@on_every_command
def test_directory(failure: Callable[..., str], command: tuple[str, ...], tmp_path: Path) -> None:
    assert "directory" in failure(*command, tmp_path).lower()


@on_every_command
def test_name_that_cannot_be_one(failure: Callable[..., str], command: tuple[str, ...]) -> None:
    assert "cannot be read" in failure(*command, "a\0b")


@pytest.mark.parametrize(
    "command", [("run",), ("verify",), ("info",), ("disasm",), ("btf",)], ids=lambda command: command[0]
)
@pytest.mark.parametrize("source", ["empty", "/dev/null", "-"])
def test_empty_input(failure: Callable[..., str], command: tuple[str, ...], source: str, tmp_path: Path) -> None:
    if source == "empty":
        source = str(tmp_path / "empty.o")
        Path(source).touch()
    assert failure(*command, source, input=b"")


@on_every_command
@pytest.mark.parametrize("length", [4, 16, 63, 64, 200, 5000])
def test_truncated_object(
    failure: Callable[..., str], command: tuple[str, ...], programs: Path, tmp_path: Path, length: int
) -> None:
    content = (programs / "xdp_parser.bpf.o").read_bytes()
    (tmp_path / "cut.bpf.o").write_bytes(content[:length])
    assert "cut.bpf.o" in failure(*command, tmp_path / "cut.bpf.o")


@pytest.mark.parametrize("command", [("run",), ("verify",), ("info",), ("btf",)], ids=lambda command: command[0])
def test_binary_of_another_kind(failure: Callable[..., str], command: tuple[str, ...], tmp_path: Path) -> None:
    junk = Random(1).randbytes(4003)
    (tmp_path / "junk").write_bytes(junk)
    assert failure(*command, tmp_path / "junk") or command == ("info",)


@pytest.mark.parametrize(
    "command", [("run",), ("verify",), ("info",), ("disasm",), ("asm",)], ids=lambda command: command[0]
)
def test_text_of_another_kind(failure: Callable[..., str], command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Sir or Madam,\n\nall is well.\n")
    message = failure(*command, tmp_path / "letter.txt")
    assert "letter.txt:1:" in message
    assert "Dear Sir or Madam" in message


@pytest.mark.parametrize("seed", range(40))
def test_mutated_objects_never_crash(programs: Path, tmp_path: Path, seed: int) -> None:
    """Whatever happens is output or an expected error; `make` has a campaign with more of them."""
    random = Random(seed)
    paths = sorted(programs.glob("*.bpf.o"))
    content = bytearray(random.choice(paths).read_bytes())
    for _ in range(random.choice((1, 3, 30))):
        content[random.randrange(len(content))] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
    path = tmp_path / "mutated.bpf.o"
    path.write_bytes(content)
    for command in ("info", "disasm", "btf"):
        result = CliRunner().invoke(cli, [command, str(path)])
        assert result.exception is None or isinstance(result.exception, (SystemExit, BpfError)), result.exception
        assert result.exit_code in (0, 1)
        assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rnu",), "did you mean run?"),
        (("frobnicate",), "there is run, verify, debug"),
        (("run",), "OBJ"),
        (("run", "x", "--repeat", "0"), "--repeat"),
        (("run", "x", "--frobnicate"), "--frobnicate"),
        (("disasm", "x", "--syntax", "intel"), "pseudo-c"),
        (("btf", "x", "--format", "xml"), "raw"),
    ],
)
def test_wrong_usage(failure: Callable[..., str], arguments: tuple[str, ...], message: str) -> None:
    assert message in failure(*arguments, code=2)
