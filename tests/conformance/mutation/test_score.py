"""Mutants are killed by the cases that see them, and by what a runtime shows; survivors are looked into."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys

import pytest

from pybpftime.conformance.case import Case, Expectation, Signature, Verdict
from pybpftime.conformance.formats.case_text import read_cases
from pybpftime.conformance.judge import Status, judge
from pybpftime.conformance.mutation.catalogue import mutants
from pybpftime.conformance.mutation.mutant import Computed, Kind
from pybpftime.conformance.mutation.processes import _received, findings
from pybpftime.conformance.mutation.report import Score, count
from pybpftime.conformance.mutation.score import Fate, Finding, Judge, baseline
from pybpftime.conformance.runtimes.in_process import REFERENCE, ReferenceRuntime
from pybpftime.errors import HostError
from pybpftime.verifier import solver_is_there

needs_z3 = pytest.mark.skipif(not solver_is_there(), reason="needs z3-solver")

SUITE = """
case sum: both halves
    asm:
        lddw %r3, 0xfffffffff
        lddw %r4, 0x1
        add32 %r3, %r4
        mov %r0, %r3
        exit
    expect: return 0
case store: a byte among others
    mem: 1122334455
    asm:
        stb [%r1+2], 7
        mov %r0, 0
        exit
    expect: return r0=0 mem=1122074455
case call: a function returns
    asm:
        call local +2
        add %r0, 1
        exit
        mov %r0, 41
        exit
    expect: return 42
case reserved: a field that must be 0
    hex: b700010001000000 9500000000000000
    expect: malformed
"""


def judge_of(text: str = SUITE) -> Judge:
    return Judge(baseline(read_cases(text, file="suite.case", prefix="suite")))


def fate(mutant: str, text: str = SUITE) -> Finding:
    return judge_of(text).finding(mutants()[mutant])


@pytest.mark.parametrize(
    ("mutant", "case", "why"),
    [
        ("add32_reg/keeps-upper-half", "suite/sum", "r0 is 0xf00000000, expected 0x0"),
        ("stb/byte-behind", "suite/store", "memory byte 3 is 0xa5, expected 0x44"),
        ("stb/plus-one", "suite/store", "memory byte 2 is 0x33, expected 0x07"),
        ("call_local/returns-later", "suite/call", "r0 is 0x29, expected 0x2a"),
        ("exit/ends", "suite/call", "r0 is 0x29, expected 0x2a"),
        ("mov_imm/unchecked-offset", "suite/reserved", "expected malformed, got returned 0x1"),
    ],
)
def test_killed(mutant: str, case: str, why: str) -> None:
    found = fate(mutant)
    assert (found.fate, found.killed_by, found.why) == (Fate.KILLED, case, why)


def test_a_mutant_that_never_ends_is_killed_soon() -> None:
    found = fate("call_local/returns-to-call")
    assert found.fate is Fate.KILLED
    assert "expected return 0x2a, got" in found.why


def test_what_a_bare_plugin_shows() -> None:
    assert fate("add32_reg/keeps-upper-half").killed_in_r0 == "suite/sum"
    assert fate("stb/byte-behind").killed_in_r0 == ""
    assert fate("mov_imm/unchecked-offset").killed_in_r0 == "suite/reserved"


@needs_z3
def test_a_survivor_is_proved_equivalent_or_shown_by_a_case() -> None:
    swapped = fate("add32_reg/swapped")
    assert (swapped.fate, swapped.why) == (Fate.EQUIVALENT, "the same for all operands, as z3 proves")
    carry = fate(
        "add32_reg/carry-16", text=SUITE.replace("0xfffffffff", "0xf00000000").replace("return 0\n", "return 1\n")
    )
    assert (carry.fate, carry.cases) == (Fate.MISSING, 1)
    assert "add32 %r3, %r4" in carry.example
    none = fate("sub_reg/nothing")
    assert (none.fate, none.why) == (Fate.MISSING, "no case has sub_reg")


def test_a_survivor_that_is_no_computation_is_a_missing_case() -> None:
    assert fate("stb/byte-before", SUITE.replace("[%r1+2]", "[%r1+0]").replace("1122074455", "0722334455")).why == (
        "none of the 1 cases that could see it does"
    )
    assert fate("stb/large-dst_reg").why == "no case has such an encoding"


PURE = [mutant for mutant in mutants().values() if isinstance(mutant.change, Computed)]


@needs_z3
@pytest.mark.parametrize("mutant", random.Random(12).sample(PURE, 60), ids=lambda mutant: mutant.id)
def test_an_example_is_a_case_that_kills(mutant) -> None:
    """Without any case, every computed mutant is proved equivalent or told apart by the case that is proposed."""
    found = Judge(baseline(())).finding(mutant)
    if found.fate is Fate.EQUIVALENT:
        assert not found.example
        return
    assert found.fate is Fate.MISSING
    [case] = read_cases(found.example, file="example.case", prefix="example")
    runtime = ReferenceRuntime()
    assert judge(case, REFERENCE, runtime.run(case)).status is Status.PASSED
    killed = Judge(baseline([case])).finding(mutant)
    assert (killed.fate, killed.killed_in_r0) == (Fate.KILLED, case.name)


def test_without_z3_nothing_is_called_equivalent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pybpftime.verifier.terms", None)
    monkeypatch.delattr("pybpftime.verifier.terms", raising=False)
    found = fate("add32_reg/swapped")
    assert found.fate is Fate.UNDECIDED
    assert "needs z3" in found.why


def test_a_case_that_fails_without_a_bug_is_not_used() -> None:
    wrong = Case("wrong", bytes.fromhex("b7000000010000009500000000000000"),
                 (Expectation(Verdict.RETURN, Signature({0: 2})),))  # fmt: skip
    cases = baseline([wrong])
    assert [result.why for result in cases.unusable] == ["r0 is 0x1, expected 0x2"]
    assert not cases.ran
    assert not cases.refused


def test_a_mutant_changes_nothing_but_its_own_runs() -> None:
    judged = judge_of()
    first = [judged.finding(mutant) for mutant in mutants().values() if mutant.row.name in ("exit", "add32_reg")]
    assert not baseline(read_cases(SUITE, file="suite.case", prefix="suite")).unusable
    again = [judged.finding(mutant) for mutant in mutants().values() if mutant.row.name in ("exit", "add32_reg")]
    assert [found.fate for found in first] == [found.fate for found in again]


def test_two_processes_find_what_one_finds() -> None:
    cases = baseline(read_cases(SUITE, file="suite.case", prefix="suite"))
    chosen = [mutant for mutant in mutants().values() if mutant.row.name in ("exit", "stb", "call_local")]
    one, two = ({found.mutant: found for found in findings(chosen, cases, processes)} for processes in (1, 2))
    assert one == two
    assert len(one) == len(chosen)


def test_a_process_that_dies_is_said() -> None:
    context = multiprocessing.get_context("forkserver")
    pipe, theirs = context.Pipe()
    process = context.Process(target=os._exit, args=(7,))
    process.start()
    theirs.close()
    with pytest.raises(HostError, match="ended with code 7 before its work was done"):
        list(_received({pipe: process}))
    pipe.close()


def test_numbers() -> None:
    def found(name: str, fate: Fate, killed_in_r0: str = "") -> Finding:
        return Finding(name, "add_reg", Kind.SIGN, "a bug", fate, "", killed_in_r0=killed_in_r0)

    some = (
        found("a", Fate.KILLED, "c"),
        found("b", Fate.KILLED),
        found("c", Fate.EQUIVALENT),
        found("d", Fate.MISSING),
    )
    numbers = count(some)
    assert (numbers.different, numbers.share, numbers.share_in_r0) == (3, 2 / 3, 1 / 3)
    score = Score("suite", 1, {}, complete=True, seconds=1.0, findings=some)
    assert [one.mutant for one in score.survivors] == ["c", "d"]
    assert not score.is_perfect
    assert Score("suite", 1, {}, True, 1.0, some[:3]).is_perfect
    assert score.as_dict()["kinds"]["wrong sign"]["missing"] == 1
    assert count(()).share == 1.0
