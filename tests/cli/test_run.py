"""`pybpftime run`: inputs, maps, levels, traces, coverage, and what is printed of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from pybpftime import kernel
from pybpftime.program import load_object
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime.coverage import read_lcov
from pybpftime.uapi import ProgramType

Invoke = Callable[..., Result]
InvokeJson = Callable[..., Any]

OBJECTS = sorted((Path(__file__).resolve().parents[1] / "programs").glob("*.bpf.o"))
UNVERIFIED = ("tc_classifier.O0.bpf.o", "xdp_parser.O0.bpf.o")
"""Unoptimised builds: Linux refuses both; here the first is not proved, and the second takes a quarter of a minute."""
MEMORY_SUM = "r0 = *(u8 *)(r1 + 0)\nr3 = *(u8 *)(r1 + 1)\nr0 += r3\nexit\n"
OUT_OF_BOUNDS = "r0 = *(u64 *)(r1 + 0)\nexit\n"
ENDLESS = "goto -1\n"


def test_capture_prints_a_verdict_for_each_packet(invoke: Invoke, programs: Path, captures: Path) -> None:
    result = invoke("run", programs / "xdp_parser.bpf.o", "--pcap", captures / "mixed.pcap", "--dump-maps")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("parse  xdp, 449 slots, ")
    rows = [line.split() for line in lines if line[:6].strip().isdecimal() and "XDP_" in line]
    assert [int(row[0]) for row in rows] == list(range(1, 77))
    assert rows[0][1:3] == ["60", "XDP_PASS"]
    assert "ARP who has 192.0.2.2? tell 192.0.2.1" in result.stdout
    counts = {line.split()[0]: line.split()[1] for line in lines if line.startswith("XDP_")}
    assert counts == {"XDP_PASS": "54", "XDP_ABORTED": "19", "XDP_DROP": "3"}
    assert any(line.startswith("76 runs, 9,523 instructions in ") for line in lines)


def test_maps_are_printed_through_their_types(invoke: Invoke, programs: Path, captures: Path) -> None:
    result = invoke("run", programs / "xdp_parser.bpf.o", "--pcap", captures / "tiny.pcap", "--dump-maps")
    sections = {part.split()[0]: part.splitlines() for part in result.stdout.split("\n\n")}
    assert sections["protocols"][0] == "protocols  array, 11 of 11 entries, 8 of zeros not shown"
    assert [line.split() for line in sections["protocols"][1:]] == [
        ["key", "packets", "bytes"],
        ["ARP", "1", "60"],
        ["IPV4_TCP", "1", "74"],
        ["IPV4_UDP", "1", "71"],
    ]
    header = sections["flows"][1].split()
    assert header[:3] == ["source", "destination", "source_port"]
    assert "padding" not in header
    assert sections["flows"][2].split()[:3] == ["::ffff:192.0.2.1", "::ffff:192.0.2.2", "40000"]
    assert sections[".rodata"][2].split(maxsplit=1)[0] == "blocked_ports"


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_every_program_of_every_object_runs(
    invoke: Invoke, invoke_json: InvokeJson, captures: Path, path: Path
) -> None:
    for name, spec in load_object(path).programs.items():
        packets = PROGRAM_TYPES[spec.type].takes_packet
        options = ("--pcap", captures / "tiny.pcap") if packets else ()
        if spec.type == ProgramType.BPF_PROG_TYPE_RAW_TRACEPOINT:
            options = ("--ctx", '{"args": [0, 1]}')
        options += ("--no-verify",) if path.name in UNVERIFIED else ()
        arguments = ("run", path, "-p", name, *options, "--dump-maps")
        text = invoke(*arguments).stdout
        assert text.startswith(f"{name}  ")
        data = invoke_json(*arguments)
        assert len(data["runs"]) == (3 if packets else 1)
        assert all(run["verdict"] == run["value"] or run["verdict"] in text for run in data["runs"])
        assert {section.split("  ")[0] for section in text.split("\n\n")} >= set(data["maps"])


def test_capture_as_json(invoke_json: InvokeJson, programs: Path, captures: Path) -> None:
    data = invoke_json("run", programs / "xdp_parser.bpf.o", "--pcap", captures / "tiny.pcap", "--dump-maps")
    assert data["program"] == "parse"
    assert data["type"] == "xdp"
    assert [run["verdict"] for run in data["runs"]] == ["XDP_PASS"] * 3
    assert [run["number"] for run in data["runs"]] == [1, 2, 3]
    assert data["verdicts"] == {"XDP_PASS": 3}
    assert data["instructions"] == sum(run["instructions"] for run in data["runs"])
    entries = data["maps"]["verdicts"]["entries"]
    assert [entry["value"] for entry in entries] == [0, 0, 3, 0, 0]
    assert len(data["maps"]["flows"]["entries"]) == 2


def test_rewritten_packets_and_redirects_are_told(invoke: Invoke, programs: Path, captures: Path) -> None:
    result = invoke("run", programs / "xdp_forward.bpf.o", "--pcap", captures / "tiny.pcap")
    assert "rewritten at 4, 11, 22, 24-25, 30, 32, ...: IPv4 192.0.2.1:40000 > 10.0.0.2:80 TCP [S]" in result.stdout
    assert "redirect to device 1" in result.stdout


def test_packet_from_hex_and_file(invoke_json: InvokeJson, programs: Path, tmp_path: Path) -> None:
    text = "ffffffffffff 001122334455 0806" + "00" * 46
    binary, hexadecimal = tmp_path / "packet.bin", tmp_path / "packet.hex"
    binary.write_bytes(bytes.fromhex(text))
    hexadecimal.write_text(text)
    for packet in (text, binary, hexadecimal):
        [run] = invoke_json("run", programs / "xdp_parser.bpf.o", "--packet", packet)["runs"]
        assert run["verdict"] == "XDP_PASS"
        assert run["packet"] == text.replace(" ", "")


def test_packet_from_standard_input(invoke_json: InvokeJson, programs: Path, captures: Path) -> None:
    data = invoke_json("run", programs / "xdp_parser.bpf.o", "--packet", "-", input=bytes(60))
    assert len(data["runs"]) == 1
    capture = (captures / "tiny.pcap").read_bytes()
    assert len(invoke_json("run", programs / "xdp_parser.bpf.o", "--pcap", "-", input=capture)["runs"]) == 3


def test_plain_memory(invoke: Invoke) -> None:
    result = invoke("run", "-", "--mem", "02 28", input=MEMORY_SUM)
    assert "r0 = 0x2a (42), 4 instructions" in result.stdout


def test_raw_program_in_every_form(invoke: Invoke, invoke_json: InvokeJson, tmp_path: Path) -> None:
    code = bytes.fromhex("b70000002a000000 9500000000000000")
    for content in (b"r0 = 42\nexit\n", code.hex().encode(), code):
        (tmp_path / "program").write_bytes(content)
        assert invoke_json("run", tmp_path / "program")["runs"][0]["r0"] == 42
        assert invoke_json("run", "-", input=content)["runs"][0]["r0"] == 42


def test_raw_program_of_a_type(invoke_json: InvokeJson) -> None:
    data = invoke_json("run", "-", "--type", "xdp", "--packet", "00" * 14, input="r0 = 2\nexit\n")
    assert data["runs"][0]["verdict"] == "XDP_PASS"


def test_context_fields(invoke_json: InvokeJson, programs: Path) -> None:
    arguments = ("run", programs / "malloc.bpf.o", "-p", "malloc_entry", "--dump-maps")
    [entry] = invoke_json(*arguments, "--ctx", '{"di": 64}')["maps"]["allocations"]["entries"]
    assert 64 in entry["value"].values()


def test_context_from_a_file(invoke_json: InvokeJson, programs: Path, tmp_path: Path) -> None:
    (tmp_path / "context.json").write_text('{"di": 64}')
    arguments = ("run", programs / "malloc.bpf.o", "-p", "malloc_entry", "--dump-maps")
    for name in (tmp_path / "context.json", f"@{tmp_path}/context.json"):
        assert invoke_json(*arguments, "--ctx", name)["maps"]["allocations"]["entries"]


def test_map_contents_before_the_run(invoke_json: InvokeJson, programs: Path) -> None:
    contents = '{"verdicts": {"XDP_PASS": 40}, "flows": [[{"source_port": 7}, {"packets": 5}]]}'
    arguments = ("--packet", "00" * 60, "--maps", contents, "--dump-maps")
    maps = invoke_json("run", programs / "xdp_parser.bpf.o", *arguments)["maps"]
    assert maps["verdicts"]["entries"][2] == {"key": 2, "value": 41}
    assert {"packets": 5, "bytes": 0} in [entry["value"] for entry in maps["flows"]["entries"]]


def test_global_variables_are_set(invoke_json: InvokeJson, programs: Path) -> None:
    packet = (
        "02" * 12 + "0800 45000028 00004000 4006b6c8 c0000201 c0000202 9c400050 00000000 00000000 50020000 00000000"
    )
    arguments = ("run", programs / "xdp_parser.bpf.o", "--packet", packet)
    assert invoke_json(*arguments)["verdicts"] == {"XDP_PASS": 1}
    assert invoke_json(*arguments, "--set", "blocked_ports=[80, 0, 0, 0]")["verdicts"] == {"XDP_DROP": 1}


def test_repeat(invoke: Invoke, invoke_json: InvokeJson, programs: Path) -> None:
    arguments = ("run", programs / "xdp_parser.bpf.o", "--packet", "00" * 60, "--repeat", 3)
    data = invoke_json(*arguments, "--dump-maps")
    assert len(data["runs"]) == 3
    assert data["maps"]["verdicts"]["entries"][2]["value"] == 3
    assert "100.0%" in invoke(*arguments).stdout


def test_levels(invoke: Invoke) -> None:
    reads_unset = "r0 = r3\nexit\n"
    assert "r0 = 0x0 (0)" in invoke("run", "-", "--lenient", input=reads_unset).stdout
    assert "r3 is read and was never written" in invoke("run", "-", input=reads_unset, code=1).stdout
    reads_stack = "r0 = *(u64 *)(r10 - 8)\nexit\n"
    assert "r0 = 0x0 (0)" in invoke("run", "-", "--linux", input=reads_stack).stdout
    assert "uninitialised fault" in invoke("run", "-", "--strict", input=reads_stack, code=1).stdout


def test_cpus(invoke_json: InvokeJson, programs: Path) -> None:
    arguments = ("--packet", "00" * 60, "--cpus", 2, "--dump-maps")
    [entry] = invoke_json("run", programs / "percpu.bpf.o", *arguments)["maps"]["totals"]["entries"]
    assert [cpu["packets"] for cpu in entry["value"]] == [1, 0]


def test_fault_is_one_message_and_exit_code_1(invoke: Invoke, invoke_json: InvokeJson) -> None:
    result = invoke("run", "-", "--mem", "01020304", input=OUT_OF_BOUNDS, code=1)
    [message] = [line for line in result.stdout.splitlines() if "fault" in line]
    assert "instruction 0" in message
    assert "4 bytes past the end (memory has 4 bytes)" in message
    assert result.stderr == ""
    [run] = invoke_json("run", "-", "--mem", "01020304", input=OUT_OF_BOUNDS, code=1)["runs"]
    assert (run["error"], run["kind"], run["pc"], run["distance"]) == ("Fault", "memory", 0, 4)


def test_one_fault_does_not_stop_the_others(invoke: Invoke, captures: Path) -> None:
    """Reads byte 60: beyond the first packet, inside of the others."""
    text = "r2 = *(u32 *)(r1 + 4)\nr1 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r1 + 60)\nr0 = 2\nexit\n"
    arguments = ("run", "-", "--type", "xdp", "--no-verify", "--pcap", captures / "tiny.pcap")
    result = invoke(*arguments, input=text, code=1)
    counts = {line.split()[0]: line.split()[1] for line in result.stdout.splitlines() if line.endswith("%")}
    assert counts == {"XDP_PASS": "2", "fault": "1"}


def test_endless_loop_ends(invoke: Invoke) -> None:
    result = invoke("run", "-", "--budget", 1000, input=ENDLESS, code=1)
    assert "instruction budget" in result.stdout


def test_trace(invoke: Invoke, invoke_json: InvokeJson, programs: Path) -> None:
    packet = "00" * 60
    text = invoke("run", programs / "xdp_parser.bpf.o", "--packet", packet, "--trace").stdout
    assert "; xdp_parser.bpf.c:320: .at = (void *)(long)ctx->data," in text
    assert "(packet+60)" in text
    assert "bpf_map_lookup_elem(" in text
    assert "exit" in text
    [run] = invoke_json("run", programs / "xdp_parser.bpf.o", "--packet", packet, "--trace")["runs"]
    assert len(run["trace"]) == run["instructions"]
    assert run["trace"][0]["pc"] == 0
    assert run["trace"][0]["pointers"]
    assert any(step.get("call", {}).get("helper") == "bpf_map_lookup_elem" for step in run["trace"])


def test_trace_ends_with_the_instruction_that_faults(invoke: Invoke) -> None:
    lines = invoke("run", "-", "--trace", input="r3 = 5\nr0 = *(u64 *)(r3 + 0)\nexit\n", code=1).stdout.splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ["0:", "r3", "=", "0x5", "r3", "=", "0x5"],
        ["1:", "r0", "=", "*(u64", "*)(r3", "+", "0x0)"],
    ]
    assert "memory fault" in lines[3]


def test_coverage_merges_over_runs(invoke: Invoke, programs: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.lcov"
    arguments = ("run", programs / "xdp_parser.bpf.o", "--coverage", file, "--packet")
    invoke(*arguments, "00" * 60)
    once = read_lcov(file)["./tests/programs/xdp_parser.bpf.c"]
    invoke(*arguments, "00" * 60)
    twice = read_lcov(file)["./tests/programs/xdp_parser.bpf.c"]
    assert twice.lines == {line: 2 * count for line, count in once.lines.items()}
    assert twice.functions == {(321, "parse"): 2}
    invoke(*arguments, "00" * 12 + "0800")  # a path of its own
    thrice = read_lcov(file)["./tests/programs/xdp_parser.bpf.c"]
    assert sum(map(bool, thrice.lines.values())) > sum(map(bool, once.lines.values()))
    assert set(thrice.lines) == set(once.lines), "lines that never ran are known from the first run on"
    assert sum(map(bool, thrice.branches.values())) > sum(map(bool, once.branches.values()))
    listing = tmp_path / "out.lcov.listings" / "xdp_parser.parse.s"
    assert listing.read_text().splitlines()[1].strip().startswith("1: ")


def test_helpers_of_the_user(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from pybpftime.helpers import helper, implements\n"
        "from pybpftime.helpers.declarations.kinds import Anything, Integer\n"
        "@helper(0x10000)\n"
        "def double(value: Anything) -> Integer:\n"
        "    '''Twice the value.'''\n"
        "@implements(double)\n"
        "def _double(machine, value):\n"
        "    return 2 * value\n"
    )
    program = "r1 = 21\ncall 0x10000\nexit\n"
    assert "r0 = 0x2a (42)" in invoke("run", "-", "--helpers", tmp_path / "mine.py", input=program).stdout
    assert "double" in invoke("helpers", "double", "--helpers", tmp_path / "mine.py").stdout


def test_printk_is_shown(invoke: Invoke, programs: Path, captures: Path) -> None:
    result = invoke("run", programs / "printk.bpf.o", "-p", "trace", "--pcap", captures / "tiny.pcap")
    assert "printk: 60 bytes, type 806" in result.stdout


def test_records_and_program_arrays_are_dumped(invoke: Invoke, programs: Path, captures: Path) -> None:
    arguments = ("--pcap", captures / "tiny.pcap", "--dump-maps")
    assert "events  ringbuf, 3 records" in invoke("run", programs / "ringbuf.bpf.o", "-p", "output", *arguments).stdout
    assert "events  perf_event_array, 3 records" in invoke("run", programs / "perf_output.bpf.o", *arguments).stdout
    text = invoke("run", programs / "tail_calls.bpf.o", "-p", "dispatch", *arguments).stdout
    assert "0: count_ipv4" in text


def test_damaged_capture_runs_what_came_before(invoke: Invoke, programs: Path, captures: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.pcap").write_bytes((captures / "tiny.pcap").read_bytes()[:-10])
    result = invoke("run", programs / "xdp_parser.bpf.o", "--pcap", tmp_path / "cut.pcap", code=1)
    assert "2 runs" in result.stdout
    assert "cut.pcap" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("xdp_parser.bpf.o",), "runs on packets: give --pcap or --packet"),
        (("xdp_parser.bpf.o", "--packet", "zz"), "zz"),
        (("xdp_parser.bpf.o", "--packet", "00", "--pcap", "x"), "--pcap and --packet exclude each other"),
        (("xdp_parser.bpf.o", "--pcap", "no-such-file"), "no-such-file"),
        (("xdp_parser.bpf.o", "-p", "pars", "--packet", "00"), "did you mean parse?"),
        (("multi.bpf.o", "--packet", "00"), "name one of the object's programs"),
        (("xdp_parser.bpf.o", "--set", "blocked_ports", "--packet", "00"), "--set takes NAME=VALUE"),
        (("xdp_parser.bpf.o", "--set", "blocked_port=1", "--packet", "00"), "blocked_port"),
        (("xdp_parser.bpf.o", "--set", "blocked_ports=1", "--packet", "00"), "blocked_ports"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--ctx", "{"), "no JSON"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--ctx", "[1]"), "JSON object of fields"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--ctx", '{"no_such_field": 1}'), "no_such_field"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--maps", "[]"), "map names to their contents"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--maps", '{"verdict": {}}'), "did you mean verdicts?"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--maps", '{"verdicts": 7}'), "object of keys and values"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--maps", '{"verdicts": {"9": 1}}'), "verdicts"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--maps", '{"verdicts": {"0": "many"}}'), "verdicts"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--helpers", "no-such.py"), "no-such.py"),
        (("xdp_parser.bpf.o", "--type", "xpd"), "xdp"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--limits", "7"), "JSON object of max_depth, frame_size"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--limits", '{"depth": 7}'), "did you mean max_depth?"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--limits", '{"max_depth": 0}'), "from 1 to 1048576"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--environment", "[]"), "JSON object of time_ns"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--environment", '{"time": 1}'), "did you mean time_ns?"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--environment", '{"printk": 1}'), "no field 'printk'"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--environment", '{"pid": "1"}'), "pid is a number from 0"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--environment", '{"uid": -1}'), "uid is a number from 0"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--environment", '{"gid": true}'), "gid is a number from 0"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--environment", '{"comm": 1}'), "comm is text"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--environment", '{"comm": "\\ud800"}'), "comm is text"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--environment", '{"user_stack": [-1]}'), "an address of user"),
        (("xdp_parser.bpf.o", "--packet", "00" * 60, "--environment", '{"cpu": 2}', "--cpus", "2"), "no cpu 2"),
        (
            ("xdp_parser.bpf.o", "--packet", "00" * 60, "--kernel", "--ctx", "{}", "--limits", "{}"),
            "without --ctx, --limits",
        ),
        (("malloc.bpf.o", "-p", "malloc_entry", "--kernel"), "it runs on packets"),
        (("malloc.bpf.o", "-p", "malloc_entry", "--packet", "00" * 60), "takes no packet"),
        (("malloc.bpf.o", "-p", "malloc_entry", "--mem", "00"), "takes no plain memory"),
    ],
)
def test_unusable_arguments(
    failure: Callable[..., str], programs: Path, arguments: tuple[str, ...], message: str
) -> None:
    source, *options = arguments
    assert message in failure("run", programs / source, *options)


def test_several_packets_are_no_packet(failure: Callable[..., str], programs: Path, captures: Path) -> None:
    message = failure("run", programs / "xdp_parser.bpf.o", "--packet", captures / "tiny.pcap")
    assert "holds more than one packet: use --pcap" in message


def test_unwritable_coverage(invoke: Invoke, programs: Path, tmp_path: Path) -> None:
    file = tmp_path / "no" / "such" / "folder.lcov"
    result = invoke("run", programs / "xdp_parser.bpf.o", "--packet", "00" * 60, "--coverage", file, code=1)
    assert "cannot be written" in result.stderr


def test_foreign_coverage_is_not_overwritten(invoke: Invoke, programs: Path, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("my notes\n")
    result = invoke("run", programs / "xdp_parser.bpf.o", "--packet", "00" * 60, "--coverage", file, code=1)
    assert "notes.txt:1" in result.stderr
    assert file.read_text() == "my notes\n"


def test_limits(invoke: Invoke) -> None:
    nested = "call pc+1\nexit\ncall pc+1\nexit\nr0 = 7\nexit\n"
    assert "r0 = 0x7" in invoke("run", "-", "--limits", '{"max_depth": 3}', input=nested).stdout
    result = invoke("run", "-", "--limits", '{"max_depth": 2}', input=nested, code=1)
    assert "limited to 2 frames" in result.stdout


def test_environment_is_what_helpers_answer(invoke_json: InvokeJson) -> None:
    def answer(helper: int, environment: str, *options: object) -> int:
        text = f"call {helper}\nexit\n"
        [run] = invoke_json("run", "-", "--environment", environment, *options, input=text)["runs"]
        return int(run["r0"])

    assert answer(5, '{"time_ns": 500, "tick_ns": 5}') == 505
    assert answer(5, f'{{"time_ns": {2**64 - 1}, "tick_ns": 1}}') == 0
    assert answer(8, '{"cpu": 3}', "--cpus", 4) == 3
    assert answer(14, '{"pid": 2, "tid": 3}') == 2 << 32 | 3
    assert answer(15, '{"uid": 4, "gid": 5}') == 5 << 32 | 4
    seeded = [answer(7, f'{{"random_seed": {seed}}}') for seed in (1, 1, 2)]
    assert seeded[0] == seeded[1] != seeded[2]


def test_environment_of_a_helper_module(invoke_json: InvokeJson, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from pybpftime import Environment\n"
        "def environment():\n"
        "    return Environment(cpu=1, cpu_count=2, uid=7)\n"
    )  # fmt: skip
    for helper, options, expected in (
        (8, (), 1),
        (15, (), 7),
        (15, ("--environment", '{"uid": 9}'), 9),
        (8, ("--environment", '{"cpu": 3}', "--cpus", 4), 3),
    ):
        arguments = ("run", "-", "--helpers", tmp_path / "mine.py", *options)
        assert invoke_json(*arguments, input=f"call {helper}\nexit\n")["runs"][0]["r0"] == expected


GUIDE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "helpers-and-environments.md"


def test_guide_of_helpers_and_environments(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = GUIDE.read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    module, *uses = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    Path("inventory.py").write_text(module)
    names: dict[str, Any] = {}
    for block in uses:
        exec(compile(block, GUIDE.name, "exec"), names)
    commands = re.findall(r"^\$ printf '(.*?)' \| pybpftime (.*)\n((?:[^$`].*\n)+)", text, re.MULTILINE)
    assert (len(uses), len(commands)) == (2, 3)
    for program, command, expected in commands:
        assert invoke(*shlex.split(command), input=program.replace("\\n", "\n")).stdout == expected


# --- the kernel as peer -----------------------------------------------------------------------------------------------


@pytest.fixture
def peer() -> None:
    if reason := kernel.available():
        pytest.skip(f"needs the kernel as a peer: {reason}")


@pytest.mark.usefixtures("peer")
def test_kernel_agrees(invoke: Invoke, invoke_json: InvokeJson, programs: Path, captures: Path) -> None:
    arguments = ("run", programs / "xdp_parser.bpf.o", "--kernel", "--pcap")
    assert invoke(*arguments, captures / "mixed.pcap").stdout.endswith("\n\nthe kernel agrees on 76 packets\n")
    agreed = {"agrees": True, "packets": 6, "refused": 0, "disagreements": []}
    assert invoke_json(*arguments, captures / "tiny.pcap", "--repeat", 2)["kernel"] == agreed


@pytest.mark.usefixtures("peer")
def test_kernel_disagrees(invoke: Invoke, invoke_json: InvokeJson, programs: Path, captures: Path) -> None:
    """The program reads the clock, which is not the same on both sides."""
    arguments = ("run", programs / "environment.bpf.o", "-p", "observe", "--kernel", "--pcap", captures / "tiny.pcap")
    lines = invoke(*arguments, code=1).stdout.splitlines()
    assert lines[-1] == "the kernel disagrees on 3 of 3 packets"
    assert [number for number in (1, 2, 3) if any(f"observe, packet {number}: map" in line for line in lines)] == [
        1,
        2,
        3,
    ]
    told = invoke_json(*arguments, code=1)["kernel"]
    assert (told["agrees"], told["packets"]) == (False, 3)
    assert {one["packet"] for one in told["disagreements"]} == {1, 2, 3}


@pytest.mark.usefixtures("peer")
def test_kernel_refuses_the_program(invoke: Invoke, invoke_json: InvokeJson) -> None:
    arguments = ("run", "-", "--type", "xdp", "--no-verify", "--packet", "00" * 60, "--kernel")
    result = invoke(*arguments, input=OUT_OF_BOUNDS, code=1)
    assert "error: the kernel refused to load the program" in result.stderr
    told = invoke_json(*arguments, input=OUT_OF_BOUNDS, code=1)["kernel"]
    assert (told["agrees"], told["error"]) == (False, "KernelRejection")


def test_kernel_that_cannot_serve(
    failure: Callable[..., str], programs: Path, captures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "available", lambda: "this kernel has no bpf(2)")
    message = failure("run", programs / "xdp_parser.bpf.o", "--pcap", captures / "tiny.pcap", "--kernel")
    assert message == "error: the kernel cannot be compared with: this kernel has no bpf(2)\n"
