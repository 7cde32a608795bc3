"""Calls of helpers: arguments by their roles, maps, references, locks, packets, tail calls."""

from __future__ import annotations

import pytest
from support.verification import LOOK_UP, LOOK_UP_HASH, SAFE, UNKNOWN, Case, code_of, kernel_contradicts

from pybpftime.uapi import AttachType

END = "\nout: r0 = 1\n exit"
KEY = "*(u32 *)(r10 - 4) = 0\n r2 = r10\n r2 += -4\n"
FIND_SOCKET = f"{KEY} r1 = map[sockets]\n call bpf_map_lookup_elem\n if r0 == 0 goto out\n r6 = r0\n"
SKB = "r7 = r1\n r6 = *(u32 *)(r1 + 76)\n r3 = *(u32 *)(r1 + 80)\n r4 = r6\n r4 += 8\n if r4 > r3 goto out\n"
TAIL_CALL = "r2 = map[programs]\n r3 = 0\n call bpf_tail_call\n"
RESERVE = "r1 = map[ring]\n r2 = 8\n r3 = 0\n call bpf_ringbuf_reserve\n if r0 == 0 goto out\n r6 = r0\n"
LOCK = f"{LOOK_UP.replace('map[array]', 'map[locked]')} r6 = r0\n r1 = r0\n r1 += 4\n call bpf_spin_lock\n"
UNLOCK = "r1 = r6\n r1 += 4\n call bpf_spin_unlock\n"


def read(size: str, destination: str = "r1 = r10\n r1 += -16\n", source: str = "r3 = 0\n") -> str:
    return f"{destination} {size} {source} call bpf_probe_read_kernel\n r0 = 0\n exit"


def check_sum(first: str, size: str) -> str:
    """bpf_csum_diff, whose buffers may be NULL."""
    return f"{first} {size} r3 = r10\n r3 += -8\n r4 = 8\n r5 = 0\n call bpf_csum_diff\n r0 = 0\n exit"


CASES = [
    # --- memory and sizes
    Case("memory on the stack", SAFE, read("r2 = 16\n"), "kprobe"),
    Case("more than is left of the stack", "helper-memory", read("r2 = 17\n"), "kprobe"),
    Case("a size that is bounded", SAFE, UNKNOWN + "r0 &= 15\n r2 = r0\n" + read("r2 += 1\n"), "kprobe"),
    Case("a size without a bound", "helper-size", UNKNOWN + "r2 = r0\n r2 <<= 32\n" + read(""), "kprobe"),
    Case("a size of 0", SAFE, read("r2 = 0\n"), "kprobe"),
    Case(
        "a size of 0 at no place",
        "helper-memory",
        read("r2 = 0\n", f"{UNKNOWN} r1 = r10\n r0 &= 63\n r0 += -16\n r1 += r0\n"),
        "kprobe",
    ),
    Case("a negative size", "helper-size", read("r2 = -1\n"), "kprobe"),
    Case("NULL with a size of 0", SAFE, check_sum("r1 = 0\n", "r2 = 0\n"), "sched_cls"),
    Case("NULL with a size", "null", check_sum("r1 = 0\n", "r2 = 8\n"), "sched_cls"),
    Case("memory that is not NULL", SAFE, check_sum("r1 = r10\n r1 += -8\n", "r2 = 8\n"), "sched_cls"),
    # Linux takes this call, and lets the helper cope with NULL; here it is no memory.
    Case(
        "memory that may be NULL, with a size",
        "null",
        LOOK_UP_HASH + check_sum("r1 = r0\n", "r2 = 8\n"),
        "sched_cls",
        kernel=None,
    ),
    Case(
        "a number of 8 bytes that is misaligned",
        "alignment",
        "r1 = value[single]\n r2 = 3\n r3 = 0\n r4 = r10\n r4 += -12\n call bpf_strtol\n r0 = 1\n exit",
        "cgroup_sysctl",
        attach_type=AttachType.BPF_CGROUP_SYSCTL,
    ),
    Case(
        "a number of 8 bytes",
        SAFE,
        "r1 = value[single]\n r2 = 3\n r3 = 0\n r4 = r10\n r4 += -16\n call bpf_strtol\n r0 = 1\n exit",
        "cgroup_sysctl",
        attach_type=AttachType.BPF_CGROUP_SYSCTL,
    ),
    Case("the context as memory", "helper-argument", read("r2 = 4\n", ""), "kprobe"),
    Case(
        "an argument that was never set", "uninitialised-register", "r1 = map[hash]\n call bpf_map_lookup_elem\n exit"
    ),
    # --- who may call
    Case("a helper of other programs", "helper-not-allowed", "call bpf_xdp_adjust_head\n exit"),
    Case("the address of no function", "helper-not-allowed", "call bpf_get_func_ip\n r0 = 0\n exit", "raw_tracepoint"),
    Case("the address of a function", SAFE, "call bpf_get_func_ip\n r0 = 0\n exit", "kprobe"),
    Case("no helper at all", "unknown-helper", "call 9999\n exit"),
    # --- maps
    Case("an element that is certainly there", SAFE, f"{LOOK_UP} r0 = *(u8 *)(r0 + 0)\n exit"),
    Case("iteration of a ring", "helper-map", f"{KEY} r1 = map[ring]\n call bpf_map_lookup_elem\n r0 = 0\n exit"),
    Case(
        "storage",
        SAFE,
        "r1 = map[storage]\n r2 = 0\n call bpf_get_local_storage\n r0 = *(u8 *)(r0 + 63)\n r0 = 1\n exit",
        "cgroup_skb",
    ),
    Case(
        "storage with flags",
        "helper-argument-rule",
        "r1 = map[storage]\n r2 = 1\n call bpf_get_local_storage\n r0 = 1\n exit",
        "cgroup_skb",
    ),
    Case(
        "storage with flags that are not known",
        "helper-argument-rule",
        f"{UNKNOWN} r2 = r0\n r1 = map[storage]\n call bpf_get_local_storage\n r0 = 1\n exit",
        "cgroup_skb",
    ),
    Case(
        "a change of a map of sockets where sockets are locked",
        "helper-map",
        f"{KEY} r1 = map[sockets]\n call bpf_map_delete_elem\n r0 = 0\n exit",
        "raw_tracepoint",
    ),
    Case(
        "a change of a map of sockets",
        SAFE,
        f"{KEY} r1 = map[sockets]\n call bpf_map_delete_elem\n r0 = 0\n exit",
        "sched_cls",
    ),
    # --- references
    Case("a socket of a map, released", SAFE, f"{FIND_SOCKET} r1 = r6\n call bpf_sk_release {END}", "sched_cls"),
    Case("a socket of a map, kept", "unreleased", f"{FIND_SOCKET} {END}", "sched_cls"),
    Case(
        "a socket of a map, released twice",
        "helper-argument",
        f"{FIND_SOCKET} r1 = r6\n call bpf_sk_release\n r1 = r6\n call bpf_sk_release {END}",
        "sched_cls",
    ),
    Case(
        "a socket of a map, used after its release",
        "not-a-pointer",
        f"{FIND_SOCKET} r1 = r6\n call bpf_sk_release\n r0 = *(u32 *)(r6 + 4) {END}",
        "sched_cls",
    ),
    Case(
        "a socket put into a map",
        SAFE,
        f"{FIND_SOCKET} r3 = r6\n {KEY} r1 = map[sockets]\n r4 = 0\n call bpf_map_update_elem\n r1 = r6\n"
        f"call bpf_sk_release {END}",
        "sched_cls",
    ),
    Case(
        "bytes put into a map of sockets",
        "helper-argument",
        f"{KEY} r3 = r2\n r1 = map[sockets]\n r4 = 0\n call bpf_map_update_elem {END}",
        "sched_cls",
    ),
    Case("a record that is submitted", SAFE, f"{RESERVE} r1 = r6\n r2 = 0\n call bpf_ringbuf_submit {END}"),
    Case("a record that is kept", "unreleased", f"{RESERVE} {END}"),
    Case("a record that is kept across a tail call", "unreleased", f"r9 = r1\n {RESERVE} r1 = r9\n {TAIL_CALL} {END}"),
    # --- locks
    Case("a lock", SAFE, f"{LOCK} {UNLOCK} {END}", "sched_cls", kernel=None),
    Case("a lock that is kept", "lock-held", f"{LOCK} {END}", "sched_cls", kernel=None),
    Case("a lock that is taken twice", "lock", f"{LOCK} {LOCK} {UNLOCK} {END}", "sched_cls", kernel=None),
    Case("a call while a lock is held", "lock", f"{LOCK} {UNKNOWN} {UNLOCK} {END}", "sched_cls", kernel=None),
    Case(
        "a lock released by a static function",
        SAFE,
        f"{LOCK} r1 = r6\n r1 += 4\n call local f {END}\n f: call bpf_spin_unlock\n r0 = 0\n exit",
        "sched_cls",
        kernel=None,
    ),
    Case("a lock in a socket filter", "map-use", f"{LOCK} {UNLOCK} {END}", kernel=None),
    # --- packets that move
    Case(
        "a packet after it was changed",
        "not-a-pointer",
        f"{SKB} r1 = r7\n r2 = 100\n call bpf_skb_pull_data\n r0 = *(u8 *)(r6 + 0) {END}",
        "sched_cls",
    ),
    Case(
        "a packet after a tail call that failed",
        SAFE,
        f"{SKB} r1 = r7\n {TAIL_CALL} r0 = *(u8 *)(r6 + 0) {END}",
        "sched_cls",
    ),
    Case("the result of a tail call that failed", "uninitialised-return", f"{TAIL_CALL} exit", "sched_cls"),
    Case(
        "a packet after a call of a function with a tail call",
        "not-a-pointer",
        f"{SKB} r1 = r7\n call local f\n r0 = *(u8 *)(r6 + 0) {END}\n f: {TAIL_CALL} r0 = 0\n exit",
        "sched_cls",
    ),
    Case(
        "the result of a function that may end in another program",
        "return-value",
        f"call local f\n exit\n f: {TAIL_CALL} r0 = 0\n exit",
        "cgroup_skb",
        kernel=None,
    ),
    Case(
        "a packet for a helper that takes none",
        "helper-argument-rule",
        f"{SKB} r1 = r7\n r2 = 0\n r3 = r6\n r4 = 8\n call bpf_skb_load_bytes {END}",
        "sched_cls",
    ),
    Case(
        "a packet for a helper that takes it",
        SAFE,
        f"{SKB} r1 = r6\n r2 = 8\n r3 = 0\n r4 = 0\n r5 = 0\n call bpf_csum_diff {END}",
        "sched_cls",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdict(case: Case) -> None:
    assert code_of(case.judged()) == case.expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_kernel_says_the_same(case: Case) -> None:
    assert kernel_contradicts(case) is None
