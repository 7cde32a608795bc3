"""Functions, callbacks and the end of the program: frames, stack, results, what must not be left behind."""

from __future__ import annotations

import pytest
from support.verification import SAFE, UNKNOWN, Case, code_of, kernel_contradicts

from pybpftime.uapi import AttachType

END = "\nout: r0 = 0\n exit"
RESERVE = "r1 = map[ring]\n r2 = 8\n r3 = 0\n call bpf_ringbuf_reserve\n if r0 == 0 goto done\n r1 = r0\n"
LOOP = (
    "r1 = 4\n r2 = code_addr(f)\n r3 = r10\n r3 += -8\n *(u64 *)(r3 + 0) = 0\n r4 = 0\n call bpf_loop\n"
    "r0 = 0\n exit\n f: "
)
PACKET_LOAD = "call local g\n r0 = 0\n exit\n g: r6 = *(u64 *)(r2 + 0)\n r0 = *(u8 *)skb[0]\n r0 = 0\n exit"
BY_COUNTER = "r1 = *(u64 *)(r10 - 8)\n r3 = value[single]\n r3 += r1\n r0 = *(u8 *)(r3 + 47)\n r0 = 0"


def chain(length: int, stack: int = 0, body: str = "") -> str:
    """Functions of which each calls the next, `length` in all; each uses `stack` bytes."""
    store = f"*(u8 *)(r10 - {stack}) = 1\n" if stack else ""
    inner = [f"f{number}: {store} call local f{number + 1}\n exit\n" for number in range(1, length - 1)]
    return f"{store} call local f1\n r0 = 0\n exit\n {''.join(inner)} f{length - 1}: {store} {body} r0 = 0\n exit"


CASES = [
    # --- frames and stack
    Case("8 frames", SAFE, chain(8)),
    Case("9 frames", "call-depth", chain(9)),
    Case("9 frames in code that is never reached", "call-depth", "r0 = 0\n if r0 == 0 goto +2\n" + chain(9)),
    Case("a function that calls itself", "recursion", "call local f\n exit\n f: call local f\n exit", kernel="rejects"),
    Case(
        "functions that call each other",
        "recursion",
        "call local f\n exit\n f: call local g\n exit\n g: call local f\n exit",
    ),
    Case("512 bytes of stack in all", SAFE, chain(4, 128)),
    Case("more than 512 bytes in all", "call-stack", chain(4, 129)),
    Case(
        "stack that a helper uses",
        "call-stack",
        "*(u8 *)(r10 - 256) = 1\n call local f\n exit\n f: r1 = r10\n r1 += -257\n r2 = 8\n"
        "call bpf_get_current_comm\n r0 = 0\n exit",
        "sched_cls",
    ),
    Case("stacks of their own", SAFE, chain(4, 400), "kprobe"),
    Case(
        "no stacks of their own with a tail call",
        "call-stack",
        chain(
            4, 400, "r1 = 0\n if r1 != 0 goto t\n r0 = 0\n exit\n t: r2 = map[programs]\n r3 = 0\n call bpf_tail_call\n"
        ),
        "kprobe",
    ),
    Case(
        "a tail call below 256 bytes of stack",
        "call-stack",
        "r2 = 0\n *(u8 *)(r10 - 256) = 1\n call local f\n r0 = 0\n exit\n f: r2 = map[programs]\n r3 = 0\n"
        "call bpf_tail_call\n r0 = 0\n exit",
    ),
    Case(
        "a tail call below 240 bytes of stack",
        SAFE,
        "r2 = 0\n *(u8 *)(r10 - 240) = 1\n call local f\n r0 = 0\n exit\n f: r2 = map[programs]\n r3 = 0\n"
        "call bpf_tail_call\n r0 = 0\n exit",
    ),
    # --- what a function gives back
    Case("the own stack as a result", "stack-escape", "call local f\n r0 = 0\n exit\n f: r0 = r10\n exit"),
    Case(
        "the stack of the caller as a result",
        "stack-escape",
        "r1 = r10\n call local f\n r0 = 0\n exit\n f: r0 = r1\n exit",
    ),
    Case(
        "registers that a call clobbers",
        "uninitialised-register",
        "r1 = 1\n call local f\n r0 = r1\n exit\n f: r0 = 0\n exit",
    ),
    Case("registers that a call keeps", SAFE, "r6 = 1\n call local f\n r0 = r6\n exit\n f: r6 = 2\n r0 = 0\n exit"),
    Case("r0 unset", "uninitialised-return", "r1 = 0\n exit"),
    Case(
        "a result that the type does not have",
        "return-value",
        "r0 = 4\n exit",
        "cgroup_sock",
        attach_type=AttachType.BPF_CGROUP_INET_SOCK_CREATE,
    ),
    Case(
        "an address where a number is demanded",
        "return-value",
        "r0 = r1\n exit",
        "cgroup_sock",
        attach_type=AttachType.BPF_CGROUP_INET_SOCK_CREATE,
    ),
    # --- callbacks
    Case(
        "a loop that counts on the stack",
        SAFE,
        f"{LOOP} r1 = *(u64 *)(r2 + 0)\n r1 += 1\n *(u64 *)(r2 + 0) = r1\n r0 = 0\n exit",
    ),
    Case("an index of the loop", SAFE, f"{LOOP} r3 = value[single]\n r3 += r1\n r0 = *(u8 *)(r3 + 44)\n r0 = 0\n exit"),
    Case(
        "an index behind the last",
        "map-value-bounds",
        f"{LOOP} r3 = value[single]\n r3 += r1\n r0 = *(u8 *)(r3 + 45)\n r0 = 0\n exit",
    ),
    Case("a callback that returns 2", "callback-return", f"{LOOP} r0 = 2\n exit"),
    Case("a callback that returns any number", "callback-return", f"{LOOP} {UNKNOWN} exit"),
    Case("a callback that keeps a record", "unreleased", f"{LOOP} {RESERVE} done: r0 = 0\n exit"),
    Case(
        "a callback that submits its record",
        SAFE,
        f"{LOOP} {RESERVE} r2 = 0\n call bpf_ringbuf_submit\n done: r0 = 0\n exit",
    ),
    Case("a loop with a callback that never ends by itself", SAFE, f"{LOOP} r0 = 0\n exit"),
    Case(
        "legacy packet access in a callback",
        "callback",
        "r5 = r1\n" + LOOP.replace("(r3 + 0) = 0", "(r3 + 0) = r5") + PACKET_LOAD,
    ),
    Case(
        "what a callback writes may have changed",
        "map-value-bounds",
        LOOP.replace("r0 = 0", BY_COUNTER) + "*(u64 *)(r2 + 0) = 1\n r0 = 0\n exit",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdict(case: Case) -> None:
    assert code_of(case.judged()) == case.expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_kernel_says_the_same(case: Case) -> None:
    assert kernel_contradicts(case) is None
