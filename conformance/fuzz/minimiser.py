"""The few instructions that matter.

Everything is tried that makes a program simpler, and kept while the runtime still differs in the same way: cutting it
off behind the first wrong result, leaving out lines, constants instead of computed values, one register instead of
two, simple numbers, zeros in memory or none at all.  Edited programs have one right answer (`reference.Exact`), so
what comes out is a program like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pybpftime.conformance.fuzz.comparison import Kind
from pybpftime.conformance.fuzz.listing import Line, Lines, line, rebuilt, replaced, with_fields, without
from pybpftime.conformance.fuzz.oracle import Oracle, Subject
from pybpftime.conformance.fuzz.substitution import FRAME, REGISTER_FORMS, STORE_FORMS, Trace, unrolled
from pybpftime.errors import BpfError
from pybpftime.isa import Form, registers
from pybpftime.isa.row import OPERAND_REGISTERS, jump_field

SIMPLE = (0, 1, 2, -1, 5, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, -(1 << 31))
"""Constants in the order in which a reader likes them."""
PLAIN = ("mov_imm", "mov32_imm", "lddw", "ja", "exit")
"""Rows that need no thought."""
WRONG = 0x5BAD
"""What an unrolled program returns when a jump goes wrong."""
LOADS = {1: "ldxb", 2: "ldxh", 4: "ldxw", 8: "ldxdw"}


class Minimiser:
    """Reduces one subject in which `oracle` sees a difference of `kind`.

    The kind may become another one when loops are unrolled: what has no loop cannot run for ever.
    """

    def __init__(self, oracle: Oracle, subject: Subject, kind: Kind) -> None:
        self._oracle = oracle
        self.kind = kind
        self.subject = subject

    def run(self) -> Subject:
        """The smallest that was found; the subject itself when the oracle sees no difference in it."""
        if self._oracle.ask(self.subject) != self.kind:
            return self.subject
        passes = (
            self._unroll,
            self._cut,
            self._leave_out,
            self._constants,
            self._registers,
            self._numbers,
            self._memory,
        )
        before = None
        while self.subject != before:
            before = self.subject
            for reduce in passes:
                reduce()
        return self.subject

    def _keep(self, lines: Lines, memory: bytes | None) -> bool:
        """Whether that is simpler and the difference still there; if so, go on from here."""
        candidate = Subject(lines, memory)
        if weight(candidate) >= weight(self.subject) or self._oracle.ask(candidate) != self.kind:
            return False
        self.subject = candidate
        return True

    def _trace(self) -> Trace | None:
        try:
            return Trace(self._oracle.exact, self.subject.lines, self.subject.memory)
        except BpfError:
            return None

    def _unroll(self) -> None:
        """Write loops out, once no function is called: then every line is executed once, and has one effect."""
        trace = self._trace()
        lines = None if trace is None else unrolled(trace, WRONG)
        candidate = None if lines is None else Subject(lines, self.subject.memory)
        kind = None if candidate is None else self._oracle.ask(candidate)
        if candidate is not None and isinstance(kind, Kind):
            self.subject, self.kind = candidate, kind

    # -- passes -------------------------------------------------------------------------------------------------------

    def _cut(self) -> None:
        """End right behind the first instruction whose result is wrong."""
        lines = self.subject.lines
        functions = _first_function(lines)
        for number in range(min(functions, len(lines) - 1)):
            for shown in _shows(lines[number], number + 1):
                if len(shown) + number + 1 >= functions:
                    continue
                body = [(one,) for one in lines[:number]]
                rest = [() for _ in range(number + 2, functions)]
                tail = [(one,) for one in lines[functions:]]
                pieces: list[tuple[Line, ...]] = [*body, shown, (line("exit"),), *rest, *tail]
                if self._keep(rebuilt(lines, pieces), self.subject.memory):
                    self._drop_unreached()
                    return

    def _drop_unreached(self) -> None:
        """Leave out what was not executed."""
        trace = self._trace()
        if trace is not None:
            unreached = set(range(len(self.subject.lines))) - set(trace.visits)
            self._keep(without(self.subject.lines, unreached), self.subject.memory)

    def _leave_out(self) -> None:
        """Leave out halves, quarters... down to single lines, until no line can go."""
        size = max(len(self.subject.lines) // 2, 1)
        while True:
            removed, start = False, 0
            while start < len(self.subject.lines):
                numbers = range(start, min(start + size, len(self.subject.lines)))
                if self._keep(without(self.subject.lines, numbers), self.subject.memory):
                    removed = True
                else:
                    start += size
            if size > 1:
                size //= 2
            elif not removed:
                return

    def _constants(self) -> None:
        """Constants, the shortest first, instead of values that are computed or loaded; fewer jumps that are taken."""
        number = 0
        while number < len(lines := self.subject.lines):
            trace = self._trace()
            for way in trace.substitutes(number) if trace is not None else []:
                if self._keep(replaced(lines, {number: way}), self.subject.memory):
                    break
            number += 1

    def _registers(self) -> None:
        """One register instead of two."""
        for old in sorted({register for one in self.subject.lines for register in _used(one)} - {FRAME}, reverse=True):
            for new in range(old):
                renamed = tuple(_renamed(one, old, new) for one in self.subject.lines)
                for gone in ((), *((number,) for number, one in enumerate(renamed) if _is_copy_of_itself(one))):
                    if self._keep(without(renamed, gone), self.subject.memory):
                        break

    def _numbers(self) -> None:
        """Simple constants."""
        for number in range(len(self.subject.lines)):
            for change in _simpler(self.subject.lines[number]):
                if self._keep(replaced(self.subject.lines, {number: (change,)}), self.subject.memory):
                    break

    def _memory(self) -> None:
        """No memory, less of it, zeros in it."""
        memory = self.subject.memory
        if not memory or self._keep(self.subject.lines, None):
            return
        for length in (8, 16, 32):
            if length < len(memory) and self._keep(self.subject.lines, memory[:length]):
                break
        for size in (8, 1):
            for at in range(0, len(self.subject.memory or b""), size):
                memory = self.subject.memory or b""
                self._keep(self.subject.lines, memory[:at] + bytes(size) + memory[at + size :])


def _first_function(lines: Lines) -> int:
    """The first line of the first function behind the entry function; the number of lines when there is none."""
    return min((one.target or len(lines) for one in lines if one.row.form is Form.CALL_LOCAL), default=len(lines))


def _shows(one: Line, behind: int) -> Iterator[tuple[Line, ...]]:
    """The line, and instructions that bring what it did to r0; an exit follows as line `behind`."""
    if one.row.form in (Form.LOAD, Form.LOAD_ACQUIRE):
        yield (with_fields(one, dst_reg=0),)
    if one.row.form in REGISTER_FORMS and not one.row.wide:
        register = one.instruction.dst_reg
        if register:
            yield one, line("mov_reg", dst_reg=0, src_reg=register)
            yield one, line("mov32_reg", dst_reg=0, src_reg=register)
        else:
            yield (one,)
    elif one.row.form in STORE_FORMS:
        place = {"src_reg": one.instruction.dst_reg, "offset": one.instruction.offset}
        for register in registers(one.row.writes, one.instruction):
            yield one, line("mov_reg", dst_reg=0, src_reg=register)
        yield one, line(LOADS[one.row.size], dst_reg=0, **place)
    elif one.row.form is Form.JUMP_IF:
        for value in (0, 1):
            yield replace(one, target=behind), line("mov_imm", dst_reg=0, imm=value)


def _used(one: Line) -> set[int]:
    return {getattr(one.instruction, field) for field in OPERAND_REGISTERS.values() if field not in one.row.fixed}


def _renamed(one: Line, old: int, new: int) -> Line:
    fields = {
        field: new
        for field in OPERAND_REGISTERS.values()
        if field not in one.row.fixed and getattr(one.instruction, field) == old
    }
    return with_fields(one, **fields) if fields else one


def _is_copy_of_itself(one: Line) -> bool:
    return one.row.name in ("mov_reg", "mov32_reg") and one.instruction.dst_reg == one.instruction.src_reg


def weight(subject: Subject) -> tuple[int, ...]:
    """How much a reader has to take in; every step of a reduction makes it less."""
    lines, memory = subject.lines, subject.memory or b""
    return (
        len(lines),
        sum(one.row.name not in PLAIN for one in lines),
        sum(one.instruction.slots for one in lines),
        sum(register for one in lines for register in _used(one)),
        sum(_weight_of_number(one.instruction.next_imm or 0) for one in lines),
        sum(_weight_of_number(one.instruction.imm) for one in lines if "imm" not in one.row.fixed),
        len(memory),
        sum(byte != 0 for byte in memory),
    )


def _weight_of_number(value: int) -> int:
    return SIMPLE.index(value) if value in SIMPLE else len(SIMPLE) + value.bit_length()


def _simpler(one: Line) -> Iterator[Line]:
    """The line with simpler constants, the simplest first."""
    instruction, row = one.instruction, one.row
    if row.wide:
        for high in SIMPLE:
            yield with_fields(one, next_imm=high)
    if "imm" in row.fixed or (one.target is not None and jump_field(row) == "imm"):
        return
    for value in SIMPLE:
        yield with_fields(one, imm=value)
    half = int(instruction.imm / 2)
    while abs(half) > 1:
        yield with_fields(one, imm=half)
        half = int(half / 2)
