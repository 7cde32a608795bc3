"""The lines of the line protocol: what is written is read, and what is no line of it is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.conformance.case import Case, Feature, Signature, Verdict
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Profile
from pybpftime.conformance.runtimes.line_protocol import (
    ANSWERS,
    answer_line,
    hello_line,
    read_answer,
    read_hello,
    read_request,
    request_line,
)
from pybpftime.errors import FaultKind, InputError
from pybpftime.isa import Group
from pybpftime.maps import MapSpec
from pybpftime.uapi import MapType

VALUES = st.integers(0, (1 << 64) - 1)
SIGNATURES = st.builds(
    Signature,
    st.builds(lambda r0, rest: {0: r0} | rest, VALUES, st.dictionaries(st.integers(1, 10), VALUES, max_size=3)),
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=20),
)
MESSAGES = st.text("abc 7:", max_size=20).map(lambda text: " ".join(text.split()))
PLACES = st.builds(
    Outcome,
    st.sampled_from([OutcomeKind.TRAPPED, OutcomeKind.EXHAUSTED, OutcomeKind.REFUSED, OutcomeKind.FAILED]),
    trap=st.none() | st.sampled_from(FaultKind),
    pc=st.none() | st.integers(0, 1 << 20),
    message=MESSAGES,
)
OUTCOMES = st.builds(Outcome, st.just(OutcomeKind.RETURNED), SIGNATURES) | PLACES


@given(OUTCOMES)
def test_answers_are_read_as_they_were_written(outcome: Outcome) -> None:
    assert read_answer(answer_line("12", outcome), "12") == outcome


@given(st.binary(max_size=40), st.none() | st.binary(min_size=1, max_size=20), st.none() | st.integers(0, 1 << 40))
def test_requests_are_read_as_they_were_written(code: bytes, memory: bytes | None, budget: int | None) -> None:
    maps = (MapSpec("map0", MapType.BPF_MAP_TYPE_HASH, 4, 8, 16, 1),)
    request = read_request(request_line("3", Case("case", code, (), memory, maps, budget)))
    assert (request.id, request.code, request.memory, request.budget) == ("3", code, memory, budget)
    assert request.maps == maps


def test_a_request_is_one_line_of_plain_text() -> None:
    case = Case("case", bytes(8), (), b"\x00\xff", budget=5)
    assert request_line("7", case) == "run 7 code=0000000000000000 mem=00ff budget=5"
    assert request_line("8", Case("case", b"", ())) == "run 8 code=- mem=- budget=-"


def test_a_profile_is_read_as_it_was_written() -> None:
    profile = Profile(
        "vm", version="1.2", groups=frozenset({Group.BASE32, Group.ATOMIC64}), features=frozenset({Feature.CALLS}),
        refuses=frozenset({Verdict.MALFORMED}), shows=frozenset({"memory", "registers"}), budget=True,
    )  # fmt: skip
    assert read_hello(hello_line(profile)) == profile
    assert read_hello("pybpftime-runtime 1 name=vm") == Profile("vm")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "should begin with"),
        ("hello world", "should begin with `pybpftime-runtime 1`, and is 'hello world'"),
        ("pybpftime-runtime 2 name=vm", "should begin with"),
        ("pybpftime-runtime 1 vm", "'vm' has no `=`"),
        ("pybpftime-runtime 1 name=", "'name=' means nothing"),
        ("pybpftime-runtime 1 colour=red", "'colour=red' means nothing"),
        ("pybpftime-runtime 1 budget=maybe", "'budget=maybe' means nothing"),
        ("pybpftime-runtime 1 name=a name=b", "name comes twice"),
        ("pybpftime-runtime 1 groups=base32,base128", "groups: 'base128' is none of base32"),
        ("pybpftime-runtime 1 refuses=trap", "refuses: 'trap' is none of malformed, invalid"),
    ],
)
def test_a_wrong_greeting_names_the_word(line: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint.replace("(", r"\(")):
        read_hello(line)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "no answer to request 1"),
        ("2 return r0=0x1", "no answer to request 1"),
        ("1", "no answer to request 1"),
        ("1 done r0=0x1", "'done' is none of return, trap"),
        ("1 return", "needs r0"),
        ("1 return r1=0x1", "needs r0"),
        ("1 return r0=7", "r0: '7' is no hex"),
        ("1 return r0=0xzz", "r0: '0xzz' is no hex"),
        ("1 return r0=0x10000000000000000", "is no hex"),
        ("1 return r0=0x-1", "is no hex"),
        ("1 return r0=0x1 r0=0x2", "comes twice"),
        ("1 return r0=0x1 r11=0x2", "'r11=0x2' is no part of a signature"),
        ("1 return r0=0x1 mem=0", "mem: '0' is no hex"),
        ("1 return r0=0x1 mem=00 mem=00", "mem comes twice"),
        ("1 trap class=sadness", "class: 'sadness' is none of memory"),
        ("1 trap pc=-1", "pc: '-1' is no number"),
    ],
)
def test_a_wrong_answer_names_the_word(line: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_answer(line, "1")


@given(st.text(max_size=60))
def test_any_line_is_an_answer_or_an_input_error(line: str) -> None:
    for text in (line, f"1 {line}", *(f"1 {word} {line}" for word in ANSWERS)):
        try:
            outcome = read_answer(text, "1")
        except InputError:
            continue
        assert outcome.kind in ANSWERS.values()
