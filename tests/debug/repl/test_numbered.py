"""Values that were printed, by their numbers."""

from __future__ import annotations

import pytest
from debug.repl.repl_support import Repl, parser, program


@pytest.fixture
def printed() -> Repl:
    """Three values were printed: 64, 6, a struct."""
    repl = parser(4, 6)
    repl("b 164", "c", "p ip->ttl", "p ip->protocol", "p *ip")
    return repl


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("$1", "64"),
        ("$1 + $2", "70"),
        ("$.ttl", "64"),
        ("$$", "6"),
        ("$$2", "64"),
        ("$$0.protocol", "6"),
        ("$3.ihl + $$", "11"),
        ("sizeof($)", "20"),
        ("$1 == 64 ? $2 : 0", "6"),
        ("$4", "error: there is no $4: the values that were printed are $1 to $3"),
        ("$0", "error: there is no $0: the values that were printed are $1 to $3"),
        ("$$3", "error: there is no $$3: the values that were printed are $1 to $3"),
        ("$99999999999999999999999999", "error: there is no $99999999999999999999: "),
        ("$1 = 5", "error: $1 is a value that was printed and cannot be set"),
        ("$ = 5", "error: $ is a value that was printed and cannot be set"),
        ("$3.ttl = 5", "error: "),
        ("&$3", "error: $3: it does not lie in memory and has no address"),
        ("$$$", "error: an operator or the end is expected, here is '$'"),
        ("$1x", "error: an operator or the end is expected, here is 'x'"),
        ("$1.ttl", "error: $1: it is of type __u8 and has no members"),
    ],
)
def test_in_expressions(printed: Repl, expression: str, said: str) -> None:
    assert printed.printed(expression).startswith(said)


def test_each_print_has_the_next_number(printed: Repl) -> None:
    assert printed("p 1", "p $", "p/x $") == "$4 = 1\n$5 = 1\n$6 = 0x1\n"
    assert "error" in printed("p nothing", "p/q 1")
    assert printed("p 2") == "$7 = 2\n", "what failed has no number"
    printed("p flows", "p ip->ttl = 9")
    assert printed("p $") == "$9 = 9\n", "a map has none"


def test_a_value_stays_what_it_was(printed: Repl) -> None:
    printed("set ip->ttl = 3", "c")
    assert printed.printed("$1") == "64"
    assert printed.printed("$3.ttl") == "64"


def test_before_anything_was_printed() -> None:
    repl = program("r0 = 0\nexit")
    for text in ("$", "$$", "$1"):
        assert repl(f"p {text}") == "error: no value has been printed yet\n"


def test_in_other_commands(printed: Repl) -> None:
    assert printed("whatis $3") == "type = struct iphdr\n"
    assert printed("set $mine = $1 * 2", "p $mine") == "$4 = 128\n"
    assert printed("echo {$1}") == "64\n"
    printed("d", "b 164 if ip->ttl == $1")
    assert "breakpoint 2, parse_ipv4" in printed("c")
    assert printed("watch $1").startswith("error: $1: it is computed and lies nowhere")
    assert printed("display $1").startswith("1: $1 = 64")


def test_in_a_macro(printed: Repl) -> None:
    printed("define twice", "p $arg0 * 2", "end")
    assert printed("twice $1") == "$4 = 128\n"


def test_a_large_value_is_kept_by_its_place() -> None:
    repl = program("r0 = 0\nexit", mem=bytes(200_000))
    assert repl("p *(unsigned char (*)[100])$r1").startswith("error: ")
    assert repl("p ((unsigned char *)$r1)[0:100000]").startswith("$1 = {0, 0")
    repl("set *(unsigned char *)$r1 = 7")
    assert repl("p $1[0]") == "$2 = 7\n"
