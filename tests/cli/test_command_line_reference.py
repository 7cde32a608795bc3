"""docs/reference/command-line.md says what is: its tables against the code, its examples run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from pybpftime.cli.main import COMMANDS
from pybpftime.cli.run_json import JsonOutput
from pybpftime.cli.run_output import KernelReport, Report
from pybpftime.conformance.objects import Disagreement
from pybpftime.errors import HostError, InputError
from pybpftime.machine import Environment, Limits
from pybpftime.machine.environment import RANGES, STACKS
from pybpftime.program.contexts import make_context
from pybpftime.program.types import PROGRAM_TYPES, ContextKind
from pybpftime.runtime import load
from pybpftime.uapi import ProgramType

Invoke = Callable[..., Result]
InvokeJson = Callable[..., Any]
Rows = list[list[str]]

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "reference" / "command-line.md").read_text("utf-8")
SECTIONS = {part.partition("\n")[0].lstrip("# "): part for part in re.split(r"^(?=#{2,3} )", TEXT, flags=re.MULTILINE)}
COMMAND = shlex.quote(sys.executable) + " -c 'from pybpftime.cli.main import main; main()'"
PACKET = "00" * 60


def tables(section: str) -> list[Rows]:
    """The cells of each table of a section, without its head."""
    found = re.findall(r"(?:^\|.*\n)+", SECTIONS[section], re.MULTILINE)
    cells = [[re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in table.splitlines()[2:]] for table in found]
    return [[[cell.strip() for cell in row] for row in table] for table in cells]


def code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_command_is_named() -> None:
    [rows] = tables("Command line")
    assert [code(row[0]) for row in rows] == [[name] for name in COMMANDS]


# --- exit codes -------------------------------------------------------------------------------------------------------


def test_exit_codes() -> None:
    """130 and 141 need a signal and a pipe: test_run_output and test_streams cause them."""
    [rows] = tables("Exit codes")
    assert [int(row[0]) for row in rows] == [0, 1, 2, 130, 141]
    for number, command in ((0, "run -"), (1, "run - --budget 1"), (1, "info no-such-file"), (2, "run"), (2, "rnu")):
        assert shell(f"printf 'r0 = 1\\nexit\\n' | {COMMAND} {command}").returncode == number


def with_command(text: str) -> str:
    """What is to be typed, with the command as this checkout has it."""
    return re.sub(r"(^|\| )pybpftime ", lambda match: f"{match[1]}{COMMAND} ", text)


def shell(command: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    if sys.platform == "win32":
        pytest.skip("needs a POSIX shell")
    return subprocess.run(
        ["sh", "-c", command],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


# --- examples ---------------------------------------------------------------------------------------------------------

EXAMPLES = re.findall(r"^```console\n\$ (.*\n(?:> .*\n)*)((?:.*\n)*?)```", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("command", "expected"), EXAMPLES)
def test_examples(command: str, expected: str) -> None:
    assert shell(with_command(command.replace("\n> ", "\n"))).stdout == expected


# --- contexts, environment, limits ------------------------------------------------------------------------------------

CONTEXTS = {name: code(row[1]) for [rows] in [tables("Contexts")] for row in rows for name in code(row[0])}
# What is in code in that table and is no key, or needs more than a number.
GIVEN: dict[str, Any] = {
    "--mem": None, "kprobe": None, "x86_64": None, "arm64": None, "format": None,
    "arch": "x86_64", "metadata": "00000000", "bytes": "00", "args": [1], "cb": [1], "0x10": None,
    "local_ip6": "::1", "remote_ip6": "::1",
}  # fmt: skip


def test_every_program_type_that_runs_is_named() -> None:
    assert set(CONTEXTS) == {info.name for info in PROGRAM_TYPES.values() if info.context is not None}


def make(type: ProgramType, key: str, value: Any) -> Any:
    return make_context(type, packet=bytes(60) if PROGRAM_TYPES[type].takes_packet else None, ctx={key: value})


@pytest.mark.parametrize("type", [type for type, info in PROGRAM_TYPES.items() if info.name in CONTEXTS])
def test_keys_of_contexts(type: ProgramType) -> None:
    info = PROGRAM_TYPES[type]
    if info.context is ContextKind.MEMORY:
        return
    documented = CONTEXTS[info.name]
    for key in documented:
        value = GIVEN.get(key, 0)
        assert value is None or make(type, key, value) is not None
    with pytest.raises(InputError) as caught:
        make(type, "nope", 0)
    known = str(caught.value).split("it has ")[-1].split("there is ")[-1].split(", ")
    if info.name == "perf_event":
        documented = documented + CONTEXTS["kprobe"]
    assert set(known) <= set(documented)


def test_fields_of_the_environment() -> None:
    environment, limits = tables("Environment")
    defaults = {code(row[0])[0]: json.loads(row[1]) for row in environment}
    assert set(defaults) == {*RANGES, *STACKS, "comm", "random_seed"} - {"cpu_count"}
    assert defaults.pop("random_seed") == 0
    assert defaults == {name: list(value) if name in STACKS else value for name, value in environment_values(defaults)}
    assert {code(row[0])[0]: int(row[1]) for row in limits} == {
        name: getattr(Limits(), name) for name in Limits.__dataclass_fields__
    }


def environment_values(names: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, getattr(Environment(), name)) for name in names)


# --- documents --------------------------------------------------------------------------------------------------------


def places(data: Any, path: str = "") -> Iterator[str]:
    """The place of everything in a document, as the tables write them."""
    if path and path != "[]" and not path.endswith("[]"):
        yield path
    if isinstance(data, dict):
        for name, value in data.items():
            shown = name.replace(".", "_")  # sections, which are maps
            yield from places(value, f"{path}.{shown}" if path else shown)
    elif isinstance(data, list):
        for value in data:
            yield from places(value, f"{path}[]")


NOTHING: tuple[set[str], set[str]] = (set(), set())


def differences(section: str, documents: list[Any]) -> tuple[set[str], set[str]]:
    """What is in the documents and not in the table of the section, and what is in the table only."""
    [rows] = tables(section)
    patterns = {name: re.compile(pattern(name)) for name in (code(row[0])[0] for row in rows)}
    found = {place for data in documents for place in places(data)}
    return (
        {place for place in found if not any(one.fullmatch(place) for one in patterns.values())},
        {name for name, one in patterns.items() if not any(map(one.fullmatch, found))},
    )


def pattern(name: str) -> str:
    inner = re.escape(name.removesuffix("**")).replace(r"\*", r"[^.\[]+")
    return inner + (r"(?:[.\[].*)?" if name.endswith("**") else "")


def finished(report: Report, capsys: pytest.CaptureFixture[str]) -> Any:
    JsonOutput(load(b"r0 = 0\nexit\n").program).finish(report, None)
    return json.loads(capsys.readouterr().out)


def test_document_of_run(
    invoke_json: InvokeJson, programs: Path, captures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disagreement = Disagreement("parse", 0, "verdict", "1", "2")
    documents = [
        finished(Report(interrupted=True, error=InputError("no", file="a")), capsys),
        finished(Report(kernel=KernelReport(1, 0, (disagreement,), HostError("no", errno=1))), capsys),
        invoke_json("run", programs / "xdp_parser.bpf.o", "--packet", PACKET, "--trace", "--dump-maps"),
        invoke_json("run", programs / "xdp_forward.bpf.o", "--pcap", captures / "tiny.pcap"),
        invoke_json("run", programs / "printk.bpf.o", "-p", program_of("printk"), *packet_of("printk")),
        invoke_json(
            "run", programs / "ringbuf.bpf.o", "-p", program_of("ringbuf"), *packet_of("ringbuf"), "--dump-maps"
        ),
        invoke_json("run", "-", "--mem", "01", input="*(u8 *)(r1 + 0) = 2\nr0 = 0\nexit\n"),
        invoke_json("run", "-", "--mem", "01", input="r0 = *(u64 *)(r1 + 0)\nexit\n", code=1),
        invoke_json("run", programs / "raw_tracepoint.bpf.o", "-p", program_of("raw_tracepoint"), code=1),
        invoke_json("run", "-", "--budget", 1, input="goto -1\n", code=1),
    ]
    assert differences("run", documents) == NOTHING


def program_of(stem: str) -> str:
    return next(iter(load(ROOT / f"tests/programs/{stem}.bpf.o").programs))


def packet_of(stem: str) -> tuple[str, ...]:
    program = load(ROOT / f"tests/programs/{stem}.bpf.o")[program_of(stem)]
    return ("--packet", PACKET) if PROGRAM_TYPES[program.type].takes_packet else ()


@pytest.mark.skipif(find_spec("z3") is None, reason="needs z3, which finds the inputs")
def test_document_of_verify(invoke_json: InvokeJson, programs: Path, tmp_path: Path) -> None:
    names = ("null", "unreleased", "map-value-off-by-one", "packet-after-adjust", "lock-held", "helper-memory")
    crash = tmp_path / "crash.py"
    crash.write_text("import multiprocessing as m, os\nif m.parent_process() is not None: os._exit(1)\n")
    arguments = ("verify", programs / "lru.bpf.o")
    documents = [
        invoke_json("verify", *(programs / "rejected" / f"{name}.bpf.o" for name in names), code=1),
        invoke_json("verify", programs / "beyond" / "beyond.bpf.o", "-p", "headers"),
        invoke_json(*arguments, tmp_path / "none.o", "--helpers", crash, code=1),
    ]
    assert differences("verify", documents) == NOTHING


@pytest.mark.skipif(find_spec("z3") is None, reason="needs z3, which finds the inputs")
def test_document_of_run_on_a_witness(invoke: Invoke, invoke_json: InvokeJson, programs: Path, tmp_path: Path) -> None:
    source, file = programs / "rejected" / "null.bpf.o", tmp_path / "witness.json"
    invoke("verify", source, "-p", "broken", "--witness-out", file, code=1)
    data = invoke_json("run", source, "--witness", file, "--trace", code=1)
    assert differences("run --witness", [data]) == NOTHING


def test_document_of_info(invoke_json: InvokeJson, programs: Path) -> None:
    documents = [invoke_json("info", path) for path in sorted(programs.glob("*.bpf.o"))]
    documents.append(invoke_json("info", "-", input="call 999\nexit\n"))
    assert differences("info", documents) == (set(), {"programs[].symbols.*"})


def test_document_of_disasm(invoke_json: InvokeJson, programs: Path) -> None:
    assert differences("disasm", [invoke_json("disasm", programs / "xdp_parser.bpf.o")]) == NOTHING


def test_document_of_asm(invoke_json: InvokeJson) -> None:
    assert differences("asm", [invoke_json("asm", "-", input="again:\ncall 1\ngoto again\n")]) == NOTHING


def test_document_of_btf(invoke_json: InvokeJson, programs: Path) -> None:
    assert differences("btf", [invoke_json("btf", programs / "xdp_parser.bpf.o")]) == NOTHING


def test_document_of_helpers(invoke_json: InvokeJson) -> None:
    assert differences("helpers", [invoke_json("helpers", "--all")]) == NOTHING


def test_document_of_maps(invoke_json: InvokeJson) -> None:
    assert differences("maps", [invoke_json("maps")]) == NOTHING


# --- help -------------------------------------------------------------------------------------------------------------

RUNS_ANYWHERE = ("run", "verify", "info", "disasm", "asm", "btf", "helpers", "maps")


@pytest.fixture
def folder(programs: Path, captures: Path, tmp_path: Path) -> Path:
    """The files that examples name."""
    for name in ("xdp_parser.bpf.o", "malloc.bpf.o"):
        shutil.copy(programs / name, tmp_path)
    shutil.copy(programs / "xdp_parser.bpf.o", tmp_path / "prog.bpf.o")
    shutil.copy(captures / "mixed.pcap", tmp_path)
    (tmp_path / "prog.s").write_text("r0 = r2\nexit\n")
    return tmp_path


@pytest.mark.parametrize("command", [(), *((name,) for name in RUNS_ANYWHERE)], ids=" ".join)
def test_examples_of_help(invoke: Invoke, folder: Path, command: tuple[str, ...]) -> None:
    text = invoke(*command, "--help").stdout
    assert max(map(len, text.splitlines())) <= 80
    examples = [line.strip() for line in text.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()]
    assert examples
    for example in examples:
        if "/sys/kernel" in example and not Path("/sys/kernel/btf/vmlinux").exists():
            continue
        if "| jq " in example and shutil.which("jq") is None:
            continue
        result = shell(with_command(example), folder)
        assert (result.returncode, result.stderr) == (0, ""), example
        assert result.stdout or "-o " in example
