"""Runs held against claims, with claims that are planted: no kernel is asked."""

from __future__ import annotations

import pytest

from pybpftime import assemble
from pybpftime.conformance.case import Case
from pybpftime.conformance.claims.claim import Claims
from pybpftime.conformance.claims.kernel_log import KernelLog
from pybpftime.conformance.claims.run import Checked, Run, ask_ours, run
from pybpftime.conformance.claims.states import PublishedClaims
from pybpftime.conformance.claims.subject import MEMORY, RESULT, Subject, subject_of
from pybpftime.errors import InputError, LimitExceeded
from pybpftime.helpers import default_helpers
from pybpftime.isa import encode_program
from pybpftime.maps import MapSpec
from pybpftime.program.spec import ProgramSpec
from pybpftime.uapi import MapType, ProgramType
from pybpftime.verifier import Verdict
from pybpftime.verifier.published import Published
from tests.conformance.claims.test_kernel_log import CALLS, CALLS_LOG

RESULTS = MapSpec(RESULT, MapType.BPF_MAP_TYPE_ARRAY, 4, 16, 1)


def plain(text: str, name: str = "plain") -> Subject:
    """A program that is not wrapped."""
    spec = ProgramSpec(name, assemble(text), ProgramType.BPF_PROG_TYPE_SOCKET_FILTER)
    return Subject(name, spec, {RESULT: RESULTS}, {}, 0)


def checked(subject: Subject, claims: Claims) -> tuple[Run, Checked]:
    done = run(subject, {"verifier": claims}, default_helpers())
    return done, done.checked["verifier"]


def with_log(log: str) -> tuple[Run, Checked]:
    spec = ProgramSpec("calls", CALLS, ProgramType.BPF_PROG_TYPE_SOCKET_FILTER)
    return checked(Subject("calls", spec, {RESULT: RESULTS}, {}, 0), KernelLog.read(log, CALLS).follow())


def test_true_claims() -> None:
    done, found = with_log(CALLS_LOG)
    assert (done.steps, found.followed, found.violations) == (9, 9, [])
    assert found.numbers == 14


@pytest.mark.parametrize(
    ("before", "after", "place", "value", "step"),
    [
        ("; R0=8 R6=1", "; R0=9 R6=1", "r0", 8, 9),
        ("; R0=8 R6=1", "; R0=scalar(smax=7) R6=1", "r0", 8, 9),
        ("; R0=8 R6=1", "; R0=scalar(var_off=(0x0; 0x7)) R6=1", "r0", 8, 9),
        ("; frame1: R6=3", "; frame1: R6=scalar(smin32=4)", "r6", 3, 6),
        ("from 8 to 3: R0=7 R6=1", "from 8 to 3: R0=7 R6=3", "r6", 1, 8),
        ("5: frame1: R1=7", "5: frame1: R1=scalar(umin=8)", "r1", 7, 4),
    ],
)
def test_a_planted_claim_is_found(before: str, after: str, place: str, value: int, step: int) -> None:
    assert CALLS_LOG.count(before) == 1
    _, found = with_log(CALLS_LOG.replace(before, after))
    assert [(one.place, one.value, one.step) for one in found.violations] == [(place, value, step)]
    assert found.followed == step, "what comes behind rests on what is wrong"


def test_a_violation_says_where_it_is() -> None:
    _, found = with_log(CALLS_LOG.replace("; R0=8 R6=1", "; R0=9 R6=1"))
    violation = found.violations[0]
    assert (violation.slot, violation.instruction, violation.behind) == (4, "exit", "r0 += r6")
    assert violation.source == "line 21 of the log: 4: (95) exit"
    assert "r0 is 0x8, claimed was 9" in str(violation)


# --- ours ---

ACCESS = "*(u64 *)(r10 - 8) = 1\n*(u64 *)(r10 - 16) = 1\nr2 = {}\nr1 = r10\nr1 += r2\nr0 = *(u64 *)(r1 + 0)\nexit"


def ours(subject: Subject) -> PublishedClaims:
    report, published = ask_ours(subject)
    assert report.verdict is Verdict.SAFE, report.objection
    return PublishedClaims(published, subject.program, subject.maps)


def test_our_claims_are_known_everywhere() -> None:
    subject = plain(ACCESS.format(-8))
    done, found = checked(subject, ours(subject))
    assert (done.steps, found.followed, found.violations) == (7, 7, [])
    assert found.numbers > 0


def test_a_run_outside_of_our_states_is_found() -> None:
    _, found = checked(plain(ACCESS.format(-16)), ours(plain(ACCESS.format(-8))))
    assert len(found.violations) == 1
    violation = found.violations[0]
    assert (violation.step, violation.instruction, violation.place) == (4, "r1 = r10", "")
    assert "r2 of frame 0" in violation.claim


def test_an_instruction_that_no_state_reaches() -> None:
    subject = plain("r0 = 0\nexit")
    _, found = checked(
        subject, PublishedClaims(Published(subject.program, subject.maps), subject.program, subject.maps)
    )
    assert [(one.step, one.claim) for one in found.violations] == [(1, "no run was to come here")]


# --- runs and cases ---


def test_a_run_that_takes_too_long_ends() -> None:
    done = run(plain("r0 = 0\nl: goto l\nexit"), {}, default_helpers())
    assert isinstance(done.error, LimitExceeded)


def test_a_case_is_wrapped_with_its_memory() -> None:
    code = encode_program(assemble("r0 = *(u64 *)(r1 + 0)\n*(u64 *)(r1 + 8) = r0\nexit"))
    subject = subject_of(Case("one", code, (), bytes(range(16))))
    assert set(subject.maps) == {MEMORY, RESULT}
    done, found = checked(subject, ours(subject))
    assert found.violations == []
    assert done.contents[MEMORY] == bytes(range(8)) * 2
    assert done.contents[RESULT][:8] == bytes(range(8))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (b"\x95", "whole instructions"),
        (b"", "whole instructions"),
        (encode_program(assemble("r0 = *(u8 *)skb[0]\nexit")), "packet"),
        (encode_program(assemble("r1 = map_by_idx(0)\nexit")), "a map that it does not have"),
        (encode_program(assemble("call 5\nexit")), "helper 5"),
    ],
)
def test_what_cannot_be_asked_about(code: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        subject_of(Case("one", code, ()))
