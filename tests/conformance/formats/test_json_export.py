"""Cases as JSON."""

from __future__ import annotations

import json

import pytest

from pybpftime.conformance.case import Case, Expectation, Signature, Verdict
from pybpftime.conformance.formats.json_export import write_json
from pybpftime.isa.assembler import assemble_bytes


def returned(**signature: object) -> Expectation:
    return Expectation(Verdict.RETURN, Signature(**signature))


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ((returned(registers={0: 42}),), "0x2a"),
        ((returned(registers={0: 2**64 - 1, 6: 1}, memory=b"\0"),), "0xffffffffffffffff"),
        ((returned(registers={0: 0}), returned(registers={0: 0}, memory=b"\1")), "0x0"),
        ((returned(registers={0: 0}), returned(registers={0: 1})), None),
        ((returned(registers={0: 0}), Expectation(Verdict.TRAP)), None),
        ((returned(registers={6: 0}),), None),
        ((Expectation(Verdict.TRAP),), None),
        ((Expectation(Verdict.MALFORMED),), None),
    ],
)
def test_expected_is_a_value_or_null(expected: tuple[Expectation, ...], value: str | None) -> None:
    case = Case("a/b", assemble_bytes("exit"), expected, memory=b"\0\xff")
    assert json.loads(write_json([case])) == [
        {"name": "a/b", "hex": "9500000000000000", "mem": "00ff", "expected": value}
    ]


def test_no_memory_is_no_bytes() -> None:
    [record] = json.loads(write_json([Case("a", b"", (Expectation(Verdict.MALFORMED),))]))
    assert record == {"name": "a", "hex": "", "mem": "", "expected": None}
    assert json.loads(write_json([])) == []
