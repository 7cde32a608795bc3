"""The first diverging step: where a runtime that shows only what it returns leaves the reference.

The program is cut off in front of a step and made to return one thing that it can see there: a register, or a word of
memory or stack.  Each is shown in several ways, made of different rows, and is wrong only if every way says so.  The
first step behind which something is wrong is found by halving.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pybpftime.conformance.fuzz.listing import Line, Lines, assembled, line, rebuilt, without
from pybpftime.conformance.fuzz.oracle import Oracle, Subject
from pybpftime.conformance.fuzz.reference import State
from pybpftime.conformance.fuzz.substitution import FRAME, SCRATCH, STORE_FORMS, Trace
from pybpftime.conformance.runtime import OutcomeKind
from pybpftime.errors import BpfError, InputError
from pybpftime.isa import Form
from pybpftime.isa.disassembler import format_instruction

ENDS = (Form.EXIT, Form.JUMP, Form.JUMP_REGISTER)


@dataclass(frozen=True, slots=True)
class Shown:
    """Something that a program can see: its name, its right value, and ways to bring it to r0."""

    name: str
    value: int
    ways: tuple[tuple[Line, ...], ...]


def first_diverging_step(oracle: Oracle, subject: Subject) -> tuple[str, ...]:
    """The step and what is different behind it, line by line; nothing when none is seen."""
    try:
        trace = Trace(oracle.exact, subject.lines, subject.memory)
    except BpfError:
        return ()
    return Search(oracle, subject, trace).run()


class Search:
    """One program's steps.  Those that a loop repeats are passed over: a cut is met at its first visit."""

    def __init__(self, oracle: Oracle, subject: Subject, trace: Trace) -> None:
        self._oracle = oracle
        self._subject = subject
        self._trace = trace
        self._steps = [
            step for step, number in enumerate(trace.executed) if step and number not in trace.executed[:step]
        ]

    def run(self) -> tuple[str, ...]:
        """The step, told line by line."""
        step = self.step()
        if step is None:  # it is the last one, or looking changes it
            last = len(self._trace.executed) - 1
            return self._told(last, ["up to here nothing that can be looked at is different"])
        return self._told(step, self._different(step + 1))

    def step(self) -> int | None:
        """The first step behind which something is different; None when nothing is, in front of the last."""
        low, high = 0, len(self._steps)  # nothing is wrong in front of the steps below `low`; something is at `high`
        while low < high:
            middle = (low + high) // 2
            if self._different(self._steps[middle]):
                high = middle
            else:
                low = middle + 1
        return None if low == len(self._steps) else self._steps[low] - 1

    def _told(self, step: int, what: list[str]) -> tuple[str, ...]:
        number, before = self._trace.executed[step], self._trace.states[step]
        one = self._trace.lines[number]
        slot = self._trace.slots[number]
        program = assembled(self._trace.lines)
        instruction = program[slot]
        assert instruction is not None
        return (
            f"step {step + 1}, slot {slot}: {format_instruction(instruction)} ({one.row.name})",
            f"before it: {described(before)}",
            *what,
        )

    def _different(self, step: int) -> list[str]:
        """What is wrong in front of a step, a sentence for each."""
        wrong = []
        for shown in visible(self._trace, step):
            answers = [self._asked(step, way, shown.value) for way in shown.ways]
            given = sorted({answer for answer in answers if answer is not None})
            if given and shown.value not in given:
                got = " or ".join(f"{answer:#x}" for answer in given)
                wrong.append(f"behind it {shown.name} is {got}, in the reference {shown.value:#x}")
        return wrong

    def _asked(self, step: int, way: tuple[Line, ...], value: int) -> int | None:
        """What the runtime returns when the program is cut in front of a step; None when that cannot be asked."""
        try:
            lines = cut(self._trace, step, way)
            subject = Subject(lines, self._subject.memory)
            answer = self._oracle.exact.answer(assembled(lines), subject.memory)
        except InputError:
            return None
        if answer is None or answer.r0 != value or not self._oracle.spend():
            return None
        outcome = self._oracle.runtime.run(subject.case("question", answer))
        return outcome.signature.r0 if outcome.kind is OutcomeKind.RETURNED else None


def described(state: State) -> str:
    """The registers that hold numbers."""
    known = [f"r{number}={value:#x}" for number, value in enumerate(state.registers) if value is not None]
    return " ".join(known) or "no register holds a number"


def visible(trace: Trace, step: int) -> Iterator[Shown]:
    """What can be seen in front of a step: registers with numbers, and the words that stores have named so far."""
    state = trace.states[step]
    for register, value in enumerate(state.registers):
        if value is not None:
            yield Shown(f"r{register}", value, tuple(_ways(register)))
    if state.depth > 1:
        return
    for base, offset in sorted(_written(trace, step)):
        block = state.stacks[-1] if base == FRAME else state.memory
        start = len(block) + offset if base == FRAME else offset
        place = f"stack{offset:+d}" if base == FRAME else f"memory+{offset}"
        load = line("ldxdw", dst_reg=0, src_reg=base, offset=offset)
        halves = line("ldxw", dst_reg=0, src_reg=base, offset=offset)
        word = block[start : start + 8]
        yield Shown(f"the word at {place}", int.from_bytes(word, "little"), ((load,),))
        yield Shown(f"the half word at {place}", int.from_bytes(word[:4], "little"), ((halves,),))


def _ways(register: int) -> Iterator[tuple[Line, ...]]:
    if register == 0:
        yield ()
        return
    yield (line("mov_reg", dst_reg=0, src_reg=register),)
    yield (line("mov_imm", dst_reg=0, imm=0), line("add_reg", dst_reg=0, src_reg=register))
    yield (
        line("stxdw", dst_reg=FRAME, src_reg=register, offset=SCRATCH),
        line("ldxdw", dst_reg=0, src_reg=FRAME, offset=SCRATCH),
    )


def _written(trace: Trace, step: int) -> set[tuple[int, int]]:
    """Base register and offset of the aligned words that stores of the entry function wrote before a step."""
    places = set()
    for earlier in range(step):
        one = trace.lines[trace.executed[earlier]]
        base, offset = one.instruction.dst_reg, one.instruction.offset
        if (
            one.row.form in STORE_FORMS
            and trace.states[earlier].depth == 1
            and trace.states[step].registers[base] is None
        ):
            places.add((base, offset // 8 * 8))
    return places


def cut(trace: Trace, step: int, way: tuple[Line, ...]) -> Lines:
    """The program that ends in front of a step, in whatever function that is, and returns what `way` brings to r0."""
    lines, end = trace.lines, line("exit")
    pieces: list[tuple[Line, ...]] = [(one,) for one in lines]
    here = trace.executed[step]
    pieces[here] = (*way, end, lines[here])
    for number in _open_calls(trace, step):
        pieces[number] = (lines[number], end)  # the caller hands on what it is returned
    return pruned(rebuilt(lines, pieces))


def _open_calls(trace: Trace, step: int) -> list[int]:
    """The calls that have not returned in front of a step."""
    return [
        number
        for number, visits in trace.visits.items()
        if trace.lines[number].row.form is Form.CALL_LOCAL
        and any(trace.executed.index(number) < step < visit.step for visit in visits)
    ]


def pruned(lines: Lines) -> Lines:
    """The program without the instructions that no path leads to, which verifiers refuse."""
    reached: set[int] = set()
    waiting = [0]
    while waiting:
        number = waiting.pop()
        if number in reached or number >= len(lines):
            continue
        reached.add(number)
        one = lines[number]
        if one.target is not None:
            waiting.append(one.target)
        if one.row.form not in ENDS:
            waiting.append(number + 1)
    return without(lines, set(range(len(lines))) - reached)
