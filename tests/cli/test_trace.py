"""`pybpftime trace` as a user runs it: what is reported where, exit codes, what is refused."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attach.build import BuildTarget, build_target
from attach.processes import running
from attach.tracing import COMMAND, PATIENCE, PROGRAMS, ROOT, can_trace, trace, tracing

from pybpftime.cli.main import cli

__all__ = ["build_target", "can_trace"]

Failure = Callable[..., str]

READLINE = PROGRAMS / "readline.bpf.o"
LIVE = PROGRAMS / "live.bpf.o"
MALLOC = PROGRAMS / "malloc.bpf.o"


@pytest.fixture
def lines(build_target: BuildTarget, can_trace: None) -> Path:
    """A program that prints its input; its exit code is the number of lines."""
    return build_target("lines")


@pytest.fixture
def functions(build_target: BuildTarget, can_trace: None) -> Path:
    """A program that waits for numbers and calls work() and others with them."""
    return build_target("functions")


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# --- a program that is started ----------------------------------------------------------------------------------------


def test_the_report_goes_to_standard_error_and_the_output_stays_the_programs(lines: Path) -> None:
    at = f"--at={lines}:next_line"
    result = trace(READLINE, at, "--record", "lines=struct line", "--", lines, input="one\ntwo words\n")
    assert (result.returncode, result.stdout) == (2, "one\ntwo words\n")
    report = result.stderr.splitlines()
    assert report[0] == f"tracing {lines}"
    place, at, address = report[1].partition(" at 0x")
    assert (place, at) == (f"  typed  uretprobe {lines}:next_line", " at 0x")
    pid = report[2].partition(".process = ")[2].partition(",")[0]
    shown = [f'lines: {{.process = {pid}, .command = "lines", .text = "{text}"}}' for text in ("one", "two words")]
    assert report[2:7] == [*shown, "", f"process {pid} ended with exit code 2", ""]
    assert report[7].split() == ["program", "runs", "failed", "address", "probe"]
    assert report[8].split() == ["typed", "3", "0", f"0x{address}", "uretprobe", f"{lines}:next_line"]
    assert "\x1b" not in result.stderr


def test_json_lines(lines: Path, tmp_path: Path) -> None:
    target = tmp_path / "report"
    result = trace(
        READLINE, "--at", f"{lines}:next_line", "--record=lines=line", "--json", "--output", target, "--", lines,
        input="one\n",
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (1, "one\n", "")
    attached, record, ended = events(target.read_text())
    probe = {"program": "typed", "probe": f"uretprobe/{lines}:next_line"}
    pid = attached["pid"]
    value = {"process": pid, "command": "lines", "text": "one"}
    assert {key: attached[key] for key in ("event", "pid")} == {"event": "attached", "pid": pid}
    assert [{key: one[key] for key in probe} for one in attached["probes"]] == [probe]
    data = record.pop("data")
    assert record == {"event": "record", "map": "lines", "value": value}
    assert bytes.fromhex(data) == pid.to_bytes(4, "little") + b"lines".ljust(16, b"\0") + b"one".ljust(128, b"\0")
    assert ended.pop("maps").keys() == {".rodata", ".bss"}
    [reported] = ended.pop("probes")
    assert isinstance(reported.pop("address"), int)
    assert reported == probe | {"file": str(lines), "symbol": "next_line", "runs": 2, "failures": 0}
    assert ended == {"event": "ended", "exit_code": 1, "signal": None, "notes": []}


def test_json_goes_to_standard_error_without_output(lines: Path) -> None:
    result = trace(READLINE, "--at", f"{lines}:next_line", "--json", "--", lines, input="")
    assert (result.returncode, result.stdout) == (0, "")
    assert [one["event"] for one in events(result.stderr)] == ["attached", "ended"]


def test_a_signal_that_kills_the_program_is_the_exit_code(lines: Path) -> None:
    result = trace(READLINE, "--at", f"{lines}:next_line", "--", lines, input="one\nSIGUSR1\n")
    assert (result.returncode, result.stdout) == (128 + signal.SIGUSR1, "one\n")
    assert "was killed by SIGUSR1" in result.stderr


def test_the_program_goes_on_when_the_time_is_over(lines: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    command = [*COMMAND, "trace", READLINE, f"--at={lines}:next_line", "--duration=0.3", "-o", report, "--json", lines]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("one\n")
        process.stdin.flush()
        assert process.stdout.readline() == "one\n"
        while not report.exists() or '"ended"' not in report.read_text():
            assert process.poll() is None
        output, _ = process.communicate("two\nthree\n", timeout=PATIENCE)
    assert (process.returncode, output) == (3, "two\nthree\n")
    found = events(report.read_text())
    assert [one["event"] for one in found] == ["attached", "record", "ended"]
    assert (found[-1]["exit_code"], found[-1]["signal"]) == (None, None)


def test_ctrl_c_ends_the_program_and_the_report_is_whole(lines: Path) -> None:
    """A terminal sends SIGINT to both."""
    command = [*COMMAND, "trace", READLINE, f"--at={lines}:next_line", "--record=lines=line", "--", lines]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("one\n")
        process.stdin.flush()
        assert process.stdout.readline() == "one\n"
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGINT
    assert '.text = "one"' in errors
    [row] = [line.split() for line in errors.splitlines() if line.startswith("typed ")]
    assert row[1:3] == ["1", "0"]
    assert "Traceback" not in errors


# --- a process that runs ----------------------------------------------------------------------------------------------


def test_the_lines_of_printk_come_as_they_are_printed(functions: Path) -> None:
    with (
        running(functions) as target,
        tracing(LIVE, "-p", "speak", f"--at={functions}:work", "--pid", target.pid) as tracer,
    ):
        assert tracer.line() == f"tracing process {target.pid}; Ctrl-C detaches\n"
        assert tracer.line() == f"  speak  uprobe {functions}:work at {target.number('work'):#x}\n"
        assert target.process.stdin is not None
        for number in (5, -7):
            target.process.stdin.write(f"{number}\n")
            target.process.stdin.flush()
            assert tracer.line() == f"printk {target.pid}: called with {number + 3}\n"


def test_printk_in_json(functions: Path) -> None:
    with (
        running(functions) as target,
        tracing(LIVE, "-p", "speak", f"--at={functions}:work", "--pid", target.pid, "--json") as tracer,
    ):
        assert tracer.event()["event"] == "attached"
        target.process.communicate("1\n")
        assert tracer.event() == {"event": "printk", "tid": target.pid, "line": "called with 4"}
        ended = tracer.event()
        assert (ended["exit_code"], tracer.finish()) == (0, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_detaches_and_the_process_goes_on(functions: Path, number: signal.Signals) -> None:
    with (
        running(functions) as target,
        tracing(LIVE, "-p", "speak", f"--at={functions}:work", "--pid", target.pid) as tracer,
    ):
        tracer.line()
        tracer.line()
        tracer.process.send_signal(number)
        assert tracer.line() == "\n"
        assert tracer.line() == f"process {target.pid} is traced no more\n"
        assert (tracer.finish(), tracer.errors()) == (0, "")
        output, _ = target.process.communicate("1\n")
        assert (output, target.process.returncode) == ("12\n", 0)


def test_a_program_at_two_places_and_two_programs_at_one(functions: Path) -> None:
    places = [f"--at={name}={functions}:{where}" for name, where in
              (("speak", "work"), ("speak", "hidden"), ("leave", "work"))]  # fmt: skip
    with running(functions) as target, tracing(LIVE, "-p", "speak", "-p", "leave", *places, "--pid", target.pid,
                                               "--json") as tracer:  # fmt: skip
        probes = [(one["program"], one["symbol"], one["address"]) for one in tracer.event()["probes"]]
        work, hidden = target.number("work"), target.number("hidden")
        assert probes == [("speak", "work", work), ("speak", "hidden", hidden), ("leave", "work", work)]
        target.process.communicate("1\n2\n")
        lines = [tracer.event()["line"] for _ in range(4)]
        assert lines == [f"called with {number}" for number in (3, 4, 4, 5)], "hidden, then work, twice"
        ended = tracer.event()
        assert [one["runs"] for one in ended["probes"]] == [2, 2, 2]
        [left] = ended["maps"]["left"]["entries"]
        assert left["value"]["result"] == 5 * 3


def test_a_program_that_fails_is_counted_and_does_no_harm(functions: Path) -> None:
    with (
        running(functions) as target,
        tracing(LIVE, "-p", "speak", f"--at={functions}:work", "--pid", target.pid, "--budget=2") as tracer,
    ):
        tracer.line()
        tracer.line()
        output, _ = target.process.communicate("1\n2\n")
        rest = [tracer.line() for _ in range(6)]
        assert output == "12\n15\n"
        assert rest[4].split()[:3] == ["speak", "2", "2"]
        assert rest[5] == "speak: instruction 3: the instruction budget is used up (budget=2)\n", "the first failure"
        assert tracer.finish() == 0


def test_maps_are_filled_before(functions: Path) -> None:
    contents = json.dumps({"left": {"99": {"result": 7}}})
    with (
        running(functions) as target,
        tracing(LIVE, "-p", "speak", f"--at={functions}:work", "--maps", contents, "--json", "--pid", target.pid)
        as tracer,
    ):  # fmt: skip
        tracer.event()
        target.process.communicate("")
        [entry] = tracer.event()["maps"]["left"]["entries"]
        assert (entry["key"], entry["value"]["result"]) == (99, 7)


def test_a_reader_that_goes_away_leaves_the_process_whole(functions: Path) -> None:
    with (
        running(functions) as target,
        tracing(LIVE, "-p", "speak", f"--at={functions}:work", "--pid", target.pid) as tracer,
    ):
        tracer.line()
        tracer.line()
        assert tracer.process.stdout is not None
        tracer.process.stdout.close()
        output, _ = target.process.communicate("1\n2\n3\n")
        assert (output, target.process.returncode) == ("12\n15\n18\n", 0)
        assert (tracer.errors(), tracer.finish()) == ("", 141)


# --- records ----------------------------------------------------------------------------------------------------------


def test_records_without_a_type_are_shown_as_bytes_with_a_hint(lines: Path) -> None:
    result = trace(READLINE, f"--at={lines}:next_line", "--", lines, input="one two\n")
    report = result.stderr.splitlines()
    assert report[2] == "lines: 148 bytes"
    assert report[3].startswith("  0000  ")
    assert report[3].endswith("  |....lines.......|".replace("....", report[3][-17:-13], 1))
    assert report[4] == "  0010  00 00 00 00 6f 6e 65 20 74 77 6f 00 00 00 00 00  |....one two.....|"
    assert report[5:8] == [
        "  0020  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  |................|",
        "  *",
        "  0090  00 00 00 00                                      |....|",
    ]
    hint = "note: lines: records are shown as bytes; --record lines='struct line' shows them by a type of the object"
    assert hint in report


def test_records_of_another_size_are_shown_as_bytes(lines: Path) -> None:
    result = trace(READLINE, f"--at={lines}:next_line", "--record=lines=__u32", "--", lines, input="one\ntwo\n")
    assert result.stderr.count("lines: 148 bytes") == 2
    assert result.stderr.count("note: ") == 1
    assert "note: lines: a record has 148 bytes and __u32 4: it is shown as bytes" in result.stderr


# --- refusals: nothing is started or attached -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([MALLOC], "give either --pid PID or a program to start, behind --"),
        ([MALLOC, "--pid=1", "--", "true"], "give either --pid PID or a program to start, behind --"),
        (
            ["tests/programs/xdp_parser.bpf.o", "--", "true"],
            "program parse: it is of type xdp (section xdp), which the",
        ),
        ([LIVE, "--", "true"], 'program enter: it does not say where: write SEC("uprobe/PATH:FUNCTION"), or --at'),
        ([LIVE, "-p", "entr", "--", "true"], "there is no program named entr; did you mean enter?"),
        ([LIVE, "--at", "cat:main", "--", "true"], "--at takes PATH:FUNCTION, or PROGRAM=PATH:FUNCTION where several"),
        ([LIVE, "--at", "entr=cat:main", "--", "true"], "--at: there is no program named entr; did you mean enter?"),
        ([LIVE, "-p", "leave", "--at=enter=cat:main", "--", "true"], "--at: program enter is not attached; -p enter"),
        (
            [LIVE, "-p", "leave", "--at=cat", "--", "true"],
            "program leave: 'cat' names no function; write PATH:FUNCTION",
        ),
        ([READLINE, "--set", "through=1", "--", "true"], "there is no global variable named through"),
        ([READLINE, "--record", "lines", "--", "true"], "--record takes MAP=TYPE, such as events='struct event'"),
        ([READLINE, "--record=line=line", "--", "true"], "--record: there is no map named line; did you mean lines?"),
        (
            [MALLOC, "--record=allocations=__u32", "--", "true"],
            "--record: map allocations is a hash; only ring buffers",
        ),
        ([READLINE, "--record=lines=struct lin", "--", "true"], "has no struct lin; did you mean line?"),
        ([READLINE, "--record=lines=lin", "--", "true"], "BTF has no type lin; did you mean line or int?"),
        ([MALLOC, "-o", "", "--", "true"], "--output: an empty file name"),
        ([MALLOC, "--duration=nan", "--", "true"], "--duration takes a number of seconds, not nan"),
        (
            [MALLOC, "-o", "/nonexistent/report", "--", "true"],
            "/nonexistent/report: cannot be written (ENOENT: No such file",
        ),
    ],
)
def test_refusals(arguments: list[Any], sentence: str, failure: Failure, can_trace: None) -> None:
    assert sentence in failure("trace", *arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--", "/nonexistent/program"], "'/nonexistent/program' cannot be run (ENOENT: No such file or directory)"),
        (["--pid", "4194304"], "process 4194304: it has ended, or never was (ESRCH: No such process)"),
    ],
)
def test_a_process_that_is_not_there(arguments: list[str], sentence: str, can_trace: None) -> None:
    result = trace(MALLOC, *arguments)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"error: {sentence}\n")


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("libc.so.6:mallok", "mallok, but the file is stripped of all names except those for dynamic linking; did you"),
        ("libm.so.6:cos", "it has not mapped libm.so.6 as code; did you mean /"),
    ],
)
def test_a_program_that_lacks_the_function_is_ended_before_its_code_runs(
    place: str, sentence: str, tmp_path: Path, can_trace: None
) -> None:
    mark = tmp_path / "mark"
    result = trace(MALLOC, "-p", "malloc_entry", "--at", place, "--", "touch", mark)
    assert (result.returncode, result.stdout, mark.exists()) == (1, "", False)
    assert sentence in result.stderr.splitlines()[-1]


def test_a_program_is_not_started_when_the_report_cannot_be_written(tmp_path: Path, can_trace: None) -> None:
    mark = tmp_path / "mark"
    result = trace(MALLOC, "-o", tmp_path, "--", "touch", mark)
    assert (result.returncode, mark.exists()) == (1, False)
    assert result.stderr == f"error: {tmp_path}: cannot be written (EISDIR: Is a directory)\n"


@pytest.mark.parametrize("output", [(), ("-o", os.devnull)], ids=["report", "file"])
def test_a_standard_error_that_is_closed(output: tuple[str, ...], can_trace: None) -> None:
    """The report is lost; the program that is started has its error closed as without a trace."""
    script = 'exec "$@" 2>&-'
    program = ["sh", "-c", "echo started; echo lost >&2 || exit 3"]
    command = ["sh", "-c", script, "sh", *COMMAND, "trace", str(MALLOC), *output, "--", *program]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=PATIENCE)
    assert (result.returncode, result.stdout) == (3, "started\n")


def test_a_report_that_cannot_be_written_names_its_file(lines: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    result = trace(READLINE, f"--at={lines}:next_line", "-o", "/dev/full", "--", lines, input="")
    assert (result.returncode, result.stderr) == (
        1,
        "error: /dev/full: cannot be written (ENOSPC: No space left on device)\n",
    )


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        ("ptrace", "live processes need the package python-ptrace: pip install 'pybpftime[trace]'"),
        ("capstone", "need the decoder capstone: pip install 'pybpftime[trace]'"),
    ],
)
def test_a_missing_package_is_one_sentence(module: str, sentence: str, can_trace: None) -> None:
    script = f"import sys; sys.modules[{module!r}] = None; from pybpftime.cli.main import main; main()"
    command = [sys.executable, "-c", script, "trace", str(MALLOC), "--", "echo", "started"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=PATIENCE)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.endswith(sentence + "\n")
    assert result.stderr.count("\n") == 1


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_other_commands_import_nothing_of_it() -> None:
    script = textwrap.dedent("""
        import sys
        import pybpftime.cli.run, pybpftime.cli.info, pybpftime.cli.plugin
        found = [name for name in sys.modules if name.startswith(("pybpftime.attach", "pybpftime.cli.trace_re"))]
        print(*found, *({"ptrace", "capstone", "ctypes"} & set(sys.modules)))
    """)
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=PATIENCE)
    assert result.stdout.split() == []


GUIDE = (ROOT / "docs" / "how-to" / "live-processes.md").read_text("utf-8")


def test_the_guide_gives_commands_that_are_understood() -> None:
    commands = re.findall(r"^pybpftime trace (.*)$", GUIDE, re.MULTILINE)
    assert len(commands) >= 4
    for line in commands:
        command = cli.get_command(None, "trace")  # type: ignore[arg-type]  # a context that is not looked at
        assert command is not None
        command.make_context("trace", shlex.split(line))


def test_the_guide_names_all_members_of_the_events(lines: Path, tmp_path: Path) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", GUIDE, re.MULTILINE))
    found = []
    for option in ("--strict", "--set=through_perf=true", "--budget=2"):
        report = tmp_path / "report"
        trace(READLINE, option, "--json", "-o", report, "--record=lines=line", f"--at={lines}:next_line", "--", lines,
              input="one\n")  # fmt: skip
        found += events(report.read_text())
    assert {"cpu", "value"} <= set().union(*found)
    for event in found:
        named = set(re.findall(r"`(\w+)`", rows[event["event"]] + rows["attached"]))
        probes = set().union(*event.get("probes", []))
        assert (event.keys() - {"event"}) | probes <= named


def test_the_examples_of_the_help_work(tmp_path: Path, can_trace: None) -> None:
    command = cli.get_command(None, "trace")  # type: ignore[arg-type]  # a context that is not looked at
    assert command is not None
    text = command.help or ""
    examples = [line.strip() for line in text.splitlines() if line.strip().startswith("pybpftime ")]
    assert len(examples) >= 4
    for path in PROGRAMS.glob("*.bpf.o"):
        (tmp_path / path.name).symlink_to(path)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        for example in examples:
            words = shlex.split(example)[1:]
            if "readline.bpf.o" in words:
                continue  # test_readline.py
            words = [str(other.pid) if word == "1234" else "0.1" if word == "5" else word for word in words]
            result = subprocess.run(
                [*COMMAND, *words], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=PATIENCE,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            assert result.returncode == 0, f"{example}\n{result.stderr}"
        other.kill()
    assert events((tmp_path / "report.json").read_text())[-1]["exit_code"] == 0
