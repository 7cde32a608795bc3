"""Commands that move, and what a stop shows."""

from __future__ import annotations

import pytest
from debug.debug_support import TESTS
from debug.repl.repl_support import Repl, parser, program, session_on

from pybpftime.debug.timeline import Invocation

LOOP = "r0 = 0\nagain: r0 += 1\ngoto again"
CALLS = "r1 = 1\ncall double\nr6 = r0\nr0 = r6\nexit\ndouble: r0 = r1\nr0 *= 2\nexit"


def test_the_beginning_shows_source_instruction_and_registers() -> None:
    lines = parser().beginning.splitlines()
    assert lines[0] == "parse at xdp_parser.bpf.c:318 (packet 1 of 12, step 0)"
    assert lines[2] == ">  318  {"
    assert lines[4] == "  parse+0: *(u64 *)(r10 - 0x8) = r1"
    assert "r1 = 0xff80002000000000 <xdp_md.data>" in lines[5]


def test_context_lines_can_be_set() -> None:
    repl = parser()
    assert ">  320" in repl("set context 1", "next")
    assert "  319  " not in repl("set context 0", "next")


def test_run_goes_to_the_first_breakpoint_and_again() -> None:
    repl = parser()
    first = repl("break parse_ipv4", "run")
    assert "breakpoint 1, parse_ipv4 at xdp_parser.bpf.c:149 (packet 4 of 12, step 592)" in first
    assert "1 hit" in repl("info breakpoints")
    repl("continue 2")
    assert "step 592)" in repl("restart")
    assert "1 hit" in repl("info breakpoints")
    assert "step 0)" in repl("start")


def test_continue_and_reverse_continue_count() -> None:
    repl = parser()
    repl("break parse_ethernet")
    assert "packet 3 of 12" in repl("c 3")
    assert "packet 1 of 12" in repl("rc 2")
    assert "this is the beginning: nothing is before it" in repl("rc")


def test_the_end_says_what_the_last_packet_gave() -> None:
    repl = parser(1, 2)
    text = repl("continue")
    assert "parse returned XDP_PASS (2) after 139 instructions; there is nothing more to run on" in text
    assert "packet 2 of 2, step 279" in text
    assert "nothing more to run on" in repl("step")


def test_step_next_finish_and_back() -> None:
    repl = parser()
    repl("break parse_ipv4", "c")
    assert "parse_ipv4 at xdp_parser.bpf.c:150" in repl("next")
    assert "take at xdp_parser.bpf.c:10" in repl("step")
    assert "parse_ipv4 at xdp_parser.bpf.c:150" in repl("finish")
    assert "take at xdp_parser.bpf.c:1" in repl("reverse-step")
    assert "parse_ipv4 at xdp_parser.bpf.c:150" in repl("reverse-finish")
    assert "parse_ipv4 at xdp_parser.bpf.c:155" in repl("next 2")
    assert "parse_ipv4 at xdp_parser.bpf.c:153" in repl("reverse-next")
    assert "parse_ipv4 at xdp_parser.bpf.c:150" in repl("rn")


def test_an_empty_line_moves_again_but_only_for_people() -> None:
    repl = parser()
    repl("next")
    repl.execute("", repeats=True)
    assert repl.taken().splitlines()[0].startswith("parse at xdp_parser.bpf.c:319")
    repl("print 1")
    repl.execute("", repeats=True)
    assert repl.taken() == ""
    repl("next")
    assert repl("") == ""


def test_instructions_and_calls() -> None:
    repl = program(CALLS)
    assert "test+1: call" in repl("stepi")
    assert "r1 = 1" in repl("rsi", "si")
    assert "test+5:" in repl("stepi")
    assert "test+1:" in repl("rsi")
    assert "test+2:" in repl("nexti")
    assert "test+1:" in repl("rni")
    assert "test+2:" in repl("ni")
    assert "step 7)" in repl("stepi 2")
    assert "test+0:" in repl("reverse-stepi 7")
    assert "this is the beginning" in repl("reverse-stepi 1")


def test_until_runs_through_a_loop() -> None:
    repl = parser(4, 4)
    repl("break is_blocked", "c")
    line = repl("until").splitlines()[0]
    assert line.startswith("is_blocked at xdp_parser.bpf.c:31")
    for _ in range(4):
        line = repl("until").splitlines()[0]
    assert line.startswith(("is_blocked at xdp_parser.bpf.c:313", "parse at", "is_blocked at xdp_parser.bpf.c:314"))


def test_advance_and_until_a_place() -> None:
    repl = parser(4, 4)
    text = repl("advance parse_transport")
    assert text.startswith("parse_transport at xdp_parser.bpf.c:216 (packet 4")
    assert "breakpoint" not in text
    assert repl("until 223").startswith("parse_transport at xdp_parser.bpf.c:223")
    assert "there are no breakpoints" in repl("info breakpoints")
    assert "error: where to?" in repl("advance")
    repl("break classify")
    assert "breakpoint " in repl("advance add")


def test_packets_forward_and_back() -> None:
    repl = parser()
    assert "packet 2 of 12, step 140" in repl("next-packet")
    assert "packet 4 of 12" in repl("np 2")
    repl("next 3")
    assert "packet 4 of 12, step 460" in repl("previous-packet")
    assert "packet 2 of 12" in repl("pp 2")
    assert "nothing more to run on" in repl("np 100")


def test_goto() -> None:
    repl = parser()
    assert "(packet 3 of 12, step 280)" in repl("goto packet 3")
    assert "step 300)" in repl("goto 300")
    assert "step 310)" in repl("goto +10")
    assert "step 290)" in repl("goto -20")
    assert "packet 12 of 12" in repl("goto end")
    assert "step 0)" in repl("goto start")
    assert "(packet 12 of 12, step 3726)" in repl("goto packet 12")
    assert "(packet 1 of 12, step 0)" in repl("goto packet 1")
    assert "there is no packet 13; there are 1 to 12" in repl("goto packet 13")
    assert "is not a step, start, end or packet N" in repl("goto somewhere")
    assert "there is no step -1" in repl("goto -1")


def test_packets_are_called_what_the_capture_calls_them() -> None:
    repl = parser(4, 6)
    assert "(packet 5 of 3, " in repl("goto packet 5")
    assert "packet 4 of 3" in repl("goto packet 1"), "counted from 1 where no packet is called so"


def test_a_fault_is_told_with_its_place() -> None:
    repl = program("r1 = *(u64 *)(r10 + 8)\nexit")
    text = repl("continue")
    assert text.startswith("memory fault: load of 8 bytes at ")
    assert "test+0: r1 = *(u64 *)(r10 + 0x8)" in text
    assert "--linux" not in text
    assert repl.faulted


@pytest.mark.parametrize(
    ("text", "is_strict"),
    [
        ("r1 = *(u64 *)(r10 - 8)\nexit", True),
        ("r0 = 0\nr0 = r3\nexit", False),
        ("r2 = 1\n*(u64 *)(r10 - 8) = r2\nr1 = *(u32 *)(r10 - 7)\nexit", False),
        ("r0 = *(u32 *)(r1 + 1)\nexit", True),
        ("r0 = r10\nexit", True),
    ],
)
def test_a_fault_of_strict_alone_says_how_to_choose_another_level(text: str, is_strict: bool) -> None:
    shown = program(text, mem=bytes(16))("continue")
    assert " fault: " in shown
    assert ("--linux lets pass" in shown) == is_strict, shown


def test_a_limit_is_told() -> None:
    repl = program(LOOP)
    repl.session.world.budget = 1000
    text = repl("c")
    assert text.startswith("stopped by a limit: ")
    assert repl.faulted


def test_an_interrupt_stops_and_can_be_gone_on_from() -> None:
    repl = program(LOOP)
    repl.session.world.budget = 1 << 40
    repl.session.breakpoints.collect = None
    looked = []

    def look(pc: int) -> bool:
        looked.append(pc)
        repl.interrupt()
        return False

    repl.session.world.advance(3, until=look)
    assert looked
    text = repl("stepi 1")
    assert "interrupted" not in text, "an interrupt counts for the command that is under way"
    timer = repl.session.world
    original = timer.timeline.checkpoint_due
    timer.timeline.checkpoint_due = lambda step: (repl.interrupt(), original(step))[1]  # type: ignore[method-assign]
    assert repl("continue").startswith("interrupted")
    assert repl("until 1000").startswith("error: ")
    assert repl("goto end").startswith("interrupted")


def test_time_lines_fork_where_something_is_changed() -> None:
    repl = parser(4, 4)
    repl("break classify", "c")
    assert "is a step of" not in repl("timeline")
    assert "forks off" not in repl("set $r9 = 5"), "nothing is behind this step"
    repl("goto 50")
    text = repl("set packet[22] = 1")
    assert "time line 2 forks off here, at step 50; time line 1 stays as it was" in text
    listed = repl("timeline").splitlines()
    assert len(listed) == 2
    assert listed[1].startswith(">2: steps 0 to 50, forked off 1 at step 50, 1 change")
    assert "time line 2)" in repl("continue")
    assert "(packet 4, step 50)" in repl("timeline 1")
    assert "time line 2)" in repl("timeline 2")
    assert "error: there is no time line 3; there are 1 to 2" in repl("timeline 3")
    assert "packet+22 was set to 01" in repl("history")
    assert "time line 2: step 50" in repl("where")


def test_what_the_program_prints_comes_once() -> None:
    runs = [Invocation("trace", packet=bytes(range(60)))]
    repl = Repl(session_on(TESTS / "programs" / "printk.bpf.o", runs))
    text = repl("goto end")
    count = text.count("printk: ")
    assert count > 0
    assert "printk: " not in repl("goto start", "goto end"), "it is known already"


def test_back_over_calls_behind_a_run_that_was_out_of_budget() -> None:
    repl = program(CALLS, runs=2)
    repl.session.world.budget = 6
    repl("goto packet 2")
    assert "test+2:" in repl("nexti 2")
    assert "test+1:" in repl("reverse-nexti")
    assert "test+0:" in repl("reverse-nexti")
    assert repl.faulted
