"""The lines that are typed into a shell are reported while it runs."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from attach.tracing import PATIENCE, PROGRAMS, trace, tracing

from pybpftime.errors import BpfError
from pybpftime.program.elf_symbols import read_binary

pytestmark = pytest.mark.usefixtures("can_trace")

BASH = Path("/bin/bash")
PROMPT = b"ready> "


class Shell:
    """An interactive bash on a terminal of its own."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self._terminal = terminal

    def wait_for_prompt(self) -> bytes:
        """What it printed up to and with the prompt."""
        printed = b""
        deadline = time.monotonic() + PATIENCE
        while not printed.endswith(PROMPT):
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no prompt came, but {printed!r}"
            printed += os.read(self._terminal, 4096)
        return printed

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())


@contextmanager
def shell() -> Iterator[Shell]:
    """A bash that shows its prompt."""
    pty = pytest.importorskip("pty", reason="needs pseudo-terminals")
    controller, terminal = pty.openpty()
    environment = {"PS1": PROMPT.decode(), "TERM": "dumb", "PATH": os.environ["PATH"], "HISTFILE": ""}
    try:
        with subprocess.Popen(
            [BASH, "--norc", "--noprofile", "-i"],
            stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True, env=environment,
        ) as process:  # fmt: skip
            try:
                bash = Shell(process, controller)
                bash.wait_for_prompt()
                yield bash
            finally:
                process.kill()
    finally:
        with suppress(OSError):
            os.close(terminal)
        os.close(controller)


@pytest.fixture(autouse=True)
def bash_with_readline() -> None:
    try:
        read_binary(str(BASH)).function("readline")
    except BpfError:
        pytest.skip("needs /bin/bash with readline's symbol")


def test_lines_are_reported_as_they_are_typed() -> None:
    with (
        shell() as bash,
        tracing(
            PROGRAMS / "readline.bpf.o", "--json", "--record=lines=struct line", "--pid", bash.process.pid
        ) as tracer,
    ):
        attached = tracer.event()
        assert [one["program"] for one in attached["probes"]] == ["typed"]
        assert Path(attached["probes"][0]["file"]).samefile(BASH)
        bash.type("it waits for this line already, as the call began before the trace\n")
        bash.wait_for_prompt()
        for line in ("echo one", "  true && echo $((6 * 7))", "# höre", ""):
            bash.type(f"{line}\n")
            record = tracer.event()
            assert record.pop("data")
            assert record == {
                "event": "record",
                "map": "lines",
                "value": {"process": bash.process.pid, "command": "bash", "text": line},
            }
            answer = bash.wait_for_prompt()
            assert b"42" in answer or "42" not in line
        bash.type("exit 7\n")
        assert tracer.event()["value"]["text"] == "exit 7"
        ended = tracer.event()
        assert (ended["event"], ended["exit_code"], ended["notes"]) == ("ended", 7, [])
        assert [(one["runs"], one["failures"]) for one in ended["probes"]] == [(5, 0)]
        assert tracer.finish() == 0, tracer.errors()
        assert bash.process.wait(PATIENCE) == 7


def test_the_same_through_a_perf_event_array_and_as_text() -> None:
    options = ("--set", "through_perf=true", "--record", "events=line", "--duration=60")
    with shell() as bash, tracing(PROGRAMS / "readline.bpf.o", *options, "--pid", bash.process.pid) as tracer:
        assert tracer.line() == f"tracing process {bash.process.pid}; Ctrl-C detaches\n"
        assert tracer.line().startswith("  typed  uretprobe ")
        bash.type("\n")
        bash.wait_for_prompt()
        bash.type("echo 'a b'\n")
        name, _, text = tracer.line().partition(": ")
        assert name.startswith("events cpu ")
        assert text == f'{{.process = {bash.process.pid}, .command = "bash", .text = "echo \'a b\'"}}\n'
        bash.wait_for_prompt()
        tracer.process.terminate()
        assert tracer.finish() == 0, tracer.errors()
        bash.type("exit\n")
        assert bash.process.wait(PATIENCE) == 0, "it goes on when the trace has ended"


def test_a_shell_that_is_started(tmp_path: Path) -> None:
    """Without a terminal bash does not call readline: nothing is reported, and it does what it is told."""
    report = tmp_path / "report"
    run = trace(PROGRAMS / "readline.bpf.o", "-o", report, "--", BASH, input="echo one; exit 3")
    assert (run.returncode, run.stdout, run.stderr) == (3, "one\n", "")
    assert "ended with exit code 3" in report.read_text()
    [row] = [line.split() for line in report.read_text().splitlines() if line.startswith("typed ")]
    assert row[1:3] == ["0", "0"], "neither runs nor failures"
