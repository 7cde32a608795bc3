"""Our corpus as a whole: it reads, the reference agrees, every instruction matters, and Linux agrees where it runs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from pybpftime.conformance.case import Case, Verdict
from pybpftime.conformance.judge import Status, exclusion, judge
from pybpftime.conformance.runtimes.in_process import ReferenceRuntime
from pybpftime.conformance.suite import Suite, default_suite
from pybpftime.isa import TABLE, Instruction, Row, decode_program, encode_program, lookup
from pybpftime.isa.row import Form
from pybpftime.kernel import available

JUMP = 0x05
BUDGET = 10_000
"""For programs with an instruction taken out, which may run for ever."""


@cache
def suite() -> Suite:
    return default_suite()


@cache
def cases_of() -> dict[Row, list[Case]]:
    """The cases whose instructions all mean something, by the rows that they have, short programs first."""
    found: dict[Row, list[Case]] = {row: [] for row in TABLE}
    for case in sorted(suite().cases, key=lambda case: len(case.code)):
        if case.verdicts() != {Verdict.MALFORMED}:
            for row in case.rows:
                found[row].append(case)
    return found


def without(case: Case, row: Row, *, jump: bool) -> Case:
    """The case with every instruction of a row replaced by jumps: to what follows, or to where a jump would lead."""
    program: list[Instruction | None] = []
    for instruction in decode_program(case.code):
        if instruction is None:
            continue
        if lookup(instruction) is row:
            offset = instruction.offset if jump else 0
            program += [Instruction(JUMP, offset=offset)] * instruction.slots
        else:
            program.append(instruction)
    return replace(case, code=encode_program(program), budget=case.budget or BUDGET)


def depends(case: Case, row: Row, runtime: ReferenceRuntime) -> bool:
    """Whether the reference's answer is wrong once the row does nothing, or once a jump is always taken."""
    changed = [without(case, row, jump=False)]
    if row.form is Form.MAY_JUMP:
        changed.append(without(case, row, jump=True))
    return any(judge(case, runtime.profile, runtime.run(other)).status is Status.FAILED for other in changed)


def test_every_file_is_read_and_the_corpus_has_its_size():
    assert suite().problems == ()
    assert 5000 <= len(suite().cases) <= 6000


def test_every_case_cites_its_rule_and_says_what_it_is_about():
    assert [case.name for case in suite().cases if not case.cite] == []
    assert [case.name for case in suite().cases if not case.about] == []


def test_the_reference_gives_what_the_cases_expect():
    runtime = ReferenceRuntime()
    asked = [case for case in suite().cases if exclusion(case, runtime.profile) is None]
    results = [judge(case, runtime.profile, runtime.run(case)) for case in asked]
    assert [(result.case.name, result.why) for result in results if result.status is not Status.PASSED] == []
    assert len(asked) > 0.95 * len(suite().cases)


NOTHING = "le64"
"""What nothing can depend on: on a little-endian machine, and on another no case is run, it does nothing."""


@pytest.mark.parametrize("row", [row for row in TABLE if row.name != NOTHING], ids=lambda row: row.name)
def test_a_case_depends_on(row):
    runtime = ReferenceRuntime()
    assert any(depends(case, row, runtime) for case in cases_of()[row])


def test_every_verdict_is_expected_by_many_cases():
    alone = {verdict: sum(case.verdicts() == {verdict} for case in suite().cases) for verdict in Verdict}
    assert alone[Verdict.RETURN] > 2500
    assert alone[Verdict.MALFORMED] > 500
    assert alone[Verdict.TRAP] > 50
    assert alone[Verdict.INVALID] > 40
    assert alone[Verdict.EXHAUSTION] > 10


@pytest.mark.skipif(available() is not None, reason=f"needs bpf(2): {available()}")
def test_linux_gives_what_the_cases_expect_and_runs_nearly_all_that_return():
    from pybpftime.conformance.runtimes.kernel import REFUSALS, KernelRuntime

    runtime = KernelRuntime()
    try:
        asked = [case for case in suite().cases if exclusion(case, runtime.profile) is None]
        results = [judge(case, runtime.profile, runtime.run(case)) for case in asked]
    finally:
        runtime.close()
    others = [(result.case.name, result.why) for result in results if result.status is not Status.PASSED]
    far = REFUSALS["unreachable insn"]  # what a jump over many instructions is bound to have
    assert [(name, why) for name, why in others if why != far] == []
    assert len(others) <= 4
    ran = sum(result.outcome.signature.r0 is not None for result in results if result.outcome is not None)
    assert ran > 0.95 * sum(Verdict.RETURN in case.verdicts() for case in asked)
