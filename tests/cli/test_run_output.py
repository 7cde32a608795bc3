"""What `run` prints of long runs, and of runs that end early: whole documents, in bounded memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from pybpftime.cli.interrupt import Interrupts
from pybpftime.cli.main import cli
from pybpftime.cli.output import JsonWriter, print_json
from pybpftime.runtime.coverage import read_lcov

Invoke = Callable[..., Result]

ROOT = Path(__file__).resolve().parents[2]
PARSER = "tests/programs/xdp_parser.bpf.o"
ENDLESS = b"r0 = 0\nr0 += 1\ngoto -2\n"
READS_BYTE_60 = "r2 = *(u32 *)(r1 + 4)\nr1 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r1 + 60)\nr0 = 2\nexit\n"


# --- one document, part by part ---------------------------------------------------------------------------------------


def test_parts_are_laid_out_as_a_whole_document(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"a": [{"b": [1, {"c": "line\nfeed"}], "d": {}}, []], "e": {"f": b"\x01"}, "g": []}
    print_json(data)
    expected = capsys.readouterr().out
    writer = JsonWriter()
    writer.begin("{")
    writer.begin("[", "a")
    writer.begin("{")
    writer.begin("[", "b")
    writer.add(1)
    writer.add({"c": "line\nfeed"})
    writer.end(to=3)
    writer.add({}, "d")
    writer.end(to=2)
    writer.begin("[")
    writer.end(to=1)
    writer.add({"f": b"\x01"}, "e")
    writer.begin("[", "g")
    assert writer.depth == 2
    writer.end(to=0)
    assert capsys.readouterr().out == expected


def test_a_trace_comes_before_what_the_run_gave(invoke: Invoke) -> None:
    result = invoke("run", "-", "--trace", "--json", "--repeat", 2, input="r0 = 1\nexit\n")
    assert result.stdout.index('"trace"') < result.stdout.index('"verdict"')
    for run in json.loads(result.stdout)["runs"]:
        assert [step["pc"] for step in run["trace"]] == [0, 1]
        assert run["r0"] == 1


def test_a_fault_in_the_middle_leaves_a_whole_document(invoke: Invoke, captures: Path) -> None:
    arguments = ("run", "-", "--type", "xdp", "--no-verify", "--pcap", captures / "tiny.pcap", "--trace", "--json")
    data = json.loads(invoke(*arguments, input=READS_BYTE_60, code=1).stdout)
    assert [(run["number"], run.get("error"), len(run["trace"])) for run in data["runs"]] == [
        (1, "Fault", 3),
        (2, None, 5),
        (3, None, 5),
    ]
    assert data["verdicts"] == {"fault": 1, "XDP_PASS": 2}


def test_a_damaged_capture_leaves_a_whole_document(invoke: Invoke, captures: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.pcap").write_bytes((captures / "tiny.pcap").read_bytes()[:-10])
    result = invoke("run", ROOT / PARSER, "--pcap", tmp_path / "cut.pcap", "--json", "--dump-maps", code=1)
    data = json.loads(result.stdout)
    assert len(data["runs"]) == 2
    assert data["error"]["error"] == "InputError"
    assert data["maps"]["verdicts"]["entries"][2] == {"key": 2, "value": 2}
    assert "cut.pcap" in result.stderr


def test_a_helper_that_fails_in_the_middle_leaves_a_whole_document(invoke: Invoke, tmp_path: Path) -> None:
    """The trace has begun when the run turns out to be none."""
    (tmp_path / "mine.py").write_text(
        "from pybpftime.errors import HostError\n"
        "from pybpftime.helpers import helper, implements\n"
        "from pybpftime.helpers.declarations.kinds import Integer\n"
        "@helper(id=0x10000)\n"
        "def broken() -> Integer:\n"
        '    """Fails."""\n'
        "@implements(broken)\n"
        "def run_broken(machine):\n"
        "    raise HostError('no such luck')\n"
    )
    arguments = ("run", "-", "--helpers", tmp_path / "mine.py", "--trace")
    result = invoke(*arguments, "--json", input="r0 = 1\ncall broken\nexit\n", code=1)
    data = json.loads(result.stdout)
    assert data["runs"][0]["trace"][0]["pc"] == 0
    assert "no such luck" in data["error"]["reason"]
    assert "no such luck" in result.stderr
    assert "no such luck" in invoke(*arguments, input="r0 = 1\ncall broken\nexit\n", code=1).stderr


@pytest.fixture
def peak(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """The most memory that a command takes while it runs, in bytes."""

    def run(*arguments: object) -> int:
        tracemalloc.start()
        try:
            cli.main([str(argument) for argument in arguments], standalone_mode=False)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    with open(os.devnull, "w") as nowhere:
        monkeypatch.setattr(sys, "stdout", nowhere)
        yield run


@pytest.mark.parametrize("option", ["--trace", "--repeat", "--pcap"])
def test_memory_does_not_grow_with_the_runs(
    peak: Callable[..., int], captures: Path, tmp_path: Path, option: str
) -> None:
    endless = tmp_path / "endless.s"
    endless.write_bytes(ENDLESS)
    once = tmp_path / "once.s"
    once.write_text("r0 = 1\nexit\n")

    def run(scale: int) -> int:
        if option == "--trace":
            return peak("run", endless, "--trace", "--json", "--budget", 200 * scale)
        if option == "--repeat":
            return peak("run", once, "--json", "--repeat", 100 * scale)
        pcap = tmp_path / f"{scale}.pcap"
        content = (captures / "tiny.pcap").read_bytes()
        pcap.write_bytes(content[:24] + content[24:] * (30 * scale))
        return peak("run", ROOT / PARSER, "--json", "--pcap", pcap)

    run(1)  # what the first one imports stays
    few, many = run(1), run(20)
    assert many < few + 200_000


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


def interrupted(*arguments: object, input: bytes, after: bytes) -> tuple[int, str, str]:
    """Exit code, standard output and error of a command that gets SIGINT when it has printed `after`."""
    # Where this suite runs in the background, children inherit that SIGINT is ignored.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", f"{listen}; from pybpftime.cli.main import main; main()", *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(input)
        process.stdin.close()
        printed = b""
        while after not in printed:
            line = process.stdout.readline()
            assert line, printed
            printed += line
        process.send_signal(signal.SIGINT)
        printed += process.stdout.read()
        errors = process.stderr.read().decode()
    return process.returncode, printed.decode(), errors


needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


@needs_posix
def test_an_interrupted_run_tells_what_it_did(captures: Path, tmp_path: Path) -> None:
    coverage = tmp_path / "out.lcov"
    arguments = ("run", PARSER, "--pcap", captures / "mixed.pcap", "--repeat", 1_000_000, "--dump-maps")
    code, text, errors = interrupted(*arguments, "--coverage", coverage, input=b"", after=b"XDP_PASS")
    assert (code, errors) == (130, "")
    [line] = [line for line in text.splitlines() if line.startswith("interrupted after ")]
    runs = int(line.removesuffix("s").split()[2].replace(",", ""))
    assert any(f"{runs:,} run" in line and " instruction" in line for line in text.splitlines())
    assert "verdicts  array" in text
    assert sum(read_lcov(coverage)["./tests/programs/xdp_parser.bpf.c"].lines.values()) > 0


@needs_posix
def test_an_interrupted_trace_is_a_whole_document() -> None:
    arguments = ("run", "-", "--trace", "--json", "--budget", 1 << 40)
    code, text, errors = interrupted(*arguments, input=ENDLESS, after=b'"pc": 2')
    assert (code, errors) == (130, "")
    data = json.loads(text)
    assert data["interrupted"] is True
    [run] = data["runs"]
    assert len(run["trace"]) >= 3
    assert "verdict" not in run
    assert data["verdicts"] == {}


@pytest.fixture
def default_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def interrupt(times: int, done: list[str], interrupts: Interrupts) -> None:
    with interrupts, interrupts.held():
        for number in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            done.append(f"held {number}")
    done.append("next")


@needs_posix
@pytest.mark.usefixtures("default_handler")
@pytest.mark.parametrize(("times", "steps"), [(0, ["next"]), (1, ["held 0"]), (2, ["held 0"])])
def test_what_is_held_is_done_unless_it_is_interrupted_twice(times: int, steps: list[str]) -> None:
    done: list[str] = []
    try:
        interrupt(times, done, Interrupts())
    except KeyboardInterrupt:
        done.append("interrupted")
    assert done == steps + ["interrupted"] * bool(times)


@needs_posix
def test_a_foreign_handler_stays() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_budget_that_is_used_up_is_told(invoke: Invoke) -> None:
    result = invoke("run", "-", "--budget", 1000, input=ENDLESS, code=1)
    assert result.stdout.splitlines()[-1].endswith("1,000 instructions, and --budget allows more")
    [run] = json.loads(invoke("run", "-", "--budget", 1000, "--json", input=ENDLESS, code=1).stdout)["runs"]
    assert (run["error"], run["limit"], run["amount"]) == ("LimitExceeded", "instructions", 1000)


def test_a_depth_that_is_used_up_is_told(invoke: Invoke) -> None:
    text: Any = invoke("run", "-", input="call pc-1\nexit\n", code=1).stdout.splitlines()[-1]
    assert "limited to 8 frames" in text
    assert text.endswith("--limits '{\"max_depth\": N}' allows more")


def test_a_summary_lists_a_few_verdicts(invoke: Invoke) -> None:
    """Random numbers, each of them once."""
    lines = invoke("run", "-", "--repeat", 30, input="call 7\nexit\n").stdout.splitlines()
    assert sum(line.endswith("3.3%") for line in lines) == 20
    assert "... and 10 more" in lines
