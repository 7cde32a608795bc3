"""Commands that show code, the stack, maps, the packet, and facts about the program."""

from __future__ import annotations

import pytest
from debug.debug_support import TESTS, session_of
from debug.repl.repl_support import OPTIMISED, Repl, captured, parser, program, session_on

from pybpftime.debug.timeline import Invocation

RING = TESTS / "programs" / "ringbuf.bpf.o"


@pytest.fixture
def stopped() -> Repl:
    """In parse_ipv4, which parse_frame called, which parse called."""
    repl = parser(4, 6)
    repl("b parse_ipv4", "c")
    return repl


def numbers(text: str) -> list[int]:
    """The line numbers of a listing."""
    return [int(line.lstrip(">").split()[0]) for line in text.splitlines()]


def test_list_goes_on(stopped: Repl) -> None:
    assert numbers(stopped("list")) == list(range(144, 154))
    assert numbers(stopped("list")) == list(range(154, 164))
    stopped.execute("", repeats=True)
    assert numbers(stopped.taken()) == list(range(164, 174))
    assert numbers(stopped("set listsize 3", "l")) == [174, 175, 176]
    assert numbers(stopped("l 10,12")) == [10, 11, 12]
    assert numbers(stopped("l classify")) == [240, 241, 242]
    assert numbers(stopped("l xdp_parser.bpf.c:30")) == [29, 30, 31]
    assert numbers(stopped("l 1")) == [1, 2, 3]
    assert ">  149" in stopped("l 148,150")


@pytest.mark.parametrize("text", ["list nothing", "list 99999", "list nothing.c:1", "list 5,", "l 0x10,3"])
def test_list_of_what_is_not_there(stopped: Repl, text: str) -> None:
    assert stopped(text).startswith("error: ")


def test_list_without_lines() -> None:
    assert "error: no source line belongs to" in program("r0 = 0\nexit")("list")


def test_disassemble(stopped: Repl) -> None:
    lines = stopped("disassemble").splitlines()
    assert lines[0] == "parse_ipv4:"
    assert sum(line.startswith("> parse+222: ") for line in lines) == 1
    assert any(line.endswith("; ipv4_in_ipv6") for line in lines)
    mixed = stopped("disas/s")
    assert ">  149" not in mixed
    assert "   149      void *start = rest->at;\n> parse+222: " in mixed
    assert stopped("disassemble classify").startswith("classify:\n")
    assert "; parse+" in stopped("disas take"), "jumps say where they lead"
    assert stopped("disas/q").startswith("error: /q is no format")
    assert stopped("disas nothing").startswith("error: ")


def test_frames(stopped: Repl) -> None:
    lines = stopped("bt").splitlines()
    assert [line.split()[1] for line in lines] == ["parse_ipv4", "parse_frame", "parse"]
    assert lines[0].startswith(">#0  ")
    assert stopped("up").startswith("#1  parse_frame at xdp_parser.bpf.c:272\n")
    assert stopped.printed("type") == "2048"
    assert stopped("up").startswith("#2  parse ")
    assert stopped("up") == "error: this is the outermost frame\n"
    assert stopped("frame 1").startswith("#1 ")
    assert stopped("f").startswith("#1 ")
    assert stopped("down").startswith("#0 ")
    assert stopped("down") == "error: this is the innermost frame\n"
    assert stopped("frame 7").startswith("error: there is no frame 7")
    assert len(stopped("bt 2").splitlines()) == 2
    assert "r6 of a caller cannot be changed" in stopped("up", "set $r6 = 1")


def test_frames_of_inlined_functions() -> None:
    repl = parser(path=OPTIMISED)
    repl("b take", "c")
    text = repl("bt")
    assert "take at xdp_parser.bpf.c:" in text
    assert "(inlined)" in text
    assert "an inlined function" in repl("info frame")


def test_nothing_is_active_at_the_end() -> None:
    repl = parser(1, 1)
    repl("c")
    for command in ("bt", "up", "frame", "info locals", "info frame", "list", "disas", "b", "x/i"):
        assert repl(command).startswith("error: "), command
    assert "parse returned XDP_PASS" in repl("info line")
    assert "r0  2" in repl("info registers")


def test_info_variables(stopped: Repl) -> None:
    assert stopped("info args").startswith("struct cursor * rest = (struct cursor *) 0x")
    assert "struct iphdr * ip = " in stopped("info locals")
    assert "const volatile __u16[4] blocked_ports = {23, 445, 1900, 0}" in stopped("info globals")
    assert "struct flow flow = " in stopped("frame 2", "info locals")
    assert "error: no variables" in program("r0 = 0\nexit")("info locals")
    assert "there are no global variables" in program("r0 = 0\nexit")("info globals")


def test_info_frame_and_line(stopped: Repl) -> None:
    text = stopped("info frame")
    assert text.startswith("frame 0 is a function: parse_ipv4 at xdp_parser.bpf.c:149\n")
    assert "called from parse_frame at xdp_parser.bpf.c:272" in text
    assert stopped("info line").startswith("parse_ipv4 at xdp_parser.bpf.c:149, column ")
    assert stopped("info line 164") == "xdp_parser.bpf.c:164 begins at\n  parse+283 at xdp_parser.bpf.c:164\n"


def test_info_registers(stopped: Repl) -> None:
    text = stopped("info registers")
    assert "r1  0xff" in text
    assert "<stack-" in text
    assert text.endswith("pc  parse+222\n")
    assert stopped("info registers r10 $r1").count("\n") == 2
    assert "there is no register r11" in stopped("i r r11")
    assert stopped("i r x").startswith("error: ")
    assert "r1  (not set)" in stopped("up", "i r r1")


def test_info_lists(stopped: Repl) -> None:
    assert "flows: hash, key 40 bytes, value 16 bytes, at most 4096 entries" in stopped("info maps")
    assert stopped("info functions ^parse_ip").splitlines() == [
        "parse_ipv4: parse+222 at xdp_parser.bpf.c:149",
        "parse_ipv6: parse+348 at xdp_parser.bpf.c:174",
    ]
    assert stopped("info functions xyz") == "there is no such function\n"
    assert stopped("info functions (").startswith("error: ")
    assert "xdp_parser.bpf.c: " in stopped("info sources")
    assert stopped("info programs").startswith(">parse: xdp, ")
    assert ">packet 4: began at step 0\n packet 5: not begun" in stopped("info packets")
    assert ", XDP_PASS" in stopped("d", "c", "info invocations")
    assert stopped("info timelines").startswith(">1: steps 0 to ")
    assert stopped("info").startswith("error: info takes a subject: args, ")
    assert "did you mean" in stopped("info locale")
    assert "info l may be" in stopped("i l").replace("l may be", "info l may be")


def test_many_invocations_are_not_all_listed() -> None:
    repl = program("r0 = 0\nexit", runs=500)
    assert "... these are 200 of 500" in repl("info invocations")
    assert ">run 301: began at step 900" in repl("goto packet 301", "info invocations")


def test_sources_that_are_not_there() -> None:
    assert "says nothing about its source" in program("r0 = 0\nexit")("info sources")


def test_maps_and_a_map(stopped: Repl) -> None:
    text = stopped("maps")
    for name in ("protocols", "flows", "verdicts", ".rodata"):
        assert f"\n{name}  " in text
    assert "hash, 0 of 4,096 entries" in stopped("map flows")
    assert "did you mean flows?" in stopped("map flow")
    assert stopped("map").startswith("error: ")
    assert "the object has no maps" in program("r0 = 0\nexit")("maps", "info maps")


def test_showing_a_ring_buffer_leaves_its_records() -> None:
    spec = session_of(RING).object.spec
    name = next(iter(spec.programs))
    frames = [bytes(range(100))] * 3
    repl = Repl(session_of(RING, [Invocation(name, packet=frame) for frame in frames]))
    repl("goto end")
    text = repl("maps")
    assert text == repl("maps")
    assert "record" in text
    before = repl("goto start", "goto end", "maps")
    assert text.splitlines()[-1] in before


def test_the_packet(stopped: Repl) -> None:
    lines = stopped("packet").splitlines()
    assert lines[0] == "packet 4 of 3, 58 bytes: vlan 10 IPv4 192.0.2.1:40000 > 192.0.2.2:80 TCP [S]"
    assert lines[1].startswith("  eth   dest 02:00:00:00:00:02, ")
    assert lines[2].startswith("  vlan  tci 0x000a, ")
    assert "ttl 64, protocol 6, " in lines[3] and "saddr 192.0.2.1, " in lines[3]
    assert "source 40000, dest 80, " in lines[4]
    assert lines[5].startswith("     0  02 00 00 00 00 02 02 00  00 00 00 01 81 00 00 0a  ")
    assert stopped("info packet").splitlines() == lines
    assert "IPv4 192.0.2.1:40000" in stopped("set packet[27] = 17", "packet")
    assert "UDP" in stopped("packet")
    assert stopped("goto 0").count("packet")
    assert program("r0 = 0\nexit")("packet") == "error: the program has no packet\n"


def test_the_packet_of_a_program_that_sees_no_ethernet_header() -> None:
    frame = next(one.data for one in captured() if one.data[12:14] == b"\x08\x00" and len(one.data) > 40)
    path = TESTS / "programs" / "cgroup_skb.bpf.o"
    lines = Repl(session_on(path, [Invocation("ingress", packet=frame)]))("packet").splitlines()
    assert lines[0].startswith(f"run 1, {len(frame) - 14} bytes: IPv4 ")
    assert lines[1].startswith("  ipv4  version_ihl 0x45, ")


def test_a_long_packet_is_cut() -> None:
    spec_runs = [Invocation("parse", packet=bytes(1000))]
    repl = Repl(session_of(OPTIMISED, spec_runs))
    assert "... 488 bytes more; packet all shows them" in repl("packet")
    assert "more" not in repl("packet all")


def test_history(stopped: Repl) -> None:
    text = stopped("history")
    assert text.startswith("time line 1: step 132 of 132 so far\npacket 4 of 3 in parse, which began at step 0\n")
    assert "parse_ipv4 at xdp_parser.bpf.c:149, parse+222" in text
    stopped("set $r9 = 1", "set verdicts[XDP_PASS] = 2", "set ip = 0")
    text = stopped("history")
    assert "at step 132 r9 was set to 0x1" in text
    assert "was set to 02 00" in text
