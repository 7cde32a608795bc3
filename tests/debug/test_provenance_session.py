"""Who made a value: copies, branches, what the user changed; limits, and the session that is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from debug.debug_support import assembled, everything
from debug.provenance_support import (
    FRAME,
    KEY_AND_VALUE,
    LOAD_PACKET,
    LOOK_UP,
    OUT,
    finished,
    packet_bytes,
    session_on,
    story,
)

from pybpftime.debug.provenance import Span, explain, last_write, last_writer, to_data, why
from pybpftime.debug.provenance.parts import NodeKind, UseKind
from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason
from pybpftime.debug.timeline import Change
from pybpftime.errors import InputError
from pybpftime.machine import LENIENT
from pybpftime.maps.hash import HashTable

# --- copies, addresses, branches --------------------------------------------------------------------------------------


def test_a_copy_is_one_node() -> None:
    copy = "".join(f"r2 = *(u64 *)(r7 + {14 + at})\n*(u64 *)(r10 - {32 - at}) = r2\n" for at in (8, 0, 24, 16))
    session = finished(LOAD_PACKET + copy + "r0 = 0\nexit")
    stack = session.world.machine.stack.regions[0]
    answer = why(session, Span(stack.base + 480, 32))
    assert [node.kind for node in answer.nodes] == [NodeKind.COPY, NodeKind.PACKET]
    assert (answer.node(1).step, answer.node(1).last_step, answer.node(1).text) == (1, 8, "copied in 4 pieces")
    assert packet_bytes(answer) == set(range(14, 46))
    assert packet_bytes(why(session, Span(stack.base + 481, 1))) == {15}


def test_an_address_that_an_input_decides() -> None:
    text = "r2 = *(u8 *)(r7 + 14)\nr2 &= 3\nr7 += r2\nr0 = *(u8 *)(r7 + 20)\nexit"
    answer = why(finished(LOAD_PACKET + text), "$r0")
    (use,) = [one for one in answer.node(1).uses if one.kind is UseKind.ADDRESS]
    assert answer.node(use.sources[0]).code.instruction == "r7 += r2"  # type: ignore[union-attr]
    assert packet_bytes(answer) == {14, 20}


def test_branches() -> None:
    text = "r2 = *(u8 *)(r7 + 14)\nr3 = *(u8 *)(r7 + 15)\nif r3 == 0 goto next\nr3 = 1\nnext: r0 = 1\n"
    text += "if r2 == 0 goto end\nr0 = 2\nend: exit"
    session = finished(LOAD_PACKET + text)
    assert story(why(session, "$r0")) == ["r0 = 0x2"]
    answer = why(session, "$r0", branches=True)
    assert [node.kind for node in answer.nodes[:2]] == [NodeKind.INSTRUCTION, NodeKind.BRANCH]
    assert packet_bytes(answer) == {14}
    assert "branch #2 if r2 == 0x0 goto +0x1" in "\n".join(explain(answer))


def test_branches_decide_over_calls() -> None:
    text = "r2 = *(u8 *)(r7 + 14)\nr0 = 1\nif r2 == 0 goto end\ncall f\nend: exit\nf: r0 = 2\nexit"
    answer = why(finished(LOAD_PACKET + text), "$r0", branches=True)
    assert packet_bytes(answer) == {14}


# --- what the user changed --------------------------------------------------------------------------------------------


def test_edits() -> None:
    session = session_on("r0 = 1\nr6 = 4\n*(u64 *)(r10 - 8) = 2\nr2 = *(u64 *)(r10 - 8)\nr0 += r6\nr0 += r2\nexit")
    session.start()
    session.step_instruction(3)
    session.change(Change.REGISTER, 0, 50)
    session.change(Change.MEMORY, session.world.machine.stack.regions[0].base + 504, b"\7")
    session.resume()
    answer = why(session, "$r0")
    edits = [str(one) for node in answer.nodes if node.kind is NodeKind.EDIT for one in node.written]
    assert sorted(edits) == ["r0 = 0x32", "stack-8 = 0x7"]
    assert "r0 = 0x1" not in story(answer)
    last = last_writer(session, Span(session.world.machine.stack.regions[0].base + 504, 1))
    assert last is not None
    assert (last.kind, last.step) == (NodeKind.EDIT, 3)


def test_an_edit_of_an_element() -> None:
    session = session_on(LOOK_UP.format(map="hash") + "r0 = *(u64 *)(r0 + 0)\nexit" + OUT, [FRAME, FRAME])
    session.start()
    session.step_instruction()
    key = (5).to_bytes(4, "little")
    session.change(Change.ELEMENT, ("hash", key), (77).to_bytes(8, "little"))
    while not session.world.is_over:
        session.resume()
    answer = why(session, "$r0")
    edits = [node for node in answer.nodes if node.kind is NodeKind.EDIT]
    assert [(node.step, node.invocation) for node in edits] == [(1, 0)]
    assert session.world.machine.registers[0] == 77


def test_the_other_time_line_is_not_meant() -> None:
    session = session_on("r0 = 1\nr0 += 1\nexit")
    session.start()
    session.resume()
    session.goto(1)
    session.change(Change.REGISTER, 0, 5)
    session.resume()
    assert [node.kind for node in why(session, "$r0").nodes] == [NodeKind.INSTRUCTION, NodeKind.EDIT]
    session.world.switch(1, 3)
    assert story(why(session, "$r0")) == ["r0 += 0x1", "r0 = 0x1"]


# --- limits, faults, the session --------------------------------------------------------------------------------------

LONG = "r0 = 0\nr1 = 0\nagain: r0 += r1\nr1 += 1\nif r1 != {} goto again\nexit"


def test_an_answer_is_bounded() -> None:
    session = finished(LONG.format(3000))
    answer = why(session, "$r0", limit=10)
    assert len(answer.nodes) == 10
    assert answer.dropped > 0
    assert not answer.is_complete
    assert any(use.is_cut for node in answer.nodes for use in node.uses)
    assert explain(answer)[-1].startswith("10 nodes are shown, ")
    assert why(finished(LONG.format(4)), "$r0").is_complete
    with pytest.raises(InputError, match="at least 1 node"):
        why(session, "$r0", limit=0)


def test_far_back_over_checkpoints() -> None:
    session = session_on("r6 = 7\n*(u64 *)(r10 - 8) = 9\n" + LONG.format(300) + "\n")
    session.world.timeline.interval = 100
    session.start()
    session.resume()
    assert len(session.world.timeline.checkpoints) > 5
    base = session.world.machine.stack.regions[0].base
    assert last_write(session, base + 504, 8) == 1
    assert last_write(session, base + 400, 8) is None


def test_the_session_stands_where_it_stood() -> None:
    session = session_on(LOAD_PACKET + KEY_AND_VALUE.format(map="hash") + "r0 = 0\nexit", [FRAME] * 5)
    session.start()
    session.resume()
    for step in (17, 0, 3, session.world.timeline.end):
        session.goto(step)
        before, stop = everything(session.world), session.stop
        memory = session.world.machine.memory
        why(session, "packet[20]")
        why(session, "$r0" if step else "$r1")
        last_writer(session, "$r10")
        assert everything(session.world) == before
        assert session.stop is stop
        assert session.world.machine.memory is memory


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    session = finished(LONG.format(3000))
    world, advance = session.world, session.world.advance
    step, asked = world.step, 0

    def interrupted(*arguments: Any, **options: Any) -> bool:
        nonlocal asked
        asked += 1
        if asked == 2:
            session.interrupt()
        return advance(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(world, "advance", interrupted)
        with pytest.raises(InputError, match="interrupted"):
            why(session, "$r0")
    assert world.step == step
    assert story(why(session, "$r0"))[0] == "r0 += r1"


def test_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second Ctrl-C raises in the middle of an instruction; the session still stands where it stood."""
    session = finished(LOAD_PACKET + KEY_AND_VALUE.format(map="hash") + "r0 = 3\nexit")
    session.goto(13)
    before, raised = everything(session.world), False
    element_address = HashTable.find

    def find(map: HashTable, key: bytes) -> int:
        nonlocal raised
        if session.world.step < 13 and not raised:
            raised = True
            raise KeyboardInterrupt
        return element_address(map, key)

    with monkeypatch.context() as patched:
        patched.setattr(HashTable, "find", find)
        with pytest.raises(KeyboardInterrupt):
            why(session, "hash[5]")
    assert raised
    assert everything(session.world) == before
    assert story(why(session, "hash[5]"))[0].startswith("bpf_map_update_elem")


@pytest.mark.parametrize("text", ["r0 = 1\nr0 = *(u8 *)(r0 + 0)\nexit", "r0 = 1\nr2 = 0\nr0 = *(u64 *)(r2 + 0)\nexit"])
def test_a_load_that_faulted_wrote_nothing(text: str) -> None:
    session = session_on(text)
    session.start()
    assert session.resume().reason is Reason.FAULT
    assert story(why(session, "$r0")) == ["r0 = 0x1"]


def test_out_of_budget() -> None:
    session = assembled("r0 = 1\nagain: r0 += 1\ngoto again", budget=100)
    session.start()
    session.resume()
    assert session.world.step == 100
    answer = why(session, "$r0", limit=5)
    assert answer.node(1).step == 99
    assert story(answer)[0] == "r0 += 0x1"


def test_lenient_registers_hold_zero() -> None:
    answer = why(finished("r0 = r5\nexit", level=LENIENT), "$r0")
    assert [node.kind for node in answer.nodes] == [NodeKind.INSTRUCTION, NodeKind.UNWRITTEN]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("1 + 1", "it is computed and lies nowhere"),
        ("hash", "hash is a map: ask for an element"),
        ("nothing", "there is no variable"),
        (Span(0x10, 4), "there is no memory at 0x10"),
    ],
)
def test_what_has_no_origin(what: str | Span, reason: str) -> None:
    session = session_on("r0 = 0\nexit")
    with pytest.raises(InputError, match="nothing has run yet"):
        why(session, Span(0, 1))
    session.start()
    with pytest.raises(InputError, match=reason):
        why(session, what)


def test_the_last_writer() -> None:
    session = finished(
        LOAD_PACKET + KEY_AND_VALUE.format(map="hash") + "*(u8 *)(r7 + 21) = 3\nr0 = 0\nexit", [FRAME] * 3
    )
    element = last_writer(session, "hash[5]")
    assert element is not None
    assert (element.label, element.text.partition("(")[0]) == ("packet 3", "bpf_map_update_elem")
    assert last_writer(session, "packet[20]") is None
    stored = last_writer(session, "packet[21]")
    assert stored is not None
    assert stored.code is not None
    assert (stored.code.instruction, stored.invocation) == ("*(u8 *)(r7 + 0x15) = 0x3", 2)
    session.goto(12)
    before = last_writer(session, "hash[5]")
    assert before is not None
    assert before.step == 10


def test_as_data() -> None:
    session: Session = finished(LOAD_PACKET + "r0 = *(u8 *)(r7 + 20)\nexit")
    data = json.loads(json.dumps(to_data(why(session, "$r0"))))
    assert data["question"] == "$r0 = 70"
    assert data["root"]["sources"] == [1]
    assert [node["kind"] for node in data["nodes"]] == ["instruction", "packet"]
    assert data["nodes"][1]["written"] == [{"text": "packet[20] ipv4.frag_off", "size": 1, "value": "46"}]
    assert data["nodes"][0]["code"]["instruction"] == "w0 = *(u8 *)(r7 + 0x14)"


def test_as_text() -> None:
    text = "r0 = *(u8 *)(r7 + 20)\nr2 = r0\nr0 = 1\nr0 += r2\nr0 += r2\nr0 *= r0\nexit"
    assert explain(why(finished(LOAD_PACKET + text), "$r0")) == [
        "$r0 = 19881  (step 8)",
        "  #1 r0 = 0x4da9  r0 *= r0  step 6, packet 1  main+6",
        "  #2 r0 = 0x8d  r0 += r2  step 5, packet 1  main+5",
        "    #4 r2 = 0x46  r2 = r0  step 2, packet 1  main+2",
        "    #6 r0 = 0x46  w0 = *(u8 *)(r7 + 0x14)  step 1, packet 1  main+1",
        "    #7 packet[20] ipv4.frag_off = 0x46  of the packet  step 0, packet 1",
        "  #3 r0 = 0x47  r0 += r2  step 4, packet 1  main+4",
        "    #4, above: r2 = 0x46",
        "  #5 r0 = 0x1  r0 = 0x1  step 3, packet 1  main+3",
    ]
