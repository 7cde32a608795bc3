"""The walk: what ends, what is left out, and what must not be."""

from __future__ import annotations

from collections import Counter

import pytest

from pybpftime.isa.assembler import assemble
from pybpftime.program.spec import ProgramSpec
from pybpftime.uapi import ProgramType
from pybpftime.verifier import Report, Verdict, verify
from pybpftime.verifier.explore import Checkpoint
from pybpftime.verifier.state import State


def judged(code: str, *, budget: int = 100_000, timeout: float | None = None) -> Report:
    spec = ProgramSpec("program", assemble(code), type=ProgramType.BPF_PROG_TYPE_SCHED_CLS)
    return verify(spec, {}, budget=budget, timeout=timeout)


def code_of(report: Report) -> str | None:
    return None if report.objection is None else report.objection.code


# --- loops ------------------------------------------------------------------------------------------------------------


def test_a_loop_is_followed_round_by_round_to_its_end() -> None:
    report = judged("r1 = 0\nagain:\nr1 += 1\nif r1 < 100 goto again\nr0 = 0\nexit")
    assert report.verdict is Verdict.SAFE
    assert report.processed == 1 + 2 * 100 + 2


@pytest.mark.parametrize(
    "loop",
    [
        "again: goto again",
        "r2 = 0\nagain:\nr2 ^= 1\ngoto again",
        "r2 = 0\nagain:\nr2 += 1\nr2 &= 7\ngoto again",
        "again:\nr2 = *(u32 *)(r1 + 8)\nif r2 != 0 goto again",
        "r2 = 5\nagain:\nr3 = r2\nif r3 == 5 goto again",
    ],
    ids=["at once", "every second round", "every eighth round", "as the context says", "by a copy"],
)
def test_a_loop_that_comes_back_to_its_state_never_ends(loop: str) -> None:
    assert code_of(judged(loop + "\nr0 = 0\nexit")) in ("infinite-loop", "unreachable")


def test_a_loop_that_two_branches_share_is_not_taken_for_an_endless_one() -> None:
    report = judged(
        """
        r2 = *(u32 *)(r1 + 8)
        r3 = 0
        if r2 == 0 goto again
        r3 = 1
        again:
        r3 += 2
        if r3 < 20 goto again
        r0 = 0
        exit
        """
    )
    assert report.verdict is Verdict.SAFE


def test_a_loop_around_a_call_that_repeats_is_judged_by_itself() -> None:
    endless = """
        again:
        r1 = 1
        r2 = code_addr(callback)
        r3 = 0
        r4 = 0
        call 181
        if r0 != 99 goto again
        exit
        callback:
        r0 = 0
        exit
        """
    assert judged(endless).verdict is Verdict.NOT_PROVED


def test_a_callback_ends_whatever_it_counts() -> None:
    report = judged(
        """
        *(u64 *)(r10 - 8) = 0
        r1 = 1000000
        r2 = code_addr(callback)
        r3 = r10
        r3 += -8
        r4 = 0
        call 181
        r0 = 0
        exit
        callback:
        r1 = *(u64 *)(r2 + 0)
        r1 += 1
        *(u64 *)(r2 + 0) = r1
        r0 = 0
        exit
        """
    )
    assert report.verdict is Verdict.SAFE
    assert report.processed < 2000, "the counter is widened, not counted to a million"


def test_what_a_callback_may_have_written_is_not_taken_for_what_was_there_before() -> None:
    report = judged(
        """
        *(u64 *)(r10 - 8) = 0
        r1 = 5
        r2 = code_addr(callback)
        r3 = r10
        r3 += -8
        r4 = 0
        call 181
        r1 = *(u64 *)(r10 - 8)
        r2 = r10
        r2 += r1
        r0 = *(u8 *)(r2 - 8)
        exit
        callback:
        *(u64 *)(r2 + 0) = 100
        r0 = 0
        exit
        """
    )
    assert code_of(report) == "stack-bounds"


# --- what is left out -------------------------------------------------------------------------------------------------

BRANCHES = """
if r2 == {0} goto next{0}
r3 += 0
next{0}:
"""


def test_paths_that_differ_in_nothing_that_matters_are_followed_once() -> None:
    body = "r2 = *(u32 *)(r1 + 8)\nr3 = 0\n" + "".join(BRANCHES.format(number) for number in range(40))
    report = judged(body + "r0 = 0\nexit")
    assert report.verdict is Verdict.SAFE
    assert report.processed < 4000, "2**40 paths"


def test_a_difference_that_matters_is_followed() -> None:
    report = judged(
        """
        r2 = *(u32 *)(r1 + 8)
        r3 = 8
        if r2 == 0 goto join
        r3 = 16
        join:
        r4 = r10
        r4 -= r3
        r4 += 16
        r0 = 0
        if r2 != 7 goto out
        r4 = r10
        r4 += -16
        r4 += r3
        *(u8 *)(r4 + 0) = 1
        out:
        exit
        """
    )
    assert report.verdict is Verdict.NOT_PROVED


def test_a_slot_that_is_dead_does_not_keep_paths_apart() -> None:
    parts = [
        f"""
        *(u64 *)(r10 - 8) = {number}
        if r2 != {number} goto next{number}
        *(u64 *)(r10 - 8) = {number + 100}
        next{number}:
        r3 = *(u64 *)(r10 - 8)
        r4 = r10
        r4 += r3
        """
        for number in range(20)
    ]
    report = judged("r2 = *(u32 *)(r1 + 8)\n" + "".join(parts) + "r3 = 0\nr4 = 0\nr0 = 0\nexit")
    assert report.verdict is Verdict.SAFE
    assert report.processed < 4000


# --- limits -----------------------------------------------------------------------------------------------------------

LONG = "r1 = 0\nagain:\nr1 += 1\nif r1 < 1000000 goto again\nr0 = 0\nexit"


def test_a_budget_that_is_used_up_is_not_proved() -> None:
    report = judged(LONG, budget=1000)
    assert (report.verdict, code_of(report)) == (Verdict.NOT_PROVED, "budget")
    assert report.processed == 1001


def test_a_time_that_is_used_up_is_not_proved() -> None:
    report = judged(LONG, budget=1 << 40, timeout=0.05)
    assert (report.verdict, code_of(report)) == (Verdict.NOT_PROVED, "timeout")


def test_every_state_is_shown_to_who_watches() -> None:
    seen: Counter[int] = Counter()

    def watch(state: State, checkpoint: Checkpoint) -> None:
        seen[state.pc] += 1

    code = "r1 = 0\nagain:\nr1 += 1\nif r1 < 3 goto again\nr0 = 0\nexit"
    verify(ProgramSpec("program", assemble(code), type=ProgramType.BPF_PROG_TYPE_XDP), {}, watch=watch)
    assert seen == {0: 1, 1: 3, 2: 3, 3: 1, 4: 1}
