"""Standard streams that are full, closed or endless: one line on standard error, never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "from pybpftime.cli.main import main; main()"
PLUGIN = "from pybpftime.cli.plugin import main; main()"
OBJECT = "tests/programs/xdp_parser.bpf.o"
PACKET = "00" * 60

COMMANDS = [
    ("--help",),
    ("--version",),
    ("run", "--help"),
    ("run", OBJECT, "--packet", PACKET),
    ("run", OBJECT, "--packet", PACKET, "--json"),
    ("verify", "tests/programs/lru.bpf.o"),
    ("verify", "tests/programs/lru.bpf.o", "--json"),
    ("info", OBJECT),
    ("disasm", OBJECT),
    ("asm", "-"),
    ("btf", OBJECT),
    ("helpers",),
    ("maps",),
]

if sys.platform == "win32":
    pytest.skip("needs a POSIX shell", allow_module_level=True)


def shell(redirection: str, code: str, *arguments: str, input: bytes | None = b"exit\n") -> tuple[int, bytes, str]:
    """Exit code, standard output and standard error of a process whose streams the shell sets up."""
    result = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", code, *arguments],
        input=input, capture_output=True, check=False, cwd=ROOT,
    )  # fmt: skip
    return result.returncode, result.stdout, result.stderr.decode()


def with_reader_gone(code: str, *arguments: str) -> tuple[int, str]:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            input=b"exit\n", stdout=writer, stderr=subprocess.PIPE, check=False, cwd=ROOT,
        )  # fmt: skip
    finally:
        os.close(writer)
    return result.returncode, result.stderr.decode()


def needs(device: str) -> None:
    if not Path(device).exists():
        pytest.skip(f"needs {device}")


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_output_that_cannot_be_written(arguments: tuple[str, ...]) -> None:
    needs("/dev/full")
    full = "error: standard output cannot be written: No space left on device\n"
    assert shell(">/dev/full", COMMAND, *arguments) == (1, b"", full)
    closed = "error: standard output cannot be written: Bad file descriptor\n"
    assert [line for line in shell(">&-", COMMAND, *arguments)[2].splitlines() if "warning" not in line] == [
        closed.rstrip()
    ]
    assert shell(">&-", COMMAND, *arguments)[0] == 1


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_reader_that_goes_away_is_141_for_every_command(arguments: tuple[str, ...]) -> None:
    assert with_reader_gone(COMMAND, *arguments) == (141, "")


def test_errors_that_cannot_be_written_keep_the_exit_code() -> None:
    needs("/dev/full")
    assert shell("2>/dev/full", COMMAND, "info", "no-such-file")[0] == 1
    assert shell("2>/dev/full", COMMAND, "info")[0] == 2


def test_a_file_does_not_become_the_closed_output(tmp_path: Path) -> None:
    output = tmp_path / "out.bin"
    assert shell("<&- >&-", COMMAND, "asm", "-")[0] == 1
    source = tmp_path / "program.s"
    source.write_text("exit\n")
    assert shell("<&- >&-", COMMAND, "asm", str(source), "-o", str(output)) == (0, b"", "")
    assert output.read_bytes().hex() == "9500000000000000"


def test_input_that_is_closed() -> None:
    assert shell("<&-", COMMAND, "run", "-") == (1, b"", "error: standard input is closed\n")
    assert shell("<&-", PLUGIN) == (1, b"standard input is closed\n", "")


# --- pybpftime-plugin -------------------------------------------------------------------------------------------------


def test_plugin_output_that_cannot_be_written() -> None:
    needs("/dev/full")
    full = "error: standard output cannot be written: No space left on device\n"
    closed = "error: standard output cannot be written: Bad file descriptor\n"
    program = ("--program", "b700000001000000 9500000000000000")
    assert shell(">/dev/full", PLUGIN, *program) == (1, b"", full)
    assert shell(">&-", PLUGIN, *program) == (1, b"", closed)
    assert with_reader_gone(PLUGIN, *program) == (141, "")


@pytest.mark.parametrize("arguments", [(), ("--elf",)], ids=["hex", "elf"])
def test_plugin_reads_no_more_than_it_can_use(arguments: tuple[str, ...]) -> None:
    needs("/dev/zero")
    result = shell("</dev/zero", PLUGIN, *arguments, input=None)
    assert result == (1, b"standard input has more than 64 MiB\n", "")


def test_plugin_input_that_cannot_be_read() -> None:
    code, text, errors = shell("0>/dev/null", PLUGIN)
    assert (code, errors) == (1, "")
    assert text.startswith(b"standard input cannot be read: ")


def test_plugin_that_is_interrupted() -> None:
    # Python's first words say that it is up; then it waits for its program.  Where this suite runs in the background,
    # children inherit that SIGINT is ignored.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{listen}; import pybpftime.cli.plugin; print('ready', flush=True); {PLUGIN}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        # More than a pipe holds: when it is all taken, the plugin is reading.
        process.stdin.write(b"00" * (1 << 20))
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        process.stdin.close()  # a signal between two system calls is seen when the next one returns
        assert process.stdout.read() == b"interrupted\n"
        assert process.stderr.read() == b""
    assert process.returncode == 1
