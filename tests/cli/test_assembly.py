"""`pybpftime disasm` and `pybpftime asm`: listings of every committed object, and back to the same bytes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from pybpftime.isa.encoding import encode_program
from pybpftime.program import load_object

Invoke = Callable[..., Result]
InvokeJson = Callable[..., Any]

OBJECTS = sorted((Path(__file__).resolve().parents[1] / "programs").glob("*.bpf.o"))
PROGRAM = "r0 = 42\nr1 = 0x1122334455667788 ll\nif r1 > 5 goto end\ncall bpf_ktime_get_ns\nend: exit\n"


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
@pytest.mark.parametrize("options", [(), ("--syntax", "mnemonic", "--hex", "--no-source")], ids=["plain", "options"])
def test_listings_assemble_to_the_same_bytes(invoke: Invoke, path: Path, options: tuple[str, ...]) -> None:
    for name, spec in load_object(path).programs.items():
        listing = invoke("disasm", path, "-p", name, *options).stdout
        code = invoke("asm", "-", input=listing).stdout_bytes
        assert code == encode_program(spec.instructions)


def test_listing_shows_source_names_and_labels(invoke: Invoke, programs: Path) -> None:
    text = invoke("disasm", programs / "xdp_parser.bpf.o").stdout
    assert "; xdp_parser.bpf.c:321: .end = (void *)(long)ctx->data_end," in text
    assert "call bpf_map_lookup_elem#1" in text
    assert "; map flows" in text
    assert "; blocked_ports in .rodata" in text
    assert "parse:" in text.splitlines()
    targets = {line.rsplit(" goto ", 1)[1].split()[0] for line in text.splitlines() if " goto " in line}
    assert targets
    assert targets <= {line.removesuffix(":") for line in text.splitlines() if line.endswith(":")}
    assert ".bpf.c:" not in invoke("disasm", programs / "xdp_parser.bpf.o", "--no-source").stdout


def test_functions_are_labels(invoke: Invoke, programs: Path) -> None:
    data = json.loads(invoke("disasm", programs / "subprograms.O0.bpf.o", "-p", "checksum", "--json").stdout)
    [program] = data
    spec = load_object(programs / "subprograms.O0.bpf.o").programs["checksum"]
    labels = {line["slot"]: line["label"] for line in program["lines"] if "label" in line}
    assert {function.start: function.name for function in spec.functions}.items() <= labels.items()


def test_json_has_everything(invoke_json: InvokeJson, programs: Path) -> None:
    [program] = invoke_json("disasm", programs / "xdp_parser.bpf.o")
    assert (program["program"], program["type"]) == ("parse", "xdp")
    spec = load_object(programs / "xdp_parser.bpf.o").programs["parse"]
    assert "".join(line["hex"] for line in program["lines"]) == encode_program(spec.instructions).hex()
    assert program["lines"][0]["source"]["line"] == 321


def test_raw_programs(invoke: Invoke, tmp_path: Path) -> None:
    code = invoke("asm", "-", input=PROGRAM).stdout_bytes
    (tmp_path / "program.bin").write_bytes(code)
    for source, content in ((tmp_path / "program.bin", None), ("-", code), ("-", code.hex()), ("-", PROGRAM)):
        text = invoke("disasm", source, input=content).stdout
        assert "r1 = 0x1122334455667788 ll" in text
        assert "call bpf_ktime_get_ns#5" in text


def test_any_binary_has_a_listing(invoke: Invoke) -> None:
    junk = bytes(range(0x80, 0x93))
    text = invoke("disasm", "-", input=junk).stdout
    assert invoke("asm", "-", input=text).stdout_bytes == junk


@pytest.mark.parametrize("syntax", ["pseudo-c", "mnemonic"])
def test_forms_of_output(invoke: Invoke, syntax: str) -> None:
    code = invoke("asm", "-", input=PROGRAM).stdout_bytes
    assert bytes.fromhex(invoke("asm", "-", "--hex", input=PROGRAM).stdout) == code
    data = json.loads(invoke("asm", "-", "--json", input=PROGRAM).stdout)
    assert (data["hex"], data["slots"]) == (code.hex(), 6)
    listing = invoke("disasm", "-", "--syntax", syntax, input=code).stdout
    assert invoke("asm", "-", "--syntax", syntax, input=listing).stdout_bytes == code


def test_c_array_compiles_to_the_same_bytes(invoke: Invoke, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/linux/bpf.h").exists():
        pytest.skip("needs a C compiler and linux/bpf.h")
    program = PROGRAM + "r0 = 0x80000000\n*(u64 *)(r10 - 8) = r1\n"
    text = invoke("asm", "-", "--c", input=program).stdout
    source = tmp_path / "print.c"
    source.write_text(
        f"#include <linux/bpf.h>\n#include <stdio.h>\n{text}\n"
        "int main(void) { return fwrite(program, sizeof(program), 1, stdout) != 1; }\n"
    )
    subprocess.run([compiler, "-Wall", "-Werror", "-o", tmp_path / "print", source], check=True)
    code = subprocess.run([tmp_path / "print"], capture_output=True, check=True).stdout
    assert code == invoke("asm", "-", input=program).stdout_bytes


def test_output_file(invoke: Invoke, failure: Callable[..., str], tmp_path: Path) -> None:
    invoke("asm", "-", "-o", tmp_path / "out.bin", input="r0 = 1\nexit\n")
    assert (tmp_path / "out.bin").read_bytes().hex() == "b700000001000000" + "9500000000000000"
    assert "cannot be written" in failure("asm", "-", "-o", tmp_path / "no" / "out.bin", input="exit\n")


def test_errors_point_at_the_place(failure: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "bad.s").write_text("r0 = 1\n    r1 = frob\nexit\n")
    lines = failure("asm", tmp_path / "bad.s").splitlines()
    assert "bad.s:2:10: " in lines[0]
    assert lines[1].strip() == "r1 = frob"
    assert lines[2].index("^") == lines[1].index("frob")
    # The same wherever assembly is read.
    assert failure("run", tmp_path / "bad.s").splitlines()[1:] == lines[1:]
    assert failure("info", tmp_path / "bad.s").splitlines()[1:] == lines[1:]


def test_error_in_a_long_line_is_cut_out(failure: Callable[..., str]) -> None:
    message = failure("asm", "-", input="r0 = 1" + " " * 5000 + "frob")
    caret = message.splitlines()[2].index("^")
    assert message.splitlines()[1][caret : caret + 4] == "frob"


def test_program_that_is_not_well_formed_is_written_with_a_warning(invoke: Invoke) -> None:
    result = invoke("asm", "-", "--hex", input="goto +7\n")
    assert result.stdout == "0500070000000000\n"
    assert "warning" in result.stderr
    assert "instruction 0" in result.stderr


def test_binary_is_no_assembly(failure: Callable[..., str]) -> None:
    assert "is no text" in failure("asm", "-", input=b"\xff\xfe\x00")


def test_unknown_program_has_near_names(failure: Callable[..., str], programs: Path) -> None:
    assert "did you mean parse?" in failure("disasm", programs / "xdp_parser.bpf.o", "-p", "prase")
    assert "there is program" in failure("disasm", "-", "-p", "main", input="exit\n")


def test_binary_has_the_limit_of_other_commands(failure: Callable[..., str], tmp_path: Path) -> None:
    from pybpftime.isa.encoding import MAX_SLOTS

    path = tmp_path / "large.bin"
    with path.open("wb") as stream:
        stream.truncate((MAX_SLOTS + 1) * 8)
    message = f"the program has {MAX_SLOTS + 1} slots, at most {MAX_SLOTS} are read"
    assert message in failure("disasm", path)
    assert message in failure("run", path)


def test_type_is_for_programs_that_do_not_name_theirs(
    invoke: Invoke, invoke_json: InvokeJson, failure: Callable[..., str], programs: Path
) -> None:
    path = programs / "xdp_parser.bpf.o"
    message = failure("disasm", path, "--type", "kprobe")
    assert "a type is for programs that do not name theirs: parse in section xdp is of type xdp" in message
    assert "there is no program type named 'frob'" in failure("disasm", path, "--type", "frob")
    assert "program of type xdp in xdp" in invoke("disasm", path, "--type", "xdp").stdout
    [program] = invoke_json("disasm", "-", "--type", "kprobe", input="exit\n")
    assert program["type"] == "kprobe"
