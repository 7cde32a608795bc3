"""Function calls: depth, registers, stacks, calls by address."""

from __future__ import annotations

import pytest
from engines.engine_support import helper_table, load, rig

from pybpftime.engines.reference import ReferenceEngine
from pybpftime.errors import Fault, FaultKind, InputError, InternalError, LimitExceeded
from pybpftime.isa import Instruction
from pybpftime.machine import LENIENT, LEVELS, LINUX, STRICT, Machine, Strictness
from pybpftime.program.contexts.memory import MemoryContext

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=list(LEVELS))


def nested(functions: int) -> str:
    """A chain of calls `functions` deep."""
    chain = "".join(f"f{index}: call f{index + 1}\nexit\n" for index in range(1, functions))
    return f"call f1\nexit\n{chain}f{functions}: r0 = 5\nexit"


# -- depth ----------------------------------------------------------------------------------------------------------


@levels
def test_eight_frames_are_allowed_and_nine_are_not(level: Strictness) -> None:
    assert rig(nested(7), level=level).run().r0 == 5
    with pytest.raises(LimitExceeded, match="call depth is limited to 8 frames") as caught:
        rig(nested(8), level=level).run()
    assert (caught.value.limit, caught.value.amount) == ("depth", 8)
    assert (caught.value.program, caught.value.pc) == ("main", 14)  # the call in the eighth function


def test_the_depth_is_a_parameter() -> None:
    assert rig(nested(20), max_depth=21).run().r0 == 5
    with pytest.raises(LimitExceeded) as caught:
        rig("call +0\nexit", max_depth=1).run()
    assert caught.value.amount == 1


def test_recursion_ends_at_the_limit_and_the_machine_runs_again() -> None:
    bench = rig("if r2 == 0 goto end\ncall recurse\nend: r0 = 3\nexit\nrecurse: call recurse\nexit", data=b"12345678")
    for _ in range(3):
        with pytest.raises(LimitExceeded) as caught:
            bench.run()
        assert caught.value.limit == "depth"
        assert len(bench.machine.frames) == 8
    bench.context = MemoryContext(b"")
    assert bench.run().r0 == 3


# -- registers --------------------------------------------------------------------------------------------------------


@levels
def test_r6_to_r9_are_the_callers_again_after_a_call(level: Strictness) -> None:
    text = "r6 = 6\nr7 = 7\nr8 = 8\nr9 = 9\ncall f\nr0 = r6\n"
    text += "r0 *= 10\nr0 += r7\nr0 *= 10\nr0 += r8\nr0 *= 10\nr0 += r9\nexit\n"
    text += "f: r6 = 1\nr7 = 1\nr8 = 1\nr9 = 1\nr0 = 0\nexit"
    assert rig(text, level=level).run().r0 == 6789


@pytest.mark.parametrize("register", range(1, 6))
def test_r1_to_r5_are_unset_after_a_call(register: int) -> None:
    text = f"r{register} = 1\ncall f\nr0 = r{register}\nexit\nf: r0 = 0\nexit"
    with pytest.raises(Fault, match=f"r{register} is read and was never written") as caught:
        rig(text).run()
    assert caught.value.pc == 2
    assert rig(text, level=LENIENT).run().r0 == 0


@pytest.mark.parametrize("register", [0, 6, 7, 8, 9])
def test_a_function_sees_its_arguments_only(register: int) -> None:
    text = f"r{register} = 1\ncall f\nexit\nf: r0 = r{register}\nexit"
    with pytest.raises(Fault, match=f"r{register} is read and was never written") as caught:
        rig(text).run()
    assert caught.value.pc == 3
    assert rig(text, level=LENIENT).run().r0 == 0


def test_five_arguments_are_passed() -> None:
    text = "r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = 5\ncall f\nexit\n"
    text += "f: r0 = r1\n" + "".join(f"r0 *= 10\nr0 += r{register}\n" for register in range(2, 6)) + "exit"
    assert rig(text).run().r0 == 12345


@pytest.mark.parametrize("register", range(3, 10))
def test_a_program_sees_its_arguments_only(register: int) -> None:
    with pytest.raises(Fault, match=f"r{register} is read"):
        rig(f"r0 = r{register}\nexit", data=bytes(8)).run()


@pytest.mark.parametrize("arguments", [(1,), (1, 2, 3, 4, 5), (-1, 1 << 64)])
def test_arguments_of_a_context_are_numbers_of_64_bits(arguments: tuple[int, ...]) -> None:
    class Given:
        def enter(self, machine: Machine) -> tuple[int, ...]:
            return arguments

    for number, argument in enumerate(arguments, 1):
        assert rig(f"r0 = r{number}\nexit", context=Given()).run().r0 == argument % (1 << 64)


def test_six_arguments_are_a_mistake_of_ours() -> None:
    class TooMany:
        def enter(self, machine: Machine) -> tuple[int, ...]:
            return (1, 2, 3, 4, 5, 6)

    with pytest.raises(InternalError):
        rig("r0 = 0\nexit", context=TooMany()).run()


# -- stacks -----------------------------------------------------------------------------------------------------------


@levels
def test_a_frame_has_512_bytes(level: Strictness) -> None:
    assert rig("*(u64 *)(r10 - 512) = 3\nr0 = *(u64 *)(r10 - 512)\nexit", level=level).run().r0 == 3
    for access in ("u8 *)(r10 + 0)", "u64 *)(r10 - 4)", "u64 *)(r10 - 520)", "u8 *)(r10 - 513)"):
        with pytest.raises(Fault) as caught:
            rig(f"*({access} = 3\nexit", level=level).run()
        assert caught.value.kind is FaultKind.MEMORY
        assert caught.value.region == "stack"


def test_the_frame_size_is_a_parameter() -> None:
    bench = rig("*(u64 *)(r10 - 16) = 3\nr0 = 0\nexit", frame_size=16)
    assert bench.run().r0 == 0
    with pytest.raises(Fault):
        rig("*(u64 *)(r10 - 24) = 3\nexit", frame_size=16).run()


@levels
def test_a_function_may_use_its_callers_stack_through_a_pointer(level: Strictness) -> None:
    text = "*(u64 *)(r10 - 8) = 3\nr1 = r10\nr1 += -8\ncall f\nr0 = *(u64 *)(r10 - 8)\nexit\n"
    text += "f: r2 = *(u64 *)(r1 + 0)\nr2 += 4\n*(u64 *)(r1 + 0) = r2\nr0 = 0\nexit"
    assert rig(text, level=level).run().r0 == 7


@levels
def test_a_pointer_into_a_frame_that_returned_faults(level: Strictness) -> None:
    with pytest.raises(Fault, match="stack of call 1-8: no byte of it may be accessed") as caught:
        rig(
            "call f\nr0 = *(u64 *)(r0 + 0)\nexit\nf: *(u64 *)(r10 - 8) = 3\nr0 = r10\nr0 += -8\nexit", level=level
        ).run()
    assert caught.value.kind is FaultKind.MEMORY
    assert caught.value.region == "stack of call 1"


@pytest.mark.parametrize("level", [LENIENT, LINUX])
def test_every_call_finds_its_stack_zeroed(level: Strictness) -> None:
    text = "call f\nr6 = r0\ncall f\nr0 += r6\nexit\nf: r0 = *(u64 *)(r10 - 8)\n*(u64 *)(r10 - 8) = 3\nexit"
    bench = rig(text, level=level)
    assert [bench.run().r0 for _ in range(2)] == [0, 0]


def test_a_function_does_not_see_what_the_one_before_it_wrote() -> None:
    text = "call f\ncall g\nexit\nf: *(u64 *)(r10 - 8) = 3\nr0 = 0\nexit\ng: r0 = *(u64 *)(r10 - 8)\nexit"
    with pytest.raises(Fault) as caught:
        rig(text, level=STRICT).run()
    assert caught.value.kind is FaultKind.UNINITIALISED


# -- callx ------------------------------------------------------------------------------------------------------------


@levels
def test_callx_calls_a_function_by_its_address(level: Strictness) -> None:
    bench = rig("r1 = 4\nr6 = code_addr(f)\ncallx r6\nr0 += 1\nexit\nf: r0 = r1\nr0 *= 2\nexit", level=level)
    assert bench.run().r0 == 9


@levels
def test_callx_with_the_register_in_imm_is_refused(level: Strictness) -> None:
    """As clang before 19 wrote it: imm 0 would be r0, or a register that was left out (docs/decisions/0014)."""
    callx, leave = Instruction(0x8D, imm=6), Instruction(0x95)
    with pytest.raises(InputError, match="callx: imm is 0x6 and must be 0"):
        rig((callx, leave), level=level)


@pytest.mark.parametrize("level", [LINUX, STRICT])
def test_callx_of_a_number_faults(level: Strictness) -> None:
    with pytest.raises(Fault, match="0x5 is not the address of a function") as caught:
        rig("r6 = 5\ncallx r6\nexit", level=level).run()
    assert (caught.value.kind, caught.value.pc, caught.value.address) == (FaultKind.CALL, 1, 5)


def test_a_bare_runtime_takes_the_number_as_that_of_a_helper() -> None:
    assert rig("r1 = 3\nr2 = 4\nr6 = 0x10001\ncallx r6\nexit", level=LENIENT).run().r0 == 7
    with pytest.raises(Fault, match="no helper with the number 65535") as caught:
        rig("r6 = 0xffff\ncallx r6\nexit", level=LENIENT).run()
    assert caught.value.kind is FaultKind.CALL


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("r6 = code_addr(f)\nr6 += 4\ncallx r6\nf: exit", "is not the address of an instruction"),
        ("r6 = code_addr(f)\nr6 += 80\ncallx r6\nf: exit", "is not the address of an instruction"),
        ("r6 = r10\ncallx r6\nexit", "is not the address of a function"),
        ("r6 = map_by_fd(0)\ncallx r6\nexit", "is not the address of a function"),
    ],
)
def test_callx_of_other_addresses_faults(text: str, reason: str) -> None:
    for level in LEVELS.values():
        with pytest.raises(Fault, match=reason) as caught:
            rig(text, level=level).run()
        assert caught.value.kind is FaultKind.CALL


def test_a_function_of_a_program_on_another_machine_cannot_be_called() -> None:
    """Programs of one object share maps and address space; their code does not move with an address in a map."""
    machine = Machine()
    other = Machine(machine.memory)
    engine, table = ReferenceEngine(), helper_table()
    engine.compile(load("r0 = 1\nexit\nr0 = 2\nexit", {}), machine, table)
    foreign = machine.code_address(2)
    executable = engine.compile(load(f"r1 = {foreign:#x} ll\ncallx r1\nexit", {}), other, table)
    with pytest.raises(Fault, match="code of main\\+16 is code of a program that does not run here"):
        executable.run(MemoryContext(b""))
