"""Which row is to blame: the first instruction that, done in another way, takes the difference away.

In a minimal program every instruction matters, so leaving one out says nothing.  But to replace a right instruction by
others that do the same changes nothing, while replacing the wrong one makes the runtime right.  Instructions behind
the wrong one would do so too, having become constants: hence the first.
"""

from __future__ import annotations

from collections.abc import Mapping

from pybpftime.conformance.fuzz.divergence import Search, pruned
from pybpftime.conformance.fuzz.listing import Line, replaced
from pybpftime.conformance.fuzz.oracle import RIGHT, Oracle, Subject
from pybpftime.conformance.fuzz.substitution import Trace
from pybpftime.isa import Form


def culprit(oracle: Oracle, subject: Subject) -> int | None:
    """The line to blame for the difference of `subject`; None when it cannot be told.

    A line that cannot be done in another way is under suspicion: it is to blame if all others are not, and behind it
    nobody can be blamed.  Exits are suspected last; between a call and the exit that returns from it, what can be seen
    in front of the exit decides.
    """
    trace = Trace(oracle.exact, subject.lines, subject.memory)
    suspects: list[int] = []
    exits: list[int] = []
    for number in trace.in_order():
        ways = trace.substitutes(number)
        if any(cures(oracle, subject, number, way) for way in ways):
            return None if suspects else _call_or_exit(oracle, subject, trace, number)
        if not ways:
            (exits if trace.lines[number].row.form is Form.EXIT else suspects).append(number)
    if not suspects:
        return exits[-1]
    return suspects[0] if len(suspects) == 1 and len(exits) == 1 else None


def _call_or_exit(oracle: Oracle, subject: Subject, trace: Trace, number: int) -> int:
    """The line itself, unless a call or an exit around it is the first to go wrong."""
    if trace.lines[number].row.form is not Form.CALL_LOCAL and trace.visits[number][0].before.depth == 1:
        return number
    step = Search(oracle, subject, trace).step()
    diverging = number if step is None else trace.executed[step]
    return diverging if trace.lines[diverging].row.form in (Form.CALL_LOCAL, Form.EXIT) else number


def cures(oracle: Oracle, subject: Subject, number: int, way: tuple[Line, ...]) -> bool:
    """Whether the runtime is right once the line is written in another way."""
    return oracle.ask(_changed(subject, {number: way})) == RIGHT


def _changed(subject: Subject, changes: Mapping[int, tuple[Line, ...]]) -> Subject:
    """The program with some lines in other ways, without those that are not reached any more: verifiers refuse them.

    What was never reached stays, because a wrong jump may lead there.
    """
    lines = replaced(subject.lines, changes)
    return Subject(pruned(lines) if pruned(subject.lines) == subject.lines else lines, subject.memory)


def without_rows(oracle: Oracle, subject: Subject, rows: frozenset[str]) -> Subject | None:
    """The program with the instructions of some rows done in other ways; None when there are none, or no other ways."""
    trace = Trace(oracle.exact, subject.lines, subject.memory)
    changes = {}
    for number, one in enumerate(subject.lines):
        if one.row.name in rows:
            ways = [way for way in trace.substitutes(number) if not rows.intersection(part.row.name for part in way)]
            if ways:
                changes[number] = ways[0]
            elif number in trace.visits:
                return None
    return _changed(subject, changes) if changes else None


def blame(oracle: Oracle, subject: Subject) -> str:
    """The name of the row that a difference is filed under."""
    number = culprit(oracle, subject)
    return UNKNOWN if number is None else subject.lines[number].row.name


UNKNOWN = "several"
"""For differences that no single row explains."""
UNREPEATED = "unrepeated"
"""For what a runtime did once, and not when it was asked again."""
LOST_EXTENSION = "lost-extension"
"""For what `oracle.DefectOracle` sees."""
