"""The committed eBPF objects and packet captures are what their generators make, and are described as they are."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "programs"
CAPTURES = ROOT / "tests" / "captures"
NOT_LOADED = {"legacy_maps", "multi"}  # by libbpf or bpftool; tests/programs/README.md says why


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


build_fixtures = tool("build_fixtures")
make_captures = tool("make_captures")

SOURCES = sorted(PROGRAMS.glob("*.bpf.c"))
OBJECTS = sorted(PROGRAMS.glob("*.bpf.o"))


def stem(path: Path) -> str:
    return path.name.split(".")[0]


# Programs.


def test_every_source_has_its_objects_and_no_object_is_left_over() -> None:
    assert {item.name for item in build_fixtures.objects()} == {path.name for path in OBJECTS}
    assert {stem(path) for path in SOURCES} == {stem(path) for path in OBJECTS}


def test_objects_are_what_a_build_gives() -> None:
    if not shutil.which("clang-19"):
        pytest.skip("needs clang-19")
    if not Path("/usr/include/bpf/bpf_helpers.h").exists():
        pytest.skip("needs the headers of libbpf")
    assert build_fixtures.stale("clang-19", build_fixtures.objects()) == []


def test_a_changed_instruction_a_changed_map_and_a_missing_object_are_noticed(tmp_path: Path) -> None:
    image = (PROGRAMS / "xdp_parser.bpf.o").read_bytes()
    good = build_fixtures.essence(image)
    assert good == build_fixtures.essence(bytes(image))
    for name in ("xdp", ".rodata"):
        (section,) = [found for found in build_fixtures.read_sections(image) if found.name == name]
        at = image.index(section.data)
        changed = image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]
        bad = build_fixtures.essence(changed)
        assert [part for part in good if good[part] != bad[part]] == [name]

    if not shutil.which("clang-19"):
        pytest.skip("needs clang-19")
    assert build_fixtures.stale("clang-19", build_fixtures.objects(["lru"]), tmp_path) == [
        "lru.bpf.o is missing",
        "lru.v4.bpf.o is missing",
    ]


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_an_object_quotes_the_lines_of_its_source(path: Path) -> None:
    sections = build_fixtures.read_sections(path.read_bytes())
    (btf,) = [section.data for section in sections if section.name == ".BTF"]
    source = (PROGRAMS / f"{stem(path)}.bpf.c").read_bytes().split(b"\n")
    numbers = {line for _, _, line, _ in build_fixtures.source_lines(sections)}
    assert numbers
    assert [number for number in sorted(numbers) if b"\0" + source[number - 1] + b"\0" not in btf] == []


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_an_object_names_no_path_of_the_machine_that_built_it(path: Path) -> None:
    for section in build_fixtures.read_sections(path.read_bytes()):
        if section.name in {".debug_line_str", ".debug_str", ".BTF"}:
            paths = {bytes(found) for found in re.findall(rb"(?<=\0)/[ -~]+(?=\0)", section.data)}
            assert {found for found in paths if not found.startswith(b"/usr/include/")} == set()


def test_programs_need_neither_vmlinux_nor_relocation_at_load_time() -> None:
    allowed = ("linux/", "asm/ptrace.h", "bpf/bpf_helpers.h", "bpf/bpf_endian.h", "bpf/bpf_tracing.h")
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert text.startswith("// SPDX-License-Identifier: MIT OR GPL-2.0-only\n/*\n * " + stem(path) + ": ")
        assert [name for name in re.findall(r"#include <(.*)>", text) if not name.startswith(allowed)] == []
        assert "preserve_access_index" not in text


def test_the_readme_describes_every_program() -> None:
    rows = {}
    for line in (PROGRAMS / "README.md").read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"\| \[(\w+)\]\(\1\.bpf\.c\) \| (.*) \| (.+) \| (.+) \| (.*) \|", line):
            rows[match[1]] = (set(re.findall(r"`(\w+)`", match[2])), match[5])
    described = {}
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        builds = re.search(r"^ \* Builds: +(.*)$", text, re.MULTILINE)
        assert builds is not None
        described[stem(path)] = (set(re.findall(r'^SEC\("[^"]+"\)\nint (\w+)\(', text, re.MULTILINE)), builds[1])
    assert rows == described


def test_linux_loads_the_optimised_objects() -> None:
    if platform.system() != "Linux" or not shutil.which("bpftool") or not shutil.which("unshare"):
        pytest.skip("needs Linux, bpftool and unshare")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if tuple(map(int, re.findall(r"\d+", platform.release())[:2])) < (6, 6):
        pytest.skip("needs Linux 6.6 for -mcpu=v4")
    # A bpffs in a mount namespace of its own: whatever is pinned there is gone when the shell ends.
    script = "mount -t bpf bpf /sys/fs/bpf || exit 77; bpftool prog show >/dev/null || exit 77\n"
    script += 'for object; do bpftool prog loadall "$object" "/sys/fs/bpf/$(basename "$object" | tr . _)"'
    script += ' >/dev/null 2>&1 || echo "$object"; done'
    wanted = [path.name for path in OBJECTS if ".O0." not in path.name and stem(path) not in NOT_LOADED]
    command = ["unshare", "--mount", "sh", "-c", script, "sh", *wanted]
    result = subprocess.run(command, cwd=PROGRAMS, capture_output=True, text=True, check=False)
    if result.returncode == 77 or "Operation not permitted" in result.stderr:
        pytest.skip("needs permission to mount a bpffs and to use bpf(2)")
    assert result.stdout.split() == []


# Captures.


def test_captures_are_what_the_generator_writes() -> None:
    captures = make_captures.captures()
    assert {path.name for path in CAPTURES.iterdir()} == {*captures, "README.md"}
    for name, content in captures.items():
        assert (CAPTURES / name).read_bytes() == content, name


def test_a_changed_capture_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_captures.main(["--output", str(tmp_path)]) == 0
    assert make_captures.main(["--check", "--output", str(tmp_path)]) == 0
    changed = bytearray((tmp_path / "tiny.pcap").read_bytes())
    changed[-1] ^= 1
    (tmp_path / "tiny.pcap").write_bytes(changed)
    (tmp_path / "mixed.pcap").unlink()
    assert make_captures.main(["--check", "--output", str(tmp_path)]) == 1
    stale = [line.split()[0] for line in capsys.readouterr().err.splitlines()]
    assert stale == ["mixed.pcap", "tiny.pcap"]


def test_packets_have_names_of_their_own_and_sizes_that_linux_takes() -> None:
    packets = make_captures.mixed_packets()
    assert len({packet.name for packet in packets}) == len(packets)
    assert {len(packet.data) for packet in packets} >= {14, 1514}
    assert all(14 <= len(packet.data) <= packet.length <= 1514 for packet in packets)
    assert [packet.name for packet in packets if len(packet.data) < packet.length] == ["captured 96 of 1042 bytes"]


def test_checksums_are_right_unless_the_name_says_otherwise() -> None:
    """The sum over a header that carries its own checksum is zero (RFC 1071)."""
    wrong = []
    for packet in make_captures.mixed_packets():
        header = packet.data[14:34]
        is_ipv4 = packet.data[12:14] == b"\x08\0" and len(header) == 20 and header[0] == 0x45
        if is_ipv4 and make_captures.checksum(header):
            wrong.append(packet.name)
    assert wrong == ["ipv4 checksum wrong"]


def test_tshark_reads_every_packet() -> None:
    if not shutil.which("tshark"):
        pytest.skip("needs tshark")
    names = [packet.name for packet in make_captures.mixed_packets()]
    seen = {}
    for name in make_captures.captures():
        command = ["tshark", "-r", str(CAPTURES / name), "-T", "fields", "-e", "frame.len", "-e", "frame.comment"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        seen[name] = [line.split("\t") for line in result.stdout.splitlines()]
    assert [len(rows) for rows in seen.values()] == [76, 76, 11, 3]
    assert [row[0] for row in seen["mixed.pcap"]] == [row[0] for row in seen["mixed.pcapng"]]
    comments = [row[1] for row in seen["mixed.pcapng"]]
    assert [comment or name for comment, name in zip(comments, names, strict=True)] == names
    assert comments.count("") == 1
