"""What is known of one course of events: its invocations, what the user changed, how each ended, checkpoints.

A *step* counts instructions over all invocations.  An invocation of n instructions takes n + 1 steps: at the last one
it is over, with a result or by a fault (the instruction that faults counts).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pybpftime.debug.answers import Position
from pybpftime.debug.state import State
from pybpftime.errors import BpfError
from pybpftime.program.contexts import Context, make_context
from pybpftime.runtime import Program, Result

INTERVAL = 1 << 15
"""Steps between checkpoints at first: what going back one step may have to execute again."""
LARGEST_HISTORY = 128 << 20
"""Bytes of checkpoints that a time line keeps about; beyond, every other one goes and the interval doubles."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of a program: on a packet, on a context, at a probe.

    `fields` are what the environment answers meanwhile (`answers.FIELDS`); `label` says to people which one it is.
    """

    program: str
    packet: bytes | None = None
    ctx: Mapping[str, Any] | bytes | None = None
    mem: bytes | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    def context(self, program: Program) -> Context:
        """A fresh context.  InputError when it does not fit the program's type."""
        spec = program.spec
        return make_context(spec.type, packet=self.packet, ctx=self.ctx, mem=self.mem, attach_type=spec.attach_type)


class Change(StrEnum):
    """What an edit changes."""

    REGISTER = "register"
    MEMORY = "memory"
    ELEMENT = "element"


@dataclass(frozen=True, slots=True)
class Edit:
    """What the user changed at `step`, before the instruction there.

    REGISTER: `target` is its number, `value` the number.  MEMORY: an address, the bytes.  ELEMENT: the name of a map
    and a key, the bytes of the value, None to delete it.
    """

    step: int
    change: Change
    target: Any
    value: Any


@dataclass(frozen=True, slots=True)
class Ending:
    """How an invocation ended: with a result, or by a fault or a limit."""

    result: Result | None
    error: BpfError | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything at `step`: of invocation `index`, which began at step `began`, before the instruction at `pc`."""

    step: int
    index: int
    began: int
    pc: int
    ending: Ending | None
    state: State
    context: Context
    answers: Position
    printed: int
    size: int = 0


@dataclass(frozen=True, slots=True)
class Printed:
    """A line of bpf_printk, and the step of the call."""

    step: int
    text: str


class Timeline:
    """One course of events.  `end` is the last step that was reached; `starts` the first step of each invocation.

    `first` is the first step that one can go back to.  What was before it is not kept; such invocations have start 0.
    """

    def __init__(self, number: int = 1, parent: Timeline | None = None, forked_at: int = 0) -> None:
        self.number = number
        self.parent = parent
        self.forked_at = forked_at
        self.edits: list[Edit] = []
        self.checkpoints: list[Checkpoint] = []
        self.starts: list[int] = []
        self.endings: dict[int, Ending] = {}
        self.output: list[Printed] = []
        self.printed_before = 0
        """How many lines were before those of `output`."""
        self.first = 0
        self.is_forgotten = False
        self.end = 0
        self.interval = INTERVAL
        self._size = 0

    def fork(self, number: int, step: int) -> Timeline:
        """A new one that shares with this one what was before `step`."""
        child = Timeline(number, self, step)
        child.edits = [edit for edit in self.edits if edit.step <= step]
        child.checkpoints = [one for one in self.checkpoints if one.step < step]
        child.starts = [start for start in self.starts if start <= step]
        child.endings = {index: ending for index, ending in self.endings.items() if self.ends_at(index) <= step}
        child.output = [line for line in self.output if line.step < step]
        child.first = self.first
        child.printed_before = self.printed_before
        child.end = step
        child.interval = self.interval
        return child

    def in_common(self, other: Timeline) -> int:
        """The last step up to which this time line and another one are the same."""
        until, one = {self.number: self.end}, self
        while one.parent is not None:
            until[one.parent.number] = min(until[one.number], one.forked_at)
            one = one.parent
        end = other.end
        while other.number not in until and other.parent is not None:
            other, end = other.parent, min(end, other.forked_at)
        return min(end, until.get(other.number, 0))

    def ends_at(self, index: int) -> int:
        """The step at which invocation `index` is over; of one that is not, a step that was not reached."""
        if index not in self.endings:
            return self.end + 1
        return self.starts[index + 1] - 1 if index + 1 < len(self.starts) else self.end

    def index_at(self, step: int) -> int:
        """The invocation that `step` belongs to."""
        return max(bisect_right(self.starts, step) - 1, 0)

    def add_edit(self, edit: Edit) -> None:
        insort(self.edits, edit, key=lambda one: one.step)

    def edits_at(self, step: int) -> list[Edit]:
        """The edits at a step, in the order in which they were made."""
        return [edit for edit in self.edits if edit.step == step]

    def next_edit(self, step: int) -> int | None:
        """The first step behind `step` with an edit."""
        at = bisect_right(self.edits, step, key=lambda edit: edit.step)
        return self.edits[at].step if at < len(self.edits) else None

    def checkpoint_before(self, step: int) -> Checkpoint | None:
        """The last checkpoint at or before `step`."""
        at = bisect_right(self.checkpoints, step, key=lambda one: one.step)
        return self.checkpoints[at - 1] if at else None

    def checkpoint_due(self, step: int) -> int:
        """The next step behind `step` at which there should be a checkpoint and is none."""
        at = bisect_right(self.checkpoints, step, key=lambda one: one.step)
        while True:
            due = (self.checkpoints[at - 1].step if at else 0) + self.interval
            if at == len(self.checkpoints) or self.checkpoints[at].step > due:
                return max(due, step + 1)
            at += 1

    def drop_checkpoints(self, step: int) -> None:
        """Those at `step` and behind it no longer hold."""
        self.checkpoints = [one for one in self.checkpoints if one.step < step]
        self._size = sum(one.size for one in self.checkpoints)

    def drop_before(self, base: Checkpoint) -> None:
        """Forget what was before a checkpoint, at which an invocation begins."""
        self.first = base.step
        self.starts[: base.index] = [0] * base.index
        self.checkpoints = [one for one in self.checkpoints if one.step >= base.step]
        self._size = sum(one.size for one in self.checkpoints)
        self.endings = {index: ending for index, ending in self.endings.items() if index >= base.index}
        dropped = len(self.output)
        self.output = [line for line in self.output if line.step >= base.step]
        self.printed_before += dropped - len(self.output)

    def forget(self) -> None:
        """Keep nothing: what another time line has dropped was needed here."""
        self.is_forgotten = True
        self.checkpoints, self._size, self.endings, self.output = [], 0, {}, []

    def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep it; when all together are too large, half of them go."""
        insort(self.checkpoints, checkpoint, key=lambda one: one.step)
        self._size += checkpoint.size
        if self._size > LARGEST_HISTORY and len(self.checkpoints) > 2:
            del self.checkpoints[1::2]
            self.interval *= 2
            self._size = sum(one.size for one in self.checkpoints)
