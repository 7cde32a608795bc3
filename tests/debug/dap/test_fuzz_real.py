"""Broken and hostile clients of the real debugger: every request is answered, whatever is in it, and nothing fails."""

from __future__ import annotations

import json
import random
import socket
from typing import Any

from debug.dap.client import Serving, framed
from debug.dap.real import ABILITIES, IPV4, PARSER, SOURCE
from debug.dap.test_fuzz import anything, check, fields_of, requests, responses, talk
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from pybpftime.debug.dap.backend import SessionBackend
from pybpftime.debug.dap.framing import Decoder, Problem
from pybpftime.debug.dap.requests import REQUESTS

LAUNCH = {"object": PARSER["object"], "packet": IPV4}
CODE = "0xc0de00000000"
SESSION = requests(
    ("initialize", {"adapterID": "x", **ABILITIES}),
    ("launch", LAUNCH),
    ("setBreakpoints", {"source": SOURCE, "breakpoints": [{"line": 166, "condition": "ip->ttl > 1"}, {"line": 345}]}),
    ("setFunctionBreakpoints", {"breakpoints": [{"name": "/take/", "hitCondition": "% 2"}]}),
    ("setInstructionBreakpoints", {"breakpoints": [{"instructionReference": CODE, "offset": 16}]}),
    ("setExceptionBreakpoints", {"filters": ["fault"], "filterOptions": [{"filterId": "helper-error"}]}),
    ("configurationDone", {}),
    ("threads", None),
    ("stackTrace", {"threadId": 1, "startFrame": 0, "levels": 20, "format": {"parameters": True}}),
    ("scopes", {"frameId": 1}),
    ("variables", {"variablesReference": 2, "start": 0, "count": 4}),
    ("continue", {"threadId": 1}),
    ("stackTrace", {"threadId": 1}),
    ("scopes", {"frameId": 2}),
    *(("variables", {"variablesReference": number}) for number in range(8, 24)),
    ("next", {"threadId": 1, "granularity": "line"}),
    ("stepIn", {"threadId": 1, "granularity": "instruction"}),
    ("evaluate", {"expression": "packet[12:14]", "context": "repl"}),
    ("evaluate", {"expression": "$r7 = 5", "context": "repl"}),
    ("evaluate", {"expression": "reverse-next", "context": "repl"}),
    ("setExpression", {"expression": "packet[0]", "value": "1"}),
    ("completions", {"text": "flow->s", "column": 8, "line": 1}),
    ("dataBreakpointInfo", {"name": "verdicts[2]", "bytes": 4}),
    ("setDataBreakpoints", {"breakpoints": [{"dataId": "1 verdicts[2]", "condition": "1", "hitCondition": "1"}]}),
    ("stepBack", {"threadId": 1}),
    ("reverseContinue", {"threadId": 1}),
    ("gotoTargets", {"source": SOURCE, "line": 345}),
    ("goto", {"threadId": 1, "targetId": 1}),
    ("restartFrame", {"frameId": 2}),
    ("stepInTargets", {"frameId": 2}),
    ("stepOut", {"threadId": 1}),
    ("disassemble", {"memoryReference": CODE, "instructionOffset": -4, "instructionCount": 12, "offset": 8}),
    ("readMemory", {"memoryReference": "0xff80001000000100", "count": 64, "offset": 0}),
    ("writeMemory", {"memoryReference": "0xff80001000000100", "data": "AAAA", "allowPartial": True}),
    ("source", {"sourceReference": 1}),
    ("loadedSources", {}),
    ("modules", {"startModule": 0}),
    ("locations", {"locationReference": 1}),
    ("breakpointLocations", {"source": SOURCE, "line": 1, "endLine": 400}),
    ("exceptionInfo", {"threadId": 1}),
    ("setVariable", {"variablesReference": 1, "name": "r7", "value": "5"}),
    ("restart", {"arguments": LAUNCH}),
    ("continue", {"threadId": 1}),
    ("pause", {"threadId": 1}),
    ("cancel", {"requestId": 3}),
    ("terminate", {}),
    ("disconnect", {}),
)

few = settings(max_examples=20, database=None, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def converse(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the server answers, each of it as the schema says.  A request goes when the one before was answered."""
    serving, decoder = Serving(SessionBackend()), Decoder()
    answers: list[Any] = []

    def read_until(seq: int | None) -> None:
        while seq is None or seq not in responses(answers):
            piece = serving.socket.recv(1 << 16)
            answers.extend(decoder.feed(piece))
            if not piece:
                return

    with serving.socket as connection:
        for message in messages:
            connection.sendall(framed(message))
            read_until(message["seq"])
        connection.shutdown(socket.SHUT_WR)
        read_until(None)
    serving.join()
    assert decoder.finish() is None and not [one for one in answers if isinstance(one, Problem)]
    assert not [line for line in serving.log if not line.startswith("client: ")], serving.log
    check(answers)
    return answers


def test_the_session_is_a_good_one() -> None:
    answers = converse(SESSION)
    assert sorted(responses(answers)) == [message["seq"] for message in SESSION]
    assert {message["command"] for message in SESSION} >= set(REQUESTS) - {
        "attach", "terminateThreads", "runInTerminal", "startDebugging",
    }  # fmt: skip
    good = {message["command"] for message in answers if message.get("success")}
    assert len(good) >= 30, sorted(good)


@few
@seed(5)
@given(st.integers(min_value=0), st.integers(min_value=0), anything)
def test_wrong_values_anywhere_are_answered(which: int, where: int, wrong: Any) -> None:
    begin, rest = SESSION[:7], SESSION[7:-1]
    message = json.loads(json.dumps((rest + SESSION[1:7])[which % (len(rest) + 6)]))
    places = fields_of(message["arguments"]) or fields_of(message)[-1:]
    places[where % len(places)](wrong)
    session = [*begin, {**SESSION[11], "seq": 97}, {**SESSION[12], "seq": 98}, {**message, "seq": 99}]
    assert 99 in responses(converse(session))


@few
@seed(6)
@given(st.sampled_from(sorted(REQUESTS)), anything, st.booleans())
def test_any_arguments_of_any_request_are_answered(command: str, arguments: Any, begun: bool) -> None:
    before = SESSION[:12] if begun else []
    strange = {"seq": 99, "type": "request", "command": command, "arguments": arguments}
    assert 99 in responses(converse([*before, strange]))


def test_requests_in_any_order_are_each_answered_once() -> None:
    for number in range(8):
        chosen = random.Random(number)
        begin = SESSION[: chosen.choice((1, 7, 7, 7))]
        rest = [dict(chosen.choice(SESSION[7:-2])) for _ in range(25)]
        messages = [{**message, "seq": seq} for seq, message in enumerate([*begin, *rest], start=1)]
        assert sorted(responses(converse(messages))) == [message["seq"] for message in messages]


def test_numbers_beyond_all_reason() -> None:
    """Each number of the session once as a very large one, and once as a negative one."""
    for huge in (1 << 62, -(1 << 62), 10**30):
        session = json.loads(json.dumps(SESSION[:-1]))
        for message in session[7:]:
            for name, value in (message["arguments"] or {}).items():
                if isinstance(value, int) and not isinstance(value, bool):
                    message["arguments"][name] = huge
        assert sorted(responses(converse(session))) == [message["seq"] for message in session]


def test_a_client_may_vanish_between_any_two_requests() -> None:
    for cut in range(0, len(SESSION), 4):
        data = b"".join(framed(message) for message in SESSION[:cut])
        messages, _ = talk(data, wait=cut % 2 == 0, backend=SessionBackend())
        assert cut % 2 or len(responses(messages)) >= min(cut, 1)
