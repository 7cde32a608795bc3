"""A run of the reference interpreter, in as many pieces as is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from operator import length_hint

from pybpftime.engines.reference.steps import Exited, Step
from pybpftime.errors import Fault, LimitExceeded
from pybpftime.machine import Machine, TailCall


class Execution:
    """A run that stands before the instruction at `pc`, and has `executed` so many.

    All else about it is in the machine.  `steps` are the step functions of the machine's code space; `tail_call` binds
    a program behind them if need be, and enters it.
    """

    __slots__ = ("_begun", "_fuel", "_machine", "_steps", "_tail_call", "ended", "executed", "pc", "stopped")

    def __init__(
        self, machine: Machine, steps: Sequence[Step], tail_call: Callable[[object], int], pc: int, executed: int = 0
    ) -> None:
        self._machine = machine
        self._steps = steps
        self._tail_call = tail_call
        self.pc = pc
        self.executed = executed
        self.ended = False
        """Whether the program has returned: r0 is its result."""
        self.stopped = False
        """Whether it was `until` that ended the last `advance`."""
        self._fuel = repeat(None, 0)
        self._begun = 0

    def advance(
        self, count: int, steps: Sequence[Step] | None = None, until: Callable[[int], bool] | None = None
    ) -> bool:
        """Execute up to `count` instructions; the answer is whether the program has returned.

        With `steps`, these are executed instead of the machine's own; one that raises an exception stops the run
        before its instruction, and the exception passes.  With `until`, the run stops early at a pc for which that
        is true, asked after every instruction, and `stopped` says so.

        Raises Fault and LimitExceeded, with the place: the run stands before the instruction that failed, which may
        have done a part of its work.
        """
        steps, pc, fuel = self._steps if steps is None else steps, self.pc, repeat(None, count)
        unfinished, self._begun, self._fuel, self.stopped = 0, self.executed + count, fuel, False
        try:
            while True:
                try:
                    if until is None:
                        for _ in fuel:
                            pc = steps[pc]()
                    else:
                        for _ in fuel:
                            pc = steps[pc]()
                            if until(pc):
                                self.stopped = True
                                break
                except TailCall as call:
                    pc = self._tail_call(call.program)
                    if until is not None and until(pc):
                        self.stopped = True
                        break
                else:
                    break
        except Exited:
            self.ended = True
        except BaseException as error:
            unfinished = 1
            if isinstance(error, Fault | LimitExceeded):
                raise located(error, self._machine, pc) from None
            raise
        finally:
            self.pc = pc
            self.executed += count - length_hint(fuel) - unfinished
        return self.ended

    @property
    def current(self) -> int:
        """While `advance` is at work: how many instructions were executed before the one that is now."""
        return self._begun - length_hint(self._fuel) - 1

    def watched(self, count: int) -> bool:
        """`advance` while the machine's observers look on."""
        steps, pc, machine, fuel = self._steps, self.pc, self._machine, repeat(None, count)
        observers = machine.observers
        try:
            for _ in fuel:
                for observer in observers:
                    observer.before(machine, pc)
                try:
                    next_pc = steps[pc]()
                except TailCall as call:
                    next_pc = self._tail_call(call.program)
                for observer in observers:
                    observer.after(machine, pc, next_pc)
                pc = next_pc
        except Exited:
            self.ended = True
        except (Fault, LimitExceeded) as error:
            raise located(error, machine, pc) from None
        finally:
            self.pc = pc
            self.executed += count - length_hint(fuel)
        return self.ended


def located(error: Fault | LimitExceeded, machine: Machine, pc: int) -> Fault | LimitExceeded:
    """`error`, which says now where the program stood."""
    code, slot = machine.locate(pc)
    spec = code.program.spec
    error.at(program=spec.name, pc=slot)
    if isinstance(error, Fault):
        from pybpftime.isa.disassembler import format_instruction  # most runs never need it

        line = spec.line_at(slot)
        instruction = spec.instructions[slot] if slot < len(spec.instructions) else None
        error.at(
            source=None if line is None else str(line),
            instruction=None if instruction is None else format_instruction(instruction),
        )
    return error
