"""Our pseudo-C against LLVM's: llvm-mc on every row, llvm-objdump on every committed object, clang's assembler.

What differs on purpose, and is made equal before comparing:

* a local call: LLVM writes `call 0x5`, the same as for a helper; we write `call +0x5`;
* a call by BTF id: LLVM writes `call 0x5`, we `call kfunc 0x5` and its module;
* wide immediates other than plain values: LLVM writes `ld_pseudo r1, 0x2, 0x5` without the upper half;
* `skb[r1 + 0x5]`: LLVM leaves the number out;
* llvm-objdump puts `<symbol>` behind a jump.

What LLVM 19 does not know, or takes for something else, is left out by name.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from support.instructions import EDGES_16, EDGES_32

from pybpftime.isa import TABLE, Form, Immediate, Instruction, Row, decode_program, lookup
from pybpftime.isa.assembler import assemble_bytes
from pybpftime.isa.disassembler import format_instruction

MC, OBJDUMP, CLANG = (shutil.which(f"{tool}-19") for tool in ("llvm-mc", "llvm-objdump", "clang"))
needs_mc = pytest.mark.skipif(MC is None, reason="needs llvm-mc-19")
needs_objdump = pytest.mark.skipif(OBJDUMP is None, reason="needs llvm-objdump-19")

UNKNOWN_TO_LLVM_19 = ("gotox", "load_acquire", "store_release")
PROGRAMS = Path(__file__).resolve().parent.parent / "programs"
OBJECTS = sorted(PROGRAMS.glob("*.bpf.o"))


def run(command: Sequence[str], text: str = "") -> str:
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=60).stdout


def as_llvm_writes(row: Row, text: str) -> str:
    """Our text with the differences above taken out."""
    if row.form is Form.CALL_LOCAL:
        return text.replace("call +", "call ")
    if row.form in (Form.CALL_HELPER, Form.CALL_BTF):
        number = int(text.replace("kfunc ", "").split()[1].strip(","), 16)  # LLVM takes it for signed
        return f"call {number - (number >> 31 << 32):#x}"
    if row.form is Form.PACKET:
        return re.sub(r"skb\[(r\d+) \+ .*\]", r"skb[\1]", text)
    if row.immediate not in (None, Immediate.VALUE):
        register = text.partition(" ")[0]
        return f"ld_pseudo {register}, {row.fixed['src_reg']:#x}, "
    return text


def samples(row: Row) -> Iterable[Instruction]:
    representable = 0x7FFF_7FFF if row.form is Form.CAST else -1  # LLVM has signed halves there
    for offset, edge in zip(EDGES_16 * 2, EDGES_32, strict=False):
        imm = edge & representable
        fields = {"dst_reg": imm % 11, "src_reg": 10 - imm % 11, "offset": offset, "imm": imm} | dict(row.fixed)
        next_imm = row.fixed.get("next_imm", offset) if row.wide else None
        yield Instruction(row.opcode, **fields | {"next_imm": next_imm})


def known_rows() -> list[Row]:
    return [row for row in TABLE if not row.name.startswith(UNKNOWN_TO_LLVM_19)]


@needs_mc
def test_every_row_reads_as_in_llvm() -> None:
    chosen = [(row, instruction) for row in known_rows() for instruction in samples(row)]
    code = "\n".join(" ".join(f"{byte:#04x}" for byte in instruction.encode()) for _, instruction in chosen)
    command = [str(MC), "-disassemble", "-triple=bpfel", "-mcpu=v4", "--print-imm-hex"]
    lines = [line.strip().replace("\t", " ") for line in run(command, code).splitlines()[1:]]
    assert len(lines) == len(chosen)
    for (row, instruction), line in zip(chosen, lines, strict=True):
        theirs = re.sub(r"(ld_pseudo .*, ).*", r"\1", line)
        assert as_llvm_writes(row, format_instruction(instruction)) == theirs, row.name


NOT_READ_BY_LLVM = {
    "call_local": "`call N` is a helper to LLVM's assembler",
    "call_btf": "has no syntax in LLVM",
    "addr_space_cast": "LLVM wants other types of numbers; test_assembler has it by hand",
    "ldindw": "LLVM has no number in it",
    "ldindh": "LLVM has no number in it",
    "ldindb": "LLVM has no number in it",
}


@needs_mc
def test_llvm_assembles_our_text() -> None:
    rows = [
        row for row in known_rows() if row.name not in NOT_READ_BY_LLVM and row.immediate in (None, Immediate.VALUE)
    ]
    chosen = [instruction for row in rows for instruction in samples(row)]
    chosen = [one for one in chosen if one.opcode != 0x06 or abs(one.imm) < 0x8000]  # gotol: LLVM 19 reads 16 bits
    text = "\n".join(format_instruction(instruction) for instruction in chosen)
    command = [str(MC), "-triple=bpfel", "-mcpu=v4", "-show-encoding"]
    encodings = re.findall(r"encoding: \[([^\]]*)\]", run(command, text + "\n"))
    assert len(encodings) == len(chosen)
    for instruction, encoding in zip(chosen, encodings, strict=True):
        assert bytes(int(byte, 16) for byte in encoding.split(",")) == instruction.encode()


def without_symbols(line: str) -> str:
    return re.sub(r" <[^<> ]*>$", "", line.strip().replace("\t", " "))


def compare_object(path: Path) -> int:
    """Compare every instruction of an object; how many they were."""
    compared = 0
    for line in run([str(OBJDUMP), "-d", "--mcpu=v4", str(path)]).splitlines():
        match = re.match(r"\s*\d+:\s((?:[0-9a-f]{2} )+)\s*(.*)", line.replace("\t", " "))
        if match is not None:
            instruction = decode_program(bytes.fromhex(match[1]))[0]
            assert instruction is not None
            ours = as_llvm_writes(lookup(instruction), format_instruction(instruction))
            assert without_symbols(match[2]) == ours, line
            compared += 1
    return compared


@needs_objdump
@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_committed_objects_read_as_in_llvm(path: Path) -> None:
    assert compare_object(path) > 0


@needs_objdump
@pytest.mark.parametrize("options", [[], ["-S"], ["--symbolize-operands"], ["--mcpu=v2"]], ids=" ".join)
def test_pasted_objdump_assembles_to_the_code(options: list[str]) -> None:
    # Below v3, llvm-objdump takes every atomic operation for an addition.
    objects = [path for path in OBJECTS if "--mcpu=v2" not in options or "atomics" not in path.name]
    for path in objects[:: 1 if not options else 5]:
        listed = run([str(OBJDUMP), "-d", "--mcpu=v4", *options, str(path)])
        for text in listed.split("Disassembly of section ")[1:]:
            code = "".join(re.findall(r"^\s*\d+:\t((?:[0-9a-f]{2}[ \t])+)", text, re.MULTILINE))
            assert assemble_bytes("Disassembly of section " + text, file=path.name) == bytes.fromhex(code)


SOURCE = """
typedef unsigned long long u64; typedef unsigned int u32; typedef signed char s8;
extern int kfunc(int) __attribute__((section(".ksyms")));
static void *(*lookup)(void *, const void *) = (void *)1;
static int total; static int (*volatile pointer)(int, int);
static __attribute__((noinline)) int f(int a, int b) { asm volatile("" : "+r"(a)); return a * b / 3u + kfunc(a); }
int entry(u32 *context) {
    int key = context[0], *value = lookup(&total, &key);
    if (!value) return -5;
    __sync_fetch_and_add(value, 3);
    u64 big = (u64)key * 0x123456789abcULL + ((s8 *)context)[1];
    for (int i = 0; i < key; i++) { asm volatile(""); total += f(i, key) % 7u; }
    return __builtin_bswap32(big) + pointer(*value, big >> 40) + (key < -7 ? total : value[1] - 9);
}
"""


@needs_objdump
@pytest.mark.skipif(CLANG is None, reason="needs clang-19")
@pytest.mark.parametrize("cpu", ["v2", "v3", "v4"])
def test_compiled_code_reads_as_in_llvm(cpu: str, tmp_path: Path) -> None:
    path = tmp_path / "code.o"
    run([str(CLANG), "-g", "-O2", "-target", "bpf", f"-mcpu={cpu}", "-x", "c", "-", "-c", "-o", str(path)], SOURCE)
    assert compare_object(path) > 50
