"""The screen in a real terminal: tmux."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from debug.debug_support import MIXED, TESTS

pytest.importorskip("textual", reason="needs the package textual")

RUNNER = Path(__file__).with_name("run_screen.py")
PATIENCE = 120.0
"""Seconds after which the test gives up."""


class Terminal:
    """A terminal of 80x24 in which the screen runs."""

    def __init__(self, socket: Path, *command: str) -> None:
        self._socket = str(socket)
        environment = ("-e", f"PYTHONPATH={TESTS.parent}", "-e", "TERM=screen-256color")
        shell = " ".join(f"'{word}'" for word in command) + "; echo left with $?; read -r line"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", *environment, f'sh -c "{shell}"')

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False, capture_output=True)

    def tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments], capture_output=True, text=True, check=True, timeout=PATIENCE,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        return done.stdout

    def keys(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def text(self) -> str:
        return self.tmux("capture-pane", "-p")

    def wait_for(self, text: str) -> str:
        """Until the text is on the screen."""
        end = time.monotonic() + PATIENCE
        while text not in (seen := self.text()):
            assert time.monotonic() < end, f"{text!r} does not come; there is\n{seen}"
            time.sleep(0.05)
        return seen


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    path = TESTS / "programs" / "xdp_parser.O0.bpf.o"
    one = Terminal(tmp_path / "tmux", sys.executable, str(RUNNER), str(path), "parse", str(MIXED))
    with one:
        yield one


def test_a_session_in_tmux(terminal: Terminal) -> None:
    terminal.wait_for("parse at xdp_parser.bpf.c:318")
    terminal.keys("n")
    terminal.wait_for("parse at xdp_parser.bpf.c:320")
    terminal.keys("N")
    terminal.wait_for("parse at xdp_parser.bpf.c:318")
    terminal.keys("-l", "gparse_ipv4")  # as fast as can be
    terminal.keys("Enter")
    seen = terminal.wait_for("▶ 149·")
    assert "step 592 of 592" in seen
    terminal.keys("-l", "/header_length + 42")
    terminal.keys("Enter")
    terminal.wait_for("42  (unsigned int)")
    terminal.keys("?")
    terminal.wait_for("until the function returns")
    terminal.keys("Escape")
    terminal.wait_for("▶ 149·")
    terminal.tmux("resize-window", "-x", "140", "-y", "40")
    terminal.wait_for("Code  ")
    terminal.keys("c")
    terminal.wait_for("nothing is behind this")
    terminal.keys("q")
    terminal.wait_for("left with 0")
