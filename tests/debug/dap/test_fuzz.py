"""Clients that are broken or hostile: the server answers, or ends; it never hangs and never fails inside."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from debug.dap import schema
from debug.dap.client import Serving, framed
from debug.dap.fake_backend import FILE
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pybpftime.debug.dap.framing import LONGEST_CONTENT, LONGEST_HEADER, Decoder, Problem
from pybpftime.debug.dap.requests import REQUESTS

Message = dict[str, Any]


def requests(*commands: tuple[str, Any]) -> list[Message]:
    return [
        {"seq": seq, "type": "request", "command": command, "arguments": arguments}
        for seq, (command, arguments) in enumerate(commands, start=1)
    ]


BEGIN = (
    ("initialize", {"adapterID": "x", "supportsProgressReporting": True, "supportsMemoryEvent": True}),
    ("launch", {"object": FILE}),
)
BREAKPOINTS = ("setBreakpoints", {"source": {"path": FILE}, "breakpoints": [{"line": 3, "condition": "x"}]})
# What an editor really sends, in the order in which it does.
SESSION = requests(
    *BEGIN,
    BREAKPOINTS,
    ("setExceptionBreakpoints", {"filters": ["fault"]}),
    ("configurationDone", {}),
    ("threads", None),
    ("stackTrace", {"threadId": 1, "startFrame": 0, "levels": 20}),
    ("scopes", {"frameId": 1}),
    ("variables", {"variablesReference": 100}),
    ("continue", {"threadId": 1}),
    ("evaluate", {"expression": "edit", "context": "repl", "frameId": 1}),
    ("evaluate", {"expression": "bad"}),
    ("stepBack", {"threadId": 1, "granularity": "instruction"}),
    ("readMemory", {"memoryReference": "0x0", "count": 8}),
    ("writeMemory", {"memoryReference": "0x0", "data": "AAAA"}),
    ("pause", {"threadId": 1}),
    ("cancel", {"requestId": 3}),
    ("disconnect", {"restart": False}),
)
ENDLESS = requests(
    BEGIN[0], ("launch", {"object": FILE, "program": "endless"}), ("configurationDone", {}), BREAKPOINTS, ("next", {})
)
TRANSCRIPTS = {"session": SESSION, "endless": ENDLESS}
BYTES = {name: b"".join(framed(message) for message in messages) for name, messages in TRANSCRIPTS.items()}

# A server for each example is a few threads and sockets: fewer examples than elsewhere, whatever the profile.
few = settings(
    max_examples=settings().max_examples * 6 // 10, suppress_health_check=[HealthCheck.too_slow], deadline=None
)


def talk(data: bytes, *, wait: bool = True, backend: Any = None) -> tuple[list[Message], Serving]:
    """Send `data` and go; what the server answered until it ended.  Fails if it hangs, fails, or answers no messages.

    Without `wait` the client does not read before it goes.  `backend`: another one than the fake.
    """
    serving = Serving(backend)
    answer = bytearray()
    with serving.socket as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while wait and (piece := connection.recv(1 << 16)):
                answer += piece
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server went first
    serving.join()
    decoder = Decoder()
    messages = decoder.feed(bytes(answer))
    assert decoder.finish() is None and not any(isinstance(message, Problem) for message in messages)
    assert not [line for line in serving.log if not line.startswith("client: ")], serving.log
    return [message for message in messages if isinstance(message, dict)], serving


def check(messages: list[Message]) -> None:
    """Numbers without gaps, one response for a request, and all as the schema says."""
    assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
    for message in messages:
        schema.check(message)


def responses(messages: list[Message]) -> list[int]:
    return [message["request_seq"] for message in messages if message["type"] == "response"]


def test_the_transcripts_are_good_ones() -> None:
    messages, serving = talk(BYTES["session"])
    check(messages)
    # All came at once, so that what is handled during a run went before what waits for its end.
    assert sorted(responses(messages)) == [message["seq"] for message in SESSION]
    assert responses(messages)[:5] == [1, 2, 3, 4, 5] and responses(messages)[-1] == len(SESSION)
    failed = [message["command"] for message in messages if message.get("success") is False]
    assert failed == ["evaluate"] and serving.orderly


@pytest.mark.parametrize("name", TRANSCRIPTS)
@pytest.mark.parametrize("wait", [True, False])
def test_a_client_may_vanish_at_any_byte(name: str, wait: bool) -> None:
    data = BYTES[name]
    edges = [index for index, byte in enumerate(data) if byte in b'\r\n{"']
    for cut in [0, *edges[:: 1 if name == "endless" else 7], len(data) - 1]:
        messages, serving = talk(data[:cut], wait=wait)
        assert not wait or len(set(responses(messages))) == len(responses(messages))
        assert serving.orderly is (cut == 0)


@few
@given(st.binary(max_size=400))
@example(b"Content-Length: 2\r\n\r\n{}")
@example(b"\xff" * 100)
def test_garbage_is_survived(data: bytes) -> None:
    check(talk(data)[0])


@few
@given(
    st.sampled_from(sorted(BYTES)),
    st.lists(st.tuples(st.integers(min_value=0), st.integers(0, 20), st.binary(max_size=8)), min_size=1, max_size=5),
)
def test_damaged_sessions_are_survived(name: str, damages: list[tuple[int, int, bytes]]) -> None:
    """Bytes lost, bytes put in, anywhere: then the lengths in the headers are wrong too."""
    data = bytearray(BYTES[name])
    for place, lost, inserted in damages:
        start = place % len(data)
        data[start : start + lost] = inserted
    messages, _ = talk(bytes(data))
    assert all(message["type"] in ("response", "event") for message in messages)


@few
@given(st.randoms(use_true_random=False), st.sampled_from(sorted(TRANSCRIPTS)))
def test_requests_in_any_order_are_each_answered_once(random: Any, name: str) -> None:
    chosen = [dict(random.choice(TRANSCRIPTS[name])) for _ in range(random.randrange(1, 25))]
    chosen = [{**message, "seq": seq} for seq, message in enumerate(chosen, start=1)]
    messages, _ = talk(b"".join(framed(message) for message in chosen))
    check(messages)
    answered = responses(messages)
    assert len(set(answered)) == len(answered)
    goodbye = next((message["seq"] for message in chosen if message["command"] == "disconnect"), len(chosen))
    assert set(answered) == set(range(1, goodbye + 1))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def fields_of(value: Any) -> list[Callable[[Any], None]]:
    """For each place within a JSON value, the function that writes something else there."""
    if not isinstance(value, (dict, list)):
        return []
    places = []
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        places.append(lambda new, key=key: value.__setitem__(key, new))
        places += fields_of(value[key])
    return places


@few
@given(st.integers(min_value=0), st.integers(min_value=0), anything)
def test_wrong_values_anywhere_are_answered(which: int, where: int, wrong: Any) -> None:
    session = json.loads(json.dumps(SESSION[:-1]))
    message = session[which % len(session)]
    places = fields_of(message["arguments"]) or fields_of(message)[-1:]
    places[where % len(places)](wrong)
    messages, _ = talk(b"".join(framed(message) for message in session))
    check(messages)
    assert sorted(responses(messages)) == [message["seq"] for message in session]


@few
@given(st.sampled_from([*REQUESTS, "fly"]), anything, st.booleans())
def test_any_arguments_of_any_request_are_answered(command: str, arguments: Any, begun: bool) -> None:
    before = SESSION[:5] if begun else []
    strange = {"seq": 99, "type": "request", "command": command, "arguments": arguments}
    messages, _ = talk(b"".join(framed(message) for message in [*before, strange]))
    check(messages)
    assert responses(messages)[-1] == 99


def test_huge_numbers_are_no_promise_of_memory() -> None:
    for length in (LONGEST_CONTENT + 1, 10**30):
        messages, serving = talk(b"Content-Length: %d\r\n\r\n" % length)
        assert messages[-1]["event"] == "output" and not serving.orderly
    messages, _ = talk(b"A" * (LONGEST_HEADER * 2))
    assert "longer" in messages[-1]["body"]["output"]


def test_a_huge_message_is_handled() -> None:
    arguments = {"adapterID": "x" * (8 << 20), "ignored": ["y" * 100] * 10_000}
    huge = requests(("initialize", arguments), ("disconnect", {}))
    messages, serving = talk(b"".join(framed(message) for message in huge))
    assert responses(messages) == [1, 2] and serving.orderly


def test_a_flood_of_requests_is_answered_in_order() -> None:
    flood = [{"seq": seq, "type": "request", "command": "threads"} for seq in range(1, 3001)]
    messages, _ = talk(b"".join(framed(message) for message in flood))
    assert responses(messages) == list(range(1, 3001))


def test_a_client_that_reads_nothing_and_leaves_ends_the_server() -> None:
    flood = [{"seq": seq, "type": "request", "command": "x" * 100} for seq in range(1, 5001)]
    serving = Serving()
    with serving.socket as connection:
        connection.sendall(b"".join(framed(message) for message in flood))
    serving.join()
    assert not serving.orderly
