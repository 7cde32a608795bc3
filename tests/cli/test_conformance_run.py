"""`pybpftime conformance run`: what it prints and writes, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from pybpftime.cli.conformance import conformance

SUITE = """
case seven: the number
    cite: RFC 9669 4.1
    asm:
        mov %r0, 7
        exit
    expect: return 7

case sum: the sum
    asm:
        lddw %r1, {a}
        mov %r0, 3
        add %r0, %r1
        exit
    table:
        a  | r0
        4  | 7
        5  | 8

case product: of 32 bits
    asm:
        mov32 %r0, 7
        mul32 %r0, 1
        exit
    expect: return 7

case packet: out of the packet
    hex: 30 00 00 00 00 00 00 00  95 00 00 00 00 00 00 00
    expect: return 0
"""

# A plugin that answers 7 to everything, after it has slept for as long as SLEEP says.
PLUGIN = """#!/bin/sh
sleep "${SLEEP:-0}"
echo 7
"""
HOSTILE = """#!/bin/sh
printf '\\033[2J</script>'
exit 1
"""
START = "import sys; from pybpftime.cli.conformance import conformance as c; sys.exit(c.main(standalone_mode=False))"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    file = tmp_path / "suite.case"
    file.write_text(SUITE)
    return file


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    return script(tmp_path / "seven", PLUGIN)


def script(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o755)
    return file


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(conformance, ["run", *map(str, arguments)], standalone_mode=False)
    got = result.return_value if result.exception is None else getattr(result.exception, "exit_code", result.exception)
    assert (got or 0) == code, f"{result.output}\n{result.exception!r}"
    return result


def error(*arguments: object) -> str:
    """The message of a command that is not usable."""
    return str(getattr(run(*arguments, code=2).exception, "message", ""))


def lines(result: Result) -> list[list[str]]:
    return [line.split() for line in result.stdout.splitlines()]


def test_a_runtime_that_is_right_passes(suite: Path) -> None:
    result = run("--runtime", "reference", "--suite", suite)
    assert ["area", "run", "passed", "failed", "skipped", "not", "applicable"] in lines(result)
    assert ["divmul32", "1", "1", "0", "0", "0"] in lines(result)
    assert ["all", "5", "5", "0", "0", "0"] in lines(result)
    assert re.search(r"^5 cases in [\d.]+ s: reference passes 5$", result.stdout, re.MULTILINE)


def test_a_failure_says_everything_about_itself(suite: Path, plugin: Path) -> None:
    result = run("--runtime", plugin, "--suite", suite, code=1)
    assert ["all", "4", "3", "1", "0", "1"] in lines(result)
    assert ["not", "applicable", "1", "seven", "does", "not", "claim", "packet"] in lines(result)
    block = result.stdout.partition("seven fails ")[2]
    assert block.startswith("suite/sum.2")
    assert "because  r0 is 0x7, expected 0x8" in block
    assert "expected return 0x8" in block
    assert "got      returned 0x7" in block
    assert "2: r0 = 0x3" in block
    assert f"repeat   pybpftime conformance run --runtime {plugin} --suite {suite} suite/sum.2" in block
    assert "seven fails 1 of 4" in block


def test_what_the_report_says_to_repeat_repeats(suite: Path, plugin: Path) -> None:
    first = run("--runtime", plugin, "--suite", suite, code=1)
    command = shlex.split(first.stdout.partition("repeat   ")[2].splitlines()[0])
    assert command[:3] == ["pybpftime", "conformance", "run"]
    again = run(*command[3:], code=1)
    assert ["all", "1", "0", "1", "0", "0"] in lines(again)


def test_failures_beyond_the_limit_are_counted(suite: Path, tmp_path: Path) -> None:
    silent = script(tmp_path / "silent", "#!/bin/sh\nexit 1\n")
    result = run("--runtime", silent, "--suite", suite, "--failures", 1, code=1)
    assert result.stdout.count("silent fails suite/") == 1
    assert "3 more failures of silent" in result.stdout


def test_runtimes_stand_side_by_side(suite: Path, plugin: Path) -> None:
    result = run("-r", "reference", "-r", plugin, "--suite", suite, code=1)
    text = re.sub(" +", " ", result.stdout)
    assert "area cases reference seven\n" in text
    assert "\nall 5 5 passed 3 passed, 1 failed, 1 not applicable\n" in text
    assert text.endswith("reference passes 5, seven fails 1 of 4\n")


def test_patterns_and_groups_choose(suite: Path) -> None:
    assert ["all", "2", "2", "0", "0", "0"] in lines(run("-r", "reference", "--suite", suite, "suite/sum.*"))
    chosen = run("-r", "reference", "--suite", suite, "--groups", "base32, divmul32")
    assert ["all", "1", "1", "0", "0", "0"] in lines(chosen)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["suite/sun.1"], "no case is named suite/sun.1; did you mean suite/sum.1?"),
        (["--groups", "base16"], "--groups: there is no group 'base16'; there is base32, base64"),
        (["--groups", "atomic32"], "no case needs only atomic32"),
        (["--runtime", "nothing-of-that-name"], "no runtime 'nothing-of-that-name'"),
        (["--timeout", "nan"], "--timeout takes a number of seconds, not nan"),
        (["--json", ""], "--json: an empty file name"),
        (["--json", "same", "--html", "./same"], "--json and --html: the same file"),
        (["--junit", "-", "--badge", "-"], "--junit and --badge: the same file"),
        (["--runtime", ""], "--runtime: an empty file name"),
        (["--runtime", "./" + "x" * 5000], "xxx: there is no such program"),
        (["--runtime", "library:" + "x" * 5000], "xxx: there is no such library"),
        (["--runtime", "x" * 5000 + ".toml"], "File name too long"),
        (["--json", "x" * 5000], "File name too long"),
        (["--json", "no/such/folder/x.json"], "no/such/folder/x.json: cannot be written"),
    ],
)
def test_what_is_not_usable_is_one_message(suite: Path, arguments: list[str], message: str) -> None:
    runtime = [] if "--runtime" in arguments else ["--runtime", "reference"]
    assert message in error(*runtime, "--suite", suite, *arguments)


def test_one_badge_is_for_one_runtime(suite: Path, plugin: Path, tmp_path: Path) -> None:
    badge = tmp_path / "badge.svg"
    assert "--badge is for one runtime" in error("-r", "reference", "-r", plugin, "--suite", suite, "--badge", badge)
    assert "the same one twice" in error("-r", "reference", "-r", "reference", "--suite", suite)
    run("-r", plugin, "--suite", suite, "--badge", badge, code=1)
    assert "3 passed, 1 failed" in badge.read_text()


def test_a_suite_that_is_not_there(tmp_path: Path) -> None:
    assert "no-suite" in error("-r", "reference", "--suite", tmp_path / "no-suite")
    assert "there are no cases" in error("-r", "reference", "--suite", tmp_path)


def test_a_suite_with_a_huge_name(tmp_path: Path) -> None:
    assert "xxx: there is no such file or folder" in error("-r", "reference", "--suite", "x" * 5000)
    assert "xxx.case: cannot be read: File name too long" in error("-r", "reference", "--suite", "x" * 5000 + ".case")


def test_a_report_on_standard_output_is_there_alone(suite: Path) -> None:
    assert json.loads(run("-r", "reference", "--suite", suite, "--json", "-").stdout)["complete"] is True
    assert ET.fromstring(run("-r", "reference", "--suite", suite, "--junit", "-").stdout).get("tests") == "5"


def test_a_pipe_gets_the_final_report_alone(suite: Path, tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", tmp_path / "got"
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", 'cat < "$1" > "$2"', "sh", pipe, got]) as reader:
        run("-r", "reference", "--suite", suite, "--json", pipe)
        assert reader.wait(60) == 0
    assert json.loads(got.read_text())["complete"] is True


def test_runtimes_of_one_name_are_told_apart(suite: Path, plugin: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = script(tmp_path / "other/seven", "#!/bin/sh\necho 8\n")
    result = run("-r", plugin, "-r", other, "--suite", suite, "--failures", 0, code=1)
    end = " ".join(result.stdout.split())
    assert f"{plugin} fails 1 of 4" in end
    assert f"{other} fails 3 of 4" in end


def test_a_broken_file_does_not_stop_the_others(suite: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.case").write_text("case x:\n    asm:\n        no such instruction\n    expect: return 1\n")
    result = run("-r", "reference", "--suite", tmp_path, code=2)
    assert re.search(r"not usable: .*broken\.case:\d", result.stdout)
    assert ["all", "5", "5", "0", "0", "0"] in lines(result)


def test_a_runtime_that_is_not_there_does_not_stop_the_others(suite: Path, tmp_path: Path) -> None:
    result = run("-r", "reference", "-r", tmp_path / "absent", "--suite", suite, code=2)
    assert re.search(r"not usable: .*absent", result.stdout)
    assert ["all", "5", "5", "0", "0", "0"] in lines(result)


def test_nothing_run_is_no_success(suite: Path, plugin: Path) -> None:
    result = run("-r", plugin, "--suite", suite, "suite/packet", code=2)
    assert "seven ran none" in result.stdout


def test_fail_fast_leaves_a_partial_report(suite: Path, plugin: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = run("-r", plugin, "--suite", suite, "--fail-fast", "-j", 1, "--json", report, code=1)
    assert "partial: suite/sum.2 failed, and --fail-fast was given" in result.stdout
    data = json.loads(report.read_text())
    assert data["complete"] is False
    assert [one["results"][0] is None for one in data["cases"]] == [False, False, False, True, True]


def test_control_characters_of_a_runtime_do_not_reach_the_terminal(suite: Path, tmp_path: Path) -> None:
    hostile = script(tmp_path / "hostile", HOSTILE)
    files = {kind: tmp_path / kind for kind in ("json", "junit", "html")}
    options = [word for kind, file in files.items() for word in (f"--{kind}", file)]
    result = run("-r", hostile, "--suite", suite, *options, code=1)
    assert "\x1b" not in result.stdout
    assert "[2J</script>" in result.stdout
    assert ET.parse(files["junit"]).getroot().get("failures") == "4"
    assert files["html"].read_text().count("</script>") == 2


def test_the_public_suite_passes_on_the_reference(shared_data: Path, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    result = run("-r", "reference", "--suite", shared_data / "bpf_conformance", "--junit", junit)
    assert ["all", "313", "313", "0", "0", "0"] in lines(result)
    assert len(list(ET.parse(junit).getroot().iter("testcase"))) == 313


# --- interrupted ------------------------------------------------------------------------------------------------------


def start(suite: Path, plugin: Path, *options: object, sleep: str = "1", **settings: Any) -> subprocess.Popen[bytes]:
    """The command in a process of its own; the plugin sleeps for each case."""
    arguments = ["run", "-r", str(plugin), "--suite", str(suite), "-j", "1", *map(str, options)]
    environment = {**os.environ, "SLEEP": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
    return subprocess.Popen(
        [sys.executable, "-c", START, *arguments], env=environment, start_new_session=True, **streams
    )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def judged(report: Path) -> int:
    """How many results a report has, which must be whole whenever it is looked at."""
    if not report.exists():
        return 0
    return sum(one["results"][0] is not None for one in json.loads(report.read_text())["cases"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_leaves_a_partial_report(
    suite: Path, plugin: Path, tmp_path: Path, number: signal.Signals
) -> None:
    report = tmp_path / "report.json"
    process = start(suite, plugin, "--json", report)
    wait_until(report.exists)
    time.sleep(1.5)
    os.killpg(process.pid, number)  # as a terminal does: to every process of its group
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    data = json.loads(report.read_text())
    assert (data["complete"], data["stopped"]) == (False, f"interrupted by {number.name}")
    assert data["runtimes"][0]["totals"]["missing"] > 0
    assert data["runtimes"][0]["totals"]["failed"] == 0, "a case that was interrupted is not judged"
    assert f"partial: interrupted by {number.name}" in output.decode()
    assert not left_behind(plugin)


def test_a_run_that_is_killed_leaves_the_last_report(suite: Path, plugin: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    process = start(suite, plugin, "--json", report)
    wait_until(report.exists)
    process.kill()
    process.communicate(timeout=60)
    data = json.loads(report.read_text())
    assert data["complete"] is False
    assert len(data["cases"]) == 5
    wait_until(lambda: not left_behind(plugin))


def left_behind(plugin: Path) -> list[str]:
    """The processes whose command line names the plugin."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            content = entry.read_bytes()
        except OSError:
            continue
        if os.fsencode(plugin) in content:
            found.append(content.decode(errors="replace"))
    return found


def test_reports_are_written_while_the_run_goes_on(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pybpftime.cli import conformance_run

    seen: list[int] = []
    report = tmp_path / "report.json"
    written = conformance_run.write

    def watched(*arguments: Any, final: bool) -> None:
        written(*arguments, final=final)
        seen.append(judged(report))

    monkeypatch.setattr(conformance_run, "write", watched)
    monkeypatch.setattr(conformance_run, "PERIOD", 0.0)
    slow = script(tmp_path / "slow", "#!/bin/sh\nsleep 0.3\necho 7\n")
    run("-r", slow, "--suite", suite, "-j", 1, "--json", report, code=1)
    assert seen[0] == 0
    assert seen[-1] == 5
    assert len(set(seen)) > 2


def test_a_terminal_shows_progress(suite: Path, plugin: Path) -> None:
    ours, theirs = pty.openpty()
    process = start(suite, plugin, "suite/s*", sleep="0", stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    output, _ = process.communicate(timeout=60)
    assert b"seven" in shown
    assert b"/3" in shown
    assert b"all" in output, "the table goes to standard output"
