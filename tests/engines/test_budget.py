"""The instruction budget: counts are exact, and every way to go on for ever ends."""

from __future__ import annotations

import sys

import pytest
from engines.engine_support import Calls, Rig, rig
from hypothesis import given
from hypothesis import strategies as st

from pybpftime.engines import DEFAULT_BUDGET
from pybpftime.errors import InputError, LimitExceeded
from pybpftime.machine import Machine, Observer
from pybpftime.program.contexts.memory import SyscallContext


def looping(rounds: int) -> str:
    """1 + 2 * rounds + 1 instructions."""
    return f"r0 = {rounds}\nagain: r0 -= 1\nif r0 != 0 goto again\nexit"


CALLBACK = "r1 = code_addr(f)\nr2 = 0\ncall probe\nexit\nf: r0 = 1\nr0 = 2\nexit"
FUNCTION = "call f\nexit\nf: r0 = 1\nexit"
TAIL_CALL = "r2 = map_by_fd(0)\nr3 = 0\ncall bpf_tail_call\nr0 = 77\nexit"


def thrice(machine: Machine, function: int, argument: int) -> Calls:
    """Three calls back."""
    return Calls(function, *[[argument]] * 3)


CASES = {
    "exit alone counts": ("r0 = 0\nexit", 2),
    "wide instructions count once": ("r0 = 1 ll\nexit", 2),
    "what is jumped over does not count": ("r0 = 0\ngoto +1\nr0 = 1\nexit", 3),
    "loop": (looping(10), 22),
    "functions": (FUNCTION, 4),
    "callbacks": (CALLBACK, 4 + 3 * 3),
    "tail calls": (TAIL_CALL, 3 + 2),
}


def made(text: str) -> Rig:
    return rig(text, on_probe=thrice, context=SyscallContext(bytes(8)), targets=["r0 = 1\nexit"])


@pytest.mark.parametrize(("text", "count"), CASES.values(), ids=CASES)
def test_instructions_are_counted(text: str, count: int) -> None:
    assert made(text).run().instructions == count


@pytest.mark.parametrize(("text", "count"), CASES.values(), ids=CASES)
def test_the_budget_is_exact(text: str, count: int) -> None:
    bench = made(text)
    assert bench.run(budget=count).instructions == count
    for budget in range(count):
        with pytest.raises(LimitExceeded, match="the instruction budget is used up") as caught:
            bench.run(budget=budget)
        assert (caught.value.limit, caught.value.amount) == ("instructions", budget)
    assert bench.run(budget=count).instructions == count


@given(rounds=st.integers(1, 200), budget=st.integers(0, 500))
def test_a_loop_ends_within_its_budget_or_not(rounds: int, budget: int) -> None:
    bench = rig(looping(rounds))
    if budget >= 2 * rounds + 2:
        assert bench.run(budget=budget).instructions == 2 * rounds + 2
    else:
        with pytest.raises(LimitExceeded) as caught:
            bench.run(budget=budget)
        assert caught.value.pc == {0: 0, 2 * rounds + 1: 3}.get(budget, 1 + (budget - 1) % 2)


def test_an_endless_loop_ends_by_default() -> None:
    bench = rig("goto -1\nexit")
    with pytest.raises(LimitExceeded) as caught:
        bench.run(budget=100_000)
    assert (caught.value.program, caught.value.pc, caught.value.amount) == ("main", 0, 100_000)
    assert DEFAULT_BUDGET == 10_000_000


def test_callbacks_share_the_budget_and_an_endless_one_ends() -> None:
    bench = rig("r1 = code_addr(f)\nr2 = 0\ncall probe\nexit\nf: goto -1", on_probe=thrice)
    with pytest.raises(LimitExceeded) as caught:
        bench.run(budget=5000)
    assert (caught.value.limit, caught.value.amount, caught.value.pc) == ("instructions", 5000, 5)


def test_a_budget_may_be_as_large_as_the_host_can_count() -> None:
    assert rig("r0 = 0\nexit").run(budget=sys.maxsize).instructions == 2


@pytest.mark.parametrize("budget", [-1, sys.maxsize + 1, 1 << 200])
def test_other_budgets_are_refused_before_anything_runs(budget: int) -> None:
    bench = rig("*(u8 *)(r1 + 0) = 1\nr0 = 0\nexit", data=bytes(1))
    with pytest.raises(InputError, match="a budget is a number of instructions"):
        bench.run(budget=budget)
    assert not bench.machine.frames


def test_may_goto_falls_through_until_the_loop_budget_is_spent() -> None:
    class Budget(Observer):
        def started(self, machine: Machine, pc: int) -> None:
            machine.loop_budget = 5

    bench = rig("r0 = 0\nagain: r0 += 1\nmay_goto +1\ngoto again\nexit", observers=[Budget()])
    assert bench.run().r0 == 6
    assert bench.machine.loop_budget == 0


def test_a_run_begins_with_the_loop_budget_of_linux() -> None:
    bench = rig("may_goto +0\nr0 = 0\nexit")
    for _ in range(2):
        bench.run()
        assert bench.machine.loop_budget == (8 << 20) - 1
