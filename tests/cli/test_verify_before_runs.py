"""`run` and `trace` verify what they run: what is not proved safe is refused, unless --no-verify says otherwise."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from pybpftime.errors import VerificationError
from pybpftime.runtime import load, verification
from pybpftime.runtime.load import read_object
from pybpftime.runtime.verification import as_loaded, is_verifiable, require_proved, with_tail_calls
from pybpftime.verifier import Objection, Report, Verdict
from pybpftime.verifier.reasons import REASONS

Invoke = Callable[..., Result]
Failure = Callable[..., str]
UNCHECKED = "r2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 13)\nexit\n"
PACKET = "00" * 60


@pytest.fixture
def null(programs: Path) -> Path:
    return programs / "rejected" / "null.bpf.o"


def test_a_program_that_is_not_safe_does_not_run(failure: Failure, null: Path) -> None:
    lines = failure("run", null, "-p", "broken", "--packet", PACKET).splitlines()
    start = (
        r"error: broken: instruction 7: (unsafe|not proved safe): r0 may be NULL: value of map counts was not checked"
    )
    assert re.match(start, lines[0])
    assert lines[1:] == [
        "  null.bpf.c:25: *count += 1;",
        "  fix: check the result before it is used: if (!value) return",
        "  pybpftime verify shows how it comes there; --no-verify runs it all the same",
    ]


def test_no_verify_runs_it_all_the_same(invoke: Invoke, null: Path) -> None:
    result = invoke("run", null, "-p", "broken", "--packet", PACKET, "--no-verify", code=1)
    assert "memory fault: load of 8 bytes at 0x0: a null pointer" in result.stdout
    assert "may fault or never end, and Linux may refuse it" in " ".join(invoke("run", "--help").stdout.split())


def test_another_program_of_the_object_is_not_its_business(invoke: Invoke, null: Path) -> None:
    assert "XDP_PASS" in invoke("run", null, "-p", "fixed", "--packet", PACKET).stdout


def test_only_programs_of_a_type_under_linux_rules_are_verified(invoke: Invoke, failure: Failure) -> None:
    for arguments in (("--mem", "00"), ("--type", "xdp", "--packet", PACKET, "--lenient")):
        result = invoke("run", "-", *arguments, input=UNCHECKED.replace("u32 *)(r1 + 0)", "u8 *)(r1 + 0)"), code=1)
        assert "fault" in result.stdout
    for level in ("--linux", "--strict"):
        message = failure("run", "-", "--type", "xdp", "--packet", "00", level, input=UNCHECKED)
        assert "load of 1 byte at 13 of the packet" in message
    raw = read_object(UNCHECKED.encode())
    assert not is_verifiable(raw.programs["program"], load(UNCHECKED.encode()).level)


def test_json_prints_nothing_for_a_program_that_is_refused(failure: Failure, null: Path) -> None:
    assert failure("run", null, "-p", "broken", "--packet", PACKET, "--json")


def test_trace_refuses_before_it_starts_anything(failure: Failure, programs: Path, tmp_path: Path) -> None:
    probe = tmp_path / "probe.bpf.o"
    probe.write_bytes((programs / "malloc.bpf.o").read_bytes())
    mark = tmp_path / "started"
    calls: list[Any] = []

    def refuse(loaded: Any, names: Any, **options: Any) -> Report:
        calls.append(list(names))
        return Report("malloc_entry", Verdict.NOT_PROVED, Objection(REASONS["budget"], "not decided", 3))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "first_unproved", refuse)
        message = failure("trace", probe, "--", "touch", mark)
    assert calls == [["malloc_entry", "malloc_return"]]
    assert "malloc_entry: instruction 3: not proved safe: not decided" in message
    assert not mark.exists()


# --- what is verified -------------------------------------------------------------------------------------------------


def test_programs_that_may_be_tail_called_are_verified_too(programs: Path) -> None:
    spec = read_object(programs / "tail_calls.bpf.o")
    assert with_tail_calls(spec, ["dispatch"])[0] == "dispatch"
    assert set(with_tail_calls(spec, ["dispatch"])) == set(spec.programs)
    single = read_object(programs / "xdp_vlan.bpf.o")
    assert with_tail_calls(single, ["push"]) == ["push"]


def test_constants_are_verified_as_they_were_set(programs: Path) -> None:
    loaded = load(programs / "xdp_parser.bpf.o", variables={"blocked_ports": [80, 0, 0, 0]})
    before, after = loaded.spec.maps[".rodata"].contents, as_loaded(loaded).maps[".rodata"].contents
    assert before is not None
    assert after is not None
    assert before != after
    assert (80).to_bytes(2, "little") in after


def test_the_error_says_where(null: Path) -> None:
    with pytest.raises(VerificationError) as caught:
        require_proved(load(null), ["broken"])
    error = caught.value
    assert (error.program, error.instruction, error.source) == ("broken", 7, "null.bpf.c:25: *count += 1;")
    assert error.as_dict()["error"] == "VerificationError"


@pytest.mark.parametrize(
    "module", ["pybpftime.cli.plugin", "pybpftime.runtime", "pybpftime.testing.plugin", "pybpftime.cli.run"]
)
def test_the_verifier_is_loaded_when_it_is_used(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in sys.modules if '.verifier' in name or name == 'z3'))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "\n"
