"""`record` and `replay`: what ran is kept, runs again anywhere, and is compared step by step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from pybpftime.debug.recording import read_recording
from pybpftime.helpers import default_helpers, load_helper_module

Invoke = Callable[..., Result]
InvokeJson = Callable[..., Any]

FAULT = "r0 = 1\nr1 = *(u64 *)(r0 + 0)\nexit\n"
COMMAND = [sys.executable, "-c", "from pybpftime.cli.main import main; main()"]


@pytest.fixture
def recorded(invoke: Invoke, programs: Path, captures: Path, tmp_path: Path) -> Path:
    """A recording of a parser on three packets and two cpus."""
    file = tmp_path / "parser.bpfrec"
    command = ("record", programs / "xdp_parser.O0.bpf.o", "--pcap", captures / "tiny.pcap", "--cpus", 2)
    invoke(*command, "-o", file)
    return file


def changed(file: Path, kind: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the first record of a kind."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    change(next(line for line in lines if line.get("record") == kind))
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_record_prints_what_run_prints(invoke: Invoke, programs: Path, captures: Path, tmp_path: Path) -> None:
    inputs = (programs / "xdp_parser.bpf.o", "--pcap", captures / "mixed.pcap", "--dump-maps")
    run = invoke("run", *inputs, "--no-verify").stdout.splitlines()
    record = invoke("record", *inputs, "-o", tmp_path / "one.bpfrec").stdout.splitlines()
    assert [line for line in record if "instructions in" not in line][:-1] == [
        line for line in run if "instructions in" not in line
    ]
    assert record[-1].startswith("recorded 9,599 steps in ")
    replayed = invoke("replay", tmp_path / "one.bpfrec", "--dump-maps").stdout.splitlines()
    assert [line for line in replayed[1:-1] if "instructions in" not in line] == [
        line for line in run[1:] if "instructions in" not in line
    ]
    assert replayed[-1].startswith("9,599 steps as recorded, digest ")


def test_replay_needs_nothing_but_the_file(recorded: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [*COMMAND, "replay", "../parser.bpfrec", "--check", "--json"], cwd=elsewhere, capture_output=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": "3", "TZ": "Asia/Tokyo"},
    )  # fmt: skip
    check = json.loads(done.stdout)
    assert check["equal"] is True
    assert check["checksums"] == 3
    assert check["digest"] == read_recording(recorded).check().digest


def test_json_has_runs_and_comparison(invoke_json: InvokeJson, recorded: Path) -> None:
    data = invoke_json("replay", recorded)
    assert [run["verdict"] for run in data["runs"]] == ["XDP_PASS"] * 3
    assert [run["number"] for run in data["runs"]] == [1, 2, 3]
    assert data["check"]["equal"] is True
    assert data["verdicts"] == {"XDP_PASS": 3}


def test_record_json_says_what_was_written(
    invoke_json: InvokeJson, programs: Path, captures: Path, tmp_path: Path
) -> None:
    file = tmp_path / "one.bpfrec"
    inputs = (programs / "percpu.bpf.o", "--pcap", captures / "tiny.pcap", "--cpus", 4, "--dump-maps")
    data = invoke_json("record", *inputs, "-o", file)
    steps = data["instructions"] + len(data["runs"])
    assert data["recording"] == {"file": str(file), "steps": steps, "bytes": file.stat().st_size}
    assert data["maps"] == invoke_json("replay", file, "--dump-maps")["maps"]


def test_a_difference_is_an_error_that_names_the_place(invoke: Invoke, recorded: Path) -> None:
    changed(recorded, "invocation", lambda line: line.update(environment={"cpu": 1}))
    changed(recorded, "checksum", lambda line: line.update(value="0" * 64))
    result = invoke("replay", recorded, code=1)
    assert "differs from the recording in packet 1, at or before step" in result.stdout
    assert "recorded by pybpftime " in result.stdout
    assert "differs" in invoke("replay", recorded, "--check", code=1).stdout
    assert json.loads(invoke("replay", recorded, "--check", "--json", code=1).stdout)["difference"]["invocation"] == 0


def test_a_fault_is_recorded_and_is_one_again(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "fault.bpfrec"
    result = invoke("record", "-", "--mem", "00", "--repeat", 5, "-o", file, input=FAULT, code=1)
    assert result.stdout.count("memory fault") == 1
    again = invoke("replay", file, code=1)
    assert again.stdout.count("memory fault") == 1
    assert "3 steps as recorded" in again.stdout
    assert "3 steps as recorded" in invoke("replay", file, "--check").stdout


def test_it_goes_on_behind_a_fault_when_asked(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "fault.bpfrec"
    options = ("--mem", "00", "--repeat", 5, "--go-on", "-o", file)
    result = invoke("record", "-", *options, input=FAULT, code=1)
    assert result.stdout.count("memory fault") == 5
    assert invoke("replay", file, code=1).stdout.count("memory fault") == 5


def test_everything_that_run_takes_is_recorded(invoke_json: InvokeJson, programs: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.bpfrec"
    options = (
        "--ctx",
        '{"di": 64}',
        "--environment",
        '{"pid": 42, "tid": 43, "comm": "me"}',
        "--strict",
        "--dump-maps",
    )
    data = invoke_json("record", programs / "malloc.bpf.o", "-p", "malloc_entry", *options, "-o", file)
    again = invoke_json("replay", file, "--dump-maps")
    assert again["maps"] == data["maps"]
    assert again["runs"] == data["runs"]
    assert again["check"]["equal"] is True
    session = read_recording(file).session
    assert session.object.level.name == "strict"
    assert session.object.environment.pid == 42


def test_maps_and_variables_at_the_start_are_recorded(
    invoke_json: InvokeJson, programs: Path, captures: Path, tmp_path: Path
) -> None:
    file = tmp_path / "one.bpfrec"
    options = ("--maps", '{"protocols": {"IPV4_TCP": {"packets": 100, "bytes": 1000}}}', "--dump-maps")
    inputs = (programs / "xdp_parser.bpf.o", "--pcap", captures / "tiny.pcap")
    data = invoke_json("record", *inputs, *options, "-o", file)
    assert data["maps"] == invoke_json("replay", file, "--dump-maps")["maps"]
    assert "101" in json.dumps(data["maps"])


def test_a_recording_without_checksums_runs_and_is_no_proof(invoke: Invoke, recorded: Path) -> None:
    lines = [line for line in recorded.read_text().splitlines() if '"checksum"' not in line]
    lines[-1] = json.dumps({"record": "end", "lines": len(lines)})
    recorded.write_text("\n".join(lines) + "\n")
    assert "nothing was compared" in invoke("replay", recorded).stdout
    assert "nothing was compared" in invoke("replay", recorded, "--check", code=1).stdout


INTERRUPTING = """
import os, signal
from pybpftime.helpers import helper, implements
from pybpftime.helpers.declarations.kinds import Integer

SENT = []

@helper(0x10000)
def interrupt() -> Integer:
    "Ctrl-C, once."

@implements(interrupt)
def do_interrupt(machine):
    if not SENT:
        SENT.append(1)
        os.kill(os.getpid(), signal.SIGINT)
    return 0
"""


def test_ctrl_c_ends_a_run_and_what_ran_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "endless.bpfrec"
    (tmp_path / "interrupting.py").write_text(INTERRUPTING)
    (tmp_path / "endless.s").write_text("call 0x10000\nr0 += 1\ngoto -2\n")
    options = ["--mem", "00", "--budget", "1000000000000", "--helpers", "interrupting.py", "-o", str(file)]
    command = [*COMMAND, "record", "endless.s", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")
    assert "interrupted after 0 runs" in done.stdout
    module: Any = load_helper_module(tmp_path / "interrupting.py")
    module.SENT.append(1)
    recording = read_recording(file, helpers=default_helpers().extended(module))
    assert recording.session.world.timeline.end > 100
    assert recording.check().is_equal


def test_errors_are_one_sentence(failure: Callable[..., str], recorded: Path, programs: Path, tmp_path: Path) -> None:
    assert "no recording of pybpftime" in failure("replay", programs / "lru.bpf.o")
    assert "cannot be read" in failure("replay", tmp_path / "none")
    assert "an empty file name" in failure("replay", "")
    assert "an empty file name" in failure("record", programs / "lru.bpf.o", "--packet", "00" * 60, "-o", "")
    assert "runs on packets" in failure("record", programs / "lru.bpf.o", "-o", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    changed(recorded, "session", lambda line: line.update(helpers=[{"id": 65536, "name": "fnv"}]))
    assert "needs the helper fnv" in failure("replay", recorded)


@pytest.mark.parametrize("command", ["record", "replay", "trace-diff"])
def test_help_has_examples(command: str, invoke: Invoke) -> None:
    text = invoke(command, "--help").stdout
    assert f"pybpftime {command} " in text
