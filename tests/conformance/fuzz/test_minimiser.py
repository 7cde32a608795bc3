"""From a difference to the few instructions that matter, and to the row that is to blame."""

from __future__ import annotations

import random

import pytest

from pybpftime.conformance.case import Case, Feature, Signature
from pybpftime.conformance.fuzz.attribution import LOST_EXTENSION, blame, without_rows
from pybpftime.conformance.fuzz.comparison import Kind, difference
from pybpftime.conformance.fuzz.dialect import dialect
from pybpftime.conformance.fuzz.divergence import first_diverging_step
from pybpftime.conformance.fuzz.listing import assembled, listing, rebuilt
from pybpftime.conformance.fuzz.minimiser import Minimiser, weight
from pybpftime.conformance.fuzz.oracle import LIMIT, RIGHT, DefectOracle, Oracle, Subject
from pybpftime.conformance.fuzz.reference import Answer, Exact
from pybpftime.conformance.fuzz.shard import Judge
from pybpftime.conformance.fuzz.substitution import Trace
from pybpftime.conformance.mutation.catalogue import mutants
from pybpftime.conformance.mutation.mutant import Kind as Mistake
from pybpftime.conformance.runtime import Outcome, OutcomeKind, Profile
from pybpftime.isa import Group, Instruction, decode_program
from pybpftime.isa.assembler import assemble
from tests.conformance.fuzz.planted import LONG, PROFILE, Planted, chosen_mutants, rows_of

SEED = 20


def subject_of(text: str, memory: bytes | None = None) -> Subject:
    return Subject(listing(assemble(text)), memory)


def oracle_of(mutant: str | None = None, profile: Profile = PROFILE) -> Oracle:
    engine = None if mutant is None else mutants()[mutant].engine()
    return Oracle(Planted(engine, profile), Exact())


# -- the oracle -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "r0 = r1\nexit",  # an address
        "r0 = r1\nw0 = w0\nexit",  # a part of one
        "r0 = r10\nr0 &= 0xff\nexit",
        "r0 = *(u64 *)(r10 - 8)\nexit",  # never written
        "r0 = *(u64 *)(r1 + 64)\nexit",  # outside
        "r0 = *(u32 *)(r1 + 1)\nexit",  # not aligned
        "if r1 s> 0 goto +1\nr0 = 1\nexit",  # depends on an address
        "r0 = 1\nr0 /= 0\nexit",  # a verifier may refuse it
        "r0 = 1\ngoto -1\nexit",  # endless
        "r0 = r3\nexit",
        "goto +0\nr0 = 0",
    ],
)
def test_programs_without_one_answer_are_asked_of_nobody(text: str) -> None:
    assert oracle_of().ask(subject_of(text, bytes(16))) is None


def test_what_a_runtime_does_not_claim_is_no_difference() -> None:
    narrow = oracle_of(profile=Profile("narrow", groups=frozenset({Group.BASE32})))
    assert narrow.ask(subject_of("r0 = 1\nexit")) == LIMIT
    assert narrow.ask(subject_of("w0 = 1\nexit")) == RIGHT


def test_questions_come_to_an_end() -> None:
    oracle = Oracle(Planted(), Exact(), questions=2)
    asked = [oracle.ask(subject_of(f"r0 = {number}\nexit")) for number in range(4)]
    assert asked == [RIGHT, RIGHT, None, None]


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Outcome(OutcomeKind.RETURNED, Signature({0: 1}, b"\1")), None),
        (Outcome(OutcomeKind.RETURNED, Signature({0: 1})), None),
        (Outcome(OutcomeKind.UNSUPPORTED), None),
        (Outcome(OutcomeKind.RETURNED, Signature({0: 2}, b"\1")), Kind.VALUE),
        (Outcome(OutcomeKind.RETURNED, Signature({0: 1}, b"\0")), Kind.MEMORY),
        (Outcome(OutcomeKind.CRASHED), Kind.CRASH),
        (Outcome(OutcomeKind.TIMED_OUT), Kind.HANG),
        (Outcome(OutcomeKind.GARBAGE), Kind.GARBAGE),
        (Outcome(OutcomeKind.REFUSED), Kind.REFUSAL),
    ],
)
def test_each_answer_is_right_or_has_a_kind(outcome: Outcome, kind: Kind | None) -> None:
    assert difference(Answer(1, b"\1", 1), outcome) == kind


# -- substitution -----------------------------------------------------------------------------------------------------


def test_what_stands_for_an_instruction_does_the_same() -> None:
    exact = Exact()
    subject = subject_of(
        """
        r2 = *(u64 *)(r1 + 0)
        r3 = 0x1122334455667788 ll
        *(u64 *)(r10 - 8) = r3
        lock *(u32 *)(r10 - 8) += r2
        r2 = atomic_fetch_xor((u64 *)(r10 - 8), r2)
        if r2 > 5 goto +1
        r0 = 1
        r6 = r1
        w0 = 7
        r0 += r2
        r5 = *(u64 *)(r10 - 8)
        r0 ^= r5
        exit
        """,
        bytes(range(16)),
    )
    trace = Trace(exact, subject.lines, subject.memory)
    right = exact.answer(assembled(subject.lines), subject.memory)
    assert right is not None
    checked = 0
    for number in trace.in_order():
        for way in trace.substitutes(number):
            changes = [(one,) if place != number else way for place, one in enumerate(subject.lines)]
            other = exact.answer(assembled(rebuilt(subject.lines, changes)), subject.memory)
            assert other is not None and other.r0 == right.r0
            checked += 1
    assert checked > 25


# -- planted bugs -----------------------------------------------------------------------------------------------------


def test_there_are_twenty_kinds_of_planted_bugs() -> None:
    assert len(chosen_mutants(random.Random(SEED))) >= 20


@pytest.mark.parametrize("kind", random.Random(SEED).sample(sorted(chosen_mutants(random.Random(SEED))), 4))
def test_a_planted_bug_is_found_reduced_and_attributed(kind: Mistake) -> None:
    mutant = chosen_mutants(random.Random(SEED))[kind]
    chosen = dialect([PROFILE])
    for shard in range(8):
        found = Judge([Planted(mutant.engine())], chosen).judge(SEED, shard, 300).findings
        if found:
            break
    assert found, mutant.id
    for finding in found:
        assert finding.row in rows_of(mutant), (mutant.id, finding)
        assert len(listing(decode_program(finding.code))) <= (12 if mutant.row.form in LONG else 6)
        assert finding.answers["reference"] == f"returned {finding.expected:#x}" != finding.answers["planted"]


@pytest.mark.parametrize(("mutant", "row"), [("exit/restores-no-r7", "exit"), ("call_local/bytes", "call_local")])
def test_calls_and_exits_are_told_apart(mutant: str, row: str) -> None:
    oracle = oracle_of(mutant)
    subject = subject_of("r7 = 5\nr1 = 6\ncall f\nr0 += r7\nexit\nr0 = 1\nf:\nr7 = r1\nr0 = 8\nexit")
    kind = oracle.ask(subject)
    assert isinstance(kind, Kind)
    smallest = Minimiser(oracle, subject, kind).run()
    assert blame(oracle, smallest) == row


def test_a_wrong_jump_in_a_loop_is_the_jumps() -> None:
    oracle = oracle_of("jne_imm/nothing")
    subject = subject_of("r0 = 0\nr1 = 3\nr0 += 5\nr1 -= 1\nif r1 != 0 goto -3\nexit")
    minimiser = Minimiser(oracle, subject, Kind.VALUE)
    smallest = minimiser.run()
    assert blame(oracle, smallest) == "jne_imm"
    assert len(smallest.lines) <= 5
    assert weight(smallest) < weight(subject)


def test_a_loop_that_does_not_end_becomes_a_wrong_value() -> None:
    oracle = oracle_of("sub_imm/dst-below")
    subject = subject_of("r0 = 0\nr1 = 3\nr1 -= 1\nif r1 != 0 goto -2\nr0 += r1\nexit")
    assert oracle.ask(subject) == Kind.EXHAUSTION
    minimiser = Minimiser(oracle, subject, Kind.EXHAUSTION)
    smallest = minimiser.run()
    assert (minimiser.kind, blame(oracle, smallest)) == (Kind.VALUE, "sub_imm")


def test_a_subject_without_difference_stays_as_it_is() -> None:
    subject = subject_of("r0 = 1\nr0 += 1\nexit")
    assert Minimiser(oracle_of(), subject, Kind.VALUE).run() == subject


def test_a_program_is_right_without_the_rows_that_are_wrong() -> None:
    oracle = oracle_of("xor_reg/or")
    subject = subject_of("r2 = 3\nr0 = 6\nr0 ^= r2\nr0 += 1\nexit")
    assert oracle.ask(subject) == Kind.VALUE
    other = without_rows(oracle, subject, frozenset({"xor_reg"}))
    assert other is not None and oracle.ask(other) == RIGHT
    assert without_rows(oracle, subject, frozenset({"sub_reg"})) is None


# -- the first diverging step -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mutant", "text", "step"),
    [
        (
            "xor_reg/or",
            "r2 = 3\nr0 = 6\nr0 ^= r2\nr3 = r0\nr3 += 1\nr0 = r3\nexit",
            "step 3, slot 2: r0 ^= r2 (xor_reg)",
        ),
        ("mov_reg/nothing", "r0 = 0\nr2 = 3\nr3 = r2\nr3 += r2\nr0 = r3\nexit", "step 3, slot 2: r3 = r2 (mov_reg)"),
        (
            "xor_reg/or",
            "r1 = 6\ncall +2\nr0 += 1\nexit\nr2 = 3\nr1 ^= r2\nr0 = r1\nexit",
            "step 4, slot 5: r1 ^= r2 (xor_reg)",
        ),
        (
            "lock_xor/or",
            "r2 = 6\n*(u64 *)(r10 - 8) = r2\nlock *(u64 *)(r10 - 8) ^= r2\nr0 = *(u64 *)(r10 - 8)\nexit",
            "step 3, slot 2: lock *(u64 *)(r10 - 0x8) ^= r2 (lock_xor)",
        ),
    ],
)
def test_the_first_diverging_step_is_found_from_r0_alone(mutant: str, text: str, step: str) -> None:
    known = mutants()
    if mutant not in known:
        mutant = next(name for name in known if name.startswith(mutant.partition("/")[0] + "/"))
    told = first_diverging_step(oracle_of(mutant), subject_of(text))
    assert told[0] == step
    assert any("in the reference" in one for one in told)


def test_no_step_diverges_where_nothing_does() -> None:
    told = first_diverging_step(oracle_of(), subject_of("r0 = 1\nr0 += 2\nexit"))
    assert told[-1] == "up to here nothing that can be looked at is different"


# -- runtimes that misbehave ------------------------------------------------------------------------------------------


class Misbehaving:
    """Does something else than run programs that have a certain opcode."""

    def __init__(self, kind: OutcomeKind, opcode: int) -> None:
        self.profile = Profile("odd", features=frozenset({Feature.CALLS}))
        self._kind = kind
        self._opcode = opcode
        self._right = Planted()

    def run(self, case: Case) -> Outcome:
        if any(one is not None and one.opcode == self._opcode for one in case.program()):
            return Outcome(self._kind, message="odd")
        return self._right.run(case)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (OutcomeKind.CRASHED, Kind.CRASH),
        (OutcomeKind.TIMED_OUT, Kind.HANG),
        (OutcomeKind.GARBAGE, Kind.GARBAGE),
        (OutcomeKind.REFUSED, Kind.REFUSAL),
    ],
)
def test_a_crash_a_hang_and_garbage_are_findings_of_the_row(outcome: OutcomeKind, kind: Kind) -> None:
    runtime = Misbehaving(outcome, 0x87)  # neg
    result = Judge([runtime, Planted()], dialect([runtime.profile])).judge(1, 0, 200)
    (finding,) = result.findings
    assert (finding.row, finding.kind, finding.runtime) == ("neg", kind, "odd")
    assert finding.count == result.tallies["odd"].differences > 1
    assert len(finding.code) == 16 or len(finding.code) == 24
    assert finding.agreement[0][1] == ["reference", "planted"]
    assert result.tallies["planted"].differences == 0


class Forgetful(Planted):
    """Leaves the upper half of r0 behind a 32-bit cmpxchg, unless a program copies r0 to itself: as Linux may."""

    def __init__(self) -> None:
        super().__init__(mutants()["lock_cmpxchg32/keeps-when-equal"].engine())
        self._right = Planted()

    def run(self, case: Case) -> Outcome:
        copies = any(one == Instruction(0xBF, 0, 0) for one in case.program())
        return self._right.run(case) if copies else super().run(case)


def test_the_lost_zero_extension_of_linux_is_told_by_its_name() -> None:
    judge = Judge([Forgetful()], dialect([PROFILE]))
    found = next(found for shard in range(30) if (found := judge.judge(4, shard, 250).findings))
    assert {finding.row for finding in found} == {LOST_EXTENSION}
    assert all("decision 18" in finding.title() for finding in found)


def test_the_lost_zero_extension_stays_itself_when_it_is_reduced() -> None:
    text = "r1 = 3\nr0 = 0x100000007 ll\n*(u32 *)(r10 - 8) = 7\nw0 = cmpxchg32_32(r10 - 8, w0, w1)\nr0 += r1\nexit"
    subject = subject_of(text)
    defect = DefectOracle(Forgetful(), Exact())
    assert defect.ask(subject) == Kind.VALUE
    smallest = Minimiser(defect, subject, Kind.VALUE).run()
    assert [one.row.name for one in smallest.lines][-2:] == ["lock_cmpxchg32", "exit"]
    other = DefectOracle(Planted(mutants()["lock_cmpxchg32/fetches-plus-one"].engine()), Exact())
    assert other.ask(subject) is None
    assert other.ask(subject_of("r0 = 1\nexit")) == RIGHT
