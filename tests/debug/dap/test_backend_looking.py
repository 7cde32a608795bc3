"""The real debugger: frames, variables, memory, instructions, sources, expressions; and changing them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from debug.dap.covering import covers
from debug.dap.real import (
    OPTIMISED,
    PARSER,
    SOURCE,
    assembly,
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

from pybpftime.isa.encoding import encode_program
from pybpftime.program.types import PROGRAM_TYPES
from pybpftime.runtime.load import read_object

CODE = 0xC0DE << 32


@covers("stackTrace")
def test_frames_are_paged_and_written_as_asked() -> None:
    with debugging(PARSER, 166) as client:
        move(client, "continue")
        body = client.body("stackTrace", {"threadId": 1, "startFrame": 1, "levels": 1})
        assert body["totalFrames"] == 3 and [one["name"] for one in body["stackFrames"]] == ["parse_frame"]
        assert [one["id"] for one in frames(client)] == [one["id"] for one in frames(client)]
        format = {"parameters": True, "parameterTypes": True, "parameterNames": True, "line": True, "module": True}
        text = frames(client, format=format)[0]["name"]
        assert text == "parse!parse_ipv4(struct cursor * rest, struct flow * flow) line 166"
        values = frames(client, format={"parameters": True, "parameterValues": True})[0]["name"]
        assert values.startswith("parse_ipv4((struct cursor *) 0x")


@covers("scopes", "variables")
def test_scopes_of_a_frame() -> None:
    with debugging(PARSER, 166) as client:
        move(client, "continue")
        scopes = client.body("scopes", {"frameId": frames(client)[0]["id"]})["scopes"]
        names = ["Arguments", "Locals", "Registers", "Stack", "Verifier", "Context", "Packet", "Maps", "Globals"]
        assert [one["name"] for one in scopes] == names
        assert [one["name"] for one in scopes if one["expensive"]] == ["Stack", "Verifier", "Maps"]
        arguments = variables(client, scope(client, "Arguments"))
        assert list(arguments) == ["rest", "flow"] and arguments["rest"]["type"] == "struct cursor *"
        members = variables(client, arguments["flow"]["variablesReference"])
        assert members["source"]["evaluateName"] == "flow->source" and members["source"]["indexedVariables"] == 16
        some = variables(client, members["source"]["variablesReference"], filter="indexed", start=4, count=2)
        assert list(some) == ["[4]", "[5]"] and some["[4]"]["evaluateName"] == "flow->source[4]"
        assert variables(client, members["source"]["variablesReference"], filter="named") == {}
        whole = variables(client, scope(client, "Locals"), format={"hex": True})
        assert whole["total_length"]["value"].startswith("0x")
        assert variables(client, scope(client, "Globals"))["blocked_ports"]["value"] == "{23, 445, 1900, 0}"
        context = variables(client, scope(client, "Context"))
        assert context["ingress_ifindex"]["value"] == "1" and context["data"]["type"] == "__u32"


@covers("variables")
def test_registers_and_stack() -> None:
    with debugging(PARSER, 166) as client:
        move(client, "continue")
        registers = variables(client, scope(client, "Registers"))
        assert "<stack" in registers["r10"]["value"] and registers["r9"]["value"] == "(no value)"
        assert registers["pc"]["value"].startswith("parse+") and registers["invocation"]["value"] == "3"
        callers = variables(client, scope(client, "Registers", 1))
        assert callers["r1"]["value"] == "(no value)" and callers["r10"]["value"] != registers["r10"]["value"]
        slots = variables(client, scope(client, "Stack"))
        assert len(slots) == 64 and "<packet" in slots["r10-32"]["value"]
        assert slots["r10-160"]["value"] == "(not written)"


@covers("variables")
def test_the_packet_by_layers_and_bytes() -> None:
    with debugging(PARSER, 166) as client:
        move(client, "continue")
        packet = variables(client, scope(client, "Packet"))
        assert list(packet) == ["summary", "length", "eth", "vlan", "ipv4", "tcp", "bytes"]
        assert packet["summary"]["value"].startswith("vlan 10 IPv4 192.0.2.1:40000 > 192.0.2.2:80 TCP")
        ipv4 = variables(client, packet["ipv4"]["variablesReference"])
        assert ipv4["saddr"]["value"] == "192.0.2.1" and ipv4["ttl"]["evaluateName"] == "packet[26]"
        raw = variables(client, packet["bytes"]["variablesReference"], start=12, count=2)
        assert [one["value"] for one in raw.values()] == ["0x81", "0x00"]


@covers("variables")
def test_maps_by_their_types() -> None:
    with debugging(PARSER, 345) as client:
        for _ in range(5):
            move(client, "continue")
        maps = variables(client, scope(client, "Maps"))
        assert {name: one["value"] for name, one in maps.items()} == {
            "protocols": "array, 11 elements", "verdicts": "array, 5 elements", "flows": "hash, 2 elements",
        }  # fmt: skip
        verdicts = variables(client, maps["verdicts"]["variablesReference"])
        assert verdicts["[XDP_PASS]"]["value"] == "5" and verdicts["[XDP_PASS]"]["evaluateName"] == "verdicts[2]"
        flows = variables(client, maps["flows"]["variablesReference"], start=1, count=1)
        ((name, flow),) = flows.items()
        assert ".destination_port = " in name and flow["type"] == "struct counter"
        assert value(client, flow["evaluateName"]) == flow["value"]
        assert value(client, f"{flow['evaluateName']}.packets") == "1"
        evaluated = client.body("evaluate", {"expression": "flows", "context": "hover"})
        assert evaluated["result"] == "hash, 2 elements" and evaluated["indexedVariables"] == 2


@pytest.mark.parametrize(
    ("name", "program"), [("percpu", None), ("lru", None), ("ringbuf.O0", None), ("tail_calls.O0", "dispatch")]
)
def test_maps_of_other_kinds(name: str, program: str | None) -> None:
    spec = read_object(object_of(name))
    arguments = {"object": object_of(name), "program": program or next(iter(spec.programs)), "pcap": PARSER["pcap"]}
    if "xdp" not in spec.programs[arguments["program"]].section:
        del arguments["pcap"]
    with debugging({**arguments, "cpus": 2}) as client:
        move(client, "continue")
        frame = frames(client)[0]["id"]
        scopes = {one["name"]: one for one in client.body("scopes", {"frameId": frame})["scopes"]}
        maps = variables(client, scopes["Maps"]["variablesReference"])
        assert set(maps) == {name for name, one in spec.maps.items() if one.contents is None}
        for one in maps.values():
            rows = variables(client, one["variablesReference"]) if one["variablesReference"] else {}
            for row in rows.values():
                if row["variablesReference"]:
                    assert variables(client, row["variablesReference"])
        if name.startswith("percpu"):
            texts = [
                one["value"] for one in variables(client, next(iter(maps.values()))["variablesReference"]).values()
            ]
            assert texts and all(text.startswith("{") for text in texts)


def test_references_of_an_earlier_stop_are_void() -> None:
    with debugging(PARSER, 150, 160) as client:
        move(client, "continue")
        frame, reference = frames(client)[0]["id"], scope(client, "Locals")
        move(client, "continue")
        assert "any more" in client.error("variables", {"variablesReference": reference})
        assert "any more" in client.error("scopes", {"frameId": frame})
        assert "any more" in client.error("evaluate", {"expression": "1", "frameId": frame})


@covers("locations")
def test_where_a_variable_is_declared() -> None:
    with debugging(PARSER, 166) as client:
        move(client, "continue")
        start = variables(client, scope(client, "Locals"))["start"]
        found = client.body("locations", {"locationReference": start["declarationLocationReference"]})
        assert (found["source"]["path"], found["line"]) == (SOURCE["path"], 149)


@covers("evaluate")
def test_expressions() -> None:
    with debugging(PARSER, 166) as client:
        move(client, "continue")
        assert value(client, "ip->ttl + 1") == "65" and value(client, "packet[12] == 0x81") == "1"
        assert value(client, "") == ""
        frame = frames(client)[0]["id"]
        hover = {"expression": "ip->ttl = 3", "context": "hover", "frameId": frame}
        assert not client.request("evaluate", hover)["success"]
        caller = {"expression": "type", "frameId": frames(client)[1]["id"], "context": "watch"}
        assert (
            client.body("evaluate", caller)["result"] == "2048" or "optim" in client.body("evaluate", caller)["result"]
        )
        shown = client.error("evaluate", {"expression": "ip->tll", "context": "repl", "frameId": frame})
        assert "ttl" in shown
        long = {"expression": "packet", "context": "clipboard", "frameId": frame}
        assert "more" not in client.body("evaluate", long)["result"]
        hexadecimal = {"expression": "ip->ttl", "frameId": frame, "format": {"hex": True}}
        assert client.body("evaluate", hexadecimal)["result"] == "0x40"


@covers("completions")
@pytest.mark.parametrize(
    ("text", "some"),
    [
        ("fl", {"flow", "flows"}),
        ("ip->t", {"tos", "tot_len", "ttl"}),
        ("1 + flow->sour", {"source", "source_port"}),
        ("verdicts[ip->proto", {"protocol"}),
        ("$r", {"$r0", "$r10"}),
        ("reverse-c", {"reverse-continue"}),
        ("advance par", {"parse_ipv4", "parse_frame"}),
        ("pac", {"packet"}),
        ("nothing.", set()),
        ("\u00e4\U0001f600 + ip->tt", {"ttl"}),
    ],
)
def test_completions(text: str, some: set[str]) -> None:
    with debugging(PARSER, 166) as client:
        move(client, "continue")
        column = len(text.encode("utf-16-le")) // 2 + 1
        arguments = {"text": text, "column": column, "frameId": frames(client)[0]["id"]}
        targets = client.body("completions", arguments)["targets"]
        assert some <= {one["label"] for one in targets}
        if not some:
            assert targets == []
        for one in targets:
            written = text.encode("utf-16-le")[2 * (one["start"] - 1) :].decode("utf-16-le")
            assert one["label"].startswith(written) and len(written) == one["length"]


# --- changing ---------------------------------------------------------------------------------------------------------


@covers("setVariable")
def test_variables_are_changed() -> None:
    with debugging(PARSER, 166) as client:
        move(client, "continue")
        locals_ = scope(client, "Locals")
        found = client.body("setVariable", {"variablesReference": locals_, "name": "total_length", "value": "20 + 3"})
        assert found["value"] == "23" and value(client, "total_length") == "23"
        assert client.event("invalidated")["body"]["areas"] == ["variables"]
        assert client.event("memory")["body"]["count"] == 4
        wrong = {"variablesReference": locals_, "name": "total_length", "value": "nothing"}
        assert "nothing" in client.error("setVariable", wrong)
        assert "no variable" in client.error("setVariable", {**wrong, "name": "none"})
        registers = scope(client, "Registers")
        client.body("setVariable", {"variablesReference": registers, "name": "r7", "value": "0x10"})
        assert value(client, "$r7") == "16"
        assert "cannot be changed" in client.error(
            "setVariable", {**wrong, "variablesReference": registers, "name": "pc"}
        )
        callers = scope(client, "Registers", 1)
        assert "cannot be changed" in client.error(
            "setVariable", {**wrong, "variablesReference": callers, "name": "r7"}
        )


@covers("setVariable")
def test_packet_fields_are_changed_in_the_order_of_the_network() -> None:
    with debugging(PARSER, 150) as client:
        move(client, "continue")
        packet = variables(client, scope(client, "Packet"))
        for layer, name, text, shown in (
            ("ipv4", "daddr", "10.1.2.3", "10.1.2.3"),
            ("ipv4", "tot_len", "40", "40"),
            ("ipv4", "ttl", "1", "1"),
            ("eth", "source", "00:01:02:03:04:05", "00:01:02:03:04:05"),
            ("tcp", "dest", "443", "443"),
        ):
            reference = packet[layer]["variablesReference"]
            arguments = {"variablesReference": reference, "name": name, "value": text}
            assert client.body("setVariable", arguments)["value"] == shown
        assert "10.1.2.3:443" in variables(client, scope(client, "Packet"))["summary"]["value"]
        assert "no number of 1 bytes" in client.error(
            "setVariable",
            {"variablesReference": packet["ipv4"]["variablesReference"], "name": "ttl", "value": "256"},
        )
        raw = packet["bytes"]["variablesReference"]
        client.body("setVariable", {"variablesReference": raw, "name": "[0]", "value": "0xaa"})
        assert value(client, "packet[0]").startswith("170")


@covers("setVariable")
def test_elements_of_maps_are_changed() -> None:
    with debugging() as client:
        maps = variables(client, scope(client, "Maps"))
        arguments = {"variablesReference": maps["verdicts"]["variablesReference"], "name": "[XDP_PASS]", "value": "100"}
        assert client.body("setVariable", arguments)["value"] == "100"
        assert move(client, "continue")["reason"] == "end"
        assert int(value(client, "verdicts[2]")) == 154


@covers("setExpression", "evaluate")
def test_a_change_in_the_past_forks_time() -> None:
    with debugging(PARSER, 345) as client:
        move(client, "continue")
        end = int(value(client, "$step"))
        move(client, "reverseContinue")
        frame = frames(client)[0]["id"]
        arguments = {"expression": "packet[13]", "value": "0x42", "frameId": frame}
        assert client.body("setExpression", arguments)["value"].startswith("66")
        assert "time line 2 begins at step 0" in outputs(client)
        move(client, "continue")
        assert value(client, "verdicts[2]") == "1" and int(value(client, "$step")) != end
        text = client.body("evaluate", {"expression": "info timelines", "context": "repl"})["result"]
        assert "2" in text and "0" in text
        client.body("evaluate", {"expression": "timeline 1", "context": "repl"})
        stopped(client)
        assert value(client, "packet[13]") != "66"


@covers("evaluate")
def test_the_console_assigns() -> None:
    with debugging(PARSER, 166) as client:
        move(client, "continue")
        assert value(client, "total_length = 7", "repl") == "7"
        assert value(client, "$mine = ip->ttl", "repl").startswith("64") and value(client, "$mine").startswith("64")


# --- memory and code --------------------------------------------------------------------------------------------------


@covers("readMemory", "writeMemory")
def test_memory_is_read_and_written() -> None:
    with debugging(PARSER, 166) as client:
        move(client, "continue")
        reference = variables(client, scope(client, "Packet"))["bytes"]["memoryReference"]
        read = client.body("readMemory", {"memoryReference": reference, "offset": 12, "count": 4})
        assert b64decode(read["data"]) == bytes.fromhex("8100000a") and read["unreadableBytes"] == 0
        assert int(read["address"], 0) == int(reference, 0) + 12
        data = b64encode(b"\x01\x02").decode()
        assert client.body("writeMemory", {"memoryReference": reference, "data": data}) == {"bytesWritten": 2}
        assert client.event("memory")["body"] == {"memoryReference": reference, "offset": 0, "count": 2}
        assert value(client, "packet[1]").startswith("2")
        far = client.body("readMemory", {"memoryReference": "0x10", "count": 64})
        assert far["data"] == "" and far["unreadableBytes"] == 64
        huge = client.body("readMemory", {"memoryReference": reference, "count": 1 << 60})
        assert huge["unreadableBytes"] == (1 << 60) - len(b64decode(huge["data"]))
        for wrong in (
            {"memoryReference": "0x10", "data": data},
            {"memoryReference": reference, "data": "?"},
            {"memoryReference": "zero", "data": data},
            {"memoryReference": f"{CODE:#x}", "data": data},
            {"memoryReference": reference, "offset": -(1 << 63), "data": data},
        ):
            assert not client.request("writeMemory", wrong)["success"], wrong
        assert client.body("writeMemory", {"memoryReference": "0x10", "data": data, "allowPartial": True}) == {
            "bytesWritten": 0
        }
        assert "negative" in client.error("readMemory", {"memoryReference": reference, "count": -1})


@covers("readMemory", "disassemble")
def test_code_is_read_and_disassembled() -> None:
    with debugging() as client:
        spec = read_object(PARSER["object"]).programs["parse"]
        start = frames(client)[0]["instructionPointerReference"]
        assert int(start, 0) == CODE
        code = encode_program(spec.instructions)
        whole = client.body("readMemory", {"memoryReference": start, "count": len(code) + 8})
        assert b64decode(whole["data"]) == code and whole["unreadableBytes"] == 8
        rows = client.body("disassemble", {"memoryReference": start, "instructionCount": len(code)})["instructions"]
        assert len(rows) == len(code)
        there = [row for row in rows if row.get("presentationHint") != "invalid"]
        assert b"".join(bytes.fromhex(row["instructionBytes"]) for row in there) == code
        assert len(there) == sum(one is not None for one in spec.instructions)
        assert there[0]["symbol"] == "parse" and there[0]["line"] == 318
        assert there[0]["location"]["path"] == SOURCE["path"]
        call = next(row for row in there if "; parse_frame at" in row["instruction"])
        assert int(call["instruction"].rpartition(" ")[2], 0) in {int(row["address"], 0) for row in there}
        assert any("bpf_map_lookup_elem" in row["instruction"] for row in there)
        assert any("; map protocols" in row["instruction"] for row in there)
        wide = next(row for row in there if "map protocols" in row["instruction"])
        assert len(bytes.fromhex(wide["instructionBytes"])) == 16
        addresses = [int(row["address"], 0) for row in rows]
        assert addresses == sorted(set(addresses))


@covers("disassemble")
@pytest.mark.parametrize(
    ("offset", "instructions", "count"),
    [(0, -3, 6), (8, -1, 3), (-16, 0, 4), (26 * 8, -2, 4), (1 << 20, 0, 2), (0, 0, 0)],
)
def test_exactly_as_many_rows_as_asked_for(offset: int, instructions: int, count: int) -> None:
    with debugging() as client:
        arguments = {
            "memoryReference": f"{CODE:#x}", "offset": offset, "instructionOffset": instructions,
            "instructionCount": count,
        }  # fmt: skip
        rows = client.body("disassemble", arguments)["instructions"]
        addresses = [int(row["address"], 0) for row in rows]
        assert len(rows) == count and addresses == sorted(set(addresses))
        for row in rows:
            inside = CODE <= int(row["address"], 0) < CODE + 779 * 8
            assert (row.get("presentationHint") == "invalid") == (not inside)
        if (offset, instructions) == (0, -3):
            assert addresses[3] == CODE
        if offset == 26 * 8:  # within the wide instruction at slot 25
            assert addresses == [CODE + 8 * slot for slot in (23, 24, 25, 27)]
        data = client.body("disassemble", {"memoryReference": "0xff00000000000000", "instructionCount": 3})
        assert [row["presentationHint"] for row in data["instructions"]] == ["invalid"] * 3
        assert "instructionCount" in client.error(
            "disassemble", {"memoryReference": "0x0", "instructionCount": 1 << 40}
        )


# --- sources ----------------------------------------------------------------------------------------------------------


@covers("loadedSources", "source", "modules")
def test_sources_and_programs() -> None:
    with debugging() as client:
        (source,) = client.body("loadedSources")["sources"]
        assert source == {"name": "xdp_parser.bpf.c", **SOURCE}
        text = client.body("source", {"source": SOURCE, "sourceReference": 0})["content"]
        assert text.startswith("// SPDX")
        (module,) = client.body("modules", {"startModule": 0, "moduleCount": 5})["modules"]
        assert (module["id"], module["symbolStatus"]) == ("parse", "DWARF") and module["path"] == PARSER["object"]
        assert module["addressRange"].startswith(f"{CODE:#x}-")
        assert "no source 7" in client.error("source", {"sourceReference": 7})


@covers("source", "setBreakpoints")
def test_a_source_that_is_not_on_disk_comes_from_btf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("xdp_parser.O0.bpf.o",):
        (tmp_path / name).write_bytes(Path(object_of("xdp_parser.O0")).read_bytes())
    with connected() as (client, _):
        launch(client, {"object": name, "pcap": PARSER["pcap"]})
        stopped(client)
        source = frames(client)[0]["source"]
        assert source["sourceReference"] > 0 and "path" not in source
        lines = client.body("source", {"sourceReference": source["sourceReference"]})["content"].split("\n")
        assert lines[316] == "int parse(struct xdp_md *ctx)" and lines[0] == ""
        found = client.body("setBreakpoints", {"source": source, "breakpoints": [{"line": 153}]})["breakpoints"]
        assert found[0]["verified"] and found[0]["source"]["sourceReference"] == source["sourceReference"]
        assert move(client, "continue")["hitBreakpointIds"] == [found[0]["id"]]


def test_a_source_that_changed_is_said_to_have(tmp_path: Path) -> None:
    (tmp_path / "xdp_parser.bpf.c").write_text("int other;\n" * 400)
    arguments = {**PARSER, "sourceMap": {"tests/programs": str(tmp_path)}}
    with debugging(arguments) as client:
        assert "is not what was compiled" in outputs(client) or frames(client)[0]["source"]["path"] == SOURCE["path"]


def test_an_object_without_debug_information(tmp_path: Path) -> None:
    with debugging(assembly(tmp_path, "r0 = 7\nr1 = r0\nexit\n")) as client:
        (frame,) = frames(client)
        assert frame["name"] == "program" and frame["presentationHint"] == "subtle" and "source" not in frame
        assert client.body("loadedSources")["sources"] == []
        names = [one["name"] for one in client.body("scopes", {"frameId": frame["id"]})["scopes"]]
        assert names == ["Registers", "Stack", "Verifier"]
        assert move(client, "next")["reason"] == "step"
        assert variables(client, scope(client, "Registers"))["r0"]["value"] == "7"
        assert not at_lines(client, 1)[0]["verified"]
        assert client.body("modules", {})["modules"][0]["symbolStatus"] == "no source"


def test_optimised_code_says_what_is_not_there() -> None:
    with debugging(OPTIMISED, 166) as client:
        move(client, "continue")
        texts = [one["value"] for one in variables(client, scope(client, "Locals")).values()]
        assert texts and all(texts)
        assert any("inlined" in one["name"] for one in frames(client))


@pytest.mark.parametrize("name", ["printk", "multi", "cgroup_skb.O0", "tail_calls.O0", "malloc.O0", "callbacks.O0"])
def test_what_is_shown_can_be_typed(name: str) -> None:
    """The expression beside each variable gives that variable."""
    spec = next(iter(read_object(object_of(name)).programs.values()))
    packets = {"pcap": PARSER["pcap"]} if PROGRAM_TYPES[spec.type].takes_packet else {}
    with debugging({"object": object_of(name), "program": spec.name, **packets}) as client:
        for _ in range(3):
            move(client, "stepIn")
            frame = frames(client)[0]["id"]
            for one in client.body("scopes", {"frameId": frame})["scopes"]:
                rows = client.body("variables", {"variablesReference": one["variablesReference"], "count": 40})
                for row in rows["variables"]:
                    if "evaluateName" not in row:
                        continue
                    arguments = {"expression": row["evaluateName"], "frameId": frame, "context": "watch"}
                    result = client.body("evaluate", arguments)["result"]
                    if one["name"] not in ("Registers", "Stack", "Packet"):  # which show more than the value
                        assert result == row["value"], row
