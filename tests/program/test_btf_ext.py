"""`.BTF.ext`: what clang writes, records longer than known ones, and what is refused."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program.btf_support import SAMPLE, compile_c, elf_section, need, run

from pybpftime.errors import InputError
from pybpftime.program.btf import (
    Btf,
    BtfBuilder,
    BtfExt,
    CoreKind,
    CoreRelocation,
    Func,
    FuncInfo,
    FuncProto,
    Int,
    LineInfo,
    Struct,
)

Block = tuple[str, list[tuple[int, ...]]]


class Maker:
    """A small BTF and the `.BTF.ext` sections that go with it."""

    def __init__(self, byteorder: str = "little") -> None:
        self.order = "<" if byteorder == "little" else ">"
        self.builder = BtfBuilder(byteorder=byteorder)
        self.int = self.builder.add(Int("int", 4, 32))
        self.func = self.builder.add(Func("prog", self.builder.next_id + 1))
        self.builder.add(FuncProto(self.int))
        self.struct = self.builder.add(Struct("s", 4))
        self.string = self.builder.string

    def table(self, record_length: int, blocks: list[Block]) -> bytes:
        data = struct.pack(self.order + "I", record_length)
        for name, records in blocks:
            data += struct.pack(self.order + "II", self.string(name), len(records))
            for record in records:
                data += struct.pack(f"{self.order}{len(record)}I", *record).ljust(record_length, b"\xee")
        return data

    def section(self, functions: bytes = b"", lines: bytes = b"", relocations: bytes | None = b"") -> bytes:
        extents = [0, len(functions), len(functions), len(lines)]
        if relocations is not None:
            extents += [len(functions) + len(lines), len(relocations)]
        header = struct.pack(f"{self.order}HBBI{len(extents)}I", 0xEB9F, 1, 0, 8 + 4 * len(extents), *extents)
        return header + functions + lines + (relocations or b"")

    def parse(self, data: bytes) -> BtfExt:
        return BtfExt.parse(data, self.builder.build())


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("extra", [0, 4, 12])
def test_all_tables(byteorder: str, extra: int) -> None:
    maker = Maker(byteorder)
    file, text, access = (maker.string(word) for word in ("a.c", "return 0;", "0:1"))
    functions = maker.table(8 + extra, [("xdp", [(0, maker.func)]), ("tc", [(8, maker.func), (16, maker.func)])])
    lines = maker.table(
        16 + extra, [("xdp", [(0, file, text, 7 << 10 | 5), (24, file, 0, 0)]), ("xdp", [(32, 0, 0, 1024)])]
    )
    relocations = maker.table(16 + extra, [("tc", [(16, maker.struct, access, 0), (24, 0, 0, 99)])])
    ext = maker.parse(maker.section(functions, lines, relocations))
    assert ext.functions == {
        "xdp": (FuncInfo(0, maker.func),),
        "tc": (FuncInfo(8, maker.func), FuncInfo(16, maker.func)),
    }
    assert ext.lines == {
        "xdp": (LineInfo(0, "a.c", "return 0;", 7, 5), LineInfo(24, "a.c", "", 0, 0), LineInfo(32, "", "", 1, 0)),
    }
    assert ext.relocations == {
        "tc": (CoreRelocation(16, maker.struct, "0:1", CoreKind.FIELD_BYTE_OFFSET), CoreRelocation(24, 0, "", 99)),
    }
    assert [line.instruction for line in ext.lines["xdp"]] == [0, 3, 4]
    assert ext.functions["tc"][1].instruction == ext.relocations["tc"][0].instruction == 2


def test_empty_and_older_header() -> None:
    maker = Maker()
    for data in (maker.section(), maker.section(relocations=None)):
        ext = maker.parse(data)
        assert (ext.functions, ext.lines, ext.relocations) == ({}, {}, {})
    functions = maker.table(8, [("xdp", [(0, maker.func)])])
    assert maker.parse(maker.section(functions, relocations=None)).functions["xdp"] == (FuncInfo(0, maker.func),)


def _broken() -> list[tuple[str, bytes]]:
    maker = Maker()
    good = maker.table(8, [("xdp", [(0, maker.func)])])
    lines = maker.table(16, [("xdp", [(0, 0, 0, 0)])])
    whole = maker.section(good)
    return [
        ("7 bytes are too few", whole[:7]),
        ("magic number 0xebff is not 0xeb9f", b"\xff" + whole[1:]),
        ("version 2 is not supported", whole[:2] + b"\2" + whole[3:]),
        ("flags 0x1 are not supported", whole[:3] + b"\1" + whole[4:]),
        ("header length 4294967295 exceeds", whole[:4] + b"\xff" * 4 + whole[8:]),
        ("header length 16 is less than 24", whole[:4] + b"\x10\0\0\0" + whole[8:]),
        ("func_info does not lie inside", whole[:-1]),
        ("func_info does not lie inside", whole[:8] + b"\1\0\0\0" + whole[12:]),
        ("func_info has records of 4 bytes", maker.section(maker.table(4, []))),
        ("func_info has records of 10 bytes", maker.section(maker.table(10, []))),
        ("func_info has records of 0 bytes", maker.section(bytes(4))),
        ("func_info has records of 8192 bytes", maker.section(maker.table(8192, []))),
        ("func_info is cut off", maker.section(good + b"\0\0\0\0")),
        ("func_info has a block of 0 records where 1 fit", maker.section(maker.table(8, [("xdp", [])]) + bytes(8))),
        (
            "func_info has a block of 4294967295 records where 1 fit",
            maker.section(good[:8] + b"\xff" * 4 + good[12:]),
        ),
        ("refers to type 1, no FUNC", maker.section(maker.table(8, [("xdp", [(0, maker.int)])]))),
        ("refers to type 999, no FUNC", maker.section(maker.table(8, [("xdp", [(0, 999)])]))),
        ("refers to byte 4, which begins no instruction", maker.section(maker.table(8, [("xdp", [(4, maker.func)])]))),
        ("string offset 4096 is outside", maker.section(good, maker.table(16, [("xdp", [(0, 4096, 0, 0)])]))),
        ("string offset 4096 is outside", maker.section(good, lines[:4] + b"\0\x10\0\0" + lines[8:])),
        (
            "core_relo at byte 8: type 999 does not",
            maker.section(b"", b"", maker.table(16, [("xdp", [(8, 999, 0, 0)])])),
        ),
    ]


@pytest.mark.parametrize(("reason", "data"), _broken())
def test_refused(reason: str, data: bytes) -> None:
    maker = Maker()
    maker.string("xdp")
    with pytest.raises(InputError, match=reason) as caught:
        maker.parse(data)
    assert caught.value.section in (".BTF.ext", ".BTF")


@given(st.binary(max_size=120), st.integers(0, 100))
def test_mutations(junk: bytes, position: int) -> None:
    maker = Maker()
    lines = maker.table(16, [("xdp", [(0, 0, 0, 0), (8, 0, 0, 0)])])
    whole = maker.section(maker.table(8, [("xdp", [(0, maker.func)])]), lines, lines)
    for data in (junk, whole[:8] + junk, whole[:position] + junk + whole[position + len(junk) :], whole[:position]):
        try:
            parsed = maker.parse(data)
        except InputError as error:
            assert error.section in (".BTF.ext", ".BTF")
        else:
            assert isinstance(parsed, BtfExt)


def test_strings_that_overlap_are_bounded() -> None:
    """Every line's text is a long tail of one string: quadratic in memory if nobody counts."""
    maker = Maker()
    length = 200_000
    start = maker.string("x" * length)
    rows = [(0, 0, start + number, 0) for number in range(50_000)]
    with pytest.raises(InputError, match="strings overlap"):
        maker.parse(maker.section(b"", maker.table(16, [("xdp", rows)])))


SOURCE = """
#define SEC(name) __attribute__((section(name), used))
struct task { int pid; struct { long x; } in[3]; } __attribute__((preserve_access_index));
enum e { A, B = 7 };
static __attribute__((noinline)) int helper(struct task *task)
{
    return task->in[1].x + __builtin_preserve_field_info(task->pid, 2);
}
SEC("xdp") int prog(struct task *task)
{
    return helper(task) + __builtin_preserve_enum_value(*(typeof(enum e) *)B, 1);
}
"""


def test_what_clang_makes(tmp_path: Path) -> None:
    path = compile_c(tmp_path, SOURCE)
    btf = Btf.parse(elf_section(path, ".BTF"))
    ext = BtfExt.parse(elf_section(path, ".BTF.ext"), btf)
    names = {section: [btf[info.type].name for info in infos] for section, infos in ext.functions.items()}
    assert names == {".text": ["helper"], "xdp": ["prog"]}
    relocations = {(btf[item.type].name, item.access, CoreKind(item.kind)) for item in ext.relocations[".text"]}
    assert relocations == {("task", "0:1:1:0", CoreKind.FIELD_BYTE_OFFSET), ("task", "0:0", CoreKind.FIELD_EXISTS)}
    assert [(item.access, item.kind) for item in ext.relocations["xdp"]] == [("1", CoreKind.ENUMVAL_VALUE)]
    (line,) = {(line.text.strip(), line.line) for line in ext.lines["xdp"]}
    assert line == ("return helper(task) + __builtin_preserve_enum_value(*(typeof(enum e) *)B, 1);", 11)
    assert {Path(line.file).name for line in ext.lines["xdp"]} == {"source.c"}


def test_lines_as_llvm_objdump_prints_them(tmp_path: Path) -> None:
    """Without DWARF, llvm-objdump reads this section to put some source lines before their instructions."""
    objdump, objcopy = need("llvm-objdump-19"), need("llvm-objcopy-19")
    path = compile_c(tmp_path, SAMPLE)
    run(objcopy, "--strip-debug", path, tmp_path / "stripped.o")
    printed = run(objdump, "-S", "-l", tmp_path / "stripped.o")
    ext = BtfExt.parse(elf_section(path, ".BTF.ext"), Btf.parse(elf_section(path, ".BTF")))
    found = 0
    for section, body in re.findall(r"Disassembly of section (\S+):\n(.*?)(?=\nDisassembly|\Z)", printed, re.DOTALL):
        ours = {(f"{line.file}:{line.line}", line.text, line.instruction) for line in ext.lines[section]}
        theirs = re.findall(r"^; (.*)\n; (.*)\n *(\d+):\t", body, re.MULTILINE)
        assert {(place, text, int(index)) for place, text, index in theirs} <= ours
        found += len(theirs)
    assert found > 5
