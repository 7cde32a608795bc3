"""Who reads lines: files and pipes, a terminal without prompt_toolkit, and Ctrl-C."""

from __future__ import annotations

import builtins
import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from debug.repl.repl_support import parser, program

from pybpftime.debug.repl import shell
from pybpftime.debug.repl.shell import PlainLines, TerminalLines, history_file, interrupting, run_shell, terminal_lines

LOOP = "r0 = 0\nagain: r0 += 1\ngoto again"


def nothing(text: str) -> tuple[int, list[str]]:
    """A completer that knows nothing."""
    return len(text), []


def test_lines_of_a_pipe() -> None:
    repl = parser()
    run_shell(repl, PlainLines(io.BytesIO(b"p 1\r\n\n\xff\xfe\np 2")))
    lines = repl.taken().splitlines()
    assert lines[0] == "$1 = 1"
    assert lines[-1] == "$2 = 2"
    assert sum(line.startswith("error: ") for line in lines) == 1


def test_quit_leaves_the_rest() -> None:
    repl = parser()
    rest = io.BytesIO(b"quit 2\np 1\n")
    run_shell(repl, PlainLines(rest))
    assert repl.taken() == ""
    assert rest.read() == b"p 1\n"


def test_a_block_that_does_not_end() -> None:
    repl = parser()
    run_shell(repl, PlainLines(io.BytesIO(b"define x1\nstep\n")))
    assert "'end' is missing" in repl.taken()


class Typed:
    """Lines that somebody types."""

    is_interactive = True

    def __init__(self, *lines: str | None) -> None:
        self._lines: Iterator[str | None] = iter(lines)
        self.prompts: list[str] = []

    def read(self, prompt: str) -> str | None:
        self.prompts.append(prompt)
        line = next(self._lines, None)
        if line == "^C":
            raise KeyboardInterrupt
        return line


def test_what_is_typed() -> None:
    repl = parser()
    typed = Typed("next", "", "^C", "define two", "s", "^C")
    run_shell(repl, typed)
    text = repl.taken()
    assert text.count("parse at xdp_parser.bpf.c:3") == 2, "an empty line is the last move again"
    assert "quit leaves the debugger" in text
    assert "left out" in text
    assert "two" not in repl.macros
    assert typed.prompts == ["(bpf) "] * 4 + ["> "] * 2 + ["(bpf) "]


def test_ctrl_c_stops_the_program() -> None:
    repl = program(LOOP)
    repl.session.world.budget = 1 << 50
    original = repl.session.world.timeline.checkpoint_due

    def due(step: int) -> int:
        if step > 100_000:
            os.kill(os.getpid(), signal.SIGINT)
        return original(step)

    repl.session.world.timeline.checkpoint_due = due  # type: ignore[method-assign]
    before = signal.getsignal(signal.SIGINT)
    run_shell(repl, Typed("continue", "p $step > 100000"))
    assert signal.getsignal(signal.SIGINT) is before
    text = repl.taken()
    assert text.startswith("interrupted\ntest at test+")
    assert text.endswith("$1 = 1\n")


def test_the_second_ctrl_c_gives_up() -> None:
    repl = program(LOOP)
    with interrupting(repl):
        signal.raise_signal(signal.SIGINT)
        assert repl.interrupted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    def fail() -> None:
        raise KeyboardInterrupt

    repl.session.resume = fail  # type: ignore[assignment,method-assign]
    assert repl("continue").startswith("interrupted\ntest at test+0")


def test_a_handler_of_somebody_else_stays() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupting(program(LOOP)):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_terminal_without_prompt_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pybpftime.debug.repl.prompt", None)
    said: list[str] = []
    lines = terminal_lines(nothing, said.append)
    assert isinstance(lines, TerminalLines)
    assert len(said) == 1
    assert "pip install 'pybpftime[debug]'" in said[0]
    answers: Iterator[str | type[Exception]] = iter(["step", EOFError])

    def answer(prompt: str) -> str:
        found = next(answers)
        if isinstance(found, str):
            return found
        raise found

    monkeypatch.setattr(builtins, "input", answer)
    assert lines.read("(bpf) ") == "step"
    assert lines.read("(bpf) ") is None


def test_completion_with_readline() -> None:
    find = shell._readline_completer(lambda text: (2, ["alpha", "beta"]))
    assert [find("p ", state) for state in range(3)] == ["p alpha", "p beta", None]


def test_where_the_history_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("needs a system with XDG directories")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert history_file() == tmp_path / "state" / "pybpftime" / "debug_history"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert history_file() == tmp_path / ".local" / "state" / "pybpftime" / "debug_history"
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert history_file() is None


def test_a_history_that_cannot_be_written(tmp_path: Path) -> None:
    prompt = pytest.importorskip("pybpftime.debug.repl.prompt", reason="needs prompt_toolkit")
    history = prompt._history(tmp_path)
    history.store_string("step")
    assert list(history.load_history_strings()) == []
    kept = prompt._history(tmp_path / "file")
    kept.store_string("step")
    assert list(kept.load_history_strings()) == ["step"]
    assert prompt._history(None).get_strings() == []
