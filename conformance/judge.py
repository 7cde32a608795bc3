"""Whether an answer is right: what a case expects against what a runtime did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pybpftime.conformance.case import Case, Expectation, Signature, Verdict
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Profile
from pybpftime.isa.row import INCLUDES


class Status(StrEnum):
    """A skip is never a pass; what a runtime does not claim to be is not applicable."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Result:
    """The judgement of one case.  `why` is a sentence, empty for PASSED; `outcome` None when it was not asked.

    `attempts` is how often it was asked: more than once only when failures are asked again.
    """

    case: Case
    status: Status
    why: str = ""
    outcome: Outcome | None = None
    seconds: float = 0.0
    attempts: int = 1


ANSWERS = {
    Verdict.RETURN: frozenset({OutcomeKind.RETURNED}),
    Verdict.TRAP: frozenset({OutcomeKind.TRAPPED, OutcomeKind.FAILED}),
    Verdict.EXHAUSTION: frozenset({OutcomeKind.EXHAUSTED, OutcomeKind.FAILED}),
    Verdict.INVALID: frozenset({OutcomeKind.REFUSED, OutcomeKind.FAILED}),
    Verdict.MALFORMED: frozenset({OutcomeKind.REFUSED, OutcomeKind.FAILED}),
}
"""The outcomes that are a verdict.  A verifier may also refuse what would trap or never end: see `allowed`."""


def exclusion(case: Case, profile: Profile) -> Result | None:
    """Why a runtime is not asked; None when it is."""
    claimed = profile.groups.union(*(INCLUDES.get(group, frozenset()) for group in profile.groups))
    missing = sorted(case.groups - claimed) + sorted(case.features - profile.features)
    if missing:
        return Result(case, Status.NOT_APPLICABLE, f"{profile.name} does not claim {', '.join(missing)}")
    for verdict in (Verdict.INVALID, Verdict.MALFORMED):
        if case.verdicts() == {verdict} and verdict not in profile.refuses:
            return Result(case, Status.NOT_APPLICABLE, f"{profile.name} does not refuse {verdict} programs")
    if case.verdicts() == {Verdict.EXHAUSTION} and not (profile.budget or profile.has_verifier):
        return Result(case, Status.NOT_APPLICABLE, f"{profile.name} has no budget of instructions")
    for limit in profile.limits:
        if not limit.refusal and limit.covers(case):
            return Result(case, Status.SKIPPED, limit.reason)
    return None


def judge(case: Case, profile: Profile, outcome: Outcome) -> Result:
    """Compare an answer with every expectation."""
    if outcome.kind is OutcomeKind.UNSUPPORTED:
        return Result(case, Status.SKIPPED, outcome.message or "the runtime says that it cannot", outcome)
    objections = [list(_objections(expectation, profile, outcome)) for expectation in case.expected]
    if any(not objection for objection in objections):
        return Result(case, Status.PASSED, "", outcome)
    for limit in profile.limits:
        if limit.refusal and limit.excuses(case, outcome):
            return Result(case, Status.SKIPPED, limit.reason, outcome)
    nearest = min(objections, key=len)
    return Result(case, Status.FAILED, "; ".join(nearest), outcome)


def _objections(expectation: Expectation, profile: Profile, outcome: Outcome) -> Iterator[str]:
    answers = ANSWERS[expectation.verdict]
    if profile.has_verifier and expectation.verdict in (Verdict.TRAP, Verdict.EXHAUSTION):
        answers |= {OutcomeKind.REFUSED}
    if outcome.kind not in answers:
        yield f"expected {described(expectation)}, got {answered(outcome)}"
    elif expectation.verdict is Verdict.RETURN:
        yield from differences(expectation.signature, outcome.signature)
    elif expectation.trap and outcome.trap and expectation.trap is not outcome.trap:
        yield f"expected a {expectation.trap} trap, got a {outcome.trap} trap"


def differences(expected: Signature, shown: Signature) -> Iterator[str]:
    """A sentence for each part of a signature that is expected and shown, and not equal."""
    for register, value in sorted(expected.registers.items()):
        got = shown.registers.get(register)
        if got is None and register == 0:
            yield f"r0 should be {value:#x} and was not shown"
        elif got is not None and got != value:
            yield f"r{register} is {got:#x}, expected {value:#x}"
    stack = shown.stack
    if stack is not None and expected.stack is not None:
        stack = stack[max(len(stack) - len(expected.stack), 0) :]  # both end at r10; a runtime may show more
    for name, wanted, block in (("memory", expected.memory, shown.memory), ("stack", expected.stack, stack)):
        if wanted is not None and block is not None and wanted != block:
            yield _block_difference(name, wanted, block)


def _block_difference(name: str, wanted: bytes, block: bytes) -> str:
    if len(wanted) != len(block):
        return f"{name} has {len(block)} bytes, expected {len(wanted)}"
    at = next(index for index, (a, b) in enumerate(zip(wanted, block, strict=True)) if a != b)
    return f"{name} byte {at} is {block[at]:#04x}, expected {wanted[at]:#04x}"


def described(expectation: Expectation) -> str:
    """`return 0x2a`, `trap memory`, `invalid`."""
    if expectation.verdict is Verdict.RETURN and expectation.signature.r0 is not None:
        return f"return {expectation.signature.r0:#x}"
    return f"{expectation.verdict} {expectation.trap}" if expectation.trap else str(expectation.verdict)


def answered(outcome: Outcome) -> str:
    """`returned 0x2a`, `trapped (memory): message`."""
    kind = f"{outcome.kind} ({outcome.trap})" if outcome.trap else str(outcome.kind)
    if outcome.signature.r0 is not None:
        kind += f" {outcome.signature.r0:#x}"
    return f"{kind}: {outcome.message}" if outcome.message else kind
