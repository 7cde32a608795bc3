"""One client and one server: order, errors, runs, cancellation, the end."""

from __future__ import annotations

import socket
from base64 import b64encode
from typing import Any

import pytest
from debug.dap.client import Serving, framed, served
from debug.dap.fake_backend import FILE, LAST_LINE, SOURCE, FakeBackend

import pybpftime.debug.dap.client as client_module
from pybpftime.debug.dap.handling import request
from pybpftime.debug.dap.requests import REQUESTS, State
from pybpftime.debug.dap.server import Server
from pybpftime.debug.dap.transport import SocketChannel

CAPABILITIES_OF_CLIENT = {
    "supportsProgressReporting": True,
    "supportsInvalidatedEvent": True,
    "supportsMemoryEvent": True,
}


def commands_in_order(transcript: list[dict[str, Any]]) -> list[str]:
    """What the server sent: events by name, responses by command."""
    return [message.get("event") or message["command"] for message in transcript if message["type"] != "request"]


def test_a_session_from_beginning_to_end() -> None:
    with served() as (client, serving):
        capabilities = client.initialize()
        assert capabilities["supportsStepBack"] and capabilities["supportsConditionalBreakpoints"]
        assert capabilities["exceptionBreakpointFilters"][0]["filter"] == "fault"
        assert "supportsModulesRequest" not in capabilities  # the fake handles no modules
        client.body("launch", {"object": FILE})
        client.event("initialized")
        lines = [4, LAST_LINE + 1]
        found = client.body(
            "setBreakpoints", {"source": {"path": FILE}, "breakpoints": [{"line": line} for line in lines]}
        )
        assert [(it["verified"], it.get("line")) for it in found["breakpoints"]] == [(True, 4), (False, None)]
        client.body("configurationDone")
        assert client.event("output")["body"] == {"category": "console", "output": "ready\n"}
        assert client.event("stopped")["body"]["reason"] == "entry"
        assert client.body("continue", {"threadId": 1}) == {"allThreadsContinued": True}
        assert client.event("stopped")["body"]["hitBreakpointIds"] == [4]
        frames = client.body("stackTrace", {"threadId": 1})["stackFrames"]
        assert [(frame["name"], frame["line"]) for frame in frames] == [("main", 4), ("caller", 0)]
        client.body("stepBack", {"threadId": 1})
        assert client.event("stopped")["body"]["reason"] == "step"
        assert client.body("variables", {"variablesReference": 100})["variables"][0]["value"] == "3"
        client.body("disconnect")
        assert serving.backend.closed  # before the response: many clients kill the debugger then
        client.end()
        assert commands_in_order(client.transcript)[:4] == ["initialize", "launch", "initialized", "setBreakpoints"]
    assert serving.orderly and not serving.log


def test_what_the_program_has_can_be_looked_at() -> None:
    with served() as (client, _):
        client.launch()
        assert client.body("threads") == {"threads": [{"id": 1, "name": "cpu 0"}]}
        assert client.body("scopes", {"frameId": 1})["scopes"][0]["name"] == "Locals"
        assert client.body("source", {"sourceReference": 7})["content"] == SOURCE
        assert client.body("loadedSources")["sources"] == [{"name": "program.bpf.c", "path": FILE}]
        assert client.body("readMemory", {"memoryReference": "0x0", "count": 2})["data"] == "AAE="
        data = b64encode(b"xyz").decode()
        assert client.body("writeMemory", {"memoryReference": "0x0", "data": data}) == {"bytesWritten": 3}
        assert client.body("completions", {"text": "li", "column": 3})["targets"][0]["label"] == "line"
        assert client.body("dataBreakpointInfo", {"name": "nothing"})["dataId"] is None
        assert client.body("goto", {"threadId": 1, "targetId": 5}) is None
        assert client.event("stopped")["body"]["reason"] == "goto"


def test_a_program_that_ends_is_said_to_have_ended() -> None:
    with served() as (client, serving):
        client.launch()
        client.body("continue", {"threadId": 1})
        assert client.event("exited")["body"] == {"exitCode": 0}
        client.event("terminated")
        assert "ended" in client.error("next", {"threadId": 1})
        client.body("terminate")
        client.body("disconnect")
    assert serving.orderly


# --- errors -----------------------------------------------------------------------------------------------------------


def test_errors_of_handlers_are_sentences() -> None:
    with served() as (client, serving):
        client.launch()
        response = client.request("evaluate", {"expression": "1 +"})
        assert (response["message"], response["success"]) == ("InputError", False)
        assert response["body"]["error"]["format"].endswith("'1 +' is no expression")
        assert client.body("evaluate", {"expression": "line"})["result"] == "1"
    assert not serving.log


@pytest.mark.parametrize("expression", ["bug", "nonsense"])
def test_a_bug_in_a_handler_costs_one_request(expression: str) -> None:
    with served() as (client, serving):
        client.launch()
        response = client.request("evaluate", {"expression": expression})
        assert response["message"] == "internalError" and response["body"]["error"]["showUser"]
        assert client.body("evaluate", {"expression": "line"})["result"] == "1"
    (line,) = serving.log
    assert line.startswith("internal error in evaluate: ") and "\n" not in line


def test_a_bug_in_a_run_stops_the_program() -> None:
    with served() as (client, serving):
        client.configure(program="broken")
        client.body("configurationDone")
        assert client.event("output")["body"]["output"] == "ready\n"
        assert "ValueError: a bug of two lines" in client.event("output")["body"]["output"]
        assert client.event("stopped")["body"]["reason"] == "pause"
        assert client.body("threads")
    (line,) = serving.log
    assert line.startswith("internal error in configurationDone: ValueError: a bug of two lines")


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("evaluate", {}, "arguments.expression is missing"),
        ("evaluate", [], "arguments must be an object, not a list"),
        ("next", {"threadId": "1"}, "arguments.threadId must be an integer, not a string"),
        ("stackTrace", None, "arguments.threadId is missing"),
    ],
)
def test_wrong_arguments_are_refused(command: str, arguments: Any, sentence: str) -> None:
    with served() as (client, _):
        client.launch()
        assert client.error(command, arguments, valid=False) == sentence


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("fly", "no such request"),
        ("modules", "no such request"),  # of the protocol, but the fake does not handle it
        ("terminateThreads", "terminate ends the program"),
        ("runInTerminal", "to clients"),
    ],
)
def test_unknown_requests_are_refused(command: str, why: str) -> None:
    with served() as (client, _):
        response = client.request(command, {}, valid=False)
        assert response["message"] == "unsupported" and why in response["body"]["error"]["format"]


# A value for each required field is enough: the state is checked first.
OUT_OF_PLACE = [
    (row.command, state)
    for row in REQUESTS.values()
    for state in (State.NEW, State.INITIALIZED, State.CONFIGURING, State.ACTIVE)
    if not row.why_not and state not in row.states and row.command != "modules"
]


@pytest.mark.parametrize("state", [State.NEW, State.INITIALIZED, State.CONFIGURING, State.ACTIVE])
def test_requests_out_of_place_are_refused(state: State) -> None:
    tried = 0
    with served() as (client, _):
        if state is State.INITIALIZED:
            client.initialize()
        elif state is State.CONFIGURING:
            client.configure()
        elif state is State.ACTIVE:
            client.launch()
        for command, wrong in OUT_OF_PLACE:
            if wrong is state and command in {*_HANDLED, "initialize"}:
                response = client.request(command, {}, valid=False)
                assert response["message"] == "outOfPlace", response
                assert state.value in response["body"]["error"]["format"]
                tried += 1
        client.request("disconnect")
    assert tried >= 4


_HANDLED = {getattr(value, "dap_command", None) for value in vars(FakeBackend).values()}


def test_launch_that_fails_can_be_tried_again() -> None:
    with served() as (client, _):
        client.initialize()
        response = client.request("launch", {})
        assert response["body"]["error"]["showUser"] and "nothing to debug" in response["body"]["error"]["format"]
        client.body("launch", {"object": FILE})
        client.event("initialized")


def test_a_bug_in_letting_go_is_logged() -> None:
    class Clinging(FakeBackend):
        def close(self) -> None:
            super().close()
            raise OSError("cannot let go")

    with served(Clinging()) as (client, serving):
        client.body("disconnect")
        client.end()
    (line,) = serving.log
    assert line.startswith("internal error in the end: OSError: cannot let go")


def test_a_backend_may_not_handle_what_the_server_does() -> None:
    class Meddler(FakeBackend):
        @request("cancel")
        def cancel(self, client: Any, arguments: Any) -> None: ...

    with socket.socket() as unused, pytest.raises(ValueError, match="the server itself handles cancel"):
        Server(Meddler(), SocketChannel(unused))


# --- what comes is not a request --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[1]", b"\xff", b"{}", b'{"seq": 1}'),
        b'{"seq": "1", "type": "request", "command": "threads"}',
        b'{"seq": true, "type": "request", "command": "threads"}',
        b'{"seq": 1, "type": "request", "command": 5}',
    ],
)
def test_a_message_that_is_none_is_reported_and_forgotten(content: bytes) -> None:
    with served() as (client, serving):
        client.launch()
        client.send_bytes(framed(content))
        assert client.event("output")["body"]["category"] == "console"  # of the launch
        assert client.event("output")["body"]["category"] == "important"
        assert client.body("threads")
    assert len(serving.log) == 1


@pytest.mark.parametrize("message", [{"seq": 1, "type": "event", "event": "x"}, {"seq": 1, "type": "response"}])
def test_events_and_responses_of_clients_are_ignored(message: dict[str, Any]) -> None:
    with served() as (client, serving):
        client.send_bytes(framed(message))
        client.initialize()
    assert not serving.log and commands_in_order(client.transcript) == ["initialize"]


def test_garbage_ends_the_session() -> None:
    with served() as (client, serving):
        client.launch()
        client.send_bytes(b"GET / HTTP/1.1\r\n\r\n")
        client.end()
        assert client.transcript[-1]["body"]["category"] == "important"
    assert not serving.orderly and "client: a line of a header" in serving.log[0]


# --- runs and their interruption --------------------------------------------------------------------------------------


def start(client: Any, serving: Serving) -> int:
    """Let an endless program run; the number of the request that began it."""
    client.configure(program="endless")
    seq: int = client.send("configurationDone")
    client.response(seq)
    assert serving.backend.began.wait(10)
    return seq


def test_pause_stops_an_endless_program() -> None:
    with served() as (client, serving):
        start(client, serving)
        client.body("pause", {"threadId": 1})
        assert client.event("stopped")["body"]["reason"] == "pause"
        assert commands_in_order(client.transcript)[-2:] == ["pause", "stopped"]
        assert client.body("stackTrace", {"threadId": 1})


def test_pause_of_a_program_that_stands_changes_nothing() -> None:
    with served() as (client, _):
        client.launch()
        client.body("pause", {"threadId": 1})
        assert client.body("evaluate", {"expression": "line"})["result"] == "1"
        assert not [event for event in client.events if event["event"] == "stopped"]


def test_breakpoints_are_set_while_a_program_runs_and_it_runs_on() -> None:
    with served() as (client, serving):
        start(client, serving)
        before = serving.backend.advances
        serving.backend.began.clear()
        found = client.body("setBreakpoints", {"source": {"path": FILE}, "breakpoints": [{"line": 2}]})
        assert found["breakpoints"][0]["verified"]
        assert serving.backend.began.wait(10)
        assert serving.backend.advances > before
        assert client.body("threads")
        client.body("pause", {"threadId": 1})
        client.event("stopped")


def test_what_needs_a_stopped_program_waits_for_it() -> None:
    with served() as (client, serving):
        start(client, serving)
        waiting = client.send("stackTrace", {"threadId": 1})
        client.body("threads")
        assert waiting not in client.responses
        client.send("pause", {"threadId": 1})
        assert client.response(waiting)["success"]
        assert commands_in_order(client.transcript)[-3:] == ["pause", "stopped", "stackTrace"]


def test_unknown_and_wrong_requests_do_not_wait_for_a_run() -> None:
    with served() as (client, serving):
        start(client, serving)
        assert client.request("fly", valid=False)["message"] == "unsupported"
        assert client.request("setBreakpoints", {}, valid=False)["message"] == "badArguments"
        client.body("disconnect")


def test_a_waiting_request_is_cancelled() -> None:
    with served() as (client, serving):
        start(client, serving)
        waiting = client.send("evaluate", {"expression": "line"})
        client.body("cancel", {"requestId": waiting})
        assert client.response(waiting)["message"] == "cancelled"
        client.body("disconnect")


def test_a_slow_request_is_cancelled() -> None:
    with served() as (client, serving):
        client.launch()
        slow = client.send("evaluate", {"expression": "slow"})
        assert serving.backend.began.wait(10)
        client.body("cancel", {"requestId": slow})
        assert client.response(slow)["message"] == "cancelled"
        assert client.body("evaluate", {"expression": "line"})["result"] == "1"


def test_a_slow_launch_is_cancelled_and_tried_again() -> None:
    with served() as (client, serving):
        client.initialize()
        slow = client.send("launch", {"object": FILE, "program": "slow"})
        assert serving.backend.began.wait(10)
        client.body("cancel", {"requestId": slow})
        assert client.response(slow)["message"] == "cancelled"
        client.body("launch", {"object": FILE})
        client.event("initialized")


def test_cancel_of_a_run_stops_it() -> None:
    with served() as (client, serving):
        seq = start(client, serving)
        client.body("cancel", {"requestId": seq})
        assert client.event("stopped")["body"]["reason"] == "pause"


@pytest.mark.parametrize("arguments", [None, {}, {"requestId": 999}, {"progressId": "none"}])
def test_cancel_of_nothing_succeeds(arguments: Any) -> None:
    with served() as (client, _):
        client.launch()
        client.body("cancel", arguments)
        assert client.body("threads")


@pytest.mark.parametrize("command", ["disconnect", "terminate", "restart"])
def test_the_end_interrupts_a_run(command: str) -> None:
    with served() as (client, serving):
        start(client, serving)
        waiting = client.send("scopes", {"frameId": 1})
        client.body(command)
        assert client.response(waiting)["success"]  # it came first
        if command == "terminate":
            client.event("terminated")
        elif command == "restart":
            assert client.event("stopped")["body"]["reason"] == "entry"
        else:
            client.end()
    assert serving.backend.closed


def test_the_end_interrupts_a_slow_request() -> None:
    with served() as (client, serving):
        client.launch()
        slow = client.send("evaluate", {"expression": "slow"})
        assert serving.backend.began.wait(10)
        client.body("disconnect")
        assert client.response(slow)["message"] == "cancelled"


@pytest.mark.parametrize("running", [False, True])
def test_a_client_that_vanishes_ends_the_server(running: bool) -> None:
    with served() as (client, serving):
        if running:
            start(client, serving)
        else:
            client.launch()
        serving.socket.shutdown(socket.SHUT_WR)
        serving.join()
    assert serving.orderly is False and not serving.log


def test_requests_before_the_end_of_input_are_answered() -> None:
    with served() as (client, serving):
        numbers = [client.send("initialize", {"adapterID": "x"}), client.send("launch", {"object": FILE})]
        numbers.append(client.send("threads"))
        serving.socket.shutdown(socket.SHUT_WR)
        assert [client.response(number)["success"] for number in numbers] == [True] * 3
        client.end()


# --- what only some clients get ---------------------------------------------------------------------------------------


def test_clients_get_the_events_that_they_know() -> None:
    with served() as (client, _):
        client.initialize(**CAPABILITIES_OF_CLIENT)
        client.body("launch", {"object": FILE})
        client.body("configurationDone")
        client.body("evaluate", {"expression": "edit"})
        assert client.event("invalidated")["body"] == {"areas": ["variables"]}
        assert client.event("memory")["body"]["count"] == 16
    with served() as (client, _):
        client.launch()
        client.body("evaluate", {"expression": "edit"})
        client.body("threads")
        assert {event["event"] for event in client.events} == {"output"}


def test_progress_of_a_long_run_is_shown_and_cancels_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PROGRESS_AFTER", 0)
    monkeypatch.setattr(client_module, "PROGRESS_EVERY", 0)
    with served() as (client, _):
        client.initialize(**CAPABILITIES_OF_CLIENT)
        client.body("launch", {"object": FILE, "program": "endless"})
        client.send("configurationDone")
        shown = client.event("progressStart")["body"]
        assert shown["title"] == "Running" and shown["cancellable"]
        assert client.event("progressUpdate")["body"]["progressId"] == shown["progressId"]
        client.body("cancel", {"progressId": shown["progressId"]})
        assert client.event("progressEnd")["body"]["progressId"] == shown["progressId"]
        assert client.event("stopped")["body"]["reason"] == "pause"


def test_progress_needs_time_and_a_client_that_shows_it() -> None:
    times = [0.0]
    sent: list[dict[str, Any]] = []
    client = client_module.Client(sent.append, clock=lambda: times[-1])
    client.introduce({"adapterID": "x", "supportsProgressReporting": True})
    with client.progress("Short") as progress:
        progress.update("a")
    with client.progress("Long", request_seq=3) as progress:
        for now in (0.1, 0.31, 0.32, 0.6):
            times.append(now)
            progress.update("b", 50)
    assert [message["event"] for message in sent] == ["progressStart", "progressUpdate", "progressEnd"]
    assert sent[0]["body"]["requestId"] == 3 and sent[0]["body"]["percentage"] == 50
    client.introduce({"adapterID": "x"})
    with client.progress("Unseen") as progress:
        times.append(9.0)
        progress.update("c")
    assert len(sent) == 3


def test_lines_and_paths_are_in_the_conventions_of_the_client() -> None:
    with served() as (client, serving):
        client.initialize(linesStartAt1=False, columnsStartAt1=False, pathFormat="uri")
        client.body("launch", {"object": "file:///toy/a%20b.c"})
        assert serving.backend.path == "/toy/a b.c"
        source = {"path": "file:///toy/a%20b.c"}
        (found,) = client.body("setBreakpoints", {"source": source, "breakpoints": [{"line": 0}]})["breakpoints"]
        assert (found["line"], found["source"], serving.backend.breakpoints) == (0, source, {1})
        client.body("configurationDone")
        frames = client.body("stackTrace", {"threadId": 1})["stackFrames"]
        assert [(frame["line"], frame["column"]) for frame in frames] == [(0, 0), (0, 0)]
        assert frames[0]["source"]["path"] == source["path"]
