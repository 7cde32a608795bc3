"""What may be computed with pointers, and how far they may be moved."""

from __future__ import annotations

import pytest
from support.verification import LOOK_UP_HASH, SAFE, UNKNOWN, Case, code_of, kernel_contradicts

END = "\nout: r0 = 0\n exit"
FLOW_KEYS = "r7 = *(u64 *)(r1 + 144)\n"

CASES = [
    Case("a constant added to the frame pointer", SAFE, "r1 = r10\n r1 += -8\n *(u64 *)(r1 + 0) = 0\n r0 = 0\n exit"),
    Case("a constant subtracted from the frame pointer", "pointer-arithmetic", "r1 = r10\n r1 -= 8\n r0 = 0\n exit"),
    Case("the frame pointer set", "frame-pointer", "r10 = 0\n r0 = 0\n exit"),
    Case("the frame pointer set where nobody comes", SAFE, "r0 = 0\n if r0 == 0 goto +1\n r10 = 0\n exit"),
    Case("two pointers added", "pointer-arithmetic", "r2 = r10\n r2 += r1\n r0 = 0\n exit"),
    Case("two pointers subtracted", SAFE, "r2 = r10\n r2 -= r10\n r0 = 0\n exit"),
    Case("a number minus a pointer", "pointer-arithmetic", "r2 = 1\n r2 -= r10\n r0 = 0\n exit"),
    Case("a pointer times two", "pointer-arithmetic", "r1 *= 2\n r0 = 0\n exit"),
    Case("32 bits of a pointer", "pointer-arithmetic", "r2 = r10\n w2 += 1\n r0 = 0\n exit"),
    Case("a 32-bit move of a pointer", SAFE, "w2 = w10\n r0 = r2\n exit"),
    Case("a pointer with its bytes swapped", SAFE, "r1 = bswap64 r1\n r0 = 0\n exit"),
    Case("a pointer to a map that is moved", "pointer-arithmetic", "r1 = map[array]\n r1 += 8\n r0 = 0\n exit"),
    Case("a pointer to a map that is moved by nothing", SAFE, "r1 = map[array]\n r1 += 0\n r0 = 0\n exit"),
    Case("a value that may be NULL, moved", "pointer-null-arithmetic", f"{LOOK_UP_HASH} r0 += 8\n r0 = 0\n exit"),
    Case(
        "a value that was checked, moved there and back",
        SAFE,
        f"{LOOK_UP_HASH} if r0 == 0 goto out\n r0 += 100\n r0 -= 96\n r0 = *(u32 *)(r0 + 0) {END}",
    ),
    Case(
        "a value moved by any number",
        "pointer-range",
        f"{LOOK_UP_HASH} if r0 == 0 goto out\n r6 = r0\n {UNKNOWN} r0 <<= 32\n r6 += r0\n r6 -= r0 {END}",
    ),
    Case(
        "a value moved by 1 GB",
        "pointer-range",
        f"{LOOK_UP_HASH} if r0 == 0 goto out\n r0 += 0x40000000\n r0 += -0x40000000 {END}",
    ),
    Case(
        "flow keys moved by a constant", SAFE, f"{FLOW_KEYS} r7 += 8\n r0 = *(u64 *)(r7 + 0)\n exit", "flow_dissector"
    ),
    Case(
        "flow keys moved by a number",
        "pointer-arithmetic",
        f"r6 = r1\n {UNKNOWN} r0 &= 8\n r1 = r6\n {FLOW_KEYS} r7 += r0\n r0 = 0\n exit",
        "flow_dissector",
    ),
    Case("a division by 0", "malformed", "r0 = 1\n r0 /= 0\n exit"),
    Case("a shift by 64", "malformed", "r0 = 1\n r0 <<= 64\n exit"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdict(case: Case) -> None:
    assert code_of(case.judged()) == case.expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_kernel_says_the_same(case: Case) -> None:
    assert kernel_contradicts(case) is None
