"""`pybpftime debug`: what it opens, scripts, pipes, exit codes, witnesses."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner, Result

from pybpftime.cli.main import cli
from pybpftime.errors import BpfError
from pybpftime.uapi import ProgramType
from pybpftime.verifier import Witness
from pybpftime.verifier.witness_file import witness_data

Invoke = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]

LOOP = "r0 = 0\nagain: r0 += 1\ngoto again\n"
FAULT = "r1 = *(u64 *)(r10 - 8)\nr0 = 0\nexit\n"


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """A file of commands."""

    def write(text: str) -> Path:
        file = tmp_path / "script"
        file.write_text(text)
        return file

    return write


def test_commands_from_standard_input(invoke: Invoke, programs: Path, captures: Path) -> None:
    commands = "break parse_ipv4\nrun\np rest->end\nnothing\nq\n"
    arguments = ("debug", programs / "xdp_parser.O0.bpf.o", "--pcap", captures / "mixed.pcap")
    result = invoke(*arguments, input=commands)
    assert "parse at xdp_parser.bpf.c:318 (packet 1 of 76, step 0)" in result.stdout
    assert "breakpoint 1, parse_ipv4 at xdp_parser.bpf.c:149 (packet 4 of 76, step 592)" in result.stdout
    assert "error: there is no command named nothing" in result.stdout
    assert "(bpf)" not in result.stdout, "no prompt where nobody types"
    assert invoke(*arguments, input="quit 7\n", code=7).stdout.count("\n") == 6


def test_batch_runs_scripts(invoke: Invoke, script: Callable[[str], Path], programs: Path, captures: Path) -> None:
    arguments = ("debug", programs / "xdp_parser.bpf.o", "--pcap", captures / "mixed.pcap", "--batch")
    assert invoke(*arguments, input="quit 5\n").stdout.startswith("parse at"), "standard input is not read"
    good = script("tbreak parse\nc\ngoto end\np verdicts[XDP_PASS]\n")
    assert "\n$2 = 54\n" in invoke(*arguments, "-x", good, "-x", good, code=0).stdout
    bad = script("p 1\nnothing\np 2\n")
    result = invoke(*arguments, "-x", bad, code=1)
    assert f"error: {bad}:2: there is no command named nothing" in result.stdout
    assert "2 = 2" not in result.stdout
    assert "No such file" in invoke(*arguments, "-x", bad.with_name("none"), code=1).stdout
    assert invoke(*arguments, "-x", script("quit 9\n"), code=9)


def test_batch_tells_of_a_fault(invoke: Invoke, script: Callable[[str], Path], tmp_path: Path) -> None:
    source = tmp_path / "fault.s"
    source.write_text(FAULT)
    go_on = script("continue\n")
    result = invoke("debug", source, "-x", go_on, "--batch", code=1)
    assert "uninitialised fault: " in result.stdout
    assert "--linux lets pass what a verified program may do" in result.stdout
    assert "returned 0" in invoke("debug", source, "--linux", "-x", go_on, "--batch").stdout
    assert "returned 0" in invoke("debug", source, "--lenient", "-x", go_on, "--batch").stdout


def test_a_program_that_never_ends_has_a_budget(invoke: Invoke, script: Callable[[str], Path], tmp_path: Path) -> None:
    source = tmp_path / "loop.s"
    source.write_text(LOOP)
    result = invoke("debug", source, "--budget", 50_000, "-x", script("c\np $step\nrsi\nc\n"), "--batch", code=1)
    assert result.stdout.count("stopped by a limit: ") == 2
    assert "$1 = 50000" in result.stdout or "$1 = 50001" in result.stdout


def test_contexts_memory_maps_and_variables(invoke: Invoke, programs: Path) -> None:
    commands = "p *(unsigned char *)$r1\ngoto end\n"
    result = invoke("debug", "-", "--mem", "07 08", "-x", "/dev/null", "--batch", input="r0 = *(u8 *)(r1 + 1)\nexit\n")
    assert "test" not in result.stdout
    result = invoke("debug", programs / "malloc.bpf.o", "-p", "malloc_entry", "--ctx", '{"di": 64}', input=commands)
    assert "malloc_entry" in result.stdout
    text = invoke(
        "debug", programs / "xdp_parser.bpf.o", "--packet", "00" * 60, "--maps", '{"verdicts": {"2": 40}}',
        "--set", "blocked_ports=[1, 2, 3, 4]", "--cpus", 2, "--environment", '{"cpu": 1}', "--limits",
        '{"max_depth": 4}', input="p blocked_ports\nfinish\np verdicts[XDP_PASS]\n",
    ).stdout  # fmt: skip
    assert "$1 = {1, 2, 3, 4}" in text
    assert "$2 = 41" in text


def test_helpers_of_ones_own(invoke: Invoke, tmp_path: Path) -> None:
    module = tmp_path / "own.py"
    module.write_text(
        "from pybpftime.helpers import helper, implements\n"
        "from pybpftime.helpers.declarations.kinds import Anything, Integer\n\n\n"
        '@helper(0x10000)\ndef double(number: Anything) -> Integer:\n    """Twice."""\n\n\n'
        "@implements(double)\ndef twice(machine, number):\n    return 2 * number\n"
    )
    source = tmp_path / "program.s"
    source.write_text("r1 = 21\ncall double\nexit\n")
    result = invoke("debug", source, "--helpers", module, "--lenient", input="ni\nbreak-call double after\nc\np $r0\n")
    assert "program+1: call 0x10000  ; double" in result.stdout
    assert "$1 = 42" in result.stdout


def test_sources_are_looked_for(invoke: Invoke, programs: Path, captures: Path, tmp_path: Path) -> None:
    content = (programs / "xdp_parser.bpf.o").read_bytes()
    moved = tmp_path / "moved.bpf.o"
    moved.write_bytes(content)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "xdp_parser.bpf.c").write_text((programs / "xdp_parser.bpf.c").read_text())
    arguments = ("debug", moved, "--pcap", captures / "tiny.pcap", "--source-path", tmp_path / "src")
    assert "SEC(" in invoke(*arguments, input="list 310,320\n").stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((), "parse is of type xdp and runs on packets"),
        (("--pcap", "{captures}/none.pcap"), "No such file"),
        (("--pcap", ""), "empty file name"),
        (("--packet", "xyz"), "--packet"),
        (("--packet", "00", "--pcap", "x"), "--pcap and --packet exclude each other"),
        (("--packet", "00", "--witness", "x"), "--packet and --witness exclude each other"),
        (("--strict", "--linux", "--packet", "00"), "exclude each other"),
        (("-p", "pars", "--packet", "00"), "there is no program named pars"),
        (("--packet", "00" * 60, "--maps", "[1]"), "--maps takes a JSON object"),
        (("--packet", "00" * 60, "--maps", '{"flow": {}}'), "did you mean flows?"),
        (("--packet", "00" * 60, "--set", "x"), "--set takes NAME=VALUE"),
        (("--packet", "00" * 60, "--ctx", "5"), "--ctx takes a JSON object"),
        (("--packet", "00" * 60, "-x", ""), "-x: an empty file name"),
        (("--packet", "-"), "--packet comes from standard input, so commands cannot"),
        (("--packet", "00" * 60, "--environment", '{"cpu": 3}'), "there is no cpu 3"),
        (("--witness", "none.json"), "No such file"),
        (("--witness", "x", "--ctx", "{}"), "--witness is all that the program runs on, without --ctx"),
    ],
)
def test_what_does_not_fit(
    failure: Callable[..., str], programs: Path, captures: Path, arguments: tuple[str, ...], part: str
) -> None:
    given = [one.format(captures=captures) if "{captures}" in one else one for one in arguments]
    assert part in failure("debug", programs / "xdp_parser.bpf.o", *given)


@pytest.mark.parametrize("content", [None, b"", b"\x7fELF", b"\x7fELF" + bytes(200), b"Dear Sir", bytes(100)])
def test_what_is_no_object(failure: Callable[..., str], tmp_path: Path, content: bytes | None) -> None:
    source = tmp_path / "object"
    if content is not None:
        source.write_bytes(content)
    assert "object" in failure("debug", source)


def test_an_empty_capture(failure: Callable[..., str], programs: Path, captures: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pcap"
    empty.write_bytes((captures / "tiny.pcap").read_bytes()[:24])
    assert "holds no packet" in failure("debug", programs / "xdp_parser.bpf.o", "--pcap", empty)


def test_a_program_on_standard_input_leaves_none_for_commands(failure: Callable[..., str]) -> None:
    message = failure("debug", "-", input="r0 = 0\nexit\n")
    assert "the program comes from standard input, so commands cannot: use -x SCRIPT and --batch" in message


@pytest.mark.parametrize("seed", range(20))
def test_scripts_of_garbage(invoke: Invoke, programs: Path, captures: Path, tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    file = tmp_path / "garbage"
    words = ["break", "p", "x/4i", "watch", "goto", "c", "set", "{", "parse", "$r1", "=", "if", "packet[3]", "define"]
    if seed % 2:
        file.write_bytes(random.randbytes(200))
    else:
        file.write_text("\n".join(" ".join(random.choices(words, k=3)) for _ in range(20)))
    arguments = ("debug", programs / "xdp_parser.bpf.o", "--pcap", captures / "tiny.pcap", "-x", file, "--batch")
    assert "error: " in invoke(*arguments, code=1).stdout


@pytest.mark.parametrize("cut", [100, 3000, 20_000])
def test_objects_with_damaged_debug_information(
    invoke: Invoke, programs: Path, captures: Path, tmp_path: Path, cut: int
) -> None:
    content = bytearray((programs / "xdp_parser.bpf.o").read_bytes())
    random = Random(cut)
    start = content.find(b".debug_info") if cut == 100 else len(content) - cut
    for _ in range(20):
        content[start + random.randrange(min(2000, len(content) - start))] = random.randrange(256)
    damaged = tmp_path / "damaged.bpf.o"
    damaged.write_bytes(content)
    commands = "list\nbreak parse\nc\nbt\ninfo locals\ninfo functions\ndisas/s\nnext\nrs\nmaps\n"
    outcome = CliRunner().invoke(cli, ["debug", str(damaged), "--pcap", str(captures / "tiny.pcap")], input=commands)
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit | BpfError), outcome.exception


# --- witnesses --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """An object of tests/programs/rejected, and the witness that `verify` writes for it."""
    pytest.importorskip("z3", reason="needs z3-solver")
    rejected = Path(__file__).resolve().parent.parent / "programs" / "rejected"

    def make(name: str) -> tuple[Path, Path]:
        source, file = rejected / name, tmp_path_factory.mktemp("witness") / f"{name}.json"
        program = [] if name.endswith(".s") else ["-p", "broken"]
        kind = ["-t", "xdp"] if name.endswith(".s") else []
        CliRunner().invoke(cli, ["verify", str(source), *program, *kind, "--witness-out", str(file)])
        assert file.exists(), name
        return source, file

    return make


@pytest.mark.parametrize(
    "name", ["map-value-off-by-one.bpf.o", "null.bpf.o", "packet-bounds.bpf.o", "packet-after-adjust.bpf.o"]
)
def test_a_witness_opens_and_faults(invoke: Invoke, witness: Callable[[str], tuple[Path, Path]], name: str) -> None:
    source, file = witness(name)
    predicted = invoke("run", source, "--witness", file, code=1).stdout.rpartition("fault: ")[2].strip()
    result = invoke("debug", source, "--witness", file, input="c\np $step\nrsi\nsi\nrc\ngoto 0\nc\n")
    assert "broken at " in result.stdout
    assert "(the witness, step 0)" in result.stdout
    assert result.stdout.count(f"fault: {predicted}\n") == 3, "and again after going back"


def test_results_that_a_witness_demands_are_the_same_again(invoke: Invoke, tmp_path: Path) -> None:
    """Three calls with results that are demanded: by stepping, and after going back."""
    source = tmp_path / "three.s"
    source.write_text(
        "r6 = 0\nr7 = 3\nagain: call bpf_get_prandom_u32\nr6 += r0\nr7 -= 1\nif r7 != 0 goto again\nr0 = r6\nexit\n"
    )
    results = ((2, 10), (2, 20), (2, 12))
    one = Witness(ProgramType.BPF_PROG_TYPE_XDP, 2, None, {}, bytes(64), b"", {}, results)
    file = tmp_path / "witness.json"
    file.write_text(json.dumps(witness_data(one, "three")))
    commands = "break three+3\nc\np $r0\nc\np $r0\nrc\np $r0\nc\nc\np $r0\ngoto 0\nd\nc\ngoto 0\nset $r7 = 3\nc\n"
    text = invoke("debug", source, "-t", "xdp", "--witness", file, input=commands).stdout
    assert [line for line in text.splitlines() if line.startswith("$")] == ["$1 = 10", "$2 = 20", "$3 = 10", "$4 = 12"]
    assert text.count("three returned 42") == 2


# --- a terminal -------------------------------------------------------------------------------------------------------


class Terminal:
    """A tmux server of its own, with `pybpftime debug` in a window."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux")]
        environment = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)}
        exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        command = [sys.executable, "-c", "from pybpftime.cli.main import main; main()", "debug", *map(str, arguments)]
        text = f"env {exports} {shlex.join(command)}; echo left with $?; sleep 60"
        self._run("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "40", text)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True, timeout=30)
        return done.stdout

    def type(self, *keys: str) -> None:
        """Press keys: text, or names as tmux has them."""
        self._run("send-keys", *keys)

    def screen(self) -> str:
        """What there is to see, and what was."""
        return self._run("capture-pane", "-p", "-J", "-S", "-")

    def until(self, text: str) -> str:
        """Wait until a text is on the screen."""
        return self._wait(lambda shown: text in shown, text)

    def command(self, text: str) -> None:
        """Wait for the prompt, and type a command."""
        self._wait(lambda shown: shown.rstrip().endswith("\n(bpf)"), "the prompt")
        self.type(text, "Enter")

    def _wait(self, is_there: Callable[[str], bool], what: str) -> str:
        shown = ""
        for _ in range(600):
            shown = self.screen()
            if is_there(shown):
                return shown
            time.sleep(0.05)
        raise AssertionError(f"{what} is not on the screen:\n{shown}")

    def end(self) -> None:
        """Whatever runs there ends."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True, timeout=30)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts `pybpftime debug` in a terminal."""
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    pytest.importorskip("prompt_toolkit", reason="needs prompt_toolkit")
    started: list[Terminal] = []

    def start(*arguments: object) -> Terminal:
        started.append(Terminal(tmp_path, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.end()


def test_a_session_at_the_prompt(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    """Typing, completion, an endless loop that Ctrl-C stops, an empty line, history, and the way out."""
    source = tmp_path / "loop.s"
    source.write_text(LOOP)
    session = terminal(source, "--budget", 10**15)
    session.command("reverse-stepi 99")
    session.until("this is the beginning")
    session.command("print 1 + 1")
    session.until("$1 = 2")
    session.type("info regi", "Tab")
    session.until("(bpf) info registers")
    session.type("Enter")
    session.until("pc  loop+0")
    session.command('dprintf loop+1,"it is at {$step}"')
    session.command("ignore 1 % 50000")
    session.command("continue")
    session.until("it is at 9")
    session.type("C-c")
    session.until("interrupted")
    session.command("print $step > 1000")
    session.until("$2 = 1")
    session.command("goto 7")
    session.until("(run 1, step 7)")
    session.command("stepi")
    session.until("(run 1, step 8)")
    session.command("")
    session.until("(run 1, step 9)")
    session.command("nothing")
    session.until("error: there is no command named nothing")
    session.type("half a command")
    session.until("half a command")
    session.type("C-c")
    session.until("quit leaves the debugger")
    session.command("quit 4")
    session.until("left with 4")
    assert "+continue" in (tmp_path / "state" / "pybpftime" / "debug_history").read_text()


def test_ctrl_c_ends_a_batch(tmp_path: Path, script: Callable[[str], Path]) -> None:
    if sys.platform == "win32":
        pytest.skip("needs signals")
    source = tmp_path / "loop.s"
    source.write_text(LOOP)
    file = script('dprintf loop+1,"at {$step}"\nignore 1 % 50000\ncontinue\necho not reached\n')
    code = "from pybpftime.cli.main import main; main()"
    command = [sys.executable, "-u", "-c", code, "debug", source, "--budget", str(10**15), "-x", file, "--batch"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    ) as one:
        assert one.stdout is not None
        while not one.stdout.readline().startswith("at "):
            pass
        one.send_signal(signal.SIGINT)
        rest = one.stdout.read()
    assert one.returncode == 130
    assert "interrupted" in rest
    assert "not reached" not in rest


def test_the_reader_of_the_output_goes_away(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("needs pipes")
    source = tmp_path / "loop.s"
    source.write_text(LOOP)
    code = "from pybpftime.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "debug", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as one:  # fmt: skip
        assert one.stdin is not None and one.stdout is not None and one.stderr is not None
        one.stdout.close()
        with suppress(BrokenPipeError):
            one.stdin.write("help\n" * 1000)
            one.stdin.close()
        assert one.stderr.read() == ""
    assert one.returncode == 141


def test_the_end_of_input_leaves(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    source = tmp_path / "loop.s"
    source.write_text(LOOP)
    session = terminal(source)
    session.until("(bpf)")
    session.type("C-d")
    assert "left with 0" in session.until("left with 0")
