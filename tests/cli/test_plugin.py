"""`pybpftime-plugin`: the protocol, and that it starts quickly."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from pybpftime.cli.plugin import USAGE, run_plugin
from pybpftime.conformance.runtimes.bare import run_code
from pybpftime.isa.assembler import assemble_bytes

ROOT = Path(__file__).resolve().parents[2]
RUN = (sys.executable, "-c", "from pybpftime.cli.plugin import main; main()")

# Modules that cost start-up time and that the plugin has no use for.
HEAVY = {
    *("asyncio", "click", "ctypes", "email", "elftools", "http", "importlib.metadata", "json", "multiprocessing"),
    *("pdb", "rich", "socket", "ssl", "subprocess", "tempfile", "unittest", "zipfile"),
    *("pybpftime.program.btf", "pybpftime.program.elf", "pybpftime.program.contexts", "pybpftime.runtime"),
    *("pybpftime.helpers.implementations", "pybpftime.isa.assembler", "pybpftime.kernel"),
}
MOST_MODULES = 190


def hex_of(text: str) -> str:
    """As bpf_conformance writes bytes: two spaces between them, and one more behind."""
    return "".join(f"{byte:02x}  " for byte in assemble_bytes(text))


def plugin(*arguments: str, program: str = "") -> tuple[int, str]:
    return run_plugin(arguments, (hex_of(program) + "\n").encode)


def test_program_from_standard_input() -> None:
    assert plugin(program="r0 = 42\nexit") == (0, "2a\n")
    assert plugin("--debug", program="r0 = -1\nexit") == (0, "ffffffffffffffff\n")
    assert plugin("", program="r0 = r1\nexit") == (0, "0\n")


def test_memory() -> None:
    program = "r0 = *(u8 *)(r1 + 2)\nr0 += r2\nexit"
    assert plugin("01  02  03  ", program=program) == (0, "6\n")
    assert plugin("010203", program=program) == (0, "6\n")


@pytest.mark.parametrize("order", ["memory first", "program first", "with equals sign"])
def test_program_as_option(order: str) -> None:
    code = hex_of("r0 = *(u8 *)(r1 + 0)\nexit")
    arguments = {
        "memory first": ("07 ", "--program", code),
        "program first": ("--program", code, "07 "),
        "with equals sign": ("07", f"--program={code}"),
    }[order]
    assert plugin(*arguments) == (0, "7\n")


def test_bare_runtime_is_lenient() -> None:
    assert plugin(program="r0 = 1\nr0 <<= 65\nexit") == (0, "2\n")
    assert plugin(program="r0 = r7\nexit") == (0, "0\n")


def test_unwind_helper() -> None:
    """bpf_conformance: call_unwind_fail, callx; what returns 0 ends the program, in a subprogram too."""
    assert plugin(program="r1 = -1\ncall 5\nr0 = 2\nexit") == (0, "2\n")
    assert plugin(program="r1 = 9\ncall 5\nexit") == (0, "9\n")
    assert plugin(program="r1 = 0\ncall 5\nr0 = 2\nexit") == (0, "0\n")
    assert plugin(program="r1 = 0\ncall sub\nr0 = 2\nexit\nsub: call 5\nr0 = 3\nexit") == (0, "0\n")
    assert plugin(program="r1 = -1\nr2 = 5\ncall %r2\nr0 = 2\nexit") == (0, "2\n")


@pytest.mark.parametrize(
    ("arguments", "program", "message"),
    [
        ((), "r0 = *(u64 *)(r1 + 0)\nexit", "memory fault"),
        ((), "call 1\nexit", "there is no helper with the number 1|bpf_map_lookup_elem"),
        ((), "r0 = 0", "runs past its last instruction"),
        (("--budget", "1000"), "goto -1", "instruction budget"),
        (("--program", "b7 00"), "", "8"),
        (("--program", "b70"), "", "digits do not come in pairs"),
        (("--program", "zz"), "", "it has 'z'"),
        (("xyz",), "", "the memory is no hex: it has 'x'"),
        (("--program",), "", "--program needs a value"),
        (("--jit",), "", "unknown option --jit"),
        (("00", "00"), "", "more than one argument for memory"),
        (("--budget", "many"), "", "number of instructions"),
        (("--budget", "9" * 5000), "", "number of instructions"),
        (("--elf", "--program", "00"), "", "--elf"),
        ((), "", "empty"),
    ],
)
def test_failure_is_one_line_on_standard_output(arguments: tuple[str, ...], program: str, message: str) -> None:
    code, text = plugin(*arguments, program=program)
    assert code == 1
    assert any(part in text for part in message.split("|"))
    assert text.count("\n") == 1
    assert len(text) < 400


def test_junk_on_standard_input() -> None:
    for junk in (b"\xff\xfe", b"no hex", b"\0" * 100):
        assert run_plugin((), lambda junk=junk: junk)[0] == 1  # type: ignore[misc]  # mypy cannot infer a lambda's default


def test_help() -> None:
    assert plugin("--help") == (0, USAGE)


# --- ELF on standard input --------------------------------------------------------------------------------------------


def elf_object(section: str, code: bytes) -> bytes:
    """A classic object as bpf_conformance writes it: one section of code with the function `main`."""
    names = f"\0.symtab\0{section}\0.shstrtab\0main\0".encode()
    symbols = bytes(24) + struct.pack("<IBBHQQ", names.index(b"main"), 0x12, 0, 2, 0, len(code))
    place_of_code, place_of_symbols = 64, 64 + len(code)
    place_of_names = place_of_symbols + len(symbols)
    place_of_headers = place_of_names + len(names) + -len(names) % 8
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = ident + struct.pack("<HHIQQQIHHHHHH", 1, 247, 1, 0, 0, place_of_headers, 0, 64, 0, 0, 64, 4, 3)
    sections = (
        bytes(64),
        _section(names, ".symtab", 2, 0, place_of_symbols, len(symbols), link=3, info=1, entry=24),
        _section(names, section, 1, 6, place_of_code, len(code)),
        _section(names, ".shstrtab", 3, 0, place_of_names, len(names)),
    )
    return (header + code + symbols + names).ljust(place_of_headers, b"\0") + b"".join(sections)


def _section(
    names: bytes, name: str, kind: int, flags: int, place: int, size: int, link: int = 0, info: int = 0, entry: int = 0
) -> bytes:
    at = names.index(b"\0" + name.encode() + b"\0") + 1
    return struct.pack("<IIQQQQIIQQ", at, kind, flags, 0, place, size, link, info, 8, entry)


@pytest.mark.parametrize("form", ["hex", "binary"])
def test_object_with_code_in_text(form: str) -> None:
    content = elf_object(".text", assemble_bytes("r0 = *(u8 *)(r1 + 1)\nexit"))
    data = content if form == "binary" else "".join(f"{byte:02x}  " for byte in content).encode() + b"\n"
    assert run_plugin(("07 08", "--elf"), lambda: data) == (0, "8\n")


def test_object_with_an_xdp_program() -> None:
    """With --xdp_prolog the runner puts instructions in front that take the memory from the packet."""
    text = "r6 = r1\nr1 = *(u32 *)(r6 + 0)\nr2 = *(u32 *)(r6 + 4)\nr2 -= r1\nr0 = *(u8 *)(r1 + 1)\nr0 += r2\nexit"
    content = elf_object("xdp", assemble_bytes(text))
    memory = bytes([1, 2, *range(18)])
    assert run_plugin((memory.hex(" "), "--elf"), lambda: content) == (0, f"{2 + 20:x}\n")


@pytest.mark.parametrize("content", [b"", b"no elf", b"\x7fELF", b"7f 45 4c 46"])
def test_damaged_object(content: bytes) -> None:
    code, text = run_plugin(("--elf",), lambda: content)
    assert code == 1
    assert text.count("\n") == 1


# --- as a process -----------------------------------------------------------------------------------------------------


def test_process() -> None:
    """Arguments, standard input, exit code and standard output of a real one."""
    program = hex_of("r0 = *(u8 *)(r1 + 0)\nexit") + "\n"
    run = subprocess.run([*RUN, "2a  "], input=program, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (run.returncode, run.stdout, run.stderr) == (0, "2a\n", "")
    run = subprocess.run(RUN, input="95", capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 1
    assert run.stdout.strip()
    assert run.stderr == ""


def test_little_is_imported() -> None:
    """A runner starts a process for each case: what is not needed must not be loaded."""
    code = (
        "import sys; from pybpftime.cli.plugin import run_plugin;"
        "assert run_plugin(['00'], lambda: b'b700000001000000 9500000000000000') == (0, '1\\n');"
        "print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"],
                         capture_output=True, text=True, check=True)  # fmt: skip
    loaded = set(run.stdout.split())
    assert not loaded & HEAVY
    assert len(loaded) <= MOST_MODULES


def test_result_is_that_of_run_code() -> None:
    code = assemble_bytes("r0 = r2\nexit")
    assert run_code(code, bytes(5)) == 5


def test_programs_that_are_too_long() -> None:
    from pybpftime.isa.encoding import MAX_SLOTS

    code = bytes((MAX_SLOTS + 1) * 8).hex().encode()
    assert run_plugin((), lambda: code) == (1, f"the program has {MAX_SLOTS + 1} slots, at most {MAX_SLOTS} are read\n")
