"""Values, memory, displays, changes."""

from __future__ import annotations

import pytest
from debug.debug_support import TESTS, session_of
from debug.repl.repl_support import Repl, parser, program


@pytest.fixture
def stopped() -> Repl:
    """Where packet 4 has passed the first checks of IPv4."""
    repl = parser(4, 6)
    repl("b 164", "c")
    return repl


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("p ip->ttl", "$1 = 64"),
        ("print ip->ttl + 1", "$1 = 65"),
        ("p/x ip->ttl", "$1 = 0x40"),
        ("p/t ip->ttl", "$1 = 1000000"),
        ("inspect/c ip->ttl", "$1 = 64 '@'"),
        ("p ntohs(ip->tot_len)", "$1 = 40"),
        ("p/x packet[12:14]", "$1 = {0x81, 0x0}"),
        ("p sizeof(*ip)", "$1 = 20"),
        ("p IPV4_TCP", "$1 = 1"),
        ("p len(protocols)", "$1 = 11"),
        ("p protocols[IPV4_TCP]", "$1 = {.packets = 0, .bytes = 0}"),
        ("p flow->ip_version", "$1 = 0"),
        ("p $nothing", "error: $nothing has no value: set it with $nothing = ..."),
        ("p", "error: print takes an expression"),
        ("p/q 1", "error: 'q' is no format: it is a count and one of the letters x d u o t c s a"),
        ("p 1 +", "error: "),
        ("p nothing", "error: there is no variable, map or constant named nothing; "),
        ("whatis ip", "type = struct iphdr *"),
        ("whatis ip->ihl", "type = __u8 : 4"),
        ("whatis flows", "a map from struct flow to struct counter"),
        ("whatis", "error: whatis takes an expression or a type"),
        ("p *rest", "$1 = {.at = 0x"),
    ],
)
def test_print(stopped: Repl, command: str, said: str) -> None:
    text = stopped(command)
    assert text.startswith(said)


def test_long_structs_are_printed_a_member_a_line(stopped: Repl) -> None:
    lines = stopped("p *ip").splitlines()
    assert lines[0] == "$1 = {"
    assert "  .ttl = 64" in lines
    assert lines[-1] == "}"


def test_a_map_is_printed_as_a_table(stopped: Repl) -> None:
    stopped("finish", "finish", "d", "c")
    text = stopped("p flows")
    assert "source_port" in text
    assert "::ffff:192.0.2.1" in text


def test_memory_in_all_formats(stopped: Repl) -> None:
    assert stopped("x/4xb packet") == "0xff80001000000100 <packet>:  02  00  00  00\n"
    assert "<packet+4>" in stopped("x"), "it goes on behind"
    assert stopped("x/2xh packet+12").endswith("  0081  0a00\n")
    assert stopped("x/1dw &ip->ttl").split()[-1].lstrip("-").isdigit()
    assert "64 '@'" in stopped("x/c &ip->ttl")
    assert "1000000" in stopped("x/tb &ip->ttl")
    assert "0100" in stopped("x/ob &ip->ttl") or "100" in stopped("x/ob &ip->ttl")
    assert "<packet" in stopped("x/a rest")
    assert "<packet+18>" in stopped("x/xb ip")
    assert "cannot be read" in stopped("x/8xg 0x10")
    assert "error: " in stopped("x/z 1")
    assert "error: " in stopped("x/99999xb 1")
    assert "is a map" in stopped("x flows")
    assert "cannot be read" in stopped("x/xg packet+100000")


def test_text_in_memory() -> None:
    repl = Repl(session_of(TESTS / "programs" / "globals.bpf.o"))
    assert "error: " in repl("x/s 0x10")
    names = repl("info globals").splitlines()
    text = next((line.split("=")[0].split()[-1] for line in names if '"' in line), None)
    if text is not None:
        assert "'" in repl(f"x/s &{text}") or '"' in repl(f"x/s &{text}")


def test_instructions_as_memory(stopped: Repl) -> None:
    lines = stopped("x/3i $pc").splitlines()
    assert lines[0].startswith("> parse+2")
    assert len(lines) == 3
    assert stopped("x/i 0") == "  parse+0: *(u64 *)(r10 - 0x8) = r1\n"
    assert stopped("x/i parse_ipv4").startswith("  parse+222: ")
    assert "parse+" in stopped("x/2i $pc - 2")
    assert "; map protocols" in stopped("x/2i parse+25")


def test_displays(stopped: Repl) -> None:
    assert stopped("display ip->ttl") == "1: ip->ttl = 64\n"
    assert stopped("display/x $step").startswith("2: $step = 0x")
    assert stopped("display protocols") == "3: protocols has 11 elements\n"
    assert "1: ip->ttl = 64" in stopped("next")
    assert "2: $step = 0x" in stopped("display")
    stopped("disable display 1")
    assert "1: ip->ttl" not in stopped("next")
    assert "(disabled)" in stopped("info display")
    stopped("enable display 1", "d", "c")
    assert "1: ip->ttl = <there is no variable" in stopped("display")
    stopped("undisplay 1")
    assert "error: there is no display 1" in stopped("undisp 1")
    stopped("undisplay")
    assert stopped("info display") == "there are no displays\n"
    assert stopped("display/q 1").startswith("error: ")


def test_changes(stopped: Repl) -> None:
    stopped("set ip->ttl = 3")
    assert stopped.printed("ip->ttl") == "3"
    stopped("set var header_length += 4")
    assert stopped.printed("header_length") == "24"
    stopped("set variable packet[22] = 7")
    assert stopped.printed("packet[22]") == "7"
    assert stopped("set $r7 = 0x1234", "info registers r7") == "r7  0x1234  4660\n"
    stopped("set verdicts[XDP_PASS] = 9")
    assert stopped.printed("verdicts[XDP_PASS]") == "9"
    stopped("set flows[{{0}, {1}, 80, 443, 4, 6}] = {1, 2}")
    assert stopped.printed("len(flows)") == "1"
    assert stopped.printed("flows[{{0}, {1}, 80, 443, 4, 6}].bytes") == "2"
    stopped("set $mine = ip->ttl * 2")
    assert stopped.printed("$mine + 1") == "7"
    assert stopped.printed("ip->ttl = 5") == "5"
    assert stopped.failures == 0


@pytest.mark.parametrize(
    "text",
    [
        "set", "set 1 = 2", "set nothing = 3", "set $pc = 3", "set verdicts[99] = 1", "set flows[1] = 2",
        "set packet[10000] = 1", "set ip->ttl = {1, 2}", "set listsize x", "set context -1", "set trace-commands maybe",
    ],
)  # fmt: skip
def test_changes_that_cannot_be(stopped: Repl, text: str) -> None:
    before = stopped("history")
    assert stopped(text).startswith("error: ")
    assert stopped("history") == before


def test_a_change_runs_on_in_its_own_time_line() -> None:
    repl = parser(4, 4)
    repl("c", "goto start")
    text = repl("set packet[27] = 17", "b 166", "c")
    assert "time line 2 forks off here, at step 0" in text
    assert repl.printed("flow->protocol") == "17"
    repl("timeline 1", "c")
    assert repl.printed("flow->protocol") == "6"


def test_settings_of_gdb_are_passed_over() -> None:
    repl = program("r0 = 0\nexit")
    assert repl("set pagination off", "set confirm off", "set height 0", "set listsize 5") == ""
