"""A report on every kind of outcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pybpftime.conformance.case import Case, Expectation, Signature, Verdict
from pybpftime.conformance.judge import Result, Status, judge
from pybpftime.conformance.report.data import Report, RuntimeRun
from pybpftime.conformance.run.coverage import Watcher
from pybpftime.conformance.runtime import Outcome, OutcomeKind
from pybpftime.errors import FaultKind, InputError
from pybpftime.isa.assembler import assemble
from pybpftime.isa.encoding import encode_program
from pybpftime.maps import MapSpec
from pybpftime.uapi import MapType
from support.fake_runtimes import HOSTILE, PROFILE, RIGHT, case

DIVISION = encode_program(assemble("r0 = 7\nr1 = 1\nr0 /= r1\nexit"))
LOOKUP = encode_program(assemble("r0 = 7\ncall 1\nexit"))


def cases() -> list[Case]:
    return [
        case("a/right", file="a.case", line=3, cite="RFC 9669 4.1", about="seven"),
        case("a/wrong", DIVISION, memory=b"\x00\xff"),
        case("b/hostile", LOOKUP, maps=(MapSpec("m", MapType.BPF_MAP_TYPE_ARRAY, 4, 8, 1),)),
        case("b/cannot"),
        case("b/unclaimed", DIVISION),
        case("b/traps", b"\xff" * 9, expected=(
            Expectation(Verdict.TRAP, trap=FaultKind.MEMORY, why="one"),
            Expectation(Verdict.RETURN, Signature({0: 1 << 63, 10: 5}, b"\x01\x02", b"\x03")),
        )),
    ]  # fmt: skip


OUTCOMES = (
    RIGHT,
    Outcome(OutcomeKind.RETURNED, Signature({0: 8, 3: 9}, b"\x01\xff", bytes(8))),
    Outcome(OutcomeKind.GARBAGE, message=HOSTILE),
    Outcome(OutcomeKind.UNSUPPORTED, message="not today"),
    None,
    Outcome(OutcomeKind.TRAPPED, trap=FaultKind.ALIGNMENT, pc=4, message="x" * 10_000),
)


def example(judged: Sequence[Case], *, cells: bool = True) -> Report:
    """A report on all kinds of outcomes, of which those cases are judged."""
    run = RuntimeRun("./fake --option", PROFILE)
    for one, outcome in zip(cases(), OUTCOMES, strict=True):
        if one in judged:
            unclaimed = Result(one, Status.NOT_APPLICABLE, "fake does not claim divmul64")
            run.results[one.name] = unclaimed if outcome is None else judge(one, PROFILE, outcome)
    found = [Watcher().run(one) for one in cases()] if cells else None
    return Report("suite dir", cases(), [InputError("is broken", file="x.case", line=4)], [run], datetime.now(UTC),
                  cells=found)  # fmt: skip
