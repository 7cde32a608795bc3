"""The real debugger: how sessions begin, go on and end."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from debug.dap.client import served
from debug.dap.covering import covers
from debug.dap.real import (
    IPV4,
    OPTIMISED,
    PARSER,
    SOURCE,
    assembly,
    at,
    at_lines,
    connected,
    debugging,
    frames,
    launch,
    move,
    object_of,
    outputs,
    stopped,
    value,
)

from pybpftime.debug.dap.backend import SessionBackend
from pybpftime.debug.launch import Launch, open_session
from pybpftime.debug.recording import save
from pybpftime.debug.session import Session
from pybpftime.program.packets import read_packets
from pybpftime.runtime.load import read_file, read_object

ENDLESS = "loop:\n r1 += 1\n goto loop\n"
COUNTING = "r0 = 0\nloop:\n r0 += 1\n if r0 < 50000 goto loop\n exit\n"


@covers("initialize", "launch", "configurationDone", "stackTrace", "next", "continue", "disconnect")
def test_a_session_from_beginning_to_end() -> None:
    with connected() as (client, serving):
        launch(client, PARSER, 153)
        assert client.event("process")["body"]["name"] == "xdp_parser.O0.bpf.o"
        assert client.event("loadedSource")["body"]["source"]["path"] == SOURCE["path"]
        entry = stopped(client)
        assert (entry["reason"], entry["description"]) == ("entry", "packet 1 begins")
        assert at(client) == ("parse", 318)
        hit = move(client, "continue")
        assert hit["reason"] == "breakpoint" and hit["hitBreakpointIds"] == [1]
        assert at(client) == ("parse_ipv4", 153)
        assert move(client, "next")["reason"] == "step"
        assert at(client) == ("parse_ipv4", 155)
        client.body("disconnect")
        client.end()
    assert serving.orderly and serving.backend.closed


@covers("continue")
def test_the_end_stops_once_and_then_ends_the_session() -> None:
    with debugging() as client:
        end = move(client, "continue")
        assert end["reason"] == "end" and "last run" in end["description"]
        assert "76 runs: " in outputs(client) and "XDP_PASS" in outputs(client)
        assert move(client, "stepBack")["reason"] == "step"
        assert move(client, "next")["reason"] == "end"
        client.body("continue", {"threadId": 1})
        assert client.event("exited")["body"] == {"exitCode": 0}
        client.event("terminated")


@covers("launch")
def test_a_fault_ends_with_exit_code_1(tmp_path: Path) -> None:
    with debugging(assembly(tmp_path, "r0 = *(u8 *)(r10 - 600)\nexit\n")) as client:
        assert move(client, "continue")["reason"] == "exception"
        assert move(client, "continue")["reason"] == "end"
        client.body("continue", {"threadId": 1})
        assert client.event("exited")["body"] == {"exitCode": 1}


@covers("launch")
def test_without_debugging_nothing_stops() -> None:
    with connected() as (client, _):
        launch(client, {**PARSER, "noDebug": True}, 153)
        assert client.event("exited")["body"]["exitCode"] == 0
        client.event("terminated")
        assert not [one for one in client.events if one["event"] == "stopped"]


@covers("launch", "evaluate")
def test_everything_that_a_run_depends_on_can_be_given(tmp_path: Path) -> None:
    shutil.copy(object_of("xdp_parser.O0"), tmp_path / "prog.o")
    arguments = {
        "object": "prog.o",
        "cwd": str(tmp_path),
        "program": "parse",
        "packet": IPV4,
        "ctx": {"ingress_ifindex": 7},
        "maps": {"verdicts": {"XDP_PASS": 41}},
        "variables": {"blocked_ports": [53, 0, 0, 0]},
        "environment": {"time_ns": 5},
        "cpus": 2,
        "level": "linux",
        "limits": {"tail_calls": 3},
        "budget": 100_000,
        "sourceMap": {"tests/programs": str(Path(SOURCE["path"]).parent)},
        "sourcePaths": [str(tmp_path)],
    }
    with debugging(arguments) as client:
        assert move(client, "next")["reason"] == "step"  # over what saves the parameters
        assert value(client, "ctx->ingress_ifindex") == "7"
        assert value(client, "verdicts[2]") == "41"
        assert value(client, "blocked_ports[0]") == "53"
        assert frames(client)[0]["source"]["path"] == SOURCE["path"]
        assert move(client, "continue")["reason"] == "end"
        assert "XDP_DROP" in outputs(client)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "neither object nor recording"),
        ({"object": "nothing.o"}, "cannot be read"),
        ({**PARSER, "program": "parsed"}, "no program named parsed"),
        ({**PARSER, "packet": IPV4}, "exclude each other"),
        ({"object": PARSER["object"]}, "none was given"),
        ({"object": PARSER["object"], "packet": "xyz"}, "neither a file nor hex"),
        ({**PARSER, "ctx": "0"}, "ctx"),
        ({**PARSER, "ctx": {"mark": 1}}, "mark"),
        ({**PARSER, "maps": {"flow": {}}}, "no map named flow"),
        ({**PARSER, "variables": {"ports": 1}}, "ports"),
        ({**PARSER, "environment": {"time": 1}}, "no field 'time'"),
        ({**PARSER, "environment": {"random": 1}}, "no field 'random'"),
        ({**PARSER, "environment": {"pid": "x"}}, "pid is a number"),
        ({**PARSER, "cpus": 0}, "cpu_count"),
        ({**PARSER, "limits": {"depth": 1}}, "no field 'depth'"),
        ({**PARSER, "limits": {"tail_calls": -1}}, "tail_calls"),
        ({**PARSER, "budget": 0}, "budget"),
        ({**PARSER, "sourceMap": {"a": 1}}, "sourceMap"),
        ({**PARSER, "helpers": ["none.py"]}, "none.py"),
        ({**PARSER, "recording": "x"}, "cannot be given beside it"),
        ({"recording": "none.bpfrec"}, "none.bpfrec"),
    ],
)
def test_what_does_not_fit_is_said_and_launch_may_come_again(arguments: Any, sentence: str) -> None:
    with connected() as (client, _):
        response = client.request("launch", arguments)
        assert not response["success"] and response["message"] in ("InputError", "BpfError"), response
        assert sentence in response["body"]["error"]["format"], response
        launch(client, PARSER)
        assert stopped(client)["reason"] == "entry"


@covers("attach")
def test_there_is_nothing_to_attach_to() -> None:
    with connected() as (client, _):
        assert "no session to join" in client.error("attach", {})


@covers("attach", "restart")
def test_a_session_that_is_there_is_joined_and_stays() -> None:
    session = parser_session()
    session.start()
    for _ in range(2):
        with served(SessionBackend(session)) as (client, _):
            client.initialize()
            client.body("attach", {})
            assert client.event("process")["body"]["startMethod"] == "attach"
            client.event("initialized")
            at_lines(client, 153)
            client.body("configurationDone")
            step = session.world.step
            stopped(client)
            assert value(client, "$step") == str(step)
            assert move(client, "continue")["reason"] == "breakpoint"
            client.body("restart")
            assert stopped(client)["reason"] == "entry" and value(client, "$step") == "0"
            assert move(client, "continue")["reason"] == "breakpoint"
    assert session.world.step > 0 and session.output is None and not session.breakpoints.all


@covers("restart")
def test_restart_begins_anew_with_the_same_breakpoints() -> None:
    with debugging(PARSER, 153) as client:
        assert move(client, "continue")["hitBreakpointIds"] == [1]
        # The schema has the arguments as one of two things, which are the same thing.
        assert client.request("restart", {"arguments": OPTIMISED}, valid=False)["success"]
        assert stopped(client)["reason"] == "entry"
        assert client.event("breakpoint")["body"]["breakpoint"]["id"] == 1
        assert move(client, "continue")["hitBreakpointIds"] == [1]
        assert frames(client)[0]["name"].startswith("parse_ipv4")
        client.body("restart")
        assert stopped(client)["reason"] == "entry"


@covers("pause", "threads", "setBreakpoints", "terminate")
def test_an_endless_loop_is_paused_looked_at_and_ended(tmp_path: Path) -> None:
    with connected() as (client, _):
        launch(client, assembly(tmp_path, ENDLESS) | {"budget": 1 << 40, "stopOnEntry": False})
        assert client.body("threads")["threads"] == [{"id": 1, "name": "cpu 0"}]
        client.body("pause", {"threadId": 1})
        assert stopped(client)["reason"] == "pause"
        first = int(value(client, "$step"))
        client.body("continue", {"threadId": 1})
        assert not at_lines(client, 3)[0]["verified"]
        client.body("pause", {"threadId": 1})
        assert stopped(client)["reason"] == "pause"
        assert int(value(client, "$step")) >= first
        client.body("continue", {"threadId": 1})
        client.body("terminate")
        client.event("terminated")


def test_a_breakpoint_that_is_set_during_a_run_is_hit(tmp_path: Path) -> None:
    with connected() as (client, _):
        launch(client, assembly(tmp_path, ENDLESS) | {"budget": 1 << 40})
        stopped(client)
        reference = frames(client)[0]["instructionPointerReference"]
        client.body("continue", {"threadId": 1})
        found = client.body("setInstructionBreakpoints", {"breakpoints": [{"instructionReference": reference}]})
        assert found["breakpoints"][0]["verified"]
        assert stopped(client)["reason"] == "instruction breakpoint"


@covers("cancel")
def test_a_long_run_shows_how_far_it_is_and_is_cancelled(tmp_path: Path) -> None:
    with connected() as (client, _):
        launch(client, assembly(tmp_path, ENDLESS) | {"budget": 1 << 40, "stopOnEntry": False})
        shown = client.event("progressStart")["body"]
        assert shown["title"] == "Running" and "step" in shown["message"]
        client.body("cancel", {"progressId": shown["progressId"]})
        client.event("progressEnd")
        assert stopped(client)["reason"] == "pause"


def test_going_back_in_a_long_run_is_paused_and_tried_again(tmp_path: Path) -> None:
    with debugging(assembly(tmp_path, COUNTING) | {"budget": 1 << 40}) as client:
        assert move(client, "continue")["reason"] == "end"
        seq = client.send("reverseContinue", {"threadId": 1})
        client.body("pause", {"threadId": 1})
        assert client.response(seq)["success"]
        assert stopped(client)["reason"] in ("pause", "entry")
        client.body("disconnect")


def test_an_endless_loop_ends_at_the_budget(tmp_path: Path) -> None:
    with debugging(assembly(tmp_path, ENDLESS) | {"budget": 1000}) as client:
        stop = move(client, "continue")
        assert stop["reason"] == "exception" and "1000" in stop["text"]


@pytest.mark.parametrize("running", [False, True])
def test_a_client_that_disappears_ends_the_server(tmp_path: Path, running: bool) -> None:
    with connected() as (client, serving):
        launch(client, assembly(tmp_path, ENDLESS) | {"budget": 1 << 40, "stopOnEntry": not running})
        if not running:
            stopped(client)
        serving.socket.shutdown(2)
        serving.join()
    assert serving.orderly is False


def parser_session() -> Session:
    """A session that no editor began: the parser on five packets."""
    content = read_file(PARSER["object"])
    packets = tuple(read_packets(PARSER["pcap"]))[:5]
    return open_session(Launch(read_object(content, name=PARSER["object"]), content, packets=packets))


def test_a_recording_is_launched(tmp_path: Path) -> None:
    session = parser_session()
    session.start()
    session.resume()
    save(session, tmp_path / "five.bpfrec")
    with debugging({"recording": "five.bpfrec", "cwd": str(tmp_path)}) as client:
        assert at(client) == ("parse", 318)
        assert move(client, "continue")["reason"] == "end"
        assert re.search(r"5 runs: 5 XDP_PASS", outputs(client))


def test_a_witness_of_the_verifier_is_launched(tmp_path: Path) -> None:
    from pybpftime.cli.verify_workers import Limits, Task, verified
    from pybpftime.verifier.witness_file import witness_data

    program = assembly(tmp_path, "r2 = *(u32 *)(r1 + 0)\nr0 = *(u64 *)(r2 + 60)\nexit\n")
    spec = read_object(program["object"], type="xdp")
    answer = verified(Task("program.s", spec, "program"), Limits(100_000, 60.0), ())
    assert answer.report is not None and answer.report.witness is not None
    file = tmp_path / "witness.json"
    file.write_text(json.dumps(witness_data(answer.report.witness, "program")))
    with debugging({**program, "witness": str(file)}) as client:
        assert move(client, "continue")["reason"] == "exception"
    with connected() as (client, _):
        assert "cannot be given beside" in client.error("launch", {**PARSER, "witness": str(file)})
        file.write_text("{")
        assert "is no JSON" in client.error("launch", {"object": PARSER["object"], "witness": str(file)})
