"""`pybpftime verify`: verdicts, explanations, witnesses, processes that fail."""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import Result

from pybpftime.cli import verify_workers
from pybpftime.cli.output import plain
from pybpftime.cli.verify_output import json_data, rejection
from pybpftime.cli.verify_witness import hex_rows
from pybpftime.cli.verify_workers import Answer, Limits, Task, verified
from pybpftime.errors import InputError
from pybpftime.isa import TABLE, encode_program
from pybpftime.isa.assembler import assemble
from pybpftime.runtime.load import read_object

Invoke = Callable[..., Result]
InvokeJson = Callable[..., Any]

UNCHECKED = "r2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 13)\nexit\n"
SAFE = "r0 = 2\nexit\n"
needs_z3 = pytest.mark.skipif(importlib.util.find_spec("z3") is None, reason="needs z3, which finds the inputs")


@pytest.fixture
def rejected(programs: Path) -> Path:
    """The folder of the programs that are refused."""
    return programs / "rejected"


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_one_safe_program_is_one_line(invoke: Invoke, programs: Path) -> None:
    text = invoke("verify", programs / "xdp_forward.bpf.o").stdout
    assert text.startswith("forward  xdp  safe  ")
    assert text.count("\n") == 1
    assert " instructions processed in " in text


def test_several_programs_are_a_table_with_a_summary(invoke: Invoke, programs: Path, rejected: Path) -> None:
    text = invoke("verify", programs / "xdp_vlan.bpf.o", rejected / "null.bpf.o", code=1).stdout
    rows = [line.split() for line in text.splitlines()[:7]]
    assert rows[0] == ["program", "type", "verdict", "processed", "seconds", "reason", "object"]
    assert [row[:3] for row in rows[1:5]] == [[name, "xdp", "safe"] for name in ("push", "pop", "pad", "trim")]
    assert rows[5][-2:] == ["null", str(rejected / "null.bpf.o")]
    assert rows[6][:3] == ["fixed", "xdp", "safe"]
    assert "r0 may be NULL" in text
    assert "how it comes there" not in text
    assert text.splitlines()[-1].startswith("6 programs: 5 safe, 1 ")


def test_explain_tells_everything_of_several(invoke: Invoke, rejected: Path) -> None:
    text = invoke("verify", rejected / "null.bpf.o", rejected / "lock.bpf.o", "--explain", code=1).stdout
    assert text.count("how it comes there:") == 2
    assert text.count("known there:") == 2


@needs_z3
def test_explain_tells_what_the_solver_proved(invoke: Invoke, invoke_json: InvokeJson, programs: Path) -> None:
    beyond = programs / "beyond" / "beyond.bpf.o"
    lines = invoke("verify", beyond, "-p", "headers", "--explain").stdout.splitlines()
    assert lines[2] == "proved by the solver:"
    assert lines[-2].startswith("    never load of 4 bytes at 30 of the packet")
    assert lines[-1] == "    because 4: if r1 s< 0x22 goto +0x3  -> not taken"
    assert invoke("verify", beyond, "-p", "headers").stdout.count("\n") == 1
    (data,) = invoke_json("verify", beyond, "-p", "headers")["programs"]
    assert [(proof["pc"], proof["facts"]) for proof in data["proofs"]] == [(5, [[4, False]])]


def test_one_rejection_is_explained_in_full(invoke: Invoke, rejected: Path) -> None:
    lines = invoke("verify", rejected / "null.bpf.o", "-p", "broken", code=1).stdout.splitlines()
    assert lines[2] == "r0 may be NULL: value of map counts was not checked before this load [null]"
    assert lines[3] == "  null.bpf.c:25: *count += 1;"
    assert lines[4].index("^") == lines[3].index("+=")
    assert lines[5] == "  instruction 7: r1 = *(u64 *)(r0 + 0x0)"
    assert lines[6].strip() == "^" * len("r0 + 0x0")
    assert lines[6].index("^") == lines[5].index("r0 + 0x0")
    assert lines[7:9] == [
        "how it comes there:",
        "  null.bpf.c:23: __u64 *count = bpf_map_lookup_elem(&counts, &key);",
    ]
    assert lines[-1] == "fix: check the result before it is used: if (!value) return"


def test_raw_programs_need_a_type(invoke: Invoke, failure: Callable[..., str]) -> None:
    assert "safe" in invoke("verify", "-", "--type", "xdp", input=SAFE).stdout
    assert "safe" in invoke("verify", "-", "-t", "xdp", input="b7000000 02000000 95000000 00000000").stdout
    assert "program has no program type, which says what it may do: give --type" in failure("verify", "-", input=SAFE)


def test_what_cannot_be_read_does_not_stop_the_others(invoke: Invoke, programs: Path, tmp_path: Path) -> None:
    result = invoke("verify", tmp_path / "none.o", programs / "xdp_forward.bpf.o", code=1)
    assert "error: " in result.stdout
    assert "none.o" in result.stdout
    assert "1 program: 1 safe, 1 object that cannot be read" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("no-such-file",), "no-such-file"),
        (("{programs}/xdp_vlan.bpf.o", "--timeout", "nan"), "not nan"),
        (("{programs}/multi.bpf.o", "-p", "nope"), "nope"),
        (("{programs}/multi.bpf.o", "--witness-out", "x"), "--program NAME chooses one"),
        (("{programs}/xdp_vlan.bpf.o", "--type", "sched_cls"), "of type xdp"),
        (("{programs}/xdp_forward.bpf.o", "--witness-out", ""), "--witness-out: an empty file name"),
    ],
)
def test_unusable_arguments(failure: Callable[..., str], programs: Path, arguments: tuple[str, ...], part: str) -> None:
    assert part in failure("verify", *(text.format(programs=programs) for text in arguments))


@pytest.mark.parametrize("option", [("--budget", "0"), ("--timeout", "0"), ("--jobs", "0")])
def test_options_out_of_their_range(invoke: Invoke, option: tuple[str, str]) -> None:
    assert "Error: Invalid value" in invoke("verify", "-", *option, input=SAFE, code=2).stderr


def test_budget_and_time_end_as_not_proved(invoke_json: InvokeJson, programs: Path) -> None:
    for option, code in ((("--budget", "20"), "budget"), (("--timeout", "0.0001"), "timeout")):
        [one] = invoke_json("verify", programs / "globals.O0.bpf.o", "-p", "describe", *option, code=1)["programs"]
        assert (one["verdict"], one["reason"]["code"]) == ("not proved", code)


OWN_HELPER = """
from pybpftime.helpers import helper, implements
from pybpftime.helpers.declarations.kinds import Context, Integer

@helper(0x10000)
def own(context: Context) -> Integer:
    "Something."

@implements(own)
def own_now(machine, context):
    return 1
"""


@pytest.mark.parametrize(("setup", "code"), [("", 0), ("r1 = 0\n", 1)])
def test_helpers_of_a_module_are_called_as_they_declare(invoke: Invoke, tmp_path: Path, setup: str, code: int) -> None:
    module = tmp_path / "own.py"
    module.write_text(OWN_HELPER)
    program = f"{setup}call 0x10000\nr0 = 2\nexit\n"
    assert "there is no helper" in invoke("verify", "-", "-t", "xdp", input=program, code=1).stdout
    text = invoke("verify", "-", "-t", "xdp", "--helpers", module, input=program, code=code).stdout
    assert ("[helper-argument]" in text) == bool(code)


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_json_is_one_document_with_everything(invoke: Invoke, rejected: Path) -> None:
    def refuse(text: str) -> None:
        raise AssertionError(text)

    text = invoke("verify", rejected / "null.bpf.o", "--json", code=1).stdout
    data = json.loads(text, parse_constant=refuse)
    broken, fixed = data["programs"]
    assert broken["reason"]["code"] == "null"
    assert broken["explanation"]["place"]["line"] == 25
    assert broken["explanation"]["path"][0]["place"]["pc"] == 6
    assert fixed["verdict"] == "safe"
    assert "reason" not in fixed
    assert sum(data["verdicts"].values()) == 2


# --- witnesses --------------------------------------------------------------------------------------------------------


@needs_z3
def test_a_witness_is_written_and_runs(invoke: Invoke, invoke_json: InvokeJson, rejected: Path, tmp_path: Path) -> None:
    file = tmp_path / "witness.json"
    source = rejected / "map-value-off-by-one.bpf.o"
    text = invoke("verify", source, "-p", "broken", "--witness-out", file, code=1).stdout
    assert "xdp_md.rx_queue_index = 8" in text
    assert f"see it: pybpftime debug {source} -p broken --witness {file}" in text
    result = invoke("run", source, "--witness", file, code=1)
    assert "memory fault: load of 8 bytes at map tables+64: 8 bytes past the end" in result.stdout
    assert "-> " not in result.stdout
    traced = invoke("run", source, "-p", "broken", "--witness", file, "--trace", code=1).stdout
    assert len(traced.splitlines()) > 10
    data = invoke_json("run", source, "--witness", file, "--trace", code=1)
    assert (data["faulted"], data["kind"], data["instruction"]) == (True, "memory", 12)
    assert data["trace"][-1]["pc"] == 12


@needs_z3
def test_a_witness_gives_a_raw_program_its_type(invoke: Invoke, tmp_path: Path) -> None:
    file, source = tmp_path / "witness.json", tmp_path / "short.s"
    source.write_text(UNCHECKED)
    text = invoke("verify", source, "-t", "xdp", "--witness-out", file, code=1).stdout
    assert "packet of " in text
    assert "fault" in invoke("run", source, "--witness", file, code=1).stdout


@needs_z3
def test_a_witness_for_something_else_is_refused(
    invoke: Invoke, failure: Callable[..., str], programs: Path, rejected: Path, tmp_path: Path
) -> None:
    file = tmp_path / "witness.json"
    invoke("verify", rejected / "null.bpf.o", "-p", "broken", "--witness-out", file, code=1)
    assert "no program named broken" in failure("run", programs / "xdp_vlan.bpf.o", "--witness", file)
    message = failure("run", programs / "tc_vlan.bpf.o", "-p", "push", "--witness", file)
    assert "is a witness for a program of type xdp, and push is of type sched_cls" in message
    assert "--witness is all that the program runs on, without --packet" in failure(
        "run", rejected / "null.bpf.o", "--witness", file, "--packet", "00"
    )
    file.write_text('{"format": "other"}')
    assert "is no witness" in failure("run", rejected / "null.bpf.o", "--witness", file)
    file.write_text("{")
    assert "no JSON" in failure("run", rejected / "null.bpf.o", "--witness", file)
    assert "No such file" in failure("run", rejected / "null.bpf.o", "--witness", tmp_path / "none")


def test_no_witness_is_written_for_a_safe_program(invoke: Invoke, programs: Path, tmp_path: Path) -> None:
    file = tmp_path / "witness.json"
    result = invoke("verify", programs / "xdp_forward.bpf.o", "--witness-out", file)
    assert result.stderr == f"{file} is not written: there is no input that breaks the program\n"
    assert not file.exists()


@needs_z3
def test_a_witness_that_cannot_be_written_is_said(failure: Callable[..., str], rejected: Path, tmp_path: Path) -> None:
    arguments = ("verify", rejected / "null.bpf.o", "-p", "broken", "--witness-out", tmp_path / "no" / "file")
    assert "cannot be written" in failure(*arguments)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"\1\2", ["0000  01 02"]),
        (b"\1" + bytes(15), ["0000  01" + " 00" * 15]),
        (b"\1" + bytes(31), ["0000  01" + " 00" * 15, "... 16 bytes of zeros"]),
        (bytes(16) + b"\1", ["0000" + " " + " 00" * 16, "0010  01"]),
        (b"\1" * 257, [f"{16 * row:04x} {' 01' * 16}" for row in range(16)] + ["... 1 byte more"]),
    ],
)
def test_rows_of_hex(content: bytes, rows: list[str]) -> None:
    assert list(hex_rows(content)) == rows


# --- processes --------------------------------------------------------------------------------------------------------

FAILING = {
    "ends": "os._exit(3)",
    "is killed": "os.kill(os.getpid(), 9)",
    "raises": "raise ValueError('x')",
    "hangs": "time.sleep(1000)",
}


@pytest.fixture
def failing(tmp_path: Path) -> Callable[[str], Path]:
    """A helper module that does something in the processes that verify, and nothing here."""

    def write(deed: str) -> Path:
        file = tmp_path / "failing.py"
        file.write_text(
            f"import multiprocessing, os, time\nif multiprocessing.parent_process() is not None:\n    {deed}\n"
        )
        return file

    return write


@pytest.mark.parametrize(
    ("how", "part"),
    [
        ("ends", "internal error: the process that verified it ended (exit code 3)"),
        ("is killed", "internal error: the process that verified it ended (signal 9"),
        ("raises", "internal error: InputError"),
    ],
)
def test_a_process_that_fails_is_one_line(invoke: Invoke, failing: Callable[[str], Path], how: str, part: str) -> None:
    result = invoke("verify", "-", "-t", "xdp", "--helpers", failing(FAILING[how]), input=SAFE, code=1)
    assert result.stdout.startswith("program  xdp  error")
    assert part in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_a_process_that_hangs_is_ended(
    invoke_json: InvokeJson, failing: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_workers, "GRACE", 0.2)
    arguments = ("verify", "-", "-t", "xdp", "--timeout", "0.1", "--helpers", failing(FAILING["hangs"]))
    [one] = invoke_json(*arguments, input=SAFE, code=1)["programs"]
    assert (one["verdict"], one["reason"]["code"]) == ("not proved", "timeout")


def test_an_interrupt_ends_all_processes(failing: Callable[[str], Path], tmp_path: Path) -> None:
    started = tmp_path / "started"
    module = failing(f"open({str(started)!r}, 'w').write(str(os.getpid())); time.sleep(1000)")
    code = "from pybpftime.cli.main import main; main()"
    command = [sys.executable, "-c", code, "verify", "-", "-t", "xdp", "--helpers", str(module)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(SAFE.encode())
        process.stdin.close()
        wait_until(lambda: started.exists() and started.read_text() != "")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    worker = int(started.read_text())
    wait_until(lambda: not Path(f"/proc/{worker}").exists() if Path("/proc/self").exists() else True)


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come true")


def test_too_much_memory_is_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    from pybpftime.runtime import verification

    def eat(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(verification, "verify_program", eat)
    answer = verified(task(SAFE), Limits(1000, 1.0), ())
    assert answer.report is not None
    assert answer.report.objection is not None
    assert (answer.verdict, answer.report.objection.code) == ("not proved", "budget")
    assert answer.report.objection.sentence == "not decided within 2 GB of memory"


def test_memory_of_a_process_is_limited() -> None:
    code = (
        "from pybpftime.cli import verify_workers as w\n"
        "w._limit_memory(w.MEMORY)\n"
        "try:\n    bytearray(w.MEMORY)\n"
        "except MemoryError:\n    print('limited')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert result.stdout == "limited\n", result.stderr


def test_processes_are_not_forked_beside_threads(invoke: Invoke, programs: Path) -> None:
    """Where there are threads, a server forks them."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        text = invoke("verify", programs / "xdp_vlan.bpf.o").stdout
    finally:
        stop.set()
        thread.join()
    assert "4 programs: 4 safe" in text


def task(text: str) -> Task:
    return Task("program", read_object(text.encode(), type="xdp"), "program")


def test_answers_come_in_the_order_of_the_tasks(programs: Path) -> None:
    spec = read_object(programs / "xdp_vlan.bpf.o")
    tasks = [Task("x", spec, name) for name in spec.programs]
    seen: list[Answer] = []
    answers = verify_workers.verify_all(tasks, Limits(100_000, 60.0), (), 2, seen.append)
    assert [answer.task for answer in answers] == tasks
    assert sorted(answer.task.program for answer in seen) == sorted(spec.programs)


def test_the_limit_of_this_process_is_untouched() -> None:
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != verify_workers.MEMORY
    assert os.getpid()


# --- without z3 -------------------------------------------------------------------------------------------------------


def test_without_z3_less_is_proved_and_that_is_said(programs: Path, rejected: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        code = "import sys; sys.modules['z3'] = None; from pybpftime.cli.main import main; main()"
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    safe = run("verify", programs / "xdp_forward.bpf.o")
    assert (safe.returncode, safe.stderr) == (0, "")
    assert "z3" not in safe.stdout
    refused = run("verify", rejected / "null.bpf.o", "-p", "broken")
    assert refused.returncode == 1
    assert refused.stdout.startswith("broken  xdp  not proved")
    assert "note: z3 is not installed, and more is proved with it" in refused.stdout
    ran = run("run", programs / "xdp_forward.bpf.o", "--packet", "00" * 60)
    assert (ran.returncode, ran.stderr) == (0, "")


# --- whatever comes in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_any_instructions_get_an_answer(seed: int) -> None:
    """Mutations of programs that mean something, and rows of the table with operands that mean nothing."""
    random = Random(seed)
    program = bytearray(b"".join(encode_program(assemble(UNCHECKED)) for _ in range(3)))
    rows = random.sample(TABLE, 4)
    for row in rows:
        program[8 * random.randrange(len(program) // 8)] = row.opcode
    for _ in range(random.randrange(6)):
        program[random.randrange(len(program))] = random.randrange(256)
    kind = random.choice(("xdp", "sched_cls", "kprobe", "socket_filter", "cgroup_skb", "tracepoint", "struct_ops"))
    try:
        spec = read_object(bytes(program), type=kind)
    except InputError:
        return
    name = next(iter(spec.programs))
    answer = verified(Task("x", spec, name), Limits(10_000, 5.0), ())
    assert answer.error == ""
    assert list(rejection(answer)) or answer.verdict == "safe"
    json.dumps(json_data([answer], [], 0.0), default=plain)


def test_progress_is_shown_on_a_terminal(programs: Path) -> None:
    pty = pytest.importorskip("pty", reason="needs pseudo-terminals")
    ours, theirs = pty.openpty()
    code = "from pybpftime.cli.main import main; main()"
    command = [sys.executable, "-c", code, "verify", str(programs / "xdp_vlan.bpf.o")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    output, _ = process.communicate(timeout=60)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:
        pass  # how Linux says that the other side is closed
    finally:
        os.close(ours)
    assert b"4/4" in shown
    assert b"4 programs: 4 safe" in output
    assert b"4/4" not in output
