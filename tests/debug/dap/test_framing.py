"""Messages as bytes: whatever arrives, in whatever pieces, becomes messages and problems."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.debug.dap.framing import LONGEST_CONTENT, LONGEST_HEADER, Decoder, Problem, encode

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
messages = st.lists(st.dictionaries(st.text(), json_values, max_size=4), max_size=4)


def decode_in_pieces(data: bytes, cuts: list[int]) -> list[Any]:
    decoder = Decoder()
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [item for start, end in pairwise(edges) for item in decoder.feed(data[start:end])]


def only(data: bytes) -> Any:
    (item,) = Decoder().feed(data)
    return item


@given(messages, st.lists(st.integers(min_value=0), max_size=6))
def test_what_is_encoded_comes_back_in_any_pieces(sent: list[dict[str, Any]], cuts: list[int]) -> None:
    data = b"".join(encode(message) for message in sent)
    assert decode_in_pieces(data, cuts) == sent


@given(st.binary(max_size=200), st.lists(st.integers(min_value=0), max_size=6))
def test_garbage_gives_the_same_in_any_pieces(data: bytes, cuts: list[int]) -> None:
    assert decode_in_pieces(data, cuts) == decode_in_pieces(data, [])


@given(messages, st.integers(min_value=0))
def test_the_end_within_a_message_is_noticed(sent: list[dict[str, Any]], cut: int) -> None:
    pieces = [encode(message) for message in sent]
    data = b"".join(pieces)
    cut %= len(data) + 1
    between = {sum(map(len, pieces[:count])) for count in range(len(pieces) + 1)}
    decoder = Decoder()
    decoder.feed(data[:cut])
    assert (decoder.finish() is None) == (cut in between)


def test_byte_form_is_that_of_the_protocol() -> None:
    assert encode({"a": "é"}) == b'Content-Length: 14\r\n\r\n{"a":"\\u00e9"}'


@pytest.mark.parametrize(
    "header",
    [b"content-length: 2\r\n", b"Content-Length:2\r\n", b"Content-Type: x\r\nContent-Length: 2 \r\nA: b\r\n"],
)
def test_headers_of_other_clients_are_read(header: bytes) -> None:
    assert only(header + b"\r\n{}") == {}


def test_characters_outside_of_ascii_count_as_bytes() -> None:
    assert only(b'Content-Length: 8\r\n\r\n{"\xc3\xa9":1}') == {"é": 1}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"help\n", "CR LF"),
        (b"help\r\n", "'Name: value': 'help'"),
        (b": 5\r\n", "'Name: value'"),
        (b"Content-Length : 5\r\n", "'Name: value'"),
        (b"POST / HTTP/1.1\r\n", "'Name: value'"),
        (b"\r\n", "no Content-Length"),
        (b"Content-Type: x\r\n\r\n", "no Content-Length"),
        (b"Content-Length:\r\n", "not a number: ''"),
        (b"Content-Length: -1\r\n", "not a number: '-1'"),
        (b"Content-Length: \xb2\r\n", "not a number"),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n", "two values"),
        (b"Content-Length: %d\r\n" % (LONGEST_CONTENT + 1), "above"),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n", "above"),
        (b"A" * (LONGEST_HEADER + 1), "longer"),
        (b"A: b\r\n" * LONGEST_HEADER, "longer"),
    ],
)
def test_broken_header_is_the_end(data: bytes, sentence: str) -> None:
    decoder = Decoder()
    (problem,) = decoder.feed(data + encode({}))
    assert problem.fatal and sentence in problem.reason and "\n" not in problem.reason
    assert decoder.broken and decoder.feed(encode({})) == [] and decoder.finish() is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": NaN}', "NaN is no JSON"),
        (b'{"a": -Infinity}', "-Infinity is no JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"[]", "no JSON object"),
        (b"null", "no JSON object"),
        (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
def test_broken_content_costs_one_message(content: bytes, sentence: str) -> None:
    header = b"Content-Length: %d\r\n\r\n" % len(content)
    problem, after = Decoder().feed(header + content + encode({"after": 1}))
    assert isinstance(problem, Problem) and not problem.fatal and sentence in problem.reason
    assert after == {"after": 1}


def test_long_message_arrives_whole() -> None:
    message = {"data": "x" * (5 << 20)}
    assert only(json_framed(message)) == message


def json_framed(message: Any) -> bytes:
    content = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(content), content)
