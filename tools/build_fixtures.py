"""Compile the eBPF programs of `tests/programs/`.

    python tools/build_fixtures.py                 build every object, beside its source
    python tools/build_fixtures.py NAME...         build those of NAME.bpf.c
    python tools/build_fixtures.py --sources DIR   likewise in another directory: tests/programs/beyond
    python tools/build_fixtures.py --output DIR    build elsewhere
    python tools/build_fixtures.py --check         exit 1 unless the committed objects are what a build gives

The `Builds:` line in the comment at the head of a source names its objects:

    v3    NAME.bpf.o       -O2 -mcpu=v3
    v4    NAME.v4.bpf.o    -O2 -mcpu=v4
    O0    NAME.O0.bpf.o    -O0 -mcpu=v3, for debugging: every variable has a place, the kernel's verifier refuses many

Needs clang 19 and the headers of libbpf and of Linux (Debian: clang-19, libbpf-dev, linux-libc-dev).  An object
names its source relative to the root of the repository and system headers under /usr/include, no other path.
Standard library only.
"""

from __future__ import annotations

import argparse
import os
import re
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "tests" / "programs"
HEADERS = Path("/usr/include")

SUFFIX = {"v3": "", "v4": ".v4", "O0": ".O0"}
VARIANT_FLAGS = {"v3": ("-O2", "-mcpu=v3"), "v4": ("-O2", "-mcpu=v4"), "O0": ("-O0", "-mcpu=v3")}
FLAGS = (
    *("-g", "-target", "bpf", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"),
    # For <asm/types.h> and <asm/ptrace.h> where a distribution keeps them apart for each architecture; the programs
    # that look into struct pt_regs are written for x86-64 wherever they are compiled.
    *("-idirafter", str(HEADERS / "x86_64-linux-gnu")),
    "-fdebug-compilation-dir=.",
)


class BuildError(Exception):
    """A source without a usable `Builds:` line, or what the compiler said."""


@dataclass(frozen=True, slots=True)
class Object:
    """An object file to build: its source, relative to the root, and one of `SUFFIX`."""

    source: Path
    variant: str

    @property
    def name(self) -> str:
        return self.source.name.removesuffix(".bpf.c") + SUFFIX[self.variant] + ".bpf.o"


def objects(names: list[str] | None = None, sources: Path = PROGRAMS) -> list[Object]:
    """Every object of every source, or of the sources NAME.bpf.c alone.  BuildError for a bad `Builds:` line."""
    paths = [sources / f"{name}.bpf.c" for name in names] if names else sorted(sources.glob("*.bpf.c"))
    found = []
    for path in paths:
        if not path.exists():
            raise BuildError(f"{path.relative_to(ROOT)} does not exist")
        line = re.search(r"^ \* Builds: +(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        variants = line[1].split(", ") if line else []
        if not variants or not set(variants) <= set(SUFFIX):
            raise BuildError(f"{path.relative_to(ROOT)}: no line ' * Builds:' with some of {', '.join(SUFFIX)}")
        found += [Object(path.relative_to(ROOT), variant) for variant in variants]
    return found


def constant_helpers(directory: Path) -> tuple[str, ...]:
    """Flags that put copies of libbpf's headers, with helpers declared const, before the installed ones.

    Before libbpf 1.2 a helper is a variable that holds its number.  Without optimisation the compiler then loads
    the number and calls through a register, which the kernel refuses and no newer libbpf gives.
    """
    copies = directory / "bpf"
    copies.mkdir()
    for path in (HEADERS / "bpf").glob("*.h"):
        text = path.read_text(encoding="utf-8")
        if path.name == "bpf_helper_defs.h":
            text = re.sub(r"^(static .*)\(\*(bpf_\w+)\)\(", r"\1(* const \2)(", text, flags=re.MULTILINE)
        (copies / path.name).write_text(text, encoding="utf-8")
    return ("-isystem", str(directory), f"-ffile-prefix-map={directory}={HEADERS}")


def build(clang: str, wanted: list[Object], output: Path) -> None:
    """Compile into `output`, several at a time.  BuildError with what the compiler says."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(os.cpu_count()) as pool:
        unoptimised = constant_helpers(Path(temporary))

        def compile_one(item: Object) -> None:
            flags = [*FLAGS, *VARIANT_FLAGS[item.variant], *(unoptimised if item.variant == "O0" else ())]
            command = [clang, *flags, "-c", str(item.source), "-o", str((output / item.name).absolute())]
            result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            if result.returncode:
                raise BuildError(f"{item.name}: {result.stderr}")

        for _ in pool.map(compile_one, wanted):
            pass


# What two objects must have in common: enough of an ELF reader to tell instructions, data, maps, relocations,
# symbols and source lines apart from what differs between machines: the types in system headers, debug sections.

SHT_SYMTAB, SHT_NOBITS, SHT_REL, SHF_ALLOC = 2, 8, 9, 2
STT_OBJECT, STT_FUNC = 1, 2


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    kind: int
    flags: int
    data: bytes
    link: int
    info: int
    size: int


def read_sections(image: bytes) -> list[Section]:
    """The sections of a little-endian ELF64 file."""
    table, count, names = struct.unpack_from("<40xQ12xHH", image)
    headers = [struct.unpack_from("<IIQQQQIIQQ", image, table + 64 * index) for index in range(count)]
    strings = headers[names][4]
    sections = []
    for name, kind, flags, _, offset, size, link, info, _, _ in headers:
        data = b"" if kind == SHT_NOBITS else image[offset : offset + size]
        sections.append(Section(_string(image, strings + name), kind, flags, data, link, info, size))
    return sections


def _string(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode()


def source_lines(sections: list[Section]) -> list[tuple[str, int, int, int]]:
    """(section, offset, line, column) of each instruction that .BTF.ext says a line of our own source for."""
    named = {section.name: section.data for section in sections}
    if ".BTF.ext" not in named:
        return []
    btf, extension = named[".BTF"], named[".BTF.ext"]
    header_length, _, _, string_offset = struct.unpack_from("<4xIIII", btf)
    strings = btf[header_length + string_offset :]
    (extension_header, _, _, start, length) = struct.unpack_from("<4xIIIII", extension)
    position = extension_header + start
    end = position + length
    (record_size,) = struct.unpack_from("<I", extension, position)
    position += 4
    lines = []
    while position < end:
        section_name, count = struct.unpack_from("<II", extension, position)
        position += 8
        for _ in range(count):
            offset, file_name, _, place = struct.unpack_from("<IIII", extension, position)
            position += record_size
            if _string(strings, file_name).endswith(".bpf.c"):
                lines.append((_string(strings, section_name), offset, place >> 10, place & 0x3FF))
    return lines


def essence(image: bytes) -> dict[str, object]:
    """What a build has to reproduce, part by part: loaded sections, relocations, symbols, source lines."""
    sections = read_sections(image)
    table = next(section for section in sections if section.kind == SHT_SYMTAB)
    names = sections[table.link].data
    symbols = list(struct.iter_unpack("<IBBHQQ", table.data))
    special = {0: "undefined", 0xFFF1: "absolute", 0xFFF2: "common"}

    def place(index: int) -> str:
        return special.get(index) or sections[index].name

    def label(name: int, index: int) -> str:
        return _string(names, name) if name else place(index)

    parts: dict[str, object] = {}
    for section in sections:
        if section.flags & SHF_ALLOC:
            parts[section.name] = section.data or section.size
        elif section.kind == SHT_REL and sections[section.info].flags & SHF_ALLOC:
            entries = struct.iter_unpack("<QII", section.data)
            parts[section.name] = [(at, kind, label(symbols[i][0], symbols[i][3])) for at, kind, i in entries]
    parts["symbols"] = sorted(
        (label(name, index), info, other, place(index), value, size)
        for name, info, other, index, value, size in symbols
        if info & 15 in {STT_OBJECT, STT_FUNC}
    )
    parts["source lines"] = source_lines(sections)
    return parts


def stale(clang: str, wanted: list[Object], committed: Path = PROGRAMS) -> list[str]:
    """One sentence for each object in `committed` that a build does not give, or that is missing."""
    findings = []
    with tempfile.TemporaryDirectory() as temporary:
        build(clang, wanted, Path(temporary))
        for item in wanted:
            path = committed / item.name
            if not path.exists():
                findings.append(f"{item.name} is missing")
                continue
            old, new = essence(path.read_bytes()), essence((Path(temporary) / item.name).read_bytes())
            changed = [part for part in sorted(old.keys() | new.keys()) if old.get(part) != new.get(part)]
            if changed:
                findings.append(f"{item.name} is stale in {', '.join(changed)}")
    return findings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compile the eBPF programs of the tests.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a source without .bpf.c (default: all)")
    parser.add_argument("--check", action="store_true", help="compare a build with the committed objects")
    parser.add_argument("--sources", type=Path, default=PROGRAMS, metavar="DIR", help="default: tests/programs")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: beside the sources")
    parser.add_argument("--clang", default="clang-19", help="the compiler (default: clang-19)")
    options = parser.parse_args(arguments)
    try:
        sources = options.sources.resolve()
        output = options.output or sources
        wanted = objects(options.names, sources)
        if not options.check:
            build(options.clang, wanted, output)
            print(f"{len(wanted)} objects in {output}")
            return 0
        findings = stale(options.clang, wanted, output)
    except (BuildError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for finding in findings:
        print(finding, file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
