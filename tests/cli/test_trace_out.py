"""`run --trace-out`: a line for every instruction, as the schema says, that other runtimes can be compared by."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftime.errors import InputError
from pybpftime.program.packets import read_packets
from pybpftime.runtime import load
from pybpftime.runtime.trace_diff import first_difference
from pybpftime.runtime.trace_file import TraceWriter

Invoke = Callable[..., Result]
Lines = list[dict[str, Any]]

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "reference" / "trace.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def valid_lines(file: Path) -> Lines:
    """The lines of a trace, each of which is as the schema says."""
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    for line in lines:
        VALIDATOR.validate(line)
    assert [number for number, line in enumerate(lines) if line["type"] == "header"] == [0]
    return lines


def trace_of(text: str, folder: Path, *, name: str = "trace.jsonl", mem: bytes = b"", budget: int = 100) -> Path:
    """The trace of a raw program."""
    program = load(_file(text, folder), level="linux").program
    file = folder / name
    with open(file, "w", encoding="utf-8") as stream:
        try:
            program.run(mem=mem, budget=budget, observers=[TraceWriter(stream)])
        except Exception as error:  # the trace says what
            assert str(error)
    return file


def _file(text: str, folder: Path) -> str:
    (folder / "program.s").write_text(text)
    return str(folder / "program.s")


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_capture_gives_a_trace_of_every_run(invoke: Invoke, programs: Path, captures: Path, tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    command = ("run", programs / "xdp_parser.bpf.o", "--pcap", captures / "tiny.pcap", "--trace-out", file)
    result = invoke(*command, "--json", "--no-verify")
    runs = json.loads(result.stdout)["runs"]
    lines = valid_lines(file)
    ends = [line for line in lines if line["type"] == "end"]
    begins = [line for line in lines if line["type"] == "begin"]
    assert [line["invocation"] for line in begins] == [1, 2, 3]
    assert {line["program"] for line in begins} == {"parse"}
    assert [(end["steps"], int(end["result"], 16)) for end in ends] == [
        (one["instructions"], one["r0"]) for one in runs
    ]
    assert [end["packet"] for end in ends] == [one["packet"] for one in runs]
    for invocation in (1, 2, 3):
        steps = [line for line in lines if line["type"] == "step" and line["invocation"] == invocation]
        assert [step["step"] for step in steps] == list(range(runs[invocation - 1]["instructions"]))


def test_a_step_says_what_was_before_and_what_it_did(tmp_path: Path) -> None:
    text = "r6 = 7\n*(u32 *)(r10 - 4) = r6\n*(u16 *)(r10 - 8) = -2\ncall bpf_get_smp_processor_id\nr0 += r6\nexit\n"
    lines = valid_lines(trace_of(text, tmp_path))
    assert [line["type"] for line in lines] == ["header", "begin", *["step"] * 6, "end"]
    first, store, store_constant, call, add, _ = lines[2:-1]
    assert first["opcode"] == "b706000007000000"
    assert first["instruction"] == "r6 = 0x7"
    assert first["registers"][6] is None
    assert store["registers"][6] == "0x7"
    frame = int(store["registers"][10], 16)
    assert store["writes"] == [{"address": f"{frame - 4:#x}", "bytes": "07000000"}]
    assert store_constant["writes"] == [{"address": f"{frame - 8:#x}", "bytes": "feff"}]
    assert call["call"] == {"helper": "bpf_get_smp_processor_id", "arguments": [], "result": "0x0"}
    assert (add["pc"], add["depth"]) == (4, 0)
    assert lines[-1]["result"] == "0x7"


def test_an_atomic_operation_shows_what_it_left(tmp_path: Path) -> None:
    text = "r1 = 5\n*(u64 *)(r10 - 8) = r1\nlock *(u64 *)(r10 - 8) += r1\nr0 = *(u64 *)(r10 - 8)\nexit\n"
    lines = valid_lines(trace_of(text, tmp_path))
    assert lines[4]["writes"][0]["bytes"] == "0a00000000000000"
    assert "writes" not in lines[5]
    assert lines[-1]["result"] == "0xa"


def test_calls_are_deeper_and_wide_instructions_whole(tmp_path: Path) -> None:
    lines = valid_lines(trace_of("r1 = 0x1122334455667788 ll\ncall f\nexit\nf: r0 = 1\nexit\n", tmp_path))
    steps = [line for line in lines if line["type"] == "step"]
    assert [(step["pc"], step["depth"]) for step in steps] == [(0, 0), (2, 0), (4, 1), (5, 1), (3, 0)]
    assert steps[0]["opcode"] == "18010000887766550000000044332211"


def test_a_tail_call_goes_on_in_another_program(invoke: Invoke, programs: Path, captures: Path, tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    options = ("--pcap", captures / "tiny.pcap", "--trace-out", file, "--no-verify")
    invoke("run", programs / "tail_calls.bpf.o", "-p", "dispatch", *options)
    lines = valid_lines(file)
    assert {line["program"] for line in lines if line["type"] == "step"} > {"dispatch", "count_arp"}


@pytest.mark.parametrize(
    ("text", "kind", "pc", "steps"),
    [
        ("r0 = 0\nr1 = *(u64 *)(r0 + 0)\nexit\n", "memory", 1, 2),
        ("goto -1\n", "limit", 0, 100),
        ("r0 = r3\nexit\n", "uninitialised", 0, 1),
    ],
)
def test_a_run_that_fails_ends_with_its_error(text: str, kind: str, pc: int, steps: int, tmp_path: Path) -> None:
    lines = valid_lines(trace_of(text, tmp_path))
    end = lines[-1]
    assert (end["error"]["kind"], end["error"]["pc"], end["steps"]) == (kind, pc, steps)
    assert end["error"]["reason"]
    assert "result" not in end
    assert lines[-2]["type"] == "step"
    assert "writes" not in lines[-2]


@pytest.mark.parametrize("name", ["callbacks", "atomics", "tc_rewrite", "xdp_vlan", "subprograms"])
def test_programs_of_every_kind_have_valid_traces(
    name: str, invoke: Invoke, programs: Path, captures: Path, tmp_path: Path
) -> None:
    file = tmp_path / "trace.jsonl"
    source = programs / f"{name}.bpf.o"
    program = next(iter(load(str(source))))
    packet = next(read_packets(str(captures / "tiny.pcap"))).data.hex()
    invoke("run", source, "-p", program.name, "--packet", packet, "--trace-out", file, "--no-verify")
    lines = file.read_text("utf-8").splitlines()
    for line in [*lines[:300], *lines[-3:]]:
        VALIDATOR.validate(json.loads(line))
    assert json.loads(lines[-1])["type"] == "end"


def test_memory_stays_bounded_however_long_the_run(tmp_path: Path) -> None:
    class Counting:
        """A stream that keeps nothing."""

        lines = 0

        def write(self, text: str) -> int:
            assert len(text) < 2000
            self.lines += text.count("\n")
            return len(text)

    stream: Any = Counting()
    program = load(_file("r0 = 3000\nr0 += -1\nif r0 != 0 goto -2\nexit\n", tmp_path)).program
    program.run(mem=b"", observers=[TraceWriter(stream)])
    assert stream.lines == 2 + 6002 + 1


@pytest.mark.parametrize("file", ["", "no/such/folder/trace.jsonl"])
def test_a_trace_that_cannot_be_written_is_an_error(
    file: str, failure: Callable[..., str], programs: Path, captures: Path
) -> None:
    message = failure(
        "run", programs / "xdp_parser.bpf.o", "--pcap", captures / "tiny.pcap", "--no-verify", "--trace-out", file
    )
    assert "cannot be written" in message or "an empty file name" in message


# --- two traces -------------------------------------------------------------------------------------------------------


def test_equal_runs_have_equal_traces(invoke: Invoke, tmp_path: Path) -> None:
    text = "r1 = 5\n*(u64 *)(r10 - 8) = r1\nr0 = *(u64 *)(r10 - 8)\nexit\n"
    one, other = (trace_of(text, tmp_path, name=name) for name in ("one.jsonl", "other.jsonl"))
    assert one.read_bytes() == other.read_bytes()
    assert first_difference(str(one), str(other), exact=True) is None
    assert "equal" in invoke("trace-diff", one, other).stdout


@pytest.mark.parametrize(
    ("left", "right", "field", "line"),
    [
        ("r1 = 5\nr0 = r1\nexit\n", "r1 = 6\nr0 = r1\nexit\n", "opcode", 3),
        ("r0 = *(u8 *)(r1 + 0)\nr0 += 0\nexit\n", "r0 = *(u8 *)(r1 + 0)\nr0 += 0\nexit\n", "r0", 4),
        ("r0 = 0\nexit\n", "r0 = 0\nr0 = 0\nexit\n", "opcode", 4),
    ],
)
def test_the_first_difference_is_found(
    left: str, right: str, field: str, line: int, invoke: Invoke, tmp_path: Path
) -> None:
    one = trace_of(left, tmp_path, name="one.jsonl", mem=b"\x01")
    other = trace_of(right, tmp_path, name="other.jsonl", mem=b"\x02")
    difference = first_difference(str(one), str(other))
    assert difference is not None
    assert (difference.field, difference.lines) == (field, (line, line))
    assert field in invoke("trace-diff", one, other, code=1).stdout
    assert json.loads(invoke("trace-diff", one, other, "--json", code=1).stdout)["difference"]["field"] == field


def test_a_trace_that_ends_early_differs(tmp_path: Path) -> None:
    one = trace_of("r0 = 1\nr0 = 2\nexit\n", tmp_path)
    other = tmp_path / "short.jsonl"
    other.write_text("".join(one.read_text().splitlines(keepends=True)[:4]))
    difference = first_difference(str(one), str(other))
    assert difference is not None
    assert difference.lines == (5, 0)
    assert "the end of the trace" in str(difference)


def test_addresses_count_only_between_traces_of_one_runtime(tmp_path: Path) -> None:
    one = trace_of("r0 = 0\nexit\n", tmp_path)
    frame = json.loads(one.read_text().splitlines()[2])["registers"][10]
    other = tmp_path / "other.jsonl"
    other.write_text(one.read_text().replace(frame, "0x7ffd12345678"))
    assert first_difference(str(one), str(other)) is None
    difference = first_difference(str(one), str(other), exact=True)
    assert difference is not None
    assert difference.field == "r10"


def test_what_one_trace_does_not_know_is_not_compared(tmp_path: Path) -> None:
    one = trace_of("r1 = 3\nr0 = 0\nexit\n", tmp_path)
    lines = [json.loads(line) for line in one.read_text().splitlines()]
    for line in lines:
        for name in ("opcode", "instruction", "call", "packet"):
            line.pop(name, None)
        if "registers" in line:
            line["registers"][1] = None
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert first_difference(str(one), str(other)) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty, and no trace"),
        (b"{}\n", "the first line is no header"),
        (b'{"type": "header", "format": "bpf-trace"}\n', "the header has no version"),
        (b'{"type": "header", "format": "bpf-trace", "version": 2}\n', "is of version 2"),
        (b'{"type": "header", "format": "bpf-trace", "version": 1}\nx\n', "the line is no JSON object"),
        (b"\xff\n", "the line is no JSON object"),
    ],
)
def test_what_is_no_trace_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    file.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        first_difference(str(file), str(trace_of("r0 = 0\nexit\n", tmp_path)))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["0x1", "0xffff00000000"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["helper", "kind"]), inner),
    max_leaves=4,
)
FIELDS = ("invocation", "step", "program", "pc", "registers", "call", "writes", "error", "result", "instruction")
LINE = st.fixed_dictionaries(
    {"type": st.sampled_from(["begin", "step", "end", "other"])}, optional=dict.fromkeys(FIELDS, VALUES)
)


@settings(max_examples=80)
@given(one=st.lists(LINE, max_size=4), other=st.lists(LINE, max_size=4))
def test_lines_of_anything_are_compared(one: Lines, other: Lines, tmp_path_factory: pytest.TempPathFactory) -> None:
    head = {"type": "header", "format": "bpf-trace", "version": 1}
    files = [tmp_path_factory.getbasetemp() / name for name in ("left.jsonl", "right.jsonl")]
    for file, lines in zip(files, (one, other), strict=True):
        file.write_text("".join(json.dumps(line) + "\n" for line in [head, *lines]))
    difference = first_difference(str(files[0]), str(files[1]))
    assert difference is None or str(difference)
    assert first_difference(str(files[0]), str(files[0]), exact=True) is None
