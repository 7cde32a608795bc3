"""The log of Linux's verifier (level 2) as a tree that a run of the program can follow.

The verifier walks through a program depth first.  Where it does not know whether a conditional jump jumps it goes on
behind the jump and puts the other branch off; when a path is over it takes up the branch that was put off last:

    3: (25) if r6 > 0x64 goto pc+1     ; R6=scalar(...)    a visit, and what has changed then
    4: (07) r0 += 1                    ; R0=1
    5: safe                                                a state like this one was seen here: the path is over
    from 3 to 5: R0=0 R6=scalar(...)                       what was put off at slot 3, with all registers
    5: ...

States of the reading: the visit that was read last (None when a path is over); what was printed of registers since the
path began; the visits that may have put something off, the last one on top.

Invariants:
* A visit has the numbers that registers may hold right before its instruction.  Lines print what has changed, so the
  numbers stay until a register is written (Linux does not print that a call took r1 to r5 away) or printed anew.
  Full states, of the function that runs, stand where a path is taken up, and where a function is entered or left.
* `next` of a visit is the one that follows on the same path, `other` the first of the path that was put off there.  Not
  only jumps put something off: a helper puts off its callback, and `r0 &= 38` the second of two numbers that r0 may be,
  for which the instruction is visited again (`from 3 to 3`): that visit is `same`.
* What is taken up as `from P to T` was put off by the topmost visit of P that waits, leads to T, and knew no more then;
  those above it put nothing off: theirs would have been taken up first.  A jump whose outcome the verifier knew never
  waits: it goes to its target at once, or the log says that the numbers it compared have become precise.
* `from E to N` behind the exit of a function goes on in its caller: no path was over.
* A path that ends because such a state was seen ends with a visit that is `pruned`, of which nothing is known.
* What does not fit hangs nowhere in the tree, and no run is followed beyond an instruction P whose `from P to T` does
  not; nor is one in a log whose beginning is cut off.  Paths of speculative execution are no run's.

A run follows the tree with its own decisions.  Where two ways lead to the same instruction it is on one whose claims
are true, and it contradicts Linux if there is none.  It loses the log where a path is pruned: claims of the state that
was seen before do not hold for this run, because what was not precise in it may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pybpftime.conformance.claims.claim import Stated
from pybpftime.conformance.claims.log_text import Printed, printed
from pybpftime.errors import InputError
from pybpftime.isa import Form, Instruction, Program, Row, lookup, registers
from pybpftime.isa.row import jump_offset
from pybpftime.verifier.domain import Range
from pybpftime.verifier.published import Moment

NARROWING = frozenset({Form.JUMP_IF, Form.BINARY})
"""What puts off a branch that knows as much as the visit and more.  Others forget: a call its arguments."""

_VISIT = re.compile(r"(\d{1,7}): \([0-9a-f]{2}\) [^;]*(?:; (.*))?")
_STATE = re.compile(r"(\d{1,7}):(?: (.*))?")
_FROM = re.compile(r"from (\d{1,7}) to (\d{1,7})( \(speculative execution\))?:(.*)")
_WHOLE = re.compile(r"(caller|callee|returning from callee|to caller at \d{1,7}):")
_PRECISE = re.compile(r"(?:mark_precise: .*)?last_idx (\d{1,7}) ")
_JOINING = re.compile(r"(?:frame \d+: )?propagating ")
SAFE = "safe"


@dataclass(slots=True, eq=False)
class Visit:
    """The verifier at an instruction, on one of its paths.  `line` counts the lines of the log from 1."""

    slot: int
    frame: int
    line: int
    numbers: dict[int, Range]
    pruned: bool = False
    next: Visit | None = None
    other: Visit | None = None
    same: Visit | None = None

    def is_true(self, values: Sequence[int | None]) -> bool:
        """Whether the registers hold what is claimed."""
        claims = ((values[register], claim) for register, claim in self.numbers.items())
        return all(value is not None and claim.contains(value) for value, claim in claims)


class KernelLog:
    """The log of a program that was accepted, read.  `start` is its first visit; None for a log that shows none.

    `visits` counts those in the log; `lost` are the P of paths `from P to T` whose origin was not found.
    """

    def __init__(self, start: Visit | None, visits: int, lost: Sequence[int], lines: list[str]) -> None:
        self.start = start
        self.visits = visits
        self.lost = lost
        self._lines = lines

    @classmethod
    def read(cls, text: str, program: Program) -> Self:
        """Read the log of the program, whatever it is."""
        lines = text.splitlines()
        reader = _Reader(program)
        for number, line in enumerate(lines, 1):
            reader.read(number, line)
        return cls(reader.start, reader.visits, reader.lost, lines)

    def follow(self) -> Follower:
        """The claims about one run."""
        return Follower(self)

    def line(self, visit: Visit) -> str:
        """The line of a visit, as evidence."""
        return f"line {visit.line} of the log: {self._lines[visit.line - 1]}"


class Follower:
    """Linux's claims about one run: where in the log the run is."""

    def __init__(self, log: KernelLog) -> None:
        self._log = log
        self._ahead = [] if log.start is None else [log.start]

    def at(self, moment: Moment) -> Stated | None:
        """See `Claims`."""
        running = moment.functions[-1]
        frame = len(moment.functions) - 1
        found = [one for one in self._ahead if one.slot == moment.pc and (one.pruned or one.frame == frame)]
        found += [one.same for one in found if one.same is not None]
        if not found or any(one.pruned for one in found):
            self._ahead = []
            return None
        found = [one for one in found if one.is_true(running.registers)] or found
        ahead = [] if moment.pc in self._log.lost else [way for one in found for way in (one.next, one.other)]
        self._ahead = [one for one in ahead if one is not None]
        return Stated(found[0].numbers, self._log.line(found[0]))


class _Reader:
    """The reading of a log, line by line."""

    def __init__(self, program: Program) -> None:
        self.start: Visit | None = None
        self.visits = 0
        self.lost: list[int] = []
        self._program = program
        self._rows: dict[int, tuple[Instruction, Row] | None] = {}
        self._last: Visit | None = None  # the visit that was read last, on a path that is not over
        self._origin: Visit | None = None  # where the path was put off whose first visit comes next
        self._waiting: list[Visit] = []
        self._frame = 0
        self._numbers: dict[int, Range] = {}
        self._whole = False  # the next state is a full one
        self._joining = False
        self._speculative = False

    def read(self, number: int, line: str) -> None:
        """Read one line; what it is not known to be says nothing."""
        if found := _VISIT.fullmatch(line):
            self._visit(int(found[1]), number)
            self._change(found[2])
        elif found := _STATE.fullmatch(line):
            if found[2] == SAFE:
                self._prune(int(found[1]), number)
            else:
                self._change(found[2])
        elif found := _FROM.fullmatch(line):
            self._speculative = found[3] is not None
            self._take_up(int(found[1]), int(found[2]), number, found[4].strip())
        elif _WHOLE.fullmatch(line):
            self._whole = True
        elif found := _PRECISE.match(line):
            self._decided(int(found[1]))
        elif _JOINING.match(line):
            self._joining = True
        elif self._whole:
            self._change(line)

    # --- lines ---

    def _visit(self, slot: int, line: int) -> None:
        visit = Visit(slot, self._frame, line, self._numbers)
        self.visits += 1
        self._joining = False
        if self.start is None and slot == 0:
            self.start = visit
        self._hang(visit)
        known = self._known(slot)
        if known is None:
            return
        instruction, row = known
        if not self._speculative:
            self._waiting.append(visit)
        written = registers(row.writes, instruction)
        self._numbers = {register: claim for register, claim in self._numbers.items() if register not in written}

    def _prune(self, slot: int, line: int) -> None:
        self._hang(Visit(slot, self._frame, line, {}, pruned=True))
        self._last = None

    def _hang(self, visit: Visit) -> None:
        """Give the visit its place in the tree."""
        last, origin = self._last, self._origin
        if last is not None:
            self._goes_to(visit.slot)
            last.next = visit
        elif origin is not None and origin.slot == visit.slot and not self._jumps(origin):
            origin.same = visit
        elif origin is not None:
            origin.other = visit
        self._last, self._origin = visit, None

    def _change(self, text: str | None) -> None:
        """Take in a state, or what has changed in one."""
        state = None if text is None else printed(text)
        if state is None:
            return
        self._numbers = {} if self._whole else dict(self._numbers)
        self._whole = False
        self._frame = state.frame
        for register, claim in state.registers.items():
            if claim is not None:
                self._numbers[register] = claim
            else:
                self._numbers.pop(register, None)

    def _take_up(self, slot: int, target: int, line: int, text: str) -> None:
        state = None if text == SAFE else printed(text)
        if not self._is_return(slot):
            self._last = None
            self._origin = None if self._speculative else self._put_off(slot, target, state)
            if self._origin is None and not self._speculative:
                self.lost.append(slot)
        if state is None:
            self._prune(target, line)
        self._whole = True
        self._change(text)

    def _decided(self, slot: int) -> None:
        """Numbers became precise.  At a jump: because it was decided by them."""
        last = self._last
        if last is not None and last.slot == slot and not self._joining and self._form(last) is Form.JUMP_IF:
            self._waits_no_more(last)

    # --- branches ---

    def _goes_to(self, slot: int) -> None:
        """The path goes on at the slot: a jump that goes to its target at once was decided."""
        last = self._last
        if last is not None and self._form(last) is Form.JUMP_IF and slot != last.slot + 1:
            self._waits_no_more(last)

    def _waits_no_more(self, visit: Visit) -> None:
        if self._waiting and self._waiting[-1] is visit:
            self._waiting.pop()

    def _is_return(self, slot: int) -> bool:
        last = self._last
        return last is not None and last.slot == slot and last.frame > 0 and self._form(last) is Form.EXIT

    def _put_off(self, slot: int, target: int, state: Printed | None) -> Visit | None:
        """The visit that put off a branch; those that waited above it do not wait any more."""
        for index in reversed(range(len(self._waiting))):
            visit = self._waiting[index]
            if visit.slot == slot and self._may_lead(visit, target) and self._knew_no_more(visit, state):
                del self._waiting[index:]
                return visit
        return None

    def _may_lead(self, visit: Visit, target: int) -> bool:
        known = self._known(visit.slot)
        if known is None or not known[1].jumps:
            return True  # a callback is anywhere
        return target in (visit.slot + 1, visit.slot + 1 + jump_offset(known[1], known[0]))

    def _knew_no_more(self, visit: Visit, state: Printed | None) -> bool:
        """Whether the state may be that of the visit, with what has been found out."""
        if state is None or self._form(visit) not in NARROWING:
            return True
        claims = ((visit.numbers.get(register), claim) for register, claim in state.registers.items())
        return state.frame == visit.frame and all(
            before is None or (claim is not None and before.includes(claim)) for before, claim in claims
        )

    # --- the program ---

    def _jumps(self, visit: Visit) -> bool:
        known = self._known(visit.slot)
        return known is not None and known[1].jumps

    def _form(self, visit: Visit) -> Form | None:
        known = self._known(visit.slot)
        return None if known is None else known[1].form

    def _known(self, slot: int) -> tuple[Instruction, Row] | None:
        if slot not in self._rows:
            self._rows[slot] = self._looked_up(slot)
        return self._rows[slot]

    def _looked_up(self, slot: int) -> tuple[Instruction, Row] | None:
        instruction = self._program[slot] if slot < len(self._program) else None
        try:
            return None if instruction is None else (instruction, lookup(instruction))
        except InputError:
            return None
