"""Tail calls: programs that go on in other programs, and what an executable knows of them."""

from __future__ import annotations

import pytest
from engines.engine_support import Calls, helper_table, load, rig

from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import Fault, FaultKind, InputError, InternalError, LimitExceeded
from pybpftime.isa import Instruction
from pybpftime.machine import LEVELS, STRICT, Machine, Observer, Strictness, TailCall
from pybpftime.program.contexts.memory import SyscallContext

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=list(LEVELS))

TAIL_CALL = "r2 = map_by_fd(0)\nr3 = {}\ncall bpf_tail_call\nr0 = 77\nexit\n"


@levels
def test_a_tail_call_goes_on_in_the_other_program(level: Strictness) -> None:
    bench = rig(TAIL_CALL.format(0), level=level, context=SyscallContext(b"\5"), targets=["r0 = *(u8 *)(r1 + 0)\nexit"])
    assert bench.run().r0 == 5
    assert bench.machine.tail_calls == 1


@pytest.mark.parametrize("register", [0, *range(2, 10)])
def test_a_tail_call_leaves_the_context_and_nothing_else(register: int) -> None:
    begin = "".join(f"r{number} = {number}\n" for number in (0, *range(4, 10)))
    target = f"r0 = r{register}\nexit"
    with pytest.raises(Fault, match=f"r{register} is read") as caught:
        rig(begin + TAIL_CALL.format(0), context=SyscallContext(bytes(8)), targets=[target]).run()
    assert (caught.value.program, caught.value.pc) == ("target0", 0)


def test_the_target_gets_the_callers_frame_zeroed() -> None:
    target = "r0 = *(u64 *)(r10 - 8)\nexit"
    text = "*(u64 *)(r10 - 8) = 3\n" + TAIL_CALL.format(0)
    assert rig(text, context=SyscallContext(bytes(8)), targets=[target]).run().r0 == 0
    with pytest.raises(Fault) as caught:
        rig(text, level=STRICT, context=SyscallContext(bytes(8)), targets=[target]).run()
    assert caught.value.kind is FaultKind.UNINITIALISED
    assert caught.value.program == "target0"


@pytest.mark.parametrize(("index", "result"), [(0, 1), (1, 77), (4, 77), (-1, 77)])
def test_a_tail_call_that_finds_nothing_falls_through(index: int, result: int) -> None:
    bench = rig(TAIL_CALL.format(index), context=SyscallContext(bytes(8)), targets=["r0 = 1\nexit"])
    assert bench.run().r0 == result


@levels
def test_a_tail_call_in_a_function_returns_to_its_caller(level: Strictness) -> None:
    text = "r6 = 50\ncall f\nr0 += r6\nexit\nf: r6 = 1\n" + TAIL_CALL.format(0)
    bench = rig(text, level=level, context=SyscallContext(bytes(8)), targets=["r0 = 4\nexit"])
    assert bench.run().r0 == 54


def test_thirty_three_tail_calls_and_no_more() -> None:
    text = "r6 = r1\nr4 = map_val(map_by_fd(1)) + 0\nr5 = 1\nlock *(u64 *)(r4 + 0) += r5\nr1 = r6\n" + TAIL_CALL.format(
        0
    )
    bench = rig(text, context=SyscallContext(bytes(8)), targets=[None])
    assert bench.run().r0 == 77
    assert bench.value[0] == 34  # the first run and 33 tail calls
    assert bench.machine.tail_calls == 33
    assert bench.run().r0 == 77
    assert bench.value[0] == 68


def test_programs_are_bound_once() -> None:
    texts = [TAIL_CALL.format(1), TAIL_CALL.format(0)]
    bench = rig(TAIL_CALL.format(0), context=SyscallContext(bytes(8)), targets=texts)
    for _ in range(2):
        bench.run()
        assert [code.program.spec.name for code in bench.machine.code] == ["main", "target0", "target1"]
    starts = [(code.start, code.end) for code in bench.machine.code]
    assert starts == [(0, 7), (7, 14), (14, 21)]
    assert [bench.machine.locate(pc)[1] for pc in (0, 6, 7, 20)] == [0, 6, 0, 6]


def test_a_helper_of_ones_own_may_raise_a_tail_call_and_the_budget_bounds_it() -> None:
    def on_probe(machine: Machine, first: int, second: int) -> int:
        raise TailCall(machine.code[0].program)

    bench = rig("r2 = 0\ncall probe\nexit", data=bytes(8), on_probe=on_probe)
    with pytest.raises(LimitExceeded) as caught:
        bench.run(budget=1001)
    assert (caught.value.limit, caught.value.amount, caught.value.pc) == ("instructions", 1001, 1)
    assert len(bench.machine.code) == 1


def test_a_callback_may_tail_call() -> None:
    def on_probe(machine: Machine, first: int, second: int) -> Calls:
        if machine.frames[-1].rounds is not None:
            raise TailCall(target)
        return Calls(first, [second])

    text = "r1 = code_addr(f)\nr2 = 9\ncall probe\nr0 += 1\nexit\nf: r2 = 0\ncall probe\nexit"
    bench = rig(text, on_probe=on_probe)
    target = load("r0 = r1\nexit", bench.maps)
    assert bench.run().r0 == 10


def test_the_prog_array_of_a_malformed_program() -> None:
    """The program was not compiled before: its errors come up when it is called, and call after call."""
    bench = rig(TAIL_CALL.format(0), context=SyscallContext(bytes(8)), targets=["r0 /= 0\nexit"])
    for _ in range(2):
        with pytest.raises(InputError, match="division by an immediate 0") as caught:
            bench.run()
        assert caught.value.instruction == 0
        assert len(bench.machine.code) == 1


def test_a_prog_array_holds_programs() -> None:
    def on_probe(machine: Machine, first: int, second: int) -> int:
        raise TailCall("main")

    with pytest.raises(InternalError, match="a prog array holds 'main'"):
        rig("r1 = 0\nr2 = 0\ncall probe\nexit", on_probe=on_probe).run()


def test_observers_see_a_tail_call_as_a_step() -> None:
    class Steps(Observer):
        def __init__(self) -> None:
            self.steps: list[tuple[int, int]] = []

        def after(self, machine: Machine, pc: int, next_pc: int) -> None:
            self.steps.append((pc, next_pc))

    watch = Steps()
    rig(TAIL_CALL.format(0), context=SyscallContext(bytes(8)), targets=["r0 = 1\nexit"], observers=[watch]).run()
    assert watch.steps == [(0, 2), (2, 3), (3, 7), (7, 8)]


def test_a_machine_runs_one_executable() -> None:
    machine = Machine()
    engine, table = ReferenceEngine(), helper_table()
    with pytest.raises(InputError):
        engine.compile(load((Instruction(0xFF),), {}), machine, table)
    engine.compile(load("r0 = 0\nexit", {}), machine, table)  # the failure left nothing behind
    with pytest.raises(InternalError, match="a machine runs one executable"):
        engine.compile(load("r0 = 0\nexit", {}), machine, table)


def test_depth_is_counted_afresh_behind_a_tail_call() -> None:
    """Eight frames a program, 33 tail calls: the number is what Linux 6.18 (x86-64) gives for the same program."""
    text = "call pc+2\nr0 += 1\nexit\nr2 = map_by_fd(0)\nr3 = 0\ncall bpf_tail_call\nr0 = 100\nexit"
    bench = rig(text, context=SyscallContext(bytes(8)), targets=[None])
    assert bench.run().r0 == 100 + 34
    assert bench.machine.tail_calls == 33
    with pytest.raises(LimitExceeded, match="8 frames"):
        rig("call pc-1\nexit").run()


def test_calls_that_find_no_program_do_not_count() -> None:
    misses = "r6 = r1\n" + "r1 = r6\nr2 = map_by_fd(0)\nr3 = 1\ncall bpf_tail_call\n" * 40
    bench = rig(misses + "r1 = r6\n" + TAIL_CALL.format(0), context=SyscallContext(bytes(8)), targets=["r0 = 9\nexit"])
    assert bench.run().r0 == 9
    assert bench.machine.tail_calls == 1
