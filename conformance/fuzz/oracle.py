"""Asking a runtime about edited programs: is there still a difference, and which?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pybpftime.conformance.case import Case, Expectation, Signature, Verdict
from pybpftime.conformance.fuzz.comparison import Kind, difference
from pybpftime.conformance.fuzz.listing import Lines, assembled, line, replaced
from pybpftime.conformance.fuzz.reference import Answer, Exact
from pybpftime.conformance.judge import Status, exclusion, judge
from pybpftime.conformance.kernel_defects import is_narrow_cmpxchg
from pybpftime.conformance.runtime import Outcome, Runtime
from pybpftime.errors import InputError
from pybpftime.isa import Program, encode_program

RIGHT = "right"
"""What a runtime is that answers as the reference does."""
LIMIT = "limit"
"""What it is to a program that its profile does not claim to run."""


QUESTIONS = 2000
"""How many questions one difference is worth."""
SLOW_QUESTIONS = 60
"""The same when every wrong answer takes as long as the runtime's time-out."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A program with its memory, under reduction."""

    lines: Lines
    memory: bytes | None

    def case(self, name: str, answer: Answer | None = None) -> Case:
        """The case that expects `answer`."""
        expected = () if answer is None else (Expectation(Verdict.RETURN, _signature(answer)),)
        return Case(name, encode_program(assembled(self.lines)), expected, self.memory)


def _signature(answer: Answer) -> Signature:
    return Signature({0: answer.r0}, answer.memory)


class Oracle:
    """One runtime, asked whether it differs from the one answer of a program; answers are remembered.

    `questions` is how many it still answers; `beat` is called before each.
    """

    def __init__(
        self,
        runtime: Runtime,
        exact: Exact,
        questions: int = QUESTIONS,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.runtime = runtime
        self.exact = exact
        self.questions = questions
        self._beat = beat
        self._known: dict[tuple[bytes, bytes | None], Kind | str | None] = {}

    def ask(self, subject: Subject) -> Kind | str | None:
        """The kind of difference, RIGHT or LIMIT; None for a program without one answer or no effort left."""
        try:
            program = assembled(subject.lines)
        except InputError:
            return None
        key = encode_program(program), subject.memory
        if key not in self._known:
            answer = self.exact.answer(program, subject.memory)
            if answer is not None and not self.spend():
                return None
            self._known[key] = None if answer is None else self._asked(program, subject, answer)
        return self._known[key]

    def spend(self) -> bool:
        """Take one question; False when there is none left."""
        self.questions -= 1
        self._beat()
        return self.questions >= 0

    def _asked(self, program: Program, subject: Subject, answer: Answer) -> Kind | str:
        case = subject.case("question", answer)
        if exclusion(case, self.runtime.profile) is not None:
            return LIMIT
        return judged(self.runtime, case, answer, self.runtime.run(case))


class DefectOracle(Oracle):
    """Sees only differences that Linux's lost zero-extension (see `kernel_defects`) explains.

    Such a program is right with `r0 = r0`, which changes nothing, behind every 32-bit cmpxchg.
    """

    def ask(self, subject: Subject) -> Kind | str | None:
        """As `Oracle.ask`; None for any other difference."""
        kind = super().ask(subject)
        if not isinstance(kind, Kind):
            return kind
        read = (line("mov_reg", dst_reg=0, src_reg=0),)
        changes = {
            number: (one, *read) for number, one in enumerate(subject.lines) if is_narrow_cmpxchg(one.row)
        }  # fmt: skip
        if not changes:
            return None
        return kind if super().ask(Subject(replaced(subject.lines, changes), subject.memory)) == RIGHT else None


def judged(runtime: Runtime, case: Case, answer: Answer, outcome: Outcome) -> Kind | str:
    """The kind of difference, RIGHT, or LIMIT."""
    kind = difference(answer, outcome)
    if kind is not None and judge(case, runtime.profile, outcome).status is Status.SKIPPED:
        return LIMIT
    return RIGHT if kind is None else kind
