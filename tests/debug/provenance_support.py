"""Sessions on small programs whose data flow is known, and what an answer says in short."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pybpftime.debug.answers import AnswerBook
from pybpftime.debug.provenance import Node, Provenance
from pybpftime.debug.provenance.parts import NodeKind
from pybpftime.debug.session import Session
from pybpftime.debug.timeline import Invocation
from pybpftime.isa import Form, Program, lookup
from pybpftime.isa.assembler import assemble
from pybpftime.machine import LINUX, Environment, Strictness
from pybpftime.maps import MapSpec
from pybpftime.program.spec import MapReference, ObjectSpec, ProgramSpec
from pybpftime.runtime import Object
from pybpftime.uapi import MapType, ProgramType

HELPERS = {
    "lookup": 1, "update": 2, "delete": 3, "time": 5, "random": 7, "tail_call": 12, "load_bytes": 26, "store_bytes": 9,
    "adjust_head": 44, "vlan_push": 18, "l3_csum": 10, "read_kernel": 113, "for_each": 164, "loop": 181,
    "csum_diff": 28,
}  # fmt: skip
HASH = MapSpec("hash", MapType.BPF_MAP_TYPE_HASH, 4, 8, 4)
ARRAY = MapSpec("array", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 4)
PROGRAMS = MapSpec("programs", MapType.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2, values=((0, "target"),))
FRAME = bytes.fromhex("020000000001020000000002") + b"\x08\x00" + bytes(range(0x40, 0x72))
"""An Ethernet frame; behind the header its bytes are 0x40, 0x41, ..."""
LOAD_PACKET = "r7 = *(u32 *)(r1 + 0)\n"
"""r7 is the packet."""

KEY_AND_VALUE = """
*(u32 *)(r10 - 4) = 5
r6 = *(u8 *)(r7 + 20)
*(u64 *)(r10 - 16) = r6
r1 = map {map}
r2 = r10
r2 += -4
r3 = r10
r3 += -16
r4 = 0
call update
"""
"""Puts byte 20 of the packet into element 5."""
LOOK_UP = """
*(u32 *)(r10 - 4) = 5
r1 = map {map}
r2 = r10
r2 += -4
call lookup
if r0 == 0 goto out
"""
OUT = "\nout: r0 = 0\nexit"


def program(name: str, text: str, type: ProgramType) -> ProgramSpec:
    """`rN = map NAME` stands for the address of a map."""
    names = re.findall(r"= map (\w+)", text)
    code: Program = assemble(re.sub(r"= map \w+", "= map_by_fd(0)", text), helpers=HELPERS)
    wide = [slot for slot, one in enumerate(code) if one is not None and _is_map(one)]
    references = {slot: MapReference(map, None) for slot, map in zip(wide, names, strict=True)}
    return ProgramSpec(name, code, type, references=references)


def _is_map(instruction: Any) -> bool:
    return lookup(instruction).form is Form.IMMEDIATE and instruction.src_reg == 1


def session_on(
    text: str,
    packets: Sequence[bytes] = (FRAME,),
    *,
    target: str = "",
    type: ProgramType = ProgramType.BPF_PROG_TYPE_XDP,
    maps: Sequence[MapSpec] = (HASH, ARRAY),
    level: Strictness = LINUX,
) -> Session:
    """A session on a program that runs on packets; `target` is a program behind a tail call."""
    programs = {"main": program("main", text, type)}
    if target:
        programs["target"] = program("target", target, type)
        maps = (*maps, PROGRAMS)
    made = Object(
        ObjectSpec(None, programs, {one.name: replace(one) for one in maps}, license="GPL"),
        level=level,
        environment=AnswerBook(Environment()),
    )
    runs = [Invocation("main", packet, label=f"packet {number}") for number, packet in enumerate(packets, start=1)]
    return Session(made, runs)


def finished(text: str, packets: Sequence[bytes] = (FRAME,), **options: Any) -> Session:
    """The same, all packets done."""
    session = session_on(text, packets, **options)
    session.start()
    while not session.world.is_over:
        session.resume()
    ending = session.world.ending
    assert ending is not None
    assert ending.error is None, str(ending.error)
    return session


def leaves(answer: Provenance) -> set[str]:
    """Where the value comes from: what nodes without sources wrote."""
    found = set()
    for node in answer.nodes:
        if not any(use.sources for use in node.uses):
            found |= {told(node)} if node.code is not None else {one.text for one in node.written}
    return found


def told(node: Node) -> str:
    """An instruction, or what the node says."""
    return node.code.instruction if node.code is not None and not node.text else node.text


def story(answer: Provenance) -> list[str]:
    """Each node in short, those nearest to the question first."""
    return [told(node) for node in answer.nodes]


def packet_bytes(answer: Provenance) -> set[int]:
    """The offsets of the bytes of packets that the value comes from."""
    found: set[int] = set()
    for node in answer.nodes:
        for one in node.written if node.kind is NodeKind.PACKET else ():
            match = re.match(r"packet\[(\d+)(?::(\d+))?\]", one.text)
            assert match is not None, one.text
            found |= set(range(int(match[1]), int(match[2] or int(match[1]) + 1)))
    return found
