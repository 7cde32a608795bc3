"""The reference interpreter: a loop over step functions.

All programs of a machine share one code space: the step functions of a program stand behind those of the
program before, so a tail call is a jump, and a pc names one instruction whatever program is running.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import repeat
from operator import length_hint
from typing import TYPE_CHECKING

from pybpftime.engines.engine import DEFAULT_BUDGET, Context, Outcome
from pybpftime.engines.reference.link import Linker, map_addresses
from pybpftime.engines.reference.steps import Binder, Exited, Step, enter_function, trap
from pybpftime.errors import BpfError, Fault, FaultKind, InputError, InternalError, LimitExceeded
from pybpftime.helpers import HelperTable, bind
from pybpftime.isa import validate
from pybpftime.machine import Code, Machine, TailCall
from pybpftime.program.loaded import LoadedProgram

if TYPE_CHECKING:
    from pybpftime.program.proof import Proof


class ReferenceEngine:
    """Executes instruction by instruction; the definition of what every other engine must do.

    It makes every check with and without a proof: other engines, and the verifier, are held against it.
    """

    name = "reference"

    def compile(
        self, program: LoadedProgram, machine: Machine, helpers: HelperTable, proof: Proof | None = None
    ) -> ReferenceExecutable:
        """Bind `program` to `machine`.  InputError when it is not well formed, or is not what `proof` covers."""
        if proof is not None:
            from pybpftime.engines.proof import require_cover  # most programs run without a proof

            require_cover(proof, program, machine, helpers)
        return ReferenceExecutable(program, machine, helpers)


class ReferenceExecutable:
    """A program bound to a machine, with the programs that it tail-calls bound as they are met."""

    def __init__(self, program: LoadedProgram, machine: Machine, helpers: HelperTable) -> None:
        self.machine = machine
        self._helpers = helpers
        self._steps: list[Step] = []
        self._codes: dict[int, Code] = {}
        self._fuel = repeat(None, 0)
        self._budget = 0
        if machine.code:
            raise InternalError("a machine runs one executable")
        self._entry = self._add(program).start

    def run(self, context: Context, *, budget: int = DEFAULT_BUDGET) -> Outcome:
        """Run the program on `context`; see `engines.engine.Executable`."""
        if not 0 <= budget <= sys.maxsize:
            raise InputError(f"a budget is a number of instructions from 0 to {sys.maxsize}, not {budget}")
        machine = self.machine
        machine.memory.reset_transient()
        machine.context = context
        machine.call = self._call
        arguments = context.enter(machine)
        machine.reset(self._entry, arguments)
        self._budget = budget
        self._fuel = repeat(None, budget)
        error: BpfError | None = None
        for observer in machine.observers:
            observer.started(machine, self._entry)
        try:
            self._execute(self._entry)
        except BpfError as failure:
            error = failure
            raise
        finally:
            for observer in machine.observers:
                observer.finished(machine, error)
        r0 = machine.registers[0]
        assert r0 is not None
        return Outcome(r0, budget - length_hint(self._fuel))

    def _execute(self, pc: int) -> None:
        """Run from `pc` until the function that was started there returns."""
        steps, fuel, machine = self._steps, self._fuel, self.machine
        observers = machine.observers
        while True:
            try:
                if not observers:
                    for _ in fuel:
                        pc = steps[pc]()
                else:
                    for _ in fuel:
                        for observer in observers:
                            observer.before(machine, pc)
                        next_pc = steps[pc]()
                        for observer in observers:
                            observer.after(machine, pc, next_pc)
                        pc = next_pc
            except Exited:
                return
            except TailCall as call:
                next_pc = self._tail_call(call.program)
                for observer in observers:
                    observer.after(machine, pc, next_pc)
                pc = next_pc
            except (Fault, LimitExceeded) as error:
                raise self._located(error, pc) from None
            else:
                reason = f"the instruction budget is used up (budget={self._budget})"
                raise self._located(LimitExceeded(reason, limit="instructions", amount=self._budget), pc)

    def _call(self, address: int, arguments: Sequence[int]) -> int:
        """Call the function at `address` from a helper: `machine.call`."""
        machine = self.machine
        pc = enter_function(machine, machine.code_pc(address), None)
        machine.set_arguments(arguments)
        try:
            self._execute(pc)
        except RecursionError:
            raise LimitExceeded("callbacks are nested deeper than the host's stack allows", limit="depth") from None
        result = machine.registers[0]
        assert result is not None
        return result

    def _tail_call(self, program: object) -> int:
        """Go on in `program`, in the frame of the caller: r1 is the context, all else is unset."""
        if not isinstance(program, LoadedProgram):
            raise InternalError(f"a prog array holds {program!r}")
        code = self._codes.get(id(program)) or self._add(program)
        self.machine.replace_frame(code.start)
        return code.start

    def _add(self, program: LoadedProgram) -> Code:
        """Bind the instructions of `program` behind those already there, and a trap behind its last."""
        spec, machine = program.spec, self.machine
        try:
            rows = validate(spec.instructions, refuse_constants=machine.strictness.refused_constants)
            addresses = map_addresses(program)
        except InputError as error:
            raise error.at(file=spec.file, section=spec.section or None) from None
        code = machine.add_code(program, len(rows) + 1, spec.name)
        linker = Linker(spec, machine, self._helpers, code, addresses)
        binder = Binder(
            machine,
            code.start,
            lambda helper: bind(helper, self._helpers, machine, spec.type, license=spec.license),
            linker.immediate,
        )
        steps: list[Step] = []
        for slot, (instruction, row) in enumerate(zip(spec.instructions, rows, strict=True)):
            if instruction is None or row is None:
                steps.append(trap(Fault(FaultKind.INSTRUCTION, "jump into the middle of a wide instruction")))
            elif (fault := linker.why_not(slot, instruction, row)) is not None:
                steps.append(trap(fault))
            else:
                steps.append(binder.bind(slot, instruction, row))
        steps.append(trap(Fault(FaultKind.INSTRUCTION, "the program runs past its last instruction")))
        self._steps += steps
        self._codes[id(program)] = code
        return code

    def _located(self, error: Fault | LimitExceeded, pc: int) -> Fault | LimitExceeded:
        """Say in the error where the program stood.  A callback's error says so already."""
        if error.pc is not None:
            return error
        code, slot = self.machine.locate(pc)
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
