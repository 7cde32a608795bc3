"""Assertions on verdicts, packets and maps: what they accept, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pybpftime.errors import InputError
from pybpftime.isa.assembler import assemble
from pybpftime.machine import Environment
from pybpftime.program.types import Verdict
from pybpftime.runtime import Object, Result
from pybpftime.testing import Bpf, assert_map, assert_packet, assert_verdict
from pybpftime.uapi import XdpAction

PROGRAMS = Path(__file__).resolve().parents[1] / "programs"
FRAME = bytes(range(12)) + bytes.fromhex("0800") + bytes(46)


def result(name: str | None = "XDP_DROP", value: int = 1, **fields: object) -> Result:
    return Result(Verdict(value, name), r0=value, instructions=2, **fields)  # type: ignore[arg-type]


def message_of(assertion: Callable[[], None]) -> str:
    with pytest.raises(AssertionError) as caught:
        assertion()
    return str(caught.value)


@pytest.fixture
def bpf() -> Bpf:
    return Bpf(PROGRAMS)


@pytest.fixture
def parser(bpf: Bpf) -> Object:
    loaded = bpf.load("xdp_parser.bpf.o")
    loaded.program.run(bytes(12) + bytes.fromhex("0806") + bytes(46))
    return loaded


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expected", ["XDP_DROP", 1, XdpAction.XDP_DROP])
def test_verdict_is_named_numbered_or_an_enumerator(expected: str | int) -> None:
    assert_verdict(result(), expected)


@pytest.mark.parametrize("expected", ["XDP_PASS", 2, XdpAction.XDP_PASS, True, "1"])
def test_other_verdict_fails(expected: str | int) -> None:
    assert "the verdict is XDP_DROP (1), expected" in message_of(lambda: assert_verdict(result(), expected))


def test_verdict_message_tells_what_the_run_did() -> None:
    one = result(packet=FRAME, printk=("dropped it",), redirect=("device", 3))
    text = message_of(lambda: assert_verdict(one, "XDP_PASS"))
    assert "packet: 60 bytes, IPv4" in text
    assert "printk: dropped it" in text
    assert "redirect: to device 3" in text


def test_plain_number_is_a_verdict() -> None:
    assert_verdict(result(None, 42), 42)
    assert "the verdict is 42, expected 41" in message_of(lambda: assert_verdict(result(None, 42), 41))


# --- packets ----------------------------------------------------------------------------------------------------------


def test_packet_is_taken_from_a_result_or_as_bytes() -> None:
    assert_packet(result(packet=FRAME), FRAME)
    assert_packet(FRAME, bytearray(FRAME))


def test_packet_message_points_at_the_bytes() -> None:
    changed = bytearray(FRAME)
    changed[3], changed[20] = 0xFF, 0xEE
    lines = message_of(lambda: assert_packet(bytes(changed), FRAME)).splitlines()
    assert lines[0] == "the packet is different: the first difference is at byte 3"
    [row] = [index for index, line in enumerate(lines) if line.startswith("  0000")]
    assert lines[row].index("ff") == lines[row + 2].index("^^")
    assert not any(line.startswith("  0020") for line in lines), "lines without a difference are left out"


def test_packet_message_tells_lengths() -> None:
    text = message_of(lambda: assert_packet(FRAME[:14], FRAME))
    assert "it has 14 bytes, expected 60; the first difference is at byte 14" in text


def test_large_difference_is_cut() -> None:
    assert len(message_of(lambda: assert_packet(bytes(9000), b"\xff" * 9000)).splitlines()) < 40


def test_program_without_packet_has_none() -> None:
    assert "there is no packet" in message_of(lambda: assert_packet(result(), FRAME))


# --- maps -------------------------------------------------------------------------------------------------------------


def test_map_is_compared_by_names_and_fields(parser: Object) -> None:
    protocols = parser.maps["protocols"]
    assert_map(protocols, {"ARP": {"packets": 1}})
    assert_map(protocols, {0: {"packets": 1, "bytes": 60}}, exact=True)
    assert_map(protocols, [("ARP", {"bytes": lambda value: value > 50})])
    assert_map(parser.maps["verdicts"], {"XDP_PASS": 1, "XDP_DROP": 0}, exact=True)
    assert_map(parser.maps["flows"], {}, exact=True)


def test_map_message_names_key_and_field(parser: Object) -> None:
    text = message_of(lambda: assert_map(parser.maps["protocols"], {"ARP": {"packets": 2, "bytes": 60, "age": 1}}))
    assert "['ARP'].packets: 1, expected 2" in text
    assert "['ARP']: no field age, there is packets, bytes" in text
    assert ".bytes" not in text


def test_exact_finds_what_nobody_expected(parser: Object) -> None:
    assert_map(parser.maps["verdicts"], {"XDP_DROP": 0})
    text = message_of(lambda: assert_map(parser.maps["verdicts"], {"XDP_DROP": 0}, exact=True))
    assert "1, expected nothing" in text


def test_missing_and_impossible_keys_are_told(parser: Object) -> None:
    key = {"source_port": 1}
    assert "missing, expected 1" in message_of(lambda: assert_map(parser.maps["flows"], [(key, 1)]))
    assert "NO_SUCH" in message_of(lambda: assert_map(parser.maps["verdicts"], {"NO_SUCH": 1}))


def test_per_cpu_values_are_added_up(bpf: Bpf) -> None:
    counts = bpf.load("percpu.bpf.o", environment=Environment(cpu=1, cpu_count=2))
    counts.program.run(FRAME)
    assert_map(counts.maps["totals"], {0: {"packets": 1, "bytes": 60}})
    text = message_of(lambda: assert_map(counts.maps["totals"], {0: {"packets": 5}}))
    assert "packets: 1, expected 5" in text
    first, second = counts.maps["totals"][0]
    assert_map(counts.maps["totals"], {0: [first, second]})
    assert first["packets"] == 0


def test_byte_arrays_compare_with_bytes(bpf: Bpf) -> None:
    parser = bpf.load("xdp_parser.bpf.o")
    flow = {"source": bytes(15) + b"\x01", "ip_version": 6}
    parser.maps["flows"][flow] = {"packets": 3}
    [(key, _)] = parser.maps["flows"].items()
    assert_map(parser.maps["flows"], [(flow, {"packets": 3})], exact=True)
    assert key["source"][15] == 1


# --- loading and running ----------------------------------------------------------------------------------------------


def test_helpers_are_replaced_by_functions_and_numbers(bpf: Bpf) -> None:
    program = assemble("call 7\nr6 = r0\ncall 8\nr0 += r6\nexit")
    assert bpf.run(program, helpers={"bpf_get_prandom_u32": 40, "bpf_get_smp_processor_id": lambda: 2}).r0 == 42
    with_machine = {"bpf_get_prandom_u32": lambda machine: machine.environment.uid}
    assert bpf.run(program, helpers=with_machine, environment=Environment(uid=5)).r0 == 5


@pytest.mark.parametrize(
    ("helpers", "message"),
    [({"bpf_no_such": 1}, "no helper bpf_no_such"), ({"bpf_ktime_get_ns": lambda a, b, c: 1}, "takes other arguments")],
)
def test_bad_replacement_is_refused(bpf: Bpf, helpers: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        bpf.load(assemble("exit"), helpers=helpers)  # type: ignore[arg-type]


def test_run_takes_programs_objects_and_sources(bpf: Bpf, parser: Object) -> None:
    for what in (parser, parser.program, "xdp_parser.bpf.o", PROGRAMS / "xdp_parser.bpf.o"):
        assert_verdict(bpf.run(what, FRAME), "XDP_ABORTED")
    assert bpf.run(assemble("r0 = r2\nexit"), mem=bytes(7)).r0 == 7
