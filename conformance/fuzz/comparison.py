"""What a runtime did otherwise than the reference, in one word."""

from __future__ import annotations

from enum import StrEnum

from pybpftime.conformance.fuzz.reference import Answer
from pybpftime.conformance.runtime import Outcome, OutcomeKind


class Kind(StrEnum):
    """Kinds of difference.  The value is what a report says that the runtime does."""

    VALUE = "returns another value"
    MEMORY = "leaves other memory"
    TRAP = "traps"
    EXHAUSTION = "does not end within its budget"
    REFUSAL = "refuses a valid program"
    FAILURE = "fails"
    CRASH = "crashes"
    HANG = "does not answer in time"
    GARBAGE = "answers something that is no answer"


KINDS = {
    OutcomeKind.TRAPPED: Kind.TRAP,
    OutcomeKind.EXHAUSTED: Kind.EXHAUSTION,
    OutcomeKind.REFUSED: Kind.REFUSAL,
    OutcomeKind.FAILED: Kind.FAILURE,
    OutcomeKind.CRASHED: Kind.CRASH,
    OutcomeKind.TIMED_OUT: Kind.HANG,
    OutcomeKind.GARBAGE: Kind.GARBAGE,
}


def difference(answer: Answer, outcome: Outcome) -> Kind | None:
    """How `outcome` differs from the right answer; None when it does not, or the runtime says that it cannot judge."""
    if outcome.kind is not OutcomeKind.RETURNED:
        return KINDS.get(outcome.kind)
    signature = outcome.signature
    if signature.r0 != answer.r0:
        return Kind.VALUE
    return Kind.MEMORY if signature.memory is not None and signature.memory != (answer.memory or b"") else None
