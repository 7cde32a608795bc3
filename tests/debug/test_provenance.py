"""Who made a value: small programs of which the answer is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from debug.debug_support import assembled
from debug.provenance_support import (
    ARRAY,
    FRAME,
    KEY_AND_VALUE,
    LOAD_PACKET,
    LOOK_UP,
    OUT,
    finished,
    leaves,
    packet_bytes,
    session_on,
    story,
    told,
)

from pybpftime.debug.provenance import Element, why
from pybpftime.debug.provenance.parts import NodeKind, UseKind
from pybpftime.debug.values import Register
from pybpftime.errors import InputError
from pybpftime.machine import LEVELS, Strictness
from pybpftime.maps import MapSpec
from pybpftime.uapi import MapType, ProgramType

SKB = ProgramType.BPF_PROG_TYPE_SCHED_CLS
levels = pytest.mark.parametrize("level", LEVELS.values(), ids=list(LEVELS))


# --- instructions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "instructions", "offsets"),
    [
        ("r0 = 7", ["r0 = 0x7"], set()),
        ("r0 = 0x1122334455667788 ll", ["r0 = 0x1122334455667788 ll"], set()),
        ("r0 = *(u8 *)(r7 + 20)", ["w0 = *(u8 *)(r7 + 0x14)"], {20}),
        ("r0 = *(s8 *)(r7 + 20)", ["r0 = *(s8 *)(r7 + 0x14)"], {20}),
        ("r0 = *(u8 *)(r7 + 20)\nr0 += 5", ["r0 += 0x5", "w0 = *(u8 *)(r7 + 0x14)"], {20}),
        ("r0 = 1\nr2 = *(u8 *)(r7 + 20)\nr0 += r2", ["r0 += r2", "r0 = 0x1", "w2 = *(u8 *)(r7 + 0x14)"], {20}),
        ("r0 = *(u32 *)(r7 + 20)\nr0 >>= 24", ["r0 >>= 0x18", "w0 = *(u32 *)(r7 + 0x14)"], {23}),
        ("r0 = *(u16 *)(r7 + 20)\nr0 = be16 r0\nr0 &= 0xff", None, {21}),
        ("r0 = *(u32 *)(r7 + 20)\nr0 = bswap32 r0\nr0 &= 0xff00", None, {22}),
        ("r0 = *(u64 *)(r7 + 20)\nw0 = w0", ["w0 = w0", "r0 = *(u64 *)(r7 + 0x14)"], {20, 21, 22, 23}),
        ("r0 = *(u32 *)(r7 + 20)\nr0 = (s8)r0", None, {20}),
        ("r0 = *(u8 *)(r7 + 20)\nr0 = -r0", ["r0 = -r0", "w0 = *(u8 *)(r7 + 0x14)"], {20}),
        ("r0 = *(u8 *)(r7 + 20)\nr0 ^= r0", ["r0 ^= r0"], set()),
        ("r0 = *(u8 *)(r7 + 20)\nr2 = *(u8 *)(r7 + 21)\nr0 = r2", None, {21}),
    ],
)
def test_registers(text: str, instructions: list[str] | None, offsets: set[int]) -> None:
    answer = why(finished(f"{LOAD_PACKET}{text}\nexit"), "$r0")
    code = [told(node) for node in answer.nodes if node.code is not None]
    assert instructions is None or code == instructions
    assert packet_bytes(answer) == offsets
    assert answer.is_complete


def test_bytes_put_together() -> None:
    text = "r0 = *(u8 *)(r7 + 20)\nr2 = *(u8 *)(r7 + 21)\nr2 <<= 8\nr0 |= r2\nexit"
    answer = why(finished(LOAD_PACKET + text), "$r0")
    assert story(answer) == [
        "r0 |= r2", "w0 = *(u8 *)(r7 + 0x14)", "r2 <<= 0x8", "of the packet", "w2 = *(u8 *)(r7 + 0x15)",
        "of the packet",
    ]  # fmt: skip
    assert [str(one.written[0]) for one in answer.nodes[:4]] == [
        "r0 = 0x4746", "r0 = 0x46", "r2 = 0x4700", "packet[20] ipv4.frag_off = 0x46",
    ]  # fmt: skip
    assert [node.step for node in answer.nodes] == [4, 1, 3, 0, 2, 0]


@levels
def test_stack_and_spills(level: Strictness) -> None:
    text = "r6 = *(u8 *)(r7 + 20)\n*(u64 *)(r10 - 8) = r6\n*(u64 *)(r10 - 16) = 3\nr0 = *(u64 *)(r10 - 8)\nexit"
    answer = why(finished(LOAD_PACKET + text, level=level), "$r0")
    assert story(answer) == [
        "r0 = *(u64 *)(r10 - 0x8)", "*(u64 *)(r10 - 0x8) = r6", "w6 = *(u8 *)(r7 + 0x14)", "of the packet",
    ]  # fmt: skip
    assert str(answer.node(2).written[0]) == "stack-8 = 0x46"


def test_a_part_of_what_was_stored() -> None:
    text = "r6 = *(u32 *)(r7 + 20)\n*(u32 *)(r10 - 8) = r6\nr0 = *(u8 *)(r10 - 6)\nexit"
    assert packet_bytes(why(finished(LOAD_PACKET + text), "$r0")) == {22}


def test_several_stores_make_a_value() -> None:
    text = "*(u8 *)(r10 - 2) = 1\n*(u16 *)(r10 - 2) = 2\n*(u8 *)(r10 - 1) = 3\nr0 = *(u16 *)(r10 - 2)\nexit"
    answer = why(finished(text), "$r0")
    assert story(answer) == ["r0 = *(u16 *)(r10 - 0x2)".replace("r0", "w0"), *(
        f"*({size} *)(r10 - {place}) = {value}" for size, place, value in (("u16", "0x2", "0x2"), ("u8", "0x1", "0x3"))
    )]  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "value", "offsets"),
    [
        ("lock *(u64 *)(r10 - 8) += r2", "memory", {20, 21}),
        ("lock *(u64 *)(r10 - 8) ^= r2", "memory", {20, 21}),
        ("r2 = atomic_fetch_add((u64 *)(r10 - 8), r2)", "memory", {20, 21}),
        ("r2 = atomic_fetch_add((u64 *)(r10 - 8), r2)", "r2", {20}),
        ("r2 = xchg_64(r10 - 8, r2)", "memory", {21}),
        ("r2 = xchg_64(r10 - 8, r2)", "r2", {20}),
        ("r0 = cmpxchg_64(r10 - 8, r0, r2)", "memory", {20, 21, 22}),
        ("r0 = cmpxchg_64(r10 - 8, r0, r2)", "r0", {20}),
    ],
)
def test_atomic_operations(operation: str, value: str, offsets: set[int]) -> None:
    text = "r2 = *(u8 *)(r7 + 20)\n*(u64 *)(r10 - 8) = r2\nr2 = *(u8 *)(r7 + 21)\nr0 = *(u8 *)(r7 + 22)\n"
    text += operation + ("\nr0 = *(u64 *)(r10 - 8)\nexit" if value == "memory" else f"\nr0 = {value}\nexit")
    assert packet_bytes(why(finished(LOAD_PACKET + text), "$r0")) == offsets


def test_ordered_accesses() -> None:
    text = "r2 = *(u8 *)(r7 + 20)\nstore_release((u64 *)(r10 - 8), r2)\nr0 = load_acquire((u64 *)(r10 - 8))\nexit"
    assert packet_bytes(why(finished(LOAD_PACKET + text), "$r0")) == {20}


def test_legacy_packet_access() -> None:
    text = "r6 = r1\nr2 = 3\nr0 = *(u16 *)skb[r2 + 20]\nexit"
    answer = why(finished(text, type=SKB), "$r0")
    assert packet_bytes(answer) == {23, 24}


# --- functions --------------------------------------------------------------------------------------------------------


@levels
def test_arguments_and_results_of_functions(level: Strictness) -> None:
    text = "r6 = 9\nr1 = *(u8 *)(r7 + 20)\ncall f\nr0 += r6\nexit\nf: r6 = 1\nr0 = r1\nr0 += r6\nexit"
    answer = why(finished(LOAD_PACKET + text, level=level), "$r0")
    assert story(answer) == [
        "r0 += r6", "r0 += r6", "r6 = 0x9", "r0 = r1", "r6 = 0x1", "w1 = *(u8 *)(r7 + 0x14)", "of the packet",
    ]  # fmt: skip


def test_a_stack_frame_is_new_in_every_call() -> None:
    text = "call f\nr6 = r0\ncall g\nr0 += r6\nexit\nf: *(u64 *)(r10 - 8) = 5\nr0 = 0\nexit\n"
    text += "g: r0 = *(u64 *)(r10 - 8)\nexit"
    answer = why(finished(text), "$r0")
    never = next(node for node in answer.nodes if node.kind is NodeKind.UNWRITTEN)
    assert (never.text, str(never.written[0])) == ("never written", "stack of call 1-8 = 0x0")
    assert not any("= 0x5" in line for line in story(answer))


def test_what_a_caller_has() -> None:
    session = session_on("r6 = 5\nr1 = 1\ncall f\nexit\nf: r6 = 2\nr0 = r6\nexit")
    session.start()
    session.step_instruction(4)
    session.select(1)
    assert story(why(session, Register(6))) == ["r6 = 0x5"]
    with pytest.raises(InputError, match="r1 of a caller is not known"):
        why(session, Register(1))
    session.select(0)
    assert story(why(session, Register(6))) == ["r6 = 0x2"]
    assert [str(one) for one in why(session, Register(6)).root.contents] == ["r6 = 0x2"]


def test_callbacks() -> None:
    text = "r6 = *(u8 *)(r7 + 20)\n*(u64 *)(r10 - 8) = r6\nr1 = 3\nr2 = code_addr(f)\nr3 = r10\nr3 += -8\nr4 = 0\n"
    text += "call loop\nr0 = *(u64 *)(r10 - 8)\nexit\n"
    text += "f: r4 = *(u64 *)(r2 + 0)\nr4 += r1\n*(u64 *)(r2 + 0) = r4\nr0 = 0\nexit"
    session = finished(LOAD_PACKET + text)
    answer = why(session, "$r0")
    assert packet_bytes(answer) == {20}
    assert leaves(answer) == {
        "packet[20] ipv4.frag_off", "bpf_loop goes on",
        "bpf_loop(count 0x3, callback code of main+96, callback_context stack-8, flags 0x0)",
    }  # fmt: skip
    assert sum(told(node) == "r4 += r1" for node in answer.nodes) == 3


def test_the_result_of_a_helper_that_calls_back() -> None:
    text = (
        "r6 = *(u8 *)(r7 + 20)\nr1 = r6\nr1 &= 3\nr2 = code_addr(f)\nr3 = 0\nr4 = 0\ncall loop\nexit\nf: r0 = 0\nexit"
    )
    answer = why(finished(LOAD_PACKET + text), "$r0")
    assert packet_bytes(answer) == {20}
    assert answer.node(1).text == "bpf_loop goes on gave 0x2"


def test_keys_in_an_iteration() -> None:
    text = KEY_AND_VALUE.format(map="hash") + "r1 = map hash\nr2 = code_addr(f)\nr3 = r10\nr3 += -24\nr4 = 0\n"
    text += "call for_each\nr0 = *(u64 *)(r10 - 24)\nexit\n"
    text += "f: r1 = *(u32 *)(r2 + 0)\nr3 = *(u64 *)(r3 + 0)\nr3 += r1\n*(u64 *)(r4 + 0) = r3\nr0 = 0\nexit"
    answer = why(finished(LOAD_PACKET + text), "$r0")
    assert packet_bytes(answer) == {20}
    assert any(str(one) == "key of map hash = 0x5" for node in answer.nodes for one in node.written)


def test_tail_calls() -> None:
    text = "r6 = r1\n*(u64 *)(r10 - 8) = 7\nr1 = r6\nr2 = map programs\nr3 = 0\ncall tail_call\nr0 = 1\nexit"
    session = finished(
        text, target="r2 = *(u32 *)(r1 + 0)\nr3 = *(u64 *)(r10 - 8)\nr0 = *(u8 *)(r2 + 20)\nr0 += r3\nexit"
    )
    answer = why(session, "$r0")
    assert leaves(answer) == {"packet[20] ipv4.frag_off", "stack-8"}
    assert {node.code.program for node in answer.nodes if node.code is not None} == {"target"}


# --- helpers and maps -------------------------------------------------------------------------------------------------


def test_results_of_helpers() -> None:
    answer = why(finished("call time\nr6 = r0\ncall random\nr0 += r6\nexit"), "$r0")
    assert [line.partition(" ")[0] for line in story(answer)[1:]] == [
        "bpf_get_prandom_u32()",
        "r6",
        "bpf_ktime_get_ns()",
    ]


@pytest.mark.parametrize("map", ["hash", "array"])
@levels
def test_through_a_map(map: str, level: Strictness) -> None:
    text = LOAD_PACKET + KEY_AND_VALUE.format(map=map) + LOOK_UP.format(map=map) + "r0 = *(u64 *)(r0 + 0)\nexit" + OUT
    wide = replace(ARRAY, max_entries=8)
    answer = why(finished(text, maps=(wide, MapSpec("hash", MapType.BPF_MAP_TYPE_HASH, 4, 8, 4)), level=level), "$r0")
    assert packet_bytes(answer) == {20}
    update = next(node for node in answer.nodes if node.text.startswith("bpf_map_update_elem"))
    assert update.text == f"bpf_map_update_elem(map {map}, key 0x5, value stack-16, flags 0x0)"
    assert [use.kind for use in update.uses] == [UseKind.VALUE, UseKind.KEY]


def test_over_packets() -> None:
    """Packet 1 makes an element, 2 adds to it through the pointer, 3 asks."""
    count = "r6 = *(u8 *)(r7 + 14)\nif r6 == 2 goto add\n" + "r2 = r6\nif r2 == 3 goto ask\n"
    add = "exit\nadd:" + LOOK_UP.format(map="hash") + "r1 = *(u8 *)(r7 + 21)\nlock *(u64 *)(r0 + 0) += r1\nexit\n"
    ask = "ask:" + LOOK_UP.format(map="hash").replace("out", "none") + "r0 = *(u64 *)(r0 + 0)\nexit\nnone: r0 = 0\nexit"
    text = LOAD_PACKET + count + KEY_AND_VALUE.format(map="hash") + add + OUT.removeprefix("\n") + "\n" + ask
    frames = [FRAME[:14] + bytes([number]) + FRAME[15:] for number in (1, 2, 3)]
    answer = why(finished(text, frames), "$r0")
    found = {(node.label, one.text.partition(" ")[0]) for node in answer.nodes for one in node.written
             if node.kind is NodeKind.PACKET}  # fmt: skip
    assert found == {("packet 1", "packet[20]"), ("packet 2", "packet[21]")}
    assert [node.invocation for node in answer.nodes if node.text.startswith("bpf_map_update")] == [0]


def test_an_element_that_is_there() -> None:
    text = LOAD_PACKET + KEY_AND_VALUE.format(map="hash") + LOOK_UP.format(map="hash") + "r0 = 1\nexit" + OUT
    session = finished(text)
    answer = why(session, Element("hash", (5).to_bytes(4, "little")))
    assert [node.text.partition("(")[0] for node in answer.nodes if node.kind is NodeKind.CALL] == [
        "bpf_map_update_elem"
    ]
    missing = why(session, Element("hash", (6).to_bytes(4, "little")))
    assert [(node.kind, node.text) for node in missing.nodes] == [
        (NodeKind.INITIAL, "no program has made or deleted it")
    ]


def test_a_missing_element_is_why_a_look_up_gave_nothing() -> None:
    text = LOAD_PACKET + KEY_AND_VALUE.format(map="hash") + "r1 = map hash\nr2 = r10\nr2 += -4\ncall delete\n"
    text += LOOK_UP.format(map="hash").replace("if r0 == 0 goto out", "exit")
    answer = why(finished(text), "$r0")
    (element,) = [use for use in answer.node(1).uses if use.kind is UseKind.ELEMENT]
    (source,) = element.sources
    assert answer.node(source).text.startswith("bpf_map_delete_elem(map hash, key 0x5)")


def test_an_element_that_had_to_go() -> None:
    """A full LRU map gives up its oldest element for another one."""
    put = KEY_AND_VALUE.format(map="lru")
    text = LOAD_PACKET + "".join(put.replace("= 5", f"= {key}") for key in (5, 6, 7))
    text += LOOK_UP.format(map="lru").replace("if r0 == 0 goto out", "exit")
    answer = why(finished(text, maps=[MapSpec("lru", MapType.BPF_MAP_TYPE_LRU_HASH, 4, 8, 2)]), "$r0")
    assert str(answer.root.contents[0]) == "r0 = 0x0"
    (element,) = [use for use in answer.node(1).uses if use.kind is UseKind.ELEMENT]
    assert answer.node(element.sources[0]).text.startswith("bpf_map_update_elem(map lru, key 0x7,")


def test_what_was_in_maps_before() -> None:
    text = LOOK_UP.format(map="array").replace("= 5", "= 2") + "r0 = *(u64 *)(r0 + 0)\nexit" + OUT
    session = session_on(text)
    session.object.maps["array"][2] = (9).to_bytes(8, "little")
    session.start()
    session.resume()
    answer = why(session, "$r0")
    (before,) = [node for node in answer.nodes if node.kind is NodeKind.INITIAL]
    assert (before.text, str(before.written[0])) == ("as it was before the first step", "map array[2] = 0x9")


def test_helpers_that_read_and_write_packets() -> None:
    text = "r6 = r1\n*(u32 *)(r10 - 4) = 0x01020304\nr2 = 20\nr3 = r10\nr3 += -4\nr4 = 4\nr5 = 0\ncall store_bytes\n"
    text += "r1 = r6\nr2 = 18\nr3 = r10\nr3 += -12\nr4 = 4\ncall load_bytes\nr0 = *(u32 *)(r10 - 12)\nexit"
    answer = why(finished(text, type=SKB), "$r0")
    assert packet_bytes(answer) == {18, 19}
    assert "*(u32 *)(r10 - 0x4) = 0x1020304" in story(answer)


def test_the_packet_after_its_head_has_moved() -> None:
    text = "r6 = r1\nr7 = *(u32 *)(r1 + 0)\nr2 = *(u8 *)(r7 + 20)\n*(u8 *)(r7 + 30) = r2\nr2 = 4\ncall adjust_head\n"
    text += "r7 = *(u32 *)(r6 + 0)\nr0 = *(u8 *)(r7 + 26)\nr2 = *(u8 *)(r7 + 27)\nr0 += r2\nexit"
    answer = why(finished(text), "$r0")
    assert packet_bytes(answer) == {20, 31}
    assert "*(u8 *)(r7 + 0x1e) = w2" in [one.code.instruction for one in answer.nodes if one.code]
    moved = [node for node in answer.nodes if node.text.startswith("bpf_xdp_adjust_head")]
    assert len(moved) == 1
    assert any(one.text.startswith("xdp_md.data") for one in moved[0].written)


def test_a_context() -> None:
    answer = why(finished("r0 = *(u32 *)(r1 + 12)\nexit"), "$r0")
    assert [(node.kind, str(one)) for node in answer.nodes for one in node.written][1:] == [
        (NodeKind.CONTEXT, "xdp_md.ingress_ifindex = 0x1")
    ]
    answer = why(finished("r2 = 7\n*(u32 *)(r1 + 8) = r2\nr0 = *(u32 *)(r1 + 8)\nexit", type=SKB), "$r0")
    assert story(answer) == ["w0 = *(u32 *)(r1 + 0x8)", "*(u32 *)(r1 + 0x8) = r2".replace("r2", "w2"), "r2 = 0x7"]


def test_a_helper_that_changes_fields_of_the_context() -> None:
    text = "r6 = r1\nr2 = 0x81\nr3 = 42\ncall vlan_push\nr0 = *(u32 *)(r6 + 24)\nexit"
    answer = why(finished(text, type=SKB), "$r0")
    (pushed,) = [node for node in answer.nodes if node.kind is NodeKind.CALL]
    assert "__sk_buff.vlan_tci = 0x2a" in [str(one) for one in pushed.written]
    assert pushed.text == "bpf_skb_vlan_push(skb __sk_buff.len, protocol 0x81, tci 0x2a)"


def test_a_checksum_in_the_packet() -> None:
    text = "r6 = r1\nr2 = 24\nr3 = 0\nr7 = *(u32 *)(r1 + 76)\nr4 = *(u8 *)(r7 + 30)\nr5 = 2\ncall l3_csum\n"
    text += "r7 = *(u32 *)(r6 + 76)\nr0 = *(u16 *)(r7 + 24)\nexit"
    answer = why(finished(text, type=SKB), "$r0")
    assert packet_bytes(answer) == {24, 25, 30}
    assert [node.text.partition("(")[0] for node in answer.nodes if node.kind is NodeKind.CALL] == [
        "bpf_l3_csum_replace"
    ]


def test_a_packet_without_its_link_layer() -> None:
    answer = why(finished("r6 = r1\nr0 = *(u8 *)skb[8]\nexit", type=ProgramType.BPF_PROG_TYPE_SOCKET_FILTER), "$r0")
    assert any(one.text == "packet[8] ipv4.ttl" for node in answer.nodes for one in node.written)


def test_a_helper_that_computes() -> None:
    text = "r2 = *(u32 *)(r7 + 20)\n*(u32 *)(r10 - 4) = r2\nr1 = 0\nr2 = 0\nr3 = r10\nr3 += -4\nr4 = 4\nr5 = 0\n"
    answer = why(finished("r7 = *(u32 *)(r1 + 76)\n" + text + "call csum_diff\nexit", type=SKB), "$r0")
    assert packet_bytes(answer) == {20, 21, 22, 23}


def test_plain_memory() -> None:
    session = assembled("r0 = *(u8 *)(r1 + 1)\nr0 += r2\nexit", mem=b"\1\2\3")
    session.start()
    session.resume()
    answer = why(session, "$r0")
    given = [str(one) for node in answer.nodes for one in node.written if node.kind is NodeKind.ARGUMENT]
    assert given == ["r2 = 0x3", "memory+1 = 0x2"]
