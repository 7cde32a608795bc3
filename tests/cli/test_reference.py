"""`pybpftime helpers` and `pybpftime maps`: they say what the declarations say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from pybpftime.helpers import DECLARATIONS, KNOWN, default_helpers
from pybpftime.maps import MAP_KINDS
from pybpftime.uapi import ProgramType

Invoke = Callable[..., Result]
InvokeJson = Callable[..., Any]


def test_implemented_helpers_are_listed(invoke: Invoke, invoke_json: InvokeJson) -> None:
    implemented = [helper.id for helper in default_helpers() if helper.function is not None]
    assert [row["id"] for row in invoke_json("helpers")] == implemented
    text = invoke("helpers").stdout
    assert all(DECLARATIONS[number].name in text for number in implemented)
    assert f"{len(implemented)} helpers, {len(implemented)} implemented" in text


def test_all_helpers_of_linux_are_known(invoke_json: InvokeJson) -> None:
    rows = {row["id"]: row for row in invoke_json("helpers", "--all")}
    assert {number: row["name"] for number, row in rows.items()} == dict(KNOWN)
    assert not rows[147]["implemented"]


@pytest.mark.parametrize("name", ["bpf_map_update_elem", "map_update_elem", "2", "0x2"])
def test_one_helper_is_described(invoke: Invoke, name: str) -> None:
    text = invoke("helpers", name).stdout
    assert text.startswith(f"{DECLARATIONS[2].signature}  #2\n")
    assert "BPF_NOEXIST" in text
    assert "ARG_PTR_TO_MAP_KEY" in text
    assert "lru_hash" in text, "the map types that it takes"


def test_patterns_and_program_types(invoke_json: InvokeJson) -> None:
    names = [row["name"] for row in invoke_json("helpers", "ringbuf_*")]
    assert len(names) >= 5
    assert all(name.startswith("bpf_ringbuf_") for name in names)
    rows = invoke_json("helpers", "--type", "xdp", "--all")
    assert {row["id"] for row in rows} == {
        number for number, declared in DECLARATIONS.items() if declared.allows(ProgramType.BPF_PROG_TYPE_XDP)
    }


def test_helper_known_by_name_only(invoke: Invoke) -> None:
    assert "not implemented" in invoke("helpers", "d_path").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("map_updat_elem",), "did you mean map_update_elem"),
        (("4711",), "there is no helper with the number 4711"),
        (("skb_load_bytes", "--type", "xdp"), "skb_load_bytes cannot be called by programs of type xdp"),
        (("26", "--type", "xdp"), "26 cannot be called by programs of type xdp"),
        (("--type", "xdpp"), "xdp"),
    ],
)
def test_no_such_helper(failure: Callable[..., str], arguments: tuple[str, ...], message: str) -> None:
    assert message in failure("helpers", *arguments)


def test_map_types_are_listed(invoke: Invoke, invoke_json: InvokeJson) -> None:
    rows = invoke_json("maps")
    assert {row["number"] for row in rows} == set(MAP_KINDS)
    for row in rows:
        kind = MAP_KINDS[row["number"]]
        assert set(row["operations"]) == set(kind.operations)
    text = invoke("maps").stdout
    assert all(row["type"] in text for row in rows)


@pytest.mark.parametrize("name", ["lru_hash", "LRU_HASH", "BPF_MAP_TYPE_LRU_HASH", "9"])
def test_one_map_type_is_described(invoke: Invoke, name: str) -> None:
    text = invoke("maps", name).stdout
    assert text.startswith("lru_hash  BPF_MAP_TYPE_LRU_HASH, 9\n")
    assert "bpf_map_delete_elem" in text
    assert "BPF_F_NO_COMMON_LRU" in text


@pytest.mark.parametrize(
    ("name", "message"), [("lru_hsh", "did you mean lru_hash"), ("arena", "not supported yet"), ("99", "no map type")]
)
def test_no_such_map_type(failure: Callable[..., str], name: str, message: str) -> None:
    assert message in failure("maps", name)
