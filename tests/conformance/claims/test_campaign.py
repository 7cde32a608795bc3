"""Campaigns: generated programs and cases, against the running kernel where that may be asked."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable

import pytest

from pybpftime import assemble
from pybpftime.conformance.case import Case
from pybpftime.conformance.claims.campaign import Campaign, Result, Verifier, generated
from pybpftime.conformance.claims.kernel_log import KernelLog
from pybpftime.conformance.claims.run import KernelAnswer
from pybpftime.isa import encode_program
from pybpftime.kernel import available

REASON = available()
needs_kernel = pytest.mark.skipif(REASON is not None, reason=f"needs bpf(2): {REASON}")
SEED = 11
PROGRAMS = 15
INPUTS = 4

BRANCHES = """
        r6 = *(u64 *)(r1 + 0)
        r7 = *(u64 *)(r1 + 8)
        r9 = 3
        r8 = 0
again:  r2 = r6
        r2 >>= 3
        if r2 s> 100 goto first
        r8 += 1
        if r7 & 4 goto first
        r8 += r6
first:  r1 = r6
        call outer
        r8 ^= r0
        r6 >>= 5
        if w7 < 77 goto second
        r7 += r9
second: r9 += -1
        if r9 != 0 goto again
        r0 = r8
        exit
outer:  r6 = r1
        if r1 > 50 goto big
        r0 = 1
        r1 = r6
        call inner
        exit
big:    r0 = r6
        w0 &= 255
        exit
inner:  if r1 & 1 goto odd
        r0 = 7
        exit
odd:    r0 = r1
        r0 += 3
        exit
"""
DEFECT = """
        *(u64 *)(r10 - 8) = 0
        call f
        exit
f:      *(u64 *)(r10 - 8) = 5
        r1 = -8
        r1 += r10
        r0 = *(u64 *)(r1 + 0)
        exit
"""
REMAINDER = """
        r2 = *(u64 *)(r1 + 0)
        r2 %= 64
        r1 += r2
        r0 = *(u8 *)(r1 + 0)
        exit
"""


def case(text: str, memory: bytes | None = None, name: str = "case") -> Case:
    return Case(name, encode_program(assemble(text)), (), memory)


def examined(cases: Iterable[Case], verifiers: Collection[Verifier] = tuple(Verifier)) -> Result:
    with Campaign(verifiers) as campaign:
        for _ in campaign.examine(cases):
            pass
    return campaign.result


@needs_kernel
def test_claims_about_generated_programs_are_true() -> None:
    result = examined(generated(SEED, PROGRAMS))
    assert [str(one) for one in result.violations] == []
    assert result.failures == []
    kernel, ours = result.verifiers[Verifier.KERNEL], result.verifiers[Verifier.OURS]
    assert (result.programs, kernel.taken + kernel.refused) == (PROGRAMS, PROGRAMS)
    assert kernel.lost == 0, "every path of the logs has its origin"
    assert kernel.share > 0.5
    assert ours.share == 1
    assert kernel.numbers > 300
    assert ours.numbers > 0


@needs_kernel
def test_every_way_through_loops_branches_and_calls() -> None:
    source = random.Random(SEED)
    memories = [
        b"".join(source.getrandbits(source.choice((64, 8, 12))).to_bytes(8, "little") for _ in range(2))
        for _ in range(INPUTS)
    ]
    cases = [case(BRANCHES, memory, f"case{number}") for number, memory in enumerate(memories)]
    result = examined(cases, [Verifier.KERNEL])
    score = result.verifiers[Verifier.KERNEL]
    assert (score.taken, score.lost, result.failures, result.violations) == (INPUTS, 0, [], [])
    assert score.share > 0.2


@needs_kernel
def test_numbers_that_linux_goes_through_one_by_one() -> None:
    """Linux 6.18 visits an `and` twice for a number that is 0 or -1."""
    text = "r6 = *(u64 *)(r1 + 0)\nr6 &= 1\nw6 = -w6\nw6 &= 38\nr0 = r6\nr0 += 1\nexit"
    cases = [case(text, bytes([value]) + bytes(7), f"case{value}") for value in (0, 1)]
    result = examined(cases, [Verifier.KERNEL])
    score = result.verifiers[Verifier.KERNEL]
    assert (score.taken, score.lost, result.violations) == (2, 0, [])
    assert score.share > 0.7


@needs_kernel
def test_the_known_defect_of_linux_is_found() -> None:
    """docs/decisions/0018-kernel-defects.md: a number plus a stack pointer, in a function."""
    result = examined([case(DEFECT)])
    violations = result.violations
    if not violations and result.verifiers[Verifier.KERNEL].share == 1:
        pytest.skip("needs a kernel with the defect")
    assert [(one.verifier, one.place, one.value, one.claim) for one in violations] == [("kernel", "r0", 5, "0")]
    assert violations[0].behind == "r0 = *(u64 *)(r1 + 0x0)"
    assert set(result.cases) == {"case"}
    assert not result.is_right


@needs_kernel
def test_a_disagreement_has_both_reasons_and_an_explanation() -> None:
    result = examined([case(REMAINDER, bytes(64))])
    if not result.disagreements and result.verifiers[Verifier.KERNEL].taken:
        pytest.skip("needs a kernel that knows nothing of remainders")
    found = result.disagreements[0]
    assert found.kernel is not None
    assert "unbounded" in found.kernel
    assert found.ours is None
    assert found.explanation is not None
    assert "remainder" in found.explanation
    assert result.is_right


@needs_kernel
def test_a_disagreement_that_takes_asking() -> None:
    """Nothing in the program says why; with the numbers that our states show the kernel takes it."""
    text = """
        *(u64 *)(r10 - 8) = -1
        r2 = *(u16 *)(r10 - 8)
        r2 += -65535
        r1 += r2
        r2 = *(u64 *)(r1 + 0)
        r3 = r2
        r3 ^= r2
        r1 += r3
        r0 = *(u8 *)(r1 + 0)
        exit
    """
    result = examined([case(text, bytes(64))])
    if not result.disagreements and result.verifiers[Verifier.KERNEL].taken:
        pytest.skip("needs a kernel that does not know what a number xor itself is")
    assert [one.explanation is not None for one in result.disagreements] == [True]


def test_ours_alone() -> None:
    result = examined(generated(SEED, 5), [Verifier.OURS])
    score = result.verifiers[Verifier.OURS]
    assert (result.programs, score.taken, score.share, result.violations) == (5, 5, 1, [])
    assert score.steps > 0


def test_generated_programs_depend_on_the_seed() -> None:
    first, again, other = (list(generated(seed, 3)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_another_result_than_the_kernels_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = KernelAnswer(log=KernelLog.read("", ()), contents={"result": (7).to_bytes(8, "little") + bytes(8)})
    monkeypatch.setattr("pybpftime.conformance.claims.campaign.ask_kernel", lambda subject: answer)
    result = examined([case("r0 = 5\nexit")], [Verifier.KERNEL])
    assert len(result.failures) == 1
    assert result.failures[0].what.startswith("the result is 07000000")
    assert "0500000000000000" in result.failures[0].what
    assert not result.is_right


def test_programs_that_nobody_is_asked_about() -> None:
    result = examined([case("r0 = *(u8 *)skb[0]\nexit"), case("r0 = 0\nexit")], [Verifier.OURS])
    assert result.excluded == {"it reads a packet in place of its memory": 1}
    assert (result.programs, result.verifiers[Verifier.OURS].taken) == (2, 1)
