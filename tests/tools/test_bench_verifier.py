"""The bench of the verifier: what it finds to measure, that it measures it, and what it makes of the numbers."""

from __future__ import annotations

import ctypes.util
import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime import kernel
from pybpftime.isa.assembler import assemble
from pybpftime.kernel import KernelRejection
from pybpftime.kernel.objects import KernelObjectFile
from pybpftime.maps.spec import MapSpec
from pybpftime.program.elf import load_object
from pybpftime.program.elf_file import MAGIC
from pybpftime.program.spec import MapReference, ObjectSpec, ProgramSpec
from pybpftime.uapi import MapType, ProgramType
from tools import bench_verifier as bench
from tools.bench_verifier import KernelTime, Measurement, main
from tools.bench_verifier_report import REAL, summaries, summary_lines
from tools.embedded_objects import elf_files, embedded_objects, files_of_package
from tools.libbpf_relocation import load_relocated

PROGRAMS = Path(__file__).resolve().parent.parent / "programs"
OBJECT = (PROGRAMS / "atomics.bpf.o").read_bytes()
OTHER = (PROGRAMS / "ringbuf.bpf.o").read_bytes()

needs_bpf = pytest.mark.skipif(kernel.available() is not None, reason=f"needs bpf(2): {kernel.available()}")
needs_libbpf = pytest.mark.skipif(ctypes.util.find_library("bpf") is None, reason="needs libbpf")

# --- finding objects --------------------------------------------------------------------------------------------------


def without_magic(data: bytes) -> bytes:
    return data.replace(MAGIC, b"\0\0\0\0")


@given(st.binary().map(without_magic), st.binary().map(without_magic), st.binary().map(without_magic))
def test_objects_are_found_wherever_they_lie(before: bytes, between: bytes, after: bytes) -> None:
    assert list(embedded_objects(before + OBJECT + between + OTHER + after)) == [OBJECT, OTHER]


def test_an_object_by_itself_is_found_as_it_is() -> None:
    assert list(embedded_objects(OBJECT)) == [OBJECT]


@given(st.integers(0, len(OBJECT) - 1))
def test_an_object_that_is_cut_off_is_none(length: int) -> None:
    assert list(embedded_objects(OBJECT[:length])) == []


@given(st.integers(0, 63), st.integers(0, 255))
def test_whatever_a_header_claims_what_is_found_lies_inside(offset: int, byte: int) -> None:
    changed = bytearray(OBJECT)
    changed[offset] = byte
    assert sum(map(len, embedded_objects(bytes(changed)))) <= len(OBJECT)


@given(st.binary(max_size=200))
def test_what_is_found_behind_any_magic_begins_with_it(junk: bytes) -> None:
    assert all(found.startswith(MAGIC) for found in embedded_objects(MAGIC + b"\2\1\1" + junk))


def header(**fields: int) -> bytes:
    """An ELF header of a BPF object with one section header behind it, but for what is said."""
    values = {"type": 1, "machine": 247, "start": 64, "entry_size": 64, "count": 1, "offset": 0, "size": 0} | fields
    first = MAGIC + b"\2\1\1".ljust(12, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", values["type"], values["machine"], 1, 0, 0, values["start"], 0, 64, 0, 0,
        values["entry_size"], values["count"], 0,
    )  # fmt: skip
    return first + struct.pack("<IIQQQQIIQQ", 0, 1, 0, 0, values["offset"], values["size"], 0, 0, 0, 0)


def test_a_section_behind_the_headers_belongs_to_the_object() -> None:
    assert list(embedded_objects(header(offset=128, size=8) + b"contents" + b"more")) == [
        header(offset=128, size=8) + b"contents"
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"type": 2},
        {"machine": 62},
        {"entry_size": 40},
        {"count": 0},
        {"count": 2},
        {"start": 73},
        {"start": (1 << 64) - 64},
        {"offset": 128, "size": 9},
        {"offset": (1 << 64) - 1, "size": (1 << 64) - 1},
    ],
)
def test_what_is_no_whole_bpf_object_is_left_out(fields: dict[str, int]) -> None:
    assert list(embedded_objects(header(**fields) + b"contents")) == []


def test_elf_files_come_once_whatever_leads_to_them(tmp_path: Path) -> None:
    (tmp_path / "one.o").write_bytes(OBJECT)
    (tmp_path / "link.o").symlink_to("one.o")
    (tmp_path / "dangling.o").symlink_to("nothing")
    (tmp_path / "text").write_text("no ELF")
    assert list(elf_files([tmp_path, tmp_path / "one.o", tmp_path / "absent"])) == [(tmp_path / "one.o").resolve()]


def test_a_package_that_is_not_there_has_no_files() -> None:
    assert files_of_package("pybpftime-no-such-package") == []


def test_maps_that_a_tool_sizes_when_it_loads_them_get_a_size() -> None:
    kinds = MapType.BPF_MAP_TYPE_PERCPU_ARRAY, MapType.BPF_MAP_TYPE_PERF_EVENT_ARRAY, MapType.BPF_MAP_TYPE_SK_STORAGE
    unsized = [MapSpec("map", kind, 4, 4, 0) for kind in kinds]
    assert [bench._with_sizes(map).max_entries for map in unsized] == [1, 0, 0]
    stacks = MapSpec("stacks", MapType.BPF_MAP_TYPE_STACK_TRACE, 4, 0, 0)
    assert bench._with_sizes(stacks) == replace(stacks, value_size=127 * 8, max_entries=1)


# --- relocation by libbpf ---------------------------------------------------------------------------------------------


@needs_bpf
@needs_libbpf
@pytest.mark.parametrize("name", ["atomics.bpf.o", "ringbuf.bpf.o", "globals.bpf.o", "callbacks.bpf.o"])
def test_libbpf_links_what_needs_no_relocation_as_we_do(name: str) -> None:
    data = (PROGRAMS / name).read_bytes()
    ours, theirs = load_object(data, name=name), load_relocated(data, name)
    assert {each.name: each.instructions for each in theirs.programs.values()} == {
        each.name: each.instructions for each in ours.programs.values()
    }
    assert theirs.maps == ours.maps


@needs_bpf
@needs_libbpf
def test_an_object_that_needs_relocation_is_relocated() -> None:
    paths = [path for path in files_of_package("libbpf-tools") if path.name == "execsnoop"]
    if not paths:
        pytest.skip("needs the package libbpf-tools")
    [data] = embedded_objects(paths[0].read_bytes())
    found = load_relocated(data, "execsnoop")
    assert [len(each.instructions) > 50 for each in found.programs.values()] == [True, True]


# --- measuring --------------------------------------------------------------------------------------------------------


def test_two_objects_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tool").write_bytes(b"\x7fELF and something else" + OTHER)
    out = tmp_path / "out.json"
    assert main([str(PROGRAMS / "atomics.bpf.o"), str(tmp_path / "tool"), "--json", str(out)]) == 0
    found = json.loads(out.read_text("utf-8"))
    assert {each["group"] for each in found} == {"atomics.bpf.o", "tool"}
    assert all(each["verdict"] == "safe" and each["processed"] >= each["slots"] // 2 for each in found)
    printed = capsys.readouterr().out
    assert f"{REAL}: {len(found)} programs, {len(found)} safe" in printed
    assert "target, median" in printed


@needs_bpf
def test_the_kernel_is_asked_about_the_same_programs() -> None:
    [source] = bench.sources([("tests", PROGRAMS / "atomics.bpf.o")])
    found = list(bench.measure(source, timeout=10, budget=10_000))
    assert [each.program for each in found] == list(source.spec.programs)
    for each in found:
        assert each.kernel is not None
        assert each.kernel.accepts
        assert each.kernel.microseconds is not None
        assert each.kernel.processed is not None
        assert each.kernel.processed >= each.slots // 2


@needs_bpf
def test_what_the_kernel_rejects_has_its_time_too() -> None:
    rejected = [each for each in _rejected() if each.kernel is not None and not each.kernel.accepts]
    assert rejected
    assert all(each.kernel is not None and each.kernel.microseconds is not None for each in rejected)


def _rejected() -> list[Measurement]:
    [source] = bench.sources([("tests", PROGRAMS / "tc_classifier.O0.bpf.o")])
    return list(bench.measure(source, timeout=10, budget=10_000))


@needs_bpf
@pytest.mark.parametrize("offset", [8, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
def test_an_offset_outside_of_a_value_is_for_the_kernel_to_reject(offset: int) -> None:
    program = ProgramSpec(
        "far", assemble("r1 = 0 ll\n r0 = 0\n exit"), ProgramType.BPF_PROG_TYPE_XDP,
        references={0: MapReference("value", offset)},
    )  # fmt: skip
    maps = {"value": MapSpec("value", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1)}
    with KernelObjectFile(ObjectSpec(None, {"far": program}, maps)) as loaded, pytest.raises(KernelRejection):
        loaded.program("far")


def test_a_verifier_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("r7")

    monkeypatch.setattr(bench, "verify_program", fail)
    [source] = bench.sources([("tests", PROGRAMS / "lru.bpf.o")])
    assert {(each.verdict, each.code) for each in bench.measure(source, timeout=1, budget=1)} == {("error", "KeyError")}


def test_nothing_to_measure_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.json").write_text("[]")
    assert main([str(tmp_path / "data.json")]) == 2
    assert "no BPF program found" in capsys.readouterr().err
    (tmp_path / "data.json").write_text("{}")
    assert main([str(tmp_path / "data.json")]) == 2
    assert "holds no list of entries" in capsys.readouterr().err


# --- sums -------------------------------------------------------------------------------------------------------------

ONE = Measurement("a", "a.o", "one", 10, "safe", "", "", 12, 0.001, KernelTime(True, 11, 50))


def test_sums_are_by_group_and_of_all_that_are_real() -> None:
    refused = replace(ONE, program="two", verdict="not proved", code="null", seconds=0.003, kernel=None)
    made = replace(ONE, group="data", verdict="unsafe", code="bounds", kernel=KernelTime(False, 3, None))
    found = summaries([ONE, refused, made], not_real={"data"})
    assert list(found) == ["a", "data", REAL]
    assert found[REAL] == found["a"]
    assert found["a"]["not safe"] == {"null": 1}
    assert found["a"]["kernel"] == {"accepts": 1, "of them safe": 1, "rejects": 0, "not asked": 1}
    assert found["a"]["milliseconds"] == {"median": 2.0, "90 %": 3.0, "95 %": 3.0, "largest": 3.0}
    assert found["a"]["kernel milliseconds"]["largest"] == 0.05
    assert found["data"]["kernel milliseconds"] == {}


def test_targets_are_met_or_missed() -> None:
    slow = [replace(ONE, seconds=0.05), replace(ONE, seconds=0.05), replace(ONE, seconds=3.0)]
    lines = [line for line in summary_lines(summaries(slow)) if line.startswith("target")]
    assert [line.rpartition(", ")[2] for line in lines] == ["met", "missed", "met"]
