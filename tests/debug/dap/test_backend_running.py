"""The real debugger: moving forward, back, and in time."""

from __future__ import annotations

from debug.dap.covering import covers
from debug.dap.real import (
    OPTIMISED,
    PARSER,
    SOURCE,
    at,
    debugging,
    frames,
    move,
    object_of,
    outputs,
    stopped,
    value,
)


@covers("next", "stepIn", "stepOut", "stepBack")
def test_lines_are_stepped_over_into_out_and_back() -> None:
    with debugging(PARSER, 150) as client:
        move(client, "continue")
        assert at(client) == ("parse_ipv4", 150)
        move(client, "stepIn")
        assert at(client)[0] == "take"
        move(client, "stepOut")
        assert at(client) == ("parse_ipv4", 150)
        move(client, "next")
        assert at(client) == ("parse_ipv4", 153)
        move(client, "stepBack")
        assert at(client) == ("parse_ipv4", 150)
        move(client, "stepBack", granularity="statement")
        assert at(client) == ("parse_ipv4", 149)


@covers("stepBack")
def test_what_was_visited_forward_is_visited_back() -> None:
    with debugging(PARSER, 321) as client:
        move(client, "continue")
        seen = []
        for _ in range(4):
            seen.append(at(client))
            move(client, "next")
        back = []
        for _ in range(4):
            move(client, "stepBack")
            back.append(at(client))
    assert back == seen[::-1]


@covers("next", "stepIn", "stepBack")
def test_instructions_are_stepped_over_into_and_back() -> None:
    with debugging(PARSER) as client:
        steps = []
        while "call" not in (text := instruction(client)):
            steps.append(text)
            assert len(steps) < 30
            move(client, "next", granularity="instruction")
        before = int(value(client, "$step"))
        move(client, "next", granularity="instruction")
        assert at(client)[0] == "parse" and int(value(client, "$step")) > before + 10
        move(client, "stepBack", granularity="instruction")
        assert at(client)[0] == "parse_frame"
        client.body("evaluate", {"expression": f"goto {before}", "context": "repl"})
        assert stopped(client)["reason"] == "goto"
        move(client, "stepIn", granularity="instruction")
        assert at(client)[0] == "parse_frame" and int(value(client, "$step")) == before + 1


def instruction(client: object) -> str:
    """The instruction that is next."""
    from debug.dap.client import DapClient

    assert isinstance(client, DapClient)
    reference = frames(client)[0]["instructionPointerReference"]
    rows = client.body("disassemble", {"memoryReference": reference, "instructionCount": 1})["instructions"]
    return str(rows[0]["instruction"])


@covers("reverseContinue")
def test_breakpoints_stop_on_the_way_back() -> None:
    with debugging(PARSER, 153) as client:
        first = move(client, "continue")
        first_step = value(client, "$step")
        move(client, "continue")
        second_step = value(client, "$step")
        move(client, "continue")
        back = move(client, "reverseContinue")
        assert back["hitBreakpointIds"] == first["hitBreakpointIds"] and value(client, "$step") == second_step
        assert client.event("invalidated")["body"]["areas"] == ["all"]
        move(client, "reverseContinue")
        assert value(client, "$step") == first_step
        start = move(client, "reverseContinue")
        assert start["reason"] == "entry" and "beginning" in start["description"]
        assert value(client, "$step") == "0"


@covers("goto", "gotoTargets")
def test_goto_goes_in_time() -> None:
    with debugging(PARSER, 153) as client:
        targets = client.body("gotoTargets", {"source": SOURCE, "line": 160})["targets"]
        assert [one["label"].split()[0] for one in targets] == ["next", "previous"]
        client.body("goto", {"threadId": 1, "targetId": targets[0]["id"]})
        assert stopped(client)["reason"] == "goto" and at(client) == ("parse_ipv4", 160)  # past the breakpoint
        here = int(value(client, "$step"))
        move(client, "continue")
        client.body("goto", {"threadId": 1, "targetId": targets[1]["id"]})
        assert stopped(client)["reason"] == "goto" and int(value(client, "$step")) == here
        client.body("goto", {"threadId": 1, "targetId": targets[1]["id"]})
        assert stopped(client)["reason"] == "goto" and int(value(client, "$step")) == here
        assert f"not reached before step {here}" in outputs(client)
        assert "no code" in client.error("gotoTargets", {"source": SOURCE, "line": 9999})
        assert "no target" in client.error("goto", {"threadId": 1, "targetId": 999})


@covers("restartFrame")
def test_a_frame_is_restarted() -> None:
    with debugging(PARSER, 160) as client:
        move(client, "continue")
        assert [one["name"] for one in frames(client)] == ["parse_ipv4", "parse_frame", "parse"]
        client.body("restartFrame", {"frameId": frames(client)[0]["id"]})
        assert stopped(client)["reason"] == "restart" and at(client) == ("parse_ipv4", 148)
        move(client, "continue")
        client.body("restartFrame", {"frameId": frames(client)[1]["id"]})
        assert stopped(client)["reason"] == "restart" and at(client) == ("parse_frame", 267)
        move(client, "continue")
        index = value(client, "$invocation")
        client.body("restartFrame", {"frameId": frames(client)[2]["id"]})
        assert stopped(client)["reason"] == "restart" and at(client) == ("parse", 318)
        assert value(client, "$invocation") == index


def test_the_frame_of_the_first_packet_is_restarted() -> None:
    with debugging(PARSER) as client:
        move(client, "next")
        client.body("restartFrame", {"frameId": frames(client)[0]["id"]})
        assert stopped(client)["reason"] == "restart" and value(client, "$step") == "0"


@covers("stepInTargets", "stepIn")
def test_one_of_several_calls_is_stepped_into() -> None:
    with debugging(PARSER, 150) as client:
        move(client, "continue")
        (target,) = client.body("stepInTargets", {"frameId": frames(client)[0]["id"]})["targets"]
        assert (target["label"], target["line"]) == ("take", 150)
        move(client, "stepIn", targetId=target["id"])
        assert at(client) == ("take", 107)  # behind the prologue
        move(client, "stepOut")
        move(client, "next")
        assert client.body("stepInTargets", {"frameId": frames(client)[0]["id"]})["targets"] == []
        assert "no target" in client.error("stepIn", {"threadId": 1, "targetId": target["id"]})


def test_inlined_calls_are_targets_too() -> None:
    with debugging(OPTIMISED, 325) as client:
        move(client, "continue")
        names = [one["name"] for one in frames(client)]
        assert names == ["take (inlined)", "parse_ethernet (inlined)", "parse_frame (inlined)", "parse"]
        for number, label in ((1, "take"), (2, "parse_ethernet"), (3, "parse_frame")):
            (target,) = client.body("stepInTargets", {"frameId": frames(client)[number]["id"]})["targets"]
            assert target["label"] == label


def test_steps_go_through_packets() -> None:
    with debugging(PARSER, 345) as client:
        move(client, "continue")
        over = move(client, "next")
        assert over["description"] == "packet 1 is over" and "XDP_PASS" in over["text"]
        (frame,) = frames(client)
        assert frame["name"].startswith("parse returned XDP_PASS") and frame["line"] == 345
        assert move(client, "next")["description"] == "packet 2 begins"
        assert move(client, "stepBack", granularity="instruction")["description"] == "packet 1 is over"
        begins = move(client, "next", granularity="instruction")
        assert begins["reason"] == "step" and value(client, "$invocation") == "1"


@covers("threads")
def test_each_cpu_is_a_thread() -> None:
    with debugging(PARSER, 345, cpus=3) as client:
        assert [one["name"] for one in client.body("threads")["threads"]] == ["cpu 0", "cpu 1", "cpu 2"]
        assert [move(client, "continue")["threadId"] for _ in range(4)] == [1, 2, 3, 1]
        assert client.body("stackTrace", {"threadId": 2})["stackFrames"] == []


@covers("evaluate")
def test_commands_in_the_console_move_the_program() -> None:
    with debugging(PARSER, 153) as client:
        move(client, "continue")
        begun = len(client.transcript)
        seen = []
        for command in ("reverse-finish", "finish", "rs", "previous-packet", "goto packet 5", "advance take"):
            client.body("evaluate", {"expression": command, "context": "repl"})
            seen.append((stopped(client)["reason"], *at(client)))
        assert [one for one in seen if one[0] not in ("step", "entry", "breakpoint", "goto")] == []
        assert seen[0][1:] == ("parse_frame", 272) and seen[-1][1] == "take"
        order = [one.get("event") or one["command"] for one in client.transcript[begun:] if one["type"] != "request"]
        assert order[:2] == ["evaluate", "continued"]
        text = client.body("evaluate", {"expression": "info invocations", "context": "repl"})["result"]
        assert "packet 1" in text and "XDP_PASS" in text
        assert "reverse-finish" in client.body("evaluate", {"expression": "help", "context": "repl"})["result"]
        for wrong in (
            "goto x9",
            "goto packet 1000",
            "timeline 7",
            "advance nowhere",
            "quit",
            "up",
            "fly me",
        ):
            assert not client.request("evaluate", {"expression": wrong, "context": "repl"})["success"], wrong


@covers("evaluate")
def test_other_commands_answer_in_the_console() -> None:
    with debugging(PARSER, 166) as client:
        move(client, "continue")

        def typed(text: str, frame: int = 0) -> str:
            arguments = {"expression": text, "context": "repl", "frameId": frames(client)[frame]["id"]}
            return str(client.body("evaluate", arguments)["result"])

        assert "total_length" in typed("info locals") and "type = 2048" in typed("info locals", 1)
        assert "[XDP_PASS] = 3" in typed("map verdicts")
        assert "source" in typed("whatis *flow") or "struct flow" in typed("whatis *flow")
        assert "packet" in typed("why ip->ttl") and typed("who total_length")
        assert typed("x/2xb &packet[0]").endswith("02  00")
        frame = frames(client)[0]["id"]
        assert typed("set total_length = 5") is not None and value(client, "total_length") == "5"
        assert frames(client)[0]["id"] == frame
        assert typed("watch total_length")
        assert typed("break 168") and move(client, "continue")["reason"] == "breakpoint"
        assert typed("step 2") is not None and stopped(client)["reason"] == "step"


def test_tail_calls_and_other_programs_are_stepped_through() -> None:
    arguments = {"object": object_of("tail_calls.O0"), "program": "dispatch", "pcap": PARSER["pcap"]}
    with debugging(arguments) as client:
        client.body("setExceptionBreakpoints", {"filters": ["tail-call"]})
        stop = move(client, "continue")
        assert stop["reason"] == "exception" and stop["description"] == "A tail call"
        assert frames(client)[0]["moduleId"] == "dispatch"
        move(client, "stepIn")
        assert frames(client)[0]["moduleId"] in ("count_arp", "count_ipv4")
        move(client, "stepBack")
        assert frames(client)[0]["moduleId"] == "dispatch"


def test_a_name_of_the_program_goes_before_a_command() -> None:
    with debugging(PARSER, 200) as client:  # in parse_ipv6, which has a variable `next`
        assert move(client, "continue")["reason"] == "breakpoint"
        frame = frames(client)[0]["id"]
        found = client.body("evaluate", {"expression": "next", "context": "repl", "frameId": frame})
        assert "..." not in found["result"]
        assert value(client, "packet[0]", "repl") == value(client, "packet[0]")
