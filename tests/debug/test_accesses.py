"""What each step reads and writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from debug.debug_support import PROGRAMS, everything, invocations, session_of
from debug.provenance_support import FRAME, KEY_AND_VALUE, LOAD_PACKET, finished, session_on

from pybpftime.debug.accesses import Recorder
from pybpftime.debug.call_effects import PACKET_SLOT, Element, value_places
from pybpftime.debug.session import Session
from pybpftime.debug.world import ENDED
from pybpftime.machine import LEVELS, Strictness
from pybpftime.machine.memory import OFFSET_MASK, SLOT_SHIFT
from pybpftime.runtime.load import read_object
from pybpftime.uapi import ProgramType

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=list(LEVELS))
SKB = ProgramType.BPF_PROG_TYPE_SCHED_CLS


def told(session: Session) -> dict[int, list[str]]:
    """The accesses of each step of a session, places in words."""
    world = session.world
    end = world.step
    log = Recorder(world).record(0, end + 1)
    memory = world.machine.memory
    names = {}
    for step, accesses in log.accesses.items():
        names[step] = [
            f"{'write' if is_write else 'read'} {size} at "
            + (f"buffer+{address & OFFSET_MASK}" if address >> SLOT_SHIFT == PACKET_SLOT else memory.describe(address))
            for is_write, address, size in dict.fromkeys(accesses)
        ]
    return names


@levels
def test_instructions(level: Strictness) -> None:
    text = "r2 = *(u8 *)(r7 + 20)\n*(u32 *)(r10 - 8) = 5\nlock *(u32 *)(r10 - 8) += r2\nr0 = *(u32 *)(r10 - 8)\n"
    text += "r0 += 1\nexit"
    assert told(finished(LOAD_PACKET + text, level=level)) == {
        0: ["read 4 at xdp_md.data"],
        1: ["read 1 at packet+20"],
        2: ["write 4 at stack-8"],
        3: ["read 4 at stack-8", "write 4 at stack-8"],
        4: ["read 4 at stack-8"],
    }


@levels
def test_helpers_and_maps(level: Strictness) -> None:
    text = KEY_AND_VALUE.format(map="hash") + "r1 = map hash\nr2 = r10\nr2 += -4\ncall delete\nr0 = 0\nexit"
    session = finished(LOAD_PACKET + text, level=level)
    log = Recorder(session.world).record(0, session.world.step)
    element = Element("hash", (5).to_bytes(4, "little"))
    assert [(step, call.element, call.changed) for step, call in log.calls.items()] == [
        (10, element, {element}), (14, element, {element}),
    ]  # fmt: skip
    accesses = told(session)
    assert accesses[10][:2] == ["read 4 at stack-4", "read 8 at stack-16"]
    assert accesses[10][2].startswith("write 8 at map hash[key 0x5]")
    assert accesses[14] == ["read 4 at stack-4"]


def test_helpers_on_packets() -> None:
    text = "*(u32 *)(r10 - 4) = 1\nr2 = 20\nr3 = r10\nr3 += -4\nr4 = 4\nr5 = 0\ncall store_bytes\nr0 = 0\nexit"
    session = finished(text, type=SKB)
    assert told(session)[6] == ["read 4 at stack-4", f"write 4 at buffer+{session.world.machine.context.head + 20}"]


def test_the_pcs_and_depths() -> None:
    session = finished("call f\nexit\nf: r0 = 1\nexit", [FRAME, FRAME])
    log = Recorder(session.world).record(0, session.world.step)
    assert list(log.pcs) == [0, 2, 3, 1, ENDED, 0, 2, 3, 1, ENDED]
    assert list(log.depths) == [1, 2, 2, 1, 0, 1, 2, 2, 1, 0]


def test_the_last_write() -> None:
    text = "r6 = 0\nagain: *(u64 *)(r10 - 8) = r6\nr6 += 1\nif r6 != 50 goto again\nr0 = 0\nexit"
    session = finished(text)
    base, end = session.world.machine.stack.regions[0].base, session.world.step
    recorder = Recorder(session.world)
    assert recorder.last_write(0, end, lambda address, size: address == base + 504, set()) == 1 + 49 * 3
    assert recorder.last_write(0, 100, lambda address, size: address == base + 504, set()) == 97
    assert recorder.last_write(0, end, lambda address, size: address == base, set()) == -1


def test_where_values_lie() -> None:
    session = session_on("r0 = 0\nexit")
    view = session.object.maps["hash"]
    assert value_places(view.raw, (5).to_bytes(4, "little"), (0,)) == []
    view[5] = (77).to_bytes(8, "little")
    ((address, size),) = value_places(view.raw, (5).to_bytes(4, "little"), (0,))
    assert session.object.memory.load(address, size) == 77
    ((address, size),) = value_places(session.object.maps["array"].raw, (1).to_bytes(4, "little"), (0,))
    assert (address, size) == (session.object.maps["array"].raw.element_address((1).to_bytes(4, "little")), 8)


@pytest.mark.parametrize("path", PROGRAMS[::4], ids=lambda path: path.name.removesuffix(".bpf.o"))
def test_looking_changes_nothing(path: Path) -> None:
    """Executed again with a memory that notes, a run goes as it went."""
    session = session_of(path, list(invocations(read_object(path), 1)))
    world = session.world
    session.start()
    world.advance(2000)
    end, memory = world.step, world.machine.memory
    before = everything(world)
    log = Recorder(world).record(0, end)
    assert everything(world) == before
    assert world.machine.memory is memory
    assert len(log.pcs) in (end, end + 1)
    assert Recorder(world).last_write(0, end, lambda address, size: False, set()) == -1
    assert everything(world) == before
