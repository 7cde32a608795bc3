"""Follows every path of a program, abstractly, and leaves out what is covered by a path that was followed before.

The walk is depth first.  Where paths join it makes a *checkpoint*: when a later path arrives there in a state that the
checkpoint covers (`inclusion`), the path ends.  A checkpoint can be used once everything behind it has been explored,
because only then its marks say what the proofs relied on; that is known by counting the paths under it that are open.

Calls that repeat (callbacks of bpf_loop, may_goto) come back to a checkpoint that is still open.  They end by
themselves, so an open checkpoint may cover a later round of the same call, if everything in its state counts as
precise; what is still different after a few rounds is widened, so that this happens.  Other loops are followed round by
round, those around such a call too: one that comes back to the state it was in never ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile

from pybpftime.isa import Form
from pybpftime.verifier import inclusion, steps
from pybpftime.verifier.obligations import Obligation
from pybpftime.verifier.state import Fact, FactKind, State, facts_of
from pybpftime.verifier.subject import Subject
from pybpftime.verifier.values import serials

MISSES_ALLOWED = 3
MOST_KEPT = 64
ROUNDS_BEFORE_WIDENING = 4
CLOCK_INTERVAL = 256


class Meeting:
    """The checkpoints of one instruction in one chain of calls.

    `explored` are those that may cover others.  `repeating` are the open ones of a call that repeats, in the order of
    the path; all of them are on it, because the walk is depth first.  `anchor` is an open one that later rounds of a
    loop are compared with to see whether it makes progress: after 1, 2, 4, 8... rounds the newest takes its place, so a
    cycle of any length is found in the end, at one comparison for each round (Brent's algorithm).
    """

    __slots__ = ("anchor", "explored", "laps", "power", "repeating")

    def __init__(self) -> None:
        self.explored: list[Checkpoint] = []
        self.repeating: list[Checkpoint] = []
        self.anchor: Checkpoint | None = None
        self.laps = 0
        self.power = 1

    def add(self, checkpoint: Checkpoint) -> None:
        """A checkpoint that has been explored; those that never covered anything go when there are too many."""
        if len(self.explored) >= MOST_KEPT:
            half = MOST_KEPT // 2
            self.explored = [one for one in self.explored[:half] if one.hits] + self.explored[half:]
        if len(self.explored) < MOST_KEPT:
            self.explored.append(checkpoint)


class Checkpoint:
    """A state at an instruction where paths join, and how far what follows from it has been explored.

    `open` counts the paths under it that are not explored to their end.  `needs`: facts that proofs of the solver
    behind it used.  `used_open`: it covered a state while it was open, so that no proof may begin to rely on exactly
    which numbers it holds.  `round` counts how often calls that repeat were come back to on the way here.  `leans_on`
    are may_gotos before it that covered a state behind it: what follows from it ends if each time around is a round.
    """

    __slots__ = (
        "closed",
        "hits",
        "leans_on",
        "meeting",
        "misses",
        "needs",
        "open",
        "parent",
        "round",
        "serial",
        "state",
        "used_open",
    )

    def __init__(self, state: State, parent: Checkpoint | None, meeting: Meeting, round: int = 0) -> None:
        self.state = state
        self.parent = parent
        self.meeting = meeting
        self.open = 1
        self.needs: dict[Fact, None] = {}
        self.hits = 0
        self.misses = 0
        self.used_open = False
        self.leans_on: set[Checkpoint] = set()
        self.round = round
        self.serial = next(serials)
        self.closed = 0

    @property
    def lifetime(self) -> tuple[int, int] | None:
        """The serials between which it was explored; None while it is."""
        return None if self.open else (self.serial, self.closed)

    def close(self) -> None:
        """One of the paths under it has been explored to its end."""
        checkpoint: Checkpoint | None = self
        while checkpoint is not None:
            checkpoint.open -= 1
            if checkpoint.open:
                return
            checkpoint.closed = next(serials)
            checkpoint.meeting.add(checkpoint)
            checkpoint = checkpoint.parent

    def with_ancestors(self) -> Iterator[Checkpoint]:
        """The checkpoints of a path, the newest first."""
        checkpoint: Checkpoint | None = self
        while checkpoint is not None:
            yield checkpoint
            checkpoint = checkpoint.parent


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """An obligation that was not discharged in `state`; `checkpoint` is the last on the path."""

    obligation: Obligation
    state: State
    checkpoint: Checkpoint


class OutOfBudget(Exception):
    """The exploration was given up: `code` is budget or timeout."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


Discharge = Callable[[State, Obligation, Checkpoint], bool]
Watch = Callable[[State, Checkpoint], None]


class Explorer:
    """One exploration.  `discharge` is asked about what the states do not show; `watch` sees every state."""

    def __init__(self, subject: Subject, discharge: Discharge, watch: Watch | None = None) -> None:
        self.subject = subject
        self.processed = 0
        self.pc = 0
        self._failures: list[Failure] = []
        self._discharge = discharge
        self._watch = watch
        self._meetings: dict[object, Meeting] = {}
        self._repeating = frozenset(pc for pc in range(len(subject.rows)) if self._repeats(pc))
        self._joins = subject.joins | self._repeating
        self._deadline = None if subject.options.timeout is None else time.monotonic() + subject.options.timeout

    def _repeats(self, pc: int) -> bool:
        row = self.subject.rows[pc]
        if row is None:
            return False
        if row.form is Form.CALL_HELPER:
            helper = self.subject.helper_at(pc)
            return helper is not None and any(one.kind.role == "function" for one in helper.parameters)
        return row.form is Form.MAY_JUMP

    def failures(self, start: State) -> Iterator[Failure]:
        """Explore everything behind `start`; what fails on the way, and nothing if all holds.

        A path ends where it fails; who asks for the next failure has the others explored.  OutOfBudget, or Unsupported.
        """
        root = Checkpoint(start, None, Meeting())
        pending: list[tuple[State, Checkpoint]] = [(start, root)]
        while pending:
            state, checkpoint = pending.pop()
            while True:
                if state.pc in self._joins:
                    arrived = self._arrive(state, checkpoint)
                    if arrived is None:
                        yield from self._taken_failures()
                        checkpoint.close()
                        break
                    state, checkpoint = arrived
                successors = self._step(state, checkpoint)
                yield from self._taken_failures()
                if not successors:
                    checkpoint.close()
                    break
                checkpoint.open += len(successors) - 1
                pending.extend((successor, checkpoint) for successor in reversed(successors[1:]))
                state = successors[0]

    def _taken_failures(self) -> list[Failure]:
        found, self._failures = self._failures, []
        return found

    def _step(self, state: State, checkpoint: Checkpoint) -> list[State]:
        self.processed += 1
        self.pc = state.pc
        if self.processed > self.subject.options.budget:
            raise OutOfBudget("budget")
        if self._deadline is not None and not self.processed % CLOCK_INTERVAL and time.monotonic() > self._deadline:
            raise OutOfBudget("timeout")
        if self._watch is not None:
            self._watch(state, checkpoint)
        for obligation in steps.requires(self.subject, state):
            if not self._discharge(state, obligation, checkpoint):
                self._failures.append(Failure(obligation, state, checkpoint))
                return []
            if not obligation.claims:
                return []  # discharged because the path is impossible
        return steps.transfer(self.subject, state)

    # --- checkpoints ---

    def _arrive(self, state: State, checkpoint: Checkpoint) -> tuple[State, Checkpoint] | None:
        """Compare `state` with the checkpoints at its pc: None if one covers it; else it becomes one."""
        key = (state.pc, *[(frame.start, frame.return_pc) for frame in state.frames])
        meeting = self._meetings.get(key)
        if meeting is None:
            meeting = self._meetings[key] = Meeting()
        for other in reversed(meeting.explored):
            if self._covered(other, state, checkpoint):
                return None
        if state.pc in self._repeating:
            rounds = _rounds(meeting, state)
            if rounds:
                return self._arrive_again(state, checkpoint, meeting, rounds)
        anchor = meeting.anchor
        if anchor is not None and (not anchor.open or anchor.round != checkpoint.round):
            anchor = None
        if anchor is not None and inclusion.same(self.subject, anchor.state, state):
            self._failures.append(Failure(Obligation("infinite-loop", INFINITE), state, checkpoint))
            return None
        meeting.explored = [one for one in meeting.explored if one.misses <= MISSES_ALLOWED * (one.hits + 1)]
        made = Checkpoint(state, checkpoint, meeting, checkpoint.round)
        meeting.laps += 1
        if anchor is None or meeting.laps >= meeting.power:
            meeting.power = 1 if anchor is None else 2 * meeting.power
            meeting.anchor, meeting.laps = made, 0
        if state.pc in self._repeating:
            meeting.repeating.append(made)
        return state, made

    def _arrive_again(
        self, state: State, checkpoint: Checkpoint, meeting: Meeting, rounds: list[Checkpoint]
    ) -> tuple[State, Checkpoint] | None:
        """A later round of a call: one of the `rounds` before may cover the state; after a few it is widened."""
        for other in rounds:
            if self._covered(other, state, checkpoint):
                return None
        if len(rounds) >= ROUNDS_BEFORE_WIDENING:
            state = inclusion.widened(rounds[0].state, state)
        made = Checkpoint(state, checkpoint, meeting, checkpoint.round + 1)
        meeting.repeating.append(made)
        return state, made

    def _covered(self, other: Checkpoint, state: State, checkpoint: Checkpoint) -> bool:
        matching = inclusion.covers(self.subject, other.state, other.needs, state, other.lifetime)
        leans_on = {one for one in other.leans_on if one.open}
        if matching is None or not all(_is_later_round(one.state, state) for one in leans_on):
            other.misses += 1
            return False
        other.hits += 1
        inclusion.pass_on(matching, other.state, state)
        if other.open:
            other.used_open = True
            if self.subject.row(state.pc).form is Form.MAY_JUMP:
                leans_on.add(other)
        needs = tuple(other.needs)
        if needs or leans_on:
            for ancestor in checkpoint.with_ancestors():
                ancestor.needs.update((fact, None) for fact in needs if inclusion.has_fact(ancestor.state, fact))
                ancestor.leans_on.update(one for one in leans_on if one.serial < ancestor.serial)
        return True


def _rounds(meeting: Meeting, state: State) -> list[Checkpoint]:
    """The open checkpoints of which `state` is a later round of the same call, the newest first.

    A loop around the call comes back to it too, but begins a new call: none of the rounds of the one before counts.
    """
    open = meeting.repeating
    while open and not open[-1].open:
        open.pop()
    found = []
    for other in reversed(open):
        if not _is_later_round(other.state, state):
            break
        found.append(other)
        state = other.state
    return found


def _is_later_round(old: State, new: State) -> bool:
    """Whether a round of the call at `old` was finished since, and the function that makes the call still runs.

    Each round takes something of what bounds them: the count of bpf_loop, the elements of a map, the budget of a
    function for its may_gotos.  A may_goto that jumps takes nothing.
    """
    if new.frame_of(old.frame.region) is None:
        return False
    depth = 0 if old.facts is None else old.facts.depth
    since = takewhile(lambda fact: fact.depth > depth, facts_of(new.facts))
    return any(fact.kind is FactKind.ROUND and fact.pc == old.pc for fact in since)


INFINITE = "the loop is back in the state that it was in before: nothing that it depends on has changed"
