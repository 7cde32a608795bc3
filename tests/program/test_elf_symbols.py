"""File offsets of functions, compared with binutils; and files that lie."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from attach.build import TARGETS, BuildTarget
from hypothesis import example, given
from hypothesis import strategies as st

from pybpftime.errors import InputError
from pybpftime.program.elf_symbols import BinaryType, read_binary

KINDS = {
    "PIE": ("functions", ("-pie", "-fPIE"), BinaryType.PIE),
    "fixed": ("functions", ("-no-pie",), BinaryType.EXECUTABLE),
    "static": ("functions", ("-static",), BinaryType.EXECUTABLE),
    "static PIE": ("functions", ("-static-pie", "-fPIE"), BinaryType.PIE),
    "moved text": ("functions", ("-no-pie", "-Wl,-Ttext-segment=0x10000000"), BinaryType.EXECUTABLE),
    "library": ("library", ("-shared", "-fPIC"), BinaryType.SHARED),
    "library, moved text": ("library", ("-shared", "-fPIC", "-Wl,-Ttext-segment=0x10000000"), BinaryType.SHARED),
    "library with soname": ("library", ("-shared", "-fPIC", "-Wl,-soname,libwork.so.1"), BinaryType.SHARED),
}


def _tool(name: str, *arguments: str) -> str:
    if shutil.which(name) is None:
        pytest.skip("needs binutils")
    return subprocess.run([name, *arguments], capture_output=True, text=True, check=True).stdout


def binutils_offset(path: Path, symbol: str) -> int:
    """The file offset by another way: the address of `nm`, through the program headers of `readelf`."""
    dynamic = () if _tool("nm", str(path)) else ("--dynamic",)
    lines = [line.split() for line in _tool("nm", *dynamic, str(path)).splitlines()]
    (address,) = {int(line[0], 16) for line in lines if len(line) == 3 and line[2].partition("@")[0] == symbol}
    for line in _tool("readelf", "-lW", str(path)).splitlines():
        if match := re.match(r"\s+LOAD\s+(0x\w+) (0x\w+) 0x\w+ (0x\w+)", line):
            offset, start, size = (int(text, 16) for text in match.groups())
            if start <= address < start + size:
                return address - start + offset
    raise AssertionError(f"{symbol} is loaded by no program header")


@pytest.mark.parametrize("kind", KINDS)
def test_offsets_agree_with_binutils(build_target: BuildTarget, kind: str) -> None:
    name, flags, type = KINDS[kind]
    path = build_target(name, *flags)
    binary = read_binary(str(path))
    assert (binary.bits, binary.machine, binary.type) == (64, "x86-64", type)
    for symbol in ("work", "hidden", "weak_work", "main") if name == "functions" else ("library_work",):
        offset = binary.offset_of(symbol)
        assert offset == binutils_offset(path, symbol)
        assert binary.offset_of_address(binary.address_of_offset(offset)) == offset
        assert binary.symbol_at(offset) == symbol
        assert binary.symbol_at(offset + 1) == f"{symbol}+0x1"


def test_the_bytes_at_the_offset_are_the_function(build_target: BuildTarget) -> None:
    path = build_target("functions")
    lines = _tool("objdump", "-d", "--disassemble=work", str(path)).splitlines()
    start = next(index for index, line in enumerate(lines) if line.endswith("<work>:"))
    first = bytes.fromhex(lines[start + 1].split("\t")[1])
    offset = read_binary(str(path)).offset_of("work")
    assert path.read_bytes()[offset : offset + len(first)] == first


def test_soname(build_target: BuildTarget) -> None:
    name, flags, _ = KINDS["library with soname"]
    assert read_binary(str(build_target(name, *flags))).soname == "libwork.so.1"
    name, flags, _ = KINDS["library"]
    assert read_binary(str(build_target(name, *flags))).soname is None


def test_entry_lies_in_code(build_target: BuildTarget) -> None:
    binary = read_binary(str(build_target("functions")))
    offset = binary.offset_of_address(binary.entry)
    binary.require_code(offset)
    assert binary.symbol_at(offset) == "_start"


def test_stripped_program_says_so(build_target: BuildTarget) -> None:
    binary = read_binary(str(build_target("functions", "-s")))
    assert binary.stripped
    with pytest.raises(InputError, match=r"functions: there is no function named work, but the file is stripped"):
        binary.offset_of("work")
    assert not read_binary(str(build_target("functions"))).stripped


def test_stripped_library_keeps_its_dynamic_symbols(build_target: BuildTarget) -> None:
    path = build_target("library", "-shared", "-fPIC", "-s")
    assert read_binary(str(path)).offset_of("library_work") == binutils_offset(path, "library_work")


@pytest.mark.parametrize("strip", [(), ("-s",)])
def test_versions(build_target: BuildTarget, strip: tuple[str, ...]) -> None:
    versions = f"-Wl,--version-script={TARGETS / 'versions.map'}"
    binary = read_binary(str(build_target("versions", "-shared", "-fPIC", versions, *strip)))
    first, second = binary.offset_of("greet@FIRST"), binary.offset_of("greet@@SECOND")
    assert first != second
    assert binary.offset_of("greet@SECOND") == second
    assert binary.offset_of("part") == binary.offset_of("part@FIRST")
    with pytest.raises(InputError, match=r"several functions named greet: greet@.* at byte .*greet@.*say which by"):
        binary.offset_of("greet")
    with pytest.raises(InputError, match="no function named part@SECOND"):
        binary.offset_of("part@SECOND")
    if not strip:
        assert first == binary.offset_of("greet_old")
        assert second == binary.offset_of("greet_new")


def test_static_functions_of_one_name(build_target: BuildTarget) -> None:
    path = build_target("twins", str(TARGETS / "twins_other.c"))
    with pytest.raises(
        InputError, match=r"has several functions named twin: (twin at byte 0x[0-9a-f]+(, |;)){2}"
    ) as error:
        read_binary(str(path)).offset_of("twin")
    offsets = {int(text, 16) for text in re.findall(r"0x[0-9a-f]+", str(error.value))}
    assert {read_binary(str(path)).symbol_at(offset) for offset in offsets} == {"twin"}


@pytest.mark.parametrize("linkage", ["", "__attribute__((weak))"])
def test_global_function_counts_before_static_ones(build_target: BuildTarget, linkage: str) -> None:
    path = build_target("twins", str(TARGETS / "twins_other.c"), f"-DTWIN={linkage}")
    (line,) = (line for line in _tool("nm", str(path)).splitlines() if re.search(" [TW] twin$", line))
    binary = read_binary(str(path))
    assert binary.function("twin").address == int(line.split()[0], 16)


@pytest.mark.parametrize(
    ("name", "symbol", "reason"),
    [
        ("ifunc", "chosen", "chosen is an indirect function"),
        ("functions", "counter", "counter is data, not a function"),
        ("functions", "zeros", "zeros is data, not a function"),
        ("functions", "printf", "printf is used here, but defined in another file"),
        ("functions", "_end", "_end is a label"),
        ("functions", "wrok", r"no function named wrok; did you mean .*work"),
        ("functions", "", "there is no function named $"),
        ("functions", "@VERSION", "there is no function named @VERSION"),
        ("functions", "work\0", "there is no function named work"),
    ],
)
def test_what_is_no_function_is_refused(build_target: BuildTarget, name: str, symbol: str, reason: str) -> None:
    binary = read_binary(str(build_target(name)))
    with pytest.raises(InputError, match=reason) as error:
        binary.offset_of(symbol)
    assert str(error.value).startswith(str(build_target(name)))


def test_offsets_outside_code_are_refused(build_target: BuildTarget) -> None:
    path = build_target("functions")
    binary = read_binary(str(path))
    binary.require_code(binary.offset_of("work"))
    for offset in (0, path.stat().st_size, 1 << 62):
        with pytest.raises(InputError, match=f"byte {offset:#x} of the file is not code; the code lies at 0x"):
            binary.require_code(offset)
    with pytest.raises(InputError, match="is not loaded into memory"):
        binary.address_of_offset(path.stat().st_size)
    with pytest.raises(InputError, match="is loaded from no part of the file"):
        binary.offset_of_address(1 << 62)
    assert binary.symbol_at(path.stat().st_size) is None


@pytest.mark.parametrize("host", ["/bin/bash", "/bin/sleep", sys.executable])
def test_programs_of_the_host(host: str) -> None:
    if not Path(host).is_file() or not sys.platform.startswith("linux"):
        pytest.skip(f"needs {host}")
    binary = read_binary(host)
    entry = binary.offset_of_address(binary.entry)
    binary.require_code(entry)
    assert binary.address_of_offset(entry) == binary.entry


def test_libc(build_target: BuildTarget) -> None:
    found = re.search(r"libc\.so\.6 => (\S+)", _tool("ldd", str(build_target("functions"))))
    if found is None:
        pytest.skip("needs the C library of GNU")
    path = Path(found.group(1))
    binary = read_binary(str(path))
    assert (binary.soname, binary.type) == ("libc.so.6", BinaryType.SHARED)
    for symbol in ("malloc", "free", "getpid", "fopen@@GLIBC_2.2.5"):
        assert binary.offset_of(symbol) == binutils_offset(path, symbol.partition("@")[0])
    with pytest.raises(InputError, match="indirect function"):
        binary.offset_of("strlen")


# --- other machines, other formats ------------------------------------------------------------------------------------


def _small(bits: int, order: str, machine: int, *, type: int = 3, name: bytes = b"f") -> bytes:
    """One segment of code that holds the function `name`, with both tables; any class and byte order."""
    strings = b"\0" + name + b"\0"
    word = "Q" if bits == 64 else "I"
    header_format, section_format = f"{order}HHI{word * 3}I6H", f"{order}II{word * 4}II{word * 2}"
    sizes = {64: (64, 56, 64, 24), 32: (52, 32, 40, 16)}[bits]
    code, symbols = 0x200, 0x240
    if bits == 64:
        program = struct.pack(f"{order}II6Q", 1, 5, code, 0x70000, 0, 32, 32, 1)
        symbol = struct.pack(f"{order}IBBHQQ", 1, 0x12, 0, 1, 0x70008, 8)
    else:
        program = struct.pack(f"{order}8I", 1, code, 0x70000, 0, 32, 32, 5, 1)
        symbol = struct.pack(f"{order}IIIBBH", 1, 0x70008, 8, 0x12, 0, 1)
    sections = [
        (0,) * 10,
        (0, 2, 0, 0, symbols, len(symbol), 2, 0, 1, sizes[3]),
        (0, 3, 0, 0, symbols + 64, len(strings), 0, 0, 1, 0),
    ]
    data = bytearray(0x400)
    data[:16] = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    fields = (type, machine, 1, 0x70000, sizes[0], 0x300, 0, sizes[0], sizes[1], 1, sizes[2], len(sections), 0)
    struct.pack_into(header_format, data, 16, *fields)
    data[sizes[0] : sizes[0] + len(program)] = program
    data[symbols : symbols + len(symbol)] = symbol
    data[symbols + 64 : symbols + 64 + len(strings)] = strings
    for index, section in enumerate(sections):
        struct.pack_into(section_format, data, 0x300 + index * sizes[2], *section)
    return bytes(data)


@pytest.mark.parametrize(
    ("bits", "order", "number", "machine"),
    [
        (32, "<", 3, "i386"),
        (32, "<", 62, "x86-64"),
        (64, "<", 183, "arm64"),
        (64, ">", 22, "s390"),
        (32, ">", 8, "mips"),
    ],
)
def test_every_class_and_byte_order(tmp_path: Path, bits: int, order: str, number: int, machine: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(_small(bits, order, number))
    binary = read_binary(str(path))
    assert (binary.bits, binary.machine, binary.entry) == (bits, machine, 0x70000)
    assert binary.offset_of("f") == 0x208
    assert binary.symbol_at(0x20C) == "f+0x4"
    assert binary.symbol_at(0x210) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is no ELF file"),
        (b"\x7fELF", "is no ELF file"),
        (b"#!/bin/sh\n" + bytes(64), "is no ELF file"),
        (b"\x7fELF" + bytes(60), "neither a 32-bit nor a 64-bit"),
        (_small(64, "<", 62)[:40], "the ELF header's bytes do not lie inside the file"),
        (_small(64, "<", 62)[:70], "the program headers do not lie inside the file"),
        (_small(64, "<", 62, type=1), "is a relocatable object, neither"),
        (_small(64, "<", 62, type=4), "is a core dump, neither"),
        (_small(64, "<", 62, type=9), "is an ELF file of type 9, neither"),
    ],
)
def test_what_is_no_binary_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(InputError, match=reason) as error:
        read_binary(str(path), "the program")
    assert str(error.value).startswith("the program: ")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_binary(str(tmp_path / "absent"))
    with pytest.raises(InputError, match="cannot be read"):
        read_binary("a\0b")
    with pytest.raises(InputError, match="is no ordinary file"):
        read_binary(str(tmp_path))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError, match="is no ordinary file"):
            read_binary(str(tmp_path / "pipe"))


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(_small(64, "<", 62))
    binary = read_binary(str(path))
    path.write_bytes(_small(64, "<", 62) + b"more")
    with pytest.raises(InputError, match="was changed while it was read"):
        binary.offset_of("f")


def test_only_what_is_needed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(_small(64, "<", 62))
    os.truncate(path, 1 << 40)  # a hole
    assert read_binary(str(path)).offset_of("f") == 0x208


def test_a_function_without_bytes_in_the_file_is_refused(tmp_path: Path) -> None:
    data = bytearray(_small(64, "<", 62))
    struct.pack_into("<Q", data, 64 + 32, 4)  # p_filesz, less than where the function begins
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(InputError, match="address 0x70008 is loaded from no part of the file"):
        read_binary(str(path)).offset_of("f")


# --- files that lie ---------------------------------------------------------------------------------------------------


def _errors(path: Path) -> list[str]:
    """Whatever the file says: the InputErrors of all questions to it.  The others are answered."""
    errors = []
    try:
        binary = read_binary(str(path))
    except InputError as error:
        return [str(error)]
    questions: list[tuple[str, object]] = [("offset_of", one) for one in ("f", "greet", "greet@FIRST", "part", "g")]
    questions += [("symbol_at", offset) for offset in (0, 0x208, 0x1100, 1 << 40)]
    for question, argument in [("type", None), ("soname", None), ("stripped", None), *questions]:
        try:
            answer = getattr(binary, question)
            if argument is not None:
                answer(argument)
        except InputError as error:
            errors.append(str(error))
    return errors


CHANGES = st.lists(
    st.tuples(
        st.integers(0, 1 << 16), st.sampled_from([1, 2, 4, 8]), st.integers(0, (1 << 64) - 1) | st.integers(0, 64)
    ),
    max_size=4,
)


def _change(data: bytes, changes: list[tuple[int, int, int]], length: int) -> bytes:
    changed = bytearray(data)
    for place, size, value in changes:
        at = place % (len(data) - size)
        changed[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    return bytes(changed[: len(data) - length % len(data)])


@given(st.sampled_from([(64, "<"), (32, "<"), (64, ">")]), CHANGES, st.just(0) | st.integers(0, 1 << 16))
@example((64, "<"), [(40, 8, (1 << 64) - 1)], 0)  # section headers at the end of the world
@example((64, "<"), [(60, 2, 0), (0x320, 8, 1 << 60)], 0)  # their number in the first of them
def test_damaged_small_files(
    tmp_path_factory: pytest.TempPathFactory, kind: tuple[int, str], changes: list[tuple[int, int, int]], cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(_change(_small(*kind, 62), changes, cut))
    assert not [error for error in _errors(path) if "\n" in error]


@given(st.data())
def test_damaged_tables_of_a_real_library(
    build_target: BuildTarget, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Where it hurts: headers, the dynamic section, versions and symbols."""
    versions = f"-Wl,--version-script={TARGETS / 'versions.map'}"
    original = build_target("versions", "-shared", "-fPIC", versions).read_bytes()
    start, size, sections = struct.unpack_from("<Q", original, 32)[0], 0x1000, struct.unpack_from("<Q", original, 40)[0]
    place = st.integers(0, start + size) | st.integers(sections, len(original) - 9)
    changes = data.draw(
        st.lists(st.tuples(place, st.sampled_from([1, 2, 4, 8]), st.integers(0, (1 << 64) - 1) | st.integers(0, 64)))
    )
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(_change(original, changes, 0))
    assert not [error for error in _errors(path) if "\n" in error]


def test_names_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(_small(64, "<", 62, name=b"fo\n\x1b[31m\xff"))
    binary = read_binary(str(path))
    assert binary.symbol_at(0x208) == r"fo\n\x1b[31m\udcff"


def test_versions_that_go_in_circles_end(build_target: BuildTarget, tmp_path: Path) -> None:
    versions = f"-Wl,--version-script={TARGETS / 'versions.map'}"
    data = bytearray(build_target("versions", "-shared", "-fPIC", versions).read_bytes())
    start = next(
        offset
        for at in range(struct.unpack_from("<Q", data, 40)[0], len(data) - 63, 64)
        if (offset := struct.unpack_from("<Q", data, at + 24)[0])
        and struct.unpack_from("<I", data, at + 4)[0] == 0x6FFF_FFFD
    )
    for following in (0, 1, 0xFFFF_FFFF):
        struct.pack_into("<I", data, start + 16, following)
        path = tmp_path / "file"
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"several functions|no function named"):
            read_binary(str(path)).offset_of("greet@THIRD" if following else "greet")


def test_a_hundred_thousand_symbols(tmp_path: Path) -> None:
    """All names are suffixes of one string, which would be gigabytes if each was decoded."""
    count = 100_000
    data = bytearray(_small(64, "<", 62))
    strings = b"f" * count + b"\0"
    entries = b"".join(struct.pack("<IBBHQQ", index, 0x12, 0, 1, 0x70008, 8) for index in range(count))
    struct.pack_into("<QQ", data, 0x340 + 24, len(data), len(entries))
    struct.pack_into("<QQ", data, 0x380 + 24, len(data) + len(entries), len(strings))
    path = tmp_path / "file"
    path.write_bytes(data + entries + strings)
    binary = read_binary(str(path))
    assert binary.offset_of("f") == 0x208
    with pytest.raises(InputError, match="there is no function named g"):
        binary.offset_of("g")
