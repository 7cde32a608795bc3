"""Breakpoints, watchpoints, log points, and what is done when they stop."""

from __future__ import annotations

import pytest
from debug.repl.repl_support import OPTIMISED, PARSER, Repl, parser, program

COUNTER = "r0 = 0\nr6 = 5\nagain: r0 += 2\nr6 -= 1\nif r6 != 0 goto again\nexit"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("parse_ipv4", "breakpoint 1 at parse_ipv4 (parse+222)"),
        ("xdp_parser.bpf.c:150", "breakpoint 1 at xdp_parser.bpf.c:150 (parse+225)"),
        ("150", "breakpoint 1 at xdp_parser.bpf.c:150 (parse+225)"),
        ("parse+225", "breakpoint 1 at parse+225"),
        ("*225", "breakpoint 1 at parse+225"),
        ("/^parse_ip/", "breakpoint 1 at parse_ipv4, parse_ipv6 (2 places)"),
        ("", "breakpoint 1 at parse+0"),
    ],
)
def test_places(place: str, said: str) -> None:
    repl = parser()
    assert repl(f"break {place}") == f"{said}\n"


def test_a_place_that_is_none() -> None:
    repl = parser()
    assert "there is no function named parse_ipv5; did you mean" in repl("b parse_ipv5")
    assert "no code comes from a file named nothing.c" in repl("b nothing.c:1")
    assert repl.failures == 2


def test_conditions() -> None:
    repl = parser()
    assert "breakpoint 1 at xdp_parser.bpf.c:164" in repl("b 164 if ip->ttl == 64 && ip->protocol == 17")
    assert "packet 5 of 12" in repl("c")
    assert repl.printed("ip->protocol") == "17"
    assert repl("condition 1 ip->protocol == 6") == "breakpoint 1 stops only if ip->protocol == 6\n"
    repl("run")
    assert repl.printed("ip->protocol") == "6"
    assert repl("cond 1") == "breakpoint 1 stops always\n"
    assert "ip has no member" in repl("cond 1 ip->nothing") or "has no member nothing" in repl("cond 1 ip->nothing")
    assert "only if" not in repl("info b"), "a condition that is wrong changes nothing"
    assert "error:" in repl("b 164 if nothing == 1")
    assert "error: there is no breakpoint 9" in repl("cond 9 1")


def test_temporary_ones_go() -> None:
    repl = parser()
    assert "temporary breakpoint 1 at parse_ethernet" in repl("tbreak parse_ethernet")
    assert "breakpoint 1, parse_ethernet" in repl("c")
    assert "there are no breakpoints" in repl("info b")


def test_regular_expressions() -> None:
    repl = parser()
    said = repl("rbreak ^(parse|is)_").splitlines()
    assert [line.split()[3] for line in said] == [
        "is_blocked", "parse_ethernet", "parse_frame", "parse_ipv4", "parse_ipv6", "parse_transport",
    ]  # fmt: skip
    assert "no function matches xyz" in repl("rbreak xyz")
    assert "is no regular expression" in repl("rbreak (")
    assert "is no regular expression" in repl("rbreak a{99999999999}")


def test_calls_before_and_behind() -> None:
    repl = parser(4, 12)
    assert repl("break-call bpf_map_update_elem") == "breakpoint 1 at call bpf_map_update_elem\n"
    assert "count_flow at" in repl("c")
    repl("d")
    said = repl("break-call bpf_map_lookup_elem flows after if $r0 == 0")
    assert said == "breakpoint 2 at call bpf_map_lookup_elem on flows (after it)\n"
    repl("run")
    assert repl.printed("$r0") == "0"
    assert "only if $r0 == 0" in repl("info b")


def test_calls_with_a_key() -> None:
    repl = parser()
    assert "breakpoint 1" in repl("break-call bpf_map_lookup_elem verdicts XDP_ABORTED")
    assert "packet 9 of 12" in repl("c")
    assert "packet 10 of 12" in repl("c")
    assert "there is no map named verdict; did you mean verdicts?" in repl("bc bpf_map_lookup_elem verdict")
    assert "error:" in repl("bc bpf_map_lookup_elem verdicts nothing")
    assert "error:" in repl("bc")
    assert "no regular expression" in repl("bc (")


def test_watchpoints_forward_and_back() -> None:
    repl = parser()
    said = repl("watch protocols[IPV4_TCP].packets")
    assert said == "watchpoint 1 on protocols[IPV4_TCP].packets, which is 0\n"
    assert "watchpoint 1: protocols[IPV4_TCP].packets: 0 -> 1\nadd at xdp_parser.bpf.c:290 (packet 4" in repl("c")
    repl("goto end")
    text = repl("reverse-continue")
    assert "watchpoint 1: protocols[IPV4_TCP].packets: " in text
    assert "add at xdp_parser.bpf.c:2" in text
    assert "watchpoint protocols[IPV4_TCP].packets" in repl("info watchpoints")
    assert "error: " in repl("watch protocols")
    assert "error: " in repl("watch")
    assert "has no condition" in repl("condition 1 1")


def test_a_watched_register() -> None:
    repl = program(COUNTER)
    repl("ni", "watch $r0")
    assert "watchpoint 1: $r0: 0 -> 2" in repl("c")
    assert "watchpoint 1: $r0: 2 -> 4" in repl("c")


def test_log_points_print_and_go_on() -> None:
    repl = parser(4, 8)
    assert repl('dprintf 164,"ttl {ip->ttl} {{x} {nothing} {protocols}"').startswith("log point 1 at xdp_parser")
    lines = repl("c").splitlines()
    assert lines[0].startswith("ttl 64 {x} (there is no variable")
    assert len(lines) > 3
    assert lines[-1].startswith("parse returned")
    assert "error: dprintf takes a place and a text" in repl("dprintf parse")
    assert "error:" in repl('dprintf parse,""')
    repl('logpoint 164,"six" if ip->protocol == 6')
    assert "six" in repl("run")


def test_delete_enable_disable_clear() -> None:
    repl = parser()
    repl("b parse_ipv4", "b parse_ethernet", "watch $r9", "disable 2-3")
    assert repl("info b").count("disabled") == 2
    assert "breakpoint 1," in repl("c")
    repl("en", "d 1")
    assert "disabled" not in repl("info b")
    assert "error: there is no breakpoint 1" in repl("d 2 1")
    assert "watchpoint $r9" in repl("info b"), "all or nothing"
    assert repl("clear parse_ethernet") == "deleted 2\n"
    assert "error: there is no breakpoint at" in repl("clear parse_ethernet")
    repl("delete")
    assert "there are no breakpoints" in repl("info b")
    for wrong in ("d x", "d 3-1", "en 99", "dis 1-99999999", "d 1-", "clear nothing"):
        assert repl(wrong).startswith("error: "), wrong


def test_ignore() -> None:
    repl = program(COUNTER)
    repl("b test+2")
    assert repl("ignore 1 3") == "breakpoint 1 stops at hit > 3; it has had 0\n"
    repl("c")
    assert repl.printed("$r0") == "6"
    assert "stops at hit % 2" in repl("ignore 1 % 2")
    assert "at every hit" in repl("ignore 1 0")
    assert "error: a hit condition is" in repl("ignore 1 often")
    assert "error: " in repl("ignore 7 1")


def test_commands_are_executed_at_a_stop() -> None:
    repl = parser()
    repl("b parse_ipv4", "commands", "silent", "echo packet {$invocation}", "end")
    assert repl("c") == "packet 3\n"
    repl("commands 1", "p $step", "c", "end")
    text = repl("run")
    assert text.count("breakpoint 1, parse_ipv4") > 3
    assert text.splitlines()[-1].startswith("parse returned")
    assert "> p $step" in repl("info b")
    repl("commands 1", "end")
    assert "> p $step" not in repl("info b")
    assert repl("commands 99").startswith("error: ")
    assert repl.prompt == "(bpf) "


def test_a_command_that_fails_ends_the_commands_of_a_breakpoint() -> None:
    repl = parser()
    repl("b parse_ipv4", "commands", "nothing", "echo not reached", "end")
    text = repl("c")
    assert "error: there is no command named nothing" in text
    assert "not reached" not in text


def test_a_breakpoint_in_every_copy_of_an_inlined_function() -> None:
    repl = parser(path=PARSER.with_name("xdp_parser.bpf.o"))
    assert "places)" in repl("b take")
    assert "info" not in repl("c")
    assert "(inlined)" in repl("bt")


def test_commands_on_several_programs() -> None:
    from debug.debug_support import session_of

    repl = Repl(session_of(PARSER.with_name("multi.bpf.o")))
    programs = repl("info programs").splitlines()
    assert len(programs) > 1
    assert programs[0].startswith(">")
    assert "error: instruction 1 of which program? say PROGRAM+1" in repl("b *1")


def test_a_breakpoint_at_the_beginning_of_the_next_run_stops_behind_the_end_of_one() -> None:
    repl = program(COUNTER, runs=3)
    repl("b test+0", "finish", "finish")
    assert "breakpoint 1, test at test+0 (run 2 of 3" in repl("c")


def test_what_is_watched_says_how() -> None:
    repl = parser(4, 6)
    assert repl("rwatch protocols[IPV4_TCP]").startswith("read watchpoint 1 on protocols[IPV4_TCP], which is {")
    assert repl("awatch packet[12]").startswith("access watchpoint 2 on packet[12], which is ")
    said = repl("c").splitlines()[0]
    assert said.startswith("watchpoint 2: packet[12] is ") and said.endswith(", read")
    text = repl("info watchpoints")
    assert "1  read watchpoint protocols[IPV4_TCP], 0 hits" in text
    assert "2  access watchpoint packet[12], 1 hit" in text
    repl("disable 2")
    assert "watchpoint 1: protocols[IPV4_TCP] is {.packets = 0, .bytes = 0}, read" in repl("c")
    for command in ("rwatch", "awatch"):
        assert repl(command).startswith("error: the expression is missing")
        assert repl(f"{command} flows").startswith("error: flows is a map: watch an element")
        assert repl(f"{command} 1 + 1").startswith("error: 1 + 1: it is computed and lies nowhere")
        assert f"example: {command}" in repl(f"help {command}")


def test_a_watched_variable_in_a_register_says_which() -> None:
    repl = parser(4, 6, path=OPTIMISED)
    repl("b 164", "c")
    assert repl("rwatch ip").startswith("read watchpoint 2 on ip (in r4), which is (struct iphdr *) 0x")
