"""Witnesses as files: what is written is read again, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.errors import FaultKind, InputError
from pybpftime.uapi import ProgramType
from pybpftime.verifier import Witness
from pybpftime.verifier.witness_file import FORMAT, VERSION, read_witness, witness_data

XDP = ProgramType.BPF_PROG_TYPE_XDP
WITNESS = Witness(
    XDP, 3, FaultKind.MEMORY, {12: b"\1\0\0\0"}, b"\2" * 14, b"", {"m": ((b"k", b"v"),)}, ((5, 7),), ((6, b"x"),)
)

contents = st.binary(max_size=40)
slots = st.integers(0, 1 << 20)
witnesses = st.builds(
    Witness,
    st.sampled_from([XDP, ProgramType.BPF_PROG_TYPE_KPROBE, ProgramType.BPF_PROG_TYPE_SCHED_CLS]),
    slots,
    st.none() | st.sampled_from(list(FaultKind)),
    st.dictionaries(st.integers(0, 4096), contents),
    st.none() | contents,
    contents,
    st.dictionaries(st.text(max_size=10), st.lists(st.tuples(contents, contents), max_size=3).map(tuple)),
    st.lists(st.tuples(slots, st.integers(0, (1 << 64) - 1)), max_size=3).map(tuple),
    st.lists(st.tuples(slots, contents), max_size=3).map(tuple),
)


@given(witnesses, st.text(max_size=20))
def test_what_is_written_is_read_again(witness: Witness, name: str) -> None:
    text = json.dumps(witness_data(witness, name))
    assert read_witness(json.loads(text)) == (name, witness)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_garbage_is_refused(data: Any) -> None:
    with pytest.raises(InputError):
        read_witness(data)


@given(st.sampled_from(sorted(witness_data(WITNESS, "p"))), json_values)
def test_garbage_in_one_place_is_refused_or_taken(key: str, value: Any) -> None:
    try:
        read_witness(witness_data(WITNESS, "p") | {key: value})
    except InputError as error:
        assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, f"is no witness: it has no format {FORMAT!r}"),
        ({"version": 2}, f"is a witness of version 2, and {VERSION} is known"),
        ({"fault": "nope"}, "fault: there is no kind of fault 'nope'"),
        ({"packet": "zz"}, "packet: 'zz' is not in hex digits"),
        ({"packet": 5}, "packet: bytes are written as a text of hex digits"),
        ({"context": {"-1": "00"}}, "context: '-1' is no offset in bytes"),
        ({"maps": {"m": [["00"]]}}, "map m: ['00'] is no pair"),
        ({"results": [[0, -1]]}, f"results: -1 is no number from 0 to {(1 << 64) - 1}"),
        ({"results": [[True, 1]]}, f"results: True is no number from 0 to {(1 << 32) - 1}"),
        ({"program": 5}, "program is a text"),
        ({"instruction": None}, f"instruction: None is no number from 0 to {(1 << 32) - 1}"),
    ],
)
def test_messages(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_witness(witness_data(WITNESS, "p") | change)
    assert str(caught.value) == message
