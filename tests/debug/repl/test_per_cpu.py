"""Values of a cpu: in expressions and in `info map`."""

from __future__ import annotations

import pytest
from debug.debug_support import TESTS, session_of
from debug.repl.repl_support import Repl, parser

from pybpftime.machine import Environment


@pytest.fixture
def counted() -> Repl:
    """Two packets were counted on cpu 2 of 4."""
    repl = Repl(session_of(TESTS / "programs" / "percpu.bpf.o", environment=Environment(cpu_count=4, cpu=2)))
    repl("goto end")
    return repl


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("per_cpu(totals[0], 2).packets", "2"),
        ("per_cpu(totals[0], 1).packets", "0"),
        ("totals[0].packets", "2"),
        ("per_cpu(totals[0], 1 + 1) ", "{.packets = 2, "),
        ("per_cpu(types[2048], 2) + per_cpu(types[2048], 3)", "1"),
        ("sizeof(per_cpu(totals[0], 0))", "24"),
        ("*&per_cpu(types[2048], 2)", "1"),
        ("per_cpu(totals[0], 4)", "error: 4: there is no cpu 4: totals has values of the cpus 0 to 3"),
        ("per_cpu(totals[0], -1)", "error: -1: there is no cpu -1: totals has values of the cpus 0 to 3"),
        ("per_cpu(totals[0], 1.5)", "error: 1.5: a cpu is an integer, and this is of type double"),
        ("per_cpu(types[1], 0)", "error: per_cpu(types[1], 0): the map has no such element"),
        ("per_cpu(totals, 1)", "error: per_cpu(totals, 1): per_cpu takes an element of a map: per_cpu(map[key], cpu)"),
        ("per_cpu(totals[0])", "error: per_cpu(totals[0]): per_cpu takes an element of a map: "),
        ("per_cpu(packet[0], 1)", "error: per_cpu("),
        ("per_cpu()", "error: per_cpu(): per_cpu takes an element of a map"),
        ("per_cpu(1, 2, 3)", "error: per_cpu(1, 2, 3): per_cpu takes an element of a map"),
    ],
)
def test_in_expressions(counted: Repl, expression: str, said: str) -> None:
    assert counted.printed(expression).startswith(said)


def test_they_can_be_set_and_watched(counted: Repl) -> None:
    counted("set per_cpu(totals[0], 1).packets = 40")
    assert counted.printed("per_cpu(totals[0], 1).packets") == "40"
    assert counted.printed("totals[0].packets") == "2"
    counted("watch per_cpu(totals[0], 2).packets", "goto start")
    assert "per_cpu(totals[0], 2).packets: 0 -> 1" in counted("c")


def test_info_map(counted: Repl) -> None:
    assert counted("info map totals").splitlines() == [
        "totals: percpu_array, key 4 bytes, value 24 bytes for each cpu (4), at most 1 entries",
        "per_cpu(totals[0], 2) = {.packets = 2, .bytes = 130, .last_sum = 32}",
        "3 values of zero are not shown",
    ]
    lines = counted("info map types cpu 2").splitlines()
    assert lines[1:] == ["per_cpu(types[2048], 2) = 1", "per_cpu(types[12350], 2) = 1"]
    assert counted.printed(lines[1].partition(" = ")[0]) == "1", "what is shown can be typed"
    assert len(counted("info map types").splitlines()) == 1 + 2 * 4
    assert counted("info map totals cpu 4") == "error: there is no cpu 4: totals has values of the cpus 0 to 3\n"
    assert counted("info map totals cpu x").startswith("error: ")


def test_info_map_of_other_maps() -> None:
    repl = parser(4, 6)
    assert repl("info map protocols cpu 1") == "error: protocols has one value for all cpus\n"
    assert repl.printed("per_cpu(protocols[1], 0)").startswith("error: protocols: it has one value for all cpus")
    assert repl("info map flows").endswith("it has no elements\n")
    assert repl("info map nothing").startswith("error: there is no map named nothing")
    assert repl("info map").startswith("error: info map takes the name of a map")
    repl("goto end")
    assert "protocols[IPV4_TCP] = {.packets = 1, .bytes = 58}" in repl("info map protocols")
    assert "it has no elements that expressions can name" in repl("info map .rodata")
    assert "protocols: array" in repl("info maps")


def test_a_ring_buffer_has_no_elements() -> None:
    repl = Repl(session_of(TESTS / "programs" / "ringbuf.bpf.o"))
    assert "it has no elements that expressions can name; map events shows what is in it" in repl("info map events")
    assert repl.failures == 0
