"""The shape of a program and the maps that it refers to: what is refused before anything is followed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.verification import MAPS, SAFE, Case, code_of, kernel_contradicts, program

from pybpftime.isa import Instruction
from pybpftime.maps.spec import MapSpec
from pybpftime.program.sections import SLEEPABLE
from pybpftime.program.spec import Function, ProgramSpec
from pybpftime.uapi import MapType, ProgramType
from pybpftime.verifier import verify

STRUCT_OPS = MapSpec("ops", MapType.BPF_MAP_TYPE_STRUCT_OPS, 4, 64, 1)
OTHER_STORAGE = replace(MAPS["storage"], name="other")

CASES = [
    Case("nothing but an exit", "uninitialised-return", "exit"),
    Case("no exit", "falls-through", "r0 = 0"),
    Case("a conditional jump as the last instruction", "falls-through", "r0 = 0\n if r0 == 0 goto -2"),
    Case("a jump out of the program", "malformed", "goto +7\n exit"),
    Case("code that is never reached", "unreachable", "r0 = 0\n exit\n r0 = 1\n exit"),
    Case("code that is only never reached by what it computes", SAFE, "r0 = 0\n if r0 == 0 goto +1\n r0 = 1\n exit"),
    Case("a function that nobody calls", "unreachable", "r0 = 0\n exit\n f: call local f\n exit"),
    Case("a jump into another function", "jump-out", "call local f\n goto in\n f: r0 = 0\n in: exit"),
    Case("a function without an end", "falls-through", "call local f\n r0 = 0\n f: r0 = 1\n exit"),
    Case("an opcode that does not exist", "malformed", ".byte 0xff, 0, 0, 0, 0, 0, 0, 0\n exit", kernel="rejects"),
    Case("a loop that ends", SAFE, "r0 = 0\n again: r0 += 1\n if r0 < 100 goto again\n exit"),
    Case("a loop that does not", "infinite-loop", "r0 = 0\n again: r0 += 0\n goto again"),
    Case("a map of operations", "map-use", "r1 = map[ops]\n r0 = 0\n exit", maps={"ops": STRUCT_OPS}, kernel=None),
    Case(
        "a map that sleepable programs may not use",
        "map-use",
        "r1 = map[programs]\n r0 = 0\n exit",
        "syscall",
        flags=frozenset({SLEEPABLE}),
    ),
    Case(
        "two storages of one kind",
        "map-use",
        "r1 = map[storage]\n r1 = map[other]\n r0 = 0\n exit",
        "cgroup_skb",
        maps={**MAPS, "other": OTHER_STORAGE},
    ),
    Case("a system call program that does not sleep", "program-flags", "r0 = 0\n exit", "syscall"),
    Case("a system call program", SAFE, "r0 = 0\n exit", "syscall", flags=frozenset({SLEEPABLE})),
    Case("a packet filter that sleeps", "program-flags", "r0 = 0\n exit", flags=frozenset({SLEEPABLE})),
    Case(
        "a context that was moved, of a system call program",
        "context-pointer",
        "r1 += 4\n r0 = *(u32 *)(r1 + 0)\n exit",
        "syscall",
        flags=frozenset({SLEEPABLE}),
    ),
    Case("the value of a map with several", "map-value-address", "r1 = value[array]\n r0 = 0\n exit"),
    Case("the value of a hash map", "map-value-address", "r1 = value[hash]\n r0 = 0\n exit"),
    Case("behind the value of a map", "map-value-address", "r1 = value[single] + 48\n r0 = 0\n exit"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdict(case: Case) -> None:
    assert code_of(case.judged()) == case.expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_kernel_says_the_same(case: Case) -> None:
    assert kernel_contradicts(case) is None


def test_a_global_function_is_not_called_while_a_lock_is_held() -> None:
    text = (
        "*(u32 *)(r10 - 4) = 0\n r2 = r10\n r2 += -4\n r1 = map[locked]\n call bpf_map_lookup_elem\n r6 = r0\n"
        "r1 = r0\n"
        "r1 += 4\n call bpf_spin_lock\n call local f\n r1 = r6\n r1 += 4\n call bpf_spin_unlock\n r0 = 0\n exit\n"
        "f: r0 = 0\n exit"
    )
    static = program(text, "sched_cls")
    start = len(static.instructions) - 2
    functions = (Function("main", 0, start), Function("f", start, start + 2, is_global=True))
    assert code_of(verify(static, MAPS)) == SAFE
    assert code_of(verify(replace(static, functions=functions), MAPS)) == "lock"


def moves(count: int) -> list[Instruction | None]:
    return [Instruction(opcode=0xB7, dst_reg=0, src_reg=0, offset=0, imm=0)] * count


def test_ten_thousand_functions_are_judged() -> None:
    count = 10_000
    calls = [Instruction(0x85, 0, 1, 0, 2 * number + count + 2 - (number + 1)) for number in range(count)]
    end = Instruction(0x95, 0, 0, 0, 0)
    spec = ProgramSpec("many", (*calls, *moves(1), end, *([*moves(1), end] * count)), ProgramType.BPF_PROG_TYPE_XDP)
    assert code_of(verify(spec, {})) == SAFE


def test_blocks_that_are_linked_backwards_are_judged() -> None:
    count = 20_000  # an analysis in the order of the code would go through it as many times
    last = Instruction(0x06, 0, 0, 0, 2 * count - 2)
    blocks = [*moves(1), Instruction(0x95, 0, 0, 0, 0)]
    for _ in range(count - 1):
        blocks += [*moves(1), Instruction(0x06, 0, 0, 0, -4)]
    spec = ProgramSpec("backwards", (*moves(1), last, *blocks), ProgramType.BPF_PROG_TYPE_XDP)
    assert code_of(verify(spec, {})) == SAFE


def test_what_takes_too_long_is_given_up() -> None:
    calls = "".join(f"f{level}: " + f"call local f{level + 1}\n" * 10 + "exit\n" for level in range(1, 7))
    text = f"call local f1\n exit\n {calls} f7: r0 = 0\n exit"
    assert code_of(verify(program(text), {}, budget=5000)) == "budget"
