"""The one path that led to a state, executed abstractly once more, so that every state on it can be looked at.

States keep no predecessors: that would hold every state of an exploration in memory.  They keep how each conditional
jump on their path came out, which is enough to find the path again.
"""

from __future__ import annotations

from pybpftime.verifier import steps
from pybpftime.verifier.obligations import Unsupported
from pybpftime.verifier.state import Fact, FactKind, State, facts_of
from pybpftime.verifier.subject import Subject

LONGEST_PATH = 20_000
"""Instructions; a longer path is not looked for."""

_Outcome = tuple[int, FactKind, bool]


def retrace(subject: Subject, start: State, end: State) -> list[State]:
    """The states from `start` to `end`, one for each instruction; empty where the path is too long or not found.

    Only a helper that calls back leaves open which way a path went; the ways are tried in turn.
    """
    outcomes = [_outcome(fact) for fact in facts_of(end.facts)][::-1]
    if len(outcomes) > LONGEST_PATH:
        return []
    path: list[State] = []
    pending = [(0, start)]
    for _ in range(LONGEST_PATH):
        if not pending:
            break
        length, state = pending.pop()
        del path[length:]
        path.append(state)
        if state.pc == end.pc and _depth(state) == len(outcomes) and len(state.frames) == len(end.frames):
            return path
        following = _successors(subject, state, outcomes)
        pending.extend((length + 1, successor) for successor in reversed(following))
    return []


def _successors(subject: Subject, state: State, outcomes: list[_Outcome]) -> list[State]:
    try:
        if any(not obligation.claims for obligation in steps.requires(subject, state)):
            return []
        found = steps.transfer(subject, state)
    except Unsupported:
        return []
    return [one for one in found if _agrees(one, state, outcomes)]


def _agrees(successor: State, state: State, outcomes: list[_Outcome]) -> bool:
    fact = successor.facts
    if fact is state.facts or fact is None:
        return True
    return fact.depth <= len(outcomes) and _outcome(fact) == outcomes[fact.depth - 1]


def _outcome(fact: Fact) -> _Outcome:
    return fact.pc, fact.kind, fact.holds


def _depth(state: State) -> int:
    return 0 if state.facts is None else state.facts.depth
