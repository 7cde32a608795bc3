"""Calls that repeat, and loops around them: what a round may change, and what ends."""

from __future__ import annotations

import pytest
from support.verification import MAPS, code_of, program

from pybpftime.verifier import Report, Verdict, verify

pytest.importorskip("pybpftime.verifier.terms", reason="needs z3")


def judged(text: str, *, budget: int = 100_000) -> Report:
    return verify(program(text, "tc"), MAPS, budget=budget)


CALLBACK = """
    r9 = r1
    r6 = *(u32 *)(r9 + 8)
    r7 = *(u32 *)(r9 + 32)
    r6 &= 63
    r7 &= 63
    if r6 >= r7 goto out
    *(u64 *)(r10 - 8) = r6
    *(u64 *)(r10 - 16) = r7
    r1 = 4
    r2 = code_addr(callback)
    r3 = r10
    r3 += -16
    r4 = 0
    call bpf_loop
out:
    r0 = 0
    exit
callback:
    r1 = *(u64 *)(r2 + 8)
    r3 = *(u64 *)(r2 + 0)
    r1 -= r3
    r4 = r10
    r4 += r1
    *(u8 *)(r4 + 0) = 0
    {change}
    r0 = 0
    exit
"""


def test_a_relation_is_used_in_every_round_of_a_call_that_keeps_it() -> None:
    assert code_of(judged(CALLBACK.format(change="r5 = 0"))) == "safe"


@pytest.mark.parametrize(
    "change",
    [
        "*(u64 *)(r2 + 8) = 63",
        "r1 += r3\nr1 += 1\n*(u64 *)(r2 + 8) = r1",
        "r3 = *(u64 *)(r2 + 0)\n*(u64 *)(r2 + 8) = r3",
        "*(u64 *)(r2 + 8) = 5\n*(u64 *)(r2 + 0) = 1",
        "call bpf_get_prandom_u32\nr0 &= 63\n*(u64 *)(r10 - 8) = r0\n*(u64 *)(r6 + 8) = r0",
    ],
    ids=["a constant", "one more", "the other", "both", "any number"],
)
def test_a_relation_that_a_round_breaks_is_not_used_in_the_next(change: str) -> None:
    text = CALLBACK.format(change=change)
    if "r6 + 8" in change:
        text = text.replace("callback:\n", "callback:\nr6 = r2\n")
    assert judged(text, budget=5000).verdict is not Verdict.SAFE


def test_a_relation_is_not_used_where_a_round_that_broke_it_was_left_out() -> None:
    """The first path through the callback comes back to a state that the open one covers, the second needs more."""
    text = CALLBACK.format(change="r5 = 0").replace("if r6 >= r7 goto out", "r5 = r6\nr5 -= r7\nif r5 s>= 0 goto out")
    path = """
    callback:
        r6 = r2
        call bpf_get_prandom_u32
        r2 = r6
        if r0 == 0 goto use
        r0 &= 63
        *(u64 *)(r2 + 8) = r0
        r0 = 0
        exit
    use:
    """
    assert code_of(judged(text)) == "safe"
    assert code_of(judged(text.replace("callback:\n", path), budget=5000)) == "stack-bounds"


ENDLESS = {
    "a loop around bpf_loop": """
    again:
        r1 = 1
        r2 = code_addr(callback)
        r3 = 0
        r4 = 0
        call bpf_loop
        if r0 != 99 goto again
        r0 = 0
        exit
    callback:
        r0 = 0
        exit""",
    "a may_goto that jumps to where the loop goes on": """
        r1 = 0
    again:
        may_goto next
    next:
        if r1 == 0 goto again
        r0 = 0
        exit""",
    "a may_goto that jumps to where the loop goes on and counts": """
        r1 = 0
    again:
        may_goto next
        r1 += 1
    next:
        goto again""",
    "a function with a may_goto in a loop": """
    again:
        call work
        if r0 == 0 goto again
        exit
    work:
    more:
        may_goto done
        goto more
    done:
        r0 = 0
        exit""",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_call_that_ends_does_not_end_the_loop_around_it(name: str) -> None:
    assert code_of(judged(ENDLESS[name], budget=20_000)) in ("infinite-loop", "budget")


def test_loops_with_calls_that_repeat_end_where_they_count() -> None:
    counted = """
        r6 = 0
    again:
        r1 = 3
        r2 = code_addr(callback)
        r3 = 0
        r4 = 0
        call bpf_loop
        r6 += 1
        if r6 < 7 goto again
        r1 = r10
        r1 += -8
        r1 += r6
        *(u8 *)(r1 - 7) = 0
        r0 = 0
        exit
    callback:
        r0 = 0
        exit"""
    assert code_of(judged(counted)) == "safe"
    assert code_of(judged(counted.replace("r1 - 7", "r1 + 1"))) == "stack-bounds"
    assert code_of(judged("r1 = 0\nagain:\nmay_goto done\nr1 += 1\ngoto again\ndone:\nr0 = 0\nexit")) == "safe"
