"""Types as plain data and as lines: the same as bpftool prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program.btf_support import SAMPLE, VMLINUX, committed_objects, compile_c, elf_section, need, run, vmlinux_bytes

from pybpftime.program.btf import Btf, BtfBuilder, DataSec, DeclTag, Int, Placement, Struct, Var, describe, raw_text


def bpftool_json(path: Path) -> list[dict[str, Any]]:
    types: list[dict[str, Any]] = json.loads(run(need("bpftool"), "-j", "btf", "dump", "file", path))["types"]
    for item in types:
        if item["kind"] == "ENUM" and item["encoding"] == "UNSIGNED":
            for value in item["values"]:
                value["val"] &= 0xFFFFFFFF  # bpftool 7.1 sign-extends them in JSON, though not in text
    return types


def bpftool_text(path: Path) -> str:
    return run(need("bpftool"), "btf", "dump", "file", path).rstrip("\n")


def described(btf: Btf) -> list[dict[str, Any]]:
    return [describe(btf, type_id) for type_id in btf.own_ids]


def all_text(btf: Btf) -> str:
    return "\n".join(raw_text(btf, type_id) for type_id in btf.own_ids)


def test_what_clang_makes(tmp_path: Path) -> None:
    path = compile_c(tmp_path, SAMPLE)
    btf = Btf.parse(elf_section(path, ".BTF"))
    assert described(btf) == bpftool_json(path)
    assert all_text(btf) == bpftool_text(path)


def test_committed_objects(repository: Path) -> None:
    objects = committed_objects(repository)
    if not objects:
        pytest.skip("needs tests/programs/*.bpf.o")
    for path in objects:
        btf = Btf.parse(elf_section(path, ".BTF"))
        assert described(btf) == bpftool_json(path)
        assert all_text(btf) == bpftool_text(path)


def test_a_whole_kernel() -> None:
    need("bpftool")
    btf = Btf.parse(vmlinux_bytes())
    assert described(btf) == bpftool_json(VMLINUX)
    assert all_text(btf) == bpftool_text(VMLINUX)


def test_text() -> None:
    builder = BtfBuilder()
    builder.add(Int("int", 4, 32))
    builder.add(Struct("", 0))
    builder.add(DeclTag("tag", 2))
    builder.add(Var("v", 1))
    builder.add(DataSec(".bss", 4, (Placement(4, 0, 4),)))
    btf = builder.build()
    assert [raw_text(btf, type_id) for type_id in btf.own_ids] == [
        "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=(none)",
        "[2] STRUCT '(anon)' size=0 vlen=0",
        "[3] DECL_TAG 'tag' type_id=2 component_idx=-1",
        "[4] VAR 'v' type_id=1, linkage=global",
        "[5] DATASEC '.bss' size=4 vlen=1\n\ttype_id=4 offset=0 size=4 (VAR 'v')",
    ]
    assert describe(btf, 0) == {"id": 0, "kind": "VOID", "name": "(anon)"}
