"""`pybpftime btf`: the types of every committed object, as C, records and JSON."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Invoke = Callable[..., Result]
InvokeJson = Callable[..., Any]

OBJECTS = sorted((Path(__file__).resolve().parents[1] / "programs").glob("*.bpf.o"))


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_every_object_in_every_format(invoke: Invoke, invoke_json: InvokeJson, path: Path) -> None:
    records = invoke_json("btf", path)["types"]
    raw = invoke("btf", path, "--format", "raw").stdout
    assert sum(line.startswith("[") for line in raw.splitlines()) == len(records)
    structs = {record["name"] for record in records if record["kind"] == "STRUCT"} - {"(anon)"}
    text = invoke("btf", path).stdout
    assert all(f"struct {name} {{" in text for name in structs)


def test_records_are_those_of_bpftool(invoke: Invoke, programs: Path) -> None:
    bpftool = shutil.which("bpftool") or shutil.which("bpftool", path="/usr/sbin:/sbin")
    if bpftool is None:
        pytest.skip("needs bpftool")
    path = programs / "xdp_parser.bpf.o"
    theirs = subprocess.run([bpftool, "btf", "dump", "file", path], capture_output=True, text=True, check=True).stdout
    # libbpf lays out data sections when it loads; bpftool prints what the file has.
    ours = [line for line in invoke("btf", path, "--format", "raw").stdout.splitlines() if "offset=" not in line]
    assert [line for line in ours if "DATASEC" not in line] == [
        line for line in theirs.splitlines() if "offset=" not in line and "DATASEC" not in line
    ]


def test_one_type(invoke: Invoke, invoke_json: InvokeJson, programs: Path) -> None:
    path = programs / "xdp_parser.bpf.o"
    text = invoke("btf", path, "struct flow").stdout
    assert text.startswith("struct flow {\n")
    assert text.count("struct") == 1
    assert "typedef unsigned char __u8;" in invoke("btf", path, "flow", "--deps").stdout
    assert invoke("btf", path, "flow", "--format", "raw").stdout.startswith("[27] STRUCT 'flow' size=40 vlen=7\n")
    assert invoke("btf", path, "--id", 27).stdout == text
    names = [record["name"] for record in invoke_json("btf", path, "flow*")["types"]]
    assert names == ["flow", "flows"]


def test_types_of_the_kernel(invoke: Invoke) -> None:
    kernel = Path("/sys/kernel/btf/vmlinux")
    if not kernel.exists():
        pytest.skip("needs a kernel with BTF")
    assert "struct xdp_md {" in invoke("btf", kernel, "struct xdp_md").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("flo",), "did you mean flow or flows?"),
        (("union flow",), "the BTF has no union 'flow'"),
        (("--id", "99999"), "does not exist"),
        (("flow", "--id", "1"), "exclude each other"),
    ],
)
def test_what_is_not_there(
    failure: Callable[..., str], programs: Path, arguments: tuple[str, ...], message: str
) -> None:
    assert message in failure("btf", programs / "xdp_parser.bpf.o", *arguments)


def test_files_without_types(failure: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no types")
    (tmp_path / "cut").write_bytes(bytes.fromhex("9feb0100 18000000"))
    assert "neither an ELF object nor BTF" in failure("btf", tmp_path / "text")
    assert "cut" in failure("btf", tmp_path / "cut")


def test_suggestions_have_names(failure: Callable[..., str], programs: Path) -> None:
    message = failure("btf", programs / "xdp_parser.bpf.o", "[")
    assert "there is .maps, " in message
