"""What commands accept as input, and the sentences for what they do not."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from pybpftime.cli.run_inputs import fill_from_option
from pybpftime.errors import InputError
from pybpftime.maps import MapSpec
from pybpftime.program.spec import ObjectSpec
from pybpftime.runtime import Object
from pybpftime.uapi import MapType

Invoke = Callable[..., Result]
InvokeJson = Callable[..., Any]
Failing = Callable[..., str]

ROOT = Path(__file__).resolve().parents[2]
PACKET = "00" * 60
PYTHON = shlex.quote(sys.executable)
PYBPFTIME = f"{PYTHON} -c 'from pybpftime.cli.main import main; main()'"

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell and its pipes")


@pytest.fixture
def parser(programs: Path) -> Path:
    return programs / "xdp_parser.bpf.o"


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["sh", "-c", command], cwd=ROOT, capture_output=True, check=False, env=os.environ | environment
    )


# --- packets and memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nofile", "--packet: neither a file nor hex: line 1, column 1: 'nofile' is not hexadecimal"),
        ("00 11 zz", "--packet: neither a file nor hex: line 1, column 7: 'zz' is not hexadecimal"),
        ("", "--packet: neither a file nor hex: it is empty"),
        ("\x1b[31m", "--packet: neither a file nor hex: line 1, column 1: '\\x1b[31m' is not hexadecimal"),
    ],
)
def test_a_packet_that_is_none(failure: Failing, parser: Path, text: str, message: str) -> None:
    assert message in failure("run", parser, "--packet", text)


def test_a_directory_is_no_packet(failure: Failing, parser: Path, tmp_path: Path) -> None:
    assert f"--packet: {tmp_path} is a directory" in failure("run", parser, "--packet", tmp_path)


def test_a_file_that_is_no_capture_is_told_of(
    invoke: Invoke, invoke_json: InvokeJson, parser: Path, tmp_path: Path
) -> None:
    (tmp_path / "raw").write_bytes(bytes(60))
    told = f"{tmp_path}/raw: taken as one raw packet of 60 bytes"
    assert told in invoke("run", parser, "--packet", tmp_path / "raw").stdout.splitlines()
    assert len(invoke_json("run", parser, "--packet", tmp_path / "raw")["runs"]) == 1
    (tmp_path / "hex").write_text(PACKET)
    assert "taken as" not in invoke("run", parser, "--packet", tmp_path / "hex").stdout


def test_a_file_without_a_packet(failure: Failing, parser: Path, tmp_path: Path) -> None:
    (tmp_path / "comment").write_text("# nothing yet\n")
    assert "comment: holds no packet" in failure("run", parser, "--packet", tmp_path / "comment")


@needs_posix
@pytest.mark.parametrize(
    "arguments",
    [
        f"run tests/programs/xdp_parser.bpf.o --json --packet /dev/fd/3 3<<E\n{PACKET}\nE",
        f"run tests/programs/xdp_parser.bpf.o --json --packet {PACKET} --ctx @/dev/fd/3 3<<E\n{{}}\nE",
        f"run tests/programs/xdp_parser.bpf.o --json --packet {PACKET} --ctx /dev/fd/3 3<<E\n{{}}\nE",
        f"run tests/programs/xdp_parser.bpf.o --json --packet {PACKET} --maps /dev/fd/3 3<<E\n{{}}\nE",
    ],
    ids=["packet", "ctx at", "ctx", "maps"],
)
def test_what_is_read_from_a_pipe(arguments: str) -> None:
    """As a shell's `<(command)`: a name that leads to a pipe."""
    options, here = arguments.split(" 3<<E\n")
    text = here.removesuffix("\nE")
    result = shell(f"printf '%s' '{text}' | {{ {PYBPFTIME} {options} 3<&0 0</dev/null; }}")
    assert (result.returncode, result.stderr) == (0, b"")
    assert b'"XDP_PASS"' in result.stdout


@needs_posix
def test_memory_from_a_pipe() -> None:
    program = f"printf 'r0 = r2\\nexit\\n' | {PYBPFTIME} run - --mem /dev/fd/3"
    result = shell(f"printf '01 02 03' | {{ exec 3<&0; {program}; }}")
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"r0 = 0x3 (3)" in result.stdout


@pytest.mark.parametrize("option", ["--packet", "--ctx", "--maps", "--environment", "--limits"])
def test_endless_input_is_refused(failure: Failing, parser: Path, option: str) -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("needs /dev/zero")
    packet = () if option == "--packet" else ("--packet", PACKET)
    assert "has more than 64 MiB" in failure("run", parser, *packet, option, "/dev/zero")


def test_memory_in_a_file_is_hex_text_or_binary(invoke: Invoke, failure: Failing, tmp_path: Path) -> None:
    def r0(content: bytes) -> str:
        (tmp_path / "memory").write_bytes(content)
        return invoke("run", "-", "--mem", tmp_path / "memory", input="r0 = r2\nexit\n").stdout.splitlines()[1]

    assert r0(b"01 02\n# and\n03\n").startswith("r0 = 0x3 ")
    assert r0(bytes(5)).startswith("r0 = 0x5 ")
    assert r0(b"\xff\xfe").startswith("r0 = 0x2 ")
    assert r0(b"").startswith("r0 = 0x0 ")
    (tmp_path / "memory").write_text("01 02 0g")
    message = failure("run", "-", "--mem", tmp_path / "memory", input="exit\n")
    assert "memory:1:7: '0g' is not hexadecimal" in message


# --- names of files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "verify", "info", "disasm", "asm", "btf"])
def test_an_empty_name_names_nothing(failure: Failing, command: str) -> None:
    assert failure(command, "") == "error: an empty file name\n"


@pytest.mark.parametrize("option", ["--pcap", "--coverage", "--helpers"])
def test_an_empty_name_of_an_option(failure: Failing, parser: Path, option: str) -> None:
    packet = () if option == "--pcap" else ("--packet", PACKET)
    assert failure("run", parser, *packet, option, "") == f"error: {option}: an empty file name\n"


def test_an_empty_name_of_an_output(failure: Failing) -> None:
    assert failure("asm", "-", "-o", "", input="exit\n") == "error: --output: an empty file name\n"


@needs_posix
@pytest.mark.parametrize("option", ["run", "verify", "info", "disasm", "asm"])
def test_standard_input_that_cannot_be_read(option: str) -> None:
    result = shell(f"{PYBPFTIME} {option} - 0>/dev/null")
    assert result.returncode == 1
    assert result.stderr.startswith(b"error: standard input cannot be read: ")


@needs_posix
def test_a_name_that_the_output_cannot_encode(parser: Path, tmp_path: Path) -> None:
    os.symlink(parser, os.fsencode(tmp_path) + b"/\xc3\xa9.bpf.o")
    for command in ("run -p parse --packet " + PACKET, "info", "disasm", "btf"):
        result = shell(f"{PYBPFTIME} {command} {tmp_path}/*.bpf.o", PYTHONIOENCODING="ascii:strict")
        assert (result.returncode, result.stderr) == (0, b""), command
    assert b"\\xe9.bpf.o" in shell(f"{PYBPFTIME} info {tmp_path}/*.bpf.o", PYTHONIOENCODING="ascii:strict").stdout


# --- types, levels, forms ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [("run", "--packet", PACKET), ("verify",), ("info",), ("disasm",)], ids=lambda words: words[0]
)
def test_an_object_that_says_its_type(invoke: Invoke, failure: Failing, parser: Path, command: tuple[str, ...]) -> None:
    message = failure(*command, parser, "--type", "sched_cls")
    assert "a type is for programs that do not name theirs: parse in section xdp is of type xdp" in message
    assert invoke(*command, parser, "--type", "xdp").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "-", "--strict", "--lenient"), "--strict and --lenient exclude each other"),
        (("run", "-", "--linux", "--lenient", "--strict"), "--strict and --linux and --lenient exclude each other"),
        (("info", "-", "--linux", "--strict"), "--strict and --linux exclude each other"),
        (("asm", "-", "--hex", "--c"), "--hex and --c exclude each other"),
        (("asm", "-", "--json", "--c"), "--c and --json exclude each other"),
        (("btf", "-", "--json", "--format", "raw"), "--json and --format raw exclude each other"),
    ],
)
def test_options_that_exclude_each_other(failure: Failing, arguments: tuple[str, ...], message: str) -> None:
    assert message in failure(*arguments, input="r0 = 0\nexit\n")


def test_what_cannot_be_served_depends_on_the_level(invoke_json: InvokeJson) -> None:
    shift_by_64 = "r0 = 1\nr0 <<= 64\nexit\n"
    assert invoke_json("info", "-", input=shift_by_64)["problems"]
    assert not invoke_json("info", "-", "--lenient", input=shift_by_64)["problems"]


def test_a_base_is_for_files_of_btf(failure: Failing, parser: Path) -> None:
    assert "--base is for BTF that builds on another" in failure("btf", parser, "--base", parser)


# --- contents of maps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ('{".rodata": {"blocked_ports": [1]}}', "--maps: .rodata holds global variables: --set NAME=VALUE sets them"),
        ('{"verdicts": {"9": 1}}', "--maps: map verdicts: index 9 is not below max_entries 5 (E2BIG)"),
        ('{"verdicts": {"0": "many"}}', "--maps: map verdicts: value: __u64: 'many' is not an integer"),
        ('{"flows": {"0": {}}}', "--maps: map flows: key: "),
        ('{"flow": {}}', "--maps: there is no map named flow; did you mean flows?"),
    ],
)
def test_contents_that_do_not_fit(failure: Failing, parser: Path, contents: str, message: str) -> None:
    text = failure("run", parser, "--packet", PACKET, "--maps", contents)
    assert message in text
    assert text.count("map verdicts") <= 1


def test_contents_without_btf_are_numbers_or_hex() -> None:
    """As --dump-maps prints them."""
    specs = [
        MapSpec("wide", MapType.BPF_MAP_TYPE_HASH, key_size=6, value_size=16, max_entries=4),
        MapSpec("narrow", MapType.BPF_MAP_TYPE_HASH, key_size=2, value_size=8, max_entries=4),
        MapSpec("percpu", MapType.BPF_MAP_TYPE_PERCPU_HASH, key_size=4, value_size=3, max_entries=4),
    ]
    loaded = Object(ObjectSpec(None, {}, {spec.name: spec for spec in specs}, license="GPL"))
    contents = {
        "wide": {"0x020000000001": "00112233445566778899aabbccddeeff"},
        "narrow": {"0x10": 1 << 63},
        "percpu": {"7": ["010203"]},
    }
    fill_from_option(loaded, contents)
    assert loaded.maps["wide"].items() == [(bytes.fromhex("020000000001"), bytes(range(0, 256, 17)))]
    assert loaded.maps["narrow"].items() == [(16, 1 << 63)]
    assert loaded.maps["percpu"].items() == [(7, [b"\1\2\3"])]
    for wrong, message in (
        ({"wide": {"me": "00" * 16}}, "--maps: map wide: the key 'me' is not in hex digits"),
        ({"wide": {"00" * 6: "me"}}, "--maps: map wide: the value 'me' is not in hex digits"),
        ({"wide": {"00": "00" * 16}}, "--maps: map wide: the key has 1 byte"),
    ):
        with pytest.raises(InputError) as caught:
            fill_from_option(loaded, wrong)
        assert str(caught.value).startswith(message)


# --- modules of helpers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import os\ndef f(:\n", "mine.py:2:7: is no Python: "),
        ("\nraise ValueError('two\\nlines')\n", "mine.py:2: the module fails: ValueError: two lines"),
        ("import sys\n\nsys.exit()\n", "mine.py:3: the module fails: SystemExit"),
        ("def f():\n    f()\nf()\n", "mine.py:2: the module fails: RecursionError"),
        ("from pybpftime.errors import InputError\nraise InputError('not today')\n", "mine.py:2: not today"),
        ("# -*- coding: klingon -*-\n", "mine.py: is no Python: "),
        ("#" * (5 << 20), "mine.py: has more than 4 MiB"),
    ],
    ids=["syntax", "exception", "exit", "recursion", "refusal", "encoding", "size"],
)
@pytest.mark.parametrize("command", [("run", "-"), ("info", "-"), ("helpers",)], ids=lambda words: words[0])
def test_a_module_that_cannot_be_used(
    failure: Failing, tmp_path: Path, command: tuple[str, ...], text: str, message: str
) -> None:
    (tmp_path / "mine.py").write_text(text)
    assert message in failure(*command, "--helpers", tmp_path / "mine.py", input="exit\n")


def test_a_module_that_is_not_there(failure: Failing, tmp_path: Path) -> None:
    assert "mine.py: cannot be read: No such file" in failure("helpers", "--helpers", tmp_path / "mine.py")
    assert "its name ends with .py" in failure("helpers", "--helpers", tmp_path)
