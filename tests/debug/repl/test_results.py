"""`set result`: what a helper has answered is changed."""

from __future__ import annotations

import pytest
from debug.debug_support import TESTS, session_of
from debug.repl.repl_support import Repl, parser, program

CALLBACKS = TESTS / "programs" / "callbacks.O0.bpf.o"
LOOKUP = "bpf_map_lookup_elem"
TIMES = "call bpf_get_prandom_u32\nr6 = r0\ncall bpf_get_smp_processor_id\ncall bpf_get_prandom_u32\nr0 = r6\nexit"


def test_behind_a_call() -> None:
    repl = parser(4, 4)
    repl("break-call bpf_map_lookup_elem protocols after", "c")
    assert repl.printed("$r0 != 0") == "1"
    said = repl("set result = 0")
    assert said.startswith(f"the result of {LOOKUP} is 0 now; it was 0xff")
    assert repl.printed("$r0") == "0"
    repl("d", "finish")
    assert repl.printed("protocols[IPV4_TCP].packets") == "0", "the program went the other way"


def test_in_the_past_the_time_line_forks() -> None:
    repl = parser(4, 4)
    repl("break-call bpf_map_lookup_elem protocols after", "c")
    here = repl.printed("$step")
    repl("d", "c", f"goto {here}")
    assert "time line 2 forks off here" in repl("set result = 0")
    repl("c")
    assert repl.printed("protocols[IPV4_TCP].packets") == "0"
    repl("timeline 1", "c")
    assert repl.printed("protocols[IPV4_TCP].packets") == "1"
    assert f"at step {here} r0 was set to 0x0" in repl("timeline 2", "history")


def test_before_a_call_it_is_made_first() -> None:
    repl = parser(4, 4)
    repl("break-call bpf_map_lookup_elem protocols", "c")
    step = int(repl.printed("$step"))
    text = repl("set result = 0")
    assert text.splitlines()[-1].startswith(f"the result of {LOOKUP} is 0 now; it was 0xff")
    assert int(repl.printed("$step")) == step + 1
    assert repl.printed("$r0") == "0"


def test_values() -> None:
    repl = program(TIMES)
    repl("si")
    assert repl("set result = -1").startswith("the result of bpf_get_prandom_u32 is 0xffffffffffffffff now; it was ")
    assert repl("set result = 2 + 3").endswith("is 5 now; it was 0xffffffffffffffff\n")
    repl("si")
    assert "result of bpf_get_smp_processor_id is 7" in repl("set result=7"), "it is next, and r6 = r0 was last"
    assert "result of bpf_get_smp_processor_id is 8" in repl("set result = 8"), "the one behind comes first"
    repl("si")
    assert "result of bpf_get_prandom_u32 is 9" in repl("set helper result = 9")
    assert "test returned 5" in repl("c")


@pytest.mark.parametrize(
    ("before", "text", "said"),
    [
        ("", "set result = 1", "error: the program stands neither behind the call of a helper nor before one\n"),
        ("c", "set result = 1", "error: the program stands neither behind the call of a helper nor before one\n"),
        ("", "set result", "error: there is no variable, map or constant named result"),
        ("", "set result =", "error: a value is expected, here is the end"),
        ("", "set result = flows", "error: flows is a map and no result\n"),
        ("", "set result = 1.5", "error: 1.5 is of type double, and a result is an integer or a pointer\n"),
        ("", "set result = nothing", "error: there is no variable, map or constant named nothing"),
        ("", "set result = protocols[1]", "error: protocols[1] is of type struct counter and no number\n"),
    ],
)
def test_where_there_is_none(before: str, text: str, said: str) -> None:
    repl = parser(4, 4)
    if before:
        repl(before)
    place = repl("history")
    assert repl(text).startswith(said)
    assert repl("history") == place


def test_a_variable_of_that_name_comes_first() -> None:
    repl = Repl(session_of(TESTS / "programs" / "signed_ops.v4.bpf.o"))
    repl("break-call bpf_map_lookup_elem after", "c")
    assert repl("whatis result") == "type = struct results *\n"
    assert "the result of" not in repl("set result = 0"), "it is the variable that is set, or cannot be"
    assert repl("set helper result = 0").startswith("the result of bpf_map_lookup_elem is 0 now; it was ")


def test_a_helper_that_calls_back() -> None:
    repl = Repl(session_of(CALLBACKS))
    repl("break-call bpf_loop", "c")
    assert "the result of bpf_loop is 0x4d now; it was 0x50" in repl("set result = 77")
    assert repl("set result = 78") == "the result of bpf_loop is 0x4e now; it was 0x4d\n"


def test_a_stop_inside_of_the_call_is_said() -> None:
    repl = Repl(session_of(CALLBACKS))
    repl("break-call bpf_loop", "c", "b count_byte")
    text = repl("set result = 77")
    assert "breakpoint 2, count_byte at" in text
    assert text.endswith("error: bpf_loop has not returned: the program stopped before that\n")
    assert "neither behind the call" in repl("set result = 77")
