"""`pybpftime debug` on a program that is started: it stands still while its probe is stopped, and ends as without."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from attach.tracing import COMMAND, PATIENCE, PROGRAMS, ROOT, can_trace

__all__ = ["can_trace"]

pytestmark = pytest.mark.usefixtures("can_trace")

WORK = """
import ctypes, sys
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
blocks = [libc.malloc(size) for size in (1111111, 2222222)]
print("done")
sys.exit(7)
"""


def debug(commands: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "debug", str(PROGRAMS / "malloc.O0.bpf.o"), "-p", "malloc_entry", *options]
    return subprocess.run(
        [*command, "--", sys.executable, "-c", WORK],
        input=commands, capture_output=True, text=True, check=False, cwd=ROOT, timeout=PATIENCE,
    )  # fmt: skip


def test_stops_looks_goes_back_and_lets_it_go() -> None:
    commands = "break malloc.bpf.c:47 if size > 1000000\ncontinue\nprint size\nprint ctx->rdi\nreverse-step\n"
    commands += "step\ncontinue\nprint size\nreverse-continue\nprint size\ndelete\ncontinue\n"
    done = debug(commands)
    assert done.returncode == 7, done.stderr
    lines = done.stdout.splitlines()
    printed = [line.partition(" = ")[2] for line in lines if re.match(r"(\$\d+|size|ctx->rdi) = ", line)]
    assert printed == ["1111111", "1111111", "2222222", "1111111"]
    assert lines.count("done") == 1
    assert "waits, with malloc_entry at its probes" in done.stdout


def test_quitting_leaves_the_process_to_itself() -> None:
    done = debug("break malloc.bpf.c:47 if size == 1111111\ncontinue\nprint size\nquit\n")
    assert done.returncode == 7, done.stderr
    assert " = 1111111\n" in done.stdout
    assert "done" in done.stdout.splitlines()


def test_the_end_of_commands_leaves_it_too() -> None:
    done = debug("")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (7, "done")


def test_what_cannot_be_debugged_so() -> None:
    for options, words in (
        (("--tui", "--batch"), "--tui is for a user"),
        (("--tui",), "the full screen needs a terminal"),
        (("--ctx", "{}"), "a live process is what the program runs on, without --ctx"),
        (("--pcap", "x.pcap"), "--pcap"),
        (("--at", "nothing:here"), "here"),
    ):
        done = debug("", *options)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
