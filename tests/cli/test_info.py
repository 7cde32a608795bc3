"""`pybpftime info`: what it finds in every committed object, and what it says cannot be served."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from pybpftime.errors import Fault, FaultKind
from pybpftime.runtime import load
from pybpftime.runtime.inspection import problems

Invoke = Callable[..., Result]
InvokeJson = Callable[..., Any]

OBJECTS = sorted((Path(__file__).resolve().parents[1] / "programs").glob("*.bpf.o"))


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_every_object_is_described(invoke: Invoke, path: Path) -> None:
    data = json.loads(invoke("info", path, "--json").stdout)
    loaded = load(path)
    assert [program["name"] for program in data["programs"]] == list(loaded.programs)
    assert [one["name"] for one in data["maps"]] == list(loaded.maps)
    assert data["problems"] == [], "our own objects use nothing that is not there"
    assert {variable["name"]: variable["value"] for variable in data["variables"]} == plain(dict(loaded.globals))
    text = invoke("info", path).stdout
    assert "nothing: every helper, map and symbol is known here" in text
    for program in data["programs"]:
        assert program["name"] in text
        assert program["slots"] == len(loaded[program["name"]].spec.instructions)


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def test_programs_maps_and_variables(invoke_json: InvokeJson, programs: Path) -> None:
    data = invoke_json("info", programs / "xdp_parser.bpf.o")
    [program] = data["programs"]
    assert (program["section"], program["type"], program["license"]) == ("xdp", "xdp", "Dual MIT/GPL")
    assert [(use["name"], use["calls"]) for use in program["helpers"]] == [
        ("bpf_map_lookup_elem", 4),
        ("bpf_map_update_elem", 1),
    ]
    assert program["maps"] == {"protocols": 1, "flows": 3, ".rodata": 4, "verdicts": 1}
    flows = next(one for one in data["maps"] if one["name"] == "flows")
    assert (flows["type"], flows["key_type"], flows["value_type"]) == ("hash", "struct flow", "struct counter")
    rodata = next(one for one in data["maps"] if one["name"] == ".rodata")
    assert "BPF_F_RDONLY_PROG" in rodata["flags"]
    assert rodata["contents"] == 8
    [variable] = data["variables"]
    assert (variable["name"], variable["value"]) == ("blocked_ports", [23, 445, 1900, 0])
    assert data["btf"]["kinds"]["struct"] == 6


def test_subprograms_and_attach_targets(invoke: Invoke, programs: Path) -> None:
    assert "libc.so.6:malloc" in invoke("info", programs / "malloc.bpf.o").stdout
    text = invoke("info", programs / "subprograms.O0.bpf.o").stdout
    functions = [line.split()[1:] for line in text.splitlines() if line.split()[:1] == ["functions"]]
    assert any(len(names) >= 2 for names in functions)
    assert "holds 0: count_ipv4" in invoke("info", programs / "tail_calls.bpf.o").stdout


UNSERVED = """
    call 147         ; bpf_d_path: known by name
    call 9999        ; nobody knows it
    call 26          ; bpf_skb_load_bytes: not for XDP
    call 147
    r1 = map_by_fd(7)
    exit
"""


def test_what_cannot_be_served_is_listed_with_reasons(invoke: Invoke, invoke_json: InvokeJson) -> None:
    found = invoke_json("info", "-", "--type", "xdp", input=UNSERVED)["problems"]
    reasons = {problem["reason"]: problem["slots"] for problem in found}
    assert reasons["bpf_d_path#147 is not implemented"] == [0, 3]
    assert reasons["there is no helper with the number 9999"] == [1]
    assert reasons["bpf_skb_load_bytes#26 cannot be called by programs of type xdp"] == [2]
    assert any(slots == [4] for slots in reasons.values())
    assert len(reasons) == 4
    text = invoke("info", "-", "--type", "xdp", input=UNSERVED).stdout
    assert "instruction 0, 3: bpf_d_path#147 is not implemented" in text


@pytest.mark.parametrize("slot", range(5))
def test_what_is_listed_faults_when_it_runs(slot: int) -> None:
    """And for the reason that `info` gives."""
    loaded = load(f"goto +{slot}\n{UNSERVED}".encode(), type="xdp", level="lenient" if slot == 4 else "linux")
    with pytest.raises(Fault) as caught:
        loaded.program.run(bytes(60))
    assert caught.value.kind in (FaultKind.TRAP, FaultKind.CALL)
    assert caught.value.pc == slot + 1
    reasons = {place: problem.reason for problem in problems(loaded.spec) for place in problem.slots}
    assert caught.value.reason == reasons[slot + 1]


def test_relocations(invoke: Invoke, invoke_json: InvokeJson, programs: Path) -> None:
    data = invoke_json("info", programs / "xdp_parser.bpf.o")
    [program] = data["programs"]
    relocations = program["relocations"]
    assert Counter(one["name"] for one in relocations) == program["maps"]
    assert {one["offset"] for one in relocations if one["name"] == ".rodata"} <= {0, 2, 4, 6}
    assert {one["kind"] for one in relocations} == {"map", "map value"}
    slots = [one["slot"] for one in relocations]
    assert slots == sorted(set(slots))
    assert slots[-1] < program["slots"]
    assert "    relocations 5 map, 4 map value" in invoke("info", programs / "xdp_parser.bpf.o").stdout


HELPERS = """
from pybpftime.helpers import helper, implements
from pybpftime.helpers.declarations.kinds import Integer

@helper(0x10000)
def user_answer() -> Integer:
    "42."

@implements(user_answer)
def answer(machine):
    return 42
"""


def test_helpers_of_users(invoke: Invoke, invoke_json: InvokeJson, tmp_path: Path) -> None:
    """By number and by name, as `run` with the same file."""
    (tmp_path / "answer.py").write_text(HELPERS)
    options = ("--helpers", tmp_path / "answer.py")
    data = invoke_json("info", "-", *options, input="call user_answer\ncall 0x10000\nexit\n")
    assert data["problems"] == []
    assert data["programs"][0]["helpers"] == [{"id": 0x10000, "name": "user_answer", "calls": 2}]
    [problem] = invoke_json("info", "-", input="call 0x10000\nexit\n")["problems"]
    assert problem["reason"] == "there is no helper with the number 65536"
    assert "0x2a" in invoke("run", "-", *options, input="call user_answer\nexit\n").stdout


def test_program_type_without_context_is_listed(invoke: Invoke) -> None:
    text = invoke("info", "-", "--type", "lsm", input="r0 = 0\nexit\n").stdout
    assert "programs of type lsm cannot be run" in text


def test_malformed_program_is_listed(invoke: Invoke) -> None:
    text = invoke("info", "-", input="r0 = 0\ngoto +9\nexit\n").stdout
    assert "the program is not well formed: instruction 1" in text


def test_names_with_control_characters_do_not_reach_the_terminal(
    invoke: Invoke, programs: Path, tmp_path: Path
) -> None:
    content = (programs / "xdp_parser.bpf.o").read_bytes().replace(b"blocked_ports", b"bl\x1b[31mports!")
    (tmp_path / "hostile.bpf.o").write_bytes(content)
    result = invoke("info", tmp_path / "hostile.bpf.o", code=0)
    assert "\x1b" not in result.output
    assert "bl\\x1b[31mports!" in result.output
