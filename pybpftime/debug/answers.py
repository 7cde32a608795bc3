"""What a program learns from outside, kept in the order in which it asked: so a run can be executed again.

The n-th reading of the clock, the n-th random number and the n-th read of user memory have the same answer whenever a
part of the run is executed again, and in every time line that forks off: the world is the same one, whatever the user
changes in the program's state.  Only beyond what was answered so far is the source asked, if there is one.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pybpftime.machine import Environment
from pybpftime.machine.environment import RANGES, STACKS

FIELDS = tuple(name for name in (*RANGES, *STACKS, "comm") if name != "time_ns")
"""What an environment answers with one value for a whole invocation."""

Read = tuple[int, int, int]
"""The number of the read, the address, the length."""
Position = tuple[int, int, int]
"""How many times, numbers and reads were asked for."""


@dataclass(slots=True)
class Answers:
    """All answers so far: times in nanoseconds, random numbers, what was read of user memory.

    Reads are found by their number and by what was asked for: a fork may read elsewhere than the time line that it
    comes from.  None stands for memory that could not be read.  Those before `first` are not kept any more.
    """

    times: array[int] = field(default_factory=lambda: array("Q"))
    numbers: array[int] = field(default_factory=lambda: array("I"))
    reads: dict[Read, bytes | None] = field(default_factory=dict)
    first: Position = (0, 0, 0)

    def drop_before(self, position: Position) -> None:
        """Forget what was answered before a position."""
        del self.times[: position[0] - self.first[0]], self.numbers[: position[1] - self.first[1]]
        self.reads = {asked: content for asked, content in self.reads.items() if asked[0] >= position[2]}
        self.first = position


def fields_of(environment: Environment) -> dict[str, Any]:
    """The fields that hold for an invocation."""
    return {name: getattr(environment, name) for name in FIELDS}


class AnswerBook(Environment):
    """The environment of a debugged object: `answers`, and behind them the `source`, None in a replay.

    Without a source time goes on by `tick_ns` at a reading, random numbers go on from a seed, and user memory cannot
    be read where it was not read before.
    """

    def __init__(self, source: Environment | None, answers: Answers | None = None, **fields: Any) -> None:
        self.answers = Answers() if answers is None else answers
        self.source = source
        self._fallback = Environment()
        self.position: Position = (0, 0, 0)
        super().__init__(**({} if source is None else fields_of(source)), **fields)
        self.base: Mapping[str, Any] = fields_of(self)
        """The fields of an invocation that does not say others."""

    def enter(self, fields: Mapping[str, Any]) -> None:
        """An invocation begins, with these fields; the others do not depend on what ran before."""
        for name, value in {**self.base, **fields}.items():
            setattr(self, name, value)

    def now(self) -> int:
        times, (used, numbers, reads) = self.answers.times, self.position
        at = used - self.answers.first[0]
        if at == len(times):
            source = self.source or self._fallback
            if source is self._fallback:
                source.tick_ns = self.tick_ns
                source.time_ns = times[-1] if times else source.time_ns
            times.append(source.now())
        self.position = (used + 1, numbers, reads)
        return times[at]

    def random_u32(self) -> int:
        numbers, (times, used, reads) = self.answers.numbers, self.position
        at = used - self.answers.first[1]
        if at == len(numbers):
            numbers.append((self.source or self._fallback).random_u32())
        self.position = (times, used + 1, reads)
        return numbers[at]

    def look_at_user(self, address: int, length: int) -> bytes | None:
        """User memory for who debugs: what a program read there, else what is there now; it is no answer."""
        for (_, start, size), content in reversed(self.answers.reads.items()):
            if content is not None and start <= address and address + length <= start + size:
                return content[address - start : address - start + length]
        return None if self.source is None else self.source.read_user(address, length)

    def read_user(self, address: int, length: int) -> bytes | None:
        reads, (times, numbers, used) = self.answers.reads, self.position
        asked = (used, address, length)
        if asked not in reads:
            reads[asked] = None if self.source is None else self.source.read_user(address, length)
        self.position = (times, numbers, used + 1)
        return reads[asked]
