"""A run depends on its inputs and on nothing else: two machines agree, and no run sees the one before it."""

from __future__ import annotations

from typing import Any

import pytest
from engines.engine_support import Rig, rig
from hypothesis import given, settings
from hypothesis import strategies as st
from support.instructions import valid_programs

from pybpftime.errors import BpfError, Fault, LimitExceeded
from pybpftime.isa import Program
from pybpftime.machine import LEVELS, LINUX, STRICT, Environment, Machine, Observer
from pybpftime.program.contexts.memory import MemoryContext, SyscallContext


class Registers(Observer):
    """The registers before every instruction."""

    def __init__(self) -> None:
        self.seen: list[tuple[int | None, ...]] = []

    def before(self, machine: Machine, pc: int) -> None:
        self.seen.append((pc, *machine.registers))


def everything(bench: Rig) -> tuple[Any, ...]:
    """What a run leaves: outcome, all registers on the way, memory, effects, regions."""
    watch = Registers()
    bench.machine.observers = (watch,)
    outcome: object
    try:
        outcome = bench.run(budget=300)
    except BpfError as error:
        outcome = error.as_dict()
    regions = {(region.base, region.name, region.start, region.end) for region in bench.machine.memory}
    machine = bench.machine
    return outcome, watch.seen, regions, bench.value, machine.effects.printk, machine.tail_calls, machine.loop_budget


@settings(max_examples=80)
@given(program=valid_programs(), level=st.sampled_from(list(LEVELS)))
def test_two_machines_agree(program: Program, level: str) -> None:
    try:
        benches = [rig(program, level=LEVELS[level], context=SyscallContext(bytes(64)), targets=[None]) for _ in "ab"]
    except BpfError:
        return
    assert everything(benches[0]) == everything(benches[1])


BUSY = """
    r6 = r1
    r7 = map_val(map_by_fd(1)) + 0
    r1 = 1
    lock *(u64 *)(r7 + 0) += r1
    *(u64 *)(r10 - 8) = 5
    r1 = r10
    r1 += -8
    call f
    r8 = r0
    r0 = *(u8 *)(r6 + 0)
    r0 += r8
    exit
f:  r2 = *(u64 *)(r1 + 0)
    *(u64 *)(r10 - 16) = r2
    r0 = *(u64 *)(r10 - 16)
    exit
"""


def test_addresses_of_a_run_do_not_depend_on_the_run_before() -> None:
    """The first run binds another program before it enters a function, the second does not."""
    text = "r0 = *(u8 *)(r1 + 0)\nif r0 == 0 goto +1\ncall f\nr2 = map_by_fd(0)\nr3 = 0\ncall bpf_tail_call\nexit\n"
    text += "f: r0 = r10\nr3 = map_val(map_by_fd(1)) + 0\n*(u64 *)(r3 + 0) = r0\nr1 = 1\nr2 = 1\ncall probe\nexit"
    text = text.replace("r0 = *(u8", "r6 = r1\nr0 = *(u8").replace("r2 = map_by_fd", "r1 = r6\nr2 = map_by_fd")
    addresses = []
    for inputs in ((b"\0", b"\1"), (b"\1",)):
        bench = rig(text, targets=["call g\nr0 = 0\nexit\ng: r0 = 0\nexit"])
        for content in inputs:
            bench.context = SyscallContext(content)
            bench.run()
        addresses.append(bench.value)
    assert addresses[0] == addresses[1] != bytes(64)


@pytest.mark.parametrize("level", LEVELS.values(), ids=list(LEVELS))
def test_a_second_run_on_one_machine_is_like_the_first(level: Any) -> None:
    bench = rig(BUSY, level=level, data=b"\3")
    first = everything(bench)
    bench.maps["value"].update(bytes(4), bytes(64))
    assert everything(bench) == first
    assert first[0].r0 == 8


@pytest.mark.parametrize(
    "failing",
    ["r9 = 5\n*(u64 *)(r10 - 8) = 7\ncall f\nexit\nf: *(u64 *)(r10 - 8) = 7\nr0 = *(u8 *)(r2 + 0)\nexit",
     "r9 = 5\n*(u64 *)(r10 - 8) = 7\ncall f\nexit\nf: *(u64 *)(r10 - 8) = 7\ngoto -1"],
)  # fmt: skip
def test_a_run_that_failed_leaves_nothing_to_the_next(failing: str) -> None:
    """The first run fails in a function; the second, without memory to read, would see what is left."""
    text = f"if r2 == 0 goto clean\n{failing}\nclean: r0 = *(u64 *)(r10 - 8)\nr1 = r10\nr1 += -8\ncall g\nexit\n"
    text += "g: r2 = *(u64 *)(r10 - 8)\nr0 += r2\nexit".replace("r0 += r2", "r0 = r2")
    bench = rig(text, data=b"12345678")
    with pytest.raises((Fault, LimitExceeded)):
        bench.run(budget=1000)
    assert len(bench.machine.frames) == 2  # where it stood can be looked at
    bench.context = MemoryContext(b"")
    assert bench.run().r0 == 0
    assert bench.machine.frames == []


def test_registers_of_a_run_are_not_seen_by_the_next() -> None:
    bench = rig("if r2 == 0 goto second\nr9 = 5\nr0 = 0\nexit\nsecond: r0 = r9\nexit", data=b"12345678")
    bench.run()
    bench.context = MemoryContext(b"")
    with pytest.raises(Fault, match="r9 is read and was never written"):
        bench.run()


def test_memory_of_a_run_is_gone_in_the_next() -> None:
    """The address of the context, kept in a map, leads nowhere once the context is another one without memory."""
    text = "r3 = map_val(map_by_fd(1)) + 0\nif r2 == 0 goto second\n*(u64 *)(r3 + 0) = r1\nr0 = 0\nexit\n"
    text += "second: r1 = *(u64 *)(r3 + 0)\nr0 = *(u8 *)(r1 + 0)\nexit"
    bench = rig(text, data=b"12345678")
    bench.run()
    bench.context = MemoryContext(b"")
    with pytest.raises(Fault, match="points into no region"):
        bench.run()


def test_effects_belong_to_one_run() -> None:
    bench = rig("r1 = 1\nr2 = 2\ncall probe\nr0 = 0\nexit", on_probe=lambda machine, a, b: _print(machine))
    for _ in range(2):
        bench.run()
        assert bench.machine.effects.printk == ["once"]


def _print(machine: Machine) -> int:
    machine.effects.printk.append("once")
    return 0


def test_a_lock_held_at_the_end_of_a_run_that_failed_is_free_in_the_next() -> None:
    def take(machine: Machine, first: int, second: int) -> int:
        assert machine.held_lock is None
        machine.held_lock = 1
        return 0

    bench = rig("r1 = 0\nr2 = 0\ncall probe\nr0 = r5\nexit", on_probe=take)
    for _ in range(2):
        with pytest.raises(Fault, match="r5"):
            bench.run()


def test_clock_and_random_numbers_come_from_the_environment() -> None:
    text = "call 5\nr6 = r0\ncall 7\nr0 += r6\nexit"  # bpf_ktime_get_ns, bpf_get_prandom_u32
    results = [rig(text, environment=Environment(time_ns=1 << 40)).run().r0 for _ in range(2)]
    assert results[0] == results[1]
    assert results[0] != rig(text, environment=Environment(time_ns=1 << 41)).run().r0
    bench = rig(text, environment=Environment())
    assert bench.run().r0 != bench.run().r0  # time goes on


def test_levels_give_the_same_addresses() -> None:
    addresses = {
        level.name: rig("r0 = r1\nexit", level=level, data=b"1").run().r0 for level in (LEVELS["lenient"], LINUX)
    }
    assert len(set(addresses.values())) == 1
    bench = rig("r0 = 0\nexit", level=STRICT, data=b"1")
    bench.run()
    assert addresses["linux"] in [region.base for region in bench.machine.memory]
