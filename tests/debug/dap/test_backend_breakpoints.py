"""The real debugger: what stops the program."""

from __future__ import annotations

from pathlib import Path

from debug.dap.covering import covers
from debug.dap.real import (
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
    scope,
    stopped,
    value,
    variables,
)


@covers("setBreakpoints")
def test_lines_that_have_no_code_move_and_say_so() -> None:
    with debugging() as client:
        exact, moved, beyond = at_lines(client, 153, 152, 9999)
        assert exact["verified"] and exact["line"] == 153 and "message" not in exact
        assert moved["verified"] and moved["line"] == 153 and "line 152 has no code" in moved["message"]
        assert not beyond["verified"] and beyond["reason"] == "failed" and "last line" in beyond["message"]
        other = client.body("setBreakpoints", {"source": {"path": "/nowhere/other.c"}, "breakpoints": [{"line": 1}]})
        assert "no code comes from /nowhere/other.c" in other["breakpoints"][0]["message"]
        moved_file = {"source": {"path": "/elsewhere/xdp_parser.bpf.c"}, "breakpoints": [{"line": 153}]}
        assert client.body("setBreakpoints", moved_file)["breakpoints"][0]["verified"]
        old = client.body("setBreakpoints", {"source": SOURCE, "lines": [153]})
        assert old["breakpoints"][0]["line"] == 153


@covers("setBreakpoints")
def test_breakpoints_that_stay_keep_their_ids_and_others_go() -> None:
    with debugging() as client:
        first, second = at_lines(client, 153, 160)
        again, third = at_lines(client, 153, 150)
        assert again["id"] == first["id"] and third["id"] not in (first["id"], second["id"])
        assert move(client, "continue")["hitBreakpointIds"] == [third["id"]]
        assert move(client, "continue")["hitBreakpointIds"] == [first["id"]]
        at_lines(client)
        assert move(client, "continue")["reason"] == "end"


@covers("setBreakpoints")
def test_conditions_hit_conditions_and_log_points() -> None:
    with debugging() as client:
        (wrong,) = at_lines(client, 160, condition="flow->protocol = 17")
        assert not wrong["verified"] and wrong["message"]
        (wrong,) = at_lines(client, 160, hitCondition="often")
        assert not wrong["verified"] and "hit condition" in wrong["message"]
        (udp,) = at_lines(client, 166, condition="flow->protocol == 17")
        assert udp["verified"]
        assert move(client, "continue")["hitBreakpointIds"] == [udp["id"]]
        assert value(client, "flow->protocol") == "17"
    with debugging() as client:
        at_lines(client, 345, hitCondition="5")
        move(client, "continue")
        assert value(client, "$invocation") == "4"
    with debugging(packet="ff" * 60, pcap=None) as client:
        at_lines(client, 326, logMessage="packet of {bytes} bytes, {{}} {nonsense}")
        move(client, "continue")
        assert "packet of 60 bytes, {} (there is no variable" in outputs(client)


@covers("setFunctionBreakpoints")
def test_functions_by_name_by_pattern_and_helpers() -> None:
    with debugging() as client:
        wanted = [{"name": "take"}, {"name": "/^parse_ip/"}, {"name": "bpf_map_update_elem"}, {"name": "nothing"}]
        take, parse, update, nothing = client.body("setFunctionBreakpoints", {"breakpoints": wanted})["breakpoints"]
        assert [one["verified"] for one in (take, parse, update, nothing)] == [True, True, True, False]
        assert take["source"] == {"name": "xdp_parser.bpf.c", **SOURCE} and take["line"] == 107
        assert "no function named nothing" in nothing["message"]
        stop = move(client, "continue")
        assert stop["reason"] == "function breakpoint" and stop["hitBreakpointIds"] == [take["id"]]
        client.body("setFunctionBreakpoints", {"breakpoints": wanted[1:3]})
        assert move(client, "continue")["hitBreakpointIds"] == [parse["id"]]
        client.body("setFunctionBreakpoints", {"breakpoints": wanted[2:3]})
        assert move(client, "continue")["hitBreakpointIds"] == [update["id"]]
        assert at(client) == ("count_flow", 301)


def test_a_breakpoint_that_the_console_deleted_is_set_again() -> None:
    with debugging(PARSER, 153) as client:
        client.body("evaluate", {"expression": "delete", "context": "repl"})
        assert at_lines(client, 153)[0]["verified"]
        assert move(client, "continue")["reason"] == "breakpoint"


def test_inlined_copies_stop_too() -> None:
    with debugging(OPTIMISED) as client:
        client.body("setFunctionBreakpoints", {"breakpoints": [{"name": "parse_ipv4"}]})
        move(client, "continue")
        assert "parse_ipv4 (inlined)" in [one["name"] for one in frames(client)]


@covers("setInstructionBreakpoints")
def test_instructions_with_offsets() -> None:
    with debugging() as client:
        base = frames(client)[0]["instructionPointerReference"]
        wanted = [
            {"instructionReference": base, "offset": 24},
            {"instructionReference": base, "offset": 26 * 8},  # the second half of a wide instruction
            {"instructionReference": "0xff00000000000000"},
            {"instructionReference": "r1"},
            {"instructionReference": base, "offset": 32, "condition": "$r1 == 1"},
        ]
        found = client.body("setInstructionBreakpoints", {"breakpoints": wanted})["breakpoints"]
        assert [one["verified"] for one in found] == [True, False, False, False, True]
        assert "begins at" in found[1]["message"] and "no address of code" in found[2]["message"]
        stop = move(client, "continue")
        assert stop["reason"] == "instruction breakpoint" and stop["hitBreakpointIds"] == [found[0]["id"]]
        assert int(frames(client)[0]["instructionPointerReference"], 0) == int(base, 0) + 24


@covers("dataBreakpointInfo", "setDataBreakpoints")
def test_a_variable_is_watched() -> None:
    with debugging(PARSER, 153) as client:
        move(client, "continue")
        info = client.body(
            "dataBreakpointInfo", {"name": "total_length", "variablesReference": scope(client, "Locals")}
        )
        assert info["accessTypes"] == ["write", "read", "readWrite"] and not info["canPersist"]
        wanted = [{"dataId": info["dataId"]}, {"dataId": info["dataId"], "accessType": "read"}, {"dataId": "none"}]
        set_, read, none = client.body("setDataBreakpoints", {"breakpoints": wanted})["breakpoints"]
        assert set_["verified"] and read["verified"] and not none["verified"]
        stop = move(client, "continue")
        assert stop["reason"] == "data breakpoint" and stop["hitBreakpointIds"] == [set_["id"]]
        assert stop["text"].startswith("total_length: 0 -> ")
        assert value(client, "total_length") != "0"
        stop = move(client, "continue")
        assert stop["hitBreakpointIds"] == [read["id"]] and stop["text"].endswith(", read")
        move(client, "reverseContinue")
        stop = move(client, "reverseContinue")
        assert stop["hitBreakpointIds"] == [set_["id"]], "in front of the instruction that wrote it"


@covers("dataBreakpointInfo", "setDataBreakpoints", "reverseContinue")
def test_elements_of_maps_registers_and_packet_bytes_are_watched() -> None:
    with debugging() as client:
        infos = {
            name: client.body("dataBreakpointInfo", {"name": name})
            for name in ("verdicts[2]", "$r6", "packet[0]", "verdicts", "nothing", "$step")
        }
        assert [bool(one["dataId"]) for one in infos.values()] == [True, False, True, False, False, False]
        assert "r6 has no value" in infos["$r6"]["description"]
        client.body("setDataBreakpoints", {"breakpoints": [{"dataId": infos["verdicts[2]"]["dataId"]}]})
        assert move(client, "continue")["text"] == "verdicts[2]: 0 -> 1"
        assert move(client, "continue")["text"] == "verdicts[2]: 1 -> 2"
        for text, before in (("1 -> 2", "1"), ("0 -> 1", "0")):  # going back stops before the instruction
            assert move(client, "reverseContinue")["text"] == f"verdicts[2]: {text}"
            assert value(client, "verdicts[2]") == before
        same = client.body("dataBreakpointInfo", {"name": "verdicts[2]"})["dataId"]
        assert same == infos["verdicts[2]"]["dataId"]
        wanted = {"dataId": same, "condition": "verdicts[2] > 4", "hitCondition": "2"}
        client.body("setDataBreakpoints", {"breakpoints": [wanted]})
        assert move(client, "continue")["text"] == "verdicts[2]: 5 -> 6"


@covers("dataBreakpointInfo")
def test_bytes_at_an_address_are_watched() -> None:
    with debugging(PARSER, 321) as client:
        move(client, "continue")
        address = variables(client, scope(client, "Locals"))["bytes"]["memoryReference"]
        arguments = {"name": address, "asAddress": True, "bytes": 4}
        info = client.body("dataBreakpointInfo", arguments)
        assert info["description"] == f"4 bytes at {address}"
        part = client.body("dataBreakpointInfo", {"name": "flow", "bytes": 2})
        assert client.body("dataBreakpointInfo", {"name": "flow", "bytes": 1 << 20})["dataId"] is None
        wanted = [{"dataId": info["dataId"]}, {"dataId": part["dataId"]}]
        found = client.body("setDataBreakpoints", {"breakpoints": wanted})["breakpoints"]
        assert [one["verified"] for one in found] == [True, True]
        assert move(client, "continue")["hitBreakpointIds"] == [found[0]["id"]]


def test_a_register_is_watched() -> None:
    with debugging(PARSER, 153) as client:
        move(client, "continue")
        info = client.body("dataBreakpointInfo", {"name": "r0", "variablesReference": scope(client, "Registers")})
        client.body("setDataBreakpoints", {"breakpoints": [{"dataId": info["dataId"]}]})
        assert move(client, "continue")["text"].startswith("$r0: ")
        callers = {"name": "r9", "variablesReference": scope(client, "Registers", 1)}
        assert client.body("dataBreakpointInfo", callers)["dataId"] is None


def test_watching_begins_and_ends_while_the_program_runs(tmp_path: Path) -> None:
    text = (
        "r1 = 0\n*(u64 *)(r10 - 8) = 0\nloop:\nr1 += 1\nif r1 < 200000 goto loop\n*(u64 *)(r10 - 8) = 7\nr0 = 0\nexit\n"
    )
    with debugging(assembly(tmp_path, text)) as client:
        move(client, "stepIn")
        info = client.body("dataBreakpointInfo", {"name": "*(unsigned long *)($r10 - 8)"})
        client.body("continue", {"threadId": 1})
        client.body("setDataBreakpoints", {"breakpoints": [{"dataId": info["dataId"]}]})
        assert stopped(client)["text"].endswith("0 -> 7")


@covers("setExceptionBreakpoints", "exceptionInfo")
def test_faults_stop_unless_nobody_wants_them(tmp_path: Path) -> None:
    program = assembly(tmp_path, "r0 = *(u8 *)(r10 - 600)\nexit\n")
    with debugging(program) as client:
        stop = move(client, "continue")
        assert stop["reason"] == "exception" and stop["text"] in outputs(client)
        info = client.body("exceptionInfo", {"threadId": 1})
        assert info["exceptionId"] == "memory fault" and info["details"]["message"] in info["description"]
        assert frames(client)[0]["name"] == "program"
    with debugging(program) as client:
        found = client.body("setExceptionBreakpoints", {"filters": []})
        assert found == {"breakpoints": []}
        assert move(client, "continue")["reason"] == "end"


@covers("setExceptionBreakpoints", "exceptionInfo")
def test_helpers_that_fail_and_lookups_that_find_nothing() -> None:
    with debugging() as client:
        assert "did not stop at an exception" in client.error("exceptionInfo", {"threadId": 1})
        options = [{"filterId": "helper-error", "condition": "$r0 == -17"}, {"filterId": "fly"}]
        found = client.body("setExceptionBreakpoints", {"filters": ["fault", "null-lookup"], "filterOptions": options})
        assert [one["verified"] for one in found["breakpoints"]] == [True, True, True, False]
        stop = move(client, "continue")
        assert (stop["reason"], stop["description"]) == ("exception", "A map has no such element")
        assert stop["hitBreakpointIds"] == [found["breakpoints"][1]["id"]]
        assert value(client, "$r0") == "0"
        assert client.body("exceptionInfo", {"threadId": 1})["exceptionId"] == "A map has no such element"


def test_lines_that_the_program_prints() -> None:
    arguments = {"object": object_of("printk")}
    with connected() as (client, _):
        from pybpftime.runtime.load import read_object

        (name, spec), *_ = read_object(arguments["object"]).programs.items()
        more = {"pcap": PARSER["pcap"]} if "xdp" in spec.section or "tc" in spec.section else {}
        launch(client, {**arguments, "program": name, **more})
        stopped(client)
        client.body("setExceptionBreakpoints", {"filters": ["printk"]})
        stop = move(client, "continue")
        assert stop["description"] == "The program prints"
        (printed,) = [one["body"] for one in client.events if one["event"] == "output"]
        assert printed["category"] == "stdout"


@covers("breakpointLocations")
def test_lines_with_code() -> None:
    with debugging() as client:
        found = client.body("breakpointLocations", {"source": SOURCE, "line": 150, "endLine": 156})["breakpoints"]
        assert [one["line"] for one in found] == [150, 153, 154, 155, 156]
        assert client.body("breakpointLocations", {"source": SOURCE, "line": 152})["breakpoints"] == []
        assert client.body("breakpointLocations", {"source": {"path": "/x.c"}, "line": 1})["breakpoints"] == []
