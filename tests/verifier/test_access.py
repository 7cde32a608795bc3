"""Loads and stores: each kind of memory, its permissions, its bounds, and what Linux demands beside them."""

from __future__ import annotations

import pytest
from support.verification import LOOK_UP, LOOK_UP_HASH, MAPS, SAFE, UNKNOWN, Case, code_of, kernel_contradicts

from pybpftime.maps.spec import KernelPointer, MapSpec
from pybpftime.uapi import MapType

KPTRS = MapSpec(
    "array", MapType.BPF_MAP_TYPE_ARRAY, 4, 24, 1,
    kernel_pointers=(KernelPointer(0, "task_struct", referenced=False), KernelPointer(8, "task_struct")),
)  # fmt: skip
TIMERS = MapSpec("array", MapType.BPF_MAP_TYPE_ARRAY, 4, 24, 1, timer_offset=8)
LOCKED = MapSpec("array", MapType.BPF_MAP_TYPE_ARRAY, 4, 24, 1, spin_lock_offset=4)
PACKET = "r2 = *(u32 *)(r1 + {data})\n r3 = *(u32 *)(r1 + {end})\n r4 = r2\n r4 += 8\n if r4 > r3 goto out\n"
SKB, XDP = PACKET.format(data=76, end=80), PACKET.format(data=0, end=4)
END = "\nout: r0 = 1\n exit"


def with_map(spec: MapSpec) -> dict[str, MapSpec]:
    return {**MAPS, "array": spec}


CASES = [
    # --- the stack
    Case("a slot of the stack", SAFE, "*(u64 *)(r10 - 8) = 1\n r0 = *(u64 *)(r10 - 8)\n exit"),
    Case("stack that was never written", SAFE, "r0 = *(u64 *)(r10 - 8)\n exit"),
    Case("above the frame", "stack-bounds", "*(u64 *)(r10 + 0) = 1\n r0 = 0\n exit"),
    Case("below the frame", "stack-bounds", "*(u8 *)(r10 - 513) = 1\n r0 = 0\n exit"),
    Case("misaligned stack", "alignment", "*(u32 *)(r10 - 7) = 1\n r0 = 0\n exit"),
    Case("half of a pointer stored", "spill-size", "*(u32 *)(r10 - 8) = r1\n r0 = 0\n exit"),
    Case(
        "half of a pointer stored at an offset that varies",
        SAFE,
        f"{UNKNOWN} r0 &= 4\n r2 = r10\n r2 += -8\n r2 += r0\n *(u32 *)(r2 + 0) = r10\n r0 = 0\n exit",
    ),
    Case("half of a pointer loaded", "fill-size", "*(u64 *)(r10 - 8) = r1\n r0 = *(u32 *)(r10 - 8)\n exit"),
    Case(
        "half of what is left of a pointer",
        SAFE,
        "*(u64 *)(r10 - 8) = r1\n *(u8 *)(r10 - 1) = 0\n r0 = *(u32 *)(r10 - 8)\n exit",
    ),
    Case("half of a number loaded", SAFE, "*(u64 *)(r10 - 8) = 7\n r0 = *(u32 *)(r10 - 4)\n exit"),
    Case(
        "part of a pointer by an atomic operation",
        "fill-size",
        "*(u64 *)(r10 - 8) = r1\n r2 = 1\n lock *(u32 *)(r10 - 8) += r2\n r0 = 0\n exit",
    ),
    Case(
        "a pointer fetched by an exchange",
        SAFE,
        "r6 = r1\n *(u64 *)(r10 - 8) = r1\n r2 = 1\n r2 = xchg_64(r10 - 8, r2)\n r0 = *(u32 *)(r2 + 0)\n exit",
    ),
    Case(
        "a pointer to the own stack in the stack of the caller",
        "stack-escape",
        "r1 = r10\n r1 += -8\n call local f\n r0 = 0\n exit\n f: r2 = r10\n *(u64 *)(r1 + 0) = r2\n r0 = 0\n exit",
    ),
    Case(
        "the context in the stack of the caller",
        SAFE,
        "r2 = r10\n r2 += -8\n call local f\n r0 = 0\n exit\n f: *(u64 *)(r2 + 0) = r1\n r0 = 0\n exit",
    ),
    # --- numbers and NULL
    Case("a number as an address", "not-a-pointer", "r1 = 8\n r0 = *(u64 *)(r1 + 0)\n exit"),
    Case("a register that was never set", "uninitialised-register", "r0 = *(u64 *)(r5 + 0)\n exit"),
    Case("a value that may be NULL", "null", f"{LOOK_UP_HASH} r0 = *(u8 *)(r0 + 0)\n exit"),
    Case("a value that was checked", SAFE, f"{LOOK_UP_HASH} if r0 == 0 goto out\n r0 = *(u8 *)(r0 + 15) {END}"),
    Case("behind a value", "map-value-bounds", f"{LOOK_UP_HASH} if r0 == 0 goto out\n r0 = *(u8 *)(r0 + 16) {END}"),
    Case(
        "a value that is one that is not NULL",
        SAFE,
        f"{LOOK_UP} r6 = r0\n {LOOK_UP_HASH} if r0 != r6 goto out\n r0 = *(u8 *)(r0 + 0) {END}",
    ),
    Case(
        "a value that is none that is not NULL",
        "null",
        f"{LOOK_UP} r6 = r0\n {LOOK_UP_HASH} if r0 == r6 goto out\n r0 = *(u8 *)(r0 + 0) {END}",
    ),
    Case(
        "a masked index",
        SAFE,
        f"{LOOK_UP} r6 = r0\n {UNKNOWN} r0 &= 31\n if r6 == 0 goto out\n r6 += r0\n r0 = *(u8 *)(r6 + 16) {END}",
    ),
    Case(
        "a mask that is too wide",
        "map-value-bounds",
        f"{LOOK_UP} r6 = r0\n {UNKNOWN} r0 &= 63\n if r6 == 0 goto out\n r6 += r0\n r0 = *(u8 *)(r6 + 0) {END}",
    ),
    Case(
        "a store to a read-only map",
        "read-only",
        "r1 = value[readonly]\n *(u8 *)(r1 + 0) = 1\n r0 = 0\n exit",
        kernel=None,
    ),
    Case("a load from a write-only map", "write-only", "r1 = value[writeonly]\n r0 = *(u8 *)(r1 + 0)\n exit"),
    # --- atomics
    Case(
        "a misaligned atomic operation",
        "alignment",
        f"{LOOK_UP} if r0 == 0 goto out\n r2 = 1\n lock *(u32 *)(r0 + 2) += r2 {END}",
    ),
    Case(
        "a misaligned load-acquire",
        "alignment",
        f"{LOOK_UP} if r0 == 0 goto out\n r2 = load_acquire((u32 *)(r0 + 2)) {END}",
    ),
    Case("an aligned load-acquire", SAFE, f"{LOOK_UP} if r0 == 0 goto out\n r2 = load_acquire((u32 *)(r0 + 4)) {END}"),
    Case(
        "a result in the place of the address",
        "atomic-result",
        f"{LOOK_UP} r3 = r0\n r3 = atomic_fetch_add((u64 *)(r3 + 0), r3) {END}",
    ),
    Case(
        "an exchange in the place of the address",
        "atomic-result",
        f"{LOOK_UP} r3 = r0\n r3 = xchg_64(r3 + 0, r3) {END}",
    ),
    Case("load-acquire of the context", "not-memory", "r0 = load_acquire((u32 *)(r1 + 0))\n exit"),
    Case("store-release to a packet", "not-memory", f"{XDP} r5 = 1\n store_release((u32 *)(r2 + 0), r5) {END}", "xdp"),
    Case(
        "an address added to a map value",
        SAFE,
        f"r6 = r1\n {LOOK_UP} if r0 == 0 goto out\n lock *(u64 *)(r0 + 0) += r6 {END}",
    ),
    # --- the context
    Case("a field of the context", SAFE, "r0 = *(u32 *)(r1 + 0)\n exit"),
    Case("beyond the context", "context-access", "r0 = *(u32 *)(r1 + 4096)\n exit"),
    Case("a part of a field with its sign", SAFE, "r0 = *(s8 *)(r1 + 0)\n exit"),
    Case("an address with its sign", "context-access", "r2 = *(s32 *)(r1 + 0)\n r0 = 1\n exit", "xdp"),
    Case("a context that was moved", "context-pointer", "r1 += 4\n r0 = *(u32 *)(r1 + 0)\n exit"),
    Case(
        "one load of two kinds of memory",
        "pointer-mix",
        f"r6 = r1\n {UNKNOWN} r2 = r10\n r2 += -8\n if r0 == 0 goto +1\n r2 = r6\n r0 = *(u32 *)(r2 + 0)\n exit",
    ),
    # --- packets
    Case("a packet that was checked", SAFE, f"{SKB} r0 = *(u8 *)(r2 + 7) {END}", "sched_cls"),
    Case("a packet that was not checked as far", "packet-bounds", f"{SKB} r0 = *(u8 *)(r2 + 8) {END}", "sched_cls"),
    Case("a store to a packet", SAFE, f"{SKB} *(u8 *)(r2 + 0) = 1 {END}", "sched_cls"),
    Case("a store to a packet that is only read", "read-only", f"{SKB} *(u8 *)(r2 + 0) = 1 {END}", "lwt_in"),
    Case(
        "a packet, strictly aligned",
        "alignment",
        f"{SKB} r0 = *(u32 *)(r2 + 0) {END}",
        "sched_cls",
        strict_alignment=True,
    ),
    Case(
        "a packet, aligned behind a header",
        SAFE,
        f"{SKB} r0 = *(u32 *)(r2 + 2) {END}",
        "sched_cls",
        strict_alignment=True,
    ),
    # --- fields of the kernel
    Case(
        "a lock",
        "special-field",
        f"{LOOK_UP} *(u8 *)(r0 + 7) = 1\n r0 = 0\n exit",
        "sched_cls",
        maps=with_map(LOCKED),
        kernel=None,
    ),
    Case(
        "beside a lock",
        SAFE,
        f"{LOOK_UP} *(u32 *)(r0 + 8) = 1\n r0 = 0\n exit",
        "sched_cls",
        maps=with_map(LOCKED),
        kernel=None,
    ),
    Case(
        "a timer",
        "special-field",
        f"{LOOK_UP} r0 = *(u8 *)(r0 + 23)\n exit",
        "sched_cls",
        maps=with_map(TIMERS),
        kernel=None,
    ),
    Case(
        "half of a kernel pointer",
        "special-field",
        f"{LOOK_UP} r0 = *(u32 *)(r0 + 0)\n exit",
        maps=with_map(KPTRS),
        kernel=None,
    ),
    Case(
        "a kernel pointer", SAFE, f"{LOOK_UP} r1 = *(u64 *)(r0 + 8)\n r0 = 0\n exit", maps=with_map(KPTRS), kernel=None
    ),
    Case(
        "NULL to a kernel pointer",
        SAFE,
        f"{LOOK_UP} *(u64 *)(r0 + 0) = 0\n r0 = 0\n exit",
        maps=with_map(KPTRS),
        kernel=None,
    ),
    Case(
        "1 to a kernel pointer",
        "special-field",
        f"{LOOK_UP} *(u64 *)(r0 + 0) = 1\n r0 = 0\n exit",
        maps=with_map(KPTRS),
        kernel=None,
    ),
    Case(
        "NULL to a counted pointer",
        "special-field",
        f"{LOOK_UP} *(u64 *)(r0 + 8) = 0\n r0 = 0\n exit",
        maps=with_map(KPTRS),
        kernel=None,
    ),
    Case(
        "a kernel pointer for a helper",
        "special-field",
        f"{LOOK_UP} r1 = r0\n r2 = 16\n r3 = 0\n call bpf_probe_read_kernel\n r0 = 0\n exit",
        "kprobe",
        maps=with_map(KPTRS),
        kernel=None,
    ),
    # --- arenas
    Case(
        "an arena",
        SAFE,
        f"{UNKNOWN} r1 = value[arena] + 8\n r0 = addr_space_cast(r0, 0, 1)\n r0 += 100\n r1 = *(u64 *)(r0 - 8000)\n"
        "*(u32 *)(r0 + 3) = r1\n r0 = 0\n exit",
    ),
    Case("a number for an arena", "not-a-pointer", "r1 = value[arena] + 8\n r0 = *(u64 *)(r1 + 0)\n exit"),
    Case("no arena", "malformed", "r1 = addr_space_cast(r1, 0, 1)\n r0 = 0\n exit"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdict(case: Case) -> None:
    assert code_of(case.judged()) == case.expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_kernel_says_the_same(case: Case) -> None:
    assert kernel_contradicts(case) is None
