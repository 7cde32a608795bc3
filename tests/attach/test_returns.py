"""Which calls have returned, whatever happened between."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pybpftime.attach.returns import REACH, Call, PendingReturns

TOP = 0x7FFF_0000_0000
F, G = 0x1000, 0x2000


def call(stack_pointer: int, function: int = F, back_to: int = 0x3000) -> Call:
    return Call(stack_pointer, back_to, function, ())


def functions(calls: Sequence[Call]) -> list[int]:
    return [one.function for one in calls]


def test_a_call_returns_where_its_stack_pointer_says() -> None:
    pending = PendingReturns()
    pending.called(call(TOP))
    assert functions(pending.returned(TOP, 0x3000)) == [F]
    assert pending.returned(TOP, 0x3000) == []


def test_a_deeper_pass_through_the_same_code_is_no_return() -> None:
    pending = PendingReturns()
    pending.called(call(TOP))
    assert pending.returned(TOP - 64, 0x3000) == []
    assert functions(pending.returned(TOP, 0x3000)) == [F]


def test_recursion_returns_innermost_first() -> None:
    pending = PendingReturns()
    for depth in range(1000):
        pending.called(call(TOP - 32 * depth))
    for depth in reversed(range(1000)):
        assert functions(pending.returned(TOP - 32 * depth, 0x3000)) == [F]
    assert len(pending) == 0


def test_a_function_that_jumped_to_another_returns_with_it() -> None:
    pending = PendingReturns()
    pending.called(call(TOP, F))
    pending.called(call(TOP, G))
    assert functions(pending.returned(TOP, 0x3000)) == [G, F]


def test_a_call_that_longjmp_passed_is_over_when_its_stack_is_used_again() -> None:
    pending = PendingReturns()
    pending.called(call(TOP))
    pending.called(call(TOP - 64))
    pending.called(call(TOP - 128))  # longjmp to the frame of the first from here
    assert functions(pending.returned(TOP, 0x3000)) == [F]
    assert len(pending) == 0


def test_the_same_call_in_a_loop_of_longjmps_returns_once() -> None:
    pending = PendingReturns()
    for _ in range(10):
        pending.called(call(TOP))
    assert functions(pending.returned(TOP, 0x3000)) == [F]


def test_calls_on_another_stack_stay() -> None:
    pending = PendingReturns()
    pending.called(call(TOP))
    elsewhere = TOP + 2 * REACH
    pending.called(call(elsewhere))
    assert functions(pending.returned(elsewhere, 0x3000)) == [F]
    assert functions(pending.returned(TOP, 0x3000)) == [F]


def test_a_call_on_a_stack_that_was_left_hides_nothing() -> None:
    pending = PendingReturns()
    pending.called(call(TOP))
    pending.called(call(TOP - 2 * REACH))  # siglongjmp out of a handler on its alternate stack
    assert functions(pending.returned(TOP, 0x3000)) == [F]


@given(st.lists(st.integers(0, 5), max_size=60))
def test_without_jumps_out_every_call_returns_exactly_once(steps: list[int]) -> None:
    """A number n: call when the depth is below n, else return."""
    pending, called, returned = PendingReturns(), 0, 0
    stack: list[int] = []
    for step in steps:
        if len(stack) <= step:
            stack.append(TOP - 48 * (len(stack) + 1))
            pending.called(call(stack[-1]))
            called += 1
        elif stack:
            returned += len(pending.returned(stack.pop(), 0x3000))
    while stack:
        returned += len(pending.returned(stack.pop(), 0x3000))
    assert returned == called
    assert len(pending) == 0
