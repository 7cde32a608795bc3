"""Watchpoints on reads and on all accesses: what stops, in both directions of time."""

from __future__ import annotations

import pytest
from debug.debug_support import TESTS, assembled, session_of
from debug.provenance_support import KEY_AND_VALUE, LOAD_PACKET, session_on
from debug.repl.repl_support import PARSER, parser

from pybpftime.debug.accesses import Recorder, canonical
from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason, Stop
from pybpftime.debug.timeline import Invocation
from pybpftime.debug.watch import Access
from pybpftime.errors import InputError
from pybpftime.machine import STRICT

END = (Reason.END, Reason.START)


def forward(session: Session) -> list[Stop]:
    """All stops of watchpoints from the first step on."""
    session.restart()
    found = []
    while (stop := session.resume()).reason not in END:
        if stop.reason is Reason.WATCHPOINT:
            found.append(stop)
    return found


def backward(session: Session) -> list[Stop]:
    """All stops of watchpoints from where the session stands back to the first step."""
    found = []
    while (stop := session.resume(back=True)).reason not in END:
        if stop.reason is Reason.WATCHPOINT:
            found.append(stop)
    return found[::-1]


def both_ways(session: Session) -> list[tuple[int, str]]:
    """The steps of the instructions that were stopped for, with the text: forward, and backward the same."""
    there = [(stop.step - 1, stop.text) for stop in forward(session)]
    back = [(stop.step, stop.text) for stop in backward(session)]
    assert there == back
    return there


STORES = """
*(u64 *)(r10 - 8) = 5
r1 = *(u64 *)(r10 - 8)
*(u64 *)(r10 - 8) = 5
r1 = 1
lock *(u64 *)(r10 - 8) += r1
r1 = *(u8 *)(r10 - 1)
r1 = *(u64 *)(r10 - 16)
r0 = 0
exit
"""


def stores(access: Access) -> list[tuple[int, str]]:
    session = assembled("*(u64 *)(r10 - 16) = 0\n" + STORES, level=STRICT)
    session.start()
    session.step_instruction()
    session.watch("*(unsigned long *)($r10 - 8)", access)
    return both_ways(session)


def test_reads_of_memory() -> None:
    place = "*(unsigned long *)($r10 - 8)"
    assert stores(Access.READ) == [(2, f"{place} is 5, read"), (5, f"{place} is 5, read"), (6, f"{place} is 6, read")]


def test_all_accesses_of_memory() -> None:
    place = "*(unsigned long *)($r10 - 8)"
    assert stores(Access.ANY) == [
        (1, f"{place}: 0 -> 5"),
        (2, f"{place} is 5, read"),
        (3, f"{place} is 5, written"),
        (5, f"{place}: 5 -> 6"),
        (6, f"{place} is 6, read"),
    ]


def test_changes_alone_are_what_they_were() -> None:
    place = "*(unsigned long *)($r10 - 8)"
    assert stores(Access.CHANGE) == [(1, f"{place}: 0 -> 5"), (5, f"{place}: 5 -> 6")]


@pytest.mark.parametrize(
    ("register", "access", "steps"),
    [
        ("$r1", Access.READ, [1, 2, 3, 4]),
        ("$r1", Access.ANY, [0, 1, 2, 3, 4, 5]),
        ("$r2", Access.READ, [2]),
        ("$r0", Access.READ, [5]),
        ("$r0", Access.ANY, [4, 5]),
        ("$r10", Access.READ, []),
        ("$r4", Access.READ, []),
    ],
)
def test_accesses_of_registers(register: str, access: Access, steps: list[int]) -> None:
    session = assembled("r1 = 7\nr2 = r1\nr1 += r2\nif r1 == 0 goto +0\nr0 = r1\nexit", level=STRICT)
    session.start()
    session.watch(register, access)
    assert [step for step, _ in both_ways(session)] == steps


def test_what_helpers_read() -> None:
    text = KEY_AND_VALUE.format(map="hash") + "r1 = map hash\nr2 = r10\nr2 += -4\ncall lookup\nr0 = 0\nexit"
    session = session_on(LOAD_PACKET + text)
    session.start()
    calls = [slot for slot, one in enumerate(session.world.program.spec.instructions) if one and one.opcode == 0x85]
    session.watch("*(unsigned int *)($r10 - 4)", Access.READ)
    slots = []
    while session.resume().reason is Reason.WATCHPOINT:
        slots.append(session.world.pc - 1)
    assert slots == calls, "the key is read by each call, and by nothing else"


def test_arguments_of_helpers_are_read_and_results_written() -> None:
    session = assembled(
        "r1 = 3\nr2 = 4\ncall bpf_ktime_get_ns\nr6 = 1\ncall bpf_get_smp_processor_id\nexit", level=STRICT
    )
    session.start()
    for register in ("$r1", "$r2"):
        session.watch(register, Access.READ)
    assert both_ways(session) == []
    session.remove(1)
    session.remove(2)
    session.watch("$r0", Access.ANY)
    assert [step for step, _ in both_ways(session)] == [2, 4, 5]


def test_a_field_of_the_packet_over_several_packets() -> None:
    session = parser(4, 6).session
    session.watch("packet[12]", Access.READ)
    found = both_ways(session)
    assert {session.world.timeline.index_at(step) for step, _ in found} == {0, 1, 2}
    value = session.watchpoints[1]
    for step, _ in found:
        log = Recorder(session.world).record(step, step + 1)
        memory = session.object.memory
        reads = [(canonical(memory, at), size) for is_write, at, size in log.accesses[step] if not is_write]
        assert any(value.extent.touches(*one) for one in reads)


def test_an_element_of_a_map_is_what_the_recorder_says() -> None:
    session = parser(3, 9).session
    session.watch("protocols[IPV4_TCP]", Access.READ)
    found = [step for step, _ in both_ways(session)]
    log = Recorder(session.world).record(0, session.world.timeline.end)
    touches = session.watchpoints[1].extent.touches
    assert found == [
        step for step, noted in log.accesses.items() if any(touches(at, n) for is_write, at, n in noted if not is_write)
    ]
    assert len(found) > 1


def test_a_variable_on_the_stack_and_a_bit_field() -> None:
    session = parser(4, 5).session
    session.break_at("164")
    session.resume()
    session.breakpoints.all.clear()
    session.breakpoints.changed()
    session.watch("header_length", Access.READ)
    assert session.resume().text == "header_length is 20, read"
    session.remove(2)
    session.watch("ip->ihl", Access.READ)
    assert session.resume(back=True).text == "ip->ihl is 5, read"


def test_breakpoints_and_watchpoints_together() -> None:
    session = assembled("*(u64 *)(r10 - 16) = 0\n" + STORES, level=STRICT)
    session.start()
    session.watch("*(unsigned long *)($r10 - 8)", Access.READ)
    session.break_at("*2")
    session.break_at("*5", condition="$r1 == 1")
    session.break_at("*6", condition="$r1 != 1")
    stops = []
    while (stop := session.resume()).reason not in END:
        stops.append((stop.reason.value, stop.step))
    assert stops == [("breakpoint", 2), ("watchpoint", 3), ("breakpoint", 5), ("watchpoint", 6), ("watchpoint", 7)]


def test_stepping_and_a_fault_with_a_watchpoint() -> None:
    session = assembled("r1 = 0\nr2 = r1\nr0 = *(u64 *)(r1 + 0)\nexit", level=STRICT)
    session.start()
    session.watch("$r1", Access.READ)
    assert session.step_line().reason is Reason.STEP
    assert session.step_line().reason is Reason.WATCHPOINT
    assert session.resume().reason is Reason.FAULT, "a fault is told in place of the read that it is"
    stop = session.resume(back=True)
    assert (stop.reason, stop.step) in [(Reason.FAULT, 2), (Reason.WATCHPOINT, 2)]


def test_nothing_is_noted_without_such_a_watchpoint() -> None:
    session = parser(4, 4).session
    session.watch("protocols[IPV4_TCP].packets")
    memory = session.world.machine.memory
    session.watch("$r1", Access.READ)
    session.remove(2)
    assert session.resume().reason is Reason.WATCHPOINT
    assert session.world.machine.memory is memory


def test_the_state_is_the_same_whether_it_is_watched_or_not() -> None:
    runs = [Invocation("parse", packet=bytes(range(64))) for _ in range(2)]
    plain, watched = session_of(PARSER, runs), session_of(PARSER, runs)
    for session in (plain, watched):
        session.start()
    watched.watch("packet[12]", Access.ANY)
    watched.watch("$r3", Access.READ)
    forward(watched)
    plain.goto(1 << 62)
    assert watched.world.step == plain.world.step
    for name, view in plain.object.maps.items():
        assert bytes(view.raw.slab.data) == bytes(watched.object.maps[name].raw.slab.data)


@pytest.mark.parametrize("text", ["1 + 1", "flows", "len(flows)", "nothing"])
def test_what_lies_nowhere_is_not_watched(text: str) -> None:
    session = parser(4, 4).session
    for access in Access:
        with pytest.raises(InputError):
            session.watch(text, access)
    assert session.watchpoints == {}


def test_a_register_of_a_caller_is_not_watched() -> None:
    session = session_of(TESTS / "programs" / "xdp_parser.O0.bpf.o")
    session.break_at("take")
    session.resume()
    session.select(1)
    with pytest.raises(InputError, match="of a caller"):
        session.watch("$r6", Access.READ)
