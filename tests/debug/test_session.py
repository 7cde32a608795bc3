"""Sessions: stops, breakpoints, watchpoints, names; what every face of the debugger relies on."""

from __future__ import annotations

from pathlib import Path

import pytest
from debug.debug_support import MIXED, TESTS, assembled, session_of

from pybpftime.debug.breakpoints import CallPattern, interpolate, parse_hit_condition
from pybpftime.debug.expression import MapValue
from pybpftime.debug.session import Session
from pybpftime.debug.stops import Reason, Stop
from pybpftime.debug.timeline import Invocation
from pybpftime.debug.values import TypedValue
from pybpftime.errors import InputError
from pybpftime.program.packets import read_packets

PARSER = TESTS / "programs" / "xdp_parser.O0.bpf.o"
LOOP = "r0 = 0\nr1 = {}\nagain: r0 += 2\nr1 -= 1\nif r1 != 0 goto again\nexit"


@pytest.fixture
def parser() -> Session:
    """The XDP parser on a capture, unoptimised."""
    runs = [Invocation("parse", packet.data, label=f"packet {packet.number}") for packet in read_packets(str(MIXED))]
    session = session_of(PARSER, runs)
    session.start()
    return session


def value(session: Session, text: str) -> TypedValue:
    found = session.value(text)
    assert isinstance(found, TypedValue)
    return found


def line(session: Session) -> tuple[str, int]:
    """Function and line at which it stands."""
    frame = session.selected
    assert frame is not None and frame.line is not None
    return frame.name, frame.line.line


# --- moving -----------------------------------------------------------------------------------------------------------


def test_a_session_begins_before_the_first_instruction(parser: Session) -> None:
    assert parser.stop == Stop(Reason.ENTRY, 0)
    assert (parser.world.index, parser.world.step) == (0, 0)


def test_into_over_and_out_of_a_function(parser: Session) -> None:
    parser.break_at("parse_ipv4")
    assert parser.resume().reason is Reason.BREAKPOINT
    (name, first), depth = line(parser), len(parser.frames())
    assert name == "parse_ipv4"
    parser.step_line()
    assert line(parser) == (name, first + 1)
    parser.step_line()
    assert line(parser)[0] == "take" and len(parser.frames()) == depth + 1
    assert parser.step_out(back=True).reason is Reason.STEP
    assert line(parser) == (name, first + 1)
    before = parser.world.step
    parser.step_line(over=True)
    assert line(parser)[0] == name and line(parser)[1] > first + 1
    parser.step_line(over=True, back=True)
    parser.goto(before)
    parser.step_line()
    parser.step_out()
    assert line(parser) == (name, first + 1)
    parser.step_out()
    assert line(parser)[0] == "parse_frame"


def test_the_end_of_a_packet_and_the_next_one(parser: Session) -> None:
    while parser.step_out().reason is not Reason.RETURNED:
        pass
    ending = parser.world.ending
    assert ending is not None and ending.result is not None
    assert str(ending.result.verdict) == "XDP_PASS"
    assert parser.frames() == ()
    assert parser.step_line().reason is Reason.ENTRY
    assert parser.world.index == 1
    assert parser.next_invocation().reason is Reason.ENTRY
    assert parser.world.index == 2
    parser.step_instruction(3)
    assert parser.next_invocation(back=True).step == parser.world.timeline.starts[2]
    assert parser.next_invocation(back=True).step == parser.world.timeline.starts[1]


def test_all_packets_and_then_nothing(parser: Session) -> None:
    assert parser.resume().reason is Reason.END
    assert parser.world.index == len(parser.world.invocations) - 1
    end = parser.world.step
    assert [parser.resume().reason, parser.step_line().reason, parser.step_instruction().reason] == [Reason.END] * 3
    assert parser.resume(back=True) == Stop(Reason.START, 0)
    assert parser.step_line(back=True) == Stop(Reason.START, 0)
    assert parser.goto(end + 100) == Stop(Reason.END, end)


def test_a_loop_without_end_is_interrupted() -> None:
    session = assembled("again: goto again", budget=10**9)
    session.start()
    session.interrupt()
    assert session.resume().reason is Reason.PAUSED
    plan = session.plan_resume()
    session.interrupt()
    assert plan.go_on().reason is Reason.PAUSED
    session.break_at("*0", hit_condition="5000")
    assert plan.go_on() == Stop(Reason.BREAKPOINT, session.world.step, (1,))


def test_a_fault_stops_and_going_back_comes_to_it() -> None:
    session = assembled("r6 = r1\nr0 = *(u8 *)(r6 + 2)\nr0 = *(u8 *)(r6 + 3)\nexit", runs=2, mem=b"\1\2\3")
    session.start()
    stop = session.resume()
    assert (stop.reason, stop.step) == (Reason.FAULT, 3)
    assert "1 byte past the end (memory has 3 bytes)" in stop.text
    assert [frame.slot for frame in session.frames()] == [2]
    assert session.resume().step == 7
    assert session.resume().reason is Reason.END
    assert session.resume(back=True).step == 3
    assert session.step_instruction(back=True).step == 2
    assert session.resume(back=True).reason is Reason.START


# --- breakpoints ------------------------------------------------------------------------------------------------------


def test_a_line_breakpoint_with_a_condition(parser: Session) -> None:
    parser.break_at("xdp_parser.bpf.c:151", condition="flow->source_port == 0")
    with pytest.raises(InputError, match="has no member ttk; did you mean ttl"):
        parser.break_at("xdp_parser.bpf.c:153", condition="ip->ttk == 1")
    assert parser.resume().reason is Reason.BREAKPOINT


def test_a_breakpoint_where_the_program_begins_is_hit_first() -> None:
    session = assembled(LOOP.format(3))
    session.start()
    session.break_at("*0")
    assert session.resume() == Stop(Reason.BREAKPOINT, 0, (1,))
    assert session.resume().reason is Reason.END


@pytest.mark.parametrize(
    ("text", "stops"),
    [("", [2, 5, 8, 11]), ("3", [8]), (">= 3", [8, 11]), ("> 3", [11]), ("< 2", [2]), ("% 2", [5, 11]), ("==1", [2])],
)
def test_hit_conditions(text: str, stops: list[int]) -> None:
    session = assembled(LOOP.format(4))
    session.start()
    session.break_at("*2", hit_condition=text)
    assert [session.resume().step for _ in stops] == stops
    assert session.resume().reason is Reason.END


def test_a_hit_condition_that_is_none() -> None:
    for text in ("x", "%0", "-1", "1.5", "9" * 40):
        with pytest.raises(InputError, match="a hit condition is a number"):
            parse_hit_condition(text)


def test_conditions_over_registers_and_steps() -> None:
    session = assembled(LOOP.format(10))
    session.start()
    session.break_at("*3", condition="r0 == 8 || $step > 20")
    assert session.resume().step == 12
    assert session.resume().step == 21
    assert session.resume(back=True).step == 12
    assert session.resume(back=True).reason is Reason.START


def test_a_condition_that_has_no_value_stops_and_says_so() -> None:
    session = assembled(LOOP.format(2))
    session.start()
    session.break_at("*2", condition="1 / (r1 - 2) > 0")
    stop = session.resume()
    assert (stop.reason, stop.step) == (Reason.BREAKPOINT, 2)
    assert stop.text.startswith("the condition of breakpoint 1 has no value: ")


def test_log_points_put_out_and_do_not_stop() -> None:
    lines: list[tuple[str, str]] = []
    session = assembled(LOOP.format(3), output=lambda kind, text: lines.append((kind, text)))
    session.start()
    session.break_at("*3", log="r0 is {r0} {{braces}} {nothing}")
    assert session.resume().reason is Reason.END
    assert [text.partition(" (")[0] for _, text in lines] == [f"r0 is {number} {{braces}}" for number in (2, 4, 6)]
    session.resume(back=True)
    assert len(lines) == 3


def test_temporary_and_disabled_breakpoints() -> None:
    session = assembled(LOOP.format(5))
    session.start()
    session.break_at("*3", temporary=True)
    off = session.break_at("*2")
    off.enabled = False
    session.breakpoints.changed()
    assert session.resume() == Stop(Reason.BREAKPOINT, 3, (1,))
    assert list(session.breakpoints.all) == [2]
    assert session.resume().reason is Reason.END


def test_breakpoints_on_calls_by_result_and_by_key(parser: Session) -> None:
    missing = parser.break_on_call(CallPattern("bpf_map_lookup_elem", "flows", after=True), condition="$r0 == 0")
    parser.resume()
    assert line(parser)[0] == "count_flow"
    assert value(parser, "$r0").number() == 0
    parser.remove(missing.number)
    parser.break_on_call(CallPattern("bpf_map_.*", "protocols", (1).to_bytes(4, "little")))
    assert parser.resume().reason is Reason.BREAKPOINT
    frame = parser.selected
    assert frame is not None and frame.registers[2] is not None
    assert parser.scope().target.read(frame.registers[2], 4) == (1).to_bytes(4, "little")


def test_places_that_are_none_say_what_there_is(parser: Session) -> None:
    wrong = {
        "parse_ipv": "did you mean parse_ipv6 or parse_ipv4",
        "xdp_parse.c:1": "no code comes from a file named xdp_parse.c",
        "xdp_parser.bpf.c:9999": "no code at or behind line 9999; its last line with code is ",
        "/zzz/": "no function matches /zzz/",
        "/(/": "is no regular expression",
        "nothing+3": "there is no program named nothing",
        "parse+99999": "parse has no instruction 99999",
    }
    for text, words in wrong.items():
        with pytest.raises(InputError) as caught:
            parser.break_at(text)
        assert words in str(caught.value)
    assert len(parser.break_at("/^parse_ipv/").where.places) == 2  # type: ignore[union-attr]  # a place, not a call


# --- watchpoints ------------------------------------------------------------------------------------------------------


def test_a_watchpoint_stops_behind_a_change_and_back_before_it() -> None:
    session = assembled(LOOP.format(3))
    session.start()
    session.step_instruction(2)
    session.watch("$r0")
    assert [session.resume().step for _ in range(3)] == [3, 6, 9]
    assert session.seen[0].old != session.seen[0].new
    session.goto(11)
    assert [session.resume(back=True).step for _ in range(3)] == [8, 5, 2]


def test_who_wrote_an_element_of_a_map(parser: Session) -> None:
    parser.break_at("count_flow", hit_condition="3")
    parser.resume()
    parser.resume()
    before = value(parser, "protocols[1].packets")
    assert isinstance(parser.value("protocols"), MapValue)
    parser.watch("protocols[1].packets")
    stop = parser.resume(back=True)
    assert stop.reason in (Reason.WATCHPOINT, Reason.BREAKPOINT, Reason.START)
    if stop.reason is Reason.WATCHPOINT:
        assert "protocols[1].packets: " in stop.text
        assert line(parser)[0] == "count_flow" or line(parser)[0] == "add"
    assert before.size == 8


def test_a_map_cannot_be_watched_as_a_whole(parser: Session) -> None:
    with pytest.raises(InputError, match="watch an element"):
        parser.watch("flows")


# --- names and changes ------------------------------------------------------------------------------------------------


def test_variables_of_callers_are_seen_from_their_frames(parser: Session) -> None:
    parser.break_at("take")
    parser.resume()
    inner = {one.expression for one in parser.scope().locals()}
    outer = parser.select(1)
    assert inner != {one.expression for one in parser.scope().locals()}
    assert parser.selected == outer
    with pytest.raises(InputError, match="there is no frame 99"):
        parser.select(99)
    with pytest.raises(InputError, match="of a caller cannot be changed"):
        parser.value("$r6 = 1", may_change=True)


def test_a_changed_packet_goes_another_way_in_a_fork(parser: Session) -> None:
    parser.break_at("parse_ipv4")
    parser.resume()
    packet = parser.world.index
    start = parser.world.timeline.starts[packet]
    parser.resume()
    parser.goto(start)
    parser.value("packet[13] = 0x99", may_change=True)
    assert len(parser.world.timelines) == 2
    assert parser.resume().reason is Reason.BREAKPOINT
    assert parser.world.index > packet
    parser.world.switch(1, start)
    assert value(parser, "packet[13]").number() != 0x99
    parser.resume()
    assert parser.world.index == packet


def test_global_variables_and_types(parser: Session) -> None:
    assert value(parser, "sizeof(struct flow)").number() > 0
    assert isinstance(value(parser, "$step").number(), int)
    with pytest.raises(InputError, match="no_such_thing"):
        parser.value("no_such_thing")


def test_what_stands_in_braces_is_evaluated() -> None:
    assert interpolate("a{b}c{{d}}{", str.upper) == "aBc{d}{"


def test_a_program_without_debug_information_is_stepped_by_instruction(tmp_path: Path) -> None:
    session = assembled(LOOP.format(2))
    session.start()
    assert [session.step_line().step for _ in range(4)] == [1, 2, 3, 4]
    assert session.selected is not None and session.selected.line is None
    assert [session.step_line(back=True).step for _ in range(2)] == [3, 2]
