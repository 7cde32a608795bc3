"""What helpers and registers say at a probe of a live process is what the process says of itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from attach.build import BuildTarget
from attach.processes import running
from attach.tracing import PROGRAMS, tracing

pytestmark = pytest.mark.usefixtures("can_trace")

EFAULT = 14
U64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Call:
    """One call of observe(): what the thread `said`, and what the probes at entry and return saw."""

    said: dict[str, str]
    entered: dict[str, Any]
    left: dict[str, Any]

    def number(self, name: str) -> int:
        return int(self.said[name].split()[0], 0)


def observe(program: Path, *arguments: str) -> tuple[list[Call], dict[str, int]]:
    """Trace the two calls that the target makes; and the numbers that it said before."""
    places = [
        option for name in ("enter", "leave") for option in (f"--program={name}", f"--at={name}={program}:observe")
    ]
    with (
        running(program, *arguments) as target,
        tracing(PROGRAMS / "live.bpf.o", "--json", *places, "--pid", target.pid) as tracer,
    ):
        attached = tracer.event()
        assert attached["event"] == "attached", attached
        output, _ = target.process.communicate("go\n")
        ended = tracer.event()
        assert tracer.finish() == 0, tracer.errors()
        known = {name: target.number(name) for name in ("observe", "edge", "torn")}
    assert [(one["program"], one["runs"], one["failures"]) for one in ended["probes"]] == [
        ("enter", 2, 0),
        ("leave", 2, 0),
    ]
    assert [one["address"] for one in ended["probes"]] == [known["observe"]] * 2
    maps = {name: {one["key"]: one["value"] for one in ended["maps"][name]["entries"]} for name in ("entered", "left")}
    calls = []
    for part in output.split("call ")[1:]:
        name, *lines = part.splitlines()
        said = {"command": name} | dict(line.split(" ", 1) for line in lines)
        thread = int(said["tid"])
        calls.append(Call(said, maps["entered"][thread], maps["left"][thread]))
    assert len(calls) == 2
    return calls, known


@pytest.fixture(scope="module")
def seen(build_target: BuildTarget, can_trace: None) -> tuple[list[Call], dict[str, int]]:
    return observe(build_target("values"))


def test_process_thread_and_command(seen: tuple[list[Call], dict[str, int]]) -> None:
    first, second = seen[0]
    for call in (first, second):
        assert call.entered["process"] == call.left["process"] == call.number("pid")
        assert call.entered["thread"] == call.left["thread"] == call.number("tid")
        assert call.entered["command"] == call.said["command"]
        assert call.entered["cpu"] == call.number("cpu")
    assert first.number("tid") == first.number("pid") != second.number("tid")
    assert second.said["command"] == 'second "one"'


def test_user_and_group_are_ours(seen: tuple[list[Call], dict[str, int]]) -> None:
    for call in seen[0]:
        assert (call.entered["user"], call.entered["group"]) == (os.geteuid(), os.getegid())
        assert (call.number("uid"), call.number("gid")) == (os.geteuid(), os.getegid())


def test_another_user_and_group(build_target: BuildTarget) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    calls, _ = observe(build_target("values"), "4321", "8765")
    for call in calls:
        assert (call.number("uid"), call.number("gid")) == (4321, 8765)
        assert (call.entered["user"], call.entered["group"]) == (4321, 8765)


def test_the_clock_is_that_of_the_process(seen: tuple[list[Call], dict[str, int]]) -> None:
    for call in seen[0]:
        assert call.number("before") <= call.entered["time"] <= call.left["time"] <= call.number("after")


def test_registers_at_entry(seen: tuple[list[Call], dict[str, int]]) -> None:
    calls, known = seen
    for call in calls:
        entered = call.entered
        pointers = [call.number("point"), call.number("text"), 0x10, known["edge"], known["torn"]]
        assert entered["arguments"] == [call.number("number") & U64, *pointers]
        assert entered["instruction_pointer"] == known["observe"]
        assert entered["stack_pointer"] == call.number("caller_stack") - 8
        assert entered["return_address"] == call.number("return_address")


def test_registers_at_return(seen: tuple[list[Call], dict[str, int]]) -> None:
    for call in seen[0]:
        assert call.left["result"] == call.number("result") & U64
        assert call.left["instruction_pointer"] == call.number("return_address")
        assert call.left["stack_pointer"] == call.number("caller_stack")


def test_memory_behind_a_pointer(seen: tuple[list[Call], dict[str, int]]) -> None:
    for call in seen[0]:
        assert call.entered["point_result"] == 0
        assert call.entered["point"] == {"x": call.number("x"), "y": call.number("y")}


def test_strings_are_cut_to_the_size_asked_for(seen: tuple[list[Call], dict[str, int]]) -> None:
    first, second = (call.entered["text"] for call in seen[0])
    assert first == {"result": len("héllo".encode()) + 1, "content": "héllo"}
    assert second == {"result": 16, "content": "longer than fif"}
    assert seen[0][1].said["text"].endswith("longer than fifteen characters")


def test_what_cannot_be_read_is_an_error_and_zeros(seen: tuple[list[Call], dict[str, int]]) -> None:
    for call in seen[0]:
        assert (call.entered["bad_result"], call.entered["bad_content"]) == (-EFAULT, 0)


def test_a_string_may_end_where_memory_does(seen: tuple[list[Call], dict[str, int]]) -> None:
    for call in seen[0]:
        assert call.entered["edge"] == {"result": 5, "content": "edge"}
        assert call.entered["torn"] == {"result": -EFAULT, "content": ""}
