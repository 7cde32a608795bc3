"""Helpers that call back into the program: `Rounds`."""

from __future__ import annotations

import pytest
from engines.engine_support import Calls, rig

from pybpftime.errors import Fault, FaultKind, InternalError, LimitExceeded
from pybpftime.machine import LEVELS, STRICT, Machine, Rounds, Strictness

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=list(LEVELS))


def calling_back(machine: Machine, function: int, argument: int) -> Rounds:
    """`probe` as a helper that calls the function in r1 with r2."""
    return Calls(function, [argument])


@levels
def test_a_helper_calls_back_with_arguments_and_gets_r0(level: Strictness) -> None:
    text = "r6 = 1\nr1 = code_addr(f)\nr2 = 20\ncall probe\nr0 += r6\nexit\nf: r6 = 5\nr0 = r1\nr0 += r6\nexit"
    assert rig(text, level=level, on_probe=calling_back).run().r0 == 26


def test_a_callback_sees_its_arguments_only() -> None:
    text = "r6 = 1\nr1 = code_addr(f)\nr2 = 20\ncall probe\nexit\nf: r0 = {}\nexit"
    for register in ("r0", "r2", "r3", "r4", "r5", "r6"):
        with pytest.raises(Fault, match=f"{register} is read"):
            rig(text.format(register), on_probe=calling_back).run()


def test_arguments_of_a_callback_are_numbers_of_64_bits() -> None:
    text = "r1 = code_addr(f)\nr2 = 0\ncall probe\nexit\nf: r0 = r1\nexit"
    assert rig(text, on_probe=lambda machine, f, _: Calls(f, [-1])).run().r0 == (1 << 64) - 1
    with pytest.raises(InternalError, match="6 arguments"):
        rig(text, on_probe=lambda machine, f, _: Calls(f, range(6))).run()


def test_a_callback_may_use_the_stack_of_its_caller() -> None:
    text = "*(u64 *)(r10 - 8) = 0\nr1 = code_addr(f)\nr2 = r10\nr2 += -8\ncall probe\nr0 = *(u64 *)(r10 - 8)\nexit\n"
    text += "f: *(u64 *)(r1 + 0) = 6\n*(u64 *)(r10 - 8) = 7\nr0 = 0\nexit"
    assert rig(text, level=STRICT, on_probe=calling_back).run().r0 == 6


def test_callbacks_call_functions_and_helpers_that_call_back() -> None:
    """main, f, g: then f again through a helper, which sees r1 == 0."""
    text = "r1 = code_addr(f)\nr2 = 1\ncall probe\nr0 += 100\nexit\n"
    text += "f: if r1 == 0 goto end\ncall g\nr0 += 10\nexit\nend: r0 = 1\nexit\n"
    text += "g: r1 = code_addr(f)\nr2 = 0\ncall probe\nexit"
    depths: list[int] = []

    def on_probe(machine: Machine, function: int, argument: int) -> Rounds:
        depths.append(len(machine.frames))
        return calling_back(machine, function, argument)

    assert rig(text, level=STRICT, on_probe=on_probe).run().r0 == 111
    assert depths == [1, 3]


def test_callbacks_count_as_frames() -> None:
    text = "r1 = code_addr(f)\nr2 = r1\ncall probe\nexit\nf: r2 = r1\ncall probe\nexit"
    bench = rig(text, on_probe=calling_back)
    for _ in range(2):
        with pytest.raises(LimitExceeded) as caught:
            bench.run()
        assert (caught.value.limit, caught.value.amount, caught.value.pc) == ("depth", 8, 6)


def test_callbacks_take_none_of_the_hosts_stack() -> None:
    """main and 99,999 calls of f, each with one less than its caller."""
    text = "r1 = code_addr(f)\nr2 = 99999\ncall probe\nexit\nf: r2 = r1\nr2 -= 1\nif r2 == 0 goto end\n"
    text += "r1 = code_addr(f)\ncall probe\nr0 += 1\nexit\nend: r0 = 1\nexit"
    assert rig(text, on_probe=calling_back, max_depth=100_000, frame_size=16).run().r0 == 99_999


def test_a_helper_without_rounds_returns_at_once() -> None:
    text = "r1 = code_addr(f)\nr2 = 0\ncall probe\nr0 += 1\nexit\nf: r0 = 7\nexit"
    assert rig(text, on_probe=lambda machine, f, _: Calls(f)).run().r0 == 1


def test_a_fault_in_a_callback_says_where_the_callback_stood() -> None:
    text = "r1 = code_addr(f)\nr2 = 4\ncall probe\nexit\nf: r0 = *(u8 *)(r1 + 0)\nexit"
    with pytest.raises(Fault, match="null pointer\\+4") as caught:
        rig(text, on_probe=calling_back).run()
    fault = caught.value
    assert (fault.program, fault.pc, fault.instruction) == ("main", 5, "w0 = *(u8 *)(r1 + 0x0)")


def test_a_callback_must_be_a_function() -> None:
    with pytest.raises(Fault, match="not the address of a function") as caught:
        rig("r1 = 3\nr2 = 4\ncall probe\nexit", on_probe=calling_back).run()
    assert (caught.value.kind, caught.value.pc) == (FaultKind.CALL, 2)


def test_bpf_loop() -> None:
    text = "*(u64 *)(r10 - 8) = 0\nr1 = 10\nr2 = code_addr(f)\nr3 = r10\nr3 += -8\nr4 = 0\ncall bpf_loop\n"
    text += "r1 = *(u64 *)(r10 - 8)\nr0 *= 100\nr0 += r1\nexit\n"
    text += "f: r3 = *(u64 *)(r2 + 0)\nr3 += r1\n*(u64 *)(r2 + 0) = r3\nr0 = 0\nexit"
    assert rig(text, level=STRICT).run().r0 == 1045
